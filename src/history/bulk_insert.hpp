// Many rows of one table in few statements: most of an insert's cost is in starting it. Used by
// History only. Values must live until the rows are written: by `add` of a later row, or `flush`.
#pragma once

#include "messages/ids.hpp"
#include "src/sqlite/database.hpp"

#include <span>
#include <vector>

namespace reeve::history {

class BulkInsert {
public:
  static constexpr int rows_at_once = 32;

  /// `into`: "INSERT INTO table".
  Result<void> prepare(sqlite::Database& db, const std::string& into, int columns);

  /// The values of one row, column by column. Empty text and blobs, and a time of 0, are null.
  class Row {
  public:
    explicit Row(BulkInsert& to) : to_(to) {}
    Row& integer(std::int64_t value);
    Row& time(TimePoint value);
    Row& text(std::string_view value);
    Row& blob(std::string_view value);
    Row& null();

  private:
    BulkInsert& to_;
  };
  Row row() { return Row(*this); }
  /// The row is complete. Writes when there are enough of them.
  Result<void> add(sqlite::Database& db);
  Result<void> flush(sqlite::Database& db);
  /// Forgets what is not written.
  void clear() { values_.clear(); }

private:
  struct Value {
    enum Type : std::uint8_t { nothing, integer, text, blob } type = nothing;
    std::int64_t number = 0;
    std::string_view bytes;
  };
  static void bind(sqlite::Statement& statement, std::span<const Value> values);

  int columns_ = 0;
  std::vector<Value> values_;
  sqlite::Statement one_, many_;
};

} // namespace reeve::history
