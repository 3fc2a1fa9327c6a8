// Group commit: what leaves the ledger, when, and what becomes of it when the journal fails.
#include "tests/unit/ledger/fixture.hpp"

namespace reeve::ledger::test {
namespace {

// ---- durability

using durability = LedgerTest;

TEST_F(durability, an_answer_waits_until_its_entry_is_durable) {
  ask_submit({array_of(1), array_of(2)});
  EXPECT_TRUE(effects().empty());
  const auto batches = ledger_.take_batches();
  EXPECT_TRUE(effects().empty()) << "handed to the writer, not yet durable";
  ledger_.durable(batches.back().last());
  const auto submitted = answer<Submitted>();
  EXPECT_EQ(submitted.first, JobId(1));
  EXPECT_EQ(submitted.count, 2u);
  EXPECT_FALSE(submitted.duplicate);
}

TEST_F(durability, an_answer_to_a_question_waits_for_the_state_it_shows) {
  ask_submit({array_of(1)}, {}, client, 1);
  ask(ListJobs{}, other_client, 2);
  EXPECT_TRUE(effects().empty());
  commit();
  const auto all = effects();
  ASSERT_EQ(all.size(), 2u); // in the order of asking
  as<Submitted>(all[0], client, 1);
  EXPECT_EQ(as<JobList>(all[1], other_client, 2).jobs.size(), 1u);
  ask(ListJobs{}, other_client, 3); // nothing is open: at once
  EXPECT_EQ(answer<JobList>(other_client, 3).jobs.size(), 1u);
}

TEST_F(durability, a_refusal_waits_for_the_state_it_speaks_of) {
  ask_submit({array_of(1)});
  ask(Wait{{JobId(1), JobId(2)}, {}}, client, 2);
  EXPECT_TRUE(effects().empty());
  commit();
  const auto all = effects();
  ASSERT_EQ(all.size(), 2u);
  const auto failed = as<Failed>(all[1], client, 2);
  EXPECT_EQ(failed.code, Code::not_found);
  EXPECT_EQ(failed.field, "jobs[1]");
}

TEST_F(durability, effects_leave_in_order_and_only_as_far_as_it_is_durable) {
  ask_submit({array_of(1)}, {}, client, 1);
  const auto first = ledger_.take_batches();
  ask_submit({array_of(1)}, {}, client, 2);
  const auto second = ledger_.take_batches();
  EXPECT_EQ(ledger_.undurable(), 2u);
  ledger_.durable(first.back().last());
  EXPECT_EQ(as<Submitted>(effects().at(0), client, 1).first, JobId(1));
  EXPECT_EQ(ledger_.undurable(), 1u);
  ledger_.durable(second.back().last());
  EXPECT_EQ(answer<Submitted>(client, 2).first, JobId(2));
  EXPECT_EQ(ledger_.undurable(), 0u);
}

TEST_F(durability, deciders_hear_of_entries_in_order_once_they_are_durable) {
  ask_submit({array_of(1)});
  ask(SetConfig{{{"x", "1"}}});
  EXPECT_TRUE(ledger_.take_committed().empty());
  commit();
  const auto committed = ledger_.take_committed();
  ASSERT_EQ(committed.size(), 1u); // shared one batch
  EXPECT_EQ(committed[0]->first, Seq(2));
  EXPECT_EQ(committed[0]->entries.size(), 2u);
  EXPECT_EQ(committed[0]->changes.size(), 2u);
  EXPECT_EQ(ledger_.durable_seq(), Seq(3));
}

TEST_F(durability, batches_carry_the_entries_as_they_were_decided) {
  ask_submit({array_of(3)});
  const auto batches = commit();
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_EQ(batches[0].first, Seq(2));
  const auto entry = decode<Entry>(batches[0].entries.at(0));
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->time, now_);
  EXPECT_EQ(std::get<JobsSubmitted>(entry->fact).first, JobId(1));
  EXPECT_FALSE(ledger_.has_batches());
  EXPECT_TRUE(ledger_.take_batches().empty());
}

TEST_F(durability, a_batch_is_closed_at_a_thousand_entries_or_64_kib) {
  for (int i = 0; i < 2500; ++i)
    ask(SetConfig{{{"x", std::to_string(i)}}});
  auto batches = commit();
  ASSERT_EQ(batches.size(), 3u);
  EXPECT_EQ(batches[0].entries.size(), 1000u);
  EXPECT_EQ(batches[2].entries.size(), 500u);
  JobSpec large = array_of(1);
  large.payload.data = std::string(30'000, 'x');
  for (int i = 0; i < 6; ++i)
    ask_submit({large});
  batches = commit();
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_EQ(batches[0].entries.size(), 3u);
  Seq next = Seq(2);
  for (const auto& committed : ledger_.take_committed()) { // no gap between batches
    EXPECT_EQ(committed->first, next);
    next = committed->last().next();
  }
}

TEST_F(durability, what_changes_nothing_makes_no_entry_and_is_answered_all_the_same) {
  ask(SetConfig{{{"x", "1"}}});
  commit();
  effects();
  ask(SetConfig{{{"x", "1"}}});
  EXPECT_FALSE(ledger_.has_batches());
  EXPECT_EQ(answer<Done>().changed, 0u);
}

TEST_F(durability, a_reign_is_above_every_reign_that_was_ever_taken) {
  EXPECT_EQ(ledger_.cluster().epoch(), Epoch(1));
  Ledger next({"c", "m", "p", now_}, *core::Cluster::restore(ledger_.cluster().snapshot()));
  EXPECT_EQ(next.begin(now_, Epoch(6)), Epoch(7)); // one died before its first entry
  EXPECT_TRUE(next.has_batches());
}

// ---- work for nodes

class dispatching : public LedgerTest {
protected:
  void SetUp() override { node_ = node("a"); }
  NodeId node_;
};

TEST_F(dispatching, work_goes_to_its_node_once_it_is_durable_with_the_spec_at_first) {
  JobSpec spec = array_of(10);
  spec.items.assign(10, "x");
  spec.items[3] = "y";
  const JobId job = submit(spec);
  EXPECT_TRUE(place(node_, job, {{2, 2}}, 2).placements.empty());
  EXPECT_TRUE(effects().empty());
  commit();
  auto work = only<AssignToNode>();
  EXPECT_EQ(work.node, node_);
  ASSERT_TRUE(work.spec);
  EXPECT_EQ(work.spec->job, job);
  EXPECT_EQ(decode<JobSpec>(work.spec->spec.msgpack)->executor, "noop");
  EXPECT_EQ(work.job.slots, 2u);
  EXPECT_EQ(work.job.runs, (std::vector<TaskRun>{{2, 2}}));
  EXPECT_EQ(work.job.items, (std::vector<std::string>{"x", "y"}));

  place(node_, job, {{4, 1}}, 1); // fewer slots than are booked: those stay
  commit();
  work = only<AssignToNode>();
  EXPECT_FALSE(work.spec) << "the node holds tasks of that job";
  EXPECT_EQ(work.job.slots, 2u);

  results(node_, job, {{2, 3}}, 1);
  place(node_, job, {{5, 1}});
  commit();
  const auto all = effects();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_TRUE(std::get<AssignToNode>(all[1]).spec) << "it held none any more";
}

TEST_F(dispatching, a_refused_placement_sends_nothing_and_is_told) {
  const JobId job = submit(array_of(10));
  const RefusedWish refused = place(node_, job, {{0, 5}}, 5);
  ASSERT_EQ(refused.placements.size(), 1u);
  EXPECT_EQ(refused.placements[0].error.code, Code::no_capacity);
  EXPECT_FALSE(refused.error);
  EXPECT_EQ(ledger_.wish(core::Requeue{JobId(9), {}, {}, {}, {}}, now_).error->code,
            Code::not_found);
  commit();
  EXPECT_TRUE(effects().empty());
}

TEST_F(dispatching, cancelling_stops_what_runs) {
  const JobId job = submit(array_of(4));
  place(node_, job, {{0, 2}});
  commit();
  effects();
  ask(ActOnJobs{JobAction::cancel, {job}, {}, "enough"});
  commit();
  const auto all = effects();
  ASSERT_EQ(all.size(), 2u);
  const auto& stop = std::get<StopOnNode>(all[0]);
  EXPECT_EQ(stop.node, node_);
  EXPECT_EQ(stop.tasks, (JobRuns{job, {{0, 2}}}));
  EXPECT_EQ(stop.reason, "enough");
  EXPECT_EQ(as<Done>(all[1]).changed, 4u);
}

TEST_F(dispatching, the_word_to_stop_is_said_again_until_nothing_is_left_to_stop) {
  const JobId job = submit(array_of(2));
  place(node_, job, {{0, 2}}, 2);
  commit();
  ask(ActOnJobs{JobAction::cancel, {job}, {}, "enough"});
  commit();
  effects();
  ledger_.tick(now_);
  ledger_.tick(now_ += std::chrono::seconds(9));
  EXPECT_TRUE(effects().empty()) << "the agent has its time";
  ledger_.tick(now_ += std::chrono::seconds(1));
  EXPECT_EQ(only<StopOnNode>().tasks, (JobRuns{job, {{0, 2}}}));
  results(node_, job, {{0, 1}}, 1);
  commit();
  effects();
  ledger_.tick(now_ += std::chrono::seconds(10));
  EXPECT_EQ(only<StopOnNode>().tasks, (JobRuns{job, {{1, 1}}}));
  results(node_, job, {{1, 1}}, 2);
  commit();
  effects();
  ledger_.tick(now_ += std::chrono::seconds(60));
  EXPECT_TRUE(effects().empty());
}

TEST_F(dispatching, a_lost_node_is_unbound_and_so_is_one_that_leaves) {
  ledger_.wish(core::MarkLost{{node_}, "silent", false}, now_);
  EXPECT_TRUE(effects().empty());
  commit();
  auto unbound = only<NodeUnbound>();
  EXPECT_EQ(unbound.node, node_);
  EXPECT_EQ(unbound.reason, "silent");
  register_node("a");
  commit();
  only<NodeBound>();
  ledger_.leave(node_, "shut down", now_);
  commit();
  EXPECT_EQ(only<NodeUnbound>().reason, "shut down");
  EXPECT_EQ(ledger_.cluster().find_node(node_)->state, NodeState::gone);
}

// ---- registration

class registering : public LedgerTest {};

TEST_F(registering, is_answered_when_durable_with_the_session_it_belongs_to) {
  register_node("a");
  EXPECT_TRUE(effects().empty());
  commit();
  const auto bound = only<NodeBound>();
  EXPECT_EQ(bound.peer, agent);
  EXPECT_EQ(bound.correlation, 3u);
  EXPECT_EQ(bound.session, 7u);
  EXPECT_EQ(bound.incarnation, Incarnation(1));
  EXPECT_EQ(bound.reply.node, NodeId(1));
  EXPECT_EQ(bound.reply.session, 7u);
  EXPECT_EQ(bound.reply.heartbeat, std::chrono::seconds(1));
  EXPECT_TRUE(bound.reply.stop.empty());
  register_node("a"); // it only reconnected: no entry, so at once
  only<NodeBound>();
}

TEST_F(registering, again_binds_first_then_sends_what_is_missing_then_what_must_stop) {
  const NodeId id = node("a");
  const JobId job = submit(array_of(10)), cancelled = submit(array_of(2));
  place(id, job, {{0, 6}}, 3);
  place(id, cancelled, {{0, 1}}, 1);
  ask(ActOnJobs{JobAction::cancel, {cancelled}, {}, {}});
  commit();
  effects();
  register_node("a", other_agent, 1, {{job, {{0, 2}, {8, 1}}}, {cancelled, {{0, 1}}}});
  commit();
  const auto all = effects();
  ASSERT_EQ(all.size(), 3u);
  const auto& bound = std::get<NodeBound>(all[0]);
  EXPECT_EQ(bound.peer, other_agent);
  EXPECT_EQ(bound.reply.stop, (std::vector<JobRuns>{{job, {{8, 1}}}}));
  const auto& work = std::get<AssignToNode>(all[1]);
  EXPECT_TRUE(work.spec);
  EXPECT_EQ(work.job.slots, 3u);
  EXPECT_EQ(work.job.runs, (std::vector<TaskRun>{{2, 4}}));
  EXPECT_EQ(std::get<StopOnNode>(all[2]).tasks, (JobRuns{cancelled, {{0, 1}}}));
}

TEST_F(registering, under_the_name_of_an_agent_that_is_connected_is_refused) {
  node("a", agent);
  register_node("a", other_agent, 2);
  const auto failed = answer<Failed>(other_agent, 3);
  EXPECT_EQ(failed.code, Code::conflict);
  EXPECT_EQ(failed.field, "name");
  EXPECT_EQ(ledger_.cluster().find_node("a")->incarnation, Incarnation(1));
  ledger_.peer_gone(agent); // it died, and another took its place
  register_node("a", other_agent, 2);
  commit();
  EXPECT_EQ(only<NodeBound>().incarnation, Incarnation(2));
  register_node("a", other_agent, 3); // the same connection may begin anew
  commit();
  EXPECT_EQ(only<NodeBound>().incarnation, Incarnation(3));
}

// ---- results

class reporting : public LedgerTest {
protected:
  void SetUp() override {
    node_ = node("a");
    job_ = submit(array_of(10));
    place(node_, job_, {{0, 4}}, 4);
    commit();
    effects();
    ledger_.take_committed();
  }
  NodeId node_;
  JobId job_;
};

TEST_F(reporting, results_are_acknowledged_when_durable_and_duplicates_too) {
  results(node_, job_, {{0, 2}}, 41);
  EXPECT_TRUE(effects().empty());
  commit();
  EXPECT_EQ(answer<ResultsAck>(agent, 0).numbers, std::vector<std::uint64_t>{41});
  results(node_, job_, {{0, 2}}, 41);
  EXPECT_FALSE(ledger_.has_batches());
  EXPECT_EQ(answer<ResultsAck>(agent, 0).numbers, std::vector<std::uint64_t>{41});
  EXPECT_EQ(ledger_.cluster().progress(job_)->succeeded, 2u);
}

TEST_F(reporting, a_duplicate_is_not_acknowledged_before_the_first_is_durable) {
  results(node_, job_, {{0, 2}}, 41);
  results(node_, job_, {{0, 2}}, 42);
  EXPECT_TRUE(effects().empty());
  commit();
  EXPECT_EQ(effects().size(), 2u);
}

TEST_F(reporting, only_output_of_results_that_count_is_passed_on) {
  Results message;
  message.number = 1;
  for (const TaskIndex index : {TaskIndex(0), TaskIndex(7)}) { // 7 is not in flight
    TaskResult result;
    result.index = index;
    message.jobs.push_back({job_, {}, {result}});
    message.outputs.push_back({job_, index, 1, {"out"}, {}});
  }
  message.outputs.push_back({JobId(99), 0, 1, {"a lie"}, {}});
  ledger_.results(agent, node_, message, now_);
  commit();
  const auto committed = ledger_.take_committed();
  ASSERT_EQ(committed.size(), 1u);
  ASSERT_EQ(committed[0]->outputs.size(), 1u);
  EXPECT_EQ(committed[0]->outputs[0].index, 0u);
  ledger_.results(agent, node_, message, now_);
  EXPECT_FALSE(ledger_.has_batches());
}

// ---- when the journal fails

class failing : public LedgerTest {
protected:
  void SetUp() override {
    node_ = node("a");
    job_ = submit(array_of(4));
    ledger_.take_committed();
  }
  void fail_append() {
    stored_ = durable_state();
    ledger_.take_batches();
    ledger_.append_failed({Code::unavailable, {}, "disk full"}, now_);
  }
  /// What the journal has: the state before anything that is not durable.
  std::string durable_state() { return before_; }
  void remember() { before_ = ledger_.cluster().snapshot(); }
  NodeId node_;
  JobId job_;
  std::string before_, stored_;
};

TEST_F(failing, whoever_asked_is_told_and_nothing_decided_in_vain_leaves) {
  remember();
  ask_submit({array_of(1)}, {}, client, 1);
  place(node_, job_, {{0, 2}});
  results(node_, job_, {{0, 1}}, 1);
  register_node("b", other_agent);
  ask(ListTasks{job_, 0, {}, 100}, client, 2);
  ask(ReadLog{job_, 0, 0, Stream::out, 0, 100}, client, 3);
  ask(Wait{{job_}, {}}, other_client, 4);
  ledger_.send_beacon(now_);
  fail_append();
  EXPECT_TRUE(ledger_.take_committed().empty());
  EXPECT_FALSE(ledger_.has_batches());
  std::vector<std::pair<Peer, std::uint64_t>> told;
  for (const auto& effect : effects()) {
    const auto& to = std::get<ToPeer>(effect);
    told.emplace_back(to.peer, to.correlation);
    const auto failed = as<Failed>(effect, to.peer, to.correlation);
    EXPECT_EQ(failed.code, Code::unavailable);
    EXPECT_NE(failed.text.find("disk full"), std::string::npos);
    EXPECT_GT(failed.retry_after, Duration(0));
  }
  EXPECT_EQ(told, (std::vector<std::pair<Peer, std::uint64_t>>{
                    {client, 1}, {other_agent, 3}, {client, 2}, {client, 3}}));
}

TEST_F(failing, everything_is_refused_at_once_until_it_works_again) {
  remember();
  ask_submit({array_of(1)});
  fail_append();
  effects();
  ask_submit({array_of(1)});
  EXPECT_EQ(answer<Failed>().code, Code::unavailable);
  ask(ListJobs{});
  EXPECT_EQ(answer<Failed>().code, Code::unavailable);
  ask(Wait{{job_}, {}});
  EXPECT_EQ(answer<Failed>().code, Code::unavailable);
  register_node("c");
  EXPECT_EQ(answer<Failed>(agent, 3).code, Code::unavailable);
  results(node_, job_, {{0, 1}}, 1);
  ledger_.leave(node_, "bye", now_);
  EXPECT_TRUE(effects().empty()) << "an agent keeps what is not acknowledged";
  const RefusedWish refused = place(node_, job_, {{0, 1}});
  EXPECT_EQ(refused.placements.size(), 1u);
  EXPECT_EQ(refused.error->code, Code::unavailable);
  EXPECT_EQ(ledger_.wish(core::ChangeConfig{}, now_).error->code, Code::unavailable);
  EXPECT_FALSE(ledger_.has_batches());
  EXPECT_EQ(ledger_.trouble()->error.text, "disk full");
}

TEST_F(failing, the_masters_state_can_be_asked_for_and_says_what_ails_it) {
  ask_submit({array_of(1)});
  const Seq durable = ledger_.durable_seq();
  fail_append();
  effects();
  ledger_.note_journal("disk full");
  const auto status = told<MasterStatus>(GetMaster{});
  EXPECT_FALSE(status.accepting);
  EXPECT_EQ(status.seq, durable);
  EXPECT_EQ(status.durable, durable);
  EXPECT_EQ(status.journal, "disk full");
}

TEST_F(failing, beacons_go_on_with_what_was_last_true) {
  ledger_.send_beacon(now_);
  const auto good = only<ToAllNodes>().beacon;
  ask_submit({array_of(100)});
  fail_append();
  effects();
  now_ += std::chrono::seconds(1);
  ledger_.send_beacon(now_);
  const auto beacon = only<ToAllNodes>().beacon;
  EXPECT_EQ(beacon.seq, good.seq);
  EXPECT_EQ(beacon.tasks_pending, good.tasks_pending);
  EXPECT_EQ(beacon.time, now_);
}

TEST_F(failing, it_goes_on_from_what_the_journal_has) {
  remember();
  const Seq durable = ledger_.durable_seq();
  ask_submit({array_of(1)});
  fail_append();
  effects();
  ledger_.reload(*core::Cluster::restore(stored_));
  EXPECT_FALSE(ledger_.trouble());
  EXPECT_EQ(ledger_.durable_seq(), durable);
  EXPECT_EQ(only<NodeUnbound>().node, node_) << "what it was sent may be void";
  ask_submit({array_of(1)});
  EXPECT_EQ(commit().at(0).first, durable.next());
  EXPECT_EQ(answer<Submitted>().first, job_.next());
  register_node("a", other_agent, 2); // nobody holds the name any more
  commit();
  only<NodeBound>();
}

TEST_F(failing, who_waits_goes_on_waiting_and_jobs_that_never_were_are_not_found) {
  remember();
  ask(Wait{{job_}, {}}, client, 5);
  place(node_, job_, {{0, 4}}, 4);
  results(node_, job_, {{0, 4}}, 1); // ends the job, in vain
  ask_submit({array_of(1)}, {}, client, 6);
  ask(Wait{{job_.next()}, {}}, other_client, 7);
  fail_append();
  const auto failures = effects();
  ASSERT_EQ(failures.size(), 2u); // the end of the wait, the submission
  as<Failed>(failures[0], client, 5);
  as<Failed>(failures[1], client, 6);
  ledger_.reload(*core::Cluster::restore(stored_));
  const auto all = effects();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(as<Failed>(all[1], other_client, 7).code, Code::not_found);
}

TEST_F(failing, what_the_journal_has_can_be_looked_at_and_nothing_changed) {
  remember();
  ask_submit({array_of(7)}, {}, client, 1);
  place(node_, job_, {{0, 2}});
  fail_append();
  effects();
  ask(ListJobs{}, client, 2);
  EXPECT_EQ(as<Failed>(effects().at(0), client, 2).code, Code::unavailable) << "not yet read again";
  ledger_.show(*core::Cluster::restore(stored_));
  ask(ListJobs{}, client, 3);
  const auto jobs = as<JobList>(effects().at(0), client, 3).jobs;
  ASSERT_EQ(jobs.size(), 1u) << "what was decided in vain is not shown";
  EXPECT_EQ(jobs[0].progress.pending, 4u);
  ask(Explain{job_, 0}, client, 4);
  const auto why = as<Explained>(effects().at(0), client, 4);
  EXPECT_NE(why.summary.find("journal"), std::string::npos) << why.summary;
  EXPECT_NE(why.notes.at(0).find("disk full"), std::string::npos) << why.notes.at(0);
  ask_submit({array_of(1)}, {}, client, 5);
  EXPECT_EQ(as<Failed>(effects().at(0), client, 5).code, Code::unavailable);
  ask(Wait{{job_}, {}}, client, 6);
  EXPECT_EQ(as<Failed>(effects().at(0), client, 6).code, Code::unavailable);
  ledger_.reload(*core::Cluster::restore(stored_));
  effects();
  ask_submit({array_of(1)}, {}, client, 7);
  commit();
  EXPECT_EQ(as<Submitted>(effects().at(0), client, 7).first, job_.next());
}

TEST_F(failing, a_report_that_comes_late_changes_nothing) {
  ask_submit({array_of(1)});
  const Seq last = ledger_.cluster().last_seq();
  fail_append();
  effects();
  ledger_.durable(last);
  ledger_.append_failed({Code::io, {}, "again"}, now_);
  EXPECT_LT(ledger_.durable_seq(), last);
  EXPECT_EQ(ledger_.trouble()->error.text, "disk full");
}

// ---- beacons

class beacons : public LedgerTest {};

TEST_F(beacons, tell_what_is_durable_and_who_is_not_simply_up) {
  const NodeId a = node("a"), b = node("b", other_agent);
  const JobId job = submit(array_of(10));
  place(a, job, {{0, 3}}, 2);
  ask(ActOnNodes{NodeAction::drain, {"b"}, {}, {}, {}}, client, 2);
  ledger_.send_beacon(now_);
  commit();
  const auto all = effects();
  const auto& told = std::get<ToAllNodes>(all.back());
  EXPECT_EQ(told.beacon.cluster, "cluster");
  EXPECT_EQ(told.beacon.seq, ledger_.cluster().last_seq());
  EXPECT_EQ(told.beacon.nodes_up, 2u);
  EXPECT_EQ(told.beacon.tasks_pending, 7u);
  EXPECT_EQ(told.beacon.tasks_assigned, 3u);
  EXPECT_EQ(told.beacon.capacity, vcores(8));
  EXPECT_EQ(told.beacon.available, vcores(6));
  ASSERT_EQ(told.beacon.jobs.size(), 1u);
  EXPECT_EQ(told.beacon.jobs[0].job, job);
  EXPECT_EQ(told.states.size(), 1u);
  EXPECT_TRUE(told.states.at(b).second);
}

TEST_F(beacons, name_the_largest_running_jobs_first) {
  const NodeId a = node("a");
  for (std::uint32_t n = 1; n <= 30; ++n) {
    JobSpec spec = array_of(n);
    spec.resources = {};
    place(a, submit(spec), {{0, 1}});
    commit();
    effects();
  }
  ledger_.send_beacon(now_);
  const auto beacon = only<ToAllNodes>().beacon;
  ASSERT_EQ(beacon.jobs.size(), 20u);
  EXPECT_EQ(beacon.jobs.front().total, 30u);
  EXPECT_EQ(beacon.jobs.back().total, 11u);
}

} // namespace
} // namespace reeve::ledger::test
