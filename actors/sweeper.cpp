// See sweeper.hpp.
#include "actors/sweeper.hpp"

namespace reeve::actors {
namespace {
constexpr auto sweep_every = std::chrono::seconds(1);
} // namespace

SweeperActor::SweeperActor(caf::actor_config& config, DirectoryPtr directory)
    : DeciderShell(config, "sweeper", {}, std::move(directory), sweep_every) {}

caf::message_handler SweeperActor::own_messages() {
  return {
    [this](const Parcel<SweeperMail>& mail) {
      for (const auto& asked : mail.take().items) {
        post(this, directory_->ledger, Swept{asked.from, asked.dry_run, core_.report(now())});
        if (!asked.dry_run)
          if (auto commands = core_.sweep(now()); !commands.empty())
            post(this, directory_->ledger, Wishes{std::move(commands)});
      }
    },
  };
}

} // namespace reeve::actors
