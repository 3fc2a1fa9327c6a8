// A journal's file as the command line reads it without a master: rows that nobody wrote so, and a
// write-ahead log with anything in it. What cannot be read is named; entries come in order.
#include "src/cli/journal_file.hpp"
#include "src/journal/batch_row.hpp"
#include "src/journal/etcd_row.hpp"
#include "src/journal/sqlite_journal.hpp"
#include "src/journal/wal_tail.hpp"
#include "tests/fuzz/target.hpp"

#include <filesystem>
#include <sys/mman.h>
#include <unistd.h>

namespace {
using namespace reeve;
using fuzz::named;

/// One file for all inputs: its rows are replaced each time.
class File {
public:
  File() {
    std::string folder = std::filesystem::temp_directory_path() / "reeve-fuzz-XXXXXX";
    REQUIRE(::mkdtemp(folder.data()) != nullptr);
    folder_ = folder;
    REQUIRE(journal::open_sqlite({path(), false, 0}));
    auto opened = sqlite::Database::open(path(), SQLITE_OPEN_READWRITE);
    REQUIRE(opened && opened->run("PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=1"));
    db_ = std::move(*opened);
  }
  ~File() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] std::string path() const { return folder_ + "/journal.db"; }

  /// Meta values (four bytes each), then rows; see below.
  void fill(fuzz::Pieces& pieces) {
    REQUIRE(
      db_.run("BEGIN; DELETE FROM entries; DELETE FROM snapshots; DELETE FROM snapshot_chunks"));
    for (const char* key : {"epoch", "truncated", "settled"})
      run(std::string("UPDATE meta SET value=? WHERE key='") + key + "'", pieces.number(4));
    for (int rows = 0; rows < 16 && !pieces.empty(); ++rows)
      add(pieces);
    REQUIRE(db_.run("COMMIT"));
  }

private:
  template<class... T> void run(const std::string& sql, const T&... values) {
    auto statement = db_.prepare(sql, false);
    REQUIRE(statement);
    int n = 0;
    const auto bind = [&](const auto& value) {
      if constexpr (std::is_convertible_v<decltype(value), std::string_view>)
        statement->blob(++n, value);
      else
        statement->integer(++n, value);
    };
    (bind(values), ...);
    (void)statement->run("insert"); // a second row with the same key is left out
  }

  void add(fuzz::Pieces& pieces) {
    const auto how = pieces.number(1);
    journal::BatchRow row;
    row.seq = pieces.number(8);
    row.count = static_cast<std::int64_t>(pieces.number(4));
    row.version = static_cast<std::int64_t>(pieces.number(1));
    row.length = static_cast<std::int64_t>(pieces.number(4));
    row.crc = static_cast<std::int64_t>(pieces.number(4));
    row.body = std::string(pieces.piece());
    if ((how & 2) != 0)
      row.length = static_cast<std::int64_t>(row.body.size());
    if ((how & 1) != 0)
      row.crc = journal::row_crc(row.seq, row.count, row.version, row.body);
    if ((how & 4) == 0) {
      run("INSERT INTO entries VALUES(?,?,?,?,?,?)", row.seq, row.count, row.version, row.length,
          row.crc, row.body);
      return;
    }
    const std::string hash = journal::etcd::hash_of_snapshot(row.body);
    run("INSERT INTO snapshots VALUES(?,?,?,?)", row.seq, row.count, row.length, hash);
    run("INSERT INTO snapshot_chunks VALUES(?,?,?,?)", row.seq, row.version, row.crc, row.body);
  }

  std::string folder_;
  sqlite::Database db_;
};

void read_file_rows(fuzz::Pieces pieces) {
  static File file;
  file.fill(pieces);
  if (const auto headers = cli::read_journal_headers(file.path(), 5); named(headers))
    REQUIRE((*headers)["entries"].size() <= 5 && !dump_json(*headers).empty());
  if (const auto entries = cli::read_journal_entries(file.path()); named(entries))
    for (const Entry& entry : *entries)
      REQUIRE(!encode(entry).empty());
}

/// The header's sum, as SQLite computes it, so that what follows is looked at.
void make_right(std::string& wal) {
  if (wal.size() < 32)
    return;
  const bool big = (wal[3] & 1) != 0;
  const auto at = [&](std::size_t place) {
    std::uint32_t value = 0;
    for (std::size_t k = 0; k < 4; ++k)
      value |= std::uint32_t{static_cast<unsigned char>(wal[place + k])}
               << (big ? 24 - 8 * k : 8 * k);
    return value;
  };
  std::uint32_t one = 0, two = 0;
  for (std::size_t place = 0; place < 24; place += 8) {
    one += at(place) + two;
    two += at(place + 4) + one;
  }
  for (std::size_t k = 0; k < 4; ++k) {
    wal[24 + k] = static_cast<char>(one >> (24 - 8 * k));
    wal[28 + k] = static_cast<char>(two >> (24 - 8 * k));
  }
}

void inspect_log(std::string wal, bool right) {
  if (right)
    make_right(wal);
  const int file = ::memfd_create("wal", MFD_CLOEXEC);
  REQUIRE(::write(file, wal.data(), wal.size()) == static_cast<ssize_t>(wal.size()));
  const auto tail = journal::inspect_wal("/proc/self/fd/" + std::to_string(file));
  REQUIRE(tail.torn.empty() || tail.corrupt.empty());
  REQUIRE(tail.committed_frames <= wal.size() / 512);
  ::close(file);
}
} // namespace

// A byte: 0 and 1: a write-ahead log, 1: its header's sum is made right; else a file: epoch,
// truncated, settled (four bytes each), then rows: a byte (bit 0: the CRC is made right, bit 1: the
// length too, bit 2: a snapshot), seq (eight), count (four), version (one), length and CRC (four
// each), the body with its length (two) before it.
REEVE_FUZZ(journal_file) {
  fuzz::Pieces pieces(input);
  const auto what = pieces.number(1);
  if (what < 2)
    return inspect_log(std::string(pieces.rest()), what == 1);
  read_file_rows(pieces);
}
