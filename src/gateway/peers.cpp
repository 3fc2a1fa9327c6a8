// Bookkeeping of connections. See peers.hpp.
#include "src/gateway/peers.hpp"

namespace reeve::gateway {
namespace {
constexpr auto wait_renewal_max =
  std::chrono::minutes(3); // clients renew every 30 s, the ledger forgets after two minutes
constexpr auto silence_max = std::chrono::minutes(1);
} // namespace

void Peers::answered(Peer peer, std::uint64_t correlation, bool last) {
  PeerState* state = find(peer);
  if (state == nullptr || !last)
    return;
  if (state->waits.erase(correlation) == 0)
    state->outstanding.erase(correlation);
}

void Peers::sweep(TimePoint now) {
  for (auto at = peers_.begin(); at != peers_.end();) {
    PeerState& state = at->second;
    std::erase_if(state.waits,
                  [&](const auto& wait) { return now - wait.second > wait_renewal_max; });
    const bool idle = state.outstanding.empty() && state.waits.empty() &&
                      now - state.registering > silence_max && now - state.told > silence_max;
    at = idle ? peers_.erase(at) : std::next(at);
  }
}

} // namespace reeve::gateway
