// Old rows go. See history.hpp.
#include "src/history/history.hpp"
#include "src/history/schema.hpp"
#include "src/history/sql.hpp"

#include <array>
#include <set>

namespace reeve::history {

Result<std::int64_t> History::first_id(TimePoint since, const char* column, std::int64_t newest) {
  auto first = db_.integer("SELECT min(" + std::string(column) +
                           ") FROM minutes WHERE latest_us>=" + std::to_string(us(since)));
  if (!first)
    return tl::unexpected<Error>(std::move(first).error());
  return first->value_or(newest + 1);
}

Result<void> History::sweep_kinds(TimePoint cutoff) {
  constexpr std::int64_t at_once = 20'000, looked_at_max = 100'000;
  auto newest = db_.integer("SELECT max(kind) FROM kinds");
  if (!newest)
    return tl::unexpected<Error>(std::move(newest).error());
  const std::int64_t from = kinds_swept_ < newest->value_or(0) ? kinds_swept_ : 0;
  kinds_swept_ = from + at_once;
  const std::string unused = "FROM kinds WHERE kind>" + std::to_string(from) +
                             " AND kind<=" + std::to_string(kinds_swept_) + " AND used_us<" +
                             std::to_string(us(cutoff));
  auto due = db_.integer("SELECT 1 " + unused + " LIMIT 1");
  if (!due)
    return tl::unexpected<Error>(std::move(due).error());
  if (!*due)
    return {};
  // Jobs from before then that are here have not ended, or not long ago: they keep their kinds. A
  // kind was used within the hour after it said so.
  const std::string old = "SELECT job,kind,submitted_us FROM job_rows ORDER BY job LIMIT " +
                          std::to_string(looked_at_max);
  auto statement = db_.prepare(old, false);
  if (!statement)
    return tl::unexpected<Error>(std::move(statement).error());
  std::set<std::int64_t> in_use;
  std::int64_t looked_at = 0;
  auto read = each_row(*statement, db_.path(), [&] {
    if (TimePoint(Duration(statement->integer_at(2))) >= cutoff + std::chrono::hours(1))
      return false;
    in_use.insert(statement->integer_at(1));
    return ++looked_at < looked_at_max;
  });
  if (!read || looked_at == looked_at_max)
    return read; // too many to look at: another time
  statement->reset();
  auto swept = db_.run(
    ("DELETE " + unused + " AND kind NOT IN " + list_of({in_use.begin(), in_use.end()})).c_str());
  if (sqlite3_changes(db_.handle()) > 0) { // a number may come again
    kinds_.clear();
    kind_keys_.clear();
  }
  return swept;
}

namespace {
struct Dated {         // rows that go when they are old enough
  const char* column;  // of minutes: the first `number` of each
  std::int64_t newest; // `number`
  const char *table, *key, *number;
  const char* with = nullptr; // goes before them: a table and its column of their keys
};
std::array<Dated, 4> dated(const auto& ids) {
  return {{{"end_id", ids.end, "job_ends", "job", "end_id", "job_rows WHERE job"},
           {"run_id", ids.run, "attempt_runs", "id", "id", "output_heads WHERE run"},
           {"node_id", ids.node, "node_rows", "id", "id"},
           {"config_id", ids.config, "config_rows", "id", "id"}}};
}
} // namespace

Result<History::Due> History::due(TimePoint cutoff) {
  constexpr std::int64_t counted_max = 100'000;
  Due due;
  for (const Dated& d : dated(ids_)) {
    auto kept = first_id(cutoff, d.column, d.newest);
    if (!kept)
      return tl::unexpected<Error>(std::move(kept).error());
    auto rows = db_.integer("SELECT count(*) FROM (SELECT 1 FROM " + std::string(d.table) +
                            " WHERE " + d.number + "<" + std::to_string(*kept) + " LIMIT " +
                            std::to_string(counted_max) + ")");
    if (!rows)
      return tl::unexpected<Error>(std::move(rows).error());
    due.rows += static_cast<std::uint64_t>(rows->value_or(0));
    due.more |= rows->value_or(0) >= counted_max;
  }
  return due;
}

Result<bool> History::sweep(TimePoint cutoff) {
  constexpr std::int64_t rows_max = 5'000;
  bool more = false;
  const auto remove = [&](const std::string& what, const Dated& d,
                          std::int64_t kept) -> Result<void> {
    const std::string sql = "DELETE FROM " + what + " IN (SELECT " + d.key + " FROM " + d.table +
                            " WHERE " + d.number + "<?1 ORDER BY " + d.number + " LIMIT ?2)";
    auto statement = db_.prepare(sql.c_str(), false);
    if (!statement)
      return tl::unexpected<Error>(std::move(statement).error());
    if (auto good = statement->integer(1, kept).integer(2, rows_max).run(db_.path()); !good)
      return good;
    more = more || sqlite3_changes(db_.handle()) >= rows_max;
    return {};
  };
  auto swept = in_transaction([&]() -> Result<void> {
    for (const Dated& d : dated(ids_)) {
      auto kept = first_id(cutoff, d.column, d.newest);
      if (!kept)
        return tl::unexpected<Error>(std::move(kept).error());
      if (d.with != nullptr)
        if (auto good = remove(d.with, d, *kept); !good)
          return good;
      if (auto good = remove(std::string(d.table) + " WHERE " + d.key, d, *kept); !good)
        return good;
    }
    if (more)
      return {};
    const auto end = first_id(cutoff, "end_id", ids_.end),
               run = first_id(cutoff, "run_id", ids_.run);
    if (!end || !run)
      return tl::unexpected<Error>(!end ? end.error() : run.error());
    return sweep_kinds(cutoff)
      .and_then([&] { return Totals::sweep(db_, cutoff); })
      .and_then([&] { return lists_.sweep(db_, *end, *run); })
      .and_then([&] {
        return db_.run(
          ("DELETE FROM minutes WHERE latest_us<" + std::to_string(us(cutoff))).c_str());
      });
  });
  if (!swept)
    return tl::unexpected<Error>(std::move(swept).error());
  minute_now_ = 0; // its row may be gone
  totals_.forget();
  if (auto given_back = db_.run("PRAGMA incremental_vacuum(1000)"); !given_back)
    return tl::unexpected<Error>(std::move(given_back).error());
  return more;
}

} // namespace reeve::history
