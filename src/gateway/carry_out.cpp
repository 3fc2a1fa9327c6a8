// Effects in, frames out. See gateway.hpp.
#include "src/gateway/gateway.hpp"

#include <algorithm>

namespace reeve::gateway {

void Gateway::send_encoded(Peer peer, MessageType type, std::uint64_t correlation, std::string body,
                           Outbox& out) const {
  if (peer != 0)
    out.send.push_back(
      {peer, encode(Header{protocol_version, type, correlation, epoch_}), std::move(body)});
}

void Gateway::bundle(Outbox& out) {
  constexpr std::size_t bytes_max = 256u << 10;
  const auto understands = [this](const net::Message& message) {
    const PeerState* state = peers_.find(message.peer);
    return state && state->bundles;
  };
  if (out.send.size() < 2 || std::none_of(out.send.begin(), out.send.end(), understands))
    return;
  // What one peer is sent keeps its order; peers do not know of each other.
  std::stable_sort(out.send.begin(), out.send.end(),
                   [](const auto& a, const auto& b) { return a.peer < b.peer; });
  std::vector<net::Message> sent;
  for (std::size_t at = 0; at < out.send.size();) {
    const Peer peer = out.send[at].peer;
    std::size_t end = at + 1, bytes = out.send[at].bytes();
    if (understands(out.send[at]))
      for (; end < out.send.size() && out.send[end].peer == peer &&
             end - at < static_cast<std::size_t>(bundled_max) &&
             bytes + out.send[end].bytes() <= bytes_max;
           ++end)
        bytes += out.send[end].bytes();
    if (end - at == 1) {
      sent.push_back(std::move(out.send[at++]));
      continue;
    }
    Bundle bundle;
    bundle.messages.reserve(end - at);
    for (; at < end; ++at)
      bundle.messages.push_back({{std::move(out.send[at].header)}, {std::move(out.send[at].body)}});
    sent.push_back(
      {peer, encode(Header{protocol_version, Bundle::type, 0, epoch_}), encode(bundle)});
  }
  out.send = std::move(sent);
}

void Gateway::send_assigns(Session& session, Outbox& out) {
  for (const auto& assign : assigns_)
    send(session.peer, assign, 0, out);
  assigns_.clear();
}

void Gateway::on_effects(std::vector<ledger::Effect> effects, TimePoint now, Outbox& out) {
  for (auto& effect : effects)
    std::visit([&](auto& e) { carry_out(std::move(e), now, out); }, effect);
  for (const NodeId node : gathered_)
    if (Session* session = sessions_.of_node(node)) {
      Sessions::flush(*session, assigns_);
      send_assigns(*session, out);
    }
  gathered_.clear();
  send_acks(out);
  bundle(out);
}

void Gateway::send_acks(Outbox& out) {
  for (const auto& ack : acks_)
    send_encoded(ack.peer, ack.type, ack.correlation, ack.body, out);
  acks_.clear();
}

void Gateway::carry_out(ledger::ToPeer effect, TimePoint, Outbox& out) {
  switch (effect.type) {
  case MessageType::results_ack: // not the answer to a request that was counted
    acks_.push_back(std::move(effect));
    return;
  case MessageType::progress: {
    const auto progress = decode<Progress>(effect.body);
    peers_.answered(effect.peer, effect.correlation, progress && progress->last);
    break;
  }
  default:
    peers_.answered(effect.peer, effect.correlation, true);
  }
  send_encoded(effect.peer, effect.type, effect.correlation, std::move(effect.body), out);
}

void Gateway::carry_out(ledger::NodeBound effect, TimePoint now, Outbox& out) {
  send_acks(out); // those of the session before
  sessions_.bind(effect);
  out.watchdog.emplace_back(
    Beat{effect.reply.node, now}); // so new work need not wait for a heartbeat
  if (PeerState* peer = peers_.find(effect.peer)) {
    peer->registering = {};
    peer->told = {};
  }
  effect.reply.session = effect.session;
  send(effect.peer, effect.reply, effect.correlation, out);
}

void Gateway::carry_out(ledger::NodeUnbound effect, TimePoint, Outbox& out) {
  sessions_.unbind(effect.node);
  gathered_.erase(effect.node);
  for (auto& pending : logs_.of_node(effect.node))
    out.archivist.emplace_back(
      pending.from, LogWanted{std::move(pending.log),
                              {Code::node_down, {}, "the node is down: " + effect.reason},
                              effect.node});
}

void Gateway::carry_out(ledger::AssignToNode effect, TimePoint, Outbox& out) {
  Session* session = sessions_.of_node(effect.node);
  if (session == nullptr)
    return; // sent again when it registers
  gathered_.insert(effect.node);
  sessions_.gather(*session, std::move(effect), assigns_);
  send_assigns(*session, out);
}

void Gateway::carry_out(ledger::StopOnNode effect, TimePoint, Outbox& out) {
  Session* session = sessions_.of_node(effect.node);
  if (session == nullptr)
    return;
  Sessions::flush(*session, assigns_); // nothing may be stopped before it was assigned
  send_assigns(*session, out);
  StopTasks stop;
  stop.tasks.push_back(std::move(effect.tasks));
  stop.reason = std::move(effect.reason);
  stop.move = effect.move;
  send(session->peer, stop, 0, out);
}

void Gateway::carry_out(ledger::ToAllNodes effect, TimePoint, Outbox& out) {
  const std::string usual = encode(effect.beacon);
  sessions_.each([&](const Session& session) {
    const auto other = effect.states.find(session.node);
    if (other == effect.states.end()) {
      send_encoded(session.peer, MessageType::beacon, 0, usual, out);
      return;
    }
    Beacon beacon = effect.beacon;
    beacon.state = other->second.first;
    beacon.draining = other->second.second;
    send(session.peer, beacon, 0, out);
  });
}

void Gateway::carry_out(ledger::AskForLog effect, TimePoint now, Outbox& out) {
  const Origin from{effect.peer, effect.correlation};
  const Session* session = effect.node ? sessions_.of_node(effect.node) : nullptr;
  if (session == nullptr) {
    out.archivist.emplace_back(from,
                               LogWanted{std::move(effect.log),
                                         {Code::node_down, {}, "the task's node is not connected"},
                                         effect.node});
    return;
  }
  LogRequest request;
  request.log = effect.log;
  request.request = logs_.add({from, effect.node, std::move(effect.log), now + log_patience});
  send(session->peer, request, 0, out);
}

void Gateway::carry_out(ledger::CompleteTasks effect, TimePoint, Outbox& out) {
  out.archivist.emplace_back(Origin{effect.peer, effect.correlation}, std::move(effect.list));
}

void Gateway::carry_out(ledger::CompleteProgress effect, TimePoint, Outbox& out) {
  out.archivist.emplace_back(Origin{effect.peer, effect.correlation}, std::move(effect.progress));
}

void Gateway::carry_out(ledger::AskScheduler effect, TimePoint, Outbox& out) {
  const Origin from{effect.peer, effect.correlation};
  if (const auto* explain = std::get_if<Explain>(&effect.question))
    out.scheduler.push_back({from, *explain});
  else
    out.scheduler.push_back({from, std::move(std::get<ledger::DryRun>(effect.question))});
}

} // namespace reeve::gateway
