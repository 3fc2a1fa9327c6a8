// Suspicion and giving up, in virtual time: nodes beat by the default schedule with jitter.
#include "src/deciders/watchdog.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>

namespace reeve::deciders {
namespace {

using namespace std::chrono_literals;
constexpr Duration tick = 250ms;

core::NodeChanged up(std::uint32_t id, std::uint64_t incarnation = 1) {
  core::NodeChanged change;
  change.node = NodeId(id);
  change.name = "n" + std::to_string(id);
  change.incarnation = Incarnation(incarnation);
  return change;
}

/// A cluster of nodes that beat once a second, each at its own phase and with 10 % jitter.
class Cluster {
public:
  explicit Cluster(std::uint32_t nodes, bool known_before = false, std::uint64_t seed = 1)
      : random_(seed) {
    core::Changes changes;
    for (std::uint32_t id = 1; id <= nodes; ++id) {
      changes.emplace_back(up(id));
      alive_[NodeId(id)] = now + Duration(static_cast<std::int64_t>(random_() % 1'000'000));
    }
    if (known_before) {
      dog.reset(changes);
    } else {
      dog.reset({});
      run(tick);
      dog.apply(changes);
    }
  }
  void set(std::map<std::string, std::string> values) { dog.apply({core::ConfigUpdated{values}}); }
  void silence(std::uint32_t id) { alive_.erase(NodeId(id)); }
  void silence(std::uint32_t first, std::uint32_t last) {
    for (std::uint32_t id = first; id <= last; ++id)
      silence(id);
  }
  void revive(std::uint32_t id) { alive_[NodeId(id)] = now; }

  /// Lets time pass; nodes that are asked to be marked lost are, at once.
  void run(Duration time) {
    for (const TimePoint end = now + time; now < end; now += tick)
      step();
  }
  /// Nobody runs here for a while; the nodes go on.
  void freeze(Duration time) { now += time; }
  void step() {
    for (auto& [id, next] : alive_)
      while (next <= now) {
        dog.heard(id, next);
        next += Duration(900'000 + static_cast<std::int64_t>(random_() % 200'000));
      }
    for (const auto& command : dog.decide(now))
      take(std::get<core::MarkLost>(command));
    if (auto suspects = dog.take_suspicion())
      suspects_ = std::move(*suspects);
    if (auto alarm = dog.take_alarm())
      alarm_ = std::move(*alarm);
  }
  [[nodiscard]] bool suspect(std::uint32_t id) const {
    return std::find(suspects_.begin(), suspects_.end(), NodeId(id)) != suspects_.end();
  }
  [[nodiscard]] std::size_t suspects() const { return suspects_.size(); }
  [[nodiscard]] const std::string& alarm() const { return alarm_; }

