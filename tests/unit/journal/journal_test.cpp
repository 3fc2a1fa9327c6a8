// What every backend promises: one suite, run over each.
#include "tests/unit/journal/etcd_member.hpp"

namespace reeve::journal {
namespace {
using namespace journal_tests;

// One kind of journal that can be closed and opened again.
struct Backend {
  virtual ~Backend() = default;
  virtual std::unique_ptr<Journal> open() = 0;
};
struct Sqlite final : Backend {
  TemporaryFolder folder;
  std::unique_ptr<Journal> open() override {
    auto journal = open_sqlite({.path = folder.file("journal.db")});
    EXPECT_TRUE(journal) << journal.error().message();
    return journal ? std::move(*journal) : nullptr;
  }
};
struct Memory final : Backend {
  std::shared_ptr<MemoryStore> store = make_memory_store();
  std::unique_ptr<Journal> open() override { return open_memory(store); }
};

// Each test has a cluster of its own in the one etcd.
struct Etcd final : Backend {
  std::string cluster = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  Etcd() { std::replace(cluster.begin(), cluster.end(), '/', '-'); }
  std::unique_ptr<Journal> open() override {
    auto journal = open_etcd(EtcdMember::shared().options(cluster));
    EXPECT_TRUE(journal) << journal.error().message();
    return journal ? std::move(*journal) : nullptr;
  }
};

class every_journal : public ::testing::TestWithParam<std::string> {
protected:
  void SetUp() override {
    if (GetParam() == "sqlite")
      backend_ = std::make_unique<Sqlite>();
    else if (GetParam() == "etcd")
      backend_ = std::make_unique<Etcd>();
    else
      backend_ = std::make_unique<Memory>();
    reopen(Epoch(1));
  }
  void reopen(Epoch epoch) {
    journal_.reset(); // one master at a time
    journal_ = backend_->open();
    ASSERT_TRUE(journal_);
    const auto taken = journal_->acquire(epoch, "m1");
    ASSERT_TRUE(taken) << taken.error().message();
  }
  void append_good(Batch batch) {
    const auto done = append(*journal_, std::move(batch));
    ASSERT_TRUE(done) << done.error().message();
  }
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Journal> journal_;
};
INSTANTIATE_TEST_SUITE_P(backends, every_journal, ::testing::Values("sqlite", "memory", "etcd"),
                         [](const auto& row) { return row.param; });

TEST_P(every_journal, is_empty_when_new) {
  EXPECT_EQ(journal_->last(), Seq(0));
  EXPECT_TRUE(read_all(*journal_).empty());
  const auto snapshot = journal_->load_snapshot();
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->seq, Seq(0));
}

TEST_P(every_journal, gives_back_what_was_appended_after_reopening) {
  append_good(make_batch(Seq(1), 3));
  const Batch two[] = {make_batch(Seq(4), 1), make_batch(Seq(5), 1000, 44)};
  ASSERT_TRUE(journal_->append(two));
  EXPECT_EQ(journal_->last(), Seq(1004));
  reopen(Epoch(2));
  EXPECT_EQ(journal_->last(), Seq(1004));
  const auto entries = read_all(*journal_);
  ASSERT_EQ(entries.size(), 1004u);
  for (std::uint64_t seq = 1; seq <= 4; ++seq)
    EXPECT_EQ(entries.at(seq), content_of(Seq(seq)));
  EXPECT_EQ(entries.at(777), content_of(Seq(777), 44));
}

TEST_P(every_journal, keeps_empty_and_binary_entries) {
  append_good({Seq(1), {"", std::string("\0\n\xff", 3), ""}});
  reopen(Epoch(2));
  const auto entries = read_all(*journal_);
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries.at(1), "");
  EXPECT_EQ(entries.at(2), std::string("\0\n\xff", 3));
}

TEST_P(every_journal, keeps_an_entry_of_many_megabytes) {
  append_good({Seq(1), {std::string(20u << 20, 'x'), "y"}});
  reopen(Epoch(2));
  const auto entries = read_all(*journal_);
  EXPECT_EQ(entries.at(1).size(), 20u << 20);
  EXPECT_EQ(entries.at(2), "y");
}

TEST_P(every_journal, reads_from_the_middle_of_a_batch) {
  append_good(make_batch(Seq(1), 10));
  append_good(make_batch(Seq(11), 10));
  EXPECT_EQ(read_all(*journal_, Seq(7)).size(), 14u);
  EXPECT_EQ(read_all(*journal_, Seq(20)).size(), 1u);
  EXPECT_EQ(read_all(*journal_, Seq(21)).size(), 0u);
  EXPECT_EQ(read_all(*journal_, Seq(500)).size(), 0u);
}

