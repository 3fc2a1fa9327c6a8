// What jobs have in flight on nodes, as the scheduler sees it: what the ledger has confirmed, and
// on top of it the wishes that are still on their way. Owned by Scheduler. Never talks to anybody.
#pragma once

#include "src/sched/nodes.hpp"

#include <unordered_map>

namespace reeve::sched {

using FlightId = std::uint32_t;
constexpr FlightId no_flight = ~FlightId{0};

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

/// Why something of a job is on a node.
enum class Why : std::uint8_t {
  before, // it was there when the view was built
  ranked, // the first in the queue's ranking that had room
  kept,   // a place had been kept for it
  filled, // it fills the time until a place kept for another is needed
};

struct Flight {
  JobId job; // 0: free to be used
  NodeId node;
  At at = nowhere;
  Load confirmed;
  Load booked;              // `confirmed` as of the last reckoning with the node
  Load expected;            // when all wishes come true: an upper bound, since what ends
                            // meanwhile only lowers
  std::vector<Wish> wishes; // oldest first, as the ledger will judge them
  Why why = Why::before;    // of its newest slot
  bool draft = false;       // the last wish is not sent yet
  bool touched = false;     // may want more tasks
  /// When slots began their present task, oldest first. Exact while no tasks are given ahead.
  std::vector<std::pair<TimePoint, std::uint32_t>> starts;
  std::vector<TaskRun> runs;             // in flight, as far as is known
  std::uint32_t in_node = 0, in_job = 0; // its places in the lists there

  void expect() {
    expected = confirmed;
    for (const Wish& wish : wishes)
      expected = expected.grown(wish.tasks, wish.slots);
  }
  [[nodiscard]] bool over() const { return confirmed.tasks == 0 && wishes.empty(); }
};

class Flights {
public:
  [[nodiscard]] FlightId find(JobId job, NodeId node) const;
  FlightId add(JobId job, NodeId node, At at);
  void erase(FlightId id);
  Flight& operator[](FlightId id) { return flights_[id]; }
  [[nodiscard]] const Flight& operator[](FlightId id) const { return flights_[id]; }
  template<class F> void each(F&& f) {
    for (FlightId id = 0; id < flights_.size(); ++id)
      if (flights_[id].job)
        f(id, flights_[id]);
  }

private:
  struct Pair {
    JobId job;
    NodeId node;
    bool operator==(const Pair&) const = default;
  };
  struct PairHash {
    std::size_t operator()(const Pair& p) const {
      return (p.job.value << 24 ^ p.node.value) * 0x9E3779B97F4A7C15ULL;
    }
  };
  std::vector<Flight> flights_;
  std::vector<FlightId> free_;
  std::unordered_map<Pair, FlightId, PairHash> by_pair_;
};

} // namespace reeve::sched
