// What this machine has and what of it is in use: vcores, memory, disk, host name. Read from the
// system on demand; called by main and the loop. Never keeps a file open.
#pragma once

#include "messages/types.hpp"

#include <string>

namespace reeve::worker {

/// What tasks may use here: processors of this process's affinity, memory up to the cgroup's limit,
/// the free part of the file system of `dir`.
Resources detect_capacity(const std::string& dir);
std::string detect_host_name();
/// /var/lib/reeve-agent for root, else under $XDG_STATE_HOME or ~/.local/state.
std::string default_state_dir();

/// Use of the whole machine. Processor use is what happened since the last call.
class MachineUse {
public:
  explicit MachineUse(std::string dir) : dir_(std::move(dir)) {}
  Resources measure();

private:
  std::string dir_;
  std::uint64_t busy_ = 0, total_ = 0; // of /proc/stat
};

} // namespace reeve::worker
