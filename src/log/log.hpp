// The log of a program: where it goes, how its lines look, how much is said; all of it the same for
// reeved, reeve-agent and reeve-dashboard. Opened by their main; everybody else calls spdlog, or
// `say` for a line that has fields. Must never end a program because a line could not be written.
#pragma once

#include "messages/error.hpp"

#include <spdlog/spdlog.h>
#include <string>
#include <utility>
#include <vector>

namespace reeve::log {

struct Options {
  std::string program;                  // its name, in every JSON line
  std::string level = "info";           // trace, debug, info, warn, error, off
  std::string file;                     // empty: stderr
  std::string format = "text";          // or json: one object a line
  std::uint64_t file_bytes = 10u << 20; // a file that would grow beyond is put aside; 0: never
  std::uint32_t files = 10;             // that are kept, the one being written included
};

/// Errors: bad_field (`--log-level`, `--log-format`, `--log-files`), io (`--log-file`).
Result<void> open(const Options& options);
/// After the file was moved away: opens it anew under the same name. Without a file: nothing.
void reopen();
/// How much is said from now on. Errors: bad_field (`level`). Any thread.
Result<void> set_level(std::string_view level);

using Fields = std::vector<std::pair<std::string_view, std::string>>;
/// Is anything of this level written? Ask before making fields that cost something.
bool wanted(spdlog::level::level_enum level);
/// A line with fields: ` job=5 correlation=…` behind the text, or members of the JSON object. Empty
/// ones are left out.
void say(spdlog::level::level_enum level, std::string_view text, const Fields& fields);

} // namespace reeve::log
