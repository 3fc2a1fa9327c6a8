// See ledger.hpp.
#include "actors/ledger.hpp"

#include "actors/shell.hpp"

#include <spdlog/spdlog.h>

namespace reeve::actors {
namespace {
constexpr std::int64_t beacons_a_second = 1'000; // to all nodes together
constexpr auto tick_every = std::chrono::milliseconds(100);
constexpr auto settle_patience = std::chrono::seconds(30);
constexpr Duration sure_for = std::chrono::seconds(2);    // after the shared journal's last word
constexpr auto farewell = std::chrono::milliseconds(100); // for the last answers to be sent
/// The clock that the pulse is told by.
std::int64_t steady_us() {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch())
    .count();
}
constexpr auto news_every = std::chrono::milliseconds(25); // under load; else they go at once
constexpr std::size_t appends_max =
  2; // one is being written, the next is ready; what comes meanwhile shares the one after
} // namespace

LedgerActor::LedgerActor(caf::actor_config& config, std::unique_ptr<ledger::Ledger> ledger,
                         std::unique_ptr<journal::Journal> journal, LedgerOptions options,
                         DirectoryPtr directory, LoadPtr load)
    : event_based_actor(config), ledger_(std::move(ledger)), journal_(std::move(journal)),
      options_(std::move(options)), directory_(std::move(directory)), load_(std::move(load)),
      pulse_(journal_->pulse()) {
  report_exceptions(this, "ledger");
}

LedgerActor::~LedgerActor() {
  if (snapshot_thread_.joinable())
    snapshot_thread_.join();
}

void LedgerActor::on_exit() {
  if (pulse_)
    pulse_->stop.store(true); // an append that waits for etcd would hold up the end
  writer_.reset();            // finishes what is queued
  options_.record = nullptr;
  if (snapshot_thread_.joinable())
    snapshot_thread_.join();
}

caf::behavior LedgerActor::make_behavior() {
  return {
    [this](start_atom) { start(); },
    [this](const Parcel<LedgerMail>& mail) {
      auto items = mail.take().items;
      load_->queued.fetch_sub(items.size());
      for (auto& item : items)
        take(std::move(item));
      pump();
    },
    [this](const Parcel<CheckedRegistration>& parcel) {
      const auto checked = parcel.take();
      const auto& [from, message] = checked.registration;
      if (!stopping_)
        ledger_->register_node(from.peer, from.correlation, message, checked.heartbeat, wall_now());
      pump();
    },
    [this](const Parcel<gateway::Asked>& parcel) { // from the registry, which has checked it
      on_request(parcel.take(), wall_now());
      pump();
    },
    [this](const Parcel<Wishes>& parcel) {
      if (!stopping_)
        wish(parcel.take().commands);
      pump();
    },
    [this](const Parcel<AppendReport>& parcel) { on_report(parcel.take().report); },
    [this](const Parcel<ReviveReport>& parcel) { on_revival(parcel.take().outcome); },
    [this](const Parcel<Readable>& parcel) { on_readable(parcel.take().outcome); },
    [this](const Parcel<Released>& parcel) { on_released(parcel.take().outcome); },
    [this](const Parcel<SnapshotReader>& parcel) { make_snapshot(parcel.take().journal); },
    [this](const Parcel<SnapshotReport>& parcel) { on_snapshot_made(parcel.take().outcome); },
    [this](const Parcel<Counted>& parcel) {
      auto counted = parcel.take();
      for (const auto& [name, value] : counted.values)
        ledger_->count(name, value);
      for (auto& [name, histogram] : counted.histograms)
        ledger_->count(name, std::move(histogram));
    },
    [this](const Parcel<Swept>& parcel) {
      Swept swept = parcel.take();
      swept.report.journal_entries = ledger_->since_snapshot();
      post(this, directory_->archivist, std::move(swept));
    },
    [this](const Parcel<Suspicion>& suspicion) { ledger_->suspect(suspicion.take().nodes); },
    [this](tick_atom) {
      delayed_send(this, tick_every, tick_atom::value);
      look_at_pulse();
      ledger_->tick(wall_now());
      snapshot_if_due();
      pump();
    },
    [this](second_atom) {
      // Stretched with the cluster, as heartbeats are. Agents learn how far apart beacons come.
      const auto nodes = static_cast<std::int64_t>(ledger_->cluster().nodes().size());
      delayed_send(this,
                   options_.beacon_every * std::max<std::int64_t>(1, nodes / beacons_a_second),
                   second_atom::value);
      ledger_->count("journal.commits", commits_);
      ledger_->count("journal.entries", entries_);
      ledger_->count("ledger.refused_wishes", refusals_);
      ledger_->count("journal_commit", commit_took_.histogram());
      ledger_->send_beacon(wall_now());
      pump();
    },
    [this](revive_atom) { try_to_revive(); },
    [this](news_atom) {
      news_timed_ = false;
      if (!news_.empty())
        tell_news();
    },
    [this](gone_atom) { depose("stepped down"); },
    [this](stop_atom) -> caf::result<done_atom> {
      stopping_ = make_response_promise();
      pump();
      return *stopping_;
    },
  };
}

