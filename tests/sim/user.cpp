// See user.hpp.
#include "tests/sim/user.hpp"

namespace reeve::sim {
namespace {
constexpr Duration tick_every = 500ms;
constexpr Duration endpoint_patience = 1s;
constexpr Duration patience = 60s; // with calls that may be given up

template<class M> std::optional<M> answer_of(const Result<client::Reply>& reply) {
  if (!reply || reply->type != M::type)
    return std::nullopt;
  auto message = decode<M>(reply->body);
  return message ? std::optional<M>(std::move(*message)) : std::nullopt;
}
} // namespace

User::User(Timeline& timeline, Network& network, Truth& truth, std::uint64_t seed,
           std::size_t masters)
    : Process(timeline), network_(network), truth_(truth), random_(seed) {
  for (std::size_t k = 0; k < masters; ++k) {
    links_.emplace_back(*this, k);
    links_.back().host = network.add(links_.back(), k);
  }
  number_ = links_.front().host;
}

void User::start() {
  if (alive())
    return;
  born();
  for (auto& [key, note] : notes_) { // it does not know whether they got through
    note.asked = false;
    if (!note.acknowledged)
      ask_submit(key);
  }
  for (const JobId job : waits_)
    wait_for(job);
  tick();
}

void User::crash() {
  if (!alive())
    return;
  died();
  calls_ = {};
  connected_ = false;
  network_.hang_up(host());
}

void User::tick() {
  calls_.tick(instant(), Error{Code::io, "master", "none reached"});
  move_on();
  pump();
  after(tick_every, [this] { tick(); });
}

void User::pump() {
  while (connected_) {
    const auto next = calls_.next_message(true);
    if (next.calls == 0)
      return;
    network_.send_up(host(), {next.header, next.body});
    calls_.sent(next.calls, instant());
  }
}

/// As src/client/connection.cpp.
void User::move_on() {
  if (connected_)
    stood_ = timeline_.now();
  const bool absent = !connected_ && timeline_.now() - stood_ > endpoint_patience;
  if (links_.size() == 1 || (!absent && !calls_.sent_elsewhere() && calls_.unanswered() < 2))
    return;
  const std::size_t before = link_;
  link_ = (link_ + 1) % links_.size();
  connected_ = false;
  stood_ = timeline_.now();
  network_.hang_up(links_[before].host);
  calls_.forget_unanswered();
  calls_.disconnected();
}

void User::on_connected() {
  connected_ = true;
  pump();
}
void User::on_disconnected(std::size_t link) {
  if (link != link_)
    return;
  connected_ = false;
  if (!alive())
    return;
  at(timeline_.now(), [this] {
    calls_.disconnected();
    pump();
  });
}
void User::on_frame(const Frame& frame) {
  at(timeline_.now(), [this, frame] {
    calls_.reply(frame.header, frame.body, instant());
    move_on();
    pump();
  });
}

void User::call(MessageType type, std::string body, OnAnswer on_answer, bool repeatable) {
  client::Call call;
  call.type = type;
  call.body = std::move(body);
  call.again = 2s;
  call.deadline = instant() + patience;
  call.repeatable = repeatable;
  call.on_reply = [on_answer = std::move(on_answer)](Result<client::Reply> reply) {
    if (on_answer)
      on_answer(std::move(reply));
    return true;
  };
  calls_.add(std::move(call));
  pump();
}

// ---- jobs

void User::submit(std::vector<JobSpec> jobs) {
  const std::string key = "u" + std::to_string(number_) + "-" + std::to_string(++keys_);
  Submit request;
  request.key = {key};
  request.jobs = std::move(jobs);
  notes_[key].request = std::move(request);
  if (alive())
    ask_submit(key);
}

void User::ask_submit(const std::string& key) {
  Note& note = notes_.at(key);
  if (std::exchange(note.asked, true))
    return;
  ask(note.request, [this, key](const Result<client::Reply>& reply) {
    Note& mine = notes_.at(key);
    mine.asked = false;
    const auto answer = answer_of<Submitted>(reply);
    if (!answer) {
      if (reply ||
          (reply.error().code != Code::timed_out && reply.error().code != Code::unavailable &&
           reply.error().code != Code::io && reply.error().code != Code::busy))
        truth_.broken("a good submission was refused: " +
                      (reply ? std::string(name_of(reply->type)) : reply.error().message()));
      after(1s, [this, key] { ask_submit(key); });
      return;
    }
    mine.acknowledged = true;
    truth_.submitted(key, answer->first, answer->count,
                     static_cast<std::uint32_t>(mine.request.jobs.size()));
    for (std::uint32_t k = 0; k < answer->count; ++k) {
      jobs_.emplace_back(answer->first.value + k);
      waits_.insert(jobs_.back());
      wait_for(jobs_.back());
    }
    if (random_.percent(20)) // as a program does that has crashed behind the answer
      after(1s, [this, key] { ask_submit(key); });
  });
}

void User::wait_for(JobId job) {
  client::Call call;
  call.type = Wait::type;
  call.body = encode(Wait{{job}, random_.percent(30) ? Duration(2s) : Duration(0)});
  call.again = 20s;
  call.stream = true;
  call.on_reply = [this, job](Result<client::Reply> reply) {
    const auto progress = answer_of<Progress>(reply);
    if (!progress) {
      if (!reply && reply.error().code == Code::not_found) { // ended, and past its retention
        if (!truth_.over(job))
          truth_.broken("job " + std::to_string(job.value) + " is not known any more");
        waits_.erase(job);
      } else {
        after(1s, [this, job] { wait_for(job); });
      }
      return true;
    }
    if (!progress->last)
      return false;
    truth_.told_ended(job);
    waits_.erase(job);
    return true;
  };
  calls_.add(std::move(call));
  pump();
}

void User::submit_nonsense(Random& random) {
  Submit request;
  request.jobs.resize(1 + random.below(3));
  JobSpec& spec = request.jobs.back();
  spec.command = {"1"};
  switch (random.below(5)) {
  case 0:
    spec.index_first = std::int64_t{1} << 45;
    break;
  case 1:
    spec.resources.cpu_milli = -5;
    break;
  case 2:
    spec.after.push_back({JobId(1'000'000), 0, DependencyKind::ok, false});
    break;
  case 3:
    spec.items = {"a", "b"};
    spec.count = 3;
    break;
  default:
    spec.resources.named_milli["gpu"] = -1;
  }
  ask(
    request,
    [this](const Result<client::Reply>& reply) {
      if (reply && reply->type == Submitted::type)
        truth_.broken("a submission that makes no sense was accepted");
      else if (!reply && reply.error().code == Code::internal)
        truth_.broken("a submission that makes no sense: " + reply.error().message());
    },
    false);
  network_.send_up(host(), {encode(Header{7, MessageType::submit, 0, {}}), "x"});
}

void User::act(JobAction action, std::vector<JobId> jobs) {
  if (!alive() || jobs.empty())
    return;
  ActOnJobs request;
  request.action = action;
  request.jobs = std::move(jobs);
  request.reason = "because";
  ask(request, nullptr, action != JobAction::retry);
}

// ---- leases, nodes, questions

void User::take_lease(const std::string& node, Resources resources, Duration duration) {
  if (!alive())
    return;
  Allocate request;
  request.node = node;
  request.owner = duration == Duration(0) ? "for ever" : "for a time";
  request.resources = std::move(resources);
  request.duration = duration;
  request.key = {"lease " + std::to_string(number_) + "-" + std::to_string(++keys_)};
  ask(request, [this](const Result<client::Reply>& reply) {
    if (const auto granted = answer_of<Granted>(reply))
      truth_.granted(granted->lease.lease);
  });
}

void User::release_leases(const std::string& node) {
  Release request;
  request.node = node;
  request.owner = "for ever"; // the others end by themselves
  ask(request, nullptr);
}

void User::on_node(NodeAction action, const std::string& node) {
  if (!alive())
    return;
  ActOnNodes request;
  request.action = action;
  request.nodes = {node};
  request.reason = "because";
  if (action == NodeAction::label)
    request.labels = {{"zone", random_.percent(50) ? "a" : "b"}};
  if (action == NodeAction::drain && random_.percent(50))
    request.deadline = random_.between(Duration(0), std::chrono::seconds(20));
  ask(request, nullptr);
}

void User::look(Random& random) {
  if (!alive())
    return;
  ask(ListJobs{}, nullptr);
  ask(ListNodes{}, nullptr);
  ask(GetStats{}, nullptr);
  if (jobs_.empty())
    return;
  ListTasks tasks;
  tasks.job = random.pick(jobs_);
  ask(tasks, nullptr);
  Explain why;
  why.job = tasks.job;
  ask(why, nullptr);
}

bool User::content() const {
  return calls_.size() == 0 && waits_.empty() &&
         std::all_of(notes_.begin(), notes_.end(),
                     [](const auto& note) { return note.second.acknowledged; });
}

std::string User::state() const {
  return "user " + std::to_string(number_) + (alive() ? " at m" : " is dead; was at m") +
         std::to_string(link_ + 1) + (connected_ ? "" : " (not connected)") + ": " +
         std::to_string(calls_.size()) + " calls unanswered, waits for " +
         std::to_string(waits_.size()) + " jobs";
}

} // namespace reeve::sim
