// See hook.hpp.
#include "src/cli/hook.hpp"

#include "src/util/text.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <ostream>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace reeve::cli {
namespace {

using HookClock = std::chrono::steady_clock;

void wait_a_while(Duration time) {
  ::poll(nullptr, 0, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(time).count()));
}

/// "exit code 3", "signal 9"; empty: all went well.
std::string hook_ended(int status) {
  if (WIFEXITED(status))
    return WEXITSTATUS(status) == 0 ? "" : "exit code " + std::to_string(WEXITSTATUS(status));
  return "signal " + std::to_string(WTERMSIG(status));
}

std::string run_once(const Terminal& terminal, const Hook& hook, std::vector<std::string>& env) {
  std::vector<char*> pointers;
  for (char** at = environ; *at != nullptr; ++at)
    pointers.push_back(*at);
  for (auto& entry : env)
    pointers.push_back(entry.data());
  pointers.push_back(nullptr);
  std::string shell = "sh", flag = "-c", command = hook.command;
  char* const argv[] = {shell.data(), flag.data(), command.data(), nullptr};
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP); // to be killed as a whole
  pid_t pid = 0;
  const int failed = ::posix_spawn(&pid, "/bin/sh", nullptr, &attributes, argv, pointers.data());
  ::posix_spawnattr_destroy(&attributes);
  if (failed != 0)
    return std::strerror(failed);
  const auto deadline = HookClock::now() + hook.limit;
  for (bool killed = false;;) {
    int status = 0;
    const pid_t got = ::waitpid(pid, &status, WNOHANG);
    if (got == pid)
      return killed ? "it took longer than " + format_duration(hook.limit) : hook_ended(status);
    if (got < 0 && errno != EINTR)
      return std::strerror(errno);
    if (!killed && (HookClock::now() > deadline || terminal.interrupted())) {
      ::kill(-pid, SIGKILL);
      killed = true;
    }
    wait_a_while(std::chrono::milliseconds(10));
  }
}

} // namespace

Result<void> run_hook(const Terminal& terminal, const Hook& hook, const Event& event) {
  std::vector<std::string> env{
    "REEVE_EVENT=" + dump_json(versioned(to_json(event))), "REEVE_EVENT_KIND=" + event.kind,
    "REEVE_EVENT_SEQ=" + std::to_string(event.seq.value), "REEVE_EVENT_NODE=" + event.node,
    "REEVE_EVENT_QUEUE=" + event.queue};
  if (!hook.url.empty())
    env.push_back("REEVE_HOOK_URL=" + hook.url);
  env.push_back("REEVE_EVENT_JOB=" + (event.job ? std::to_string(event.job.value) : ""));
  Duration pause = hook.pause;
  for (std::size_t k = 1;; ++k) {
    const std::string trouble = run_once(terminal, hook, env);
    if (trouble.empty())
      return {};
    if (terminal.interrupted())
      return fail(Code::timed_out, "", "interrupted");
    if (k >= hook.tries)
      return fail(Code::refused, "--exec",
                  "failed " + std::to_string(k) + " times for event " +
                    std::to_string(event.seq.value) + ", last with " + trouble);
    terminal.err << "reeve: " << event.kind << " " << event.seq.value << ": " << trouble
                 << ", again in " << format_duration(pause) << "\n";
    for (const auto until = HookClock::now() + pause;
         HookClock::now() < until && !terminal.interrupted();)
      wait_a_while(std::chrono::milliseconds(50));
    pause = std::min<Duration>(2 * pause, std::chrono::minutes(1));
  }
}

Hook webhook(const std::string& url, std::size_t tries) {
  // The address and the event are variables: neither is read by the shell, nor shown by ps.
  Hook hook{"printf %s \"$REEVE_EVENT\" | curl -fsS --max-time 30 -o /dev/null -H "
            "'Content-Type: application/json' --data-binary @- --url \"$REEVE_HOOK_URL\"",
            url, tries};
  return hook;
}

Result<std::optional<EventPlace>> read_place(const std::string& file) {
  std::ifstream in(file);
  if (!in)
    return std::optional<EventPlace>();
  EventPlace place;
  if (!(in >> place.seq.value >> place.part))
    return fail(Code::bad_field, "--place", file + " holds no place in the event stream");
  return std::optional<EventPlace>(place);
}

Result<void> write_place(const std::string& file, EventPlace place) {
  const std::string fresh = file + ".new";
  {
    std::ofstream out(fresh, std::ios::trunc);
    out << place.seq.value << " " << place.part << "\n";
    out.flush();
    if (!out)
      return fail(Code::io, "--place", "cannot write " + fresh);
  }
  if (std::rename(fresh.c_str(), file.c_str()) != 0)
    return fail(Code::io, "--place", "cannot replace " + file + ": " + std::strerror(errno));
  return {};
}

} // namespace reeve::cli
