// Deciding, dispatching and group commit. The answers to requests are in requests.cpp. See
// ledger.hpp.
#include "src/ledger/ledger.hpp"

#include "messages/mutant.hpp"

#include <algorithm>
#include <set>
#include <tuple>

namespace reeve::ledger {
namespace {

constexpr std::size_t batch_entries_max = 1'000;
constexpr std::size_t batch_bytes_max = 64u << 10;
constexpr std::size_t beacon_jobs = 20;
constexpr std::size_t beacon_looks = 10'000; // jobs looked at for one beacon
constexpr Duration retry_after = std::chrono::seconds(1);
constexpr Duration stop_again = std::chrono::seconds(10);

/// Changes nothing and awaits nothing. A dry run asks whether it would be accepted now: no.
bool only_looks(const Request& request) {
  return std::visit(
    []<class R>(const R&) {
      return std::is_same_v<R, GetConfig> || std::is_same_v<R, GetStats> ||
             std::is_same_v<R, ListJobs> || std::is_same_v<R, ListTasks> ||
             std::is_same_v<R, ListNodes> || std::is_same_v<R, ListLeases> ||
             std::is_same_v<R, ReadLog> || std::is_same_v<R, Explain>;
    },
    request);
}

Error refusal_of(const Trouble& trouble) {
  if (trouble.error.code == Code::not_leader || trouble.error.code == Code::stale_epoch)
    return {Code::not_leader, {}, trouble.error.text}; // the next leader may be asked at once
  return {Code::unavailable, {}, "the journal takes no entries now: " + trouble.error.message()};
}

std::uint32_t tasks_in(const std::vector<TaskRun>& runs) {
  std::uint32_t n = 0;
  for (const TaskRun& run : runs)
    n += run.count;
  return n;
}

/// Who must hear that this came to nothing; peer 0: nobody.
std::pair<Peer, std::uint64_t> asker(const Effect& effect) {
  if (const auto* to = std::get_if<ToPeer>(&effect)) {
    if (to->type == MessageType::results_ack)
      return {}; // the agent sends its results again
    if (to->type == MessageType::progress) {
      const auto progress = decode<Progress>(to->body);
      if (progress && !progress->last)
        return {}; // the wait goes on
    }
    return {to->peer, to->correlation};
  }
  if (const auto* bound = std::get_if<NodeBound>(&effect))
    return {bound->peer, bound->correlation};
  if (const auto* log = std::get_if<AskForLog>(&effect))
    return {log->peer, log->correlation};
  if (const auto* tasks = std::get_if<CompleteTasks>(&effect))
    return {tasks->peer, tasks->correlation};
  if (const auto* wait = std::get_if<CompleteProgress>(&effect))
    return {wait->peer, wait->correlation};
  if (const auto* asked = std::get_if<AskScheduler>(&effect))
    return {asked->peer, asked->correlation};
  return {};
}

} // namespace

Ledger::Ledger(Identity identity, core::Cluster cluster)
    : identity_(std::move(identity)), cluster_(std::move(cluster)), durable_(cluster_.last_seq()) {}

Epoch Ledger::begin(TimePoint now, Epoch taken) {
  const Epoch epoch = std::max(cluster_.epoch(), taken).next();
  execute(core::BeginEpoch{epoch, identity_.master}, now);
  return epoch;
}

// ---- deciding

core::Outcome Ledger::execute(const core::Command& command, TimePoint now) {
  if (open_.entries.size() >= batch_entries_max || open_bytes_ >= batch_bytes_max)
    close_batch();
  const std::size_t first_change = open_.changes.size();
  core::Outcome outcome = cluster_.execute(command, now, open_.changes);
  if (!outcome.entry)
    return outcome;
  if (open_.entries.empty())
    open_.first = open_batch_.first = cluster_.last_seq();
  open_batch_.entries.push_back(encode(*outcome.entry));
  open_bytes_ += open_batch_.entries.back().size();
  open_.entries.push_back(std::move(*outcome.entry));
  open_.change_ends.push_back(static_cast<std::uint32_t>(open_.changes.size()));
  outcome.entry.reset();
  after_changes(first_change);
  return outcome;
}

/// What nodes and waiting clients must hear of the newest entry.
void Ledger::after_changes(std::size_t first_change) {
  const bool waited = waiters_.size() > 0;
  const auto moved = [&](JobId job) {
    if (waited)
      waiters_.moved(job);
  };
  const auto& changes = open_.changes;
  for (std::size_t i = first_change; i < changes.size(); ++i) {
    const core::Change& change = changes[i];
    if (const auto* taken = std::get_if<core::TasksTaken>(&change)) {
      // The allocation as it is with these tasks comes right behind them.
      const auto& flight = std::get<core::FlightChanged>(changes[i + 1]);
      dispatch(taken->placement, flight.slots, flight.in_flight == tasks_in(taken->placement.runs));
      moved(taken->placement.job);
    } else if (const auto* flight = std::get_if<core::FlightChanged>(&change)) {
      moved(flight->job);
    } else if (const auto* stop = std::get_if<core::TasksToStop>(&change)) {
      effect(StopOnNode{stop->node, {stop->job, stop->runs}, stop->reason, stop->move});
      stopping_[stop->node] = {};
    } else if (const auto* ended = std::get_if<core::JobEnded>(&change)) {
      if (waited)
        answer(waiters_.ended(ended->job, [this](JobId job) { return progress_of(job); }));
    } else if (const auto* node = core::get_if<core::NodeChanged>(change)) {
      if (node->state == NodeState::lost || node->state == NodeState::gone)
        unbind(node->node, cluster_.find_node(node->node)->reason);
    } else if (const auto* forgotten = std::get_if<core::NodeForgotten>(&change)) {
      unbind(forgotten->node, "the node was removed");
      measured_.erase(forgotten->node);
    } else if (const auto* withdrawn = std::get_if<core::TasksWithdrawn>(&change)) {
      moved(withdrawn->job);
    } else if (const auto* ready = std::get_if<core::TasksReady>(&change)) {
      moved(ready->job);
    } else if (const auto* held = std::get_if<core::HoldChanged>(&change)) {
      moved(held->job);
    }
  }
}

void Ledger::dispatch(const Placement& p, std::uint32_t slots, bool with_spec) {
  AssignToNode work;
  work.node = p.node;
  work.job.job = p.job;
  work.job.slots = slots;
  work.job.runs = p.runs;
  work.job.items = cluster_.items_of(p.job, p.runs);
  work.job.peers = cluster_.peers_of(p.job);
  if (with_spec)
    work.spec = AssignedSpec{p.job, cluster_.spec_for_agents(p.job)};
  effect(std::move(work));
}

void Ledger::unbind(NodeId node, const std::string& reason) {
  bound_.erase(node);
  stopping_.erase(node);
  effect(NodeUnbound{node, reason});
}

/// Nothing leaves before everything that was decided when it was made is durable.
void Ledger::effect(Effect effect) {
  const Seq after = trouble_ || REEVE_MUTANT(effects_at_once) ? durable_ : cluster_.last_seq();
  if (after <= durable_)
    released_.push_back(std::move(effect));
  else
    waiting_.push_back({after, std::move(effect)});
}

void Ledger::reply_error(Peer peer, std::uint64_t correlation, const Error& error, Duration again) {
  effect(refusal(peer, correlation, error, again));
}

void Ledger::answer(std::vector<Waiters::Answer> answers) {
  const auto forgotten = [](const JobProgress& job) { return job.total == 0; };
  for (auto& one : answers)
    if (std::ranges::any_of(one.progress.jobs, forgotten))
      effect(CompleteProgress{one.peer, one.correlation, std::move(one.progress)});
    else
      effect(ToPeer{one.peer, MessageType::progress, one.correlation, encode(one.progress)});
}

std::optional<JobProgress> Ledger::progress_of(JobId job) const {
  auto progress = cluster_.progress(job);
  return progress ? std::optional(*progress) : std::nullopt;
}

RefusedWish Ledger::wish(const core::Command& command, TimePoint now) {
  RefusedWish refused;
  if (trouble_) {
    refused.error = refusal_of(*trouble_);
    if (const auto* place = std::get_if<core::Place>(&command))
      for (const Placement& placement : place->placements)
        refused.placements.push_back({placement, *refused.error});
    return refused;
  }
  auto outcome = execute(command, now);
  refused.placements = std::move(outcome.refused);
  refused.error = std::move(outcome.error);
  return refused;
}

// ---- nodes

void Ledger::register_node(Peer peer, std::uint64_t correlation, const RegisterNode& message,
                           Duration heartbeat, TimePoint now) {
  if (trouble_)
    return reply_error(peer, correlation, refusal_of(*trouble_), retry_after);
  if (const core::Node* known = cluster_.find_node(message.name);
      known && known->state == NodeState::up && known->incarnation != message.incarnation)
    if (const auto at = bound_.find(known->id); at != bound_.end() && at->second != peer)
      return reply_error(
        peer, correlation,
        {Code::conflict, "name", "another agent that is connected now is node " + message.name});
  const auto outcome = execute(core::RegisterNode{{},
                                                  message.name,
                                                  message.incarnation,
                                                  message.capacity,
                                                  message.labels,
                                                  message.executors,
                                                  message.program,
                                                  message.pulls},
                               now);
  if (outcome.error)
    return reply_error(peer, correlation, *outcome.error);
  auto [stop, resend, cancel, move] = cluster_.reconcile(outcome.node, message.attempts);
  std::erase_if(bound_, [&](const auto& entry) { return entry.second == peer; });
  bound_[outcome.node] = peer;
  effect(NodeBound{peer,
                   correlation,
                   message.session,
                   message.incarnation,
                   {outcome.node, message.session, heartbeat, std::move(stop)}});
  for (const Placement& placement : resend)
    dispatch(placement, placement.slots, true);
  if (tell_stops(outcome.node, std::move(cancel), std::move(move)))
    stopping_[outcome.node] = now;
}

bool Ledger::tell_stops(NodeId node, std::vector<JobRuns> cancel, std::vector<JobRuns> move) {
  const bool any = !cancel.empty() || !move.empty();
  for (JobRuns& tasks : cancel)
    effect(StopOnNode{node, std::move(tasks), "cancelled"});
  for (JobRuns& tasks : move)
    effect(StopOnNode{node, std::move(tasks), "moved", true});
  return any;
}

void Ledger::results(Peer peer, NodeId node, Results message, TimePoint now) {
  if (trouble_ && REEVE_MUTANT(acks_in_trouble))
    return reply(peer, 0, ResultsAck{{message.number}});
  if (trouble_)
    return;
  const auto outcome = execute(core::Finish{node, std::move(message.jobs)}, now);
  if (outcome.changed > 0 && !message.outputs.empty()) {
    std::set<std::tuple<JobId, TaskIndex, Attempt>> counted; // the others are late, or a lie
    for (const JobResults& job : std::get<TasksFinished>(open_.entries.back().fact).jobs)
      for (const TaskResult& task : job.tasks)
        counted.emplace(job.job, task.index, task.attempt);
    for (TaskOutput& output : message.outputs)
      if (counted.contains({output.job, output.index, output.attempt}))
        open_.outputs.push_back(std::move(output));
  }
  reply(peer, 0, ResultsAck{{message.number}});
}

void Ledger::leave(NodeId node, const std::string& reason, TimePoint now) {
  if (!trouble_)
    execute(core::MarkLost{{node}, reason, true}, now);
}

void Ledger::peer_gone(Peer peer) {
  waiters_.drop(peer);
  std::erase_if(bound_, [&](const auto& entry) { return entry.second == peer; });
}

void Ledger::measured(NodeId node, const Resources& used, TimePoint heard) {
  if (!cluster_.find_node(node))
    return;
  auto& last = measured_[node];
  if (last.heard != TimePoint{})
    heartbeat_gap_.took(heard - last.heard);
  last = {used, heard};
}

void Ledger::counted_there(NodeId id, std::uint64_t tasks, TimePoint heard) {
  const core::Node* node = cluster_.find_node(id);
  const auto peer = bound_.find(id);
  if (!node || peer == bound_.end() || trouble_ || node->tasks == tasks) {
    disagreements_.erase(id);
    return;
  }
  const auto [at, fresh] = disagreements_.try_emplace(id);
  Disagreement& known = at->second;
  if (fresh || known.here != node->tasks || known.there != tasks || heard < known.since) {
    known = {node->tasks, tasks, heard};
  } else if (heard - known.since >= disagree_for) {
    known.since = heard;
    reply(peer->second, 0,
          RegisterAgain{"it has " + std::to_string(tasks) + " tasks, the master counts " +
                        std::to_string(node->tasks)});
  }
}

void Ledger::checked(NodeId id, const std::string& trouble, TimePoint now) {
  const core::Node* node = cluster_.find_node(id);
  if (node && (!trouble.empty() || node->drained_by_check) && !trouble_)
    execute(core::CheckNode{id, trouble}, now);
}

/// How long tasks waited, told by what has become durable. `started` is by the node's clock.
void Ledger::measure(const core::Committed& batch) {
  const auto submitted = [this](JobId id) {
    const core::Job* job = cluster_.find_job(id);
    return job == nullptr ? TimePoint{} : job->submitted;
  };
  for (const auto& entry : batch.entries) {
    if (const auto* placed = std::get_if<TasksPlaced>(&entry.fact)) {
      for (const Placement& placement : placed->placements)
        if (const TimePoint at = submitted(placement.job); at != TimePoint{})
          for (const TaskRun& run : placement.runs)
            if (run.attempt == 1)
              submit_to_placed_.took(entry.time - at, run.count);
    } else if (const auto* finished = std::get_if<TasksFinished>(&entry.fact)) {
      for (const JobResults& job : finished->jobs) {
        const TimePoint at = submitted(job.job);
        if (at == TimePoint{})
          continue;
        for (const QuietRun& quiet : job.quiet)
          if (quiet.run.attempt == 1 && quiet.started != TimePoint{})
            submit_to_start_.took(quiet.started - at, quiet.run.count);
        for (const TaskResult& task : job.tasks)
          if (task.attempt == 1 && task.started != TimePoint{})
            submit_to_start_.took(task.started - at);
      }
    }
  }
}

void Ledger::tick(TimePoint now) {
  if (trouble_)
    return;
  answer(waiters_.tick(now, [this](JobId job) { return progress_of(job); }));
  tell_stops_again(now);
}

/// The word to stop has no number that would show its loss, as work has: it is said until nothing
/// is left to stop. Agents that have heard it take no notice.
void Ledger::tell_stops_again(TimePoint now) {
  for (auto at = stopping_.begin(); at != stopping_.end();) {
    auto& [node, told] = *at;
    if (told == TimePoint{} || told > now)
      told = now;
    if (now - told < stop_again) {
      ++at;
      continue;
    }
    told = now;
    auto left = cluster_.reconcile(node, {});
    at = tell_stops(node, std::move(left.cancel), std::move(left.move)) ? std::next(at)
                                                                        : stopping_.erase(at);
  }
}

Beacon Ledger::make_beacon(TimePoint now) const {
  const Stats stats = cluster_.stats();
  Beacon beacon;
  beacon.cluster = identity_.cluster;
  beacon.master = identity_.master;
  beacon.seq = stats.seq;
  beacon.time = now;
  beacon.nodes_up = stats.nodes_up;
  beacon.nodes_down = stats.nodes_lost;
  beacon.capacity = stats.capacity;
  beacon.available = stats.available;
  beacon.tasks_pending = stats.tasks_pending;
  beacon.tasks_assigned = stats.tasks_assigned;
  std::set<std::pair<std::uint32_t, JobId>> largest; // by tasks
  std::size_t looks = 0;
  for (const auto& [id, node] : cluster_.nodes())
    for (const JobId job : node.jobs) {
      if (++looks > beacon_looks)
        break;
      largest.emplace(cluster_.find_job(job)->count, job);
      if (largest.size() > beacon_jobs)
        largest.erase(largest.begin());
    }
  for (auto at = largest.rbegin(); at != largest.rend(); ++at)
    if (const auto progress = progress_of(at->second))
      beacon.jobs.push_back(*progress);
  return beacon;
}

void Ledger::send_beacon(TimePoint now) {
  ToAllNodes all;
  if (!trouble_)
    told_ = make_beacon(now);
  if (!told_)
    return;
  all.beacon = *told_; // while the journal fails: what was last true, for agents that listen for it
  all.beacon.time = now;
  for (const auto& [id, node] : cluster_.nodes())
    if (!node.takes_work(now))
      all.states.emplace(id, std::pair{node.state, node.draining});
  effect(std::move(all));
}

// ---- the journal's side

void Ledger::close_batch() {
  if (open_.entries.empty())
    return;
  pending_.push_back(std::make_shared<const core::Committed>(std::move(open_)));
  closed_.push_back(std::move(open_batch_));
  open_ = {};
  open_batch_ = {};
  open_bytes_ = 0;
}

std::vector<journal::Batch> Ledger::take_batches() {
  close_batch();
  return std::exchange(closed_, {});
}

bool Ledger::has_batches() const {
  return !closed_.empty() || !open_.entries.empty();
}

std::size_t Ledger::undurable() const {
  return trouble_ ? 0 : cluster_.last_seq().value - durable_.value;
}

void Ledger::durable(Seq seq) {
  if (trouble_ || seq <= durable_)
    return;
  durable_ = seq;
  for (; !pending_.empty() && pending_.front()->last() <= seq; pending_.pop_front()) {
    measure(*pending_.front());
    committed_.push_back(std::move(pending_.front()));
  }
  for (; !waiting_.empty() && waiting_.front().after <= seq; waiting_.pop_front())
    released_.push_back(std::move(waiting_.front().effect));
}

void Ledger::append_failed(const Error& error, TimePoint now) {
  if (trouble_)
    return;
  trouble_ = Trouble{error, now};
  readable_ = false;
  open_ = {};
  open_batch_ = {};
  open_bytes_ = 0;
  closed_.clear();
  pending_.clear();
  for (auto& [after, effect] : std::exchange(waiting_, {}))
    if (REEVE_MUTANT(failure_releases))
      released_.push_back(std::move(effect));
    else if (const auto [peer, correlation] = asker(effect); peer != 0)
      reply_error(peer, correlation, refusal_of(*trouble_), retry_after);
}

void Ledger::show(core::Cluster cluster) {
  if (!trouble_)
    return;
  cluster_ = std::move(cluster);
  readable_ = true;
}

void Ledger::reload(core::Cluster cluster) {
  cluster_ = std::move(cluster);
  durable_ = cluster_.last_seq();
  trouble_.reset();
  bound_.clear();
  stopping_.clear();
  for (const auto& [id, node] : cluster_.nodes())
    if (node.state == NodeState::up)
      effect(NodeUnbound{id, "the master has read its journal again"});
  for (auto& waiting : waiters_.take_all())
    handle(waiting.peer, waiting.correlation, waiting.wait, waiting.renewed);
}

// ---- outputs

std::vector<Effect> Ledger::take_effects() {
  return std::exchange(released_, {});
}
std::vector<core::CommittedPtr> Ledger::take_committed() {
  return std::exchange(committed_, {});
}

void Ledger::request(Peer peer, std::uint64_t correlation, const Request& request, TimePoint now) {
  if (trouble_ && !(readable_ && only_looks(request)) &&
      !std::holds_alternative<GetMaster>(request))
    return reply_error(peer, correlation, refusal_of(*trouble_), retry_after);
  std::visit([&](const auto& message) { handle(peer, correlation, message, now); }, request);
}

} // namespace reeve::ledger
