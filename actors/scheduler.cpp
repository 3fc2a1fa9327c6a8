// See scheduler.hpp.
#include "actors/scheduler.hpp"

namespace reeve::actors {
namespace {
// Tasks that wait for a time wait for a tick, too.
constexpr auto decide_every = std::chrono::milliseconds(50);
constexpr Duration count_every{200'000};
// Questions have a tenth of this actor's time, and 5 ms of work at once.
constexpr std::int64_t answers_one_in = 10;
constexpr Duration answers_ahead{50'000};
constexpr std::size_t questions_max = 1'000; // that wait
constexpr Duration ask_again{1'000'000};
using answer_atom = caf::atom_constant<caf::atom("answer")>;

void say(std::vector<ledger::Effect>& effects, const gateway::Origin& to, const auto& message) {
  effects.emplace_back(ledger::ToPeer{to.peer, std::decay_t<decltype(message)>::type,
                                      to.correlation, encode(message)});
}
void refuse(std::vector<ledger::Effect>& effects, const gateway::Origin& to, const Error& error,
            Duration retry_after = Duration(0)) {
  effects.emplace_back(ledger::refusal(to.peer, to.correlation, error, retry_after));
}
} // namespace

SchedulerActor::SchedulerActor(caf::actor_config& config, DirectoryPtr directory)
    : DeciderShell(config, "scheduler", sched::Scheduler(), std::move(directory), decide_every),
      ration_(answers_one_in, answers_ahead) {}

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
      answer(effects);
    },
    [this](answer_atom) {
      answers_later_ = false;
      std::vector<ledger::Effect> effects;
      answer(effects);
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
  if (std::holds_alternative<Explain>(asked.question) ||
      std::holds_alternative<ledger::DryRun>(asked.question)) {
    if (questions_.size() < questions_max)
      questions_.push_back(std::move(asked));
    else
      refuse(effects, asked.from,
             {Code::busy, "", "more questions wait than the scheduler has time for"}, ask_again);
  } else if (auto* lease = std::get_if<Allocate>(&asked.question)) {
    if (const auto good = core_.check(*lease, now()); !good)
      refuse(effects, asked.from, good.error());
    else
      post(this, directory_->ledger, gateway::Asked{asked.from, std::move(*lease)});
  } else if (const auto* measured = std::get_if<gateway::Measured>(&asked.question)) {
    core_.measured(measured->node, measured->used);
  } else if (const auto* pulled = std::get_if<gateway::Pulled>(&asked.question)) {
    core_.pulled(pulled->node);
    think_soon();
  }
}

void SchedulerActor::answer(std::vector<ledger::Effect>& effects) {
  while (!questions_.empty()) {
    const TimePoint begun = steady_now();
    if (!ration_.may(begun))
      break;
    const gateway::ForScheduler asked = std::move(questions_.front());
    questions_.pop_front();
    if (const auto* question = std::get_if<Explain>(&asked.question)) {
      if (const auto explained = core_.explain(question->job, question->index, now()))
        say(effects, asked.from, *explained);
      else
        refuse(effects, asked.from, explained.error());
    } else if (const auto* dry = std::get_if<ledger::DryRun>(&asked.question)) {
      Submitted said;
      said.count = static_cast<std::uint32_t>(dry->jobs.size());
      if (auto texts = core_.would_go(dry->jobs, dry->waits, now())) {
        said.text = texts->front();
        said.texts = std::move(*texts);
        say(effects, asked.from, said);
      } else {
        refuse(effects, asked.from, texts.error());
      }
    }
    ration_.took(begun, steady_now());
  }
  if (!effects.empty())
    post(this, directory_->gateway, Effects{std::move(effects)});
  if (!questions_.empty() && !std::exchange(answers_later_, true))
    delayed_send(this, std::max(Duration(1), ration_.next() - steady_now()), answer_atom::value);
}

} // namespace reeve::actors
