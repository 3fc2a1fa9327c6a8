// See archivist.hpp.
#include "actors/archivist.hpp"

#include "actors/refill.hpp"
#include "actors/shell.hpp"

#include <spdlog/spdlog.h>

namespace reeve::actors {
namespace {

constexpr auto delete_every = std::chrono::minutes(1);
constexpr std::uint32_t remembered = 20'000; // run times

ledger::Effect failure(gateway::Origin to, const Error& error) {
  return ledger::refusal(to.peer, to.correlation, error);
}
template<class M> ledger::Effect reply(gateway::Origin to, const M& message) {
  return ledger::ToPeer{to.peer, M::type, to.correlation, encode(message)};
}

// ---- on the recorder's thread

ledger::Effect answer_to(gateway::Origin from, const QueryHistory& question,
                         const Result<history::History*>& history) {
  if (!history)
    return failure(from, history.error());
  const auto rows = (*history)->query(question);
  return rows ? reply(from, *rows) : failure(from, rows.error());
}

ledger::Effect answer_to(gateway::Origin from, TaskList list,
                         const Result<history::History*>& history) {
  if (history)
    if (const auto completed = (*history)->complete(list); !completed)
      return failure(from, completed.error());
  return reply(from, list); // without a history: what the ledger knows
}

/// Who waits for jobs that are forgotten, or were before the last of them ended.
ledger::Effect answer_to(gateway::Origin from, Progress progress,
                         const Result<history::History*>& history) {
  if (history)
    if (const auto completed = (*history)->complete(progress); !completed)
      return failure(from, completed.error());
  for (std::size_t i = 0; i < progress.jobs.size(); ++i)
    if (progress.jobs[i].total == 0)
      return failure(from, {Code::not_found, "jobs[" + std::to_string(i) + "]",
                            "job " + std::to_string(progress.jobs[i].job.value) +
                              " has ended and is forgotten, and " +
                              (history ? "it is not in the history" : history.error().text)});
  return reply(from, progress);
}

/// The head that was kept; when that is not all, the node where it ran is asked first.
ledger::Effect answer_to(gateway::Origin from, const gateway::LogWanted& wanted,
                         const Result<history::History*>& history) {
  if (!history)
    return failure(from, wanted.why);
  const auto log = (*history)->log(wanted.log);
  if (!log)
    return failure(from, log.error());
  if (!*log)
    return failure(from, wanted.why);
  const auto& found = **log;
  if (!found.whole && !wanted.asked && found.node) {
    ReadLog question = wanted.log;
    question.attempt = found.chunk.attempt;
    return ledger::AskForLog{from.peer, from.correlation, found.node, question};
  }
  return found.known ? reply(from, found.chunk) : failure(from, wanted.why);
}

/// Whatever is wrong with the history: the rest was swept, and is told.
ledger::Effect answer_to(Swept swept, const Result<history::History::Due>& due) {
  if (due) {
    swept.report.history_rows = due->rows;
    swept.report.more_history = due->more;
  } else {
    swept.report.history_trouble = due.error().message();
  }
  return reply(swept.from, Done{swept.report.things(), swept.report.text()});
}

} // namespace

RecorderPtr make_recorder(std::string path, std::unique_ptr<journal::Journal> journal_reader) {
  if (path.empty())
    return nullptr;
  history::RecorderOptions options;
  options.path = std::move(path);
  options.refill = [reader = std::shared_ptr<journal::Journal>(std::move(journal_reader))](
                     history::History& history, Seq upto) -> Result<void> {
    if (!reader)
      return fail(Code::unavailable, {}, "no way to read the journal");
    return refill(*reader, history, upto);
  };
  options.tell = [](bool trouble, const std::string& text) {
    if (trouble)
      spdlog::error("{}", text);
    else
      spdlog::info("{}", text);
  };
  return std::make_shared<history::Recorder>(std::move(options));
}

ArchivistActor::ArchivistActor(caf::actor_config& config, RecorderPtr recorder,
                               DirectoryPtr directory)
    : event_based_actor(config), recorder_(std::move(recorder)), directory_(std::move(directory)) {
  report_exceptions(this, "archivist");
}

void ArchivistActor::on_exit() {
  recorder_.reset(); // its last owner waits until it has recorded what is queued
}

/// Nothing is kept: who asks is told so, and nobody waits.
caf::behavior ArchivistActor::without_history() {
  return {
    [](start_atom) {},
    [](const Described&) {},
    [](const core::CommittedPtr&) {},
    [this](const Parcel<ArchivistMail>& mail) {
      const Result<history::History*> none =
        fail(Code::unavailable, {}, "this master keeps no history");
      std::vector<ledger::Effect> effects;
      for (auto& item : mail.take().items)
        effects.push_back(
          std::visit([&](const auto& question) { return answer_to(item.from, question, none); },
                     item.question));
      post(this, directory_->gateway, Effects{std::move(effects)});
    },
    [this](const Parcel<Swept>& parcel) {
      post(this, directory_->gateway, Effects{{answer_to(parcel.take(), history::History::Due())}});
    },
    [](const Parcel<Settle>&) { return done_atom::value; },
    [](stop_atom) { return done_atom::value; },
  };
}

caf::behavior ArchivistActor::make_behavior() {
  if (!recorder_)
    return without_history();
  return {
    [this](start_atom) {
      delayed_send(this, delete_every, tick_atom::value);
      delayed_send(this, std::chrono::seconds(1), second_atom::value);
    },
    [this](const Described& described) {
      learn(*described.changes);
      if (!std::exchange(described_, true))
        remind_scheduler();
    },
    [this](second_atom) {
      delayed_send(this, std::chrono::seconds(1), second_atom::value);
      judge_promises();
    },
    [this](const core::CommittedPtr& batch) { learn(batch->changes); }, // with settings
    [this](const Parcel<ArchivistMail>& mail) {
      for (auto& item : mail.take().items)
        answer(std::move(item));
    },
    [this](const Parcel<Swept>& parcel) { answer(parcel.take()); },
    [this](tick_atom) {
      delayed_send(this, delete_every, tick_atom::value);
      if (described_)
        recorder_->sweep(wall_now() - keep_);
    },
    [this](const Parcel<Settle>& parcel) { return settle(parcel.take().seq); },
    [this](const Parcel<Settled>& parcel) {
      const auto settled = parcel.take();
      auto node = settling_.extract(settled.request);
      if (node.empty())
        return;
      if (settled.outcome)
        node.mapped().deliver(done_atom::value);
      else
        node.mapped().deliver(
          caf::make_error(caf::sec::runtime_error, settled.outcome.error().message()));
    },
    [this](stop_atom) { return settle(Seq(0)); },
  };
}

void ArchivistActor::learn(const core::Changes& changes) {
  for (const auto& change : changes)
    if (const auto* config = std::get_if<core::ConfigUpdated>(&change))
      learn(config->values);
}

void ArchivistActor::learn(const std::map<std::string, std::string>& changed) {
  const auto settings = deciders::settings_from(changed);
  keep_ = settings.retention_history;
  sla_window_ = settings.sla_window;
  sla_check_every_ = settings.sla_check_every;
  targets_ = history::targets_in(changed);
  judged_ = {}; // soon, by what is promised now
}

/// On the recorder's thread; the ledger takes what is news.
void ArchivistActor::judge_promises() {
  const TimePoint now = wall_now();
  if (!described_ || (judged_ <= now && now - judged_ < sla_check_every_))
    return;
  judged_ = now;
  recorder_->ask([to = directory_->ledger, targets = targets_, since = now - sla_window_,
                  now](Result<history::History*> history) {
    std::optional<history::SlaReport> report;
    if (!targets.empty()) {
      if (!history)
        return;
      const auto ask = [&](const QueryHistory& question) { return (*history)->query(question); };
      if (auto asked = history::ask_report(ask, since, now))
        report = std::move(*asked);
      else
        return spdlog::warn("promises: not judged: {}", asked.error().message());
    }
    Wishes wishes;
    for (auto& judged : history::judge_all(report, targets))
      wishes.commands.emplace_back(std::move(judged));
    post_anonymously(to, std::move(wishes));
  });
}

/// Run times are learned from results, and results of the past are here.
void ArchivistActor::remind_scheduler() {
  recorder_->ask([to = directory_->scheduler](Result<history::History*> history) {
    if (!history)
      return;
    auto past = (*history)->run_times(remembered);
    if (!past) {
      spdlog::warn("archivist: past run times are not known: {}", past.error().message());
      return;
    }
    Remembered remembered_times;
    for (auto& run : *past)
      remembered_times.past.push_back(
        {std::move(run.user), std::move(run.executor), std::move(run.name), run.time});
    post_anonymously(to, std::move(remembered_times));
  });
}

void ArchivistActor::answer(gateway::ForArchivist asked) {
  recorder_->ask([to = directory_->gateway, from = asked.from,
                  question = std::move(asked.question)](Result<history::History*> history) {
    std::vector<ledger::Effect> effects;
    effects.push_back(
      std::visit([&](const auto& q) { return answer_to(from, q, history); }, question));
    post_anonymously(to, Effects{std::move(effects)});
  });
}

void ArchivistActor::answer(Swept swept) {
  const TimePoint cutoff = wall_now() - keep_;
  const bool delete_them = described_ && !swept.dry_run;
  recorder_->ask([to = directory_->gateway, swept = std::move(swept),
                  cutoff](Result<history::History*> history) {
    const auto due = history ? (*history)->due(cutoff) : tl::unexpected(history.error());
    std::vector<ledger::Effect> effects;
    effects.push_back(answer_to(swept, due));
    post_anonymously(to, Effects{std::move(effects)});
  });
  if (delete_them)
    recorder_->sweep(cutoff);
}

/// Answers once everything up to `seq` (0: everything received so far) cannot be lost any more.
caf::result<done_atom> ArchivistActor::settle(Seq seq) {
  const std::uint64_t request = ++newest_settling_;
  settling_[request] = make_response_promise();
  const auto self = caf::actor_cast<caf::actor>(this);
  recorder_->ask([self, request, seq](Result<history::History*> history) {
    Result<void> outcome = history ? (*history)->sync() : tl::unexpected(history.error());
    if (outcome && (*history)->last() < seq)
      outcome = fail(Code::unavailable, {}, "the history is behind");
    post_anonymously(self, Settled{request, std::move(outcome)});
  });
  return settling_[request];
}

} // namespace reeve::actors
