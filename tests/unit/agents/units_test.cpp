// Units of named resources and gangs: who gets which unit, what a task is told, what survives an
// agent; and that an idle agent asks for work.
#include "agents/worker/executor_process.hpp"
#include "agents/worker/output.hpp"
#include "tests/unit/agents/core_bench.hpp"
#include "tests/unit/agents/keeper_bench.hpp"

#include <cstdlib>
#include <random>
#include <sstream>

namespace reeve::worker {
namespace {

using Shares = std::vector<UnitShare>;
using Need = std::map<std::string, std::int64_t>;

Shares taken(Units& units, const Need& need) {
  auto got = units.take(need);
  EXPECT_TRUE(got) << "no room";
  return got.value_or(Shares{});
}

TEST(units, whole_amounts_take_the_lowest_free_units) {
  Units units({{"gpu", 4'000}});
  const Shares first = taken(units, {{"gpu", 1'000}});
  EXPECT_EQ(first, (Shares{{"gpu", 0, 1'000}}));
  EXPECT_EQ(taken(units, {{"gpu", 2'000}}), (Shares{{"gpu", 1, 1'000}, {"gpu", 2, 1'000}}));
  units.give_back(first);
  EXPECT_EQ(taken(units, {{"gpu", 2'000}}), (Shares{{"gpu", 0, 1'000}, {"gpu", 3, 1'000}}));
  EXPECT_FALSE(units.take({{"gpu", 1'000}}));
}

TEST(units, parts_share_the_fullest_unit_with_room_so_that_whole_ones_stay_whole) {
  Units units({{"gpu", 3'000}});
  const Shares half = taken(units, {{"gpu", 500}});
  EXPECT_EQ(half, (Shares{{"gpu", 0, 500}}));
  EXPECT_EQ(taken(units, {{"gpu", 700}}), (Shares{{"gpu", 1, 700}}));
  EXPECT_EQ(taken(units, {{"gpu", 200}}), (Shares{{"gpu", 1, 200}})) << "fuller than unit 0";
  EXPECT_EQ(taken(units, {{"gpu", 1'500}}), (Shares{{"gpu", 2, 1'000}, {"gpu", 0, 500}}));
}

TEST(units, a_capacity_with_a_fraction_ends_in_a_part_of_a_unit) {
  Units units({{"gpu", 1'500}, {"fpga", 250}});
  EXPECT_EQ(units.room("gpu", 1), 500);
  EXPECT_EQ(units.room("fpga", 0), 250);
  EXPECT_EQ(units.room("gpu", 2), 0);
  EXPECT_EQ(taken(units, {{"gpu", 500}}), (Shares{{"gpu", 1, 500}}));
  EXPECT_EQ(taken(units, {{"gpu", 1'000}}), (Shares{{"gpu", 0, 1'000}}));
  EXPECT_FALSE(units.take({{"fpga", 300}}));
}

TEST(units, what_fits_in_sum_but_in_no_unit_takes_nothing_of_any_resource) {
  Units units({{"fpga", 1'000}, {"gpu", 2'000}});
  taken(units, {{"gpu", 600}});
  taken(units, {{"gpu", 600}});
  EXPECT_FALSE(units.take({{"fpga", 1'000}, {"gpu", 800}}));
  EXPECT_EQ(units.room("fpga", 0), 1'000);
  EXPECT_EQ(units.room("gpu", 0), 400);
  EXPECT_EQ(units.room("gpu", 1), 400);
}

TEST(units, resources_of_very_many_units_are_only_counted) {
  Units units({{"bandwidth", 10'000'000}});
  EXPECT_EQ(taken(units, {{"bandwidth", 5'000'000}, {"unheard_of", 1'000}}), Shares{});
}

TEST(units, adopted_shares_are_theirs_and_units_that_are_no_more_are_passed_over) {
  Units units({{"gpu", 2'000}});
  const Shares held{{"gpu", 0, 1'000}, {"gpu", 7, 1'000}, {"fpga", 0, 1'000}};
  units.adopt(held);
  EXPECT_EQ(taken(units, {{"gpu", 1'000}}), (Shares{{"gpu", 1, 1'000}}));
  EXPECT_FALSE(units.take({{"gpu", 1'000}}));
  units.give_back(held);
  EXPECT_EQ(units.room("gpu", 0), 1'000);
}

TEST(units, are_told_in_capitals_and_never_over_a_name_that_is_there) {
  std::map<std::string, std::string> env{{"REEVE_RANK", "3"}};
  tell_units({{"gpu", 1, 1'000}, {"gpu", 0, 500}, {"nic-10.g", 4, 1'000}, {"rank", 9, 1'000}}, env);
  EXPECT_EQ(env, (std::map<std::string, std::string>{{"REEVE_GPU", "1,0"},
                                                     {"CUDA_VISIBLE_DEVICES", "1,0"},
                                                     {"REEVE_NIC_10_G", "4"},
                                                     {"REEVE_RANK", "3"}}));
}

// Random takes and returns: no unit is ever given twice, nothing is lost, whole amounts get whole
// units, and "no" is said only when it is so.
TEST(units, random_takes_and_returns_never_give_a_unit_twice) {
  const char* given = std::getenv("REEVE_SEED");
  const std::uint64_t seed =
    given ? std::strtoull(given, nullptr, 10) : std::uint64_t{std::random_device{}()};
  SCOPED_TRACE("REEVE_SEED=" + std::to_string(seed) +
               " reeve_agents_tests --gtest_filter=units.random*");
  std::mt19937_64 random(seed);
  const auto below = [&](std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
  };
  for (int round = 0; round < 50; ++round) {
    const Need capacity{{"gpu", 1 + below(8'000)}, {"fpga", 1'000 * (1 + below(4))}};
    Units units(capacity);
    std::map<std::pair<std::string, std::uint32_t>, std::int64_t> room; // kept apart from Units
    for (const auto& [name, milli] : capacity)
      for (std::int64_t k = 0; k * 1'000 < milli; ++k)
        room[{name, static_cast<std::uint32_t>(k)}] =
          std::min<std::int64_t>(milli - k * 1'000, 1'000);
    const auto untouched = room;
    std::vector<Shares> held;
    for (int step = 0; step < 400; ++step) {
      if (!held.empty() && below(2) == 0) {
        std::swap(held[static_cast<std::size_t>(below(std::ssize(held)))], held.back());
        for (const UnitShare& share : held.back())
          room[{share.name, share.unit}] += share.milli;
        units.give_back(held.back());
        held.pop_back();
        continue;
      }
      Need need;
      for (const auto& [name, milli] : capacity)
        if (below(3) != 0)
          need[name] = below(2) == 0 ? 1'000 * below(3) : below(1'000 + milli / 2);
      const auto got = units.take(need);
      bool possible = true;
      Need sum;
      for (const auto& [name, milli] : need) { // enough free whole units, and room for the rest
        std::int64_t whole = 0, partly = 0;
        for (const auto& [key, left] : room) {
          whole += key.first == name && left == 1'000;
          partly += key.first == name && left < 1'000 && left >= milli % 1'000;
        }
        const bool rest = milli % 1'000 == 0 || partly > 0 || whole > milli / 1'000;
        possible = possible && whole >= milli / 1'000 && rest;
      }
      ASSERT_EQ(got.has_value(), possible);
      if (!got)
        continue;
      for (const UnitShare& share : *got) {
        const std::int64_t left = room[{share.name, share.unit}] -= share.milli;
        ASSERT_GE(left, 0) << share.name << share.unit << " is given twice";
        ASSERT_TRUE(share.milli < 1'000 || left == 0);
        sum[share.name] += share.milli;
      }
      std::erase_if(need, [](const auto& entry) { return entry.second == 0; });
      ASSERT_EQ(sum, need);
      held.push_back(*got);
    }
    for (const auto& [key, left] : room)
      ASSERT_EQ(units.room(key.first, key.second), left);
    for (const Shares& shares : held)
      units.give_back(shares);
    for (const auto& [key, left] : untouched)
      ASSERT_EQ(units.room(key.first, key.second), left);
  }
}

// ---- in the agent

Raw gpu_spec(std::int64_t gpu_milli) {
  JobSpec spec;
  spec.executor = "process";
  spec.command = {"train"};
  spec.resources.named_milli["gpu"] = gpu_milli;
  return Raw{encode(spec)};
}
AgentConfig with_gpus(std::int64_t milli) {
  AgentConfig config = config_of();
  config.capacity.named_milli["gpu"] = milli;
  return config;
}

TEST(agent_units, tasks_that_run_at_once_have_different_units) {
  CoreBench bench(with_gpus(2'000));
  bench.join();
  bench.say(bench.work(1, 5, {{0, 3, 1}}, gpu_spec(1'000)));
  ASSERT_EQ(bench.started.size(), 2U);
  EXPECT_EQ(bench.started[0].units, (Shares{{"gpu", 0, 1'000}}));
  EXPECT_EQ(bench.started[1].units, (Shares{{"gpu", 1, 1'000}}));
  bench.end(1, 1, 1);
  ASSERT_EQ(bench.started.size(), 3U);
  EXPECT_EQ(bench.started[2].units, (Shares{{"gpu", 1, 1'000}})) << "the unit that came back";
}

TEST(agent_units, a_task_for_which_no_unit_has_room_waits_for_one) {
  CoreBench bench(with_gpus(2'000));
  bench.join();
  bench.say(bench.work(1, 2, {{0, 2, 1}}, gpu_spec(600)));
  bench.say(bench.work(2, 1, {{0, 1, 1}}, gpu_spec(800))); // 800 are free, 400 on each
  EXPECT_EQ(bench.started.size(), 2U);
  EXPECT_EQ(bench.core.work().waiting(), 1U);
  bench.end(1, 0, 1);
  ASSERT_EQ(bench.started.size(), 3U);
  EXPECT_EQ(bench.started[2].job, JobId(2));
  EXPECT_EQ(bench.started[2].units, (Shares{{"gpu", 0, 800}}));
}

TEST(agent_units, an_adopted_task_keeps_its_unit_with_or_without_its_specification) {
  CoreBench bench(with_gpus(3'000));
  bench.core.adopt_spec(JobId(1), gpu_spec(1'000));
  bench.core.adopt({JobId(1), 0, 1}, Epoch(1), {{"gpu", 1, 1'000}});
  bench.core.adopt({JobId(9), 0, 1}, Epoch(1), {{"gpu", 0, 1'000}});
  bench.join();
  bench.say(bench.work(2, 3, {{0, 3, 1}}, gpu_spec(1'000)));
  ASSERT_EQ(bench.started.size(), 1U);
  EXPECT_EQ(bench.started[0].units, (Shares{{"gpu", 2, 1'000}}));
  bench.end(1, 0, 1);
  ASSERT_EQ(bench.started.size(), 2U);
  EXPECT_EQ(bench.started[1].units, (Shares{{"gpu", 1, 1'000}}));
  bench.end(9, 0, 1);
  ASSERT_EQ(bench.started.size(), 3U);
  EXPECT_EQ(bench.started[2].units, (Shares{{"gpu", 0, 1'000}}));
}

TEST(agent_gang, every_task_is_given_the_peers_and_others_none) {
  CoreBench bench;
  bench.join();
  Assign message = bench.work(1, 2, {{1, 2, 1}}, spec_of("process"));
  message.jobs[0].peers = {"a", "n1", "n1", "b"};
  bench.say(message);
  bench.say(bench.work(2, 1, {{0, 1, 1}}, spec_of("process")));
  ASSERT_EQ(bench.started.size(), 3U);
  for (const std::size_t k : {0U, 1U}) {
    ASSERT_TRUE(bench.started[k].peers);
    EXPECT_EQ(*bench.started[k].peers, (std::vector<std::string>{"a", "n1", "n1", "b"}));
  }
  EXPECT_FALSE(bench.started[2].peers);
}

TEST(agent_gang, peers_that_do_not_reach_to_its_tasks_are_noted_and_ignored) {
  CoreBench bench;
  bench.join();
  Assign message = bench.work(1, 2, {{1, 2, 1}}, spec_of("process"));
  message.jobs[0].peers = {"a", "n1"};
  bench.say(message);
  EXPECT_TRUE(bench.noted("jobs[0].peers"));
  EXPECT_TRUE(bench.started.empty());
}

// ---- asking for work

TEST(agent_pull, an_idle_agent_asks_at_most_once_a_second_and_a_busy_one_never) {
  CoreBench bench;
  bench.join();
  std::vector<TimePoint> asked;
  const auto live = [&](int seconds) {
    asked.clear();
    for (const TimePoint end = bench.now + std::chrono::seconds(seconds); bench.now < end;) {
      bench.now = *bench.core.next_wake();
      bench.step();
      for (const Pull& pull : bench.take<Pull>()) {
        EXPECT_EQ(pull.session, bench.core.links()[0].session);
        asked.push_back(bench.now);
      }
    }
  };
  live(20);
  EXPECT_GE(asked.size(), 8U);
  for (std::size_t k = 1; k < asked.size(); ++k)
    EXPECT_GE(asked[k] - asked[k - 1], Duration(1'000'000));
  bench.say(bench.work(1, 1, {{0, 1, 1}}));
  live(20);
  EXPECT_TRUE(asked.empty());
  bench.end_quietly(1, {0, 1, 1});
  live(3);
  EXPECT_FALSE(asked.empty());
  bench.core.stop(Duration(0), "bye", bench.now);
  live(5);
  EXPECT_TRUE(asked.empty()) << "it wants no more";
}

TEST(agent_pull, one_that_works_only_when_it_asks_says_so_and_asks_whenever_there_is_room) {
  AgentConfig config = config_of(2'000);
  config.pulls = true;
  CoreBench bench(std::move(config));
  bench.core.connected(0, bench.now);
  bench.step();
  EXPECT_TRUE(bench.answer_registration().pulls);
  EXPECT_EQ(bench.take<Pull>().size(), 1u) << "it has just registered";
  bench.say(bench.work(1, 2, {{0, 3, 1}}));
  bench.step();
  EXPECT_TRUE(bench.take<Pull>().empty());
  bench.end_quietly(1, {0, 1, 1});
  bench.step();
  EXPECT_TRUE(bench.take<Pull>().empty()) << "the third task was waiting here";
  bench.end_quietly(1, {1, 1, 1});
  bench.step();
  EXPECT_EQ(bench.take<Pull>().size(), 1u) << "one runs, there is room for another";
  bench.step();
  EXPECT_TRUE(bench.take<Pull>().empty());
}

TEST(agent_pull, only_the_leader_is_asked) {
  CoreBench bench(config_of(4'000, 2));
  for (const std::size_t link : {0U, 1U}) {
    bench.core.connected(link, bench.now);
    bench.step();
    bench.answer_registration({}, 4 + link, link);
  }
  bench.take<Pull>();
  bench.pass(2'000);
  std::vector<std::size_t> links;
  for (const Send& send : bench.sent)
    if (std::holds_alternative<Pull>(send.message))
      links.push_back(send.link);
  EXPECT_EQ(links, (std::vector<std::size_t>{1}));
}

// ---- in a process

class unit_process : public KeeperBench {
protected:
  /// Runs a task through the executor as the agent does, and reads its environment.
  std::map<std::string, std::string> env_of(StartTasks tasks) {
    const AttemptId id{tasks.job, tasks.run.first, tasks.run.attempt};
    auto client = KeeperClient::connect(dir_);
    EXPECT_TRUE(client);
    ProcessExecutor executor(std::move(*client), dir_);
    executor.start(std::move(tasks), {});
    executor.commit();
    std::vector<Finished> ended;
    while (ended.empty() && wait_readable(executor.fd()))
      if (!executor.collect({}, ended))
        break;
    EXPECT_EQ(ended.size(), 1U);
    std::map<std::string, std::string> seen;
    if (const auto chunk = read_output(dir_, id, Stream::out, 0, 1 << 20)) {
      std::istringstream lines(chunk->data.data);
      for (std::string line; std::getline(lines, line);) {
        const std::string name = line.substr(0, line.find('='));
        EXPECT_TRUE(seen.emplace(name, line.substr(line.find('=') + 1)).second) << name << " twice";
      }
    }
    connect(); // the test is the agent again, and ends the keeper
    return seen;
  }
  static StartTasks start_of(JobSpec spec) {
    spec.command = {"env"};
    return {JobId(5), std::make_shared<const JobSpec>(std::move(spec)), {2, 1, 1}, Epoch(1), {}};
  }
};

TEST_F(unit_process, of_a_gang_knows_its_rank_its_size_its_peers_and_its_units) {
  JobSpec spec;
  spec.env = {{"REEVE_RANK", "not this"}, {"COLOUR", "blue"}};
  StartTasks tasks = start_of(spec);
  tasks.peers = std::make_shared<const std::vector<std::string>>(
    std::vector<std::string>{"n1", "10.0.0.7", "n3"});
  tasks.units = {{"gpu", 0, 1'000}, {"gpu", 3, 500}, {"task", 8, 1'000}};
  auto seen = env_of(std::move(tasks));
  EXPECT_EQ(seen["REEVE_RANK"], "2");
  EXPECT_EQ(seen["REEVE_GANG_SIZE"], "3");
  EXPECT_EQ(seen["REEVE_PEERS"], "n1,10.0.0.7,n3");
  EXPECT_EQ(seen["REEVE_GPU"], "0,3");
  EXPECT_EQ(seen["CUDA_VISIBLE_DEVICES"], "0,3");
  EXPECT_EQ(seen["REEVE_TASK"], "2") << "a resource of that name does not take its place";
  EXPECT_EQ(seen["COLOUR"], "blue");
}

TEST_F(unit_process, keeps_the_devices_that_its_job_sets_and_has_no_peers_alone) {
  JobSpec spec;
  spec.env = {{"CUDA_VISIBLE_DEVICES", "none"}};
  StartTasks tasks = start_of(spec);
  tasks.units = {{"gpu", 1, 1'000}};
  auto seen = env_of(std::move(tasks));
  EXPECT_EQ(seen["CUDA_VISIBLE_DEVICES"], "none");
  EXPECT_EQ(seen["REEVE_GPU"], "1");
  EXPECT_FALSE(seen.contains("REEVE_PEERS"));
  EXPECT_FALSE(seen.contains("REEVE_RANK"));
}

TEST_F(unit_process, is_told_to_the_next_agent_with_its_units) {
  const Shares units{{"gpu", 1, 1'000}, {"gpu", 0, 250}};
  keeper::StartTask start{0, 1, {}, {}, units};
  agent_->start(JobId(1), shell("exec sleep 600"), Epoch(1), {start});
  ASSERT_TRUE(agent_->flush());
  connect();
  ASSERT_EQ(agent_->welcome().running.size(), 1U);
  EXPECT_EQ(agent_->welcome().running[0].units, units);
}

} // namespace
} // namespace reeve::worker
