// The writer's thread, recovery and snapshots, over the real journal and the one in memory.
#include "tests/unit/ledger/fixture.hpp"

#include "src/ledger/recover.hpp"
#include "src/ledger/writer.hpp"

#include <filesystem>
#include <future>
#include <unistd.h>

namespace reeve::ledger::test {
namespace {

/// A journal that can be opened again after the master has died.
class Store {
public:
  virtual ~Store() = default;
  virtual std::unique_ptr<journal::Journal> open() = 0;
};
class MemoryStore : public Store {
public:
  std::unique_ptr<journal::Journal> open() override { return journal::open_memory(store); }
  std::shared_ptr<journal::MemoryStore> store = journal::make_memory_store();
};
class SqliteStore : public Store {
public:
  SqliteStore() {
    std::string pattern = (std::filesystem::temp_directory_path() / "reeve-ledger-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~SqliteStore() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  std::unique_ptr<journal::Journal> open() override {
    journal::SqliteOptions options;
    options.path = folder_ + "/journal.db";
    auto journal = journal::open_sqlite(options);
    EXPECT_TRUE(journal) << journal.error().message();
    return std::move(*journal);
  }

private:
  std::string folder_;
};

enum class Backend : std::uint8_t { memory, sqlite };
std::unique_ptr<Store> make_store(Backend backend) {
  if (backend == Backend::memory)
    return std::make_unique<MemoryStore>();
  return std::make_unique<SqliteStore>();
}

/// Reports of a writer, awaited one by one.
class Reports {
public:
  Writer::OnReport taker() {
    return [this](Writer::Report report) {
      {
        const std::scoped_lock lock(mutex_);
        reports_.push_back(std::move(report));
      }
      come_.notify_one();
    };
  }
  Writer::Report next() {
    std::unique_lock lock(mutex_);
    if (!come_.wait_for(lock, std::chrono::seconds(30), [this] { return !reports_.empty(); })) {
      ADD_FAILURE() << "no report came";
      return {Seq(0), {}};
    }
    auto report = std::move(reports_.front());
    reports_.pop_front();
    return report;
  }
  /// Reports until everything up to `seq` is durable.
  void await(Seq seq) {
    for (;;) {
      const auto report = next();
      ASSERT_TRUE(report.durable) << report.durable.error().message();
      if (*report.durable >= seq)
        return;
    }
  }

private:
  std::mutex mutex_;
  std::condition_variable come_;
  std::deque<Writer::Report> reports_;
};

/// A small history: two jobs of a hundred, one of which runs.
void live(Ledger& ledger, TimePoint now) {
  core::SubmitJobs submit;
  submit.key = {"k"};
  submit.specs = {Raw{encode(array_of(100))}, Raw{encode(array_of(100))}};
  ledger.request(client, 1, submit, now);
  RegisterNode node;
  node.name = "a";
  node.incarnation = Incarnation(1);
  node.capacity = vcores(4);
  node.executors = {"noop"};
  ledger.register_node(agent, 1, node, std::chrono::seconds(1), now);
  ledger.wish(core::Place{{{NodeId(1), JobId(1), 2, {{0, 40}}}}}, now);
  Results results;
  results.jobs = {{JobId(1), {{{0, 10}, now, now}}, {}}};
  ledger.results(agent, NodeId(1), results, now);
}

class journals : public testing::TestWithParam<Backend> {
protected:
  std::unique_ptr<Store> store_ = make_store(GetParam());
  TimePoint now_{std::chrono::hours(500'000)};

  /// As reeved starts.
  Ledger start(journal::Journal& journal, Epoch* epoch = nullptr) {
    auto recovered = recover(journal);
    EXPECT_TRUE(recovered) << recovered.error().message();
    const Epoch before = std::max(recovered->cluster.epoch(), journal.epoch());
    EXPECT_TRUE(journal.acquire(before.next(), "m"));
    Ledger ledger({"c", "m", "p", now_}, std::move(recovered->cluster));
    const Epoch mine = ledger.begin(now_, before);
    if (epoch)
      *epoch = mine;
    return ledger;
  }
};

TEST_P(journals, what_was_reported_durable_is_there_after_the_master_died) {
  std::uint64_t hash = 0;
  {
    auto journal = store_->open();
    Ledger ledger = start(*journal);
    Reports reports;
    Writer writer(std::move(journal), reports.taker());
    live(ledger, now_);
    writer.append(ledger.take_batches());
    reports.await(ledger.cluster().last_seq());
    ledger.durable(ledger.cluster().last_seq());
    EXPECT_FALSE(ledger.take_effects().empty());
    hash = ledger.cluster().state_hash();
  }
  auto journal = store_->open();
  const auto recovered = recover(*journal);
  ASSERT_TRUE(recovered) << recovered.error().message();
  EXPECT_EQ(recovered->cluster.state_hash(), hash);
  EXPECT_EQ(recovered->snapshot, Seq(0));
  EXPECT_EQ(recovered->replayed, recovered->cluster.last_seq().value);
}

TEST_P(journals, a_writer_finishes_what_is_queued_before_it_ends) {
  Seq last;
  {
    auto journal = store_->open();
    Ledger ledger = start(*journal);
    Writer writer(std::move(journal), [](const Writer::Report&) {});
    for (int i = 0; i < 50; ++i) {
      ledger.request(client, 1, SetConfig{{{"x", std::to_string(i)}}}, now_);
      writer.append(ledger.take_batches());
    }
    last = ledger.cluster().last_seq();
  }
  EXPECT_EQ(store_->open()->last(), last);
}

TEST_P(journals, a_snapshot_takes_the_place_of_what_it_covers_and_recovery_starts_from_it) {
  std::uint64_t hash = 0;
  Seq covered;
  {
    auto journal = store_->open();
    Ledger ledger = start(*journal);
    Reports reports;
    Writer writer(std::move(journal), reports.taker());
    live(ledger, now_);
    writer.append(ledger.take_batches());
    covered = ledger.cluster().last_seq();
    reports.await(covered);

    std::promise<std::unique_ptr<journal::Journal>> reader;
    writer.run([&](journal::Journal& own) { reader.set_value(std::move(*own.reader())); });
    auto beside = reader.get_future().get();
    auto snapshot = make_snapshot(*beside);
    ASSERT_TRUE(snapshot) << snapshot.error().message();
    EXPECT_EQ(snapshot->seq, covered);
    ledger.request(client, 2, SetConfig{{{"x", "1"}}}, now_);
    writer.append(ledger.take_batches());
    writer.save(std::move(*snapshot));
    Writer::Report report = reports.next();
    while (!report.snapshot) {
      ASSERT_FALSE(report.snapshot_failed) << report.snapshot_failed->message();
      report = reports.next();
    }
    EXPECT_EQ(report.snapshot, covered);
    hash = ledger.cluster().state_hash();
  }
  auto journal = store_->open();
  const auto recovered = recover(*journal);
  ASSERT_TRUE(recovered) << recovered.error().message();
  EXPECT_EQ(recovered->snapshot, covered);
  EXPECT_EQ(recovered->replayed, 1u);
  EXPECT_EQ(recovered->cluster.state_hash(), hash);
  EXPECT_EQ(
    journal->read(Seq(1), [](Seq, std::string_view) -> Result<void> { return {}; }).error().code,
    Code::not_found);
}

TEST_P(journals, a_snapshot_that_cannot_be_stored_is_told_and_appending_goes_on) {
  auto journal = store_->open();
  Ledger ledger = start(*journal);
  Reports reports;
  Writer writer(std::move(journal), reports.taker());
  writer.save({Seq(1000), "of the future"});
  const auto report = reports.next();
  EXPECT_TRUE(report.durable);
  EXPECT_TRUE(report.snapshot_failed);
  writer.append(ledger.take_batches());
  reports.await(ledger.cluster().last_seq());
}

TEST_P(journals, each_start_is_a_new_reign) {
  for (std::uint64_t n = 1; n <= 3; ++n) {
    auto journal = store_->open();
    Epoch epoch;
    Ledger ledger = start(*journal, &epoch);
    EXPECT_EQ(epoch, Epoch(n));
    if (n != 2) { // the second one dies before its first entry
      ASSERT_TRUE(journal->append(ledger.take_batches()));
    }
  }
}

TEST_P(journals, an_empty_journal_is_an_empty_cluster) {
  auto journal = store_->open();
  const auto recovered = recover(*journal);
  ASSERT_TRUE(recovered);
  EXPECT_EQ(recovered->cluster.last_seq(), Seq(0));
  EXPECT_FALSE(make_snapshot(*journal));
}

TEST_P(journals, an_entry_that_is_not_one_is_reported_with_its_seq) {
  auto journal = store_->open();
  Ledger ledger = start(*journal);
  ASSERT_TRUE(journal->append(ledger.take_batches()));
  const std::vector<journal::Batch> rubbish{{Seq(2), {"\xc1rubbish"}}};
  ASSERT_TRUE(journal->append(rubbish));
  const auto recovered = recover(*journal);
  ASSERT_FALSE(recovered);
  EXPECT_EQ(recovered.error().code, Code::corrupt);
  EXPECT_EQ(recovered.error().field, "entry 2");
}

TEST_P(journals, an_entry_that_does_not_fit_is_reported_with_its_seq) {
  auto journal = store_->open();
  Ledger ledger = start(*journal);
  ASSERT_TRUE(journal->append(ledger.take_batches()));
  const std::vector<journal::Batch> strange{
    {Seq(2), {encode(Entry{now_, ConfigChanged{{{"a", "1"}}}})}},
    {Seq(3), {encode(Entry{now_, JobHeld{JobId(7), true, {}}})}}};
  ASSERT_TRUE(journal->append(strange));
  const auto recovered = recover(*journal);
  ASSERT_FALSE(recovered);
  EXPECT_EQ(recovered.error().code, Code::corrupt);
  EXPECT_EQ(recovered.error().field, "entry 3");
  EXPECT_NE(recovered.error().text.find("job 7 is unknown"), std::string::npos);
}

TEST_P(journals, a_snapshot_that_is_not_one_is_reported) {
  auto journal = store_->open();
  Ledger ledger = start(*journal);
  ASSERT_TRUE(journal->append(ledger.take_batches()));
  ASSERT_TRUE(journal->save_snapshot({Seq(1), "rubbish"}));
  auto recovered = recover(*journal);
  ASSERT_FALSE(recovered);
  EXPECT_EQ(recovered.error().code, Code::corrupt);
  EXPECT_EQ(recovered.error().field, "snapshot 1");
  ASSERT_TRUE(journal->save_snapshot({Seq(1), core::Cluster().snapshot()}));
  recovered = recover(*journal);
  ASSERT_FALSE(recovered);
  EXPECT_NE(recovered.error().text.find("after entry 0"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(of, journals, testing::Values(Backend::memory, Backend::sqlite),
                         [](const auto& test) {
                           return test.param == Backend::memory ? "memory" : "sqlite";
                         });

TEST(writer, drops_what_is_queued_behind_a_failed_append_until_it_resumes) {
  MemoryStore store;
  auto journal = store.open();
  ASSERT_TRUE(journal->acquire(Epoch(1), "m"));
  Reports reports;
  Writer writer(std::move(journal), reports.taker());
  const auto batch = [](std::uint64_t seq) {
    return std::vector<journal::Batch>{{Seq(seq), {"entry"}}};
  };
  writer.append(batch(1));
  reports.await(Seq(1));
  journal::fail_appends_after(*store.store, 0, Code::unavailable);
  writer.append(batch(2));
  EXPECT_EQ(reports.next().durable.error().code, Code::unavailable);
  journal::fail_appends_after(*store.store, 0, {});
  writer.append(batch(3)); // does not fit behind entry 1: must not be tried
  std::promise<Seq> last;
  writer.run([&](journal::Journal& own) { last.set_value(own.last()); });
  EXPECT_EQ(last.get_future().get(), Seq(1));
  writer.resume();
  writer.append(batch(2));
  reports.await(Seq(2));
}

} // namespace
} // namespace reeve::ledger::test
