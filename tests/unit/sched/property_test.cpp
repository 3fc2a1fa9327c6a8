// Random clusters, random work, every order with every ranking: whatever happens, no node has too
// much, every rule about where tasks may be is kept, nothing waits that could run, and what explain
// says is what a slow look at the cluster finds.
#include "src/core/match.hpp"
#include "tests/unit/sched/world.hpp"

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>

namespace reeve::sched {
namespace {

class Chaos {
public:
  explicit Chaos(std::uint64_t seed) : random_(seed), seed_(seed) {}

  void run(int steps) {
    const char* orders[] = {"fifo", "priority", "sjf", "spt", "sct", "fair", "edf"};
    const char* rankings[] = {"round-robin", "random",  "least-time-first",
                              "best-fit",    "balance", "pack"};
    const char* backfills[] = {"easy", "conservative", "greedy", "greedy"};
    config_ = {{"queue.a.order", orders[below(7)]},
               {"queue.b.order", orders[below(7)]},
               {"queue.*.ranking", rankings[below(6)]},
               {"queue.a.backfill", backfills[below(4)]},
               {"queue.b.backfill", backfills[below(4)]},
               {"queue.b.user_limit", below(3) == 0 ? "vcores=6" : ""},
               {"scheduler.prefetch", below(2) == 0 ? "0" : "5"},
               {"scheduler.reserve", below(3) == 0 ? "vcores=25,gpu=50" : ""},
               {"queue.b.use_reserve", "true"}};
    greedy_ = config_["queue.a.backfill"] == "greedy" && config_["queue.b.backfill"] == "greedy";
    w_.configure(config_);
    for (int i = 0; i < 4; ++i)
      add_node();
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      step();
      w_.now += Duration(below(2'000'000));
      w_.deliver = below(4) != 0; // sometimes the scheduler is behind
      w_.decide();
      if (!w_.deliver) {
        w_.deliver = true;
        w_.deliver_now();
      }
      w_.now += std::chrono::seconds(3); // past any sulk
      w_.settle();
      check_rules();
      check_nothing_waits_that_fits();
      check_reasons();
    }
    if (testing::Test::HasFailure())
      ADD_FAILURE() << "REEVE_SEED=" << seed_;
  }

private:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }

