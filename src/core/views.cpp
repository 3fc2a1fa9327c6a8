// Reading the cluster: answers to questions, the state as changes for a starting decider, and what
// agents are sent. Changes nothing. See cluster.hpp.
#include "src/core/state.hpp"

#include <algorithm>
#include <span>

namespace reeve::core {

Seq Cluster::last_seq() const {
  return state_->seq;
}
Epoch Cluster::epoch() const {
  return state_->epoch;
}
const Node* Cluster::find_node(NodeId id) const {
  return state_->node(id);
}
const Node* Cluster::find_node(std::string_view name) const {
  const auto at = state_->node_names.find(std::string(name));
  return at == state_->node_names.end() ? nullptr : state_->node(at->second);
}
const Job* Cluster::find_job(JobId id) const {
  return state_->jobs.find(id);
}
const std::map<NodeId, Node>& Cluster::nodes() const {
  return state_->nodes;
}
const std::map<LeaseId, Lease>& Cluster::leases() const {
  return state_->leases;
}
const std::map<std::string, std::string>& Cluster::config() const {
  return state_->config;
}
const std::set<std::string>& Cluster::broken_promises() const {
  return state_->broken;
}
JobId Cluster::newest_job() const {
  return state_->jobs.newest();
}
JobId Cluster::oldest_job() const {
  return state_->jobs.oldest();
}
const Kind& Cluster::kind_of(const Job& job) const {
  return *job.kind->kind;
}

namespace {

Attempt attempt_in(const Allocation& allocation, TaskIndex index) {
  for (const TaskRun& run : allocation.runs)
    if (run.first <= index && index - run.first < run.count)
      return run.attempt;
  return 0;
}
using FlightOn = std::pair<const NodeId, Allocation>;
/// Of a task with a copy the older attempt, or the `newest`; of one whose copy ended well, none.
const FlightOn* flight_of(const Job& job, TaskIndex index, bool newest = false) {
  if (!job.extra || job.extra->assigned == 0 || holds(job.extra->beaten, index))
    return nullptr;
  const bool copied = holds(job.extra->copied, index);
  const FlightOn* found = nullptr;
  for (const FlightOn& entry : job.extra->allocations) {
    if (!holds(entry.second.runs, index))
      continue;
    if (!copied)
      return &entry;
    if (!found || (attempt_in(entry.second, index) > attempt_in(found->second, index)) == newest)
      found = &entry;
  }
  return found;
}

JobProgress progress_of(JobId id, const Job& job) {
  JobProgress p;
  p.job = id;
  p.state = job.state();
  p.total = job.count;
  p.pending = job.pending();
  if (const JobExtra* extra = job.extra.get()) {
    p.assigned = extra->assigned;
    p.succeeded = extra->succeeded;
    p.failed = extra->failed;
    p.cancelled = extra->cancelled;
    p.held = extra->held;
    p.interrupted = extra->interrupted;
    p.exit_code = extra->exit_code;
  }
  return p;
}

Error no_job(JobId id) {
  return {Code::not_found, "job",
          "no job " + std::to_string(id.value) + " (ended jobs are kept in history)"};
}

bool matches(const std::string& pattern, const std::string& name) {
  if (!pattern.empty() && pattern.back() == '*')
    return name.compare(0, pattern.size() - 1, pattern, 0, pattern.size() - 1) == 0;
  return name == pattern;
}
} // namespace

TaskState Cluster::state_of(const Job& job, TaskIndex index) const {
  if (job.extra)
    if (const auto at = job.extra->marks.find(index); at != job.extra->marks.map().end())
      return at->second.state;
  if (index >= job.next)
    return TaskState::pending;
  return flight_of(job, index) ? TaskState::assigned : TaskState::succeeded;
}

Cluster::Placed Cluster::placed(const Job& job, TaskIndex index) const {
  if (const auto* flight = flight_of(job, index))
    return {attempt_in(flight->second, index), flight->first};
  if (job.extra)
    if (const auto at = job.extra->marks.find(index); at != job.extra->marks.map().end())
      return {at->second.attempt, {}};
  return {index < job.next ? Attempt{1} : Attempt{0}, {}};
}

std::string Cluster::waits_for(const Job& job, TaskIndex index) const {
  if (!job.extra || !holds(job.extra->blocked, index))
    return {};
  return core::waits_for(*state_, job.extra->after, index);
}

Result<JobProgress> Cluster::progress(JobId id) const {
  const Job* job = state_->jobs.find(id);
  if (!job)
    return tl::unexpected<Error>(no_job(id));
  return progress_of(id, *job);
}

namespace {
/// What waits for a person says so; of all alike, the first.
std::string held_reason(const Job& job) {
  for (const auto& [first, mark] : job.extra->marks.map())
    if (mark.state == TaskState::held)
      return std::to_string(job.extra->held) + (job.extra->held == 1 ? " task is" : " tasks are") +
             " held; task " + std::to_string(first) + ": " + mark.reason;
  return {};
}

JobView view_of(const Cluster::State& state, JobId id, const Job& job, const JobSpec& spec,
                bool with_spec) {
  JobView v;
  v.progress = progress_of(id, job);
  v.name = spec.name;
  v.user = spec.user;
  v.queue = spec.queue;
  v.priority = spec.priority;
  v.labels = spec.labels;
  v.correlation = spec.correlation;
  v.submitted = job.submitted;
  if (job.extra) {
    v.started = job.extra->started;
    v.ended = job.extra->ended;
    v.reason = job.extra->reason;
    if (job.extra->held > 0 && !job.held)
      v.reason = held_reason(job);
    if (v.reason.empty() && !job.extra->blocked.empty())
      v.reason = core::waits_for(state, job.extra->after);
  }
  if (with_spec && job.extra &&
      !job.extra->after.empty()) { // not places in a submission that is over
    JobSpec told = spec;
    told.after = job.extra->after;
    for (Dependency& dependency : told.after)
      dependency.place = 0;
    v.spec.msgpack = encode(told);
  } else if (with_spec) {
    v.spec.msgpack = job.encoded_spec();
  }
  return v;
}
} // namespace

JobList Cluster::list(const ListJobs& q) const {
  JobList out;
  out.seq = state_->seq;
  const bool needs_spec = !q.name.empty() || !q.labels.empty();
  const auto consider = [&](JobId id) { // false: the page is full
    const Job* job = state_->jobs.find(id);
    if (!job)
      return true;
    const Kind& kind = *job->kind->kind;
    if ((!q.user.empty() && kind.user != q.user) || (!q.queue.empty() && kind.queue != q.queue))
      return true;
    if (!q.states.empty() &&
        std::find(q.states.begin(), q.states.end(), job->state()) == q.states.end())
      return true;
    std::optional<JobSpec> spec;
    const auto decoded = [&]() -> const JobSpec& {
      if (!spec)
        spec = decode<JobSpec>(job->encoded_spec()).value_or(JobSpec{});
      return *spec;
    };
    if (needs_spec) {
      if (!q.name.empty() && !matches(q.name, decoded().name))
        return true;
      for (const auto& [name, value] : q.labels)
        if (const auto at = decoded().labels.find(name);
            at == decoded().labels.end() || at->second != value)
          return true;
    }
    if (out.jobs.size() >= q.limit) {
      out.more = true;
      return false;
    }
    out.jobs.push_back(view_of(*state_, id, *job, decoded(), q.spec));
    return true;
  };
  if (!q.jobs.empty()) {
    std::vector<JobId> ids = q.jobs;
    if (q.oldest_first)
      std::sort(ids.begin(), ids.end());
    else
      std::sort(ids.rbegin(), ids.rend());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    for (const JobId id : ids)
      if ((!q.before || (q.oldest_first ? q.before < id : id < q.before)) && !consider(id))
        break;
    return out;
  }
  if (q.oldest_first) {
    for (JobId id = std::max(state_->jobs.oldest(), q.before.next()); id <= state_->jobs.newest();
         id = id.next())
      if (!consider(id))
        break;
    return out;
  }
  const JobId oldest = state_->jobs.oldest();
  JobId id = q.before && q.before <= state_->jobs.newest() ? JobId(q.before.value - 1)
                                                           : state_->jobs.newest();
  for (; id >= oldest && id.value > 0; id = JobId(id.value - 1))
    if (!consider(id))
      break;
  return out;
}

Result<TaskList> Cluster::list(const ListTasks& q) const {
  const Job* job = state_->jobs.find(q.job);
  if (!job)
    return tl::unexpected<Error>(no_job(q.job));
  if (q.from >= job->count)
    return fail(Code::not_found, "from",
                "job " + std::to_string(q.job.value) + " has tasks 0 to " +
                  std::to_string(job->count - 1));
  TaskList out;
  const auto wanted = [&](TaskState s) {
    return q.states.empty() || std::find(q.states.begin(), q.states.end(), s) != q.states.end();
  };
  // A filtered page looks at a bounded number of tasks, so that one question about an array of
  // millions stays short.
  std::uint64_t looked = 0;
  for (TaskIndex index = q.from; index < job->count; ++index) {
    if (out.tasks.size() >= q.limit || ++looked > 200'000) {
      out.more = true;
      out.next = index;
      break;
    }
    const TaskState state = state_of(*job, index);
    if (!wanted(state))
      continue;
    TaskView v;
    v.job = q.job;
    v.index = index;
    v.state = state;
    const auto* flight = flight_of(*job, index);
    const bool flies = flight != nullptr;
    if (flies) {
      v.node = state_->node(flight->first)->name;
      v.attempt = attempt_in(flight->second, index);
    } else if (state == TaskState::succeeded) {
      v.attempt = 1; // history knows better and fills it in
      v.ended = true;
    }
    if (job->extra)
      if (const auto at = job->extra->marks.find(index); at != job->extra->marks.map().end()) {
        const Mark& mark = at->second;
        v.attempt = flies ? v.attempt : mark.attempt;
        v.reason = mark.reason;
        if (holds(job->extra->copied, index))
          if (const FlightOn* copy = flight_of(*job, index, true))
            v.reason = "it takes far longer than usual: attempt " +
                       std::to_string(attempt_in(copy->second, index)) + " runs as well, on " +
                       state_->node(copy->first)->name;
        v.not_before = mark.not_before;
        v.ended = mark.attempt > 0 && state != TaskState::assigned;
        v.last.index = index;
        v.last.attempt = std::max<Attempt>(1, mark.attempt); // cancelled before it was placed: 0
        v.last.cause = mark.cause;
        (mark.cause == Cause::exit_code ? v.last.exit_code : v.last.signal) = mark.exit_code;
        v.last.text = mark.reason;
      }
    if (job->extra && state == TaskState::pending && v.reason.empty() &&
        holds(job->extra->blocked, index))
      v.reason = waits_for(*job, index);
    if (job->held && state == TaskState::pending)
      v.reason =
        "the job is held" +
        (job->extra && !job->extra->reason.empty() ? ": " + job->extra->reason : std::string());
    out.tasks.push_back(std::move(v));
  }
  return out;
}

Result<NodeList> Cluster::list(const ListNodes& q) const {
  NodeList out;
  out.seq = state_->seq;
  const auto add = [&](const Node& n) {
    NodeView v;
    v.node = n.id;
    v.name = n.name;
    v.state = n.state;
    v.draining = n.draining;
    v.reason = n.reason;
    v.capacity = n.capacity;
    v.available = n.available();
    v.tasks = n.tasks;
    v.leases = n.leases;
    v.labels = n.labels;
    v.program = n.program;
    v.registered = n.registered;
    v.incarnation = n.incarnation;
    v.quarantined = n.quarantined;
    v.overcommit_milli = n.overcommit_milli;
    v.closed = n.closed;
    v.drain_deadline = n.drain_deadline;
    v.flags = n.flags;
    v.pulls = n.pulls;
    out.nodes.push_back(std::move(v));
  };
  if (q.names.empty())
    for (const auto& [id, node] : state_->nodes)
      add(node);
  for (std::size_t i = 0; i < q.names.size(); ++i) {
    const Node* node = find_node(q.names[i]);
    if (!node)
      return fail(Code::not_found, "names[" + std::to_string(i) + "]", "no node " + q.names[i]);
    add(*node);
  }
  return out;
}

LeaseView Cluster::view(const Lease& lease) const {
  const Node* node = state_->node(lease.node);
  return {lease.id,      node ? node->name : "", lease.owner, lease.resources,
          lease.granted, lease.expires,          lease.queue, lease.limits};
}
LeaseList Cluster::list(const ListLeases&) const {
  LeaseList out;
  for (const auto& [id, lease] : state_->leases)
    out.leases.push_back(view(lease));
  return out;
}

Stats Cluster::stats() const {
  const Totals& t = state_->totals;
  Stats s;
  s.jobs = state_->jobs.size();
  s.jobs_pending = t.jobs_pending;
  s.jobs_running = t.jobs_running;
  s.tasks_pending = t.pending;
  s.tasks_assigned = t.assigned;
  s.tasks_held = t.held;
  s.submitted = t.submitted;
  s.placed = t.placed;
  s.succeeded = t.succeeded;
  s.failed = t.failed;
  s.cancelled = t.cancelled;
  s.requeued = t.requeued;
  for (const auto& [id, node] : state_->nodes) {
    if (node.state == NodeState::up)
      ++s.nodes_up;
    else if (node.state == NodeState::suspect)
      ++s.nodes_suspect;
    else if (node.state == NodeState::lost)
      ++s.nodes_lost;
    if (node.draining)
      ++s.nodes_draining;
    if (node.state != NodeState::up)
      continue;
    s.capacity += node.capacity;
    s.available += node.available();
  }
  s.seq = state_->seq;
  return s;
}

Raw Cluster::spec_for_agents(JobId id) const {
  const Job* job = state_->jobs.find(id);
  return job ? Raw{job->encoded_spec()} : Raw{};
}
std::vector<std::string> Cluster::items_of(JobId id, std::span<const TaskRun> runs) const {
  std::vector<std::string> out;
  const Job* job = state_->jobs.find(id);
  if (!job || !job->extra || job->extra->items.empty())
    return out;
  const auto& items = job->extra->items;
  for (const TaskRun& run : runs)
    for (std::uint64_t i = run.first; i < std::uint64_t{run.first} + run.count && i < items.size();
         ++i)
      out.push_back(items[i]);
  return out;
}

std::vector<std::string> Cluster::peers_of(JobId id) const {
  std::vector<std::string> out;
  const Job* job = state_->jobs.find(id);
  if (!job || !job->extra || !job->kind->kind->gang)
    return out;
  out.resize(job->count);
  for (const auto& [node_id, allocation] : job->extra->allocations) {
    const Node& node = *state_->node(node_id);
    const auto address = node.labels.find("address");
    const bool usable = address != node.labels.end() && !address->second.empty() &&
                        address->second.find_first_of(", \n") == std::string::npos;
    for (const TaskRun& run : allocation.runs)
      for (std::uint32_t i = 0; i < run.count; ++i)
        out[run.first + i] = usable ? address->second : node.name;
  }
  return out;
}

namespace {
std::vector<TaskRun> flying_of(const std::vector<TaskRun>& wanted, const Allocation& allocation) {
  std::vector<TaskRun> out;
  if (!wanted.empty())
    for (const TaskRun& flying : allocation.runs)
      for (const TaskRun& part : common(wanted, TaskRun{flying.first, flying.count, 1}))
        out.push_back({part.first, part.count, flying.attempt});
  return out;
}
} // namespace

Reconciled Cluster::reconcile(NodeId id, std::span<const JobRuns> attempts) const {
  Reconciled out;
  const Node* node = state_->node(id);
  std::map<JobId, std::vector<TaskRun>> missing; // in flight here, and not named by the agent
  if (node)
    for (const JobId job : node->jobs)
      missing[job] = state_->jobs.find(job)->extra->allocations.at(id).runs;
  for (const JobRuns& has : attempts) {
    JobRuns stop{has.job, {}};
    const auto at = missing.find(has.job);
    for (const TaskRun& run : has.runs) {
      std::uint64_t end = std::uint64_t{run.first} + run.count, from = run.first;
      if (at != missing.end())
        for (const TaskRun& known : take_from(at->second, run)) {
          if (known.first > from)
            stop.runs.push_back({static_cast<TaskIndex>(from),
                                 static_cast<std::uint32_t>(known.first - from), run.attempt});
          from = std::uint64_t{known.first} + known.count;
        }
      if (from < end)
        stop.runs.push_back(
          {static_cast<TaskIndex>(from), static_cast<std::uint32_t>(end - from), run.attempt});
    }
    if (!stop.runs.empty())
      out.stop.push_back(std::move(stop));
  }
  for (auto& [job_id, runs] : missing) {
    const Job& job = *state_->jobs.find(job_id);
    const Allocation& allocation = job.extra->allocations.at(id);
    if (!runs.empty())
      out.resend.push_back({id, job_id, allocation.slots, std::move(runs)});
    JobRuns cancel{job_id,
                   job.cancelling ? allocation.runs : flying_of(job.extra->stopping, allocation)};
    if (!job.cancelling)
      for (const TaskRun& beaten : job.extra->beaten)
        for (const TaskRun& part : common(allocation.runs, beaten))
          add_to(cancel.runs, part);
    JobRuns move{job_id, job.cancelling ? std::vector<TaskRun>{}
                                        : flying_of(job.extra->yielding, allocation)};
    for (const TaskRun& run : cancel.runs) // cancelled while it is moved: no more than cancelled
      take_from(move.runs, run);
    if (!cancel.runs.empty())
      out.cancel.push_back(std::move(cancel));
    if (!move.runs.empty())
      out.move.push_back(std::move(move));
  }
  return out;
}

JobEnded end_of(const Job& job, JobId id) {
  const JobExtra& extra = *job.extra;
  return {
    id,           job.state(),     job.count,       extra.ended,  extra.started,    extra.succeeded,
    extra.failed, extra.cancelled, extra.exit_code, extra.reason, job.correlation()};
}

void Cluster::describe(Changes& changes) const {
  changes.push_back(ConfigUpdated{state_->config});
  for (const auto& [id, node] : state_->nodes)
    changes.push_back(change_of(node));
  for (const auto& [id, lease] : state_->leases)
    changes.push_back(change_of(lease));
  state_->jobs.each([&](JobId id, const Job& job) {
    if (job.ended) {
      changes.push_back(end_of(job, id));
      return;
    }
    changes.push_back(JobArrived{id, job.kind->kind, job.submitted, job.next, job.fresh(), job.held,
                                 job.extra && !job.extra->blocked.empty()});
    if (!job.extra)
      return;
    if (!job.extra->blocked.empty() && job.fresh() > 0)
      if (auto released = waiting_parts(job, {job.next, job.fresh(), 1}); !released.empty())
        changes.push_back(TasksReleased{id, std::move(released)});
    for (const auto& [first, mark] : job.extra->marks.map()) {
      if (mark.state == TaskState::pending)
        for (const TaskRun& run : waiting_parts(job, {first, mark.count, 1}))
          changes.push_back(TasksReady{id, run, mark.not_before});
      else if (mark.state == TaskState::interrupted)
        changes.push_back(TasksInterrupted{id,
                                           job.kind->kind,
                                           {{first, mark.count, mark.attempt}},
                                           {},
                                           mark.cause,
                                           mark.tally(),
                                           {}});
    }
    for (const auto& [node, allocation] : job.extra->allocations)
      changes.push_back(FlightChanged{node, id, allocation.in_flight, allocation.slots,
                                      job.kind->kind, allocation.runs});
  });
}

std::vector<std::string> Cluster::check_invariants() const {
  std::vector<std::string> bad;
  const auto expect = [&](bool good, const std::string& what) {
    if (!good)
      bad.push_back(what);
  };
  std::map<NodeId, Resources> booked;
  std::map<NodeId, std::uint32_t> tasks, leases;
  Totals sum;
  std::map<const std::uint64_t*, std::uint64_t> waiting;
  state_->jobs.each([&](JobId id, const Job& job) {
    const std::string name = "job " + std::to_string(id.value);
    std::uint32_t pending = job.fresh(), held = 0, interrupted = 0, failed = 0, cancelled = 0,
                  assigned = 0;
    if (job.extra) {
      for (const auto& [first, mark] : job.extra->marks.map()) {
        expect(std::uint64_t{first} + mark.count <= job.next, name + " has marks above next");
        pending += mark.state == TaskState::pending ? mark.count : 0;
        held += mark.state == TaskState::held ? mark.count : 0;
        interrupted += mark.state == TaskState::interrupted ? mark.count : 0;
        failed += mark.state == TaskState::failed ? mark.count : 0;
        cancelled += mark.state == TaskState::cancelled ? mark.count : 0;
      }
      for (const auto& [node, allocation] : job.extra->allocations) {
        std::uint32_t n = 0;
        for (const TaskRun& run : allocation.runs)
          n += run.count;
        expect(n == allocation.in_flight && n > 0, name + " miscounts an allocation");
        expect(allocation.slots <= n, name + " has more slots than tasks in flight");
        booked[node] += job.kind->kind->resources * allocation.slots;
        tasks[node] += n;
        assigned += n;
        const Node* at = state_->node(node);
        expect(at && at->jobs.contains(id) &&
                 (at->state == NodeState::up ||
                  (at->state == NodeState::lost && job.kind->kind->disconnect > Duration(0))),
               name + " is in flight on a node that is not up");
      }
      for (const auto* twice : {&job.extra->copied, &job.extra->beaten})
        for (const TaskRun& run : *twice)
          assigned -= run.count;
      expect(assigned == job.extra->assigned, name + " miscounts assigned");
      expect(held == job.extra->held && interrupted == job.extra->interrupted &&
               failed == job.extra->failed && cancelled == job.extra->cancelled,
             name + " miscounts its marks");
    }
    expect(pending == job.pending(), name + " miscounts pending");
    expect(job.ended ==
             (job.final_tasks() == job.count && (!job.extra || job.extra->beaten.empty())),
           name + " is over or not, and says otherwise");
    sum.pending += pending;
    waiting[job.kind->waiting] += pending;
    sum.assigned += assigned;
    sum.held += held;
    const JobState state = job.state();
    sum.jobs_running += state == JobState::running ? 1 : 0;
    sum.jobs_pending += state == JobState::pending || state == JobState::held ? 1 : 0;
  });
  for (const auto& [id, lease] : state_->leases) {
    booked[lease.node] += lease.resources;
    ++leases[lease.node];
  }
  for (const auto& [id, node] : state_->nodes) {
    expect(booked[id] == node.booked, "node " + node.name + " miscounts what is booked");
    expect(tasks[id] == node.tasks && leases[id] == node.leases,
           "node " + node.name + " miscounts tasks or leases");
  }
  const Totals& t = state_->totals;
  expect(sum.pending == t.pending && sum.assigned == t.assigned && sum.held == t.held,
         "totals of tasks are wrong");
  for (const auto& [whose, n] : state_->waiting)
    expect(n == waiting[&n],
           "what waits of user " + whose.second + " in queue " + whose.first + " is miscounted");
  expect(sum.jobs_pending == t.jobs_pending && sum.jobs_running == t.jobs_running,
         "totals of jobs are wrong");
  return bad;
}

} // namespace reeve::core
