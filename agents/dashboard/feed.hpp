// The one subscription to the master's event stream, shared by every open page and given up when
// nobody has looked for a while, because it costs the master: the newest events, and figures that
// are asked for again only when events say that something has changed and somebody looks. Threads
// of its own; everything else waits on it.
#pragma once

#include "agents/dashboard/masters.hpp"
#include "src/client/events.hpp"
#include "src/util/json.hpp"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <thread>

namespace reeve::dashboard {

class Feed {
public:
  explicit Feed(Masters& masters);
  ~Feed(); // ends its threads
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  /// Where a reader is.
  struct Place {
    std::uint64_t event = 0;   // number of the first event not yet read; 0: the newest only
    std::uint64_t figures = 0; // version read
  };
  struct News {
    std::vector<Event> events;   // the newest that fit
    std::uint64_t skipped = 0;   // older ones that were left out
    std::vector<JobId> jobs;     // that something happened to, in all that was new; at most 500
    bool nodes = false;          // something happened to a node
    std::optional<Json> figures; // when they changed
  };
  /// Waits at most `patience` for something new. Nothing: it did not come, or `stop` was called.
  std::optional<News> next(Place& place, Duration patience);
  // What looks at events waits at most two seconds for those that came while nobody did.

  /// The place behind the event with this seq and part; nothing when it is not kept any more.
  std::optional<Place> behind(Seq seq, std::uint32_t part);
  /// The newest `most` events, oldest first.
  std::vector<Event> newest(std::size_t most);
  [[nodiscard]] std::uint64_t events_seen();
  /// Readers return at once from now on.
  void stop();
  [[nodiscard]] bool stopped();

  /// As long as one lives, figures are kept fresh.
  class Watching {
  public:
    explicit Watching(Feed& feed);
    ~Watching();
    Watching(const Watching&) = delete;
    Watching& operator=(const Watching&) = delete;

  private:
    Feed& feed_;
  };

private:
  void read_events();
  void add(Event event);
  // Under the lock:
  [[nodiscard]] bool needed() const;
  void catch_up(std::unique_lock<std::mutex>& lock);
  void take_figures();

  Masters& masters_;
  std::mutex mutex_; // guards what follows
  std::condition_variable news_, work_;
  std::deque<Event> ring_;
  std::uint64_t first_ = 1; // number of the oldest in the ring
  Json figures_;
  std::uint64_t figures_version_ = 0, figures_at_event_ = 0;
  int watchers_ = 0;
  std::chrono::steady_clock::time_point asked_; // when somebody last looked at events
  bool current_ = false; // what the master had told when the stream was opened is in the ring
  bool unreachable_ = false;
  bool linked_ = true, figures_due_ = false; // the event stream's connection; ask at once
  bool stop_ = false;
  std::thread reader_, sampler_;
};

/// Statistics and the master's state, as the page reads them; `error` when no master answers.
Json figures_json(const Result<Stats>& stats, const Result<MasterStatus>& master);

} // namespace reeve::dashboard
