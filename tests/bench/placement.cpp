// How fast the scheduler decides: placements a second on 10,000 and 100,000 nodes with a million
// tasks of 1,000 kinds waiting, into an empty and into a full cluster; the cost of one node's
// change; what a longer queue costs. Only the scheduler's own time counts; what the ledger would
// answer is made up in between. Baseline: a pop from a plain heap of a million in the same run.
#include "src/sched/scheduler.hpp"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <queue>
#include <random>

namespace {
using namespace reeve;
using Clock = std::chrono::steady_clock;

const TimePoint start_time{std::chrono::hours(500'000)};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// A ledger that says yes to everything.
class Yes {
public:
  Yes(std::uint32_t nodes, std::uint32_t kinds, std::int64_t vcores,
      const std::map<std::string, std::string>& settings)
      : random_(42) {
    core::Changes changes;
    changes.emplace_back(core::ConfigUpdated{settings});
    available_.resize(nodes + 1);
    for (std::uint32_t i = 1; i <= nodes; ++i) {
      core::NodeChanged node;
      node.node = NodeId(i);
      node.name = "n" + std::to_string(i);
      node.capacity.cpu_milli = vcores * 1000;
      node.capacity.memory_bytes = vcores << 32; // 4 GiB a vcore
      node.available = available_[i] = node.capacity;
      node.executors = {"process"};
      changes.emplace_back(node);
    }
    for (std::uint32_t i = 0; i < kinds; ++i) {
      auto kind = std::make_shared<core::Kind>();
      kind->queue = "default";
      kind->user = "u" + std::to_string(i % 50);
      kind->executor = "process";
      kind->resources.cpu_milli = 500 + static_cast<std::int64_t>(random_() % 1000);
      kind->resources.memory_bytes = (1 + static_cast<std::int64_t>(random_() % 4'096)) << 20;
      kinds_.push_back(kind);
    }
    time([&] { scheduler_.reset(changes); });
    seconds = 0;
  }

  void submit(std::uint32_t jobs, std::uint32_t tasks) {
    core::Changes changes;
    for (std::uint32_t i = 0; i < jobs; ++i) {
      ++newest_;
      const auto& kind = kinds_[tasks > 1 ? i % kinds_.size() : random_() % kinds_.size()];
      kind_of_.push_back(kind.get());
      changes.emplace_back(
        core::JobArrived{JobId(newest_), kind, start_time, 0, tasks, false, false});
      if (changes.size() == 1'000) {
        time([&] { scheduler_.apply(changes); });
        changes.clear();
      }
    }
    time([&] { scheduler_.apply(changes); });
  }
  /// Decides until nothing more is placed, or `most` placements. Returns the tasks placed.
  std::uint64_t settle(std::uint64_t most = ~0ull) {
    std::uint64_t n = 0;
    while (n < most) {
      std::vector<core::Command> commands;
      time([&] { commands = scheduler_.decide(start_time); });
      core::Changes changes;
      std::uint64_t placed = 0;
      for (const auto& command : commands)
        for (const Placement& p : std::get<core::Place>(command).placements) {
          std::uint32_t tasks = 0;
          for (const TaskRun& run : p.runs)
            tasks += run.count;
          available_[p.node.value] -=
            kind_of_[p.job.value - 1]->resources * static_cast<std::int64_t>(tasks);
          for (std::uint32_t i = 0; i < tasks; ++i)
            running_.push_back({p.node, p.job});
          auto& flight = flights_[p.job.value << 20 | p.node.value];
          flight += tasks;
          changes.emplace_back(core::TasksTaken{p});
          changes.emplace_back(core::FlightChanged{p.node, p.job, flight, flight});
          changes.emplace_back(core::NodeAvailable{p.node, available_[p.node.value]});
          placed += tasks;
        }
      if (placed == 0)
        break;
      time([&] { scheduler_.apply(changes); });
      n += placed;
    }
    return n;
  }
  /// So many random tasks end.
  void finish(std::size_t n) {
    core::Changes changes;
    for (std::size_t i = 0; i < n && !running_.empty(); ++i) {
      std::swap(running_[random_() % running_.size()], running_.back());
      const auto [node, job] = running_.back();
      running_.pop_back();
      auto& flight = flights_[job.value << 20 | node.value];
      --flight;
      available_[node.value] += kind_of_[job.value - 1]->resources;
      changes.emplace_back(core::FlightChanged{node, job, flight, flight});
      if (flight == 0) {
        flights_.erase(job.value << 20 | node.value);
        changes.emplace_back(
          core::JobEnded{job, JobState::succeeded, 1, start_time, {}, 1, 0, 0, 0, {}});
      }
      changes.emplace_back(core::NodeAvailable{node, available_[node.value]});
    }
    time([&] { scheduler_.apply(changes); });
  }
  /// One node gains and loses a little, which nothing that waits can use.
  void one_change() {
    const auto node = static_cast<std::uint32_t>(1 + random_() % (available_.size() - 1));
    Resources r = available_[node];
    for (const std::int64_t more : {1, 0}) {
      r.cpu_milli = available_[node].cpu_milli + more;
      const core::Changes changes{core::NodeAvailable{NodeId(node), r}};
      time([&] {
        scheduler_.apply(changes);
        (void)scheduler_.decide(start_time);
      });
    }
  }
  [[nodiscard]] std::size_t running() const { return running_.size(); }

  double seconds = 0; // the scheduler's

private:
  template<class F> void time(F&& f) {
    const auto begin = Clock::now();
    f();
    seconds += seconds_since(begin);
  }
  std::mt19937_64 random_;
  sched::Scheduler scheduler_;
  std::vector<Resources> available_;
  std::vector<core::KindPtr> kinds_;
  std::vector<const core::Kind*> kind_of_;
  std::uint64_t newest_ = 0;
  std::vector<std::pair<NodeId, JobId>> running_;
  std::unordered_map<std::uint64_t, std::uint32_t> flights_;
};

double heap_pop_seconds() {
  std::mt19937_64 random(1);
  std::priority_queue<std::uint64_t> heap;
  for (int i = 0; i < 1'000'000; ++i)
    heap.push(random());
  const auto begin = Clock::now();
  std::uint64_t sum = 0;
  for (int i = 0; i < 500'000; ++i) {
    sum += heap.top();
    heap.pop();
  }
  const double each = seconds_since(begin) / 500'000;
  return sum == 0 ? 0 : each; // the sum is used: nothing is left out
}

double heap_pop = 0;
void say(const char* what, double each) {
  std::printf("%-66s %8.3f M/s  %7.0f ns  %5.2f x a heap pop\n", what, 1e-6 / each, each * 1e9,
              each / heap_pop);
  std::fflush(stdout);
}

struct Costs {
  double fill, churn, change, submit;
};
Costs measure(std::uint32_t nodes, std::uint32_t pending, const char* order, const char* ranking,
              bool quiet = false) {
  Costs c{};
  // Nodes for about half a million tasks of a vcore each: half of a million waiting tasks fit.
  const std::int64_t vcores = std::max<std::int64_t>(1, 500'000 / nodes);
  Yes cluster(nodes, 1'000, vcores,
              {{"queue.default.order", order}, {"queue.default.ranking", ranking}});
  cluster.submit(500'000, 1);
  c.submit = cluster.seconds / 500'000;
  cluster.seconds = 0;
  const std::uint64_t filled = cluster.settle(490'000);
  c.fill = cluster.seconds / static_cast<double>(filled);
  cluster.settle();
  cluster.submit(pending, 1);
  cluster.settle();
  cluster.seconds = 0;
  std::uint64_t placed = 0;
  for (int i = 0; i < 100; ++i) {
    cluster.finish(1'000);
    placed += cluster.settle();
    if (pending < 10'000) {
      const double before = cluster.seconds;
      cluster.submit(1'000, 1); // the queue stays as long as it is
      cluster.seconds = before;
    }
  }
  c.churn = cluster.seconds / static_cast<double>(placed);
  cluster.seconds = 0;
  for (int i = 0; i < 20'000; ++i)
    cluster.one_change();
  c.change = cluster.seconds / 40'000;
  if (!quiet) {
    const std::string name = std::string(order) + " with " + ranking + ", " +
                             std::to_string(nodes) + " nodes, " + std::to_string(pending) + " wait";
    say((name + ": into room").c_str(), c.fill);
    say((name + ": where one ends").c_str(), c.churn);
  }
  return c;
}

} // namespace

int main(int argc, char** argv) {
  // `placement short`: without the other rankings and orders.
  const bool all = argc < 2 || std::strcmp(argv[1], "short") != 0;
  heap_pop = heap_pop_seconds();
  say("pop from a heap of a million", heap_pop);
  const Costs ten = measure(10'000, 1'000'000, "fifo", "round-robin");
  if (all) {
    for (const char* ranking : {"best-fit", "balance", "least-time-first"})
      measure(10'000, 1'000'000, "fifo", ranking);
    measure(10'000, 1'000'000, "fair", "round-robin");
  }
  const Costs hundred = measure(100'000, 1'000'000, "fifo", "round-robin");
  std::printf("from 10,000 to 100,000 nodes: placement into room x %.2f, where "
              "one ends x %.2f\n",
              hundred.fill / ten.fill, hundred.churn / ten.churn);
  say("a change of one node of 10,000 that helps nobody", ten.change);
  say("a change of one node of 100,000 that helps nobody", hundred.change);
  const Costs few = measure(10'000, 1'000, "fifo", "round-robin");
  std::printf("rate with a million waiting, of that with 1,000: submit %.0f "
              "%%, place %.0f %%\n",
              100 * few.submit / ten.submit, 100 * few.churn / ten.churn);
  say("a job arrives", ten.submit);
  {
    Yes cluster(10'000, 1'000, 50, {});
    cluster.submit(1'000, 1'000);
    cluster.seconds = 0;
    const auto placed = static_cast<double>(cluster.settle());
    say("1,000 arrays of 1,000 into room, a task", cluster.seconds / placed);
  }
  return 0;
}
