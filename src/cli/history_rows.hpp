// The rows of the history database, as people and programs read them. Pure. Used by `reeve
// history`.
#pragma once

#include "src/cli/session.hpp"

namespace reeve::cli {

/// Columns that are empty in every row are left out unless `wide`.
Table history_table(const HistoryRows& rows, bool wide);
/// {"rows": [{column: value, …}, …], "next": …}: numbers as numbers, nothing as null.
Json history_json(const HistoryRows& rows);

} // namespace reeve::cli
