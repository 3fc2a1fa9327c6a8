// An array of processes (`true`) through one agent with two vcores, beside what the bare system can
// spawn.
#include "tests/bench/harness.hpp"

#include <cstdio>

int main() {
  using namespace reeve;
  using namespace reeve::bench;
  constexpr std::uint32_t tasks = 6'000;
  Cluster cluster;
  const double before = raw_spawns(2, 4'000);
  cluster.start_master();
  cluster.start_agent("2");
  Client client = cluster.client();
  JobSpec spec;
  spec.command = {"/bin/true"};
  spec.count = tasks;
  spec.resources.cpu_milli = 1'000;
  double best = 0;
  for (int round = 0; round < 2; ++round) {
    const auto start = Clock::now();
    const JobId job = or_give_up(client.submit(spec), "submit");
    const auto ended = or_give_up(client.wait({job}), "wait");
    if (ended.at(0).succeeded != tasks)
      give_up("not all tasks succeeded");
    best = std::max(best, tasks / seconds_since(start));
  }
  const double raw = std::max(before, raw_spawns(2, 4'000));
  say("process tasks, one agent of 2 vcores", best, "tasks/s",
      "raw spawn, pipes and wait, 2 threads", raw, {0.9 * raw, true});
}