void LedgerActor::start() {
  const auto self = caf::actor_cast<caf::actor>(this);
  writer_ =
    std::make_unique<ledger::Writer>(std::move(journal_), [self](ledger::Writer::Report report) {
      post_anonymously(self, AppendReport{std::move(report)});
    });
  send(directory_->gateway, ledger_->cluster().epoch());
  send_described();
  delayed_send(this, tick_every, tick_atom::value);
  send(this, second_atom::value);
  pump();
}

void LedgerActor::take(gateway::ForLedger item) {
  const TimePoint now = wall_now();
  if (auto* asked = std::get_if<gateway::Asked>(&item))
    on_request(*asked, now);
  else if (auto* results = std::get_if<gateway::GotResults>(&item))
    ledger_->results(results->peer, results->node, std::move(results->results), now);
  else if (auto* measured = std::get_if<gateway::Measured>(&item)) {
    ledger_->measured(measured->node, measured->used, measured->heard);
    ledger_->counted_there(measured->node, measured->tasks, measured->heard);
    ledger_->checked(measured->node, measured->trouble, now);
  } else if (auto* left = std::get_if<gateway::Left>(&item))
    ledger_->leave(left->node, left->reason, now);
  else if (auto* gone = std::get_if<gateway::PeerGone>(&item))
    ledger_->peer_gone(gone->peer);
  else if (auto* stepped = std::get_if<gateway::Stepped>(&item))
    step(stepped->from, stepped->action);
}

void LedgerActor::on_request(const gateway::Asked& asked, TimePoint now) {
  if (sure() || std::holds_alternative<GetMaster>(asked.request))
    ledger_->request(asked.from.peer, asked.from.correlation, asked.request, now);
  else // clients ask the next master, and come back
    reply_error(
      asked.from,
      {Code::not_leader, {}, "the journal does not answer: another master may reign by now"});
}

void LedgerActor::wish(std::vector<core::Command> commands) {
  const TimePoint now = wall_now();
  const auto from = caf::actor_cast<caf::actor>(current_sender());
  for (const auto& command : commands) {
    auto refused = ledger_->wish(command, now);
    if (refused.placements.empty() && !refused.error)
      continue;
    refusals_ += static_cast<std::int64_t>(refused.placements.size()) + (refused.error ? 1 : 0);
    if (!from)
      continue;
    Refused news;
    if (refused.error)
      news.command = std::make_shared<const core::Command>(command);
    news.wish = std::make_shared<const ledger::RefusedWish>(std::move(refused));
    send(from, news);
  }
}

/// Whatever the last message caused goes on its way: entries to the writer, what has become durable
/// to everybody.
void LedgerActor::pump() {
  if (writer_ != nullptr && !failed_)
    while (appends_.size() < appends_max && ledger_->has_batches() && !stepping_down_) {
      auto batches = ledger_->take_batches();
      if (batches.empty())
        break;
      Append append{batches.back().last(), 0, steady_now()};
      for (const auto& batch : batches)
        for (const auto& entry : batch.entries) {
          append.bytes += entry.size();
          ++entries_since_snapshot_;
          ++entries_;
        }
      bytes_since_snapshot_ += append.bytes;
      appends_.push_back(append);
      writer_->append(std::move(batches));
    }
  release();
  load_->undurable.store(ledger_->undurable());
  if (!stopping_ || !stopping_->pending() ||
      (!failed_ && (!appends_.empty() || ledger_->undurable() > 0)))
    return;
  tell_news();
  if (!pulse_ || failed_)
    stopping_->deliver(done_atom::value);
  else if (!stepping_down_)
    step_down({}); // the next leader need not wait for this one to be silent
}

