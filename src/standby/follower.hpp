// The state that a master holds which does not lead: follows the journal, look by look, compares
// itself with each snapshot, and knows who leads and whether that leader is alive. Used by the
// standby and by the simulation. Asks the journal, and waits for it; reads no clock; never writes.
#pragma once

#include "src/journal/etcd_journal.hpp"
#include "src/ledger/recover.hpp"
#include "src/standby/desk.hpp"
#include "src/standby/suspicion.hpp"

#include <random>

namespace reeve::standby {

struct FollowerOptions {
  std::string endpoint; // my own: a leader's record that names it is of a former life of mine
  std::function<void(core::CommittedPtr)> committed; // what was followed, in order
  std::function<void(bool trouble, const std::string& text)> tell;
  std::uint64_t seed = 0; // of the chance that keeps standbys from trying all at once
};

class Follower {
public:
  static constexpr Duration look_patience = std::chrono::milliseconds(500);
  static constexpr Duration ask_every = std::chrono::milliseconds(150); // the leader, directly

  Follower(journal::EtcdJournal& journal, ledger::Recovered recovered, FollowerOptions options);

  /// What a look has shown. Errors: corrupt, unknown_version (a newer leader says what is not known
  /// here); then it must follow no more.
  Result<void> take(Result<journal::Look> look, TimePoint now);
  /// Somebody else took over: whoever reigns is new.
  void again();
  /// After the reign was acquired: everything that was appended before it, and nothing that another
  /// may have appended who has taken it since. Errors: io, corrupt.
  Result<void> finish();

  /// The leader is dead, as far as this one look shows. Never while etcd is in trouble: the
  /// takeover would wait for it, and the leader has the same trouble.
  [[nodiscard]] bool dead(TimePoint now) const;
  [[nodiscard]] std::string reason(TimePoint now) const;
  Suspicion& suspicion() { return suspicion_; }

  [[nodiscard]] Seq next() const { return recovered_.cluster.last_seq().next(); }
  [[nodiscard]] bool trouble() const { return !trouble_.empty(); }
  /// Where the leader is asked directly; empty: nowhere.
  [[nodiscard]] std::string leader_endpoint() const;
  [[nodiscard]] DeskView view(TimePoint now) const;
  core::Cluster& cluster() { return recovered_.cluster; }
  [[nodiscard]] Seq snapshot() const { return recovered_.snapshot; }

private:
  Result<void> follow(const journal::Look& look);
  Result<void> replay(const journal::Batch& batch);
  Result<void> catch_up();
  Result<void> follow_to(Seq end);
  Result<void> compare_with_snapshot(Seq snapshot);

  journal::EtcdJournal& journal_;
  ledger::Recovered recovered_;
  FollowerOptions options_;
  Suspicion suspicion_;
  journal::etcd::Leader leader_;
  std::int64_t heartbeat_ = 0;
  std::uint64_t lag_ = 0;
  TimePoint looked_;
  std::string trouble_; // of the journal; empty: healthy
  std::mt19937 dice_;
};

} // namespace reeve::standby
