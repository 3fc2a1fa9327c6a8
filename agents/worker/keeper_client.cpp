// The agent's end of the keeper's socket. See keeper_client.hpp.
#include "agents/worker/keeper_client.hpp"

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>

extern char** environ;

namespace reeve::worker {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t ids_a_message = 100'000;

Result<void> wait_for(int fd, short events, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0)
      return fail(Code::timed_out, "", "the keeper does not answer");
    pollfd p{fd, events, 0};
    const int n = ::poll(&p, 1, static_cast<int>(std::min<long long>(left, 1'000'000)));
    if (n > 0)
      return {};
    if (n < 0 && errno != EINTR)
      return io_error("poll", errno);
  }
}

} // namespace

Result<KeeperClient> KeeperClient::connect(const std::string& dir, Duration timeout) {
  auto fd = connect_in(dir);
  if (!fd)
    return tl::unexpected<Error>(fd.error());
  KeeperClient client;
  client.fd_ = std::move(*fd);
  client.send(keeper::Hello{});
  if (auto greeted = client.greet(Clock::now() + timeout); !greeted)
    return tl::unexpected<Error>(greeted.error());
  return client;
}

Result<void> KeeperClient::greet(Clock::time_point deadline) {
  bool welcomed = false;
  for (;;) {
    if (auto sent = flush(); !sent)
      return sent;
    auto message = take();
    if (!message)
      return tl::unexpected<Error>(message.error());
    if (!*message) {
      const short events = static_cast<short>(wants_write() ? POLLIN | POLLOUT : POLLIN);
      if (auto ready = wait_for(fd(), events, deadline); !ready)
        return ready;
      auto open = in_.read_from(fd());
      if (!open)
        return tl::unexpected<Error>(open.error());
      if (!*open)
        return fail(Code::io, "", "the keeper closed the connection");
      continue;
    }
    if (auto* welcome = std::get_if<keeper::Welcome>(&**message)) {
      if (welcome->version != keeper_protocol_version)
        return fail(Code::unknown_version, "version",
                    "the keeper speaks " + std::to_string(welcome->version) + ", this agent " +
                      std::to_string(keeper_protocol_version));
      welcome_ = std::move(*welcome);
      welcomed = true;
    } else if (!welcomed) {
      return fail(Code::bad_message, "", "the keeper did not begin with a welcome");
    } else if (auto* exits = std::get_if<keeper::Exits>(&**message)) {
      std::move(exits->exits.begin(), exits->exits.end(), std::back_inserter(ended_));
    } else {
      return {}; // Synced
    }
  }
}

Result<std::optional<keeper::FromKeeper>> KeeperClient::take() {
  auto frame = in_.next();
  if (!frame)
    return tl::unexpected<Error>(frame.error());
  if (frame->empty())
    return std::optional<keeper::FromKeeper>{};
  auto message = decode<keeper::FromKeeper>(*frame);
  if (!message)
    return tl::unexpected<Error>(message.error());
  if (auto* refused = std::get_if<keeper::Refused>(&*message))
    return fail(Code::refused, refused->field, "the keeper refused: " + refused->text);
  return std::optional<keeper::FromKeeper>(std::move(*message));
}

Result<std::vector<keeper::Exit>> KeeperClient::receive() {
  auto open = in_.read_from(fd());
  if (!open)
    return tl::unexpected<Error>(open.error());
  std::vector<keeper::Exit> got;
  for (;;) {
    auto message = take();
    if (!message)
      return tl::unexpected<Error>(message.error());
    if (!*message)
      break;
    if (auto* exits = std::get_if<keeper::Exits>(&**message)) {
      if (got.empty())
        got = std::move(exits->exits);
      else
        std::move(exits->exits.begin(), exits->exits.end(), std::back_inserter(got));
    }
  }
  if (!*open && got.empty()) // what came before the end is told first
    return fail(Code::io, "", "the keeper closed the connection");
  return got;
}

void KeeperClient::send(const keeper::ToKeeper& message) {
  append_frame(out_, encode(message));
}

