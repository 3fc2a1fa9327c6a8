// See scheduler.hpp.
#include "actors/scheduler.hpp"

namespace reeve::actors {
namespace {
// Tasks that wait for a time wait for a tick, too.
constexpr auto decide_every = std::chrono::milliseconds(50);
} // namespace

SchedulerActor::SchedulerActor(caf::actor_config& config, DirectoryPtr directory)
    : DeciderShell(config, "scheduler", sched::Scheduler(), std::move(directory), decide_every) {}

caf::message_handler SchedulerActor::own_messages() {
  return {
    [this](const core::CommittedPtr& batch) { // with its entries: results tell run times
      core_.apply(*batch);
      think_soon();
    },
    [this](const Parcel<SchedulerMail>& mail) {
      std::vector<ledger::Effect> effects;
      for (const auto& asked : mail.take().items)
        answer(asked, effects);
      post(this, directory_->gateway, Effects{std::move(effects)});
    },
  };
}

void SchedulerActor::answer(const gateway::ForScheduler& asked,
                            std::vector<ledger::Effect>& effects) {
  const auto& [from, question] = asked;
  ledger::ToPeer reply{from.peer, MessageType::explained, from.correlation, {}};
  if (const auto explained = core_.explain(question.job, question.index, now())) {
    reply.body = encode(*explained);
  } else {
    reply.type = MessageType::failed;
    Failed failed;
    failed.code = explained.error().code;
    failed.field = explained.error().field;
    failed.text = explained.error().text;
    reply.body = encode(failed);
  }
  effects.emplace_back(std::move(reply));
}

} // namespace reeve::actors
