// How long jobs wait for a lost node.
#include "src/deciders/recovery.hpp"

#include <gtest/gtest.h>

namespace reeve::deciders {
namespace {

using namespace std::chrono_literals;

class disconnects : public testing::Test {
protected:
  disconnects() {
    fly(1, 10min);
    fly(2, 0s);
    node(NodeState::up);
  }
  void node(NodeState state) {
    core::NodeChanged change;
    change.node = NodeId(1);
    change.name = "n1";
    change.state = state;
    change.since = now_;
    recovery_.apply(core::Changes{change});
  }
  void fly(std::uint64_t job, Duration patience, std::uint32_t tasks = 1) {
    auto kind = std::make_shared<core::Kind>();
    kind->disconnect = patience;
    recovery_.apply(core::Changes{core::FlightChanged{NodeId(1), JobId(job), tasks, tasks, kind}});
  }
  std::vector<core::Abandon> given_up() {
    std::vector<core::Abandon> out;
    for (const auto& command : recovery_.decide(now_))
      out.push_back(std::get<core::Abandon>(command));
    return out;
  }
  TimePoint now_{std::chrono::hours(500'000)};
  Recovery recovery_{1};
};

TEST_F(disconnects, end_when_the_jobs_patience_is_over_and_are_asked_for_once) {
  now_ += 1h;
  EXPECT_TRUE(given_up().empty()) << "the node is up";
  node(NodeState::lost);
  now_ += 10min - 1s;
  EXPECT_TRUE(given_up().empty());
  now_ += 1s;
  const auto wishes = given_up();
  ASSERT_EQ(wishes.size(), 1u) << "the other job does not wait: the ledger has seen to it";
  EXPECT_EQ(wishes[0].job, JobId(1));
  EXPECT_EQ(wishes[0].reason, "node n1 was lost and has not come back within 10m00s");
  EXPECT_TRUE(given_up().empty());
  recovery_.refused(core::Command(wishes[0]), Error{Code::unavailable, {}, "the disk is full"});
  now_ += 2s;
  recovery_.decide(now_);
  now_ += 2s;
  EXPECT_EQ(given_up().size(), 1u);
}

TEST_F(disconnects, begin_anew_with_each_loss_and_end_with_the_tasks) {
  node(NodeState::lost);
  now_ += 9min;
  node(NodeState::up);
  node(NodeState::lost);
  now_ += 9min;
  EXPECT_TRUE(given_up().empty());
  fly(1, 10min, 0);
  now_ += 9min;
  EXPECT_TRUE(given_up().empty());
}

TEST_F(disconnects, of_a_node_that_flaps_put_it_into_quarantine) {
  core::NodeChanged other; // one of two may be put away
  other.node = NodeId(2);
  recovery_.apply(core::Changes{other});
  for (int n = 0; n < 3; ++n) {
    EXPECT_TRUE(recovery_.decide(now_).empty()) << n;
    node(NodeState::lost);
    now_ += 5min;
    node(NodeState::up);
  }
  const auto commands = recovery_.decide(now_);
  ASSERT_EQ(commands.size(), 1u);
  const auto& wish = std::get<core::Quarantine>(commands[0]);
  EXPECT_EQ(wish.nodes, std::vector<NodeId>{NodeId(1)});
  EXPECT_EQ(wish.until, now_ + 10min);
  EXPECT_EQ(wish.reason, "it was lost and came back 3 times within 1h00m");
}

TEST_F(disconnects, far_apart_are_no_flapping) {
  core::NodeChanged other;
  other.node = NodeId(2);
  recovery_.apply(core::Changes{other});
  for (int n = 0; n < 10; ++n) {
    node(NodeState::lost);
    now_ += 5min;
    node(NodeState::up);
    EXPECT_TRUE(recovery_.decide(now_).empty()) << n;
    now_ += 30min;
  }
}

} // namespace
} // namespace reeve::deciders
