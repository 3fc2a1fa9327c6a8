// SQLite behind values and Results: a connection, a prepared statement, an error. Used by the
// journal and the history only. Knows nothing of what is stored; must never retry or hide an error.
// One thread at a time per connection.
#pragma once

#include "messages/error.hpp"

#include <cstdint>
#include <optional>
#include <sqlite3.h>
#include <string>
#include <string_view>
#include <utility>

namespace reeve::sqlite {

/// The connection's last error as ours: unavailable (disk full, locked by another program),
/// corrupt, io (with errno's words), conflict (a key that exists), internal (wrong SQL). The text
/// begins with `doing`.
Error last_error(sqlite3* db, std::string_view doing);
/// Space ran out: SQLite's own code for it, or a failed write whose errno says so (quota, file size
/// limit).
bool is_full(int extended_code, int system_errno);

/// A prepared statement. Parameters count from 1, columns from 0, as in SQLite. Bound text and
/// blobs are not copied: they must live until the statement has run.
class Statement {
public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* handle) : handle_(handle) {}
  Statement(Statement&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Statement& operator=(Statement&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(handle_); }

  Statement& integer(int parameter, std::int64_t value);
  Statement& integer(int parameter, std::uint64_t value) {
    return integer(parameter, static_cast<std::int64_t>(value));
  }
  Statement& text(int parameter, std::string_view value);
  Statement& blob(int parameter, std::string_view value);
  Statement& null(int parameter);

  /// One row further: true when there is one. After false or an error the statement is ready to be
  /// bound again.
  Result<bool> next(std::string_view doing);
  /// To the end, ignoring rows.
  Result<void> run(std::string_view doing);
  void reset();

  [[nodiscard]] std::int64_t integer_at(int column) const {
    return sqlite3_column_int64(handle_, column);
  }
  [[nodiscard]] std::uint64_t unsigned_at(int column) const {
    return static_cast<std::uint64_t>(sqlite3_column_int64(handle_, column));
  }
  /// Valid until the next step.
  [[nodiscard]] std::string_view text_at(int column) const;
  [[nodiscard]] std::string_view blob_at(int column) const;
  [[nodiscard]] bool is_null(int column) const {
    return sqlite3_column_type(handle_, column) == SQLITE_NULL;
  }
  [[nodiscard]] int columns() const { return sqlite3_column_count(handle_); }
  [[nodiscard]] std::string_view column_name(int column) const {
    return sqlite3_column_name(handle_, column);
  }

private:
  sqlite3_stmt* handle_ = nullptr;
};

/// Leaves a statement ready for its next use, whatever happened in between.
class Reset {
public:
  explicit Reset(Statement& statement) : statement_(statement) {}
  ~Reset() { statement_.reset(); }
  Reset(const Reset&) = delete;
  Reset& operator=(const Reset&) = delete;

private:
  Statement& statement_;
};

class Database {
public:
  Database() = default;
  Database(Database&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), path_(std::move(other.path_)) {}
  Database& operator=(Database&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(path_, other.path_);
    return *this;
  }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database() { sqlite3_close_v2(handle_); }

  /// `flags`: SQLITE_OPEN_…. Waits up to 5 s for other programs' locks.
  static Result<Database> open(const std::string& path, int flags);

  Result<void> run(const char* sql);
  Result<Statement> prepare(std::string_view sql, bool kept = true);
  /// First column of the first row; none when there is no row.
  Result<std::optional<std::int64_t>> integer(std::string_view sql);
  Result<std::optional<std::string>> text(std::string_view sql);
  /// Ends an open transaction without effect; nothing when there is none.
  void roll_back();

  [[nodiscard]] sqlite3* handle() const { return handle_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] Error error(std::string_view doing) const { return last_error(handle_, doing); }

private:
  sqlite3* handle_ = nullptr;
  std::string path_;
};

/// Makes the folder of `path` and an empty file only its owner may read, so that SQLite gives its
/// side files the same rights.
Result<void> make_private_file(const std::string& path);
/// Of the database, its write-ahead log and nothing else.
std::uint64_t bytes_on_disk(const std::string& path);

} // namespace reeve::sqlite
