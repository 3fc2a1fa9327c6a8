// The numbered event stream: committed batches in, event frames out, the newest kept for those who
// come late. Shell around events::Teller and Ring. Decides nothing.
#pragma once

#include "actors/types.hpp"
#include "actors/wire.hpp"
#include "src/events/events.hpp"

namespace reeve::actors {

class PublisherActor : public caf::event_based_actor {
public:
  PublisherActor(caf::actor_config& config, Wire wire);

protected:
  caf::behavior make_behavior() override;

private:
  void publish(const core::Committed& batch);
  void replay(const std::string& topic);

  Wire wire_;
  events::Teller teller_;
  events::Ring ring_;
};

} // namespace reeve::actors
