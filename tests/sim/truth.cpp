// See truth.hpp.
#include "tests/sim/truth.hpp"

namespace reeve::sim {
namespace {

std::string text_of(const AttemptId& id) {
  return "try " + std::to_string(id.attempt) + " of task " + std::to_string(id.index) + " of job " +
         std::to_string(id.job.value);
}
template<class F> void each(JobId job, const TaskRun& run, F&& f) {
  for (std::uint32_t k = 0; k < run.count; ++k)
    f(AttemptId{job, run.first + k, run.attempt});
}
std::uint64_t print_of(std::string_view bytes) {
  return seed_of(bytes.size(), bytes);
}

} // namespace

void Truth::broken(std::string what) {
  if (!fault_)
    fault_ = Broken{std::move(what), timeline_.now()};
}

// ---- entries

void Truth::replay(Seq seq, const std::string& bytes) {
  if (bytes.empty())
    return broken("entry " + std::to_string(seq.value) + " has effects and is not durable");
  const auto entry = decode<Entry>(bytes, stored_limits);
  if (!entry)
    return broken("entry " + std::to_string(seq.value) + ": " + entry.error().message());
  before(entry->fact);
  core::Changes changes;
  if (auto replayed = cluster_.replay(seq, *entry, changes); !replayed)
    return broken(replayed.error().message());
  prints_.push_back(print_of(bytes));
  print_ = scatter(print_ ^ prints_.back());
  after(entry->fact);
  for (const auto& change : changes)
    if (const auto* over = std::get_if<core::JobEnded>(&change))
      ended_.insert(over->job); // it may run again: the word of its end may come late
  for (const std::string& bad : cluster_.check_invariants())
    broken(bad);
  check_capacity();
}

void Truth::before(const Fact& fact) {
  for (const auto& [id, node] : cluster_.nodes())
    booked_[id] = node.booked;
  const auto give_up = [this](NodeId id, auto whose) {
    const core::Node* node = cluster_.find_node(id);
    if (!node)
      return;
    for (const JobId job : node->jobs)
      if (whose(job))
        for (const TaskRun& run : cluster_.find_job(job)->extra->allocations.at(id).runs)
          each(job, run, [&](const AttemptId& attempt) { given_up_.insert(attempt); });
  };
  if (const auto* gone = std::get_if<NodesLost>(&fact)) {
    for (const NodeId id : gone->nodes)
      give_up(id, [&](JobId job) {
        return gone->left || cluster_.kind_of(*cluster_.find_job(job)).disconnect == Duration(0);
      });
  } else if (const auto* again = std::get_if<NodeRegistered>(&fact)) {
    if (const core::Node* node = cluster_.find_node(again->node);
        node && node->incarnation != again->incarnation)
      give_up(again->node, [](JobId) { return true; });
  } else if (const auto* abandoned = std::get_if<TasksAbandoned>(&fact)) {
    give_up(abandoned->node, [&](JobId job) { return job == abandoned->job; });
  }
}

void Truth::after(const Fact& fact) {
  if (const auto* placed = std::get_if<TasksPlaced>(&fact)) {
    for (const Placement& p : placed->placements)
      for (const TaskRun& run : p.runs)
        each(p.job, run, [&](const AttemptId& id) {
          if (!placed_.emplace(id, p.node).second)
            broken(text_of(id) + " was placed twice");
          if (p.copy)
            copies_.insert(id);
        });
  } else if (const auto* finished = std::get_if<TasksFinished>(&fact)) {
    for (const JobResults& results : finished->jobs) {
      for (const QuietRun& quiet : results.quiet)
        finish(results.job, quiet.run);
      for (const TaskResult& result : results.tasks) {
        finish(results.job, {result.index, 1, result.attempt});
        if (result.cause == Cause::none && !succeeded_.insert({results.job, result.index}).second)
          broken("task " + std::to_string(result.index) + " of job " +
                 std::to_string(results.job.value) + " succeeded after another try had");
      }
      for (const QuietRun& quiet : results.quiet)
        each(results.job, quiet.run, [&](const AttemptId& id) {
          if (!succeeded_.insert({id.job, id.index}).second)
            broken(text_of(id) + " succeeded after another had");
        });
    }
  } else if (const auto* granted = std::get_if<LeaseGranted>(&fact)) {
    leases_.insert(granted->lease);
  }
}

void Truth::finish(JobId job, const TaskRun& run) {
  each(job, run, [&](const AttemptId& id) {
    if (!results_.insert(id).second)
      broken("the result of " + text_of(id) + " was recorded twice");
    if (!placed_.contains(id))
      broken("a result of " + text_of(id) + ", which was never placed, was recorded");
  });
}

/// Nothing was given beyond the capacity. A node that shrank may hold more, but is given nothing.
void Truth::check_capacity() {
  for (const auto& [id, node] : cluster_.nodes()) {
    const Resources& old = booked_[id];
    const Resources room = node.room(true); // with its overcommit factor
    if ((room.cpu_milli < 0 && node.booked.cpu_milli > old.cpu_milli) ||
        (room.memory_bytes < 0 && node.booked.memory_bytes > old.memory_bytes))
      broken("node " + node.name + " was given " + to_text(node.booked) + " and has " +
             to_text(node.capacity));
    if (node.booked.cpu_milli < 0 || node.booked.memory_bytes < 0)
      broken("node " + node.name + " was given less than nothing");
  }
}

void Truth::check_hash(const core::Cluster& other, const char* which) {
  if (other.last_seq() == cluster_.last_seq() && other.state_hash() != cluster_.state_hash())
    broken(std::string(which) + " is not what the entries up to " +
           std::to_string(cluster_.last_seq().value) + " give");
}

void Truth::published(const core::Committed& batch, const core::Cluster& now) {
  // A leader that was deposed a moment ago may hear only now that its last entries are durable: the
  // next one has found them. They must be the same.
  if (batch.last() <= cluster_.last_seq()) {
    for (std::size_t k = 0; k < batch.entries.size(); ++k)
      if (print_of(encode(batch.entries[k])) != prints_[batch.first.value + k - 1])
        broken("entry " + std::to_string(batch.first.value + k) +
               " was published twice, and differs");
    return;
  }
  if (batch.first != cluster_.last_seq().next())
    broken("entry " + std::to_string(batch.first.value) + " was published behind " +
           std::to_string(cluster_.last_seq().value));
  if (batch.last() > log_.synced())
    broken("entry " + std::to_string(batch.last().value) + " was published, the log has " +
           std::to_string(log_.synced().value));
  while (!fault_ && cluster_.last_seq() < batch.last())
    replay(cluster_.last_seq().next(), log_.entry(cluster_.last_seq().next()));
  if (!fault_ && now.last_seq() == cluster_.last_seq() && ++hashed_ % 8 == 0)
    check_hash(now, "the ledger's state");
}

void Truth::recovered(const core::Cluster& cluster) {
  if (cluster.last_seq() < cluster_.last_seq())
    broken("entries up to " + std::to_string(cluster_.last_seq().value) +
           " were published, the new reign knows " + std::to_string(cluster.last_seq().value));
  for (Seq seq = log_.begins_after().next(); !fault_ && seq <= cluster_.last_seq();
       seq = seq.next())
    if (print_of(log_.entry(seq)) != prints_[seq.value - 1])
      broken("entry " + std::to_string(seq.value) + " is not what was published");
  while (!fault_ && cluster_.last_seq() < cluster.last_seq())
    replay(cluster_.last_seq().next(), log_.entry(cluster_.last_seq().next()));
  if (!fault_)
    check_hash(cluster, "the recovered state");
}

void Truth::check_all() {
  const auto again = log_.recovered();
  if (!again)
    return broken("recovery fails: " + again.error().message());
  check_hash(*again, "the state of snapshot and tail");
  const auto restored = core::Cluster::restore(cluster_.snapshot());
  if (!restored)
    return broken("a snapshot cannot be restored: " + restored.error().message());
  check_hash(*restored, "the state of a snapshot");
}

// ---- processes

void Truth::started(const Place& place, const AttemptId& id, const Resources& resources) {
  const std::string who = text_of(id) + " was started on " + place.node;
  if (running_.contains(id))
    broken(who + " while it runs on " + running_.at(id).place.node);
  const auto at = placed_.find(id);
  const core::Node* node = at == placed_.end() ? nullptr : cluster_.find_node(at->second);
  if (at == placed_.end())
    broken(who + " without a durable placement");
  else if (node && node->name != place.node)
    broken(who + " and was placed on " + node->name);
  for (auto other = running_.lower_bound({id.job, id.index, 0});
       other != running_.end() && other->first.job == id.job && other->first.index == id.index;
       ++other)
    if (other->first.attempt < id.attempt && other->second.place.honest &&
        !given_up_.contains(other->first) && !copies_.contains(id))
      broken(who + " while " + text_of(other->first) + " runs on " + other->second.place.node +
             ", which nobody has given up");
  if (results_.contains(id) && place.honest)
    broken(who + " after its result was recorded");
  running_.emplace(id, Running{place, resources});
  Resources sum;
  for (const auto& [other, running] : running_)
    if (running.place.machine == place.machine)
      sum += running.resources;
  if (!fits(sum, place.capacity))
    broken("processes on " + place.node + " use " + to_text(sum) + ", it has " +
           to_text(place.capacity));
}

void Truth::ended(const AttemptId& id) {
  running_.erase(id);
}

void Truth::acknowledged(const std::string& name, const JobRuns& tasks) {
  const core::Node* node = cluster_.find_node(name);
  const core::Job* job = cluster_.find_job(tasks.job);
  if (!node || !job || !job->extra || job->ended)
    return;
  const auto at = job->extra->allocations.find(node->id);
  if (at == job->extra->allocations.end())
    return;
  for (const TaskRun& run : tasks.runs)
    if (!core::common(at->second.runs, run).empty())
      broken("results of job " + std::to_string(tasks.job.value) + " were acknowledged to " + name +
             ", and its tasks still count as running there");
}

// ---- users

void Truth::submitted(const std::string& key, JobId first, std::uint32_t count,
                      std::uint32_t asked) {
  if (count != asked || first.value + count > cluster_.newest_job().value + 1)
    broken("jobs from " + std::to_string(first.value) + " were acknowledged, the journal has " +
           std::to_string(cluster_.newest_job().value));
  const auto [at, fresh] = keys_.try_emplace(key, first, count);
  if (!fresh && at->second.first != first)
    broken("a submission sent twice has made jobs " + std::to_string(at->second.first.value) +
           " and " + std::to_string(first.value));
  for (std::uint32_t k = 0; k < count; ++k)
    if (!jobs_.insert(JobId(first.value + k)).second && fresh)
      broken("two submissions were given job " + std::to_string(first.value + k));
}
void Truth::told_ended(JobId job) {
  if (!ended_.contains(job))
    broken("a user was told that job " + std::to_string(job.value) + " has ended");
}
void Truth::granted(LeaseId lease) {
  if (!leases_.contains(lease))
    broken("lease " + std::to_string(lease.value) + " was granted without an entry");
}

bool Truth::over(JobId job) const {
  const core::Job* known = cluster_.find_job(job);
  return ended_.contains(job) && (!known || known->ended);
}

std::optional<TaskId> Truth::some_pending(Random& random) const {
  std::vector<TaskId> pending;
  for (JobId id = cluster_.oldest_job(); id <= cluster_.newest_job(); id = id.next())
    if (const core::Job* job = cluster_.find_job(id); job && !job->ended && job->pending() > 0)
      pending.push_back({id, static_cast<TaskIndex>(random.below(job->count))});
  if (pending.empty())
    return std::nullopt;
  const TaskId task = random.pick(pending);
  if (cluster_.state_of(*cluster_.find_job(task.job), task.index) != TaskState::pending)
    return std::nullopt;
  return task;
}

std::string Truth::unfinished() const {
  std::string text;
  for (JobId id = cluster_.oldest_job(); id <= cluster_.newest_job(); id = id.next()) {
    const core::Job* job = cluster_.find_job(id);
    if (!job || job->ended)
      continue;
    const auto progress = *cluster_.progress(id);
    text += " job " + std::to_string(id.value) + ": " + std::to_string(progress.pending) +
            " wait, " + std::to_string(progress.assigned) + " assigned, " +
            std::to_string(progress.interrupted) + " interrupted, " +
            std::to_string(progress.held) + " held";
    for (const auto& [node, allocation] :
         job->extra ? job->extra->allocations : std::map<NodeId, core::Allocation>())
      text +=
        " on " + cluster_.find_node(node)->name + "(" + std::to_string(allocation.in_flight) + ")";
    text += ";";
  }
  for (const auto& [id, running] : running_)
    text += " " + text_of(id) + " runs on " + running.place.node + ";";
  return text;
}

} // namespace reeve::sim
