// A file of queues: a TOML table for each, its settings inside. Used by `reeve queue set` and
// `reeve sim`. Pure: the text comes in.
#pragma once

#include "messages/error.hpp"

#include <map>
#include <string>

namespace reeve::cli {

/// As settings: `queue.<name>.<setting>`. Errors: bad_field, `field` naming the setting or the
/// line.
Result<std::map<std::string, std::string>> parse_queue_file(const std::string& text);

} // namespace reeve::cli
