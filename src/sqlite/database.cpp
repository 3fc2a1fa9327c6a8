// See database.hpp.
#include "src/sqlite/database.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

namespace reeve::sqlite {
namespace {

Code code_of(int extended, int system_errno) {
  if (is_full(extended, system_errno))
    return Code::unavailable;
  switch (extended & 0xff) {
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    return Code::unavailable;
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
    return Code::corrupt;
  case SQLITE_CONSTRAINT:
    return Code::conflict;
  case SQLITE_READONLY:
  case SQLITE_IOERR:
  case SQLITE_CANTOPEN:
  case SQLITE_PERM:
  case SQLITE_AUTH:
  case SQLITE_NOMEM:
    return Code::io;
  default:
    return Code::internal;
  }
}

// A commit that fails leaves errno with the file only; sqlite3_system_errno is then 0, or from an
// older failure.
int errno_of_files(sqlite3* db) {
  sqlite3_file* files[2] = {nullptr, nullptr};
  sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &files[0]);
  sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &files[1]);
  for (sqlite3_file* file : files) {
    int system = 0;
    if (file && file->pMethods)
      file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &system);
    if (system != 0)
      return system;
  }
  return 0;
}

// An empty view may carry a null pointer, which SQLite would store as NULL.
const char* data_of(std::string_view v) {
  return v.data() ? v.data() : "";
}

} // namespace

bool is_full(int extended_code, int system_errno) {
  const int primary = extended_code & 0xff;
  return primary == SQLITE_FULL || extended_code == SQLITE_IOERR_SHMSIZE ||
         (primary == SQLITE_IOERR &&
          (system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EFBIG));
}

Error last_error(sqlite3* db, std::string_view doing) {
  const int extended = sqlite3_extended_errcode(db);
  int system = sqlite3_system_errno(db);
  if (extended == SQLITE_IOERR_WRITE)
    if (const int newer = errno_of_files(db); newer != 0)
      system = newer;
  const Code code = code_of(extended, system);
  std::string text = std::string(doing) + ": " + sqlite3_errmsg(db);
  if ((extended & 0xff) == SQLITE_IOERR || (extended & 0xff) == SQLITE_CANTOPEN) {
    if (system != 0)
      text += std::string(" (") + std::strerror(system) + ")";
    text += ", SQLite code " + std::to_string(extended);
  }
  return Error{code, {}, std::move(text)};
}

Statement& Statement::integer(int parameter, std::int64_t value) {
  sqlite3_bind_int64(handle_, parameter, value);
  return *this;
}
Statement& Statement::text(int parameter, std::string_view value) {
  sqlite3_bind_text64(handle_, parameter, data_of(value), value.size(), SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}
Statement& Statement::blob(int parameter, std::string_view value) {
  sqlite3_bind_blob64(handle_, parameter, data_of(value), value.size(), SQLITE_STATIC);
  return *this;
}
Statement& Statement::null(int parameter) {
  sqlite3_bind_null(handle_, parameter);
  return *this;
}

Result<bool> Statement::next(std::string_view doing) {
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW)
    return true;
  if (code == SQLITE_DONE) {
    sqlite3_reset(handle_);
    return false;
  }
  Error error = last_error(sqlite3_db_handle(handle_), doing);
  sqlite3_reset(handle_);
  return tl::unexpected<Error>(std::move(error));
}

Result<void> Statement::run(std::string_view doing) {
  for (;;) {
    auto row = next(doing);
    if (!row)
      return tl::unexpected<Error>(std::move(row).error());
    if (!*row)
      return {};
  }
}

void Statement::reset() {
  sqlite3_reset(handle_);
}

std::string_view Statement::text_at(int column) const {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  return data
           ? std::string_view(data, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column)))
           : std::string_view();
}
std::string_view Statement::blob_at(int column) const {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(handle_, column));
  return data
           ? std::string_view(data, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column)))
           : std::string_view();
}

Result<Database> Database::open(const std::string& path, int flags) {
  Database db;
  db.path_ = path;
  const int code =
    sqlite3_open_v2(path.c_str(), &db.handle_, flags | SQLITE_OPEN_EXRESCODE, nullptr);
  if (code != SQLITE_OK)
    return tl::unexpected<Error>(last_error(db.handle_, path));
  sqlite3_busy_timeout(db.handle_, 5'000);
  return db;
}

Result<void> Database::run(const char* sql) {
  if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK)
    return tl::unexpected<Error>(error(path_));
  return {};
}

Result<Statement> Database::prepare(std::string_view sql, bool kept) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                      kept ? SQLITE_PREPARE_PERSISTENT : 0u, &statement, nullptr);
  if (code != SQLITE_OK)
    return tl::unexpected<Error>(error(path_));
  return Statement(statement);
}

Result<std::optional<std::int64_t>> Database::integer(std::string_view sql) {
  auto statement = prepare(sql, false);
  if (!statement)
    return tl::unexpected<Error>(std::move(statement).error());
  auto row = statement->next(path_);
  if (!row)
    return tl::unexpected<Error>(std::move(row).error());
  if (!*row || statement->is_null(0))
    return std::optional<std::int64_t>();
  return std::optional<std::int64_t>(statement->integer_at(0));
}

Result<std::optional<std::string>> Database::text(std::string_view sql) {
  auto statement = prepare(sql, false);
  if (!statement)
    return tl::unexpected<Error>(std::move(statement).error());
  auto row = statement->next(path_);
  if (!row)
    return tl::unexpected<Error>(std::move(row).error());
  if (!*row || statement->is_null(0))
    return std::optional<std::string>();
  return std::optional<std::string>(statement->text_at(0));
}

void Database::roll_back() {
  if (handle_ && sqlite3_get_autocommit(handle_) == 0)
    sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
}

Result<void> make_private_file(const std::string& path) {
  std::error_code trouble;
  if (auto folder = std::filesystem::path(path).parent_path(); !folder.empty())
    std::filesystem::create_directories(folder, trouble);
  if (trouble)
    return fail(Code::io, {}, path + ": cannot make its folder: " + trouble.message());
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail(errno == ENOSPC ? Code::unavailable : Code::io, {},
                path + ": " + std::strerror(errno));
  ::close(fd);
  return {};
}

std::uint64_t bytes_on_disk(const std::string& path) {
  std::uint64_t bytes = 0;
  for (const char* suffix : {"", "-wal"}) {
    struct stat status {};
    if (::stat((path + suffix).c_str(), &status) == 0)
      bytes += static_cast<std::uint64_t>(status.st_size);
  }
  return bytes;
}

} // namespace reeve::sqlite
