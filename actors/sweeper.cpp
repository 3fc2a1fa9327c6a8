// See sweeper.hpp.
#include "actors/sweeper.hpp"

namespace reeve::actors {
namespace {
constexpr auto sweep_every = std::chrono::seconds(1);
} // namespace

SweeperActor::SweeperActor(caf::actor_config& config, DirectoryPtr directory)
    : DeciderShell(config, "sweeper", {}, std::move(directory), sweep_every) {}

} // namespace reeve::actors
