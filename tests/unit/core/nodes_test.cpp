// Who is a node, and what becomes of its work when it goes.
#include "tests/unit/core/fixture.hpp"

namespace reeve::core::test {
namespace {

class nodes : public CoreTest {};

TEST_F(nodes, get_ids_in_the_order_of_their_first_registration) {
  EXPECT_EQ(add_node("a"), NodeId(1));
  EXPECT_EQ(add_node("b"), NodeId(2));
  EXPECT_EQ(add_node("a", vcores(8)), NodeId(1));
  EXPECT_EQ(cluster_.find_node("a")->capacity, vcores(8));
  EXPECT_EQ(cluster_.find_node("c"), nullptr);
}

TEST_F(nodes, that_only_reconnect_make_no_entry) {
  const NodeId node = add_node("a");
  const std::size_t before = entries_.size();
  EXPECT_EQ(add_node("a"), node);
  EXPECT_EQ(entries_.size(), before);
  EXPECT_TRUE(changes_.empty());
}

TEST_F(nodes, with_a_new_incarnation_have_lost_what_ran_there) {
  const NodeId node = add_node("a");
  const JobId job = submit(array_of(3));
  placed(node, job, {{0, 2}}, 2);
  add_node("a", vcores(4), 2);
  EXPECT_EQ(available(node), vcores(4));
  EXPECT_EQ(state(job, 0), TaskState::interrupted);
  const auto interrupted = told<TasksInterrupted>();
  ASSERT_EQ(interrupted.size(), 1u);
  EXPECT_EQ(interrupted[0].runs, (std::vector<TaskRun>{{0, 2, 1}}));
  EXPECT_EQ(interrupted[0].cause, Cause::lost_node);
  EXPECT_EQ(interrupted[0].tally->losses, 1u);
  EXPECT_EQ(interrupted[0].tally->failures, 0u);
}

TEST_F(nodes, with_the_same_incarnation_keep_what_runs_there_whatever_else_changed) {
  const NodeId node = add_node("a");
  const JobId job = submit(array_of(2));
  placed(node, job, {{0, 2}}, 2);
  add_node("a", vcores(1), 1, {{"zone", "x"}});
  EXPECT_EQ(state(job, 0), TaskState::assigned);
  EXPECT_EQ(available(node).cpu_milli, -1000); // booked before it shrank
  EXPECT_EQ(refusal(node, submit(array_of(1)), {{0, 1}}), Code::no_capacity);
}

TEST_F(nodes, that_are_lost_give_everything_back_at_once) {
  const NodeId node = add_node("a"), other = add_node("b");
  const JobId first = submit(array_of(2)), second = submit(array_of(1));
  placed(node, first, {{0, 2}}, 2);
  placed(node, second, {{0, 1}});
  GrantLease lease;
  lease.node = "a";
  lease.resources = vcores(1);
  const LeaseId held = run(lease).lease;

  const Outcome outcome = run(MarkLost{{other, node, node, NodeId(99)}, "silent", false});
  EXPECT_EQ(outcome.changed, 2u);
  EXPECT_EQ(available(node), vcores(4));
  EXPECT_TRUE(cluster_.leases().empty());
  ASSERT_EQ(told<LeaseEnded>().size(), 1u);
  EXPECT_EQ(told<LeaseEnded>()[0].lease, held);
  ASSERT_EQ(told<TasksInterrupted>().size(), 2u);
  EXPECT_EQ(told<TasksInterrupted>()[0].job, first); // in id order, whatever the set's order is
  EXPECT_EQ(told<TasksInterrupted>()[1].job, second);
  EXPECT_EQ(cluster_.find_node(node)->state, NodeState::lost);
  EXPECT_EQ(cluster_.find_node(node)->reason, "silent");
  EXPECT_EQ(refusal(node, first, {{0, 1, 2}}), Code::node_down);
}

TEST_F(nodes, are_lost_once) {
  const NodeId node = add_node("a");
  EXPECT_TRUE(lose(node).entry);
  const Outcome again = lose(node);
  EXPECT_FALSE(again.entry);
  EXPECT_FALSE(again.error);
}

TEST_F(nodes, that_take_their_leave_charge_nobody) {
  const NodeId node = add_node("a");
  JobSpec spec = array_of(1);
  spec.lost_retries = 0;
  const JobId job = submit(spec);
  placed(node, job, {{0, 1}});
  run(MarkLost{{node}, "shut down", true});
  EXPECT_EQ(cluster_.find_node(node)->state, NodeState::gone);
  const auto interrupted = told<TasksInterrupted>();
  ASSERT_EQ(interrupted.size(), 1u);
  EXPECT_EQ(interrupted[0].cause, Cause::drained);
  EXPECT_EQ(interrupted[0].tally->losses, 0u);
  EXPECT_EQ(interrupted[0].tally->failures, 0u);
}

TEST_F(nodes, that_were_lost_are_up_again_when_they_register) {
  const NodeId node = add_node("a");
  lose(node);
  EXPECT_EQ(add_node("a"), node);
  EXPECT_EQ(cluster_.find_node(node)->state, NodeState::up);
  EXPECT_EQ(cluster_.find_node(node)->since, now_);
  EXPECT_EQ(refusal(node, submit(array_of(1)), {{0, 1}}), Code::ok);
}

TEST_F(nodes, that_drain_keep_their_tasks_and_take_no_more) {
  const NodeId node = add_node("a");
  const JobId job = submit(array_of(3));
  placed(node, job, {{0, 1}});
  EXPECT_EQ(run(DrainNodes{{"a"}, true, "new disk"}).changed, 1u);
  EXPECT_EQ(state(job, 0), TaskState::assigned);
  EXPECT_EQ(refusal(node, job, {{1, 1}}), Code::node_down);
  EXPECT_FALSE(run(DrainNodes{{"a"}, true, "new disk"}).entry); // is so already
  add_node("a", vcores(8));                                     // registering again does not end it
  EXPECT_EQ(cluster_.find_node(node)->reason, "new disk");
  EXPECT_EQ(refusal(node, job, {{1, 1}}), Code::node_down);
  run(DrainNodes{{"a"}, false, {}});
  EXPECT_EQ(refusal(node, job, {{1, 1}}), Code::ok);
}

TEST_F(nodes, are_named_and_one_wrong_name_changes_nothing) {
  const NodeId node = add_node("a");
  const Outcome outcome = run(DrainNodes{{"a", "nobody"}, true, {}});
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, Code::not_found);
  EXPECT_EQ(outcome.error->field, "nodes[1]");
  EXPECT_FALSE(cluster_.find_node(node)->draining);
}

TEST_F(nodes, carry_what_operators_label_over_what_agents_say) {
  const NodeId node = add_node("a", vcores(4), 1, {{"disk", "hdd"}, {"zone", "x"}});
  EXPECT_EQ(run(LabelNodes{{"a"}, {{"disk", "ssd"}, {"zone", ""}, {"rack", "7"}}}).changed, 1u);
  const std::map<std::string, std::string> wanted{{"disk", "ssd"}, {"rack", "7"}};
  EXPECT_EQ(cluster_.find_node(node)->labels, wanted);
  add_node("a", vcores(4), 2, {{"disk", "nvme"}, {"zone", "y"}});
  EXPECT_EQ(cluster_.find_node(node)->labels, wanted);
  EXPECT_EQ(run(LabelNodes{{"a"}, {}}).error->field, "labels");
}

TEST_F(nodes, are_removed_only_when_they_are_down) {
  const NodeId node = add_node("a");
  EXPECT_EQ(run(RemoveNodes{{node}}).error->code, Code::refused);
  lose(node);
  EXPECT_EQ(run(RemoveNodes{{node}}).changed, 1u);
  EXPECT_EQ(told<NodeForgotten>().at(0).node, node);
  EXPECT_EQ(cluster_.find_node("a"), nullptr);
  EXPECT_FALSE(run(RemoveNodes{{node}}).entry);
  EXPECT_EQ(add_node("a"), NodeId(2)); // ids are never used twice
}

TEST_F(nodes, that_register_are_told_what_is_no_longer_theirs_and_what_they_lack) {
  const NodeId node = add_node("a");
  const JobId job = submit(array_of(20)), other = submit(array_of(1));
  placed(node, job, {{0, 10}}, 3);
  placed(node, other, {{0, 1}});
  finish(node, job, {{2, 1}});
  const std::vector<JobRuns> has{{job, {{0, 4}, {12, 2}}}, {JobId(77), {{0, 1}}}};
  const Reconciled r = cluster_.reconcile(node, has);
  EXPECT_EQ(r.stop, (std::vector<JobRuns>{{job, {{2, 1}, {12, 2}}}, {JobId(77), {{0, 1}}}}));
  ASSERT_EQ(r.resend.size(), 2u);
  EXPECT_EQ(r.resend[0], (Placement{node, job, 3, {{4, 6}}}));
  EXPECT_EQ(r.resend[1], (Placement{node, other, 1, {{0, 1}}}));
  EXPECT_TRUE(r.cancel.empty());
}

TEST_F(nodes, that_register_are_told_again_what_they_must_stop) {
  const NodeId node = add_node("a");
  const JobId whole = submit(array_of(4)), part = submit(array_of(4));
  placed(node, whole, {{0, 2}}, 2);
  placed(node, part, {{0, 4}}, 1);
  run(Cancel{whole, {}, "enough"});
  run(Cancel{part, {{1, 2}}, "enough"});
  const Reconciled r = cluster_.reconcile(node, std::vector<JobRuns>{{part, {{0, 4}}}});
  EXPECT_EQ(r.cancel, (std::vector<JobRuns>{{whole, {{0, 2}}}, {part, {{1, 2}}}}));
}

TEST_F(nodes, that_come_back_from_being_lost_must_drop_every_attempt) {
  const NodeId node = add_node("a");
  const JobId job = submit(array_of(2));
  placed(node, job, {{0, 2}}, 2);
  lose(node);
  add_node("a");
  const std::vector<JobRuns> has{{job, {{0, 2}}}};
  EXPECT_EQ(cluster_.reconcile(node, has).stop, has);
  EXPECT_EQ(finish(node, job, {{0, 2}}).changed, 0u);
}

TEST_F(nodes, are_listed_as_they_are) {
  add_node("a");
  const NodeId b = add_node("b", vcores(2));
  placed(b, submit(array_of(1)), {{0, 1}});
  const auto all = cluster_.list(ListNodes{});
  ASSERT_TRUE(all);
  ASSERT_EQ(all->nodes.size(), 2u);
  EXPECT_EQ(all->nodes[1].name, "b");
  EXPECT_EQ(all->nodes[1].available, vcores(1));
  EXPECT_EQ(all->nodes[1].tasks, 1u);
  EXPECT_EQ(cluster_.list(ListNodes{{"b", "c"}}).error().field, "names[1]");
}

class disconnected_nodes : public CoreTest {
protected:
  void SetUp() override {
    JobSpec spec = array_of(2);
    spec.disconnect = std::chrono::minutes(10);
    patient = submit(spec);
    hasty = submit(array_of(1));
    placed(a, patient, {{0, 2}}, 2);
    placed(a, hasty, {{0, 1}});
    lose(a);
  }
  const NodeId a = add_node("a");
  JobId patient, hasty;
};

TEST_F(disconnected_nodes, keep_the_tasks_of_jobs_that_wait_and_lose_all_others) {
  const auto interrupted = told<TasksInterrupted>();
  ASSERT_EQ(interrupted.size(), 1u);
  EXPECT_EQ(interrupted[0].job, hasty);
  EXPECT_EQ(state(patient, 0), TaskState::assigned);
  EXPECT_EQ(refusal(a, hasty, {{0, 1, 2}}), Code::node_down);
  EXPECT_EQ(run(RemoveNodes{{a}}).error->code, Code::refused) << "its tasks would hang for ever";
}

TEST_F(disconnected_nodes, that_come_back_have_gone_on) {
  add_node("a");
  EXPECT_TRUE(told<TasksInterrupted>().empty());
  const auto known = cluster_.reconcile(a, std::vector<JobRuns>{{patient, {{0, 2, 1}}}});
  EXPECT_TRUE(known.stop.empty());
  EXPECT_TRUE(known.resend.empty());
  EXPECT_FALSE(run(Abandon{a, patient, "too late"}).entry);
  finish(a, patient, {{0, 2}});
  EXPECT_EQ(progress(patient).state, JobState::succeeded);
}

TEST_F(disconnected_nodes, that_come_back_anew_have_lost_them_after_all) {
  add_node("a", vcores(4), 2);
  EXPECT_EQ(told<TasksInterrupted>().size(), 1u);
}

TEST_F(disconnected_nodes, are_given_up_when_the_wait_is_over) {
  run(Abandon{a, patient, "10 minutes are over"});
  const auto interrupted = told<TasksInterrupted>();
  ASSERT_EQ(interrupted.size(), 1u);
  EXPECT_EQ(interrupted[0].cause, Cause::lost_node);
  EXPECT_EQ(interrupted[0].runs, (std::vector<TaskRun>{{0, 2, 1}}));
  EXPECT_EQ(cluster_.find_node(a)->booked, Resources());
  EXPECT_FALSE(run(Abandon{a, patient, "again"}).entry);
  EXPECT_FALSE(run(RemoveNodes{{a}}).error);
}

TEST_F(disconnected_nodes, with_cancelled_tasks_end_them_when_they_are_given_up) {
  run(Cancel{patient, {}, "enough"});
  EXPECT_EQ(progress(patient).assigned, 2u);
  run(Abandon{a, patient, "over"});
  EXPECT_EQ(progress(patient).state, JobState::cancelled);
}

} // namespace
} // namespace reeve::core::test
