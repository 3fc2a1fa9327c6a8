// The keeper's loop. See keeper_loop.hpp.
#include "agents/worker/keeper_loop.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

namespace reeve::worker {
namespace {

constexpr std::size_t connections_max = 8;
constexpr std::size_t unsent_bytes_max =
  256u << 20; // an agent that does not read is cut off; it will be told all again
constexpr std::size_t exits_frame_bytes = 1u << 20;

template<class... Ts> struct Overloaded : Ts... { using Ts::operator()...; };
template<class... Ts> Overloaded(Ts...) -> Overloaded<Ts...>;

} // namespace

KeeperLoop::KeeperLoop(Parts parts) : parts_(std::move(parts)) {
  const auto watch = [this](int fd, Watch what) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = watch_tag(what, 0);
    ::epoll_ctl(parts_.epoll.get(), EPOLL_CTL_ADD, fd, &event);
  };
  watch(parts_.listener.get(), Watch::listener);
  watch(parts_.signals.get(), Watch::signals);
  watch(parts_.pool.fd(), Watch::spawned);
}

int KeeperLoop::wait_ms() const {
  const auto deadline = parts_.tasks.next_deadline();
  if (!deadline)
    return -1;
  // epoll's own clock is CLOCK_MONOTONIC: a timerfd would only add system calls.
  const auto left =
    std::chrono::ceil<std::chrono::milliseconds>(*deadline - std::chrono::steady_clock::now())
      .count();
  return static_cast<int>(std::clamp<long long>(left, 0, 3'600'000));
}

void KeeperLoop::run() {
  std::array<epoll_event, 256> events;
  while (!ending_ || !parts_.tasks.idle()) {
    const int n =
      ::epoll_wait(parts_.epoll.get(), events.data(), static_cast<int>(events.size()), wait_ms());
    if (n < 0 && errno != EINTR) {
      std::fprintf(stderr, "epoll_wait: %s\n", errno_text(errno).c_str());
      return;
    }
    for (int k = 0; k < n; ++k)
      on_event(events[static_cast<std::size_t>(k)].data.u64);
    parts_.tasks.on_time(std::chrono::steady_clock::now());
    tell_exits();
    parts_.tasks.tidy_log();
    close_finished();
  }
  for (auto& [number, connection] : connections_)
    flush(connection);
}

void KeeperLoop::on_event(std::uint64_t tag) {
  const auto what = static_cast<Watch>(tag >> 56);
  const std::uint64_t which = tag & ((std::uint64_t{1} << 56) - 1);
  switch (what) {
  case Watch::listener:
    return accept_one();
  case Watch::signals:
    return on_signals();
  case Watch::spawned:
    return parts_.tasks.on_spawned();
  case Watch::connection:
    return on_connection(which);
  case Watch::leader:
    return parts_.tasks.on_leader_dead(which);
  case Watch::out:
    return parts_.tasks.on_readable(which, Stream::out);
  case Watch::err:
    return parts_.tasks.on_readable(which, Stream::err);
  case Watch::stray:
    return parts_.tasks.on_orphans();
  }
}

void KeeperLoop::on_signals() {
  std::array<signalfd_siginfo, 8> signals;
  bool child = false, stop = false;
  for (ssize_t n = 0; (n = ::read(parts_.signals.get(), signals.data(), sizeof signals)) > 0;) {
    const auto count = static_cast<std::size_t>(n) / sizeof(signalfd_siginfo);
    for (std::size_t k = 0; k < count; ++k)
      (signals[k].ssi_signo == SIGCHLD ? child : stop) = true;
    if (count < signals.size())
      break;
  }
  if (child)
    parts_.tasks.on_orphans();
  if (stop) {
    ending_ = true;
    parts_.tasks.stop_all({});
  }
}

