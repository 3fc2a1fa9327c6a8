// See sweeper.hpp.
#include "actors/sweeper.hpp"

namespace reeve::actors {
namespace {
constexpr auto check_every = std::chrono::seconds(1);
} // namespace

SweeperActor::SweeperActor(caf::actor_config& config, DirectoryPtr directory)
    : DeciderShell(config, "sweeper", {}, std::move(directory), check_every) {}

} // namespace reeve::actors
