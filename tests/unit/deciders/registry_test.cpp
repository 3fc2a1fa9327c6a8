// Checks of what agents and operators say, before the ledger is asked.
#include "src/deciders/registry.hpp"

#include <gtest/gtest.h>

namespace reeve::deciders {
namespace {

using namespace std::chrono_literals;

RegisterNode good_node() {
  RegisterNode message;
  message.name = "n1";
  message.incarnation = Incarnation(7);
  message.session = 1;
  message.capacity.cpu_milli = 4'000;
  message.executors = {"process", "noop"};
  message.labels = {{"zone", "a"}};
  message.program = "reeve-agent 0.1.0";
  return message;
}
core::NodeChanged node_of(std::uint32_t id, NodeState state = NodeState::up) {
  core::NodeChanged change;
  change.node = NodeId(id);
  change.name = "n" + std::to_string(id);
  change.state = state;
  return change;
}

TEST(registry, answers_a_good_node_with_its_heartbeat) {
  EXPECT_EQ(Registry().check(good_node()).value(), Duration(1s));
}

struct WrongNode {
  const char* name;
  void (*spoil)(RegisterNode&);
  const char* field;
};
class WrongNodes : public testing::TestWithParam<WrongNode> {};
TEST_P(WrongNodes, are_refused_with_the_field) {
  RegisterNode message = good_node();
  GetParam().spoil(message);
  const auto checked = Registry().check(message);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, Code::bad_field);
  EXPECT_EQ(checked.error().field, GetParam().field);
  EXPECT_FALSE(checked.error().text.empty());
}
INSTANTIATE_TEST_SUITE_P(
  , WrongNodes,
  testing::Values(
    WrongNode{"blank_name", [](RegisterNode& m) { m.name = "  "; }, "name"},
    WrongNode{"name_with_newline", [](RegisterNode& m) { m.name = "a\nb"; }, "name"},
    WrongNode{"no_capacity", [](RegisterNode& m) { m.capacity = {}; }, "capacity"},
    WrongNode{"negative_gpus", [](RegisterNode& m) { m.capacity.named_milli["gpu"] = -1; },
              "capacity.named_milli.gpu"},
    WrongNode{"no_executor", [](RegisterNode& m) { m.executors.clear(); }, "executors"},
    WrongNode{"empty_executor", [](RegisterNode& m) { m.executors[1] = ""; }, "executors[1]"},
    WrongNode{"executor_twice", [](RegisterNode& m) { m.executors.emplace_back("noop"); },
              "executors[2]"},
    WrongNode{"executor_too_long", [](RegisterNode& m) { m.executors[0] = std::string(65, 'x'); },
              "executors[0]"},
    WrongNode{"label_without_name", [](RegisterNode& m) { m.labels[""] = "x"; }, "labels"},
    WrongNode{"label_too_long", [](RegisterNode& m) { m.labels["k"] = std::string(257, 'x'); },
              "labels.k"},
    WrongNode{"label_with_escape", [](RegisterNode& m) { m.labels["k"] = "\x1b"; }, "labels.k"},
    WrongNode{"program_with_escape", [](RegisterNode& m) { m.program = "\x1b"; }, "program"}),
  [](const auto& test) { return test.param.name; });

TEST(registry, stretches_heartbeats_so_that_all_together_keep_to_the_rate) {
  const Settings settings = settings_from({});
  EXPECT_EQ(heartbeat_interval(settings, 1), Duration(1s));
  EXPECT_EQ(heartbeat_interval(settings, 2'000), Duration(1s));
  for (const std::size_t nodes : {3'000u, 10'000u, 100'000u}) {
    const double interval = static_cast<double>(heartbeat_interval(settings, nodes).count()) / 1e6;
    EXPECT_LE(static_cast<double>(nodes) / interval, 2'000.01) << nodes;
    EXPECT_GE(static_cast<double>(nodes) / interval, 1'999.0) << nodes;
  }
}
TEST(registry, counts_nodes_that_are_up_and_obeys_settings) {
  Registry registry;
  core::Changes changes;
  for (std::uint32_t id = 1; id <= 30; ++id)
    changes.emplace_back(node_of(id));
  changes.emplace_back(core::ConfigUpdated{{{"heartbeat.rate", "10"}}});
  registry.reset(changes);
  EXPECT_EQ(registry.check(good_node()).value(), Duration(3'100ms));
  registry.apply({node_of(1, NodeState::lost), core::NodeForgotten{NodeId(2)}});
  EXPECT_EQ(registry.check(good_node()).value(), Duration(2'900ms));
}

TEST(registry, refuses_a_setting_without_changing_any) {
  SetConfig message;
  message.values = {{"retention.jobs", "2h"}, {"retention.tasks", "many"}};
  const auto checked = Registry().check(message);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().field, "values.retention.tasks");
}
TEST(registry, judges_settings_against_those_in_force) {
  Registry registry;
  SetConfig message;
  message.values = {{"liveness.lost_min", "50s"}};
  EXPECT_FALSE(registry.check(message));
  registry.apply({core::ConfigUpdated{{{"liveness.lost_max", "60s"}}}});
  EXPECT_TRUE(registry.check(message));
}

struct NodeWish {
  const char* name;
  ActOnNodes message;
  const char* field; // empty: good
};
class NodeWishes : public testing::TestWithParam<NodeWish> {};
TEST_P(NodeWishes, are_judged) {
  const auto checked = Registry().check(GetParam().message);
  EXPECT_EQ(checked.has_value() ? "" : checked.error().field, GetParam().field);
}
ActOnNodes wish(NodeAction action, std::vector<std::string> nodes,
                std::map<std::string, std::string> labels = {}, std::string reason = {}) {
  ActOnNodes message;
  message.action = action;
  message.nodes = std::move(nodes);
  message.labels = std::move(labels);
  message.reason = std::move(reason);
  return message;
}
INSTANTIATE_TEST_SUITE_P(
  , NodeWishes,
  testing::Values(
    NodeWish{"drain", wish(NodeAction::drain, {"n1"}, {}, "new disk"), ""},
    NodeWish{"label", wish(NodeAction::label, {"n1"}, {{"a", "b"}}), ""},
    NodeWish{"label_removed", wish(NodeAction::label, {"n1"}, {{"a", ""}}), ""},
    NodeWish{"label_without_labels", wish(NodeAction::label, {"n1"}), "labels"},
    NodeWish{"drain_with_labels", wish(NodeAction::drain, {"n1"}, {{"a", "b"}}), "labels"},
    NodeWish{"empty_name", wish(NodeAction::drain, {"n1", ""}), "nodes[1]"},
    NodeWish{"reason_with_newline", wish(NodeAction::drain, {"n1"}, {}, "a\nb"), "reason"}),
  [](const auto& test) { return test.param.name; });

} // namespace
} // namespace reeve::deciders
