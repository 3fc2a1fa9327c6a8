// A disk that is full or broken: nothing is stored by halves, the error says what happened, and
// work goes on when there is room.
#include "tests/unit/journal/fault_vfs/fault_vfs.hpp"
#include "tests/unit/journal/workload.hpp"

#include <csignal>
#include <fstream>
#include <sys/mount.h>
#include <sys/resource.h>

namespace reeve::journal {
namespace {
using namespace journal_tests;
using faults::Fault;

// What a crash at this moment would leave, opened: the files without SQLite's shared memory and
// without our lock's note.
std::uint64_t last_after_crash(const std::string& path, const TemporaryFolder& folder) {
  const std::string copy = folder.file("after-crash.db");
  for (const char* suffix : {"", "-wal"}) {
    std::error_code ignored;
    std::filesystem::remove(copy + suffix, ignored);
    std::filesystem::copy_file(path + suffix, copy + suffix, ignored);
  }
  auto opened = open_sqlite({.path = copy});
  EXPECT_TRUE(opened) << opened.error().message();
  if (!opened)
    return 0;
  const Seq last = (*opened)->last();
  const auto snapshot = (*opened)->load_snapshot();
  EXPECT_TRUE(snapshot);
  const Seq from = snapshot ? snapshot->seq.next() : Seq(1);
  EXPECT_EQ(read_all(**opened, from).size(), last.value - from.value + 1);
  return last.value;
}

// Opening and the reign, tried again once the fault is over.
std::unique_ptr<Journal> open_through_fault(const std::string& path, Code expected) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto opened = open_sqlite({.path = path});
    auto taken = opened ? (*opened)->acquire((*opened)->epoch().next(), "m")
                        : Result<void>(tl::unexpected<Error>(opened.error()));
    if (taken)
      return std::move(*opened);
    EXPECT_TRUE(faults::struck()) << taken.error().message();
    EXPECT_EQ(taken.error().code, expected) << taken.error().message();
    faults::disarm();
  }
  ADD_FAILURE() << "could not open once the fault was over";
  return nullptr;
}

struct FaultRow {
  std::string name;
  Fault fault;
  Code code;
};

class failing_disk : public ::testing::TestWithParam<FaultRow> {
protected:
  void SetUp() override { faults::install_fault_vfs(); }
  void TearDown() override { faults::remove_fault_vfs(); }

  // One life with the fault at operation `at`. False: the fault was never reached.
  bool live(std::uint64_t at) {
    const TemporaryFolder folder(TemporaryFolder::in_memory);
    const std::string path = folder.file("journal.db");
    faults::arm(GetParam().fault, at, 1, "journal.db");
    auto journal = open_through_fault(path, GetParam().code);
    if (!journal)
      return false;
    int steps_after = 6; // a snapshot is among them
    for (int step = 0; step < workload_steps && steps_after > 0 && !HasFailure(); ++step) {
      one_step(*journal, step, path, folder);
      steps_after -= faults::struck() ? 1 : 0;
    }
    const bool reached = faults::struck();
    faults::disarm();
    const Seq last = journal->last();
    journal.reset();
    EXPECT_EQ(last_after_crash(path, folder), last.value);
    return reached && !HasFailure();
  }

  void one_step(Journal& journal, int step, const std::string& path,
                const TemporaryFolder& folder) {
    const Seq before = journal.last();
    const auto batches = step_batches(step, before);
    auto done = journal.append(batches);
    if (!done) {
      EXPECT_TRUE(faults::struck()) << done.error().message();
      EXPECT_EQ(done.error().code, GetParam().code) << done.error().message();
      EXPECT_EQ(journal.last(), before);
      const bool settled = done.error().text.find("cannot be settled") == std::string::npos;
      if (settled) {
        EXPECT_EQ(last_after_crash(path, folder), before.value)
          << "a refused append would come back";
      }
      if (GetParam().fault != Fault::break_once) {
        EXPECT_FALSE(journal.append(batches)) << "the disk is still bad";
      }
      faults::disarm();
      done = journal.append(batches);
      ASSERT_TRUE(done) << "after the fault: " << done.error().message();
    }
    ASSERT_EQ(journal.last(), batches.back().last());
    if (!step_saves(step))
      return;
    const Seq seq(journal.last().value - 2);
    for (int attempt = 0; attempt < 2; ++attempt) {
      auto saved = journal.save_snapshot({seq, state_at(seq)}).and_then([&] {
        return journal.truncate(Seq(seq.value - 5));
      });
      if (saved)
        break;
      EXPECT_EQ(attempt, 0) << saved.error().message();
      EXPECT_EQ(saved.error().code, GetParam().code) << saved.error().message();
      faults::disarm();
    }
    const auto snapshot = journal.load_snapshot();
    ASSERT_TRUE(snapshot) << snapshot.error().message();
    EXPECT_EQ(snapshot->seq, seq);
  }
};
INSTANTIATE_TEST_SUITE_P(that, failing_disk,
                         ::testing::Values(FaultRow{"is_full", Fault::full, Code::unavailable},
                                           FaultRow{"fails_once", Fault::break_once, Code::io},
                                           FaultRow{"stays_broken", Fault::break_down, Code::io}),
                         [](const auto& row) { return row.param.name; });

