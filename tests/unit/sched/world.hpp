// A small cluster for the scheduler's tests: the real core::Cluster as arbiter, nodes that do what
// they are given, a clock that a test moves. Everything the scheduler wishes is judged at once;
// each decision's entries reach it as one committed batch.
#pragma once

#include "src/sched/scheduler.hpp"

#include <gtest/gtest.h>

namespace reeve::sched {

inline Resources cpus(std::int64_t n, std::int64_t gib = 0) {
  Resources r;
  r.cpu_milli = n * 1000;
  r.memory_bytes = gib << 30;
  return r;
}

class World {
public:
  core::Cluster cluster;
  Scheduler scheduler;
  TimePoint now{std::chrono::hours(1)};
  std::vector<core::RefusedPlacement> refusals;
  std::vector<Placement> placed; // all that were accepted, in order
  bool deliver = true;           // else committed batches gather until deliver_now()

  NodeId node(const std::string& name, const Resources& capacity,
              const std::map<std::string, std::string>& labels = {},
              const std::vector<std::string>& executors = {"process", "noop"}) {
    core::RegisterNode command;
    command.name = name;
    command.incarnation = Incarnation(1);
    command.capacity = capacity;
    command.labels = labels;
    command.executors = executors;
    return run(command).node;
  }
  static JobSpec spec(std::uint32_t count, const Resources& each) {
    JobSpec s;
    s.user = "ada";
    s.count = count;
    s.resources = each;
    s.command = {"true"};
    return s;
  }
  JobId submit(const JobSpec& s) { return submit_all({s}); }
  JobId submit_all(const std::vector<JobSpec>& specs) {
    core::SubmitJobs command;
    for (const JobSpec& s : specs)
      command.specs.push_back(Raw{encode(s)});
    return run(command).first_job;
  }
  core::Outcome run(const core::Command& command) {
    core::Outcome out = cluster.execute(command, now, open_.changes);
    EXPECT_FALSE(out.error) << out.error->message();
    if (out.entry)
      open_.entries.push_back(*out.entry);
    if (deliver)
      deliver_now();
    return out;
  }
  void configure(const std::map<std::string, std::string>& values) {
    run(core::ChangeConfig{values});
  }
  void deliver_now() {
    if (!open_.entries.empty())
      scheduler.apply(std::exchange(open_, {}));
  }
  /// One decision. Returns how many placements were accepted.
  std::size_t decide() {
    std::size_t n = 0;
    for (const core::Command& command : scheduler.decide(now)) {
      core::Outcome out = cluster.execute(command, now, open_.changes);
      if (out.entry) {
        const auto& accepted = std::get<TasksPlaced>(out.entry->fact).placements;
        placed.insert(placed.end(), accepted.begin(), accepted.end());
        n += accepted.size();
        open_.entries.push_back(std::move(*out.entry));
      }
      refusals.insert(refusals.end(), out.refused.begin(), out.refused.end());
      scheduler.refused(out.refused);
    }
    if (deliver)
      deliver_now();
    check();
    return n;
  }
  /// Until nothing more is placed.
  void settle() {
    while (decide() > 0) {
    }
  }
  /// Tasks end well after `took`; quiet as no-op tasks do.
  void finish(NodeId node, JobId job, const TaskRun& run_, Duration took = Duration(1000),
              bool quiet = false) {
    JobResults results{job, {}, {}};
    if (quiet)
      results.quiet.push_back({run_, now - took * run_.count, now});
    else
      for (std::uint32_t i = 0; i < run_.count; ++i) {
        TaskResult r;
        r.index = run_.first + i;
        r.attempt = run_.attempt;
        r.started = now - took;
        r.ended = now;
        results.tasks.push_back(r);
      }
    run(core::Finish{node, {results}});
  }
  void check() const {
    EXPECT_EQ(cluster.check_invariants(), std::vector<std::string>{});
    for (const auto& [id, n] : cluster.nodes())
      EXPECT_TRUE(fits(Resources(), n.room(true))) << n.name << " has " << to_text(n.booked);
  }
  [[nodiscard]] std::uint32_t running(JobId job) const { return cluster.find_job(job)->assigned(); }
  [[nodiscard]] std::uint32_t tasks_on(NodeId node) const { return cluster.find_node(node)->tasks; }
  [[nodiscard]] const core::Allocation* allocation(NodeId node, JobId job) const {
    const core::Job* j = cluster.find_job(job);
    if (!j || !j->extra)
      return nullptr;
    const auto at = j->extra->allocations.find(node);
    return at == j->extra->allocations.end() ? nullptr : &at->second;
  }
  [[nodiscard]] std::uint32_t slots(NodeId node, JobId job) const {
    const auto* a = allocation(node, job);
    return a ? a->slots : 0;
  }
  [[nodiscard]] std::uint32_t in_flight(NodeId node, JobId job) const {
    const auto* a = allocation(node, job);
    return a ? a->in_flight : 0;
  }

private:
  core::Committed open_;
};

} // namespace reeve::sched
