// The etcd journal where etcd answers late, twice, wrongly or not at all: over a fake that does all
// of it on command. What every backend promises is in journal_test.cpp, over a real etcd.
#include "src/journal/etcd_journal.hpp"
#include "tests/unit/journal/fake_etcd.hpp"
#include "tests/unit/journal/temporary.hpp"

#include <random>

namespace reeve::journal {
namespace {
using namespace journal_tests;

class etcd_journal : public ::testing::Test {
protected:
  std::shared_ptr<FakeEtcd> etcd_ = std::make_shared<FakeEtcd>();
  std::unique_ptr<EtcdJournal> open() {
    EtcdOptions options;
    options.members = {"fake"};
    options.endpoint = "tcp://127.0.0.1:7117";
    auto journal = EtcdJournal::open(etcd_, options);
    EXPECT_TRUE(journal);
    return std::move(*journal);
  }
  std::unique_ptr<EtcdJournal> leader(Epoch epoch) {
    auto journal = open();
    const auto taken = journal->acquire(epoch, "m" + std::to_string(epoch.value));
    EXPECT_TRUE(taken) << taken.error().message();
    return journal;
  }
  static bool writes_row(const Txn& txn) {
    const auto* put = txn.then.empty() ? nullptr : std::get_if<Put>(&txn.then[0]);
    return put != nullptr && put->key.find("/j/") != std::string::npos;
  }
  /// The next rows meet these fates, then all is well.
  void rows_meet(std::vector<Fate> fates) {
    const auto n = std::make_shared<std::size_t>(0);
    etcd_->set_fate([fates, n](const Txn& txn) {
      return writes_row(txn) && *n < fates.size() ? fates[(*n)++] : Fate::done;
    });
  }
};

TEST_F(etcd_journal, an_append_whose_answer_is_lost_is_stored_once) {
  auto journal = leader(Epoch(1));
  for (const auto& fates : std::vector<std::vector<Fate>>{{Fate::answer_lost},
                                                          {Fate::never},
                                                          {Fate::later},
                                                          {Fate::later, Fate::later, Fate::never},
                                                          {Fate::answer_lost, Fate::answer_lost}}) {
    rows_meet(fates);
    const auto done = append(*journal, make_batch(journal->last().next(), 2));
    ASSERT_TRUE(done) << done.error().message();
  }
  EXPECT_EQ(journal->last(), Seq(10));
  const auto entries = read_all(*journal);
  ASSERT_EQ(entries.size(), 10u);
  EXPECT_EQ(entries.at(10), content_of(Seq(10)));
  EXPECT_EQ(etcd_->count("/reeve/reeve/j/"), 5u);
}

TEST_F(etcd_journal, a_full_etcd_refuses_the_batch_and_takes_it_later) {
  auto journal = leader(Epoch(1));
  rows_meet({Fate::full});
  const auto done = append(*journal, make_batch(Seq(1), 2));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::unavailable);
  EXPECT_EQ(journal->last(), Seq(0));
  EXPECT_TRUE(append(*journal, make_batch(Seq(1), 2)));
}

TEST_F(etcd_journal, full_is_not_the_last_word_on_a_batch_that_may_be_on_its_way) {
  auto journal = leader(Epoch(1));
  rows_meet({Fate::later, Fate::full, Fate::full});
  ASSERT_TRUE(append(*journal, make_batch(Seq(1), 2)));
  EXPECT_EQ(read_all(*journal).size(), 2u);
}

TEST_F(etcd_journal, fences_the_master_before_and_says_who_reigns) {
  auto old_master = leader(Epoch(1));
  ASSERT_TRUE(append(*old_master, make_batch(Seq(1), 3)));
  auto new_master = leader(Epoch(2));
  EXPECT_EQ(new_master->last(), Seq(3));
  const auto done = append(*old_master, make_batch(Seq(4), 1));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::stale_epoch);
  EXPECT_NE(done.error().text.find("m2"), std::string::npos) << done.error().text;
  EXPECT_TRUE(old_master->pulse()->deposed);
  EXPECT_FALSE(old_master->save_snapshot({Seq(3), "state"}));
  EXPECT_FALSE(old_master->truncate(Seq(3)));
  EXPECT_TRUE(append(*new_master, make_batch(Seq(4), 1)));
  EXPECT_EQ(read_all(*new_master).size(), 4u);
}

TEST_F(etcd_journal, a_batch_that_was_stored_before_the_reign_ended_is_not_acknowledged) {
  auto old_master = leader(Epoch(1));
  auto new_master = open();
  etcd_->set_fate([&, count = std::make_shared<int>(0)](const Txn& txn) {
    const int rows = writes_row(txn) ? ++*count : 0;
    if (rows == 0 || rows > 2)
      return Fate::done;
    if (rows == 2) { // before the second try arrives
      EXPECT_TRUE(new_master->acquire(Epoch(2), "m2"));
    }
    return rows == 1 ? Fate::answer_lost : Fate::done;
  });
  const auto done = append(*old_master, make_batch(Seq(1), 1));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::stale_epoch);
  EXPECT_EQ(read_all(*new_master).size(), 1u);
}

