// Log requests that wait for an agent's answer. Owned by the gateway core. Knows no socket and no
// clock.
#pragma once

#include "src/gateway/types.hpp"

namespace reeve::gateway {

constexpr auto log_patience = std::chrono::seconds(5);

class LogRequests {
public:
  struct Pending {
    Origin from;
    NodeId node;
    ReadLog log;
    TimePoint deadline;
  };
  /// Returns the number that the agent answers with.
  std::uint64_t add(Pending pending) {
    pending_.emplace(++newest_, std::move(pending));
    return newest_;
  }
  /// The request, if this node was asked it and has not answered yet.
  std::optional<Pending> answered(std::uint64_t request, NodeId node) {
    const auto at = pending_.find(request);
    if (at == pending_.end() || at->second.node != node)
      return std::nullopt;
    Pending pending = std::move(at->second);
    pending_.erase(at);
    return pending;
  }
  std::vector<Pending> overdue(TimePoint now) {
    return take([&](const Pending& p) { return p.deadline <= now; });
  }
  std::vector<Pending> of_node(NodeId node) {
    return take([&](const Pending& p) { return p.node == node; });
  }
  void forget(Peer peer) {
    take([&](const Pending& p) { return p.from.peer == peer; });
  }

private:
  template<class F> std::vector<Pending> take(F&& which) {
    std::vector<Pending> taken;
    for (auto at = pending_.begin(); at != pending_.end();) {
      if (!which(at->second)) {
        ++at;
        continue;
      }
      taken.push_back(std::move(at->second));
      at = pending_.erase(at);
    }
    return taken;
  }
  std::map<std::uint64_t, Pending> pending_;
  std::uint64_t newest_ = 0;
};

} // namespace reeve::gateway
