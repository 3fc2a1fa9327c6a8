// See agent_core.hpp.
#include "agents/worker/agent_core.hpp"

#include "messages/mutant.hpp"
#include "src/util/text.hpp"

namespace reeve::worker {

namespace {

constexpr std::size_t reason_bytes_max = 1'024;
constexpr Duration pull_least{1'000'000}; // between two
constexpr Duration heartbeat_least{10'000}, heartbeat_most{3'600'000'000};

std::set<std::string> as_set(const std::vector<std::string>& names) {
  return {names.begin(), names.end()};
}

std::string cut(std::string text) {
  if (text.size() > reason_bytes_max)
    text.resize(reason_bytes_max);
  return text;
}

} // namespace

void Actions::clear() {
  start.clear();
  stop.clear();
  release.clear();
  forget.clear();
  specs.clear();
  send.clear();
  registered.clear();
  notes.clear();
}

bool Actions::empty() const {
  return start.empty() && stop.empty() && release.empty() && forget.empty() && specs.empty() &&
         send.empty() && registered.empty() && notes.empty();
}

AgentCore::AgentCore(AgentConfig config)
    : config_(std::move(config)), work_(config_.capacity, as_set(config_.executors)),
      results_(config_.results), random_state_(config_.seed) {
  for (const std::string& endpoint : config_.masters) {
    links_.emplace_back();
    links_.back().endpoint = endpoint;
  }
}

std::uint64_t AgentCore::random() { // splitmix64
  std::uint64_t z = random_state_ += 0x9E3779B97F4A7C15ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

void AgentCore::note(NoteLevel level, std::string text) {
  actions_.notes.push_back({level, std::move(text)});
}

void AgentCore::adopt(const AttemptId& id, Epoch epoch, std::vector<UnitShare> units) {
  work_.adopt(id, std::move(units));
  epoch_ = std::max(epoch_, epoch);
}

void AgentCore::adopt(JobId job, FinishedTask&& ended, Epoch epoch, TimePoint now) {
  work_.adopt_ended({job, ended.result.index, ended.result.attempt});
  epoch_ = std::max(epoch_, epoch);
  Finished done{job, {}, {}};
  done.tasks.push_back(std::move(ended));
  results_.add(std::move(done), now);
}

// ---- links

void AgentCore::connected(std::size_t index, TimePoint now) {
  Link& link = links_[index];
  link.connected = true;
  link.unanswered = 0;
  register_at(index, now);
}

void AgentCore::disconnected(std::size_t index, TimePoint) {
  Link& link = links_[index];
  if (link.connected)
    note(NoteLevel::warning, "lost the connection to " + link.endpoint + "; tasks run on");
  link.connected = false;
  link.state = LinkState::down;
}

void AgentCore::register_at(std::size_t index, TimePoint now) {
  Link& link = links_[index];
  if (!link.connected)
    return;
  link.state = LinkState::registering;
  link.session = random() | 1; // never 0
  link.assign_seen = 0;
  link.asked = now;
  ++link.unanswered;
  link.retry_at = now + patience(link);
  RegisterNode message;
  message.name = config_.name;
  message.incarnation = config_.incarnation;
  message.session = link.session;
  message.capacity = config_.capacity;
  message.labels = config_.labels;
  message.executors = config_.executors;
  message.program = config_.program;
  message.attempts = work_.list();
  message.pulls = config_.pulls;
  actions_.send.push_back({index, std::move(message)});
}

Duration AgentCore::patience(const Link& link) const {
  Duration wait = config_.answer_after;
  for (std::uint32_t n = 1; n < link.unanswered && wait < config_.answer_most; ++n)
    wait *= 2;
  return std::min(wait, config_.answer_most);
}

/// How long a registered master may say nothing. Beacons are due only once one has come.
Duration AgentCore::silence(const Link& link) const {
  return std::max({3 * link.heartbeat, 3 * link.beacon_gap, config_.silence_least});
}

void AgentCore::schedule_heartbeat(Link& link, TimePoint now) {
  const auto tenth = std::max<std::int64_t>(link.heartbeat.count() / 10, 1);
  const auto jitter =
    static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(2 * tenth + 1)) - tenth;
  link.next_heartbeat = now + link.heartbeat + Duration(jitter);
}

void AgentCore::set_trouble(const std::string& trouble, TimePoint now) {
  if (trouble_ == trouble)
    return;
  trouble_ = trouble;
  if (trouble_.empty())
    note(NoteLevel::info, "this machine's check is well again");
  else
    note(NoteLevel::warning, "this machine's check failed: " + trouble_);
  for (Link& link : links_)
    link.next_heartbeat = std::min(link.next_heartbeat, now);
}

void AgentCore::check_link(std::size_t index, TimePoint now) {
  Link& link = links_[index];
  if (!link.connected)
    return;
  if (link.state == LinkState::standby) {
    if (now >= link.retry_at)
      register_at(index, now);
    return;
  }
  if (link.state == LinkState::registering) {
    if (now >= link.retry_at) {
      note(NoteLevel::warning, "no answer from " + link.endpoint + "; registering again");
      register_at(index, now);
    }
    return;
  }
  if (link.state == LinkState::registered && link.beacon && now >= link.heard + silence(link)) {
    note(NoteLevel::warning, link.endpoint + " has been silent; registering again");
    register_at(index, now);
    return;
  }
  if (now >= link.next_heartbeat) {
    Heartbeat beat;
    beat.session = link.session;
    beat.assign_seen = link.assign_seen;
    beat.used = used_;
    beat.trouble = trouble_;
    beat.running = work_.running();
    beat.waiting = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(work_.waiting(), std::numeric_limits<std::uint32_t>::max()));
    actions_.send.push_back({index, std::move(beat)});
    schedule_heartbeat(link, now);
    // With a heartbeat: no timer of its own, and no more frames than needed from an idle cluster.
    if (work_.idle() && !work_.stopping() && leader() == index && now >= link.pulled + pull_least) {
      actions_.send.push_back({index, Pull{link.session}});
      link.pulled = now;
    }
  }
}

