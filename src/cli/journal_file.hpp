// A master's journal as a file, for commands that work without a master. See journal.cpp.
#pragma once

#include "messages/entries.hpp"

#include <string>
#include <vector>

namespace reeve::cli {

/// Every entry that is still there, in order. `path`: journal.db or the folder it lies in; a master
/// may be running. Errors: not_found, corrupt, io.
Result<std::vector<Entry>> read_journal_entries(const std::string& path);

} // namespace reeve::cli
