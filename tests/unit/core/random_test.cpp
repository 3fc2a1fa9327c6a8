// Thousands of random commands, many of them nonsense. After each: the invariants hold, no node was
// given more than it has, no attempt was placed twice, no result counted twice. At intervals:
// replay, snapshot, a standby that follows, and every decider's view agree with the state.
#include "tests/unit/core/view.hpp"

#include <algorithm>
#include <cstdlib>
#include <random>

namespace reeve::core::test {
namespace {

class Chaos {
public:
  explicit Chaos(std::uint64_t seed) : random_(seed) {}

  void run(int commands) {
    for (int i = 0; i < commands && !testing::Test::HasFailure(); ++i) {
      step();
      if (chance(100))
        restore_standby();
      if (i % 64 == 0)
        check_view();
      if (i % 512 == 511)
        check_replay();
    }
    check_view();
    check_replay();
  }
  [[nodiscard]] std::string summary() const {
    std::string out;
    for (const auto& [name, n] : facts_)
      out += name + " " + std::to_string(n) + ", ";
    return out;
  }
  [[nodiscard]] const std::map<std::string, int>& facts() const { return facts_; }

private:
  // ---- chance
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool chance(std::uint64_t one_in) { return below(one_in) == 0; }
  std::string node_name() { return "n" + std::to_string(1 + below(7)); }
  JobId any_job() { // mostly a young one, at times none at all
    const std::uint64_t newest = cluster_.newest_job().value;
    return chance(50) ? JobId(newest + 1 + below(3))
                      : JobId(newest - std::min<std::uint64_t>(newest, below(25)));
  }
  NodeId any_node() {
    if (cluster_.nodes().empty() || chance(40))
      return NodeId(static_cast<std::uint32_t>(1 + below(60)));
    auto at = cluster_.nodes().begin();
    std::advance(at, static_cast<std::ptrdiff_t>(below(cluster_.nodes().size())));
    return at->first;
  }
  NodeId open_node() { // mostly one that takes work
    for (int tries = 0; tries < 8; ++tries)
      if (const NodeId node = any_node();
          cluster_.find_node(node) && cluster_.find_node(node)->takes_work(now_))
        return node;
    return any_node();
  }
  Resources resources(std::uint64_t most) {
    Resources r;
    r.cpu_milli = static_cast<std::int64_t>(500 * below(most));
    if (chance(2))
      r.memory_bytes = static_cast<std::int64_t>(below(most));
    if (chance(4))
      r.named_milli["gpu"] = static_cast<std::int64_t>(500 * below(most));
    std::erase_if(r.named_milli, [](const auto& n) { return n.second == 0; });
    return r;
  }
  std::vector<TaskRun> any_runs(Attempt attempt_most = 3) {
    std::vector<TaskRun> runs;
    for (std::uint64_t n = below(4); n > 0; --n)
      runs.push_back({static_cast<TaskIndex>(below(32)), static_cast<std::uint32_t>(1 + below(8)),
                      static_cast<Attempt>(1 + below(attempt_most))});
    return runs;
  }
  Cause any_cause() {
    static constexpr std::array causes{Cause::exit_code, Cause::signal,        Cause::time_limit,
                                       Cause::cancelled, Cause::out_of_memory, Cause::start_failed};
    return causes[below(causes.size())];
  }