TEST_P(failing_disk, at_any_write_stores_nothing_by_halves_and_work_goes_on_later) {
  std::uint64_t at = 1;
  for (; !HasFailure(); at += fault_step) {
    SCOPED_TRACE("fault at operation " + std::to_string(at));
    if (!live(at))
      break;
  }
  EXPECT_GT(at, 300u) << "the workload has shrunk, or a fault failed the test";
}

// Appends until the disk is full, makes room, goes on, opens again: everything acknowledged is
// there.
void fill_and_recover(const std::string& path, const std::function<void()>& make_room) {
  auto opened = open_sqlite({.path = path});
  ASSERT_TRUE(opened) << opened.error().message();
  auto& journal = **opened;
  ASSERT_TRUE(journal.acquire(Epoch(1), "m"));
  Result<void> done;
  for (int n = 0; n < 10'000 && done; ++n)
    done = append(journal, make_batch(journal.last().next(), 20, 1'000));
  ASSERT_FALSE(done) << "the disk never filled up";
  EXPECT_EQ(done.error().code, Code::unavailable) << done.error().message();
  const Seq full_at = journal.last();
  EXPECT_GT(full_at, Seq(100));
  EXPECT_FALSE(append(journal, make_batch(full_at.next(), 200, 1'000)));
  EXPECT_EQ(journal.last(), full_at);
  EXPECT_EQ(read_all(journal).size(), full_at.value) << "what was acknowledged stays readable";
  make_room();
  for (int n = 0; n < 20; ++n) {
    done = append(journal, make_batch(journal.last().next(), 20, 1'000));
    ASSERT_TRUE(done) << "with room again: " << done.error().message();
  }
  const Seq last = journal.last();
  opened->reset();
  auto again = open_sqlite({.path = path});
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ((*again)->last(), last);
  const auto entries = read_all(**again);
  ASSERT_EQ(entries.size(), last.value);
  EXPECT_EQ(entries.at(last.value), content_of(last, 1'000));
}

// Where a small file system may not be mounted, the limit on a file's size stands in for it.
class SizeLimit {
public:
  explicit SizeLimit(rlim_t bytes) {
    old_action_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~SizeLimit() {
    lift();
    std::signal(SIGXFSZ, old_action_);
  }
  SizeLimit(const SizeLimit&) = delete;
  SizeLimit& operator=(const SizeLimit&) = delete;
  void lift() { ::setrlimit(RLIMIT_FSIZE, &old_); }

private:
  rlimit old_{};
  void (*old_action_)(int) = SIG_DFL;
};

TEST(sqlite_journal, goes_on_after_a_files_size_limit_was_lifted) {
  const TemporaryFolder folder;
  SizeLimit limit(3u << 20);
  fill_and_recover(folder.file("journal.db"), [&] { limit.lift(); });
}

TEST(sqlite_journal, goes_on_after_a_full_file_system_got_room) {
  const TemporaryFolder folder;
  const std::string disk = folder.file("disk");
  std::filesystem::create_directory(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=6m") != 0) {
    SizeLimit limit(4u << 20);
    fill_and_recover(disk + "/journal.db", [&] { limit.lift(); });
    return;
  }
  { std::ofstream(disk + "/ballast") << std::string(3u << 20, 'x'); }
  fill_and_recover(disk + "/journal.db", [&] { std::filesystem::remove(disk + "/ballast"); });
  EXPECT_EQ(::umount(disk.c_str()), 0);
}

TEST(sqlite_journal, goes_on_below_its_own_size_limit_after_truncation) {
  const TemporaryFolder folder(TemporaryFolder::in_memory);
  auto opened = open_sqlite({.path = folder.file("journal.db"), .max_bytes = 2u << 20});
  ASSERT_TRUE(opened);
  auto& journal = **opened;
  ASSERT_TRUE(journal.acquire(Epoch(1), "m"));
  Result<void> done;
  for (int n = 0; n < 1'000 && done; ++n)
    done = append(journal, make_batch(journal.last().next(), 20, 1'000));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::unavailable);
  EXPECT_NE(done.error().text.find("2097152"), std::string::npos) << done.error().text;
  ASSERT_TRUE(journal.save_snapshot({journal.last(), "state"}));
  ASSERT_TRUE(journal.truncate(journal.last()));
  EXPECT_TRUE(append(journal, make_batch(journal.last().next(), 20, 1'000)));
}

TEST(sqlite_journal, gives_the_space_of_truncated_entries_back_to_the_file_system) {
  const TemporaryFolder folder(TemporaryFolder::in_memory);
  const std::string path = folder.file("journal.db");
  auto opened = open_sqlite({.path = path});
  ASSERT_TRUE(opened);
  auto& journal = **opened;
  ASSERT_TRUE(journal.acquire(Epoch(1), "m"));
  for (int n = 0; n < 700; ++n)
    ASSERT_TRUE(append(journal, make_batch(journal.last().next(), 44, 1'000)));
  ASSERT_TRUE(journal.save_snapshot({journal.last(), "state"}));
  ASSERT_TRUE(journal.truncate(journal.last()));
  ASSERT_TRUE(journal.verify());
  opened->reset(); // the log is folded into the file
  EXPECT_LT(std::filesystem::file_size(path), 20u << 20);
}

} // namespace
} // namespace reeve::journal
