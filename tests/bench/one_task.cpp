// One durable task at a time: submitted, placed, run, its result recorded, and its end told.
#include "tests/bench/harness.hpp"

int main() {
  using namespace reeve;
  using namespace reeve::bench;
  Cluster cluster;
  const double commit = raw_commit(cluster.scratch(), 256, 1'000);
  const double round_trip = raw_round_trip();
  cluster.start_master();
  cluster.start_agent("2");
  Client client = cluster.client();
  JobSpec spec;
  spec.executor = "noop";
  std::vector<double> submits, whole;
  for (int i = 0; i < 1'000; ++i) {
    const auto start = Clock::now();
    const JobId job = or_give_up(client.submit(spec), "submit");
    submits.push_back(seconds_since(start));
    or_give_up(client.wait({job}), "wait");
    whole.push_back(seconds_since(start));
  }
  const double base = round_trip + 2 * commit;
  say("  raw round trip, p50", round_trip * 1e6, "us");
  say("  raw commit, p50", commit * 1e6, "us");
  say("  submit acknowledged, p50", median(submits) * 1e6, "us");
  say("  one task, p99", percentile(whole, 0.99) * 1e6, "us");
  say("one durable task at a time, p50", median(whole) * 1e6, "us", "a round trip and two commits",
      base * 1e6, {3 * base * 1e6, false});
}