TEST_P(every_journal, passes_the_readers_error_on_and_stops) {
  append_good(make_batch(Seq(1), 10));
  int calls = 0;
  const auto done = journal_->read(Seq(1), [&](Seq, std::string_view) -> Result<void> {
    ++calls;
    return fail(Code::timed_out, "x", "enough");
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::timed_out);
  EXPECT_EQ(calls, 1);
}

TEST_P(every_journal, refuses_a_batch_that_leaves_a_gap_or_repeats) {
  append_good(make_batch(Seq(1), 3));
  for (const std::uint64_t first : {5u, 3u, 0u}) {
    const auto done = append(*journal_, make_batch(Seq(first), 1));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, Code::internal);
  }
  const Batch gap[] = {make_batch(Seq(4), 2), make_batch(Seq(7), 1)};
  EXPECT_FALSE(journal_->append(gap));
  EXPECT_FALSE(append(*journal_, {Seq(4), {}}));
  EXPECT_EQ(journal_->last(), Seq(3));
  EXPECT_EQ(read_all(*journal_).size(), 3u);
  append_good(make_batch(Seq(4), 1));
}

TEST_P(every_journal, appending_nothing_changes_nothing) {
  ASSERT_TRUE(journal_->append({}));
  EXPECT_EQ(journal_->last(), Seq(0));
}

TEST_P(every_journal, takes_only_growing_epochs_and_remembers_the_highest) {
  EXPECT_EQ(journal_->epoch(), Epoch(1));
  journal_.reset();
  journal_ = backend_->open();
  for (const std::uint64_t epoch : {1u, 0u}) {
    const auto taken = journal_->acquire(Epoch(epoch), "m2");
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, Code::refused);
  }
  ASSERT_TRUE(journal_->acquire(Epoch(7), "m2"));
  journal_.reset();
  journal_ = backend_->open();
  EXPECT_EQ(journal_->epoch(), Epoch(7));
}

TEST_P(every_journal, refuses_to_append_before_an_epoch_is_acquired) {
  journal_.reset();
  journal_ = backend_->open();
  const auto done = append(*journal_, make_batch(Seq(1), 1));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::refused);
}

TEST_P(every_journal, a_reader_sees_what_is_appended_later_and_cannot_write) {
  auto reader = journal_->reader();
  ASSERT_TRUE(reader) << reader.error().message();
  append_good(make_batch(Seq(1), 5));
  EXPECT_EQ((*reader)->last(), Seq(5));
  EXPECT_EQ(read_all(**reader).size(), 5u);
  EXPECT_FALSE((*reader)->acquire(Epoch(9), "m9"));
  EXPECT_FALSE(append(**reader, make_batch(Seq(6), 1)));
  EXPECT_FALSE((*reader)->truncate(Seq(5)));
  EXPECT_FALSE((*reader)->save_snapshot({Seq(5), "x"}));
}

TEST_P(every_journal, keeps_the_newest_snapshot) {
  append_good(make_batch(Seq(1), 10));
  for (const std::uint64_t seq : {3u, 6u, 9u}) {
    const auto saved = journal_->save_snapshot({Seq(seq), "state " + std::to_string(seq)});
    ASSERT_TRUE(saved) << saved.error().message();
  }
  ASSERT_TRUE(journal_->save_snapshot({Seq(9), "state 9 again"}));
  reopen(Epoch(2));
  const auto snapshot = journal_->load_snapshot();
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->seq, Seq(9));
  EXPECT_EQ(snapshot->bytes, "state 9 again");
}

TEST_P(every_journal, keeps_snapshots_of_many_chunks_and_of_no_bytes) {
  append_good(make_batch(Seq(1), 2));
  const std::string large = content_of(Seq(1), 33u << 20) + "end";
  ASSERT_TRUE(journal_->save_snapshot({Seq(1), large}));
  EXPECT_TRUE(journal_->load_snapshot()->bytes == large);
  ASSERT_TRUE(journal_->save_snapshot({Seq(2), ""}));
  EXPECT_EQ(journal_->load_snapshot()->seq, Seq(2));
}

