// Orphans of tasks. See keeper_strays.hpp.
#include "agents/worker/keeper_strays.hpp"

#include <algorithm>
#include <csignal>
#include <set>
#include <sys/wait.h>

namespace reeve::worker {

Strays::Strays(Incarnation keeper, TaskLookup lookup, std::function<void(int, pid_t)> watch)
    : keeper_(keeper), born_ticks_(boot_ticks()), lookup_(std::move(lookup)),
      watch_(std::move(watch)) {}

bool Strays::any() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WNOTHREAD | __WALL) == 0;
}

void Strays::reap() {
  for (;;) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WNOTHREAD | __WALL) != 0 ||
        info.si_pid == 0)
      return;
    strays_.erase(info.si_pid);
  }
}

Serial Strays::owner_of(const ProcStat& stat) const {
  if (const auto marker = read_marker(stat.pid); marker && marker->keeper == keeper_)
    if (const Serial owner = lookup_.by_id(marker->id))
      return owner;
  for (const pid_t leader :
       {stat.session, stat.group}) // the leader is not reaped yet, so the number is its own
    if (const Serial owner = lookup_.by_leader(leader))
      return owner;
  if (const auto known = memory_.find(stat.pid);
      known != memory_.end() && known->second.start_ticks == stat.start_ticks)
    return known->second.owner;
  return lookup_.by_cgroup(read_small_file("/proc/" + std::to_string(stat.pid) + "/cgroup"));
}

void Strays::refresh() {
  for (bool again = true; again;) {
    again = false;
    reap();
    for (const pid_t pid : children_of(::getpid(), ::getpid())) {
      if (strays_.contains(pid))
        continue;
      const auto stat = read_stat(pid); // our child: the number is its own until we reap it
      if (!stat)
        continue;
      if (stat->state ==
          'Z') { // died just now, and its children with it became ours: look once more
        again = true;
        continue;
      }
      if (stat->start_ticks < born_ticks_)
        continue; // older than the keeper: a child from before an exec, no task's
      Stray stray{open_pidfd(pid), owner_of(*stat), stat->start_ticks};
      watch_(stray.pidfd.get(), pid);
      strays_.emplace(pid, std::move(stray));
    }
  }
  settle_unknown();
}

void Strays::settle_unknown() {
  // One that hid its origin (own session, empty environment, no cgroup) belongs to a task that ran
  // when it started. With one such task left it is that task's; with none left it has outlived its
  // task and is ended.
  for (auto& [pid, stray] : strays_) {
    if (stray.owner != 0)
      continue;
    const std::vector<Serial> may_be = lookup_.running_since(stray.start_ticks);
    if (may_be.size() == 1)
      stray.owner = may_be[0];
    else if (may_be.empty())
      signal_tree(pid, true, SIGKILL);
  }
}

void Strays::remember(Serial owner, pid_t root) {
  for (const pid_t pid : descendants_of(root))
    if (const auto stat = read_stat(pid))
      memory_[pid] = Memory{owner, stat->start_ticks};
}

std::vector<pid_t> Strays::of(Serial owner) const {
  std::vector<pid_t> pids;
  for (const auto& [pid, stray] : strays_)
    if (stray.owner == owner)
      pids.push_back(pid);
  return pids;
}

bool Strays::has(Serial owner) const {
  return std::any_of(strays_.begin(), strays_.end(),
                     [&](const auto& each) { return each.second.owner == owner; });
}

void Strays::forget(Serial owner) {
  std::erase_if(memory_, [&](const auto& each) { return each.second.owner == owner; });
}

void signal_tree(pid_t root, bool with_root, int signal) {
  std::vector<pid_t> tree{root};
  std::set<pid_t> parents{root, ::getpid()};
  for (std::size_t k = 0; k < tree.size(); ++k)
    for (const pid_t child : children_of(tree[k])) {
      tree.push_back(child);
      parents.insert(child);
    }
  for (const pid_t pid : tree) {
    if (pid == root) {
      if (with_root)
        ::kill(root, signal); // an unreaped child of ours
      continue;
    }
    // Its parent may have reaped it since: what has the number now must still belong to the tree.
    const Fd pidfd = open_pidfd(pid);
    if (const auto stat = read_stat(pid); stat && parents.contains(stat->parent))
      signal_pidfd(pidfd, signal);
  }
}

} // namespace reeve::worker
