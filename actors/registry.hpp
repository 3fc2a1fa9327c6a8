// Who is a node: checks registrations, what operators ask of nodes, and settings; what passes goes
// on to the ledger. Shell around deciders::Registry. Never changes the cluster.
#pragma once

#include "actors/types.hpp"
#include "src/deciders/registry.hpp"

namespace reeve::actors {

class RegistryActor : public caf::event_based_actor {
public:
  RegistryActor(caf::actor_config& config, DirectoryPtr directory);

protected:
  caf::behavior make_behavior() override;

private:
  void take(gateway::Registration registration);
  void take(gateway::Asked asked);
  void refuse(gateway::Origin to, const Error& error);

  deciders::Registry core_;
  DirectoryPtr directory_;
};

} // namespace reeve::actors
