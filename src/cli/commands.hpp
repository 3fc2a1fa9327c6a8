// Every command of `reeve`, one function a noun: it adds verbs and options to the tree and says
// what is done. Called by app.cpp alone.
#pragma once

#include "src/cli/command.hpp"

namespace reeve::cli {

void add_submit(Command root, Session& session);
void add_job_commands(Command root, Session& session);
void add_task_commands(Command root, Session& session);
void add_logs(Command root, Session& session);
void add_debug(Command root, Session& session);
void add_node_commands(Command root, Session& session);
void add_lease_commands(Command root, Session& session);
void add_queue_commands(Command root, Session& session);
void add_history(Command root, Session& session);
void add_stats(Command root, Session& session);
void add_master_commands(Command root, Session& session);
void add_events(Command root, Session& session);
void add_top(Command root, Session& session);
void add_journal_commands(Command root, Session& session);
void add_sim(Command root, Session& session);
void add_completion(Command root, Session& session, const CommandTree& tree);

constexpr const char* about_job =
  "5, 1-10:2, 1,3, last, all, name:NAME (may end in *) or label:KEY=VALUE";
constexpr const char* about_task = "5/3, 5/0-9, 5/1,3; the job as in job commands: last/0";

} // namespace reeve::cli
