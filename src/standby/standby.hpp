// A master that does not lead: follows the journal, holds the same state, answers what a standby
// may, watches the leader, and says when to take over. Run by main on its own thread; a second
// thread asks etcd. Never writes to the journal.
#pragma once

#include "src/journal/etcd_journal.hpp"
#include "src/ledger/recover.hpp"
#include "src/standby/desk.hpp"
#include "src/standby/suspicion.hpp"

namespace reeve::standby {

struct StandbyOptions {
  DeskIdentity identity;
  std::string endpoint; // my own: a leader's record that names it is of a former life of mine
  std::function<void(std::vector<net::Message>)> send;
  std::function<void(core::CommittedPtr)> committed; // what was followed, in order
  std::function<void(bool trouble, const std::string& text)> tell;
  std::function<bool()> stop; // asked several times a second: the program is to end
  Duration look_every = std::chrono::milliseconds(40);
};

class Standby {
public:
  /// `journal` was opened and is used by nobody else until `run` has returned.
  Standby(journal::EtcdJournal& journal, ledger::Recovered recovered, StandbyOptions options);
  ~Standby();

  /// From any thread.
  void received(std::vector<net::Message> messages);
  void gone(net::Peer peer);

  /// Follows until the leader is dead (true) or `stop` says so (false). Errors: corrupt.
  Result<bool> run();
  /// Somebody else took over: follow on.
  void again();
  /// After the reign was acquired: everything that was appended before it. Errors: io, corrupt.
  Result<void> finish();

  // ---- for the reign that begins
  core::Cluster& cluster() { return recovered_.cluster; }
  [[nodiscard]] Seq snapshot() const { return recovered_.snapshot; }
  [[nodiscard]] std::vector<net::Peer> agents() const;
  /// Frames that came and were not answered yet.
  std::vector<net::Message> unanswered();

private:
  struct Io; // threads, queue, direct connection
  void take(Result<journal::Look> look, TimePoint now);
  Result<void> follow(const journal::Look& look);
  Result<void> replay(const journal::Batch& batch);
  Result<void> catch_up();
  Result<void> follow_to(Seq end);
  Result<void> compare_with_snapshot(Seq snapshot);
  void answer(std::vector<net::Message> messages);

  journal::EtcdJournal& journal_;
  ledger::Recovered recovered_;
  StandbyOptions options_;
  Desk desk_;
  Suspicion suspicion_;
  journal::etcd::Leader leader_;
  std::int64_t heartbeat_ = 0;
  std::uint64_t lag_ = 0;
  TimePoint looked_;
  std::string trouble_; // of the journal; empty: healthy
  std::optional<Error> broken_;
  std::unique_ptr<Io> io_;
};

} // namespace reeve::standby
