// What happened: the shell around ledger::Ledger and its writer thread. Takes requests, results,
// registrations and wishes; sends effects to the gateway and committed batches to everybody who
// keeps a view. Never waits for the disk: the writer reports.
#pragma once

#include "actors/load.hpp"
#include "actors/types.hpp"

#include <thread>

namespace reeve::actors {

struct LedgerOptions {
  std::string master; // for the entry that begins a new reign
  Duration beacon_every = std::chrono::seconds(1);
  Duration revive_every = std::chrono::seconds(1);
  std::uint64_t snapshot_entries =
    1'000'000; // a snapshot is made when the journal has grown by so much since the last
  std::uint64_t snapshot_bytes = 128u << 20;
  /// Takes every batch that has become durable, before anybody hears of it; must not wait. Missing:
  /// nothing is kept.
  std::function<void(const core::CommittedPtr&)> record;
  /// Another master reigns, or this one has stepped down: this process must not go on as a leader.
  /// Called once, on one of CAF's threads; missing: the actor ends, and with it the master.
  std::function<void(const std::string& why)> on_deposed;
};

class LedgerActor : public caf::event_based_actor {
public:
  /// `ledger` has begun its reign and everything it decided is durable. `journal` goes to the
  /// writer.
  LedgerActor(caf::actor_config& config, std::unique_ptr<ledger::Ledger> ledger,
              std::unique_ptr<journal::Journal> journal, LedgerOptions options,
              DirectoryPtr directory, LoadPtr load);
  ~LedgerActor() override;

protected:
  caf::behavior make_behavior() override;
  void on_exit() override;

private:
  void start();
  void take(gateway::ForLedger item);
  void on_request(const gateway::Asked& asked, TimePoint now);
  void wish(std::vector<core::Command> commands);
  void step(gateway::Origin from, MasterAction action);
  void step_down(gateway::Origin from);
  void on_released(Result<void> outcome);
  void depose(const std::string& why);
  void look_at_pulse();
  [[nodiscard]] bool sure() const;
  void pump();
  void release();
  void send_described();
  void on_report(ledger::Writer::Report report);
  void on_failure(const Error& error);
  void try_to_revive();
  void on_revival(Result<Revival> outcome);
  void on_readable(Result<ledger::Recovered> outcome);
  void snapshot_if_due();
  void begin_snapshot();
  void make_snapshot(std::unique_ptr<journal::Journal> reader);
  void on_snapshot_made(Result<journal::Snapshot> outcome);
  void end_snapshot(const Result<Seq>& outcome);
  void answer_steps(const Result<Seq>& outcome);
  void reply(gateway::Origin to, MessageType type, std::string body);
  void reply_error(gateway::Origin to, const Error& error);
  void broadcast(const core::CommittedPtr& batch);
  void tell_publisher(core::CommittedPtr batch);
  void tell_news();

  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<journal::Journal> journal_; // until the writer has it
  LedgerOptions options_;
  DirectoryPtr directory_;
  LoadPtr load_;
  std::unique_ptr<ledger::Writer> writer_;
  std::shared_ptr<Reviver> reviver_ = std::make_shared<Reviver>(); // used by the writer alone

  struct Append { // handed to the writer, not yet reported
    Seq last;
    std::uint64_t bytes = 0;
    TimePoint handed; // steady
  };
  std::deque<Append> appends_;
  std::vector<core::CommittedPtr> news_; // for the publisher, not yet sent
  bool news_timed_ = false;              // a look at them is under way
  bool failed_ = false;
  std::uint64_t entries_since_snapshot_ = 0, bytes_since_snapshot_ = 0;
  bool snapshot_running_ = false;
  std::thread snapshot_thread_;
  std::vector<gateway::Origin> steps_;    // who asked for a snapshot
  std::shared_ptr<journal::Pulse> pulse_; // of a journal that others share; else null
  std::optional<gateway::Origin> stepping_down_;
  std::vector<ledger::Effect> held_; // until the journal says again that this master reigns
  std::optional<caf::response_promise> stopping_;
  std::int64_t commits_ = 0, entries_ = 0, refusals_ = 0;
  ledger::Latency commit_took_;
};

} // namespace reeve::actors