  Watchdog dog{tick};
  TimePoint now{Duration(1'700'000'000'000'000)};
  std::vector<std::pair<NodeId, TimePoint>> lost;
  std::vector<std::string> reasons;

private:
  void take(const core::MarkLost& command) {
    core::Changes changes;
    for (const NodeId id : command.nodes) {
      lost.emplace_back(id, now);
      core::NodeChanged change = up(id.value);
      change.state = NodeState::lost;
      changes.emplace_back(change);
    }
    reasons.push_back(command.reason);
    dog.apply(changes);
  }
  std::mt19937_64 random_;
  std::map<NodeId, TimePoint> alive_; // and when each beats next
  std::vector<NodeId> suspects_;
  std::string alarm_;
};

// ---- suspicion

TEST(gaps, suspicion_grows_with_silence_and_is_what_the_normal_distribution_says) {
  Gaps gaps;
  for (int i = 0; i < 100; ++i)
    gaps.add(1s);
  EXPECT_NEAR(gaps.phi(1s, 1s), -std::log10(0.5),
              1e-9); // half of all gaps are longer than the mean
  // 3 deviations (of 0.5 s, the floor): P = 0.00134990
  EXPECT_NEAR(gaps.phi(2'500ms, 1s), -std::log10(0.00134990), 1e-4);
  double before = 0;
  for (Duration silence = 1s; silence < 60s; silence += 100ms) {
    const double phi = gaps.phi(silence, 1s);
    EXPECT_GE(phi, before);
    before = phi;
  }
  EXPECT_TRUE(std::isfinite(gaps.phi(24h, 1s)));
}
TEST(gaps, an_irregular_node_is_given_more_time) {
  Gaps even, uneven;
  for (int i = 0; i < 64; ++i) {
    even.add(1s);
    uneven.add(i % 4 == 0 ? 4s : 200ms);
  }
  EXPECT_LT(uneven.phi(4s, 1s), even.phi(4s, 1s));
}
TEST(gaps, old_ones_are_forgotten) {
  Gaps gaps;
  for (int i = 0; i < 100; ++i)
    gaps.add(20s);
  const double lenient = gaps.phi(10s, 1s);
  for (int i = 0; i < 64; ++i)
    gaps.add(1s);
  EXPECT_GT(gaps.phi(10s, 1s), lenient + 5);
}

// ---- one node

TEST(watchdog, leaves_nodes_alone_that_beat) {
  Cluster cluster(20);
  cluster.run(10min);
  EXPECT_TRUE(cluster.lost.empty());
  EXPECT_EQ(cluster.suspects(), 0u);
}
TEST(watchdog, suspects_a_silent_node_within_seconds_and_marks_it_lost_once_after_ten) {
  Cluster cluster(20);
  cluster.run(1min);
  cluster.silence(7);
  const TimePoint from = cluster.now;
  cluster.run(2s);
  EXPECT_FALSE(cluster.suspect(7));
  cluster.run(2s);
  EXPECT_TRUE(cluster.suspect(7));
  EXPECT_EQ(cluster.suspects(), 1u);
  cluster.run(2min);
  ASSERT_EQ(cluster.lost.size(), 1u);
  EXPECT_EQ(cluster.lost[0].first, NodeId(7));
  EXPECT_GE(cluster.lost[0].second - from, 9s);
  EXPECT_LE(cluster.lost[0].second - from, 11s);
  EXPECT_EQ(cluster.suspects(), 0u); // it is lost, not suspect
}
TEST(watchdog, a_node_that_is_heard_again_is_not_suspect_any_more) {
  Cluster cluster(20);
  cluster.run(1min);
  cluster.silence(7);
  cluster.run(6s);
  EXPECT_TRUE(cluster.suspect(7));
  cluster.revive(7);
  cluster.run(1s);
  EXPECT_FALSE(cluster.suspect(7));
  cluster.run(1min);
  EXPECT_TRUE(cluster.lost.empty());
}
TEST(watchdog, a_broken_connection_is_suspicion_at_once_but_no_proof) {
  Cluster cluster(20);
  cluster.run(1min);
  cluster.dog.disconnected(NodeId(7));
  cluster.silence(7);
  const auto told = cluster.dog.take_suspicion();
  ASSERT_TRUE(told);
  EXPECT_EQ(*told, std::vector{NodeId(7)});
  cluster.run(9s);
  EXPECT_TRUE(cluster.lost.empty());
  cluster.run(3s);
  ASSERT_EQ(cluster.lost.size(), 1u);
  EXPECT_NE(cluster.reasons[0].find("disconnected"), std::string::npos);
}
TEST(watchdog, an_irregular_node_is_given_up_after_thirty_seconds_at_the_latest) {
  Cluster cluster(2);
  for (int i = 0; i < 80; ++i) { // node 1 speaks every 15 s
    cluster.silence(1);
    cluster.run(15s);
    cluster.dog.heard(NodeId(1), cluster.now);
    cluster.lost.clear();
    cluster.dog.apply({up(1)});
  }
  cluster.dog.heard(NodeId(1), cluster.now);
  const TimePoint from = cluster.now;
  cluster.run(1min);
  ASSERT_EQ(cluster.lost.size(), 1u);
  EXPECT_LE(cluster.lost[0].second - from, 31s);
}
TEST(watchdog, many_frames_of_a_busy_node_do_not_make_its_heartbeats_late) {
  Cluster cluster(1);
  for (int i = 0; i < 2'000; ++i) { // results every 10 ms
    cluster.now += 10ms;
    cluster.dog.heard(NodeId(1), cluster.now);
  }
  cluster.silence(1);
  for (int i = 0; i < 20; ++i) { // then a heartbeat a second, as agreed
    cluster.run(1s);
    EXPECT_FALSE(cluster.suspect(1));
    cluster.dog.heard(NodeId(1), cluster.now);
  }
}
TEST(watchdog, an_overtaken_sign_of_life_changes_nothing) {
  Cluster cluster(1);
  cluster.run(10s);
  cluster.silence(1);
  cluster.dog.heard(NodeId(1), cluster.now);
  const double phi = cluster.dog.phi(NodeId(1), cluster.now + 3s);
  cluster.dog.heard(NodeId(1), cluster.now - 2s);
  EXPECT_EQ(cluster.dog.phi(NodeId(1), cluster.now + 3s), phi);
}
TEST(watchdog, a_new_incarnation_begins_anew) {
  Cluster cluster(10);
  cluster.run(1min);
  cluster.silence(3);
  cluster.run(8s);
  EXPECT_TRUE(cluster.suspect(3));
  cluster.dog.apply({up(3, 2)});
  cluster.run(1s);
  EXPECT_FALSE(cluster.suspect(3));
  cluster.run(5s);
  EXPECT_TRUE(cluster.lost.empty());
}
TEST(watchdog, a_drain_or_a_label_is_no_sign_of_life) {
  Cluster cluster(10);
  cluster.run(1min);
  cluster.silence(3);
  for (int i = 0; i < 5; ++i) {
    cluster.run(3s);
    if (cluster.lost.empty())
      cluster.dog.apply({up(3)});
  }
  EXPECT_EQ(cluster.lost.size(), 1u);
}
TEST(watchdog, asks_again_when_the_ledger_refused) {
  Watchdog dog(tick);
  TimePoint now{Duration(1'000'000'000)};
  dog.reset({});
  dog.decide(now);
  dog.apply({up(1)});
  std::vector<core::Command> wishes;
  for (int i = 0; i < 60 && wishes.empty(); ++i)
    wishes = dog.decide(now += tick);
  ASSERT_EQ(wishes.size(), 1u);
  for (int i = 0; i < 60; ++i)
    EXPECT_TRUE(dog.decide(now += tick).empty()); // asked once
  dog.refused(wishes[0], Error{Code::unavailable, {}, {}});
  wishes.clear();
  for (int i = 0; i < 60 && wishes.empty(); ++i)
    wishes = dog.decide(now += tick);
  EXPECT_EQ(wishes.size(), 1u);
}
TEST(watchdog, stretched_heartbeats_stretch_patience) {
  Cluster cluster(20);
  cluster.set({{"heartbeat.interval", "20s"}});
  cluster.run(1min);
  cluster.silence(4);
  cluster.run(38s);
  EXPECT_TRUE(cluster.lost.empty());
  cluster.run(60s);
  EXPECT_EQ(cluster.lost.size(), 1u);
}

// ---- many

TEST(watchdog, two_of_two_nodes_may_die) {
  Cluster cluster(2);
  cluster.run(1min);
  cluster.silence(1, 2);
  cluster.run(15s);
  EXPECT_EQ(cluster.lost.size(), 2u);
}
TEST(watchdog, mass_silence_stops_giving_up_and_raises_one_alarm) {
  Cluster cluster(100);
  cluster.run(1min);
  cluster.silence(1, 90);
  cluster.run(4min);
  EXPECT_TRUE(cluster.lost.empty());
  EXPECT_EQ(cluster.suspects(), 90u);
  EXPECT_NE(cluster.alarm().find("of 100 nodes are silent"), std::string::npos) << cluster.alarm();
  for (std::uint32_t id = 1; id <= 90; ++id)
    cluster.revive(id);
  cluster.run(5s);
  EXPECT_EQ(cluster.suspects(), 0u);
  EXPECT_EQ(cluster.alarm(), "");
  EXPECT_TRUE(cluster.lost.empty());
}
TEST(watchdog, after_its_patience_mass_silence_is_given_up_a_few_at_a_time) {
  Cluster cluster(100);
  cluster.run(1min);
  cluster.silence(1, 90);
  cluster.run(5min);
  const std::size_t before = cluster.lost.size();
  EXPECT_LE(before, 3u);
  cluster.run(10s);
  EXPECT_LE(cluster.lost.size(), before + 6);
  cluster.run(7min);
  EXPECT_EQ(cluster.lost.size(), 90u); // but in the end all of them
}
class Floods : public testing::TestWithParam<std::uint32_t> {};
TEST_P(Floods, at_most_three_or_one_percent_are_given_up_in_ten_seconds) {
  const std::uint32_t nodes = GetParam();
  const std::uint32_t silent = std::max(4u, nodes / 6);
  Cluster cluster(nodes);
  cluster.run(20s);
  cluster.silence(1, silent);
  cluster.run(10min);
  const std::size_t most = std::max<std::size_t>(3, (nodes + 99) / 100);
  for (const auto& [id, at] : cluster.lost) {
    const auto within =
      std::count_if(cluster.lost.begin(), cluster.lost.end(), [&, from = at](const auto& other) {
        return other.second >= from && other.second - from < 10s;
      });
    EXPECT_LE(static_cast<std::size_t>(within), most);
  }
  EXPECT_EQ(cluster.lost.size(), silent);
}
INSTANTIATE_TEST_SUITE_P(clusters_of, Floods, testing::Values(24u, 100u, 1'000u),
                         testing::PrintToStringParamName());

TEST(watchdog, the_longest_silent_is_given_up_first) {
  Cluster cluster(40);
  cluster.run(20s);
  for (const std::uint32_t id : {9u, 3u, 7u, 1u, 5u}) {
    cluster.silence(id);
    cluster.run(1s);
  }
  cluster.run(2min);
  std::vector<NodeId> order;
  for (const auto& [id, at] : cluster.lost)
    order.push_back(id);
  EXPECT_EQ(order, (std::vector{NodeId(9), NodeId(3), NodeId(7), NodeId(1), NodeId(5)}));
}

// ---- this master's own faults

TEST(watchdog, after_a_start_nodes_are_suspect_until_heard_and_have_a_minute) {
  Cluster cluster(10, true);
  cluster.silence(2);
  cluster.dog.heard(NodeId(3), cluster.now);
  cluster.step();
  EXPECT_TRUE(cluster.suspect(2));
  EXPECT_FALSE(cluster.suspect(3));
  cluster.run(58s);
  EXPECT_TRUE(cluster.lost.empty());
  EXPECT_EQ(cluster.suspects(), 1u);
  cluster.run(4s);
  ASSERT_EQ(cluster.lost.size(), 1u);
  EXPECT_EQ(cluster.lost[0].first, NodeId(2));
  EXPECT_NE(cluster.reasons[0].find("since the master started"), std::string::npos);
}
TEST(watchdog, a_whole_cluster_that_is_late_after_a_start_is_no_flood) {
  Cluster cluster(50, true);
  cluster.silence(1, 50);
  cluster.run(50s);
  EXPECT_EQ(cluster.alarm(), "");
  EXPECT_EQ(cluster.suspects(), 50u);
  for (std::uint32_t id = 1; id <= 50; ++id)
    cluster.revive(id);
  cluster.run(2min);
  EXPECT_TRUE(cluster.lost.empty());
}
TEST(watchdog, trouble_with_the_journal_is_no_start) {
  Cluster cluster(10);
  cluster.run(1min);
  cluster.silence(4);
  core::Changes all;
  for (std::uint32_t id = 1; id <= 10; ++id)
    all.emplace_back(up(id));
  cluster.dog.reset(all);
  cluster.run(15s);
  ASSERT_EQ(cluster.lost.size(), 1u); // no new minute of amnesty
}
class Lateness : public testing::TestWithParam<int> {};
TEST_P(Lateness, of_its_own_is_added_to_every_deadline) {
  Cluster cluster(20);
  cluster.run(1min);
  cluster.silence(1, 2);
  cluster.run(3s);
  cluster.freeze(std::chrono::seconds(GetParam())); // such as SIGSTOP
  // The first call comes before the mail that has piled up is read.
  EXPECT_TRUE(cluster.dog.decide(cluster.now).empty());
  cluster.run(5s);
  EXPECT_TRUE(cluster.lost.empty());
  cluster.run(5s);
  EXPECT_EQ(cluster.lost.size(), 2u); // silent for 10 s that somebody listened
}
INSTANTIATE_TEST_SUITE_P(seconds, Lateness, testing::Values(5, 60, 3'600),
                         testing::PrintToStringParamName());

TEST(watchdog, equal_inputs_give_equal_wishes) {
  const auto run = [] {
    Cluster cluster(200, false, 42);
    cluster.run(20s);
    cluster.silence(11, 40);
    cluster.run(3min);
    return cluster.lost;
  };
  const auto first = run();
  EXPECT_FALSE(first.empty());
  EXPECT_EQ(first, run());
}

} // namespace
} // namespace reeve::deciders
