// How a process becomes the keeper. See keeper_setup.hpp.
#include "agents/worker/keeper_setup.hpp"

#include "agents/worker/keeper_socket.hpp"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <vector>

namespace reeve::worker {
namespace {

constexpr off_t own_log_bytes_max = 1 << 20;
constexpr std::chrono::seconds ending_patience{30};

Result<void> make_private(const std::string& dir) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(dir).parent_path(), error);
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST)
    return io_error(dir, errno);
  struct stat st {};
  if (::stat(dir.c_str(), &st) != 0)
    return io_error(dir, errno);
  if (!S_ISDIR(st.st_mode))
    return io_error(dir, ENOTDIR);
  if (st.st_uid != ::geteuid())
    return fail(Code::refused, "", dir + ": belongs to another user");
  if (::chmod(dir.c_str(), 0700) != 0)
    return io_error(dir, errno);
  return {};
}

// One that does not listen any more is only tidying up: its working directories may take a while.
bool take_lock(const Fd& lock, const std::string& dir) {
  const auto deadline = std::chrono::steady_clock::now() + ending_patience;
  while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (connect_in(dir) || std::chrono::steady_clock::now() >= deadline)
      return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

} // namespace

void close_inherited() {
  constexpr unsigned first = 3;
  if (::syscall(SYS_close_range, first, ~0u, 0) == 0) // Linux 5.9
    return;
  std::error_code error;
  std::vector<int> open;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error))
    open.push_back(std::atoi(entry.path().filename().c_str()));
  for (const int fd : open)
    if (fd >= static_cast<int>(first))
      ::close(fd);
}

Result<std::optional<int>> Readiness::detach() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return io_error("pipe", errno);
  Fd read_end(ends[0]);
  pipe_.reset(ends[1]);
  const pid_t pid = ::fork(); // of a process that has just begun: small, and without threads
  if (pid < 0)
    return io_error("fork", errno);
  if (pid == 0) {
    ::setsid(); // no terminal's ^C reaches it
    detached_ = true;
    return std::optional<int>();
  }
  pipe_.reset();
  char word = 0;
  ssize_t n = 0;
  while ((n = ::read(read_end.get(), &word, 1)) < 0 && errno == EINTR) {
  }
  if (n != 1) // it said on stderr why
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  return std::optional<int>(n == 1 ? 0 : 1);
}

void Readiness::tell(const std::string& log_path) {
  if (!detached_)
    return;
  struct stat st {};
  const bool long_one = ::stat(log_path.c_str(), &st) == 0 && st.st_size > own_log_bytes_max;
  const Fd log(::open(log_path.c_str(),
                      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (long_one ? O_TRUNC : 0), 0600));
  // Whoever waits for the end of our starter's output must not wait for ours.
  if (log) {
    ::dup2(log.get(), STDOUT_FILENO);
    ::dup2(log.get(), STDERR_FILENO);
  }
  [[maybe_unused]] const ssize_t n = ::write(pipe_.get(), "1", 1);
  pipe_.reset();
}

Result<Prepared> prepare_dir(const std::string& dir) {
  if (auto made = make_private(dir); !made)
    return tl::unexpected<Error>(made.error());
  Prepared prepared;
  prepared.lock.reset(::open((dir + "/keeper.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!prepared.lock)
    return io_error(dir + "/keeper.lock", errno);
  if (!take_lock(prepared.lock, dir))
    return fail(Code::refused, "", dir + ": another keeper runs here");
  for (const char* name : {"/output", "/results", "/payload", "/work"})
    if (auto made = make_private(dir + name); !made)
      return tl::unexpected<Error>(made.error());
  prepared.before = read_keeper_log(dir + "/attempts.log");
  return prepared;
}

Result<void> prepare_process(Prepared& prepared, std::uint64_t processes) {
  // As subreaper it gets what double-forks away from a task. Tasks get no PR_SET_PDEATHSIG: should
  // the keeper die they run on until the next keeper of this directory, which the agent starts at
  // once, finds and ends them.
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
    return io_error("cannot become a subreaper", errno);
  for (int signal = 1; signal < NSIG; ++signal)
    if (signal != SIGKILL && signal != SIGSTOP)
      ::signal(signal, SIG_DFL); // what we ignored, tasks would ignore as well
  sigset_t ours;
  sigemptyset(&ours);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD, SIGHUP, SIGPIPE, SIGXFSZ})
    sigaddset(&ours, signal);
  ::sigprocmask(SIG_SETMASK, &ours, nullptr);
  ::getrlimit(RLIMIT_NOFILE, &prepared.files);
  rlimit raised = prepared.files;
  raised.rlim_cur = raised.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &raised);
  if (rlimit held{}; processes > 0 && ::getrlimit(RLIMIT_NPROC, &held) == 0) { // tasks inherit it
    held.rlim_max = std::min<rlim_t>(held.rlim_max, processes);
    held.rlim_cur = std::min(held.rlim_cur, held.rlim_max);
    ::setrlimit(RLIMIT_NPROC, &held);
  }
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null || ::dup2(null.get(), STDIN_FILENO) < 0) // tasks without input inherit it
    return io_error("/dev/null", errno);
  if (::chdir("/") != 0)
    return io_error("/", errno);
  return {};
}

Result<Fd> signal_source() {
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD})
    sigaddset(&wanted, signal);
  Fd fd(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd)
    return io_error("signalfd", errno);
  return fd;
}

} // namespace reeve::worker
