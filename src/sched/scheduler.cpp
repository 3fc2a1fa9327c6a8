// See scheduler.hpp.
#include "src/sched/scheduler.hpp"

#include "src/core/match.hpp"

#include <algorithm>

namespace reeve::sched {
namespace {
constexpr std::uint32_t slots_free_of_charge =
  64;                                             // of one job on one node, when tasks need nothing
constexpr std::uint32_t slots_max = 4'096;        // of one node
constexpr std::uint32_t ahead_max = 40;           // tasks a slot, given ahead of need
constexpr std::uint32_t ahead_short_max = 20'000; // when they are too short for that to last
constexpr std::uint32_t flight_max = 65'536;      // tasks of one job on one node
constexpr std::uint32_t never_ahead = 16;         // last tasks of a queue
constexpr Duration ahead_time{100'000};           // work given ahead lasts so long
constexpr Duration ahead_short_time{10'000};      // and at least so long
constexpr std::size_t placements_per_command = 500;
constexpr std::size_t wishes_max = 20'000; // on their way at once
constexpr Duration sulk_first{2'000}, sulk_longest{1'000'000};

std::uint32_t count_of(const std::vector<TaskRun>& runs) {
  std::uint32_t n = 0;
  for (const TaskRun& run : runs)
    n += run.count;
  return n;
}
/// Takes [first, first + count) out of `runs`, whatever the attempts.
void cut(std::vector<TaskRun>& runs, const TaskRun& away) {
  std::vector<TaskRun> left;
  const std::uint64_t from = away.first, to = from + away.count;
  for (const TaskRun& run : runs) {
    const std::uint64_t first = run.first, end = first + run.count;
    if (end <= from || first >= to) {
      left.push_back(run);
      continue;
    }
    if (first < from)
      left.push_back({run.first, static_cast<std::uint32_t>(from - first), run.attempt});
    if (end > to)
      left.push_back(
        {static_cast<TaskIndex>(to), static_cast<std::uint32_t>(end - to), run.attempt});
  }
  runs = std::move(left);
}
} // namespace

struct Scheduler::State {
  struct Node {
    core::NodeChanged facts;
    Resources available;     // confirmed
    Resources wished;        // what wishes on their way will book
    std::uint32_t slots = 0; // expected, of all jobs
    TimePoint closed_until;  // after a refusal
    Duration sulk{0};
    [[nodiscard]] bool takes_work(TimePoint now) const {
      return facts.state == NodeState::up && !facts.draining && !facts.closed &&
             facts.quarantined <= now && closed_until <= now;
    }
    [[nodiscard]] Resources free() const { return available - wished; }
  };
  struct Group; // jobs of one kind
  struct Job {
    Group* group = nullptr;
    TimePoint submitted;
    bool held = false;
    std::vector<TaskRun> ready; // sorted
    std::vector<std::pair<TimePoint, TaskRun>> delayed;
    std::map<NodeId, Flight> flights;
    std::uint32_t tasks = 0; // expected in flight
    TimePoint closed_until;
    Duration sulk{0};
  };
  struct Group {
    core::KindPtr kind;
    std::set<JobId> waiting; // jobs with something to place now
    std::uint64_t jobs = 0;
    Estimate estimate;
    bool blocked = false; // no node has room
  };

  std::map<NodeId, Node> nodes;
  std::unordered_map<JobId, Job> jobs;
  std::map<const core::Kind*, std::unique_ptr<Group>> groups;
  std::set<std::pair<TimePoint, JobId>> timers; // delayed tasks and sulking jobs
  std::set<std::pair<NodeId, JobId>> touched;   // flights that may want more tasks
  NodeId cursor;                                // round-robin: served last
  std::size_t wishes = 0;
  TimePoint clock;
  std::map<std::string, std::uint64_t> queue_ready; // tasks that wait, a queue

  // ---- the view

  void on(const core::NodeChanged& c) {
    Node& node = nodes[c.node];
    node.facts = c;
    node.available = c.available;
    node.closed_until = {};
    gained();
  }
  void on(const core::NodeForgotten& c) { nodes.erase(c.node); }
  void on(const core::NodeAvailable& c) {
    if (const auto at = nodes.find(c.node); at != nodes.end()) {
      at->second.available = c.available;
      gained();
    }
  }
  void gained() {
    for (auto& [kind, group] : groups)
      group->blocked = false;
  }
  Job& add(JobId id, const core::KindPtr& kind, TimePoint submitted, bool held) {
    auto& group = groups[kind.get()];
    if (!group) {
      group = std::make_unique<Group>();
      group->kind = kind;
    }
    ++group->jobs;
    Job& job = jobs[id];
    job.group = group.get();
    job.submitted = submitted;
    job.held = held;
    return job;
  }
  void on(const core::JobArrived& c) {
    Job& job = add(c.job, c.kind, c.submitted, c.held);
    if (c.count > 0 && !c.blocked)
      put(c.job, job, {c.first, c.count, 1});
  }
  void on(const core::TasksReleased& c) {
    if (const auto at = jobs.find(c.job); at != jobs.end())
      for (const TaskRun& run : c.runs)
        put(c.job, at->second, run);
  }
  void on(const core::JobReopened& c) {
    if (!jobs.contains(c.job))
      add(c.job, c.kind, c.submitted, c.held);
  }
  void put(JobId id, Job& job, const TaskRun& run) {
    job.ready.insert(
      std::upper_bound(job.ready.begin(), job.ready.end(), run,
                       [](const TaskRun& a, const TaskRun& b) { return a.first < b.first; }),
      run);
    queue_ready[job.group->kind->queue] += run.count;
    reconsider(id, job);
  }
  /// Is the job among those that could be placed?
  void reconsider(JobId id, Job& job) {
    const auto& kind = *job.group->kind;
    const bool may = !job.held && !job.ready.empty() && job.closed_until <= clock &&
                     (kind.max_parallel == 0 || job.tasks < kind.max_parallel);
    if (may)
      job.group->waiting.insert(id);
    else
      job.group->waiting.erase(id);
    for (const auto& [node, flight] : job.flights)
      if (may)
        touched.emplace(node, id);
  }
  void on(const core::TasksReady& c) {
    const auto at = jobs.find(c.job);
    if (at == jobs.end())
      return;
    if (c.not_before > clock) {
      at->second.delayed.emplace_back(c.not_before, c.run);
      timers.emplace(c.not_before, c.job);
    } else {
      put(c.job, at->second, c.run);
    }
  }
  void withdraw(Job& job, const TaskRun& run) {
    const std::uint32_t before = count_of(job.ready);
    cut(job.ready, run);
    queue_ready[job.group->kind->queue] -= before - count_of(job.ready);
    std::vector<std::pair<TimePoint, TaskRun>> left;
    for (const auto& [time, waits] : job.delayed) {
      std::vector<TaskRun> parts{waits};
      cut(parts, run);
      for (const TaskRun& part : parts)
        left.emplace_back(time, part);
    }
    job.delayed = std::move(left);
  }
  void on(const core::TasksWithdrawn& c) {
    const auto at = jobs.find(c.job);
    if (at == jobs.end())
      return;
    Job& job = at->second;
    const std::vector<TaskRun> runs =
      c.runs.empty() ? std::vector<TaskRun>{{0, tasks_max, 1}} : c.runs;
    for (const TaskRun& run : runs) {
      withdraw(job, run);
      for (auto& [node, flight] : job.flights)
        for (Wish& wish : flight.wishes)
          wish.gone.push_back(run);
    }
    reconsider(c.job, job);
  }
  void on(const core::HoldChanged& c) {
    if (const auto at = jobs.find(c.job); at != jobs.end()) {
      at->second.held = c.held;
      reconsider(c.job, at->second);
    }
  }
  void on(const core::TasksTaken& c) {
    const auto at = jobs.find(c.placement.job);
    if (at == jobs.end())
      return;
    Job& job = at->second;
    Flight& flight = job.flights[c.placement.node];
    if (!drop_wish(flight, c.placement))
      for (const TaskRun& run : c.placement.runs) // placed by somebody else, or before a reset
        withdraw(job, run);
    expect(c.placement.node, job, flight);
    reconsider(c.placement.job, job);
  }
  std::optional<Wish> drop_wish(Flight& flight, const Placement& placement) {
    const auto at = std::find_if(flight.wishes.begin(), flight.wishes.end(),
                                 [&](const Wish& w) { return w.runs == placement.runs; });
    if (at == flight.wishes.end())
      return {};
    Wish wish = std::move(*at);
    flight.wishes.erase(at);
    --wishes;
    return wish;
  }
  void on(const core::FlightChanged& c) {
    const auto at = jobs.find(c.job);
    if (at == jobs.end())
      return;
    Job& job = at->second;
    Flight& flight = job.flights[c.node];
    if (flight.confirmed.tasks == 0)
      flight.since = clock;
    flight.confirmed = {c.slots, c.in_flight};
    expect(c.node, job, flight);
    touched.emplace(c.node, c.job);
    if (flight.over())
      job.flights.erase(c.node);
    reconsider(c.job, job);
  }
  /// What is expected of a flight, and with it what its node and its job are expected to have.
  void expect(NodeId id, Job& job, Flight& flight) {
    const Load before = flight.expected;
    const Load confirmed_before = flight.booked;
    flight.expect();
    flight.booked = flight.confirmed;
    job.tasks = job.tasks - before.tasks + flight.expected.tasks;
    if (const auto at = nodes.find(id); at != nodes.end()) {
      Node& node = at->second;
      node.slots = node.slots - before.slots + flight.expected.slots;
      const std::int64_t more =
        (static_cast<std::int64_t>(flight.expected.slots) - flight.confirmed.slots) -
        (static_cast<std::int64_t>(before.slots) - confirmed_before.slots);
      if (more != 0)
        node.wished += job.group->kind->resources * more;
    }
  }
  void on(const core::JobEnded& c) { forget(c.job); }
  void on(const core::JobForgotten& c) { forget(c.job); }
  void forget(JobId id) {
    const auto at = jobs.find(id);
    if (at == jobs.end())
      return;
    Job& job = at->second;
    for (auto& [node, flight] : job.flights) {
      wishes -= flight.wishes.size();
      flight.wishes.clear();
      flight.confirmed = {};
      expect(node, job, flight);
    }
    queue_ready[job.group->kind->queue] -= count_of(job.ready);
    Group& group = *job.group;
    group.waiting.erase(id);
    jobs.erase(at);
    if (--group.jobs == 0)
      groups.erase(group.kind.get());
  }
  void on(const core::TasksInterrupted&) {}
  void on(const core::TasksToStop&) {}
  void on(const core::LeaseChanged&) {}
  void on(const core::LeaseEnded&) {}
  void on(const core::ConfigUpdated&) {}
  template<class C> void on(const C&) {}

  void refuse(const core::RefusedPlacement& refused) {
    const Placement& p = refused.placement;
    const auto at = jobs.find(p.job);
    if (at == jobs.end())
      return;
    Job& job = at->second;
    Flight& flight = job.flights[p.node];
    auto wish = drop_wish(flight, p);
    expect(p.node, job, flight);
    if (flight.over())
      job.flights.erase(p.node);
    if (!wish)
      return;
    for (const TaskRun& away : wish->gone)
      cut(wish->runs, away);
    for (const TaskRun& run : wish->runs)
      put(p.job, job, run);
    // The reason is on its way as a change. Until it is here, the same wish would be refused again.
    const auto sulk = [&](Duration& pause, TimePoint& until) {
      pause = std::min(std::max(pause * 2, sulk_first), sulk_longest);
      until = clock + pause;
    };
    const auto node = nodes.find(p.node);
    if (node != nodes.end() &&
        (refused.error.code == Code::no_capacity || refused.error.code == Code::node_down))
      sulk(node->second.sulk, node->second.closed_until);
    else
      sulk(job.sulk, job.closed_until);
    timers.emplace(std::max(job.closed_until, clock + sulk_first), p.job);
    reconsider(p.job, job);
  }

  // ---- deciding

  [[nodiscard]] static bool matches(const core::Kind& kind, const Node& node) {
    return core::unmet(kind, node.facts.labels).empty() &&
           std::find(node.facts.executors.begin(), node.facts.executors.end(), kind.executor) !=
             node.facts.executors.end();
  }
  /// How many more tasks of the job could run at once on the node.
  [[nodiscard]] std::uint32_t room(const Node& node, const Job& job) const {
    const core::Kind& kind = *job.group->kind;
    if (!node.takes_work(clock) || !matches(kind, node) || node.slots >= slots_max)
      return 0;
    std::int64_t most = slots_max - node.slots;
    if (is_zero(kind.resources)) {
      const auto at = job.flights.find(node.facts.node);
      const std::uint32_t has = at == job.flights.end() ? 0 : at->second.expected.slots;
      most =
        std::min<std::int64_t>(most, has < slots_free_of_charge ? slots_free_of_charge - has : 0);
    }
    return static_cast<std::uint32_t>(times_fitting(kind.resources, node.free(), most));
  }
  /// The next node after the one served last that has room.
  NodeId pick(const Job& job) {
    const auto from = nodes.upper_bound(cursor);
    for (auto at = from; at != nodes.end(); ++at)
      if (room(at->second, job) > 0)
        return at->first;
    for (auto at = nodes.begin(); at != from; ++at)
      if (room(at->second, job) > 0)
        return at->first;
    return {};
  }
  std::vector<TaskRun> take(Job& job, std::uint32_t n) {
    std::vector<TaskRun> out;
    while (n > 0) {
      TaskRun& front = job.ready.front();
      TaskRun part = front;
      part.count = std::min(n, front.count);
      n -= part.count;
      queue_ready[job.group->kind->queue] -= part.count;
      front.first += part.count;
      front.count -= part.count;
      out.push_back(part);
      if (front.count == 0)
        job.ready.erase(job.ready.begin());
    }
    return out;
  }
  std::vector<std::pair<NodeId, JobId>> drafted; // flights whose newest wish is not sent
  std::set<std::pair<NodeId, JobId>> drafts;

  void wish(NodeId node, JobId id, Job& job, std::uint32_t tasks, std::uint32_t slots) {
    Flight& flight = job.flights[node];
    if (drafts.emplace(node, id).second) {
      drafted.emplace_back(node, id);
      flight.wishes.emplace_back();
      ++wishes;
    }
    Wish& wish = flight.wishes.back();
    for (const TaskRun& run : take(job, tasks))
      core::add_to(wish.runs, run);
    wish.tasks += tasks;
    wish.slots = slots;
    expect(node, job, flight);
    touched.emplace(node, id);
    reconsider(id, job);
  }
  [[nodiscard]] std::uint32_t allowance(const Job& job) const {
    const std::uint32_t most = job.group->kind->max_parallel;
    return most == 0 ? flight_max : most - std::min(most, job.tasks);
  }

  void place() {
    while (wishes < wishes_max) {
      // The group whose first job is the oldest of all that may fit somewhere.
      Group* next = nullptr;
      for (auto& [kind, group] : groups)
        if (!group->blocked && !group->waiting.empty() &&
            (!next || *group->waiting.begin() < *next->waiting.begin()))
          next = group.get();
      if (!next)
        return;
      const JobId id = *next->waiting.begin();
      Job& job = jobs.at(id);
      const NodeId node = pick(job);
      if (!node) {
        if (is_zero(next->kind->resources) && next->waiting.size() > 1) {
          // Its own slots are full, not the nodes: the next job of the kind may go.
          job.closed_until = clock + sulk_first;
          timers.emplace(job.closed_until, id);
          reconsider(id, job);
          continue;
        }
        next->blocked = true;
        continue;
      }
      cursor = node;
      wish(node, id, job, 1, job.flights[node].expected.slots + 1);
    }
  }

  [[nodiscard]] std::optional<Duration> run_time(const Group& group) const {
    if (const auto learned = group.estimate.median())
      return learned;
    if (group.kind->estimate.count() > 0)
      return group.kind->estimate;
    return {};
  }
  /// Tasks to have waiting at a node for each slot.
  [[nodiscard]] std::uint32_t ahead(const Group& group) const {
    const auto time = run_time(group);
    if (!time)
      return 0;
    const std::int64_t us = std::max<std::int64_t>(1, time->count());
    const std::int64_t usual = std::min<std::int64_t>(ahead_max, ahead_time.count() / us);
    const std::int64_t least =
      std::min<std::int64_t>(ahead_short_max, ahead_short_time.count() / us);
    return static_cast<std::uint32_t>(std::max(usual, least));
  }
  /// Gives busy nodes tasks ahead of need, where nobody else waits for the node.
  void give_ahead() {
    for (const auto& [node_id, id] : std::exchange(touched, {})) {
      const auto at = jobs.find(id);
      if (at == jobs.end() || !at->second.group->waiting.contains(id))
        continue;
      Job& job = at->second;
      const auto flight = job.flights.find(node_id);
      const auto node = nodes.find(node_id);
      if (flight == job.flights.end() || node == nodes.end() || !node->second.takes_work(clock) ||
          wishes >= wishes_max)
        continue;
      const Group& group = *job.group;
      const std::uint32_t slots = flight->second.expected.slots;
      const std::uint64_t ready = queue_ready[group.kind->queue];
      if (slots == 0 || ready <= never_ahead)
        continue;
      std::uint64_t all_slots = 0;
      for (const auto& [other, f] : job.flights)
        all_slots += f.expected.slots;
      // Guided self-scheduling (Polychronopoulos and Kuck, 1987): pieces shrink towards the end, so
      // that no node is left with much when the others are done.
      const std::uint64_t share =
        (ready - never_ahead) / (2 * std::max<std::uint64_t>(1, all_slots));
      const std::uint64_t target = std::min<std::uint64_t>(
        flight_max, std::uint64_t{slots} * (1 + std::min<std::uint64_t>(ahead(group), share)));
      const std::uint32_t has = flight->second.expected.tasks;
      if (has > target / 2 + slots / 2)
        continue; // refilled in large pieces
      if (first_claim(node->second, job) != at->second.group)
        continue;
      const auto more = static_cast<std::uint32_t>(
        std::min<std::uint64_t>({target - has, count_of(job.ready), allowance(job)}));
      if (more > 0)
        wish(node_id, id, job, more, slots);
    }
  }
  /// Who would get what the job has on this node, if it gave it back.
  [[nodiscard]] const Group* first_claim(const Node& node, const Job& job) const {
    const Resources room_for =
      node.free() + job.group->kind->resources * job.flights.at(node.facts.node).expected.slots;
    const Group* first = nullptr;
    for (const auto& [kind, group] : groups)
      if (!group->waiting.empty() &&
          (!first || *group->waiting.begin() < *first->waiting.begin()) &&
          fits(group->kind->resources, room_for) && matches(*group->kind, node))
        first = group.get();
    return first;
  }

  std::vector<core::Command> send() {
    std::vector<core::Command> commands;
    core::Place place_now;
    for (const auto& [node, id] : std::exchange(drafted, {})) {
      const Wish& wish = jobs.at(id).flights.at(node).wishes.back();
      place_now.placements.push_back({node, id, wish.slots, wish.runs});
      if (place_now.placements.size() == placements_per_command)
        commands.emplace_back(std::exchange(place_now, {}));
    }
    drafts.clear();
    if (!place_now.placements.empty())
      commands.emplace_back(std::move(place_now));
    return commands;
  }

  void wake(TimePoint now) {
    clock = std::max(clock, now);
    while (!timers.empty() && timers.begin()->first <= clock) {
      const JobId id = timers.begin()->second;
      timers.erase(timers.begin());
      const auto at = jobs.find(id);
      if (at == jobs.end())
        continue;
      Job& job = at->second;
      for (auto& [time, run] : std::exchange(job.delayed, {})) {
        if (time <= clock)
          put(id, job, run);
        else
          job.delayed.emplace_back(time, run);
      }
      job.group->blocked = false;
      reconsider(id, job);
    }
  }

  void learn(const TasksFinished& fact) {
    for (const JobResults& results : fact.jobs) {
      const auto at = jobs.find(results.job);
      if (at == jobs.end())
        continue;
      Estimate& estimate = at->second.group->estimate;
      for (const QuietRun& quiet : results.quiet)
        estimate.learn((quiet.ended - quiet.started) / quiet.run.count);
      for (const TaskResult& result : results.tasks)
        if (result.cause == Cause::none)
          estimate.learn(result.ended - result.started);
    }
  }
};

Scheduler::Scheduler() : state_(std::make_unique<State>()) {}
Scheduler::~Scheduler() = default;
Scheduler::Scheduler(Scheduler&&) noexcept = default;
Scheduler& Scheduler::operator=(Scheduler&&) noexcept = default;

void Scheduler::reset(const core::Changes& changes) {
  const TimePoint clock = state_->clock;
  state_ = std::make_unique<State>();
  state_->clock = clock;
  apply(changes);
}
void Scheduler::apply(const core::Changes& changes) {
  for (const core::Change& change : changes)
    std::visit([this](const auto& c) { state_->on(c); }, change);
}
void Scheduler::apply(const core::Committed& batch) {
  for (const Entry& entry : batch.entries) {
    state_->clock = std::max(state_->clock, entry.time);
    if (const auto* finished = std::get_if<TasksFinished>(&entry.fact))
      state_->learn(*finished);
  }
  apply(batch.changes);
}
void Scheduler::refused(std::span<const core::RefusedPlacement> placements) {
  for (const auto& refused : placements)
    state_->refuse(refused);
}
std::vector<core::Command> Scheduler::decide(TimePoint now) {
  state_->wake(now);
  state_->place();
  state_->give_ahead();
  return state_->send();
}

Result<Explained> Scheduler::explain(JobId id, TaskIndex index, TimePoint now) const {
  const State& s = *state_;
  const auto at = s.jobs.find(id);
  if (at == s.jobs.end())
    return fail(Code::not_found, "job",
                "no job " + std::to_string(id.value) + " is waiting or running");
  const State::Job& job = at->second;
  const core::Kind& kind = *job.group->kind;
  Explained out;
  const auto holds = [&](const std::vector<TaskRun>& runs) { return core::holds(runs, index); };
  for (const auto& [time, run] : job.delayed)
    if (run.first <= index && index - run.first < run.count && time > now) {
      out.summary =
        "waits for its next try in " + std::to_string((time - now).count() / 1000) + " ms";
      return out;
    }
  if (!holds(job.ready)) {
    for (const auto& [node, flight] : job.flights)
      for (const Wish& wish : flight.wishes)
        if (holds(wish.runs))
          out.summary = "is being placed";
    if (out.summary.empty())
      out.summary = "does not wait for a node: it runs, is over or is held";
    return out;
  }
  if (job.held)
    out.summary = "its job is held";
  else if (kind.max_parallel > 0 && job.tasks >= kind.max_parallel)
    out.summary = "its job runs " + std::to_string(job.tasks) + " tasks, as many as it may";
  std::uint32_t roomy = 0;
  for (const auto& [node_id, node] : s.nodes) {
    std::string reason;
    if (!node.takes_work(now))
      reason = node.facts.draining ? "draining" : std::string(name_of(node.facts.state));
    else if (!State::matches(kind, node))
      reason = "other labels or executors";
    else if (!fits(kind.resources, node.facts.capacity))
      reason = "too small";
    else if (s.room(node, job) == 0)
      reason = "busy";
    else
      ++roomy;
    if (!reason.empty())
      ++out.nodes[reason];
  }
  if (out.summary.empty())
    out.summary = s.nodes.empty() ? "there are no nodes"
                  : roomy > 0     ? "will be placed at once"
                                  : "no node has room";
  return out;
}

} // namespace reeve::sched
