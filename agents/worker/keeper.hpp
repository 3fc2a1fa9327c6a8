// The keeper: a small process without network that owns every task's processes. It starts them,
// captures what they write, limits them, sees to their end, and keeps each exit until the agent
// says that the master has it. The agent may die and come back. Called by main.cpp (`reeve-agent
// keeper --state DIR`). Must never open a network socket or exit while it has tasks, unless told
// to.
#pragma once

#include <cstdint>
#include <string>

namespace reeve::worker {

struct KeeperOptions {
  std::string dir;     // state directory; made with mode 0700 when missing. One keeper a directory.
  bool detach = true;  // fork, return 0 in the caller once the keeper listens, 1 when it could not
  bool cgroups = true; // use them where they are writable
  std::uint64_t output_bytes =
    1ull << 30; // budget of captured output of ended attempts; beyond it the oldest go
  std::uint64_t output_attempts = 100'000; // and so many attempts with output at most
  std::uint64_t processes = 10'000; // and threads, that may run as its user: a fork bomb ends there
  unsigned spawners = 0;            // threads that start processes; 0: by the number of processors
};

/// Runs until SIGTERM, SIGINT or StopAll, then stops all tasks with grace. Returns the process's
/// exit code; what went wrong before it listened is on stderr, later in DIR/keeper.log.
int keeper_main(const KeeperOptions& options);

} // namespace reeve::worker
