// Jobs that wait for jobs, gangs, exclusive nodes, preemption, quarantine and overcommit: what the
// cluster makes of them. Every test also replays itself (fixture.hpp).
#include "tests/unit/core/fixture.hpp"

namespace reeve::core::test {
namespace {

Dependency on_job(JobId job, DependencyKind kind = DependencyKind::ok, bool each = false) {
  Dependency d;
  d.job = job;
  d.kind = kind;
  d.each = each;
  return d;
}
Dependency on_place(std::uint32_t place) {
  Dependency d;
  d.place = place;
  return d;
}

class DependencyTest : public CoreTest {
protected:
  JobId waiting_for(std::vector<Dependency> after, std::uint32_t count = 1) {
    JobSpec spec = array_of(count);
    spec.after = std::move(after);
    return submit(spec);
  }
  Outcome submit_all(std::vector<JobSpec> specs) {
    SubmitJobs command;
    for (const JobSpec& spec : specs)
      command.specs.push_back(Raw{encode(spec)});
    return run(command);
  }
};

TEST_F(DependencyTest, a_blocked_job_can_not_be_placed_before_the_other_succeeded) {
  const NodeId node = add_node("n1");
  const JobId first = submit(array_of(2));
  const JobId second = waiting_for({on_job(first)}, 3);
  ASSERT_EQ(told<JobArrived>().size(), 1u);
  EXPECT_TRUE(told<JobArrived>()[0].blocked);
  EXPECT_EQ(task(second, 1).reason, "waits for job 1 to succeed (pending)");
  EXPECT_EQ(refusal(node, second, {{0, 3, 1}}), Code::stale);
  placed(node, first, {{0, 2, 1}}, 2);
  finish(node, first, {{0, 1, 1}});
  EXPECT_TRUE(told<TasksReleased>().empty());
  finish(node, first, {{1, 1, 1}});
  ASSERT_EQ(told<TasksReleased>().size(), 1u);
  EXPECT_EQ(told<TasksReleased>()[0].runs, (std::vector<TaskRun>{{0, 3, 1}}));
  placed(node, second, {{0, 3, 1}}, 3);
}

TEST_F(DependencyTest, a_job_that_can_never_start_is_cancelled_and_so_is_who_waits_for_it) {
  const NodeId node = add_node("n1");
  const JobId a = submit(array_of(1));
  const JobId b = waiting_for({on_job(a)});
  const JobId c = waiting_for({on_job(b)});
  const JobId cleanup = waiting_for({on_job(b, DependencyKind::any)});
  const JobId alarm = waiting_for({on_job(a, DependencyKind::fail)});
  placed(node, a, {{0, 1, 1}});
  report(node, a, result_of(0, Cause::exit_code, 3));
  EXPECT_EQ(progress(b).state, JobState::cancelled);
  EXPECT_EQ(progress(c).state, JobState::cancelled);
  EXPECT_EQ(task(b, 0).last.cause, Cause::dependency);
  EXPECT_EQ(task(b, 0).reason, "job 1, which it waited for, failed");
  placed(node, cleanup, {{0, 1, 1}});
  placed(node, alarm, {{0, 1, 1}});
}

TEST_F(DependencyTest, a_task_that_was_cancelled_before_it_was_placed_can_be_listed) {
  const NodeId node = add_node("n1");
  const JobId a = submit(array_of(1)), b = waiting_for({on_job(a)});
  placed(node, a, {{0, 1, 1}});
  report(node, a, result_of(0, Cause::exit_code, 1));
  const JobId c = submit(array_of(1));
  run(Cancel{c, {}, "enough"});
  for (const JobId job : {b, c}) {
    ListTasks query;
    query.job = job;
    const auto read = decode<TaskList>(encode(*cluster_.list(query)));
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(read->tasks.at(0).state, TaskState::cancelled);
  }
}

TEST_F(DependencyTest, a_wish_for_failure_is_cancelled_by_success) {
  const NodeId node = add_node("n1");
  const JobId a = submit(array_of(1));
  const JobId alarm = waiting_for({on_job(a, DependencyKind::fail)});
  placed(node, a, {{0, 1, 1}});
  finish(node, a, {{0, 1, 1}});
  EXPECT_EQ(progress(alarm).state, JobState::cancelled);
}

TEST_F(DependencyTest, waiting_for_a_job_that_has_ended_is_settled_at_once) {
  const NodeId node = add_node("n1");
  const JobId a = submit(array_of(1));
  placed(node, a, {{0, 1, 1}});
  finish(node, a, {{0, 1, 1}});
  const JobId good = waiting_for({on_job(a)});
  ASSERT_EQ(told<TasksReleased>().size(), 1u);
  EXPECT_EQ(progress(waiting_for({on_job(a, DependencyKind::fail)})).state, JobState::cancelled);
  placed(node, good, {{0, 1, 1}});
}

TEST_F(DependencyTest, arrays_wait_element_by_element) {
  const NodeId node = add_node("n1", vcores(16));
  const JobId a = submit(array_of(10));
  const JobId b = waiting_for({on_job(a, DependencyKind::ok, true)}, 10);
  placed(node, a, {{0, 10, 1}}, 10);
  finish(node, a, {{3, 2, 1}});
  ASSERT_EQ(told<TasksReleased>().size(), 1u);
  EXPECT_EQ(told<TasksReleased>()[0].runs, (std::vector<TaskRun>{{3, 2, 1}}));
  EXPECT_EQ(refusal(node, b, {{2, 2, 1}}), Code::stale);
  placed(node, b, {{4, 1, 1}});
  report(node, a, result_of(7, Cause::exit_code, 1));
  EXPECT_EQ(state(b, 7), TaskState::cancelled);
  EXPECT_EQ(state(b, 8), TaskState::pending);
  finish(node, a, {{0, 3, 1}, {5, 2, 1}, {8, 2, 1}});
  placed(node, b, {{0, 4, 1}, {5, 2, 1}, {8, 2, 1}}, 9);
  finish(node, b, {{0, 7, 1}, {8, 2, 1}});
  EXPECT_EQ(progress(b).state, JobState::cancelled);
  EXPECT_EQ(progress(b).succeeded, 9u);
}

TEST_F(DependencyTest, who_waits_says_for_what_and_what_has_come_true_is_left_out) {
  const NodeId node = add_node("n1");
  const JobId a = submit(array_of(2)), b = submit(array_of(1)), c = submit(array_of(2));
  const JobId job = waiting_for({on_job(a, DependencyKind::ok, true),
                                 on_job(b, DependencyKind::any), on_job(c, DependencyKind::fail)},
                                2);
  const auto why = [&](TaskIndex index) {
    return cluster_.waits_for(*cluster_.find_job(job), index);
  };
  EXPECT_EQ(why(1),
            "waits for task 1/1 to succeed (pending), job 2 to end (pending), job 3 to fail "
            "(pending)");
  placed(node, a, {{0, 2, 1}}, 2);
  finish(node, a, {{1, 1, 1}});
  placed(node, b, {{0, 1, 1}});
  EXPECT_EQ(why(0),
            "waits for task 1/0 to succeed (running), job 2 to end (running), job 3 to fail "
            "(pending)");
  EXPECT_EQ(why(1), "waits for job 2 to end (running), job 3 to fail (pending)");
  finish(node, b, {{0, 1, 1}});
  EXPECT_EQ(why(1), "waits for job 3 to fail (pending)");
}

TEST_F(DependencyTest, are_shown_by_the_numbers_of_the_jobs) {
  submit(array_of(1));
  JobSpec first = array_of(1), second = array_of(1);
  second.after = {on_place(0)};
  second.after[0].kind = DependencyKind::any;
  submit_all({first, second});
  ListJobs query;
  query.jobs = {JobId(3)};
  query.spec = true;
  const JobList list = cluster_.list(query);
  ASSERT_EQ(list.jobs.size(), 1u);
  const auto shown = decode<JobSpec>(list.jobs[0].spec.msgpack);
  ASSERT_TRUE(shown);
  EXPECT_EQ(shown->after, std::vector<Dependency>{on_job(JobId(2), DependencyKind::any)});
}

TEST_F(DependencyTest, a_submission_can_be_tried_without_being_made) {
  const NodeId node = add_node("n1");
  const JobId done = submit(array_of(1)), runs = submit(array_of(1));
  placed(node, done, {{0, 1, 1}});
  finish(node, done, {{0, 1, 1}});
  placed(node, runs, {{0, 1, 1}});
  const std::uint64_t before = cluster_.state_hash();
  JobSpec first = array_of(1), second = array_of(1), third = array_of(1);
  first.name = "first";
  first.after = {on_job(done), on_job(runs, DependencyKind::any)};
  second.after = {on_place(0)};
  third.after = {on_job(done, DependencyKind::fail)};
  const auto attempt = [&](const std::vector<JobSpec>& specs) {
    SubmitJobs command;
    for (const JobSpec& spec : specs)
      command.specs.push_back(Raw{encode(spec)});
    return cluster_.would_take(command, now_);
  };
  const auto waits = attempt({first, second, third, array_of(1)});
  ASSERT_TRUE(waits);
  EXPECT_EQ(*waits, (std::vector<std::string>{
                      "waits for job 2 to end (running)",
                      "waits for job first to succeed (submitted with it)",
                      "waits for job 1 to fail (succeeded), which can not happen any more", ""}));
  first.after = {on_job(JobId(77))};
  EXPECT_EQ(attempt({first}).error().field, "jobs[0].after[0].job");
  first.after = {on_place(1)};
  EXPECT_NE(attempt({first, second}).error().text.find("first -> "), std::string::npos);
  EXPECT_EQ(cluster_.state_hash(), before);
  run(ChangeConfig{{{"queue.default.submit_limit", "3"}}});
  EXPECT_EQ(attempt({array_of(4)}).error().code, Code::refused);
}

TEST_F(DependencyTest, several_wishes_must_all_come_true) {
  const NodeId node = add_node("n1");
  const JobId a = submit(array_of(1)), b = submit(array_of(1));
  const JobId c = waiting_for({on_job(a), on_job(b, DependencyKind::any)});
  placed(node, a, {{0, 1, 1}});
  finish(node, a, {{0, 1, 1}});
  EXPECT_TRUE(told<TasksReleased>().empty());
  run(Cancel{b, {}, "enough"});
  ASSERT_EQ(told<TasksReleased>().size(), 1u);
  EXPECT_EQ(told<TasksReleased>()[0].job, c);
}

TEST_F(DependencyTest, a_graph_inside_one_submission_is_told_by_places) {
  JobSpec a = array_of(1), b = array_of(1), c = array_of(1);
  b.after = {on_place(0)};
  c.after = {on_place(1), on_place(0)};
  const Outcome outcome = submit_all({a, b, c});
  ASSERT_FALSE(outcome.error);
  const NodeId node = add_node("n1");
  EXPECT_EQ(refusal(node, JobId(2), {{0, 1, 1}}), Code::stale);
  placed(node, JobId(1), {{0, 1, 1}});
  finish(node, JobId(1), {{0, 1, 1}});
  placed(node, JobId(2), {{0, 1, 1}});
  EXPECT_EQ(refusal(node, JobId(3), {{0, 1, 1}}), Code::stale);
}

TEST_F(DependencyTest, a_circle_is_refused_and_printed) {
  JobSpec a = array_of(1), b = array_of(1), c = array_of(1);
  a.name = "fetch";
  b.name = "build";
  c.name = "test";
  a.after = {on_place(2)};
  b.after = {on_place(0)};
  c.after = {on_place(1)};
  const Outcome outcome = submit_all({a, b, c});
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->message(),
            "jobs.after: the jobs wait for each other: fetch -> test -> build -> fetch");
  EXPECT_EQ(cluster_.newest_job(), JobId());
}

TEST_F(DependencyTest, a_dependency_on_nothing_is_refused_by_name) {
  JobSpec spec = array_of(2);
  spec.after = {on_job(JobId(9))};
  EXPECT_EQ(submit_all({spec}).error->field, "jobs[0].after[0].job");
  spec.after = {on_place(4)};
  EXPECT_EQ(submit_all({spec}).error->field, "jobs[0].after[0].place");
  const JobId one = submit(array_of(1));
  spec.after = {on_job(one, DependencyKind::ok, true)};
  EXPECT_EQ(submit_all({spec}).error->field, "jobs[0].after[0].each");
}

TEST_F(DependencyTest, a_blocked_job_can_be_cancelled_and_forgotten) {
  const NodeId node = add_node("n1");
  const JobId a = submit(array_of(1));
  const JobId b = waiting_for({on_job(a)}, 5);
  run(Cancel{b, {{1, 2, 1}}, "not these"});
  EXPECT_EQ(progress(b).cancelled, 2u);
  run(Cancel{b, {}, "none"});
  EXPECT_EQ(progress(b).state, JobState::cancelled);
  run(Forget{{b}});
  placed(node, a, {{0, 1, 1}});
  finish(node, a, {{0, 1, 1}});
  EXPECT_TRUE(told<TasksReleased>().empty());
}

TEST_F(DependencyTest, fail_fast_ends_the_rest_of_a_job) {
  const NodeId node = add_node("n1");
  JobSpec spec = array_of(5);
  spec.on_failure = FailurePolicy::fail_fast;
  const JobId id = submit(spec);
  placed(node, id, {{0, 2, 1}}, 2);
  report(node, id, result_of(0, Cause::exit_code, 7));
  EXPECT_EQ(progress(id).cancelled, 3u);
  ASSERT_EQ(told<TasksToStop>().size(), 1u);
  EXPECT_EQ(told<TasksToStop>()[0].runs, (std::vector<TaskRun>{{1, 1, 1}}));
  report(node, id, result_of(1, Cause::cancelled, 15));
  EXPECT_EQ(progress(id).state, JobState::failed);
  EXPECT_EQ(progress(id).exit_code, 7);
}

// ---- gangs

class GangTest : public DependencyTest {
protected:
  JobId gang(std::uint32_t count) {
    JobSpec spec = array_of(count);
    spec.gang = true;
    spec.retries = 3;
    return submit(spec);
  }
};

TEST_F(GangTest, is_placed_whole_or_not_at_all) {
  const NodeId n1 = add_node("n1", vcores(2)), n2 = add_node("n2", vcores(2));
  const JobId id = gang(3);
  EXPECT_EQ(refusal(n1, id, {{0, 2, 1}}, 2), Code::refused);
  Outcome outcome = run(Place{{{n1, id, 2, {{0, 2, 1}}}, {n2, id, 3, {{2, 3, 1}}}}});
  EXPECT_FALSE(outcome.entry); // one of the two does not fit, so neither is
  EXPECT_EQ(outcome.refused.size(), 2u);
  outcome = run(Place{{{n1, id, 2, {{0, 2, 1}}}, {n2, id, 1, {{2, 1, 1}}}}});
  ASSERT_TRUE(outcome.refused.empty()) << outcome.refused[0].error.message();
  EXPECT_EQ(cluster_.peers_of(id), (std::vector<std::string>{"n1", "n1", "n2"}));
}

TEST_F(GangTest, one_that_falls_takes_the_others_along_and_all_start_again) {
  const NodeId n1 = add_node("n1", vcores(2)), n2 = add_node("n2", vcores(2));
  const JobId id = gang(3);
  run(Place{{{n1, id, 2, {{0, 2, 1}}}, {n2, id, 1, {{2, 1, 1}}}}});
  lose(n2);
  ASSERT_EQ(told<TasksToStop>().size(), 1u);
  EXPECT_EQ(told<TasksToStop>()[0].runs, (std::vector<TaskRun>{{0, 2, 1}}));
  report(n1, id, result_of(0, Cause::cancelled, 15));
  EXPECT_EQ(state(id, 0), TaskState::interrupted);
  EXPECT_EQ(task(id, 0).last.cause, Cause::preempted);
  report(n1, id, result_of(1, Cause::cancelled, 15));
  run(Requeue{id, {{0, 3, 1}}, Cause::lost_node, now_, "its gang starts again"});
  const NodeId n3 = add_node("n3", vcores(4));
  EXPECT_EQ(refusal(n3, id, {{0, 2, 2}}, 2), Code::refused);
  placed(n3, id, {{0, 3, 2}}, 3);
}

// ---- nodes

TEST_F(DependencyTest, an_exclusive_job_shares_its_node_with_nobody) {
  const NodeId node = add_node("n1");
  JobSpec spec = array_of(1);
  spec.exclusive = true;
  const JobId alone = submit(spec), other = submit(array_of(1));
  placed(node, other, {{0, 1, 1}});
  EXPECT_EQ(refusal(node, alone, {{0, 1, 1}}), Code::refused);
  finish(node, other, {{0, 1, 1}});
  placed(node, alone, {{0, 1, 1}});
  EXPECT_EQ(refusal(node, submit(array_of(1)), {{0, 1, 1}}), Code::refused);
  finish(node, alone, {{0, 1, 1}});
  placed(node, submit(array_of(1)), {{0, 1, 1}});
}

TEST_F(DependencyTest, a_constraint_on_labels_is_the_ledgers_rule_too) {
  const NodeId west = add_node("n1", vcores(4), 1, {{"zone", "west"}, {"year", "2019"}});
  const NodeId east = add_node("n2", vcores(4), 2, {{"zone", "east"}, {"year", "2024"}});
  JobSpec spec = array_of(4);
  spec.constraints = {{"zone", LabelOperator::not_in, {"west"}},
                      {"year", LabelOperator::greater, {"2020"}},
                      {"broken", LabelOperator::absent, {}}};
  const JobId id = submit(spec);
  const Outcome outcome = place(west, id, {{0, 1, 1}});
  ASSERT_EQ(outcome.refused.size(), 1u);
  EXPECT_EQ(outcome.refused[0].error.message(),
            "constraints: node n1 label zone must not be one of west, it is west");
  placed(east, id, {{0, 1, 1}});
}

TEST_F(DependencyTest, overcommit_is_for_jobs_that_allow_it_only) {
  const NodeId node = add_node("n1", vcores(2));
  JobSpec spec = array_of(8);
  const JobId strict = submit(spec);
  spec.overcommit = true;
  const JobId bold = submit(spec);
  placed(node, strict, {{0, 2, 1}}, 2);
  EXPECT_EQ(refusal(node, bold, {{0, 1, 1}}), Code::no_capacity);
  run(Tune{node, 1500, false, "used 30 % of what is booked"});
  placed(node, bold, {{0, 1, 1}});
  EXPECT_EQ(refusal(node, bold, {{1, 1, 1}}, 2), Code::no_capacity);
  EXPECT_EQ(refusal(node, strict, {{2, 1, 1}}, 3), Code::no_capacity);
  EXPECT_EQ(run(Tune{node, 900, false, ""}).error->field, "overcommit_milli");
}

TEST_F(DependencyTest, a_closed_or_quarantined_node_gets_no_new_work) {
  const NodeId node = add_node("n1");
  const JobId id = submit(array_of(4));
  run(Tune{node, 1000, true, "memory used above 90 %"});
  EXPECT_EQ(refusal(node, id, {{0, 1, 1}}), Code::refused);
  run(Tune{node, 1000, false, "memory used below 80 %"});
  run(QuarantineNodes{{"n1"}, std::chrono::minutes(10), "five jobs failed"});
  EXPECT_EQ(refusal(node, id, {{0, 1, 1}}), Code::node_down);
  now_ += std::chrono::minutes(10);
  placed(node, id, {{0, 1, 1}});
}

TEST_F(DependencyTest, a_preempted_task_waits_again_free_of_charge) {
  const NodeId node = add_node("n1");
  JobSpec spec = array_of(2);
  spec.retries = 0;
  const JobId id = submit(spec);
  placed(node, id, {{0, 2, 1}}, 2);
  run(Preempt{node, id, {{1, 1, 1}}, Cause::preempted, "room for job 9"});
  ASSERT_EQ(told<TasksToStop>().size(), 1u);
  EXPECT_EQ(cluster_.reconcile(node, {}).move.size(), 1u); // repeated to an agent that registers
  report(node, id, result_of(1, Cause::cancelled, 15));
  EXPECT_EQ(state(id, 1), TaskState::interrupted);
  ASSERT_EQ(told<TasksInterrupted>().size(), 1u);
  EXPECT_EQ(told<TasksInterrupted>()[0].cause, Cause::preempted);
  EXPECT_EQ(told<TasksInterrupted>()[0].tally->failures, 0u);
  EXPECT_FALSE(run(Preempt{node, id, {{1, 1, 1}}, Cause::preempted, "late"}).entry);
}

TEST_F(DependencyTest, what_fails_by_itself_while_it_is_preempted_counts_as_a_failure) {
  const NodeId node = add_node("n1");
  const JobId id = submit(array_of(1));
  placed(node, id, {{0, 1, 1}});
  run(Preempt{node, id, {{0, 1, 1}}, Cause::preempted, "room"});
  report(node, id, result_of(0, Cause::exit_code, 2));
  EXPECT_EQ(state(id, 0), TaskState::failed);
}

} // namespace
} // namespace reeve::core::test
