// Which nodes depart from the rest, in virtual time.
#include "src/deciders/anomalies.hpp"

#include "src/core/cluster.hpp"

#include <gtest/gtest.h>

namespace reeve::deciders {
namespace {

using namespace std::chrono_literals;
const TimePoint noon{Duration(1'700'000'000'000'000)};

TEST(robust, the_median_and_its_distance_are_unmoved_by_a_few_wild_values) {
  EXPECT_EQ(median({}), 0);
  EXPECT_EQ(median({3}), 3);
  EXPECT_EQ(median({4, 1, 3, 2}), 2.5);
  const Usual usual = usual_of({1, 2, 3, 4, 1'000'000});
  EXPECT_EQ(usual.middle, 3);
  EXPECT_EQ(usual.distance, 1);
  EXPECT_NEAR(departure(1'000'000, usual, 0.1), 674'498, 1);
  EXPECT_NEAR(departure(3.2, usual_of({3, 3, 3}), 0.1), 1.349, 0.001); // alike: the least counts
}
TEST(robust, only_the_newest_values_are_kept) {
  Recent<4> recent;
  for (int n = 1; n <= 6; ++n)
    recent.add(n);
  auto values = recent.values();
  std::sort(values.begin(), values.end());
  EXPECT_EQ(values, (std::vector<double>{3, 4, 5, 6}));
}

class Departing : public testing::Test {
protected:
  static constexpr std::uint32_t nodes = 8;
  void SetUp() override {
    for (std::uint32_t n = 1; n <= nodes; ++n)
      anomalies_.on(node(n));
    core::Kind kind;
    kind.family = "render-#";
    kind_ = std::make_shared<const core::Kind>(kind);
  }
  static core::NodeChanged node(std::uint32_t id, std::vector<NodeFlag> flags = {}) {
    core::NodeChanged change;
    change.node = NodeId(id);
    change.capacity.cpu_milli = 8'000;
    change.available.cpu_milli = 4'000;
    change.flags = std::move(flags);
    return change;
  }
  void end(std::uint32_t node, Duration length, Cause cause = Cause::none) {
    const JobId job(++jobs_);
    anomalies_.on(core::FlightChanged{NodeId(node), job, 1, 1, kind_});
    TaskResult result;
    result.cause = cause;
    result.started = now_ - length;
    result.ended = now_;
    anomalies_.learn(TasksFinished{NodeId(node), {{job, {}, {result}}}}, now_);
    core::JobEnded over;
    over.job = job;
    anomalies_.on(over);
  }
  /// `rounds` tasks on each node; node 3's take `factor` times as long.
  void work(int rounds, double factor) {
    for (int k = 0; k < rounds; ++k)
      for (std::uint32_t n = 1; n <= nodes; ++n) {
        const double seconds = (1 + 0.1 * ((k + static_cast<int>(n)) % 3)) * (n == 3 ? factor : 1);
        end(n, Duration(static_cast<std::int64_t>(seconds * 1e6)));
      }
  }
  std::vector<core::Flag> look() {
    now_ += 30s;
    std::vector<core::Flag> flags;
    for (const auto& command : anomalies_.decide(now_, settings_)) {
      flags.push_back(std::get<core::Flag>(command));
      anomalies_.on(node(flags.back().node.value, flags.back().flags)); // the ledger agrees
    }
    return flags;
  }
  Anomalies anomalies_;
  Settings settings_ = settings_from({});
  core::KindPtr kind_;
  TimePoint now_ = noon;
  std::uint64_t jobs_ = 0;
};

TEST_F(Departing, nobody_departs_where_all_are_alike) {
  work(40, 1);
  for (int n = 0; n < 5; ++n)
    EXPECT_TRUE(look().empty());
}
TEST_F(Departing, a_slow_node_is_flagged_with_numbers_and_unflagged_when_it_is_well_again) {
  work(40, 3);
  EXPECT_TRUE(look().empty()); // once is no time
  const auto flagged = look();
  ASSERT_EQ(flagged.size(), 1u);
  EXPECT_EQ(flagged[0].node, NodeId(3));
  ASSERT_EQ(flagged[0].flags.size(), 1u);
  EXPECT_EQ(flagged[0].flags[0].what, "run_time");
  EXPECT_NEAR(static_cast<double>(flagged[0].flags[0].value_milli), 3'000, 400);
  EXPECT_NEAR(static_cast<double>(flagged[0].flags[0].usual_milli), 1'000, 150);
  EXPECT_EQ(flagged[0].flags[0].text.rfind("work takes ", 0), 0u) << flagged[0].flags[0].text;
  EXPECT_TRUE(look().empty()); // said once
  work(60, 1);
  EXPECT_TRUE(look().empty());
  const auto well = look();
  ASSERT_EQ(well.size(), 1u);
  EXPECT_TRUE(well[0].flags.empty());
}
TEST_F(Departing, a_little_slower_is_no_matter) {
  work(40, 1.3);
  look();
  EXPECT_TRUE(look().empty());
}
TEST_F(Departing, a_node_where_more_fails_is_flagged) {
  for (int k = 0; k < 40; ++k)
    for (std::uint32_t n = 1; n <= nodes; ++n)
      end(n, 1s, k % (n == 5 ? 2 : 20) == 0 ? Cause::exit_code : Cause::none);
  look();
  const auto flagged = look();
  ASSERT_EQ(flagged.size(), 1u);
  EXPECT_EQ(flagged[0].node, NodeId(5));
  EXPECT_EQ(flagged[0].flags.at(0).text, "50 % of what ended here failed; elsewhere 5 %");
}
TEST_F(Departing, what_was_cancelled_or_moved_says_nothing_about_a_node) {
  for (int k = 0; k < 40; ++k)
    for (std::uint32_t n = 1; n <= nodes; ++n)
      end(n, 1s, n == 5 && k % 2 == 0 ? Cause::cancelled : Cause::none);
  look();
  EXPECT_TRUE(look().empty());
}
TEST_F(Departing, uneven_heartbeats_are_flagged) {
  for (int k = 0; k < 60; ++k)
    for (std::uint32_t n = 1; n <= nodes; ++n) {
      const Duration late =
        n == 2 ? k % 2 == 0 ? Duration(900ms) : Duration(0) : Duration(k % 5 * 1'000);
      anomalies_.heard(NodeId(n), {}, now_ + k * 1s + late);
    }
  now_ += 60s;
  look();
  const auto flagged = look();
  ASSERT_EQ(flagged.size(), 1u);
  EXPECT_EQ(flagged[0].node, NodeId(2));
  EXPECT_EQ(flagged[0].flags.at(0).what, "heartbeat");
}
TEST_F(Departing, use_beyond_what_is_booked_is_flagged) {
  for (int k = 0; k < 60; ++k)
    for (std::uint32_t n = 1; n <= nodes; ++n) {
      Resources used;
      used.cpu_milli = n == 7 ? 7'900 : 3'900 + 10 * n;
      anomalies_.heard(NodeId(n), used, now_ + k * 1s);
    }
  now_ += 60s;
  look();
  const auto flagged = look();
  ASSERT_EQ(flagged.size(), 1u);
  EXPECT_EQ(flagged[0].node, NodeId(7));
  EXPECT_EQ(flagged[0].flags.at(0).text,
            "uses 49 % of its vcores beyond what is booked; elsewhere -1 %");
}
TEST_F(Departing, few_nodes_are_compared_with_nobody) {
  for (std::uint32_t n = 5; n <= nodes; ++n)
    anomalies_.forget(NodeId(n));
  work(40, 5);
  look();
  EXPECT_TRUE(look().empty());
}
TEST_F(Departing, what_the_ledger_holds_is_known_after_a_restart) {
  NodeFlag flag;
  flag.what = "run_time";
  anomalies_.on(node(3, {flag}));
  work(40, 3);
  look();
  EXPECT_TRUE(look().empty()); // it is so already
  work(60, 1);
  look();
  const auto well = look();
  ASSERT_EQ(well.size(), 1u);
  EXPECT_TRUE(well[0].flags.empty());
}
TEST_F(Departing, a_refused_flag_is_told_again) {
  work(40, 3);
  look();
  now_ += 30s;
  const auto wishes = anomalies_.decide(now_, settings_);
  ASSERT_EQ(wishes.size(), 1u);
  anomalies_.refused(std::get<core::Flag>(wishes[0]));
  EXPECT_EQ(look().size(), 1u);
}
TEST_F(Departing, never_when_the_settings_say_so) {
  settings_ = settings_from({{"anomaly.every", "0s"}});
  work(40, 3);
  look();
  EXPECT_TRUE(look().empty());
}

} // namespace
} // namespace reeve::deciders
