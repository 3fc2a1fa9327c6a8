// What the keeper reads from /proc about processes, and how it tells one run of a process id from
// the next. Used by the keeper, and by the agent to read small files. Must never signal a process
// by a bare number that it has not made sure of.
#pragma once

#include "agents/worker/keeper_fd.hpp"
#include "agents/worker/keeper_protocol.hpp"

#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace reeve::worker {

/// The variable that every process of a task inherits: "<keeper's incarnation, 16
/// hex>.<job>.<index>.<attempt>". It finds processes that left their group and session, and the
/// tasks of a keeper that died.
constexpr std::string_view marker_name = "REEVE_KEEPER";
std::string marker_value(Incarnation keeper, const AttemptId& id);
struct Marker {
  Incarnation keeper;
  AttemptId id;
};
std::optional<Marker> parse_marker(std::string_view value);
/// The marker in the environment that the process was started with.
std::optional<Marker> read_marker(pid_t pid);

struct ProcStat {
  pid_t pid = 0, parent = 0, group = 0, session = 0;
  char state = '?';
  std::uint64_t start_ticks = 0; // since boot
};
/// `text`: as in /proc/PID/stat.
std::optional<ProcStat> parse_stat(std::string_view text, pid_t pid);
std::optional<ProcStat> read_stat(pid_t pid);
std::vector<ProcStat> all_processes();
/// Children of one thread; of all threads of the process when `thread` is 0.
std::vector<pid_t> children_of(pid_t pid, pid_t thread = 0);
/// All that descend from `root` now, without itself.
std::vector<pid_t> descendants_of(pid_t root);

/// Now, in the unit of ProcStat::start_ticks. A process started between two calls has start_ticks
/// between the two results, so its identity can be written down without reading /proc for each
/// start.
std::uint64_t boot_ticks();
std::string boot_id();

std::string read_small_file(const std::string& path, std::size_t bytes_max = 65'536);

Fd open_pidfd(pid_t pid);
bool signal_pidfd(const Fd& pidfd, int signal);

} // namespace reeve::worker
