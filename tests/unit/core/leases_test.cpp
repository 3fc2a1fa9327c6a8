// Resources held without a task, settings, epochs.
#include "tests/unit/core/fixture.hpp"

namespace reeve::core::test {
namespace {

class leases : public CoreTest {
protected:
  static GrantLease ask(const std::string& node, std::int64_t cores, const std::string& key = {}) {
    GrantLease lease;
    lease.node = node;
    lease.owner = "ada";
    lease.resources = vcores(cores);
    lease.duration = std::chrono::minutes(1);
    lease.key = {key};
    return lease;
  }
};

TEST_F(leases, hold_resources_until_they_are_given_back) {
  const NodeId node = add_node("a");
  const Outcome granted = run(ask("a", 3));
  ASSERT_FALSE(granted.error);
  EXPECT_EQ(granted.node, node);
  EXPECT_EQ(available(node), vcores(1));
  EXPECT_EQ(refusal(node, submit(array_of(2)), {{0, 2}}, 2), Code::no_capacity);
  EXPECT_EQ(run(ReleaseLeases{granted.lease, {}, {}}).changed, 1u);
  EXPECT_EQ(available(node), vcores(4));
}

TEST_F(leases, keep_the_queue_and_the_limits_that_they_count_in) {
  add_node("a");
  GrantLease wish = ask("a", 1, "k");
  wish.queue = "night";
  wish.limits = {{"db", 2, false}};
  const LeaseId lease = run(wish).lease;
  ASSERT_EQ(told<LeaseChanged>().size(), 1u);
  EXPECT_EQ(told<LeaseChanged>()[0].queue, "night");
  EXPECT_EQ(told<LeaseChanged>()[0].limits, wish.limits);
  EXPECT_EQ(told<LeaseChanged>()[0].key, wish.key);
  const LeaseView seen = cluster_.view(cluster_.leases().at(lease));
  EXPECT_EQ(seen.queue, "night");
  EXPECT_EQ(seen.limits, wish.limits);
  const auto again = Cluster::restore(cluster_.snapshot());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->leases().at(lease).queue, "night");
  EXPECT_EQ(again->leases().at(lease).limits, wish.limits);
}

TEST_F(leases, for_any_node_are_granted_where_most_fits_but_not_where_they_must_not_be) {
  const NodeId a = add_node("a"), b = add_node("b");
  run(ask("b", 1));
  GrantLease wish = ask("", 1);
  EXPECT_EQ(run(wish).node, a);
  wish.not_on = {a};
  EXPECT_EQ(run(wish).node, b);
  wish.not_on = {a, b};
  const Outcome refused = run(wish);
  ASSERT_TRUE(refused.error);
  EXPECT_EQ(refused.error->code, Code::no_capacity);
}

TEST_F(leases, are_refused_with_what_was_asked_what_is_available_and_the_capacity) {
  add_node("a");
  run(ask("a", 3));
  const Outcome refused = run(ask("a", 2));
  ASSERT_TRUE(refused.error);
  EXPECT_EQ(refused.error->code, Code::no_capacity);
  EXPECT_EQ(refused.error->field, "resources");
  for (const char* part : {"asked 2", "available 1", "capacity 4"})
    EXPECT_NE(refused.error->text.find(part), std::string::npos) << refused.error->text;
}

TEST_F(leases, are_refused_on_nodes_that_are_unknown_lost_or_draining) {
  const NodeId node = add_node("a");
  EXPECT_EQ(run(ask("b", 1)).error->code, Code::not_found);
  run(DrainNodes{{"a"}, true, "new disk"});
  EXPECT_EQ(run(ask("a", 1)).error->code, Code::node_down);
  run(DrainNodes{{"a"}, false, {}});
  lose(node);
  EXPECT_EQ(run(ask("a", 1)).error->code, Code::node_down);
  EXPECT_EQ(run(ask("", 1)).error->code, Code::no_capacity);
  EXPECT_EQ(run(ask("a", 0)).error->field, "resources");
}

TEST_F(leases, without_a_node_go_where_most_room_is) {
  add_node("small", vcores(2));
  const NodeId large = add_node("large", vcores(8));
  EXPECT_EQ(run(ask("", 1)).node, large);
}

TEST_F(leases, asked_for_twice_with_one_key_are_one_lease) {
  const NodeId node = add_node("a");
  const Outcome first = run(ask("a", 1, "k"));
  const Outcome again = run(ask("a", 1, "k"));
  EXPECT_TRUE(again.duplicate);
  EXPECT_EQ(again.lease, first.lease);
  EXPECT_EQ(again.node, node);
  EXPECT_EQ(available(node), vcores(3));
  run(ReleaseLeases{first.lease, {}, {}});
  EXPECT_NE(run(ask("a", 1, "k")).lease, first.lease); // as long as it is held
}

TEST_F(leases, end_when_their_time_is_over_unless_renewed) {
  const NodeId node = add_node("a");
  const LeaseId lease = run(ask("a", 1)).lease;
  EXPECT_FALSE(run(EndLeases{{lease}, true}).entry); // not yet
  now_ += std::chrono::minutes(2);
  EXPECT_EQ(run(RenewLease{lease, std::chrono::minutes(1)}).changed, 1u);
  EXPECT_EQ(told<LeaseChanged>().at(0).expires, now_ + std::chrono::minutes(1));
  EXPECT_FALSE(run(EndLeases{{lease}, true}).entry); // renewed just in time
  now_ += std::chrono::minutes(1);
  EXPECT_EQ(run(EndLeases{{lease, lease, LeaseId(9)}, true}).changed, 1u);
  EXPECT_EQ(available(node), vcores(4));
  EXPECT_EQ(run(RenewLease{lease, std::chrono::minutes(1)}).error->code, Code::not_found);
}

TEST_F(leases, without_a_time_limit_do_not_expire) {
  add_node("a");
  GrantLease lease = ask("a", 1);
  lease.duration = Duration(0);
  const LeaseId id = run(lease).lease;
  now_ += std::chrono::hours(10'000);
  EXPECT_FALSE(run(EndLeases{{id}, true}).entry);
}

TEST_F(leases, are_given_back_by_node_and_owner) {
  add_node("a");
  add_node("b");
  run(ask("a", 1));
  GrantLease other = ask("a", 1);
  other.owner = "bob";
  run(other);
  run(ask("b", 1));
  EXPECT_EQ(run(ReleaseLeases{{}, "a", "bob"}).changed, 1u);
  EXPECT_EQ(run(ReleaseLeases{{}, "a", {}}).changed, 1u);
  EXPECT_FALSE(run(ReleaseLeases{{}, "a", {}}).entry);
  EXPECT_EQ(run(ReleaseLeases{{}, "c", {}}).error->code, Code::not_found);
  EXPECT_EQ(run(ReleaseLeases{}).error->code, Code::bad_field);
  EXPECT_EQ(run(ReleaseLeases{LeaseId(99), {}, {}}).error->code, Code::not_found);
  const LeaseList list = cluster_.list(ListLeases{});
  ASSERT_EQ(list.leases.size(), 1u);
  EXPECT_EQ(list.leases[0].node, "b");
  EXPECT_EQ(list.leases[0].owner, "ada");
}

TEST_F(leases, ids_are_never_used_twice_not_even_after_a_restart) {
  add_node("a");
  const LeaseId first = run(ask("a", 1)).lease;
  run(ReleaseLeases{first, {}, {}});
  auto restored = Cluster::restore(cluster_.snapshot());
  ASSERT_TRUE(restored);
  Changes changes;
  EXPECT_GT(restored->execute(ask("a", 1), now_, changes).lease, first);
}

class settings : public CoreTest {};

TEST_F(settings, a_promise_is_journalled_when_it_breaks_and_when_it_is_kept_again) {
  const auto judge = [&](bool kept) {
    return run(JudgePromise{"p90", kept, "at most 5m", "6m", now_});
  };
  EXPECT_FALSE(judge(true).entry);
  EXPECT_EQ(judge(false).changed, 1u);
  EXPECT_FALSE(judge(false).entry) << "it is broken already";
  EXPECT_EQ(cluster_.broken_promises(), std::set<std::string>{"p90"});
  EXPECT_EQ(Cluster::restore(cluster_.snapshot())->broken_promises(), std::set<std::string>{"p90"});
  EXPECT_EQ(judge(true).changed, 1u);
  EXPECT_TRUE(cluster_.broken_promises().empty());
}

TEST_F(settings, are_kept_and_only_what_differs_is_an_entry) {
  EXPECT_EQ(run(ChangeConfig{{{"a", "1"}, {"b", "2"}}}).changed, 2u);
  EXPECT_EQ(run(ChangeConfig{{{"a", "1"}, {"b", "3"}}}).changed, 1u);
  EXPECT_FALSE(run(ChangeConfig{{{"a", "1"}}}).entry);
  EXPECT_EQ(run(ChangeConfig{{{"a", ""}}}).changed, 1u); // back to the default
  EXPECT_EQ(cluster_.config(), (std::map<std::string, std::string>{{"b", "3"}}));
  EXPECT_EQ(told<ConfigUpdated>().at(0).values, cluster_.config());
  EXPECT_FALSE(run(ChangeConfig{{{"a", ""}}}).entry);
}

class epochs : public CoreTest {};

TEST_F(epochs, only_grow) {
  EXPECT_FALSE(run(BeginEpoch{Epoch(3), "one"}).error);
  EXPECT_EQ(cluster_.epoch(), Epoch(3));
  EXPECT_EQ(run(BeginEpoch{Epoch(3), "two"}).error->code, Code::stale_epoch);
  EXPECT_EQ(run(BeginEpoch{Epoch(2), "two"}).error->code, Code::stale_epoch);
  EXPECT_FALSE(run(BeginEpoch{Epoch(4), "two"}).error);
}

} // namespace
} // namespace reeve::core::test
