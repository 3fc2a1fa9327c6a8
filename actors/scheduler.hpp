// What runs where: the shell around sched::Scheduler. Takes committed batches, refusals and
// questions; sends wishes to the ledger, leases that are within their quotas too, and answers to
// the gateway. Changes nothing itself.
#pragma once

#include "actors/decider.hpp"
#include "src/sched/scheduler.hpp"

namespace reeve::actors {

class SchedulerActor : public DeciderShell<sched::Scheduler> {
public:
  SchedulerActor(caf::actor_config& config, DirectoryPtr directory);

protected:
  caf::message_handler own_messages() override;
  void decided() override;

private:
  void take(gateway::ForScheduler asked, std::vector<ledger::Effect>& effects);
  std::map<std::string, std::int64_t> counted_; // as last told
  TimePoint counted_at_;
};

} // namespace reeve::actors
