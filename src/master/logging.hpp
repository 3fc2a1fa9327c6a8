// Where reeved's log goes and how its lines look. Used by main only; everybody else calls spdlog.
#pragma once

#include "messages/error.hpp"

#include <string>

namespace reeve::master {

struct LogOptions {
  std::string level = "info", file,
              format = "text"; // file empty: stderr. format: text or json, one object a line
};
/// Errors: io, naming --log-file.
Result<void> open_log(const LogOptions& options);
/// After the file was moved away: opens it anew under the same name. Without a file: nothing.
void reopen_log();

} // namespace reeve::master