std::optional<std::size_t> AgentCore::leader() const {
  for (std::size_t k = 0; k < links_.size(); ++k)
    if (links_[k].state == LinkState::registered && links_[k].epoch == epoch_)
      return k;
  return std::nullopt;
}

bool AgentCore::obeys(std::size_t index, Epoch epoch) {
  Link& link = links_[index];
  if (epoch < epoch_ && !REEVE_MUTANT(any_epoch)) {
    if (!link.stale_noted)
      note(NoteLevel::error,
           link.endpoint + " speaks for epoch " + std::to_string(epoch.value) + ", older than " +
             std::to_string(epoch_.value) +
             ": ignored. If that master was set up anew, stop this agent and start it again");
    link.stale_noted = true;
    return false;
  }
  link.stale_noted = false;
  heard_ = link.heard;
  orphans_.clear();
  epoch_ = epoch;
  return true;
}

// ---- messages

void AgentCore::receive(std::size_t index, Epoch epoch, FromMaster&& message, TimePoint now) {
  Link& link = links_[index];
  link.heard = now;
  if (std::holds_alternative<Failed>(message)) { // may come from a master that does not lead
    on(index, std::get<Failed>(std::move(message)), now);
    return;
  }
  if (auto good = validate(message); !good) {
    note(NoteLevel::error,
         "ignored a message from " + link.endpoint + ": " + good.error().message());
    return;
  }
  if (!obeys(index, epoch))
    return;
  const bool new_reign = link.state == LinkState::registered && epoch > link.epoch;
  std::visit([&](auto&& body) { on(index, std::move(body), now); }, std::move(message));
  // Another leader on the same connection: what was registered is unknown to it.
  if (new_reign && link.state == LinkState::registered && link.epoch < epoch)
    register_at(index, now);
  link.epoch = epoch;
}

void AgentCore::on(std::size_t index, Registered&& message, TimePoint now) {
  Link& link = links_[index];
  if (link.state != LinkState::registering || message.session != link.session)
    return; // the answer to an earlier registration
  link.state = LinkState::registered;
  link.epoch = epoch_;
  link.node = message.node;
  link.unanswered = 0;
  link.trouble.clear();
  if (message.heartbeat > Duration(0))
    link.heartbeat = std::clamp(message.heartbeat, heartbeat_least, heartbeat_most);
  link.beacon_gap = Duration(0);
  link.beacon.reset();
  schedule_heartbeat(link, now);
  for (const JobRuns& tasks : message.stop)
    work_.drop(tasks);
  actions_.registered.push_back(index);
  resend_all_ = true;
  has_room_ = true;
}

void AgentCore::on(std::size_t index, Assign&& message, TimePoint now) {
  Link& link = links_[index];
  if (link.state != LinkState::registered || message.session != link.session)
    return; // of an earlier session; the registration sees to it
  if (message.number <= link.assign_seen)
    return;
  if (message.number != link.assign_seen + 1) {
    note(NoteLevel::warning, "work from " + link.endpoint + " was lost on the way (number " +
                               std::to_string(message.number) + " after " +
                               std::to_string(link.assign_seen) + "); registering again");
    register_at(index, now);
    return;
  }
  link.assign_seen = message.number;
  if (work_.stopping())
    return; // goes elsewhere once this node has left
  for (AssignedSpec& spec : message.specs) {
    const bool wanted = std::any_of(message.jobs.begin(), message.jobs.end(),
                                    [&](const AssignedJob& job) { return job.job == spec.job; });
    if (!wanted)
      continue;
    work_.put_spec(spec.job, spec.spec);
    if (work_.spec_of(spec.job)->executor == "process")
      actions_.specs.push_back(std::move(spec));
  }
  bool missed = false;
  for (AssignedJob& job : message.jobs) {
    const JobId id = job.job;
    if (work_.assign(std::move(job), epoch_))
      continue;
    note(NoteLevel::warning, "job " + std::to_string(id.value) + " came without its specification");
    missed = true;
  }
  if (missed)
    register_at(index, now);
}

