// Who waits for the end of which jobs (the Wait message). Owned by the ledger. Soft state: a client
// repeats its wait after a restart, and at least every 30 s; one not repeated for two minutes is
// forgotten. Knows no socket and no clock.
#pragma once

#include "src/ledger/effects.hpp"

#include <functional>
#include <set>
#include <unordered_map>

namespace reeve::ledger {

class Waiters {
public:
  /// Nothing: it ended, and has been forgotten since.
  using ProgressOf = std::function<std::optional<JobProgress>(JobId)>;
  struct Answer {
    Peer peer = 0;
    std::uint64_t correlation = 0;
    Progress progress;
  };

  /// Waits until none of `open` (jobs of `wait` that have not ended) is left. The same peer and
  /// correlation again: replaced. With `every`, the next tick tells how the jobs stand. How the
  /// others ended is remembered, as they may be forgotten before; who is told in the end gets a job
  /// with a total of 0 for one whose end is not known here.
  void add(Peer peer, std::uint64_t correlation, const Wait& wait, std::vector<JobId> open,
           std::vector<JobProgress> ended, TimePoint now);
  /// A job ended. Answers for those that waited for nothing else.
  std::vector<Answer> ended(JobId job, const ProgressOf& progress);
  /// A job moved: its waits will get a progress message on the next tick.
  void moved(JobId job);
  /// Progress that is due, and forgets waits not renewed.
  std::vector<Answer> tick(TimePoint now, const ProgressOf& progress);
  void drop(Peer peer);
  struct Waiting {
    Peer peer = 0;
    std::uint64_t correlation = 0;
    Wait wait;
    TimePoint renewed;
  };
  /// Everybody who waits, and forgets them: the jobs they wait for must be looked at again.
  std::vector<Waiting> take_all();
  [[nodiscard]] std::size_t size() const { return waits_.size(); }

private:
  using Key = std::pair<Peer, std::uint64_t>;
  struct Waiter {
    Wait wait;
    std::set<JobId> open;
    TimePoint renewed, told;
    bool moved = false;
    std::unordered_map<JobId, JobProgress> ended;
  };
  static Progress progress_of(const Waiter& waiter, const ProgressOf& of, bool last);
  void forget(const Key& key);

  std::map<Key, Waiter> waits_;
  std::unordered_map<JobId, std::set<Key>> by_job_;
};

} // namespace reeve::ledger
