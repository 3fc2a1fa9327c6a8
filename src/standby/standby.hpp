// A master that does not lead: follows the journal, holds the same state, answers what a standby
// may, watches the leader, and says when to take over. Run by main on its own thread; a second
// thread asks etcd. Never writes to the journal.
#pragma once

#include "src/standby/follower.hpp"

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

  /// Follows until the leader is dead (true) or `stop` says so (false). Errors: corrupt,
  /// unknown_version (the leader is newer, and says what is not known here).
  Result<bool> run();
  /// Somebody else took over: follow on.
  void again();

  // ---- for the reign that begins
  Follower& follower() { return follower_; }
  [[nodiscard]] std::vector<net::Peer> agents() const;
  /// Frames that came and were not answered yet.
  std::vector<net::Message> unanswered();

private:
  struct Io; // threads, queue, direct connection
  void answer(std::vector<net::Message> messages);

  StandbyOptions options_;
  Desk desk_;
  Follower follower_;
  std::unique_ptr<Io> io_;
};

} // namespace reeve::standby
