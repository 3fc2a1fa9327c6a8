// Replaying a journalled fact: the same application as the first time, behind checks, because the
// bytes come from a disk. A fact that does not fit the state means that the journal is not what was
// written. See cluster.hpp.
#include "src/core/state.hpp"

namespace reeve::core {
namespace {

using Check = std::optional<std::string>;

Check job_known(const Cluster::State& s, JobId id, const std::vector<TaskRun>& runs) {
  const Job* job = s.jobs.find(id);
  if (!job)
    return "job " + std::to_string(id.value) + " is unknown";
  for (const TaskRun& run : runs)
    if (run.count == 0 || std::uint64_t{run.first} + run.count > job->count)
      return "job " + std::to_string(id.value) + " has no task " + std::to_string(run.first);
  return {};
}
Check nodes_known(const Cluster::State& s, const std::vector<NodeId>& nodes) {
  for (const NodeId id : nodes)
    if (!s.nodes.contains(id))
      return "node " + std::to_string(id.value) + " is unknown";
  return {};
}
Check marked(const Cluster::State& s, JobId id, const std::vector<TaskRun>& runs, TaskState state) {
  if (auto bad = job_known(s, id, runs))
    return bad;
  const Job& job = *s.jobs.find(id);
  for (const TaskRun& run : runs) {
    std::uint32_t found = 0;
    if (job.extra)
      job.extra->marks.each_in(run.first, run.count, [&](TaskIndex, const Mark& m) {
        found += m.state == state ? m.count : 0;
      });
    if (found != run.count)
      return "tasks of job " + std::to_string(id.value) + " are not " + std::string(name_of(state));
  }
  return {};
}

Check check(const Cluster::State& s, const EpochStarted& f) {
  return f.epoch > s.epoch ? Check{}
                           : Check{"epoch " + std::to_string(f.epoch.value) + " does not grow"};
}
Check check(const Cluster::State& s, const NodeRegistered& f) {
  const auto named = s.node_names.find(f.name);
  if (named == s.node_names.end() ? f.node != s.newest_node.next() : named->second != f.node)
    return "node " + f.name + " has another id";
  return {};
}
Check check(const Cluster::State& s, const NodesLost& f) {
  return nodes_known(s, f.nodes);
}
Check check(const Cluster::State& s, const NodesDrained& f) {
  return nodes_known(s, f.nodes);
}
Check check(const Cluster::State& s, const NodesLabelled& f) {
  return nodes_known(s, f.nodes);
}
Check check(const Cluster::State& s, const NodesRemoved& f) {
  return nodes_known(s, f.nodes);
}
Check check(const Cluster::State& s, const Placement& p) {
  if (auto bad = job_known(s, p.job, p.runs))
    return bad;
  if (!s.nodes.contains(p.node))
    return "node " + std::to_string(p.node.value) + " is unknown";
  for (const TaskRun& run : p.runs) {
    std::uint64_t waits = 0;
    const Job& job = *s.jobs.find(p.job);
    for (const TaskRun& part : p.copy ? alone_elsewhere(job, run, p.node) : waiting_parts(job, run))
      waits += part.attempt == run.attempt ? part.count : 0;
    if (waits != run.count)
      return "placed tasks of job " + std::to_string(p.job.value) +
             (p.copy ? " do not run elsewhere alone" : " do not wait");
  }
  return {};
}
Check check(const Cluster::State& s, const NodeId node, const JobResults& results) {
  const Job* job = s.jobs.find(results.job);
  if (!job || !job->extra || !job->extra->allocations.contains(node))
    return "job " + std::to_string(results.job.value) + " has nothing in flight there";
  std::vector<TaskRun> flying = job->extra->allocations.at(node).runs;
  const auto land = [&](const TaskRun& run) {
    std::uint32_t n = 0;
    for (const TaskRun& part : take_from(flying, run))
      n += part.count;
    return n == run.count;
  };
  for (const QuietRun& quiet : results.quiet)
    if (!land(quiet.run))
      return "finished tasks of job " + std::to_string(results.job.value) + " were not in flight";
  for (const TaskResult& result : results.tasks)
    if (!land({result.index, 1, result.attempt}))
      return "a finished task of job " + std::to_string(results.job.value) + " was not in flight";
  return {};
}
Check check(const Cluster::State& s, const TasksRequeued& f) {
  return marked(s, f.job, f.runs, TaskState::interrupted);
}
Check check(const Cluster::State& s, const TasksGivenUp& f) {
  return marked(s, f.job, f.runs, TaskState::interrupted);
}
Check check(const Cluster::State& s, const TasksCancelled& f) {
  return job_known(s, f.job, f.runs);
}
Check check(const Cluster::State& s, const TasksRetried& f) {
  return job_known(s, f.job, f.runs);
}
Check check(const Cluster::State& s, const JobHeld& f) {
  return job_known(s, f.job, {});
}
Check check(const Cluster::State& s, const JobsForgotten& f) {
  for (const JobId id : f.jobs)
    if (const Job* job = s.jobs.find(id); !job || !job->ended)
      return "forgotten job " + std::to_string(id.value) + " has not ended";
  return {};
}
Check check(const Cluster::State& s, const LeaseGranted& f) {
  if (f.lease <= s.newest_lease)
    return "lease ids do not grow";
  return nodes_known(s, {f.node});
}
Check check(const Cluster::State& s, const LeaseRenewed& f) {
  return s.leases.contains(f.lease) ? Check{} : Check{"lease is unknown"};
}
Check check(const Cluster::State& s, const LeasesEnded& f) {
  for (const LeaseId id : f.leases)
    if (!s.leases.contains(id))
      return "lease " + std::to_string(id.value) + " is unknown";
  return {};
}
Check check(const Cluster::State& s, const TasksPreempted& f) {
  const Job* job = s.jobs.find(f.job);
  if (!job || !job->extra || !job->extra->allocations.contains(f.node))
    return "tasks of job " + std::to_string(f.job.value) + " are not in flight there";
  return {};
}
Check check(const Cluster::State& s, const NodeTuned& f) {
  return nodes_known(s, {f.node});
}
Check check(const Cluster::State& s, const NodesQuarantined& f) {
  return nodes_known(s, f.nodes);
}
Check check(const Cluster::State& s, const NodeFlagged& f) {
  return nodes_known(s, {f.node});
}
Check check(const Cluster::State& s, const TasksAbandoned& f) {
  const Job* job = s.jobs.find(f.job);
  return s.nodes.contains(f.node) && job && job->extra && job->extra->allocations.contains(f.node)
           ? Check{}
           : Check{"job " + std::to_string(f.job.value) + " has nothing in flight there"};
}
Check check(const Cluster::State&, const ConfigChanged&) {
  return {};
}
Check check(const Cluster::State& s, const PromiseJudged& f) {
  if (f.kept != s.broken.contains(f.promise))
    return f.promise + (f.kept ? " was not broken" : " was broken already");
  return {};
}

} // namespace

Result<void> Cluster::replay(Seq seq, const Entry& entry, Changes& changes) {
  const auto corrupt = [&](const std::string& why) {
    return fail(Code::corrupt, "entry " + std::to_string(seq.value),
                std::string(name_of(entry.fact)) + " does not fit the state: " + why);
  };
  if (seq != state_->seq.next())
    return corrupt("expected entry " + std::to_string(state_->seq.value + 1));
  Applier apply(*state_, entry.time, changes);
  // Placements and results are checked one by one, each against the state that the one before left.
  if (const auto* placed = std::get_if<TasksPlaced>(&entry.fact)) {
    for (const Placement& p : placed->placements) {
      if (auto bad = check(*state_, p))
        return corrupt(*bad);
      apply.place(p);
    }
  } else if (const auto* finished = std::get_if<TasksFinished>(&entry.fact)) {
    if (!state_->nodes.contains(finished->node))
      return corrupt("node is unknown");
    for (const JobResults& results : finished->jobs) {
      if (auto bad = check(*state_, finished->node, results))
        return corrupt(*bad);
      apply.finish(finished->node, results);
    }
  } else if (const auto* submitted = std::get_if<JobsSubmitted>(&entry.fact)) {
    if (submitted->first != state_->jobs.newest().next())
      return corrupt("job ids do not continue");
    std::vector<JobDraft>
      drafts; // taken apart once: a million of these decide how long a cold start takes
    drafts.reserve(submitted->specs.size());
    Drafter drafter(state_->kinds);
    for (const Raw& spec : submitted->specs) {
      auto draft = drafter.draft(spec);
      if (!draft)
        return corrupt("a job specification is damaged: " + draft.error().message());
      drafts.push_back(std::move(*draft));
    }
    apply.submit(*submitted, std::move(drafts));
  } else {
    const Check bad = std::visit(
      [&](const auto& fact) -> Check {
        using F = std::decay_t<decltype(fact)>;
        if constexpr (std::is_same_v<F, TasksPlaced> || std::is_same_v<F, TasksFinished> ||
                      std::is_same_v<F, JobsSubmitted>)
          return {};
        else
          return check(*state_, fact);
      },
      entry.fact);
    if (bad)
      return corrupt(*bad);
    apply.fact(entry.fact);
  }
  apply.done();
  state_->seq = seq;
  return {};
}

} // namespace reeve::core
