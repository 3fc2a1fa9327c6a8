// What is given back. Takes committed batches and its own tick; asks the ledger to end leases, to
// forget finished jobs and nodes that are gone; says what it would, when asked. Shell around
// deciders::Sweeper.
#pragma once

#include "actors/decider.hpp"
#include "src/deciders/sweeper.hpp"

namespace reeve::actors {

class SweeperActor : public DeciderShell<deciders::Sweeper> {
public:
  SweeperActor(caf::actor_config& config, DirectoryPtr directory);

protected:
  caf::message_handler own_messages() override;
};

} // namespace reeve::actors
