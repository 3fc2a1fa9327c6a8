// What the journal holds: one Entry for each fact. Applying them in order gives the cluster's whole
// state (src/core). Alternatives of `Entry` are numbered by position: append new ones at the end,
// never reorder. Positional encoding (as_array) throughout: short on disk, and a newer program
// reads an older one's entries. Must never hold what can be derived.
#pragma once

#include "messages/codec.hpp"
#include "messages/types.hpp"

namespace reeve {

constexpr std::uint32_t entry_schema_version = 1;

struct EpochStarted { // a leader began to reign
  static constexpr bool as_array = true;
  Epoch epoch;
  std::string master;
  bool operator==(const EpochStarted&) const = default;
  template<class V> static void fields(V& v) {
    v("epoch", &EpochStarted::epoch);
    v("master", &EpochStarted::master);
  }
};
/// A new node, or a known one with a new incarnation, capacity, labels or after having been lost.
/// Attempts of an earlier incarnation are interrupted by this entry.
struct NodeRegistered {
  static constexpr bool as_array = true;
  NodeId node;
  std::string name;
  Incarnation incarnation;
  Resources capacity;
  std::map<std::string, std::string> labels;
  std::vector<std::string> executors;
  std::string program;
  bool pulls = false; // gets work only when it asks
  bool operator==(const NodeRegistered&) const = default;
  template<class V> static void fields(V& v) {
    v("node", &NodeRegistered::node);
    v("name", &NodeRegistered::name);
    v("incarnation", &NodeRegistered::incarnation);
    v("capacity", &NodeRegistered::capacity);
    v("labels", &NodeRegistered::labels);
    v("executors", &NodeRegistered::executors);
    v("program", &NodeRegistered::program);
    v("pulls", &NodeRegistered::pulls);
  }
};
struct NodesLost { // all attempts there are interrupted, all leases there end
  static constexpr bool as_array = true;
  std::vector<NodeId> nodes;
  std::string reason;
  bool left = false; // took its leave: gone, not lost
  bool operator==(const NodesLost&) const = default;
  template<class V> static void fields(V& v) {
    v("nodes", &NodesLost::nodes);
    v("reason", &NodesLost::reason);
    v("left", &NodesLost::left);
  }
};
struct NodesDrained { // or undrained
  static constexpr bool as_array = true;
  std::vector<NodeId> nodes;
  bool drain = true;
  std::string reason;
  TimePoint deadline = {}; // what still runs there then is moved away; 0: it runs on
  bool by_check = false;   // by the node's own check script
  bool operator==(const NodesDrained&) const = default;
  template<class V> static void fields(V& v) {
    v("nodes", &NodesDrained::nodes);
    v("drain", &NodesDrained::drain);
    v("reason", &NodesDrained::reason);
    v("deadline_us", &NodesDrained::deadline);
    v("by_check", &NodesDrained::by_check);
  }
};
struct NodesLabelled {
  static constexpr bool as_array = true;
  std::vector<NodeId> nodes;
  std::map<std::string, std::string> labels; // empty value: removed
  bool operator==(const NodesLabelled&) const = default;
  template<class V> static void fields(V& v) {
    v("nodes", &NodesLabelled::nodes);
    v("labels", &NodesLabelled::labels);
  }
};
struct NodesRemoved { // forgotten: lost or gone for longer than the retention
  static constexpr bool as_array = true;
  std::vector<NodeId> nodes;
  bool operator==(const NodesRemoved&) const = default;
  template<class V> static void fields(V& v) { v("nodes", &NodesRemoved::nodes); }
};
struct JobsSubmitted { // consecutive ids from `first`
  static constexpr bool as_array = true;
  JobId first;
  Bytes key;
  std::vector<Raw> specs; // JobSpec each, as maps
  bool operator==(const JobsSubmitted&) const = default;
  template<class V> static void fields(V& v) {
    v("first", &JobsSubmitted::first);
    v("key", &JobsSubmitted::key);
    v("specs", &JobsSubmitted::specs);
  }
};
struct Placement { // tasks of one job given to one node, which may run `slots` of that job's tasks
                   // at once from now on
  static constexpr bool as_array = true;
  NodeId node;
  JobId job;
  std::uint32_t slots = 1; // in all, not added
  std::vector<TaskRun> runs;
  bool copy = false; // these are in flight elsewhere, too, as the attempt before
  bool operator==(const Placement&) const = default;
  template<class V> static void fields(V& v) {
    v("node", &Placement::node);
    v("job", &Placement::job);
    v("slots", &Placement::slots);
    v("runs", &Placement::runs);
    v("copy", &Placement::copy);
  }
};
struct TasksPlaced {
  static constexpr bool as_array = true;
  std::vector<Placement> placements;
  bool operator==(const TasksPlaced&) const = default;
  template<class V> static void fields(V& v) { v("placements", &TasksPlaced::placements); }
};
struct TasksFinished { // results that count: the attempts were in flight on that node
  static constexpr bool as_array = true;
  NodeId node;
  std::vector<JobResults> jobs;
  bool operator==(const TasksFinished&) const = default;
  template<class V> static void fields(V& v) {
    v("node", &TasksFinished::node);
    v("jobs", &TasksFinished::jobs);
  }
};
/// Interrupted or failed tasks go back to the queue, as the next attempt, not before a time.
struct TasksRequeued {
  static constexpr bool as_array = true;
  JobId job;
  std::vector<TaskRun> runs; // `attempt` is the one that ended
  Cause cause = Cause::lost_node;
  TimePoint not_before;
  std::string reason;
  bool operator==(const TasksRequeued&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &TasksRequeued::job);
    v("runs", &TasksRequeued::runs);
    v("cause", &TasksRequeued::cause);
    v("not_before_us", &TasksRequeued::not_before);
    v("reason", &TasksRequeued::reason);
  }
};
/// Interrupted tasks that will not be tried again by themselves: failed for good, or held for a
/// person.
struct TasksGivenUp {
  static constexpr bool as_array = true;
  JobId job;
  std::vector<TaskRun> runs;
  bool hold = false;
  Cause cause = Cause::lost_node;
  std::string reason;
  bool operator==(const TasksGivenUp&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &TasksGivenUp::job);
    v("runs", &TasksGivenUp::runs);
    v("hold", &TasksGivenUp::hold);
    v("cause", &TasksGivenUp::cause);
    v("reason", &TasksGivenUp::reason);
  }
};
/// Waiting tasks become cancelled at once, those in flight are marked: their node is told to stop
/// them.
struct TasksCancelled {
  static constexpr bool as_array = true;
  JobId job;
  std::vector<TaskRun> runs; // empty: the whole job
  std::string reason;
  bool operator==(const TasksCancelled&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &TasksCancelled::job);
    v("runs", &TasksCancelled::runs);
    v("reason", &TasksCancelled::reason);
  }
};
/// Failed, cancelled or held tasks wait again, with all their tries.
struct TasksRetried {
  static constexpr bool as_array = true;
  JobId job;
  std::vector<TaskRun> runs; // empty: all that failed, were cancelled or are held
  bool operator==(const TasksRetried&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &TasksRetried::job);
    v("runs", &TasksRetried::runs);
  }
};
struct JobHeld { // or released: a held job's waiting tasks are not placed
  static constexpr bool as_array = true;
  JobId job;
  bool hold = true;
  std::string reason;
  bool operator==(const JobHeld&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &JobHeld::job);
    v("hold", &JobHeld::hold);
    v("reason", &JobHeld::reason);
  }
};
struct JobsForgotten { // ended and past their retention; history keeps them
  static constexpr bool as_array = true;
  std::vector<JobId> jobs;
  bool operator==(const JobsForgotten&) const = default;
  template<class V> static void fields(V& v) { v("jobs", &JobsForgotten::jobs); }
};
struct LeaseGranted {
  static constexpr bool as_array = true;
  LeaseId lease;
  NodeId node;
  std::string owner;
  Resources resources;
  TimePoint expires;
  Bytes key;
  std::string queue = {}; // in whose limits it counts; empty: that of scheduler.lease_queue
  std::vector<Limit> limits = {};
  bool operator==(const LeaseGranted&) const = default;
  template<class V> static void fields(V& v) {
    v("lease", &LeaseGranted::lease);
    v("node", &LeaseGranted::node);
    v("owner", &LeaseGranted::owner);
    v("resources", &LeaseGranted::resources);
    v("expires_us", &LeaseGranted::expires);
    v("key", &LeaseGranted::key);
    v("queue", &LeaseGranted::queue);
    v("limits", &LeaseGranted::limits);
  }
};
struct LeaseRenewed {
  static constexpr bool as_array = true;
  LeaseId lease;
  TimePoint expires;
  bool operator==(const LeaseRenewed&) const = default;
  template<class V> static void fields(V& v) {
    v("lease", &LeaseRenewed::lease);
    v("expires_us", &LeaseRenewed::expires);
  }
};
struct LeasesEnded {
  static constexpr bool as_array = true;
  std::vector<LeaseId> leases;
  bool expired = false; // else given back
  bool operator==(const LeasesEnded&) const = default;
  template<class V> static void fields(V& v) {
    v("leases", &LeasesEnded::leases);
    v("expired", &LeasesEnded::expired);
  }
};
struct ConfigChanged {
  static constexpr bool as_array = true;
  std::map<std::string, std::string> values; // empty value: back to the default
  bool operator==(const ConfigChanged&) const = default;
  template<class V> static void fields(V& v) { v("values", &ConfigChanged::values); }
};

