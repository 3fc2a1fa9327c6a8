// What clients and operators ask, and what they are answered.
#include "tests/unit/ledger/fixture.hpp"

namespace reeve::ledger::test {
namespace {

using requests = LedgerTest;

TEST_F(requests, a_submission_repeated_with_its_key_gives_the_same_jobs) {
  ask_submit({array_of(1), array_of(1)}, "k");
  commit();
  effects();
  ask_submit({array_of(1), array_of(1)}, "k");
  const auto again = answer<Submitted>();
  EXPECT_TRUE(again.duplicate);
  EXPECT_EQ(again.first, JobId(1));
  ask_submit({array_of(1)}, "k");
  EXPECT_EQ(answer<Failed>().code, Code::conflict);
}

TEST_F(requests, a_repetition_is_not_answered_before_the_first_is_durable) {
  ask_submit({array_of(1)}, "k", client, 1);
  ask_submit({array_of(1)}, "k", client, 2);
  EXPECT_TRUE(effects().empty());
}

TEST_F(requests, no_more_of_one_user_waits_than_the_queue_takes) {
  ask(SetConfig{{{"queue.*.submit_limit", "5"}, {"queue.wide.submit_limit", "1000"}}});
  commit();
  effects();
  const JobId first = submit(array_of(3));
  const auto ask_for = [&](std::uint32_t count, const std::string& user, const std::string& queue) {
    JobSpec spec = array_of(count);
    spec.user = user;
    spec.queue = queue;
    ask_submit({spec});
    commit();
    return effects().size() == 1 && !ledger_.has_batches() &&
           ledger_.cluster().newest_job() > first;
  };
  ask_submit({array_of(1), array_of(2)});
  const auto refused = answer<Failed>();
  EXPECT_EQ(refused.code, Code::refused);
  EXPECT_EQ(refused.field, "jobs[1].queue");
  EXPECT_NE(refused.text.find("at most 5"), std::string::npos) << refused.text;
  EXPECT_EQ(ledger_.cluster().newest_job(), first);
  EXPECT_TRUE(ask_for(5, "bob", "default"));
  EXPECT_TRUE(ask_for(999, {}, "wide"));
  const NodeId a = node("a");
  place(a, first, {{0, 1}}); // what runs waits no more
  commit();
  effects();
  submit(array_of(3));
  ask_submit({array_of(1)});
  EXPECT_EQ(answer<Failed>().code, Code::refused);
  ask(ActOnJobs{JobAction::cancel, {first}, {}, {}});
  commit();
  effects();
  submit(array_of(2));
  EXPECT_EQ(ledger_.cluster().check_invariants(), std::vector<std::string>{});
  const auto again = core::Cluster::restore(ledger_.cluster().snapshot());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->check_invariants(), std::vector<std::string>{});
}

// ---- acting on jobs

TEST_F(requests, an_action_on_several_jobs_is_done_to_all_or_to_none) {
  const JobId one = submit(array_of(2)), two = submit(array_of(3));
  ask(ActOnJobs{JobAction::cancel, {one, JobId(9)}, {}, {}});
  const auto failed = answer<Failed>();
  EXPECT_EQ(failed.code, Code::not_found);
  EXPECT_EQ(failed.field, "jobs[1]");
  EXPECT_FALSE(ledger_.has_batches());
  ask(ActOnJobs{JobAction::cancel, {one, two}, {}, "enough"});
  commit();
  EXPECT_EQ(answer<Done>().changed, 5u);
  ask(ActOnJobs{JobAction::retry, {two}, {{one, {{1, 1}}}}, {}});
  commit();
  EXPECT_EQ(answer<Done>().changed, 4u);
}

TEST_F(requests, chosen_tasks_may_be_named_in_any_order_and_twice) {
  const JobId job = submit(array_of(10));
  ask(ActOnJobs{JobAction::cancel, {}, {{job, {{5, 2}, {0, 1}, {6, 3}, {0, 1}}}}, {}});
  commit();
  EXPECT_EQ(answer<Done>().changed, 5u);
  ask(ActOnJobs{JobAction::cancel, {}, {{job, {{9, 2}}}}, {}});
  EXPECT_EQ(answer<Failed>().field, "tasks[0].runs");
  ask(ActOnJobs{JobAction::cancel, {}, {{job, {}}}, {}});
  EXPECT_EQ(answer<Failed>().field, "tasks[0].runs");
  ask(ActOnJobs{JobAction::cancel, {}, {{JobId(9), {{0, 1}}}}, {}});
  EXPECT_EQ(answer<Failed>().field, "tasks[0].job");
}

TEST_F(requests, a_job_is_held_and_released) {
  const JobId job = submit(array_of(2)), over = submit(array_of(1));
  ask(ActOnJobs{JobAction::cancel, {over}, {}, {}});
  ask(ActOnJobs{JobAction::hold, {job, over}, {}, {}});
  commit();
  EXPECT_EQ(as<Failed>(effects().at(1)).field, "jobs[1]");
  ask(ActOnJobs{JobAction::hold, {job}, {}, "later"});
  commit();
  EXPECT_EQ(answer<Done>().changed, 2u);
  EXPECT_EQ(ledger_.cluster().progress(job)->state, JobState::held);
  ask(ActOnJobs{JobAction::hold, {}, {{job, {{0, 1}}}}, {}});
  EXPECT_EQ(answer<Failed>().field, "tasks");
  ask(ActOnJobs{JobAction::release, {job, over}, {}, {}});
  commit();
  EXPECT_EQ(answer<Done>().changed, 2u);
  EXPECT_EQ(ledger_.cluster().progress(job)->state, JobState::pending);
}

TEST_F(requests, release_lets_held_tasks_go_on_too_and_leaves_failed_ones) {
  const NodeId a = node("a");
  const JobId job = submit(array_of(4));
  place(a, job, {{0, 4}}, 4);
  ledger_.wish(core::MarkLost{{a}, "silent", false}, now_);
  ledger_.wish(core::GiveUp{job, {{0, 3, 1}}, true, Cause::lost_node, "three nodes died"}, now_);
  ledger_.wish(core::GiveUp{job, {{3, 1, 1}}, false, Cause::lost_node, "enough"}, now_);
  commit();
  effects();
  ask(ActOnJobs{JobAction::release, {}, {{job, {{2, 2}}}}, {}});
  commit();
  EXPECT_EQ(answer<Done>().changed, 1u);
  ask(ActOnJobs{JobAction::release, {job}, {}, {}});
  commit();
  EXPECT_EQ(answer<Done>().changed, 2u);
  EXPECT_EQ(ledger_.cluster().progress(job)->pending, 3u);
  EXPECT_EQ(ledger_.cluster().progress(job)->failed, 1u);
}

// ---- waiting

class waiting : public LedgerTest {
protected:
  void SetUp() override { node_ = node("a"); }
  void run(JobId job, std::uint32_t tasks) {
    place(node_, job, {{0, tasks}}, tasks);
    results(node_, job, {{0, tasks}}, 1);
  }
  /// Messages to clients, without acknowledgements and work.
  std::vector<Effect> to_clients() {
    auto all = effects();
    std::erase_if(all, [](const Effect& effect) {
      const auto* to = std::get_if<ToPeer>(&effect);
      return to ? to->type == MessageType::results_ack
                : !std::holds_alternative<CompleteProgress>(effect);
    });
    return all;
  }
  NodeId node_;
};

TEST_F(waiting, for_jobs_that_are_over_is_answered_at_once) {
  const JobId job = submit(array_of(1));
  run(job, 1);
  commit();
  effects();
  ask(Wait{{job}, {}});
  const auto progress = answer<Progress>();
  EXPECT_TRUE(progress.last);
  EXPECT_EQ(progress.jobs.at(0).state, JobState::succeeded);
}

TEST_F(waiting, ends_when_the_last_of_the_jobs_has_ended_durably) {
  const JobId one = submit(array_of(1)), two = submit(array_of(2));
  ask(Wait{{two, one, two}, {}}, client, 5);
  run(one, 1);
  commit();
  EXPECT_TRUE(to_clients().empty());
  run(two, 2);
  EXPECT_TRUE(to_clients().empty());
  commit();
  const auto all = to_clients();
  ASSERT_EQ(all.size(), 1u);
  const auto progress = as<Progress>(all[0], client, 5);
  EXPECT_TRUE(progress.last);
  ASSERT_EQ(progress.jobs.size(), 3u); // as asked
  EXPECT_EQ(progress.jobs[0].succeeded, 2u);
  commit();
  ledger_.tick(now_);
  EXPECT_TRUE(to_clients().empty());
}

TEST_F(waiting, tells_progress_at_most_as_often_as_asked_and_only_of_changes) {
  const JobId job = submit(array_of(4));
  ask(Wait{{job}, std::chrono::seconds(1)});
  const auto tick = [&](Duration later) {
    now_ += later;
    commit();
    effects();
    ledger_.tick(now_);
    std::optional<Progress> told;
    for (const auto& effect : to_clients())
      told = as<Progress>(effect);
    return told;
  };
  auto told = tick(std::chrono::milliseconds(1));
  ASSERT_TRUE(told); // how it stands now
  EXPECT_FALSE(told->last);
  EXPECT_EQ(told->jobs[0].pending, 4u);
  EXPECT_FALSE(tick(std::chrono::seconds(2))); // nothing moved
  place(node_, job, {{0, 2}});
  told = tick(std::chrono::milliseconds(1));
  ASSERT_TRUE(told);
  EXPECT_EQ(told->jobs[0].assigned, 2u);
  results(node_, job, {{0, 1}}, 1);
  EXPECT_FALSE(tick(std::chrono::milliseconds(900))); // too early
  told = tick(std::chrono::milliseconds(100));
  ASSERT_TRUE(told);
  EXPECT_EQ(told->jobs[0].succeeded, 1u);
}

TEST_F(waiting, without_an_interval_tells_only_the_end) {
  const JobId job = submit(array_of(2));
  ask(Wait{{job}, {}});
  place(node_, job, {{0, 1}});
  commit();
  now_ += std::chrono::seconds(10);
  ledger_.tick(now_);
  EXPECT_TRUE(to_clients().empty());
}

TEST_F(waiting, asked_again_is_one_wait_and_not_asked_again_is_forgotten) {
  const JobId job = submit(array_of(1));
  ask(Wait{{job}, {}}, client, 1);
  ask(Wait{{job}, {}}, other_client, 1);
  now_ += std::chrono::seconds(90);
  ask(Wait{{job}, {}}, client, 1);
  now_ += std::chrono::seconds(90);
  ledger_.tick(now_);
  run(job, 1);
  commit();
  const auto all = to_clients();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_TRUE(as<Progress>(all[0], client, 1).last);
}

TEST_F(waiting, of_a_peer_that_is_gone_ends) {
  const JobId job = submit(array_of(1));
  ask(Wait{{job}, {}}, client, 1);
  ask(Wait{{job}, {}}, client, 2);
  ask(Wait{{job}, {}}, other_client, 3);
  ledger_.peer_gone(client);
  run(job, 1);
  commit();
  const auto all = to_clients();
  ASSERT_EQ(all.size(), 1u);
  as<Progress>(all[0], other_client, 3);
}

TEST_F(waiting, for_several_jobs_remembers_how_those_ended_that_are_forgotten_meanwhile) {
  const JobId before = submit(array_of(1)), between = submit(array_of(3)),
              end = submit(array_of(1));
  run(before, 1);
  commit();
  ask(Wait{{between, end, before}, {}}, client, 5);
  run(between, 3);
  commit();
  now_ += std::chrono::seconds(31);
  ask(Wait{{between, end, before}, {}}, client, 5); // as clients do
  ledger_.wish(core::Forget{{before, between}}, now_);
  now_ += std::chrono::seconds(31);
  ask(Wait{{between, end, before}, {}}, client, 5);
  run(end, 1);
  commit();
  const auto all = to_clients();
  ASSERT_EQ(all.size(), 1u);
  const auto progress = as<Progress>(all[0], client, 5);
  ASSERT_EQ(progress.jobs.size(), 3u);
  for (const JobProgress& job : progress.jobs)
    EXPECT_EQ(job.state, JobState::succeeded) << job.job.value;
  EXPECT_EQ(progress.jobs[0].succeeded, 3u);
}

TEST_F(waiting, for_jobs_that_were_forgotten_before_asks_the_history) {
  const JobId old = submit(array_of(1)), job = submit(array_of(1));
  run(old, 1);
  commit();
  ledger_.wish(core::Forget{{old}}, now_);
  commit();
  effects();
  ask(Wait{{old, job}, std::chrono::seconds(1)}, client, 5);
  ledger_.tick(now_);
  auto all = to_clients();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(as<Progress>(all[0], client, 5).jobs.size(), 1u); // of what is known
  run(job, 1);
  commit();
  all = to_clients();
  ASSERT_EQ(all.size(), 1u);
  const auto& asked = std::get<CompleteProgress>(all[0]);
  EXPECT_EQ(asked.progress.jobs.at(0), (JobProgress{.job = old}));
  EXPECT_EQ(asked.progress.jobs.at(1).succeeded, 1u);
  ask(Wait{{old}, {}});
  EXPECT_EQ(std::get<CompleteProgress>(effects().at(0)).progress.jobs.size(), 1u);
}

TEST_F(waiting, for_a_job_that_is_not_known_fails) {
  ask(Wait{{JobId(3)}, {}});
  EXPECT_EQ(answer<Failed>().field, "jobs[0]");
}

// ---- leases

TEST_F(requests, a_lease_is_granted_renewed_and_given_back) {
  node("a");
  Allocate want;
  want.node = "a";
  want.owner = "ada";
  want.resources = vcores(3);
  want.duration = std::chrono::seconds(60);
  want.key = {"k"};
  ask(want);
  commit();
  const auto granted = answer<Granted>();
  EXPECT_EQ(granted.lease.node, "a");
  EXPECT_EQ(granted.lease.owner, "ada");
  EXPECT_EQ(granted.lease.expires, now_ + want.duration);
  EXPECT_EQ(granted.available, vcores(1));
  EXPECT_EQ(told<Granted>(want).lease.lease, granted.lease.lease); // the key is known
  Allocate more = want;
  more.key = {};
  EXPECT_EQ(told<Failed>(more).code, Code::no_capacity);
  ask(Renew{granted.lease.lease, std::chrono::seconds(60)});
  commit();
  EXPECT_EQ(answer<Done>().changed, 1u);
  const TimePoint renewed = now_;
  EXPECT_EQ(told<LeaseList>(ListLeases{}).leases.at(0).expires, renewed + want.duration);
  ask(Release{granted.lease.lease, {}, {}});
  commit();
  EXPECT_EQ(answer<Done>().changed, 1u);
  EXPECT_EQ(told<Failed>(Release{granted.lease.lease, {}, {}}).code, Code::not_found);
  EXPECT_EQ(told<Failed>(Renew{granted.lease.lease, {}}).code, Code::not_found);
}

TEST_F(requests, a_lease_for_any_node_is_not_granted_on_one_that_is_suspect) {
  const NodeId a = node("n1"), b = node("n2", other_agent);
  Allocate want;
  want.owner = "ada";
  want.resources = vcores(1);
  ledger_.suspect({a});
  ask(want);
  commit();
  EXPECT_EQ(answer<Granted>().lease.node, "n2"); // although n1 was the first
  ask(want);
  commit();
  EXPECT_EQ(answer<Granted>().lease.node, "n2"); // although n1 has more
  ledger_.suspect({a, b});
  const auto failed = told<Failed>(want);
  EXPECT_EQ(failed.code, Code::no_capacity);
  EXPECT_NE(failed.text.find("suspect"), std::string::npos) << failed.text;
  ledger_.suspect({});
  ask(want);
  commit();
  EXPECT_EQ(answer<Granted>().lease.node, "n1");
}

// ---- nodes

TEST_F(requests, a_node_that_counts_other_tasks_for_half_a_minute_is_to_register_again) {
  const NodeId a = node("a");
  const JobId job = submit(array_of(2));
  place(a, job, {{0, 2, 1}}, 2);
  commit();
  effects();
  const auto beat = [&](std::uint64_t tasks, std::chrono::seconds later) {
    now_ += later;
    ledger_.counted_there(a, tasks, now_);
    return effects();
  };
  EXPECT_TRUE(beat(1, std::chrono::seconds(0)).empty());
  EXPECT_TRUE(beat(1, std::chrono::seconds(29)).empty());
  EXPECT_TRUE(beat(0, std::chrono::seconds(1)).empty()) << "it changes: something ends there";
  EXPECT_TRUE(beat(2, std::chrono::seconds(40)).empty()) << "they agree";
  EXPECT_TRUE(beat(1, std::chrono::seconds(1)).empty());
  const auto asked = beat(1, std::chrono::seconds(30));
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(as<RegisterAgain>(asked[0], agent, 0).reason, "it has 1 tasks, the master counts 2");
  EXPECT_TRUE(beat(1, std::chrono::seconds(1)).empty()) << "not with every heartbeat";
  ledger_.counted_there(NodeId(9), 4, now_); // nobody
}

TEST_F(requests, nodes_are_shown_with_what_their_heartbeats_measured) {
  const NodeId a = node("a");
  ledger_.measured(a, vcores(2), now_);
  ledger_.measured(NodeId(9), vcores(2), now_); // nobody
  const auto list = told<NodeList>(ListNodes{});
  ASSERT_EQ(list.nodes.size(), 1u);
  EXPECT_EQ(list.nodes[0].used, vcores(2));
  EXPECT_EQ(list.nodes[0].heard, now_ - std::chrono::milliseconds(10));
  EXPECT_EQ(told<Failed>(ListNodes{{"b"}}).field, "names[0]");
}

TEST_F(requests, nodes_are_drained_labelled_quarantined_and_removed_by_name) {
  const NodeId a = node("a");
  const auto act = [&](NodeAction action, const std::string& name = "a") {
    ask(ActOnNodes{action, {name}, "reason", {{"zone", "x"}}, std::chrono::minutes(5)});
    commit();
    return effects();
  };
  for (const NodeAction action :
       {NodeAction::drain, NodeAction::undrain, NodeAction::label, NodeAction::quarantine})
    EXPECT_EQ(as<Done>(act(action).at(0)).changed, 1u);
  EXPECT_GT(ledger_.cluster().find_node(a)->quarantined, now_);
  EXPECT_EQ(as<Failed>(act(NodeAction::remove).at(0)).code, Code::refused); // it is up
  EXPECT_EQ(as<Failed>(act(NodeAction::remove, "b").at(0)).field, "nodes[0]");
  EXPECT_EQ(as<Failed>(act(NodeAction::drain, "b").at(0)).field, "nodes[0]");
  ledger_.leave(a, "bye", now_);
  commit();
  effects();
  const auto removed = act(NodeAction::remove);
  ASSERT_EQ(removed.size(), 2u);
  EXPECT_EQ(std::get<NodeUnbound>(removed[0]).node, a);
  EXPECT_EQ(as<Done>(removed[1]).changed, 1u);
}

// ---- explanations and dry runs

TEST_F(requests, what_the_ledger_knows_it_explains_and_the_scheduler_does_the_rest) {
  const NodeId a = node("a");
  const JobId job = submit(array_of(2));
  JobSpec after = array_of(1);
  after.after.resize(1);
  after.after[0].job = job;
  const JobId second = submit(after);
  ask(Explain{job, 1});
  auto passed_on = only<AskScheduler>();
  EXPECT_EQ(passed_on.peer, client);
  EXPECT_EQ(passed_on.correlation, 1u);
  EXPECT_EQ(std::get<Explain>(passed_on.question).index, 1u);
  EXPECT_EQ(told<Explained>(Explain{second, 0}).summary, "waits for job 1 to succeed (pending)");
  EXPECT_EQ(told<Failed>(Explain{JobId(9), 0}).code, Code::not_found);
  EXPECT_EQ(told<Failed>(Explain{job, 2}).code, Code::not_found);
  place(a, job, {{0, 2, 1}}, 2);
  commit();
  effects();
  ask(Explain{job, 1});
  only<AskScheduler>();
  ActOnJobs cancel;
  cancel.jobs = {second};
  cancel.reason = "not wanted";
  ask(cancel);
  commit();
  effects();
  EXPECT_EQ(told<Explained>(Explain{second, 0}).summary, "is over: cancelled: not wanted");
}

TEST_F(requests, a_dry_run_is_checked_as_a_submission_is_and_goes_on_to_the_scheduler) {
  const JobId job = submit(array_of(2));
  const Seq before = ledger_.cluster().last_seq();
  Submit dry;
  dry.dry_run = true;
  dry.jobs = {array_of(1), array_of(3)};
  dry.jobs[1].after.resize(1);
  dry.jobs[1].after[0].job = job;
  ask(dry);
  const auto asked = only<AskScheduler>();
  const auto& run = std::get<DryRun>(asked.question);
  EXPECT_EQ(run.jobs.size(), 2u);
  EXPECT_EQ(run.waits, (std::vector<std::string>{"", "waits for job 1 to succeed (pending)"}));
  dry.jobs[1].after[0].job = JobId(9);
  EXPECT_EQ(told<Failed>(dry).field, "jobs[1].after[0].job");
  EXPECT_EQ(ledger_.cluster().last_seq(), before);
}

// ---- tasks and their logs

TEST_F(requests, a_list_of_tasks_goes_to_the_archivist_to_be_completed) {
  const JobId job = submit(array_of(3));
  ask(ListTasks{job, 0, {}, 2});
  const auto complete = only<CompleteTasks>();
  EXPECT_EQ(complete.peer, client);
  EXPECT_EQ(complete.correlation, 1u);
  EXPECT_EQ(complete.list.tasks.size(), 2u);
  EXPECT_TRUE(complete.list.more);
  EXPECT_EQ(told<Failed>(ListTasks{JobId(9), 0, {}, 2}).code, Code::not_found);
}

TEST_F(requests, a_log_is_asked_of_the_node_that_runs_the_attempt) {
  const NodeId a = node("a");
  const JobId job = submit(array_of(3));
  const auto read = [&](TaskIndex index, Attempt attempt = 0, JobId of = {}) {
    ReadLog log;
    log.job = of ? of : job;
    log.index = index;
    log.attempt = attempt;
    ask(log);
  };
  read(0);
  EXPECT_EQ(answer<Failed>().field, "index"); // not placed yet
  place(a, job, {{0, 2}}, 2);
  commit();
  effects();
  read(0);
  auto log = only<AskForLog>();
  EXPECT_EQ(log.node, a);
  EXPECT_EQ(log.log.attempt, 1u);
  results(a, job, {{0, 1}}, 1);
  commit();
  effects();
  read(0); // over: the archivist knows where it ran
  log = only<AskForLog>();
  EXPECT_EQ(log.node, NodeId(0));
  EXPECT_EQ(log.log.attempt, 1u);
  ledger_.wish(core::MarkLost{{a}, "silent", false}, now_);
  ledger_.wish(core::Requeue{job, {{1, 1, 1}}, Cause::lost_node, {}, {}}, now_);
  register_node("a");
  place(a, job, {{1, 1, 2}});
  commit();
  effects();
  read(1);
  EXPECT_EQ(only<AskForLog>().log.attempt, 2u);
  read(1, 1); // an earlier attempt
  log = only<AskForLog>();
  EXPECT_EQ(log.node, NodeId(0));
  EXPECT_EQ(log.log.attempt, 1u);
  read(3);
  EXPECT_EQ(answer<Failed>().code, Code::not_found);
  read(0, 0, JobId(77)); // forgotten here, perhaps in history
  EXPECT_EQ(only<AskForLog>().node, NodeId(0));
}

TEST_F(requests, a_node_that_the_watchdog_suspects_is_shown_so) {
  const NodeId a = node("n1");
  node("n2", other_agent);
  ledger_.suspect({a, NodeId(9)}); // 9 is nobody
  const auto list = told<NodeList>(ListNodes{});
  EXPECT_EQ(list.nodes.at(0).state, NodeState::suspect);
  EXPECT_EQ(list.nodes.at(1).state, NodeState::up);
  auto stats = told<Stats>(GetStats{});
  EXPECT_EQ(stats.nodes_up, 1u);
  EXPECT_EQ(stats.nodes_suspect, 1u);
  ledger_.suspect({});
  EXPECT_EQ(told<NodeList>(ListNodes{}).nodes.at(0).state, NodeState::up);
}

// ---- the master itself

TEST_F(requests, settings_are_shown_beside_their_defaults) {
  ask(SetConfig{{{"a", "2"}}});
  commit();
  EXPECT_EQ(answer<Done>().changed, 1u);
  const auto config = told<ConfigValues>(GetConfig{});
  EXPECT_EQ(config.values, (std::map<std::string, std::string>{{"a", "2"}}));
  EXPECT_EQ(config.defaults, (std::map<std::string, std::string>{{"a", "1"}}));
}

TEST(latencies, fall_into_classes_and_add_up) {
  Latency latency;
  latency.took(Duration(-5)); // clocks differ
  latency.took(std::chrono::milliseconds(1));
  latency.took(std::chrono::milliseconds(1) + Duration(1), 3);
  latency.took(std::chrono::hours(1'000));
  const Histogram histogram = latency.histogram();
  ASSERT_EQ(histogram.counts.size(), histogram.bounds_us.size() + 1);
  EXPECT_TRUE(std::is_sorted(histogram.bounds_us.begin(), histogram.bounds_us.end()));
  const auto up_to = [&](std::int64_t us) {
    std::uint64_t n = 0;
    for (std::size_t k = 0; k < histogram.bounds_us.size() && histogram.bounds_us[k] <= us; ++k)
      n += histogram.counts[k];
    return n;
  };
  EXPECT_EQ(up_to(50), 1u);
  EXPECT_EQ(up_to(1'000), 2u);
  EXPECT_EQ(up_to(2'500), 5u);
  EXPECT_EQ(histogram.counts.back(), 1u);
  EXPECT_EQ(histogram.sum_us, 1'000 + 3 * 1'001 + 3'600'000'000'000);
}

TEST_F(requests, stats_tell_how_long_tasks_waited_and_how_far_heartbeats_are_apart) {
  const NodeId a = node("n1");
  const JobId job = submit(array_of(5));
  now_ += std::chrono::seconds(3);
  place(a, job, {{0, 5, 1}});
  const auto total = [&](const char* name) {
    const auto stats = told<Stats>(GetStats{});
    std::uint64_t n = 0;
    for (const auto count : stats.histograms.at(name).counts)
      n += count;
    return std::pair{n, stats.histograms.at(name).sum_us};
  };
  commit();
  effects();
  EXPECT_EQ(total("submit_to_placed"), (std::pair{std::uint64_t{5}, std::int64_t{15'000'000}}));
  now_ += std::chrono::seconds(1);
  const TimePoint submitted = ledger_.cluster().find_job(job)->submitted;
  const auto waited = (now_ - submitted).count();
  results(a, job, {{0, 5, 1}}, 1);
  commit();
  effects();
  EXPECT_EQ(total("submit_to_start"), (std::pair{std::uint64_t{5}, 5 * waited}));
  ledger_.measured(a, {}, now_);
  ledger_.measured(a, {}, now_ + std::chrono::seconds(2));
  EXPECT_EQ(total("heartbeat_gap"), (std::pair{std::uint64_t{1}, std::int64_t{2'000'000}}));
}

TEST_F(requests, stats_and_status_tell_how_the_master_is) {
  submit(array_of(5));
  ledger_.count("x", 7);
  ledger_.note_snapshot(Seq(1));
  const auto stats = told<Stats>(GetStats{});
  EXPECT_EQ(stats.tasks_pending, 5u);
  EXPECT_EQ(stats.counters.at("x"), 7);
  EXPECT_GT(stats.uptime, Duration(0));
  const auto status = told<MasterStatus>(GetMaster{});
  EXPECT_EQ(status.cluster, "cluster");
  EXPECT_EQ(status.role, "leader");
  EXPECT_EQ(status.epoch, Epoch(1));
  EXPECT_EQ(status.seq, Seq(2));
  EXPECT_EQ(status.durable, Seq(2));
  EXPECT_EQ(status.snapshot, Seq(1));
  EXPECT_TRUE(status.accepting);
  EXPECT_EQ(status.state_hash, ledger_.cluster().state_hash());
}

} // namespace
} // namespace reeve::ledger::test
