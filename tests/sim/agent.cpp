// See agent.hpp. Follows agents/worker/agent_loop.cpp; where they differ, this file is wrong.
#include "tests/sim/agent.hpp"

namespace reeve::sim {
namespace {
constexpr Duration grace_most = 30s;

std::string how_of(const JobSpec& spec) {
  return spec.command.size() > 1 ? spec.command[1] : "ok";
}
std::uint32_t number_of(const JobSpec& spec) {
  return spec.command.size() > 2 ? static_cast<std::uint32_t>(std::stoul(spec.command[2])) : 0;
}
} // namespace

std::vector<std::string> behaviour(Duration length, std::string how, std::uint32_t number) {
  return {std::to_string(length.count()), std::move(how), std::to_string(number)};
}

// ---- the keeper

Keeper::Keeper(Timeline& timeline, Truth& truth, const Machine& machine)
    : Process(timeline), truth_(truth), machine_(machine),
      random_(seed_of(machine.seed, "keeper")) {}

void Keeper::start() {
  if (alive())
    return;
  born();
  incarnation = Incarnation(random_.next() | 1);
}

void Keeper::crash() {
  died();
  for (const auto& [id, process] : running)
    truth_.ended(id);
  running.clear();
  ended.clear();
  untold.clear();
  specs.clear();
}

void Keeper::replace() {
  if (!alive())
    return;
  died();
  born(); // what was to happen to its processes does not
  while (!running.empty())
    end(AttemptId(running.begin()->first), Cause::lost_node, 0, "the keeper that ran it died");
}

Truth::Place Keeper::place() const {
  return {this, machine_.name, honest, machine_.capacity};
}

void Keeper::run(worker::StartTasks&& tasks) {
  for (std::uint32_t k = 0; k < tasks.run.count; ++k) {
    const AttemptId id{tasks.job, tasks.run.first + k, tasks.run.attempt};
    if (running.contains(id) || ended.contains(id))
      continue; // starting what it knows changes nothing
    truth_.started(place(), id, tasks.spec->resources);
    running[id] = {tasks.epoch, tasks.spec->resources, tasks.units, timeline_.now(), false};
    if (random_.percent(2)) { // no room on the disk, just now
      end_after(random_.between(1ms, 50ms), id, Cause::node_trouble, 0, "no space left");
      continue;
    }
    const std::string how = how_of(*tasks.spec);
    Duration length(std::stoll(tasks.spec->command.front()));
    Cause cause = Cause::none;
    std::int32_t code = 0;
    if (tasks.spec->speculate && random_.percent(10)) // its node has a bad day
      length *= 20;
    if (how == "hang")
      length = 24h;
    else if (how == "fail" && id.attempt <= number_of(*tasks.spec))
      cause = Cause::exit_code, code = 1;
    else if (how == "signal" && id.attempt <= number_of(*tasks.spec))
      cause = Cause::signal, code = 11;
    if (const Duration limit = tasks.spec->time_limit; limit > Duration(0) && limit < length)
      length = limit, cause = Cause::time_limit, code = 15;
    if (how != "hang" || cause == Cause::time_limit)
      end_after(length, id, cause, code, cause == Cause::none ? "" : "as it was meant to");
  }
}

void Keeper::end_after(Duration wait, const AttemptId& id, Cause cause, std::int32_t code,
                       const std::string& text) {
  after(wait, [this, id, cause, code, text] { end(id, cause, code, text); });
}

void Keeper::stop(const worker::StopRun& stopped) {
  for (std::uint32_t k = 0; k < stopped.run.count; ++k) {
    const AttemptId id{stopped.job, stopped.run.first + k, stopped.run.attempt};
    const auto at = running.find(id);
    if (at == running.end() || std::exchange(at->second.stopping, true))
      continue;
    end_after(random_.percent(70) ? random_.between(1ms, 300ms) : random_.between(1s, 10s), id,
              stopped.cause, 15, stopped.text);
  }
}

void Keeper::end(const AttemptId& id, Cause cause, std::int32_t code, const std::string& text) {
  const auto at = running.find(id);
  if (at == running.end())
    return; // stopped before its end
  worker::FinishedTask task;
  task.result.index = id.index;
  task.result.attempt = id.attempt;
  task.result.cause = cause;
  (cause == Cause::none || cause == Cause::exit_code ? task.result.exit_code : task.result.signal) =
    code;
  task.result.text = text;
  task.result.started = machine_.clock.wall(at->second.started);
  task.result.ended = machine_.clock.wall(timeline_.now());
  task.result.stdout_bytes = 1;
  ended.emplace(id, std::pair{std::move(task), at->second.epoch});
  untold.push_back(id);
  running.erase(at);
  truth_.ended(id);
  if (on_end)
    on_end();
}

// ---- the agent

Agent::Agent(Timeline& timeline, Network& network, Truth& truth, Machine machine,
             std::size_t masters)
    : Process(timeline), network_(network), truth_(truth), machine_(std::move(machine)),
      random_(seed_of(machine_.seed, "agent")), keeper_(timeline, truth, machine_) {
  for (std::size_t k = 0; k < masters; ++k) {
    links_.emplace_back(*this, k);
    links_.back().host = network.add(links_.back(), k);
  }
  keeper_.on_end = [this] { at(timeline_.now(), [this] { act(); }); };
}

worker::Now Agent::now() const {
  return {machine_.clock.steady(timeline_.now()), machine_.clock.wall(timeline_.now())};
}

void Agent::start() {
  if (alive())
    return;
  keeper_.start();
  born();
  leaving_ = left_ = false;
  worker::AgentConfig config;
  config.name = machine_.name;
  config.incarnation = keeper_.incarnation;
  config.capacity = machine_.capacity;
  config.labels = machine_.labels;
  config.executors = {"process", "noop", "sleep"};
  config.program = "reeve-agent";
  for (const Link& link : links_)
    config.masters.push_back("m" + std::to_string(link.number + 1));
  config.seed = random_.next();
  core_ = std::make_unique<worker::AgentCore>(std::move(config));
  noop_ = std::make_unique<worker::NoopExecutor>();
  sleep_ = std::make_unique<worker::SleepExecutor>();
  core_->set_batch("noop", worker::NoopExecutor::batch);
  sent_.clear();
  adopt();
  act();
}

void Agent::adopt() {
  std::set<JobId> held;
  for (const auto& [id, process] : keeper_.running)
    held.insert(id.job);
  for (const auto& [id, exit] : keeper_.ended)
    held.insert(id.job);
  std::erase_if(keeper_.specs, [&](const auto& spec) { return !held.contains(spec.first); });
  for (const auto& [job, spec] : keeper_.specs)
    core_->adopt_spec(job, spec);
  for (const auto& [id, process] : keeper_.running)
    core_->adopt(id, process.epoch, process.units);
  for (const auto& [id, exit] : keeper_.ended)
    core_->adopt(id.job, worker::FinishedTask(exit.first), exit.second, now().steady);
  keeper_.untold.clear();
}

void Agent::crash() {
  if (!alive())
    return;
  died();
  core_.reset();
  for (const auto& [id, resources] : std::exchange(sleeping_, {}))
    truth_.ended(id);
  hang_up();
  wakes_ = {};
}

void Agent::hang_up() {
  for (const Link& link : links_)
    network_.hang_up(link.host);
}

void Agent::crash_machine() {
  crash();
  keeper_.crash();
}

void Agent::crash_keeper() {
  crash();
  keeper_.replace();
}

void Agent::leave() {
  if (!runs() || leaving_)
    return;
  leaving_ = true;
  core_->stop(grace_most, "the agent was stopped", now().steady);
  act();
  after(grace_most + 5s, [this] { say_goodbye(); });
}

void Agent::end_if_done() {
  if (!leaving_ || left_ || !core_->settled())
    return;
  say_goodbye();
}

void Agent::say_goodbye() {
  if (std::exchange(left_, true))
    return;
  core_->leave("the agent was stopped");
  after(0us, [this] { act(); });
  after(100ms, [this] { crash_machine(); }); // so long its last words linger
}

void Agent::on_connected(std::size_t link) {
  core_->connected(link, now().steady);
  act();
}
void Agent::on_disconnected(std::size_t link) {
  if (!alive())
    return;
  at(timeline_.now(), [this, link] { // a stopped agent hears of it later
    core_->disconnected(link, now().steady);
    if (network_.peer_of(links_[link].host) != 0)
      core_->connected(link, now().steady);
    act();
  });
}

void Agent::on_frame(std::size_t link, const Frame& frame) {
  at(timeline_.now(), [this, link, frame] {
    auto incoming = worker::decode_from_master(frame.header, frame.body);
    if (!incoming)
      return truth_.broken("an agent cannot read its master: " + incoming.error().message());
    check_ack(*incoming);
    const Epoch before = core_->epoch();
    core_->receive(link, incoming->header.epoch, std::move(incoming->message), now().steady);
    if (core_->epoch() < before)
      truth_.broken(machine_.name + " obeyed epoch " + std::to_string(core_->epoch().value) +
                    " after it had heard of " + std::to_string(before.value));
    act();
  });
}

void Agent::check_ack(const worker::Incoming& incoming) {
  const auto* ack = std::get_if<ResultsAck>(&incoming.message);
  if (!ack || incoming.header.epoch < core_->epoch())
    return;
  for (const std::uint64_t number : ack->numbers)
    if (const auto at = sent_.find(number); at != sent_.end()) {
      for (const JobRuns& tasks : at->second)
        truth_.acknowledged(machine_.name, tasks);
      sent_.erase(at);
    }
}

void Agent::note_sent(const Results& message) {
  std::vector<JobRuns> all;
  for (const JobResults& job : message.jobs) {
    JobRuns runs{job.job, {}};
    for (const QuietRun& quiet : job.quiet)
      runs.runs.push_back(quiet.run);
    for (const TaskResult& task : job.tasks)
      runs.runs.push_back({task.index, 1, task.attempt});
    all.push_back(std::move(runs));
  }
  sent_[message.number] = std::move(all);
}

void Agent::collect() {
  std::vector<worker::Finished> done;
  for (const AttemptId& id : std::exchange(keeper_.untold, {}))
    done.push_back({id.job, {}, {keeper_.ended.at(id).first}});
  static_cast<void>(sleep_->collect(now(), done));
  static_cast<void>(noop_->collect(now(), done));
  for (worker::Finished& each : done) {
    const auto over = [&](TaskIndex index, Attempt attempt) {
      if (const AttemptId id{each.job, index, attempt}; sleeping_.erase(id) > 0)
        truth_.ended(id);
    };
    for (const QuietRun& quiet : each.quiet)
      for (std::uint32_t k = 0; k < quiet.run.count; ++k)
        over(quiet.run.first + k, quiet.run.attempt);
    for (const auto& task : each.tasks)
      over(task.result.index, task.result.attempt);
    core_->finished(std::move(each), now().steady);
  }
}

void Agent::act() {
  collect();
  for (;;) {
    core_->step(now().steady, actions_);
    if (actions_.empty())
      break;
    perform(actions_);
    collect();
  }
  wake();
  end_if_done();
}

void Agent::perform(worker::Actions& actions) {
  perform_tasks(actions);
  for (const worker::Send& send : actions.send) {
    if (const auto* results = std::get_if<worker::AgentResults::Message>(&send.message))
      note_sent(**results);
    auto [header, body] = worker::encode_to_master(send.message, core_->epoch());
    network_.send_up(links_[send.link].host, {std::move(header), std::move(body)});
  }
}

void Agent::perform_tasks(worker::Actions& actions) {
  for (worker::StartTasks& start : actions.start) {
    if (start.spec->executor != "noop" && start.spec->executor != "sleep") {
      keeper_.run(std::move(start));
      continue;
    }
    const Truth::Place place{&keeper_, machine_.name, keeper_.honest, machine_.capacity};
    // A batch is run one after the other in one slot: it counts once.
    for (std::uint32_t k = 0; k < start.run.count; ++k) {
      const AttemptId id{start.job, start.run.first + k, start.run.attempt};
      sleeping_[id] = {};
      truth_.started(place, id, k == 0 ? start.spec->resources : Resources{});
    }
    if (start.spec->executor == "noop")
      noop_->start(std::move(start), now());
    else
      sleep_->start(std::move(start), now());
  }
  for (const worker::StopRun& stop : actions.stop) {
    if (!stop.spec || stop.spec->executor == "process")
      keeper_.stop(stop);
    else if (stop.spec->executor == "sleep")
      sleep_->stop(stop, now());
  }
  for (const AttemptId& id : actions.release)
    keeper_.release(id);
  for (const JobId job : actions.forget)
    if (!core_->work().knows(job))
      keeper_.specs.erase(job);
  for (const AssignedSpec& spec : actions.specs)
    if (core_->work().knows(spec.job))
      keeper_.specs[spec.job] = spec.spec;
}

void Agent::wake() {
  std::optional<TimePoint> next = core_->next_wake();
  for (const auto other : {noop_->wake_at(), sleep_->wake_at()})
    if (other)
      next = std::min(next.value_or(*other), *other);
  if (!next)
    return;
  const TimePoint when = std::max(machine_.clock.when(*next), timeline_.now());
  if (wakes_ > timeline_.now() && wakes_ <= when)
    return;
  wakes_ = when;
  at(when, [this, when] {
    if (wakes_ != when)
      return; // an earlier one came between
    wakes_ = {};
    act();
  });
}

void Agent::lie(Random& random) {
  if (!runs())
    return;
  keeper_.honest = false;
  const std::size_t to = links_.size() == 1 ? 0 : random.below(links_.size());
  const auto send = [&](const auto& message) {
    auto [header, body] = frames(message, 0, core_->epoch());
    network_.send_up(links_[to].host, {std::move(header), std::move(body)});
  };
  const core::Cluster& cluster = truth_.cluster();
  const std::uint64_t session = core_->links()[to].session;
  switch (random.below(4)) {
  case 0: { // results of whatever runs anywhere, and each twice
    Results results;
    results.session = session;
    results.number = 1'000'000 + random.below(1'000);
    for (JobId id = cluster.oldest_job(); id <= cluster.newest_job(); id = id.next())
      if (const core::Job* job = cluster.find_job(id); job && !job->ended) {
        JobResults lies{id, {}, {}};
        for (TaskIndex index = 0; index < job->count; ++index) {
          const Attempt attempt = std::max<Attempt>(cluster.placed(*job, index).attempt, 1);
          lies.quiet.push_back({{index, 1, attempt}, {}, {}});
          lies.quiet.push_back({{index, 1, attempt}, {}, {}});
        }
        lies.quiet.push_back({{0, tasks_max, 1}, {}, {}});
        results.jobs.push_back(std::move(lies));
      }
    return send(results);
  }
  case 1: { // tasks that it never had, and many of them
    RegisterNode message;
    message.name = machine_.name;
    message.incarnation = keeper_.incarnation;
    message.session = random.next();
    message.capacity = machine_.capacity;
    message.executors = {"process", "noop", "sleep"};
    message.attempts = {{JobId(1 + random.below(40)), {{0, 100, 1}, {7, 4'000'000, 3}}},
                        {JobId(1'000'000), {{9'999'999, 1, 1}}}};
    return send(message);
  }
  case 2: { // a session that is not its own; a beat that confirms what was never sent
    Heartbeat beat;
    beat.session = random.percent(50) ? session : random.next();
    beat.assign_seen = random.next();
    beat.used.cpu_milli = 1'000'000'000;
    return send(beat);
  }
  default: { // no message at all
    std::string header, body;
    for (std::uint64_t n = random.below(60); n > 0; --n)
      header += static_cast<char>(random.below(256));
    for (std::uint64_t n = random.below(60); n > 0; --n)
      body += static_cast<char>(random.below(256));
    if (random.percent(50))
      header = encode(Header{protocol_version, MessageType::results, 0, {}});
    network_.send_up(links_[to].host, {header, body});
  }
  }
}

bool Agent::empty() const {
  if (!alive())
    return keeper_.running.empty();
  return keeper_.running.empty() && keeper_.ended.empty() && sleeping_.empty() &&
         core_->settled() && core_->work().jobs() == 0 && keeper_.specs.empty();
}

std::string Agent::state() const {
  if (!alive())
    return machine_.name + " is dead, " + std::to_string(keeper_.running.size()) + " run";
  std::string links;
  for (const auto& link : core_->links())
    links += " " + std::to_string(static_cast<int>(link.state));
  return machine_.name + ": links" + links + ", runs " +
         std::to_string(keeper_.running.size() + sleeping_.size()) + ", kept exits " +
         std::to_string(keeper_.ended.size()) + ", results " +
         std::to_string(core_->results().pending() + core_->results().unacked()) + ", jobs " +
         std::to_string(core_->work().jobs()) + ", specs " + std::to_string(keeper_.specs.size());
}

} // namespace reeve::sim
