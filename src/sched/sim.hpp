// Runs a workload in virtual time: the real core::Cluster as arbiter, the real Scheduler, nodes
// that do what they are given. What `reeve sim` shows, and what the scheduler's own tests measure.
// Reads no clock, does no I/O; the same workload and settings give the same result.
#pragma once

#include "src/sched/scheduler.hpp"
#include "src/sched/workload.hpp"

#include <functional>

namespace reeve::sched {

struct SimTask {
  std::size_t job = 0; // in the workload
  TaskIndex index = 0;
  std::size_t node = 0;
  Duration submitted{0}, started{-1}, ended{-1}; // -1: never
};

struct SimSample { // after everything that happened at a moment
  Duration at{0};
  double used = 0;           // share of all vcores, 0 to 1
  std::uint64_t waiting = 0; // tasks not started
};

struct Metrics {
  std::uint64_t jobs = 0, tasks = 0;
  std::uint64_t unfinished = 0; // tasks that never started, or not to their end
  double mean_wait_s = 0, p95_wait_s = 0,
         max_wait_s = 0; // of jobs, until their first task starts
  double mean_slowdown = 0,
         p95_slowdown = 0; // bounded: run times count as 10 s at least
  double utilisation = 0;  // vcore time used, of all there was until the end
  double makespan_s = 0;
  double fairness = 0; // Jain's index over users of their mean bounded slowdown; 1: all alike
};

struct SimResult {
  Metrics metrics;
  std::vector<SimTask> tasks;
  std::vector<SimSample> samples; // at most some thousands
  std::uint64_t placements = 0, refused = 0;
};

/// 1 when all are alike, 1/n when one has everything; 1 for none. Source: Jain, Chiu and Hawe, "A
/// quantitative measure of fairness and discrimination", DEC-TR-301, 1984.
double jains_index(std::span<const double> values);

struct SimOptions {
  std::map<std::string, std::string> settings; // queue.* and scheduler.*
  Duration until{0};                           // 0: until nothing more can happen
  /// Called after each moment's decisions; for tests.
  std::function<void(const core::Cluster&, Scheduler&, TimePoint)> watch;
};

SimResult simulate(const Workload& workload, const SimOptions& options = {});

/// Two pictures, one over the other: how much is used and how much waits, a line for each result. A
/// whole SVG document.
std::string plot_svg(const std::string& title,
                     std::span<const std::pair<std::string, SimResult>> results);

} // namespace reeve::sched