  void add_node() {
    Resources r =
      cpus(1 + static_cast<std::int64_t>(below(8)), 1 + static_cast<std::int64_t>(below(16)));
    if (below(3) == 0)
      r.named_milli["gpu"] = 1'000 * static_cast<std::int64_t>(1 + below(2));
    std::vector<std::string> executors{"process"};
    if (below(2) == 0)
      executors.emplace_back("noop");
    names_.push_back("n" + std::to_string(names_.size()));
    w_.node(names_.back(), r,
            {{"zone", below(2) ? "east" : "west"}, {"rack", std::to_string(below(3))}}, executors);
  }
  void add_job() {
    JobSpec s =
      World::spec(1 + static_cast<std::uint32_t>(below(6)),
                  cpus(static_cast<std::int64_t>(below(4)), static_cast<std::int64_t>(below(5))));
    s.user = below(2) ? "ada" : "bob";
    s.queue = below(2) ? "a" : "b";
    s.name = below(2) ? "x" : "";
    s.executor = below(3) ? "process" : "noop";
    s.priority = static_cast<std::int32_t>(below(5));
    if (below(2))
      s.estimate = Duration(1'000'000 * (1 + below(100)));
    if (below(4) == 0)
      s.resources.named_milli["gpu"] = 500;
    if (below(4) == 0)
      s.max_parallel = 1 + static_cast<std::uint32_t>(below(3));
    if (below(4) == 0)
      s.node_labels = {{"zone", "east"}};
    if (below(5) == 0)
      s.constraints = {{"rack", LabelOperator::in, {"0", "1"}}};
    if (below(8) == 0)
      s.gang = true;
    if (below(10) == 0)
      s.exclusive = true;
    if (below(6) == 0)
      s.limits = {below(2) ? Limit{"licence", 3, false} : Limit{"disk", 3, true}};
    s.labels = {{"role", below(2) ? "web" : "db"}};
    if (below(6) == 0)
      s.affinity = {{{{"role", "db"}}, below(2) ? "zone" : "", below(2) == 0, true}};
    if (below(6) == 0)
      s.spread = "zone";
    if (s.gang)
      s.max_parallel = 0;
    jobs_.push_back(w_.submit(s));
    specs_[jobs_.back()] = s;
  }
  void finish_some() {
    for (const auto& [id, node] : w_.cluster.nodes()) {
      if (below(2) == 0)
        continue;
      std::vector<JobResults> all;
      for (const JobId job : std::set<JobId>(node.jobs.begin(), node.jobs.end())) {
        const core::Allocation& a = *w_.allocation(id, job);
        JobResults results{job, {}, {}};
        for (const TaskRun& run : a.runs)
          for (std::uint32_t i = 0; i < run.count; ++i)
            if (below(2)) {
              results.tasks.emplace_back();
              results.tasks.back().index = run.first + i;
              results.tasks.back().attempt = run.attempt;
              results.tasks.back().ended = TimePoint(Duration(below(100'000'000)));
            }
        if (!results.tasks.empty())
          all.push_back(std::move(results));
      }
      if (!all.empty())
        w_.run(core::Finish{id, std::move(all)});
    }
  }
  void step() {
    const auto node_name = [&] { return names_[below(names_.size())]; };
    switch (below(13)) {
    case 0:
      if (names_.size() < 7)
        add_node();
      break;
    case 1:
      w_.run(core::DrainNodes{{node_name()}, below(2) == 0, ""});
      break;
    case 2:
      w_.run(core::LabelNodes{{node_name()}, {{"zone", below(2) ? "east" : "west"}}});
      break;
    case 3:
      if (!jobs_.empty() && !w_.cluster.find_job(jobs_.back())->ended)
        w_.run(core::Hold{jobs_.back(), below(2) == 0, ""});
      break;
    case 4:
      if (!jobs_.empty()) {
        const JobId job = jobs_[below(jobs_.size())];
        w_.run(core::Cancel{job, {{0, 1, 1}}, ""});
      }
      break;
    case 5: {
      const core::Node& node = *w_.cluster.find_node(node_name());
      if (below(2) && node.takes_work(w_.now) && fits(cpus(1), node.available()))
        w_.run(core::GrantLease{node.name, "eve", cpus(1), Duration(0), {}});
      else
        w_.run(core::ReleaseLeases{{}, node.name, ""});
      break;
    }
    case 9:
      suspects_.clear();
      for (const auto& [id, node] : w_.cluster.nodes())
        if (below(5) == 0)
          suspects_.insert(id);
      w_.scheduler.suspect({suspects_.begin(), suspects_.end()});
      break;
    case 6:
    case 7:
    case 8:
      add_job();
      break;
    default:
      finish_some();
    }
  }

  // ---- the slow look