/// With a journal that others share: nothing leaves, and no question is answered, unless it said
/// not long ago that this master reigns. The entries stay, and go on their way when it says so
/// again.
bool LedgerActor::sure() const {
  return !pulse_ || Duration(steady_us() - pulse_->confirmed_us.load()) <= sure_for;
}

void LedgerActor::look_at_pulse() {
  if (!pulse_)
    return;
  load_->full.store(pulse_->full.load());
  load_->in_doubt.store(!sure());
  const Duration ago(steady_us() - pulse_->confirmed_us.load());
  ledger_->note_confirmed(ago);
  if (!failed_)
    ledger_->note_journal(ago <= sure_for ? "etcd: healthy"
                                          : "etcd: no answer for " +
                                              std::to_string(ago.count() / 1'000'000) + " s");
  if (pulse_->deposed.load() && !stepping_down_)
    on_failure({Code::stale_epoch, {}, "another master has taken the reign"});
}

void LedgerActor::release() {
  auto effects = std::exchange(held_, {});
  for (auto& effect : ledger_->take_effects())
    effects.push_back(std::move(effect));
  if (!sure()) { // only how this master is may be told
    for (auto& effect : std::exchange(effects, {})) {
      const auto* to = std::get_if<ledger::ToPeer>(&effect);
      const bool status = to != nullptr && to->type == MessageType::master_status;
      (status ? effects : held_).push_back(std::move(effect));
    }
  } else {
    for (const auto& batch : ledger_->take_committed())
      broadcast(batch);
  }
  if (!effects.empty())
    post(this, directory_->gateway, Effects{std::move(effects)});
}

/// Waking an actor costs as much as a small batch does: those whom nothing in it concerns sleep on.
void LedgerActor::broadcast(const core::CommittedPtr& batch) {
  bool nodes = false; // the registry and the watchdog know nothing else, and the archivist less
  bool more = false;  // than jobs that arrive to wait, of which only the scheduler takes note
  for (const auto& change : batch->changes) {
    nodes |= core::get_if<core::NodeChanged>(change) != nullptr ||
             std::holds_alternative<core::NodeForgotten>(change) ||
             std::holds_alternative<core::ConfigUpdated>(change);
    const auto* arrived = std::get_if<core::JobArrived>(&change);
    more |= arrived == nullptr || arrived->held;
  }
  const auto tell = [&](const caf::actor& to) {
    if (to)
      send(to, batch);
  };
  tell(directory_->scheduler);
  if (options_.record)
    options_.record(batch);
  tell_publisher(batch);
  if (more) {
    tell(directory_->recovery);
    tell(directory_->sweeper);
  }
  if (nodes) {
    tell(directory_->watchdog);
    tell(directory_->registry);
    tell(directory_->archivist);
  }
}

/// A batch comes about once a millisecond under load, and to wake the publisher, the sockets and
/// each reader for each would cost more than its events do.
void LedgerActor::tell_publisher(core::CommittedPtr batch) {
  if (!directory_->publisher)
    return;
  news_.push_back(std::move(batch));
  if (!news_timed_)
    tell_news();
}

void LedgerActor::tell_news() {
  if (news_.empty())
    return;
  post(this, directory_->publisher, News{std::exchange(news_, {})});
  if (!std::exchange(news_timed_, true))
    delayed_send(this, news_every, news_atom::value);
}

void LedgerActor::send_described() {
  tell_news(); // what was before
  auto changes = std::make_shared<core::Changes>();
  ledger_->cluster().describe(*changes);
  const Described described{std::move(changes), ledger_->cluster().last_seq()};
  for (const auto& to :
       {directory_->scheduler, directory_->recovery, directory_->sweeper, directory_->watchdog,
        directory_->registry, directory_->publisher, directory_->archivist})
    if (to)
      send(to, described);
}

