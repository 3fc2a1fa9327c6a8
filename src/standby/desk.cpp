// See desk.hpp.
#include "src/standby/desk.hpp"

#include "src/gateway/checks.hpp"

#include <algorithm>

namespace reeve::standby {
namespace {
constexpr auto elsewhere_after = std::chrono::milliseconds(50);
} // namespace

struct Desk::Ask {
  net::Peer peer;
  Header header;
  std::string_view body;
  const DeskView& view;
  TimePoint now;
  std::vector<net::Message>& out;
};

template<class M> void Desk::reply(const Ask& ask, const M& message) const {
  const Header header{protocol_version, M::type, ask.header.correlation, ask.view.cluster.epoch()};
  ask.out.push_back({ask.peer, encode(header), encode(message)});
}

void Desk::fail(const Ask& ask, Code code, const std::string& field,
                const std::string& text) const {
  Failed failed;
  failed.code = code;
  failed.field = field;
  failed.text = text;
  if (code == Code::not_leader)
    failed.retry_after = elsewhere_after;
  if (code == Code::unknown_version)
    failed.versions = {spoken_versions.begin(), spoken_versions.end()};
  reply(ask, failed);
}

void Desk::not_leader(const Ask& ask) const {
  fail(ask, Code::not_leader, {},
       identity_.master + " is a standby; " +
         (ask.view.leader.empty() ? std::string("nobody reigns at the moment")
                                  : ask.view.leader + " leads, at " + ask.view.leader_endpoint));
}

void Desk::answer(const net::Message& message, const DeskView& view, TimePoint now,
                  std::vector<net::Message>& out) {
  auto header =
    decode<Header>(message.header, DecodeLimits{.bytes = 1'024, .depth = 4, .tokens = 64});
  Ask ask{message.peer, {}, message.body, view, now, out};
  const auto spoken = [](std::uint64_t version) {
    return std::find(spoken_versions.begin(), spoken_versions.end(), version) !=
           spoken_versions.end();
  };
  if (!header || !spoken(header->version)) {
    const auto hint = gateway::hint_of(message.header);
    ask.header.correlation = hint.correlation;
    if (hint.version != 0 && !spoken(hint.version))
      return fail(ask, Code::unknown_version, "version", "not spoken here");
    return fail(ask, Code::bad_message, "header", "not a header of this protocol");
  }
  ask.header = *header;
  switch (header->type) {
  case MessageType::bundle:
    return unbundle(ask);
  case MessageType::hello:
    return hello(ask);
  case MessageType::get_master:
    return status(ask);
  case MessageType::list_jobs:
    return show<ListJobs>(ask);
  case MessageType::list_tasks:
    return show<ListTasks>(ask);
  case MessageType::list_nodes:
    return show<ListNodes>(ask);
  case MessageType::list_leases:
    return show<ListLeases>(ask);
  case MessageType::get_config:
    return show<GetConfig>(ask);
  case MessageType::get_stats:
    return show<GetStats>(ask);
  case MessageType::register_node:
    agents_.insert(ask.peer);
    return not_leader(ask);
  case MessageType::heartbeat:
  case MessageType::results:
  case MessageType::pull:
  case MessageType::leave:
  case MessageType::log_reply:
    return; // of an agent that was registered in an earlier reign: the next leader greets it
  default:
    return not_leader(ask);
  }
}

void Desk::gone(net::Peer peer) {
  agents_.erase(peer);
  readers_.erase(peer);
}

/// From somebody who takes this master for the leader: what is in it is answered one by one.
void Desk::unbundle(const Ask& ask) {
  const auto bundle = decode<Bundle>(ask.body);
  if (!bundle)
    return fail(ask, bundle.error().code, bundle.error().field, bundle.error().text);
  for (const Bundled& one : bundle->messages) {
    const auto header = decode<Header>(one.header.data);
    if (header && header->type == MessageType::bundle)
      fail(ask, Code::bad_message, {}, "a bundle in a bundle");
    else
      answer({ask.peer, one.header.data, one.body.data}, ask.view, ask.now, ask.out);
  }
}

void Desk::hello(const Ask& ask) {
  const auto message = decode<Hello>(ask.body);
  if (!message)
    return fail(ask, message.error().code, message.error().field, message.error().text);
  if (!message->standby)
    return not_leader(ask);
  readers_.insert(ask.peer);
  Welcome welcome;
  welcome.cluster = identity_.cluster;
  welcome.master = identity_.master;
  welcome.program = identity_.program;
  welcome.events = identity_.events;
  welcome.epoch = ask.view.cluster.epoch();
  welcome.role = "standby";
  reply(ask, welcome);
}

/// The state after the newest entry that is known here, and its seq.
template<class M> void Desk::show(const Ask& ask) {
  if (!readers_.contains(ask.peer))
    return not_leader(ask);
  auto message = decode<M>(ask.body);
  if (!message)
    return fail(ask, message.error().code, message.error().field, message.error().text);
  if constexpr (std::is_same_v<M, GetStats>) {
    Stats stats = ask.view.cluster.stats();
    stats.uptime = ask.now - identity_.started;
    reply(ask, stats);
  } else if constexpr (std::is_same_v<M, GetConfig>) { // queues are settings, too
    reply(ask, ConfigValues{ask.view.cluster.config(), identity_.defaults});
  } else if constexpr (std::is_same_v<M, ListTasks> || std::is_same_v<M, ListNodes>) {
    auto list = ask.view.cluster.list(*message);
    if (!list)
      return fail(ask, list.error().code, list.error().field, list.error().text);
    list->seq = ask.view.cluster.last_seq();
    reply(ask, *list);
  } else {
    auto list = ask.view.cluster.list(*message);
    list.seq = ask.view.cluster.last_seq();
    reply(ask, list);
  }
}

void Desk::status(const Ask& ask) const {
  const DeskView& view = ask.view;
  MasterStatus status;
  status.cluster = identity_.cluster;
  status.master = identity_.master;
  status.program = identity_.program;
  status.role = "standby";
  status.epoch = view.cluster.epoch();
  status.seq = status.durable = view.cluster.last_seq();
  status.snapshot = view.snapshot;
  status.journal = view.journal;
  status.accepting = false;
  status.started = identity_.started;
  status.leader = view.leader;
  status.leader_endpoint = view.leader_endpoint;
  status.lag = view.lag;
  status.confirmed = view.confirmed;
  if (view.cluster.stats().jobs <= core::Cluster::hashed_jobs_max)
    status.state_hash = view.cluster.state_hash();
  reply(ask, status);
}

} // namespace reeve::standby
