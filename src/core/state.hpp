// The inside of Cluster, shared by decide.cpp, apply.cpp, views.cpp and snapshot.cpp and by nobody
// else.
#pragma once

#include "src/core/cluster.hpp"
#include "src/core/draft.hpp"

namespace reeve::core {

struct Totals { // tasks and jobs, kept up to date by apply
  std::uint64_t jobs_pending = 0, jobs_running = 0;
  std::uint64_t pending = 0, assigned = 0, held = 0;
  std::uint64_t submitted = 0, placed = 0, succeeded = 0, failed = 0, cancelled = 0, requeued = 0;
  bool operator==(const Totals&) const = default;
  static constexpr bool as_array = true;
  template<class V> static void fields(V& v) {
    v("jobs_pending", &Totals::jobs_pending);
    v("jobs_running", &Totals::jobs_running);
    v("pending", &Totals::pending);
    v("assigned", &Totals::assigned);
    v("held", &Totals::held);
    v("submitted", &Totals::submitted);
    v("placed", &Totals::placed);
    v("succeeded", &Totals::succeeded);
    v("failed", &Totals::failed);
    v("cancelled", &Totals::cancelled);
    v("requeued", &Totals::requeued);
  }
};

struct Cluster::State {
  Seq seq;
  Epoch epoch;
  std::string master;
  JobTable jobs;
  KeyIndex keys;
  KindTable kinds; // pointers to entries are stable
  /// Tasks that wait, by queue and user; derived. Pointers to entries are stable.
  std::map<std::pair<std::string, std::string>, std::uint64_t> waiting;
  std::map<NodeId, Node> nodes;
  std::unordered_map<std::string, NodeId> node_names;
  NodeId newest_node;
  std::map<LeaseId, Lease> leases;
  LeaseId newest_lease;
  std::map<std::string, std::string> config;
  std::set<std::string> broken; // promises that are not kept now
  Totals totals;
  struct Dependent {
    JobId job;
    bool each = false;
  };
  std::unordered_map<JobId, std::vector<Dependent>> dependents; // that may still be blocked, by id

  KindEntry* intern(const JobDraft& draft);
  void release(KindEntry* entry);
  Node* node(NodeId id) {
    const auto at = nodes.find(id);
    return at == nodes.end() ? nullptr : &at->second;
  }
};

NodeChanged change_of(const Node& node);
LeaseChanged change_of(const Lease& lease);

/// What would have to change for an allocation to hold `more` tasks further and `slots` slots.
struct Growth {
  std::uint32_t slots = 0; // afterwards
  Resources delta;         // to be booked
};
Growth growth_of(const Job& job, NodeId node, std::uint32_t more, std::uint32_t slots);

/// Applies facts. One object an entry: it gathers touched nodes and jobs, so that each is reported
/// once.
class Applier {
public:
  Applier(Cluster::State& state, TimePoint now, Changes& changes)
      : s_(state), now_(now), changes_(changes) {}
  void fact(const Fact& fact);
  void submit(const JobsSubmitted& fact, std::vector<JobDraft> drafts);
  void place(const Placement& placement);
  void finish(NodeId node, const JobResults& results);
  /// Reports what was gathered. Call once, last.
  void done();

private:
  void on(const EpochStarted&);
  void on(const NodeRegistered&);
  void on(const NodesLost&);
  void on(const NodesDrained&);
  void on(const NodesLabelled&);
  void on(const NodesRemoved&);
  void on(const TasksPlaced&);
  void on(const TasksFinished&);
  void on(const TasksRequeued&);
  void on(const TasksGivenUp&);
  void on(const TasksCancelled&);
  void on(const TasksRetried&);
  void on(const JobHeld&);
  void on(const JobsForgotten&);
  void on(const LeaseGranted&);
  void on(const LeaseRenewed&);
  void on(const LeasesEnded&);
  void on(const ConfigChanged&);
  void on(const TasksPreempted&);
  void on(const NodeTuned&);
  void on(const NodesQuarantined&);
  void on(const NodeFlagged&);
  void on(const PromiseJudged&);
  void on(const TasksAbandoned&);

  void cancel(JobId id, const std::vector<TaskRun>& runs, Cause cause, const std::string& reason);
  // dependency.cpp
  void moved(JobId id);
  void settle_dependents();
  void settle(JobId id);
  void yield_gang(Job& job, JobId id);

  void node_changed(const Node& node);
  /// `waits`: not the tasks of jobs that wait for a lost node for a time.
  void interrupt_all(Node& node, Cause cause, bool waits = false);
  void interrupt(JobId id, Node& node, Cause cause, const std::string& reason);
  void end_leases_on(Node& node);
  /// Takes tasks out of an allocation and unbooks what that frees. Returns those whose end counts:
  /// not those of which another copy runs on, or has ended `well` before.
  std::vector<TaskRun> land(Job& job, JobId id, Node& node, const TaskRun& run, bool well);
  void settle_copies(Job& job, JobId id, std::vector<TaskRun>& landed, bool well);
  void mark_copied(Job& job, const TaskRun& run);
  void succeeded(Job& job, JobId id, const TaskRun& run);
  void ended_badly(Job& job, JobId id, NodeId node, const TaskRun& run, const TaskResult& result);
  void interrupted(Job& job, JobId id, NodeId node, const TaskRun& run, Mark mark);
  void close_if_over(Job& job, JobId id);
  void reopen(Job& job, JobId id);
  void count_state(JobState before, JobState after);

  Cluster::State& s_;
  TimePoint now_;
  Changes& changes_;
  std::vector<NodeId> touched_;
  std::vector<JobId> fresh_;                             // submitted, to be settled
  std::vector<JobId> moved_;                             // others may wait for these
  std::vector<std::pair<JobId, std::string>> fail_fast_; // to be cancelled, and why
};

/// What of `after` has not come true yet, or never can, in words; empty: all has. `index`: of the
/// task that waits, where task waits for task; none: of the whole job. `drafts`: the submission
/// that it is part of.
std::string waits_for(const Cluster::State& state, const std::vector<Dependency>& after,
                      std::optional<TaskIndex> index = {},
                      const std::vector<JobDraft>* drafts = nullptr);

/// A circle among the dependencies inside one submission, as "a -> b -> a"; empty: none.
std::string circle_in(const std::vector<JobDraft>& drafts);

/// The parts of `run` that wait (never placed, or marked pending), each with the attempt its next
/// placement gets.
std::vector<TaskRun> waiting_parts(const Job& job, const TaskRun& run);

/// The parts of `run` that are in flight on one node only, not on `node`, and not being stopped,
/// each with the attempt that a copy gets.
std::vector<TaskRun> alone_elsewhere(const Job& job, const TaskRun& run, NodeId node);

/// Of a job that is over.
JobEnded end_of(const Job& job, JobId id);

} // namespace reeve::core
