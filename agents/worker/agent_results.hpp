// Results on their way to the master: gathered, numbered, sent, kept until acknowledged. Owned by
// AgentCore. A result leaves this class only by an acknowledgement. No I/O, no clock.
#pragma once

#include "agents/worker/agent_types.hpp"

#include <deque>
#include <map>
#include <memory>
#include <variant>

namespace reeve::worker {

struct ResultsLimits {
  std::size_t results = 1'000;      // of one message; a QuietRun counts as one
  std::size_t bytes = 256u << 10;   // estimated; one result more may follow
  std::size_t window = 64;          // messages sent and not acknowledged
  Duration linger_most{10'000};     // how long a result may wait for company
  Duration close{5'000};            // messages that would follow each other so soon wait for more
  Duration resend_after{5'000'000}; // without an acknowledgement
};

class AgentResults {
public:
  using Message = std::shared_ptr<const Results>;

  explicit AgentResults(ResultsLimits limits = {}) : limits_(limits) {}

  void add(Finished&& done, TimePoint now);
  void add(EndedAlike&& ended, TimePoint now);

  /// Appends the messages that are due to `out`. `idle`: nothing is about to follow, so waiting for
  /// company would be in vain.
  void flush(std::uint64_t session, bool idle, TimePoint now, std::vector<Message>& out);
  /// Appends what has to be sent again: everything (after a registration), or what has waited long.
  void resend(std::uint64_t session, bool all, TimePoint now, std::vector<Message>& out);
  /// The acknowledged message; null when the number means nothing (any more).
  Message ack(std::uint64_t number);

  /// When flush or resend will have something to do, unless something happens before.
  [[nodiscard]] std::optional<TimePoint> next_wake() const;
  [[nodiscard]] bool empty() const { return pending_.empty() && unacked_.empty(); }
  [[nodiscard]] std::size_t pending() const { return pending_.size(); }
  [[nodiscard]] std::size_t unacked() const { return unacked_.size(); } // messages

private:
  struct Quiet {
    JobId job;
    QuietRun run;
  };
  struct Task {
    JobId job;
    FinishedTask task;
  };
  using Entry = std::variant<Quiet, Task, EndedAlike>;
  struct Sent {
    Message message;
    TimePoint at;
  };
  void push(Entry&& entry, std::size_t bytes, TimePoint now);
  Message gather(std::uint64_t session);
  [[nodiscard]] bool due(bool idle, TimePoint now) const;
  void pace(std::size_t gathered, TimePoint now);

  ResultsLimits limits_;
  std::deque<Entry> pending_;
  std::size_t pending_bytes_ = 0; // estimate
  TimePoint oldest_;              // of pending_, about
  Duration linger_{0};            // grows while results come thick, none when they are rare
  TimePoint flushed_{Duration(-1'000'000'000)};
  std::map<std::uint64_t, Sent> unacked_;
  std::uint64_t last_number_ = 0;
};

} // namespace reeve::worker
