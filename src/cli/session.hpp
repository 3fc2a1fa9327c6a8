// One run of `reeve`: the options that every command has, the connection, and how results and
// errors are shown. Made by app.cpp, used by every command. Commands set `action`; it runs after
// everything has been parsed.
#pragma once

#include "src/cli/exit_code.hpp"
#include "src/cli/terminal.hpp"
#include "src/client/client.hpp"
#include "src/util/json.hpp"
#include "src/util/table.hpp"

#include <functional>
#include <memory>
#include <optional>

namespace reeve::cli {

struct SubmitCommand;

enum class Format : std::uint8_t { table, wide, json, jsonl, quiet };

class Session {
public:
  explicit Session(Terminal& t) : terminal(t) {}
  Terminal& terminal;

  // ---- set by the options that every command has
  std::string master;
  Format format = Format::table;
  Duration timeout{0}; // 0: the client's own for calls, none for waiting

  std::function<Exit()> action;
  const SubmitCommand* submit_command = nullptr; // what stands behind submit's options

  [[nodiscard]] std::string endpoints() const;

  /// Connects at the first call.
  Result<Client*> client();
  [[nodiscard]] bool colours() const;
  [[nodiscard]] bool human() const { return format == Format::table || format == Format::wide; }

  /// Says what went wrong, on stderr, and returns the exit code for it.
  Exit fail(const Error& error);
  /// The same for what the user typed: exit code 2.
  Exit usage(const Error& error);
  /// A line for a person on stderr, in no format meant for programs.
  void note(const std::string& text);

  /// A list: `whole` as JSON, its member `list` line by line, `table`, or `quiet` one a line.
  void show_list(const Json& whole, const std::string& list, const Table& table,
                 const std::vector<std::string>& quiet);
  /// One thing: as JSON, or its properties with their names in front.
  using Properties = std::vector<std::pair<std::string, std::string>>;
  struct Thing {
    Json json;
    Properties properties;
    std::string quiet;
  };
  /// Several, under the same name as in their list, so that programs read `show` as they read it.
  void show_things(const std::string& list, const std::vector<Thing>& things);
  void show_object(const Json& whole, const Properties& properties, const std::string& quiet);
  /// What an action did: `text` for people, nothing when quiet.
  void show_done(const Json& whole, const std::string& text);

private:
  Exit tell(const Error& error, Exit exit);
  void show_properties(const Properties& properties);
  std::optional<Client> client_;
};

/// `json` behind "v":1, the version of this output.
Json versioned(const Json& json);

} // namespace reeve::cli