TEST_F(etcd_journal, a_late_batch_of_a_deposed_master_never_gets_in) {
  auto old_master = leader(Epoch(1));
  auto new_master = open();
  Txn sent;
  etcd_->set_fate([&](const Txn& txn) {
    if (!writes_row(txn))
      return Fate::done;
    sent = txn;
    old_master->pulse()->stop = true; // it does not try again
    return Fate::never;
  });
  EXPECT_FALSE(append(*old_master, make_batch(Seq(1), 1)));
  ASSERT_TRUE(new_master->acquire(Epoch(2), "m2"));
  etcd_->set_fate({});
  EXPECT_FALSE(etcd_->txn(sent, Duration(0))->succeeded);
  EXPECT_EQ(etcd_->count("/reeve/reeve/j/"), 0u);
}

TEST_F(etcd_journal, of_two_that_take_over_at_once_one_reigns) {
  auto dead = leader(Epoch(1));
  auto a = open(), b = open();
  EXPECT_TRUE(a->acquire(Epoch(2), "a"));
  const auto taken = b->acquire(Epoch(2), "b");
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, Code::refused);
  EXPECT_TRUE(b->look(Seq(1), Duration(0))); // sees that a reigns
  EXPECT_EQ(b->epoch(), Epoch(2));
}

TEST_F(etcd_journal, who_hears_too_late_that_he_reigns_builds_on_nothing_of_who_came_after_him) {
  auto next = open();
  const auto kv = std::make_shared<Overtaken>(etcd_, [&] {
    EXPECT_TRUE(next->look(Seq(1), Duration(0)));
    EXPECT_TRUE(next->acquire(Epoch(2), "m2"));
    EXPECT_TRUE(append(*next, make_batch(Seq(1), 3)));
  });
  EtcdOptions options;
  options.members = {"fake"};
  auto slow = std::move(*EtcdJournal::open(kv, options));
  const auto taken = slow->acquire(Epoch(1), "m1");
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, Code::stale_epoch) << taken.error().message();
  EXPECT_FALSE(append(*slow, make_batch(Seq(1), 1)));
  EXPECT_EQ(read_all(*next).size(), 3u);
}

TEST_F(etcd_journal, who_was_deposed_appends_nothing_even_when_he_has_seen_who_reigns_now) {
  auto slow = leader(Epoch(1));
  auto next = leader(Epoch(2));
  ASSERT_TRUE(append(*next, make_batch(Seq(1), 2)));
  EXPECT_TRUE(slow->look(Seq(1), Duration(0))); // as a takeover does, for what it has not read yet
  const auto done = append(*slow, make_batch(Seq(1), 1));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::stale_epoch) << done.error().message();
  EXPECT_TRUE(append(*next, make_batch(Seq(3), 1)));
}

TEST_F(etcd_journal, a_takeover_whose_answer_is_lost_reigns_all_the_same) {
  auto journal = open();
  etcd_->set_fate([n = std::make_shared<int>(0)](const Txn&) {
    return (*n)++ == 0 ? Fate::answer_lost : Fate::done;
  });
  ASSERT_TRUE(journal->acquire(Epoch(1), "m1"));
  EXPECT_TRUE(append(*journal, make_batch(Seq(1), 1)));
}

TEST_F(etcd_journal, who_steps_down_appends_nothing_more_and_says_so_to_the_others) {
  auto journal = leader(Epoch(1));
  auto standby = open();
  ASSERT_TRUE(journal->release());
  EXPECT_FALSE(append(*journal, make_batch(Seq(1), 1)));
  const auto look = standby->look(Seq(1), Duration(0));
  ASSERT_TRUE(look);
  EXPECT_TRUE(look->leader.released);
  EXPECT_TRUE(standby->acquire(Epoch(2), "m2"));
}

TEST_F(etcd_journal, a_standby_sees_leader_heartbeat_and_new_batches_in_one_look) {
  auto journal = leader(Epoch(1));
  auto standby = open();
  ASSERT_TRUE(append(*journal, make_batch(Seq(1), 3)));
  const auto before = standby->look(Seq(1), Duration(0));
  ASSERT_TRUE(before) << before.error().message();
  EXPECT_EQ(before->leader.name, "m1");
  EXPECT_EQ(before->leader.endpoint, "tcp://127.0.0.1:7117");
  ASSERT_EQ(before->batches.size(), 1u);
  EXPECT_EQ(before->batches[0].entries[2], content_of(Seq(3)));
  EXPECT_FALSE(before->more);
  ASSERT_TRUE(append(*journal, make_batch(Seq(4), 1)));
  const auto after = standby->look(Seq(4), Duration(0));
  ASSERT_TRUE(after);
  EXPECT_GT(after->heartbeat, before->heartbeat);
  EXPECT_EQ(after->last, Seq(4));
}

