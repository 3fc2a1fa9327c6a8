// What is moved off nodes that are to lose their work; the last tests with the ledger's rules
// behind.
#include "src/deciders/migration.hpp"

#include "src/core/cluster.hpp"

#include <gtest/gtest.h>

namespace reeve::deciders {
namespace {

using namespace std::chrono_literals;
const TimePoint dawn{Duration(1'700'000'000'000'000)};

class Moves : public testing::Test {
protected:
  void SetUp() override {
    node_.node = NodeId(1);
    node_.name = "n1";
    for (std::uint64_t job = 1; job <= 3; ++job)
      migration_.on(core::FlightChanged{NodeId(1), JobId(job), 1, 1});
    tell();
  }
  void tell() { migration_.on(node_); }
  /// Jobs asked to be moved `after` dawn.
  std::vector<std::uint64_t> moved(Duration after) {
    std::vector<std::uint64_t> jobs;
    for (const auto& command : migration_.decide(dawn + after, settings_)) {
      last_ = std::get<core::MoveOff>(command);
      jobs.push_back(last_.job.value);
    }
    return jobs;
  }
  Migration migration_;
  Settings settings_ = settings_from({});
  core::NodeChanged node_;
  core::MoveOff last_;
};
using Jobs = std::vector<std::uint64_t>;

TEST_F(Moves, a_node_that_is_well_keeps_its_work) {
  EXPECT_EQ(moved(0s), Jobs{});
  EXPECT_EQ(moved(24h), Jobs{});
}
TEST_F(Moves, a_drain_without_a_deadline_lets_work_run_on) {
  node_.draining = true;
  tell();
  EXPECT_EQ(moved(24h), Jobs{});
}
TEST_F(Moves, at_its_deadline_a_draining_node_loses_all_once) {
  node_.draining = true;
  node_.drain_deadline = dawn + 10min;
  tell();
  EXPECT_EQ(moved(9min), Jobs{});
  EXPECT_EQ(moved(10min), (Jobs{3, 2, 1}));
  EXPECT_FALSE(last_.gently);
  EXPECT_EQ(last_.reason, "node n1 is drained, its deadline is over");
  EXPECT_EQ(moved(11min), Jobs{});
}
TEST_F(Moves, a_job_is_asked_for_again_when_the_journal_took_nothing) {
  node_.draining = true;
  node_.drain_deadline = dawn;
  tell();
  EXPECT_EQ(moved(0s).size(), 3u);
  migration_.refused(last_, {Code::unavailable, {}, "disk full"});
  EXPECT_EQ(moved(1s), Jobs{1});
}
TEST_F(Moves, an_undrained_node_keeps_what_is_left) {
  node_.draining = true;
  node_.drain_deadline = dawn + 10min;
  tell();
  EXPECT_EQ(moved(0s), Jobs{});
  node_.draining = false;
  node_.drain_deadline = {};
  tell();
  EXPECT_EQ(moved(1h), Jobs{});
}
TEST_F(Moves, a_node_in_quarantine_gives_all_up_gently_after_a_moment) {
  node_.quarantined = dawn + 10min;
  tell();
  EXPECT_EQ(moved(0s), Jobs{});
  EXPECT_EQ(moved(9s), Jobs{});
  EXPECT_EQ(moved(10s), (Jobs{3, 2, 1}));
  EXPECT_TRUE(last_.gently);
}
TEST_F(Moves, a_quarantine_that_is_over_moves_nothing) {
  node_.quarantined = dawn + 10min;
  tell();
  EXPECT_EQ(moved(11min), Jobs{});
}
TEST_F(Moves, a_node_above_its_mark_gives_up_one_job_at_a_time) {
  node_.closed = true;
  tell();
  EXPECT_EQ(moved(0s), Jobs{});
  EXPECT_EQ(moved(2min), Jobs{3});
  EXPECT_EQ(moved(3min), Jobs{});
  EXPECT_EQ(moved(4min), Jobs{2});
  migration_.refused(last_, {Code::refused, "job", "cannot save its state"});
  EXPECT_EQ(moved(4min + 1s), Jobs{1}); // at once the next one
  node_.closed = false;
  tell();
  EXPECT_EQ(moved(10min), Jobs{});
}
TEST_F(Moves, nothing_is_moved_when_the_settings_say_never) {
  settings_ =
    settings_from({{"migration.overloaded_after", "0s"}, {"migration.quarantined_after", "0s"}});
  node_.closed = true;
  node_.quarantined = dawn + 1h;
  tell();
  EXPECT_EQ(moved(0s), Jobs{});
  EXPECT_EQ(moved(30min), Jobs{});
  EXPECT_EQ(moved(2h), Jobs{});
}

/// Which of a job's tasks the ledger lets go.
class MovedByTheLedger : public testing::Test {
protected:
  void SetUp() override {
    for (const char* name : {"n1", "n2"}) {
      core::RegisterNode node;
      node.name = name;
      node.incarnation = Incarnation(1);
      node.capacity.cpu_milli = 8'000;
      node.executors = {"process"};
      run(node);
    }
  }
  core::Outcome run(const core::Command& command) {
    changes_.clear();
    return cluster_.execute(command, dawn, changes_);
  }
  JobId running(std::int32_t checkpoint, bool preemptible = true) {
    JobSpec spec;
    spec.command = {"sleep"};
    spec.count = 2;
    spec.checkpoint_signal = checkpoint;
    spec.preemptible = preemptible;
    const JobId job = run(core::SubmitJobs{{}, {Raw{encode(spec)}}}).first_job;
    EXPECT_TRUE(run(core::Place{{{NodeId(1), job, 2, {{0, 2, 1}}}}}).refused.empty());
    return job;
  }
  core::Cluster cluster_;
  core::Changes changes_;
};
TEST_F(MovedByTheLedger, gently_only_what_can_save_its_state_and_may_be_preempted) {
  EXPECT_TRUE(run(core::MoveOff{NodeId(1), running(10), true, ""}).entry);
  EXPECT_EQ(run(core::MoveOff{NodeId(1), running(0), true, ""}).error->code, Code::refused);
  EXPECT_EQ(run(core::MoveOff{NodeId(1), running(10, false), true, ""}).error->code, Code::refused);
  EXPECT_TRUE(run(core::MoveOff{NodeId(1), running(0, false), false, ""}).entry);
}
TEST_F(MovedByTheLedger, the_tasks_wait_again_free_of_charge_as_drained) {
  const JobId job = running(10);
  ASSERT_TRUE(run(core::MoveOff{NodeId(1), job, true, "quarantine"}).entry);
  const auto* stop = std::get_if<core::TasksToStop>(&changes_.at(0));
  ASSERT_NE(stop, nullptr);
  EXPECT_TRUE(stop->move);
  EXPECT_EQ(stop->runs, (std::vector<TaskRun>{{0, 2, 1}}));
  EXPECT_FALSE(run(core::MoveOff{NodeId(1), job, true, ""}).entry); // all are on their way
  const auto left = cluster_.reconcile(NodeId(1), std::vector<JobRuns>{{job, {{0, 2, 1}}}});
  EXPECT_EQ(left.move, (std::vector<JobRuns>{{job, {{0, 2, 1}}}}));
  EXPECT_TRUE(left.cancel.empty());

  TaskResult saved; // it saved its state and went
  saved.cause = Cause::cancelled;
  run(core::Finish{NodeId(1), {{job, {}, {saved}}}});
  bool told = false;
  for (const auto& change : changes_)
    if (const auto* interrupted = std::get_if<core::TasksInterrupted>(&change)) {
      told = true;
      EXPECT_EQ(interrupted->cause, Cause::drained);
      EXPECT_EQ(interrupted->tally->failures + interrupted->tally->losses, 0u);
    }
  EXPECT_TRUE(told);
  TaskResult done; // it was done before the word came
  done.index = 1;
  run(core::Finish{NodeId(1), {{job, {}, {done}}}});
  EXPECT_EQ(cluster_.progress(job)->succeeded, 1u);
  EXPECT_TRUE(cluster_.check_invariants().empty());
}
TEST_F(MovedByTheLedger, what_is_cancelled_while_it_moves_is_cancelled) {
  const JobId job = running(10);
  run(core::MoveOff{NodeId(1), job, true, "quarantine"});
  run(core::Cancel{job, {{0, 1, 1}}, "not wanted"});
  const auto left = cluster_.reconcile(NodeId(1), std::vector<JobRuns>{{job, {{0, 2, 1}}}});
  EXPECT_EQ(left.cancel, (std::vector<JobRuns>{{job, {{0, 1, 1}}}}));
  EXPECT_EQ(left.move, (std::vector<JobRuns>{{job, {{1, 1, 1}}}}));
  TaskResult gone;
  gone.cause = Cause::cancelled;
  run(core::Finish{NodeId(1), {{job, {}, {gone}}}});
  EXPECT_EQ(cluster_.progress(job)->cancelled, 1u);
  EXPECT_EQ(cluster_.progress(job)->interrupted, 0u);
}
TEST_F(MovedByTheLedger, a_move_survives_a_restart) {
  const JobId job = running(10);
  run(core::MoveOff{NodeId(1), job, true, "quarantine"});
  run(core::DrainNodes{{"n1"}, true, "new disk", 10min});
  auto again = core::Cluster::restore(cluster_.snapshot());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->state_hash(), cluster_.state_hash());
  cluster_ = std::move(*again);
  EXPECT_EQ(cluster_.list(ListNodes{{"n1"}})->nodes.at(0).drain_deadline, dawn + 10min);
  TaskResult saved;
  saved.cause = Cause::cancelled;
  run(core::Finish{NodeId(1), {{job, {}, {saved}}}});
  for (const auto& change : changes_)
    if (const auto* interrupted = std::get_if<core::TasksInterrupted>(&change)) {
      EXPECT_EQ(interrupted->cause, Cause::drained);
    }
}
TEST_F(MovedByTheLedger, a_later_deadline_takes_the_place_of_the_first) {
  run(core::DrainNodes{{"n1"}, true, "disk", 10min});
  EXPECT_TRUE(run(core::DrainNodes{{"n1"}, true, "disk", 1h}).entry);
  EXPECT_FALSE(run(core::DrainNodes{{"n1"}, true, "disk", {}}).entry);
  EXPECT_EQ(cluster_.find_node("n1")->drain_deadline, dawn + 1h);
  run(core::DrainNodes{{"n1"}, false, "", {}});
  EXPECT_EQ(cluster_.find_node("n1")->drain_deadline, TimePoint{});
}

} // namespace
} // namespace reeve::deciders
