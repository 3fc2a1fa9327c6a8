// Jobs from their submission to the day they are forgotten.
#include "tests/unit/core/fixture.hpp"

#include <malloc.h>

namespace reeve::core::test {
namespace {

class submitting : public CoreTest {
protected:
  static SubmitJobs jobs(const std::vector<JobSpec>& specs, const std::string& key = {}) {
    SubmitJobs command{{key}, {}};
    for (const JobSpec& spec : specs)
      command.specs.push_back(Raw{encode(spec)});
    return command;
  }
};

TEST_F(submitting, gives_consecutive_ids_and_announces_each_job) {
  const Outcome outcome = run(jobs({array_of(1), array_of(3), array_of(2)}));
  EXPECT_EQ(outcome.first_job, JobId(1));
  EXPECT_EQ(outcome.jobs, 3u);
  const auto arrived = told<JobArrived>();
  ASSERT_EQ(arrived.size(), 3u);
  EXPECT_EQ(arrived[1].job, JobId(2));
  EXPECT_EQ(arrived[1].count, 3u);
  EXPECT_EQ(arrived[1].kind->resources, vcores(1));
  EXPECT_EQ(arrived[0].kind, arrived[1].kind); // alike: one kind
  EXPECT_EQ(submit(array_of(1)), JobId(4));
  EXPECT_EQ(cluster_.stats().tasks_pending, 7u);
}

TEST_F(submitting, again_with_the_same_key_makes_no_second_job) {
  const JobId first = run(jobs({array_of(1), array_of(1)}, "k")).first_job;
  const Outcome again = run(jobs({array_of(1), array_of(1)}, "k"));
  EXPECT_TRUE(again.duplicate);
  EXPECT_FALSE(again.entry);
  EXPECT_EQ(again.first_job, first);
  EXPECT_EQ(again.jobs, 2u);
  EXPECT_EQ(run(jobs({array_of(1)}, "other")).first_job, JobId(3));
}

TEST_F(submitting, other_jobs_under_a_known_key_is_a_conflict) {
  run(jobs({array_of(1), array_of(1)}, "k"));
  const Outcome other = run(jobs({array_of(1)}, "k"));
  ASSERT_TRUE(other.error);
  EXPECT_EQ(other.error->code, Code::conflict);
  EXPECT_EQ(other.error->field, "key");
}

TEST_F(submitting, remembers_keys_over_a_restart_and_forgets_them_with_the_job) {
  add_node("a");
  const JobId job = run(jobs({array_of(1)}, "k")).first_job;
  auto restored = Cluster::restore(cluster_.snapshot());
  ASSERT_TRUE(restored);
  Changes changes;
  EXPECT_TRUE(restored->execute(jobs({array_of(1)}, "k"), now_, changes).duplicate);
  run(Cancel{job, {}, {}});
  run(Forget{{job}});
  EXPECT_FALSE(run(jobs({array_of(1)}, "k")).duplicate);
}

TEST_F(submitting, keeps_thousands_of_keys_apart) {
  for (int i = 0; i < 3000; ++i) {
    Changes changes;
    const auto outcome =
      cluster_.execute(jobs({array_of(1)}, "key " + std::to_string(i)), now_, changes);
    entries_.push_back(*outcome.entry);
    if (i % 3 == 0) {
      for (const Command& command :
           {Command(Cancel{outcome.first_job, {}, {}}), Command(Forget{{outcome.first_job}})})
        entries_.push_back(*cluster_.execute(command, now_, changes).entry);
    }
  }
  for (int i = 0; i < 3000; ++i) {
    auto copy = jobs({array_of(1), array_of(1)}, "key " + std::to_string(i)); // a conflict if known
    Changes changes;
    const auto outcome = cluster_.execute(copy, now_, changes);
    EXPECT_EQ(outcome.duplicate, i % 3 != 0) << i;
    if (outcome.entry)
      entries_.push_back(*outcome.entry);
  }
}

TEST_F(submitting, names_the_field_of_a_bad_job_and_stores_none) {
  JobSpec bad = array_of(2);
  bad.items = {"only one"};
  const Outcome outcome = run(jobs({array_of(1), bad}));
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, Code::bad_field);
  EXPECT_EQ(outcome.error->field.substr(0, 8), "jobs[1].") << outcome.error->field;
  EXPECT_EQ(cluster_.stats().jobs, 0u);
  EXPECT_EQ(run(SubmitJobs{{}, {}}).error->field, "jobs");
  EXPECT_EQ(run(SubmitJobs{{}, {Raw{"\xc1"}}}).error->field, "jobs[0]");
}

TEST_F(submitting, an_array_of_ten_million_costs_what_one_task_costs) {
  const auto used = [] { return mallinfo2().uordblks; };
  add_node("a", vcores(1'000'000));
  submit(array_of(1));
  auto before = used();
  const JobId job = submit(array_of(tasks_max));
  EXPECT_LT(used() - before, 50'000u);
  before = used();
  placed(NodeId(1), job, {{0, tasks_max / 2}}, 1000);
  for (TaskIndex first = 0; first < tasks_max / 2; first += tasks_max / 20)
    EXPECT_EQ(finish(NodeId(1), job, {{first, tasks_max / 20}}).changed, tasks_max / 20);
  EXPECT_EQ(progress(job).succeeded, tasks_max / 2);
  EXPECT_EQ(progress(job).pending, tasks_max / 2);
  EXPECT_LT(used() - before, 50'000u);
  EXPECT_LT(cluster_.snapshot().size(), 2'000u);
}

// ---- placing

class placing : public CoreTest {
protected:
  void SetUp() override { node_ = add_node("a"); }
  NodeId node_;
};

TEST_F(placing, books_what_may_run_at_once_not_what_is_sent_ahead) {
  const JobId job = submit(array_of(100));
  placed(node_, job, {{0, 40}}, 3);
  EXPECT_EQ(available(node_), vcores(1));
  EXPECT_EQ(progress(job).assigned, 40u);
  EXPECT_EQ(told<FlightChanged>().at(0).slots, 3u);
  EXPECT_EQ(told<NodeAvailable>().at(0).available, vcores(1));
}

TEST_F(placing, states_the_total_of_slots_and_never_takes_any_away) {
  const JobId job = submit(array_of(100));
  placed(node_, job, {{0, 10}}, 3);
  placed(node_, job, {{10, 10}}, 3);
  EXPECT_EQ(available(node_), vcores(1));
  placed(node_, job, {{20, 10}}, 1);
  EXPECT_EQ(available(node_), vcores(1));
  placed(node_, job, {{30, 10}}, 4);
  EXPECT_EQ(available(node_), vcores(0));
  EXPECT_EQ(refusal(node_, job, {{40, 10}}, 5), Code::no_capacity);
}

TEST_F(placing, never_books_more_slots_than_tasks) {
  const JobId job = submit(array_of(2));
  placed(node_, job, {{0, 2}}, 4);
  EXPECT_EQ(available(node_), vcores(2));
}

TEST_F(placing, beyond_the_capacity_is_refused_and_says_what_is_short) {
  JobSpec spec = array_of(10);
  spec.resources = vcores(3, 1);
  const JobId job = submit(spec);
  const Outcome outcome = place(node_, job, {{0, 2}}, 2);
  ASSERT_EQ(outcome.refused.size(), 1u);
  const Error& error = outcome.refused[0].error;
  EXPECT_EQ(error.code, Code::no_capacity);
  EXPECT_NE(error.text.find("asked 6"), std::string::npos) << error.text;
  EXPECT_NE(error.text.find("memory"), std::string::npos) << error.text;
  EXPECT_EQ(available(node_), vcores(4));
}

TEST_F(placing, named_resources_are_counted_like_the_others) {
  Resources gpus = vcores(4);
  gpus.named_milli["gpu"] = 1000;
  const NodeId node = add_node("gpu", gpus);
  JobSpec spec = array_of(4);
  spec.resources.named_milli["gpu"] = 500;
  const JobId job = submit(spec);
  EXPECT_EQ(refusal(node_, job, {{0, 1}}), Code::no_capacity);
  placed(node, job, {{0, 2}}, 2);
  EXPECT_EQ(refusal(node, job, {{2, 1}}, 3), Code::no_capacity);
}

TEST_F(placing, each_is_judged_by_itself_against_what_the_ones_before_left) {
  const JobId job = submit(array_of(10));
  const NodeId other = add_node("b", vcores(1));
  const Outcome outcome = run(Place{{{node_, job, 3, {{0, 3}}},
                                     {node_, job, 5, {{3, 2}}},
                                     {other, job, 1, {{3, 1}}},
                                     {other, job, 1, {{3, 1}}}}});
  ASSERT_EQ(outcome.refused.size(), 2u);
  EXPECT_EQ(outcome.refused[0].error.code, Code::no_capacity);
  EXPECT_EQ(outcome.refused[1].error.code, Code::stale);
  EXPECT_EQ(outcome.changed, 4u);
  EXPECT_EQ(std::get<TasksPlaced>(outcome.entry->fact).placements.size(), 2u);
}

TEST_F(placing, takes_only_tasks_that_wait_and_only_as_the_next_attempt) {
  const JobId job = submit(array_of(10));
  EXPECT_EQ(refusal(node_, job, {{0, 1, 2}}), Code::stale);
  placed(node_, job, {{0, 2}});
  EXPECT_EQ(refusal(node_, job, {{1, 2}}), Code::stale);
  EXPECT_EQ(refusal(node_, job, {{1, 1, 2}}), Code::stale);
  EXPECT_EQ(progress(job).assigned, 2u);
}

TEST_F(placing, out_of_order_leaves_the_gap_waiting) {
  const JobId job = submit(array_of(10));
  placed(node_, job, {{4, 2}});
  EXPECT_EQ(progress(job).pending, 8u);
  EXPECT_EQ(state(job, 0), TaskState::pending);
  EXPECT_EQ(state(job, 4), TaskState::assigned);
  EXPECT_EQ(state(job, 9), TaskState::pending);
  placed(node_, job, {{1, 2}, {8, 1}});
  placed(node_, job, {{0, 1}, {3, 1}, {6, 2}, {9, 1}});
  EXPECT_EQ(progress(job).pending, 0u);
  finish(node_, job, {{0, 10}});
  EXPECT_EQ(progress(job).state, JobState::succeeded);
}

TEST_F(placing, of_a_run_across_the_first_task_that_nothing_ever_happened_to) {
  const JobId job = submit(array_of(10));
  run(Cancel{job, {{5, 3}}, {}});
  run(Retry{job, {{5, 3}}}); // 5 to 7 wait as before, 8 and 9 were never touched
  placed(node_, job, {{6, 3}});
  EXPECT_EQ(progress(job).pending, 7u);
  EXPECT_EQ(state(job, 8), TaskState::assigned);
  EXPECT_EQ(refusal(node_, job, {{8, 2}}), Code::stale);
  placed(node_, job, {{0, 6}, {9, 1}});
  finish(node_, job, {{0, 10}});
  EXPECT_EQ(progress(job).state, JobState::succeeded);
}

TEST_F(placing, of_waiting_tasks_on_both_sides_of_the_first_that_was_never_placed) {
  const JobId job = submit(array_of(10));
  placed(node_, job, {{1, 1}}); // task 0 waits, and so do 2 and on
  report(node_, job, result_of(1, Cause::cancelled));
  run(Requeue{job, {{1, 1, 1}}, Cause::cancelled, {}, {}});
  EXPECT_EQ(refusal(node_, job, {{0, 4}}), Code::stale); // task 1 is at its second attempt
  placed(node_, job, {{0, 1}, {1, 1, 2}, {2, 2}});
  EXPECT_EQ(progress(job).pending, 6u);
  placed(node_, job, {{9, 1}});
  placed(node_, job, {{4, 5}});
  EXPECT_EQ(progress(job).pending, 0u);
}

struct BadPlacement {
  const char* name;
  std::vector<TaskRun> runs;
  std::uint32_t slots;
  Code code;
};
class bad_placement : public placing, public testing::WithParamInterface<BadPlacement> {};
TEST_P(bad_placement, is_refused_and_changes_nothing) {
  const JobId job = submit(array_of(10));
  EXPECT_EQ(refusal(node_, job, GetParam().runs, GetParam().slots), GetParam().code);
  EXPECT_EQ(progress(job).pending, 10u);
}
constexpr TaskIndex index_max = std::numeric_limits<TaskIndex>::max();
INSTANTIATE_TEST_SUITE_P(
  of, bad_placement,
  testing::Values(BadPlacement{"nothing", {}, 1, Code::bad_field},
                  BadPlacement{"no_slot", {{0, 1}}, 0, Code::bad_field},
                  BadPlacement{"an_empty_run", {{0, 0}}, 1, Code::bad_field},
                  BadPlacement{"beyond_the_end", {{9, 2}}, 1, Code::bad_field},
                  BadPlacement{"runs_that_overlap", {{0, 3}, {2, 2}}, 1, Code::bad_field},
                  BadPlacement{"runs_out_of_order", {{5, 1}, {0, 1}}, 1, Code::bad_field},
                  BadPlacement{
                    "an_index_that_overflows", {{index_max, index_max}}, 1, Code::bad_field}),
  [](const auto& test) { return test.param.name; });

TEST_F(placing, respects_what_the_job_asks_of_its_nodes) {
  JobSpec parallel = array_of(10), labelled = array_of(1), foreign = array_of(1);
  parallel.max_parallel = 2;
  labelled.node_labels = {{"zone", "x"}};
  foreign.executor = "python";
  const JobId p = submit(parallel);
  EXPECT_EQ(refusal(node_, p, {{0, 3}}), Code::refused);
  placed(node_, p, {{0, 2}});
  EXPECT_EQ(refusal(node_, p, {{2, 1}}), Code::refused);
  finish(node_, p, {{0, 1}});
  placed(node_, p, {{2, 1}});
  const JobId l = submit(labelled);
  EXPECT_EQ(refusal(node_, l, {{0, 1}}), Code::refused);
  run(LabelNodes{{"a"}, {{"zone", "x"}}});
  placed(node_, l, {{0, 1}});
  EXPECT_EQ(refusal(node_, submit(foreign), {{0, 1}}), Code::refused);
}

TEST_F(placing, of_what_is_unknown_held_cancelled_or_over_is_refused) {
  const JobId job = submit(array_of(2));
  EXPECT_EQ(refusal(NodeId(9), job, {{0, 1}}), Code::not_found);
  EXPECT_EQ(refusal(node_, JobId(9), {{0, 1}}), Code::not_found);
  run(Hold{job, true, {}});
  EXPECT_EQ(refusal(node_, job, {{0, 1}}), Code::stale);
  run(Hold{job, false, {}});
  placed(node_, job, {{0, 1}});
  run(Cancel{job, {}, {}});
  EXPECT_EQ(refusal(node_, job, {{1, 1}}), Code::stale);
  finish(node_, job, {{0, 1}});
  EXPECT_EQ(refusal(node_, job, {{1, 1}}), Code::stale);
}

// ---- results

class results : public CoreTest {
protected:
  void SetUp() override { node_ = add_node("a", vcores(100)); }
  JobId running(std::uint32_t count, std::uint32_t retries = 0) {
    JobSpec spec = array_of(count);
    spec.retries = retries;
    const JobId job = submit(spec);
    placed(node_, job, {{0, count}}, count);
    return job;
  }
  NodeId node_;
};

TEST_F(results, count_once) {
  const JobId job = running(4);
  EXPECT_EQ(finish(node_, job, {{0, 2}}).changed, 2u);
  EXPECT_FALSE(finish(node_, job, {{0, 2}}).entry);
  const Outcome partly = finish(node_, job, {{0, 3}});
  EXPECT_EQ(partly.changed, 1u);
  EXPECT_EQ(std::get<TasksFinished>(partly.entry->fact).jobs.at(0).quiet.at(0).run,
            (TaskRun{2, 1, 1}));
  EXPECT_EQ(progress(job).succeeded, 3u);
}

TEST_F(results, twice_in_one_message_count_once) {
  const JobId job = running(4);
  const Outcome outcome = run(Finish{node_,
                                     {{job,
                                       {{{0, 2}, now_, now_}, {{1, 2}, now_, now_}},
                                       {result_of(2), result_of(3), result_of(3)}},
                                      {job, {}, {result_of(0)}}}});
  EXPECT_EQ(outcome.changed, 4u);
  EXPECT_EQ(progress(job).succeeded, 4u);
  EXPECT_EQ(told<JobEnded>().size(), 1u);
}

TEST_F(results, of_another_attempt_node_or_job_are_ignored) {
  const NodeId other = add_node("b");
  const JobId job = running(2);
  EXPECT_EQ(report(node_, job, result_of(0, Cause::none, 0, 2)).changed, 0u);
  EXPECT_EQ(report(other, job, result_of(0)).changed, 0u);
  EXPECT_EQ(report(node_, job, result_of(5)).changed, 0u);
  EXPECT_EQ(report(NodeId(9), job, result_of(0)).changed, 0u);
  EXPECT_EQ(report(node_, JobId(9), result_of(0)).changed, 0u);
  EXPECT_EQ(report(node_, submit(array_of(1)), result_of(0)).changed, 0u);
  EXPECT_EQ(progress(job).assigned, 2u);
}

TEST_F(results, of_an_attempt_that_was_given_up_as_lost_are_ignored) {
  const JobId job = running(1);
  lose(node_);
  run(Requeue{job, {{0, 1, 1}}, Cause::lost_node, {}, {}});
  add_node("a", vcores(100));
  placed(node_, job, {{0, 1, 2}});
  EXPECT_EQ(report(node_, job, result_of(0)).changed, 0u);
  EXPECT_EQ(report(node_, job, result_of(0, Cause::none, 0, 2)).changed, 1u);
  EXPECT_EQ(progress(job).state, JobState::succeeded);
  EXPECT_EQ(cluster_.stats().succeeded, 1u);
}

TEST_F(results, free_what_they_held_as_slots_run_out_of_tasks) {
  const JobId job = submit(array_of(10));
  placed(node_, job, {{0, 10}}, 4);
  finish(node_, job, {{0, 6}});
  EXPECT_EQ(available(node_), vcores(96));
  finish(node_, job, {{6, 3}});
  EXPECT_EQ(available(node_), vcores(99));
  finish(node_, job, {{9, 1}});
  EXPECT_EQ(available(node_), vcores(100));
  EXPECT_EQ(told<FlightChanged>().at(0).in_flight, 0u);
}

TEST_F(results, that_are_failures_without_retries_fail_the_task_with_its_exit_code) {
  const JobId job = running(3);
  report(node_, job, result_of(1, Cause::exit_code, 3));
  EXPECT_EQ(state(job, 1), TaskState::failed);
  EXPECT_TRUE(told<TasksInterrupted>().empty());
  report(node_, job, result_of(2, Cause::signal, 9));
  finish(node_, job, {{0, 1}});
  const JobProgress p = progress(job);
  EXPECT_EQ(p.state, JobState::failed);
  EXPECT_EQ(p.failed, 2u);
  EXPECT_EQ(p.succeeded, 1u);
  EXPECT_EQ(p.exit_code, 3); // of the first that failed
  EXPECT_EQ(told<JobEnded>().at(0).state, JobState::failed);
  const TaskView view = task(job, 2);
  EXPECT_EQ(view.last.signal, 9);
  EXPECT_EQ(view.last.cause, Cause::signal);
  EXPECT_EQ(view.reason, "it went wrong");
}

TEST_F(results, by_signal_give_the_job_128_and_the_signal) {
  const JobId job = running(1);
  report(node_, job, result_of(0, Cause::signal, 9));
  EXPECT_EQ(progress(job).exit_code, 137);
}

TEST_F(results, that_are_failures_are_tried_again_as_often_as_asked) {
  const JobId job = running(1, 2);
  for (Attempt attempt = 1; attempt <= 2; ++attempt) {
    report(node_, job, result_of(0, Cause::exit_code, 1, attempt));
    const auto interrupted = told<TasksInterrupted>();
    ASSERT_EQ(interrupted.size(), 1u);
    EXPECT_EQ(interrupted[0].tally->failures, attempt);
    EXPECT_EQ(interrupted[0].tally->losses, 0u);
    EXPECT_EQ(state(job, 0), TaskState::interrupted);
    run(Requeue{job, {{0, 1, attempt}}, Cause::exit_code, now_ + std::chrono::seconds(1), "again"});
    const auto ready = told<TasksReady>();
    ASSERT_EQ(ready.size(), 1u);
    EXPECT_EQ(ready[0].run, (TaskRun{0, 1, attempt + 1}));
    EXPECT_EQ(task(job, 0).not_before, ready[0].not_before);
    placed(node_, job, {{0, 1, attempt + 1}});
  }
  report(node_, job, result_of(0, Cause::exit_code, 1, 3));
  EXPECT_EQ(progress(job).state, JobState::failed);
}

TEST_F(results, failures_and_losses_are_charged_apart) {
  const JobId job = running(1, 1);
  lose(node_);
  EXPECT_EQ(told<TasksInterrupted>().at(0).tally->losses, 1u);
  run(Requeue{job, {{0, 1, 1}}, Cause::lost_node, {}, {}});
  add_node("a", vcores(100));
  placed(node_, job, {{0, 1, 2}});
  report(node_, job, result_of(0, Cause::exit_code, 1, 2));
  EXPECT_EQ(told<TasksInterrupted>().at(0).tally->losses, 1u);
  EXPECT_EQ(told<TasksInterrupted>().at(0).tally->failures, 1u);
}

TEST_F(results, cancelled_by_nobody_here_charge_nothing) {
  const JobId job = running(1);
  report(node_, job, result_of(0, Cause::cancelled));
  EXPECT_EQ(state(job, 0), TaskState::interrupted);
  EXPECT_EQ(told<TasksInterrupted>().at(0).tally->failures, 0u);
}

TEST_F(results, of_neighbours_with_different_pasts_are_told_apart) {
  JobSpec spec = array_of(3);
  spec.retries = 5;
  const JobId job = submit(spec);
  placed(node_, job, {{0, 3}}, 3);
  report(node_, job, result_of(1, Cause::exit_code, 1));
  run(Requeue{job, {{1, 1, 1}}, Cause::exit_code, {}, {}});
  placed(node_, job, {{1, 1, 2}}, 3);
  lose(node_);
  const auto interrupted = told<TasksInterrupted>();
  std::uint32_t with_failure = 0;
  for (const auto& one : interrupted)
    for (const TaskRun& run : one.runs) {
      EXPECT_EQ(one.tally->failures, run.first == 1 ? 1u : 0u);
      EXPECT_EQ(run.attempt, run.first == 1 ? 2u : 1u);
      with_failure += one.tally->failures * run.count;
    }
  EXPECT_EQ(with_failure, 1u);
  EXPECT_EQ(progress(job).interrupted, 3u);
}

TEST_F(results, set_when_a_job_started_and_ended) {
  const JobId job = submit(array_of(2));
  EXPECT_EQ(progress(job).state, JobState::pending);
  placed(node_, job, {{0, 1}});
  const TimePoint started = now_;
  EXPECT_EQ(progress(job).state, JobState::running);
  finish(node_, job, {{0, 1}});
  EXPECT_EQ(progress(job).state, JobState::running);
  placed(node_, job, {{1, 1}});
  finish(node_, job, {{1, 1}});
  const JobView view = cluster_.list(ListJobs{}).jobs.at(0);
  EXPECT_EQ(view.started, started);
  EXPECT_EQ(view.ended, now_);
  EXPECT_EQ(view.progress.state, JobState::succeeded);
}

// ---- recovery's decisions

class interrupted_tasks : public results {
protected:
  void SetUp() override {
    results::SetUp();
    job_ = running(6);
    lose(node_);
  }
  JobId job_;
};

TEST_F(interrupted_tasks, wait_again_as_the_next_attempt) {
  EXPECT_EQ(run(Requeue{job_, {{4, 2, 1}, {0, 2, 1}}, Cause::lost_node, {}, "lost"}).changed, 4u);
  EXPECT_EQ(progress(job_).pending, 4u);
  EXPECT_EQ(progress(job_).interrupted, 2u);
  EXPECT_EQ(cluster_.stats().requeued, 4u);
  add_node("a", vcores(100));
  EXPECT_EQ(refusal(node_, job_, {{0, 1, 1}}), Code::stale);
  EXPECT_EQ(refusal(node_, job_, {{2, 1, 2}}), Code::stale); // not yet
  placed(node_, job_, {{0, 2, 2}, {4, 2, 2}});
}

TEST_F(interrupted_tasks, are_decided_about_once_and_by_their_attempt) {
  EXPECT_EQ(run(Requeue{job_, {{0, 2, 2}}, Cause::lost_node, {}, {}}).error->code, Code::stale);
  run(Requeue{job_, {{0, 2, 1}}, Cause::lost_node, {}, {}});
  EXPECT_EQ(run(Requeue{job_, {{1, 2, 1}}, Cause::lost_node, {}, {}}).error->code, Code::stale);
  EXPECT_EQ(run(GiveUp{job_, {{0, 1, 1}}, false, {}, {}}).error->code, Code::stale);
  EXPECT_EQ(run(Requeue{JobId(9), {{0, 1, 1}}, {}, {}, {}}).error->code, Code::not_found);
  EXPECT_EQ(run(Requeue{job_, {{5, 2, 1}}, {}, {}, {}}).error->code, Code::bad_field);
  EXPECT_FALSE(run(Requeue{job_, {}, {}, {}, {}}).entry);
}

TEST_F(interrupted_tasks, given_up_fail_the_job) {
  run(GiveUp{job_, {{0, 6, 1}}, false, Cause::lost_node, "its node was lost too often"});
  EXPECT_EQ(progress(job_).state, JobState::failed);
  EXPECT_EQ(progress(job_).exit_code, 1);
  EXPECT_EQ(cluster_.list(ListJobs{}).jobs.at(0).reason, "its node was lost too often");
}

TEST_F(interrupted_tasks, may_be_held_for_a_person_who_lets_them_go_on) {
  run(GiveUp{job_, {{0, 6, 1}}, true, Cause::lost_node, "ran on 3 nodes as they died"});
  EXPECT_EQ(progress(job_).state, JobState::held);
  EXPECT_EQ(task(job_, 3).reason, "ran on 3 nodes as they died");
  EXPECT_EQ(run(Retry{job_, {{3, 1}}}).changed, 1u);
  EXPECT_EQ(told<TasksReady>().at(0).run, (TaskRun{3, 1, 2}));
  EXPECT_EQ(progress(job_).state, JobState::running);
  EXPECT_EQ(progress(job_).held, 5u);
}

// ---- cancelling, retrying, holding, forgetting

class acting : public results {};

TEST_F(acting, cancelling_ends_what_waits_at_once_and_stops_what_runs) {
  const JobId job = submit(array_of(10));
  placed(node_, job, {{0, 4}}, 2);
  finish(node_, job, {{0, 1}});
  EXPECT_EQ(run(Cancel{job, {}, "enough"}).changed, 9u);
  EXPECT_EQ(progress(job).cancelled, 6u);
  EXPECT_EQ(progress(job).assigned, 3u);
  EXPECT_TRUE(told<TasksWithdrawn>().at(0).runs.empty());
  const auto stop = told<TasksToStop>();
  ASSERT_EQ(stop.size(), 1u);
  EXPECT_EQ(stop[0].node, node_);
  EXPECT_EQ(stop[0].runs, (std::vector<TaskRun>{{1, 3}}));
  EXPECT_EQ(stop[0].reason, "enough");
  EXPECT_FALSE(run(Cancel{job, {}, "enough"}).entry); // asked already

  report(node_, job, result_of(1, Cause::cancelled));
  finish(node_, job, {{2, 1}}); // it was quicker
  report(node_, job, result_of(3, Cause::exit_code, 1));
  EXPECT_EQ(progress(job).cancelled, 8u);
  EXPECT_EQ(progress(job).succeeded, 2u);
  EXPECT_EQ(progress(job).state, JobState::cancelled);
  EXPECT_EQ(available(node_), vcores(100));
  EXPECT_FALSE(run(Cancel{job, {}, {}}).entry);
}

TEST_F(acting, cancelling_chosen_tasks_leaves_the_others) {
  const JobId job = submit(array_of(10));
  placed(node_, job, {{0, 4}}, 2);
  EXPECT_EQ(run(Cancel{job, {{8, 2}, {2, 3}}, {}}).changed, 5u);
  EXPECT_EQ(told<TasksToStop>().at(0).runs, (std::vector<TaskRun>{{2, 2}}));
  EXPECT_EQ(told<TasksWithdrawn>().at(0).runs, (std::vector<TaskRun>{{4, 1}, {8, 2}}));
  EXPECT_EQ(run(Cancel{job, {{2, 3}}, {}}).changed, 0u);
  report(node_, job, result_of(2, Cause::cancelled));
  report(node_, job, result_of(0, Cause::cancelled)); // not asked for: interrupted
  EXPECT_EQ(state(job, 2), TaskState::cancelled);
  EXPECT_EQ(state(job, 0), TaskState::interrupted);
  EXPECT_EQ(state(job, 5), TaskState::pending);
  placed(node_, job, {{5, 3}}, 2);
  EXPECT_EQ(run(Cancel{job, {{9, 2}}, {}}).error->code, Code::bad_field);
  EXPECT_EQ(run(Cancel{JobId(9), {}, {}}).error->code, Code::not_found);
}

TEST_F(acting, cancelling_tasks_that_are_interrupted_or_held_ends_them) {
  const JobId job = running(4);
  lose(node_);
  run(GiveUp{job, {{0, 2, 1}}, true, Cause::lost_node, {}});
  EXPECT_EQ(run(Cancel{job, {}, {}}).changed, 4u);
  EXPECT_EQ(progress(job).state, JobState::cancelled);
}

TEST_F(acting, a_node_lost_while_its_tasks_are_being_stopped_ends_them) {
  const JobId whole = running(2), part = running(2);
  run(Cancel{whole, {}, {}});
  run(Cancel{part, {{1, 1}}, {}});
  lose(node_);
  EXPECT_EQ(progress(whole).state, JobState::cancelled);
  EXPECT_EQ(state(part, 0), TaskState::interrupted);
  EXPECT_EQ(state(part, 1), TaskState::cancelled);
}

TEST_F(acting, a_retried_task_starts_over_with_all_its_tries) {
  const JobId job = running(3);
  report(node_, job, result_of(0, Cause::exit_code, 7));
  report(node_, job, result_of(1, Cause::exit_code, 8));
  finish(node_, job, {{2, 1}});
  ASSERT_EQ(progress(job).state, JobState::failed);
  EXPECT_EQ(run(Retry{job, {{0, 1}, {2, 1}}}).changed, 1u); // what succeeded stays
  EXPECT_EQ(told<JobReopened>().at(0).job, job);
  EXPECT_EQ(told<TasksReady>().at(0).run, (TaskRun{0, 1, 2}));
  EXPECT_EQ(progress(job).state, JobState::running);
  placed(node_, job, {{0, 1, 2}});
  report(node_, job, result_of(0, Cause::none, 0, 2));
  EXPECT_EQ(progress(job).state, JobState::failed); // the other one
  EXPECT_EQ(run(Retry{job, {}}).changed, 1u);
  EXPECT_EQ(progress(job).exit_code, 0);
  placed(node_, job, {{1, 1, 2}});
  report(node_, job, result_of(1, Cause::none, 0, 2));
  EXPECT_EQ(progress(job).state, JobState::succeeded);
  EXPECT_FALSE(run(Retry{job, {}}).entry);
}

TEST_F(acting, a_cancelled_job_can_be_retried_while_some_of_it_is_still_being_stopped) {
  const JobId job = submit(array_of(4));
  placed(node_, job, {{0, 1}});
  run(Cancel{job, {}, {}});
  EXPECT_EQ(run(Retry{job, {}}).changed, 3u);
  placed(node_, job, {{1, 1, 1}});
  report(node_, job, result_of(0, Cause::cancelled)); // no longer wanted cancelled: tried again
  EXPECT_EQ(state(job, 0), TaskState::interrupted);
}

TEST_F(acting, retrying_one_task_of_a_cancelled_job_leaves_the_others_cancelled) {
  const JobId job = submit(array_of(4));
  placed(node_, job, {{0, 2}}, 2);
  run(Cancel{job, {}, {}});
  EXPECT_EQ(run(Retry{job, {{3, 1}}}).changed, 1u);
  report(node_, job, result_of(0, Cause::cancelled)); // was told to stop, and still should
  EXPECT_EQ(state(job, 0), TaskState::cancelled);
  EXPECT_EQ(state(job, 2), TaskState::cancelled);
  placed(node_, job, {{3, 1}}, 2);
  finish(node_, job, {{3, 1}});
  report(node_, job, result_of(1, Cause::cancelled));
  EXPECT_EQ(progress(job).state, JobState::cancelled);
  EXPECT_EQ(progress(job).succeeded, 1u);
}

TEST_F(acting, asking_twice_to_make_way_is_one_entry) {
  const JobId job = submit(array_of(4));
  placed(node_, job, {{0, 4}}, 2);
  EXPECT_EQ(run(Preempt{node_, job, {{1, 1}, {0, 2}}, Cause::preempted, {}}).changed, 2u);
  EXPECT_EQ(run(Preempt{node_, job, {{1, 2}}, Cause::preempted, {}}).changed, 1u);
  EXPECT_EQ(told<TasksToStop>().at(0).runs, (std::vector<TaskRun>{{2, 1}}));
  EXPECT_FALSE(run(Preempt{node_, job, {{0, 3}}, Cause::preempted, {}}).entry);
}

TEST_F(acting, a_held_job_is_not_placed_and_what_runs_goes_on) {
  const JobId job = submit(array_of(2));
  EXPECT_EQ(run(Hold{job, true, "wait for ada"}).changed, 2u);
  EXPECT_TRUE(told<HoldChanged>().at(0).held);
  EXPECT_EQ(progress(job).state, JobState::held);
  EXPECT_EQ(task(job, 0).reason, "the job is held: wait for ada");
  EXPECT_FALSE(run(Hold{job, true, {}}).entry);
  run(Hold{job, false, {}});
  EXPECT_EQ(progress(job).state, JobState::pending);
  placed(node_, job, {{0, 1}});
  run(Hold{job, true, {}});
  EXPECT_EQ(progress(job).state, JobState::running);
  finish(node_, job, {{0, 1}});
  EXPECT_EQ(progress(job).state, JobState::held);
  run(Cancel{job, {}, {}});
  EXPECT_EQ(run(Hold{job, true, {}}).error->code, Code::refused);
}

TEST_F(acting, only_ended_jobs_are_forgotten_and_ids_go_on) {
  const JobId ended = running(1), waiting = submit(array_of(1));
  finish(node_, ended, {{0, 1}});
  EXPECT_EQ(run(Forget{{ended, ended, waiting, JobId(99)}}).changed, 1u);
  EXPECT_EQ(cluster_.find_job(ended), nullptr);
  EXPECT_EQ(cluster_.progress(ended).error().code, Code::not_found);
  run(Cancel{waiting, {}, {}});
  run(Forget{{waiting}});
  EXPECT_EQ(cluster_.stats().jobs, 0u);
  auto restored = Cluster::restore(cluster_.snapshot());
  Changes changes;
  EXPECT_EQ(restored->execute(SubmitJobs{{}, {Raw{encode(array_of(1))}}}, now_, changes).first_job,
            waiting.next());
  EXPECT_EQ(submit(array_of(1)), waiting.next());
}

TEST_F(acting, forgotten_jobs_give_their_memory_back) {
  const auto thousand = [&] {
    Changes changes;
    SubmitJobs command;
    command.specs.assign(1000, Raw{encode(array_of(1))});
    Forget forget;
    const JobId first = cluster_.execute(command, now_, changes).first_job;
    for (std::uint64_t id = first.value; id < first.value + 1000; ++id)
      forget.jobs.push_back(JobId(id));
    for (const JobId job : forget.jobs)
      cluster_.execute(Cancel{job, {}, {}}, now_, changes);
    EXPECT_EQ(cluster_.execute(forget, now_, changes).changed, 1000u);
  };
  thousand();
  const auto before = mallinfo2().uordblks;
  for (int i = 0; i < 20; ++i)
    thousand();
  EXPECT_LT(mallinfo2().uordblks, before + 20'000);
  entries_.clear(); // not kept above, so there is nothing to replay
  cluster_ = Cluster();
}

// ---- looking

class views : public CoreTest {};

TEST_F(views, list_jobs_newest_first_in_pages) {
  for (int i = 0; i < 5; ++i)
    submit(array_of(1));
  ListJobs query;
  query.limit = 2;
  JobList page = cluster_.list(query);
  ASSERT_EQ(page.jobs.size(), 2u);
  EXPECT_EQ(page.jobs[0].progress.job, JobId(5));
  EXPECT_TRUE(page.more);
  query.before = page.jobs.back().progress.job;
  query.limit = 10;
  page = cluster_.list(query);
  ASSERT_EQ(page.jobs.size(), 3u);
  EXPECT_EQ(page.jobs[0].progress.job, JobId(3));
  EXPECT_FALSE(page.more);
}

TEST_F(views, filter_jobs_by_what_people_know_of_them) {
  JobSpec spec = array_of(1);
  spec.name = "train-1";
  spec.labels = {{"team", "x"}};
  const JobId train = submit(spec);
  spec.name = "test";
  spec.user = "bob";
  spec.queue = "night";
  spec.labels.clear();
  const JobId test = submit(spec);
  run(Hold{test, true, {}});
  const auto ids = [&](const ListJobs& query) {
    std::vector<JobId> out;
    for (const auto& view : cluster_.list(query).jobs)
      out.push_back(view.progress.job);
    return out;
  };
  ListJobs query;
  query.name = "train*";
  EXPECT_EQ(ids(query), std::vector{train});
  query.name = "t*";
  EXPECT_EQ(ids(query), (std::vector{test, train}));
  query.user = "bob";
  EXPECT_EQ(ids(query), std::vector{test});
  query = {};
  query.queue = "default";
  EXPECT_EQ(ids(query), std::vector{train});
  query = {};
  query.labels = {{"team", "x"}};
  EXPECT_EQ(ids(query), std::vector{train});
  query = {};
  query.states = {JobState::held};
  EXPECT_EQ(ids(query), std::vector{test});
  query = {};
  query.jobs = {test, JobId(9), train, test};
  EXPECT_EQ(ids(query), (std::vector{test, train}));
}

TEST_F(views, give_the_spec_back_as_it_was_sent) {
  JobSpec spec = array_of(2);
  spec.items = {"x", "y"};
  spec.env = {{"A", "1"}};
  const JobId id = submit(spec);
  ListJobs query;
  query.spec = true;
  const auto shown = decode<JobSpec>(cluster_.list(query).jobs.at(0).spec.msgpack);
  ASSERT_TRUE(shown);
  EXPECT_EQ(shown->env, spec.env);
  EXPECT_TRUE(shown->items.empty()); // they go to agents run by run
  const std::vector<TaskRun> second{{1, 1}};
  EXPECT_EQ(cluster_.items_of(id, second), std::vector<std::string>{"y"});
  EXPECT_TRUE(cluster_.spec_for_agents(JobId(9)).msgpack.empty());
}

TEST_F(views, list_tasks_in_pages_and_by_state) {
  const NodeId node = add_node("a");
  const JobId job = submit(array_of(10));
  placed(node, job, {{0, 4}});
  finish(node, job, {{0, 2}});
  ListTasks query;
  query.job = job;
  query.limit = 3;
  TaskList page = *cluster_.list(query);
  ASSERT_EQ(page.tasks.size(), 3u);
  EXPECT_EQ(page.tasks[0].state, TaskState::succeeded);
  EXPECT_EQ(page.tasks[2].state, TaskState::assigned);
  EXPECT_EQ(page.tasks[2].node, "a");
  EXPECT_TRUE(page.more);
  EXPECT_EQ(page.next, 3u);
  query.states = {TaskState::pending};
  query.limit = 100;
  page = *cluster_.list(query);
  ASSERT_EQ(page.tasks.size(), 6u);
  EXPECT_EQ(page.tasks[0].index, 4u);
  query.from = 10;
  EXPECT_EQ(cluster_.list(query).error().field, "from");
  query.job = JobId(9);
  EXPECT_EQ(cluster_.list(query).error().code, Code::not_found);
}

TEST_F(views, say_which_attempt_was_placed_last_and_where) {
  const NodeId node = add_node("a");
  const JobId id = submit(array_of(3));
  placed(node, id, {{0, 2}});
  EXPECT_EQ(cluster_.placed(job(id), 0).attempt, 1u);
  EXPECT_EQ(cluster_.placed(job(id), 0).node, node);
  EXPECT_EQ(cluster_.placed(job(id), 2).attempt, 0u);
  finish(node, id, {{0, 1}});
  EXPECT_EQ(cluster_.placed(job(id), 0).attempt, 1u);
  EXPECT_FALSE(cluster_.placed(job(id), 0).node);
  lose(node);
  run(Requeue{id, {{1, 1, 1}}, Cause::lost_node, {}, {}});
  EXPECT_EQ(cluster_.placed(job(id), 1).attempt, 1u);
  add_node("a");
  placed(node, id, {{1, 1, 2}});
  EXPECT_EQ(cluster_.placed(job(id), 1).attempt, 2u);
}

TEST_F(views, count_tasks_jobs_and_nodes) {
  const NodeId node = add_node("a");
  add_node("b");
  lose(add_node("c"));
  run(DrainNodes{{"b"}, true, {}});
  const JobId job = submit(array_of(10));
  submit(array_of(1));
  placed(node, job, {{0, 4}}, 2);
  finish(node, job, {{0, 1}});
  const Stats stats = cluster_.stats();
  EXPECT_EQ(stats.jobs, 2u);
  EXPECT_EQ(stats.jobs_running, 1u);
  EXPECT_EQ(stats.jobs_pending, 1u);
  EXPECT_EQ(stats.tasks_pending, 7u);
  EXPECT_EQ(stats.tasks_assigned, 3u);
  EXPECT_EQ(stats.submitted, 11u);
  EXPECT_EQ(stats.placed, 4u);
  EXPECT_EQ(stats.succeeded, 1u);
  EXPECT_EQ(stats.nodes_up, 2u);
  EXPECT_EQ(stats.nodes_lost, 1u);
  EXPECT_EQ(stats.nodes_draining, 1u);
  EXPECT_EQ(stats.capacity, vcores(8));
  EXPECT_EQ(stats.available, vcores(6));
}

class copying : public CoreTest {
protected:
  static JobSpec copied(std::uint32_t count) {
    JobSpec spec = array_of(count);
    spec.speculate = true;
    return spec;
  }
  Outcome copy(NodeId node, JobId job, TaskIndex index, Attempt attempt = 2) {
    return run(Place{{{node, job, 1, {{index, 1, attempt}}, true}}});
  }
  void expect_refused(const Outcome& outcome, std::string_view text) {
    EXPECT_FALSE(outcome.entry);
    ASSERT_EQ(outcome.refused.size(), 1u);
    EXPECT_NE(outcome.refused[0].error.text.find(text), std::string::npos)
      << outcome.refused[0].error.message();
  }
  const NodeId a = add_node("a"), b = add_node("b");
};

TEST_F(copying, a_task_books_room_for_both_and_counts_as_one) {
  const JobId id = submit(copied(2));
  placed(a, id, {{0, 2}}, 2);
  EXPECT_TRUE(copy(b, id, 1).entry);
  EXPECT_EQ(available(a), vcores(2));
  EXPECT_EQ(available(b), vcores(3));
  EXPECT_EQ(progress(id).assigned, 2u);
  EXPECT_EQ(cluster_.stats().tasks_assigned, 2u);
  EXPECT_EQ(task(id, 1).attempt, 1u);
  EXPECT_EQ(task(id, 1).node, "a");
  EXPECT_NE(task(id, 1).reason.find("attempt 2 runs as well, on b"), std::string::npos);
}

TEST_F(copying, the_first_to_end_well_counts_and_the_other_is_stopped) {
  const JobId id = submit(copied(1));
  placed(a, id, {{0, 1}});
  copy(b, id, 0);
  report(b, id, result_of(0, Cause::none, 0, 2));
  const auto stops = told<TasksToStop>();
  ASSERT_EQ(stops.size(), 1u);
  EXPECT_EQ(stops[0].node, a);
  EXPECT_EQ(stops[0].runs, (std::vector<TaskRun>{{0, 1, 1}}));
  EXPECT_EQ(state(id, 0), TaskState::succeeded);
  EXPECT_EQ(progress(id).state, JobState::running) << "not before the other has stopped";
  const auto again = cluster_.reconcile(a, {}); // the word may have been lost
  ASSERT_EQ(again.cancel.size(), 1u);
  EXPECT_EQ(again.cancel[0].runs, (std::vector<TaskRun>{{0, 1, 1}}));
  const Outcome late = report(a, id, result_of(0, Cause::cancelled));
  EXPECT_EQ(std::get<TasksFinished>(late.entry->fact).jobs[0].tasks[0].cause, Cause::superseded);
  EXPECT_EQ(progress(id).state, JobState::succeeded);
  EXPECT_EQ(available(a), vcores(4));
  EXPECT_EQ(available(b), vcores(4));
}

TEST_F(copying, both_ending_well_is_one_success) {
  const JobId id = submit(copied(1));
  placed(a, id, {{0, 1}});
  copy(b, id, 0);
  finish(a, id, {{0, 1, 1}});
  const Outcome late = finish(b, id, {{0, 1, 2}});
  const JobResults& told = std::get<TasksFinished>(late.entry->fact).jobs[0];
  EXPECT_TRUE(told.quiet.empty());
  EXPECT_EQ(told.tasks.at(0).cause, Cause::superseded);
  EXPECT_EQ(cluster_.stats().succeeded, 1u);
  EXPECT_EQ(progress(id).state, JobState::succeeded);
}

TEST_F(copying, when_one_fails_the_other_goes_on_uncharged) {
  const JobId id = submit(copied(1));
  placed(a, id, {{0, 1}});
  copy(b, id, 0);
  report(a, id, result_of(0, Cause::exit_code, 3));
  EXPECT_EQ(state(id, 0), TaskState::assigned);
  EXPECT_TRUE(told<TasksInterrupted>().empty());
  expect_refused(copy(a, id, 0, 2), "run alone"); // that number is taken
  EXPECT_TRUE(copy(a, id, 0, 3).entry);
  lose(a);
  EXPECT_EQ(state(id, 0), TaskState::assigned);
  report(b, id, result_of(0, Cause::exit_code, 4, 2));
  EXPECT_EQ(state(id, 0), TaskState::failed);
  EXPECT_EQ(progress(id).exit_code, 4);
}

TEST_F(copying, a_task_whose_copies_are_both_lost_waits_again_under_a_new_number) {
  const JobId id = submit(copied(1));
  placed(a, id, {{0, 1}});
  copy(b, id, 0);
  lose(b);
  EXPECT_TRUE(told<TasksInterrupted>().empty());
  lose(a);
  const auto interrupted = told<TasksInterrupted>();
  ASSERT_EQ(interrupted.size(), 1u);
  EXPECT_EQ(interrupted[0].runs, (std::vector<TaskRun>{{0, 1, 2}}));
  run(Requeue{id, interrupted[0].runs, Cause::lost_node, {}, {}});
  add_node("c");
  placed(NodeId(3), id, {{0, 1, 3}});
}

TEST_F(copying, cancelling_stops_both_and_the_task_ends_once) {
  const JobId id = submit(copied(2));
  placed(a, id, {{0, 2}}, 2);
  copy(b, id, 0);
  run(Cancel{id, {}, "enough"});
  EXPECT_EQ(told<TasksToStop>().size(), 2u);
  report(b, id, result_of(0, Cause::cancelled, 0, 2));
  EXPECT_EQ(progress(id).cancelled, 0u);
  report(a, id, result_of(0, Cause::cancelled));
  report(a, id, result_of(1, Cause::cancelled));
  EXPECT_EQ(progress(id).cancelled, 2u);
  EXPECT_EQ(progress(id).state, JobState::cancelled);
}

TEST_F(copying, moving_one_off_its_node_leaves_the_other) {
  const JobId id = submit(copied(1));
  placed(a, id, {{0, 1}});
  copy(b, id, 0);
  run(Preempt{a, id, {{0, 1, 1}}, Cause::drained, "the node drains"});
  EXPECT_EQ(told<TasksToStop>().size(), 1u);
  report(a, id, result_of(0, Cause::cancelled));
  EXPECT_EQ(state(id, 0), TaskState::assigned);
  EXPECT_EQ(task(id, 0).node, "b");
  finish(b, id, {{0, 1, 2}});
  EXPECT_EQ(progress(id).state, JobState::succeeded);
}

TEST_F(copying, is_refused_on_the_same_node_twice_or_unasked) {
  const JobId id = submit(copied(2));
  placed(a, id, {{0, 1}});
  expect_refused(copy(a, id, 0), "run alone on another node");
  expect_refused(copy(b, id, 1), "run alone"); // it waits
  EXPECT_TRUE(copy(b, id, 0).entry);
  add_node("c");
  expect_refused(copy(NodeId(3), id, 0, 3), "run alone");
  const JobId plain = submit(array_of(1));
  placed(a, plain, {{0, 1}});
  expect_refused(copy(b, plain, 0), "does not ask for copies");
  const JobId large = submit([] {
    JobSpec spec = copied(1);
    spec.resources = vcores(3);
    return spec;
  }());
  placed(NodeId(3), large, {{0, 1}});
  placed(b, submit([] {
           JobSpec spec = array_of(1);
           spec.resources = vcores(3);
           return spec;
         }()),
         {{0, 1}});
  EXPECT_EQ(copy(b, large, 0).refused.at(0).error.code, Code::no_capacity);
}

TEST_F(copying, does_not_go_with_gangs_or_shared_limits) {
  JobSpec spec = copied(2);
  spec.gang = true;
  const Outcome outcome = run(SubmitJobs{{}, {Raw{encode(spec)}}});
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->field, "jobs[0].speculate");
  spec.gang = false;
  spec.limits = {{"licence", 1, false}};
  EXPECT_TRUE(run(SubmitJobs{{}, {Raw{encode(spec)}}}).error);
}

} // namespace
} // namespace reeve::core::test
