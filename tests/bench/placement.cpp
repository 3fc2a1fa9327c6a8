// How fast the scheduler decides: placements a second on 10,000 and 100,000 nodes with a million
// tasks of 1,000 kinds waiting, into an empty and into a full cluster; the cost of one node's
// change; what a longer queue costs. Only the scheduler's own processor time counts, its taking in
// of what the ledger made of its wishes included; what the ledger would answer is made up in
// between. Baseline: a pop from a plain heap of a million in the same run.
#include "src/sched/ration.hpp"
#include "src/sched/scheduler.hpp"

#include <cstdio>
#include <ctime>
#include <queue>
#include <random>

namespace {
using namespace reeve;

const TimePoint start_time{std::chrono::hours(500'000)};

/// Of this thread: whoever else uses the machine does not count.
double processor_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
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
      now_ += Duration(100);
      time([&] { commands = scheduler_.decide(now_); });
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
      answer();
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
  /// So many times, a node gains and loses a little, which nothing that waits can use; each is
  /// taken in and decided upon by itself.
  void change_nodes(std::size_t n) {
    std::vector<core::Changes> all;
    for (std::size_t i = 0; i < n; ++i) {
      const auto node = static_cast<std::uint32_t>(1 + random_() % (available_.size() - 1));
      Resources r = available_[node];
      for (const std::int64_t more : {1, 0}) {
        r.memory_bytes = available_[node].memory_bytes + more; // of tasks that need whole MiB
        all.push_back({core::NodeAvailable{NodeId(node), r}});
      }
    }
    std::size_t commands = 0;
    time([&] {
      for (const core::Changes& changes : all) {
        now_ += Duration(1);
        scheduler_.apply(changes);
        commands += scheduler_.decide(now_).size();
      }
    });
    if (commands > 0)
      std::printf("somebody could use it: this is no fair figure\n");
  }
  /// Why a random one of the newer jobs, most of which wait, is not placed.
  void explain() {
    const JobId job(newest_ - random_() % std::min<std::uint64_t>(newest_, 500'000));
    time([&] { explained += scheduler_.explain(job, 0, now_) ? 1 : 0; });
  }
  [[nodiscard]] std::size_t running() const { return running_.size(); }

  double seconds = 0; // the scheduler's
  /// From now on so many such questions come a second of its time, and are answered between two
  /// decisions as the actor does.
  double questions = 0;
  std::uint64_t explained = 0;

private:
  template<class F> void time(F&& f) {
    const double begin = processor_seconds();
    f();
    const double took = processor_seconds() - begin;
    seconds += took;
    all_seconds_ += took;
    due_ += took * questions;
  }
  [[nodiscard]] TimePoint own_time() const {
    return TimePoint(Duration(static_cast<std::int64_t>(all_seconds_ * 1e6)));
  }
  void answer() {
    for (; due_ >= 1; --due_) {
      const TimePoint begun = own_time();
      if (!ration_.may(begun))
        return;
      explain();
      ration_.took(begun, own_time());
    }
  }
  double all_seconds_ = 0;
  double due_ = 0; // questions
  sched::Ration ration_{10, Duration(50'000)};
  std::mt19937_64 random_;
  sched::Scheduler scheduler_;
  TimePoint now_ = start_time;
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
  const double begin = processor_seconds();
  std::uint64_t sum = 0;
  for (int i = 0; i < 500'000; ++i) {
    sum += heap.top();
    heap.pop();
  }
  const double each = (processor_seconds() - begin) / 500'000;
  return sum == 0 ? 0 : each; // the sum is used: nothing is left out
}

double heap_pop = 0;
void say(const std::string& what, double each) {
  std::printf("%-66s %8.3f M/s  %7.0f ns  %5.2f x a heap pop\n", what.c_str(), 1e-6 / each,
              each * 1e9, each / heap_pop);
  std::fflush(stdout);
}

/// A cluster of 1,000 kinds of tasks, filled, with `pending` more waiting, and what it has cost.
class Run {
public:
  Run(std::uint32_t nodes, std::uint32_t pending, const char* order, const char* ranking)
      : cluster_(nodes, 1'000, // nodes for about half a million tasks of a vcore each
                 std::max<std::int64_t>(1, 500'000 / nodes),
                 {{"queue.default.order", order}, {"queue.default.ranking", ranking}}),
        pending_(pending),
        name_(std::string(order) + " with " + ranking + ", " + std::to_string(nodes) + " nodes, " +
              std::to_string(pending) + " wait") {}
  /// So many find room, while `pending` wait, or half a million do; as many come in as go.
  void place(std::uint64_t most) {
    if (room_placed_ == 0)
      cluster_.submit(waiting(), 1);
    std::uint64_t placed = 0;
    while (placed < most) {
      cluster_.seconds = 0;
      const std::uint64_t n = cluster_.settle(most - placed);
      room_seconds_ += cluster_.seconds;
      placed += n;
      cluster_.submit(static_cast<std::uint32_t>(n), 1);
    }
    room_placed_ += placed;
    into_room = room_seconds_ / static_cast<double>(room_placed_);
  }
  /// Half a million find room, and until it is full, and as many wait as should.
  void fill() {
    place(room - std::min(room, room_placed_));
    for (std::uint32_t n = pending_; n > 0;) {
      cluster_.submit(n, 1);
      n = static_cast<std::uint32_t>(cluster_.settle());
      if (pending_ > waiting())
        break;
    }
  }
  /// Tasks end, 1,000 at once, others take their room, and as many come in as were placed.
  void churn(int times) {
    for (int i = 0; i < times; ++i) {
      cluster_.seconds = 0;
      cluster_.finish(1'000);
      const std::uint64_t n = cluster_.settle();
      churn_seconds_ += cluster_.seconds;
      cluster_.seconds = 0;
      cluster_.submit(static_cast<std::uint32_t>(n), 1);
      submit_seconds_ += cluster_.seconds;
      placed_ += n;
    }
    one_ends = churn_seconds_ / static_cast<double>(placed_);
    submit = submit_seconds_ / static_cast<double>(placed_);
  }
  /// One question by itself; and what many of them leave of the rate where one ends.
  void explain() {
    constexpr int n = 200;
    cluster_.seconds = 0;
    for (int i = 0; i < n; ++i)
      cluster_.explain();
    one_question = cluster_.seconds / n;
    double alone = 0, asked = 0;
    for (int i = 0; i < 20; ++i) // in turn
      for (double* sum : {&alone, &asked}) {
        cluster_.questions = sum == &asked ? 1'000 : 0;
        churn_seconds_ = 0;
        placed_ = 0;
        churn(5);
        *sum += one_ends;
      }
    cluster_.questions = 0;
    rate_asked = alone / asked;
  }
  void change() {
    constexpr std::size_t n = 20'000;
    cluster_.seconds = 0;
    cluster_.change_nodes(n);
    one_change = cluster_.seconds / (2 * n);
  }
  void report() const {
    say(name_ + ": into room", into_room);
    say(name_ + ": where one ends", one_ends);
  }

  static constexpr std::uint64_t room = 490'000;
  double submit = 0, into_room = 0, one_ends = 0, one_change = 0, one_question = 0; // seconds each
  double rate_asked = 0; // with 1,000 questions a second, of that without

private:
  [[nodiscard]] std::uint32_t waiting() const { return std::min<std::uint32_t>(pending_, 500'000); }
  Yes cluster_;
  std::uint32_t pending_;
  std::string name_;
  double room_seconds_ = 0;
  std::uint64_t room_placed_ = 0;
  double churn_seconds_ = 0, submit_seconds_ = 0;
  std::uint64_t placed_ = 0;
};

/// A million tasks of 1,000 kinds again, but of as many jobs.
void arrays() {
  Yes cluster(10'000, 1'000, 50, {});
  cluster.submit(1'000, 1'000);
  cluster.seconds = 0;
  const auto placed = static_cast<double>(cluster.settle());
  say("1,000 arrays of 1,000 into room, a task", cluster.seconds / placed);
}

} // namespace

int main(int argc, char** argv) {
  // `placement short`: without the other rankings and orders. `placement fill`, `placement churn`:
  // only the first cluster, `placement arrays`: only the arrays, for a profiler.
  const std::string mode = argc < 2 ? "" : argv[1];
  const bool all = mode.empty();
  heap_pop = heap_pop_seconds();
  say("pop from a heap of a million", heap_pop);
  if (mode == "arrays") {
    arrays();
    return 0;
  }
  if (mode == "fill" || mode == "churn") {
    Run run(10'000, 1'000'000, "fifo", "round-robin");
    run.fill();
    if (mode == "churn")
      run.churn(200);
    run.report();
    return 0;
  }
  {
    Run many(10'000, 1'000'000, "fifo", "round-robin"), few(10'000, 1'000, "fifo", "round-robin");
    constexpr int turns = 49; // both see the same machine
    for (int i = 0; i < turns; ++i)
      for (Run* run : {&many, &few})
        run->place(Run::room / turns);
    many.fill();
    few.fill();
    for (int i = 0; i < 10; ++i)
      for (Run* run : {&many, &few})
        run->churn(10);
    many.report();
    few.report();
    std::printf("rate with a million waiting, of that with 1,000: submit %.0f %%, into room %.0f "
                "%%, where one ends %.0f %%, of jobs that come, are placed where one ends, and end "
                "%.0f %%\n",
                100 * few.submit / many.submit, 100 * few.into_room / many.into_room,
                100 * few.one_ends / many.one_ends,
                100 * (few.submit + few.one_ends) / (many.submit + many.one_ends));
    say("a job arrives", many.submit);
    many.explain();
    say("why one of a million jobs waits, on 10,000 nodes", many.one_question);
    std::printf(
      "rate where one ends with 1,000 such questions a second, of that with none: %.0f %%\n",
      100 * many.rate_asked);
    many.change();
    Run large(100'000, 1'000'000, "fifo", "round-robin"),
      small(1'000, 1'000'000, "fifo", "round-robin");
    for (Run* run : {&small, &large}) {
      run->fill();
      run->churn(100);
      run->change();
    }
    large.report();
    std::printf("from 10,000 to 100,000 nodes: placement into room x %.2f, where one ends x %.2f\n",
                large.into_room / many.into_room, large.one_ends / many.one_ends);
    say("a change of one node of 1,000 that helps nobody", small.one_change);
    say("a change of one node of 10,000 that helps nobody", many.one_change);
    say("a change of one node of 100,000 that helps nobody", large.one_change);
  }
  if (all)
    for (const auto& [order, ranking] : {std::pair{"fifo", "best-fit"},
                                         {"fifo", "balance"},
                                         {"fifo", "least-time-first"},
                                         {"fair", "round-robin"}}) {
      Run run(10'000, 1'000'000, order, ranking);
      run.fill();
      run.churn(100);
      run.report();
    }
  arrays();
  return 0;
}
