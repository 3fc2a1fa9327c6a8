// An aggregate function for the history's connection: part_below(value, per cent). Used by History
// when it opens; views of the schema do not use it, so that other programs need nothing of ours.
#pragma once

#include "src/sqlite/database.hpp"

namespace reeve::history {

/// The smallest of the values that at least so many per cent of all do not exceed (the "nearest
/// rank" of statistics); null values do not count, of none it is null.
Result<void> add_percentile(sqlite::Database& db);

} // namespace reeve::history
