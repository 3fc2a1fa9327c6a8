// Damaged files, other people's files, and two masters at one file: each is refused in words that
// name the fault.
#include "src/journal/crc32c.hpp"
#include "src/journal/file_lock.hpp"
#include "src/journal/sqlite_journal.hpp"
#include "src/journal/wal_tail.hpp"
#include "tests/unit/journal/workload.hpp"

#include <fstream>

namespace reeve::journal {
namespace {
using namespace journal_tests;

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
    .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}
void run_sql(const std::string& path, const std::string& sql) {
  auto db = sqlite::Database::open(path, SQLITE_OPEN_READWRITE);
  ASSERT_TRUE(db);
  const auto done = db->run(sql.c_str());
  ASSERT_TRUE(done) << done.error().message();
}

class damaged_journal : public ::testing::Test {
protected:
  // Rows begin at 1, 11, 21, 31, 41; the one at 21 fills pages of its own.
  void SetUp() override {
    auto journal = open_good();
    ASSERT_TRUE(journal->acquire(Epoch(1), "m"));
    for (const std::uint64_t first : {1u, 11u, 21u, 31u, 41u})
      ASSERT_TRUE(append(*journal, make_batch(Seq(first), 10, first == 21 ? 1'500 : 40)));
  }
  std::unique_ptr<Journal> open_good() {
    auto opened = open_sqlite({.path = path_});
    EXPECT_TRUE(opened) << opened.error().message();
    return opened ? std::move(*opened) : nullptr;
  }
  // Reads everything; the error, or an empty one. `good`: entries delivered before it, each
  // checked.
  static Error read_to_fault(const std::string& path, std::uint64_t& good) {
    good = 0;
    auto opened = open_sqlite({.path = path});
    if (!opened)
      return opened.error();
    auto done = (*opened)->read(Seq(1), [&](Seq seq, std::string_view bytes) -> Result<void> {
      EXPECT_EQ(seq.value, ++good);
      EXPECT_EQ(bytes, content_of(seq, bytes.size()));
      return {};
    });
    return done ? Error{Code::ok, {}, {}} : done.error();
  }
  TemporaryFolder folder_{TemporaryFolder::in_memory};
  std::string path_ = folder_.file("journal.db");
};

struct RowFault {
  std::string name, sql, text;
  std::uint64_t good; // entries before the fault
};
class damaged_row : public damaged_journal, public ::testing::WithParamInterface<RowFault> {};
INSTANTIATE_TEST_SUITE_P(
  in, damaged_row,
  ::testing::Values(
    RowFault{"seq", "UPDATE entries SET seq=13 WHERE seq=11", "journal entry 11: gap", 10},
    RowFault{"row_gone", "DELETE FROM entries WHERE seq=31", "journal entry 31: gap", 30},
    RowFault{"first_row_gone", "DELETE FROM entries WHERE seq=1", "journal entry 1: gap", 0},
    RowFault{"count", "UPDATE entries SET count=11 WHERE seq=21", "journal entry 21: CRC", 20},
    RowFault{"version", "UPDATE entries SET version=0 WHERE seq=21", "journal entry 21: CRC", 20},
    RowFault{"length", "UPDATE entries SET length=length+1 WHERE seq=21",
             "journal entry 21: length", 20},
    RowFault{"crc", "UPDATE entries SET crc=(crc|1)-(crc&1) WHERE seq=21", "journal entry 21: CRC",
             20},
    RowFault{"body", "UPDATE entries SET body=zeroblob(length) WHERE seq=11",
             "journal entry 11: CRC", 10},
    RowFault{"body_cut", "UPDATE entries SET body=substr(body,1,100) WHERE seq=21",
             "journal entry 21: length", 20},
    RowFault{"body_not_bytes", "UPDATE entries SET body=7 WHERE seq=11", "journal entry 11: length",
             10}),
  [](const auto& row) { return row.param.name; });

TEST_P(damaged_row, is_named_after_everything_before_it_was_delivered) {
  run_sql(path_, GetParam().sql);
  std::uint64_t good = 0;
  const Error error = read_to_fault(path_, good);
  EXPECT_EQ(error.code, Code::corrupt);
  EXPECT_NE(error.text.find(GetParam().text), std::string::npos) << error.text;
  EXPECT_EQ(good, GetParam().good);
  auto tool = open_sqlite({.path = path_, .read_only = true});
  ASSERT_TRUE(tool) << tool.error().message();
  const auto health = (*tool)->verify();
  ASSERT_FALSE(health);
  EXPECT_NE(health.error().text.find(GetParam().text), std::string::npos);
}

TEST_F(damaged_journal, a_damaged_last_row_is_refused_when_opening) {
  run_sql(path_, "UPDATE entries SET body=zeroblob(length) WHERE seq=41");
  const auto opened = open_sqlite({.path = path_});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::corrupt);
  EXPECT_NE(opened.error().text.find("journal entry 41: CRC"), std::string::npos)
    << opened.error().text;
}

TEST_F(damaged_journal, a_missing_last_row_is_missed) {
  run_sql(path_, "DELETE FROM entries WHERE seq=41");
  const auto opened = open_sqlite({.path = path_});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::corrupt);
  EXPECT_NE(opened.error().text.find("journal entry 41: lost"), std::string::npos)
    << opened.error().text;
  std::filesystem::remove(path_ + ".lock"); // the operator's way on
  const auto journal = open_good();
  EXPECT_EQ(journal->last(), Seq(40));
}

TEST_F(damaged_journal, a_row_of_a_newer_schema_is_refused_by_its_version) {
  BatchRow row{51, 1, entry_schema_version + 1, 5, 0, std::string("\1\0\0\0x", 5)};
  row.crc = row_crc(row.seq, row.count, row.version, row.body);
  run_sql(path_, "INSERT INTO entries VALUES(51,1," + std::to_string(row.version) + ",5," +
                   std::to_string(row.crc) + ",x'0100000078')");
  const auto opened = open_sqlite({.path = path_});
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().text.find("journal entry 51: version"), std::string::npos)
    << opened.error().text;
}

TEST_F(damaged_journal, no_flipped_bit_anywhere_in_the_file_goes_unnoticed) {
  const std::string whole = read_file(path_);
  const std::string lock = read_file(path_ + ".lock");
  const std::string copy = folder_.file("copy.db");
  std::uint64_t noticed = 0, harmless = 0;
  for (std::size_t at = 0; at < whole.size() && !HasFailure();
       at += (whole[at] == 0 ? 61 : 3) * fault_step) { // free space less often
    SCOPED_TRACE("byte " + std::to_string(at));
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
    std::filesystem::remove(copy + "-wal");
    std::filesystem::remove(copy + "-shm");
    write_file(copy, bytes);
    write_file(copy + ".lock", lock);
    std::uint64_t good = 0;
    const Error error = read_to_fault(copy, good);
    if (error.code == Code::ok) {
      EXPECT_EQ(good, 50u);
      EXPECT_TRUE(whole[at] == 0 || at < 3 * 4096u) << "only unused space and the tables' names";
      ++harmless;
    } else {
      EXPECT_FALSE(error.text.empty());
      ++noticed;
    }
  }
  EXPECT_GT(noticed, 4'500u / fault_step); // a third of the rows' 17 kB
  EXPECT_GT(harmless, 0u);                 // unused bytes
}

TEST_F(damaged_journal, a_damaged_newest_snapshot_gives_way_to_the_one_before) {
  auto journal = open_good();
  ASSERT_TRUE(journal->acquire(Epoch(2), "m"));
  ASSERT_TRUE(journal->save_snapshot({Seq(20), "older"}));
  ASSERT_TRUE(journal->save_snapshot({Seq(40), "newer"}));
  ASSERT_TRUE(journal->truncate(Seq(20)));
  for (const char* damage : {"UPDATE snapshot_chunks SET body='newwr' WHERE snapshot=40",
                             "UPDATE snapshot_chunks SET crc=crc+1 WHERE snapshot=40",
                             "UPDATE snapshots SET hash=zeroblob(16) WHERE seq=40",
                             "DELETE FROM snapshot_chunks WHERE snapshot=40"}) {
    run_sql(path_, damage);
    const auto snapshot = journal->load_snapshot();
    ASSERT_TRUE(snapshot) << snapshot.error().message();
    EXPECT_EQ(snapshot->bytes, "older") << damage;
    ASSERT_TRUE(journal->save_snapshot({Seq(40), "newer"}));
    EXPECT_EQ(journal->load_snapshot()->bytes, "newer");
  }
  run_sql(path_, "UPDATE snapshot_chunks SET body='x'");
  const auto none = journal->load_snapshot();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::corrupt);
  EXPECT_NE(none.error().text.find("snapshot 40: chunk 0"), std::string::npos) << none.error().text;
}

// A journal whose last commits are in the write-ahead log only: the files as they are while the
// master runs.
class damaged_log : public ::testing::Test {
protected:
  void SetUp() override {
    const std::string path = folder_.file("journal.db");
    auto journal = open_sqlite({.path = path});
    ASSERT_TRUE(journal);
    ASSERT_TRUE((*journal)->acquire(Epoch(1), "m"));
    for (std::uint64_t n = 0; n < 8; ++n)
      ASSERT_TRUE(
        append(**journal, make_batch((*journal)->last().next(), 10, n == 5 ? 1'500 : 40)));
    database_ = read_file(path);
    log_ = read_file(path + "-wal");
    lock_ = read_file(path + ".lock");
  }
  // Opens the files with this log; with or without the note of what was acknowledged.
  Result<std::unique_ptr<Journal>> open_with(std::string_view log, bool noted) {
    const std::string copy = folder_.file("copy.db");
    std::filesystem::remove(copy + "-shm");
    write_file(copy, database_);
    write_file(copy + "-wal", log);
    write_file(copy + ".lock", noted ? lock_ : "");
    return open_sqlite({.path = copy});
  }
  TemporaryFolder folder_{TemporaryFolder::in_memory};
  std::string database_, log_, lock_;
};

TEST_F(damaged_log, whole_is_whole) {
  auto opened = open_with(log_, true);
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_EQ(read_all(**opened).size(), 80u);
  EXPECT_EQ((*opened)->verify()->torn_tail, "");
}

TEST_F(damaged_log, a_cut_end_is_reported_and_what_is_left_has_no_gap) {
  for (std::size_t size = 0; size < log_.size() && !HasFailure(); size += 509) {
    SCOPED_TRACE("log cut to " + std::to_string(size));
    auto opened = open_with(std::string_view(log_).substr(0, size), false);
    if (!opened) { // cut inside the first commit, which made the tables
      EXPECT_LT(size, 60'000u) << opened.error().message();
      continue;
    }
    EXPECT_EQ(read_all(**opened).size(), (*opened)->last().value);
    EXPECT_LT((*opened)->last(), Seq(80));
    if (size != 0 && size % 4120 != 32) { // there the cut leaves no trace: the note must tell
      EXPECT_NE((*opened)->verify()->torn_tail, "");
    }
  }
}

TEST_F(damaged_log, a_cut_end_that_was_acknowledged_is_refused) {
  for (std::size_t size = 0; size < log_.size(); size += 509) {
    const auto opened = open_with(std::string_view(log_).substr(0, size), true);
    ASSERT_FALSE(opened) << "cut to " << size;
    EXPECT_EQ(opened.error().code, Code::corrupt) << opened.error().message();
    EXPECT_NE(opened.error().text.find("lost: "), std::string::npos) << opened.error().text;
  }
}

TEST_F(damaged_log, a_flipped_bit_is_refused_unless_only_an_unacknowledged_end_can_be_meant) {
  std::uint64_t refused = 0;
  for (std::size_t at = 32; at < log_.size() && !HasFailure(); at += 131) {
    SCOPED_TRACE("byte " + std::to_string(at));
    std::string log = log_;
    log[at] = static_cast<char>(log[at] ^ (1 << (at % 8)));
    auto strict = open_with(log, true);
    EXPECT_FALSE(strict) << "acknowledged entries were lost in silence";
    auto lenient = open_with(log, false);
    if (!lenient) {
      EXPECT_EQ(lenient.error().code, Code::corrupt) << lenient.error().message();
      ++refused;
      continue;
    }
    EXPECT_EQ((*lenient)->last(), Seq(70)) << "more than the last commit was dropped";
    EXPECT_NE((*lenient)->verify()->torn_tail, "");
  }
  EXPECT_GT(refused, 100u);
}

TEST_F(damaged_log, says_when_its_header_is_damaged) {
  std::string log = log_;
  log[17] = static_cast<char>(log[17] ^ 4);
  write_file(folder_.file("x-wal"), log);
  EXPECT_NE(inspect_wal(folder_.file("x-wal")).torn.find("header"), std::string::npos);
  EXPECT_FALSE(open_with(log, true)) << "the note tells that all of it was acknowledged";
  EXPECT_TRUE(open_with(log, false)) << "without it, none of it may have been";
}

TEST_F(damaged_log, means_the_same_with_zeros_behind_it) {
  const std::string room(64 * 4120, '\0');
  auto whole = open_with(log_ + room, true);
  ASSERT_TRUE(whole) << whole.error().message();
  EXPECT_EQ(read_all(**whole).size(), 80u);
  EXPECT_EQ((*whole)->verify()->torn_tail, "");
  whole->reset();
  for (std::size_t size = 60'000; size < log_.size() && !HasFailure(); size += 1'009) {
    SCOPED_TRACE("log cut to " + std::to_string(size));
    const std::string cut = log_.substr(0, size) + room;
    EXPECT_FALSE(open_with(cut, true)) << "acknowledged entries were lost in silence";
    auto opened = open_with(cut, false);
    ASSERT_TRUE(opened) << opened.error().message();
    EXPECT_EQ(read_all(**opened).size(), (*opened)->last().value);
    EXPECT_LT((*opened)->last(), Seq(80));
  }
}

TEST(laid_out_log, has_its_length_before_the_first_entry_and_keeps_it) {
  const TemporaryFolder folder;
  const std::string path = folder.file("journal.db"), log = path + "-wal";
  for (std::uint64_t epoch = 1; epoch <= 3; ++epoch) {
    auto journal = open_sqlite({.path = path, .lay_out_log = true});
    ASSERT_TRUE(journal) << journal.error().message();
    if (std::filesystem::space(folder.file(".")).available < (1u << 30))
      return; // none is laid out on a small disk
    const auto length = std::filesystem::file_size(log);
    EXPECT_GE(length, 16u << 20);
    EXPECT_EQ((*journal)->verify()->torn_tail, "");
    ASSERT_TRUE((*journal)->acquire(Epoch(epoch), "m"));
    ASSERT_TRUE(append(**journal, make_batch((*journal)->last().next(), 10, 40)));
    EXPECT_EQ(std::filesystem::file_size(log), length);
    EXPECT_EQ(read_all(**journal).size(), 10 * epoch);
  }
}

TEST(laid_out_log, is_empty_when_nothing_has_been_written_and_only_then) {
  const TemporaryFolder folder;
  std::string log(1 << 20, '\0');
  write_file(folder.file("x-wal"), log);
  EXPECT_EQ(inspect_wal(folder.file("x-wal")).torn, "");
  EXPECT_EQ(inspect_wal(folder.file("x-wal")).corrupt, "");
  log[40] = 1;
  write_file(folder.file("x-wal"), log);
  EXPECT_NE(inspect_wal(folder.file("x-wal")).torn.find("header"), std::string::npos);
}

TEST(sqlite_journal, refuses_a_second_master_on_the_same_file) {
  const TemporaryFolder folder;
  const std::string path = folder.file("journal.db");
  auto first = open_sqlite({.path = path});
  ASSERT_TRUE(first);
  std::filesystem::create_symlink(path, folder.file("other-name.db"));
  for (const auto& name : {path, folder.file("other-name.db")}) {
    const auto second = open_sqlite({.path = name});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Code::refused);
    EXPECT_NE(second.error().text.find("process " + std::to_string(::getpid())), std::string::npos)
      << second.error().text;
  }
  EXPECT_TRUE(open_sqlite({.path = path, .read_only = true})) << "tools may read beside it";
  first->reset();
  EXPECT_TRUE(open_sqlite({.path = path})) << "the lock ends with its holder";
}

TEST(sqlite_journal, is_fenced_by_a_higher_epoch_even_without_the_lock) {
  const TemporaryFolder folder;
  const std::string path = folder.file("journal.db");
  auto first = open_sqlite({.path = path});
  ASSERT_TRUE(first && (*first)->acquire(Epoch(1), "a"));
  std::filesystem::remove(path + ".lock");
  auto second = open_sqlite({.path = path});
  ASSERT_TRUE(second && (*second)->acquire(Epoch(2), "b"));
  const auto done = append(**first, make_batch(Seq(1), 1));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::stale_epoch) << done.error().message();
  EXPECT_TRUE(append(**second, make_batch(Seq(1), 1)));
}

TEST(sqlite_journal, refuses_what_is_not_a_journal_and_leaves_it_alone) {
  const TemporaryFolder folder;
  const std::string path = folder.file("notes.txt");
  const std::string text(5'000, 'n');
  write_file(path, text);
  auto opened = open_sqlite({.path = path});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::refused) << opened.error().message();
  EXPECT_NE(opened.error().text.find("not a reeve journal"), std::string::npos);
  EXPECT_EQ(read_file(path), text);

  const std::string other = folder.file("other.db");
  write_file(other, "");
  run_sql(other, "CREATE TABLE theirs(x); PRAGMA application_id=42");
  opened = open_sqlite({.path = other});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::refused);
  EXPECT_NE(opened.error().text.find("application_id 42"), std::string::npos)
    << opened.error().text;
}

TEST(sqlite_journal, refuses_a_newer_layout) {
  const TemporaryFolder folder;
  const std::string path = folder.file("journal.db");
  ASSERT_TRUE(open_sqlite({.path = path}));
  run_sql(path, "PRAGMA user_version=2");
  const auto opened = open_sqlite({.path = path});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::unknown_version);
  EXPECT_NE(opened.error().text.find("layout 2"), std::string::npos) << opened.error().text;
}

TEST(sqlite_journal, says_what_is_wrong_with_its_place) {
  const TemporaryFolder folder;
  write_file(folder.file("file"), "x");
  const auto opened = open_sqlite({.path = folder.file("file") + "/journal.db"});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::io);
  const auto missing = open_sqlite({.path = folder.file("none.db"), .read_only = true});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::not_found);
  EXPECT_FALSE(std::filesystem::exists(folder.file("none.db")));
}

