// See network.hpp.
#include "tests/sim/network.hpp"

namespace reeve::sim {
namespace {
constexpr Duration heartbeat_patience = 3s;
constexpr std::size_t old_frames = 12;
} // namespace

std::size_t Network::add(Dialer& dialer, std::size_t listener) {
  hosts_.emplace_back();
  hosts_.back().dialer = &dialer;
  hosts_.back().listener = listener;
  dial(hosts_.size() - 1);
  return hosts_.size() - 1;
}

void Network::dial(std::size_t number) {
  timeline_.at(timeline_.now() + random_.between(50ms, 500ms), [this, number] {
    Host& host = hosts_[number];
    if (host.peer != 0)
      return;
    if (!host.dialer->can_connect() || !listeners_[host.listener]->can_accept() ||
        host.ways[up].clogs > 0 || host.ways[down].clogs > 0)
      return dial(number);
    listener_of_.push_back(host.listener);
    host.peer = listener_of_.size();
    by_peer_[host.peer] = number;
    host.dialer->on_connected();
  });
}

void Network::hang_up(std::size_t number) {
  Host& host = hosts_[number];
  if (host.peer == 0)
    return;
  const std::uint64_t peer = std::exchange(host.peer, 0);
  by_peer_.erase(peer);
  for (Direction& way : host.ways)
    way.held.clear();
  host.dialer->on_disconnected();
  if (random_.percent(50))
    listeners_[host.listener]->on_gone(peer);
  dial(number);
}

void Network::hang_up_all(std::size_t listener) {
  for (std::size_t host = 0; host < hosts_.size(); ++host)
    if (hosts_[host].listener == listener)
      hang_up(host);
}

void Network::clog(std::size_t number, bool upwards, bool downwards) {
  for (const Way way : {up, down}) {
    if (way == up ? !upwards : !downwards)
      continue;
    Direction& direction = hosts_[number].ways[way];
    if (direction.clogs++ > 0)
      continue;
    timeline_.at(
      timeline_.now() + heartbeat_patience, [this, number, way, mine = ++direction.clogging] {
        if (hosts_[number].ways[way].clogs > 0 && hosts_[number].ways[way].clogging == mine)
          hang_up(number);
      });
  }
}

void Network::unclog(std::size_t number, bool upwards, bool downwards) {
  for (const Way way : {up, down}) {
    Direction& direction = hosts_[number].ways[way];
    if ((way == up ? !upwards : !downwards) || --direction.clogs > 0)
      continue;
    for (Frame& frame : std::exchange(direction.held, {}))
      fly(number, way, std::move(frame));
  }
}

bool Network::send_up(std::size_t number, Frame frame) {
  if (hosts_[number].peer == 0)
    return false;
  send(number, up, std::move(frame));
  return true;
}

void Network::send_down(std::uint64_t peer, Frame frame) {
  const auto at = by_peer_.find(peer);
  if (at == by_peer_.end()) {
    timeline_.at(timeline_.now() + random_.between(100us, 5ms),
                 [this, peer] { listeners_[listener_of_[peer - 1]]->on_gone(peer); });
    return;
  }
  Host& host = hosts_[at->second];
  host.old.push_back(frame);
  if (host.old.size() > old_frames)
    host.old.pop_front();
  send(at->second, down, std::move(frame));
}

void Network::send(std::size_t number, Way way, Frame frame) {
  if (random_.per_mille(noise.drop))
    return;
  if (random_.per_mille(noise.repeat))
    fly(number, way, frame);
  fly(number, way, std::move(frame));
}

void Network::fly(std::size_t number, Way way, Frame frame) {
  Direction& direction = hosts_[number].ways[way];
  if (direction.clogs > 0) {
    direction.held.push_back(std::move(frame));
    return;
  }
  TimePoint when = timeline_.now() + random_.between(noise.delay_least, noise.delay_most);
  if (!noise.reorder)
    when = direction.last = std::max(when, direction.last);
  timeline_.at(when, [this, number, way, peer = hosts_[number].peer, frame = std::move(frame)] {
    arrive(number, way, peer, frame);
  });
}

void Network::arrive(std::size_t number, Way way, std::uint64_t peer, const Frame& frame) {
  Host& host = hosts_[number];
  if (host.peer != peer)
    return;
  if (way == up)
    listeners_[host.listener]->on_frame(peer, frame);
  else
    host.dialer->on_frame(frame);
}

void Network::repeat_old(std::size_t number) {
  Host& host = hosts_[number];
  if (host.peer == 0)
    return;
  for (const Frame& frame : host.old)
    timeline_.at(timeline_.now() + random_.between(1ms, 3s),
                 [this, number, peer = host.peer, frame] { arrive(number, down, peer, frame); });
}

} // namespace reeve::sim
