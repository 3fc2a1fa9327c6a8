// Opens, makes and refuses journal files. What it finds wrong is said before SQLite's recovery can
// hide it.
#include "src/journal/sqlite_journal.hpp"
#include "src/journal/wal_tail.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/random.h>
#include <unistd.h>
#include <vector>

namespace reeve::journal {
namespace {

constexpr const char* layout = R"(
BEGIN IMMEDIATE;
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE entries(seq INTEGER PRIMARY KEY, count INTEGER NOT NULL, version INTEGER NOT NULL,
                     length INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE snapshots(seq INTEGER PRIMARY KEY, chunks INTEGER NOT NULL, bytes INTEGER NOT NULL,
                       hash BLOB NOT NULL);
CREATE TABLE snapshot_chunks(snapshot INTEGER NOT NULL, part INTEGER NOT NULL,
                             crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX snapshot_chunk ON snapshot_chunks(snapshot, part);
)";

constexpr int log_pages = 4096; // between two checkpoints

std::string random_identity() {
  std::uint64_t bits = 0;
  if (::getrandom(&bits, sizeof bits, 0) != static_cast<ssize_t>(sizeof bits))
    bits = static_cast<std::uint64_t>(::getpid());
  std::array<char, 17> hex{};
  std::snprintf(hex.data(), hex.size(), "%016" PRIx64, bits);
  return hex.data();
}

// After a kill the log's end may be in the page cache only. The next master will act on it, so it
// must be on the disk first.
Result<void> sync_what_is_there(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  for (const std::string& name : {path + "-wal", path, folder.empty() ? "." : folder}) {
    const int fd = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
      continue;
    const int failed = ::fsync(fd) == 0 ? 0 : errno;
    ::close(fd);
    if (failed != 0)
      return fail(Code::io, {}, name + ": fsync: " + std::strerror(failed));
  }
  return {};
}

Result<void> make_layout(sqlite::Database& db) {
  // auto_vacuum and page_size only take effect before the first page exists.
  std::string sql = layout;
  sql += "INSERT INTO meta VALUES('journal','" + random_identity() +
         "'),('epoch',0),('master',''),('truncated',0),('settled',0);";
  sql += "PRAGMA application_id=" + std::to_string(sqlite_application_id) + ";";
  sql += "PRAGMA user_version=" + std::to_string(sqlite_layout_version) + ";COMMIT;";
  auto made =
    db.run("PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL;"
           "PRAGMA synchronous=FULL;")
      .and_then([&] { return db.run(sql.c_str()); });
  if (!made)
    db.roll_back();
  return made;
}

// Makes the objects in an empty file; refuses what is not ours.
Result<void> check_layout(sqlite::Database& db, bool read_only) {
  auto application = db.integer("PRAGMA application_id");
  if (!application && application.error().code == Code::corrupt)
    return fail(Code::refused, {},
                db.path() +
                  ": not a reeve journal: not an SQLite database, or its first page is damaged");
  if (!application)
    return tl::unexpected<Error>(std::move(application).error());
  auto objects = db.integer("SELECT count(*) FROM sqlite_master");
  if (!objects)
    return tl::unexpected<Error>(std::move(objects).error());
  if (application->value_or(0) == 0 && objects->value_or(0) == 0) {
    if (read_only)
      return fail(Code::not_found, {},
                  db.path() + ": the journal is empty, no master has used it yet");
    if (const Seq noted = FileLock::noted(db.path(), {}); noted)
      return fail(Code::corrupt, {},
                  "journal entry 1: lost: " + db.path() + " is empty, but everything up to " +
                    std::to_string(noted.value) + " was acknowledged (noted in " +
                    FileLock::path_of(db.path()) +
                    "). Bring back the right file and its -wal; or, to begin anew without those "
                    "entries, remove the .lock file");
    return make_layout(db);
  }
  if (*application != sqlite_application_id)
    return fail(Code::refused, {},
                db.path() +
                  ": not a reeve journal: a database of another program (application_id " +
                  std::to_string(application->value_or(0)) + ")");
  auto version = db.integer("PRAGMA user_version");
  if (!version)
    return tl::unexpected<Error>(std::move(version).error());
  if (version->value_or(0) != sqlite_layout_version)
    return fail(Code::unknown_version, {},
                db.path() + ": journal layout " + std::to_string(version->value_or(0)) +
                  ", this program knows " + std::to_string(sqlite_layout_version) +
                  ": use the reeve that wrote it or a newer one");
  return {};
}

Result<void> configure(sqlite::Database& db, bool read_only) {
  // 16 MiB of log between checkpoints: pages that many commits touch are then written to the
  // database once, and the two syncs of a checkpoint are shared by some hundred commits.
  if (read_only)
    return db.run("PRAGMA query_only=1; PRAGMA cell_size_check=1; PRAGMA cache_size=-2000");
  const std::string pages = std::to_string(log_pages);
  return db.run(
    ("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=" + pages +
     "; PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-4000;"
     "PRAGMA cell_size_check=1; PRAGMA foreign_keys=0")
      .c_str());
}

/// A commit that makes the log longer waits for the file system's own journal, too: about as long
/// again. So the log gets the length between two checkpoints at once: zeros behind what it holds,
/// which mean nothing to SQLite and are written over in time. No errors: without it commits are
/// slower.
void lay_out_log(const std::string& path) {
  constexpr std::uintmax_t log_bytes = log_pages * (4096 + 24) + 32;
  constexpr std::uintmax_t room_wanted = std::uintmax_t{1} << 30;
  std::error_code trouble;
  const auto room = std::filesystem::space(path, trouble);
  if (trouble || room.available < room_wanted)
    return;
  const int fd = ::open((path + "-wal").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0)
    return;
  const std::vector<char> zeros(1u << 20);
  const off_t end = ::lseek(fd, 0, SEEK_END);
  for (auto length = static_cast<std::uintmax_t>(std::max<off_t>(end, 0)); length < log_bytes;) {
    const ssize_t n =
      ::write(fd, zeros.data(), std::min<std::uintmax_t>(log_bytes - length, zeros.size()));
    if (n <= 0)
      break;
    length += static_cast<std::uintmax_t>(n);
  }
  (void)::sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); // begun, not waited for
  ::close(fd);
}

} // namespace

Result<std::unique_ptr<Journal>> open_sqlite(const SqliteOptions& given) {
  SqliteOptions options = given;
  std::error_code trouble;
  if (auto canonical = std::filesystem::weakly_canonical(options.path, trouble); !trouble)
    options.path = canonical.string(); // one file, one lock, however it is called
  FileLock lock;
  std::string torn;
  if (options.read_only) {
    if (!std::filesystem::exists(options.path, trouble))
      return fail(Code::not_found, {}, options.path + ": no such journal");
  } else {
    if (auto made = sqlite::make_private_file(options.path); !made)
      return tl::unexpected<Error>(std::move(made).error());
    auto taken = FileLock::take(options.path);
    if (!taken)
      return tl::unexpected<Error>(std::move(taken).error());
    lock = std::move(*taken);
    if (auto synced = sync_what_is_there(options.path); !synced)
      return tl::unexpected<Error>(std::move(synced).error());
  }
  // A running master's log is on the move: only a log nobody writes can be judged.
  if (!options.read_only || !FileLock::is_held(options.path)) {
    WalTail tail = inspect_wal(options.path + "-wal");
    if (!tail.corrupt.empty())
      return fail(Code::corrupt, {}, options.path + ": " + tail.corrupt);
    torn = std::move(tail.torn);
  }
  auto db = sqlite::Database::open(
    options.path,
    (options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) |
      SQLITE_OPEN_NOMUTEX);
  if (!db)
    return tl::unexpected<Error>(std::move(db).error());
  if (auto good = check_layout(*db, options.read_only); !good)
    return tl::unexpected<Error>(std::move(good).error());
  if (auto good = configure(*db, options.read_only); !good)
    return tl::unexpected<Error>(std::move(good).error());
  if (options.lay_out_log && !options.read_only)
    lay_out_log(options.path);
  auto journal = std::make_unique<SqliteJournal>(options, std::move(*db), std::move(lock));
  if (auto good = journal->start(std::move(torn)); !good)
    return tl::unexpected<Error>(std::move(good).error());
  return journal;
}

} // namespace reeve::journal
