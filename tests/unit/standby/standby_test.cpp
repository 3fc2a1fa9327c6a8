// When a standby takes the leader for dead, what it answers, and how it follows a journal.
#include "src/standby/standby.hpp"
#include "tests/unit/journal/fake_etcd.hpp"

#include <gtest/gtest.h>
#include <thread>

namespace reeve::standby {
namespace {
using std::chrono::milliseconds;

TimePoint at(int ms) {
  return TimePoint(milliseconds(1'000'000 + ms));
}

/// Ticks as the standby does.
void pass(Suspicion& suspicion, int from, int to) {
  for (int ms = from; ms <= to; ms += 50)
    suspicion.tick(at(ms));
}

TEST(suspicion, one_living_path_keeps_the_leader) {
  for (const bool by_etcd : {true, false}) {
    Suspicion suspicion;
    suspicion.begin(false, {}, at(0));
    for (int ms = 0; ms <= 2'500; ms += 50) {
      suspicion.tick(at(ms));
      if (ms % 200 == 0)
        by_etcd ? suspicion.heartbeat(at(ms)) : suspicion.answered(at(ms));
      ASSERT_FALSE(suspicion.dead(at(ms))) << ms;
    }
  }
}

TEST(suspicion, a_leader_that_answers_and_does_not_reach_etcd_is_of_no_use_after_a_while) {
  Suspicion suspicion;
  suspicion.begin(false, milliseconds(100), at(0));
  for (int ms = 0; ms <= 2'650; ms += 50) {
    suspicion.tick(at(ms));
    suspicion.answered(at(ms));
    ASSERT_EQ(suspicion.dead(at(ms)), ms > 2'600) << ms;
  }
  EXPECT_STREQ(suspicion.reason(at(2'650)), "it does not reach etcd");
}

TEST(suspicion, silence_on_both_paths_is_death_after_the_patience_and_what_is_added_to_it) {
  Suspicion suspicion;
  suspicion.begin(false, milliseconds(150), at(0));
  suspicion.answered(at(100));
  pass(suspicion, 0, 850);
  EXPECT_FALSE(suspicion.dead(at(850)));
  EXPECT_TRUE(suspicion.dead(at(851)));
}

TEST(suspicion, a_process_that_is_gone_is_dead_at_once_if_it_was_there_before) {
  Suspicion suspicion;
  suspicion.begin(false, {}, at(0));
  suspicion.refused(); // never answered: perhaps a wrong address
  EXPECT_FALSE(suspicion.dead(at(1)));
  suspicion.answered(at(2));
  suspicion.refused();
  EXPECT_TRUE(suspicion.dead(at(3)));
  suspicion.begin(false, {}, at(4));
  EXPECT_FALSE(suspicion.dead(at(5)));
}

TEST(suspicion, a_standby_that_was_stopped_itself_blames_nobody) {
  Suspicion suspicion;
  suspicion.begin(false, {}, at(0));
  pass(suspicion, 0, 100);
  suspicion.tick(at(60'000));
  EXPECT_FALSE(suspicion.dead(at(60'000)));
  pass(suspicion, 60'000, 60'650);
  EXPECT_TRUE(suspicion.dead(at(60'650)));
}

TEST(suspicion, a_vacant_reign_is_taken_at_once) {
  Suspicion suspicion;
  suspicion.begin(true, milliseconds(150), at(0));
  EXPECT_TRUE(suspicion.dead(at(0)));
}

// ---- what is answered

class Asking : public ::testing::Test {
protected:
  Desk desk_{{"reeve", "m2", "reeved test", "", TimePoint(), {{"queue.default.order", "fifo"}}}};
  core::Cluster cluster_;

  template<class M> std::pair<MessageType, std::string> ask(const M& message, net::Peer peer = 1) {
    const DeskView view{cluster_, "m1", "tcp://m1:7117", "etcd: healthy", 3, Seq(0), {}};
    std::vector<net::Message> out;
    desk_.answer({peer, encode(Header{protocol_version, M::type, 7, {}}), encode(message)}, view,
                 TimePoint(), out);
    if (out.size() != 1)
      return {};
    const auto header = decode<Header>(out[0].header);
    EXPECT_EQ(header->correlation, 7u);
    EXPECT_EQ(out[0].peer, peer);
    return {header->type, out[0].body};
  }
};
using a_standby = Asking;

TEST_F(a_standby, sends_work_to_the_leader_and_says_where_it_is) {
  for (const auto& [type, body] :
       {ask(Submit{}), ask(Hello{}), ask(ListJobs{}), ask(SetConfig{})}) {
    ASSERT_EQ(type, MessageType::failed);
    const auto failed = decode<Failed>(body);
    EXPECT_EQ(failed->code, Code::not_leader);
    EXPECT_NE(failed->text.find("m1 leads, at tcp://m1:7117"), std::string::npos) << failed->text;
    EXPECT_GT(failed->retry_after.count(), 0);
  }
}

TEST_F(a_standby, answers_questions_of_those_whom_a_standby_will_do) {
  Hello hello;
  hello.standby = true;
  const auto welcome = ask(hello);
  ASSERT_EQ(welcome.first, MessageType::welcome);
  EXPECT_EQ(decode<Welcome>(welcome.second)->role, "standby");
  EXPECT_EQ(ask(ListJobs{}).first, MessageType::job_list);
  EXPECT_EQ(ask(ListNodes{}).first, MessageType::node_list);
  EXPECT_EQ(ask(GetStats{}).first, MessageType::stats);
  const auto config = ask(GetConfig{});
  ASSERT_EQ(config.first, MessageType::config_values);
  EXPECT_EQ(decode<ConfigValues>(config.second)->defaults.at("queue.default.order"), "fifo");
  EXPECT_EQ(ask(ListJobs{}, 2).first, MessageType::failed) << "another connection has not said so";
  desk_.gone(1);
  EXPECT_EQ(ask(ListJobs{}).first, MessageType::failed);
}

TEST_F(a_standby, tells_everybody_how_it_is) {
  const auto answer = ask(GetMaster{});
  ASSERT_EQ(answer.first, MessageType::master_status);
  const auto status = decode<MasterStatus>(answer.second);
  EXPECT_EQ(status->role, "standby");
  EXPECT_EQ(status->leader, "m1");
  EXPECT_EQ(status->lag, 3u);
  EXPECT_FALSE(status->accepting);
}

TEST_F(a_standby, remembers_the_agents_until_they_go) {
  RegisterNode message;
  message.name = "n1";
  EXPECT_EQ(ask(message, 5).first, MessageType::failed);
  EXPECT_EQ(desk_.agents(), std::set<net::Peer>{5});
  desk_.gone(5);
  EXPECT_TRUE(desk_.agents().empty());
}

TEST_F(a_standby, answers_what_it_cannot_read_with_an_error) {
  const DeskView view{cluster_, "", "", "", 0, Seq(0), {}};
  std::vector<net::Message> out;
  for (const std::string& header :
       {std::string(), std::string("\xff"), encode(Header{99, MessageType::hello, 1, {}})})
    desk_.answer({1, header, "x"}, view, TimePoint(), out);
  desk_.answer({1, encode(Header{protocol_version, MessageType::hello, 1, {}}), "\xc1"}, view,
               TimePoint(), out);
  ASSERT_EQ(out.size(), 4u);
  for (const auto& message : out)
    EXPECT_EQ(decode<Header>(message.header)->type, MessageType::failed);
}

TEST_F(a_standby, answers_everything_in_a_bundle_alone) {
  const DeskView view{cluster_, "m1", "tcp://m1:7117", "etcd: healthy", 3, Seq(0), {}};
  const auto message = [](std::uint64_t correlation, const auto& body) {
    return Bundled{{encode(Header{protocol_version, body.type, correlation, {}})}, {encode(body)}};
  };
  Bundle inner, bundle;
  inner.messages = {message(9, Submit{})};
  bundle.messages = {message(1, Submit{}), message(2, GetMaster{}), message(3, inner)};
  std::vector<net::Message> out;
  desk_.answer({1, encode(Header{protocol_version, Bundle::type, 0, {}}), encode(bundle)}, view,
               TimePoint(), out);
  ASSERT_EQ(out.size(), 3u);
  EXPECT_EQ(decode<Header>(out[0].header)->correlation, 1u);
  EXPECT_EQ(decode<Failed>(out[0].body)->code, Code::not_leader);
  EXPECT_EQ(decode<Header>(out[1].header)->correlation, 2u);
  EXPECT_EQ(decode<Header>(out[1].header)->type, MessageType::master_status);
  EXPECT_EQ(decode<Failed>(out[2].body)->code, Code::bad_message) << "a bundle in a bundle";
}

// ---- following

/// A leader over a fake etcd, what it has appended, and the state that this makes.
struct Reign {
  explicit Reign(const std::string& endpoint = {}) : journal(open(endpoint)) {
    EXPECT_TRUE(journal->acquire(Epoch(1), "m1"));
    append(core::BeginEpoch{Epoch(1), "m1"});
  }
  std::unique_ptr<journal::EtcdJournal> open(const std::string& endpoint,
                                             std::shared_ptr<journal::etcd::Kv> by = nullptr) {
    journal::EtcdOptions options;
    options.members = {"fake"};
    options.endpoint = endpoint;
    return std::move(*journal::EtcdJournal::open(by ? std::move(by) : etcd, options));
  }
  void append(const core::Command& command) {
    core::Changes changes;
    auto outcome = truth.execute(command, TimePoint(), changes);
    const journal::Batch batch{truth.last_seq(), {encode(*outcome.entry)}};
    ASSERT_TRUE(journal->append({&batch, 1}));
  }
  std::shared_ptr<journal_tests::FakeEtcd> etcd = std::make_shared<journal_tests::FakeEtcd>();
  std::unique_ptr<journal::EtcdJournal> journal;
  core::Cluster truth;
};

TEST(standby, follows_the_leader_and_takes_over_when_it_steps_down) {
  Reign leader("tcp://127.0.0.1:1");
  auto own = leader.open("tcp://127.0.0.1:2");
  for (int k = 0; k < 100; ++k)
    leader.append(core::ChangeConfig{{{"name", std::to_string(k)}}});

  std::atomic<int> followed{0};
  StandbyOptions follow;
  follow.endpoint = "tcp://127.0.0.1:2";
  follow.send = [](std::vector<net::Message>) {};
  follow.committed = [&](const core::CommittedPtr& batch) {
    followed += static_cast<int>(batch->entries.size());
  };
  follow.tell = [](bool trouble, const std::string& text) { EXPECT_FALSE(trouble) << text; };
  follow.stop = [] { return false; };
  follow.look_every = milliseconds(1);
  Standby standby(*own, {}, follow);
  Result<bool> lead = false;
  std::thread running([&] { lead = standby.run(); });
  while (followed < 101)
    std::this_thread::yield();
  leader.append(core::ChangeConfig{{{"name", "last"}}});
  EXPECT_TRUE(leader.journal->release());
  running.join();
  ASSERT_TRUE(lead && *lead);
  ASSERT_TRUE(own->acquire(Epoch(2), "m2"));
  ASSERT_TRUE(standby.follower().finish());
  EXPECT_EQ(standby.follower().cluster().last_seq(), Seq(102));
  EXPECT_EQ(standby.follower().cluster().state_hash(), leader.truth.state_hash());
}

TEST(follower, begins_again_when_what_it_reads_is_truncated_meanwhile) {
  Reign leader;
  // It has found that there is no snapshot, and is about to read the entries.
  const auto slow = std::make_shared<journal_tests::Overtaken>(leader.etcd, [&] {
    leader.append(core::ChangeConfig{{{"name", "second"}}});
    ASSERT_TRUE(leader.journal->save_snapshot({leader.truth.last_seq(), leader.truth.snapshot()}));
    ASSERT_TRUE(leader.journal->truncate(leader.truth.last_seq()));
    leader.append(core::ChangeConfig{{{"name", "third"}}});
  });
  auto own = leader.open({}, slow);
  const auto recovered = ledger::recover(*own);
  ASSERT_TRUE(recovered) << recovered.error().message();
  EXPECT_EQ(recovered->snapshot, Seq(2));
  EXPECT_EQ(recovered->cluster.state_hash(), leader.truth.state_hash());
}

TEST(follower, stops_before_what_a_newer_leader_says_and_names_it) {
  const auto etcd = std::make_shared<journal_tests::FakeEtcd>();
  journal::EtcdOptions options;
  options.members = {"fake"};
  auto leader = std::move(*journal::EtcdJournal::open(etcd, options));
  auto own = std::move(*journal::EtcdJournal::open(etcd, options));
  ASSERT_TRUE(leader->acquire(Epoch(1), "m1"));
  const std::string known = encode(Entry{TimePoint(), EpochStarted{Epoch(1), "m1"}});
  std::string newer = "\x92\x01\x92\xcd\x27\x0f\x90"; // [time, [alternative 9999, []]]
  const std::array batches{journal::Batch{Seq(1), {known}}, journal::Batch{Seq(2), {newer}}};
  ASSERT_TRUE(leader->append(batches));

  Follower follower(*own, {}, {"me", nullptr, [](bool, const std::string&) {}, 1});
  const auto taken = follower.take(own->look(follower.next(), milliseconds(1)), at(0));
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, Code::unknown_version);
  EXPECT_EQ(taken.error().message(),
            "entry 2: fact: no such alternative: 9999; a newer version has "
            "written it: this program must be upgraded");
  EXPECT_EQ(follower.cluster().last_seq(), Seq(1)) << "what was before it is held";

  const auto recovered = ledger::recover(*own);
  ASSERT_FALSE(recovered) << "nor does a start skip it";
  EXPECT_EQ(recovered.error().code, Code::unknown_version);
}

} // namespace
} // namespace reeve::standby
