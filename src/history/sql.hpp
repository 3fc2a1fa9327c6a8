// SQL that is put together from what a question asks. Used by what answers questions. What somebody
// wrote goes in as a value, never as SQL.
#pragma once

#include "messages/protocol.hpp"
#include "src/history/schema.hpp"

#include <string>
#include <vector>

namespace reeve::history {

/// `f` for each row that is left, until it returns false.
template<class F>
Result<void> each_row(sqlite::Statement& statement, std::string_view doing, F&& f) {
  for (;;) {
    auto row = statement.next(doing);
    if (!row)
      return tl::unexpected<Error>(std::move(row).error());
    if (!*row || !f())
      return {};
  }
}

/// SQL that grows by conditions, with the values that belong to its question marks.
class Sql {
public:
  explicit Sql(std::string text) : text_(std::move(text)) {}
  Sql& also(const std::string& condition) {
    text_ += (first_ ? " WHERE " : " AND ") + condition;
    first_ = false;
    return *this;
  }
  Sql& also(const std::string& condition, std::string value) {
    values_.push_back(std::move(value));
    return also(condition);
  }
  Sql& also(const std::string& condition, std::int64_t value) {
    return also(condition + std::to_string(value));
  }
  Sql& end(const std::string& text) {
    text_ += text;
    return *this;
  }
  /// `first`: number of the first question mark that is ours.
  Result<sqlite::Statement> prepare(sqlite::Database& db, int first = 1) const {
    auto statement = db.prepare(text_, false);
    for (std::size_t i = 0; statement && i < values_.size(); ++i)
      statement->text(static_cast<int>(i) + first, values_[i]);
    return statement;
  }

private:
  std::string text_;
  bool first_ = true;
  std::vector<std::string> values_;
};

/// A name, or with * at its end the beginning of one.
inline void also_name(Sql& sql, const std::string& column, const std::string& name) {
  if (name.empty())
    return;
  if (name.back() != '*') {
    sql.also(column + "=?", name);
    return;
  }
  const std::string begin = name.substr(0, name.size() - 1);
  sql.also(column + ">=?", begin);
  sql.also(column + "<?", begin + "\xff"); // no text has that byte
}

/// Of this name, user and queue, as far as they are asked for. `kind`: what their columns begin
/// with.
inline void also_kind(Sql& sql, const std::string& kind, const QueryHistory& q) {
  also_name(sql, kind + "name", q.name);
  if (!q.user.empty())
    sql.also(kind + "user=?", q.user);
  if (!q.queue.empty())
    sql.also(kind + "queue=?", q.queue);
}

/// `f` for each row of it, as above; it is given the statement.
template<class F> Result<void> each_row(sqlite::Database& db, const Sql& sql, F&& f) {
  auto statement = sql.prepare(db);
  if (!statement)
    return tl::unexpected<Error>(std::move(statement).error());
  return each_row(*statement, db.path(), [&] { return f(*statement); });
}

/// The first column of each row.
inline Result<std::vector<std::int64_t>> numbers_of(sqlite::Database& db, const Sql& sql) {
  std::vector<std::int64_t> numbers;
  return each_row(db, sql,
                  [&](const sqlite::Statement& row) {
                    numbers.push_back(row.integer_at(0));
                    return true;
                  })
    .map([&] { return std::move(numbers); });
}

inline std::string list_of(const std::vector<std::int64_t>& numbers) {
  std::string text = "(";
  for (const auto n : numbers)
    text += (text.size() > 1 ? "," : "") + std::to_string(n);
  return text + ")";
}

/// Within the stretch that is asked for, its ends included.
inline void also_time(Sql& sql, const QueryHistory& q, const std::string& column) {
  if (q.since != TimePoint{})
    sql.also(column + ">=", us(q.since));
  if (q.until != TimePoint{})
    sql.also(column + "<=", us(q.until));
}

} // namespace reeve::history
