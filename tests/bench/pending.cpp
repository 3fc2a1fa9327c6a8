// A million distinct jobs that wait: bytes each takes in the master, and how long a master takes to
// come back with them, from its snapshot and from its journal alone.
#include "tests/bench/harness.hpp"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <thread>

namespace {
using namespace reeve;
using namespace reeve::bench;

constexpr std::uint32_t jobs = 1'000'000;

double resident_bytes(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  double size = 0, resident = 0;
  file >> size >> resident;
  return resident * 4096;
}

/// Once it has not changed for two seconds: what is freed goes back to the system within one.
double settled_bytes(pid_t pid) {
  double last = resident_bytes(pid);
  for (int quiet = 0, looks = 0; quiet < 20 && looks < 200; ++looks) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const double now = resident_bytes(pid);
    quiet = std::abs(now - last) < 1e6 ? quiet + 1 : 0;
    last = now;
  }
  return last;
}

double highest_bytes(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; file >> word;)
    if (word == "VmHWM:") {
      double kib = 0;
      file >> kib;
      return kib * 1024;
    }
  return 0;
}

double restart(Cluster& cluster) {
  cluster.master().kill();
  const auto start = Clock::now();
  cluster.start_master();
  return seconds_since(start);
}
} // namespace

int main() {
  Cluster cluster;
  cluster.start_master();
  const double empty = resident_bytes(cluster.master().pid());
  {
    Client client = cluster.client();
    Submit submit;
    submit.jobs.resize(10'000);
    const auto start = Clock::now();
    for (std::uint32_t first = 0; first < jobs; first += 10'000) {
      for (std::uint32_t i = 0; i < 10'000; ++i) {
        JobSpec& job = submit.jobs[i];
        job.name = "job " + std::to_string(first + i);
        job.executor = "process";
        job.command = {"render", std::to_string(first + i)};
      }
      submit.key = {};
      or_give_up(client.submit(submit), "submit");
    }
    say("  submitted in messages of 10,000", jobs / seconds_since(start), "jobs/s");
  }
  say("  as they came, with their events, once settled",
      (settled_bytes(cluster.master().pid()) - empty) / jobs, "bytes a task");
  const double from_journal = restart(cluster);
  {
    Client client = cluster.client();
    or_give_up(client.ask(Step{}, std::chrono::seconds(60)), "snapshot");
  }
  const double from_snapshot = restart(cluster);
  Client client = cluster.client();
  const auto stats = or_give_up(client.ask(GetStats{}), "stats");
  if (stats.tasks_pending != jobs)
    give_up("the jobs are not all there");
  say("  at most, while it started", (highest_bytes(cluster.master().pid()) - empty) / jobs,
      "bytes a task");
  const double bytes = (settled_bytes(cluster.master().pid()) - empty) / jobs;
  JobSpec spec;
  spec.name = "job 123456";
  spec.command = {"render", "123456"};
  say("bytes a distinct pending task, resident", bytes, "bytes", "its specification, encoded",
      static_cast<double>(encode(spec).size()), {200, false});
  std::ifstream journal(cluster.scratch().path("master/journal.db"),
                        std::ios::binary | std::ios::ate);
  std::vector<char> read(1 << 20);
  const auto start = Clock::now();
  journal.seekg(0);
  while (journal.read(read.data(), static_cast<std::streamsize>(read.size()))) {
  }
  const double raw = seconds_since(start);
  say("  cold start from the journal alone", from_journal, "s");
  say("cold start with 1M pending tasks", from_snapshot, "s", "reading the file", raw, {2, false});
}