  struct View { // of the cluster alone
    const core::Node* node;
    bool up, executor, labels, large, alone, neighbours, room;
  };
  [[nodiscard]] std::uint32_t tasks_near(const core::Node& node, const Affinity& wish) const {
    std::uint32_t n = 0;
    for (const auto& [id, other] : w_.cluster.nodes()) {
      const bool here = wish.within.empty()
                          ? id == node.id
                          : other.labels.contains(wish.within) &&
                              node.labels.contains(wish.within) &&
                              other.labels.at(wish.within) == node.labels.at(wish.within);
      for (const JobId job : other.jobs)
        if (here && specs_.at(job).labels == wish.labels)
          n += w_.in_flight(id, job);
    }
    return n;
  }
  [[nodiscard]] std::uint32_t holding(const std::string& limit, const core::Node* node) const {
    std::uint32_t n = 0;
    for (const auto& [id, other] : w_.cluster.nodes())
      for (const JobId job : other.jobs)
        for (const Limit& l : specs_.at(job).limits)
          if (l.name == limit && (!node || node->id == id))
            n += w_.slots(id, job);
    return n;
  }
  /// What the reserve keeps from such a task on the node, of what it needs.
  [[nodiscard]] Resources kept_from(const JobSpec& s, const core::Node& n) const {
    Resources kept;
    if (config_.at("scheduler.reserve").empty() || s.queue == "b")
      return kept;
    if (s.resources.cpu_milli > 0)
      kept.cpu_milli = n.capacity.cpu_milli / 4;
    const auto gpu = n.capacity.named_milli.find("gpu");
    if (s.resources.named_milli.contains("gpu") && gpu != n.capacity.named_milli.end())
      kept.named_milli["gpu"] = gpu->second / 2;
    return kept;
  }
  [[nodiscard]] View look(const core::Node& n, JobId id) const {
    const JobSpec& s = specs_.at(id);
    View v{&n,
           n.state == NodeState::up && !n.draining && !suspects_.contains(n.id),
           std::ranges::find(n.executors, s.executor) != n.executors.end(),
           core::unmet(w_.cluster.kind_of(*w_.cluster.find_job(id)), n.labels).empty(),
           fits(s.resources + kept_from(s, n), n.capacity),
           true,
           true,
           true};
    v.alone = !n.exclusive || n.exclusive == id;
    for (const Affinity& wish : s.affinity) {
      const bool near = tasks_near(n, wish) > 0;
      if (wish.away) {
        v.neighbours &= !near;
        continue;
      }
      std::uint32_t anywhere = 0;
      for (const auto& [other_id, other] : w_.cluster.nodes())
        for (const JobId job : other.jobs)
          anywhere += specs_.at(job).labels == wish.labels ? w_.in_flight(other_id, job) : 0;
      v.neighbours &= near || (anywhere == 0 && s.labels == wish.labels);
    }
    for (const Limit& limit : s.limits)
      if (limit.per_node)
        v.neighbours &= holding(limit.name, &n) < limit.most;
    std::uint32_t free_tasks = 0; // tasks that need nothing take a 64th of the places each
    for (const JobId job : n.jobs)
      if (is_zero(specs_.at(job).resources))
        free_tasks += w_.slots(n.id, job);
    v.room = fits(s.resources + kept_from(s, n), n.available()) &&
             (!is_zero(s.resources) || free_tasks < 63) &&
             (!s.exclusive || (n.jobs.empty() && n.leases == 0));
    return v;
  }

