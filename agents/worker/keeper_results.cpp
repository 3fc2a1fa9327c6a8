// What a task's end means: status, usage, cause, its result file. The other half of
// keeper_tasks.cpp.
#include "agents/worker/keeper_tasks.hpp"

#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

namespace reeve::worker {
namespace {

constexpr int waitid_pidfd = 3; // P_PIDFD, which older headers lack

Duration to_duration(const timeval& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

void add_text(std::string& text, const std::string& more) {
  if (!text.empty())
    text += "; ";
  text += more;
}

std::string signal_text(int signal) {
  const char* name = sigabbrev_np(signal);
  return "killed by signal " + std::to_string(signal) +
         (name ? std::string(" (SIG") + name + ")" : std::string());
}

} // namespace

TaskResult Tasks::result_of(Task& task) {
  TaskResult result;
  result.index = task.id.index;
  result.attempt = task.id.attempt;
  siginfo_t info{};
  rusage usage{};
  // The system call, not waitid(): only it has the rusage. It counts the process and those it
  // waited for. max_rss begins at the keeper's own size (a few MiB), because the child borrowed its
  // memory until exec.
  const long got =
    ::syscall(SYS_waitid, waitid_pidfd, task.pidfd.get(), &info, WEXITED | WNOHANG, &usage);
  if (got != 0 || info.si_pid == 0)
    std::fprintf(stderr, "waitid of process %d: %s\n", task.pid, errno_text(errno).c_str());
  result.started = task.started;
  result.ended = task.ended;
  result.usage.wall = std::chrono::duration_cast<Duration>(task.ended_steady - task.started_steady);
  result.usage.user_cpu = to_duration(usage.ru_utime);
  result.usage.system_cpu = to_duration(usage.ru_stime);
  result.usage.max_rss_bytes = static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
  result.stdout_bytes = task.kept_out.written();
  result.stderr_bytes = task.kept_err.written();
  judge(task, info.si_code != CLD_EXITED, info.si_status, result);
  if (task.cgroup)
    if (const std::int64_t peak = parts_.cgroups.memory_peak(task.cgroup); peak > 0)
      result.usage.max_rss_bytes = peak; // of all its processes
  read_result(task, result);
  for (const auto& [stream, kept] :
       {std::pair{"stdout", &task.kept_out}, std::pair{"stderr", &task.kept_err}})
    if (kept->error() != 0)
      add_text(result.text, std::string(stream) + " not kept: " + errno_text(kept->error()));
  result.text.resize(std::min<std::size_t>(result.text.size(), 4096));
  return result;
}

void Tasks::judge(const Task& task, bool by_signal, int status, TaskResult& result) const {
  const bool good = !by_signal && status == 0;
  const bool out_of_memory = !good && task.cgroup && parts_.cgroups.oom_kills(task.cgroup) > 0;
  if (by_signal)
    result.signal = status;
  else
    result.exit_code = status;
  if (task.stopping && task.stop_cause != Cause::none) {
    result.cause = task.stop_cause;
    result.exit_code = 0; // it did not choose to end
    result.text = task.stop_text;
    if (task.stop_cause == Cause::time_limit) {
      char seconds[32];
      std::snprintf(seconds, sizeof seconds, "%g",
                    static_cast<double>(task.program->time_limit.count()) / 1e6);
      result.text = std::string("ran longer than its time limit of ") + seconds + " s";
    }
  } else if (out_of_memory) {
    result.cause = Cause::out_of_memory;
    result.exit_code = 0;
    result.text =
      "used more than its " + std::to_string(task.program->memory_bytes) + " bytes of memory";
  } else if (by_signal) {
    result.cause = Cause::signal;
    result.text = signal_text(status);
  } else if (status != 0) {
    result.cause = Cause::exit_code;
    result.text = "exit code " + std::to_string(status);
  }
}

void Tasks::read_result(const Task& task, TaskResult& result) const {
  const std::string path = result_path(parts_.dir, task.id);
  // The task may have put anything there: no links, no waiting on a FIFO, plain files only.
  const Fd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd && errno == ENOENT)
    return;
  std::string problem;
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) != 0)
    problem = "result not readable: " + errno_text(errno);
  else if (!S_ISREG(st.st_mode))
    problem = "result is not a plain file";
  else if (st.st_size > static_cast<off_t>(result_bytes_max))
    problem = "result of " + std::to_string(st.st_size) + " bytes is more than " +
              std::to_string(result_bytes_max);
  if (problem.empty()) {
    std::string data(static_cast<std::size_t>(st.st_size), '\0');
    std::size_t have = 0;
    while (have < data.size()) {
      const ssize_t n = ::read(fd.get(), data.data() + have, data.size() - have);
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        break;
      have += static_cast<std::size_t>(n);
    }
    data.resize(have);
    result.result.data = std::move(data);
  } else {
    // A result that would be lost is not a success.
    if (result.cause == Cause::none)
      result.cause = Cause::executor_error;
    add_text(result.text, problem);
  }
  if (::unlink(path.c_str()) != 0 && errno == EISDIR)
    ::rmdir(path.c_str());
}

} // namespace reeve::worker
