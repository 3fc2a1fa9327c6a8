// A master as one virtual process: the real gateway, ledger and deciders with virtual mailboxes
// between them and a virtual writer behind, joined as the actors join them. Alone over a disk, or
// one of several over an etcd: then it follows, takes over and gives way as reeved does. Owned by
// the simulation. Must decide nothing itself.
#pragma once

#include "actors/revive.hpp"
#include "src/deciders/recovery.hpp"
#include "src/deciders/registry.hpp"
#include "src/deciders/sweeper.hpp"
#include "src/deciders/watchdog.hpp"
#include "src/gateway/gateway.hpp"
#include "src/ledger/recover.hpp"
#include "src/master/start.hpp"
#include "src/sched/scheduler.hpp"
#include "src/standby/follower.hpp"
#include "tests/sim/disk.hpp"
#include "tests/sim/etcd.hpp"
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
  std::size_t number = 0; // of several; from 0 on
};

/// What a standby learns on its direct connection to the leader.
enum class Heard { nothing, answer, refusal };

class Master final : public Process, public Listener {
public:
  Master(Timeline& timeline, Network& network, Disk& disk, Truth& truth, MasterOptions options);
  using Hears = std::function<Heard(std::size_t asker, const std::string& endpoint)>;
  Master(Timeline& timeline, Network& network, Etcd& etcd, Truth& truth, MasterOptions options,
         Hears hears);
  ~Master() override;

  void start();
  /// The process dies; so does what was not synced.
  void crash();
  Clock& clock() { return options_.clock; }
  /// Hands its reign over, when it has one.
  void step_down();
  [[nodiscard]] bool leads() const { return parts_ != nullptr && parts_->ledger != nullptr; }
  [[nodiscard]] bool takes_over() const { return follow_ && follow_->taking_over && !leads(); }
  [[nodiscard]] std::size_t number() const { return options_.number; }
  [[nodiscard]] std::string state() const; // for a person
  [[nodiscard]] std::string name() const { return "m" + std::to_string(options_.number + 1); }
  [[nodiscard]] std::string endpoint() const { return "tcp://" + name(); }
  /// How long the disk takes, at most.
  void set_sync_most(Duration most) { options_.sync_most = std::max(most, options_.sync_least); }
  /// Asks the scheduler why a pending task waits, when it has heard all there is.
  void check_reason(Random& random);
  [[nodiscard]] bool serves() const { return leads() && !parts_->failed && sure(); }
  [[nodiscard]] bool idle() const; // nothing waits for its answer

  [[nodiscard]] bool can_accept() const override {
    return (parts_ != nullptr || follow_ != nullptr) && runs();
  }
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
    Parts(const std::string& name, std::uint64_t seed);
    std::unique_ptr<journal::Journal> journal;
    std::shared_ptr<journal::Pulse> pulse; // null: nobody else can take the reign
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
    actors::Reviver reviver;
    // with others
    bool stepping_down = false, deposed = false;
    std::vector<reeve::ledger::Effect> held; // until it is sure again that it reigns
  };
  struct Follow { // what a master has that does not lead
    Follow(std::shared_ptr<EtcdClient> client, const Master& master);
    std::shared_ptr<EtcdClient> client;
    std::unique_ptr<journal::EtcdJournal> journal;
    std::unique_ptr<standby::Follower> follower;
    Seq compared; // with the truth
    standby::Desk desk;
    bool taking_over = false; // then what comes waits for the master that leads
    std::vector<std::pair<std::uint64_t, Frame>> unanswered;
  };

  void boot();
  [[nodiscard]] Result<void> boot_parts();
  void begin_to_work();
  // one of several
  void in_fiber(Work work);
  void follow();
  [[nodiscard]] bool recover_follower();
  [[nodiscard]] std::optional<reeve::master::Begun> take_over();
  void lead(reeve::master::Begun begun);
  void listen_to_leader();
  void begin_anew();
  void forget();
  [[nodiscard]] bool sure() const;
  void look_at_pulse();
  void every(Duration period, Work work);
  void send(Who from, Who to, Work letter);
  [[nodiscard]] TimePoint wall() const { return options_.clock.wall(timeline_.now()); }
  [[nodiscard]] TimePoint steady() const { return options_.clock.steady(timeline_.now()); }

  void answer_as_standby(std::uint64_t peer, Frame frame);
  void take_frame(std::uint64_t peer, Frame frame);
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
  void publish();
  void write();
  void written(const Result<void>& stored, Seq last);
  void report(const Result<Seq>& durable);
  void fail_append(const Error& error);
  void revive();
  void snapshot();

  Network& network_;
  Disk* disk_ = nullptr;
  Etcd* etcd_ = nullptr; // one of both
  Hears hears_;
  Truth& truth_;
  MasterOptions options_;
  Random random_;
  std::uint64_t lives_ = 0;
  std::unique_ptr<Parts> parts_;
  std::unique_ptr<Follow> follow_;
  std::vector<std::shared_ptr<Fiber>> fibers_; // what waits for etcd
};

} // namespace reeve::sim
