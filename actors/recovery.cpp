// See recovery.hpp.
#include "actors/recovery.hpp"

namespace reeve::actors {
namespace {
constexpr auto recover_every = std::chrono::seconds(1);
} // namespace

RecoveryActor::RecoveryActor(caf::actor_config& config, DirectoryPtr directory, std::uint64_t seed)
    : DeciderShell(config, "recovery", deciders::Recovery(seed), std::move(directory),
                   recover_every) {}

caf::message_handler RecoveryActor::own_messages() {
  return {
    [this](const core::CommittedPtr& batch) { // with its entries: results tell which nodes fail
      core_.apply(*batch);
      think_soon();
    },
    [this](const Parcel<RecoveryMail>& mail) { // no reason to think at once
      for (const gateway::Measured& beat : mail.take().beats)
        core_.heard(beat.node, beat.used, beat.heard);
    },
  };
}

} // namespace reeve::actors
