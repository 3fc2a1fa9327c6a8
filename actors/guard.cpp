// See guard.hpp.
#include "actors/guard.hpp"

namespace reeve::actors {

GuardActor::GuardActor(caf::actor_config& config,
                       std::vector<std::pair<std::string, caf::actor>> watched, OnDown on_down)
    : event_based_actor(config), on_down_(std::move(on_down)) {
  for (const auto& [name, actor] : watched) {
    monitor(actor);
    names_.emplace(actor.address(), name);
  }
  set_down_handler([this](const caf::down_msg& down) {
    const auto at = names_.find(down.source);
    on_down_(at == names_.end() ? "unknown" : at->second, this->system().render(down.reason));
  });
}

caf::behavior GuardActor::make_behavior() {
  return {[](start_atom) {}};
}

} // namespace reeve::actors
