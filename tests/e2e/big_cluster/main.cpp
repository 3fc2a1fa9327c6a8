// Makes a state folder as a master of a large cluster would leave it: nodes that are up, an array
// that runs on them, a larger one that waits in a queue that is paused, single jobs. So that the
// page and the master's answers can be tested with ten thousand nodes and a million tasks on a
// small machine. Usage: reeve-big-cluster STATE NODES TASKS JOBS
#include "src/core/cluster.hpp"
#include "src/journal/journal.hpp"

#include <cstdio>
#include <cstdlib>

namespace {
using namespace reeve;

/// Decides through the real rules, and writes what was decided.
class Writer {
public:
  explicit Writer(journal::Journal& journal) : journal_(journal) {}
  core::Outcome run(const core::Command& command) {
    core::Changes changes;
    now_ += std::chrono::milliseconds(1);
    auto outcome = cluster_.execute(command, now_, changes);
    if (outcome.error || !outcome.refused.empty()) {
      std::fprintf(stderr, "refused: %s\n",
                   (outcome.error ? *outcome.error : outcome.refused.front().error).text.c_str());
      std::exit(1);
    }
    if (outcome.entry) {
      if (batch_.entries.empty())
        batch_.first = cluster_.last_seq();
      batch_.entries.push_back(encode(*outcome.entry));
      if (batch_.entries.size() >= 1'000)
        flush();
    }
    return outcome;
  }
  void flush() {
    if (batch_.entries.empty())
      return;
    if (const auto done = journal_.append({&batch_, 1}); !done) {
      std::fprintf(stderr, "%s\n", done.error().message().c_str());
      std::exit(1);
    }
    batch_ = {};
  }

private:
  journal::Journal& journal_;
  core::Cluster cluster_;
  journal::Batch batch_;
  TimePoint now_ =
    std::chrono::floor<Duration>(std::chrono::system_clock::now()) - std::chrono::hours(1);
};

JobSpec spec_of(const char* name, const char* queue, std::uint32_t count) {
  JobSpec spec;
  spec.name = name;
  spec.user = "ann";
  spec.queue = queue;
  spec.executor = "noop";
  spec.count = count;
  spec.resources.cpu_milli = 1'000;
  return spec;
}
} // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: reeve-big-cluster STATE NODES TASKS JOBS\n");
    return 2;
  }
  const auto number = [&](int k) {
    return static_cast<std::uint32_t>(std::strtoul(argv[k], nullptr, 10));
  };
  const std::uint32_t nodes = number(2), tasks = number(3), jobs = number(4);
  auto journal = journal::open_sqlite({std::string(argv[1]) + "/journal.db", false, 0});
  if (!journal || !(*journal)->acquire(Epoch(1), "big")) {
    std::fprintf(stderr, "no journal in %s\n", argv[1]);
    return 1;
  }
  Writer writer(**journal);
  writer.run(core::BeginEpoch{Epoch(1), "big"});
  writer.run(core::ChangeConfig{{{"queue.batch.paused", "true"}, {"liveness.amnesty", "1h"}}});
  const auto submit = [&](const JobSpec& spec) {
    return writer.run(core::SubmitJobs{{}, {Raw{encode(spec)}}}).first_job;
  };
  const JobId running = submit(spec_of("running", "default", 8 * nodes));
  submit(spec_of("waiting", "batch", tasks));
  for (std::uint32_t k = 0; k < jobs; ++k)
    submit(spec_of(("single-" + std::to_string(k)).c_str(), "batch", 1));
  TaskIndex next = 0;
  for (std::uint32_t k = 0; k < nodes; ++k) {
    char name[32];
    std::snprintf(name, sizeof name, "rack%03u-node%02u", k / 40, k % 40);
    core::RegisterNode node;
    node.name = name;
    node.incarnation = Incarnation(k + 1);
    node.capacity = {16'000, std::int64_t{64} << 30, std::int64_t{1} << 40, {}};
    node.labels = {{"rack", "r" + std::to_string(k / 40)}, {"zone", k % 2 ? "a" : "b"}};
    node.executors = {"noop", "process", "sleep"};
    node.program = "reeve-agent 0.1.0";
    const NodeId id = writer.run(node).node;
    if (const std::uint32_t busy = k * 7 % 17; busy > 0 && next + busy <= 8 * nodes) {
      writer.run(core::Place{{{id, running, busy, {{next, busy, 1}}}}});
      next += busy;
    }
    if (k % 500 == 3)
      writer.run(core::DrainNodes{{name}, true, "new fans"});
  }
  writer.flush();
  return 0;
}
