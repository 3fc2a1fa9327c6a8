// See sim.hpp.
#include "src/sched/sim.hpp"

#include <algorithm>
#include <cmath>
#include <queue>

namespace reeve::sched {
namespace {

constexpr Duration bound{10'000'000}; // of the bounded slowdown
constexpr std::size_t samples_max = 4'000;

class Simulation {
public:
  Simulation(const Workload& workload, const SimOptions& options)
      : work_(workload), options_(options) {}

  SimResult run() {
    begin();
    for (;;) {
      const auto next = next_time();
      if (!next || (options_.until > Duration(0) && *next > TimePoint(options_.until)))
        break;
      now_ = std::max(now_, *next);
      end_tasks();
      submit_jobs();
      deliver();
      decide();
      sample();
      if (options_.watch)
        options_.watch(cluster_, scheduler_, now_);
    }
    measure();
    return std::move(result_);
  }

private:
  struct Running {
    TimePoint end;
    std::size_t node = 0; // in the workload
    std::size_t task = 0; // in the result
    Attempt attempt = 1;
    bool operator>(const Running& o) const { return std::tie(end, task) > std::tie(o.end, o.task); }
  };
  struct Holding { // one job on one node, as an agent has it
    std::uint32_t slots = 0, busy = 0;
    std::deque<TaskRun> waiting;
  };

  core::Outcome execute(const core::Command& command) {
    core::Outcome out = cluster_.execute(command, now_, batch_.changes);
    if (out.entry)
      batch_.entries.push_back(*out.entry);
    return out;
  }
  void deliver() {
    if (!batch_.entries.empty())
      scheduler_.apply(std::exchange(batch_, {}));
  }

  void begin() {
    if (!options_.settings.empty())
      execute(core::ChangeConfig{options_.settings});
    for (const SimNode& node : work_.nodes) {
      core::RegisterNode command;
      command.name = node.name;
      command.incarnation = Incarnation(1);
      command.capacity = node.capacity;
      command.labels = node.labels;
      command.executors = node.executors;
      ids_.push_back(execute(command).node);
      places_[ids_.back()] = ids_.size() - 1;
      vcores_ += static_cast<double>(node.capacity.cpu_milli);
    }
    first_task_.push_back(0);
    for (std::size_t j = 0; j < work_.jobs.size(); ++j) {
      const std::uint32_t count = work_.jobs[j].spec.count;
      for (TaskIndex i = 0; i < count; ++i) {
        result_.tasks.push_back({});
        result_.tasks.back().job = j;
        result_.tasks.back().index = i;
        result_.tasks.back().submitted = work_.jobs[j].at;
      }
      first_task_.push_back(first_task_.back() + count);
    }
    deliver();
  }

  std::optional<TimePoint> next_time() {
    std::optional<TimePoint> next;
    const auto offer = [&](TimePoint t) {
      if (!next || t < *next)
        next = t;
    };
    if (arrived_ < work_.jobs.size())
      offer(TimePoint(work_.jobs[arrived_].at));
    if (!running_.empty())
      offer(running_.top().end);
    if (waiting_ > 0 && next) // else the scheduler's own wakes would go on for ever
      if (const auto wake = scheduler_.next_wake(); wake && *wake > now_)
        offer(*wake);
    if (waiting_ > 0 && !next)
      if (const auto wake = scheduler_.next_wake(); wake && *wake > now_ && idle_wakes_++ < 100)
        offer(*wake);
    return next;
  }

  void end_tasks() {
    std::map<std::size_t, std::map<JobId, JobResults>> ended; // by node
    while (!running_.empty() && running_.top().end <= now_) {
      const Running r = running_.top();
      running_.pop();
      SimTask& task = result_.tasks[r.task];
      task.ended = now_.time_since_epoch();
      const JobId id = job_ids_.at(task.job);
      used_ -= static_cast<double>(work_.jobs[task.job].spec.resources.cpu_milli);
      JobResults& results = ended[r.node].try_emplace(id, JobResults{id, {}, {}}).first->second;
      TaskResult result;
      result.index = task.index;
      result.attempt = r.attempt;
      result.started = TimePoint(task.started);
      result.ended = now_;
      results.tasks.push_back(std::move(result));
      Holding& holding = holdings_[{r.node, id}];
      --holding.busy;
      start_waiting(r.node, id, holding);
      if (holding.busy == 0 && holding.waiting.empty())
        holdings_.erase({r.node, id});
      idle_wakes_ = 0;
    }
    for (auto& [node, jobs] : ended) {
      core::Finish command{ids_[node], {}};
      for (auto& [id, results] : jobs)
        command.jobs.push_back(std::move(results));
      execute(command);
    }
  }

