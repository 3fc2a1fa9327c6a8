// See percentile.hpp. SQLite calls these: no exception may leave them.
#include "src/history/percentile.hpp"

#include <algorithm>
#include <new>
#include <vector>

namespace reeve::history {
namespace {

struct Gathered {
  std::vector<std::int64_t>* values = nullptr; // SQLite gives zeroed memory and runs no destructor
  std::int64_t percent = 0;
};

void gather(sqlite3_context* context, int, sqlite3_value** arguments) {
  auto* to = static_cast<Gathered*>(sqlite3_aggregate_context(context, sizeof(Gathered)));
  if (to == nullptr)
    return sqlite3_result_error_nomem(context);
  if (sqlite3_value_type(arguments[0]) == SQLITE_NULL)
    return;
  try {
    if (to->values == nullptr)
      to->values = new std::vector<std::int64_t>;
    to->values->push_back(sqlite3_value_int64(arguments[0]));
    to->percent = std::clamp<std::int64_t>(sqlite3_value_int64(arguments[1]), 0, 100);
  } catch (const std::bad_alloc&) {
    sqlite3_result_error_nomem(context);
  }
}

void finish(sqlite3_context* context) {
  auto* from = static_cast<Gathered*>(sqlite3_aggregate_context(context, 0));
  if (from == nullptr || from->values == nullptr)
    return sqlite3_result_null(context);
  auto& values = *from->values;
  const auto n = static_cast<std::int64_t>(values.size());
  const std::int64_t rank = std::max<std::int64_t>(1, (n * from->percent + 99) / 100);
  const auto at = values.begin() + (rank - 1);
  std::nth_element(values.begin(), at, values.end());
  sqlite3_result_int64(context, *at);
  delete from->values;
  from->values = nullptr;
}

} // namespace

Result<void> add_percentile(sqlite::Database& db) {
  if (sqlite3_create_function_v2(db.handle(), "part_below", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC,
                                 nullptr, nullptr, gather, finish, nullptr) != SQLITE_OK)
    return tl::unexpected<Error>(db.error(db.path()));
  return {};
}

} // namespace reeve::history
