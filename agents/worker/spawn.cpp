// Starting one process of a task. See spawn.hpp.
//
// clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD) and system calls in the child, not posix_spawn:
// posix_spawn can neither set limits nor join a cgroup nor give a pidfd, and a helper program in
// between would cost a second exec (about 300 µs, a third of a start). The child shares the
// keeper's memory and runs while its thread waits, so it makes system calls and stores its error,
// nothing else.
#include "agents/worker/spawn.hpp"

#include "agents/worker/keeper_proc.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <fcntl.h>
#include <sched.h>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

namespace reeve::worker {
namespace {

constexpr std::string_view default_path =
  "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::size_t stack_bytes = 64 * 1024;
constexpr std::array<std::string_view, 8> own_names{
  marker_name,         "REEVE_JOB_ID", "REEVE_TASK",   "REEVE_ATTEMPT",
  "REEVE_ARRAY_INDEX", "REEVE_ITEM",   "REEVE_RESULT", "REEVE_PAYLOAD"};

enum class Step { session, cgroup, limits, work_dir, stdin_file, stdin_kind, output, exec };

struct Child { // what the child reads, and where it answers: its memory is ours
  char* const* argv = nullptr;
  char* const* env = nullptr;
  const char* const* candidates = nullptr;
  const char* cwd = nullptr;
  const char* stdin_file = nullptr;
  int out = -1, err = -1, cgroup = -1;
  rlimit files{}, memory{};
  bool limit_memory = false;
  Step step = Step::session;
  int error = 0;
};

// Raw system calls, as the wrappers may be intercepted by sanitizers, and one signal mask for all.
#define REEVE_CHILD __attribute__((no_sanitize("address", "undefined", "thread")))

REEVE_CHILD long sys(long number, long a = 0, long b = 0, long c = 0, long d = 0) {
  return ::syscall(number, a, b, c, d);
}
REEVE_CHILD long word(const void* pointer) {
  return reinterpret_cast<long>(pointer);
}

REEVE_CHILD bool open_stdin(Child& child) {
  child.step = Step::stdin_file;
  // Non-blocking: opening a FIFO would otherwise hold the spawner until somebody writes.
  const long fd =
    sys(SYS_openat, AT_FDCWD, word(child.stdin_file), O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
  if (fd < 0)
    return false;
  struct stat st;
  if (sys(SYS_fstat, fd, word(&st)) != 0)
    return false;
  child.step = Step::stdin_kind;
  if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) {
    errno = EINVAL;
    return false;
  }
  return sys(SYS_fcntl, fd, F_SETFL, 0) == 0 && sys(SYS_dup3, fd, 0, 0) == 0 &&
         (sys(SYS_close, fd), true);
}

REEVE_CHILD bool set_up(Child& child) {
  child.step = Step::session; // leaves the keeper's terminal and makes the task's own group, named
                              // after its pid
  if (sys(SYS_setsid) < 0)
    return false;
  child.step = Step::cgroup;
  if (child.cgroup >= 0 && sys(SYS_write, child.cgroup, word("0"), 1) != 1)
    return false;
  child.step = Step::limits;
  if (sys(SYS_prlimit64, 0, RLIMIT_NOFILE, word(&child.files), 0) != 0)
    return false;
  if (child.limit_memory && sys(SYS_prlimit64, 0, RLIMIT_AS, word(&child.memory), 0) != 0)
    return false;
  child.step = Step::work_dir;
  if (sys(SYS_chdir, word(child.cwd)) != 0)
    return false;
  if (child.stdin_file && !open_stdin(child)) // else: the keeper's own, /dev/null
    return false;
  child.step = Step::output;
  return sys(SYS_dup3, child.out, 1, 0) == 1 && sys(SYS_dup3, child.err, 2, 0) == 2;
}

REEVE_CHILD int child_main(void* raw) {
  Child& child = *static_cast<Child*>(raw);
  if (set_up(child)) {
    child.step = Step::exec;
    const std::uint64_t none = 0;
    sys(SYS_rt_sigprocmask, SIG_SETMASK, word(&none), 0, 8);
    int denied = 0;
    for (const char* const* path = child.candidates; *path; ++path) {
      // A look first: an exec that fails costs ten times as much.
      if (sys(SYS_faccessat, AT_FDCWD, word(*path), X_OK) == 0) {
        sys(SYS_execve, word(*path), word(child.argv), word(child.env));
        denied = errno;
        if (errno != EACCES && errno != ENOTDIR)
          break;
      } else if (errno == EACCES) {
        denied = EACCES;
      }
    }
    errno = denied;
  }
  // Nothing denied: no candidate exists.
  child.error = errno != 0 ? errno : (child.step == Step::exec ? -1 : EIO);
  sys(SYS_exit, 127);
  return 127;
}

/// What a machine that is short of something says; another one may well start the task.
bool is_shortage(int error) {
  return error == ENOSPC || error == EDQUOT || error == EMFILE || error == ENFILE ||
         error == ENOMEM || error == EAGAIN || error == EIO || error == EROFS || error == ESTALE;
}

/// Is it the node's fault that a child could not become its program?
bool is_the_nodes(const Child& child, bool own_dir) {
  switch (child.step) {
  case Step::session:
  case Step::cgroup:
  case Step::limits:
  case Step::output:
    return true;
  case Step::work_dir:
    return !own_dir || is_shortage(child.error); // a fresh one is the node's to give
  case Step::stdin_kind:
    return false;
  case Step::stdin_file:
  case Step::exec:
    break;
  }
  if (child.error == ENOMEM && child.limit_memory)
    return false; // its own limit may be what is too small
  return is_shortage(child.error);
}

std::string describe(const Child& child, const Program& program, const std::string& name) {
  const std::string words = child.error > 0 ? errno_text(child.error) : std::string();
  switch (child.step) {
  case Step::session:
    return "cannot make a session: " + words;
  case Step::cgroup:
    return "cannot join the task's cgroup: " + words;
  case Step::limits:
    return "cannot set limits: " + words;
  case Step::work_dir:
    return (child.error == ENOENT ? "working directory missing: "
                                  : "working directory not usable: " + words + ": ") +
           std::string(child.cwd);
  case Step::stdin_file:
    return (child.error == ENOENT ? "stdin file missing: "
                                  : "stdin file not usable: " + words + ": ") +
           program.stdin_file;
  case Step::stdin_kind:
    return "stdin file is not a plain file or device: " + program.stdin_file;
  case Step::output:
    return "cannot set up the output: " + words;
  case Step::exec:
    break;
  }
  switch (child.error) {
  case -1:
    return "command not found: " + name;
  case EACCES:
    return "command not executable: " + name;
  case ENOENT:
    return "the interpreter of the command is missing: " + name;
  case ENOEXEC:
    return "not a program (a script needs a first line with #!): " + name;
  case E2BIG:
    return "arguments and environment are too long for the system: " + name;
  default:
    return "cannot execute " + name + ": " + words;
  }
}

void replace_braces(std::string& text, const std::string& item) {
  for (std::size_t at = 0; (at = text.find("{}", at)) != std::string::npos; at += item.size())
    text.replace(at, 2, item);
}

std::vector<std::string> candidates_for(const std::string& name,
                                        const std::map<std::string, std::string>& env) {
  if (name.find('/') != std::string::npos)
    return {name};
  const auto given = env.find("PATH");
  std::string_view rest = given != env.end() ? std::string_view(given->second) : default_path;
  std::vector<std::string> paths;
  for (bool more = true; more;) {
    const std::size_t colon = rest.find(':');
    more = colon != std::string_view::npos;
    const std::string_view dir = rest.substr(0, colon);
    paths.push_back(dir.empty()
                      ? name
                      : std::string(dir) + "/" + name); // an empty entry is the working directory
    if (more)
      rest.remove_prefix(colon + 1);
  }
  return paths;
}

bool has_nul(const std::string& text) {
  return text.find('\0') != std::string::npos;
}

std::string find_problem(const JobSpec& spec) {
  if (spec.command.empty() || spec.command[0].empty())
    return "command is empty";
  for (std::size_t k = 0; k < spec.command.size(); ++k)
    if (has_nul(spec.command[k]))
      return "command[" + std::to_string(k) + "] contains a NUL byte";
  for (const auto& [name, value] : spec.env)
    if (name.empty() || name.find('=') != std::string::npos || has_nul(name) || has_nul(value))
      return "env: a name is empty or contains '=', or an entry contains a NUL byte";
  if (has_nul(spec.cwd) || has_nul(spec.stdin_file))
    return "a path contains a NUL byte";
  return {};
}

bool is_own(const std::string& name) {
  return std::find(own_names.begin(), own_names.end(), name) != own_names.end();
}

std::string find_problem(const SpawnRequest& request) {
  if (request.item && has_nul(*request.item))
    return "the item contains a NUL byte";
  for (const auto& [name, value] : request.env)
    if (name.empty() || name.find('=') != std::string::npos || has_nul(name) || has_nul(value))
      return "the task's environment: a name is empty or contains '=', or an entry contains a NUL "
             "byte";
  return {};
}

std::vector<std::string> own_env(const SpawnRequest& request) {
  const Program& program = *request.program;
  const AttemptId& id = request.id;
  std::vector<std::string> env;
  env.reserve(own_names.size() + request.env.size());
  env.push_back(std::string(marker_name) + "=" + marker_value(program.keeper, id));
  env.push_back("REEVE_JOB_ID=" + std::to_string(id.job.value));
  env.push_back("REEVE_TASK=" + std::to_string(id.index));
  env.push_back("REEVE_ATTEMPT=" + std::to_string(id.attempt));
  env.push_back(
    "REEVE_ARRAY_INDEX=" +
    std::to_string(program.index_first + static_cast<std::int64_t>(id.index) * program.index_step));
  env.push_back("REEVE_RESULT=" + result_path(program.dir, id));
  if (!program.payload_file.empty())
    env.push_back("REEVE_PAYLOAD=" + program.payload_file);
  if (request.item)
    env.push_back("REEVE_ITEM=" + *request.item);
  for (const auto& [name, value] : request.env)
    if (!is_own(name))
      env.push_back(name + "=" + value);
  return env;
}

/// The job's environment, less what the task has of its own.
std::vector<std::string> job_env(const SpawnRequest& request) {
  std::vector<std::string> env;
  for (const std::string& entry : request.program->env)
    if (!request.env.contains(entry.substr(0, entry.find('='))))
      env.push_back(entry);
  return env;
}

/// Runs `child` and waits until it has become the program or given up.
void start_process(Child& child, const SpawnStack& stack, Spawned& out) {
  int pidfd = -1;
  out.ticks_low = boot_ticks();
  out.started_steady = std::chrono::steady_clock::now();
  out.started = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  const int pid = ::clone(child_main, stack.top(), CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD,
                          &child, &pidfd);
  out.ticks_high = boot_ticks();
  if (pid < 0) {
    out.error = "cannot start a process: " + errno_text(errno);
    out.node_trouble = true;
    return;
  }
  out.pid = pid;
  out.pidfd.reset(pidfd);
  if (child.error != 0)
    while (::waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) {
    }
}

bool make_pipes(Spawned& out, Fd& child_out, Fd& child_err) {
  int a[2], b[2];
  if (::pipe2(a, O_CLOEXEC) != 0)
    return false;
  out.out.reset(a[0]);
  child_out.reset(a[1]);
  if (::pipe2(b, O_CLOEXEC) != 0)
    return false;
  out.err.reset(b[0]);
  child_err.reset(b[1]);
  // Reading ends only: the task's own ends block, as programs expect.
  return ::fcntl(a[0], F_SETFL, O_NONBLOCK) == 0 && ::fcntl(b[0], F_SETFL, O_NONBLOCK) == 0;
}

} // namespace

std::string result_path(const std::string& dir, const AttemptId& id) {
  return dir + "/results/" + std::to_string(id.job.value) + "." + std::to_string(id.index) + "." +
         std::to_string(id.attempt);
}

Program::~Program() {
  if (!payload_file.empty())
    ::unlink(payload_file.c_str());
}

std::shared_ptr<const Program> prepare(JobId job, const JobSpec& spec, const std::string& dir,
                                       Incarnation keeper) {
  static std::atomic<std::uint64_t> next_payload{1};
  auto program = std::make_shared<Program>();
  program->job = job;
  program->dir = dir;
  program->keeper = keeper;
  program->problem = find_problem(spec);
  program->argv = spec.command;
  for (const auto& word : spec.command)
    program->has_braces = program->has_braces || word.find("{}") != std::string::npos;
  if (program->problem.empty() && spec.command[0].find("{}") == std::string::npos)
    program->candidates = candidates_for(spec.command[0], spec.env);
  for (const auto& [name, value] : spec.env)
    if (!is_own(name))
      program->env.push_back(name + "=" + value);
  program->cwd = spec.cwd;
  program->stdin_file = spec.stdin_file;
  program->index_first = spec.index_first;
  program->index_step = spec.index_step;
  program->memory_bytes = spec.resources.memory_bytes;
  program->time_limit = spec.time_limit;
  program->grace = spec.grace;
  program->checkpoint_signal = spec.checkpoint_signal;
  program->checkpoint_grace = spec.checkpoint_grace;
  program->output_limit = spec.output_limit;
  if (!spec.payload.data.empty()) {
    const std::string path = dir + "/payload/" + std::to_string(job.value) + "." +
                             std::to_string(next_payload.fetch_add(1));
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0400));
    const std::string& data = spec.payload.data;
    if (!fd || ::write(fd.get(), data.data(), data.size()) != static_cast<ssize_t>(data.size())) {
      program->problem = "cannot write the payload: " + errno_text(errno);
      program->node_trouble = true;
    }
    program->payload_file = path;
  }
  return program;
}

