// The master as one virtual process: the real gateway, ledger and deciders with virtual mailboxes
// between them and a virtual writer behind, joined as the actors join them. Owned by the
// simulation. Must decide nothing itself.
#pragma once

#include "src/deciders/recovery.hpp"
#include "src/deciders/registry.hpp"
#include "src/deciders/sweeper.hpp"
#include "src/deciders/watchdog.hpp"
#include "src/gateway/gateway.hpp"
#include "src/ledger/recover.hpp"
#include "src/sched/scheduler.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/truth.hpp"

#include <memory>

namespace reeve::sim {

struct MasterOptions {
  std::uint64_t seed = 0;
  std::uint64_t snapshot_entries = 100;
  Duration beacon_every{2'000'000};
  Duration sync_least{200}, sync_most{3'000};
  std::map<std::string, std::string> settings;
  Clock clock;
};

class Master final : public Process, public Listener {
public:
  Master(Timeline& timeline, Network& network, Disk& disk, Truth& truth, MasterOptions options);

  void start();
  /// The process dies; so does what was not synced.
  void crash();
  Clock& clock() { return options_.clock; }
  /// How long the disk takes, at most.
  void set_sync_most(Duration most) { options_.sync_most = std::max(most, options_.sync_least); }
  /// Asks the scheduler why a pending task waits, when it has heard all there is.
  void check_reason(Random& random);
  [[nodiscard]] bool serves() const { return parts_ != nullptr && !parts_->failed; }
  [[nodiscard]] bool idle() const; // nothing waits for its answer

  [[nodiscard]] bool can_accept() const override { return parts_ != nullptr && runs(); }
  void on_frame(std::uint64_t peer, Frame frame) override;
  void on_gone(std::uint64_t peer) override;

private:
  enum Who : std::size_t {
    gateway,
    ledger,
    registry,
    watchdog,
    scheduler,
    recovery,
    sweeper,
    writer,
    who_count
  };
  struct Parts {
    explicit Parts(Disk& disk, std::uint64_t seed);
    DiskJournal journal;
    std::unique_ptr<reeve::ledger::Ledger> ledger;
    gateway::Gateway gateway;
    deciders::Registry registry;
    deciders::Watchdog watchdog;
    sched::Scheduler scheduler;
    deciders::Recovery recovery;
    deciders::Sweeper sweeper;
    std::array<TimePoint, who_count * who_count> mail; // when the newest letter arrives
    std::array<bool, who_count> thinks{};
    std::uint64_t queued = 0;
    Seq scheduler_seq;
    // the ledger's shell
    std::deque<Seq> appends;
    bool failed = false, snapshot_runs = false;
    std::uint64_t since_snapshot = 0;
    // the writer
    std::vector<journal::Batch> queue;
    std::deque<Work> works;
    bool writes = false, writer_failed = false;
  };

  void boot();
  [[nodiscard]] Result<void> boot_parts();
  void every(Duration period, Work work);
  void send(Who from, Who to, Work letter);
  [[nodiscard]] TimePoint wall() const { return options_.clock.wall(timeline_.now()); }
  [[nodiscard]] TimePoint steady() const { return options_.clock.steady(timeline_.now()); }

  void deliver(gateway::Outbox out);
  void take(gateway::ForLedger& item);
  void take(gateway::Registration registration);
  void take(gateway::Asked asked);
  void take(gateway::ForArchivist asked);
  void take(const gateway::ForScheduler& asked);
  void answer(gateway::Origin to, MessageType type, std::string body);
  void refuse(gateway::Origin to, const Error& error);

  template<class F> void with_core(Who who, F&& f);
  void think_soon(Who who);
  void wish(Who from, const std::vector<core::Command>& commands);
  void tell_suspicion();
  void describe();
  void pump();
  void write();
  void report(const Result<Seq>& durable);
  void fail_append(const Error& error);
  void revive();
  void snapshot();

  Network& network_;
  Disk& disk_;
  Truth& truth_;
  MasterOptions options_;
  Random random_;
  std::uint64_t lives_ = 0;
  std::unique_ptr<Parts> parts_;
};

} // namespace reeve::sim
