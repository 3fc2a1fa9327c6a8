// Each policy does what its name says: orders, rankings, shares, quotas, limits, places kept,
// gangs, neighbours, preemption; and settings are checked before they count.
#include "src/sched/queue_settings.hpp"
#include "tests/unit/sched/world.hpp"

#include <algorithm>
#include <random>
#include <ranges>

namespace reeve::sched {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

JobSpec task(const std::string& name, std::int64_t vcores = 1, Duration estimate = {}) {
  JobSpec s = World::spec(1, cpus(vcores));
  s.name = name;
  s.estimate = estimate;
  return s;
}

// ---- settings

TEST(queue_settings, every_setting_takes_its_default_and_refuses_nonsense_by_name) {
  for (const auto& [table, prefix] : {std::pair(&queue_setting_table(), "queue.batch."),
                                      std::pair(&scheduler_setting_table(), "scheduler.")})
    for (const QueueSettingInfo& info : *table) {
      const std::string name = prefix + std::string(info.name);
      EXPECT_TRUE(is_queue_setting(name));
      EXPECT_TRUE(check_queue_setting(name, std::string(info.default_text))) << name;
      EXPECT_TRUE(check_queue_setting(name, "")) << name;
      const auto wrong = check_queue_setting(name, "no such thing!", "settings.");
      ASSERT_FALSE(wrong) << name;
      EXPECT_EQ(wrong.error().code, Code::bad_field);
      EXPECT_EQ(wrong.error().field, "settings." + name);
      EXPECT_NE(wrong.error().text.find("no such thing!"), std::string::npos) << name;
      EXPECT_NE(wrong.error().text.find("must be"), std::string::npos) << name;
    }
}

TEST(queue_settings, unknown_settings_and_odd_names_are_refused) {
  for (const char* name : {"queue.batch.colour", "queue.batch", "queue..order", "queue.",
                           "queue.a.", "scheduler.mood", "scheduler."}) {
    EXPECT_TRUE(is_queue_setting(name)) << name;
    EXPECT_FALSE(check_queue_setting(name, "fifo")) << name;
    EXPECT_FALSE(check_queue_setting(name, "")) << name;
  }
  EXPECT_FALSE(is_queue_setting("retention.jobs"));
}

TEST(queue_settings, a_queue_has_its_own_else_those_of_all_else_defaults) {
  const AllQueueSettings all({{"queue.*.order", "fair"},
                              {"queue.a.b.order", "edf"},
                              {"queue.a.b.limit", "vcores=2.5, memory=1GiB,tasks=7,gpu=1"},
                              {"queue.a.b.weight", "lots"},
                              {"scheduler.prefetch", "3"}});
  EXPECT_EQ(all.of("x").order, Order::fair);
  EXPECT_EQ(all.of("a.b").order, Order::edf);
  EXPECT_EQ(all.of("a.b").weight, 1u); // what is wrong does not count
  EXPECT_EQ(all.of("a.b").limit,
            (Quota{{"vcores", 2500}, {"memory", 1 << 30}, {"tasks", 7}, {"gpu", 1000}}));
  EXPECT_EQ(all.global().prefetch, 3u);
  EXPECT_EQ(all.named(), std::vector<std::string>{"a.b"});
}

// ---- orders

struct OrderCase {
  const char* order;
  std::vector<std::string> expected;
};
std::ostream& operator<<(std::ostream& out, const OrderCase& c) {
  return out << c.order;
}

class orders : public testing::TestWithParam<OrderCase> {};

TEST_P(orders, serve_jobs_as_their_name_says) {
  World w;
  w.configure({{"queue.default.order", GetParam().order}});
  std::map<JobId, std::string> names;
  const auto submit = [&](const std::string& name, Duration estimate, int priority,
                          std::uint32_t count, Duration deadline) {
    JobSpec s = task(name, 1, estimate);
    s.priority = priority;
    s.count = count;
    s.max_parallel = 1;
    if (deadline > Duration(0))
      s.deadline = w.now + deadline;
    names[w.submit(s)] = name;
  };
  submit("long", minutes(30), 0, 1, hours(5));
  submit("array", minutes(5), -1, 10, Duration(0));
  submit("short", minutes(10), 1, 1, hours(3));
  submit("urgent", minutes(20), 5, 1, hours(1));
  const NodeId node = w.node("a", cpus(1));
  std::vector<std::string> served;
  while (served.size() < names.size()) {
    w.settle();
    ASSERT_EQ(w.tasks_on(node), 1u);
    const Placement p = w.placed.back();
    if (std::ranges::find(served, names[p.job]) == served.end())
      served.push_back(names[p.job]);
    w.now += minutes(5);
    w.finish(node, p.job, p.runs[0], minutes(5));
  }
  EXPECT_EQ(served, GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(all, orders,
                         testing::Values(OrderCase{"fifo", {"long", "array", "short", "urgent"}},
                                         OrderCase{"priority",
                                                   {"urgent", "short", "long", "array"}},
                                         OrderCase{"sjf", {"short", "urgent", "long", "array"}},
                                         OrderCase{"spt", {"array", "short", "urgent", "long"}},
                                         OrderCase{"sct", {"array", "short", "urgent", "long"}},
                                         OrderCase{"edf", {"urgent", "short", "long", "array"}},
                                         OrderCase{"fair", {"long", "array", "short", "urgent"}}),
                         [](const auto& row) { return std::string(row.param.order); });

TEST(orders, an_order_may_change_while_work_waits) {
  World w;
  const JobId first = w.submit(task("a", 1, hours(2)));
  const JobId second = w.submit(task("b", 1, hours(1)));
  w.configure({{"queue.default.order", "spt"}});
  const NodeId node = w.node("n", cpus(1));
  w.settle();
  EXPECT_EQ(w.in_flight(node, second), 1u);
  w.configure({{"queue.default.order", ""}});
  const JobId third = w.submit(task("c", 1, minutes(1)));
  w.finish(node, second, {0, 1, 1});
  w.settle();
  EXPECT_EQ(w.in_flight(node, first), 1u);
  EXPECT_EQ(w.in_flight(node, third), 0u);
}

TEST(orders, learned_run_times_count_where_none_is_given) {
  World w;
  w.configure({{"queue.default.order", "spt"}});
  const NodeId node = w.node("n", cpus(1));
  for (const auto& [name, time] : {std::pair("slow1", hours(1)), std::pair("fast1", hours(0))}) {
    const JobId job = w.submit(task(name));
    w.settle();
    w.finish(node, job, {0, 1, 1}, time + seconds(1));
  }
  const JobId blocker = w.submit(task("x"));
  w.settle();
  const JobId slow = w.submit(task("slow2"));
  const JobId fast = w.submit(task("fast2"));
  w.finish(node, blocker, {0, 1, 1});
  w.settle();
  EXPECT_EQ(w.in_flight(node, slow), 0u);
  EXPECT_EQ(w.in_flight(node, fast), 1u);
}

TEST(orders, run_times_of_the_past_count_until_newer_ones_are_known) {
  World w;
  w.configure({{"queue.default.order", "spt"}});
  const NodeId node = w.node("n", cpus(1));
  const JobId known = w.submit(task("known7"));
  w.settle();
  w.finish(node, known, {0, 1, 1}, minutes(1));
  const JobId slow = w.submit(task("slow2")), fast = w.submit(task("fast2"));
  const JobId same = w.submit(task("known8"));
  std::vector<RunTime> past;
  for (int i = 0; i < 5; ++i) {
    past.push_back({"ada", "process", "slow1", i == 2 ? seconds(1) : hours(1)}); // an odd one out
    past.push_back({"ada", "process", "fast1", minutes(2)});
    past.push_back({"ada", "process", "known1", hours(9)});
    past.push_back({"bob", "process", "slow1", seconds(1)});
    past.push_back({"ada", "process", "", seconds(1)});
  }
  w.scheduler.remember(past);
  std::vector<JobId> served;
  for (int i = 0; i < 3; ++i) {
    w.settle();
    served.push_back(w.placed.back().job);
    w.finish(node, served.back(), {0, 1, 1}, minutes(1));
  }
  EXPECT_EQ(served, (std::vector<JobId>{same, fast, slow}));
}

// ---- rankings

class rankings_of : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(rankings_of, choose_the_node_that_their_name_says) {
  World w;
  w.configure({{"queue.default.ranking", GetParam().first}, {"queue.default.backfill", "greedy"}});
  // Free vcores: a 4 of 8, b 8 of 8, c 1 of 2, d 2 of 16.
  for (const auto& [name, all, used] : {std::tuple("a", 8, 4), std::tuple("b", 8, 0),
                                        std::tuple("c", 2, 1), std::tuple("d", 16, 14)}) {
    w.node(name, cpus(all));
    if (used > 0)
      w.run(core::GrantLease{name, "bob", cpus(used), Duration(0), {}});
  }
  const JobId job = w.submit(task("x"));
  w.settle();
  ASSERT_EQ(w.placed.size(), 1u);
  EXPECT_EQ(w.placed[0].job, job);
  EXPECT_EQ(w.cluster.find_node(w.placed[0].node)->name, GetParam().second);
}

INSTANTIATE_TEST_SUITE_P(all, rankings_of,
                         testing::Values(std::pair("round-robin", "a"), std::pair("best-fit", "c"),
                                         std::pair("balance", "b"), std::pair("pack", "d")),
                         [](const auto& row) {
                           std::string name = row.param.first;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(ranking, random_spreads_and_repeats_with_its_seed) {
  const auto run = [](const char* seed) {
    World w;
    w.configure({{"queue.default.ranking", "random"}, {"scheduler.seed", seed}});
    for (int i = 0; i < 10; ++i)
      w.node("n" + std::to_string(i), cpus(100));
    for (int i = 0; i < 200; ++i)
      w.submit(task("x"));
    w.settle();
    std::vector<NodeId> chosen;
    for (const Placement& p : w.placed)
      chosen.push_back(p.node);
    return chosen;
  };
  const auto once = run("7");
  EXPECT_EQ(once, run("7"));
  EXPECT_NE(once, run("8"));
  std::map<NodeId, int> counts;
  for (const NodeId node : once)
    ++counts[node];
  EXPECT_EQ(counts.size(), 10u);
  for (const auto& [node, n] : counts) // mean 20, deviation 4.2
    EXPECT_LT(n, 45);
}

TEST(ranking, least_time_first_prefers_nodes_where_tasks_were_over_sooner) {
  World w;
  w.configure({{"queue.default.ranking", "least-time-first"}});
  const NodeId slow = w.node("slow", cpus(1)), fast = w.node("fast", cpus(1));
  for (int i = 0; i < 20; ++i) { // both busy, one takes thrice the time
    w.submit(task("x"));
    w.submit(task("x"));
    w.settle();
    for (const Placement& p : std::vector<Placement>(w.placed.end() - 2, w.placed.end()))
      w.finish(p.node, p.job, p.runs[0], p.node == slow ? minutes(3) : minutes(1));
  }
  const JobId job = w.submit(task("x"));
  w.settle();
  EXPECT_EQ(w.in_flight(fast, job), 1u);
}

TEST(ranking, a_node_that_has_just_become_faster_is_still_chosen_once) { // it was for ever
  World w;
  w.configure({{"queue.default.order", "sct"}, {"scheduler.prefetch", "0"}});
  const NodeId node = w.node("n", cpus(2));
  JobSpec s = World::spec(10, cpus(1));
  s.name = "x";
  s.max_parallel = 1;
  const JobId job = w.submit(s);
  for (TaskIndex i = 0; i < 10; ++i) {
    w.settle();
    ASSERT_EQ(w.slots(node, job), 1);
    if (i == 5) { // nodes are put in order for it, before what ends next makes this one faster
      s.resources = cpus(5);
      w.submit(s);
    }
    w.now += std::chrono::milliseconds(1'500); // half a second of it is the way there and back
    w.finish(node, job, {i, 1, 1}, std::chrono::milliseconds(i < 5 ? 1'000 : 600));
  }
  EXPECT_TRUE(w.cluster.find_job(job)->ended);
}
TEST(ranking, least_time_first_counts_the_wait_for_the_start_and_the_tasks_own_run_time) {
  World w;
  w.configure({{"queue.default.ranking", "least-time-first"}});
  const NodeId near = w.node("near", cpus(1)), far = w.node("far", cpus(1));
  for (int i = 0; i < 40; ++i) { // far is twice as fast, and needs four minutes to begin
    w.submit(task("x"));
    w.submit(task("x"));
    w.settle();
    std::map<NodeId, Placement> there;
    for (const Placement& p : std::vector<Placement>(w.placed.end() - 2, w.placed.end()))
      there[p.node] = p;
    ASSERT_EQ(there.size(), 2u);
    w.now += minutes(2);
    w.finish(near, there[near].job, there[near].runs[0], minutes(2));
    w.now += minutes(3);
    w.finish(far, there[far].job, there[far].runs[0], minutes(1));
  }
  const JobId brief = w.submit(task("brief", 1, minutes(1)));
  w.settle();
  EXPECT_EQ(w.in_flight(near, brief), 1u);
  w.finish(near, brief, {0, 1, 1}, Duration(0));
  const JobId lengthy = w.submit(task("lengthy", 1, hours(2)));
  w.settle();
  EXPECT_EQ(w.in_flight(far, lengthy), 1u);
}

// ---- shares

TEST(fair, gives_the_dominant_resource_fairness_papers_example) {
  // Ghodsi et al., "Dominant resource fairness", NSDI 2011, section 4.1: 9 CPUs and 18 GB; tasks of
  // A need <1 CPU, 4 GB>, of B <3 CPUs, 1 GB>; A ends with 3 tasks, B with 2.
  World w;
  w.configure({{"queue.default.order", "fair"}});
  JobSpec a = World::spec(10, cpus(1, 4)), b = World::spec(10, cpus(3, 1));
  a.user = "A";
  b.user = "B";
  const JobId of_a = w.submit(a), of_b = w.submit(b);
  w.node("n", cpus(9, 18));
  w.settle();
  EXPECT_EQ(w.running(of_a), 3u);
  EXPECT_EQ(w.running(of_b), 2u);
}

TEST(fair, weights_of_users_and_queues_count) {
  World w;
  w.configure({{"queue.*.order", "fair"},
               {"queue.lab.weight", "3"},
               {"queue.lab.user_weights", "eve=2"},
               {"scheduler.prefetch", "0"}});
  std::map<std::string, JobId> jobs;
  for (const auto& [queue, user] :
       {std::pair("lab", "eve"), std::pair("lab", "bob"), std::pair("web", "eve")}) {
    JobSpec s = World::spec(100, cpus(1));
    s.queue = queue;
    s.user = user;
    jobs[std::string(queue) + "/" + user] = w.submit(s);
  }
  w.node("n", cpus(40));
  w.settle();
  EXPECT_EQ(w.running(jobs["lab/eve"]), 20u);
  EXPECT_EQ(w.running(jobs["lab/bob"]), 10u);
  EXPECT_EQ(w.running(jobs["web/eve"]), 10u);
}

TEST(fair, queues_inside_queues_share_what_the_outer_one_gets) {
  World w;
  std::map<std::string, JobId> jobs;
  for (const char* queue : {"org.a", "org.b", "org", "solo"}) {
    JobSpec s = World::spec(100, cpus(1));
    s.queue = queue;
    jobs[queue] = w.submit(s);
  }
  w.node("n", cpus(36));
  w.settle();
  EXPECT_EQ(w.running(jobs["solo"]), 18u);
  EXPECT_EQ(w.running(jobs["org.a"]), 6u);
  EXPECT_EQ(w.running(jobs["org.b"]), 6u);
  EXPECT_EQ(w.running(jobs["org"]), 6u);
}

/// How many tasks each demand gets on one node, by fair order.
std::vector<std::uint32_t> fair_tasks(const Resources& node,
                                      const std::vector<Resources>& demands) {
  World w;
  w.configure({{"queue.default.order", "fair"}, {"queue.default.backfill", "greedy"}});
  std::vector<JobId> jobs;
  for (std::size_t i = 0; i < demands.size(); ++i) {
    JobSpec s = World::spec(1'000, demands[i]);
    s.user = "u" + std::to_string(i);
    jobs.push_back(w.submit(s));
  }
  w.node("n", node);
  w.settle();
  std::vector<std::uint32_t> out;
  for (const JobId job : jobs)
    out.push_back(w.running(job));
  return out;
}

TEST(fair, no_user_gains_by_lying_nor_envies_another) {
  // Both hold for divisible tasks (Ghodsi et al., section 3); whole ones may miss by one of either.
  const std::uint64_t seed = 77;
  std::mt19937_64 random(seed);
  for (int round = 0; round < 40; ++round) {
    const Resources node = cpus(100, 100);
    std::vector<Resources> demands;
    for (int i = 0; i < 3; ++i)
      demands.push_back(cpus(1 + static_cast<std::int64_t>(random() % 9),
                             1 + static_cast<std::int64_t>(random() % 9)));
    const auto honest = fair_tasks(node, demands);
    for (std::size_t i = 0; i < demands.size(); ++i)
      for (std::size_t j = 0; j < demands.size(); ++j)
        EXPECT_LE(times_fitting(demands[i], demands[j] * (honest[j] - 1), 1'000), honest[i] + 1)
          << "REEVE_SEED=" << seed << " round " << round << ": " << i << " envies " << j;
    const std::size_t liar = random() % demands.size();
    std::vector<Resources> lies = demands;
    lies[liar] = cpus(demands[liar].cpu_milli / 1000 + static_cast<std::int64_t>(random() % 5),
                      (demands[liar].memory_bytes >> 30) + static_cast<std::int64_t>(random() % 5));
    const auto lied = fair_tasks(node, lies);
    EXPECT_LE(times_fitting(demands[liar], lies[liar] * lied[liar], 1'000), honest[liar] + 1)
      << "REEVE_SEED=" << seed << " round " << round << ": " << liar << " gains by lying";
  }
}

// ---- quotas, limits, pauses

TEST(quotas, hold_for_a_queue_and_for_each_of_its_users) {
  World w;
  w.configure({{"scheduler.prefetch", "0"},
               {"queue.default.limit", "vcores=10"},
               {"queue.default.user_limit", "tasks=4,memory=3GiB"}});
  std::vector<JobId> jobs;
  for (const auto& [user, gib] : {std::pair("ada", 0), std::pair("bob", 1), std::pair("eve", 0)}) {
    JobSpec s = World::spec(20, cpus(1, gib));
    s.user = user;
    jobs.push_back(w.submit(s));
  }
  const NodeId node = w.node("n", cpus(64, 64));
  w.settle();
  EXPECT_EQ(w.running(jobs[0]), 4u);
  EXPECT_EQ(w.running(jobs[1]), 3u);
  EXPECT_EQ(w.running(jobs[2]), 3u); // the queue is full
  const auto why = w.scheduler.explain(jobs[1], 10, w.now);
  ASSERT_TRUE(why);
  EXPECT_NE(why->summary.find("may hold no more"), std::string::npos) << why->summary;
  w.finish(node, jobs[0], {0, 2, 1});
  w.settle();
  EXPECT_EQ(w.running(jobs[0]) + w.running(jobs[1]) + w.running(jobs[2]), 10u);
  w.configure({{"queue.default.limit", ""}, {"queue.default.user_limit", ""}});
  w.settle();
  for (const JobId job : jobs)
    EXPECT_GE(w.running(job), 18u);
  EXPECT_TRUE(w.refusals.empty());
}

TEST(quotas, a_lot_that_a_quota_kept_from_a_node_gets_it_when_the_quota_allows) {
  World w;
  w.configure({{"queue.default.user_limit", "vcores=1"}});
  const NodeId a = w.node("a", cpus(1));
  const JobId first = w.submit(task("x"));
  JobSpec other = task("y");
  other.user = "bob";
  w.settle();
  const JobId second = w.submit(task("z")); // of ada, who has what she may
  w.settle();
  const NodeId b = w.node("b", cpus(1));
  w.settle(); // b has room, and nobody may have it
  EXPECT_EQ(w.tasks_on(b), 0u);
  w.finish(a, first, {0, 1, 1});
  w.run(core::DrainNodes{{"a"}, true, ""});
  w.settle();
  EXPECT_EQ(w.in_flight(b, second), 1u);
}

TEST(queues, start_nothing_while_paused_and_go_on_when_resumed) {
  World w;
  w.configure({{"queue.default.paused", "true"}});
  const NodeId node = w.node("n", cpus(2));
  const JobId job = w.submit(World::spec(5, cpus(1)));
  JobSpec other = World::spec(1, cpus(1));
  other.queue = "open";
  const JobId running = w.submit(other);
  w.settle();
  EXPECT_EQ(w.running(job), 0u);
  EXPECT_EQ(w.running(running), 1u);
  EXPECT_EQ(w.scheduler.explain(job, 0, w.now)->summary, "the queue default is paused");
  w.configure({{"queue.default.paused", "false"}});
  w.settle();
  EXPECT_EQ(w.running(job), 1u);
  w.finish(node, running, {0, 1, 1});
  w.settle();
  EXPECT_EQ(w.running(job), 2u);
}

TEST(limits, by_name_hold_for_the_cluster_and_for_each_node) {
  World w;
  const NodeId a = w.node("a", cpus(16)), b = w.node("b", cpus(16));
  JobSpec licence = World::spec(10, cpus(1));
  licence.limits = {{"licence", 3, false}};
  JobSpec disk = World::spec(10, cpus(1));
  disk.limits = {{"disk", 2, true}};
  const JobId one = w.submit(licence), two = w.submit(licence), three = w.submit(disk);
  w.settle();
  EXPECT_EQ(w.running(one) + w.running(two), 3u);
  EXPECT_EQ(w.in_flight(a, three), 2u);
  EXPECT_EQ(w.in_flight(b, three), 2u);
  EXPECT_NE(w.scheduler.explain(two, 0, w.now)->summary.find("limit licence"), std::string::npos);
  const NodeId where = w.placed[0].node;
  w.finish(where, one, w.placed[0].runs[0]);
  w.settle();
  EXPECT_EQ(w.running(one) + w.running(two), 3u);
}

// ---- leases

TEST(leases, count_in_the_quotas_of_their_owners_and_their_queue) {
  World w;
  w.configure({{"scheduler.prefetch", "0"},
               {"scheduler.lease_queue", "shared"},
               {"queue.shared.limit", "vcores=10"},
               {"queue.shared.user_limit", "vcores=6"}});
  w.node("n", cpus(64));
  std::vector<JobId> jobs;
  for (const char* user : {"ada", "bob"}) {
    JobSpec s = World::spec(20, cpus(1));
    s.user = user;
    s.queue = "shared";
    jobs.push_back(w.submit(s));
  }
  const LeaseId lease = w.run(core::GrantLease{"n", "ada", cpus(4), Duration(0), {}}).lease;
  w.settle();
  EXPECT_EQ(w.running(jobs[0]), 2u);
  EXPECT_EQ(w.running(jobs[1]), 4u);
  Allocate more;
  more.owner = "ada";
  more.resources = cpus(1);
  const auto refused = w.scheduler.check(more, w.now);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::refused);
  EXPECT_EQ(refused.error().text, "user ada may hold no more vcores");
  more.owner = "eve";
  EXPECT_EQ(w.scheduler.check(more, w.now).error().text, "queue shared may hold no more vcores");
  w.configure({{"queue.shared.limit", ""}}); // shelves are built again
  EXPECT_TRUE(w.scheduler.check(more, w.now));
  w.settle();
  EXPECT_EQ(w.running(jobs[0]), 2u);
  EXPECT_EQ(w.running(jobs[1]), 6u);
  w.run(core::RenewLease{lease, hours(1)});
  w.run(core::ReleaseLeases{lease, "", ""});
  w.settle();
  EXPECT_EQ(w.running(jobs[0]), 6u);
  EXPECT_TRUE(w.refusals.empty());
}

TEST(leases, count_in_the_queue_that_they_name_and_in_limits_by_name) {
  World w;
  w.configure({{"scheduler.prefetch", "0"},
               {"queue.night.user_limit", "tasks=2"},
               {"queue.shut.paused", "true"}});
  w.node("n", cpus(64));
  core::GrantLease grant{"n", "ada", cpus(1), Duration(0), Bytes{"k"}, "night"};
  grant.limits = {{"db", 2, false}, {"disk", 1, true}};
  const LeaseId lease = w.run(grant).lease;
  JobSpec s = World::spec(9, cpus(1));
  s.queue = "night";
  const JobId night = w.submit(s);
  s.queue = "default";
  s.limits = {{"db", 2, false}};
  const JobId db = w.submit(s);
  s.limits = {{"disk", 1, true}};
  const JobId disk = w.submit(s);
  w.settle();
  EXPECT_EQ(w.running(night), 1u);
  EXPECT_EQ(w.running(db), 1u);
  EXPECT_EQ(w.running(disk), 0u);
  Allocate more;
  more.owner = "ada";
  more.resources = cpus(1);
  more.node = "n";
  const auto refusal = [&] {
    const auto answer = w.scheduler.check(more, w.now);
    return answer ? std::string() : answer.error().message();
  };
  EXPECT_EQ(refusal(), "");
  more.queue = "night";
  EXPECT_EQ(refusal(), "resources: user ada may hold no more tasks");
  more.key = Bytes{"k"}; // asked again, it is granted already
  EXPECT_EQ(refusal(), "");
  more.key = {};
  more.queue = "shut";
  EXPECT_EQ(refusal(), "resources: the queue shut is paused");
  more.queue = "";
  more.limits = {{"db", 2, false}};
  EXPECT_EQ(refusal(), "limits[0]: the limit db is reached: 2 of 2");
  more.limits = {{"disk", 1, true}};
  EXPECT_EQ(refusal(), "limits[0]: the limit disk is reached: 1 of 1");
  more.node = "";
  EXPECT_EQ(refusal(), "limits[0]: a limit per node needs a node that is named");
  w.run(core::ReleaseLeases{lease, "", ""});
  w.settle();
  EXPECT_EQ(w.running(night), 2u);
  EXPECT_EQ(w.running(db), 2u);
  EXPECT_EQ(w.running(disk), 1u);
  EXPECT_TRUE(w.refusals.empty());
}

TEST(leases, of_others_make_work_wait_and_start_when_they_end) {
  World w;
  w.configure({{"queue.default.limit", "vcores=4"}});
  const NodeId node = w.node("n", cpus(8));
  const LeaseId lease = w.run(core::GrantLease{"n", "eve", cpus(4), Duration(0), {}}).lease;
  const JobId job = w.submit(task("x"));
  w.settle();
  EXPECT_EQ(w.running(job), 0u);
  EXPECT_EQ(w.scheduler.explain(job, 0, w.now)->summary, "queue default may hold no more vcores");
  w.run(core::ReleaseLeases{lease, "", ""});
  w.settle();
  EXPECT_EQ(w.in_flight(node, job), 1u);
}

// ---- places kept

TEST(backfill, easy_keeps_a_place_for_the_first_and_lets_pass_what_does_not_delay_it) {
  World w;
  const NodeId node = w.node("n", cpus(4));
  const JobId running = w.submit(task("r", 2, hours(2)));
  w.settle();
  const JobId big = w.submit(task("big", 4, hours(1)));
  const JobId too_long = w.submit(task("long", 1, hours(3)));
  const JobId short_one = w.submit(task("short", 1, hours(1)));
  w.settle();
  EXPECT_EQ(w.in_flight(node, too_long), 0u);
  EXPECT_EQ(w.in_flight(node, short_one), 1u);
  const auto why = w.scheduler.explain(big, 0, w.now);
  ASSERT_TRUE(why);
  EXPECT_EQ(why->start, w.now + hours(2));
  EXPECT_EQ(why->ahead, 0u);
  EXPECT_EQ(w.scheduler.explain(too_long, 0, w.now)->nodes,
            (std::map<std::string, std::uint32_t>{{"kept for a task that waits longer", 1}}));
  w.now += hours(1);
  w.finish(node, short_one, {0, 1, 1}, hours(1));
  w.settle();
  w.now += hours(1);
  w.finish(node, running, {0, 1, 1}, hours(2));
  w.settle();
  EXPECT_EQ(w.in_flight(node, big), 1u);
}

TEST(backfill, what_fits_beside_the_kept_place_may_be_long) {
  World w;
  const NodeId node = w.node("n", cpus(8));
  w.submit(task("r", 4, hours(2)));
  w.settle();
  const JobId big = w.submit(task("big", 6, hours(1)));
  const JobId aside = w.submit(task("aside", 2, hours(9)));
  const JobId not_aside = w.submit(task("no", 1, hours(9)));
  w.settle();
  EXPECT_EQ(w.in_flight(node, aside), 1u);
  EXPECT_EQ(w.in_flight(node, not_aside), 0u);
  EXPECT_EQ(w.in_flight(node, big), 0u);
}

TEST(backfill, conservative_delays_nobody_in_line_and_greedy_delays_all) {
  for (const auto& [mode, passes] : {std::pair("easy", true), std::pair("conservative", false),
                                     std::pair("greedy", true), std::pair("strict", false)}) {
    World w;
    w.configure({{"queue.default.backfill", mode}});
    const NodeId a = w.node("a", cpus(4), {{"big", "yes"}}), b = w.node("b", cpus(2));
    w.submit(task("r1", 2, hours(1)));
    w.submit(task("r2", 1, hours(1)));
    w.settle();
    // Round-robin: r1 on a, r2 on b. `first` needs all of a, `second` all of b.
    JobSpec first = task("first", 4, hours(1)), second = task("second", 2, hours(2));
    first.node_labels = {{"big", "yes"}};
    w.submit(first);
    const JobId waits = w.submit(second);
    const JobId passing = w.submit(task("passing", 1, hours(3)));
    w.settle();
    EXPECT_EQ(w.in_flight(a, waits) + w.in_flight(b, waits),
              mode == std::string("greedy") ? 1u : 0u)
      << mode; // beside r1 on a, only when nothing is kept there
    EXPECT_EQ(w.in_flight(b, passing) == 1, passes) << mode;
  }
}

TEST(backfill, a_reserved_place_moves_with_what_runs_longer_or_shorter) {
  World w;
  const NodeId node = w.node("n", cpus(2));
  const JobId r = w.submit(task("r", 1, hours(1)));
  w.settle();
  const JobId big = w.submit(task("big", 2, hours(1)));
  const JobId small = w.submit(task("small", 1, hours(5)));
  w.settle();
  EXPECT_EQ(w.scheduler.explain(big, 0, w.now)->start, w.now + hours(1));
  w.now += hours(1) + minutes(1); // it goes on: twice as long is expected now
  w.settle();
  EXPECT_EQ(w.scheduler.explain(big, 0, w.now)->start, w.now + minutes(59));
  EXPECT_EQ(w.in_flight(node, small), 0u);
  w.now += minutes(10);
  w.finish(node, r, {0, 1, 1}, minutes(71));
  w.settle();
  EXPECT_EQ(w.in_flight(node, big), 1u);
}

// ---- gangs, exclusive nodes, neighbours, spread, overcommit

TEST(gangs, start_whole_over_several_nodes_or_not_at_all) {
  World w;
  const NodeId a = w.node("a", cpus(4)), b = w.node("b", cpus(4));
  const JobId blocker = w.submit(task("x", 2));
  w.settle();
  JobSpec gang = World::spec(7, cpus(1));
  gang.gang = true;
  const JobId job = w.submit(gang);
  w.settle();
  EXPECT_EQ(w.running(job), 0u);
  EXPECT_TRUE(w.refusals.empty());
  w.finish(w.placed[0].node, blocker, {0, 1, 1});
  w.settle();
  EXPECT_EQ(w.running(job), 7u);
  EXPECT_EQ(w.slots(a, job) + w.slots(b, job), 7u);
  EXPECT_TRUE(w.refusals.empty());
}

TEST(gangs, have_places_kept_on_several_nodes) {
  World w;
  const NodeId a = w.node("a", cpus(2)), b = w.node("b", cpus(2));
  const JobId one = w.submit(task("x", 2, hours(1))), two = w.submit(task("x", 1, hours(2)));
  w.settle();
  JobSpec gang = World::spec(4, cpus(1));
  gang.gang = true;
  gang.estimate = hours(1);
  const JobId job = w.submit(gang);
  const JobId small = w.submit(task("s", 1, hours(3)));
  w.settle();
  EXPECT_EQ(w.running(small), 0u);
  EXPECT_EQ(w.scheduler.explain(job, 0, w.now)->start, w.now + hours(2));
  w.now += hours(1);
  w.finish(a, one, {0, 1, 1}, hours(1));
  w.settle();
  EXPECT_EQ(w.running(small), 0u);
  w.now += hours(1);
  w.finish(b, two, {0, 1, 1}, hours(2));
  w.settle();
  EXPECT_EQ(w.running(job), 4u);
}

TEST(exclusive, jobs_get_empty_nodes_and_keep_others_away) {
  World w;
  const NodeId a = w.node("a", cpus(4)), b = w.node("b", cpus(4));
  w.submit(task("x", 1));
  w.settle();
  ASSERT_EQ(w.tasks_on(a), 1u);
  JobSpec alone = World::spec(6, cpus(1));
  alone.exclusive = true;
  const JobId job = w.submit(alone);
  const JobId other = w.submit(World::spec(3, cpus(1)));
  w.settle();
  EXPECT_EQ(w.in_flight(b, job), 4u);
  EXPECT_EQ(w.in_flight(a, job), 0u);
  EXPECT_EQ(w.in_flight(b, other), 0u);
  w.finish(b, job, {0, 2, 1});
  w.settle();
  EXPECT_EQ(w.in_flight(b, job), 4u); // the rest of it
  EXPECT_TRUE(w.refusals.empty());
}

TEST(neighbours, are_sought_and_shunned_by_node_and_by_label) {
  World w;
  std::map<std::string, NodeId> nodes;
  for (const auto& [name, zone] :
       {std::pair("a", "east"), std::pair("b", "east"), std::pair("c", "west")})
    nodes[name] = w.node(name, cpus(8), {{"zone", zone}});
  JobSpec data = task("data");
  data.labels = {{"role", "data"}};
  data.node_labels = {{"zone", "west"}};
  const JobId db = w.submit(data);
  w.settle();
  ASSERT_EQ(w.in_flight(nodes["c"], db), 1u);
  JobSpec near = World::spec(2, cpus(1)), away = near, spaced = World::spec(3, cpus(1));
  near.affinity = {{{{"role", "data"}}, "zone", false, true}};
  away.affinity = {{{{"role", "data"}}, "", true, true}};
  spaced.labels = {{"role", "web"}};
  spaced.affinity = {{{{"role", "web"}}, "", true, true}};
  const JobId n = w.submit(near), x = w.submit(away), s = w.submit(spaced);
  w.settle();
  EXPECT_EQ(w.in_flight(nodes["c"], n), 2u);
  EXPECT_EQ(w.in_flight(nodes["c"], x), 0u);
  EXPECT_EQ(w.running(x), 2u);
  for (const auto& [name, node] : nodes)
    EXPECT_EQ(w.in_flight(node, s), 1u) << name;
  JobSpec prefers = World::spec(20, cpus(1));
  prefers.affinity = {{{{"role", "data"}}, "", false, false}};
  const JobId p = w.submit(prefers);
  w.settle();
  EXPECT_EQ(w.tasks_on(nodes["c"]), 8u); // full first
  EXPECT_EQ(w.running(p), 16u - 2u - 2u + 4u);
}

TEST(neighbours, are_followed_at_once_when_they_come_later) {
  World w;
  const NodeId a = w.node("a", cpus(8), {{"zone", "east"}});
  w.node("b", cpus(8), {{"zone", "west"}});
  JobSpec follower = task("f"), leader = task("l");
  follower.affinity = {{{{"role", "data"}}, "zone", false, true}};
  leader.labels = {{"role", "data"}};
  leader.node_labels = {{"zone", "east"}};
  const JobId after = w.submit(follower);
  w.settle();
  EXPECT_EQ(w.running(after), 0u);
  w.submit(leader); // nothing is gained anywhere, yet the other may start now
  w.settle();
  EXPECT_EQ(w.in_flight(a, after), 1u);
}

TEST(spread, is_even_over_the_values_of_a_label) {
  World w;
  std::vector<NodeId> east, west;
  for (int i = 0; i < 3; ++i)
    east.push_back(w.node("e" + std::to_string(i), cpus(8), {{"zone", "east"}}));
  west.push_back(w.node("w", cpus(8), {{"zone", "west"}}));
  JobSpec s = World::spec(10, cpus(1));
  s.spread = "zone";
  const JobId job = w.submit(s);
  w.settle();
  EXPECT_EQ(w.in_flight(west[0], job), 5u);
}

TEST(overcommit, gives_more_than_there_is_only_to_those_who_allow_it) {
  World w;
  const NodeId node = w.node("n", cpus(4));
  w.run(core::Tune{node, 2000, false, "idle"});
  JobSpec modest = World::spec(10, cpus(1)), bold = modest;
  bold.overcommit = true;
  const JobId m = w.submit(modest), b = w.submit(bold);
  w.settle();
  EXPECT_EQ(w.slots(node, m), 4u);
  EXPECT_EQ(w.slots(node, b), 4u);
  EXPECT_TRUE(w.refusals.empty());
}

// ---- utilisation control

class Tuning {
public:
  World w;
  NodeId node;
  std::vector<core::Tune> tuned;
  Tuning() {
    w.configure({{"scheduler.high_cpu", "90"},
                 {"scheduler.high_memory", "80"},
                 {"scheduler.overcommit_max", "150"},
                 {"scheduler.overcommit_step", "20"},
                 {"scheduler.adjust_every", "10s"}});
    node = w.node("n", cpus(10, 10));
  }
  /// The node uses so much of its vcores and memory, in percent, for a while.
  void use(std::int64_t cpu, std::int64_t memory) {
    Resources used;
    used.cpu_milli = cpu * 100;
    used.memory_bytes = memory * ((std::int64_t{10} << 30) / 100);
    for (int i = 0; i < 15; ++i) {
      w.now += seconds(1);
      w.scheduler.measured(node, used);
      for (const core::Command& command : w.scheduler.decide(w.now)) {
        if (const auto* tune = std::get_if<core::Tune>(&command))
          tuned.push_back(*tune);
        w.run(command);
      }
    }
  }
  [[nodiscard]] const core::Node& facts() const { return *w.cluster.find_node(node); }
};

TEST(utilisation, above_the_high_mark_a_node_gets_nothing_until_it_has_calmed_down) {
  Tuning t;
  t.use(50, 81);
  ASSERT_EQ(t.tuned.size(), 1u);
  EXPECT_TRUE(t.facts().closed);
  EXPECT_EQ(t.tuned[0].reason, "vcores 50 % and memory 81 % in use, at its high mark: no new work");
  const JobId job = t.w.submit(task("x"));
  t.use(50, 77); // under the mark, but not yet calm
  EXPECT_EQ(t.w.running(job), 0u);
  EXPECT_EQ(t.w.scheduler.explain(job, 0, t.w.now)->nodes,
            (std::map<std::string, std::uint32_t>{{"above its high mark", 1}}));
  t.use(50, 70);
  EXPECT_FALSE(t.facts().closed);
  EXPECT_EQ(t.w.running(job), 1u);
}

TEST(utilisation, overcommit_grows_in_steps_to_its_bound_where_a_node_is_booked_out_and_idle) {
  Tuning t;
  t.use(5, 5); // idle, but there is room
  EXPECT_TRUE(t.tuned.empty());
  JobSpec modest = World::spec(10, cpus(1)), bold = World::spec(20, cpus(1));
  bold.overcommit = true;
  const JobId m = t.w.submit(modest), b = t.w.submit(bold);
  t.use(5, 5);
  t.use(5, 5);
  EXPECT_EQ(t.w.slots(t.node, m), 10u);
  t.use(5, 5);
  t.use(5, 5);
  t.use(5, 5);
  EXPECT_EQ(t.facts().overcommit_milli, 1500u);
  EXPECT_EQ(t.w.slots(t.node, b), 5u);
  for (std::size_t i = 1; i < t.tuned.size(); ++i)
    EXPECT_LE(t.tuned[i].overcommit_milli, t.tuned[i - 1].overcommit_milli + 200);
  t.use(95, 5);
  EXPECT_LT(t.facts().overcommit_milli, 1500u); // falls twice as fast
  EXPECT_NE(t.tuned.back().reason.find("overcommit falls"), std::string::npos);
  t.use(95, 5);
  EXPECT_EQ(t.facts().overcommit_milli, 1000u);
  EXPECT_TRUE(t.facts().closed);
}

TEST(utilisation, a_share_is_kept_for_leases_and_for_queues_that_may_use_it) {
  World w;
  w.configure({{"scheduler.reserve", "vcores=25,gpu=50"}, {"queue.urgent.use_reserve", "true"}});
  Resources r = cpus(8, 8);
  r.named_milli["gpu"] = 2'000;
  const NodeId node = w.node("n", r);
  const JobId usual = w.submit(World::spec(10, cpus(1)));
  w.settle();
  EXPECT_EQ(w.slots(node, usual), 6u);
  EXPECT_EQ(w.scheduler.explain(usual, 9, w.now)->nodes,
            (std::map<std::string, std::uint32_t>{{"reserved share: vcores", 1}}));
  EXPECT_EQ(w.scheduler.explain(usual, 9, w.now)->notes.front(),
            "would fit with 1 more vcores free on a node, beside the reserve");
  JobSpec large = World::spec(1, cpus(7));
  const JobId never = w.submit(large);
  w.settle();
  const auto why = *w.scheduler.explain(never, 0, w.now);
  EXPECT_EQ(why.nodes,
            (std::map<std::string, std::uint32_t>{{"too small beside the reserve: vcores", 1}}));
  EXPECT_EQ(why.notes.front(), "needs 7 vcores, the largest node that fits otherwise has 6 vcores "
                               "beside the reserve");
  Resources gpu;
  gpu.named_milli["gpu"] = 1'000;
  const JobId gpus = w.submit(World::spec(2, gpu));
  w.settle();
  EXPECT_EQ(w.slots(node, gpus), 1u);
  JobSpec urgent = World::spec(3, cpus(1) + gpu);
  urgent.queue = "urgent";
  const JobId first = w.submit(urgent);
  w.settle();
  EXPECT_EQ(w.slots(node, first), 1u);                          // the second gpu
  w.run(core::GrantLease{"", "bob", cpus(1), Duration(0), {}}); // the last of the vcores
  w.finish(node, usual, {0, 1, 1});
  w.settle();
  EXPECT_EQ(w.slots(node, usual), 5u); // the share is in use: what is free now fills it again
  w.configure({{"scheduler.reserve", ""}});
  w.settle();
  EXPECT_EQ(w.slots(node, usual), 6u);
  w.configure({{"queue.default.use_reserve", "true"}, {"scheduler.reserve", "vcores=100"}});
  w.finish(node, usual, {1, 3, 1});
  w.settle();
  EXPECT_GE(w.slots(node, usual), 6u);
  EXPECT_TRUE(w.refusals.empty());
}

TEST(utilisation, what_overcommit_gives_stays_beside_the_reserve) {
  World w;
  w.configure({{"scheduler.reserve", "vcores=25"}});
  const NodeId node = w.node("n", cpus(4));
  w.run(core::Tune{node, 2000, false, "idle"});
  JobSpec bold = World::spec(10, cpus(1));
  bold.overcommit = true;
  const JobId job = w.submit(bold);
  w.settle();
  EXPECT_EQ(w.slots(node, job), 7u); // of twice 4, less a quarter of 4
}

TEST(suspects, get_no_new_work_until_they_are_heard_again) {
  World w;
  const NodeId a = w.node("a", cpus(2)), b = w.node("b", cpus(2));
  w.scheduler.suspect({a, NodeId(99)});
  const JobId job = w.submit(World::spec(4, cpus(1)));
  w.settle();
  EXPECT_EQ(w.in_flight(a, job), 0u);
  EXPECT_EQ(w.in_flight(b, job), 2u);
  EXPECT_EQ(
    w.scheduler.explain(job, 3, w.now)->nodes,
    (std::map<std::string, std::uint32_t>{{"busy: vcores", 1}, {"suspect: it may be dead", 1}}));
  Allocate lease;
  lease.node = "a";
  lease.resources = cpus(1);
  EXPECT_EQ(w.scheduler.check(lease, w.now).error().code, Code::node_down);
  core::Changes all;
  w.cluster.describe(all);
  w.scheduler.reset(all); // does not make it trusted
  w.settle();
  EXPECT_EQ(w.in_flight(a, job), 0u);
  w.scheduler.suspect({});
  w.settle();
  EXPECT_EQ(w.in_flight(a, job), 2u);
}

// ---- preemption

TEST(preemption, makes_room_with_the_fewest_and_cheapest_and_keeps_it) {
  World w;
  w.configure({{"queue.default.order", "priority"}, {"queue.default.preempt", "true"}});
  const NodeId a = w.node("a", cpus(4)), b = w.node("b", cpus(4));
  JobSpec low = World::spec(4, cpus(1));
  low.priority = -5;
  low.estimate = hours(9);
  const JobId old = w.submit(low);
  w.settle(); // two on each node
  w.now += hours(1);
  JobSpec safe = World::spec(2, cpus(1));
  safe.preemptible = false;
  safe.priority = -9;
  w.submit(safe);
  const JobId young = w.submit(low);
  w.settle();
  ASSERT_EQ(w.tasks_on(a) + w.tasks_on(b), 8u);
  JobSpec high = World::spec(1, cpus(2));
  high.priority = 5;
  const JobId urgent = w.submit(high);
  std::vector<core::Preempt> asked;
  const auto think = [&] {
    for (const core::Command& command : w.scheduler.decide(w.now))
      if (const auto* preempt = std::get_if<core::Preempt>(&command))
        asked.push_back(*preempt);
      else
        w.run(command);
  };
  think();
  think(); // not asked twice
  std::uint32_t stopped = 0;
  for (const core::Preempt& p : asked)
    for (const TaskRun& run : p.runs)
      stopped += run.count;
  EXPECT_LE(stopped, 2u);
  ASSERT_GT(stopped, 0u);
  for (const core::Preempt& p : asked) {
    EXPECT_EQ(p.job, young); // lost less than the old ones
    w.run(p);
    JobResults results{p.job, {}, {}};
    for (const TaskRun& run : p.runs)
      for (std::uint32_t i = 0; i < run.count; ++i) {
        results.tasks.emplace_back();
        results.tasks.back().index = run.first + i;
        results.tasks.back().attempt = run.attempt;
        results.tasks.back().cause = Cause::cancelled;
      }
    w.run(core::Finish{p.node, {results}});
    w.run(core::Requeue{p.job, p.runs, Cause::preempted, {}, ""});
  }
  think();
  EXPECT_EQ(w.running(urgent), 1u);
  EXPECT_EQ(w.running(old), 4u);
}

TEST(preemption, makes_room_also_among_what_ran_before_the_master_began) {
  World w;
  w.configure({{"queue.default.order", "priority"}, {"queue.default.preempt", "true"}});
  const NodeId a = w.node("a", cpus(4));
  JobSpec low = World::spec(4, cpus(1));
  low.priority = -5;
  low.estimate = hours(9);
  const JobId old = w.submit(low);
  w.settle();
  ASSERT_EQ(w.tasks_on(a), 4u);
  core::Changes all; // as after a restart, or in a new leader
  w.cluster.describe(all);
  w.scheduler.reset(all);
  JobSpec high = World::spec(1, cpus(2));
  high.priority = 5;
  w.submit(high);
  std::vector<core::Preempt> asked;
  for (const core::Command& command : w.scheduler.decide(w.now))
    if (const auto* preempt = std::get_if<core::Preempt>(&command))
      asked.push_back(*preempt);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].job, old);
  EXPECT_EQ(asked[0].runs, (std::vector<TaskRun>{{2, 2, 1}})); // no more than needed
  w.run(asked[0]); // and the ledger agrees that they run there
}

// ---- explanations

TEST(dry_run, says_where_it_would_go_and_changes_nothing) {
  World w;
  const auto ask = [&w](const JobSpec& spec) {
    return w.scheduler.would_go({spec}, {}, w.now)->front();
  };
  EXPECT_EQ(ask(task("x")), "would wait: there are no nodes");
  w.configure({{"queue.default.ranking", "best-fit"}, {"queue.night.paused", "true"}});
  const NodeId a = w.node("a", cpus(4)), b = w.node("b", cpus(2));
  EXPECT_EQ(ask(task("x")), "would start now on b (ranking best-fit)");
  EXPECT_EQ(ask(task("x", 3)), "would start now on a (ranking best-fit)");
  JobSpec night = task("x");
  night.queue = "night";
  EXPECT_EQ(ask(night), "would wait: the queue night is paused");
  JobSpec gang = World::spec(6, cpus(1));
  gang.gang = true;
  EXPECT_EQ(ask(gang), "would start now, all 6 tasks together");
  gang.count = 7;
  EXPECT_EQ(ask(gang), "would wait: there is room for 6 tasks of a gang of 7");
  const JobId big = w.submit(task("big", 4, hours(1)));
  w.settle();
  ASSERT_EQ(w.in_flight(a, big), 1u);
  EXPECT_EQ(ask(task("x", 3)),
            "would wait: no node has room; 1 node: busy: vcores; 1 node: too small: vcores; would "
            "fit with 3 more vcores free on a node; expected to start in 1h00m");
  EXPECT_EQ(ask(task("x", 9)),
            "would wait: no node can ever run it as it is; 2 nodes: too small: vcores; needs 9 "
            "vcores, the largest node that fits otherwise has 4 vcores");
  EXPECT_EQ(w.scheduler.would_go({JobSpec()}, {}, w.now).error().code, Code::bad_field);
  const JobId next = w.submit(task("x")); // nothing of all that is left
  w.settle();
  EXPECT_EQ(w.in_flight(b, next), 1u);
  EXPECT_EQ(w.scheduler.counts().at("queue.default.running"), 2);
  EXPECT_EQ(w.scheduler.counts().at("queue.default.waiting"), 0);
}

TEST(dry_run, looks_at_every_job_and_at_what_each_waits_for) {
  World w;
  w.node("a", cpus(4));
  JobSpec array = World::spec(10, cpus(1));
  array.name = "array";
  const auto texts = w.scheduler.would_go(
    {task("x"), array, task("y", 9), task("x")},
    {"", "waits for job 5 to succeed (running)", "waits for job 6 to succeed (pending)",
     "waits for job 7 to fail (succeeded), which can not happen any more"},
    w.now);
  ASSERT_TRUE(texts);
  EXPECT_EQ(
    *texts,
    (std::vector<std::string>{
      "would start now on a (ranking round-robin)",
      "would wait for job 5 to succeed (running); as things stand it would then start on a "
      "(ranking round-robin), 4 of its 10 tasks at once",
      "would wait for job 6 to succeed (pending); as things stand it then would wait: no node can "
      "ever run it as it is; 1 node: too small: vcores; needs 9 vcores, the largest node that fits "
      "otherwise has 4 vcores",
      "would be cancelled at once: waits for job 7 to fail (succeeded), which can not happen any "
      "more"}));
  // Many that differ: only the first are looked at. Many that are alike: all are.
  std::vector<JobSpec> many;
  for (int i = 0; i < 300; ++i) {
    many.push_back(task("x"));
    many.back().priority = i;
  }
  EXPECT_EQ(w.scheduler.would_go(many, {}, w.now)->size(), Scheduler::dry_run_max);
  EXPECT_EQ(w.scheduler.would_go(std::vector<JobSpec>(3'000, task("x")), {}, w.now)->size(),
            3'000u);
  EXPECT_EQ(w.scheduler.counts().at("queue.default.waiting"), 0);
}

TEST(pull, one_that_works_only_when_it_asks_is_filled_once_for_each_question) {
  World w;
  core::RegisterNode command;
  command.name = "a";
  command.incarnation = Incarnation(1);
  command.capacity = cpus(2);
  command.executors = {"process"};
  command.pulls = true;
  const NodeId a = w.run(command).node;
  JobSpec s = World::spec(5, cpus(1));
  s.estimate = minutes(10);
  const JobId job = w.submit(s);
  w.settle();
  EXPECT_EQ(w.running(job), 0u);
  EXPECT_EQ(w.scheduler.explain(job, 0, w.now)->nodes,
            (std::map<std::string, std::uint32_t>{{"takes work only when it asks", 1}}));
  w.scheduler.pulled(a);
  w.settle();
  EXPECT_EQ(w.in_flight(a, job), 2u);
  w.finish(a, job, {0, 1, 1});
  w.settle();
  EXPECT_EQ(w.in_flight(a, job), 1u); // it has not asked again
  w.scheduler.pulled(a);
  w.settle();
  EXPECT_EQ(w.in_flight(a, job), 2u);
  // Asked when nothing waits: what comes goes there at once.
  w.finish(a, job, {1, 2, 1});
  w.scheduler.pulled(a);
  w.settle();
  w.finish(a, job, {3, 2, 1});
  w.settle();
  w.scheduler.pulled(a);
  w.settle();
  const JobId next = w.submit(task("next"));
  w.settle();
  EXPECT_EQ(w.in_flight(a, next), 1u);
  const JobId after = w.submit(task("after"));
  w.settle();
  EXPECT_EQ(w.in_flight(a, after), 0u);
  EXPECT_TRUE(w.refusals.empty());
}

TEST(pull, a_node_that_asks_is_the_next_in_turn) {
  World w;
  w.node("a", cpus(2));
  w.node("b", cpus(2));
  const NodeId c = w.node("c", cpus(2));
  w.scheduler.pulled(c);
  w.scheduler.pulled(NodeId(99)); // not known (yet): no harm
  const JobId job = w.submit(task("x"));
  w.settle();
  EXPECT_EQ(w.in_flight(c, job), 1u);
}

TEST(explain, expects_a_start_when_what_is_before_it_is_done) {
  World w;
  w.configure({{"scheduler.prefetch", "0"}});
  const NodeId node = w.node("n", cpus(2));
  JobSpec s = World::spec(10, cpus(1));
  s.name = "x";
  s.estimate = minutes(10);
  const JobId first = w.submit(s), second = w.submit(s);
  w.settle();
  ASSERT_EQ(w.in_flight(node, first), 2u);
  const auto at = [&](JobId job, TaskIndex index) {
    return *w.scheduler.explain(job, index, w.now);
  };
  EXPECT_EQ(at(first, 2).start, w.now + minutes(10));
  EXPECT_EQ(at(first, 9).ahead, 7u); // two at a time
  EXPECT_EQ(at(first, 9).start, w.now + minutes(10) + minutes(35));
  EXPECT_EQ(at(second, 0).ahead, 8u);
  EXPECT_EQ(at(second, 0).start, w.now + minutes(10) + minutes(40));
  JobSpec unknown = s;
  unknown.name = "";
  unknown.estimate = Duration(0);
  w.submit(unknown);
  const JobId last = w.submit(s);
  EXPECT_EQ(at(last, 0).start, TimePoint{}) << "nobody knows how long the one before it runs";
  EXPECT_EQ(at(last, 0).ahead, 28u);
}

TEST(explain, says_why_a_task_is_where_it_is) {
  World w;
  w.node("small", cpus(1));
  w.configure({{"queue.default.ranking", "pack"}});
  const NodeId node = w.node("n", cpus(4));
  const JobId running = w.submit(task("r", 2, hours(2)));
  w.settle();
  auto why = *w.scheduler.explain(running, 0, w.now);
  EXPECT_EQ(why.summary, "is on node n");
  EXPECT_EQ(why.notes, (std::vector<std::string>{
                         "the queue default ranks nodes by pack: this was the first that had room",
                         "1 of 2 nodes could run it, by executor, labels and size",
                         "its job holds 1 slot there for 1 task"}));
  const JobId big = w.submit(task("big", 4, hours(1)));
  JobSpec passing = task("short", 2, hours(1));
  const JobId filler = w.submit(passing);
  w.settle();
  ASSERT_EQ(w.in_flight(node, filler), 1u);
  EXPECT_EQ(w.scheduler.explain(filler, 0, w.now)->notes.front(),
            "it should be over before a place kept there for another is needed");
  w.now += hours(1);
  w.finish(node, filler, {0, 1, 1}, hours(1));
  w.now += hours(1);
  w.finish(node, running, {0, 1, 1}, hours(2));
  w.settle();
  EXPECT_EQ(w.scheduler.explain(big, 0, w.now)->notes.front(),
            "a place had been kept for it there, as it could start there first");
  core::Changes all;
  w.cluster.describe(all);
  w.scheduler.reset(all);
  EXPECT_EQ(w.scheduler.explain(big, 0, w.now)->notes.front(),
            "it was there when this master began to reign");
}

TEST(explain, counts_the_nodes_by_their_reasons) {
  World w;
  w.node("busy", cpus(4));
  w.submit(task("x", 4));
  w.settle();
  w.node("small", cpus(1));
  w.node("odd", cpus(8), {}, {"noop"});
  w.node("far", cpus(8), {{"zone", "west"}});
  w.node("sick", cpus(8), {{"zone", "east"}});
  w.run(core::DrainNodes{{"sick"}, true, "disk"});
  w.run(core::LabelNodes{{"busy", "small", "odd"}, {{"zone", "east"}}});
  JobSpec s = task("y", 3);
  s.node_labels = {{"zone", "east"}};
  const JobId job = w.submit(s);
  w.settle();
  const auto why = w.scheduler.explain(job, 0, w.now);
  ASSERT_TRUE(why);
  EXPECT_EQ(why->summary, "no node has room");
  EXPECT_EQ(why->nodes, (std::map<std::string, std::uint32_t>{{"busy: vcores", 1},
                                                              {"too small: vcores", 1},
                                                              {"no executor process", 1},
                                                              {"has no label zone=east", 1},
                                                              {"draining", 1}}));
  EXPECT_EQ(why->notes, std::vector<std::string>{"would fit with 3 more vcores free on a node"});
  s.resources = cpus(100);
  const JobId never = w.submit(s);
  w.settle();
  EXPECT_EQ(w.scheduler.explain(never, 0, w.now)->summary, "no node can ever run it as it is");
  EXPECT_EQ(w.scheduler.explain(never, 0, w.now)->ahead, 1u);
}

} // namespace
} // namespace reeve::sched
