// What operators are told of each fact, how it is numbered, and what is kept for those who come
// late.
#include "src/events/events.hpp"

#include <gtest/gtest.h>

namespace reeve::events {
namespace {

class Telling : public testing::Test {
protected:
  std::vector<Event> tell(std::vector<Fact> facts, core::Changes changes = {}) {
    core::Committed batch;
    batch.first = Seq(100);
    for (auto& fact : facts)
      batch.entries.push_back({TimePoint(Duration(7)), std::move(fact)});
    batch.changes = std::move(changes);
    return teller_.tell(batch);
  }
  static core::NodeChanged node(std::uint32_t id, std::string name) {
    core::NodeChanged change;
    change.node = NodeId(id);
    change.name = std::move(name);
    return change;
  }
  Teller teller_;
};

TEST_F(Telling, entries_are_numbered_by_their_seq) {
  const auto events = tell({EpochStarted{Epoch(1), "m"}, JobHeld{JobId(4), true, "why"}});
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].seq, Seq(100));
  EXPECT_EQ(events[1].seq, Seq(101));
  EXPECT_EQ(events[1].kind, "job.held");
  EXPECT_EQ(events[1].text, "why");
}
TEST_F(Telling, one_entry_that_tells_several_things_counts_its_parts) {
  teller_.reset({node(1, "a"), node(2, "b")});
  const auto events = tell({NodesLost{{NodeId(1), NodeId(2), NodeId(3)}, "silent", false}});
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[1].seq, Seq(100));
  EXPECT_EQ(events[1].part, 1u);
  EXPECT_EQ(events[0].node, "a");
  EXPECT_EQ(events[1].node, "b");
  EXPECT_EQ(events[2].node, "node 3");
}
TEST_F(Telling, the_name_of_a_node_is_learnt_from_the_batch_that_brings_it) {
  const auto events = tell({NodesDrained{{NodeId(9)}, true, ""}}, {node(9, "new")});
  EXPECT_EQ(events.at(0).node, "new");
}
TEST_F(Telling, a_submitted_job_is_named) {
  JobSpec spec;
  spec.name = "render";
  const auto events = tell({JobsSubmitted{JobId(3), {}, {Raw{encode(spec)}}},
                            JobsSubmitted{JobId(4), {}, {Raw{encode(JobSpec{})}}}});
  EXPECT_EQ(events.at(0).name, "render");
  EXPECT_EQ(events.at(1).name, "");
  for (const std::size_t size : {1u, 31u, 32u, 255u, 256u}) {
    spec.name = std::string(size, 'n');
    EXPECT_EQ(tell({JobsSubmitted{JobId(5), {}, {Raw{encode(spec)}}}}).at(0).name, spec.name);
  }
  spec.name.clear();
  spec.command = {"name", "x"};
  EXPECT_EQ(tell({JobsSubmitted{JobId(6), {}, {Raw{encode(spec)}}}}).at(0).name, "");
}
TEST_F(Telling, results_are_summed_and_each_failure_is_told) {
  TasksFinished fact;
  fact.node = NodeId(1);
  JobResults results;
  results.job = JobId(2);
  results.quiet.push_back({{0, 1'000, 1}, {}, {}});
  TaskResult good, bad;
  good.index = 1'000;
  bad.index = 1'001;
  bad.cause = Cause::exit_code;
  bad.exit_code = 3;
  results.tasks = {good, bad};
  fact.jobs.push_back(results);
  const auto events = tell({fact});
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].numbers.at("tasks"), 1'001);
  EXPECT_EQ(events[1].kind, "task.failed");
  EXPECT_EQ(events[1].numbers.at("task"), 1'001);
  EXPECT_EQ(events[1].numbers.at("exit_code"), 3);
}
TEST_F(Telling, preemption_tuning_and_quarantine) {
  teller_.reset({node(1, "a")});
  const TimePoint until{Duration(99)};
  const auto events =
    tell({TasksPreempted{NodeId(1), JobId(2), {{3, 4, 1}}, Cause::preempted, "for 7"},
          NodeTuned{NodeId(1), 1'500, false, ""}, NodeTuned{NodeId(1), 1'000, true, ""},
          NodesQuarantined{{NodeId(1)}, until, "flaky"}, NodesQuarantined{{NodeId(1)}, {}, ""}});
  ASSERT_EQ(events.size(), 5u);
  EXPECT_EQ(events[0].kind, "task.preempted");
  EXPECT_EQ(events[0].node, "a");
  EXPECT_EQ(events[0].numbers.at("tasks"), 4);
  EXPECT_EQ(events[1].kind, "node.tuned");
  EXPECT_EQ(events[1].numbers.at("overcommit_milli"), 1'500);
  EXPECT_EQ(events[2].kind, "node.closed");
  EXPECT_EQ(events[3].kind, "node.quarantined");
  EXPECT_EQ(events[3].numbers.at("until_us"), 99);
  EXPECT_EQ(events[4].kind, "node.unquarantined");
}
TEST_F(Telling, a_promise_that_breaks_or_is_kept_again) {
  const auto events =
    tell({PromiseJudged{"p90", false, "at most 5m", "6m", TimePoint(Duration(4))},
          PromiseJudged{"p90", true, "at most 5m", "4m", TimePoint(Duration(5))}});
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].kind, "sla.breached");
  EXPECT_EQ(events[0].name, "p90");
  EXPECT_EQ(events[0].text, "6m, promised at most 5m");
  EXPECT_EQ(events[0].numbers.at("since_us"), 4);
  EXPECT_EQ(events[1].kind, "sla.recovered");
}
TEST_F(Telling, what_was_submitted_and_its_end_carry_the_correlation) {
  JobSpec spec;
  spec.name = "a";
  spec.command = {"correlation"};
  const auto plain = tell({JobsSubmitted{JobId(1), {}, {Raw{encode(spec)}}}});
  EXPECT_EQ(plain.at(0).correlation, "");
  spec.correlation = "order 66";
  const auto events = tell(
    {JobsSubmitted{JobId(1), {}, {Raw{encode(spec)}}}},
    {core::JobEnded{
      JobId(1), JobState::succeeded, 1, TimePoint(Duration(9)), {}, 1, 0, 0, 0, "", "order 66"}});
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].correlation, "order 66");
  EXPECT_EQ(events[1].correlation, "order 66");
}
TEST_F(Telling, the_end_of_a_job_comes_last_with_the_last_number) {
  const auto events = tell({JobHeld{JobId(1), true, ""}, JobHeld{JobId(2), true, ""}},
                           {core::JobEnded{JobId(8), JobState::failed, 5, TimePoint(Duration(9))}});
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[2].kind, "job.ended");
  EXPECT_EQ(events[2].name, "failed");
  EXPECT_EQ(events[2].seq, Seq(101));
  EXPECT_EQ(events[2].part, 1u);
}
TEST_F(Telling, the_same_entries_in_one_batch_or_two_give_the_same_events) {
  core::Committed both;
  both.first = Seq(100);
  both.entries = {{TimePoint(Duration(7)), JobHeld{JobId(1), true, ""}},
                  {TimePoint(Duration(8)), NodesDrained{{NodeId(9)}, true, ""}}};
  both.changes = {core::JobEnded{JobId(8), JobState::failed, 5, TimePoint(Duration(7))},
                  node(9, "new")};
  both.change_ends = {1, 2};
  core::Committed first, second;
  first.first = Seq(100);
  first.entries = {both.entries[0]};
  first.changes = {both.changes[0]};
  second.first = Seq(101);
  second.entries = {both.entries[1]};
  second.changes = {both.changes[1]};
  auto apart = Teller().tell(first);
  Teller other;
  for (auto& event : other.tell(second))
    apart.push_back(event);
  EXPECT_EQ(Teller().tell(both), apart);
  ASSERT_EQ(apart.size(), 3u);
  EXPECT_EQ(apart[1].kind, "job.ended");
  EXPECT_EQ(apart[1].seq, Seq(100));
  EXPECT_EQ(apart[2].node, "new");
}
core::JobArrived arrived(std::uint64_t job, std::string queue) {
  core::Kind kind;
  kind.queue = std::move(queue);
  return {JobId(job), std::make_shared<const core::Kind>(std::move(kind)), {}, 0, 1};
}
JobsSubmitted submitted(std::uint64_t first, std::size_t jobs) {
  return {JobId(first), {}, std::vector<Raw>(jobs, Raw{encode(JobSpec{})})};
}
TEST_F(Telling, what_happens_to_a_job_names_its_queue_until_it_has_ended) {
  teller_.reset({arrived(1, "batch")}); // as after a start
  TasksFinished finished;
  finished.node = NodeId(1);
  JobResults results;
  results.job = JobId(1);
  results.quiet.push_back({{0, 1, 1}, {}, {}});
  finished.jobs = {results};
  const auto events = tell({TasksPlaced{{{NodeId(1), JobId(1), 1, {{0, 1, 1}}}}}, finished},
                           {core::JobEnded{JobId(1), JobState::succeeded, 1, TimePoint()}});
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[2].kind, "job.ended");
  for (const Event& event : events)
    EXPECT_EQ(event.queue, "batch") << event.kind;
  EXPECT_EQ(tell({JobsForgotten{{JobId(1)}}}).at(0).queue, "");
  EXPECT_EQ(tell({JobHeld{JobId(2), true, ""}}).at(0).queue, "") << "not known";
}
TEST_F(Telling, a_job_that_runs_again_is_in_its_queue_again) {
  tell({submitted(1, 1)}, {arrived(1, "batch")});
  tell({JobHeld{JobId(1), true, ""}}, {core::JobEnded{JobId(1), JobState::failed, 1, TimePoint()}});
  const auto events =
    tell({TasksRetried{JobId(1), {}}}, {core::JobReopened{JobId(1), arrived(1, "batch").kind, {}}});
  EXPECT_EQ(events.at(0).queue, "batch");
}
TEST_F(Telling, jobs_of_several_queues_in_one_submission_are_told_queue_by_queue) {
  const auto events =
    tell({submitted(1, 4)}, {arrived(1, "a"), arrived(2, "a"), arrived(3, "b"), arrived(4, "a")});
  ASSERT_EQ(events.size(), 3u);
  const std::vector<std::tuple<JobId, std::int64_t, std::string, std::uint32_t>> wanted{
    {JobId(1), 2, "a", 0}, {JobId(3), 1, "b", 1}, {JobId(4), 1, "a", 2}};
  for (std::size_t k = 0; k < 3; ++k)
    EXPECT_EQ(
      std::tuple(events[k].job, events[k].numbers.at("jobs"), events[k].queue, events[k].part),
      wanted[k]);
}
TEST_F(Telling, jobs_forgotten_one_after_the_other_are_one_event) {
  const auto events = tell({JobsForgotten{{JobId(3), JobId(4), JobId(5), JobId(9), JobId(8)}}});
  ASSERT_EQ(events.size(), 3u);
  const std::vector<std::pair<JobId, std::int64_t>> wanted{
    {JobId(3), 3}, {JobId(9), 1}, {JobId(8), 1}};
  for (std::size_t k = 0; k < 3; ++k)
    EXPECT_EQ(std::pair(events[k].job, events[k].numbers.at("jobs")), wanted[k]);
}
TEST_F(Telling, a_lease_names_its_queue) {
  LeaseGranted lease;
  lease.queue = "night";
  EXPECT_EQ(tell({lease}).at(0).queue, "night");
}
TEST(job_queues, are_forgotten_with_their_jobs_and_their_numbers_used_again) {
  JobQueues queues;
  for (std::uint64_t round = 0; round < 3; ++round) {
    for (std::uint64_t k = 1; k <= 1'000; ++k)
      queues.put(JobId(1'000 * round + k), "q" + std::to_string(k % 7 + round));
    for (std::uint64_t k = 1; k <= 1'000; ++k) {
      EXPECT_EQ(queues.of(JobId(1'000 * round + k)), "q" + std::to_string(k % 7 + round));
      queues.put(JobId(1'000 * round + k), "moved");
      queues.drop(JobId(1'000 * round + k));
      queues.drop(JobId(1'000 * round + k));
      EXPECT_EQ(queues.of(JobId(1'000 * round + k)), "");
    }
  }
  EXPECT_EQ(queues.names(), 0u);
}
TEST(topics, of_one_job_node_or_queue_stand_beside) {
  Event event;
  event.kind = "task.failed";
  EXPECT_TRUE(side_topics_of(event).empty());
  event.job = JobId(7);
  event.node = "n1";
  event.queue = "batch";
  EXPECT_EQ(side_topics_of(event),
            (std::vector<std::string>{"of.job.7", "of.node.n1", "of.queue.batch"}));
  for (const auto& topic : side_topics_of(event))
    EXPECT_TRUE(is_side_topic(topic));
  EXPECT_TRUE(is_side_topic(pack_topic));
  EXPECT_FALSE(is_side_topic(event.kind));
}
EventPack packed(std::uint64_t first, std::uint64_t last) {
  EventPack pack;
  for (std::uint64_t seq = first; seq <= last; ++seq) {
    Event event;
    event.seq = Seq(seq);
    event.part = 7;
    pack.add(event);
  }
  return pack;
}
TEST(ring, keeps_at_least_the_newest_in_whole_packs) {
  Ring ring(3);
  ring.add(packed(1, 2));
  ring.add(packed(3, 4));
  EXPECT_EQ(ring.packs().front().first, Seq(1)) << "two are fewer than three";
  ring.add(packed(5, 5));
  ASSERT_EQ(ring.packs().size(), 2u);
  EXPECT_EQ(ring.packs().front().first, Seq(3));
  EXPECT_EQ(ring.packs().front().last_part, 7u);
  EXPECT_EQ(ring.since(Seq(1))->first, Seq(3));
  EXPECT_EQ(ring.since(Seq(4))->first, Seq(3));
  EXPECT_EQ(ring.since(Seq(5))->first, Seq(5));
  EXPECT_EQ(ring.since(Seq(6)), ring.packs().end());
  ring.add(packed(6, 100));
  EXPECT_EQ(ring.packs().size(), 1u);
}
TEST(replay, is_asked_for_by_a_topic) {
  EXPECT_EQ(replay_from("replay.17.ab12"), (Replay{Seq(17), false}));
  EXPECT_EQ(replay_from("of.past.17.ab12"), (Replay{Seq(17), true}));
  for (const char* topic : {"", "replay", "replay.", "replay.x.y", "replay.17", "job.17.x",
                            "replay.99999999999999999999.x", "of.past", "of.past.17", "of.17.x"})
    EXPECT_FALSE(replay_from(topic)) << topic;
}

} // namespace
} // namespace reeve::events
