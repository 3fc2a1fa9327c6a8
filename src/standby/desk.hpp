// What a standby answers on its socket: questions from the state that it follows, to those who said
// that a standby will do; everybody else is sent to the leader. Remembers which connections are
// agents, so that the next leader can greet them. Pure: frames in, frames out.
#pragma once

#include "src/core/cluster.hpp"
#include "src/net/server.hpp"

#include <set>

namespace reeve::standby {

struct DeskIdentity {
  std::string cluster, master, program, events;
  TimePoint started;
  std::map<std::string, std::string> defaults{}; // of the settings
};
struct DeskView { // what it knows at the moment
  const core::Cluster& cluster;
  std::string leader, leader_endpoint; // empty: nobody reigns
  std::string journal;                 // "healthy", or what ails it
  std::uint64_t lag = 0;
  Seq snapshot;
  Duration confirmed{0}; // since etcd answered
};

class Desk {
public:
  explicit Desk(DeskIdentity identity) : identity_(std::move(identity)) {}

  void answer(const net::Message& message, const DeskView& view, TimePoint now,
              std::vector<net::Message>& out);
  void gone(net::Peer peer);
  [[nodiscard]] const std::set<net::Peer>& agents() const { return agents_; }

private:
  struct Ask;
  template<class M> void reply(const Ask& ask, const M& message) const;
  template<class M> void show(const Ask& ask);
  void fail(const Ask& ask, Code code, const std::string& field, const std::string& text) const;
  void not_leader(const Ask& ask) const;
  void unbundle(const Ask& ask);
  void hello(const Ask& ask);
  void status(const Ask& ask) const;

  DeskIdentity identity_;
  std::set<net::Peer> agents_, readers_;
};

} // namespace reeve::standby
