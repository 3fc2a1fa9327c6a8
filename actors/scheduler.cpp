// See scheduler.hpp.
#include "actors/scheduler.hpp"

namespace reeve::actors {
namespace {
// Tasks that wait for a time wait for a tick, too.
constexpr auto decide_every = std::chrono::milliseconds(50);
constexpr Duration count_every{200'000};
} // namespace

SchedulerActor::SchedulerActor(caf::actor_config& config, DirectoryPtr directory)
    : DeciderShell(config, "scheduler", sched::Scheduler(), std::move(directory), decide_every) {}

caf::message_handler SchedulerActor::own_messages() {
  return {
    [this](const core::CommittedPtr& batch) { // with its entries: results tell run times
      core_.apply(*batch);
      think_soon();
    },
    [this](const Parcel<Remembered>& remembered) {
      core_.remember(remembered.take().past);
      think_soon();
    },
    [this](const Parcel<SchedulerMail>& mail) {
      std::vector<ledger::Effect> effects;
      for (auto& asked : mail.take().items)
        take(std::move(asked), effects);
      if (!effects.empty())
        post(this, directory_->gateway, Effects{std::move(effects)});
    },
  };
}

void SchedulerActor::decided() {
  if (const TimePoint time = now(); time - counted_at_ >= count_every) {
    counted_at_ = time;
    if (auto counts = core_.counts(); counts != counted_) {
      counted_ = counts;
      post(this, directory_->ledger, Counted{std::move(counts)});
    }
  }
}

void SchedulerActor::take(gateway::ForScheduler asked, std::vector<ledger::Effect>& effects) {
  const gateway::Origin from = asked.from;
  const auto say = [&](const auto& message) {
    effects.emplace_back(ledger::ToPeer{from.peer, std::decay_t<decltype(message)>::type,
                                        from.correlation, encode(message)});
  };
  const auto refuse = [&](const Error& error) {
    Failed failed;
    failed.code = error.code;
    failed.field = error.field;
    failed.text = error.text;
    say(failed);
  };
  if (const auto* question = std::get_if<Explain>(&asked.question)) {
    if (const auto explained = core_.explain(question->job, question->index, now()))
      say(*explained);
    else
      refuse(explained.error());
  } else if (const auto* dry = std::get_if<ledger::DryRun>(&asked.question)) {
    Submitted answer;
    answer.count = static_cast<std::uint32_t>(dry->jobs.size());
    if (auto texts = core_.would_go(dry->jobs, dry->waits, now())) {
      answer.text = texts->front();
      answer.texts = std::move(*texts);
      say(answer);
    } else {
      refuse(texts.error());
    }
  } else if (auto* lease = std::get_if<Allocate>(&asked.question)) {
    if (const auto good = core_.check(*lease, now()); !good)
      refuse(good.error());
    else
      post(this, directory_->ledger, gateway::Asked{from, std::move(*lease)});
  } else if (const auto* measured = std::get_if<gateway::Measured>(&asked.question)) {
    core_.measured(measured->node, measured->used);
  } else if (const auto* pulled = std::get_if<gateway::Pulled>(&asked.question)) {
    core_.pulled(pulled->node);
    think_soon();
  }
}

} // namespace reeve::actors
