// The tree of commands, and what happens around each. See app.hpp.
#include "src/cli/app.hpp"

#include "src/cli/commands.hpp"
#include "src/cli/submit.hpp"
#include "src/version.hpp"

#include <algorithm>
#include <ostream>

namespace reeve::cli {
namespace {

/// What parsing ended with, when it ended without a command to run. CLI11's exceptions end here.
int explain_parse(CLI::App& app, const CLI::ParseError& stop, Terminal& terminal) {
  if (stop.get_exit_code() == 0) { // help and version
    app.exit(stop, terminal.out, terminal.err);
    return number_of(Exit::good);
  }
  std::string text = stop.what();
  terminal.err << "reeve: " << text << "\n";
  const CLI::App* at = &app; // the innermost command named
  std::string path = "reeve";
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    path += " " + at->get_name();
  }
  terminal.err << "Run `" << path << " --help` for what it takes.\n";
  return number_of(Exit::usage);
}

} // namespace

CLI::App& add_noun(CLI::App& root, const std::string& name, const std::string& about) {
  CLI::App& noun = *root.add_subcommand(name, about);
  noun.require_subcommand(1);
  return noun;
}

CLI::App& add_command(CLI::App& parent, Session& session, const std::string& name,
                      const std::string& about, const std::string& example,
                      std::function<Exit()> action) {
  CLI::App& command = *parent.add_subcommand(name, about);
  command.footer("Example:\n  " + example);
  session.add_common_options(command);
  command.final_callback([&session, action = std::move(action)] { session.action = action; });
  return command;
}

CLI::Option* add_selectors(CLI::App& command, std::vector<std::string>& into, bool optional) {
  CLI::Option* option = command.add_option(
    "JOB", into, "5, 1-10:2, 1,3, last, all, name:NAME (may end in *) or label:KEY=VALUE");
  option->type_name("");
  if (!optional)
    option->required();
  return option;
}

std::unique_ptr<CLI::App> make_app(Session& session) {
  auto app = std::make_unique<CLI::App>("Gives work to a reeve cluster and watches it.", "reeve");
  app->require_subcommand(1);
  session.add_common_options(*app);
  app->set_version_flag("--version", "reeve " + std::string(version));
  app->footer("Exit codes: 0 good, 1 a task failed (--wait, job wait), 2 usage, 3 refused, 4 not "
              "found, 5 no master reached,\n"
              "            6 timed out, 7 busy\n"
              "Example:\n  reeve submit --wait -- echo hello");
  app->get_formatter()->column_width(34);
  add_submit(*app, session);
  add_job_commands(*app, session);
  add_task_commands(*app, session);
  add_node_commands(*app, session);
  add_lease_commands(*app, session);
  add_history(*app, session);
  add_stats(*app, session);
  add_master_commands(*app, session);
  add_completion(*app, session);
  return app;
}

int run(std::vector<std::string> args, Terminal& terminal) {
  Session session(terminal);
  auto app = make_app(session);
  if (args.empty()) {
    terminal.err << app->help();
    return number_of(Exit::usage);
  }
  const auto command = take_command(*app, args);
  if (!command)
    return number_of(session.usage(command.error()));
  session.submit_command = &*command;
  try {
    std::reverse(args.begin(), args.end()); // as CLI11 wants them
    app->parse(args);
  } catch (const CLI::ParseError& stop) {
    return explain_parse(*app, stop, terminal);
  }
  if (!session.action)
    return number_of(Exit::usage);
  const Exit exit = session.action();
  terminal.out.flush();
  return number_of(exit);
}

} // namespace reeve::cli
