// An agent and a master over a network that loses, delays and repeats, with connections, masters
// and agents that die. Whatever happens: every attempt ends acknowledged exactly once, none runs
// twice under one agent, and the node is never over its slots or its capacity.
#include "tests/unit/agents/core_bench.hpp"

#include <cstdlib>
#include <random>
#include <set>

namespace reeve::worker {
namespace {

constexpr std::int64_t capacity_milli = 4'000, task_milli = 500;
constexpr std::uint32_t jobs = 6, tasks_a_job = 60;

/// The master's part of the contract, as plainly as possible.
struct ToyMaster {
  std::uint64_t epoch = 1, session = 0, number = 0;
  bool registered = false;
  std::map<TaskId, Attempt> in_flight; // with the attempt
  std::set<std::pair<TaskId, Attempt>> done;
  std::map<std::uint64_t, TaskIndex> next;               // of each job
  std::vector<std::pair<std::uint64_t, FromMaster>> out; // with the epoch

  void say(FromMaster message) { out.emplace_back(epoch, std::move(message)); }

  void assign(std::uint64_t job, std::vector<TaskRun> runs, bool with_spec) {
    Assign message;
    message.session = session;
    message.number = ++number;
    if (with_spec)
      message.specs.push_back({JobId(job), spec_of("sleep", task_milli)});
    message.jobs.push_back({JobId(job), 3, std::move(runs), {}, {}});
    say(std::move(message));
  }
  [[nodiscard]] bool holds(std::uint64_t job) const {
    const auto it = in_flight.lower_bound({JobId(job), 0});
    return it != in_flight.end() && it->first.job.value == job;
  }
  void place(std::uint64_t job, std::uint32_t count) {
    if (!registered || next[job] >= tasks_a_job)
      return;
    const bool fresh = !holds(job);
    const TaskRun run{next[job], std::min(count, tasks_a_job - next[job]), 1};
    for (std::uint32_t k = 0; k < run.count; ++k)
      in_flight[{JobId(job), run.first + k}] = 1;
    next[job] += run.count;
    assign(job, {run}, fresh);
  }
  void hear(const RegisterNode& message) {
    session = message.session;
    number = 0;
    registered = true;
    std::set<std::pair<TaskId, Attempt>> listed;
    Registered reply{NodeId(1), session, std::chrono::seconds(1), {}};
    for (const JobRuns& tasks : message.attempts)
      for (const TaskRun& run : tasks.runs)
        for (std::uint32_t k = 0; k < run.count; ++k) {
          const TaskId id{tasks.job, run.first + k};
          listed.insert({id, run.attempt});
          const auto it = in_flight.find(id);
          if ((it == in_flight.end() || it->second != run.attempt) &&
              !done.contains({id, run.attempt}))
            reply.stop.push_back({id.job, {{id.index, 1, run.attempt}}});
        }
    say(std::move(reply));
    for (const auto& [id, attempt] : in_flight)
      if (!listed.contains({id, attempt}))
        assign(id.job.value, {{id.index, 1, attempt}}, true);
  }
  void hear(const Results& message) {
    if (!registered) {
      say(RegisterAgain{"unknown"});
      return;
    }
    const auto finish = [&](TaskId id, Attempt attempt) {
      const auto it = in_flight.find(id);
      if (it == in_flight.end() || it->second != attempt)
        return; // a repetition
      in_flight.erase(it);
      EXPECT_TRUE(done.insert({id, attempt}).second) << "recorded twice";
    };
    for (const JobResults& job : message.jobs) {
      for (const QuietRun& quiet : job.quiet)
        for (std::uint32_t k = 0; k < quiet.run.count; ++k)
          finish({job.job, quiet.run.first + k}, quiet.run.attempt);
      for (const TaskResult& task : job.tasks)
        finish({job.job, task.index}, task.attempt);
    }
    say(ResultsAck{{message.number}});
  }
  void restart() {
    ++epoch;
    registered = false;
    out.clear();
  }
};

class LossyNetwork : public ::testing::TestWithParam<int> {
protected:
  void SetUp() override {
    const char* given = std::getenv("REEVE_SEED");
    seed = given ? std::strtoull(given, nullptr, 10)
                 : std::random_device{}() * 1'000ULL + static_cast<std::uint64_t>(GetParam());
    random.seed(seed);
  }
  std::uint32_t below(std::uint64_t n) { return static_cast<std::uint32_t>(random() % n); }
  [[nodiscard]] std::string trace() const {
    return "REEVE_SEED=" + std::to_string(seed) +
           " reeve_agents_tests --gtest_filter=*LossyNetwork*/0";
  }

