// See agent_control.hpp.
#include "agents/worker/agent_control.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace reeve::worker {

namespace {

constexpr std::size_t command_bytes_max = 256;
constexpr std::size_t connections_max = 32;
constexpr int answer_timeout_s = 2; // a reader that does not read must not hold the agent

std::string errno_text() {
  return std::strerror(errno);
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(Code::bad_field, "state",
                "the path " + path + " is too long for a unix socket (at most " +
                  std::to_string(sizeof address.sun_path - 1) + " bytes)");
  std::memcpy(address.sun_path, path.c_str(), path.size());
  return address;
}

void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return; // the asker has gone
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

} // namespace

ControlServer::ControlServer(ControlServer&& other) noexcept {
  *this = std::move(other);
}

ControlServer& ControlServer::operator=(ControlServer&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(connections_, other.connections_);
  return *this;
}

ControlServer::~ControlServer() {
  for (const Connection& connection : connections_)
    ::close(connection.fd);
  if (fd_ >= 0) {
    ::unlink(path_.c_str());
    ::close(fd_);
  }
}

Result<ControlServer> ControlServer::listen(const std::string& path) {
  auto address = address_of(path);
  if (!address)
    return tl::unexpected(address.error());
  ControlServer server;
  server.path_ = path;
  server.fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (server.fd_ < 0)
    return fail(Code::io, {}, "socket: " + errno_text());
  ::unlink(path.c_str());
  if (::bind(server.fd_, reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 ||
      ::chmod(path.c_str(), 0600) != 0 || ::listen(server.fd_, 16) != 0)
    return fail(Code::io, {}, path + ": " + errno_text());
  return server;
}

std::vector<int> ControlServer::descriptors() const {
  std::vector<int> out{fd_};
  for (const Connection& connection : connections_)
    out.push_back(connection.fd);
  return out;
}

void ControlServer::serve(const std::function<Answer(std::string_view)>& handler) {
  for (;;) {
    const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0)
      break;
    const timeval timeout{answer_timeout_s, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (connections_.size() >= connections_max) {
      ::close(fd);
      continue;
    }
    connections_.push_back({fd, {}, false});
  }
  std::erase_if(connections_, [&](Connection& connection) {
    std::array<char, command_bytes_max> bytes{};
    const ssize_t n = ::recv(connection.fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
      return false;
    bool over = n <= 0;
    if (n > 0 && !connection.held) {
      connection.in.append(bytes.data(), static_cast<std::size_t>(n));
      if (const auto end = connection.in.find('\n'); end != std::string::npos) {
        const Answer answer = handler(std::string_view(connection.in).substr(0, end));
        send_all(connection.fd, answer.text);
        connection.held = answer.hold;
        over = !answer.hold;
      } else {
        over = connection.in.size() >= command_bytes_max;
      }
    }
    if (over)
      ::close(connection.fd);
    return over;
  });
}

Result<std::string> ask_agent(const std::string& dir, std::string_view command,
                              std::chrono::milliseconds timeout) {
  const std::string path = dir + "/agent.sock";
  auto address = address_of(path);
  if (!address)
    return tl::unexpected(address.error());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return fail(Code::io, {}, "socket: " + errno_text());
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    const std::string why = errno_text();
    ::close(fd);
    return fail(Code::unavailable, {}, "no agent runs in " + dir + " (" + why + ")");
  }
  send_all(fd, std::string(command) + "\n");
  std::string out;
  Result<std::string> result = fail(Code::timed_out, {}, "the agent does not answer");
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now());
    pollfd item{fd, POLLIN, 0};
    const int ready = ::poll(&item, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR)
      continue;
    if (ready <= 0)
      break;
    std::array<char, 16384> bytes{};
    const ssize_t n = ::read(fd, bytes.data(), bytes.size());
    if (n <= 0) {
      result = std::move(out);
      break;
    }
    out.append(bytes.data(), static_cast<std::size_t>(n));
  }
  ::close(fd);
  return result;
}

Result<DirectoryLock> DirectoryLock::take(const std::string& dir) {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error)
    return fail(Code::io, "state", dir + ": " + error.message());
  ::chmod(dir.c_str(), 0700);
  const std::string path = dir + "/agent.lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail(Code::io, "state", path + ": " + errno_text());
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    std::array<char, 32> pid{};
    const ssize_t n = ::read(fd, pid.data(), pid.size() - 1);
    ::close(fd);
    std::string whose =
      n > 0 ? " (pid " + std::string(pid.data(), static_cast<std::size_t>(n)) + ")" : std::string();
    return fail(Code::conflict, "state",
                "an agent runs in " + dir + " already" + whose +
                  "; give each agent a directory of its own with --state");
  }
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(fd, 0) != 0 ||
      ::pwrite(fd, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    ::close(fd);
    return fail(Code::io, "state", path + ": " + errno_text());
  }
  return DirectoryLock(fd);
}

DirectoryLock::~DirectoryLock() {
  if (fd_ >= 0)
    ::close(fd_);
}

} // namespace reeve::worker
