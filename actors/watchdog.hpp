// Who is alive. Takes signs of life and broken connections from the gateway; asks the ledger for
// MarkLost, tells scheduler and ledger who is suspect. Shell around deciders::Watchdog. A refusal
// is news, not an error.
#pragma once

#include "actors/decider.hpp"
#include "src/deciders/watchdog.hpp"

namespace reeve::actors {

class WatchdogActor : public DeciderShell<deciders::Watchdog> {
public:
  WatchdogActor(caf::actor_config& config, DirectoryPtr directory);

protected:
  caf::message_handler own_messages() override;
  [[nodiscard]] TimePoint now() const override; // silence must not depend on a clock that is set
  void decided() override;

private:
  void tell();
};

} // namespace reeve::actors
