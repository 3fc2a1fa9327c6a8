// See feed.hpp. A virtual table without indexes: it is read from its first row to its last.
#include "src/history/feed.hpp"

#include <new>

namespace reeve::history {

struct Feed::Table {
  struct Here : sqlite3_vtab {
    Feed* feed = nullptr;
  };
  struct Cursor : sqlite3_vtab_cursor {
    std::size_t row = 0;
  };
  static Cursor& at(sqlite3_vtab_cursor* cursor) { return *static_cast<Cursor*>(cursor); }
  static Feed& feed_of(sqlite3_vtab_cursor* cursor) {
    return *static_cast<Here*>(cursor->pVtab)->feed;
  }

  static int connect(sqlite3* db, void* feed, int, const char* const*, sqlite3_vtab** out, char**) {
    std::string sql = "CREATE TABLE feed(c0";
    for (int column = 1; column < columns_max; ++column)
      sql += ",c" + std::to_string(column);
    if (const int code = sqlite3_declare_vtab(db, (sql + ")").c_str()); code != SQLITE_OK)
      return code;
    auto* here = new (std::nothrow) Here();
    if (here == nullptr)
      return SQLITE_NOMEM;
    here->feed = static_cast<Feed*>(feed);
    *out = here;
    return SQLITE_OK;
  }
  static int disconnect(sqlite3_vtab* here) {
    delete static_cast<Here*>(here);
    return SQLITE_OK;
  }
  static int best_index(sqlite3_vtab*, sqlite3_index_info* plan) {
    plan->estimatedCost = 1; // the outer loop, whatever it is joined with
    plan->estimatedRows = 1;
    return SQLITE_OK;
  }
  static int open(sqlite3_vtab*, sqlite3_vtab_cursor** out) {
    auto* cursor = new (std::nothrow) Cursor();
    *out = cursor;
    return cursor == nullptr ? SQLITE_NOMEM : SQLITE_OK;
  }
  static int close(sqlite3_vtab_cursor* cursor) {
    delete &at(cursor);
    return SQLITE_OK;
  }
  static int rewind(sqlite3_vtab_cursor* cursor, int, const char*, int, sqlite3_value**) {
    at(cursor).row = 0;
    return SQLITE_OK;
  }
  static int next(sqlite3_vtab_cursor* cursor) {
    ++at(cursor).row;
    return SQLITE_OK;
  }
  static int over(sqlite3_vtab_cursor* cursor) { return at(cursor).row >= feed_of(cursor).rows_; }
  static int column(sqlite3_vtab_cursor* cursor, sqlite3_context* to, int number) {
    feed_of(cursor).give_(at(cursor).row, number, Cell(to));
    return SQLITE_OK;
  }
  static int row_id(sqlite3_vtab_cursor* cursor, sqlite3_int64* out) {
    *out = static_cast<sqlite3_int64>(at(cursor).row);
    return SQLITE_OK;
  }
};

Result<void> Feed::attach(sqlite::Database& db) {
  static const sqlite3_module module = [] {
    sqlite3_module m{}; // without xCreate: it is there under its own name, and only there
    m.xConnect = Table::connect;
    m.xBestIndex = Table::best_index;
    m.xDisconnect = Table::disconnect;
    m.xOpen = Table::open;
    m.xClose = Table::close;
    m.xFilter = Table::rewind;
    m.xNext = Table::next;
    m.xEof = Table::over;
    m.xColumn = Table::column;
    m.xRowid = Table::row_id;
    return m;
  }();
  if (sqlite3_create_module_v2(db.handle(), "feed", &module, this, nullptr) != SQLITE_OK)
    return tl::unexpected<Error>(db.error(db.path()));
  return {};
}

std::string Feed::insert(const std::string& into, int columns) {
  std::string sql = into + " SELECT c0";
  for (int column = 1; column < columns; ++column)
    sql += ",c" + std::to_string(column);
  return sql + " FROM feed";
}

} // namespace reeve::history
