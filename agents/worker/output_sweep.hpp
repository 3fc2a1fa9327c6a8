// Which captured output has been kept for long enough. Used by the agent, which asks the keeper to
// remove it; what must go for lack of room, the keeper decides by itself (output_store.hpp). Must
// never remove anything.
#pragma once

#include "agents/worker/keeper_protocol.hpp"

#include <string>
#include <vector>

namespace reeve::worker {

struct OldOutputs {
  static constexpr std::size_t most = 10'000; // a sweep
  std::vector<AttemptId> attempts;            // oldest first
  std::uint64_t bytes = 0;                    // of these
  bool more = false;                          // than `most` of them
  std::size_t kept = 0;                       // younger ones
};

/// Attempts whose output was last written before `before`. Of those that run the keeper removes
/// nothing, whatever it is asked.
OldOutputs old_outputs(const std::string& dir, TimePoint before);

/// One line for people. `keep`: how long output is kept. `done`: else it is only what would go.
std::string report_of(const OldOutputs& old, Duration keep, bool done);

} // namespace reeve::worker
