// What tasks on this machine print, for people who are on it: the files that the keeper writes, and
// the agent's word on what still runs. Used by `reeve-agent logs`. Asks no master and changes
// nothing.
#pragma once

#include "agents/worker/agent_types.hpp"

#include <string>
#include <vector>

namespace reeve::worker {

/// "5/3", or "5" for its first task, with `between` for the slash; the attempt is 0.
/// Error: bad_field (`TASK`).
Result<AttemptId> parse_output_task(std::string_view text, char between);

/// What an agent says of a task, "2 1": its newest attempt there (0: none), and whether it runs.
struct NewestAttempt {
  Attempt attempt = 0;
  bool runs = false;
};
std::string text_of(NewestAttempt newest);
/// Error: bad_message.
Result<NewestAttempt> parse_newest_attempt(std::string_view answer);

/// Prints both streams of `tasks` ("5/3"), lines of several with the task in front. `follow`: until
/// all have ended. Errors: bad_field (`TASK`), not_found, io, unavailable (no agent runs there).
Result<void> print_outputs(const std::string& dir, const std::vector<std::string>& tasks,
                           bool follow);

} // namespace reeve::worker
