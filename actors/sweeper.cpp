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
      std::vector<ledger::Effect> effects;
      for (const auto& asked : mail.take().items) {
        const deciders::SweepReport report = core_.report(now());
        if (!asked.dry_run)
          if (auto commands = core_.sweep(now()); !commands.empty())
            post(this, directory_->ledger, Wishes{std::move(commands)});
        effects.emplace_back(ledger::ToPeer{asked.from.peer, Done::type, asked.from.correlation,
                                            encode(Done{report.things(), report.text()})});
      }
      post(this, directory_->gateway, Effects{std::move(effects)});
    },
  };
}

} // namespace reeve::actors
