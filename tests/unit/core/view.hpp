// What a decider knows of the cluster when it has heard nothing but changes. Two ways lead to it:
// every change since the beginning, or one `describe()`. Both must end at the same.
#pragma once

#include "src/core/cluster.hpp"

#include <gtest/gtest.h>
#include <set>

namespace reeve::core::test {

struct View {
  struct Waits {
    Attempt attempt = 1;
    TimePoint not_before;
    bool operator==(const Waits&) const = default;
  };
  struct JobSeen {
    Kind kind;
    bool held = false;
    std::map<TaskIndex, Waits> waiting;
    bool operator==(const JobSeen&) const = default;
  };
  struct NodeSeen {
    NodeState state = NodeState::up;
    bool draining = false, closed = false;
    Incarnation incarnation;
    Resources capacity, available;
    std::map<std::string, std::string> labels;
    TimePoint since, quarantined;
    std::uint32_t overcommit_milli = 1000;
    bool operator==(const NodeSeen&) const = default;
  };
  struct Flight {
    std::uint32_t in_flight = 0, slots = 0;
    bool operator==(const Flight&) const = default;
  };
  std::map<JobId, JobSeen> jobs;
  std::map<JobId, JobState> ended;
  std::map<NodeId, NodeSeen> nodes;
  std::map<std::pair<NodeId, JobId>, Flight> flights;
  std::map<LeaseId, TimePoint> leases;
  std::map<std::string, std::string> config;
  bool operator==(const View&) const = default;

  // Not compared: heard once, and then over without a word.
  std::map<TaskId, TasksInterrupted> interrupted; // `runs` and counts of one task
  std::set<std::pair<TaskId, Attempt>> taken;

  void hear(const Changes& changes) {
    for (const Change& change : changes)
      std::visit([this](const auto& c) { on(unboxed(c)); }, change);
  }

private:
  void on(const NodeChanged& c) {
    nodes[c.node] = {c.state,     c.draining, c.closed, c.incarnation, c.capacity,
                     c.available, c.labels,   c.since,  c.quarantined, c.overcommit_milli};
  }
  void on(const NodeForgotten& c) { EXPECT_EQ(nodes.erase(c.node), 1u); }
  void on(const NodeAvailable& c) { nodes.at(c.node).available = c.available; }
  void on(const JobArrived& c) {
    JobSeen& job = jobs[c.job];
    job.kind = *c.kind;
    job.held = c.held;
    if (!c.blocked)
      wait(c.job, {c.first, c.count, 1}, {});
  }
  void on(const TasksReleased& c) {
    for (const TaskRun& run : c.runs)
      wait(c.job, run, {});
  }
  void on(const TasksReady& c) { wait(c.job, c.run, c.not_before); }
  void on(const TasksWithdrawn& c) {
    auto& waiting = jobs.at(c.job).waiting;
    if (c.runs.empty())
      waiting.clear();
    for (const TaskRun& run : c.runs)
      for (std::uint32_t i = 0; i < run.count; ++i)
        waiting.erase(run.first + i); // blocked ones never waited
  }
  void on(const HoldChanged& c) { jobs.at(c.job).held = c.held; }
  void on(const TasksTaken& c) {
    for (const TaskRun& run : c.placement.runs)
      for (std::uint32_t i = 0; i < run.count; ++i) {
        const TaskId task{c.placement.job, run.first + i};
        if (c.placement.copy) {
          EXPECT_TRUE(taken.emplace(task, run.attempt).second) << "an attempt was placed twice";
          continue;
        }
        auto& waiting = jobs.at(task.job).waiting;
        const auto at = waiting.find(task.index);
        ASSERT_NE(at, waiting.end()) << "a task was placed that did not wait";
        EXPECT_EQ(at->second.attempt, run.attempt);
        waiting.erase(at);
        EXPECT_TRUE(taken.emplace(task, run.attempt).second) << "an attempt was placed twice";
      }
  }
  void on(const FlightChanged& c) {
    if (c.in_flight == 0)
      flights.erase({c.node, c.job});
    else
      flights[{c.node, c.job}] = {c.in_flight, c.slots};
  }
  void on(const TasksInterrupted& c) {
    for (const TaskRun& run : c.runs)
      for (std::uint32_t i = 0; i < run.count; ++i) {
        auto one = c;
        one.runs = {{run.first + i, 1, run.attempt}};
        interrupted[{c.job, run.first + i}] = one;
      }
  }
  void on(const TasksToStop&) {}
  void on(const JobEnded& c) {
    jobs.erase(c.job);
    ended[c.job] = c.state;
  }
  void on(const JobReopened& c) {
    EXPECT_EQ(ended.erase(c.job), 1u);
    jobs[c.job] = {*c.kind, c.held, {}};
  }
  void on(const JobForgotten& c) { EXPECT_EQ(ended.erase(c.job), 1u); }
  void on(const LeaseChanged& c) { leases[c.lease] = c.expires; }
  void on(const LeaseEnded& c) { EXPECT_EQ(leases.erase(c.lease), 1u); }
  void on(const ConfigUpdated& c) { config = c.values; }

  void wait(JobId job, const TaskRun& run, TimePoint not_before) {
    for (std::uint32_t i = 0; i < run.count; ++i) {
      interrupted.erase({job, run.first + i});
      EXPECT_TRUE(
        jobs.at(job).waiting.emplace(run.first + i, Waits{run.attempt, not_before}).second)
        << "a task that waits began to wait";
    }
  }
};

} // namespace reeve::core::test
