// An array of no-op tasks through one agent, durable: from submit to the end of the last task.
#include "tests/bench/harness.hpp"

#include <cstdio>

int main() {
  using namespace reeve;
  using namespace reeve::bench;
  constexpr std::uint32_t tasks = 1'000'000;
  Cluster cluster;
  const double commit = raw_commit(cluster.scratch(), 256);
  const double round_trip = raw_round_trip();
  cluster.start_master();
  cluster.start_agent("2");
  Client client = cluster.client();
  JobSpec spec;
  spec.executor = "noop";
  spec.count = tasks;
  double best = 0;
  for (int round = 0; round < 3; ++round) {
    const auto start = Clock::now();
    const JobId job = or_give_up(client.submit(spec), "submit");
    const auto ended = or_give_up(client.wait({job}), "wait");
    const double took = seconds_since(start);
    if (ended.at(0).succeeded != tasks)
      give_up("not all tasks succeeded");
    best = std::max(best, tasks / took);
    std::printf("  round %d: %.2f s\n", round + 1, took);
  }
  say("array of 1M no-op tasks, one agent", best, "tasks/s", "one task a commit and round trip",
      1 / (commit + round_trip), {1'000'000, true});
}