void KeeperLoop::accept_one() {
  Fd fd(::accept4(parts_.listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd)
    return;
  ucred peer{};
  socklen_t size = sizeof peer;
  // The modes of directory and socket say it already; this also holds when somebody loosens them.
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      (peer.uid != ::geteuid() && peer.uid != 0) || connections_.size() >= connections_max)
    return;
  Connection connection;
  connection.number = next_connection_++;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = watch_tag(Watch::connection, connection.number);
  if (::epoll_ctl(parts_.epoll.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0)
    return;
  connection.fd = std::move(fd);
  connections_.emplace(connection.number, std::move(connection));
}

void KeeperLoop::on_connection(std::uint64_t number) {
  const auto found = connections_.find(number);
  if (found == connections_.end())
    return;
  Connection& connection = found->second;
  auto open = connection.in.read_from(connection.fd.get());
  while (!connection.closing) {
    auto frame = connection.in.next();
    if (frame && frame->empty())
      break;
    Result<void> done;
    if (!frame) {
      done = tl::unexpected<Error>(frame.error());
    } else {
      auto message = decode<keeper::ToKeeper>(*frame);
      done =
        message ? handle(connection, std::move(*message)) : tl::unexpected<Error>(message.error());
    }
    if (!done) { // this connection ends; tasks and others notice nothing
      say(connection, keeper::Refused{done.error().field, done.error().text});
      connection.closing = true;
    }
  }
  if (!open || !*open)
    connection.closing = true;
  flush(connection);
}

Result<void> KeeperLoop::handle(Connection& connection, keeper::ToKeeper message) {
  if (!connection.greeted && !std::holds_alternative<keeper::Hello>(message))
    return fail(Code::refused, "", "the first message must be hello");
  Tasks& tasks = parts_.tasks;
  return std::visit(
    Overloaded{
      [&](const keeper::Hello& hello) -> Result<void> {
        if (hello.version != keeper_protocol_version)
          return fail(Code::unknown_version, "version",
                      "spoken: " + std::to_string(keeper_protocol_version));
        greet(connection);
        return {};
      },
      [&](const keeper::PutSpec& put) -> Result<void> {
        connection.programs[put.job] = prepare(put.job, put.spec, parts_.dir, parts_.opened.keeper);
        return {};
      },
      [&](const keeper::DropSpec& drop) -> Result<void> {
        connection.programs.erase(drop.job);
        return {};
      },
      [&](const keeper::Start& each) -> Result<void> { return start(connection, each); },
      [&](const keeper::Stop& stop) -> Result<void> {
        for (const AttemptId& id : stop.attempts)
          tasks.stop(id, stop.cause, stop.text, stop.grace, stop.move);
        return {};
      },
      [&](const keeper::Release& release) -> Result<void> {
        for (const AttemptId& id : release.attempts)
          tasks.release(id);
        return {};
      },
      [&](const keeper::Forget& forget) -> Result<void> {
        for (const AttemptId& id : forget.attempts)
          tasks.forget(id);
        return {};
      },
      [&](const keeper::StopAll& stop) -> Result<void> {
        ending_ = true;
        tasks.stop_all(stop.grace);
        return {};
      },
    },
    message);
}

Result<void> KeeperLoop::start(Connection& connection, const keeper::Start& message) {
  const auto program = connection.programs.find(message.job);
  if (program == connection.programs.end())
    return fail(Code::bad_field, "job",
                "no specification of job " + std::to_string(message.job.value));
  parts_.tasks.start(message, program->second);
  return {};
}

void KeeperLoop::greet(Connection& connection) {
  if (agent_ != 0 && agent_ != connection.number)
    if (const auto older = connections_.find(agent_); older != connections_.end()) {
      say(older->second, keeper::Refused{"", "another agent has taken over"});
      flush(older->second);
      older->second.closing = true;
    }
  tell_exits(); // to whom they belonged; below all are told
  agent_ = connection.number;
  connection.greeted = true;
  keeper::Welcome welcome;
  welcome.incarnation = parts_.opened.incarnation;
  welcome.pid = parts_.opened.pid;
  welcome.running = parts_.tasks.running();
  welcome.lost = parts_.lost;
  welcome.notes = parts_.notes;
  say(connection, welcome);
  std::vector<keeper::Exit> all;
  for (const auto& [id, exit] : parts_.tasks.exits())
    all.push_back(exit);
  say_exits(connection, all);
  say(connection, keeper::Synced{});
}

void KeeperLoop::say(Connection& connection, const keeper::FromKeeper& message) {
  append_frame(connection.out, encode(message));
}

void KeeperLoop::say_exits(Connection& connection, const std::vector<keeper::Exit>& exits) {
  keeper::Exits message;
  std::size_t bytes = 0;
  for (const keeper::Exit& exit : exits) {
    message.exits.push_back(exit);
    bytes += 128 + exit.result.result.data.size() + exit.result.text.size();
    if (bytes > exits_frame_bytes) {
      say(connection, message);
      message.exits.clear();
      bytes = 0;
    }
  }
  if (!message.exits.empty())
    say(connection, message);
}

void KeeperLoop::tell_exits() {
  // First on record, then told. A record that cannot be written holds nothing back: the exit itself
  // is kept in memory until released.
  if (auto stored = parts_.log.flush(); !stored)
    std::fprintf(stderr, "%s\n", stored.error().text.c_str());
  const std::vector<keeper::Exit> exits = parts_.tasks.take_new_exits();
  const auto agent = connections_.find(agent_);
  if (exits.empty() || agent == connections_.end() || agent->second.closing)
    return;
  say_exits(agent->second, exits);
  flush(agent->second);
}

void KeeperLoop::flush(Connection& connection) {
  if (!send_some(connection.fd.get(), connection.out) || connection.out.size() > unsent_bytes_max) {
    connection.closing = true;
    connection.out.clear();
    return;
  }
  const bool wants = !connection.out.empty();
  if (wants == connection.wants_write)
    return;
  connection.wants_write = wants;
  epoll_event event{};
  event.events = wants ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.u64 = watch_tag(Watch::connection, connection.number);
  ::epoll_ctl(parts_.epoll.get(), EPOLL_CTL_MOD, connection.fd.get(), &event);
}

void KeeperLoop::close_finished() {
  std::erase_if(connections_, [&](const auto& each) { return each.second.closing; });
}

} // namespace reeve::worker
