// What waiting tasks cost in the ledger's state, and how fast it takes commands, without sockets
// and disks: bytes a distinct pending task, restoring a million of them, commands a second. Each
// beside a baseline measured in the same run.
#include "src/core/cluster.hpp"

#include <chrono>
#include <cstdio>
#include <ctime>
#include <malloc.h>

namespace {
using namespace reeve;
/// Seconds of this thread's own work: what else the machine does is left out.
struct Clock {
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::time_point<Clock, duration>;
  static time_point now() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return time_point(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
  }
};

constexpr std::uint32_t jobs = 1'000'000, batch = 1'000;
const TimePoint now{std::chrono::hours(500'000)};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}
std::size_t used() {
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
}
void say(const char* what, double figure, const char* unit, const char* baseline,
         double baseline_figure) {
  std::printf("%-44s %10.4g %-8s %s %.4g, ratio %.3g\n", what, figure, unit, baseline,
              baseline_figure, figure / baseline_figure);
  std::fflush(stdout);
}

JobSpec job(std::uint32_t n) {
  JobSpec spec;
  spec.name = "job " + std::to_string(n);
  spec.user = "ada";
  spec.command = {"render", "--frame", std::to_string(n)};
  spec.resources.cpu_milli = 1000;
  return spec;
}
core::SubmitJobs submission(std::uint32_t first, std::uint32_t count) {
  core::SubmitJobs command;
  command.key.data = "key " + std::to_string(first);
  for (std::uint32_t n = first; n < first + count; ++n)
    command.specs.push_back(Raw{encode(job(n))});
  return command;
}

core::Outcome run(core::Cluster& cluster, const core::Command& command) {
  core::Changes changes;
  auto outcome = cluster.execute(command, now, changes);
  if (outcome.error || !outcome.refused.empty()) {
    std::printf("refused: %s\n", outcome.error ? outcome.error->message().c_str()
                                               : outcome.refused[0].error.message().c_str());
    std::exit(1);
  }
  return outcome;
}

void pending(std::uint32_t a_message) {
  const std::size_t before = used();
  core::Cluster cluster;
  double took = 0;
  for (std::uint32_t first = 0; first < jobs;
       first += batch) { // timed together: a clock costs, too
    std::vector<core::Command> commands;
    for (std::uint32_t n = 0; n < batch; n += a_message)
      commands.emplace_back(submission(first + n, a_message));
    const auto start = Clock::now();
    for (const core::Command& command : commands)
      run(cluster, command);
    took += seconds_since(start);
  }
  std::printf("1M distinct jobs of one task, %u a message\n", a_message);
  const double spec_bytes = static_cast<double>(encode(job(123'456)).size());
  say("  bytes a pending task", static_cast<double>(used() - before) / jobs, "bytes",
      "its specification:", spec_bytes);
  auto start = Clock::now();
  std::vector<JobSpec> decoded;
  for (std::uint32_t n = 0; n < batch; ++n)
    decoded.push_back(*decode<JobSpec>(encode(job(n))));
  const double raw = batch / seconds_since(start);
  say("  submitted", jobs / took, "jobs/s", "encode and decode alone:", raw);
  if (a_message == 1)
    return;
  start = Clock::now();
  const std::string snapshot = cluster.snapshot();
  const double wrote = seconds_since(start);
  start = Clock::now();
  const std::string copy = snapshot;
  const double copied = seconds_since(start);
  std::printf("  snapshot %.1f bytes a task, made in %.3f s\n",
              static_cast<double>(snapshot.size()) / jobs, wrote);
  cluster = core::Cluster();
  malloc_trim(0);
  start = Clock::now();
  const auto restored = core::Cluster::restore(snapshot);
  say("  restored from its snapshot", seconds_since(start), "s", "copying the bytes:", copied);
  if (!restored || restored->stats().tasks_pending != jobs)
    std::exit(1);
  core::Changes changes;
  start = Clock::now();
  restored->describe(changes);
  std::printf("  described to a decider in %.3f s\n", seconds_since(start));
}

/// A run of tasks placed and finished again and again: what a full queue of an array does.
void flow() {
  core::Cluster cluster;
  core::RegisterNode node;
  node.name = "n";
  node.capacity.cpu_milli = 64'000;
  node.executors = {"noop"};
  run(cluster, node);
  JobSpec spec;
  spec.executor = "noop";
  spec.count = tasks_max;
  spec.resources.cpu_milli = 1000;
  run(cluster, core::SubmitJobs{{}, {Raw{encode(spec)}}});
  constexpr std::uint32_t a_run = 1'000;
  double placing = 0, finishing = 0;
  for (TaskIndex first = 0; first < tasks_max; first += a_run) {
    const core::Command place = core::Place{{{NodeId(1), JobId(1), 64, {{first, a_run, 1}}}}};
    const core::Command finish =
      core::Finish{NodeId(1), {{JobId(1), {{{first, a_run, 1}, now, now}}, {}}}};
    auto start = Clock::now();
    run(cluster, place);
    placing += seconds_since(start);
    start = Clock::now();
    run(cluster, finish);
    finishing += seconds_since(start);
  }
  std::printf("an array of 10 M tasks in runs of %u\n", a_run);
  say("  placed", tasks_max / placing, "tasks/s", "wanted:", 1e6);
  say("  finished", tasks_max / finishing, "tasks/s", "wanted:", 1e6);
}

/// One-task jobs placed one by one, many in a command, and finished so.
void single() {
  core::Cluster cluster;
  core::RegisterNode node;
  node.name = "n";
  node.capacity.cpu_milli = std::int64_t{1} << 40;
  node.executors = {"process"};
  run(cluster, node);
  double placing = 0, finishing = 0, forgetting = 0;
  constexpr std::uint32_t rounds = 200;
  for (std::uint32_t round = 0; round < rounds; ++round) {
    const auto first = run(cluster, submission(round * batch, batch)).first_job;
    core::Place place;
    core::Finish finish{NodeId(1), {}};
    core::Forget forget;
    for (std::uint32_t n = 0; n < batch; ++n) {
      const JobId id(first.value + n);
      place.placements.push_back({NodeId(1), id, 1, {{0, 1, 1}}});
      TaskResult result;
      result.usage.wall = std::chrono::milliseconds(3);
      finish.jobs.push_back({id, {}, {result}});
      forget.jobs.push_back(id);
    }
    const core::Command commands[] = {place, finish, forget};
    for (double* total : {&placing, &finishing, &forgetting}) {
      const auto& command = commands[total == &placing ? 0 : total == &finishing ? 1 : 2];
      const auto start = Clock::now();
      run(cluster, command);
      *total += seconds_since(start);
    }
  }
  std::printf("jobs of one task, 1,000 in a command\n");
  say("  placed", rounds * batch / placing, "jobs/s", "wanted:", 1e6);
  say("  finished", rounds * batch / finishing, "jobs/s", "wanted:", 1e6);
  say("  forgotten", rounds * batch / forgetting, "jobs/s", "wanted:", 1e6);
}

} // namespace

int main() {
  pending(batch);
  pending(1);
  flow();
  single();
  return 0;
}