TEST(sqlite_journal, lets_only_its_owner_read_it) {
  const TemporaryFolder folder;
  const std::string path = folder.file("sub/folder/journal.db");
  auto opened = open_sqlite({.path = path});
  ASSERT_TRUE(opened && (*opened)->acquire(Epoch(1), "m"));
  for (const char* suffix : {"", "-wal", "-shm", ".lock"})
    EXPECT_EQ(std::filesystem::status(path + suffix).permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write)
      << suffix;
}

TEST(crc32c, agrees_with_rfc_3720_by_table_and_by_instruction) {
  std::string up, down;
  for (int k = 0; k < 32; ++k) {
    up.push_back(static_cast<char>(k));
    down.push_back(static_cast<char>(31 - k));
  }
  const std::pair<std::string, std::uint32_t> vectors[] = {{std::string(32, '\0'), 0x8a9136aau},
                                                           {std::string(32, '\xff'), 0x62a8ab43u},
                                                           {up, 0x46dd794eu},
                                                           {down, 0x113fdb5cu},
                                                           {"123456789", 0xe3069283u},
                                                           {"", 0u}};
  for (const auto& [bytes, sum] : vectors) {
    EXPECT_EQ(crc32c(bytes), sum);
    EXPECT_EQ(detail::crc32c_by_table(bytes, 0), sum);
  }
}

TEST(crc32c, gives_the_same_both_ways_for_any_length_and_in_pieces) {
  const std::string bytes = content_of(Seq(1), 300);
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    const auto part = std::string_view(bytes).substr(0, size);
    EXPECT_EQ(crc32c(part), detail::crc32c_by_table(part, 0));
    EXPECT_EQ(crc32c(part.substr(size / 3), crc32c(part.substr(0, size / 3))), crc32c(part));
  }
}

} // namespace
} // namespace reeve::journal
