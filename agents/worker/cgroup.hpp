// Memory limits by cgroup, version 1 or 2, where the host lets us write there; the keeper does
// without where not. One group a task that asks for memory. Used by the keeper: `make` from its
// spawner threads, all else from its own thread. Must never fail a task because cgroups are
// missing, nor touch a group that is not the keeper's own.
#pragma once

#include "agents/worker/keeper_fd.hpp"
#include "messages/ids.hpp"

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace reeve::worker {

/// Where groups could be made.
struct CgroupPlace {
  int version = 0; // 1 or 2
  std::string path;
};
/// Where a process is in the hierarchy with the memory controller, and the top of that hierarchy.
/// `mounts`, `groups`: as in /proc/self/mounts and /proc/self/cgroup.
std::vector<CgroupPlace> parse_places(std::string_view mounts, std::string_view groups, bool root);

/// One task's group. Empty: none.
struct Cgroup {
  std::string path;
  Fd procs; // the child writes "0" here before it becomes the program
  explicit operator bool() const { return !path.empty(); }
};

class Cgroups {
public:
  Cgroups() = default; // none
  /// Makes the keeper's own group if it can; `note` says what was found. Prefers where the process
  /// is, then (as root) the top.
  static Cgroups detect(Incarnation keeper, std::string& note);
  Cgroups(Cgroups&& other) noexcept;
  Cgroups& operator=(Cgroups&& other) noexcept;

  [[nodiscard]] bool available() const { return version_ != 0; }
  /// A new group with this limit. Empty when it cannot be made.
  Cgroup make(std::int64_t memory_bytes);
  /// How many processes the kernel has killed there for want of memory.
  [[nodiscard]] std::uint64_t oom_kills(const Cgroup& group) const;
  [[nodiscard]] std::int64_t memory_peak(const Cgroup& group) const; // 0: unknown
  [[nodiscard]] static std::vector<pid_t> processes(const Cgroup& group);
  /// KILL to all in it.
  void kill(const Cgroup& group) const;
  /// False while a process is left.
  static bool remove(const Cgroup& group);
  /// The keeper's own group, when it ends.
  void remove_root();

  /// Kills all in the groups of an earlier keeper, in every place where `detect` might have put
  /// them, and removes them.
  static unsigned clear(Incarnation keeper);

private:
  int version_ = 0;
  std::string root_;
  std::atomic<std::uint64_t> next_{1};
};

} // namespace reeve::worker