JobSpec for_keeper(const JobSpec& spec) {
  JobSpec out;
  out.command = spec.command;
  out.env = spec.env;
  out.cwd = spec.cwd;
  out.stdin_file = spec.stdin_file;
  out.payload = spec.payload;
  out.index_first = spec.index_first;
  out.index_step = spec.index_step;
  out.resources = spec.resources;
  out.time_limit = spec.time_limit;
  out.grace = spec.grace;
  out.output_limit = spec.output_limit;
  out.checkpoint_signal = spec.checkpoint_signal;
  out.checkpoint_grace = spec.checkpoint_grace;
  return out;
}

void KeeperClient::start(JobId job, const JobSpec& spec, Epoch epoch,
                         std::vector<keeper::StartTask> tasks) {
  if (specs_.insert(job).second) {
    send(keeper::PutSpec{job, for_keeper(spec)});
  }
  // Split by count and by the bytes of what is each task's own, so that no frame comes near its
  // bound.
  keeper::Start message{job, epoch, {}};
  std::size_t bytes = 0;
  for (auto& task : tasks) {
    std::size_t more = task.item ? task.item->size() : 0;
    for (const auto& [name, value] : task.env)
      more += name.size() + value.size();
    for (const UnitShare& share : task.units)
      more += share.name.size() + 16;
    if (!message.tasks.empty() && (message.tasks.size() >= 50'000 || bytes + more > (4u << 20))) {
      send(message);
      message.tasks.clear();
      bytes = 0;
    }
    bytes += more;
    message.tasks.push_back(std::move(task));
  }
  if (!message.tasks.empty())
    send(message);
}

void KeeperClient::drop_spec(JobId job) {
  if (specs_.erase(job) > 0)
    send(keeper::DropSpec{job});
}

namespace {
template<class Each> void in_parts(const std::vector<AttemptId>& attempts, Each each) {
  for (std::size_t at = 0; at < attempts.size(); at += ids_a_message) {
    const std::size_t end = std::min(attempts.size(), at + ids_a_message);
    each(std::vector<AttemptId>(attempts.begin() + static_cast<std::ptrdiff_t>(at),
                                attempts.begin() + static_cast<std::ptrdiff_t>(end)));
  }
}
} // namespace

void KeeperClient::stop(std::vector<AttemptId> attempts, Cause cause, std::string text,
                        std::optional<Duration> grace, bool move) {
  text.resize(std::min<std::size_t>(text.size(), 1024));
  in_parts(attempts, [&](std::vector<AttemptId> part) {
    send(keeper::Stop{std::move(part), cause, text, grace, move});
  });
}
void KeeperClient::release(std::vector<AttemptId> attempts) {
  in_parts(attempts, [&](std::vector<AttemptId> part) { send(keeper::Release{std::move(part)}); });
}
void KeeperClient::forget_output(std::vector<AttemptId> attempts) {
  in_parts(attempts, [&](std::vector<AttemptId> part) { send(keeper::Forget{std::move(part)}); });
}
void KeeperClient::stop_all(std::optional<Duration> grace) {
  send(keeper::StopAll{grace});
}
Result<void> KeeperClient::flush() {
  return send_some(fd(), out_);
}

Result<void> launch_keeper(const std::vector<std::string>& command) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return io_error("pipe", errno);
  Fd read_end(ends[0]), write_end(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDERR_FILENO);
  std::vector<char*> argv;
  for (const auto& word : command)
    argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0)
    return io_error("cannot start the keeper " + command[0], error);
  write_end.reset();
  // What it printed: the pipe ends when the first process has exited, as the keeper itself writes
  // to its own log by then.
  std::string said;
  std::array<char, 1024> chunk;
  for (;;) {
    const ssize_t n = ::read(read_end.get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      break;
    if (said.size() < 4096)
      said.append(chunk.data(), static_cast<std::size_t>(n));
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
    return {};
  return fail(Code::unavailable, "",
              "the keeper did not start: " + (said.empty() ? std::string("no words") : said));
}

} // namespace reeve::worker
