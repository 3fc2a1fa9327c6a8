// What the history missed, read again from the journal.
#include "actors/refill.hpp"

#include "src/core/cluster.hpp"

#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

namespace reeve::actors {
namespace {

/// A journal with entries of a cluster, and a history beside it.
class Refills : public testing::Test {
protected:
  Refills() {
    std::string pattern = std::filesystem::temp_directory_path() / "reeve-refill-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    history = history::History::open(folder_ + "/history.db").value();
    EXPECT_TRUE(journal->acquire(Epoch(1), "m1"));
  }
  ~Refills() override { std::filesystem::remove_all(folder_); }

  /// A command that is journalled and, with `recorded`, told to the history as usual.
  JobId execute(const core::Command& command, bool recorded) {
    core::Changes changes;
    now_ += std::chrono::milliseconds(1);
    auto outcome = cluster.execute(command, now_, changes);
    if (!outcome.entry)
      return outcome.first_job;
    const Seq seq = cluster.last_seq();
    const journal::Batch batch{seq, {encode(*outcome.entry)}};
    EXPECT_TRUE(journal->append(std::span(&batch, 1)));
    if (recorded) {
      auto committed = std::make_shared<core::Committed>();
      committed->first = seq;
      committed->entries.push_back(*outcome.entry);
      committed->changes = changes;
      EXPECT_TRUE(history->record(std::vector<core::CommittedPtr>{committed}));
    }
    return outcome.first_job;
  }
  /// Jobs of one task each, submitted, placed and ended.
  void work(int jobs, bool recorded) {
    if (cluster.nodes().empty()) {
      core::RegisterNode node;
      node.name = "n1";
      node.incarnation = Incarnation(1);
      node.capacity.cpu_milli = 1'000'000;
      node.executors = {"noop"};
      execute(node, recorded);
    }
    for (int i = 0; i < jobs; ++i) {
      JobSpec spec;
      spec.name = "j";
      spec.executor = "noop";
      const JobId job = execute(core::SubmitJobs{{}, {Raw{encode(spec)}}}, recorded);
      execute(core::Place{{{NodeId(1), job, 1, {{0, 1, 1}}}}}, recorded);
      execute(core::Finish{NodeId(1), {{job, {{{0, 1, 1}, now_, now_}}, {}}}}, recorded);
    }
  }
  void snapshot() {
    EXPECT_TRUE(journal->save_snapshot({cluster.last_seq(), cluster.snapshot()}));
    EXPECT_TRUE(journal->truncate(cluster.last_seq()));
  }
  std::size_t rows(HistoryKind kind) {
    QueryHistory question;
    question.kind = kind;
    question.limit = 10'000;
    return history->query(question).value().rows.size();
  }
  std::unique_ptr<journal::Journal> journal = journal::open_memory(journal::make_memory_store());
  std::unique_ptr<history::History> history;
  core::Cluster cluster;

private:
  std::string folder_;
  TimePoint now_{Duration(1'700'000'000'000'000)};
};

TEST_F(Refills, a_new_history_gets_everything_that_is_there) {
  work(1'500, false);
  const auto filled = refill(*journal, *history, cluster.last_seq());
  ASSERT_TRUE(filled) << filled.error().message();
  EXPECT_EQ(history->last(), cluster.last_seq());
  EXPECT_EQ(rows(HistoryKind::jobs), 1'500u);
  EXPECT_EQ(rows(HistoryKind::attempts), 1'500u);
}
TEST_F(Refills, goes_on_where_the_history_ends_and_not_beyond_what_was_asked) {
  work(10, true);
  work(10, false);
  const Seq upto = cluster.last_seq();
  work(10, false);
  ASSERT_TRUE(refill(*journal, *history, upto));
  EXPECT_EQ(history->last(), upto);
  EXPECT_EQ(rows(HistoryKind::jobs), 20u);
}
TEST_F(Refills, begins_at_a_snapshot) {
  work(10, true);
  snapshot();
  work(10, true);
  work(10, false);
  ASSERT_TRUE(refill(*journal, *history, cluster.last_seq()));
  EXPECT_EQ(rows(HistoryKind::jobs), 30u);
}
TEST_F(Refills, what_a_snapshot_has_swallowed_is_a_gap_but_its_jobs_keep_their_names) {
  work(10, true);
  work(10, false);
  JobSpec spec;
  spec.name = "waits";
  spec.executor = "noop";
  const JobId job = execute(core::SubmitJobs{{}, {Raw{encode(spec)}}}, false);
  snapshot();
  execute(core::Cancel{job, {}, "test"}, false);
  ASSERT_TRUE(refill(*journal, *history, cluster.last_seq()));
  EXPECT_EQ(history->last(), cluster.last_seq());
  EXPECT_EQ(rows(HistoryKind::jobs), 11u);
  QueryHistory question;
  question.name = "waits";
  const auto found = history->query(question).value();
  ASSERT_EQ(found.rows.size(), 1u);
  EXPECT_EQ(found.rows[0][0], std::to_string(job.value));
}
TEST_F(Refills, an_unreadable_journal_is_an_error_and_changes_nothing) {
  work(2, true);
  const Seq before = history->last();
  const Seq next = cluster.last_seq().next();
  const journal::Batch bad{next, {"this is no entry"}};
  ASSERT_TRUE(journal->append(std::span(&bad, 1)));
  EXPECT_FALSE(refill(*journal, *history, next));
  EXPECT_EQ(history->last(), before);
}

} // namespace
} // namespace reeve::actors
