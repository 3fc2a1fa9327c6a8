// See quarantine.hpp.
#include "src/deciders/quarantine.hpp"

#include "src/util/text.hpp"

#include <algorithm>

namespace reeve::deciders {
namespace {

constexpr std::size_t failed_jobs_max = 1'000; // remembered of a node
constexpr std::size_t returns_max = 1'000;
constexpr unsigned doublings_max = 20;

bool is_the_nodes(Cause cause) {
  return cause == Cause::exit_code || cause == Cause::signal || cause == Cause::start_failed ||
         cause == Cause::executor_error || cause == Cause::unknown_executor ||
         cause == Cause::node_trouble;
}

std::string percent(double share) {
  return std::to_string(static_cast<int>(share * 100 + 0.5)) + " %";
}

} // namespace

void Quarantines::on(const core::NodeChanged& change) {
  Node& node = nodes_[change.node];
  node.name = change.name;
  node.up = change.state == NodeState::up;
  if (node.up && node.lost) {
    node.returns.push_back(change.since);
    node.flapped = true;
    if (node.returns.size() > returns_max)
      node.returns.pop_front();
  }
  node.lost = change.state == NodeState::lost;
  if (change.quarantined == TimePoint{} && node.until != TimePoint{}) { // lifted by a person
    node.times = 0;
    node.failed.clear();
  }
  node.until = change.quarantined;
}

/// Two halves of a window are counted, so that old ends are forgotten.
void Quarantines::turn(Node& node, TimePoint at, Duration window) {
  const Duration half = window / 2;
  if (at - node.half < half)
    return;
  node.older = at - node.half < 2 * half ? node.ends : Ends{};
  node.ends = {};
  node.half = at;
}

void Quarantines::learn(const TasksFinished& fact, TimePoint at, const Settings& settings) {
  const auto found = nodes_.find(fact.node);
  if (found == nodes_.end())
    return;
  Node& node = found->second;
  turn(node, at, settings.quarantine_window);
  for (const JobResults& job : fact.jobs) {
    const std::uint64_t before = node.ends.good;
    for (const QuietRun& quiet : job.quiet)
      node.ends.good += quiet.run.count;
    for (const TaskResult& result : job.tasks) {
      node.ends.good += result.cause == Cause::none ? 1 : 0;
      if (!is_the_nodes(result.cause))
        continue;
      ++node.ends.bad;
      if (node.failed.size() < failed_jobs_max || node.failed.contains(job.job))
        node.failed[job.job] = at;
      node.judge = true;
    }
    if (node.ends.good > before && at >= node.until && !node.judge)
      node.times = 0; // the probe went well
  }
}

bool Quarantines::is_worse(NodeId id, const Node& node) const {
  const double own = Ends{node.ends.good + node.older.good, node.ends.bad + node.older.bad}.share();
  Ends others;
  for (const auto& [other, n] : nodes_)
    if (other != id) {
      others.good += n.ends.good + n.older.good;
      others.bad += n.ends.bad + n.older.bad;
    }
  return own >= 0.5 && others.good > 0 && own >= 2 * others.share();
}

bool Quarantines::may_put_away(TimePoint now) const {
  std::size_t up = 0, away = 0;
  for (const auto& [id, node] : nodes_) {
    up += node.up ? 1 : 0;
    away += node.up && node.until > now ? 1 : 0;
  }
  return up > 1 && away < std::max<std::size_t>(1, up / 5);
}

void Quarantines::put_away(Node& node, TimePoint now, const Settings& settings) {
  Duration length = settings.quarantine_first;
  for (unsigned n = 0;
       n < std::min(node.times, doublings_max) && length < settings.quarantine_longest; ++n)
    length *= 2;
  length = std::min(length, settings.quarantine_longest);
  ++node.times;
  node.until = now + length; // as it will be, unless it is refused
}

std::vector<core::Command> Quarantines::decide(TimePoint now, const Settings& settings) {
  std::vector<core::Command> commands;
  for (auto& [id, node] : nodes_) {
    if (std::exchange(node.flapped, false) && settings.quarantine_flaps > 0 && node.until <= now) {
      std::erase_if(node.returns,
                    [&](TimePoint at) { return now - at >= settings.quarantine_flap_window; });
      const auto returns = static_cast<std::int64_t>(node.returns.size());
      if (returns >= settings.quarantine_flaps && may_put_away(now)) {
        put_away(node, now, settings);
        node.returns.clear();
        commands.emplace_back(core::Quarantine{{id},
                                               node.until,
                                               "it was lost and came back " +
                                                 std::to_string(returns) + " times within " +
                                                 format_duration(settings.quarantine_flap_window)});
        continue;
      }
    }
    if (!std::exchange(node.judge, false) || settings.quarantine_failures == 0 || !node.up ||
        node.until > now)
      continue;
    std::erase_if(node.failed,
                  [&](const auto& job) { return now - job.second >= settings.quarantine_window; });
    const auto jobs = static_cast<std::int64_t>(node.failed.size());
    const bool probe = node.times > 0;
    if ((jobs < settings.quarantine_failures && !probe) || !is_worse(id, node) ||
        !may_put_away(now))
      continue;
    put_away(node, now, settings);
    const double share =
      Ends{node.ends.good + node.older.good, node.ends.bad + node.older.bad}.share();
    commands.emplace_back(
      core::Quarantine{{id},
                       node.until,
                       (probe ? "failed again after a quarantine; " : "") + std::to_string(jobs) +
                         " different jobs have failed here, " + percent(share) + " of what ended"});
  }
  return commands;
}

void Quarantines::refused(const core::Quarantine& wish) {
  for (const NodeId id : wish.nodes)
    if (const auto at = nodes_.find(id); at != nodes_.end()) {
      at->second.until = {};
      at->second.times -= std::min(at->second.times, 1u);
    }
}

} // namespace reeve::deciders
