// The gateway's ordinary business: who gets which message, who is bound to what, and how much a
// client may ask for.
#include "tests/unit/gateway/fixture.hpp"

namespace reeve::gateway::test {

using GatewayRules = GatewayTest;

ledger::AssignToNode work(std::uint32_t tasks, std::string spec = {}) {
  ledger::AssignToNode effect;
  effect.node = node;
  effect.job.job = JobId(9);
  effect.job.slots = 2;
  effect.job.runs.push_back({0, tasks, 1});
  if (!spec.empty())
    effect.spec = AssignedSpec{JobId(9), Raw{std::move(spec)}};
  return effect;
}
ledger::ToPeer answer(std::uint64_t correlation = 1) {
  return {client, MessageType::done, correlation, encode(Done{})};
}

TEST_F(GatewayRules, hello_is_welcomed_with_the_epoch) {
  const auto welcome = only<Welcome>(say(client, Hello{{1, 7}, "someone"}));
  EXPECT_EQ(welcome.epoch, Epoch(3));
  EXPECT_EQ(welcome.events, "tcp://events");
}
TEST_F(GatewayRules, hello_with_foreign_versions_only_is_refused) {
  EXPECT_EQ(only<Failed>(say(client, Hello{{7, 8}, ""})).versions, std::vector<std::uint32_t>{1});
}
TEST_F(GatewayRules, a_submit_reaches_the_ledger_encoded) {
  Submit submit;
  submit.jobs.resize(2);
  submit.jobs[0].executor = submit.jobs[1].executor = "noop";
  submit.jobs[1].name = "second";
  const auto out = say(client, submit, 42);
  ASSERT_EQ(out.ledger.size(), 1u);
  const auto& asked = std::get<Asked>(out.ledger[0]);
  EXPECT_EQ(asked.from.correlation, 42u);
  const auto& request = std::get<core::SubmitJobs>(asked.request);
  ASSERT_EQ(request.specs.size(), 2u);
  EXPECT_EQ(*decode<JobSpec>(request.specs[1].msgpack), submit.jobs[1]);
}
TEST_F(GatewayRules, node_actions_and_settings_go_to_the_registry) {
  ActOnNodes act;
  act.nodes = {"n1"};
  EXPECT_EQ(say(client, act).registry.size(), 1u);
  EXPECT_EQ(say(client, SetConfig{{{"a", "b"}}}, 2).registry.size(), 1u);
}
TEST_F(GatewayRules, a_log_level_is_set_at_once_and_a_wrong_one_is_refused) {
  const auto out = say(client, SetLogLevel{"debug"});
  EXPECT_EQ(out.log_level, "debug");
  EXPECT_EQ(only<Done>(out).changed, 1u);
  const auto wrong = say(client, SetLogLevel{"loud"});
  EXPECT_EQ(wrong.log_level, "");
  EXPECT_EQ(only<Failed>(wrong).field, "level");
}
TEST_F(GatewayRules, history_goes_to_the_archivist_and_leases_to_the_scheduler) {
  EXPECT_EQ(say(client, QueryHistory{}).archivist.size(), 1u);
  Allocate lease;
  lease.resources.cpu_milli = 1;
  lease.limits = {{"db", 1, false}};
  EXPECT_EQ(say(client, lease, 4).scheduler.size(), 1u);
  lease.limits.push_back({"db", 2, true});
  const auto twice = say(client, lease, 5);
  EXPECT_TRUE(twice.scheduler.empty());
  EXPECT_EQ(only<Failed>(twice, 5).field, "limits[1].name");
}
TEST_F(GatewayRules, explanations_and_dry_runs_reach_the_scheduler_by_way_of_the_ledger) {
  EXPECT_EQ(say(client, Explain{JobId(1), 0}, 2).ledger.size(), 1u);
  Submit dry;
  dry.jobs.resize(2);
  dry.jobs[0].executor = dry.jobs[1].executor = "noop";
  dry.dry_run = true;
  const auto asked = say(client, dry, 3);
  EXPECT_TRUE(asked.scheduler.empty());
  ASSERT_EQ(asked.ledger.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<Submit>(std::get<Asked>(asked.ledger[0]).request));
  Outbox out;
  gateway_.on_effects({ledger::AskScheduler{client, 3, ledger::DryRun{dry.jobs, {"", "waits"}}}},
                      TimePoint{}, out);
  ASSERT_EQ(out.scheduler.size(), 1u);
  EXPECT_EQ(out.scheduler[0].from.correlation, 3u);
  EXPECT_EQ(std::get<ledger::DryRun>(out.scheduler[0].question).waits[1], "waits");
}

// ---- backpressure
TEST_F(GatewayRules, a_client_with_too_much_outstanding_is_told_to_wait) {
  gateway_ = Gateway({}, Limits{.outstanding_of_peer = 2,
                                .queued = 10,
                                .undurable = 10,
                                .retry_after = std::chrono::milliseconds(7)});
  gateway_.set_epoch(Epoch(3));
  say(client, GetStats{}, 1);
  say(client, GetStats{}, 2);
  const auto failed = only<Failed>(say(client, GetStats{}, 3), 3);
  EXPECT_EQ(failed.code, Code::busy);
  EXPECT_EQ(failed.retry_after, std::chrono::milliseconds(7));
  EXPECT_EQ(say(stranger, GetStats{}, 3).ledger.size(), 1u) << "others notice nothing";
  effect(answer(1));
  EXPECT_EQ(say(client, GetStats{}, 3).ledger.size(), 1u) << "an answer makes room";
}
TEST_F(GatewayRules, a_request_sent_again_while_it_awaits_its_answer_is_passed_over) {
  EXPECT_EQ(say(client, GetStats{}, 1).ledger.size(), 1u);
  const auto again = say(client, GetStats{}, 1);
  EXPECT_TRUE(again.ledger.empty());
  EXPECT_TRUE(again.send.empty());
  EXPECT_EQ(say(stranger, GetStats{}, 1).ledger.size(), 1u) << "another's number is another's";
  EXPECT_EQ(effect(answer(1)).send.size(), 1u);
  EXPECT_EQ(say(client, GetStats{}, 1).ledger.size(), 1u) << "answered: it may be asked again";
}
TEST_F(GatewayRules, an_idle_node_that_asks_for_work_is_alive) {
  bind();
  Pull pull;
  pull.session = session;
  EXPECT_EQ(say(agent, pull).watchdog.size(), 1u);
  EXPECT_EQ(say(agent, pull).scheduler.size(), 1u);
  EXPECT_TRUE(say(agent, pull).send.empty());
  only<RegisterAgain>(say(stranger, pull), 0);
}
TEST_F(GatewayRules, everybody_waits_when_the_ledger_is_behind) {
  EXPECT_EQ(only<Failed>(say(client, GetStats{}, 1, {.queued = 200'000, .undurable = 0})).code,
            Code::busy);
  EXPECT_EQ(only<Failed>(say(client, GetStats{}, 1, {.queued = 0, .undurable = 200'000})).code,
            Code::busy);
}
TEST_F(GatewayRules, a_master_that_may_not_reign_any_more_tells_only_how_it_is) {
  const Pressure doubt{.in_doubt = true};
  const auto refused = [&](const Outbox& out) {
    const auto failed = only<Failed>(out);
    return failed.code == Code::not_leader && failed.retry_after > Duration(0);
  };
  EXPECT_TRUE(refused(say(client, QueryHistory{}, 1, doubt)));
  EXPECT_TRUE(refused(say(client, Explain{JobId(1), 0}, 1, doubt)));
  EXPECT_TRUE(refused(say(client, GetStats{}, 1, doubt)));
  EXPECT_EQ(say(client, GetMaster{}, 1, doubt).ledger.size(), 1u);
}
TEST_F(GatewayRules, results_are_taken_however_far_behind_the_ledger_is) {
  bind();
  Results results;
  results.session = session;
  EXPECT_EQ(say(agent, results, 1, {.queued = 1'000'000, .undurable = 1'000'000}).ledger.size(),
            1u);
}
TEST_F(GatewayRules, a_wait_stays_open_until_its_last_progress) {
  gateway_ = Gateway({}, Limits{.outstanding_of_peer = 1, .queued = 10, .undurable = 10});
  gateway_.set_epoch(Epoch(3));
  EXPECT_EQ(say(client, Wait{{JobId(1)}, {}}, 5).ledger.size(), 1u);
  EXPECT_EQ(say(client, Wait{{JobId(1)}, {}}, 5).ledger.size(), 1u) << "repeating renews";
  EXPECT_EQ(say(client, GetStats{}, 6).ledger.size(), 1u) << "a wait is no outstanding request";
  effect(ledger::ToPeer{client, MessageType::progress, 5, encode(Progress{{}, true})});
  EXPECT_EQ(only<Failed>(say(client, GetStats{}, 7), 7).code, Code::busy)
    << "the wait's end is not the other request's answer";
}
TEST_F(GatewayRules, no_request_is_taken_while_shutting_down) {
  gateway_.stop_requests();
  EXPECT_EQ(only<Failed>(say(client, GetStats{})).code, Code::unavailable);
}

// ---- nodes
TEST_F(GatewayRules, a_registration_goes_to_the_registry_with_its_origin) {
  RegisterNode message;
  message.name = "n1";
  message.incarnation = Incarnation(4);
  message.session = session;
  message.capacity.cpu_milli = 4'000;
  const auto out = say(agent, message, 8);
  ASSERT_EQ(out.registry.size(), 1u);
  const auto& registration = std::get<Registration>(out.registry[0]);
  EXPECT_EQ(registration.from.peer, agent);
  EXPECT_EQ(registration.from.correlation, 8u);
}
TEST_F(GatewayRules, a_node_that_is_about_to_be_registered_is_not_told_to_register) {
  RegisterNode message;
  message.name = "n1";
  message.incarnation = Incarnation(4);
  message.session = session;
  message.capacity.cpu_milli = 4'000;
  say(agent, message);
  EXPECT_TRUE(say(agent, Heartbeat{}).send.empty());
}
TEST_F(GatewayRules, the_binding_is_told_to_the_agent) {
  ledger::NodeBound bound;
  bound.peer = agent;
  bound.correlation = 8;
  bound.session = session;
  bound.reply.node = node;
  const auto registered = only<Registered>(effect(bound), 8);
  EXPECT_EQ(registered.session, session);
  EXPECT_EQ(registered.node, node);
}
TEST_F(GatewayRules, a_heartbeat_is_life_and_measurement) {
  bind();
  Heartbeat beat;
  beat.session = session;
  beat.used.cpu_milli = 500;
  const auto out = say(agent, beat);
  EXPECT_EQ(out.watchdog.size(), 1u);
  ASSERT_EQ(out.ledger.size(), 1u);
  EXPECT_EQ(std::get<Measured>(out.ledger[0]).used.cpu_milli, 500);
}
TEST_F(GatewayRules, a_new_connection_of_a_node_replaces_the_old_one) {
  bind(agent, session);
  bind(stranger, session + 1);
  Heartbeat beat;
  beat.session = session;
  only<RegisterAgain>(say(agent, beat), 0);
  beat.session = session + 1;
  EXPECT_EQ(say(stranger, beat).ledger.size(), 1u);
}
TEST_F(GatewayRules, an_unbound_node_must_register_again) {
  bind();
  effect(ledger::NodeUnbound{node, "lost"});
  Heartbeat beat;
  beat.session = session;
  only<RegisterAgain>(say(agent, beat), 0);
}
TEST_F(GatewayRules, a_node_whose_connection_is_gone_is_reported_and_forgotten) {
  bind();
  Outbox out;
  gateway_.on_gone(agent, now_, out);
  EXPECT_EQ(out.watchdog.size(), 1u);
  EXPECT_EQ(out.ledger.size(), 1u);
  EXPECT_TRUE(effect(work(1)).send.empty());
}

// ---- work
TEST_F(GatewayRules, work_of_one_batch_travels_in_one_numbered_message) {
  bind();
  std::vector<ledger::Effect> effects;
  effects.emplace_back(work(1, "\x80"));
  effects.emplace_back(work(2));
  effects.emplace_back(work(3));
  const auto assign = only<Assign>(effects_(std::move(effects)), 0);
  EXPECT_EQ(assign.session, session);
  EXPECT_EQ(assign.number, 1u);
  EXPECT_EQ(assign.specs.size(), 1u);
  EXPECT_EQ(assign.jobs.size(), 3u);
  EXPECT_EQ(only<Assign>(effect(work(1)), 0).number, 2u);
}
TEST_F(GatewayRules, numbers_start_again_with_a_new_session) {
  bind();
  effect(work(1));
  bind(agent, session + 1);
  const auto assign = only<Assign>(effect(work(1)), 0);
  EXPECT_EQ(assign.number, 1u);
  EXPECT_EQ(assign.session, session + 1);
}
TEST_F(GatewayRules, much_work_is_cut_into_messages_of_a_megabyte) {
  bind();
  auto effect_of_items = work(1);
  effect_of_items.job.runs = {{0, 1'000, 1}, {5'000, 2'000, 1}};
  effect_of_items.job.items.assign(3'000, std::string(1'500, 'x'));
  for (std::size_t i = 0; i < 3'000; ++i)
    effect_of_items.job.items[i][0] = static_cast<char>('a' + i % 26);
  const auto out = effect(effect_of_items);
  ASSERT_GE(out.send.size(), 4u);
  std::vector<std::string> items;
  std::vector<TaskIndex> indexes;
  for (std::size_t i = 0; i < out.send.size(); ++i) {
    EXPECT_LT(out.send[i].body.size(), assign_bytes_max * 11 / 10);
    const auto assign = as<Assign>(out.send[i], 0);
    EXPECT_EQ(assign.number, i + 1);
    for (const auto& job : assign.jobs) {
      std::size_t tasks = 0;
      for (const auto& run : job.runs) {
        tasks += run.count;
        for (std::uint32_t t = 0; t < run.count; ++t)
          indexes.push_back(run.first + t);
      }
      EXPECT_EQ(tasks, job.items.size());
      items.insert(items.end(), job.items.begin(), job.items.end());
    }
  }
  EXPECT_EQ(items, effect_of_items.job.items);
  ASSERT_EQ(indexes.size(), 3'000u);
  EXPECT_EQ(indexes[999], 999u);
  EXPECT_EQ(indexes[1'000], 5'000u);
  EXPECT_EQ(indexes.back(), 6'999u);
}
TEST_F(GatewayRules, nothing_is_stopped_before_it_was_assigned) {
  bind();
  std::vector<ledger::Effect> effects;
  effects.emplace_back(work(4));
  effects.emplace_back(ledger::StopOnNode{node, {JobId(9), {{0, 4, 1}}}, "cancelled"});
  const auto out = effects_(std::move(effects));
  ASSERT_EQ(out.send.size(), 2u);
  as<Assign>(out.send[0], 0);
  EXPECT_EQ(as<StopTasks>(out.send[1], 0).reason, "cancelled");
}
TEST_F(GatewayRules, results_are_acknowledged_behind_the_work_that_was_given_before_them) {
  bind();
  std::vector<ledger::Effect> effects;
  effects.emplace_back(work(4));
  effects.emplace_back(ledger::ToPeer{agent, MessageType::results_ack, 0, encode(ResultsAck{{1}})});
  const auto out = effects_(std::move(effects));
  ASSERT_EQ(out.send.size(), 2u);
  as<Assign>(out.send[0], 0);
  as<ResultsAck>(out.send[1], 0);
}
TEST_F(GatewayRules, lost_work_is_noticed_by_heartbeats_that_do_not_confirm_it) {
  bind();
  effect(work(1));
  Heartbeat beat;
  beat.session = session;
  std::size_t told = 0;
  int beats = 0;
  for (; beats < 10 && told == 0; ++beats, now_ += std::chrono::seconds(1))
    told = say(agent, beat).send.size();
  EXPECT_EQ(told, 1u);
  EXPECT_EQ(beats, 5); // the first one notes what is to be confirmed, then more than three do not
}
TEST_F(GatewayRules, a_busy_node_that_confirms_late_is_left_alone) {
  bind();
  Heartbeat beat;
  beat.session = session;
  for (std::uint64_t i = 0; i < 20; ++i, now_ += std::chrono::seconds(1)) {
    effect(work(1));
    beat.assign_seen = i; // always one behind
    EXPECT_TRUE(say(agent, beat).send.empty());
  }
}
TEST_F(GatewayRules, a_beacon_tells_each_node_how_it_stands) {
  bind();
  ledger::ToAllNodes effect_of_all;
  effect_of_all.beacon.nodes_up = 4;
  EXPECT_EQ(only<Beacon>(effect(effect_of_all), 0).state, NodeState::up);
  effect_of_all.states[node] = {NodeState::up, true};
  EXPECT_TRUE(only<Beacon>(effect(effect_of_all), 0).draining);
}

// ---- bundles
class Bundles : public GatewayTest {
protected:
  template<class M> static Bundled bundled(const M& message, std::uint64_t correlation) {
    auto [header, body] = frames(message, correlation);
    return {{std::move(header)}, {std::move(body)}};
  }
  template<class M> static M inner(const Bundled& one, std::uint64_t correlation) {
    return as<M>({client, one.header.data, one.body.data}, correlation);
  }
};
TEST_F(Bundles, mean_what_their_messages_would_mean_alone) {
  Bundle bundle;
  bundle.messages = {bundled(GetStats{}, 7), bundled(GetMaster{}, 8), bundled(Hello{}, 9)};
  const auto out = say(client, bundle, 0);
  ASSERT_EQ(out.ledger.size(), 2u);
  EXPECT_EQ(std::get<Asked>(out.ledger[0]).from.correlation, 7u);
  EXPECT_EQ(std::get<Asked>(out.ledger[1]).from.correlation, 8u);
  EXPECT_TRUE(only<Welcome>(out, 9).bundles);
}
TEST_F(Bundles, hold_the_answers_to_a_peer_that_has_sent_one_and_to_nobody_else) {
  Bundle first;
  first.messages = {bundled(GetStats{}, 7)};
  say(client, first, 0);
  std::vector<ledger::Effect> effects;
  for (std::uint64_t n = 1; n <= 3; ++n)
    for (const Peer peer : {client, stranger})
      effects.emplace_back(ledger::ToPeer{peer, MessageType::done, n, encode(Done{n, {}})});
  const auto out = effects_(std::move(effects));
  ASSERT_EQ(out.send.size(), 4u);
  const auto bundle = as<Bundle>(out.send[0], 0);
  ASSERT_EQ(bundle.messages.size(), 3u);
  for (std::uint64_t n = 1; n <= 3; ++n) {
    EXPECT_EQ(inner<Done>(bundle.messages[n - 1], n).changed, n);
    EXPECT_EQ(out.send[n].peer, stranger);
    EXPECT_EQ(as<Done>(out.send[n], n).changed, n);
  }
}
TEST_F(Bundles, of_many_or_long_answers_are_several) {
  Bundle first;
  first.messages = {bundled(GetStats{}, 7)};
  say(client, first, 0);
  std::vector<ledger::Effect> effects;
  for (std::uint64_t n = 1; n <= 2'000; ++n)
    effects.emplace_back(ledger::ToPeer{client, MessageType::done, n, encode(Done{n, {}})});
  effects.emplace_back(ledger::ToPeer{client, MessageType::done, 2'001, std::string(1 << 20, 'x')});
  const auto out = effects_(std::move(effects));
  ASSERT_EQ(out.send.size(), 3u);
  EXPECT_EQ(as<Bundle>(out.send[0], 0).messages.size(), 1'024u);
  EXPECT_EQ(as<Bundle>(out.send[1], 0).messages.size(), 976u);
  EXPECT_EQ(decode<Header>(out.send[2].header)->correlation, 2'001u);
}
TEST_F(Bundles, in_a_bundle_or_unreadable_are_refused_and_the_rest_goes_on) {
  Bundle nested;
  nested.messages = {bundled(GetStats{}, 7)};
  Bundle bundle;
  bundle.messages = {bundled(nested, 5), Bundled{{"?"}, {"?"}}, bundled(GetMaster{}, 8)};
  const auto out = say(client, bundle, 0);
  ASSERT_EQ(out.ledger.size(), 1u);
  EXPECT_EQ(std::get<Asked>(out.ledger[0]).from.correlation, 8u);
  const auto answers = only<Bundle>(out, 0);
  ASSERT_EQ(answers.messages.size(), 2u);
  EXPECT_EQ(inner<Failed>(answers.messages[0], 5).code, Code::bad_message);
  EXPECT_EQ(inner<Failed>(answers.messages[1], 0).code, Code::bad_field);
  const auto bad = raw(stranger, encode(Header{protocol_version, Bundle::type, 3, {}}), "\xc0");
  EXPECT_EQ(only<Failed>(bad, 3).code, Code::bad_field);
}

// ---- logs
class Logs : public GatewayTest {
protected:
  std::uint64_t ask() {
    bind();
    ReadLog log;
    log.job = JobId(9);
    return only<LogRequest>(effect(ledger::AskForLog{client, 4, node, log}), 0).request;
  }
};
TEST_F(Logs, come_from_the_node) {
  LogReply reply;
  reply.request = ask();
  reply.chunk = LogChunk{Bytes{"hello"}, 0, 5, true, 1};
  EXPECT_EQ(only<LogChunk>(say(agent, reply), 4).data.data, "hello");
}
TEST_F(Logs, cannot_be_answered_by_another_connection) {
  LogReply reply;
  reply.request = ask();
  reply.chunk = LogChunk{};
  const auto out = say(stranger, reply);
  only<RegisterAgain>(out, 0);
}
TEST_F(Logs, come_from_the_archive_when_the_node_has_none) {
  LogReply reply;
  reply.request = ask();
  EXPECT_EQ(say(agent, reply).archivist.size(), 1u);
}
TEST_F(Logs, come_from_the_archive_when_the_node_is_silent) {
  ask();
  now_ += std::chrono::seconds(4);
  Outbox out;
  gateway_.tick(now_, out);
  EXPECT_TRUE(out.archivist.empty());
  now_ += std::chrono::seconds(2);
  gateway_.tick(now_, out);
  ASSERT_EQ(out.archivist.size(), 1u);
  EXPECT_EQ(std::get<LogWanted>(out.archivist[0].question).why.code, Code::node_down);
}
TEST_F(Logs, come_from_the_archive_when_the_node_is_lost) {
  ask();
  EXPECT_EQ(effect(ledger::NodeUnbound{node, "lost"}).archivist.size(), 1u);
}
TEST_F(Logs, come_from_the_archive_when_no_node_is_bound) {
  EXPECT_EQ(effect(ledger::AskForLog{client, 4, NodeId(), {}}).archivist.size(), 1u);
}

} // namespace reeve::gateway::test
