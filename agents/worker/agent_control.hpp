// The agent's unix socket for people on its machine: `reeve-agent status` and `reeve-agent stop`.
// One command line in, text out. Served by the loop without blocking; asked by main. Nothing of it
// is reachable over a network; the state directory is its owner's alone.
#pragma once

#include "messages/error.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace reeve::worker {

class ControlServer {
public:
  /// Listens on `path`; one that is left over there is replaced (the caller holds the lock of the
  /// directory). Errors: io.
  static Result<ControlServer> listen(const std::string& path);
  ControlServer(ControlServer&& other) noexcept;
  ControlServer& operator=(ControlServer&& other) noexcept;
  ~ControlServer(); // ends every connection

  struct Answer {
    std::string text;
    bool hold = false; // the connection stays open until this server ends
  };
  /// Descriptors that wait to be read, for poll.
  [[nodiscard]] std::vector<int> descriptors() const;
  /// Accepts, reads and answers what is there.
  void serve(const std::function<Answer(std::string_view command)>& handler);

private:
  ControlServer() = default;
  struct Connection {
    int fd = -1;
    std::string in;
    bool held = false;
  };
  std::string path_;
  int fd_ = -1;
  std::vector<Connection> connections_;
};

/// Sends `command` to the agent of a state directory and reads until it closes. Errors: unavailable
/// (no agent runs there), timed_out, io.
Result<std::string> ask_agent(const std::string& dir, std::string_view command,
                              std::chrono::milliseconds timeout);

/// Holds a directory for one agent as long as it lives.
class DirectoryLock {
public:
  /// Makes the directory (mode 0700) when missing. Errors: conflict (an agent runs there; with its
  /// pid), io.
  static Result<DirectoryLock> take(const std::string& dir);
  DirectoryLock(DirectoryLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  DirectoryLock& operator=(DirectoryLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~DirectoryLock();

private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

} // namespace reeve::worker
