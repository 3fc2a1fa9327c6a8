// A real etcd of one member on loopback, in a scratch folder: started when a test first asks, ended
// by its process id with the test program.
#pragma once

#include "src/journal/etcd_journal.hpp"
#include "tests/unit/journal/temporary.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

namespace reeve::journal_tests {

class EtcdMember {
public:
  /// The one of this test program.
  static EtcdMember& shared() {
    static EtcdMember member;
    return member;
  }
  EtcdMember() : folder_(TemporaryFolder::in_memory) {
    for (int tries = 0; tries < 5 && !up_; ++tries)
      start();
    EXPECT_TRUE(up_) << "etcd does not start; is etcd-server installed?";
  }
  ~EtcdMember() { end(); }
  EtcdMember(const EtcdMember&) = delete;
  EtcdMember& operator=(const EtcdMember&) = delete;

  [[nodiscard]] EtcdOptions options(const std::string& cluster) const {
    EtcdOptions options;
    options.members = {"127.0.0.1:" + std::to_string(port_)};
    options.cluster = cluster;
    return options;
  }

private:
  static int free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(fd, reinterpret_cast<const sockaddr*>(&address), size);
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    ::close(fd);
    return ntohs(address.sin_port);
  }
  void start() {
    port_ = free_port(); // another program may take it first: then the start fails, and is repeated
    const std::string client = "http://127.0.0.1:" + std::to_string(port_);
    const std::string data = folder_.file("etcd-" + std::to_string(port_));
    const std::string log = folder_.file("etcd.log");
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL); // a test that crashes leaves nothing behind
      const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      ::dup2(out, 1);
      ::dup2(out, 2);
      ::execlp("etcd", "etcd", "--data-dir", data.c_str(), "--listen-client-urls", client.c_str(),
               "--advertise-client-urls", client.c_str(), "--listen-peer-urls",
               "http://127.0.0.1:0", "--heartbeat-interval", "50", "--election-timeout", "300",
               "--log-level", "error", "--logger", "zap", nullptr);
      ::_exit(127);
    }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (std::chrono::steady_clock::now() < deadline) {
      if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
        pid_ = 0;
        return;
      }
      if (open_etcd(options("start"))) {
        up_ = true;
        return;
      }
    }
    end();
  }
  void end() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    pid_ = 0;
  }

  TemporaryFolder folder_;
  int port_ = 0;
  pid_t pid_ = 0;
  bool up_ = false;
};

} // namespace reeve::journal_tests
