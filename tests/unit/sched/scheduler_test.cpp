// What the scheduler promises whatever the policy: nothing idle while work waits, never too much,
// nothing asked twice, refusals survived, tasks given ahead only where that is good.
#include "tests/unit/sched/world.hpp"

namespace reeve::sched {
namespace {

TEST(scheduler, fills_every_node_and_no_more) {
  World w;
  const NodeId a = w.node("a", cpus(4)), b = w.node("b", cpus(2));
  const JobId job = w.submit(World::spec(10, cpus(1)));
  w.settle();
  EXPECT_EQ(w.slots(a, job), 4u);
  EXPECT_EQ(w.slots(b, job), 2u);
  EXPECT_EQ(w.tasks_on(a) + w.tasks_on(b), 6u);
  EXPECT_TRUE(w.refusals.empty());
}

TEST(scheduler, starts_the_next_task_when_one_ends) {
  World w;
  const NodeId a = w.node("a", cpus(1));
  const JobId job = w.submit(World::spec(3, cpus(1)));
  w.settle();
  for (TaskIndex i = 0; i < 3; ++i) {
    EXPECT_EQ(w.in_flight(a, job), 1u);
    w.now += std::chrono::hours(1);
    w.finish(a, job, {i, 1, 1}, std::chrono::hours(1));
    w.settle();
  }
  EXPECT_EQ(w.cluster.progress(job)->succeeded, 3u);
}

TEST(scheduler, serves_jobs_in_the_order_of_their_arrival) {
  World w;
  std::vector<JobId> jobs;
  for (int i = 0; i < 4; ++i)
    jobs.push_back(w.submit(World::spec(1, cpus(1))));
  w.node("a", cpus(2));
  w.settle();
  ASSERT_EQ(w.placed.size(), 2u);
  EXPECT_EQ(w.placed[0].job, jobs[0]);
  EXPECT_EQ(w.placed[1].job, jobs[1]);
}

TEST(scheduler, spreads_tasks_in_turn_over_the_nodes) {
  World w;
  std::vector<NodeId> nodes;
  for (int i = 0; i < 4; ++i)
    nodes.push_back(w.node("n" + std::to_string(i), cpus(8)));
  w.submit(World::spec(8, cpus(1)));
  w.settle();
  for (const NodeId node : nodes)
    EXPECT_EQ(w.tasks_on(node), 2u);
}

TEST(scheduler, goes_only_where_labels_and_executors_fit) {
  World w;
  const NodeId plain = w.node("plain", cpus(8));
  const NodeId fast = w.node("fast", cpus(8), {{"disk", "ssd"}});
  const NodeId odd = w.node("odd", cpus(8), {{"disk", "ssd"}}, {"noop"});
  JobSpec s = World::spec(20, cpus(1));
  s.node_labels = {{"disk", "ssd"}};
  w.submit(s);
  w.settle();
  EXPECT_EQ(w.tasks_on(plain), 0u);
  EXPECT_EQ(w.tasks_on(fast), 8u);
  EXPECT_EQ(w.tasks_on(odd), 0u);
  EXPECT_TRUE(w.refusals.empty());
}

TEST(scheduler, never_runs_more_of_a_job_than_its_max_parallel) {
  World w;
  w.node("a", cpus(8));
  w.node("b", cpus(8));
  JobSpec s = World::spec(100, cpus(1));
  s.max_parallel = 3;
  s.estimate = Duration(10); // would be given ahead
  const JobId job = w.submit(s);
  w.settle();
  EXPECT_EQ(w.cluster.find_job(job)->assigned(), 3u);
  EXPECT_TRUE(w.refusals.empty());
}

TEST(scheduler, leaves_held_jobs_and_nodes_that_take_no_work_alone) {
  World w;
  const NodeId a = w.node("a", cpus(4)), b = w.node("b", cpus(4)), c = w.node("c", cpus(4));
  w.run(core::DrainNodes{{"b"}, true, "repair"});
  w.run(core::MarkLost{{c}, "silent", false});
  const JobId held = w.submit(World::spec(2, cpus(1)));
  w.run(core::Hold{held, true, "wait"});
  const JobId free = w.submit(World::spec(20, cpus(1)));
  w.settle();
  EXPECT_EQ(w.cluster.find_job(held)->assigned(), 0u);
  EXPECT_EQ(w.tasks_on(a), 4u);
  EXPECT_EQ(w.tasks_on(b) + w.tasks_on(c), 0u);
  EXPECT_EQ(w.cluster.find_job(free)->assigned(), 4u);
  w.run(core::DrainNodes{{"b"}, false, ""});
  w.run(core::Hold{held, false, ""});
  w.settle();
  w.settle();
  EXPECT_EQ(w.cluster.find_job(held)->assigned(), 2u); // came first
  EXPECT_EQ(w.tasks_on(b), 4u);
}

TEST(scheduler, starts_a_job_that_waits_for_another_when_that_is_over) {
  World w;
  const NodeId a = w.node("a", cpus(4));
  const JobId first = w.submit(World::spec(1, cpus(1)));
  JobSpec s = World::spec(2, cpus(1));
  s.after.push_back({first, 0, DependencyKind::ok, false});
  const JobId second = w.submit(s);
  w.settle();
  EXPECT_EQ(w.in_flight(a, second), 0u);
  EXPECT_TRUE(w.refusals.empty());
  w.finish(a, first, {0, 1, 1});
  w.settle();
  EXPECT_EQ(w.in_flight(a, second), 2u);
}

TEST(scheduler, waits_until_a_requeued_task_may_be_tried) {
  World w;
  const NodeId a = w.node("a", cpus(4));
  JobSpec s = World::spec(1, cpus(1));
  s.retries = 3;
  const JobId job = w.submit(s);
  w.settle();
  JobResults results{job, {}, {}};
  results.tasks.emplace_back();
  results.tasks.back().cause = Cause::exit_code;
  results.tasks.back().exit_code = 1;
  w.run(core::Finish{a, {results}});
  w.run(core::Requeue{job, {{0, 1, 1}}, Cause::exit_code, w.now + std::chrono::seconds(5), ""});
  w.settle();
  EXPECT_EQ(w.tasks_on(a), 0u);
  w.now += std::chrono::milliseconds(4999);
  w.settle();
  EXPECT_EQ(w.tasks_on(a), 0u);
  w.now += std::chrono::milliseconds(1);
  w.settle();
  ASSERT_EQ(w.tasks_on(a), 1u);
  EXPECT_EQ(w.placed.back().runs.front().attempt, 2u);
}

TEST(scheduler, asks_for_nothing_twice_while_answers_are_on_their_way) {
  World w;
  w.node("a", cpus(4));
  w.submit(World::spec(100, cpus(1)));
  w.deliver = false;
  EXPECT_GT(w.decide(), 0u);
  EXPECT_EQ(w.decide(), 0u);
  EXPECT_TRUE(w.refusals.empty());
  w.deliver_now();
  EXPECT_EQ(w.decide(), 0u);
}

TEST(scheduler, survives_a_refusal_and_tries_again) {
  World w;
  const NodeId a = w.node("a", cpus(4));
  const JobId job = w.submit(World::spec(4, cpus(1)));
  w.deliver = false;
  w.run(
    core::GrantLease{"a", "bob", cpus(3), Duration(0), {}}); // the scheduler has not heard of it
  w.settle();
  EXPECT_FALSE(w.refusals.empty());
  EXPECT_EQ(w.tasks_on(a), 0u);
  w.deliver = true;
  w.deliver_now();
  w.now += std::chrono::seconds(2);
  w.settle();
  EXPECT_EQ(w.slots(a, job), 1u);
}

TEST(scheduler, does_not_revive_tasks_that_were_cancelled_under_a_wish) {
  for (const bool refused_first : {true, false}) {
    World w;
    const NodeId a = w.node("a", cpus(8));
    const JobId job = w.submit(World::spec(4, cpus(1)));
    auto wishes = w.scheduler.decide(w.now);
    ASSERT_EQ(wishes.size(), 1u);
    w.deliver = false;
    w.run(core::Cancel{job, {{1, 2, 1}}, "no"});
    core::Changes none;
    const auto out = w.cluster.execute(wishes[0], w.now, none);
    ASSERT_EQ(out.refused.size(), 1u);
    w.deliver = true;
    if (refused_first)
      w.scheduler.refused(out.refused);
    w.deliver_now();
    if (!refused_first)
      w.scheduler.refused(out.refused);
    w.now += std::chrono::seconds(2);
    w.settle();
    EXPECT_EQ(w.in_flight(a, job), 2u);
    EXPECT_TRUE(w.refusals.empty());
  }
}

TEST(scheduler, gives_short_tasks_ahead_and_long_ones_never) {
  World w;
  const NodeId a = w.node("a", cpus(2));
  JobSpec s = World::spec(10'000, cpus(1));
  s.estimate = std::chrono::hours(1);
  const JobId slow = w.submit(s);
  w.settle();
  EXPECT_EQ(w.in_flight(a, slow), 2u);
  w.run(core::Cancel{slow, {}, ""});
  w.finish(a, slow, {0, 2, 1});
  s.estimate = std::chrono::milliseconds(1);
  const JobId fast = w.submit(s);
  w.settle();
  EXPECT_EQ(w.slots(a, fast), 2u);
  EXPECT_GT(w.in_flight(a, fast), 40u);
  EXPECT_LE(w.in_flight(a, fast), 2u * 41u);
}

TEST(scheduler, learns_how_long_tasks_run_before_it_gives_any_ahead) {
  World w;
  const NodeId a = w.node("a", cpus(1));
  const JobId job = w.submit(World::spec(1'000, cpus(1)));
  w.settle();
  EXPECT_EQ(w.in_flight(a, job), 1u);
  w.finish(a, job, {0, 1, 1}, std::chrono::milliseconds(2));
  w.settle();
  EXPECT_GT(w.in_flight(a, job), 20u);
}

TEST(scheduler, never_gives_the_last_tasks_of_a_queue_ahead) {
  World w;
  const NodeId a = w.node("a", cpus(1)), b = w.node("b", cpus(1));
  JobSpec s = World::spec(18, cpus(1));
  s.estimate = Duration(1);
  const JobId job = w.submit(s);
  w.settle();
  EXPECT_EQ(w.in_flight(a, job) + w.in_flight(b, job), 2u);
}

TEST(scheduler, gives_nothing_ahead_when_another_has_the_better_claim) {
  World w;
  const NodeId a = w.node("a", cpus(2));
  JobSpec s = World::spec(100'000, cpus(1));
  s.estimate = Duration(100);
  const JobId first = w.submit(s);
  w.settle();
  const JobId second = w.submit(s);
  // The first job still comes first: it is served until it has no more tasks waiting.
  TaskIndex done = 0;
  for (int round = 0; round < 3; ++round) {
    const std::uint32_t n = w.in_flight(a, first);
    ASSERT_GT(n, 2u);
    w.finish(a, first, {done, n, 1}, Duration(100), true);
    done += n;
    w.settle();
    EXPECT_EQ(w.in_flight(a, second), 0u);
  }
  w.run(core::Hold{first, true, ""});
  const std::uint32_t n = w.in_flight(a, first);
  w.finish(a, first, {done, n, 1}, Duration(100), true);
  w.settle();
  EXPECT_EQ(w.in_flight(a, first), 0u);
  EXPECT_GT(w.in_flight(a, second), 2u);
}

TEST(scheduler, moves_a_large_array_of_nothing_in_few_placements) {
  World w;
  const NodeId a = w.node("a", cpus(2));
  JobSpec s = World::spec(1'000'000, cpus(1));
  s.executor = "noop";
  const JobId job = w.submit(s);
  w.settle();
  TaskIndex done = 0;
  int rounds = 0;
  while (done < 1'000'000) {
    const std::uint32_t n = w.in_flight(a, job);
    ASSERT_GT(n, 0u);
    w.finish(a, job, {done, n, 1}, Duration(0), true);
    done += n;
    ++rounds;
    w.settle();
  }
  EXPECT_LT(rounds, 150);
  EXPECT_LT(w.placed.size(), 300u);
  EXPECT_TRUE(w.refusals.empty());
}

TEST(scheduler, bounds_tasks_that_need_nothing) {
  World w;
  const NodeId a = w.node("a", cpus(1));
  const JobId job = w.submit(World::spec(1'000, {}));
  const JobId other = w.submit(World::spec(1'000, {}));
  w.settle();
  EXPECT_EQ(w.slots(a, job), 64u);
  EXPECT_EQ(w.slots(a, other), 0u);
  w.run(core::Hold{job, true, ""});
  w.finish(a, job, {0, 64, 1});
  w.settle();
  EXPECT_EQ(w.slots(a, other), 64u);
}

TEST(scheduler, knows_a_job_again_that_was_retried_after_it_had_ended) {
  World w;
  const NodeId a = w.node("a", cpus(1));
  const JobId job = w.submit(World::spec(1, cpus(1)));
  w.settle();
  w.run(core::Cancel{job, {}, "no"});
  JobResults results{job, {}, {}};
  results.tasks.emplace_back();
  results.tasks.back().cause = Cause::cancelled;
  w.run(core::Finish{a, {results}});
  ASSERT_TRUE(w.cluster.find_job(job)->ended);
  w.run(core::Retry{job, {}});
  w.settle();
  EXPECT_EQ(w.in_flight(a, job), 1u);
}

TEST(scheduler, builds_its_view_again_from_a_description) {
  World w;
  const NodeId a = w.node("a", cpus(4));
  const JobId job = w.submit(World::spec(10, cpus(1)));
  w.settle();
  core::Changes all;
  w.cluster.describe(all);
  w.scheduler.reset(all);
  EXPECT_EQ(w.decide(), 0u);
  w.finish(a, job, {0, 3, 1});
  w.settle();
  EXPECT_EQ(w.in_flight(a, job), 4u);
  EXPECT_TRUE(w.refusals.empty());
}

TEST(scheduler, says_why_a_task_waits) {
  World w;
  w.node("a", cpus(4));
  w.node("b", cpus(1));
  w.node("c", cpus(8), {}, {"noop"});
  w.run(core::DrainNodes{{"b"}, true, "repair"});
  const JobId big = w.submit(World::spec(1, cpus(3)));
  const JobId next = w.submit(World::spec(1, cpus(3)));
  w.settle();
  const auto waits = w.scheduler.explain(next, 0, w.now);
  ASSERT_TRUE(waits);
  std::uint32_t nodes = 0;
  for (const auto& [reason, n] : waits->nodes)
    nodes += n;
  EXPECT_EQ(nodes, 3u);
  EXPECT_TRUE(w.scheduler.explain(big, 0, w.now));
  EXPECT_EQ(w.scheduler.explain(JobId(99), 0, w.now).error().code, Code::not_found);
}

/// Ten tasks in flight of a job that asks for copies, of which nine have ended after 10 s.
class stragglers : public testing::Test {
protected:
  void SetUp() override {
    JobSpec spec = World::spec(10, cpus(1));
    spec.speculate = true;
    spec.name = "render";
    job = w.submit(spec);
    w.settle();
    w.now += std::chrono::seconds(10);
    for (const Placement& p : std::vector(w.placed))
      for (const TaskRun& run : p.runs)
        for (std::uint32_t i = 0; i < run.count; ++i)
          if (run.first + i != 4)
            w.finish(p.node, job, {run.first + i, 1, 1}, std::chrono::seconds(10));
          else
            home = p.node;
    w.placed.clear();
    w.settle();
  }
  World w;
  const NodeId a = w.node("a", cpus(8)), b = w.node("b", cpus(8));
  JobId job;
  NodeId home; // of the one that goes on
};

TEST_F(stragglers, get_a_copy_on_another_node_once_they_take_three_times_as_long_as_usual) {
  w.now += std::chrono::seconds(19);
  EXPECT_EQ(w.decide(), 0u);
  w.now += std::chrono::seconds(2);
  EXPECT_LE(*w.scheduler.next_wake(), w.now);
  EXPECT_EQ(w.decide(), 1u);
  ASSERT_EQ(w.placed.size(), 1u);
  EXPECT_TRUE(w.placed[0].copy);
  EXPECT_NE(w.placed[0].node, home);
  EXPECT_EQ(w.placed[0].runs, (std::vector<TaskRun>{{4, 1, 2}}));
  w.now += std::chrono::hours(1);
  EXPECT_EQ(w.decide(), 0u) << "never a second copy";
  w.finish(w.placed[0].node, job, {4, 1, 2}, std::chrono::seconds(10));
  w.finish(home, job, {4, 1, 1}, std::chrono::hours(1));
  EXPECT_EQ(w.cluster.progress(job)->state, JobState::succeeded);
  EXPECT_FALSE(w.scheduler.next_wake());
}

TEST_F(stragglers, wait_while_no_other_node_has_room) {
  w.now += std::chrono::minutes(1);
  w.run(core::DrainNodes{{home == a ? "b" : "a"}, true, "repair"});
  EXPECT_EQ(w.decide(), 0u);
  w.run(core::DrainNodes{{home == a ? "b" : "a"}, false, {}});
  w.now += std::chrono::seconds(1);
  EXPECT_EQ(w.decide(), 1u);
}

TEST_F(stragglers, get_no_copy_where_the_operator_wants_none) {
  w.configure({{"scheduler.straggler_factor", "0"}});
  w.now += std::chrono::hours(1);
  EXPECT_EQ(w.decide(), 0u);
}

TEST_F(stragglers, are_still_watched_by_the_next_master_from_its_start_on) {
  for (const bool copied : {false, true}) {
    SCOPED_TRACE(copied);
    core::Changes all;
    w.cluster.describe(all);
    const std::vector<RunTime> past(3, {"ada", "process", "render", std::chrono::seconds(10)});
    w.scheduler = {}; // as after a restart, or in a new leader
    w.scheduler.reset(all);
    w.scheduler.remember(past);
    EXPECT_EQ(w.decide(), 0u) << "when it began is not known";
    w.now += std::chrono::seconds(31);
    EXPECT_EQ(w.decide(), copied ? 0u : 1u) << "never a second copy";
    if (!copied) {
      ASSERT_EQ(w.placed.size(), 1u);
      EXPECT_TRUE(w.placed[0].copy);
      EXPECT_NE(w.placed[0].node, home);
    }
  }
}

TEST(stragglers_of_many, one_in_ten_has_a_copy_at_a_time) {
  World w;
  w.node("a", cpus(40));
  JobSpec spec = World::spec(33, cpus(1));
  spec.speculate = true;
  spec.name = "render";
  const JobId job = w.submit(spec);
  w.settle();
  w.node("b", cpus(40));
  w.now += std::chrono::seconds(10);
  w.finish(NodeId(1), job, {0, 3, 1}, std::chrono::seconds(10));
  for (int i = 0; i < 5; ++i) {
    w.now += std::chrono::minutes(1);
    w.decide();
  }
  EXPECT_EQ(w.tasks_on(NodeId(2)), 3u);
}

TEST(scheduler, shares_are_right_although_all_nodes_together_have_more_than_a_number_holds) {
  constexpr std::uint32_t nodes = 9'000; // each claims 2^50 bytes: 2^63 and more
  Scheduler scheduler;
  const TimePoint now{std::chrono::hours(1)};
  core::Changes changes;
  changes.emplace_back(core::ConfigUpdated{{{"queue.default.order", "fair"}}});
  const auto add_node = [&](std::uint32_t id) {
    core::NodeChanged node;
    node.node = NodeId(id);
    node.capacity.memory_bytes = std::int64_t{1} << 50;
    node.available = node.capacity;
    node.executors = {"process"};
    changes.emplace_back(node);
  };
  const auto add_job = [&](std::uint64_t id, const std::string& user, std::uint32_t tasks) {
    core::Kind kind;
    kind.queue = "default";
    kind.user = user;
    kind.executor = "process";
    kind.resources.memory_bytes = std::int64_t{1} << 50;
    changes.emplace_back(core::JobArrived{JobId(id), std::make_shared<const core::Kind>(kind), now,
                                          0, tasks, false, false});
  };
  const auto placed = [&] {
    scheduler.apply(std::exchange(changes, {}));
    std::vector<JobId> out;
    for (std::size_t before = 1; out.size() != std::exchange(before, out.size());)
      for (const core::Command& command : scheduler.decide(now))
        for (const Placement& p : std::get<core::Place>(command).placements)
          out.push_back(p.job);
    return out;
  };
  for (std::uint32_t id = 1; id <= nodes; ++id)
    add_node(id);
  add_job(1, "ada", nodes);
  EXPECT_EQ(placed().size(), nodes);
  add_job(2, "ada", 1);
  add_job(3, "bob", 1);
  add_node(nodes + 1);
  EXPECT_EQ(placed(), std::vector<JobId>{JobId(3)}); // ada has all the rest
}

} // namespace
} // namespace reeve::sched
