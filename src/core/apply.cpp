// What each fact does to the state. Deterministic, and unable to fail: decide.cpp has refused
// whatever does not fit. See state.hpp.
#include "src/core/spec_diff.hpp"
#include "src/core/state.hpp"

#include <algorithm>

namespace reeve::core {

void Applier::fact(const Fact& fact) {
  std::visit(
    [this](const auto& f) {
      if constexpr (!std::is_same_v<std::decay_t<decltype(f)>,
                                    JobsSubmitted>) // its specs are taken apart by the caller:
                                                    // submit()
        on(f);
    },
    fact);
}

void Applier::done() {
  for (std::size_t i = 0; i < fail_fast_.size(); ++i) {
    const auto [id, reason] = fail_fast_[i];
    if (const Job* job = s_.jobs.find(id); job && !job->ended && !job->cancelling)
      cancel(id, {}, Cause::cancelled, reason);
  }
  fail_fast_.clear();
  settle_dependents();
  std::sort(touched_.begin(), touched_.end());
  touched_.erase(std::unique(touched_.begin(), touched_.end()), touched_.end());
  for (const NodeId id : touched_)
    if (const Node* node = s_.node(id))
      changes_.push_back(NodeAvailable{id, node->available()});
  touched_.clear();
}

void Applier::count_state(JobState before, JobState after) {
  const auto waits = [](JobState s) { return s == JobState::pending || s == JobState::held; };
  if (waits(before))
    --s_.totals.jobs_pending;
  else if (before == JobState::running)
    --s_.totals.jobs_running;
  if (waits(after))
    ++s_.totals.jobs_pending;
  else if (after == JobState::running)
    ++s_.totals.jobs_running;
}

// ---- epoch, configuration, leases
// ------------------------------------------------------------------------------------------

void Applier::on(const EpochStarted& f) {
  s_.epoch = f.epoch;
  s_.master = f.master;
}
void Applier::on(const ConfigChanged& f) {
  for (const auto& [name, value] : f.values) {
    if (value.empty())
      s_.config.erase(name);
    else
      s_.config[name] = value;
  }
  changes_.push_back(ConfigUpdated{s_.config});
}
LeaseChanged change_of(const Lease& lease) {
  return {lease.id,        lease.node,  lease.expires, lease.owner,
          lease.resources, lease.queue, lease.limits,  lease.key};
}
void Applier::on(const PromiseJudged& f) {
  if (f.kept)
    s_.broken.erase(f.promise);
  else
    s_.broken.insert(f.promise);
}
void Applier::on(const LeaseGranted& f) {
  Node& node = *s_.node(f.node);
  node.booked += f.resources;
  ++node.leases;
  s_.newest_lease = f.lease;
  const auto [at, fresh] =
    s_.leases.emplace(f.lease, Lease{f.lease, f.node, f.owner, f.resources, now_, f.expires, f.key,
                                     f.queue, f.limits});
  changes_.push_back(change_of(at->second));
  touched_.push_back(f.node);
}
void Applier::on(const LeaseRenewed& f) {
  Lease& lease = s_.leases.at(f.lease);
  lease.expires = f.expires;
  changes_.push_back(change_of(lease));
}
void Applier::on(const LeasesEnded& f) {
  for (const LeaseId id : f.leases) {
    const auto at = s_.leases.find(id);
    if (at == s_.leases.end())
      continue;
    if (Node* node = s_.node(at->second.node)) {
      node->booked -= at->second.resources;
      --node->leases;
      touched_.push_back(node->id);
    }
    s_.leases.erase(at);
    changes_.push_back(LeaseEnded{id});
  }
}

// ---- nodes
// -----------------------------------------------------------------------------------------------------------------

NodeChanged change_of(const Node& n) {
  return {n.id,          n.name,   n.state,          n.draining, n.incarnation,      n.capacity,
          n.available(), n.labels, n.executors,      n.since,    n.overcommit_milli, n.closed,
          n.quarantined, n.flags,  n.drain_deadline, n.pulls};
}
void Applier::node_changed(const Node& n) {
  changes_.push_back(change_of(n));
}

namespace {
std::map<std::string, std::string> overlay(std::map<std::string, std::string> labels,
                                           const std::map<std::string, std::string>& set) {
  for (const auto& [name, value] : set) {
    if (value.empty())
      labels.erase(name);
    else
      labels[name] = value;
  }
  return labels;
}
} // namespace

void Applier::on(const NodeRegistered& f) {
  auto [at, fresh] = s_.nodes.try_emplace(f.node);
  Node& node = at->second;
  if (fresh) {
    node.id = f.node;
    node.name = f.name;
    node.registered = now_;
    s_.node_names[f.name] = f.node;
    s_.newest_node = std::max(s_.newest_node, f.node);
  } else if (node.incarnation != f.incarnation) {
    interrupt_all(node, Cause::lost_node);
  }
  if (fresh || node.state != NodeState::up)
    node.since = now_;
  node.state = NodeState::up;
  if (!node.draining)
    node.reason.clear();
  node.incarnation = f.incarnation;
  node.capacity = f.capacity;
  node.labels = overlay(f.labels, node.set_labels);
  node.executors = f.executors;
  node.program = f.program;
  node.pulls = f.pulls;
  node_changed(node);
}

void Applier::on(const NodesLost& f) {
  for (const NodeId id : f.nodes) {
    Node* node = s_.node(id);
    if (!node)
      continue;
    node->state = f.left ? NodeState::gone : NodeState::lost;
    node->reason = f.reason;
    node->since = now_;
    interrupt_all(*node, f.left ? Cause::drained : Cause::lost_node, !f.left);
    end_leases_on(*node);
    node_changed(*node);
  }
}

void Applier::on(const NodesDrained& f) {
  for (const NodeId id : f.nodes)
    if (Node* node = s_.node(id)) {
      node->draining = f.drain;
      node->reason = f.drain ? f.reason : "";
      node->drain_deadline = f.drain ? f.deadline : TimePoint{};
      node->drained_by_check = f.drain && f.by_check;
      node_changed(*node);
    }
}
void Applier::on(const NodesLabelled& f) {
  for (const NodeId id : f.nodes)
    if (Node* node = s_.node(id)) {
      for (const auto& [name, value] : f.labels)
        node->set_labels[name] = value;
      node->labels = overlay(node->labels, f.labels);
      node_changed(*node);
    }
}
void Applier::on(const NodesRemoved& f) {
  for (const NodeId id : f.nodes)
    if (Node* node = s_.node(id)) {
      s_.node_names.erase(node->name);
      s_.nodes.erase(id);
      changes_.push_back(NodeForgotten{id});
    }
}

void Applier::on(const NodeTuned& f) {
  if (Node* node = s_.node(f.node)) {
    node->overcommit_milli = f.overcommit_milli;
    node->closed = f.closed;
    node_changed(*node);
  }
}
void Applier::on(const NodesQuarantined& f) {
  for (const NodeId id : f.nodes)
    if (Node* node = s_.node(id)) {
      node->quarantined = f.until;
      if (!node->draining)
        node->reason = f.until == TimePoint{} ? "" : f.reason;
      node_changed(*node);
    }
}

void Applier::on(const NodeFlagged& f) {
  if (Node* node = s_.node(f.node)) {
    node->flags = f.flags;
    node_changed(*node);
  }
}

void Applier::interrupt_all(Node& node, Cause cause, bool waits) {
  std::vector<JobId> jobs(node.jobs.begin(), node.jobs.end());
  std::sort(jobs.begin(), jobs.end()); // the set's order is not the same everywhere
  const std::string reason =
    cause == Cause::drained ? "node " + node.name + " left" : "node " + node.name + " was lost";
  for (const JobId id : jobs)
    if (!waits || s_.jobs.find(id)->kind->kind->disconnect == Duration(0))
      interrupt(id, node, cause, reason);
}
void Applier::interrupt(JobId id, Node& node, Cause cause, const std::string& reason) {
  Job& job = *s_.jobs.find(id);
  const JobState before = job.state();
  const std::vector<TaskRun> runs = job.extra->allocations.at(node.id).runs;
  TaskResult result;
  result.cause = cause;
  result.text = reason;
  for (const TaskRun& run : runs)
    for (const TaskRun& landed : land(job, id, node, run, false))
      ended_badly(job, id, node.id, landed, result);
  close_if_over(job, id);
  count_state(before, job.state());
}
void Applier::on(const TasksAbandoned& f) {
  interrupt(f.job, *s_.node(f.node), Cause::lost_node, f.reason);
}
void Applier::end_leases_on(Node& node) {
  if (node.leases == 0)
    return;
  LeasesEnded ended;
  for (const auto& [id, lease] : s_.leases)
    if (lease.node == node.id)
      ended.leases.push_back(id);
  on(ended);
}

// ---- jobs
// ------------------------------------------------------------------------------------------------------------------

void Applier::submit(const JobsSubmitted& f, std::vector<JobDraft> drafts) {
  JobId id = f.first;
  for (JobDraft& draft : drafts) {
    Job& job = s_.jobs.add(id);
    job.kind = s_.intern(draft);
    job.spec = SpecBlob(spec_difference(job.kind->sample, draft.blob()));
    job.submitted = now_;
    job.count = draft.count;
    if (!draft.items.empty())
      job.more().items = std::move(draft.items);
    if (id == f.first && !f.key.data.empty()) {
      job.key = print_of(f.key);
      job.batch = static_cast<std::uint32_t>(drafts.size());
      s_.keys.add(job.key, id, s_.jobs);
    }
    for (Dependency& dependency : draft.after) {
      if (!dependency.job)
        dependency.job = JobId(f.first.value + dependency.place);
      s_.dependents[dependency.job].push_back({id, dependency.each});
    }
    if (!draft.after.empty()) {
      job.more().after = std::move(draft.after);
      job.extra->blocked = {TaskRun{0, job.count, 1}};
      fresh_.push_back(id);
    }
    s_.totals.pending += job.count;
    *job.kind->waiting += job.count;
    s_.totals.submitted += job.count;
    ++s_.totals.jobs_pending;
    changes_.push_back(JobArrived{id, job.kind->kind, now_, 0, job.count, false,
                                  job.extra && !job.extra->blocked.empty()});
    id = id.next();
  }
  for (const JobId blocked : std::exchange(fresh_, {}))
    settle(blocked);
}

std::vector<TaskRun> waiting_parts(const Job& job, const TaskRun& run) {
  std::vector<TaskRun> out;
  if (job.extra)
    job.extra->marks.each_in(run.first, run.count, [&](TaskIndex first, const Mark& mark) {
      if (mark.state == TaskState::pending)
        out.push_back({first, mark.count, mark.attempt + 1});
    });
  const std::uint64_t end = std::uint64_t{run.first} + run.count;
  const std::uint64_t fresh = std::max<std::uint64_t>(run.first, job.next);
  if (fresh < std::min<std::uint64_t>(end, job.count))
    out.push_back({static_cast<TaskIndex>(fresh),
                   static_cast<std::uint32_t>(std::min<std::uint64_t>(end, job.count) - fresh), 1});
  if (job.extra)
    for (const TaskRun& blocked : job.extra->blocked)
      take_from(out, blocked);
  return out;
}

namespace {
/// The run in pieces of the same past, in order. The attempt of a piece is its newest: of two
/// copies the other may be newer, and a copy may have come and gone.
std::vector<std::pair<TaskRun, Mark>> by_past(const Marks& marks, const TaskRun& run) {
  std::vector<std::pair<TaskRun, Mark>> out;
  std::uint64_t at = run.first;
  const auto plain_until = [&](std::uint64_t end) {
    if (at < end)
      out.emplace_back(
        TaskRun{static_cast<TaskIndex>(at), static_cast<std::uint32_t>(end - at), run.attempt},
        Mark{});
  };
  marks.each_in(run.first, run.count, [&](TaskIndex first, const Mark& mark) {
    plain_until(first);
    out.emplace_back(TaskRun{first, mark.count, std::max(run.attempt, mark.attempt)}, mark);
    at = std::uint64_t{first} + mark.count;
  });
  plain_until(std::uint64_t{run.first} + run.count);
  return out;
}
} // namespace

std::vector<TaskRun> alone_elsewhere(const Job& job, const TaskRun& run, NodeId node) {
  std::vector<TaskRun> out;
  if (!job.extra)
    return out;
  for (const auto& [other, allocation] : job.extra->allocations)
    if (other != node)
      for (const TaskRun& flying : allocation.runs)
        for (const TaskRun& part : common({flying}, TaskRun{run.first, run.count, flying.attempt}))
          for (const auto& [piece, past] : by_past(job.extra->marks, part))
            out.push_back({piece.first, piece.count, piece.attempt + 1});
  // Copied ones are out altogether: both of their attempts are there. So is what is to be stopped.
  for (const auto* away :
       {&job.extra->copied, &job.extra->beaten, &job.extra->stopping, &job.extra->yielding})
    for (const TaskRun& gone : *away)
      std::erase_if(out, [&](const TaskRun& part) {
        return gone.first < part.first + part.count && part.first < gone.first + gone.count;
      });
  return out;
}

Growth growth_of(const Job& job, NodeId node, std::uint32_t more, std::uint32_t slots) {
  std::uint32_t old_slots = 0, in_flight = 0;
  if (job.extra)
    if (const auto at = job.extra->allocations.find(node); at != job.extra->allocations.end()) {
      old_slots = at->second.slots;
      in_flight = at->second.in_flight;
    }
  Growth g;
  g.slots = std::min(std::max(old_slots, slots), in_flight + more);
  g.delta = job.kind->kind->resources * (static_cast<std::int64_t>(g.slots) - old_slots);
  return g;
}

void Applier::on(const TasksPlaced& f) {
  for (const Placement& p : f.placements)
    place(p);
}

void Applier::place(const Placement& p) {
  Job& job = *s_.jobs.find(p.job);
  Node& node = *s_.node(p.node);
  const JobState before = job.state();
  JobExtra& extra = job.more();
  std::uint32_t n = 0;
  for (const TaskRun& run : p.runs)
    n += run.count;
  const Growth growth = growth_of(job, p.node, n, p.slots);
  Allocation& allocation = extra.allocations[p.node];
  for (const TaskRun& run : p.runs) {
    const std::uint64_t end = std::uint64_t{run.first} + run.count;
    if (p.copy) {
      mark_copied(job, run);
    } else if (run.first < job.next) {
      std::vector<std::pair<TaskIndex, Mark>> marked;
      extra.marks.each_in(run.first, run.count,
                          [&](TaskIndex first, const Mark& m) { marked.emplace_back(first, m); });
      for (auto& [first, mark] : marked) {
        if (mark.attempt == 0 && mark.tally() == Tally{}) {
          extra.marks.erase(first, mark.count);
        } else {
          mark.state = TaskState::assigned;
          mark.attempt = run.attempt;
          mark.not_before = {};
          extra.marks.set(first, std::move(mark));
        }
      }
    }
    if (end > job.next) { // never placed: a gap before it stays waiting
      if (run.first > job.next) {
        Mark gap;
        gap.count = run.first - job.next;
        extra.marks.set(job.next, std::move(gap));
      }
      job.next = static_cast<TaskIndex>(end);
    }
    add_to(allocation.runs, run);
  }
  allocation.in_flight += n;
  allocation.slots = growth.slots;
  node.booked += growth.delta;
  node.tasks += n;
  node.jobs.insert(p.job);
  if (job.kind->kind->exclusive)
    node.exclusive = p.job;
  if (extra.started == TimePoint{})
    extra.started = now_;
  if (!p.copy) {
    extra.assigned += n;
    s_.totals.pending -= n;
    *job.kind->waiting -= n;
    s_.totals.assigned += n;
  }
  s_.totals.placed += n;
  count_state(before, job.state());
  changes_.push_back(TasksTaken{p});
  changes_.push_back(
    FlightChanged{p.node, p.job, allocation.in_flight, allocation.slots, job.kind->kind});
  touched_.push_back(p.node);
}

/// The tasks are in flight a second time: their newest attempt is remembered, whichever ends first.
void Applier::mark_copied(Job& job, const TaskRun& run) {
  JobExtra& extra = *job.extra;
  for (auto& [piece, mark] : by_past(extra.marks, run)) {
    mark.count = piece.count;
    mark.state = TaskState::assigned;
    mark.attempt = run.attempt;
    extra.marks.set(piece.first, std::move(mark));
  }
  add_to(extra.copied, TaskRun{run.first, run.count, 1});
}

/// Leaves in `landed` what ends its task, or may.
void Applier::settle_copies(Job& job, JobId id, std::vector<TaskRun>& landed, bool well) {
  JobExtra& extra = *job.extra;
  std::vector<TaskRun> rest;
  for (const TaskRun& run : landed) {
    std::vector<TaskRun> counts{run};
    for (const TaskRun& beaten : take_from(extra.beaten, run))
      take_from(counts, beaten);
    for (const TaskRun& copied : take_from(extra.copied, TaskRun{run.first, run.count, 1})) {
      if (!well) {
        take_from(counts, TaskRun{copied.first, copied.count, run.attempt});
        continue;
      }
      for (const auto& [node, allocation] : extra.allocations) {
        TasksToStop stop{node, id, {}, "another copy of it has ended well"};
        for (const TaskRun& other : allocation.runs)
          for (const TaskRun& part :
               common({other}, TaskRun{copied.first, copied.count, other.attempt})) {
            add_to(extra.beaten, part);
            stop.runs.push_back(part);
          }
        if (!stop.runs.empty())
          changes_.push_back(std::move(stop));
      }
    }
    rest.insert(rest.end(), counts.begin(), counts.end());
  }
  landed = std::move(rest);
}

std::vector<TaskRun> Applier::land(Job& job, JobId id, Node& node, const TaskRun& run, bool well) {
  const auto at = job.extra->allocations.find(node.id);
  if (at == job.extra->allocations.end())
    return {};
  Allocation& allocation = at->second;
  std::vector<TaskRun> landed = take_from(allocation.runs, run);
  std::uint32_t n = 0;
  for (const TaskRun& part : landed)
    n += part.count;
  if (n == 0)
    return landed;
  allocation.in_flight -= n;
  node.tasks -= n;
  const std::uint32_t slots = std::min(allocation.slots, allocation.in_flight);
  if (slots != allocation.slots) {
    node.booked -=
      job.kind->kind->resources * (static_cast<std::int64_t>(allocation.slots) - slots);
    allocation.slots = slots;
  }
  changes_.push_back(
    FlightChanged{node.id, id, allocation.in_flight, allocation.slots, job.kind->kind});
  touched_.push_back(node.id);
  if (allocation.in_flight == 0) {
    job.extra->allocations.erase(at);
    node.jobs.erase(id);
    if (node.exclusive == id)
      node.exclusive = {};
  }
  if (!job.extra->copied.empty() || !job.extra->beaten.empty())
    settle_copies(job, id, landed, well);
  for (const TaskRun& part : landed) {
    job.extra->assigned -= part.count;
    s_.totals.assigned -= part.count;
  }
  return landed;
}

void Applier::succeeded(Job& job, JobId, const TaskRun& run) {
  JobExtra& extra = *job.extra;
  if (!extra.marks.empty())
    extra.marks.erase(run.first, run.count);
  if (!extra.stopping.empty())
    take_from(extra.stopping, TaskRun{run.first, run.count, 1});
  if (!extra.yielding.empty())
    take_from(extra.yielding, TaskRun{run.first, run.count, 1});
  if (!extra.moving.empty())
    take_from(extra.moving, TaskRun{run.first, run.count, 1});
  extra.succeeded += run.count;
  s_.totals.succeeded += run.count;
}

void Applier::ended_badly(Job& job, JobId id, NodeId node, const TaskRun& run,
                          const TaskResult& result) {
  JobExtra& extra = *job.extra;
  Cause cause = result.cause;
  const bool moved =
    !extra.moving.empty() && !take_from(extra.moving, TaskRun{run.first, run.count, 1}).empty();
  if (!extra.yielding.empty() &&
      !take_from(extra.yielding, TaskRun{run.first, run.count, 1}).empty() &&
      cause == Cause::cancelled)
    cause = moved ? Cause::drained : Cause::preempted; // as it was asked to
  const std::int32_t code = result.cause == Cause::exit_code ? result.exit_code : result.signal;
  const Kind& kind = *job.kind->kind;
  for (const auto& [part, past] : by_past(extra.marks, run)) {
    const std::vector<TaskRun> stopped =
      job.cancelling ? std::vector<TaskRun>{part}
                     : take_from(extra.stopping, TaskRun{part.first, part.count, 1});
    Mark mark;
    mark.attempt = part.attempt;
    mark.put(past.tally());
    mark.cause = cause;
    mark.exit_code = code;
    mark.reason = result.text;
    for (const TaskRun& stop : stopped) {
      Mark cancelled = mark;
      cancelled.count = stop.count;
      cancelled.state = TaskState::cancelled;
      extra.marks.set(stop.first, std::move(cancelled));
      extra.cancelled += stop.count;
      s_.totals.cancelled += stop.count;
    }
    // What was not to be stopped: interrupted while tries are left, else failed.
    std::vector<TaskRun> rest{part};
    for (const TaskRun& stop : stopped)
      take_from(rest, TaskRun{stop.first, stop.count, part.attempt});
    Tally tally = past.tally();
    count(tally, kind, cause, code, node);
    mark.put(tally);
    const auto rule = rule_for(kind, cause, code);
    const bool over =
      is_own(cause) && !tries_left(tally, kind, cause, code) && !(rule && kind.retry[*rule].hold);
    for (const TaskRun& r : rest) {
      if (!over) {
        interrupted(job, id, node, r, mark);
        if (kind.gang)
          yield_gang(job, id);
        continue;
      }
      Mark failed = mark;
      failed.count = r.count;
      failed.state = TaskState::failed;
      extra.marks.set(r.first, std::move(failed));
      if (extra.failed == 0) {
        extra.exit_code = result.cause == Cause::exit_code ? result.exit_code
                          : result.signal > 0              ? 128 + result.signal
                                                           : 1;
        extra.reason = result.text;
      }
      extra.failed += r.count;
      s_.totals.failed += r.count;
      if (kind.on_failure == FailurePolicy::fail_fast)
        fail_fast_.emplace_back(id, "task " + std::to_string(r.first) + " failed: " + result.text);
    }
  }
}

void Applier::interrupted(Job& job, JobId id, NodeId node, const TaskRun& run, Mark mark) {
  mark.count = run.count;
  mark.state = TaskState::interrupted;
  TasksInterrupted change{id, job.kind->kind, {run}, node, mark.cause, mark.tally(), now_};
  job.extra->marks.set(run.first, std::move(mark));
  job.extra->interrupted += run.count;
  if (!changes_.empty()) // neighbours of one loss are told together
    if (auto* last = std::get_if<TasksInterrupted>(&changes_.back());
        last && last->job == id && last->node == node && last->cause == change.cause &&
        *last->tally == *change.tally) {
      last->runs.push_back(run);
      return;
    }
  changes_.push_back(std::move(change));
}

void Applier::on(const TasksFinished& f) {
  for (const JobResults& results : f.jobs)
    finish(f.node, results);
}

void Applier::finish(NodeId node_id, const JobResults& results) {
  Job& job = *s_.jobs.find(results.job);
  Node& node = *s_.node(node_id);
  const JobState before = job.state();
  for (const QuietRun& quiet : results.quiet)
    for (const TaskRun& run : land(job, results.job, node, quiet.run, true))
      succeeded(job, results.job, run);
  for (const TaskResult& result : results.tasks)
    for (const TaskRun& run : land(job, results.job, node, TaskRun{result.index, 1, result.attempt},
                                   result.cause == Cause::none)) {
      if (result.cause == Cause::none)
        succeeded(job, results.job, run);
      else
        ended_badly(job, results.job, node_id, run, result);
    }
  close_if_over(job, results.job);
  moved(results.job);
  count_state(before, job.state());
}

void Applier::close_if_over(Job& job, JobId id) {
  if (job.ended || job.final_tasks() != job.count || (job.extra && !job.extra->beaten.empty()))
    return;
  job.ended = true;
  job.more().ended = now_;
  moved(id);
  changes_.push_back(end_of(job, id));
}

void Applier::on(const TasksRequeued& f) {
  Job& job = *s_.jobs.find(f.job);
  JobExtra& extra = *job.extra;
  const JobState before = job.state();
  for (const TaskRun& run : f.runs) {
    std::vector<std::pair<TaskIndex, Mark>> marked;
    extra.marks.each_in(run.first, run.count,
                        [&](TaskIndex first, const Mark& m) { marked.emplace_back(first, m); });
    for (auto& [first, mark] : marked) {
      mark.state = TaskState::pending;
      mark.not_before = f.not_before;
      if (!f.reason.empty())
        mark.reason = f.reason;
      const TaskRun ready{first, mark.count, mark.attempt + 1};
      extra.marks.set(first, std::move(mark));
      changes_.push_back(TasksReady{f.job, ready, f.not_before});
    }
    extra.interrupted -= run.count;
    s_.totals.pending += run.count;
    *job.kind->waiting += run.count;
    s_.totals.requeued += run.count;
  }
  count_state(before, job.state());
}

void Applier::on(const TasksGivenUp& f) {
  Job& job = *s_.jobs.find(f.job);
  JobExtra& extra = *job.extra;
  const JobState before = job.state();
  for (const TaskRun& run : f.runs) {
    std::vector<std::pair<TaskIndex, Mark>> marked;
    extra.marks.each_in(run.first, run.count,
                        [&](TaskIndex first, const Mark& m) { marked.emplace_back(first, m); });
    for (auto& [first, mark] : marked) {
      mark.state = f.hold ? TaskState::held : TaskState::failed;
      mark.reason = f.reason;
      if (!f.hold && extra.failed == 0) {
        extra.exit_code = mark.cause == Cause::exit_code ? mark.exit_code
                          : mark.exit_code > 0           ? 128 + mark.exit_code
                                                         : 1;
        extra.reason = f.reason;
      }
      extra.marks.set(first, std::move(mark));
    }
    extra.interrupted -= run.count;
    if (f.hold) {
      extra.held += run.count;
      s_.totals.held += run.count;
    } else {
      extra.failed += run.count;
      s_.totals.failed += run.count;
      if (job.kind->kind->on_failure == FailurePolicy::fail_fast)
        fail_fast_.emplace_back(f.job,
                                "task " + std::to_string(run.first) + " failed: " + f.reason);
    }
  }
  close_if_over(job, f.job);
  moved(f.job);
  count_state(before, job.state());
}

void Applier::on(const TasksCancelled& f) {
  cancel(f.job, f.runs, Cause::cancelled, f.reason);
}

void Applier::cancel(JobId id, const std::vector<TaskRun>& chosen, Cause cause,
                     const std::string& reason) {
  Job& job = *s_.jobs.find(id);
  JobExtra& extra = job.more();
  const JobState before = job.state();
  const bool whole = chosen.empty();
  std::vector<TaskRun> runs = whole ? std::vector<TaskRun>{{0, job.count, 1}} : chosen;
  std::vector<TaskRun> withdrawn;
  if (!extra.blocked.empty())
    for (const TaskRun& run : runs)
      take_from(extra.blocked, TaskRun{run.first, run.count, 1});
  for (const TaskRun& run : runs) {
    // Everything that waits, is held or interrupted ends here and now.
    std::vector<std::pair<TaskIndex, Mark>> marked;
    extra.marks.each_in(run.first, run.count,
                        [&](TaskIndex first, const Mark& m) { marked.emplace_back(first, m); });
    const std::uint64_t end = std::uint64_t{run.first} + run.count;
    if (const std::uint64_t fresh = std::max<std::uint64_t>(run.first, job.next); fresh < end) {
      if (fresh > job.next) { // a gap before it keeps waiting
        Mark gap;
        gap.count = static_cast<std::uint32_t>(fresh - job.next);
        extra.marks.set(job.next, std::move(gap));
      }
      Mark never;
      never.count = static_cast<std::uint32_t>(end - fresh);
      job.next = static_cast<TaskIndex>(end);
      marked.emplace_back(static_cast<TaskIndex>(fresh), never);
    }
    for (auto& [first, mark] : marked) {
      if (mark.state == TaskState::pending) {
        s_.totals.pending -= mark.count;
        *job.kind->waiting -= mark.count;
        withdrawn.push_back({first, mark.count, mark.attempt + 1});
      } else if (mark.state == TaskState::held) {
        s_.totals.held -= mark.count;
        extra.held -= mark.count;
      } else if (mark.state == TaskState::interrupted) {
        extra.interrupted -= mark.count;
      } else {
        continue;
      }
      mark.state = TaskState::cancelled;
      mark.cause = cause;
      mark.reason = reason;
      mark.not_before = {};
      extra.cancelled += mark.count;
      s_.totals.cancelled += mark.count;
      extra.marks.set(first, std::move(mark));
    }
  }
  if (whole)
    changes_.push_back(TasksWithdrawn{id, {}});
  else if (!withdrawn.empty())
    changes_.push_back(TasksWithdrawn{id, withdrawn});
  if (whole)
    job.cancelling = true;
  extra.reason = reason;
  for (const auto& [node, allocation] : extra.allocations) {
    TasksToStop stop{node, id, {}, reason};
    for (const TaskRun& run : runs)
      for (const TaskRun& flying : allocation.runs)
        for (const TaskRun& part : common({flying}, TaskRun{run.first, run.count, flying.attempt}))
          stop.runs.push_back(part);
    for (const TaskRun& part : stop.runs)
      if (!whole) {
        take_from(extra.stopping, TaskRun{part.first, part.count, 1});
        add_to(extra.stopping, TaskRun{part.first, part.count, 1});
      }
    if (!stop.runs.empty())
      changes_.push_back(std::move(stop));
  }
  close_if_over(job, id);
  moved(id);
  count_state(before, job.state());
}

void Applier::reopen(Job& job, JobId id) {
  if (!job.ended)
    return;
  job.ended = false;
  job.extra->ended = {};
  changes_.push_back(JobReopened{id, job.kind->kind, job.submitted, job.held});
}

void Applier::on(const TasksPreempted& f) {
  Job& job = *s_.jobs.find(f.job);
  for (const TaskRun& run : f.runs) {
    std::vector<TaskRun> alone{{run.first, run.count, 1}}; // a copy's other half goes on without it
    for (const TaskRun& copied : common(job.extra->copied, TaskRun{run.first, run.count, 1}))
      take_from(alone, copied);
    for (const TaskRun& part : alone) {
      take_from(job.extra->yielding, part);
      add_to(job.extra->yielding, part);
      if (f.cause == Cause::drained) {
        take_from(job.extra->moving, part);
        add_to(job.extra->moving, part);
      }
    }
  }
  changes_.push_back(TasksToStop{f.node, f.job, f.runs, f.reason, true});
}

void Applier::on(const TasksRetried& f) {
  Job& job = *s_.jobs.find(f.job);
  JobExtra& extra = job.more();
  const JobState before = job.state();
  reopen(job, f.job);
  if (std::exchange(job.cancelling, false)) // what is being stopped still is, one by one
    for (const auto& [node, allocation] : extra.allocations)
      for (const TaskRun& run : allocation.runs) {
        take_from(extra.stopping, TaskRun{run.first, run.count, 1});
        add_to(extra.stopping, TaskRun{run.first, run.count, 1});
      }
  const std::vector<TaskRun> runs =
    f.runs.empty() ? std::vector<TaskRun>{{0, job.count, 1}} : f.runs;
  for (const TaskRun& run : runs) {
    take_from(extra.stopping, TaskRun{run.first, run.count, 1}); // comes back, and waits again
    std::vector<std::pair<TaskIndex, Mark>> marked;
    extra.marks.each_in(run.first, run.count,
                        [&](TaskIndex first, const Mark& m) { marked.emplace_back(first, m); });
    for (auto& [first, mark] : marked) {
      if (mark.state == TaskState::failed) {
        extra.failed -= mark.count;
      } else if (mark.state == TaskState::cancelled) {
        extra.cancelled -= mark.count;
      } else if (mark.state == TaskState::held) {
        extra.held -= mark.count;
        s_.totals.held -= mark.count;
      } else {
        continue;
      }
      Mark again;
      again.count = mark.count;
      again.attempt = mark.attempt;
      const TaskRun ready{first, mark.count, mark.attempt + 1};
      extra.marks.set(first, std::move(again));
      s_.totals.pending += ready.count;
      *job.kind->waiting += ready.count;
      changes_.push_back(TasksReady{f.job, ready, {}});
    }
  }
  if (extra.failed == 0) {
    extra.exit_code = 0;
    extra.reason.clear();
  }
  count_state(before, job.state());
}

void Applier::on(const JobHeld& f) {
  Job& job = *s_.jobs.find(f.job);
  const JobState before = job.state();
  job.held = f.hold;
  if (f.hold || job.extra)
    job.more().reason = f.hold ? f.reason : "";
  count_state(before, job.state());
  changes_.push_back(HoldChanged{f.job, f.hold});
}

void Applier::on(const JobsForgotten& f) {
  for (const JobId id : f.jobs) {
    Job* job = s_.jobs.find(id);
    if (!job)
      continue;
    s_.keys.erase(job->key, s_.jobs);
    s_.release(job->kind);
    s_.jobs.erase(id);
    changes_.push_back(JobForgotten{id});
  }
}

} // namespace reeve::core
