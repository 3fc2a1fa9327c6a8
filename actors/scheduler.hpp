// What runs where: the shell around sched::Scheduler. Takes committed batches, refusals and
// questions; sends Place wishes to the ledger and answers to the gateway. Changes nothing itself.
#pragma once

#include "actors/decider.hpp"
#include "src/sched/scheduler.hpp"

namespace reeve::actors {

class SchedulerActor : public DeciderShell<sched::Scheduler> {
public:
  SchedulerActor(caf::actor_config& config, DirectoryPtr directory);

protected:
  caf::message_handler own_messages() override;

private:
  void answer(const gateway::ForScheduler& asked, std::vector<ledger::Effect>& effects);
};

} // namespace reeve::actors
