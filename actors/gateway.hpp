// The master's door: frames in, frames out. Shell around gateway::Gateway. Decodes and sorts what
// the I/O thread has read, carries out effects. Decides nothing.
#pragma once

#include "actors/load.hpp"
#include "actors/types.hpp"
#include "actors/wire.hpp"

namespace reeve::actors {

class GatewayActor : public caf::event_based_actor {
public:
  GatewayActor(caf::actor_config& config, gateway::Gateway core, Wire wire, DirectoryPtr directory,
               LoadPtr load, std::uint64_t memory_max);

protected:
  caf::behavior make_behavior() override;

private:
  void deliver(gateway::Outbox out);
  void hold_beats(gateway::Outbox& out);
  void send_beats();
  void send_on(gateway::Outbox& out);
  bool crowded();
  void report_counters();

  gateway::Gateway core_;
  Wire wire_;
  DirectoryPtr directory_;
  LoadPtr load_;
  gateway::Outbox held_; // heartbeats on their way to the deciders
  bool holds_ = false;
  std::uint64_t memory_max_; // bytes of this process; 0: no limit
  TimePoint measured_;
  bool crowded_ = false;
};

/// What the I/O thread calls: passes on to the gateway and the publisher.
net::Server::Handler handler_for(const DirectoryPtr& directory);

} // namespace reeve::actors