  /// What the agent sends, once per connection in order; some of it is lost.
  void to_master() {
    for (Send& send : bench.sent)
      if (connected && below(100) >= loss)
        up.push_back(std::move(send.message));
    bench.sent.clear();
    while (!up.empty() && below(3) != 0) {
      const ToMaster message = std::move(up.front());
      up.erase(up.begin());
      if (const auto* node = std::get_if<RegisterNode>(&message))
        master.hear(*node);
      else if (const auto* results = std::get_if<AgentResults::Message>(&message))
        master.hear(**results);
      else if (!master.registered)
        master.say(RegisterAgain{"unknown"});
    }
  }
  void to_agent() {
    for (auto& each : master.out)
      if (connected && below(100) >= loss) {
        down.push_back(each);
        if (below(20) == 0)
          down.push_back(std::move(each)); // twice
      }
    master.out.clear();
    while (!down.empty() && below(3) != 0) {
      auto [epoch, message] = std::move(down.front());
      down.erase(down.begin());
      bench.core.receive(0, Epoch(epoch), std::move(message), bench.now);
    }
  }
  void run_tasks() {
    for (const StartTasks& start : bench.started)
      for (std::uint32_t k = 0; k < start.run.count; ++k) {
        const AttemptId id{start.job, start.run.first + k, start.run.attempt};
        EXPECT_TRUE(running.insert(id).second) << "runs twice";
        EXPECT_TRUE(ever.insert(id).second || lost_agents > 0) << "was run before";
        EXPECT_LE(std::count_if(running.begin(), running.end(),
                                [&](const AttemptId& other) { return other.job == id.job; }),
                  3);
      }
    bench.started.clear();
    EXPECT_LE(static_cast<std::int64_t>(running.size()) * task_milli, capacity_milli);
    for (const StopRun& stop : bench.stopped)
      for (std::uint32_t k = 0; k < stop.run.count; ++k)
        if (const AttemptId id{stop.job, stop.run.first + k, stop.run.attempt}; running.erase(id))
          end(id, stop.cause);
    bench.stopped.clear();
    for (auto it = running.begin(); it != running.end();) {
      if (below(4) != 0) {
        ++it;
        continue;
      }
      const AttemptId id = *it;
      it = running.erase(it);
      end(id, Cause::none);
    }
  }
  void end(const AttemptId& id, Cause cause) {
    Finished done{id.job, {}, {}};
    if (cause == Cause::none) {
      done.quiet.push_back({{id.index, 1, id.attempt}, bench.now, bench.now});
    } else {
      done.tasks.emplace_back();
      done.tasks.back().result.index = id.index;
      done.tasks.back().result.attempt = id.attempt;
      done.tasks.back().result.cause = cause;
    }
    bench.core.finished(std::move(done), bench.now);
  }
  void mischief() {
    if (connected && below(60) == 0) {
      connected = false;
      up.clear();
      down.clear();
      master.registered = false;
      bench.core.disconnected(0, bench.now);
    } else if (!connected && below(5) == 0) {
      connected = true;
      bench.core.connected(0, bench.now);
    }
    if (below(150) == 0)
      master.restart();
    if (below(200) == 0) { // an agent that is killed; its tasks are not of a keeper, so they go too
      ++lost_agents;
      running.clear();
      AgentConfig config = config_of(capacity_milli);
      config.seed = random();
      bench.core = AgentCore(std::move(config));
      up.clear();
      down.clear();
      master.registered = false;
      if (connected)
        bench.core.connected(0, bench.now);
    }
  }

  std::uint64_t seed = 0;
  std::mt19937_64 random;
  CoreBench bench{config_of(capacity_milli)};
  ToyMaster master;
  std::vector<ToMaster> up;
  std::vector<std::pair<std::uint64_t, FromMaster>> down;
  std::set<AttemptId> running, ever;
  std::uint32_t loss = 10; // per cent
  int lost_agents = 0;
  bool connected = false;
};

TEST_P(LossyNetwork, every_attempt_ends_acknowledged_exactly_once) {
  SCOPED_TRACE(trace());
  int step = 0;
  for (; step < 20'000 && !HasFailure(); ++step) {
    const bool calm = step > 3'000; // from then on nothing new goes wrong
    if (!calm)
      mischief();
    else if (!connected) {
      connected = true;
      bench.core.connected(0, bench.now);
    }
    loss = calm ? 0 : 10;
    if (below(3) == 0)
      master.place(1 + below(jobs), 1 + below(10));
    bench.step();
    run_tasks();
    to_master();
    to_agent();
    bench.now += Duration(1'000 * (1 + below(calm ? 400 : 100)));
    if (below(30) == 0 && master.registered)
      master.say(Beacon{});
    if (calm && master.done.size() == jobs * tasks_a_job && bench.core.settled())
      break;
  }
  EXPECT_EQ(master.done.size(), jobs * tasks_a_job) << "after " << step << " steps";
  EXPECT_TRUE(master.in_flight.empty());
  EXPECT_TRUE(bench.core.settled());
  EXPECT_EQ(bench.core.work().jobs(), 0U) << "specifications are forgotten";
}

INSTANTIATE_TEST_SUITE_P(seeds, LossyNetwork, ::testing::Range(0, 30));

} // namespace
} // namespace reeve::worker
