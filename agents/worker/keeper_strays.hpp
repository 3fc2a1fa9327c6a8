// Orphans of tasks. The keeper is a subreaper: when a task's process dies, its children become
// children of the keeper's main thread, and so do double-forked daemons while their task still
// runs. This knows them, whose they are, and reaps them. Used by keeper_tasks. Must never touch the
// tasks' own first processes: those are children of the spawner threads.
#pragma once

#include "agents/worker/keeper_proc.hpp"

#include <functional>
#include <map>
#include <vector>

namespace reeve::worker {

using Serial = std::uint64_t; // the keeper's own number of a task, from 1, never reused

/// How the tasks answer: 0 = no such running task.
struct TaskLookup {
  std::function<Serial(const AttemptId&)> by_id;
  std::function<Serial(pid_t)> by_leader;
  std::function<Serial(const std::string& group)> by_cgroup;             // text of /proc/PID/cgroup
  std::function<std::vector<Serial>(std::uint64_t ticks)> running_since; // started at or before
};

class Strays {
public:
  /// `watch`: called with the pidfd of each newly seen orphan, to be polled; when it is readable,
  /// call `refresh`.
  Strays(Incarnation keeper, TaskLookup lookup, std::function<void(int pidfd, pid_t pid)> watch);
  /// Whether this thread has any child at all: one system call, and nearly always the answer is no.
  static bool any();
  /// Reaps the dead, finds the new, decides whose they are.
  void refresh();
  /// Remembers what hangs below a process now, to know it again should it become an orphan.
  void remember(Serial owner, pid_t root);
  [[nodiscard]] std::vector<pid_t> of(Serial owner) const;
  [[nodiscard]] bool has(Serial owner) const;
  /// The task is over: what was remembered of it is dropped.
  void forget(Serial owner);

private:
  struct Stray {
    Fd pidfd;
    Serial owner = 0;
    std::uint64_t start_ticks = 0;
  };
  struct Memory {
    Serial owner = 0;
    std::uint64_t start_ticks = 0;
  };
  void reap();
  Serial owner_of(const ProcStat& stat) const;
  void settle_unknown();

  Incarnation keeper_;
  std::uint64_t born_ticks_;
  TaskLookup lookup_;
  std::function<void(int, pid_t)> watch_;
  std::map<pid_t, Stray> strays_;
  std::map<pid_t, Memory> memory_;
};

/// Signals `root` if `with_root`, and all that descends from it, each verified to be still where it
/// was found.
void signal_tree(pid_t root, bool with_root, int signal);

} // namespace reeve::worker
