// What becomes of interrupted work. The last suite runs recovery against the real ledger's rules.
#include "src/deciders/recovery.hpp"

#include "src/core/cluster.hpp"

#include <gtest/gtest.h>

namespace reeve::deciders {
namespace {

using namespace std::chrono_literals;
const TimePoint recovery_start{Duration(1'700'000'000'000'000)};

core::KindPtr kind(std::uint32_t retries = 0, std::uint32_t lost_retries = 5) {
  core::Kind k;
  k.retries = retries;
  k.lost_retries = lost_retries;
  return std::make_shared<const core::Kind>(std::move(k));
}
core::TasksInterrupted lost(std::uint32_t losses, NodeId node = NodeId(1), TaskRun run = {0, 1, 1},
                            JobId job = JobId(1)) {
  core::TasksInterrupted change;
  change.job = job;
  change.kind = kind();
  change.runs = {run};
  change.node = node;
  change.cause = Cause::lost_node;
  core::Tally tally;
  tally.losses = losses;
  change.tally = tally;
  change.at = recovery_start;
  return change;
}
core::TasksInterrupted failed(std::uint32_t failures, std::uint32_t retries = 10'000,
                              Cause cause = Cause::exit_code) {
  core::TasksInterrupted change = lost(0);
  change.kind = kind(retries);
  change.cause = cause;
  core::Tally tally;
  tally.failures = failures;
  change.tally = tally;
  return change;
}
core::NodeChanged node(std::uint32_t id) {
  core::NodeChanged change;
  change.node = NodeId(id);
  change.name = "n" + std::to_string(id);
  return change;
}
template<class C> const C& only(const std::vector<core::Command>& commands) {
  EXPECT_EQ(commands.size(), 1u);
  return std::get<C>(commands.at(0));
}
std::vector<core::Command> decide(Recovery& recovery, const core::TasksInterrupted& change) {
  recovery.apply({change});
  return recovery.decide(recovery_start);
}

TEST(recovery, the_first_loss_is_requeued_at_once) {
  Recovery recovery(1);
  recovery.apply({node(1)});
  const auto wishes = decide(recovery, lost(1));
  const auto& wish = only<core::Requeue>(wishes);
  EXPECT_EQ(wish.job, JobId(1));
  EXPECT_EQ(wish.runs, (std::vector<TaskRun>{{0, 1, 1}}));
  EXPECT_EQ(wish.not_before, TimePoint{});
  EXPECT_EQ(wish.reason, "node n1 was lost");
  EXPECT_TRUE(recovery.decide(recovery_start).empty()); // asked once
}

struct Wait {
  std::uint32_t tries;
  Duration least, most; // after jitter
};
class Waits : public testing::TestWithParam<Wait> {};
TEST_P(Waits, double_from_a_second_to_five_minutes) {
  const auto [tries, least, most] = GetParam();
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Recovery recovery(seed);
    const auto wishes = decide(recovery, failed(tries));
    const auto& wish = only<core::Requeue>(wishes);
    EXPECT_GE(wish.not_before - recovery_start, least);
    EXPECT_LE(wish.not_before - recovery_start, most);
    EXPECT_EQ(wish.cause, Cause::exit_code);
  }
}
INSTANTIATE_TEST_SUITE_P(after_try, Waits,
                         testing::Values(Wait{1, 800ms, 1'200ms}, Wait{2, 1'600ms, 2'400ms},
                                         Wait{5, 12'800ms, 19'200ms}, Wait{9, 204'800ms, 307'200ms},
                                         Wait{10, 240s, 360s}, Wait{1'000, 240s, 360s}),
                         [](const auto& test) { return std::to_string(test.param.tries); });

TEST(recovery, waiting_times_vary) {
  Recovery recovery(7);
  std::set<TimePoint> times;
  for (std::uint32_t job = 1; job <= 100; ++job) {
    auto change = failed(1);
    change.job = JobId(job);
    recovery.apply({change});
  }
  for (const auto& command : recovery.decide(recovery_start))
    times.insert(std::get<core::Requeue>(command).not_before);
  EXPECT_GT(times.size(), 90u);
  EXPECT_LT(*times.begin(), recovery_start + 900ms);
  EXPECT_GT(*times.rbegin(), recovery_start + 1'100ms);
}
TEST(recovery, later_losses_wait_too) {
  Recovery recovery(1);
  EXPECT_EQ(only<core::Requeue>(decide(recovery, lost(1, NodeId(1)))).not_before, TimePoint{});
  const auto second = decide(recovery, lost(2, NodeId(1)));
  EXPECT_GE(only<core::Requeue>(second).not_before, recovery_start + 800ms);
  const auto third = decide(recovery, lost(3, NodeId(1)));
  EXPECT_GE(only<core::Requeue>(third).not_before, recovery_start + 1'600ms);
}
TEST(recovery, gives_up_when_the_losses_are_used_up) {
  Recovery recovery(1);
  auto change = lost(3);
  change.kind = kind(0, 2);
  const auto wishes = decide(recovery, change);
  const auto& wish = only<core::GiveUp>(wishes);
  EXPECT_FALSE(wish.hold);
  EXPECT_EQ(wish.cause, Cause::lost_node);
  EXPECT_NE(wish.reason.find("3 times; lost_retries is 2"), std::string::npos) << wish.reason;
}
core::TasksInterrupted crashed(std::vector<NodeId> nodes) {
  auto change = lost(static_cast<std::uint32_t>(nodes.size()), nodes.back());
  core::Tally tally = *change.tally;
  tally.crashes = std::move(nodes);
  change.tally = tally;
  return change;
}
TEST(recovery, holds_a_task_that_was_on_three_nodes_as_they_died) {
  Recovery recovery(1);
  recovery.apply({node(1), node(2), node(3)});
  only<core::Requeue>(decide(recovery, crashed({NodeId(1), NodeId(2)})));
  const auto wishes = decide(recovery, crashed({NodeId(1), NodeId(2), NodeId(3)}));
  const auto& wish = only<core::GiveUp>(wishes);
  EXPECT_TRUE(wish.hold);
  EXPECT_EQ(wish.reason, "was on 3 nodes as they died: n1, n2, n3");
}
TEST(recovery, holds_earlier_or_later_when_the_job_says_so) {
  for (std::uint32_t limit = 1; limit <= 4; ++limit) {
    Recovery recovery(1);
    auto change = crashed({NodeId(1), NodeId(2)});
    core::Kind patient = *change.kind;
    patient.crash_nodes = limit;
    change.kind = std::make_shared<const core::Kind>(patient);
    const auto wishes = decide(recovery, change);
    EXPECT_EQ(std::holds_alternative<core::GiveUp>(wishes.at(0)), limit <= 2) << limit;
  }
}
TEST(recovery, never_holds_when_told_so) {
  Recovery recovery(1);
  recovery.apply({core::ConfigUpdated{{{"retry.crash_nodes", "0"}}}});
  only<core::Requeue>(decide(recovery, crashed({NodeId(1), NodeId(2), NodeId(3), NodeId(4)})));
}

/// A job with one retry rule and what became of an attempt that it fits.
struct RuleCase {
  const char* name;
  RetryRule rule;
  Cause cause;
  std::int32_t code;
  core::Tally tally;
  bool again, hold;
  Duration wait; // without jitter
  const char* reason;
};
class Rules : public testing::TestWithParam<RuleCase> {};
TEST_P(Rules, decide_before_retries_do) {
  const RuleCase& c = GetParam();
  Recovery recovery(1);
  recovery.apply({node(1), core::ConfigUpdated{{{"retry.jitter_percent", "0"}}}});
  auto change = lost(0);
  core::Kind kind;
  kind.retry = {c.rule};
  change.kind = std::make_shared<const core::Kind>(kind);
  change.cause = c.cause;
  core::Tally tally = c.tally;
  tally.code = c.code;
  change.tally = tally;
  const auto wishes = decide(recovery, change);
  ASSERT_EQ(wishes.size(), 1u);
  if (c.again) {
    const auto& wish = std::get<core::Requeue>(wishes[0]);
    EXPECT_EQ(wish.not_before, c.wait.count() == 0 ? TimePoint{} : recovery_start + c.wait);
    EXPECT_EQ(wish.reason, c.reason);
  } else {
    const auto& wish = std::get<core::GiveUp>(wishes[0]);
    EXPECT_EQ(wish.hold, c.hold);
    EXPECT_EQ(wish.reason, c.reason);
  }
}
RetryRule rule(Cause on, std::uint32_t tries, std::vector<CodeRange> codes = {}, bool hold = false,
               Duration wait = {}) {
  return {on, std::move(codes), tries, false, hold, wait};
}
INSTANTIATE_TEST_SUITE_P(
  , Rules,
  testing::Values(
    RuleCase{"exit_code_waits_a_second",
             rule(Cause::exit_code, 3, {{75, 75}}),
             Cause::exit_code,
             75,
             {0, 0, 0, {1}, {}, 0},
             true,
             false,
             1s,
             "exit code 75; try 1 of 3 by its retry rule"},
    RuleCase{"own_wait_doubles",
             rule(Cause::signal, 9, {}, false, 10s),
             Cause::signal,
             11,
             {0, 0, 0, {3}, {}, 0},
             true,
             false,
             40s,
             "signal 11; try 3 of 9 by its retry rule"},
    RuleCase{"own_wait_may_be_longer_than_the_longest",
             rule(Cause::signal, 9, {}, false, 600s),
             Cause::signal,
             11,
             {0, 0, 0, {3}, {}, 0},
             true,
             false,
             600s,
             "signal 11; try 3 of 9 by its retry rule"},
    RuleCase{"used_up_is_held_when_the_rule_says_so",
             rule(Cause::out_of_memory, 1, {}, true),
             Cause::out_of_memory,
             9,
             {0, 0, 0, {2}, {}, 0},
             false,
             true,
             0s,
             "out_of_memory, as has happened 2 times; its retry rule allows 1 further try"},
    RuleCase{"lost_node_by_rule_goes_on_beyond_lost_retries",
             rule(Cause::lost_node, 20),
             Cause::lost_node,
             0,
             {0, 9, 0, {9}, {NodeId(1)}, 0},
             true,
             false,
             128s,
             "node n1 was lost; try 9 of 20 by its retry rule"},
    RuleCase{"lost_node_by_rule_fails",
             rule(Cause::lost_node, 0),
             Cause::lost_node,
             0,
             {0, 1, 0, {1}, {NodeId(1)}, 0},
             false,
             false,
             0s,
             "node n1 was lost, as has happened once; its retry rule allows 0 further tries"},
    RuleCase{"preempted_too_often",
             rule(Cause::preempted, 2),
             Cause::preempted,
             15,
             {0, 0, 0, {3}, {}, 0},
             false,
             false,
             0s,
             "preempted, as has happened 3 times; its retry rule allows 2 further tries"},
    RuleCase{"another_end_is_none_of_its_business",
             rule(Cause::exit_code, 0),
             Cause::preempted,
             15,
             {},
             true,
             false,
             0s,
             ""},
    RuleCase{"node_trouble_waits_and_goes_on",
             rule(Cause::none, 0),
             Cause::node_trouble,
             0,
             {0, 0, 4, {}, {}, 0},
             true,
             false,
             8s,
             "node n1 could not start it, which is not its fault"}),
  [](const auto& test) { return std::string(test.param.name); });

class FreeOfCharge : public testing::TestWithParam<Cause> {};
TEST_P(FreeOfCharge, goes_back_at_once) {
  Recovery recovery(1);
  const auto wishes = decide(recovery, failed(3, 0, GetParam()));
  EXPECT_EQ(only<core::Requeue>(wishes).not_before, TimePoint{});
}
INSTANTIATE_TEST_SUITE_P(, FreeOfCharge,
                         testing::Values(Cause::drained, Cause::cancelled, Cause::preempted),
                         [](const auto& test) { return std::string(name_of(test.param)); });

TEST(recovery, tasks_that_share_a_fate_share_a_command) {
  Recovery recovery(1);
  core::Changes changes;
  for (std::uint32_t i = 0; i < 1'000; ++i)
    changes.emplace_back(lost(1, NodeId(1), {999 - i, 1, 1}));
  recovery.apply(changes);
  const auto wishes = recovery.decide(recovery_start);
  EXPECT_EQ(only<core::Requeue>(wishes).runs, (std::vector<TaskRun>{{0, 1'000, 1}}));
}
TEST(recovery, asks_again_a_second_after_the_journal_failed) {
  Recovery recovery(1);
  const auto wishes = decide(recovery, lost(1));
  recovery.refused(wishes[0], {Code::unavailable, {}, "disk full"});
  EXPECT_TRUE(recovery.decide(recovery_start).empty());
  EXPECT_TRUE(recovery.decide(recovery_start + 900ms).empty());
  only<core::Requeue>(recovery.decide(recovery_start + 1'100ms));
}
TEST(recovery, starts_from_the_state_that_it_is_told) {
  Recovery recovery(1);
  recovery.apply({lost(1, NodeId(1), {5, 1, 1})});
  auto waiting = lost(2, {}, {7, 2, 4});
  recovery.reset({waiting});
  const auto wishes = recovery.decide(recovery_start);
  EXPECT_EQ(only<core::Requeue>(wishes).runs, (std::vector<TaskRun>{{7, 2, 4}}));
}

/// Recovery with the ledger's rules behind it.
class RecoveryAndLedger : public testing::Test {
protected:
  void SetUp() override {
    for (const char* name : {"n1", "n2", "n3", "n4"}) {
      core::RegisterNode registration;
      registration.name = name;
      registration.incarnation = Incarnation(1);
      registration.capacity.cpu_milli = 100'000;
      registration.executors = {"noop"};
      execute(registration);
    }
  }
  core::Outcome execute(const core::Command& command) {
    core::Changes changes;
    auto outcome = cluster_.execute(command, now_, changes);
    recovery_.apply(changes);
    return outcome;
  }
  JobId submit(std::uint32_t tasks) {
    JobSpec spec;
    spec.executor = "noop";
    spec.count = tasks;
    return execute(core::SubmitJobs{{}, {Raw{encode(spec)}}}).first_job;
  }
  void place(JobId job, std::uint32_t node, std::vector<TaskRun> runs) {
    const auto outcome = execute(core::Place{{{NodeId(node), job, 1, std::move(runs)}}});
    ASSERT_TRUE(outcome.refused.empty()) << outcome.refused[0].error.message();
  }
  void lose(std::uint32_t node) { execute(core::MarkLost{{NodeId(node)}, "test", false}); }
  /// Until nothing is left to be decided.
  void recover() {
    for (int round = 0; round < 100; ++round) {
      const auto wishes = recovery_.decide(now_);
      if (wishes.empty())
        return;
      for (const auto& wish : wishes)
        if (const auto outcome = execute(wish); outcome.error)
          recovery_.refused(wish, *outcome.error);
    }
    FAIL() << "does not come to an end";
  }
  std::uint32_t in(JobId job, std::uint32_t JobProgress::*count) {
    return cluster_.progress(job).value().*count;
  }
  core::Cluster cluster_;
  Recovery recovery_{1};
  TimePoint now_ = recovery_start;
};

TEST_F(RecoveryAndLedger, everything_on_a_lost_node_waits_again) {
  const JobId job = submit(1'000);
  place(job, 1, {{0, 600, 1}});
  place(job, 2, {{600, 100, 1}});
  lose(1);
  EXPECT_EQ(in(job, &JobProgress::interrupted), 600u);
  recover();
  EXPECT_EQ(in(job, &JobProgress::interrupted), 0u);
  EXPECT_EQ(in(job, &JobProgress::pending), 900u);
  EXPECT_EQ(in(job, &JobProgress::assigned), 100u);
  EXPECT_TRUE(cluster_.check_invariants().empty());
}
TEST_F(RecoveryAndLedger, what_was_cancelled_meanwhile_does_not_hold_up_its_neighbours) {
  const JobId job = submit(100);
  place(job, 1, {{0, 100, 1}});
  lose(1);
  const auto wishes = recovery_.decide(now_); // on their way, when:
  execute(core::Cancel{job, {{13, 1, 1}, {77, 3, 1}}, "test"});
  for (const auto& wish : wishes) {
    const auto outcome = execute(wish);
    ASSERT_TRUE(outcome.error);
    recovery_.refused(wish, *outcome.error);
  }
  recover();
  EXPECT_EQ(in(job, &JobProgress::pending), 96u);
  EXPECT_EQ(in(job, &JobProgress::cancelled), 4u);
  EXPECT_EQ(in(job, &JobProgress::interrupted), 0u);
}
TEST_F(RecoveryAndLedger, a_forgotten_job_is_no_business_any_more) {
  const JobId job = submit(2);
  place(job, 1, {{0, 2, 1}});
  lose(1);
  const auto wishes = recovery_.decide(now_);
  execute(core::Cancel{job, {}, "test"});
  execute(core::Forget{{job}});
  for (const auto& wish : wishes) {
    const auto outcome = execute(wish);
    ASSERT_TRUE(outcome.error);
    recovery_.refused(wish, *outcome.error);
  }
  EXPECT_TRUE(recovery_.decide(now_ + 1h).empty());
}
TEST_F(RecoveryAndLedger, a_task_that_kills_nodes_ends_up_held_and_can_be_released) {
  const JobId job = submit(1);
  for (std::uint32_t node = 1; node <= 3; ++node) {
    place(job, node, {{0, 1, node}});
    lose(node);
    recover();
  }
  EXPECT_EQ(in(job, &JobProgress::held), 1u);
  EXPECT_EQ(cluster_.progress(job).value().state, JobState::held);
  execute(core::Retry{job, {}});
  EXPECT_EQ(in(job, &JobProgress::pending), 1u);
  place(job, 4, {{0, 1, 4}});
  lose(4);
  recover();
  EXPECT_EQ(in(job, &JobProgress::pending), 1u);
}
TEST_F(RecoveryAndLedger, a_restart_in_between_loses_nothing) {
  const JobId job = submit(10);
  place(job, 1, {{0, 10, 1}});
  lose(1);
  core::Changes all;
  cluster_.describe(all);
  recovery_ = Recovery(2);
  recovery_.reset(all);
  recover();
  EXPECT_EQ(in(job, &JobProgress::pending), 10u);
}

TEST_F(RecoveryAndLedger, nodes_that_died_are_counted_across_a_restart) {
  const JobId job = submit(1);
  for (std::uint32_t node = 1; node <= 3; ++node) {
    auto again = core::Cluster::restore(cluster_.snapshot());
    ASSERT_TRUE(again);
    cluster_ = std::move(*again);
    core::Changes all;
    cluster_.describe(all);
    recovery_ = Recovery(node);
    recovery_.reset(all);
    place(job, node, {{0, 1, node}});
    lose(node);
    recover();
  }
  EXPECT_EQ(in(job, &JobProgress::held), 1u);
  EXPECT_EQ(cluster_.list(ListJobs{}).jobs.at(0).reason,
            "1 task is held; task 0: was on 3 nodes as they died: n1, n2, n3");
}

JobSpec one_task(std::vector<RetryRule> rules, std::uint32_t retries) {
  JobSpec spec;
  spec.executor = "noop";
  spec.retry = std::move(rules);
  spec.retries = retries;
  return spec;
}
class RulesAndLedger : public RecoveryAndLedger {
protected:
  JobId submit_one(const JobSpec& spec) {
    return execute(core::SubmitJobs{{}, {Raw{encode(spec)}}}).first_job;
  }
  /// The next attempt ends like this. Its state afterwards.
  TaskState end(JobId job, Cause cause, std::int32_t code) {
    const Attempt attempt = ++attempts_[job];
    place(job, 1, {{0, 1, attempt}});
    TaskResult result;
    result.attempt = attempt;
    result.cause = cause;
    (cause == Cause::exit_code ? result.exit_code : result.signal) = code;
    execute(core::Finish{NodeId(1), {{job, {}, {result}}}});
    recover();
    return cluster_.state_of(*cluster_.find_job(job), 0);
  }
  std::map<JobId, Attempt> attempts_;
};
TEST_F(RulesAndLedger, the_first_rule_that_fits_decides_and_others_stay_whole) {
  const JobId job = submit_one(
    one_task({rule(Cause::exit_code, 2, {{70, 75}}), rule(Cause::exit_code, 0, {{1, 69}})}, 1));
  EXPECT_EQ(end(job, Cause::exit_code, 70), TaskState::pending);
  EXPECT_EQ(end(job, Cause::exit_code, 75), TaskState::pending); // of the same rule
  EXPECT_EQ(end(job, Cause::signal, 9), TaskState::pending);     // the one of `retries`
  EXPECT_EQ(end(job, Cause::exit_code, 72), TaskState::failed);
  EXPECT_EQ(cluster_.progress(job)->exit_code, 72);
  const JobId other = submit_one(one_task({rule(Cause::exit_code, 0, {{1, 69}})}, 5));
  EXPECT_EQ(end(other, Cause::exit_code, 1), TaskState::failed); // whatever `retries` says
}
TEST_F(RulesAndLedger, charged_tries_use_up_retries_too) {
  RetryRule charged = rule(Cause::exit_code, 10, {{75, 75}});
  charged.charged = true;
  const JobId job = submit_one(one_task({charged}, 2));
  EXPECT_EQ(end(job, Cause::exit_code, 75), TaskState::pending);
  EXPECT_EQ(end(job, Cause::signal, 11), TaskState::pending);
  EXPECT_EQ(end(job, Cause::exit_code, 75), TaskState::failed);
}
TEST_F(RulesAndLedger, a_held_task_says_why_and_begins_anew_when_a_person_retries_it) {
  const JobId job = submit_one(one_task({rule(Cause::time_limit, 1, {}, true)}, 0));
  EXPECT_EQ(end(job, Cause::time_limit, 15), TaskState::pending);
  EXPECT_EQ(end(job, Cause::time_limit, 15), TaskState::held);
  ListTasks query;
  query.job = job;
  EXPECT_EQ(cluster_.list(query)->tasks.at(0).reason,
            "time_limit, as has happened 2 times; its retry rule allows 1 further try");
  execute(core::Retry{job, {}});
  EXPECT_EQ(end(job, Cause::time_limit, 15), TaskState::pending);
  EXPECT_EQ(end(job, Cause::time_limit, 15), TaskState::held);
  EXPECT_TRUE(cluster_.check_invariants().empty());
}
TEST_F(RulesAndLedger, a_nodes_own_trouble_is_charged_to_nobody) {
  const JobId job = submit_one(one_task({rule(Cause::none, 0)}, 0));
  for (int n = 0; n < 20; ++n)
    EXPECT_EQ(end(job, Cause::node_trouble, 0), TaskState::pending);
  EXPECT_EQ(end(job, Cause::start_failed, 0), TaskState::failed);
}

} // namespace
} // namespace reeve::deciders
