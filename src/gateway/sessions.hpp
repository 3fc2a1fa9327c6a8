// Which connection is which node, and the numbered Assign messages of each session. Owned by the
// gateway core. Soft state: the ledger says who is bound (NodeBound, NodeUnbound), and what gets
// lost on the way is found by the numbers. Knows no socket and no clock.
#pragma once

#include "src/gateway/types.hpp"

#include <unordered_map>

namespace reeve::gateway {

constexpr std::size_t assign_bytes_max =
  1u << 20; // of one Assign message, as far as tasks can be split

struct Session {
  Peer peer = 0;
  NodeId node;
  std::uint64_t session = 0;
  Incarnation incarnation;
  std::uint64_t assigned = 0; // number of the newest Assign
  std::uint64_t awaited = 0;  // the agent should have seen this one …
  unsigned late_beats = 0;    // … and so many heartbeats did not confirm it
  Assign gathering;           // not yet sent
  std::size_t gathering_bytes = 0;
};

class Sessions {
public:
  /// Replaces whatever the node and the peer were bound to.
  void bind(const ledger::NodeBound& bound);
  /// Returns the peer that was bound, 0 if none.
  Peer unbind(NodeId node);
  [[nodiscard]] Session* of_peer(Peer peer);
  [[nodiscard]] Session* of_node(NodeId node);
  /// True once an Assign has stayed unconfirmed for more than three heartbeats: it was lost.
  static bool assign_is_lost(Session& session, std::uint64_t assign_seen);

  /// Adds work to the session's next Assign message; what grows beyond the limit goes to `out` at
  /// once.
  void gather(Session& session, ledger::AssignToNode work, std::vector<Assign>& out);
  /// The message gathered so far, numbered.
  static void flush(Session& session, std::vector<Assign>& out);

  template<class F> void each(F&& f) {
    for (auto& [node, session] : by_node_)
      f(session);
  }
  [[nodiscard]] std::size_t size() const { return by_node_.size(); }

private:
  std::map<NodeId, Session> by_node_; // ordered: equal inputs must give equal messages
  std::unordered_map<Peer, NodeId> by_peer_;
};

} // namespace reeve::gateway
