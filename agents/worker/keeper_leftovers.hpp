// Ends what the tasks of a dead keeper left running. Called once, before a new keeper listens.
// Must never kill a process that only has the number of an old one: each is known by start time and
// boot, or by its marker.
#pragma once

#include "agents/worker/keeper_log.hpp"
#include "agents/worker/keeper_proc.hpp"

#include <chrono>

namespace reeve::worker {

struct Leftovers {
  unsigned killed = 0;
  unsigned left = 0; // would not die in time (uninterruptible I/O)
};
Leftovers kill_leftovers(const LogState& old, std::chrono::milliseconds patience);

} // namespace reeve::worker