  void check_rules() {
    EXPECT_TRUE(w_.cluster.check_invariants().empty());
    for (const JobId id : jobs_) {
      const core::Job& job = *w_.cluster.find_job(id);
      const JobSpec& s = specs_[id];
      if (s.max_parallel > 0) {
        EXPECT_LE(job.assigned(), s.max_parallel);
      }
      if (s.gang && job.assigned() > 0) {
        EXPECT_EQ(job.pending(), 0u) << "a part of gang " << id.value << " runs without the rest";
      }
      for (const Limit& limit : s.limits)
        if (!limit.per_node) {
          EXPECT_LE(holding(limit.name, nullptr), 3u) << "job " << id.value;
        }
      for (const auto& [node_id, node] : w_.cluster.nodes()) {
        if (w_.in_flight(node_id, id) == 0)
          continue;
        EXPECT_LE(w_.slots(node_id, id), w_.in_flight(node_id, id));
        if (s.exclusive) {
          EXPECT_EQ(node.jobs.size(), 1u);
        }
        for (const Limit& limit : s.limits)
          if (limit.per_node) {
            EXPECT_LE(holding(limit.name, &node), 3u);
          }
      }
    }
    const auto quota = config_["queue.b.user_limit"];
    for (const char* user : {"ada", "bob"}) {
      std::int64_t vcores = 0;
      for (const JobId id : jobs_)
        if (specs_[id].user == user && specs_[id].queue == "b")
          for (const auto& [node_id, node] : w_.cluster.nodes())
            vcores += w_.slots(node_id, id) * specs_[id].resources.cpu_milli;
      if (!quota.empty()) {
        EXPECT_LE(vcores, 6'000);
      }
    }
  }

  [[nodiscard]] bool within_quota(const JobSpec& s) const {
    if (config_.at("queue.b.user_limit").empty() || s.queue != "b")
      return true;
    std::int64_t vcores = s.resources.cpu_milli;
    for (const JobId id : jobs_)
      if (specs_.at(id).user == s.user && specs_.at(id).queue == "b")
        for (const auto& [node_id, node] : w_.cluster.nodes())
          vcores += w_.slots(node_id, id) * specs_.at(id).resources.cpu_milli;
    return s.resources.cpu_milli == 0 || vcores <= 6'000;
  }
  [[nodiscard]] bool may_run(JobId id) const { // as far as its job and its queue say
    const core::Job& job = *w_.cluster.find_job(id);
    const JobSpec& s = specs_.at(id);
    if (job.held || job.ended || job.pending() == 0 || !within_quota(s))
      return false;
    for (const Limit& limit : s.limits)
      if (!limit.per_node && holding(limit.name, nullptr) >= limit.most)
        return false;
    return s.max_parallel == 0 || job.assigned() < s.max_parallel;
  }

  void check_nothing_waits_that_fits() {
    if (!greedy_)
      return; // places are kept
    for (const JobId id : jobs_) {
      if (!may_run(id) || specs_[id].gang)
        continue;
      for (const auto& [node_id, node] : w_.cluster.nodes()) {
        const View v = look(node, id);
        EXPECT_FALSE(v.up && v.executor && v.labels && v.large && v.alone && v.neighbours && v.room)
          << "job " << id.value << " waits and node " << node.name << " has room; "
          << w_.scheduler.explain(id, first_waiting(id), w_.now)->summary;
      }
    }
  }
  [[nodiscard]] TaskIndex first_waiting(JobId id) const {
    const core::Job& job = *w_.cluster.find_job(id);
    for (TaskIndex i = 0; i < job.count; ++i)
      if (w_.cluster.state_of(job, i) == TaskState::pending)
        return i;
    return 0;
  }

  /// explain() against the slow look, node by node.
  void check_reasons() {
    for (const JobId id : jobs_) {
      const core::Job& job = *w_.cluster.find_job(id);
      if (job.ended || job.pending() == 0)
        continue;
      const auto why = w_.scheduler.explain(id, first_waiting(id), w_.now);
      ASSERT_TRUE(why) << "a waiting task without a reason: job " << id.value;
      EXPECT_FALSE(why->summary.empty());
      std::map<std::string, std::uint32_t> expected;
      for (const auto& [node_id, node] : w_.cluster.nodes()) {
        const View v = look(node, id);
        const std::string reason = suspects_.contains(node_id) ? "suspect"
                                   : node.draining             ? "draining"
                                   : !v.executor               ? "executor"
                                   : !v.labels                 ? "labels"
                                   : !v.large                  ? "too small"
                                   : !v.alone                  ? "alone"
                                   : !v.neighbours             ? "affinity"
                                   : !v.room                   ? "busy"
                                                               : "";
        if (!reason.empty())
          ++expected[reason];
      }
      std::map<std::string, std::uint32_t> found;
      for (const auto& [reason, n] : why->nodes) {
        const auto is = [&](const char* start) { return reason.find(start) != std::string::npos; };
        const std::string group = is("no executor")                        ? "executor"
                                  : is("has no label") || is("label rack") ? "labels"
                                  : is("too small")                        ? "too small"
                                  : is("alone")                            ? "alone"
                                  : is("affinity")                         ? "affinity"
                                  : is("busy") || is("reserved share")     ? "busy"
                                  : is("suspect")                          ? "suspect"
                                                                           : reason;
        if (!greedy_ && is("kept for"))
          continue;
        found[group] += n;
      }
      EXPECT_EQ(found, expected) << "job " << id.value << ": " << why->summary;
      if (job.held) {
        EXPECT_EQ(why->summary, "its job is held");
      }
    }
  }

  World w_;
  std::mt19937_64 random_;
  std::uint64_t seed_;
  std::map<std::string, std::string> config_;
  bool greedy_ = false;
  std::vector<std::string> names_;
  std::set<NodeId> suspects_;
  std::vector<JobId> jobs_;
  std::map<JobId, JobSpec> specs_;
};

TEST(random_clusters, keep_every_rule_leave_nothing_waiting_and_explain_what_waits) {
  const char* given = std::getenv("REEVE_CLUSTERS"); // how many
  const std::uint64_t seeds = given ? std::strtoull(given, nullptr, 10) : 60;
  for (std::uint64_t seed = 1; seed <= seeds && !HasFailure(); ++seed)
    Chaos(seed).run(60);
}

} // namespace
} // namespace reeve::sched
