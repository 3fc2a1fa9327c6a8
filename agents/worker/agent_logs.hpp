// What tasks on this machine print, for people who are on it: the files that the keeper writes, and
// the agent's word on what still runs. Used by `reeve-agent logs`. Asks no master and changes
// nothing.
#pragma once

#include "messages/error.hpp"

#include <string>
#include <vector>

namespace reeve::worker {

/// Prints both streams of `tasks` ("5/3"), lines of several with the task in front. `follow`: until
/// all have ended. Errors: bad_field (`TASK`), not_found, io, unavailable (no agent runs there).
Result<void> print_outputs(const std::string& dir, const std::vector<std::string>& tasks,
                           bool follow);

} // namespace reeve::worker
