// What this machine has and what of it is in use: vcores, memory, disk, host name. Read from the
// system on demand; called by main and the loop. Never keeps a file open.
#pragma once

#include "messages/types.hpp"

#include <string>
#include <string_view>

namespace reeve::worker {

/// What tasks may use here: processors of this process's affinity, memory up to the cgroup's limit,
/// the free part of the file system of `dir`.
Resources detect_capacity(const std::string& dir);
std::string detect_host_name();
/// /var/lib/reeve-agent for root, else under $XDG_STATE_HOME or ~/.local/state.
std::string default_state_dir();

struct MachineMemory {
  std::int64_t total = 0, available = 0; // bytes; 0: not told
};
/// `meminfo`: as in /proc/meminfo.
MachineMemory parse_memory(std::string_view meminfo);

/// Of all processors together since boot, in ticks.
struct ProcessorTime {
  std::uint64_t busy = 0, total = 0;
};
/// `stat`: as in /proc/stat.
ProcessorTime parse_processor_time(std::string_view stat);
/// 0 to 1; 0 when it cannot be told.
double busy_part(ProcessorTime before, ProcessorTime now);

/// Use of the whole machine. Processor use is what happened since the last call.
class MachineUse {
public:
  explicit MachineUse(std::string dir) : dir_(std::move(dir)) {}
  Resources measure();

private:
  std::string dir_;
  ProcessorTime time_; // at the last call
};

} // namespace reeve::worker
