// Rows of ours as a table of SQLite: `feed` with columns c0, c1, ... So one statement writes or
// looks up thousands of rows, and no value is bound: that was most of an insert's cost. Used by
// History. Shows only what its owner holds; another program that opens the file has no such table.
#pragma once

#include "messages/ids.hpp"
#include "src/sqlite/database.hpp"

#include <functional>

namespace reeve::history {

class Feed {
public:
  static constexpr int columns_max = 20;

  /// One value on its way into a statement; null when nothing is given. Bytes are not copied.
  class Cell {
  public:
    explicit Cell(sqlite3_context* to) : to_(to) {}
    void integer(std::int64_t value) const { sqlite3_result_int64(to_, value); }
    void time(TimePoint value) const { // 0: null
      if (value != TimePoint{})
        integer(value.time_since_epoch().count());
    }
    void text(std::string_view value) const { // empty: null
      if (!value.empty())
        sqlite3_result_text64(to_, value.data(), value.size(), SQLITE_STATIC, SQLITE_UTF8);
    }
    void blob(std::string_view value) const { // empty: null
      if (!value.empty())
        sqlite3_result_blob64(to_, value.data(), value.size(), SQLITE_STATIC);
    }

  private:
    sqlite3_context* to_;
  };
  using Give = std::function<void(std::size_t row, int column, Cell to)>;

  Feed() = default;
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  /// Makes the table known to `db`, which must end before this.
  Result<void> attach(sqlite::Database& db);
  /// "INSERT INTO table SELECT c0,c1,... FROM feed".
  static std::string insert(const std::string& into, int columns);

  /// What the table shows from now on: `give` is asked for each value that a statement wants, and
  /// must not throw. Until the returned object ends.
  class Shown {
  public:
    explicit Shown(Feed& feed) : feed_(feed) {}
    ~Shown() { feed_.rows_ = 0; }
    Shown(const Shown&) = delete;
    Shown& operator=(const Shown&) = delete;

  private:
    Feed& feed_;
  };
  [[nodiscard]] Shown show(std::size_t rows, Give give) {
    rows_ = rows;
    give_ = std::move(give);
    return Shown(*this);
  }

private:
  struct Table;
  std::size_t rows_ = 0;
  Give give_;
};

} // namespace reeve::history