  void submit_jobs() {
    while (arrived_ < work_.jobs.size() && TimePoint(work_.jobs[arrived_].at) <= now_) {
      const SimJob& job = work_.jobs[arrived_];
      const auto out = execute(core::SubmitJobs{{}, {Raw{encode(job.spec)}}});
      if (out.first_job) {
        job_ids_[arrived_] = out.first_job;
        by_id_[out.first_job] = arrived_;
        waiting_ += job.spec.count;
      }
      ++arrived_;
      idle_wakes_ = 0;
    }
  }

  void decide() {
    for (bool more = true; more;) {
      more = false;
      for (const core::Command& command : scheduler_.decide(now_)) {
        const core::Outcome out = execute(command);
        result_.refused += out.refused.size();
        if (!out.refused.empty())
          scheduler_.refused(out.refused);
        if (!out.entry)
          continue;
        more = true;
        if (const auto* placed = std::get_if<TasksPlaced>(&out.entry->fact))
          for (const Placement& p : placed->placements)
            give(p);
        else if (const auto* preempted = std::get_if<TasksPreempted>(&out.entry->fact))
          stop(*preempted);
      }
      deliver();
    }
  }

  void give(const Placement& p) {
    ++result_.placements;
    const std::size_t node = places_.at(p.node);
    Holding& holding = holdings_[{node, p.job}];
    holding.slots = p.slots;
    for (const TaskRun& run : p.runs)
      holding.waiting.push_back(run);
    start_waiting(node, p.job, holding);
  }
  void start_waiting(std::size_t node, JobId id, Holding& holding) {
    while (holding.busy < holding.slots && !holding.waiting.empty()) {
      TaskRun& run = holding.waiting.front();
      const std::size_t job = by_id_.at(id);
      const std::size_t task = first_task_[job] + run.first;
      result_.tasks[task].started = now_.time_since_epoch();
      result_.tasks[task].node = node;
      const double took =
        static_cast<double>(work_.jobs[job].run_time(run.first).count()) / work_.nodes[node].speed;
      running_.push({now_ + Duration(std::llround(took)), node, task, run.attempt});
      used_ += static_cast<double>(work_.jobs[job].spec.resources.cpu_milli);
      ++holding.busy;
      --waiting_;
      ++run.first;
      if (--run.count == 0)
        holding.waiting.pop_front();
    }
  }
  /// Preempted attempts end at once; they wait again, free of charge.
  void stop(const TasksPreempted& fact) {
    const std::size_t node = places_.at(fact.node);
    const std::size_t job = by_id_.at(fact.job);
    JobResults results{fact.job, {}, {}};
    std::vector<Running> others;
    const auto hit = [&](TaskIndex index) { return core::holds(fact.runs, index); };
    while (!running_.empty()) {
      const Running r = running_.top();
      running_.pop();
      const SimTask& task = result_.tasks[r.task];
      if (r.node != node || task.job != job || !hit(task.index)) {
        others.push_back(r);
        continue;
      }
      TaskResult result;
      result.index = task.index;
      result.attempt = r.attempt;
      result.cause = Cause::cancelled;
      result.started = TimePoint(task.started);
      result.ended = now_;
      results.tasks.push_back(std::move(result));
      result_.tasks[r.task].started = Duration(-1);
      used_ -= static_cast<double>(work_.jobs[job].spec.resources.cpu_milli);
      --holdings_[{node, fact.job}].busy;
      ++waiting_;
    }
    for (const Running& r : others)
      running_.push(r);
    std::vector<TaskRun> again;
    for (const TaskResult& result : results.tasks)
      again.push_back({result.index, 1, result.attempt});
    if (again.empty())
      return;
    execute(core::Finish{fact.node, {std::move(results)}});
    std::ranges::sort(again, {}, &TaskRun::first);
    execute(core::Requeue{fact.job, std::move(again), Cause::preempted, {}, "preempted"});
    Holding& holding = holdings_[{node, fact.job}];
    start_waiting(node, fact.job, holding);
    if (holding.busy == 0 && holding.waiting.empty())
      holdings_.erase({node, fact.job});
  }

