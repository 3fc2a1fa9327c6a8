// What happens to interrupted work. Takes committed batches; asks the ledger for Requeue,
// GiveUp and Quarantine. Shell around deciders::Recovery.
#pragma once

#include "actors/decider.hpp"
#include "src/deciders/recovery.hpp"

namespace reeve::actors {

class RecoveryActor : public DeciderShell<deciders::Recovery> {
public:
  /// `seed`: of the waiting times' jitter.
  RecoveryActor(caf::actor_config& config, DirectoryPtr directory, std::uint64_t seed);

protected:
  caf::message_handler own_messages() override;
};

} // namespace reeve::actors
