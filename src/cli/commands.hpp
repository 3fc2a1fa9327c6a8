// Every command of `reeve`, one function a noun: it adds options to the tree and says what is done.
// Called by app.cpp alone.
#pragma once

#include "src/cli/session.hpp"

#include <CLI/CLI.hpp>

namespace reeve::cli {

void add_submit(CLI::App& root, Session& session);
void add_job_commands(CLI::App& root, Session& session);
void add_task_commands(CLI::App& root, Session& session);
void add_node_commands(CLI::App& root, Session& session);
void add_lease_commands(CLI::App& root, Session& session);
void add_history(CLI::App& root, Session& session);
void add_stats(CLI::App& root, Session& session);
void add_master_commands(CLI::App& root, Session& session);
void add_completion(CLI::App& root, Session& session);

/// A noun that only holds verbs.
CLI::App& add_noun(CLI::App& root, const std::string& name, const std::string& about);
/// A command with the common options, an example below its help, and what it does after parsing.
CLI::App& add_command(CLI::App& parent, Session& session, const std::string& name,
                      const std::string& about, const std::string& example,
                      std::function<Exit()> action);
/// A list of selectors, at least one unless `optional`.
CLI::Option* add_selectors(CLI::App& command, std::vector<std::string>& into, bool optional);

} // namespace reeve::cli
