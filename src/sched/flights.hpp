// What jobs have in flight on nodes, as the scheduler sees it: what the ledger has confirmed, and
// on top of it the wishes that are still on their way. Owned by Scheduler. Never talks to anybody.
#pragma once

#include "src/sched/few.hpp"
#include "src/sched/flight_table.hpp"
#include "src/sched/huge.hpp"
#include "src/sched/nodes.hpp"

#include <optional>

namespace reeve::sched {

using FlightId = std::uint32_t;
constexpr FlightId no_flight = ~FlightId{0};

struct Since { // so many slots began then
  TimePoint time;
  std::uint32_t n = 0;
};

/// Slots and tasks of one (node, job).
struct Load {
  std::uint32_t slots = 0, tasks = 0;
  bool operator==(const Load&) const = default;
  /// What the ledger makes of it when it accepts a placement of `more` tasks and `wanted` slots.
  [[nodiscard]] Load grown(std::uint32_t more, std::uint32_t wanted) const {
    return {std::min(std::max(slots, wanted), tasks + more), tasks + more};
  }
};

using WishId = std::uint32_t;
constexpr WishId no_wish = ~WishId{0};

struct Wish { // a placement that was asked for and not answered
  std::uint32_t slots = 0, tasks = 0;
  WishId next = no_wish; // of the same flight
  Few<TaskRun> runs;
  std::vector<TaskRun> gone; // parts that wait no longer: not put back when it is refused
};

/// Why something of a job is on a node.
enum class Why : std::uint8_t {
  before, // it was there when the view was built
  ranked, // the first in the queue's ranking that had room
  kept,   // a place had been kept for it
  filled, // it fills the time until a place kept for another is needed
};

struct alignas(64) Flight { // two lines of the cache
  JobId job;                // 0: free to be used
  NodeId node;
  At at = nowhere;
  std::uint32_t lot = 0; // of the job
  Load confirmed;
  Load booked;           // `confirmed` as of the last reckoning with the node
  Load expected;         // when all wishes come true: an upper bound, since what ends
                         // meanwhile only lowers
  WishId wish = no_wish; // the oldest: in the order in which the ledger will judge them
  bool draft = false;    // the last wish is not sent yet
  bool touched = false;  // may want more tasks
  bool gang = false;     // of a job all of whose tasks run at once
  bool hashed = false;   // found by hash, else by its job's list
  Why why = Why::before; // of its newest slot
  std::uint32_t in_node = 0, in_job = 0; // its places in the lists there
  Few<TaskRun> runs;                     // in flight, as far as is known
  /// When slots began their present task, oldest first. Exact while no tasks are given ahead.
  Few<Since> starts;

  [[nodiscard]] bool over() const { return confirmed.tasks == 0 && wish == no_wish; }
};

static_assert(sizeof(Flight) == 128);

/// The flights, and the wishes on their way.
class Flights {
public:
  /// It will be asked for soon.
  void prefetch(FlightId id) const {
    const Flight* flight = &(*this)[id];
    __builtin_prefetch(flight);
    __builtin_prefetch(reinterpret_cast<const char*>(flight) + 64);
  }
  void prefetch(JobId job, NodeId node) const { by_pair_.prefetch(job, node); }
  /// `of_job`: all flights of the job.
  [[nodiscard]] FlightId find(JobId job, NodeId node, const Few<FlightId>& of_job) const;
  /// Adds it to the job's list as well.
  FlightId add(JobId job, NodeId node, At at, Few<FlightId>& of_job);
  void erase(FlightId id, Few<FlightId>& of_job);
  Flight& operator[](FlightId id) { return flights_[id]; }
  [[nodiscard]] const Flight& operator[](FlightId id) const { return flights_[id]; }
  template<class F> void each(F&& f) {
    for (FlightId id = 0; id < flights_.end(); ++id)
      if (Flight& flight = (*this)[id]; flight.job)
        f(id, flight);
  }

  /// A new wish, the flight's newest.
  Wish& add_wish(Flight& flight);
  [[nodiscard]] Wish& newest_wish(const Flight& flight);
  /// The flight's oldest wish for just these runs, taken out. None: there is no such wish.
  std::optional<Wish> drop_wish(Flight& flight, std::span<const TaskRun> runs);
  void drop_wishes(Flight& flight);
  template<class F> void each_wish(const Flight& flight, F&& f) {
    for (WishId w = flight.wish; w != no_wish; w = wishes_[w].next)
      f(wishes_[w]);
  }
  /// How many are not answered.
  [[nodiscard]] std::size_t wishes() const { return wishes_.size() - free_wishes_.size(); }
  /// Reckons what is expected of the flight.
  void expect(Flight& flight) const {
    flight.expected = flight.confirmed;
    for (WishId w = flight.wish; w != no_wish; w = wishes_[w].next)
      flight.expected = flight.expected.grown(wishes_[w].tasks, wishes_[w].slots);
  }

private:
  static constexpr std::size_t listed = 8; // flights of a job that are found without hash
  Store<Flight> flights_;
  FlightTable by_pair_; // of jobs that have had more than `listed`
  std::vector<Wish> wishes_;
  std::vector<WishId> free_wishes_;
};

} // namespace reeve::sched