  // ---- commands
  JobSpec spec() {
    JobSpec s;
    s.name = "job";
    s.executor = chance(10) ? "process" : "noop";
    s.count = chance(3) ? 1 : static_cast<std::uint32_t>(1 + below(30));
    s.resources = resources(4);
    s.retries = static_cast<std::uint32_t>(below(3));
    s.lost_retries = static_cast<std::uint32_t>(below(3));
    s.max_parallel = chance(4) ? static_cast<std::uint32_t>(1 + below(6)) : 0;
    s.priority = static_cast<std::int32_t>(below(3));
    s.on_failure = chance(6) ? FailurePolicy::fail_fast : FailurePolicy::go_on;
    s.overcommit = chance(4);
    s.exclusive = chance(12);
    s.gang = chance(10);
    if (chance(2))
      s.disconnect = std::chrono::seconds(1 + below(30));
    s.speculate = !s.gang && !s.exclusive && chance(2);
    if (chance(8))
      s.node_labels = {{"zone", chance(2) ? "x" : "y"}};
    if (chance(6))
      for (std::uint32_t i = 0; i < s.count; ++i)
        s.items.push_back("item " + std::to_string(i));
    if (chance(4)) {
      Dependency d;
      d.kind = static_cast<DependencyKind>(below(3));
      d.job = any_job();
      if (const Job* other = cluster_.find_job(d.job); other && chance(2)) {
        d.each = true;
        s.count = other->count;
        s.items.clear();
      }
      s.after.push_back(d);
    }
    return s;
  }
  Command submit() {
    SubmitJobs c;
    if (chance(3))
      c.key = {"key " + std::to_string(below(20))};
    for (std::uint64_t n = 1 + below(3); n > 0; --n)
      c.specs.push_back(Raw{encode(spec())});
    if (chance(20))
      c.specs.push_back(Raw{encode(std::string("no spec"))});
    return c;
  }
  Command register_node() {
    RegisterNode c;
    c.name = node_name();
    c.incarnation = Incarnation(chance(4) ? 2 : 1);
    c.capacity = resources(chance(6) ? 4 : 40);
    c.capacity.cpu_milli += 500;
    c.labels = {{"zone", chance(2) ? "x" : "y"}};
    c.executors = {"noop"};
    if (!chance(5))
      c.executors.emplace_back("process");
    return c;
  }
  /// As a scheduler would: tasks that wait, somewhere.
  Command place_what_waits() {
    Place c;
    for (std::uint64_t n = 1 + below(4); n > 0 && !view_.jobs.empty(); --n) {
      auto at = view_.jobs.begin();
      std::advance(at, static_cast<std::ptrdiff_t>(below(view_.jobs.size())));
      const auto& [id, job] = *at;
      if (job.waiting.empty())
        continue;
      Placement p{open_node(), id, static_cast<std::uint32_t>(1 + below(5)), {}};
      std::uint64_t most = job.kind.gang ? 1000 : 1 + below(10);
      if (job.kind.gang)
        p.slots = 1000;
      for (auto task = job.waiting.begin(); task != job.waiting.end() && most > 0; ++task) {
        if (!job.kind.gang && chance(5))
          continue; // leaves a gap
        --most;
        if (!p.runs.empty() && p.runs.back().first + p.runs.back().count == task->first &&
            p.runs.back().attempt == task->second.attempt)
          ++p.runs.back().count;
        else
          p.runs.push_back({task->first, 1, task->second.attempt});
      }
      c.placements.push_back(std::move(p));
    }
    return c;
  }
  /// As recovery would, sooner or later.
  Command abandon_what_was_lost() {
    for (const auto& [id, node] : cluster_.nodes())
      if (node.state == NodeState::lost && !node.jobs.empty())
        return Abandon{id, *std::min_element(node.jobs.begin(), node.jobs.end()), "long enough"};
    return garbage();
  }
  /// As the scheduler would: a second attempt of what is in flight, somewhere else.
  Command copy_what_flies() {
    if (view_.flights.empty())
      return garbage();
    auto at = view_.flights.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(below(view_.flights.size())));
    const auto [node, job] = at->first;
    const std::vector<TaskRun> runs = cluster_.find_job(job)->extra->allocations.at(node).runs;
    Placement p{open_node(), job, static_cast<std::uint32_t>(1 + below(5)), {}, true};
    for (const TaskRun& run : runs)
      p.runs.push_back({static_cast<TaskIndex>(run.first + below(run.count)), 1,
                        run.attempt + 1 + (chance(4) ? 1 : 0)});
    return Place{{std::move(p)}};
  }
  /// As an agent would: results of what is in flight, some of them twice.
  Command finish_what_flies() {
    Finish c;
    if (view_.flights.empty())
      return c;
    auto flying = view_.flights.begin();
    std::advance(flying, static_cast<std::ptrdiff_t>(below(view_.flights.size())));
    c.node = flying->first.first;
    for (const auto& [key, flight] : view_.flights) {
      if (key.first != c.node || chance(3))
        continue;
      const Allocation& a = cluster_.find_job(key.second)->extra->allocations.at(c.node);
      JobResults results{key.second, {}, {}};
      for (const TaskRun& run : a.runs) {
        if (chance(2)) {
          const auto part = static_cast<std::uint32_t>(1 + below(run.count + 1)); // one too many
          results.quiet.push_back({{run.first, part, run.attempt}, now_, now_});
          if (chance(5))
            results.quiet.push_back(results.quiet.back());
        }
        for (std::uint32_t i = 0; i < run.count; ++i)
          if (chance(3)) {
            TaskResult r;
            r.index = run.first + i;
            r.attempt = run.attempt;
            r.cause = chance(2) ? Cause::none : any_cause();
            r.exit_code = static_cast<std::int32_t>(below(3));
            r.signal = static_cast<std::int32_t>(below(16));
            results.tasks.push_back(r);
          }
      }
      c.jobs.push_back(std::move(results));
    }
    return c;
  }
  /// As recovery would.
  Command decide_about_interrupted() {
    if (view_.interrupted.empty())
      return Requeue{any_job(), any_runs(), Cause::lost_node, {}, {}};
    auto at = view_.interrupted.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(below(view_.interrupted.size())));
    const TasksInterrupted one = at->second;
    view_.interrupted.erase(at);
    if (chance(6))
      return GiveUp{one.job, one.runs, chance(2), one.cause, "given up"};
    return Requeue{one.job, one.runs, one.cause, now_ + std::chrono::seconds(below(20)), "again"};
  }
  Command garbage() {
    switch (below(6)) {
    case 0:
      return Place{{{any_node(), any_job(), static_cast<std::uint32_t>(below(3)), any_runs()}}};
    case 1:
      return Requeue{any_job(), any_runs(), Cause::lost_node, {}, {}};
    case 2:
      return GiveUp{any_job(), any_runs(), chance(2), Cause::lost_node, {}};
    case 3: {
      Finish c{any_node(), {{any_job(), {}, {}}, {any_job(), {}, {}}}};
      for (const TaskRun& run : any_runs())
        c.jobs[0].quiet.push_back({run, {}, {}});
      return c;
    }
    case 4:
      return BeginEpoch{Epoch(below(30)), "m"};
    default:
      return Preempt{any_node(), any_job(), any_runs(), Cause::preempted, "for another"};
    }
  }
  Command preempt_what_flies() {
    if (view_.flights.empty())
      return garbage();
    auto at = view_.flights.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(below(view_.flights.size())));
    const auto [node, job] = at->first;
    return Preempt{node, job, cluster_.find_job(job)->extra->allocations.at(node).runs,
                   Cause::preempted, "for another"};
  }
  Command any_command() {
    switch (below(64)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return submit();
    case 4:
    case 5:
      return register_node();
    case 6:
      return MarkLost{{any_node()}, "silent", chance(4)};
    case 7:
      return DrainNodes{{node_name()}, chance(4), "why not"};
    case 8:
      return LabelNodes{{node_name()}, {{"zone", chance(3) ? "" : chance(2) ? "x" : "y"}}};
    case 9:
      return RemoveNodes{{any_node()}};
    case 10:
      return Cancel{any_job(), chance(2) ? std::vector<TaskRun>{} : any_runs(), "enough"};
    case 11:
    case 12:
      return Retry{any_job(), chance(2) ? std::vector<TaskRun>{} : any_runs()};
    case 13:
      return Hold{any_job(), chance(3), "wait"};
    case 14:
      return Hold{any_job(), false, {}};
    case 15: {
      Forget c;
      for (std::uint64_t n = below(6); n > 0; --n)
        c.jobs.push_back(any_job());
      return c;
    }
    case 16:
    case 17: {
      GrantLease c;
      c.node = chance(2) ? node_name() : "";
      c.owner = chance(2) ? "ada" : "bob";
      c.resources = resources(5);
      c.duration = std::chrono::seconds(below(30));
      if (chance(2))
        c.key = {"lease " + std::to_string(below(6))};
      return c;
    }
    case 18:
      return RenewLease{LeaseId(below(60)), std::chrono::seconds(below(30))};
    case 19:
      return ReleaseLeases{LeaseId(chance(2) ? below(60) : 0), chance(2) ? node_name() : "",
                           chance(2) ? "ada" : ""};
    case 20: {
      EndLeases c{{}, true};
      for (const auto& [id, lease] : cluster_.leases())
        c.leases.push_back(id);
      return c;
    }
    case 21:
      return ChangeConfig{{{"a", std::to_string(below(3))}, {"b", chance(2) ? "" : "1"}}};
    case 22:
      return Tune{any_node(), static_cast<std::uint32_t>(1000 + 500 * below(4)), chance(6), "load"};
    case 23:
      return Quarantine{
        {any_node()}, chance(2) ? TimePoint{} : now_ + std::chrono::seconds(20), "failures"};
    case 24:
      return preempt_what_flies();
    case 25:
    case 26:
      return garbage();
    case 42:
    case 43:
    case 44:
      return copy_what_flies();
    case 45:
      return Abandon{any_node(), any_job(), "it has been waited long enough"};
    case 46:
    case 47:
    case 48:
      return abandon_what_was_lost();
    case 49:
    case 50:
    case 51:
      return copy_what_flies();
    case 27:
    case 28:
    case 29:
    case 30:
    case 31:
      return decide_about_interrupted();
    case 32:
    case 33:
    case 34:
    case 35:
    case 36:
    case 37:
    case 38:
    case 39:
    case 40:
    case 41:
      return finish_what_flies();
    default:
      return place_what_waits();
    }
  }

  // ---- one command, and what must hold after it
  void step() {
    now_ += std::chrono::milliseconds(below(500));
    const Command command = any_command();
    std::map<NodeId, Resources> booked;
    for (const auto& [id, node] : cluster_.nodes())
      booked[id] = node.booked;
    Changes changes;
    const Seq before = cluster_.last_seq();
    const Outcome outcome = cluster_.execute(command, now_, changes);
    ASSERT_EQ(cluster_.last_seq().value, before.value + (outcome.entry ? 1 : 0));
    ASSERT_TRUE(outcome.entry || changes.empty());
    ASSERT_FALSE(outcome.entry && outcome.error);
    for (const std::string& broken : cluster_.check_invariants())
      ADD_FAILURE() << broken;
    view_.hear(changes);
    if (outcome.entry) {
      ++facts_[std::string(name_of(outcome.entry->fact))];
      note_results(outcome.entry->fact);
      const auto bytes = encode(*outcome.entry);
      const auto entry = decode<Entry>(bytes);
      ASSERT_TRUE(entry) << entry.error().message();
      Changes same;
      const auto followed = standby_.replay(cluster_.last_seq(), *entry, same);
      ASSERT_TRUE(followed) << followed.error().message();
      ASSERT_EQ(same.size(), changes.size()) << name_of(entry->fact);
      entries_.push_back(bytes);
    }
    if (testing::Test::HasFailure())
      FAIL() << "after entry " << before.value << ", command " << command.index();
    check_capacity(booked);
  }

  /// Nothing was given beyond the capacity. A node that shrank or was tuned down may still hold
  /// more than that, but then it was not given anything.
  void check_capacity(const std::map<NodeId, Resources>& before) {
    for (const auto& [id, node] : cluster_.nodes()) {
      const auto at = before.find(id);
      const Resources old = at == before.end() ? Resources{} : at->second;
      const auto good = [](std::int64_t now, std::int64_t was, std::int64_t most) {
        return now <= most || now <= was;
      };
      const auto factor = static_cast<std::int64_t>(node.overcommit_milli);
      bool all =
        good(node.booked.cpu_milli, old.cpu_milli, node.capacity.cpu_milli * factor / 1000);
      all &= good(node.booked.memory_bytes, old.memory_bytes,
                  node.capacity.memory_bytes * factor / 1000);
      for (const auto& [name, n] : node.booked.named_milli) {
        const auto amount = [&](const Resources& r) {
          const auto found = r.named_milli.find(name);
          return found == r.named_milli.end() ? 0 : found->second;
        };
        all &= good(n, amount(old), amount(node.capacity));
      }
      EXPECT_TRUE(all) << "node " << node.name << " holds " << to_text(node.booked) << " of "
                       << to_text(node.capacity);
    }
  }

  void note_results(const Fact& fact) {
    if (const auto* placed = std::get_if<TasksPlaced>(&fact))
      facts_["copies"] +=
        static_cast<int>(std::ranges::count(placed->placements, true, &Placement::copy));
    const auto* finished = std::get_if<TasksFinished>(&fact);
    if (!finished)
      return;
    const auto once = [&](JobId job, TaskIndex index, Attempt attempt) {
      EXPECT_TRUE(counted_.emplace(TaskId{job, index}, attempt).second)
        << "the result of task " << index << " of job " << job.value << " counted twice";
    };
    for (const JobResults& job : finished->jobs) {
      for (const QuietRun& quiet : job.quiet)
        for (std::uint32_t i = 0; i < quiet.run.count; ++i)
          once(job.job, quiet.run.first + i, quiet.run.attempt);
      for (const TaskResult& task : job.tasks) {
        once(job.job, task.index, task.attempt);
        facts_["superseded"] += task.cause == Cause::superseded ? 1 : 0;
      }
    }
  }

  // ---- the state and what is derived from it
  void restore_standby() {
    auto restored = Cluster::restore(cluster_.snapshot());
    ASSERT_TRUE(restored) << restored.error().message();
    standby_ = std::move(*restored);
  }
  void check_view() {
    View described;
    Changes changes;
    cluster_.describe(changes);
    described.hear(changes);
    EXPECT_EQ(described.jobs, view_.jobs);
    EXPECT_EQ(described.ended, view_.ended);
    EXPECT_EQ(described.nodes, view_.nodes);
    EXPECT_EQ(described.flights, view_.flights);
    EXPECT_EQ(described.leases, view_.leases);
    EXPECT_EQ(described.config, view_.config);
    EXPECT_EQ(standby_.state_hash(), cluster_.state_hash()) << "the standby went another way";
  }
  void check_replay() {
    Cluster again;
    Seq seq;
    for (const std::string& bytes : entries_) {
      seq = seq.next();
      Changes changes;
      const auto done = again.replay(seq, *decode<Entry>(bytes), changes);
      ASSERT_TRUE(done) << done.error().message();
    }
    EXPECT_EQ(again.state_hash(), cluster_.state_hash()) << "replay gives another state";
  }

  std::mt19937_64 random_;
  Cluster cluster_, standby_;
  View view_;
  TimePoint now_{std::chrono::hours(500'000)};
  std::vector<std::string> entries_;
  std::set<std::pair<TaskId, Attempt>> counted_;
  std::map<std::string, int> facts_;
};

class chaos : public testing::TestWithParam<std::uint64_t> {};

TEST_P(chaos, breaks_no_promise) {
  std::uint64_t seed = GetParam();
  if (const char* given = std::getenv("REEVE_SEED"))
    seed = std::strtoull(given, nullptr, 10);
  SCOPED_TRACE("repeat with REEVE_SEED=" + std::to_string(seed) +
               " reeve_core_tests --gtest_filter=of_seed/chaos.breaks_no_promise/1");
  Chaos cluster(seed);
  cluster.run(1500);
  for (const char* fact :
       {"TasksPlaced", "TasksFinished", "TasksRequeued", "TasksGivenUp", "TasksCancelled",
        "TasksRetried", "TasksPreempted", "NodesLost", "copies", "superseded", "TasksAbandoned"})
    EXPECT_TRUE(cluster.facts().contains(fact) && cluster.facts().at(fact) > 0)
      << fact << " never happened: " << cluster.summary();
}
INSTANTIATE_TEST_SUITE_P(of_seed, chaos, testing::Range<std::uint64_t>(1, 7),
                         testing::PrintToStringParamName());

} // namespace
} // namespace reeve::core::test
