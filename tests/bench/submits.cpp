// Jobs of one task submitted one by one, pipelined, each acknowledged as durable.
#include "tests/bench/harness.hpp"

#include <thread>
#include <unistd.h>

int main() {
  using namespace reeve;
  using namespace reeve::bench;
  constexpr int jobs = 200'000;
  constexpr std::size_t in_flight = 8'192; // a master takes 10,000 of one connection
  const double raw = raw_pipelined(4'096, 200'000);
  Cluster cluster;
  const double commit = raw_commit(cluster.scratch(), 64 << 10);
  cluster.start_master();
  ClientOptions options;
  options.in_flight_max = in_flight;
  Client client = cluster.client(options);
  Submit submit;
  submit.jobs.resize(1);
  submit.jobs[0].executor = "noop";
  int acknowledged = 0;
  const double before = cpu_seconds(cluster.master().pid());
  const double own_before = cpu_seconds(::getpid());
  const auto start = Clock::now();
  for (int i = 0; i < jobs; ++i) {
    submit.key.data = "bench " + std::to_string(i);
    or_give_up(client.submit_async(submit,
                                   [&](Result<Submitted> answer) {
                                     if (!answer)
                                       give_up("submit: " + answer.error().message());
                                     ++acknowledged;
                                   }),
               "submit");
  }
  or_give_up(client.drain(std::chrono::seconds(60)), "drain");
  const double took = seconds_since(start);
  const double master = cpu_seconds(cluster.master().pid()) - before;
  const double own = cpu_seconds(::getpid()) - own_before;
  if (acknowledged != jobs)
    give_up("not every job was acknowledged");
  say("  raw commit of 64 KiB", 1 / commit, "commits/s");
  std::this_thread::sleep_for(std::chrono::milliseconds(1'500)); // a master counts once a second
  const Stats stats = or_give_up(client.ask(GetStats{}), "stats");
  const double commits = static_cast<double>(stats.counters.at("journal.commits"));
  say("  jobs that share a commit", jobs / commits, "jobs");
  say("  a commit, handed over to durable",
      static_cast<double>(stats.histograms.at("journal_commit").sum_us) / commits / 1e3, "ms");
  say("  processor time of the master", master / jobs * 1e6, "us/job");
  say("  processor time of the client", own / jobs * 1e6, "us/job");
  say("single submits, pipelined, durable", jobs / took, "jobs/s", "raw round trips, pipelined",
      raw, {200'000, true});
}
