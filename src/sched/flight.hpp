// What one job has in flight on one node, as the scheduler sees it: what the ledger has confirmed,
// and on top of it the wishes that are still on their way. Used by Scheduler. Never talks to
// anybody.
#pragma once

#include "src/core/changes.hpp"

namespace reeve::sched {

/// Slots and tasks of one (node, job).
struct Load {
  std::uint32_t slots = 0, tasks = 0;
  bool operator==(const Load&) const = default;
  /// What the ledger makes of it when it accepts a placement of `more` tasks and `wanted` slots.
  [[nodiscard]] Load grown(std::uint32_t more, std::uint32_t wanted) const {
    return {std::min(std::max(slots, wanted), tasks + more), tasks + more};
  }
};

struct Wish { // a placement that was asked for and not answered
  std::uint32_t slots = 0, tasks = 0;
  std::vector<TaskRun> runs;
  std::vector<TaskRun> gone; // parts that wait no longer: not put back when it is refused
};

struct Flight {
  Load confirmed;
  Load expected; // when all wishes come true: an upper bound, since what ends meanwhile only lowers
  Load booked;   // `confirmed` as of the last reckoning with the node
  std::vector<Wish> wishes; // oldest first, as the ledger will judge them
  TimePoint since;          // when its oldest tasks began, as far as is known

  void expect() {
    expected = confirmed;
    for (const Wish& wish : wishes)
      expected = expected.grown(wish.tasks, wish.slots);
  }
  [[nodiscard]] bool over() const { return confirmed.tasks == 0 && wishes.empty(); }
};

} // namespace reeve::sched
