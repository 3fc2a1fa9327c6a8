// The layout of history.db: tables of ours, and views that programs of others may rely on
// (docs/history.md). Used by History when it opens the file.
#pragma once

#include "messages/ids.hpp"
#include "src/sqlite/database.hpp"

namespace reeve::history {

constexpr std::int64_t application_id = 0x72656568; // "reeh"
constexpr std::int64_t layout_version = 5;          // PRAGMA user_version

/// Runs are cut at multiples of this many tasks: so the run that holds a task is found by looking
/// at one block of the index, and a view can expand a run with a table of as many numbers.
constexpr std::uint32_t block_tasks = 8'192;

inline std::int64_t us(TimePoint time) {
  return time.time_since_epoch().count();
}

/// Makes the tables in an empty file. Errors: refused (another program's database),
/// unknown_version, and SQLite's.
Result<void> prepare_layout(sqlite::Database& db);

} // namespace reeve::history
