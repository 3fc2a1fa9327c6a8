// A master's journal as a file, for commands that work without a master. See journal.cpp.
#pragma once

#include "messages/entries.hpp"
#include "src/util/json.hpp"

#include <string>
#include <vector>

namespace reeve::cli {

/// Every entry that is still there, in order. `path`: journal.db or the folder it lies in; a master
/// may be running. Errors: not_found, corrupt, io.
Result<std::vector<Entry>> read_journal_entries(const std::string& path);

/// What a file holds without what is in it: first and last seq, snapshot, size, and of the newest
/// `most` entries seq, time, kind and bytes. Errors as above.
Result<Json> read_journal_headers(const std::string& path, std::size_t most);

} // namespace reeve::cli
