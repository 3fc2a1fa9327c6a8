// The keeper's loop: one epoll over the agent's connection, signals, started processes, their ends
// and their output. Owns the connections and passes what they say to Tasks. Called by keeper_main.
// Must never let one connection's bytes end the process.
#pragma once

#include "agents/worker/keeper_socket.hpp"
#include "agents/worker/keeper_tasks.hpp"

#include <map>
#include <unordered_map>

namespace reeve::worker {

class KeeperLoop {
public:
  struct Parts {
    std::string dir;
    record::Opened opened;
    std::vector<AttemptId> lost;
    std::vector<std::string> notes;
    Fd epoll, listener, signals;
    KeeperLog& log;
    SpawnPool& pool;
    Tasks& tasks;
  };
  explicit KeeperLoop(Parts parts);
  /// Until told to stop and no task is left.
  void run();

private:
  struct Connection {
    std::uint64_t number = 0;
    Fd fd;
    FrameReader in;
    std::string out;
    bool greeted = false, closing = false, wants_write = false;
    std::unordered_map<JobId, std::shared_ptr<const Program>> programs;
  };

  void on_event(std::uint64_t tag);
  void on_signals();
  void accept_one();
  void on_connection(std::uint64_t number);
  Result<void> handle(Connection& connection, keeper::ToKeeper message);
  void greet(Connection& connection);
  Result<void> start(Connection& connection, const keeper::Start& message);
  void say(Connection& connection, const keeper::FromKeeper& message);
  void say_exits(Connection& connection, const std::vector<keeper::Exit>& exits);
  void tell_exits();
  void flush(Connection& connection);
  void close_finished();
  int wait_ms() const;

  Parts parts_;
  std::map<std::uint64_t, Connection> connections_;
  std::uint64_t next_connection_ = 1;
  std::uint64_t agent_ = 0; // the connection that greeted last
  bool ending_ = false;
};

} // namespace reeve::worker