TEST_F(etcd_journal, refuses_a_row_with_a_flipped_bit_and_names_it) {
  auto journal = leader(Epoch(1));
  ASSERT_TRUE(append(*journal, make_batch(Seq(1), 3)));
  ASSERT_TRUE(append(*journal, make_batch(Seq(4), 3)));
  etcd_->damage("/reeve/reeve/j/0000000000000004");
  const auto read = journal->read(Seq(1), [](Seq, std::string_view) { return Result<void>(); });
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::corrupt);
  EXPECT_NE(read.error().text.find("entry 4"), std::string::npos) << read.error().text;
  EXPECT_FALSE(journal->look(Seq(4), Duration(0)));
}

TEST_F(etcd_journal, takes_an_older_snapshot_when_the_newest_is_damaged) {
  auto journal = leader(Epoch(1));
  ASSERT_TRUE(append(*journal, make_batch(Seq(1), 10)));
  ASSERT_TRUE(journal->save_snapshot({Seq(4), "old"}));
  ASSERT_TRUE(journal->save_snapshot({Seq(8), "new"}));
  etcd_->damage("/reeve/reeve/snap/0000000000000008/00000000");
  EXPECT_EQ(journal->load_snapshot()->bytes, "old");
}

// Masters take the reign from each other in the middle of appends, and answers get lost in every
// way: nothing acknowledged is missing or changed, and the rows have no gap.
TEST_F(etcd_journal, loses_nothing_that_was_acknowledged_whatever_etcd_does) {
  const char* given = std::getenv("REEVE_SEED");
  const auto seed = given ? std::strtoul(given, nullptr, 10) : std::random_device()();
  SCOPED_TRACE("REEVE_SEED=" + std::to_string(seed));
  std::mt19937_64 dice(seed);
  for (int round = 0; round < 6; ++round) {
    etcd_ = std::make_shared<FakeEtcd>();
    std::map<std::uint64_t, std::string> acknowledged;
    std::vector<std::unique_ptr<EtcdJournal>> masters;
    std::uint64_t epoch = 0, text = 0;
    etcd_->set_fate([&](const Txn& txn) {
      if (!writes_row(txn))
        return Fate::done;
      const auto roll = dice() % 20;
      if (roll == 0 && !masters.empty()) { // the reign changes hands before this one arrives
        masters.back()->pulse()->stop = true;
        return dice() % 2 == 0 ? Fate::later : Fate::never;
      }
      return roll < 3   ? Fate::answer_lost
             : roll < 4 ? Fate::never
             : roll < 5 ? Fate::later
                        : Fate::done;
    });
    for (int step = 0; step < 60; ++step) {
      if (masters.empty() || masters.back()->pulse()->stop || dice() % 15 == 0) {
        masters.push_back(open());
        ++epoch;
        ASSERT_TRUE(masters.back()->acquire(Epoch(epoch), "m" + std::to_string(epoch)));
      }
      EtcdJournal& who = dice() % 8 == 0 ? *masters[dice() % masters.size()] : *masters.back();
      Batch batch{who.last().next(), {}};
      for (std::uint64_t k = 0; k <= dice() % 3; ++k)
        batch.entries.push_back("text " + std::to_string(++text));
      if (append(who, batch)) {
        ASSERT_EQ(&who, masters.back().get()) << "only who reigns may be told of success";
        for (std::size_t k = 0; k < batch.entries.size(); ++k)
          ASSERT_TRUE(acknowledged.emplace(batch.first.value + k, batch.entries[k]).second);
      }
    }
    etcd_->set_fate({});
    auto journal = open();
    const auto entries = read_all(*journal);
    for (const auto& [seq, entry] : acknowledged)
      ASSERT_EQ(entries.at(seq), entry);
  }
}

TEST(etcd_url, names_members_and_cluster) {
  const auto options = parse_etcd_url("etcd://a:1,b,[::1]:3/north");
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_EQ(options->members, (std::vector<std::string>{"a:1", "b:2379", "[::1]:3"}));
  EXPECT_EQ(options->cluster, "north");
  EXPECT_EQ(parse_etcd_url("etcd://a")->cluster, "reeve");
  for (const char* bad : {"etcd://", "etcd://a,,b", "etcd://a/", "etcd://a/b/c", "http://a"}) {
    const auto refused = parse_etcd_url(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().field, "--journal");
  }
}

} // namespace
} // namespace reeve::journal