/// A node is asked to stop these attempts; when they have ended they wait again, free of charge.
struct TasksPreempted {
  static constexpr bool as_array = true;
  NodeId node;
  JobId job;
  std::vector<TaskRun> runs;
  Cause cause = Cause::preempted; // or drained: moved away
  std::string reason;
  bool operator==(const TasksPreempted&) const = default;
  template<class V> static void fields(V& v) {
    v("node", &TasksPreempted::node);
    v("job", &TasksPreempted::job);
    v("runs", &TasksPreempted::runs);
    v("cause", &TasksPreempted::cause);
    v("reason", &TasksPreempted::reason);
  }
};
/// How much more than its capacity a node may be given, for jobs that allow it, or how much is kept
/// free.
struct NodeTuned {
  static constexpr bool as_array = true;
  NodeId node;
  std::uint32_t overcommit_milli = 1000; // of vcores and memory
  bool closed = false;                   // above the high mark: no new work
  std::string reason;
  bool operator==(const NodeTuned&) const = default;
  template<class V> static void fields(V& v) {
    v("node", &NodeTuned::node);
    v("overcommit_milli", &NodeTuned::overcommit_milli, {.min = 1000, .max = 16'000});
    v("closed", &NodeTuned::closed);
    v("reason", &NodeTuned::reason);
  }
};
struct NodesQuarantined { // no new work until then
  static constexpr bool as_array = true;
  std::vector<NodeId> nodes;
  TimePoint until; // 0: the quarantine is lifted
  std::string reason;
  bool operator==(const NodesQuarantined&) const = default;
  template<class V> static void fields(V& v) {
    v("nodes", &NodesQuarantined::nodes);
    v("until_us", &NodesQuarantined::until);
    v("reason", &NodesQuarantined::reason);
  }
};
struct NodeFlagged { // all in which it departs from the rest now; empty: in nothing any more
  static constexpr bool as_array = true;
  NodeId node;
  std::vector<NodeFlag> flags;
  bool operator==(const NodeFlagged&) const = default;
  template<class V> static void fields(V& v) {
    v("node", &NodeFlagged::node);
    v("flags", &NodeFlagged::flags);
  }
};
/// A promise about the cluster's service (settings `sla.*`) was found broken, or kept again.
struct PromiseJudged {
  static constexpr bool as_array = true;
  std::string promise; // reliability, availability, failures, wait, longest, p50, p90, p99
  bool kept = false;
  std::string promised, measured; // "at least 99 %", "97.5 %"
  TimePoint since; // of the stretch of time that was looked at; it ends with the entry
  bool operator==(const PromiseJudged&) const = default;
  template<class V> static void fields(V& v) {
    v("promise", &PromiseJudged::promise);
    v("kept", &PromiseJudged::kept);
    v("promised", &PromiseJudged::promised);
    v("measured", &PromiseJudged::measured);
    v("since_us", &PromiseJudged::since);
  }
};
/// A job's tasks on a lost node, for which it was waited, are given up.
struct TasksAbandoned {
  static constexpr bool as_array = true;
  NodeId node;
  JobId job;
  std::string reason;
  bool operator==(const TasksAbandoned&) const = default;
  template<class V> static void fields(V& v) {
    v("node", &TasksAbandoned::node);
    v("job", &TasksAbandoned::job);
    v("reason", &TasksAbandoned::reason);
  }
};

using Fact = std::variant<EpochStarted, NodeRegistered, NodesLost, NodesDrained, NodesLabelled,
                          NodesRemoved, JobsSubmitted, TasksPlaced, TasksFinished, TasksRequeued,
                          TasksGivenUp, TasksCancelled, TasksRetried, JobHeld, JobsForgotten,
                          LeaseGranted, LeaseRenewed, LeasesEnded, ConfigChanged, TasksPreempted,
                          NodeTuned, NodesQuarantined, NodeFlagged, PromiseJudged, TasksAbandoned>;

/// One journalled fact and when it was decided. Its seq is its position.
struct Entry {
  static constexpr bool as_array = true;
  TimePoint time;
  Fact fact;
  bool operator==(const Entry&) const = default;
  template<class V> static void fields(V& v) {
    v("time_us", &Entry::time, {.required = true});
    v("fact", &Entry::fact, {.required = true});
  }
};

std::string_view name_of(const Fact& fact);

/// Every type above whose bytes are read and written in one place.
// clang-format settles on no form for a list this long.
// clang-format off
#define REEVE_FACTS(X) \
  X(EpochStarted) X(NodeRegistered) X(NodesLost) X(NodesDrained) X(NodesLabelled) \
  X(NodesRemoved) X(JobsSubmitted) X(Placement) X(TasksPlaced) X(TasksFinished) \
  X(TasksRequeued) X(TasksGivenUp) X(TasksCancelled) X(TasksRetried) X(JobHeld) \
  X(JobsForgotten) X(LeaseGranted) X(LeaseRenewed) X(LeasesEnded) X(ConfigChanged) \
  X(TasksPreempted) X(NodeTuned) X(NodesQuarantined) X(NodeFlagged) X(PromiseJudged) X(TasksAbandoned) X(Entry)
// clang-format on
REEVE_FACTS(REEVE_CODEC_DECLARE)

} // namespace reeve