SpawnStack::SpawnStack() {
  // The lowest page stays without rights: an overflow ends the program instead of the neighbour's
  // data.
  base_ = ::mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (base_ == MAP_FAILED || ::mprotect(base_, 4096, PROT_NONE) != 0)
    throw std::runtime_error("no memory for a spawn stack");
}
SpawnStack::~SpawnStack() {
  ::munmap(base_, stack_bytes);
}
void* SpawnStack::top() const {
  return static_cast<char*>(base_) + stack_bytes;
}

Spawned spawn(const SpawnRequest& request, const SpawnContext& context, const SpawnStack& stack) {
  const Program& program = *request.program;
  Spawned out;
  out.serial = request.serial;
  out.started = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  out.started_steady = std::chrono::steady_clock::now();
  out.error = program.problem;
  out.node_trouble = program.node_trouble;
  if (out.error.empty())
    out.error = find_problem(request);
  if (!out.error.empty())
    return out;

  Child child;
  std::vector<std::string> words; // a copy only where `{}` is replaced
  if (program.has_braces && request.item) {
    words = program.argv;
    for (auto& each : words)
      replace_braces(each, *request.item);
  }
  const std::vector<std::string>& argv = words.empty() ? program.argv : words;
  std::vector<std::string> candidates;
  if (program.candidates.empty()) { // the command's own name holds `{}`
    std::map<std::string, std::string> path;
    for (const auto& entry : program.env)
      if (entry.starts_with("PATH="))
        path["PATH"] = entry.substr(5);
    candidates = candidates_for(argv[0], path);
  }
  const auto pointers = [](auto&... lists) {
    std::vector<char*> all;
    all.reserve((lists.size() + ... + 1));
    (..., [&](const std::vector<std::string>& list) {
      for (const auto& each : list)
        all.push_back(const_cast<char*>(each.c_str()));
    }(lists));
    all.push_back(nullptr);
    return all;
  };
  const std::vector<std::string> own = own_env(request);
  std::vector<std::string> less; // a copy only where the task overrides the job
  if (!request.env.empty())
    less = job_env(request);
  const auto argv_pointers = pointers(argv);
  const auto env_pointers = pointers(own, request.env.empty() ? program.env : less);
  const auto path_pointers = pointers(candidates.empty() ? program.candidates : candidates);
  child.argv = argv_pointers.data();
  child.env = env_pointers.data();
  child.candidates = path_pointers.data();
  child.files = context.files;

  if (program.cwd.empty()) {
    auto dir = context.work_dirs->take();
    if (!dir) {
      out.error = dir.error().text;
      out.node_trouble = true;
      return out;
    }
    out.work_dir = std::move(*dir);
    child.cwd = out.work_dir.path.c_str();
  } else {
    child.cwd = program.cwd.c_str();
  }
  if (!program.stdin_file.empty())
    child.stdin_file = program.stdin_file.c_str();
  if (program.memory_bytes > 0) {
    if (context.cgroups->available())
      out.cgroup = context.cgroups->make(program.memory_bytes);
    child.cgroup = out.cgroup ? out.cgroup.procs.get() : -1;
    child.limit_memory = !out.cgroup;
    child.memory.rlim_cur = child.memory.rlim_max = static_cast<rlim_t>(program.memory_bytes);
  }
  Fd child_out, child_err;
  if (!make_pipes(out, child_out, child_err)) {
    out.error = "cannot make pipes for the output: " + errno_text(errno);
    out.node_trouble = true;
    return out;
  }
  child.out = child_out.get();
  child.err = child_err.get();
  start_process(child, stack, out);
  out.cgroup.procs.reset();
  if (child.error != 0) {
    out.error = describe(child, program, argv[0]);
    out.node_trouble = is_the_nodes(child, !program.cwd.empty());
  }
  return out;
}

} // namespace reeve::worker
