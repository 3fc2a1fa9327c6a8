// See check_script.hpp.
#include "agents/worker/check_script.hpp"

#include "src/util/text.hpp"

#include <array>
#include <csignal>
#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char** environ;

namespace reeve::worker {
namespace {

constexpr std::size_t tail_max = 4'096, trouble_max = 256;

/// The last line with anything on it.
std::string last_line(const std::string& text) {
  std::string found;
  for (const std::string& line : split(text, '\n'))
    if (const auto words = trim(line); !words.empty())
      found = words;
  return printable(found.substr(0, trouble_max));
}

} // namespace

CheckScript::~CheckScript() {
  if (pid_ == 0)
    return;
  ::kill(-pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void CheckScript::turn(TimePoint now) {
  if (options_.command.empty())
    return;
  if (pid_ != 0) {
    if (now >= kill_at_ && !late_) {
      late_ = true;
      ::kill(-pid_, SIGKILL);
    }
    read_output();
    take_end();
    return;
  }
  if (now >= due_)
    start(now);
}

void CheckScript::start(TimePoint now) {
  due_ = now + options_.interval;
  tail_.clear();
  late_ = false;
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    trouble_ = "the check cannot start: " + errno_text(errno);
    return;
  }
  output_.reset(ends[0]);
  ::fcntl(output_.get(), F_SETFL, O_NONBLOCK); // its own end blocks, as programs expect
  const Fd theirs(ends[1]);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, theirs.get(), 1);
  posix_spawn_file_actions_adddup2(&files, theirs.get(), 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none); // the agent's own are blocked
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::string shell = "sh", flag = "-c";
  const std::array<char*, 4> words{shell.data(), flag.data(), options_.command.data(), nullptr};
  const int error = ::posix_spawn(&pid_, "/bin/sh", &files, &attributes, words.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    pid_ = 0;
    output_.reset();
    trouble_ = "the check cannot start: " + errno_text(error);
    return;
  }
  pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  kill_at_ = now + options_.timeout;
}

void CheckScript::read_output() {
  std::array<char, 4'096> buffer{};
  for (int reads = 0; output_ && reads < 64; ++reads) { // a flood takes its turns
    const ssize_t n = ::read(output_.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return;
    if (n == 0) {
      output_.reset();
      return;
    }
    tail_.append(buffer.data(), static_cast<std::size_t>(n));
    if (tail_.size() > 2 * tail_max)
      tail_.erase(0, tail_.size() - tail_max);
  }
}

void CheckScript::take_end() {
  siginfo_t info{};
  // Not reaped yet: the group's number stays its own until what it left behind is ended, too.
  if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
      info.si_pid == 0)
    return;
  ::kill(-pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  read_output();
  pid_ = 0;
  pidfd_.reset();
  output_.reset();
  if (late_)
    trouble_ = "the check ran longer than " + format_duration(options_.timeout);
  else if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
    trouble_.clear();
  else if (trouble_ = last_line(tail_); trouble_.empty())
    trouble_ = WIFEXITED(status)
                 ? "the check ended with exit code " + std::to_string(WEXITSTATUS(status))
                 : "the check was ended by signal " + std::to_string(WTERMSIG(status));
}

std::optional<TimePoint> CheckScript::wake_at() const {
  if (options_.command.empty() || (pid_ != 0 && late_))
    return std::nullopt;
  return pid_ != 0 ? kill_at_ : due_;
}

std::vector<int> CheckScript::descriptors() const {
  std::vector<int> all;
  for (const Fd* fd : {&pidfd_, &output_})
    if (*fd)
      all.push_back(fd->get());
  return all;
}

} // namespace reeve::worker