void LedgerActor::on_report(ledger::Writer::Report report) {
  if (report.snapshot) {
    spdlog::info("journal: snapshot at seq {} stored, older entries truncated",
                 report.snapshot.value);
    ledger_->note_snapshot(report.snapshot);
    end_snapshot(report.snapshot);
  }
  if (report.snapshot_failed) {
    spdlog::error("journal: the snapshot was not stored: {}", report.snapshot_failed->message());
    end_snapshot(tl::unexpected(*report.snapshot_failed));
  }
  if (!report.durable)
    return on_failure(report.durable.error());
  ++commits_;
  for (; !appends_.empty() && appends_.front().last <= *report.durable; appends_.pop_front())
    commit_took_.took(steady_now() - appends_.front().handed);
  ledger_->durable(*report.durable);
  pump();
}

// ---- when the journal fails

void LedgerActor::on_failure(const Error& error) {
  const bool before = std::exchange(failed_, true);
  if (!before) {
    spdlog::error("journal: append failed, no work is accepted until it works again: {}",
                  error.message());
    appends_.clear();
    ledger_->append_failed(error, wall_now());
    ledger_->note_journal(error.message());
    answer_steps(tl::unexpected(error));
  }
  if (error.code == Code::stale_epoch) // another master reigns: this one must not go on
    return depose(error.message());
  if (before)
    return;
  const auto self = caf::actor_cast<caf::actor>(this);
  writer_->run([self](journal::Journal& journal) { // a full disk can still be read
    post_anonymously(self, Readable{ledger::recover(journal)});
  });
  delayed_send(this, options_.revive_every, revive_atom::value);
  pump();
}

void LedgerActor::on_readable(Result<ledger::Recovered> outcome) {
  if (!outcome)
    return spdlog::warn("journal: cannot be read either: {}", outcome.error().message());
  ledger_->show(std::move(outcome->cluster));
}

void LedgerActor::try_to_revive() {
  const auto self = caf::actor_cast<caf::actor>(this);
  const Epoch epoch = ledger_->cluster().epoch().next();
  writer_->resume();
  writer_->run([self, epoch, reviver = reviver_, master = options_.master](auto& journal) {
    post_anonymously(self, ReviveReport{reviver->attempt(journal, epoch, master, wall_now())});
  });
}

void LedgerActor::on_revival(Result<Revival> outcome) {
  if (!outcome) {
    spdlog::warn("journal: still failing: {}", outcome.error().message());
    ledger_->note_journal(outcome.error().message());
    delayed_send(this, options_.revive_every, revive_atom::value);
    return;
  }
  spdlog::info("journal: works again, epoch {} begins at seq {}", outcome->cluster.epoch().value,
               outcome->proof->first.value);
  failed_ = false;
  ledger_->reload(std::move(outcome->cluster));
  ledger_->note_journal("healthy");
  send(directory_->gateway, ledger_->cluster().epoch());
  if (options_.record) // it and the publisher count every seq
    options_.record(outcome->proof);
  tell_publisher(outcome->proof);
  send_described();
  pump();
}

// ---- snapshots

void LedgerActor::snapshot_if_due() {
  if (entries_since_snapshot_ >= options_.snapshot_entries ||
      bytes_since_snapshot_ >= options_.snapshot_bytes)
    begin_snapshot();
}

void LedgerActor::begin_snapshot() {
  if (snapshot_running_ || failed_ || writer_ == nullptr || stopping_)
    return;
  if (snapshot_thread_.joinable())
    snapshot_thread_.join(); // it has reported: this does not wait
  snapshot_running_ = true;
  entries_since_snapshot_ = bytes_since_snapshot_ = 0;
  const auto self = caf::actor_cast<caf::actor>(this);
  writer_->run([self](journal::Journal& journal) {
    auto reader = journal.reader();
    if (!reader) {
      post_anonymously(self, SnapshotReport{tl::unexpected(reader.error())});
      return;
    }
    post_anonymously(self, SnapshotReader{std::move(*reader)});
  });
}

