// CLI11 behind command.hpp. Its exceptions end here.
#include "src/cli/command.hpp"

#include "src/util/text.hpp"
#include "src/version.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ostream>

namespace reeve::cli {
namespace {

const std::map<std::string, Format> formats{{"table", Format::table},
                                            {"wide", Format::wide},
                                            {"json", Format::json},
                                            {"jsonl", Format::jsonl},
                                            {"quiet", Format::quiet}};

/// -m, -o and --timeout, which every command has.
void add_common_options(CLI::App& app, Session& session) {
  app
    .add_option("-m,--master", session.master,
                "The master: host, host:port or tcp://host:port, several with commas "
                "(else $REEVE_MASTER, else tcp://127.0.0.1:7117)")
    ->type_name("ENDPOINT")
    ->take_last();
  app
    .add_option_function<std::string>(
      "-o,--output",
      [&session](const std::string& text) {
        const auto at = formats.find(text);
        if (at == formats.end())
          throw CLI::ValidationError(
            "--output", "must be table, wide, json, jsonl or quiet, got '" + printable(text) + "'");
        session.format = at->second;
      },
      "How to show results: table, wide, json, jsonl or quiet")
    ->type_name("FORMAT")
    ->take_last();
  app
    .add_option_function<std::string>(
      "--timeout",
      [&session](const std::string& text) {
        const auto parsed = parse_duration(text, "--timeout");
        if (!parsed)
          throw CLI::ValidationError("--timeout", parsed.error().text);
        session.timeout = *parsed;
      },
      "Give up after so long, such as 30s; waiting for jobs has no limit unless given")
    ->type_name("DURATION")
    ->take_last();
}

/// How many letters differ: put in, left out, or another (Wagner and Fischer, The String-to-String
/// Correction Problem, JACM 1974).
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t corner = row[0]++;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = corner + (a[i - 1] == b[j - 1] ? 0 : 1);
      corner = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
    }
  }
  return row[b.size()];
}

/// "; did you mean submit?", or nothing when none of `names` is like `word`.
std::string meant(const std::vector<std::string>& names, const std::string& word) {
  std::string nearest;
  std::size_t least = 3;
  for (const std::string& name : names)
    if (const std::size_t d = distance(word, name); d < least) {
      least = d;
      nearest = name;
    }
  return nearest.empty() ? "" : "; did you mean " + nearest + "?";
}

/// What was not understood at `app`, when it is a word that `app` does not know.
std::optional<std::string> not_known(const CLI::App& app) {
  const auto rest = app.remaining();
  if (rest.empty())
    return std::nullopt;
  const std::string word = rest.front().substr(0, rest.front().find('='));
  std::vector<std::string> names;
  if (word.starts_with("--")) {
    for (const CLI::Option* option : app.get_options())
      for (const std::string& name : option->get_lnames())
        names.push_back("--" + name);
    return "no option '" + word + "'" + meant(names, word);
  }
  for (const CLI::App* command : app.get_subcommands(nullptr))
    names.push_back(command->get_name());
  if (names.empty() || word.starts_with('-'))
    return std::nullopt;
  return "no command '" + word + "'" + meant(names, word);
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

void gather(const CLI::App& app, const std::string& path, std::vector<Place>& out) {
  Place place;
  place.path = path;
  for (const CLI::Option* option : app.get_options()) {
    const bool value = option->get_items_expected_max() > 0;
    for (const std::string& name : option->get_snames())
      place.options.push_back({"-" + name, first_line(option->get_description()), value});
    for (const std::string& name : option->get_lnames())
      place.options.push_back({"--" + name, first_line(option->get_description()), value});
  }
  const auto all = [](const CLI::App*) { return true; };
  for (const CLI::App* command : app.get_subcommands(all))
    place.commands.push_back({command->get_name(), first_line(command->get_description()), false});
  out.push_back(std::move(place));
  for (const CLI::App* command : app.get_subcommands(all))
    gather(*command, path + " " + command->get_name(), out);
}

CLI::Option& required_if(CLI::Option* option, Command::Need need) {
  option->type_name("");
  if (need == Command::Need::needed)
    option->required();
  return *option;
}

} // namespace

