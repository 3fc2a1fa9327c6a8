// A cluster and the words to talk to it. After every command its invariants are checked; at the end
// of every test the same entries, replayed, and its snapshot, restored, must give the same state.
#pragma once

#include "src/core/cluster.hpp"

#include <gtest/gtest.h>

namespace reeve::core::test {

inline Resources vcores(std::int64_t n, std::int64_t memory_bytes = 0) {
  Resources r;
  r.cpu_milli = n * 1000;
  r.memory_bytes = memory_bytes;
  return r;
}

/// Tasks of one vcore each.
inline JobSpec array_of(std::uint32_t count) {
  JobSpec spec;
  spec.name = "job";
  spec.user = "ada";
  spec.executor = "noop";
  spec.count = count;
  spec.resources = vcores(1);
  return spec;
}

inline TaskResult result_of(TaskIndex index, Cause cause = Cause::none, std::int32_t code = 0,
                            Attempt attempt = 1) {
  TaskResult result;
  result.index = index;
  result.attempt = attempt;
  result.cause = cause;
  (cause == Cause::signal ? result.signal : result.exit_code) = code;
  if (cause != Cause::none)
    result.text = "it went wrong";
  return result;
}

class CoreTest : public testing::Test {
protected:
  Outcome run(const Command& command) {
    changes_.clear();
    now_ += std::chrono::seconds(1);
    const Seq before = cluster_.last_seq();
    Outcome outcome = cluster_.execute(command, now_, changes_);
    if (outcome.entry)
      entries_.push_back(*outcome.entry);
    EXPECT_EQ(cluster_.last_seq().value, before.value + (outcome.entry ? 1 : 0));
    EXPECT_TRUE(outcome.entry || changes_.empty()) << "changed without an entry";
    for (const std::string& broken : cluster_.check_invariants())
      ADD_FAILURE() << broken;
    return outcome;
  }

  // ---- nodes
  NodeId add_node(const std::string& name, Resources capacity = vcores(4),
                  std::uint64_t incarnation = 1, std::map<std::string, std::string> labels = {}) {
    RegisterNode command;
    command.name = name;
    command.incarnation = Incarnation(incarnation);
    command.capacity = std::move(capacity);
    command.labels = std::move(labels);
    command.executors = {"noop", "process"};
    command.program = "reeve-agent";
    return run(command).node;
  }
  Outcome lose(NodeId node) { return run(MarkLost{{node}, "silent", false}); }
  [[nodiscard]] Resources available(NodeId node) const {
    return cluster_.find_node(node)->available();
  }

  // ---- jobs
  JobId submit(const JobSpec& spec, const std::string& key = {}) {
    const Outcome outcome = run(SubmitJobs{{key}, {Raw{encode(spec)}}});
    EXPECT_FALSE(outcome.error) << outcome.error->message();
    return outcome.first_job;
  }
  Outcome place(NodeId node, JobId job, std::vector<TaskRun> runs, std::uint32_t slots = 1) {
    return run(Place{{{node, job, slots, std::move(runs)}}});
  }
  /// `place` that must be accepted.
  void placed(NodeId node, JobId job, std::vector<TaskRun> runs, std::uint32_t slots = 1) {
    const Outcome outcome = place(node, job, std::move(runs), slots);
    ASSERT_TRUE(outcome.refused.empty()) << outcome.refused[0].error.message();
  }
  /// The code of the only placement's refusal; ok when there is none.
  Code refusal(NodeId node, JobId job, std::vector<TaskRun> runs, std::uint32_t slots = 1) {
    const Outcome outcome = place(node, job, std::move(runs), slots);
    EXPECT_EQ(outcome.refused.empty(), outcome.entry.has_value());
    return outcome.refused.empty() ? Code::ok : outcome.refused[0].error.code;
  }
  Outcome finish(NodeId node, JobId job, std::vector<TaskRun> quiet) {
    JobResults results{job, {}, {}};
    for (const TaskRun& run : quiet)
      results.quiet.push_back({run, now_, now_});
    return run(Finish{node, {results}});
  }
  Outcome report(NodeId node, JobId job, const TaskResult& result) {
    return run(Finish{node, {{job, {}, {result}}}});
  }

  // ---- looking
  [[nodiscard]] const Job& job(JobId id) const { return *cluster_.find_job(id); }
  [[nodiscard]] JobProgress progress(JobId id) const { return *cluster_.progress(id); }
  [[nodiscard]] TaskState state(JobId id, TaskIndex index) const {
    return cluster_.state_of(job(id), index);
  }
  [[nodiscard]] TaskView task(JobId id, TaskIndex index) const {
    ListTasks query;
    query.job = id;
    query.from = index;
    query.limit = 1;
    return cluster_.list(query)->tasks.at(0);
  }
  template<class C> [[nodiscard]] std::vector<C> told() const {
    std::vector<C> out;
    for (const Change& change : changes_)
      if (const auto* one = get_if<C>(change))
        out.push_back(*one);
    return out;
  }

  void TearDown() override {
    Cluster again;
    Changes ignored;
    Seq seq;
    for (const Entry& entry : entries_) {
      seq = seq.next();
      const auto read = decode<Entry>(encode(entry));
      ASSERT_TRUE(read) << name_of(entry.fact) << ": " << read.error().message();
      const auto done = again.replay(seq, *read, ignored);
      ASSERT_TRUE(done) << done.error().message();
    }
    EXPECT_EQ(again.state_hash(), cluster_.state_hash()) << "replay gives another state";
    const auto restored = Cluster::restore(cluster_.snapshot());
    ASSERT_TRUE(restored) << restored.error().message();
    EXPECT_EQ(restored->state_hash(), cluster_.state_hash()) << "the snapshot is another state";
    for (const std::string& broken : restored->check_invariants())
      ADD_FAILURE() << "restored: " << broken;
  }

  Cluster cluster_;
  Changes changes_; // of the last command
  std::vector<Entry> entries_;
  TimePoint now_{std::chrono::hours(500'000)};
};

} // namespace reeve::core::test
