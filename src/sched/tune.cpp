// Utilisation control: what nodes really use, as their heartbeats tell, against the marks that the
// operator has set. Above a high mark a node gets no new work, so that the share above the mark
// stays free; below the low marks a node that is booked out may be given more than it has, for jobs
// that allow it, in bounded steps, and less again when it becomes busy. See state.hpp.
#include "src/sched/state.hpp"

#include <algorithm>
#include <cmath>

namespace reeve::sched {
namespace {
constexpr std::int64_t calm_below = 5;   // percent under a high mark: work is given again
constexpr std::int64_t pressure_at = 95; // percent, where there is no high mark
constexpr std::int64_t booked_out = 10;  // percent that are left at most

std::int64_t percent(std::int64_t part, std::int64_t whole) {
  if (whole <= 0)
    return 0;
  return std::llround(static_cast<double>(part) * 100.0 / static_cast<double>(whole));
}
} // namespace

void Scheduler::State::measured(NodeId node, const Resources& used) {
  Gauge& gauge = gauges[node];
  gauge.recent[gauge.next] = {used.cpu_milli, used.memory_bytes};
  gauge.next = (gauge.next + 1) % gauge.recent.size();
  gauge.used = std::min(gauge.used + 1, gauge.recent.size());
  if (!std::exchange(gauge.fresh, true))
    fresh_gauges.push_back(node);
}

void Scheduler::State::tune(std::vector<core::Command>& commands) {
  const GlobalSettings& s = lots.settings().global();
  for (const NodeId id : std::exchange(fresh_gauges, {})) {
    Gauge& gauge = gauges[id];
    gauge.fresh = false;
    const At at = nodes.find(id);
    if (at == nowhere || nodes[at].facts.state != NodeState::up) {
      gauges.erase(id);
      continue;
    }
    if (gauge.used < gauge.recent.size() || clock - gauge.changed < s.adjust_every)
      continue;
    const core::NodeChanged& facts = nodes[at].facts;
    std::int64_t cpu_used = 0, memory_used = 0;
    for (const auto& [cpu, memory] : gauge.recent) {
      cpu_used += cpu;
      memory_used += memory;
    }
    const auto samples = static_cast<std::int64_t>(gauge.recent.size());
    const std::int64_t cpu = percent(cpu_used / samples, facts.capacity.cpu_milli);
    const std::int64_t memory = percent(memory_used / samples, facts.capacity.memory_bytes);
    const auto reaches = [](std::int64_t use, std::int64_t mark) {
      return mark > 0 && use >= mark;
    };
    const bool over = reaches(cpu, s.high_cpu) || reaches(memory, s.high_memory);
    const bool calm =
      !reaches(cpu, s.high_cpu - calm_below) && !reaches(memory, s.high_memory - calm_below);
    const bool pressure = cpu >= (s.high_cpu > 0 ? s.high_cpu : pressure_at) ||
                          memory >= (s.high_memory > 0 ? s.high_memory : pressure_at);
    const bool closed = over || (facts.closed && !calm);
    const auto most = std::int64_t{s.overcommit_max} * 10;
    const auto step = std::int64_t{s.overcommit_step} * 10;
    const std::int64_t present = facts.overcommit_milli;
    std::int64_t factor = std::min(present, most);
    const auto full = [&](std::int64_t whole, std::int64_t left) {
      return percent(left + whole / 1000 * (present - 1000), whole) <= booked_out;
    };
    if (pressure)
      factor = std::max<std::int64_t>(1000, factor - 2 * step);
    else if (!closed && cpu < s.low_cpu && memory < s.low_memory &&
             (full(facts.capacity.cpu_milli, nodes.free(at)[0]) ||
              full(facts.capacity.memory_bytes, nodes.free(at)[1])))
      factor = std::min(most, factor + step);
    if (factor == present && closed == facts.closed)
      continue;
    gauge.changed = clock;
    const std::string use =
      "vcores " + std::to_string(cpu) + " % and memory " + std::to_string(memory) + " % in use";
    std::string why = use;
    if (closed != facts.closed)
      why += closed ? ", at its high mark: no new work" : ", below its high marks: work again";
    if (factor > present)
      why += ", below its low marks and booked out: overcommit grows";
    else if (factor < present)
      why += pressure ? ", pressure: overcommit falls" : ", overcommit_max is lower now";
    commands.emplace_back(core::Tune{id, static_cast<std::uint32_t>(factor), closed, why});
  }
}

} // namespace reeve::sched
