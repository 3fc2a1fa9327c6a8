// See agent_loop.hpp.
#include "agents/worker/agent_loop.hpp"

#include "agents/worker/agent_logs.hpp"
#include "agents/worker/agent_wire.hpp"
#include "agents/worker/output.hpp"
#include "agents/worker/output_sweep.hpp"
#include "src/log/log.hpp"
#include "src/util/text.hpp"

#include <array>
#include <csignal>
#include <random>

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

namespace reeve::worker {

namespace {

constexpr std::size_t frames_a_turn = 1'000; // so that no master starves timers and tasks
constexpr Duration measure_every{1'000'000};
constexpr Duration sweep_every = std::chrono::hours(1), first_sweep = std::chrono::minutes(1);
constexpr Duration results_patience{5'000'000}; // for the last acknowledgements while stopping
constexpr int leave_linger_ms = 1'000;
constexpr int connection_heartbeat_ms =
  5'000; // seldom: there may be 10,000 of us, and beacons come
constexpr int keeper_end_ms = 5'000;

void log(const Note& note) {
  constexpr std::array levels{spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                              spdlog::level::err};
  spdlog::log(levels[static_cast<std::size_t>(note.level)], "{}", note.text);
}

void tell_tasks(spdlog::level::level_enum level, std::string_view what, JobId job,
                const TaskRun& run, const JobSpec* spec, const std::string& cause) {
  log::say(level, "task " + std::string(what),
           {{"job", std::to_string(job.value)},
            {"task", std::to_string(run.first)},
            {"tasks", run.count > 1 ? std::to_string(run.count) : std::string()},
            {"attempt", std::to_string(run.attempt)},
            {"cause", cause},
            {"correlation", spec ? spec->correlation : std::string()}});
}

TimePoint wall_now() {
  return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

Result<KeeperClient> find_keeper(const AgentOptions& options) {
  auto client = KeeperClient::connect(options.dir);
  if (client || client.error().code != Code::unavailable)
    return client;
  if (auto launched = launch_keeper(options.keeper_command); !launched)
    return tl::unexpected(launched.error());
  return KeeperClient::connect(options.dir);
}

} // namespace

// ---- beginning

AgentLoop::AgentLoop(AgentOptions options, ControlServer& control, int signals,
                     KeeperClient&& keeper)
    : options_(std::move(options)), control_(control), signals_(signals),
      timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)),
      wall_start_(wall_now()), steady_start_(std::chrono::steady_clock::now()),
      process_(std::move(keeper), options_.dir),
      functions_(options_.functions, static_cast<unsigned>(std::max<std::int64_t>(
                                       options_.capacity.cpu_milli / 1'000, 1))),
      machine_(options_.dir), check_(options_.check) {}

AgentLoop::~AgentLoop() {
  if (timer_ >= 0)
    ::close(timer_);
}

Result<std::unique_ptr<AgentLoop>> AgentLoop::create(AgentOptions options, ControlServer& control,
                                                     int signals) {
  auto client = find_keeper(options);
  if (!client)
    return fail(client.error().code, "keeper", client.error().message());
  for (const std::string& text : client->welcome().notes)
    spdlog::info("keeper: {}", text);
  if (!client->welcome().lost.empty())
    spdlog::warn("{} tasks of the keeper before this one are lost", client->welcome().lost.size());
  auto specs = SpecLog::open(options.dir + "/specs.log");
  if (!specs)
    return tl::unexpected(specs.error());

  AgentConfig config;
  config.name = options.name;
  config.incarnation = client->incarnation();
  config.capacity = options.capacity;
  config.labels = options.labels;
  config.pulls = options.pulls;
  config.executors = {"process", "noop", "sleep"};
  for (const auto& [name, function] : options.functions)
    config.executors.push_back(name);
  config.program = options.program;
  config.masters = options.masters;
  config.seed = random_seed();
  auto core = std::make_unique<AgentCore>(std::move(config));
  core->set_batch("noop", NoopExecutor::batch);

  const std::vector<keeper::Running> running = client->welcome().running;
  const std::vector<keeper::Exit> ended = client->ended();
  std::map<JobId, bool> held;
  for (const auto& each : running)
    held[each.id.job] = true;
  for (const auto& each : ended)
    held[each.job] = true;
  if (auto kept = specs->retain([&](JobId job) { return held.contains(job); }); !kept)
    return tl::unexpected(kept.error());
  for (const auto& [job, spec] : specs->specs())
    core->adopt_spec(job, spec);

  std::unique_ptr<AgentLoop> loop(
    new AgentLoop(std::move(options), control, signals, std::move(*client)));
  for (const auto& each : running) {
    core->adopt(each.id, each.epoch, each.units);
    loop->process_.adopt(each.id, each.epoch);
  }
  for (const auto& each : ended)
    core->adopt(each.job, ProcessExecutor::finished_task(loop->options_.dir, keeper::Exit(each)),
                each.epoch, loop->now().steady);
  if (!running.empty() || !ended.empty())
    spdlog::info("adopted {} running tasks and {} that ended", running.size(), ended.size());
  loop->core_ = std::move(core);
  loop->specs_ = std::move(*specs);
  if (auto opened = loop->open_links(); !opened)
    return tl::unexpected(opened.error());
  return loop;
}

Result<void> AgentLoop::open_links() {
  net::DealerOptions options;
  options.linger_ms = leave_linger_ms;
  options.heartbeat_ms = connection_heartbeat_ms;
  for (const std::string& endpoint : options_.masters) {
    auto dealer = net::Dealer::connect(context_, endpoint, options);
    if (!dealer)
      return fail(dealer.error().code, "master", dealer.error().text);
    dealers_.push_back(std::move(*dealer));
    spdlog::info("connecting to {}", endpoint);
  }
  measure_at_ = now().steady;
  sweep_at_ =
    measure_at_ + first_sweep; // it reads a folder of up to 200,000 files: not at the start
  status_at_ = now().steady + options_.status_interval;
  return {};
}

Now AgentLoop::now() const {
  const auto passed =
    std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - steady_start_);
  return {wall_start_ + passed, wall_now()};
}

// ---- the loop

LoopEnd AgentLoop::run() {
  while (!end_) {
    wait();
    read_signals();
    read_links();
    collect();
    control_.serve([this](std::string_view command) { return control(command); });
    if (now().steady >= measure_at_)
      measure();
    if (now().steady >= sweep_at_) {
      sweep_at_ = now().steady + sweep_every;
      sweep(false);
    }
    check_.turn(now().steady);
    core_->set_trouble(check_.trouble().empty() ? stuck_ : check_.trouble(), now().steady);
    if (!end_)
      act();
    check_end();
  }
  return *end_;
}

std::optional<TimePoint> AgentLoop::next_wake() const {
  std::optional<TimePoint> wake = measure_at_;
  const auto at = [&wake](std::optional<TimePoint> when) {
    if (when)
      wake = std::min(*wake, *when);
  };
  at(core_->next_wake());
  at(noop_.wake_at());
  at(sleep_.wake_at());
  at(check_.wake_at());
  at(stop_by_);
  at(results_by_);
  return wake;
}

void AgentLoop::wait() {
  const auto left = std::max<std::int64_t>((*next_wake() - now().steady).count(), 0);
  itimerspec timer{};
  timer.it_value.tv_sec = left / 1'000'000;
  timer.it_value.tv_nsec = left % 1'000'000 * 1'000 + 1; // 0 would disarm it
  ::timerfd_settime(timer_, 0, &timer, nullptr);

  std::vector<zmq::pollitem_t> items;
  for (net::Dealer& dealer : dealers_) {
    items.push_back({dealer.socket(), 0, ZMQ_POLLIN, 0});
    items.push_back({dealer.monitor(), 0, ZMQ_POLLIN, 0});
  }
  const short keeper_events = process_.poll_events();
  items.push_back({nullptr, process_.fd(),
                   static_cast<short>((keeper_events & POLLIN ? ZMQ_POLLIN : 0) |
                                      (keeper_events & POLLOUT ? ZMQ_POLLOUT : 0)),
                   0});
  items.push_back({nullptr, functions_.fd(), ZMQ_POLLIN, 0});
  items.push_back({nullptr, timer_, ZMQ_POLLIN, 0});
  items.push_back({nullptr, signals_, ZMQ_POLLIN, 0});
  for (const int fd : check_.descriptors())
    items.push_back({nullptr, fd, ZMQ_POLLIN, 0});
  for (const int fd : control_.descriptors())
    items.push_back({nullptr, fd, ZMQ_POLLIN, 0});
  zmq_poll(items.data(), static_cast<int>(items.size()), left == 0 ? 0 : -1);
}

void AgentLoop::read_links() {
  for (std::size_t k = 0; k < dealers_.size(); ++k) {
    while (const auto event = dealers_[k].event()) {
      if (*event == net::Dealer::Event::connected)
        core_->connected(k, now().steady);
      else
        core_->disconnected(k, now().steady);
    }
    for (std::size_t n = 0; n < frames_a_turn; ++n) {
      auto frames = dealers_[k].receive();
      if (!frames) {
        spdlog::error("ignored from {}: {}", options_.masters[k], frames.error().message());
        if (frames.error().code == Code::io)
          break;
        continue;
      }
      if (!*frames)
        break;
      read_frame(k, **frames);
    }
  }
}

void AgentLoop::read_frame(std::size_t link, const net::Frames& frames) {
  auto incoming = decode_from_master(frames.header(), frames.body());
  if (!incoming) {
    spdlog::error("ignored a message from {}: {}", options_.masters[link],
                  incoming.error().message());
    return;
  }
  if (const auto* request = std::get_if<LogRequest>(&incoming->message))
    if (core_->obeys(link, incoming->header.epoch))
      answer_log(link, *request);
  core_->receive(link, incoming->header.epoch, std::move(incoming->message), now().steady);
}

void AgentLoop::answer_log(std::size_t link, const LogRequest& request) {
  const ReadLog& log = request.log;
  const AgentWork& work = core_->work();
  AttemptId id{log.job, log.index, log.attempt};
  if (id.attempt == 0)
    id.attempt = work.newest_attempt(log.job, log.index);
  LogReply reply;
  reply.request = request.request;
  const bool known = id.attempt != 0 && work.newest_attempt(log.job, log.index) == id.attempt;
  auto chunk = id.attempt == 0
                 ? Result<LogChunk>(fail(Code::not_found, {}, "no such attempt on this node"))
                 : read_output(options_.dir, id, log.stream, log.offset, log.limit);
  if (!chunk) {
    reply.text = chunk.error().message().substr(0, 1'000);
  } else if (chunk->written == 0 && !known) {
    reply.text = "nothing is kept here of that attempt's output";
  } else {
    chunk->attempt = id.attempt;
    chunk->ended = !work.runs(id.job, id.index, id.attempt);
    reply.chunk = std::move(*chunk);
  }
  if (!dealers_[link].send(reeve::frames(reply, 0, core_->epoch())))
    spdlog::debug("a log reply to {} was not sent", options_.masters[link]);
}

void AgentLoop::finished(Finished done, TimePoint at) {
  if (log::wanted(spdlog::level::debug)) {
    const JobSpec* spec = core_->work().spec_of(done.job);
    for (const QuietRun& quiet : done.quiet)
      tell_tasks(spdlog::level::debug, "ended", done.job, quiet.run, spec, {});
    for (const FinishedTask& task : done.tasks)
      tell_tasks(spdlog::level::debug, "ended", done.job,
                 {task.result.index, 1, task.result.attempt}, spec,
                 std::string(name_of(task.result.cause)));
  }
  core_->finished(std::move(done), at);
}

void AgentLoop::collect() {
  const Now at = now();
  ended_.clear();
  const auto lost = process_.collect(at, ended_);
  (void)sleep_.collect(at, ended_);
  (void)noop_.collect(at, ended_);
  (void)functions_.collect(at, ended_);
  for (Finished& each : ended_)
    finished(std::move(each), at.steady);
  for (const auto& [name, function] : functions_.functions())
    core_->set_batch(name, functions_.batch(name));
  if (!lost && !end_)
    recover_keeper(lost.error());
}

void AgentLoop::recover_keeper(const Error& why) {
  spdlog::error("lost the keeper: {}", why.message());
  std::vector<Finished> missed;
  if (auto again = process_.reconnect(missed); !again) {
    spdlog::error("no way back to that keeper: {}; starting over", again.error().message());
    end_ = LoopEnd::keeper_lost;
    return;
  }
  spdlog::info("connected to the same keeper again");
  for (Finished& each : missed)
    finished(std::move(each), now().steady);
}

Executor* AgentLoop::executor_of(const JobSpec* spec) {
  if (!spec || spec->executor == "process")
    return &process_;
  if (spec->executor == "noop")
    return &noop_;
  if (spec->executor == "sleep")
    return &sleep_;
  return &functions_;
}

void AgentLoop::act() {
  for (;;) {
    core_->step(now().steady, actions_);
    if (actions_.empty())
      return;
    perform(actions_);
    ended_.clear(); // what has ended at once
    (void)noop_.collect(now(), ended_);
    for (Finished& each : ended_)
      finished(std::move(each), now().steady);
  }
}

void AgentLoop::perform_tasks(Actions& actions) {
  const Now at = now();
  for (StartTasks& start : actions.start) {
    if (log::wanted(spdlog::level::debug))
      tell_tasks(spdlog::level::debug, "starts", start.job, start.run, start.spec.get(), {});
    executor_of(start.spec.get())->start(std::move(start), at);
  }
  for (const StopRun& stop : actions.stop)
    executor_of(stop.spec.get())->stop(stop, at);
  process_.release(std::move(actions.release));
  for (const JobId job : actions.forget) {
    if (core_->work().knows(job)) // it has come again meanwhile
      continue;
    process_.forget(job);
    if (auto dropped = specs_->drop(job); !dropped)
      spdlog::error("{}", dropped.error().message());
  }
  for (const AssignedSpec& spec : actions.specs)
    if (core_->work().knows(spec.job))
      if (auto put = specs_->put(spec.job, spec.spec); !put)
        spdlog::error("{}", put.error().message());
  process_.commit();
}

void AgentLoop::perform(Actions& actions) {
  for (const Note& note : actions.notes)
    log(note);
  perform_tasks(actions);
  for (const Send& send : actions.send)
    if (!dealers_[send.link].send(encode_to_master(send.message, core_->epoch())))
      spdlog::debug("a message to {} was not sent; it will be again", options_.masters[send.link]);
  for (const std::size_t link : actions.registered) {
    const Link& master = core_->links()[link];
    spdlog::info("registered with {} as node {} (epoch {})", master.endpoint, master.node.value,
                 master.epoch.value);
    if (options_.on_registered)
      options_.on_registered(master.endpoint, master.node);
  }
}

void AgentLoop::measure() {
  core_->set_used(machine_.measure());
  const TimePoint at = now().steady;
  measure_at_ = at + measure_every;
  stuck_ = process_.trouble(at);
  if (options_.status_interval.count() > 0 && at >= status_at_) {
    status_at_ = at + options_.status_interval;
    spdlog::info("running {}, waiting {}, results not acknowledged {}", core_->work().running(),
                 core_->work().waiting(), core_->results().pending() + core_->results().unacked());
  }
}

// ---- the end

void AgentLoop::read_signals() {
  signalfd_siginfo info{};
  while (::read(signals_, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGUSR2)
      end(LoopEnd::kept);
    else if (stop_by_) // asked twice: wait for nothing more
      end(LoopEnd::stopped);
    else
      begin_stop("the agent was stopped");
  }
}

/// Of "5 3", a job and a task.
std::string AgentLoop::attempt_text(std::string_view asked) const {
  const auto id = parse_output_task(asked, ' ');
  if (!id)
    return id.error().message() + "\n";
  const Attempt attempt = core_->work().newest_attempt(id->job, id->index);
  return text_of({attempt, attempt != 0 && core_->work().runs(id->job, id->index, attempt)});
}

ControlServer::Answer AgentLoop::control(std::string_view command) {
  if (command == "status")
    return {status_json(*core_, options_.dir, now().steady, true) + "\n", false};
  if (command == "stop") {
    begin_stop("the agent was stopped");
    return {"stopping\n", true};
  }
  if (constexpr std::string_view name = "log-level "; command.starts_with(name)) {
    const auto level = command.substr(name.size());
    if (auto set = log::set_level(level); !set)
      return {set.error().message() + "\n", false};
    spdlog::info("log level is {}", level);
    return {"log level is " + std::string(level) + "\n", false};
  }
  if (command == "sweep" || command == "sweep dry-run")
    return {sweep(command != "sweep") + "\n", false};
  if (constexpr std::string_view name = "attempt "; command.starts_with(name))
    return {attempt_text(command.substr(name.size())), false};
  if (command == "stop keep-tasks") {
    end(LoopEnd::kept);
    return {"stopping, tasks run on\n", true};
  }
  return {"unknown command\n", false};
}

/// Output that is older than it is kept goes. Returns what did, or would.
std::string AgentLoop::sweep(bool dry_run) {
  if (options_.keep_outputs == Duration(0))
    return "output is kept as long as there is room (--keep-outputs 0)";
  OldOutputs old = old_outputs(options_.dir, wall_now() - options_.keep_outputs);
  std::string report = report_of(old, options_.keep_outputs, !dry_run);
  if (!dry_run && !old.attempts.empty()) {
    spdlog::info("sweep: {}", report);
    process_.forget_output(std::move(old.attempts));
  }
  return report;
}

void AgentLoop::begin_stop(const std::string& reason) {
  if (stop_by_)
    return;
  spdlog::info("stopping: {} tasks run, {} wait", core_->work().running(), core_->work().waiting());
  const TimePoint at = now().steady;
  // The keeper kills at the end of the grace; its word takes a moment more.
  stop_by_ = at + options_.grace_most + results_patience;
  core_->stop(options_.grace_most, reason, at);
}

void AgentLoop::check_end() {
  if (!stop_by_ || end_)
    return;
  const TimePoint at = now().steady;
  if (core_->work().running() == 0 && !results_by_)
    results_by_ = at + results_patience;
  const bool heard = std::any_of(core_->links().begin(), core_->links().end(),
                                 [](const Link& link) { return link.connected; });
  if (core_->settled() || at >= *stop_by_ || (results_by_ && (at >= *results_by_ || !heard)))
    end(LoopEnd::stopped);
}

void AgentLoop::end(LoopEnd how) {
  if (end_)
    return;
  if (how == LoopEnd::stopped) {
    core_->leave("the agent was stopped");
    act();
    stop_keeper();
    if (!core_->results().empty())
      spdlog::warn("no master has acknowledged the last results; their tasks will run again");
  }
  end_ = how;
}

void AgentLoop::stop_keeper() {
  process_.stop_keeper(Duration(0));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(keeper_end_ms);
  std::vector<Finished> ended;
  while (process_.collect(now(), ended)) { // until it hangs up
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now());
    pollfd item{process_.fd(), process_.poll_events(), 0};
    if (left.count() <= 0 || ::poll(&item, 1, static_cast<int>(left.count())) <= 0) {
      spdlog::warn("the keeper has not ended yet");
      return;
    }
  }
}

} // namespace reeve::worker
