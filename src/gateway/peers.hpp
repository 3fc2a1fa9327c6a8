// What the gateway remembers of each connection: how much it has asked for and not been answered.
// Owned by the gateway core. A peer that goes away without a word is forgotten in time.
#pragma once

#include "src/gateway/types.hpp"

#include <unordered_map>
#include <unordered_set>

namespace reeve::gateway {

constexpr std::size_t waits_of_peer_max = 1'000;

struct PeerState {
  std::unordered_set<std::uint64_t>
    outstanding; // correlations of requests that await their answer, waits apart
  std::map<std::uint64_t, TimePoint> waits; // correlation -> when last renewed
  TimePoint registering;                    // a RegisterNode is on its way; 0: none
  TimePoint told;                           // RegisterAgain was last sent
  bool bundles = false;                     // it has sent one: it understands them
};

class Peers {
public:
  /// Makes it when new.
  PeerState& at(Peer peer) { return peers_[peer]; }
  PeerState* find(Peer peer) {
    const auto found = peers_.find(peer);
    return found == peers_.end() ? nullptr : &found->second;
  }
  void forget(Peer peer) { peers_.erase(peer); }
  /// An answer leaves for this peer; `last` unless more answers to the same request follow.
  void answered(Peer peer, std::uint64_t correlation, bool last);
  /// Forgets waits that were not renewed (the ledger has forgotten them too) and peers with nothing
  /// left to remember.
  void sweep(TimePoint now);
  [[nodiscard]] std::size_t size() const { return peers_.size(); }

private:
  std::unordered_map<Peer, PeerState> peers_;
};

} // namespace reeve::gateway
