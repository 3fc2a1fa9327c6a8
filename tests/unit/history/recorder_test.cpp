// The thread: order, missing entries, trouble. Awaits what it looks for, never a time.
#include "src/history/recorder.hpp"
#include "tests/unit/history/world.hpp"

#include <future>

namespace reeve::history {
namespace {

using namespace std::chrono_literals;

class Recording : public testing::Test {
protected:
  RecorderOptions options() {
    RecorderOptions o;
    o.path = folder.file("history.db");
    o.refill = [this](History& history, Seq upto) -> Result<void> {
      const std::lock_guard lock(mutex);
      refills.emplace_back(history.last(), upto);
      if (refill_fails)
        return fail(Code::io, {}, "the journal cannot be read");
      for (const auto& batch : all)
        if (batch->first > history.last() && batch->last() <= upto)
          if (auto good = history.record(std::vector{batch}); !good)
            return good;
      return {};
    };
    o.tell = [this](bool trouble, const std::string& text) {
      const std::lock_guard lock(mutex);
      told.emplace_back(trouble, text);
    };
    o.flush_every = 1ms;
    o.retry_every = 1ms;
    return o;
  }
  core::CommittedPtr next() {
    world.submit("j");
    auto batch = world.commit();
    const std::lock_guard lock(mutex);
    all.push_back(batch);
    return batch;
  }
  /// What `ask` gives; an error as text.
  static std::string jobs(Recorder& recorder) {
    std::promise<std::string> promise;
    recorder.ask([&](Result<History*> history) {
      if (!history)
        return promise.set_value(history.error().message());
      promise.set_value(std::to_string((*history)->last().value));
    });
    return promise.get_future().get();
  }
  /// Asks until the answer is that; the test's time limit is the deadline.
  static void await(Recorder& recorder, const std::string& answer) {
    while (jobs(recorder) != answer)
      std::this_thread::yield();
  }
  TempFolder folder;
  World world;
  std::mutex mutex;
  std::vector<core::CommittedPtr> all;
  std::vector<std::pair<Seq, Seq>> refills;
  std::vector<std::pair<bool, std::string>> told;
  bool refill_fails = false;
};

TEST_F(Recording, an_answer_knows_everything_recorded_before_the_question) {
  auto o = options();
  o.flush_every = 1h;
  Recorder recorder(std::move(o));
  for (int i = 1; i <= 100; ++i) {
    recorder.record(next());
    if (i % 10 == 0) {
      EXPECT_EQ(jobs(recorder), std::to_string(i));
    }
  }
  EXPECT_TRUE(refills.empty());
}
TEST_F(Recording, records_by_itself) {
  Recorder recorder(options());
  for (int i = 0; i < 10; ++i)
    recorder.record(next());
  const auto reader = [&] {
    auto db = sqlite::Database::open(folder.file("history.db"), SQLITE_OPEN_READONLY);
    const auto n =
      db ? db->integer("SELECT count(*) FROM job_rows") : Result<std::optional<std::int64_t>>(0);
    return n ? n->value_or(0) : 0;
  };
  while (reader() < 10)
    std::this_thread::yield();
}
TEST_F(Recording, what_is_queued_is_recorded_at_the_end) {
  {
    auto o = options();
    o.flush_every = 1h;
    Recorder recorder(std::move(o));
    for (int i = 0; i < 10; ++i)
      recorder.record(next());
  }
  EXPECT_EQ(History::open(folder.file("history.db")).value()->last(), Seq(10));
}
TEST_F(Recording, what_came_before_it_began_is_read_from_the_journal) {
  for (int i = 0; i < 5; ++i)
    next();
  Recorder recorder(options());
  recorder.record(next());
  EXPECT_EQ(jobs(recorder), "6");
  EXPECT_EQ(refills, (std::vector<std::pair<Seq, Seq>>{{Seq(0), Seq(5)}}));
}
TEST_F(Recording, what_it_has_already_is_not_recorded_twice) {
  const auto first = next(), second = next();
  {
    Recorder recorder(options());
    recorder.record(first);
    recorder.record(second);
  }
  Recorder recorder(options());
  recorder.record(second);
  recorder.record(next());
  EXPECT_EQ(jobs(recorder), "3");
  EXPECT_TRUE(refills.empty());
}
TEST_F(Recording, what_it_had_to_drop_is_read_from_the_journal) {
  auto o = options();
  o.weight_max = 40;
  Recorder recorder(std::move(o));
  std::promise<void> go;
  recorder.ask([&](const Result<History*>&) { go.get_future().wait(); }); // it is busy
  for (int i = 0; i < 1'000; ++i)
    recorder.record(next());
  go.set_value();
  EXPECT_EQ(jobs(recorder), "1000");
  EXPECT_FALSE(refills.empty());
  auto db = sqlite::Database::open(folder.file("history.db"), SQLITE_OPEN_READONLY);
  EXPECT_EQ(db->integer("SELECT count(*) FROM job_rows").value(), 1'000);
}
TEST_F(Recording, a_journal_that_cannot_be_read_is_tried_again_and_told_once) {
  next();
  refill_fails = true;
  Recorder recorder(options());
  recorder.record(next());
  for (bool seen = false; !seen;) {
    const std::lock_guard lock(mutex);
    seen = refills.size() >= 3;
    refill_fails = !seen;
  }
  await(recorder, "2");
  const std::lock_guard lock(mutex);
  ASSERT_EQ(told.size(), 2u);
  EXPECT_TRUE(told[0].first);
  EXPECT_NE(told[0].second.find("the journal cannot be read"), std::string::npos);
  EXPECT_FALSE(told[1].first);
}
TEST_F(Recording, what_can_never_be_read_becomes_a_gap) {
  next();
  refill_fails = true;
  Recorder recorder(options());
  recorder.record(next());
  await(recorder, "2");
  auto db = sqlite::Database::open(folder.file("history.db"), SQLITE_OPEN_READONLY);
  EXPECT_EQ(db->text("SELECT first_seq||'-'||last_seq FROM gaps").value(), "1-1");
}
TEST_F(Recording, without_a_file_questions_say_why_until_there_is_one) {
  std::filesystem::create_directory(folder.file("history.db")); // no file can be there
  Recorder recorder(options());
  recorder.record(next());
  EXPECT_NE(jobs(recorder).find("history.db"), std::string::npos);
  std::filesystem::remove(folder.file("history.db"));
  await(recorder, "1");
}
TEST_F(Recording, sweeps_until_nothing_old_is_left) {
  Recorder recorder(options());
  const NodeId n1 = world.add_node("n1");
  for (int i = 0; i < 6'000; ++i)
    world.run(n1, "j");
  recorder.record(world.commit());
  recorder.sweep(world.now + 1h);
  for (std::int64_t left = 1; left > 0;) {
    std::promise<std::int64_t> promise;
    recorder.ask([&](Result<History*> history) {
      QueryHistory question;
      question.limit = 1;
      promise.set_value(static_cast<std::int64_t>((*history)->query(question).value().rows.size()));
    });
    left = promise.get_future().get();
  }
}

} // namespace
} // namespace reeve::history