Command Command::noun(const std::string& name, const std::string& about) {
  CLI::App& app = *app_->add_subcommand(name, about);
  app.require_subcommand(1);
  return {app, *session_};
}

Command Command::verb(const std::string& name, const std::string& about, const std::string& example,
                      std::function<Exit()> action) {
  CLI::App& app = *app_->add_subcommand(name, about);
  app.footer("Example:\n  " + example);
  add_common_options(app, *session_);
  app.final_callback(
    [session = session_, action = std::move(action)] { session->action = action; });
  return {app, *session_};
}

Command& Command::text(const std::string& flags, std::string& into, const std::string& about,
                       const std::string& type) {
  app_->add_option(flags, into, about)->type_name(type)->take_last();
  return *this;
}

Command& Command::needed_text(const std::string& flags, std::string& into, const std::string& about,
                              const std::string& type) {
  app_->add_option(flags, into, about)->type_name(type)->take_last()->required();
  return *this;
}

Command& Command::list(const std::string& flags, std::vector<std::string>& into,
                       const std::string& about, const std::string& type) {
  app_->add_option(flags, into, about)
    ->type_name(type)
    ->expected(1)
    ->take_all()
    ->allow_extra_args(false);
  return *this;
}

Command& Command::number(const std::string& flags, std::optional<std::int32_t>& into,
                         const std::string& about) {
  app_->add_option(flags, into, about)->type_name("N")->take_last();
  return *this;
}

Command& Command::number(const std::string& flags, std::optional<std::uint32_t>& into,
                         const std::string& about) {
  app_->add_option(flags, into, about)->type_name("N")->take_last();
  return *this;
}

Command& Command::number(const std::string& flags, std::size_t& into, const std::string& about) {
  app_->add_option(flags, into, about)->type_name("N")->take_last()->capture_default_str();
  return *this;
}

Command& Command::flag(const std::string& flags, bool& into, const std::string& about) {
  app_->add_flag(flags, into, about);
  return *this;
}

Command& Command::either(const std::string& flag, const std::string& other) {
  app_->get_option(flag)->excludes(app_->get_option(other));
  return *this;
}

Command& Command::words(const std::string& name, std::vector<std::string>& into,
                        const std::string& about, Need need) {
  required_if(app_->add_option(name, into, about), need);
  return *this;
}

Command& Command::word(const std::string& name, std::string& into, const std::string& about,
                       Need need) {
  required_if(app_->add_option(name, into, about), need);
  return *this;
}

bool Place::takes_value(const std::string& option) const {
  for (const Word& word : options)
    if (word.value && word.name == option)
      return true;
  return false;
}

CommandTree::CommandTree(Session& session, const std::string& name, const std::string& about,
                         const std::string& footer)
    : session_(session), app_(std::make_unique<CLI::App>(about, name)) {
  app_->require_subcommand(1);
  add_common_options(*app_, session);
  app_->set_version_flag("--version", name + " " + std::string(version));
  app_->footer(footer);
  app_->get_formatter()->column_width(34);
}
CommandTree::~CommandTree() = default;

Command CommandTree::root() {
  return {*app_, session_};
}

std::vector<Place> CommandTree::places() const {
  std::vector<Place> out;
  gather(*app_, app_->get_name(), out);
  return out;
}

std::string CommandTree::help() const {
  return app_->help();
}

std::optional<Exit> CommandTree::parse(std::vector<std::string> args) {
  Terminal& terminal = session_.terminal;
  std::reverse(args.begin(), args.end()); // as CLI11 wants them
  try {
    app_->parse(args);
    return std::nullopt;
  } catch (const CLI::ParseError& stop) {
    if (stop.get_exit_code() == 0) { // help and version
      app_->exit(stop, terminal.out, terminal.err);
      return Exit::good;
    }
    const CLI::App* at = app_.get(); // the innermost command named
    std::string path = at->get_name();
    std::optional<std::string> text = not_known(*at);
    while (!at->get_subcommands().empty()) {
      at = at->get_subcommands().front();
      path += " " + at->get_name();
      if (!text)
        text = not_known(*at);
    }
    terminal.err << "reeve: " << printable(text.value_or(stop.what())) << "\nRun `" << path
                 << " --help` for what it takes.\n";
    return Exit::usage;
  }
}

} // namespace reeve::cli