void AgentCore::on(std::size_t, ResultsAck&& message, TimePoint) {
  for (const std::uint64_t number : message.numbers) {
    const AgentResults::Message acked = results_.ack(number);
    if (!acked)
      continue;
    for (const JobResults& job : acked->jobs) {
      for (const QuietRun& quiet : job.quiet)
        work_.acked(job.job, quiet.run);
      for (const TaskResult& task : job.tasks) {
        work_.acked(job.job, {task.index, 1, task.attempt});
        actions_.release.push_back({job.job, task.index, task.attempt});
      }
    }
  }
}

void AgentCore::on(std::size_t, StopTasks&& message, TimePoint now) {
  const std::string reason = cut(std::move(message.reason));
  for (const JobRuns& tasks : message.tasks)
    work_.stop(tasks, Cause::cancelled, reason, now, message.move);
}

void AgentCore::on(std::size_t index, Beacon&& message, TimePoint now) {
  Link& link = links_[index];
  if (link.beacon)
    link.beacon_gap = std::max(link.beacon_gap, now - link.beacon_at);
  link.beacon = std::move(message);
  link.beacon_at = now;
}

void AgentCore::on(std::size_t index, RegisterAgain&& message, TimePoint now) {
  Link& link = links_[index];
  // Several frames of ours may have crossed its restart: one registration answers them all.
  if (link.state == LinkState::registering && now < link.asked + config_.answer_after / 10)
    return;
  note(NoteLevel::info,
       link.endpoint + " asks for a registration: " + cut(std::move(message.reason)));
  register_at(index, now);
}

void AgentCore::on(std::size_t, LogRequest&&, TimePoint) {} // answered outside

void AgentCore::on(std::size_t index, Failed&& message, TimePoint now) {
  Link& link = links_[index];
  if (message.code == Code::not_leader) {
    if (link.state == LinkState::registering) {
      link.state = LinkState::standby;
      link.unanswered = 0;
      link.retry_at = now + config_.answer_after;
    }
    return;
  }
  Error error{message.code, cut(std::move(message.field)), cut(std::move(message.text))};
  std::string text =
    link.endpoint + " refused: " + error.message() + " (" + std::string(name_of(error.code)) + ")";
  if (text != link.trouble) // said once, though it is tried again and again
    note(NoteLevel::error, text);
  link.trouble = std::move(text);
}

void AgentCore::finished(Finished&& done, TimePoint now) {
  work_.finished(done);
  results_.add(std::move(done), now);
  has_room_ = true;
}

void AgentCore::stop(Duration grace_most, const std::string& reason, TimePoint now) {
  if (!work_.stopping())
    work_.stop_all(Cause::drained, reason, grace_most, now);
}

void AgentCore::leave(const std::string& reason) {
  for (std::size_t k = 0; k < links_.size(); ++k)
    if (links_[k].state == LinkState::registered)
      actions_.send.push_back({k, Leave{links_[k].session, reason}});
}

// ---- time

void AgentCore::send_results(TimePoint now) {
  const auto to = leader();
  if (!to)
    return;
  std::vector<AgentResults::Message> messages;
  results_.resend(links_[*to].session, resend_all_, now, messages);
  resend_all_ = false;
  results_.flush(links_[*to].session, work_.idle(), now, messages);
  for (auto& message : messages)
    actions_.send.push_back({*to, std::move(message)});
}

/// Tasks whose job has set a time for it end when no master has been heard for so long.
void AgentCore::stop_orphans(TimePoint now) {
  if (!heard_)
    heard_ = now;
  orphaned_.reset();
  if (work_.idle() || now - *heard_ < Duration(1'000'000)) { // nothing is to be looked for yet
    if (!work_.idle())
      orphaned_ = *heard_ + Duration(1'000'000);
    return;
  }
  for (const JobRuns& tasks : work_.list()) {
    const JobSpec* spec = work_.spec_of(tasks.job);
    if (!spec || spec->orphan_after == Duration(0) || orphans_.contains(tasks.job))
      continue;
    const TimePoint end = *heard_ + spec->orphan_after;
    if (now >= end) {
      orphans_.insert(tasks.job);
      work_.stop(tasks, Cause::drained,
                 "no master was heard for " + format_duration(spec->orphan_after), now);
    } else
      orphaned_ = std::min(orphaned_.value_or(end), end);
  }
}

