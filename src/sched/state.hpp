// The inside of Scheduler, shared by the files that make it up and by nobody else: view.cpp (what
// changes do to the view), place.cpp (what starts where), reserve.cpp (places kept for those who
// wait), ahead.cpp (tasks given ahead of need), preempt.cpp, copies.cpp, explain.cpp.
#pragma once

#include "src/sched/jobs.hpp"
#include "src/sched/scheduler.hpp"
#include "src/sched/terms.hpp"

namespace reeve::sched {

constexpr std::size_t wishes_max = 20'000;   // on their way at once
constexpr std::size_t pass_wishes = 1'000;   // in one pass: what is wished stays in the cache until
                                             // it is sent, and the ledger need not wait for more
constexpr std::uint32_t flight_max = 65'536; // tasks of one job on one node
constexpr Duration sulk_first{2'000}, sulk_longest{1'000'000};

std::uint32_t tasks_in(std::span<const TaskRun> runs);
/// As that of core, for runs that are mostly one.
void add_to(Few<TaskRun>& runs, const TaskRun& run);
/// Takes [first, first + count) out of `runs`, whatever the attempts.
void cut(std::vector<TaskRun>& runs, const TaskRun& away);

/// A place kept for a task that finds no room now.
struct Reservation {
  LotId lot = nobody; // nobody: free to be used
  JobId job;
  std::uint32_t queue = 0;
  struct Part {
    At at = nowhere;
    std::uint32_t tasks = 1;
  };
  std::vector<Part> parts; // one, but for gangs
  TimePoint start;         // expected
  bool preempting = false; // others have been asked to make room
  /// As long as the view of its node (version), run times and the time allow, `start` is as it was
  /// reckoned.
  std::uint64_t reckoned_at = 0, estimates_at = 0;
  TimePoint good_until = {};
};

struct Scheduler::State {
  State();

  Nodes nodes;
  Lots lots{nodes};
  Jobs jobs;
  Flights flights;
  Families families;
  Terms terms;
  std::map<std::string, std::uint32_t> limits;    // running tasks by the names of limits they carry
  std::map<std::string, std::set<LotId>> limited; // lots that are off their shelf because of one
  struct HeldLease {
    NodeId node;
    std::vector<Limit> limits;
    Bytes key;
  };
  std::unordered_map<LeaseId, HeldLease> leases;
  std::vector<At> given; // nodes that pull and were given something in this pass

  enum class Wake : std::uint8_t { job, lot };
  struct Timer {
    TimePoint at;
    Wake what = Wake::job;
    std::uint64_t id = 0;
    auto operator<=>(const Timer&) const = default;
  };
  std::set<Timer> timers;
  std::vector<FlightId> touched; // may want more tasks
  std::vector<FlightId> drafted; // their last wish is not sent
  TimePoint clock;
  std::set<std::string> learned; // families whose estimate moved; their lots
                                 // are put in place again
  std::unordered_map<std::string, std::set<LotId>> family_lots;
  std::set<LotId> neighbourly; // lots whose kind has affinities
  std::vector<Reservation> reservations;
  std::uint64_t estimates = 0; // grows when a run time is expected to be another
  struct Filled { // nobody can use a node with a place kept on it, as of these versions
    At at = nowhere;
    std::uint64_t node = 0, lots = 0, estimates = 0;
    TimePoint good_until;
  };
  std::vector<Filled> filled; // of the last pass
  std::vector<std::uint32_t> free_reservations;
  std::vector<LotId> passed;     // in this pass
  std::vector<ShelfId> shut_now; // strict queues, in this pass
  bool looked_at_others = false; // in this pass, for places to be kept
  std::size_t columns = 0;       // as of the last look
  std::optional<std::size_t> idle_column;
  Amounts idle_amounts; // 1 in that column
  Amounts anything;     // finds any lot
  Amounts envelope;     // of `candidate`

  // ---- view.cpp
  void on(const core::NodeChanged& c);
  void on(const core::NodeForgotten& c);
  void on(const core::NodeAvailable& c);
  void on(const core::JobArrived& c);
  void on(const core::JobReopened& c);
  void on(const core::TasksReleased& c);
  void on(const core::TasksReady& c);
  void on(const core::TasksWithdrawn& c);
  void on(const core::HoldChanged& c);
  void on(const core::TasksTaken& c);
  void on(const core::FlightChanged& c);
  void on(const core::JobEnded& c);
  void on(const core::JobForgotten& c);
  void on(const core::LeaseChanged& c);
  void on(const core::LeaseEnded& c);
  void on(const core::ConfigUpdated& c);
  void on(const core::TasksInterrupted& c) { unwatch(c.job, c.runs); }
  void on(const core::TasksToStop&) {}
  /// What the change is about will be needed soon. A batch is about jobs that ended anywhere: one
  /// by one, each would wait for memory several times.
  void foresee(const core::Change& change, int step) const;

  SchedJob& add(JobId id, const core::KindPtr& kind, std::uint32_t tasks, TimePoint submitted,
                bool held);
  void forget(JobId id);
  void put(JobId id, SchedJob& job, const TaskRun& run);
  void withdraw(JobId id, SchedJob& job, const TaskRun& run);
  /// What else is known of the job; made if there is none.
  JobMore& unfold(SchedJob& job);
  /// What the job has on all nodes when all wishes come true.
  [[nodiscard]] Load expected_of(const SchedJob& job) const;
  /// Tasks of the job that could be placed now.
  [[nodiscard]] std::uint32_t ready(const SchedJob& job) const;
  /// Lists the job in its lot when something of it could be placed, else takes it off.
  void reconsider(JobId id, SchedJob& job);
  /// Finds the lot's first job again and puts the lot in its place.
  void rehead(LotId id);
  void reckon(LotId id); // expected run time and wait, overdue
  [[nodiscard]] static std::optional<Duration> run_time(const Measure& measure);
  FlightId flight(JobId id, SchedJob& job, NodeId node, At at); // made if there is none
  [[nodiscard]] FlightId flight_of(JobId id, const SchedJob& job, NodeId node) const {
    return flights.find(id, node, jobs.flights_of(job));
  }
  [[nodiscard]] FlightId flight_of(JobId id, At at) const {
    return flight_of(id, *jobs.find(id), nodes[at].id);
  }
  void drop_if_over(FlightId id);
  /// Tells nodes, lots and the job what is expected of a flight now.
  void expect(FlightId id, SchedJob& job);
  void expect(FlightId id, SchedJob& job, const Load& confirmed); // as the ledger says now
  void refuse(const core::RefusedPlacement& refused);
  void wake(TimePoint now);
  void learn(NodeId node, const JobResults& results);
  /// Of its own tasks, or of its kind of work; null: nothing.
  [[nodiscard]] const Estimate* learned_of(const SchedJob& job) const;
  void pulled(NodeId node);
  void columns_may_have_changed();
  void touch(FlightId id);
  [[nodiscard]] Lot& lot_of(const SchedJob& job) { return lots[job.lot]; }
  [[nodiscard]] const Lot& lot_of(const SchedJob& job) const { return lots[job.lot]; }

  // ---- place.cpp
  void place();
  [[nodiscard]] LotId candidate();
  /// What is likely to be placed next lies anywhere: it is fetched in time.
  void foresee(LotId now);
  std::array<LotId, 8> foreseen{}; // in the last turns; some may have gone since
  std::size_t foresights = 0;
  bool place_head(LotId id); // false: no room
  bool place_gang(LotId id, JobId job_id);
  [[nodiscard]] bool hopeless(const Measure& measure);
  std::vector<const Measure*> no_room; // in this pass, since nodes.gains() was this:
  std::uint64_t no_room_at = 0;
  At pick(LotId id, const SchedJob& job, const Nodes::Accept* also = nullptr);
  [[nodiscard]] bool acceptable(const Lot& lot, At at, bool preferred) const;
  /// `n` of its tasks wait no longer: they join `out`.
  void take(SchedJob& job, std::uint32_t n, Few<TaskRun>& out);
  /// `slots`: more than it has there.
  void wish(JobId id, SchedJob& job, At at, std::uint32_t tasks, std::uint32_t slots,
            Why why = Why::ranked);
  /// No more in this pass, or before some are answered.
  [[nodiscard]] bool wished_enough() const {
    return drafted.size() >= pass_wishes || flights.wishes() >= wishes_max;
  }
  bool cut_short = false; // the last pass: something may fit that was not looked at
  /// How many more tasks of the job may be in flight.
  [[nodiscard]] std::uint32_t allowance(const SchedJob& job) const;
  void pass_over(LotId id);
  void end_pass(bool finished);
  [[nodiscard]] bool at_limit(LotId id) { return lots[id].measure->limits && reaches_limit(id); }
  [[nodiscard]] bool reaches_limit(LotId id);
  /// How many more tasks of the lot its limits allow, at most `most`; on a node, or (nowhere) in
  /// all.
  [[nodiscard]] std::uint32_t within_limits(const Lot& lot, At at, std::uint32_t most) const;
  void unlimit(const std::string& name);
  /// `n` more (or less) that count in these limits are on the node.
  void neighbours_changed();
  void count_limits(const std::vector<Limit>& counted, At at, std::int64_t n);
  /// May this lease be granted, as far as quotas, limits and suspicions say?
  [[nodiscard]] Result<void> check(const Allocate& wanted);
  std::vector<core::Command> send();

  // ---- reserve.cpp
  /// What stands before `next` and finds no room gets a place kept. True: something changed, look
  /// again.
  /// Only adds: between two placements, or lots passed over, a pass keeps at most `backfill_depth`
  /// places a queue, so it ends.
  bool keep_places_before(LotId next);
  bool keep_places(std::uint32_t queue, LotId next);
  /// Those of a queue who have places kept, in order, as far as they stand before `next` (nobody:
  /// all). `blocked`: somebody stands there, with a place or not.
  [[nodiscard]] std::vector<LotId> in_line(std::uint32_t queue, LotId next, bool& blocked) const;
  /// place_head, as if no place were kept for it; that is given up when it starts.
  bool place_beside_its_own(LotId id);
  std::size_t places_kept = 0; // in this pass, anew
  bool reserve(LotId id);      // false: no node is large enough
  void keep(Reservation reservation);
  void unreserve(std::uint32_t reservation);
  [[nodiscard]] std::uint32_t reservation_of(LotId id,
                                             JobId job) const; // nobody: none
  /// Starts what finds its place free, forgets what nobody needs.
  void serve_reservations();
  /// Nodes with a place kept on them take what is over in time.
  void fill_reserved();
  struct Event {
    TimePoint at;
    const Amounts* amounts = nullptr;
    std::int64_t n = 0; // times the amounts come free, or are taken
  };
  /// What will come free on a node and what is kept there, by time. `except`: a reservation that
  /// does not count.
  [[nodiscard]] std::vector<Event> events(At at, std::uint32_t except) const;
  /// When the next of them is; never, when they depend on the present time.
  [[nodiscard]] TimePoint next_event(At at, const std::vector<Event>& all) const;
  /// From when on a node has room for so many tasks. `good_until`: how long that is so if nothing
  /// changes on the node.
  [[nodiscard]] std::optional<TimePoint> earliest(At at, const Measure& measure,
                                                  std::uint32_t tasks = 1,
                                                  std::uint32_t except = nobody,
                                                  TimePoint* good_until = nullptr) const;
  /// The least that is free on a node from now until then.
  [[nodiscard]] Amounts least_until(At at, TimePoint until) const;
  /// Nodes where the lot's tasks could run if they were empty, a fair choice of them.
  [[nodiscard]] std::vector<At> suitable(const Lot& lot);
  bool reserve_gang(LotId id, Reservation& reservation);
  [[nodiscard]] TimePoint end_of(const Measure& measure, TimePoint start) const;

  // ---- ahead.cpp
  void give_ahead();
  [[nodiscard]] std::uint32_t ahead(const SchedJob& job) const;
  [[nodiscard]] bool first_claim(const Flight& flight, LotId lot);
  void fill_exclusive(FlightId id);

  // ---- preempt.cpp
  struct Victim {
    FlightId flight = no_flight;
    std::uint32_t slots = 0;
    std::int32_t priority = 0;
    double lost = 0; // vcore seconds of work done, for one slot
  };
  /// The cheapest way to make room for one task on the node; empty: there is none.
  [[nodiscard]] std::vector<Victim> victims_on(At at, const Lot& lot) const;
  void preempt(std::vector<core::Command>& commands);

  // ---- tune.cpp
  struct Gauge { // of a node: the last few heartbeats' vcores (milli) and memory
    std::array<std::pair<std::int64_t, std::int64_t>, 3> recent{};
    std::size_t used = 0, next = 0;
    bool fresh = false;
    TimePoint changed; // its marks or its factor, by us
  };
  std::unordered_map<NodeId, Gauge> gauges;
  std::vector<NodeId> fresh_gauges;
  void measured(NodeId node, const Resources& used);
  void tune(std::vector<core::Command>& commands);

  // ---- copies.cpp
  struct WatchedTask {
    NodeId node;
    Attempt attempt = 1;
    TimePoint since, ask_again;
  };
  struct Watched { // in flight, of a job that asks for copies
    std::map<TaskIndex, WatchedTask> tasks;
    std::set<TaskIndex> copied;
  };
  std::map<JobId, Watched> watched_jobs;
  TimePoint look_for_stragglers;
  enum class Seen : std::uint8_t {
    placed,
    copied,
    described, // in flight when the view is built: since when, nobody says, so its time counts from
               // now; a task that is on two nodes has its copy
  };
  void watch(JobId id, NodeId node, std::span<const TaskRun> runs, Seen seen);
  void unwatch(JobId id, std::span<const TaskRun> runs);
  void copy_stragglers(std::vector<core::Command>& commands);

  // ---- explain.cpp
  Result<Explained> explain(JobId id, TaskIndex index);
  void explain_flight(const Flight& flight, Explained& out) const;
  /// The first reason why a node does not take a task; those after too_small are of nodes that
  /// could if they were empty.
  struct Reason {
    enum class What : std::uint8_t {
      none,
      out_of_work,
      unlike,
      too_small,
      alone,
      unacceptable,
      busy,
      kept,
      sulking,
      not_asked
    } what = What::none;
    std::size_t column = ~std::size_t{0}; // of too_small and busy
    bool operator==(const Reason&) const = default;
  };
  [[nodiscard]] Reason reason_of(At at, const Lot& lot, JobId id) const;
  [[nodiscard]] std::string text_of(Reason reason, At at, const Lot& lot) const; // of that node
  /// What keeps the job from being placed anywhere, whatever nodes have free; empty: nothing.
  [[nodiscard]] std::string held_back(JobId id, const SchedJob& job,
                                      std::vector<std::string>& notes) const;
  /// Tasks before it in its queue, and for how long they would keep the whole cluster busy; none:
  /// nobody knows how long they run.
  struct Ahead {
    std::uint64_t tasks = 0, own = 0; // own: of its job
    std::optional<Duration> work = Duration(0);
    bool all = true; // counted, not only the first of them
  };
  [[nodiscard]] Ahead count_ahead(JobId id, const SchedJob& job, TaskIndex index) const;
  std::string would_go(const core::KindPtr& kind, std::uint32_t tasks, const std::string& waits);
};

} // namespace reeve::sched