/// Reads the journal again from the last snapshot, beside the writer: the ledger does not stop for
/// it.
void LedgerActor::make_snapshot(std::unique_ptr<journal::Journal> reader) {
  const auto self = caf::actor_cast<caf::actor>(this);
  snapshot_thread_ = std::thread([self, journal = std::move(reader)] {
    post_anonymously(self, SnapshotReport{ledger::make_snapshot(*journal)});
  });
}

void LedgerActor::on_snapshot_made(Result<journal::Snapshot> outcome) {
  if (!outcome) {
    spdlog::error("journal: no snapshot: {}", outcome.error().message());
    end_snapshot(tl::unexpected(outcome.error()));
    return;
  }
  // What the journal forgets must be in the history first; but it must not grow for ever because
  // the history fails.
  const auto snapshot = std::make_shared<journal::Snapshot>(std::move(*outcome));
  const auto save = [this, snapshot] {
    if (failed_ || writer_ == nullptr)
      return end_snapshot(fail(Code::unavailable, {}, "the journal takes no entries now"));
    writer_->save(std::move(*snapshot));
  };
  if (!directory_->archivist)
    return save();
  request(directory_->archivist, settle_patience, Parcel<Settle>(Settle{snapshot->seq}))
    .then([save](done_atom) { save(); },
          [save](const caf::error& error) {
            spdlog::warn("history: is behind a snapshot, entries may be missing in it: {}",
                         caf::to_string(error));
            save();
          });
}

void LedgerActor::depose(const std::string& why) {
  failed_ = true;
  spdlog::warn("does not reign any more: {}", why);
  if (options_.on_deposed)
    options_.on_deposed(why);
  else
    quit(caf::make_error(caf::sec::runtime_error, "fenced: " + why));
}

/// Everything that was handed to the writer becomes durable and leaves; what comes after is for the
/// next leader.
void LedgerActor::step_down(gateway::Origin from) {
  if (!pulse_)
    return reply_error(from, {Code::refused, {}, "this master shares its journal with no other"});
  if (stepping_down_)
    return reply_error(from, {Code::conflict, {}, "is stepping down already"});
  stepping_down_ = from;
  const auto self = caf::actor_cast<caf::actor>(this);
  writer_->run(
    [self](journal::Journal& journal) { post_anonymously(self, Released{journal.release()}); });
}

void LedgerActor::on_released(Result<void> outcome) {
  if (stopping_ && stopping_->pending())
    return stopping_->deliver(done_atom::value);
  if (!outcome) {
    reply_error(*std::exchange(stepping_down_, {}), outcome.error());
    return pump();
  }
  ledger_->append_failed({Code::not_leader, {}, "this master has stepped down"}, wall_now());
  release();
  reply(*stepping_down_, MessageType::done, encode(Done{1, options_.master + " has stepped down"}));
  delayed_send(this, farewell, gone_atom::value);
}

void LedgerActor::step(gateway::Origin from, MasterAction action) {
  if (failed_)
    return reply_error(from, {Code::unavailable, {}, "the journal takes no entries now"});
  if (action == MasterAction::step_down)
    return step_down(from);
  steps_.push_back(from);
  begin_snapshot();
}

/// Not before it is stored: the next one would read entries that storing this one truncates.
void LedgerActor::end_snapshot(const Result<Seq>& outcome) {
  snapshot_running_ = false;
  answer_steps(outcome);
}

void LedgerActor::answer_steps(const Result<Seq>& outcome) {
  for (const auto& from : std::exchange(steps_, {})) {
    if (outcome)
      reply(from, MessageType::done,
            encode(Done{1, "snapshot at seq " + std::to_string(outcome->value)}));
    else
      reply_error(from, outcome.error());
  }
}

void LedgerActor::reply(gateway::Origin to, MessageType type, std::string body) {
  std::vector<ledger::Effect> effects;
  effects.emplace_back(ledger::ToPeer{to.peer, type, to.correlation, std::move(body)});
  post(this, directory_->gateway, Effects{std::move(effects)});
}

void LedgerActor::reply_error(gateway::Origin to, const Error& error) {
  reply(to, MessageType::failed, encode(ledger::failed(error)));
}

} // namespace reeve::actors
