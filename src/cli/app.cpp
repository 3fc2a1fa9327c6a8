// The tree of commands, and what happens around each. See app.hpp.
#include "src/cli/app.hpp"

#include "src/cli/commands.hpp"
#include "src/cli/submit.hpp"

#include <ostream>

namespace reeve::cli {

std::unique_ptr<CommandTree> make_tree(Session& session) {
  auto tree = std::make_unique<CommandTree>(
    session, "reeve", "Gives work to a reeve cluster and watches it.",
    "Exit codes: 0 good, 1 a task failed (--wait, job wait), 2 usage, 3 refused, 4 not found,\n"
    "            5 no master reached, 6 timed out, 7 busy\n"
    "Example:\n  reeve submit --wait -- echo hello");
  const Command root = tree->root();
  add_submit(root, session);
  add_job_commands(root, session);
  add_task_commands(root, session);
  add_logs(root, session);
  add_node_commands(root, session);
  add_lease_commands(root, session);
  add_queue_commands(root, session);
  add_history(root, session);
  add_stats(root, session);
  add_master_commands(root, session);
  add_events(root, session);
  add_top(root, session);
  add_journal_commands(root, session);
  add_sim(root, session);
  add_debug(root, session);
  add_completion(root, session, *tree);
  return tree;
}

int run(std::vector<std::string> args, Terminal& terminal) {
  Session session(terminal);
  const auto tree = make_tree(session);
  if (args.empty()) {
    terminal.err << tree->help();
    return number_of(Exit::usage);
  }
  const auto command = take_command(tree->places(), args);
  if (!command)
    return number_of(session.usage(command.error()));
  session.submit_command = &*command;
  if (const auto ended = tree->parse(std::move(args)))
    return number_of(*ended);
  if (!session.action)
    return number_of(Exit::usage);
  const Exit exit = session.action();
  terminal.out.flush();
  return number_of(exit);
}

} // namespace reeve::cli
