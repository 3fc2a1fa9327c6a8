// See registry.hpp.
#include "actors/registry.hpp"

#include "actors/shell.hpp"

namespace reeve::actors {

RegistryActor::RegistryActor(caf::actor_config& config, DirectoryPtr directory)
    : event_based_actor(config), directory_(std::move(directory)) {
  report_exceptions(this, "registry");
}

caf::behavior RegistryActor::make_behavior() {
  return {
    [](start_atom) {},
    [this](const Described& described) { core_.reset(*described.changes); },
    [this](const core::CommittedPtr& batch) { core_.apply(batch->changes); },
    [this](const Parcel<RegistryMail>& mail) {
      for (auto& item : mail.take().items)
        std::visit([this](auto& i) { take(std::move(i)); }, item);
    },
  };
}

void RegistryActor::take(gateway::Registration registration) {
  const auto heartbeat = core_.check(registration.message);
  if (!heartbeat)
    return refuse(registration.from, heartbeat.error());
  post(this, directory_->ledger, CheckedRegistration{std::move(registration), *heartbeat});
}

void RegistryActor::take(gateway::Asked asked) {
  Result<void> good;
  if (const auto* nodes = std::get_if<ActOnNodes>(&asked.request))
    good = core_.check(*nodes);
  else if (const auto* config = std::get_if<SetConfig>(&asked.request))
    good = core_.check(*config);
  if (!good)
    return refuse(asked.from, good.error());
  post(this, directory_->ledger, std::move(asked));
}

void RegistryActor::refuse(gateway::Origin to, const Error& error) {
  std::vector<ledger::Effect> effects;
  effects.emplace_back(ledger::refusal(to.peer, to.correlation, error));
  post(this, directory_->gateway, Effects{std::move(effects)});
}

} // namespace reeve::actors
