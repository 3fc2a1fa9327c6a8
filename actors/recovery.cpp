// See recovery.hpp.
#include "actors/recovery.hpp"

namespace reeve::actors {
namespace {
constexpr auto recover_every = std::chrono::seconds(1);
} // namespace

RecoveryActor::RecoveryActor(caf::actor_config& config, DirectoryPtr directory, std::uint64_t seed)
    : DeciderShell(config, "recovery", deciders::Recovery(seed), std::move(directory),
                   recover_every) {}

} // namespace reeve::actors
