// Watches the core actors: an exception ends only its actor, and a master without its ledger must
// not look alive. Says who ended and why.
#pragma once

#include "actors/types.hpp"

namespace reeve::actors {

class GuardActor : public caf::event_based_actor {
public:
  using OnDown = std::function<void(const std::string& actor, const std::string& reason)>;
  GuardActor(caf::actor_config& config, std::vector<std::pair<std::string, caf::actor>> watched,
             OnDown on_down);

protected:
  caf::behavior make_behavior() override;

private:
  std::map<caf::actor_addr, std::string> names_;
  OnDown on_down_;
};

} // namespace reeve::actors
