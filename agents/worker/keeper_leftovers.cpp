// Ends what a dead keeper's tasks left. See keeper_leftovers.hpp.
//
// KILL at once, no grace: their attempts are lost, the master gives them out again, and this node's
// resources must be free before it offers them.
#include "agents/worker/keeper_leftovers.hpp"

#include "agents/worker/cgroup.hpp"

#include <algorithm>
#include <csignal>
#include <poll.h>
#include <set>

namespace reeve::worker {
namespace {

using Clock = std::chrono::steady_clock;

/// Processes of the old keeper's tasks that are alive now.
std::vector<ProcStat> find_victims(const LogState& old) {
  std::map<pid_t, const LogState::Entry*> leaders;
  for (const auto& [id, entry] : old.attempts)
    if (!entry.exit && entry.pid > 0)
      leaders[static_cast<pid_t>(entry.pid)] = &entry;
  const std::vector<ProcStat> all = all_processes();
  std::set<pid_t> victims;
  for (const ProcStat& process : all) {
    const auto leader = leaders.find(process.pid);
    const bool known = leader != leaders.end() &&
                       process.start_ticks >= leader->second->ticks_low &&
                       process.start_ticks <= leader->second->ticks_high;
    if (known) {
      victims.insert(process.pid);
    } else if (const auto marker = read_marker(process.pid);
               marker && marker->keeper == old.opened.keeper) {
      victims.insert(process.pid);
    }
  }
  // Sessions and groups led by a victim, and the children of victims, until nothing is added.
  for (std::size_t before = 0; before != victims.size();) {
    before = victims.size();
    for (const ProcStat& process : all)
      if (victims.contains(process.parent) || victims.contains(process.session) ||
          victims.contains(process.group))
        victims.insert(process.pid);
  }
  victims.erase(::getpid());
  std::vector<ProcStat> living;
  for (const ProcStat& process : all)
    if (victims.contains(process.pid) && process.state != 'Z' && process.state != 'X')
      living.push_back(process);
  return living;
}

} // namespace

Leftovers kill_leftovers(const LogState& old, std::chrono::milliseconds patience) {
  Leftovers result;
  if (!old.opened.keeper || old.opened.boot_id != boot_id())
    return result; // another boot: the same numbers mean other processes
  result.killed += Cgroups::clear(old.opened.keeper);
  const auto deadline = Clock::now() + patience;
  std::set<std::pair<pid_t, std::uint64_t>> seen;
  for (;;) {
    const std::vector<ProcStat> victims = find_victims(old);
    result.left = static_cast<unsigned>(victims.size());
    if (victims.empty() || Clock::now() >= deadline)
      break;
    std::vector<Fd> pidfds;
    for (const ProcStat& victim : victims) {
      Fd pidfd = open_pidfd(victim.pid);
      const auto again =
        read_stat(victim.pid); // still the one that was judged, now that its number is held
      if (!again || again->start_ticks != victim.start_ticks || !signal_pidfd(pidfd, SIGKILL))
        continue;
      result.killed += seen.emplace(victim.pid, victim.start_ticks).second ? 1 : 0;
      pidfds.push_back(std::move(pidfd));
    }
    for (const Fd& pidfd : pidfds) {
      const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
      pollfd p{pidfd.get(), POLLIN, 0};
      ::poll(&p, 1, static_cast<int>(std::max<long long>(left, 0)));
    }
  }
  return result;
}

} // namespace reeve::worker
