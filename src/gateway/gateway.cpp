// Frames in: decoding, checking and sorting. The other direction is carry_out.cpp. See gateway.hpp.
#include "src/gateway/gateway.hpp"

#include "src/gateway/checks.hpp"

#include <algorithm>
#include <array>

namespace reeve::gateway {
namespace {
constexpr auto register_patience =
  std::chrono::seconds(5); // so long a registration may be under way before we ask for another
constexpr auto told_again_every = std::chrono::milliseconds(500);

std::string spoken_text() {
  std::string text;
  for (const auto version : spoken_versions)
    text += (text.empty() ? "" : ", ") + std::to_string(version);
  return text;
}
bool is_spoken(std::uint64_t version) {
  return std::find(spoken_versions.begin(), spoken_versions.end(), version) !=
         spoken_versions.end();
}

Failed unknown_version(std::uint64_t version) {
  Failed message;
  message.code = Code::unknown_version;
  message.field = "version";
  message.text =
    "protocol version " + std::to_string(version) + " is not spoken here; spoken: " + spoken_text();
  message.versions = {spoken_versions.begin(), spoken_versions.end()};
  return message;
}
} // namespace

Gateway::Gateway(Greeting greeting, Limits limits)
    : greeting_(std::move(greeting)), limits_(limits) {}

void Gateway::on_messages(std::vector<net::Message> messages, Pressure pressure, TimePoint now,
                          Outbox& out) {
  pressure_ = pressure;
  for (const auto& message : messages)
    on_message(message.peer, message.header, message.body, false, now, out);
  bundle(out);
}

void Gateway::on_message(Peer peer, std::string_view header_bytes, std::string_view body,
                         bool bundled, TimePoint now, Outbox& out) {
  auto header =
    decode<Header>(header_bytes, DecodeLimits{.bytes = 1'024, .depth = 4, .tokens = 64});
  if (header && is_spoken(header->version)) {
    const Call call{peer, *header, body, now, out};
    if (header->type != MessageType::bundle)
      on_known_version(call);
    else if (!bundled)
      on_bundle(call);
    else
      refuse(call, {Code::bad_message, {}, "a bundle in a bundle"});
    return;
  }
  ++counters_.bad_messages;
  // A header of another version may look otherwise, but begins with its version.
  const HeaderHint hint = hint_of(header_bytes);
  if (hint.version != 0 && !is_spoken(hint.version)) {
    send(peer, unknown_version(hint.version), hint.correlation, out);
    return;
  }
  Error error = header ? Error{Code::bad_message, {}, "not a header"} : header.error();
  error.field = error.field.empty() ? "header" : "header." + error.field;
  send(peer, ledger::failed(error), hint.correlation, out);
}

void Gateway::on_bundle(const Call& call) {
  const auto bundle = decode<Bundle>(call.body);
  if (!bundle) {
    ++counters_.bad_messages;
    return refuse(call, bundle.error());
  }
  peers_.at(call.peer).bundles = true;
  for (const Bundled& one : bundle->messages)
    on_message(call.peer, one.header.data, one.body.data, true, call.now, call.out);
}

void Gateway::on_known_version(const Call& call) {
  switch (call.header.type) {
  case MessageType::hello:
    return take<Hello>(call);
  case MessageType::submit:
    return take<Submit>(call);
  case MessageType::act_on_jobs:
    return take<ActOnJobs>(call);
  case MessageType::wait:
    return take<Wait>(call);
  case MessageType::allocate:
    return take<Allocate>(call);
  case MessageType::release:
    return take<Release>(call);
  case MessageType::renew:
    return take<Renew>(call);
  case MessageType::act_on_nodes:
    return take<ActOnNodes>(call);
  case MessageType::set_config:
    return take<SetConfig>(call);
  case MessageType::get_config:
    return take<GetConfig>(call);
  case MessageType::step:
    return take<Step>(call);
  case MessageType::set_log_level:
    return take<SetLogLevel>(call);
  case MessageType::list_jobs:
    return take<ListJobs>(call);
  case MessageType::list_tasks:
    return take<ListTasks>(call);
  case MessageType::list_nodes:
    return take<ListNodes>(call);
  case MessageType::list_leases:
    return take<ListLeases>(call);
  case MessageType::get_stats:
    return take<GetStats>(call);
  case MessageType::get_master:
    return take<GetMaster>(call);
  case MessageType::query_history:
    return take<QueryHistory>(call);
  case MessageType::read_log:
    return take<ReadLog>(call);
  case MessageType::explain:
    return take<Explain>(call);
  case MessageType::register_node:
    return take<RegisterNode>(call);
  case MessageType::heartbeat:
    return take<Heartbeat>(call);
  case MessageType::results:
    return take<Results>(call);
  case MessageType::log_reply:
    return take<LogReply>(call);
  case MessageType::leave:
    return take<Leave>(call);
  case MessageType::pull:
    return take<Pull>(call);
  default:
    break;
  }
  ++counters_.bad_messages;
  const std::string name(name_of(call.header.type));
  refuse(call, {Code::unknown_type, "header.type",
                name == "unknown"
                  ? "no message has type " + std::to_string(static_cast<unsigned>(call.header.type))
                  : "a master takes no " + name});
}

template<class M> void Gateway::take(const Call& call) {
  auto message = decode<M>(call.body);
  if (!message) {
    ++counters_.bad_messages;
    refuse(call, message.error());
    return;
  }
  handle(call, std::move(*message));
}

const char* Gateway::too_busy(const Call& call, const PeerState& peer) const {
  if (peer.outstanding.size() >= limits_.outstanding_of_peer)
    return "too many requests of this connection await their answer";
  if (pressure_.queued >= limits_.queued)
    return "too many requests are waiting";
  if (pressure_.undurable >= limits_.undurable)
    return "the journal is behind";
  if (pressure_.full && call.header.type == MessageType::submit)
    return "the journal is nearly full: no jobs are taken until it has been compacted";
  if (pressure_.crowded && call.header.type == MessageType::submit)
    return "the master holds as much as it may (--memory-max): no jobs are taken until others have "
           "ended and are past their retention";
  return nullptr;
}

bool Gateway::admit(const Call& call) {
  if (stopping_) {
    refuse(call, {Code::unavailable, {}, "this master is shutting down"}, std::chrono::seconds(1));
    return false;
  }
  if (pressure_.in_doubt && call.header.type != MessageType::get_master) {
    refuse(call,
           {Code::not_leader, {}, "the journal does not answer: another master may reign by now"},
           limits_.retry_after);
    return false;
  }
  PeerState& peer = peers_.at(call.peer);
  if (peer.outstanding.contains(call.header.correlation))
    return false; // sent again because we are slow: the answer is on its way
  if (const char* why = too_busy(call, peer)) {
    ++counters_.busy;
    refuse(call, {Code::busy, {}, why}, limits_.retry_after);
    return false;
  }
  peer.outstanding.insert(call.header.correlation);
  ++pressure_.queued;
  return true;
}

template<class M> void Gateway::ask_ledger(const Call& call, M message) {
  if (admit(call))
    call.out.ledger.emplace_back(Asked{call.origin(), ledger::Request(std::move(message))});
}
template<class M> void Gateway::handle(const Call& call, M message) {
  ask_ledger(call, std::move(message));
}

void Gateway::handle(const Call& call, Hello message) {
  const auto& offered = message.versions;
  if (!offered.empty() && std::none_of(offered.begin(), offered.end(), is_spoken)) {
    send(call.peer, unknown_version(offered.front()), call.header.correlation, call.out);
    return;
  }
  Welcome welcome;
  welcome.cluster = greeting_.cluster;
  welcome.master = greeting_.master;
  welcome.program = greeting_.program;
  welcome.events = greeting_.events;
  welcome.epoch = epoch_;
  welcome.bundles = true;
  send(call.peer, welcome, call.header.correlation, call.out);
}

void Gateway::handle(const Call& call, Submit message) {
  core::SubmitJobs request;
  request.specs.reserve(message.jobs.size());
  for (std::size_t i = 0; i < message.jobs.size(); ++i) {
    const JobSpec& spec = message.jobs[i];
    if (auto good = validate(spec, ""); !good) {
      Error error = std::move(good).error();
      error.field = "jobs[" + std::to_string(i) + "]." + error.field;
      return refuse(call, error);
    }
    if (!message.dry_run)
      request.specs.push_back(Raw{encode(spec)});
  }
  if (message.dry_run)
    return ask_ledger(call, std::move(message));
  request.key = std::move(message.key);
  ask_ledger(call, std::move(request));
}

void Gateway::handle(const Call& call, ActOnJobs message) {
  if (auto good = check_runs(message.tasks, "tasks"); !good)
    return refuse(call, good.error());
  ask_ledger(call, std::move(message));
}

void Gateway::handle(const Call& call, Wait message) {
  if (stopping_)
    return refuse(call, {Code::unavailable, {}, "this master is shutting down"},
                  std::chrono::seconds(1));
  PeerState& peer = peers_.at(call.peer);
  if (peer.waits.size() >= waits_of_peer_max && !peer.waits.contains(call.header.correlation)) {
    ++counters_.busy;
    return refuse(call, {Code::busy, {}, "too many waits of this connection are open"},
                  limits_.retry_after);
  }
  peer.waits[call.header.correlation] = call.now;
  call.out.ledger.emplace_back(Asked{call.origin(), std::move(message)});
}

void Gateway::handle(const Call& call, Allocate message) {
  if (auto good = validate(message.resources, "resources"); !good)
    return refuse(call, good.error());
  for (std::size_t i = 0; i < message.limits.size(); ++i)
    for (std::size_t k = 0; k < i; ++k)
      if (message.limits[i].name == message.limits[k].name)
        return refuse(call, {Code::bad_field, "limits[" + std::to_string(i) + "].name",
                             message.limits[i].name + " is there twice"});
  if (admit(call))
    call.out.scheduler.push_back({call.origin(), std::move(message)});
}

void Gateway::handle(const Call& call, ActOnNodes message) {
  if (admit(call))
    call.out.registry.emplace_back(Asked{call.origin(), std::move(message)});
}

void Gateway::handle(const Call& call, SetConfig message) {
  if (admit(call))
    call.out.registry.emplace_back(Asked{call.origin(), std::move(message)});
}

void Gateway::handle(const Call& call, Step message) {
  if (message.dry_run && message.action != MasterAction::sweep)
    return refuse(call, {Code::bad_field, "dry_run", "belongs to the action sweep only"});
  if (!admit(call))
    return;
  if (message.action == MasterAction::sweep)
    call.out.sweeper.push_back({call.origin(), message.dry_run});
  else
    call.out.ledger.emplace_back(Stepped{call.origin(), message.action});
}

void Gateway::handle(const Call& call, SetLogLevel message) {
  constexpr std::array levels{"trace", "debug", "info", "warn", "error", "off"};
  if (std::find(levels.begin(), levels.end(), message.level) == levels.end())
    return refuse(
      call, {Code::bad_field, "level", "must be one of trace, debug, info, warn, error, off"});
  call.out.log_level = message.level;
  send(call.peer, Done{1, "log level is " + message.level}, call.header.correlation, call.out);
}

void Gateway::handle(const Call& call, QueryHistory message) {
  if (admit(call))
    call.out.archivist.emplace_back(call.origin(), std::move(message));
}

void Gateway::handle(const Call& call, RegisterNode message) {
  if (stopping_)
    return;
  if (auto good = check(message); !good) {
    ++counters_.bad_messages;
    return refuse(call, good.error());
  }
  peers_.at(call.peer).registering = call.now;
  call.out.registry.emplace_back(Registration{call.origin(), std::move(message)});
}

Session* Gateway::session_for(const Call& call, std::uint64_t number) {
  Session* session = sessions_.of_peer(call.peer);
  if (session != nullptr && session->session == number) {
    call.out.watchdog.emplace_back(Beat{session->node, call.now});
    return session;
  }
  register_again(call.peer,
                 session == nullptr ? "this connection is not a registered node"
                                    : "the session is no longer current",
                 call.now, call.out);
  return nullptr;
}

void Gateway::register_again(Peer peer, const std::string& reason, TimePoint now, Outbox& out) {
  PeerState& state = peers_.at(peer);
  if (now - state.registering < register_patience || now - state.told < told_again_every)
    return; // it is about to be registered, or has just been told
  state.told = now;
  ++counters_.register_again;
  send(peer, RegisterAgain{reason}, 0, out);
}

void Gateway::handle(const Call& call, Heartbeat message) {
  Session* session = session_for(call, message.session);
  if (session == nullptr)
    return;
  if (auto good = validate(message.used, "used"); !good) {
    ++counters_.bad_messages;
    return refuse(call, good.error());
  }
  call.out.recovery.push_back({session->node, message.used, call.now});
  call.out.scheduler.push_back({call.origin(), Measured{session->node, message.used, call.now}});
  call.out.ledger.emplace_back(Measured{session->node, std::move(message.used), call.now,
                                        std::move(message.trouble),
                                        std::uint64_t{message.running} + message.waiting});
  if (Sessions::assign_is_lost(*session, message.assign_seen))
    register_again(call.peer, "work was lost on the way", call.now, call.out);
}

void Gateway::handle(const Call& call, Results message) {
  Session* session = session_for(call, message.session);
  if (session == nullptr)
    return;
  if (auto good = check(message); !good) {
    ++counters_.bad_messages;
    return refuse(call, good.error());
  }
  call.out.ledger.emplace_back(GotResults{call.peer, session->node, std::move(message)});
}

void Gateway::handle(const Call& call, LogReply message) {
  const Session* session = sessions_.of_peer(call.peer);
  if (session == nullptr)
    return register_again(call.peer, "this connection is not a registered node", call.now,
                          call.out);
  auto pending = logs_.answered(message.request, session->node);
  if (!pending)
    return; // too late, or never asked
  if (!message.chunk) {
    call.out.archivist.emplace_back(
      pending->from,
      LogWanted{pending->log, {Code::not_found, {}, std::move(message.text)}, pending->node});
    return;
  }
  peers_.answered(pending->from.peer, pending->from.correlation, true);
  send(pending->from.peer, *message.chunk, pending->from.correlation, call.out);
}

void Gateway::handle(const Call& call, Leave message) {
  const Session* session = session_for(call, message.session);
  if (session != nullptr)
    call.out.ledger.emplace_back(Left{session->node, std::move(message.reason)});
}

void Gateway::handle(const Call& call, Pull message) {
  if (const Session* session = session_for(call, message.session))
    call.out.scheduler.push_back({call.origin(), Pulled{session->node}});
}

void Gateway::refuse(const Call& call, const Error& error, Duration retry_after) {
  send(call.peer, ledger::failed(error, retry_after), call.header.correlation, call.out);
}

void Gateway::on_gone(Peer peer, TimePoint now, Outbox& out) {
  if (const Session* session = sessions_.of_peer(peer)) {
    const NodeId node = session->node;
    out.watchdog.emplace_back(Disconnected{node});
    carry_out(ledger::NodeUnbound{node, "disconnected"}, now, out);
  }
  logs_.forget(peer);
  peers_.forget(peer);
  out.ledger.emplace_back(PeerGone{peer});
}

void Gateway::tick(TimePoint now, Outbox& out) {
  for (auto& late : logs_.overdue(now))
    out.archivist.emplace_back(
      late.from,
      LogWanted{std::move(late.log), {Code::node_down, {}, "the node does not answer"}, late.node});
  peers_.sweep(now);
}

Gateway::Counters Gateway::counters() const {
  Counters counters = counters_;
  counters.bound_nodes = static_cast<std::int64_t>(sessions_.size());
  counters.peers = static_cast<std::int64_t>(peers_.size());
  return counters;
}

} // namespace reeve::gateway
