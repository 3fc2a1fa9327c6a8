// What runs where: the shell around sched::Scheduler. Takes committed batches, refusals and
// questions; sends wishes to the ledger, leases that are within their quotas too, and answers to
// the gateway. Changes nothing itself.
#pragma once

#include "actors/decider.hpp"
#include "src/sched/ration.hpp"
#include "src/sched/scheduler.hpp"

#include <deque>

namespace reeve::actors {

class SchedulerActor : public DeciderShell<sched::Scheduler> {
public:
  SchedulerActor(caf::actor_config& config, DirectoryPtr directory);

protected:
  caf::message_handler own_messages() override;
  void decided() override;

private:
  void take(gateway::ForScheduler asked, std::vector<ledger::Effect>& effects);
  /// Of those whose answer looks at all nodes, as many as there is time for; the others later.
  void answer(std::vector<ledger::Effect>& effects);
  std::deque<gateway::ForScheduler> questions_; // not answered yet
  sched::Ration ration_;
  bool answers_later_ = false;
  std::map<std::string, std::int64_t> counted_; // as last told
  TimePoint counted_at_;
};

} // namespace reeve::actors
