// Work to simulate: nodes, and jobs with the times at which they come and how long their tasks
// really run. Read from Standard Workload Format, from our own text format, or from journal
// entries; written by a seeded generator. Used by the simulator's callers. Does no I/O: texts and
// entries come in.
#pragma once

#include "messages/entries.hpp"

#include <span>

namespace reeve::sched {

struct SimNode {
  std::string name;
  Resources capacity;
  std::map<std::string, std::string> labels;
  std::vector<std::string> executors = {"process", "noop", "sleep"};
  double speed = 1; // tasks take 1 / speed of their time
};

struct SimJob {
  Duration at{0}; // after the start
  JobSpec spec;
  /// How long tasks really run: one for all, or one each.
  std::vector<Duration> run_times;
  [[nodiscard]] Duration run_time(TaskIndex index) const {
    return run_times.size() == 1 ? run_times[0] : run_times[index];
  }
};

struct Workload {
  std::vector<SimNode> nodes;
  std::vector<SimJob> jobs;       // by `at`
  std::vector<std::string> notes; // what was left out and why, for people
};

struct SwfOptions {
  /// Nodes to make. 0: one that has all processors of the header's MaxProcs, as such files assume.
  std::uint32_t nodes = 0;
  std::uint32_t processors_per_node = 0;
};
/// Standard Workload Format (Chapin et al., "Benchmarks and standards for the evaluation of
/// parallel job schedulers", JSSPP 1999): 18 numbers a line, -1 where unknown, `;` starts a
/// comment. A job that needs more processors than a node has becomes a gang. Errors: bad_field,
/// `field` "line 17".
Result<Workload> read_swf(std::string_view text, const SwfOptions& options = {});
std::string write_swf(const Workload& workload);

/// Our own format, a line an item, `#` starts a comment:
///   node NAME vcores=8 memory=32GiB gpu=2 speed=1.5 label.zone=east [x=10: so
///   many alike] job at=10s run=1m [name= user= queue= count= vcores= memory=
///   disk= estimate= limit= priority=
///       parallel= gang=true exclusive=true deadline= label.KEY=VALUE
///       on.LABEL=VALUE RESOURCE=N]
/// Errors: bad_field, `field` "line 17".
Result<Workload> read_workload(std::string_view text);

/// What a journal tells: nodes as they registered, jobs as they were submitted, run times as tasks
/// had them; tasks that never ended well run as long as the median of their job, or are left out.
Workload workload_of(std::span<const Entry> entries);

struct Generator {
  std::uint64_t seed = 1;
  std::uint32_t jobs = 1'000;
  std::uint32_t processors = 128;
  std::uint32_t users = 12;
  double load = 0.8; // of all processors, on average
};
/// Jobs as on a parallel machine: sizes mostly powers of two, run times over several orders of
/// magnitude, days busier than nights, estimates too high (after the shape of Lublin and Feitelson,
/// JPDC 2003, with numbers of our own). The same seed, the same jobs, on every machine.
Workload generate(const Generator& generator);

} // namespace reeve::sched
