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

/// Why something of a job is on a node.
enum class Why : std::uint8_t {
  before, // it was there when the view was built
  ranked, // the first in the queue's ranking that had room
  kept,   // a place had been kept for it
  filled, // it fills the time until a place kept for another is needed
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

struct alignas(64) Flight { // a line of the cache, as there are a million of them
  JobId job;                // 0: free to be used
  NodeId node;
  std::uint32_t lot = 0; // of the job
  Load confirmed;
  Load expected;         // when all wishes come true: an upper bound, since what ends
                         // meanwhile only lowers
  WishId wish = no_wish; // the oldest: in the order in which the ledger will judge them
  /// Of most, all that is told by Flights::runs and starts: first attempts of tasks in a row, whose
  /// slots (all of them) began at the same time. Others have a FlightMore.
  std::uint32_t more = ~std::uint32_t{0};
  TaskIndex first = 0;
  std::uint32_t count : 24 = 0;
  std::uint32_t started : 1 = 0; // there is a `start`
  std::uint32_t draft : 1 = 0;   // the last wish is not sent yet
  std::uint32_t touched : 1 = 0; // may want more tasks
  std::uint32_t gang : 1 = 0;    // of a job all of whose tasks run at once
  std::uint32_t hashed : 1 = 0;  // found by hash, else by its job's list
  std::uint32_t for_why : 2 = 0;
  TimePoint start;
  static constexpr At nodes_max = At{1} << 21; // and flights of a node
  std::uint64_t at : 21 = nodes_max - 1;
  std::uint64_t in_node : 21 = 0, in_job : 22 = 0; // its places in the lists there

  [[nodiscard]] bool over() const { return confirmed.tasks == 0 && wish == no_wish; }
  /// Of its newest slot.
  [[nodiscard]] Why why() const { return static_cast<Why>(for_why); }
  void set_why(Why why) { for_why = static_cast<std::uint32_t>(why) & 3; }
};
static_assert(sizeof(Flight) == 64);

struct FlightMore {
  std::vector<TaskRun> runs;
  std::vector<Since> starts;
};

/// Things in a row, of which there mostly is one, or none, that is made up when it is asked for.
template<class T> class OneOr {
public:
  OneOr() = default;
  explicit OneOr(const T& one) : one_(one), size_(1) {}
  explicit OneOr(const std::vector<T>& all) : all_(all.data()), size_(all.size()) {}
  [[nodiscard]] const T* data() const { return all_ ? all_ : &one_; }
  [[nodiscard]] const T* begin() const { return data(); }
  [[nodiscard]] const T* end() const { return data() + size_; }
  [[nodiscard]] std::size_t size() const { return size_; }

private:
  T one_{};
  const T* all_ = nullptr;
  std::size_t size_ = 0;
};

/// The flights, and the wishes on their way.
class Flights {
public:
  /// It will be asked for soon.
  void prefetch(FlightId id) const { fetch(&(*this)[id]); }
  void prefetch_wish(const Flight& flight) const {
    if (flight.wish != no_wish)
      fetch(&wishes_[flight.wish]);
  }
  void prefetch(JobId job, NodeId node) const { by_pair_.prefetch(job, node); }
  /// `of_job`: all flights of the job.
  [[nodiscard]] FlightId find(JobId job, NodeId node, std::span<const FlightId> of_job) const;
  FlightId add(JobId job, NodeId node, At at);
  /// It joins its job's list, or leaves it.
  void list(FlightId id, Few<FlightId>& of_job);
  void unlist(FlightId id, Few<FlightId>& of_job);
  void erase(FlightId id);
  Flight& operator[](FlightId id) { return flights_[id]; }
  [[nodiscard]] const Flight& operator[](FlightId id) const { return flights_[id]; }
  template<class F> void each(F&& f) {
    for (FlightId id = 0; id < flights_.end(); ++id)
      if (Flight& flight = (*this)[id]; flight.job)
        f(id, flight);
  }

  /// Its tasks in flight, as far as is known.
  [[nodiscard]] OneOr<TaskRun> runs(const Flight& flight) const;
  void add_run(Flight& flight, const TaskRun& run);
  void take_run(Flight& flight, const TaskRun& run);
  void clear_runs(Flight& flight);
  /// When slots began their present task, oldest first. Exact while no tasks are given ahead.
  [[nodiscard]] OneOr<Since> starts(const Flight& flight) const;
  /// As many slots are expected now as were, more began, or the oldest ended.
  void start(Flight& flight, const Load& before, TimePoint now);
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
  FlightMore& unfold(Flight& flight, const Load& before);
  Store<Flight> flights_;
  Store<FlightMore> mores_;
  FlightTable by_pair_; // of jobs that have had more than `listed`
  std::vector<Wish> wishes_;
  std::vector<WishId> free_wishes_;
};

} // namespace reeve::sched