TEST_P(every_journal, refuses_a_snapshot_of_entries_that_are_not_there) {
  append_good(make_batch(Seq(1), 2));
  EXPECT_FALSE(journal_->save_snapshot({Seq(3), "future"}));
  EXPECT_FALSE(journal_->save_snapshot({Seq(0), "nothing"}));
}

TEST_P(every_journal, truncates_up_to_the_newest_snapshot_and_never_beyond) {
  for (std::uint64_t first = 1; first <= 91; first += 10)
    append_good(make_batch(Seq(first), 10));
  ASSERT_TRUE(journal_->truncate(Seq(50))); // no snapshot: nothing may go
  EXPECT_EQ(read_all(*journal_).size(), 100u);
  ASSERT_TRUE(journal_->save_snapshot({Seq(60), "state"}));
  const auto cut = journal_->truncate(Seq(80));
  ASSERT_TRUE(cut) << cut.error().message();
  reopen(Epoch(2));
  EXPECT_EQ(journal_->last(), Seq(100));
  EXPECT_EQ(read_all(*journal_, Seq(61)).size(), 40u);
  const auto gone = journal_->read(Seq(60), [](Seq, std::string_view) { return Result<void>(); });
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, Code::not_found);
}

TEST_P(every_journal, goes_on_after_everything_was_truncated) {
  append_good(make_batch(Seq(1), 10));
  ASSERT_TRUE(journal_->save_snapshot({Seq(10), "state"}));
  ASSERT_TRUE(journal_->truncate(Seq(10)));
  reopen(Epoch(2));
  EXPECT_EQ(journal_->last(), Seq(10));
  EXPECT_EQ(read_all(*journal_, Seq(11)).size(), 0u);
  append_good(make_batch(Seq(11), 2));
  EXPECT_EQ(read_all(*journal_, Seq(11)).size(), 2u);
  EXPECT_EQ(journal_->load_snapshot()->bytes, "state");
}

TEST_P(every_journal, begins_behind_the_snapshot_that_it_was_filled_with) {
  ASSERT_TRUE(journal_->seed({Seq(60), "state"}));
  append_good(make_batch(Seq(61), 5));
  EXPECT_FALSE(journal_->seed({Seq(70), "other"}));
  reopen(Epoch(2));
  EXPECT_EQ(journal_->last(), Seq(65));
  EXPECT_EQ(journal_->load_snapshot()->bytes, "state");
  EXPECT_EQ(read_all(*journal_, Seq(61)).size(), 5u);
  EXPECT_FALSE(journal_->read(Seq(60), [](Seq, std::string_view) { return Result<void>(); }));
}

TEST_P(every_journal, verify_tells_what_is_there) {
  append_good(make_batch(Seq(1), 10));
  append_good(make_batch(Seq(11), 10));
  ASSERT_TRUE(journal_->save_snapshot({Seq(12), "state"}));
  ASSERT_TRUE(journal_->truncate(Seq(10)));
  const auto health = journal_->verify();
  ASSERT_TRUE(health) << health.error().message();
  EXPECT_EQ(health->first, Seq(11));
  EXPECT_EQ(health->last, Seq(20));
  EXPECT_EQ(health->snapshot, Seq(12));
  EXPECT_EQ(health->torn_tail, "");
  EXPECT_GT(health->bytes, 0u);
}

TEST(memory_journal, fails_appends_when_told_to_and_recovers) {
  auto store = make_memory_store();
  auto journal = open_memory(store);
  ASSERT_TRUE(journal->acquire(Epoch(1), "m"));
  fail_appends_after(*store, 1, Code::unavailable);
  EXPECT_TRUE(append(*journal, make_batch(Seq(1), 1)));
  for (int k = 0; k < 2; ++k) {
    const auto done = append(*journal, make_batch(Seq(2), 1));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, Code::unavailable);
  }
  EXPECT_EQ(journal->last(), Seq(1));
  fail_appends_after(*store, 0, std::nullopt);
  EXPECT_TRUE(append(*journal, make_batch(Seq(2), 1)));
}

TEST(memory_journal, fences_the_master_before) {
  auto store = make_memory_store();
  auto old_master = open_memory(store);
  ASSERT_TRUE(old_master->acquire(Epoch(1), "old"));
  auto new_master = open_memory(store);
  ASSERT_TRUE(new_master->acquire(Epoch(2), "new"));
  const auto done = append(*old_master, make_batch(Seq(1), 1));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::stale_epoch);
  EXPECT_TRUE(append(*new_master, make_batch(Seq(1), 1)));
}

} // namespace
} // namespace reeve::journal
