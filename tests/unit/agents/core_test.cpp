// The agent's core with virtual time: registration, epochs, numbers, slots, results.
#include "tests/unit/agents/core_bench.hpp"

namespace reeve::worker {
namespace {

using Runs = std::vector<TaskRun>;

TEST(agent_core, registers_when_connected_and_says_what_it_is) {
  CoreBench bench;
  bench.step();
  EXPECT_TRUE(bench.sent.empty());
  bench.core.connected(0, bench.now);
  bench.step();
  const auto asked = bench.take<RegisterNode>();
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(asked[0].name, "n1");
  EXPECT_EQ(asked[0].incarnation, Incarnation(7));
  EXPECT_EQ(asked[0].capacity.cpu_milli, 4'000);
  EXPECT_EQ(asked[0].executors, (std::vector<std::string>{"process", "noop", "sleep"}));
  EXPECT_TRUE(asked[0].attempts.empty());
  EXPECT_NE(asked[0].session, 0U);
}

TEST(agent_core, repeats_an_unanswered_registration_with_growing_patience) {
  CoreBench bench;
  bench.core.connected(0, bench.now);
  bench.step();
  std::vector<std::int64_t> gaps;
  TimePoint last = bench.now;
  bench.take<RegisterNode>();
  while (gaps.size() < 6) {
    bench.now = *bench.core.next_wake();
    bench.step();
    ASSERT_EQ(bench.take<RegisterNode>().size(), 1U);
    gaps.push_back((bench.now - last).count() / 1'000);
    last = bench.now;
  }
  EXPECT_EQ(gaps, (std::vector<std::int64_t>{3'000, 6'000, 12'000, 24'000, 30'000, 30'000}));
}

TEST(agent_core, ignores_the_answer_to_an_earlier_registration) {
  CoreBench bench;
  bench.core.connected(0, bench.now);
  bench.step();
  const auto first = bench.take<RegisterNode>();
  bench.pass(3'000);
  bench.say(Registered{NodeId(3), first[0].session, std::chrono::seconds(1), {}});
  EXPECT_EQ(bench.core.links()[0].state, LinkState::registering);
  bench.answer_registration();
  EXPECT_EQ(bench.core.links()[0].state, LinkState::registered);
  EXPECT_EQ(bench.core.links()[0].node, NodeId(3));
}

TEST(agent_core, beats_at_the_masters_interval_within_a_tenth) {
  CoreBench bench;
  bench.join();
  bench.core.set_used({1'500, 2, 3, {}});
  TimePoint last = bench.now;
  for (int k = 0; k < 20; ++k) {
    bench.now = *bench.core.next_wake();
    bench.step();
    const auto beats = bench.take<Heartbeat>();
    ASSERT_EQ(beats.size(), 1U);
    EXPECT_EQ(beats[0].used.cpu_milli, 1'500);
    EXPECT_GE((bench.now - last).count(), 900'000);
    EXPECT_LE((bench.now - last).count(), 1'100'000);
    last = bench.now;
  }
}

TEST(agent_core, runs_at_most_the_slots_of_a_job) {
  CoreBench bench;
  bench.join();
  bench.say(bench.work(1, 2, {{0, 5, 1}}));
  EXPECT_EQ(runs_of(bench.started), (Runs{{0, 1, 1}, {1, 1, 1}}));
  EXPECT_EQ(bench.core.work().waiting(), 3U);
  bench.end_quietly(1, {0, 1, 1});
  EXPECT_EQ(runs_of(bench.started), (Runs{{0, 1, 1}, {1, 1, 1}, {2, 1, 1}}));
}

TEST(agent_core, more_slots_start_more_of_what_waits) {
  CoreBench bench;
  bench.join();
  bench.say(bench.work(1, 1, {{0, 5, 1}}));
  EXPECT_EQ(bench.started.size(), 1U);
  bench.say(bench.work(1, 3, {{5, 1, 1}}, std::nullopt));
  EXPECT_EQ(bench.started.size(), 3U);
}

TEST(agent_core, never_runs_more_than_its_capacity_whatever_the_master_says) {
  CoreBench bench(config_of(4'000));
  bench.join();
  bench.say(bench.work(1, 100, {{0, 10, 1}}, spec_of("sleep", 1'500)));
  EXPECT_EQ(bench.started.size(), 2U);
  bench.say(bench.work(2, 100, {{0, 10, 1}}, spec_of("sleep", 1'000)));
  EXPECT_EQ(bench.started.size(), 3U);
  EXPECT_EQ(bench.core.work().used().cpu_milli, 4'000);
  bench.end_quietly(1, {0, 1, 1});
  EXPECT_LE(bench.core.work().used().cpu_milli, 4'000);
  EXPECT_GE(bench.core.work().used().cpu_milli, 3'500);
}

TEST(agent_core, a_task_larger_than_the_node_fails_to_start_with_the_shortage) {
  CoreBench bench(config_of(4'000));
  bench.join();
  bench.say(bench.work(1, 1, {{0, 2, 1}}, spec_of("sleep", 5'000)));
  EXPECT_TRUE(bench.started.empty());
  const auto results = bench.take<Results>();
  ASSERT_EQ(results.size(), 1U);
  ASSERT_EQ(results[0].jobs[0].tasks.size(), 2U);
  EXPECT_EQ(results[0].jobs[0].tasks[0].cause, Cause::start_failed);
  EXPECT_NE(results[0].jobs[0].tasks[0].text.find("asked 5"), std::string::npos)
    << results[0].jobs[0].tasks[0].text;
}

TEST(agent_core, an_executor_it_does_not_have_fails_the_tasks) {
  CoreBench bench;
  bench.join();
  bench.say(bench.work(1, 1, {{0, 1, 1}}, spec_of("render")));
  const auto results = bench.take<Results>();
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(results[0].jobs[0].tasks[0].cause, Cause::unknown_executor);
}

TEST(agent_core, a_specification_it_cannot_read_fails_the_tasks_with_the_reason) {
  CoreBench bench;
  bench.join();
  std::string map;
  codec::put_map(map, 1);
  codec::put_str(map, "from_the_future");
  codec::put_uint(map, 1);
  bench.say(bench.work(1, 1, {{0, 1, 1}}, Raw{map}));
  const auto results = bench.take<Results>();
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(results[0].jobs[0].tasks[0].cause, Cause::start_failed);
  EXPECT_NE(results[0].jobs[0].tasks[0].text.find("from_the_future"), std::string::npos);
}

TEST(agent_core, known_attempts_change_nothing_when_they_come_again) {
  CoreBench bench;
  bench.join();
  bench.say(bench.work(1, 2, {{0, 4, 1}}));
  bench.end_quietly(1, {0, 1, 1}); // 0 ended, 1 and 2 run, 3 waits
  const auto before = bench.core.work().list();
  bench.say(bench.work(1, 2, {{0, 4, 1}}));
  EXPECT_EQ(bench.core.work().list(), before);
  EXPECT_EQ(bench.core.work().waiting(), 1U);
  bench.say(bench.work(1, 2, {{2, 4, 1}}, std::nullopt)); // 4 and 5 are new
  EXPECT_EQ(bench.core.work().waiting(), 3U);
}

TEST(agent_core, a_newer_attempt_drops_the_older_and_runs) {
  CoreBench bench;
  bench.join();
  bench.say(bench.work(1, 1, {{0, 2, 1}}));
  bench.say(bench.work(1, 1, {{0, 2, 2}}, std::nullopt));
  ASSERT_EQ(bench.stopped.size(), 1U);
  EXPECT_EQ(bench.stopped[0].run, (TaskRun{0, 1, 1}));
  EXPECT_EQ(bench.started.size(), 1U); // the slot is taken until the old one has ended
  bench.end(1, 0, 1, Cause::cancelled);
  EXPECT_EQ(runs_of(bench.started), (Runs{{0, 1, 1}, {0, 1, 2}}));
  EXPECT_TRUE(bench.take<Results>().empty());
  EXPECT_EQ(bench.released, (std::vector<AttemptId>{{JobId(1), 0, 1}}));
}

TEST(agent_core, a_repeated_assign_number_is_ignored) {
  CoreBench bench;
  bench.join();
  bench.say(bench.work(1, 1, {{0, 1, 1}}));
  Assign again = bench.work(1, 9, {{5, 5, 1}});
  again.number = 1;
  bench.say(again);
  EXPECT_EQ(bench.core.work().waiting(), 0U);
}

TEST(agent_core, a_gap_in_the_numbers_registers_again_with_all_attempts) {
  CoreBench bench;
  bench.join();
  bench.say(bench.work(1, 1, {{0, 3, 1}}));
  Assign later = bench.work(2, 1, {{0, 1, 1}});
  later.number = 3;
  bench.say(later);
  const auto asked = bench.take<RegisterNode>();
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(asked[0].attempts, (std::vector<JobRuns>{{JobId(1), {{0, 3, 1}}}}));
  EXPECT_FALSE(bench.core.work().knows(JobId(2)));
}

TEST(agent_core, an_assign_of_another_session_is_ignored) {
  CoreBench bench;
  bench.join();
  Assign other = bench.work(1, 1, {{0, 1, 1}});
  other.session ^= 2;
  bench.say(other);
  EXPECT_TRUE(bench.started.empty());
}

TEST(agent_core, work_without_its_specification_registers_again_leaving_that_job_out) {
  CoreBench bench;
  bench.join();
  bench.say(bench.work(1, 1, {{0, 1, 1}}, std::nullopt));
  ASSERT_EQ(bench.take<RegisterNode>().size(), 1U);
  EXPECT_TRUE(bench.noted("without its specification"));

  // The same for a job that runs here since before this agent: it must come again with the spec.
  CoreBench next;
  next.core.adopt(AttemptId{JobId(4), 0, 1}, Epoch(1));
  next.core.connected(0, next.now);
  next.step();
  EXPECT_EQ(next.answer_registration().attempts.size(), 1U);
  next.say(next.work(4, 2, {{1, 1, 1}}, std::nullopt));
  EXPECT_TRUE(next.answer_registration().attempts.empty());
  next.say(next.work(4, 2, {{0, 2, 1}}, spec_of("process")));
  EXPECT_EQ(runs_of(next.started), (Runs{{1, 1, 1}})); // 0 runs on
}

TEST(agent_core, obeys_only_the_highest_epoch) {
  CoreBench bench;
  bench.core.connected(0, bench.now);
  bench.step();
  bench.answer_registration({}, 5);
  bench.say(bench.work(1, 1, {{0, 1, 1}}), 4);
  EXPECT_TRUE(bench.started.empty());
  EXPECT_TRUE(bench.noted("epoch 4, older than 5"));
  --bench.number;
  bench.say(bench.work(1, 1, {{0, 1, 1}}), 5);
  EXPECT_EQ(bench.started.size(), 1U);
  bench.say(StopTasks{{{JobId(1), {{0, 1, 1}}}}, "stale"}, 4);
  EXPECT_TRUE(bench.stopped.empty());
}

TEST(agent_core, an_adopted_tasks_epoch_counts_as_seen) {
  CoreBench bench;
  bench.core.adopt(AttemptId{JobId(1), 0, 1}, Epoch(9));
  bench.core.connected(0, bench.now);
  bench.step();
  bench.answer_registration({}, 8);
  EXPECT_EQ(bench.core.links()[0].state, LinkState::registering);
  EXPECT_TRUE(bench.noted("older than 9"));
}

TEST(agent_core, a_new_epoch_on_a_registered_connection_registers_again) {
  CoreBench bench;
  bench.join();
  Beacon beacon;
  bench.say(beacon, 2);
  EXPECT_EQ(bench.take<RegisterNode>().size(), 1U);
}

TEST(agent_core, results_go_to_the_leader_of_several_masters) {
  CoreBench bench(config_of(4'000, 2));
  bench.join();
  bench.say(bench.work(1, 1, {{0, 1, 1}}));
  bench.core.connected(1, bench.now);
  bench.step();
  bench.answer_registration({}, 2, 1);
  bench.end_quietly(1, {0, 1, 1});
  std::vector<std::size_t> links;
  for (const Send& send : bench.sent)
    if (std::holds_alternative<AgentResults::Message>(send.message))
      links.push_back(send.link);
  EXPECT_EQ(links, (std::vector<std::size_t>{1}));
}

TEST(agent_core, a_standby_is_asked_now_and_then_and_at_once_when_it_says_that_it_leads) {
  CoreBench bench(config_of(4'000, 2));
  bench.join();
  bench.core.connected(1, bench.now);
  bench.step();
  (void)bench.take<RegisterNode>();
  Failed standby;
  standby.code = Code::not_leader;
  bench.say(standby, 1, 1);
  EXPECT_EQ(bench.core.links()[1].state, LinkState::standby);
  bench.pass(2'900);
  EXPECT_TRUE(bench.take<RegisterNode>().empty());
  bench.pass(200);
  EXPECT_EQ(bench.take<RegisterNode>().size(), 1U);
  bench.say(standby, 1, 1);
  bench.say(RegisterAgain{"m1 leads now"}, 2, 1);
  EXPECT_EQ(bench.take<RegisterNode>().size(), 1U);
}

TEST(agent_core, register_again_answers_many_frames_with_one_registration) {
  CoreBench bench;
  bench.join();
  bench.say(RegisterAgain{"who are you"});
  bench.say(RegisterAgain{"who are you"});
  EXPECT_EQ(bench.take<RegisterNode>().size(), 1U);
}

TEST(agent_core, a_master_that_fell_silent_is_registered_with_again) {
  CoreBench bench;
  bench.join();
  bench.pass(60'000); // no beacon has ever come: silence means nothing
  EXPECT_TRUE(bench.take<RegisterNode>().empty());
  bench.say(Beacon{});
  bench.pass(2'900);
  EXPECT_TRUE(bench.take<RegisterNode>().empty());
  bench.pass(200);
  EXPECT_EQ(bench.take<RegisterNode>().size(), 1U);
}

TEST(agent_core, attempts_that_are_no_longer_its_own_are_killed_and_not_reported) {
  CoreBench bench;
  bench.join();
  bench.say(bench.work(1, 1, {{0, 3, 1}}));
  bench.say(RegisterAgain{});
  bench.answer_registration({{JobId(1), {{0, 2, 1}}}});
  ASSERT_EQ(bench.stopped.size(), 1U);
  EXPECT_EQ(bench.stopped[0].run, (TaskRun{0, 1, 1}));
  EXPECT_EQ(bench.core.work().list(), (std::vector<JobRuns>{{JobId(1), {{2, 1, 1}}}}));
  bench.end(1, 0, 1, Cause::cancelled);
  EXPECT_TRUE(bench.take<Results>().empty());
  EXPECT_EQ(bench.released.size(), 1U);
  EXPECT_EQ(runs_of(bench.started), (Runs{{0, 1, 1}, {2, 1, 1}}));
}

TEST(agent_core, stops_waiting_tasks_at_once_and_running_ones_when_they_have_ended) {
  CoreBench bench;
  bench.join();
  bench.say(bench.work(1, 1, {{0, 4, 1}}));
  bench.say(StopTasks{{{JobId(1), {{0, 2, 1}}}}, "cancelled by ada"});
  ASSERT_EQ(bench.stopped.size(), 1U);
  EXPECT_EQ(bench.stopped[0].run, (TaskRun{0, 1, 1}));
  EXPECT_EQ(bench.stopped[0].text, "cancelled by ada");
  auto results = bench.take<Results>();
  ASSERT_EQ(results.size(), 1U);
  ASSERT_EQ(results[0].jobs[0].tasks.size(), 1U);
  EXPECT_EQ(results[0].jobs[0].tasks[0].index, 1U);
  EXPECT_EQ(results[0].jobs[0].tasks[0].cause, Cause::cancelled);
  bench.end(1, 0, 1, Cause::cancelled);
  bench.pass(2);
  results = bench.take<Results>();
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(results[0].jobs[0].tasks[0].index, 0U);
  EXPECT_EQ(runs_of(bench.started), (Runs{{0, 1, 1}, {2, 1, 1}}));
}

TEST(agent_core, tasks_end_when_no_master_has_been_heard_for_as_long_as_their_job_allows) {
  CoreBench bench;
  bench.join();
  JobSpec spec;
  spec.executor = "sleep";
  spec.command = {"1000"};
  spec.orphan_after = std::chrono::seconds(5);
  bench.say(bench.work(1, 1, {{0, 2, 1}}, Raw{encode(spec)}));
  bench.say(bench.work(2, 1, {{0, 1, 1}}));
  bench.pass(4'000);
  bench.say(Beacon{});
  bench.pass(4'000);
  EXPECT_TRUE(bench.stopped.empty()) << "one was heard";
  bench.core.disconnected(0, bench.now);
  bench.step();
  ASSERT_TRUE(bench.core.next_wake());
  EXPECT_LE(*bench.core.next_wake(), bench.now + Duration(1'000'000));
  bench.pass(1'000);
  ASSERT_EQ(bench.stopped.size(), 1U) << "one waits, one runs, and the other job is patient";
  EXPECT_EQ(bench.stopped[0].cause, Cause::drained);
  EXPECT_EQ(bench.stopped[0].text, "no master was heard for 5s");
  bench.pass(60'000);
  EXPECT_EQ(bench.stopped.size(), 1U);
  bench.end(1, 0, 1, Cause::drained);
  bench.core.connected(0, bench.now);
  bench.step();
  bench.answer_registration();
  std::size_t told = 0;
  for (const Results& results : bench.take<Results>())
    for (const JobResults& job : results.jobs)
      for (const TaskResult& task : job.tasks)
        told += task.cause == Cause::drained ? 1 : 0;
  EXPECT_EQ(told, 2U);
}

TEST(agent_core, a_large_cancelled_run_is_reported_in_bounded_messages) {
  CoreBench bench;
  bench.join();
  bench.say(bench.work(1, 1, {{0, 200'000, 1}}));
  bench.say(StopTasks{{{JobId(1), {{0, 200'000, 1}}}}, "gone"});
  std::uint64_t reported = 0;
  for (int round = 0; round < 2'000 && reported < 199'999; ++round) {
    ResultsAck ack;
    for (const Results& results : bench.take<Results>()) {
      EXPECT_LE(encode(results).size(), 1u << 20);
      for (const JobResults& job : results.jobs)
        reported += job.tasks.size();
      ack.numbers.push_back(results.number);
    }
    EXPECT_LE(bench.core.results().unacked(), 64U);
    bench.say(ack);
    bench.pass(1);
  }
  EXPECT_EQ(reported, 199'999U);
}

TEST(agent_core, a_result_with_nothing_else_going_on_is_sent_at_once) {
  CoreBench bench;
  bench.join();
  bench.say(bench.work(1, 1, {{0, 1, 1}}));
  bench.end_quietly(1, {0, 1, 1});
  EXPECT_EQ(bench.take<Results>().size(), 1U);
}

TEST(agent_core, results_that_come_thick_wait_for_company_and_rare_ones_do_not) {
  CoreBench bench;
  bench.join();
  bench.say(bench.work(1, 4, {{0, 100, 1}}));
  bench.end(1, 0, 1);
  ASSERT_EQ(bench.take<Results>().size(), 1U); // the first one for long
  bench.end(1, 1, 1);
  ASSERT_EQ(bench.take<Results>().size(), 1U); // close behind: from now on they wait
  bench.end(1, 2, 1);
  bench.end(1, 3, 1);
  EXPECT_TRUE(bench.take<Results>().empty());
  EXPECT_LE(*bench.core.next_wake(), bench.now + Duration(1'000));
  bench.pass(1);
  auto results = bench.take<Results>();
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(results[0].jobs[0].tasks.size(), 2U);
  TaskIndex next = 4;
  for (int round = 0; round < 20; ++round) { // never longer than ten milliseconds
    bench.end(1, next++, 1);
    bench.end(1, next++, 1);
    EXPECT_LE(*bench.core.next_wake(), bench.now + Duration(10'000));
    bench.pass(10);
    ASSERT_EQ(bench.take<Results>().size(), 1U);
  }
  bench.pass(10);
  bench.end(1, next++, 1); // alone: waits in vain, and is the last to do so
  bench.pass(10);
  ASSERT_EQ(bench.take<Results>().size(), 1U);
  bench.end(1, next++, 1);
  EXPECT_EQ(bench.take<Results>().size(), 1U);
}

TEST(agent_core, large_results_are_split_over_messages_of_at_most_a_mebibyte) {
  CoreBench bench;
  bench.join();
  bench.say(bench.work(1, 100, {{0, 100, 1}}));
  Finished done{JobId(1), {}, {}};
  for (TaskIndex k = 0; k < 100; ++k) {
    FinishedTask task;
    task.result.index = k;
    task.result.result.data.assign(65'536, 'r');
    task.output = TaskOutput{JobId(1), k, 1, {std::string(4'096, 'o')}, {std::string(4'096, 'e')}};
    done.tasks.push_back(std::move(task));
  }
  bench.core.finished(std::move(done), bench.now);
  bench.step();
  std::size_t tasks = 0, outputs = 0;
  for (const Results& results : bench.take<Results>()) {
    EXPECT_LE(encode(results).size(), 1u << 20);
    for (const JobResults& job : results.jobs)
      tasks += job.tasks.size();
    outputs += results.outputs.size();
  }
  EXPECT_EQ(tasks, 100U);
  EXPECT_EQ(outputs, 100U);
}

TEST(agent_core, results_are_sent_again_after_five_seconds_and_after_each_registration) {
  CoreBench bench;
  bench.join();
  bench.say(bench.work(1, 1, {{0, 1, 1}}));
  bench.end_quietly(1, {0, 1, 1});
  const auto first = bench.take<Results>();
  ASSERT_EQ(first.size(), 1U);
  bench.pass(4'900);
  EXPECT_TRUE(bench.take<Results>().empty());
  bench.pass(200);
  auto again = bench.take<Results>();
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].number, first[0].number);
  bench.core.disconnected(0, bench.now);
  bench.step();
  bench.pass(60'000);
  EXPECT_TRUE(bench.take<Results>().empty());
  bench.core.connected(0, bench.now);
  bench.step();
  const auto asked = bench.answer_registration();
  EXPECT_EQ(asked.attempts, (std::vector<JobRuns>{{JobId(1), {{0, 1, 1}}}}));
  again = bench.take<Results>();
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].number, first[0].number);
  EXPECT_EQ(again[0].session, asked.session);
  bench.say(ResultsAck{{first[0].number}});
  bench.say(ResultsAck{{first[0].number, 99}});
  bench.pass(60'000);
  EXPECT_TRUE(bench.take<Results>().empty());
  EXPECT_TRUE(bench.core.settled());
}

TEST(agent_core, an_acknowledged_job_without_tasks_is_forgotten_and_its_exits_released) {
  CoreBench bench;
  bench.join();
  bench.say(bench.work(1, 1, {{0, 1, 1}}, spec_of("process")));
  bench.end(1, 0, 1);
  EXPECT_TRUE(bench.forgotten.empty());
  EXPECT_TRUE(bench.released.empty());
  bench.say(ResultsAck{{1}});
  EXPECT_EQ(bench.forgotten, (std::vector<JobId>{JobId(1)}));
  EXPECT_EQ(bench.released, (std::vector<AttemptId>{{JobId(1), 0, 1}}));
  EXPECT_EQ(bench.core.work().jobs(), 0U);
  bench.say(bench.work(1, 1, {{1, 1, 1}}, std::nullopt)); // its spec is gone
  EXPECT_EQ(bench.take<RegisterNode>().size(), 1U);
}

TEST(agent_core, adopted_tasks_are_listed_and_their_ends_reported) {
  CoreBench bench;
  bench.core.adopt_spec(JobId(1), spec_of("process", 1'000));
  bench.core.adopt(AttemptId{JobId(1), 3, 1}, Epoch(1));
  FinishedTask ended;
  ended.result.index = 5;
  ended.result.attempt = 2;
  bench.core.adopt(JobId(1), std::move(ended), Epoch(1), bench.now);
  EXPECT_EQ(bench.core.work().used().cpu_milli, 1'000);
  bench.core.connected(0, bench.now);
  bench.step();
  const auto asked = bench.answer_registration();
  EXPECT_EQ(asked.attempts, (std::vector<JobRuns>{{JobId(1), {{3, 1, 1}, {5, 1, 2}}}}));
  EXPECT_EQ(bench.take<Results>().size(), 1U);
  bench.end(1, 3, 1);
  bench.pass(1);
  EXPECT_EQ(bench.take<Results>().size(), 1U);
  EXPECT_EQ(bench.core.work().used().cpu_milli, 0);
}

TEST(agent_core, items_follow_their_tasks) {
  CoreBench bench;
  bench.join();
  Assign message = bench.work(1, 1, {{0, 3, 1}, {7, 2, 1}});
  message.jobs[0].items = {"a", "b", "c", "h", "i"};
  bench.say(message);
  bench.say(StopTasks{{{JobId(1), {{1, 1, 1}}}}, ""});
  for (const TaskIndex k : {0U, 2U, 7U, 8U})
    bench.end_quietly(1, {k, 1, 1});
  std::map<TaskIndex, std::string> seen;
  for (const StartTasks& start : bench.started) {
    ASSERT_EQ(start.items.size(), 1U);
    seen[start.run.first] = start.items[0];
  }
  EXPECT_EQ(seen, (std::map<TaskIndex, std::string>{{0, "a"}, {2, "c"}, {7, "h"}, {8, "i"}}));
}

TEST(agent_core, a_batching_executor_is_handed_runs_and_reports_them_as_one) {
  CoreBench bench;
  bench.core.set_batch("noop", 100'000);
  bench.join();
  bench.say(bench.work(1, 2, {{0, 1'000, 1}, {1'000, 1'000, 1}}, spec_of("noop")));
  EXPECT_EQ(runs_of(bench.started), (Runs{{0, 1'000, 1}, {1'000, 1'000, 1}}));
  bench.core.finished(
    {JobId(1),
     {{{0, 1'000, 1}, bench.now, bench.now}, {{1'000, 1'000, 1}, bench.now, bench.now}},
     {}},
    bench.now);
  bench.step();
  const auto results = bench.take<Results>();
  ASSERT_EQ(results.size(), 1U);
  ASSERT_EQ(results[0].jobs[0].quiet.size(), 1U);
  EXPECT_EQ(results[0].jobs[0].quiet[0].run, (TaskRun{0, 2'000, 1}));
}

TEST(agent_core, stopping_ends_everything_as_drained_and_takes_nothing_new) {
  CoreBench bench;
  bench.join();
  bench.say(bench.work(1, 1, {{0, 2, 1}}));
  bench.core.stop(std::chrono::seconds(3), "the agent was stopped", bench.now);
  bench.step();
  ASSERT_EQ(bench.stopped.size(), 1U);
  EXPECT_EQ(bench.stopped[0].cause, Cause::drained);
  EXPECT_EQ(bench.stopped[0].grace, Duration(std::chrono::seconds(3)));
  bench.say(bench.work(2, 1, {{0, 1, 1}}));
  EXPECT_FALSE(bench.core.work().knows(JobId(2)));
  EXPECT_FALSE(bench.core.settled());
  bench.end(1, 0, 1, Cause::drained);
  bench.pass(1);
  ResultsAck ack;
  for (const Results& results : bench.take<Results>()) {
    for (const TaskResult& task : results.jobs[0].tasks)
      EXPECT_EQ(task.cause, Cause::drained);
    ack.numbers.push_back(results.number);
  }
  bench.say(ack);
  EXPECT_TRUE(bench.core.settled());
  bench.core.leave("bye");
  bench.step();
  EXPECT_EQ(bench.take<Leave>().size(), 1U);
}

// ---- hostile masters

struct Hostile {
  const char* name;
  FromMaster message;
  const char* field;
};
class agent_core_hostile : public ::testing::TestWithParam<Hostile> {};

TEST_P(agent_core_hostile, is_noted_and_ignored) {
  CoreBench bench;
  bench.join();
  FromMaster message = GetParam().message;
  if (auto* assign = std::get_if<Assign>(&message)) {
    assign->session = bench.core.links()[0].session;
    assign->number = 1;
  }
  bench.core.receive(0, Epoch(1), std::move(message), bench.now);
  bench.step();
  EXPECT_TRUE(bench.noted(GetParam().field));
  EXPECT_EQ(bench.core.work().jobs(), 0U);
  bench.say(bench.work(1, 1, {{0, 1, 1}})); // and all goes on
  EXPECT_EQ(bench.started.size(), 1U);
}

INSTANTIATE_TEST_SUITE_P(
  messages, agent_core_hostile,
  ::testing::Values(
    Hostile{"run_beyond_the_largest_array",
            Assign{1, 1, {}, {{JobId(1), 1, {{4'000'000'000, 4'000'000'000, 1}}, {}, {}}}},
            "jobs[0].runs[0]"},
    Hostile{"items_that_do_not_match", Assign{1, 1, {}, {{JobId(1), 1, {{0, 2, 1}}, {"a"}, {}}}},
            "jobs[0].items"},
    Hostile{"job_zero", Assign{1, 1, {}, {{JobId(0), 1, {{0, 2, 1}}, {}, {}}}}, "jobs[0].job"},
    Hostile{"stop_beyond_the_largest_array", StopTasks{{{JobId(1), {{0, 4'000'000'000, 1}}}}, ""},
            "tasks[0].runs[0]"}),
  [](const auto& row) { return std::string(row.param.name); });

TEST(agent_core, tells_what_its_machines_check_says_at_once_and_until_it_is_well) {
  CoreBench bench;
  bench.join();
  bench.core.set_trouble("no disk", bench.now);
  bench.step();
  const auto beats = bench.take<Heartbeat>();
  ASSERT_EQ(beats.size(), 1U);
  EXPECT_EQ(beats[0].trouble, "no disk");
  bench.core.set_trouble("no disk", bench.now);
  bench.step();
  EXPECT_TRUE(bench.take<Heartbeat>().empty());
  bench.core.set_trouble("", bench.now);
  bench.step();
  EXPECT_EQ(bench.take<Heartbeat>().at(0).trouble, "");
}

} // namespace
} // namespace reeve::worker