/// One that takes work only when it asks does so as soon as there is room, and nothing waits here.
void AgentCore::pull() {
  if (!work_.starts.empty())
    has_room_ = false; // what waited here has taken it
  if (!config_.pulls || !has_room_ || work_.waiting() > 0 || work_.stopping())
    return;
  if (const auto to = leader()) {
    actions_.send.push_back({*to, Pull{links_[*to].session}});
    has_room_ = false;
  }
}

void AgentCore::step(TimePoint now, Actions& out) {
  out.clear();
  work_.start(now);
  for (EndedAlike& ended : work_.ended) {
    results_.add(std::move(ended), now);
    has_room_ = true;
  }
  work_.ended.clear();
  for (std::size_t k = 0; k < links_.size(); ++k)
    check_link(k, now);
  stop_orphans(now);
  // What starts now ends soon, perhaps before anything is sent: gather that first.
  if (work_.starts.empty())
    send_results(now);
  pull();
  std::swap(out, actions_);
  std::swap(out.start, work_.starts);
  std::swap(out.stop, work_.stops);
  out.release.insert(out.release.end(), work_.forget.begin(), work_.forget.end());
  work_.forget.clear();
  out.forget.insert(out.forget.end(), work_.forgotten_jobs.begin(), work_.forgotten_jobs.end());
  work_.forgotten_jobs.clear();
}

std::optional<TimePoint> AgentCore::next_wake() const {
  std::optional<TimePoint> wake;
  const auto at = [&wake](TimePoint when) { wake = std::min(wake.value_or(when), when); };
  for (const Link& link : links_) {
    if (!link.connected)
      continue;
    if (link.state == LinkState::registering || link.state == LinkState::standby)
      at(link.retry_at);
    if (link.state == LinkState::registered) {
      at(link.next_heartbeat);
      if (link.beacon)
        at(link.heard + silence(link));
    }
  }
  if (orphaned_)
    at(*orphaned_);
  if (leader())
    if (const auto results = results_.next_wake())
      at(*results);
  return wake;
}

// ---- what a master may say

namespace {

Result<void> check_runs(const std::vector<TaskRun>& runs, const std::string& path) {
  for (std::size_t k = 0; k < runs.size(); ++k)
    if (std::uint64_t{runs[k].first} + runs[k].count > tasks_max)
      return fail(Code::bad_field, path + ".runs[" + std::to_string(k) + "]",
                  "reaches beyond task " + std::to_string(tasks_max));
  return {};
}

Result<void> check_tasks(const std::vector<JobRuns>& tasks, const char* name) {
  for (std::size_t k = 0; k < tasks.size(); ++k)
    if (auto good = check_runs(tasks[k].runs, std::string(name) + "[" + std::to_string(k) + "]");
        !good)
      return good;
  return {};
}

Result<void> check_peers(const AssignedJob& job, const std::string& path) {
  if (job.peers.size() > gang_max)
    return fail(Code::bad_field, path + ".peers", "more than " + std::to_string(gang_max));
  for (const TaskRun& run : job.runs)
    if (!job.peers.empty() && std::uint64_t{run.first} + run.count > job.peers.size())
      return fail(Code::bad_field, path + ".peers",
                  std::to_string(job.peers.size()) + " for task " +
                    std::to_string(run.first + run.count - 1));
  return {};
}

Result<void> check_assign(const Assign& message) {
  for (std::size_t k = 0; k < message.specs.size(); ++k)
    if (!message.specs[k].job)
      return fail(Code::bad_field, "specs[" + std::to_string(k) + "].job", "must be above 0");
  for (std::size_t k = 0; k < message.jobs.size(); ++k) {
    const AssignedJob& job = message.jobs[k];
    const std::string path = "jobs[" + std::to_string(k) + "]";
    if (!job.job)
      return fail(Code::bad_field, path + ".job", "must be above 0");
    if (auto good = check_runs(job.runs, path); !good)
      return good;
    std::uint64_t tasks = 0;
    for (const TaskRun& run : job.runs)
      tasks += run.count;
    if (!job.items.empty() && job.items.size() != tasks)
      return fail(Code::bad_field, path + ".items",
                  std::to_string(job.items.size()) + " for " + std::to_string(tasks) + " tasks");
    if (auto good = check_peers(job, path); !good)
      return good;
  }
  return {};
}

} // namespace

Result<void> validate(const FromMaster& message) {
  if (const auto* assign = std::get_if<Assign>(&message))
    return check_assign(*assign);
  if (const auto* stop = std::get_if<StopTasks>(&message))
    return check_tasks(stop->tasks, "tasks");
  if (const auto* registered = std::get_if<Registered>(&message))
    return check_tasks(registered->stop, "stop");
  return {};
}

} // namespace reeve::worker
