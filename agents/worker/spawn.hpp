// Starting one process of a task: what can be prepared once a job, and the start itself. Called by
// the spawner threads. Must never run anything but system calls between clone and exec: the child
// borrows the keeper's memory until then.
#pragma once

#include "agents/worker/cgroup.hpp"
#include "agents/worker/keeper_dirs.hpp"
#include "agents/worker/keeper_fd.hpp"
#include "agents/worker/keeper_protocol.hpp"

#include <chrono>
#include <memory>
#include <sys/resource.h>

namespace reeve::worker {

/// All of a job's specification that its tasks have in common, ready to use.
struct Program {
  JobId job;
  std::string problem;       // not empty: no task of it can start, and why
  bool node_trouble = false; // the problem is this node's, not the job's
  std::vector<std::string> argv;
  bool has_braces = false; // `{}` somewhere in argv
  std::vector<std::string>
    candidates; // paths to try for argv[0], in order; none: take argv[0] of the task
  std::vector<std::string> env; // NAME=value, without those that are a task's own
  std::string cwd, stdin_file;
  std::string payload_file; // empty: no payload
  std::int64_t index_first = 0, index_step = 1;
  std::int64_t memory_bytes = 0; // 0: no limit
  Duration time_limit{0}, grace{0};
  int checkpoint_signal = 0; // 0: none
  Duration checkpoint_grace{0};
  std::uint32_t output_limit = 0;
  std::string dir; // the keeper's
  Incarnation keeper;

  Program() = default;
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program(); // the payload's file goes with the last task
};
/// Writes the payload's file if there is a payload.
std::shared_ptr<const Program> prepare(JobId job, const JobSpec& spec, const std::string& dir,
                                       Incarnation keeper);

std::string result_path(const std::string& dir, const AttemptId& id);

struct SpawnRequest {
  std::uint64_t serial = 0; // the keeper's name for the task
  AttemptId id;
  std::shared_ptr<const Program> program;
  std::optional<std::string> item;
  std::map<std::string, std::string> env; // its own, before the job's
};

struct Spawned {
  std::uint64_t serial = 0;
  std::string error;         // not empty: nothing runs, and why
  bool node_trouble = false; // it is this node's fault, not the task's
  pid_t pid = 0;
  Fd pidfd, out, err;
  std::uint64_t ticks_low = 0, ticks_high = 0; // bounds of the process's start time
  TimePoint started;
  std::chrono::steady_clock::time_point started_steady;
  WorkDir work_dir; // when it is a fresh one
  Cgroup cgroup;
};

/// What all starts share.
struct SpawnContext {
  WorkDirs* work_dirs = nullptr;
  Cgroups* cgroups = nullptr;
  rlimit files{}; // RLIMIT_NOFILE for tasks; the keeper has raised its own
};

/// The stack a child uses until exec. One for each thread that spawns.
class SpawnStack {
public:
  SpawnStack();
  ~SpawnStack();
  SpawnStack(const SpawnStack&) = delete;
  SpawnStack& operator=(const SpawnStack&) = delete;
  [[nodiscard]] void* top() const;

private:
  void* base_ = nullptr;
};

/// Starts the process. The calling thread is its parent and must live as long as it.
Spawned spawn(const SpawnRequest& request, const SpawnContext& context, const SpawnStack& stack);

} // namespace reeve::worker
