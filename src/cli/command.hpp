// The tree of commands: nouns, verbs, their options and where the values go. The only way in which
// the command line talks to CLI11, which is expensive to compile and stays in command.cpp.
#pragma once

#include "src/cli/session.hpp"

namespace CLI {
class App;
}

namespace reeve::cli {

/// One noun or verb, while it is declared. What options are read into must live as long as the
/// action, which best holds it.
class Command {
public:
  /// A noun that only holds verbs.
  Command noun(const std::string& name, const std::string& about);
  /// Something to be done, with the options that all have, and examples below its help. `action`
  /// runs after everything has been parsed.
  Command verb(const std::string& name, const std::string& about, const std::string& example,
               std::function<Exit()> action);

  /// An option with a value; given twice, the later one counts. `type` names the value in the help.
  Command& text(const std::string& flags, std::string& into, const std::string& about,
                const std::string& type);
  /// The same, and the command does not go without it.
  Command& needed_text(const std::string& flags, std::string& into, const std::string& about,
                       const std::string& type);
  /// An option that may be repeated.
  Command& list(const std::string& flags, std::vector<std::string>& into, const std::string& about,
                const std::string& type);
  Command& number(const std::string& flags, std::optional<std::int32_t>& into,
                  const std::string& about);
  Command& number(const std::string& flags, std::optional<std::uint32_t>& into,
                  const std::string& about);
  /// Its value at this time is shown as the default.
  Command& number(const std::string& flags, std::size_t& into, const std::string& about);
  Command& flag(const std::string& flags, bool& into, const std::string& about);
  /// Only one of the two may be given.
  Command& either(const std::string& flag, const std::string& other);

  enum class Need : std::uint8_t { needed, optional };
  /// Words without a dash in front.
  Command& words(const std::string& name, std::vector<std::string>& into, const std::string& about,
                 Need need);
  Command& word(const std::string& name, std::string& into, const std::string& about, Need need);

private:
  friend class CommandTree;
  Command(CLI::App& app, Session& session) : app_(&app), session_(&session) {}
  CLI::App* app_;
  Session* session_;
};

/// What may follow one path of commands.
struct Place {
  std::string path; // "reeve job list"
  struct Word {
    std::string name, about; // of an option: with its dashes
    bool value = false;      // an option that takes one
  };
  std::vector<Word> commands, options;
  [[nodiscard]] bool takes_value(const std::string& option) const;
};

class CommandTree {
public:
  /// `session` must outlive it.
  CommandTree(Session& session, const std::string& name, const std::string& about,
              const std::string& footer);
  ~CommandTree();
  CommandTree(const CommandTree&) = delete;
  CommandTree& operator=(const CommandTree&) = delete;

  [[nodiscard]] Command root();
  /// Every place, each before those below it.
  [[nodiscard]] std::vector<Place> places() const;
  [[nodiscard]] std::string help() const;
  /// Sets the session's options and action. A code when there is nothing to do: help was printed,
  /// or what is wrong.
  std::optional<Exit> parse(std::vector<std::string> args);

private:
  Session& session_;
  std::unique_ptr<CLI::App> app_;
};

} // namespace reeve::cli
