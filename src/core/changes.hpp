// Changes: what an entry did to the cluster, as the deciders need it. Made by `apply`, delivered in
// seq order once durable. Also what a new decider is told first (`Cluster::describe`), so that
// there is one way to build a view. Plain data; no I/O, no clock.
#pragma once

#include "messages/entries.hpp"
#include "messages/protocol.hpp"
#include "src/core/retry.hpp"

#include <memory>

namespace reeve::core {

/// What the scheduler and recovery need of a job's specification; shared by all jobs that are alike
/// in it.
struct Kind {
  std::string queue, user, executor;
  Resources resources; // of one task
  std::int32_t priority = 0;
  std::uint32_t max_parallel = 0;
  Duration estimate{0}, time_limit{0};
  std::uint32_t retries = 0, lost_retries = 5;
  std::map<std::string, std::string> node_labels;
  std::string family; // the job's name with every number in it as '#': what is likely to run alike
  std::map<std::string, std::string> labels;
  FailurePolicy on_failure = FailurePolicy::go_on;
  std::vector<Constraint> constraints;
  std::vector<Affinity> affinity;
  std::string spread;
  bool exclusive = false, gang = false, overcommit = false, preemptible = true;
  TimePoint deadline;
  std::vector<Limit> limits;
  std::vector<RetryRule> retry;
  std::uint32_t crash_nodes = 0; // 0: as the cluster's setting says
  bool checkpoints = false;      // it has a checkpoint signal: moving it loses little
  bool speculate = false;        // a straggler gets a copy
  Duration disconnect{0};        // its tasks on a lost node are given up only so long after
  bool operator==(const Kind&) const = default;
};
using KindPtr = std::shared_ptr<const Kind>;

/// A value of which few come: as wide as a pointer in a Change, because a million others stand
/// beside it.
template<class T> class Boxed {
public:
  Boxed(T value) : value_(std::make_shared<const T>(std::move(value))) {}
  [[nodiscard]] const T& operator*() const { return *value_; }
  [[nodiscard]] const T* operator->() const { return value_.get(); }

private:
  std::shared_ptr<const T> value_; // never null
};

/// A node is new, or anything but its bookings changed. Work may go there when `state` is up and it
/// is not draining.
struct NodeChanged {
  NodeId node;
  std::string name;
  NodeState state = NodeState::up;
  bool draining = false;
  Incarnation incarnation;
  Resources capacity, available;
  std::map<std::string, std::string> labels;
  std::vector<std::string> executors;
  TimePoint since;                       // when `state` began
  std::uint32_t overcommit_milli = 1000; // vcores and memory, for kinds that allow it
  bool closed = false;                   // above its high mark: no new work
  TimePoint quarantined;                 // no new work until then
  std::vector<NodeFlag> flags = {};      // how it departs from the rest
  TimePoint drain_deadline = {};         // what runs there then is moved away; 0: it runs on
  bool pulls = false;                    // no new work unless it asks
};
struct NodeForgotten {
  NodeId node;
};
/// Bookings on a node changed.
struct NodeAvailable {
  NodeId node;
  Resources available;
};
/// A job's never placed tasks [first, first + count) wait.
struct JobArrived {
  JobId job;
  KindPtr kind;
  TimePoint submitted;
  TaskIndex first = 0;
  std::uint32_t count = 0;
  bool held = false;
  bool blocked = false; // by other jobs: none of these waits before TasksReleased names it
};
/// Tasks of a blocked job have what they waited for. They wait now, for their first attempt.
struct TasksReleased {
  JobId job;
  std::vector<TaskRun> runs;
};
/// Tasks wait again, as `run.attempt`, not before a time.
struct TasksReady {
  JobId job;
  TaskRun run;
  TimePoint not_before;
};
/// Waiting tasks wait no longer (cancelled, held one by one). Empty runs: none of the job's tasks
/// waits any more.
struct TasksWithdrawn {
  JobId job;
  std::vector<TaskRun> runs;
};
struct HoldChanged {
  JobId job;
  bool held = false;
};
/// Tasks were placed: they wait no longer.
struct TasksTaken {
  Placement placement;
};
/// A (node, job) allocation after a change; in_flight 0: it is over. `runs`: its tasks, told only
/// when the whole cluster is described.
struct FlightChanged {
  NodeId node;
  JobId job;
  std::uint32_t in_flight = 0, slots = 0;
  KindPtr kind = {};
  std::vector<TaskRun> runs = {};
};
/// Attempts that ended without a result that counts as final: recovery decides what becomes of
/// them. All of `runs` share the tally.
struct TasksInterrupted {
  JobId job;
  KindPtr kind;
  std::vector<TaskRun> runs; // `attempt` is the one that ended
  NodeId node;
  Cause cause = Cause::lost_node;
  Boxed<Tally> tally = Tally{}; // so far, this one included
  TimePoint at;
};
/// The node must stop these. Followed by a result, which decides how they count.
struct TasksToStop {
  NodeId node;
  JobId job;
  std::vector<TaskRun> runs;
  std::string reason;
  bool move = false; // to run again elsewhere: its checkpoint signal comes first
};
/// Text that most changes lack: half as wide as a string, shared by copies.
class SharedText {
public:
  SharedText() = default;
  SharedText(std::string text)
      : text_(text.empty() ? nullptr : std::make_shared<const std::string>(std::move(text))) {}
  SharedText(const char* text) : SharedText(std::string(text)) {}
  operator std::string_view() const {
    return text_ ? std::string_view(*text_) : std::string_view();
  }

private:
  std::shared_ptr<const std::string> text_; // null: empty
};
struct JobEnded {
  JobId job;
  JobState state = JobState::succeeded;
  std::uint32_t tasks = 0;
  TimePoint at;
  TimePoint started = {}; // its first task was placed; 0: none was
  std::uint32_t succeeded = 0, failed = 0, cancelled = 0;
  std::int32_t exit_code = 0;
  SharedText reason = {};      // of the first failure, or of the cancellation
  SharedText correlation = {}; // as submitted
};
/// An ended job runs again (retried). Carries what JobArrived did: nobody needs to remember ended
/// jobs.
struct JobReopened {
  JobId job;
  KindPtr kind;
  TimePoint submitted;
  bool held = false;
};
struct JobForgotten {
  JobId job;
};
struct LeaseChanged {
  LeaseId lease;
  NodeId node;
  TimePoint expires; // 0: until released
  std::string owner = {};
  Resources resources = {};
  std::string queue = {}; // empty: that of scheduler.lease_queue
  std::vector<Limit> limits = {};
  Bytes key = {};
};
struct LeaseEnded {
  LeaseId lease;
};
struct ConfigUpdated {
  std::map<std::string, std::string> values; // all that differ from the defaults
};

using Change = std::variant<Boxed<NodeChanged>, NodeForgotten, NodeAvailable, JobArrived,
                            TasksReleased, TasksReady, TasksWithdrawn, HoldChanged, TasksTaken,
                            FlightChanged, TasksInterrupted, TasksToStop, JobEnded, JobReopened,
                            JobForgotten, Boxed<LeaseChanged>, LeaseEnded, ConfigUpdated>;
static_assert(sizeof(Change) <= 88);
using Changes = std::vector<Change>;

template<class T> const T& unboxed(const T& change) {
  return change;
}
template<class T> const T& unboxed(const Boxed<T>& change) {
  return *change;
}
/// The change as a T; null when it is another.
template<class T> const T* get_if(const Change& change) {
  if constexpr (std::is_same_v<T, NodeChanged> || std::is_same_v<T, LeaseChanged>) {
    const auto* boxed = std::get_if<Boxed<T>>(&change);
    return boxed ? &**boxed : nullptr;
  } else {
    return std::get_if<T>(&change);
  }
}

/// What the ledger hands to the deciders, the publisher and the archivist when it has become
/// durable.
struct Committed {
  Seq first; // entries[i] has seq first + i
  std::vector<Entry> entries;
  Changes changes;
  std::vector<std::uint32_t>
    change_ends; // entries[i] made the changes before change_ends[i]; empty: not known
  std::vector<TaskOutput> outputs; // heads of output that came with results; not journalled
  [[nodiscard]] Seq last() const { return Seq(first.value + entries.size() - 1); }
};
using CommittedPtr = std::shared_ptr<const Committed>;

} // namespace reeve::core
