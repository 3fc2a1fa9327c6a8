// Waiting for jobs in front of a person: a progress bar or plain lines, Ctrl-C, the summary and the
// exit code. Used by `submit --wait`, `submit --follow` and `job wait`.
#pragma once

#include "src/cli/session.hpp"

namespace reeve::cli {

/// Waits until all have ended, says how, and returns good or task_failed (or what an error calls
/// for).
Exit wait_for_jobs(Session& session, Client& client, const std::vector<JobId>& jobs);
/// Prints what the tasks print, then the same.
Exit follow_and_wait(Session& session, Client& client, const std::vector<JobId>& jobs);
/// "5", "5, 6", "5-104 (100 jobs)".
std::string jobs_text(const std::vector<JobId>& jobs);

} // namespace reeve::cli
