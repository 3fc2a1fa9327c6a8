// See bulk_insert.hpp.
#include "src/history/bulk_insert.hpp"

namespace reeve::history {

Result<void> BulkInsert::prepare(sqlite::Database& db, const std::string& into, int columns) {
  columns_ = columns;
  std::string row = "(?";
  for (int column = 1; column < columns; ++column)
    row += ",?";
  row += ")";
  std::string rows = row;
  for (int n = 1; n < rows_at_once; ++n)
    rows += "," + row;
  auto one = db.prepare(into + " VALUES" + row);
  auto many = db.prepare(into + " VALUES" + rows);
  if (!one || !many)
    return tl::unexpected<Error>(!one ? std::move(one).error() : std::move(many).error());
  one_ = std::move(*one);
  many_ = std::move(*many);
  return {};
}

BulkInsert::Row& BulkInsert::Row::integer(std::int64_t value) {
  to_.values_.push_back({Value::integer, value, {}});
  return *this;
}
BulkInsert::Row& BulkInsert::Row::time(TimePoint value) {
  return value == TimePoint{} ? null() : integer(value.time_since_epoch().count());
}
BulkInsert::Row& BulkInsert::Row::text(std::string_view value) {
  to_.values_.push_back({value.empty() ? Value::nothing : Value::text, 0, value});
  return *this;
}
BulkInsert::Row& BulkInsert::Row::blob(std::string_view value) {
  to_.values_.push_back({value.empty() ? Value::nothing : Value::blob, 0, value});
  return *this;
}
BulkInsert::Row& BulkInsert::Row::null() {
  to_.values_.emplace_back();
  return *this;
}

void BulkInsert::bind(sqlite::Statement& statement, std::span<const Value> values) {
  int parameter = 0;
  for (const Value& value : values) {
    ++parameter;
    switch (value.type) {
    case Value::integer:
      statement.integer(parameter, value.number);
      break;
    case Value::text:
      statement.text(parameter, value.bytes);
      break;
    case Value::blob:
      statement.blob(parameter, value.bytes);
      break;
    case Value::nothing:
      statement.null(parameter);
      break;
    }
  }
}

Result<void> BulkInsert::add(sqlite::Database& db) {
  if (values_.size() < static_cast<std::size_t>(columns_ * rows_at_once))
    return {};
  bind(many_, values_);
  values_.clear();
  return many_.run(db.path());
}

Result<void> BulkInsert::flush(sqlite::Database& db) {
  const std::span<const Value> all = values_;
  Result<void> good;
  for (std::size_t at = 0; good && at < all.size(); at += static_cast<std::size_t>(columns_)) {
    bind(one_, all.subspan(at, static_cast<std::size_t>(columns_)));
    good = one_.run(db.path());
  }
  values_.clear();
  return good;
}

} // namespace reeve::history