  void sample() {
    const Duration at = now_.time_since_epoch();
    const double share = vcores_ > 0 ? used_ / vcores_ : 0;
    area_ += last_share_ * static_cast<double>((at - last_at_).count());
    last_at_ = at;
    last_share_ = share;
    auto& all = result_.samples;
    if (!all.empty() && all.back().at == at)
      all.pop_back();
    if (all.empty() || at - all.back().at >= sample_every_)
      all.push_back({at, share, waiting_});
    if (all.size() >= samples_max) { // every second one goes
      std::vector<SimSample> fewer;
      for (std::size_t i = 0; i < all.size(); i += 2)
        fewer.push_back(all[i]);
      all = std::move(fewer);
      sample_every_ = std::max(sample_every_ * 2, at / static_cast<std::int64_t>(samples_max / 2));
    }
  }

  void measure() {
    Metrics& m = result_.metrics;
    std::vector<double> waits, slowdowns;
    std::map<std::string, std::pair<double, std::uint64_t>> users;
    m.tasks = result_.tasks.size();
    m.jobs = work_.jobs.size();
    Duration last{0};
    for (std::size_t j = 0; j < work_.jobs.size(); ++j) {
      Duration start = Duration::max(), end{0};
      bool over = true;
      for (std::size_t t = first_task_[j]; t < first_task_[j + 1]; ++t) {
        const SimTask& task = result_.tasks[t];
        if (task.ended < Duration(0)) {
          ++m.unfinished;
          over = false;
          continue;
        }
        start = std::min(start, task.started);
        end = std::max(end, task.ended);
      }
      last = std::max(last, end);
      if (!over)
        continue;
      const double wait = static_cast<double>((start - work_.jobs[j].at).count());
      const double run = static_cast<double>((end - start).count());
      const double slowdown =
        std::max(1.0, (wait + run) / std::max(run, static_cast<double>(bound.count())));
      waits.push_back(wait / 1e6);
      slowdowns.push_back(slowdown);
      auto& [sum, n] = users[work_.jobs[j].spec.user];
      sum += slowdown;
      ++n;
    }
    const auto mean = [](const std::vector<double>& v) {
      double sum = 0;
      for (const double x : v)
        sum += x;
      return v.empty() ? 0 : sum / static_cast<double>(v.size());
    };
    const auto p95 = [](std::vector<double> v) { // nearest rank
      if (v.empty())
        return 0.0;
      std::ranges::sort(v);
      const auto rank = static_cast<std::size_t>(std::ceil(0.95 * static_cast<double>(v.size())));
      return v[std::max<std::size_t>(rank, 1) - 1];
    };
    m.mean_wait_s = mean(waits);
    m.p95_wait_s = p95(waits);
    m.max_wait_s = waits.empty() ? 0 : *std::ranges::max_element(waits);
    m.mean_slowdown = mean(slowdowns);
    m.p95_slowdown = p95(slowdowns);
    m.makespan_s = static_cast<double>(last.count()) / 1e6;
    m.utilisation = last.count() > 0 ? area_ / static_cast<double>(last.count()) : 0;
    std::vector<double> each;
    for (const auto& [user, sum] : users)
      each.push_back(sum.first / static_cast<double>(sum.second));
    m.fairness = jains_index(each);
  }

  const Workload& work_;
  const SimOptions& options_;
  core::Cluster cluster_;
  Scheduler scheduler_;
  core::Committed batch_;
  TimePoint now_;
  std::vector<NodeId> ids_;
  std::map<NodeId, std::size_t> places_;
  std::map<std::size_t, JobId> job_ids_;
  std::unordered_map<JobId, std::size_t> by_id_;
  std::vector<std::size_t> first_task_;
  std::size_t arrived_ = 0;
  std::priority_queue<Running, std::vector<Running>, std::greater<>> running_;
  std::map<std::pair<std::size_t, JobId>, Holding> holdings_;
  std::uint64_t waiting_ = 0;
  int idle_wakes_ = 0;
  double vcores_ = 0, used_ = 0, area_ = 0, last_share_ = 0;
  Duration last_at_{0}, sample_every_{0};
  SimResult result_;
};

} // namespace

double jains_index(std::span<const double> values) {
  double sum = 0, squares = 0;
  for (const double x : values) {
    sum += x;
    squares += x * x;
  }
  return squares == 0 ? 1 : sum * sum / (static_cast<double>(values.size()) * squares);
}

SimResult simulate(const Workload& workload, const SimOptions& options) {
  return Simulation(workload, options).run();
}

} // namespace reeve::sched
