// Copies of stragglers: a task that takes far longer than its kind, of a job that asks for it, is
// started a second time on another node, and the first to end well counts (backup tasks: Dean and
// Ghemawat, MapReduce, OSDI 2004, section 3.6). Few at once, and not where tasks take longer than
// elsewhere (LATE: Zaharia et al., Improving MapReduce Performance in Heterogeneous Environments,
// OSDI 2008). See state.hpp.
#include "src/sched/state.hpp"

namespace reeve::sched {
namespace {
constexpr Duration look_every = std::chrono::seconds(1);
constexpr Duration ask_again = std::chrono::seconds(10); // the ledger refused, or was busy
constexpr Duration shortest = std::chrono::seconds(1);   // beyond the usual: less is not worth it
constexpr std::uint32_t samples_least = 3;
constexpr std::uint32_t part_copied = 10; // one of so many tasks in flight, but one in any case
constexpr double slow = 1.5;
} // namespace

void Scheduler::State::watch(JobId id, NodeId node, std::span<const TaskRun> runs, Seen seen) {
  Watched& watched = watched_jobs[id];
  for (const TaskRun& run : runs)
    for (std::uint32_t i = 0; i < run.count; ++i) {
      const TaskIndex index = run.first + i;
      const bool there = watched.tasks.contains(index);
      if (there && seen != Seen::placed) {
        watched.tasks.erase(index);
        watched.copied.insert(index);
      } else if (seen != Seen::copied) {
        watched.tasks[index] = {node, run.attempt, clock, {}};
      }
    }
}

void Scheduler::State::unwatch(JobId id, std::span<const TaskRun> runs) {
  const auto at = watched_jobs.find(id);
  if (at == watched_jobs.end())
    return;
  for (const TaskRun& run : runs)
    for (std::uint32_t i = 0; i < run.count; ++i) {
      at->second.tasks.erase(run.first + i);
      at->second.copied.erase(run.first + i);
    }
  if (at->second.tasks.empty() && at->second.copied.empty())
    watched_jobs.erase(at);
}

void Scheduler::State::copy_stragglers(std::vector<core::Command>& commands) {
  if (watched_jobs.empty() || clock < look_for_stragglers)
    return;
  look_for_stragglers = clock + look_every;
  const std::uint32_t factor = lots.settings().global().straggler_factor;
  core::Place place;
  for (auto& [id, watched] : watched_jobs) {
    const SchedJob* known = jobs.find(id);
    if (!known)
      continue;
    const SchedJob& job = *known;
    const LotId lot = job.lot;
    const Estimate* usual = learned_of(job);
    if (factor == 0 || !usual || usual->samples() < samples_least || job.held ||
        lots.queue_of(lot).settings.paused)
      continue;
    const Duration late = std::max(*usual->median() * factor, *usual->median() + shortest);
    const std::size_t most =
      std::max<std::size_t>(1, (watched.tasks.size() + watched.copied.size()) / part_copied);
    std::size_t out = watched.copied.size();
    for (auto& [index, task] : watched.tasks) {
      if (out >= most)
        break;
      if (task.since == TimePoint{}) // the clock was not known yet
        task.since = clock;
      if (clock - task.since < late || clock < task.ask_again)
        continue;
      const Nodes::Accept other = [this, on = task.node](At at) {
        return nodes[at].facts.node != on && nodes[at].slowness < slow;
      };
      nodes.settle(clock);
      const At at = lots.times_within_quotas(lot, 1) < 1 ? nowhere : pick(lot, job, &other);
      if (at == nowhere)
        break;
      task.ask_again = clock + ask_again;
      const FlightId f = flight_of(id, at);
      const std::uint32_t slots = f == no_flight ? 0 : flights[f].expected.slots;
      place.placements.push_back(
        {nodes[at].facts.node, id, slots + 1, {{index, 1, task.attempt + 1}}, true});
      ++out;
    }
  }
  if (!place.placements.empty())
    commands.emplace_back(std::move(place));
}

} // namespace reeve::sched
