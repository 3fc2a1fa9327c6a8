// All actors of one master, wired to each other: made, started, watched and stopped together. Used
// by main and by tests that want the whole with other sockets or another journal. Decides nothing.
#pragma once

#include "actors/gateway.hpp"
#include "actors/ledger.hpp"
#include "actors/publisher.hpp"

namespace reeve::actors {

/// CAF as this program wants it.
class SystemConfig : public caf::actor_system_config {
public:
  SystemConfig();
};

struct MasterParts {
  gateway::Greeting greeting;
  Wire wire;
  std::unique_ptr<ledger::Ledger> ledger;    // has begun its reign, everything durable
  std::unique_ptr<journal::Journal> journal; // to append to
  std::string history;                       // path of history.db; empty: none is kept
  LedgerOptions ledger_options;
  std::uint64_t memory_max =
    0; // bytes of this process, beyond which no jobs are taken; 0: no limit
  /// A core actor ended by itself: without it the master must not go on. Called on one of CAF's
  /// threads.
  std::function<void(const std::string& actor, const std::string& reason)> on_down;
};

class Master {
public:
  Master(caf::actor_system& system, MasterParts parts);
  ~Master(); // kills what still runs
  Master(const Master&) = delete;
  Master& operator=(const Master&) = delete;

  /// For the server's callbacks; valid as long as the actor system.
  [[nodiscard]] net::Server::Handler handler() const { return handler_for(directory_); }
  [[nodiscard]] const Directory& directory() const { return *directory_; }
  /// Actors begin to work.
  void start();
  /// Takes no more requests, lets everything decided become durable and be sent, then ends the
  /// actors. False: not done within `patience`.
  bool stop(Duration patience);

private:
  void watch(const char* name, const caf::actor& actor);
  std::vector<std::pair<std::string, caf::actor>> all() const;

  caf::actor_system& system_;
  DirectoryPtr directory_ = std::make_shared<Directory>();
  caf::actor guard_;
  bool stopped_ = false;
};

} // namespace reeve::actors
