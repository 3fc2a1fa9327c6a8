// A virtual etcd of three members, as faithful as it must be: what reached a majority is one order
// of transactions; a member that is asked alone shows an older moment of it; requests and answers
// are late, lost, overtaken; a request whose sender has given up may be carried out later; members
// die, the majority is lost, the quota used up. Owned by the simulation. Never undoes what it took.
#pragma once

#include "src/journal/etcd_journal.hpp"
#include "tests/sim/fiber.hpp"
#include "tests/sim/log.hpp"
#include "tests/sim/random.hpp"
#include "tests/sim/timeline.hpp"
#include "tests/unit/journal/fake_etcd.hpp"

#include <array>

namespace reeve::sim {

using journal::etcd::Answer;
using journal::etcd::Txn;

struct EtcdNoise {
  std::uint64_t lost = 0, answer_lost = 0, late = 0; // per mille of the requests
  Duration delay_least{200}, delay_most{3'000}, lag_most{30'000};
};

class Etcd final : public Log {
public:
  static constexpr std::size_t members = 3;
  Etcd(Timeline& timeline, std::uint64_t seed, EtcdNoise first)
      : noise(first), timeline_(timeline), random_(seed) {}

  EtcdNoise noise;
  bool full = false;
  /// A member dies, or comes back.
  void set_up(std::size_t member, bool up);
  /// The network between a master and all members; each way alone.
  struct Cut {
    bool there = false, back = false;
  };
  Cut& cut(std::size_t master) { return cuts_[master]; }

  using Reply = std::function<void(Result<Answer>)>;
  /// `reply` may be called late, or never.
  void send(std::size_t master, std::size_t member, const Txn& txn, const Reply& reply);

  [[nodiscard]] Seq synced() const override;
  [[nodiscard]] Seq begins_after() const override;
  [[nodiscard]] std::string entry(Seq seq) const override;
  [[nodiscard]] Result<core::Cluster> recovered() const override;
  /// The order of entries, of which everybody holds a part at most.
  [[nodiscard]] journal_tests::FakeEtcd& head() const { return head_; }

private:
  struct Member {
    journal_tests::FakeEtcd state;
    std::size_t applied = 0; // of log_
    bool up = true;
  };
  [[nodiscard]] bool majority() const;
  void arrive(std::size_t master, std::size_t member, const Txn& txn, const Reply& reply);
  void answer(std::size_t master, const Reply& reply, Result<Answer> answer);
  Result<Answer> commit(const Txn& txn);
  void catch_up(std::size_t member, std::size_t upto);

  Timeline& timeline_;
  Random random_;
  mutable journal_tests::FakeEtcd head_;
  std::vector<Txn> log_;
  std::array<Member, members> members_;
  std::map<std::size_t, Cut> cuts_;
  std::vector<Work> waiting_; // for a majority
};

/// A master's way to it. Its calls wait in virtual time: only from a fiber.
class EtcdClient final : public journal::etcd::Kv {
public:
  EtcdClient(Etcd& etcd, Process& process, std::size_t master, const Clock& clock,
             const Timeline& timeline)
      : etcd_(etcd), process_(process), master_(master), clock_(clock), timeline_(timeline) {}

  Result<Answer> txn(const Txn& txn, Duration patience) override;
  Result<void> compact(std::int64_t) override { return {}; }
  Result<journal::etcd::Space> space() override { return journal::etcd::Space{}; }
  [[nodiscard]] std::int64_t steady_us() const override {
    return clock_.steady(timeline_.now()).time_since_epoch().count();
  }
  bool waits(Duration pause) override;

private:
  Etcd& etcd_;
  Process& process_;
  std::size_t master_, member_ = 0;
  const Clock& clock_;
  const Timeline& timeline_;
};

/// Where etcd keeps the cluster of the simulation.
journal::EtcdOptions etcd_options(const std::string& endpoint);

} // namespace reeve::sim
