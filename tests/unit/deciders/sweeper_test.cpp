// What is given back, in virtual time.
#include "src/deciders/sweeper.hpp"

#include <gtest/gtest.h>

namespace reeve::deciders {
namespace {

using namespace std::chrono_literals;
const TimePoint start{Duration(1'700'000'000'000'000)};

core::JobEnded ended(std::uint64_t job, TimePoint at, std::uint32_t tasks = 1) {
  core::JobEnded change;
  change.job = JobId(job);
  change.tasks = tasks;
  change.at = at;
  return change;
}
core::NodeChanged node(std::uint32_t id, NodeState state, TimePoint since) {
  core::NodeChanged change;
  change.node = NodeId(id);
  change.state = state;
  change.since = since;
  return change;
}
/// All ids of wishes of one kind; fails when there are others.
template<class C, class Id>
std::vector<Id> ids(const std::vector<core::Command>& commands, std::vector<Id> C::*member) {
  std::vector<Id> out;
  for (const auto& command : commands) {
    const auto& wish = std::get<C>(command);
    out.insert(out.end(), (wish.*member).begin(), (wish.*member).end());
  }
  return out;
}
std::vector<LeaseId> leases(const std::vector<core::Command>& c) {
  return ids(c, &core::EndLeases::leases);
}
std::vector<JobId> jobs(const std::vector<core::Command>& c) {
  return ids(c, &core::Forget::jobs);
}

// ---- leases
TEST(sweeper, ends_a_lease_at_its_time_and_asks_once) {
  Sweeper sweeper;
  sweeper.apply({core::LeaseChanged{LeaseId(1), NodeId(1), start + 10s},
                 core::LeaseChanged{LeaseId(2), NodeId(1), start + 20s},
                 core::LeaseChanged{LeaseId(3), NodeId(1), {}}});
  EXPECT_TRUE(sweeper.decide(start + 9'999ms).empty());
  const auto wishes = sweeper.decide(start + 10s);
  EXPECT_EQ(leases(wishes), std::vector{LeaseId(1)});
  EXPECT_TRUE(std::get<core::EndLeases>(wishes[0]).expired);
  EXPECT_TRUE(sweeper.decide(start + 11s).empty());
  sweeper.apply({core::LeaseEnded{LeaseId(1)}});
  EXPECT_EQ(leases(sweeper.decide(start + 1h)), std::vector{LeaseId(2)});
}
TEST(sweeper, a_renewed_lease_lives_on) {
  Sweeper sweeper;
  sweeper.apply({core::LeaseChanged{LeaseId(1), NodeId(1), start + 10s}});
  sweeper.apply({core::LeaseChanged{LeaseId(1), NodeId(1), start + 30s}});
  EXPECT_TRUE(sweeper.decide(start + 20s).empty());
  sweeper.apply({core::LeaseChanged{LeaseId(1), NodeId(1), {}}}); // until released
  EXPECT_TRUE(sweeper.decide(start + 1h).empty());
}
TEST(sweeper, asks_again_when_nothing_came_of_it) {
  Sweeper sweeper;
  sweeper.apply({core::LeaseChanged{LeaseId(1), NodeId(1), start}});
  EXPECT_EQ(sweeper.decide(start).size(), 1u);
  EXPECT_TRUE(sweeper.decide(start + 9s).empty());
  EXPECT_EQ(leases(sweeper.decide(start + 10s)), std::vector{LeaseId(1)});
}

// ---- jobs
TEST(sweeper, forgets_a_finished_job_after_an_hour) {
  Sweeper sweeper;
  sweeper.apply({ended(1, start), ended(2, start + 10min)});
  EXPECT_TRUE(sweeper.decide(start + 59min).empty());
  EXPECT_EQ(jobs(sweeper.decide(start + 1h)), std::vector{JobId(1)});
  EXPECT_TRUE(sweeper.decide(start + 1h).empty());
  EXPECT_EQ(jobs(sweeper.decide(start + 70min)), std::vector{JobId(2)});
}
TEST(sweeper, forgets_the_oldest_when_newer_ones_fill_the_room) {
  Sweeper sweeper;
  sweeper.apply({core::ConfigUpdated{{{"retention.tasks", "100"}}}});
  sweeper.apply({ended(1, start, 1'000)}); // alone: it stays, however large
  EXPECT_TRUE(sweeper.decide(start).empty());
  sweeper.apply({ended(2, start, 50), ended(3, start, 49)});
  EXPECT_TRUE(sweeper.decide(start).empty());
  sweeper.apply({ended(4, start, 1)});
  EXPECT_EQ(jobs(sweeper.decide(start)), std::vector{JobId(1)});
  sweeper.apply({ended(5, start, 60)});
  EXPECT_EQ(jobs(sweeper.decide(start)), std::vector{JobId(2)}); // 49 + 1 + 60 remain behind it
}
TEST(sweeper, a_retried_job_is_not_forgotten_until_it_has_ended_again) {
  Sweeper sweeper;
  core::JobReopened reopened;
  reopened.job = JobId(1);
  sweeper.apply({ended(1, start), reopened});
  EXPECT_TRUE(sweeper.decide(start + 2h).empty());
  sweeper.apply({ended(1, start + 3h)});
  EXPECT_TRUE(sweeper.decide(start + 3h + 59min).empty());
  EXPECT_EQ(jobs(sweeper.decide(start + 4h)), std::vector{JobId(1)});
}
TEST(sweeper, a_million_jobs_are_forgotten_in_bounded_steps) {
  Sweeper sweeper;
  core::Changes changes;
  constexpr std::uint64_t n = 150'000;
  for (std::uint64_t job = 1; job <= n; ++job)
    changes.emplace_back(ended(job, start));
  sweeper.apply(changes);
  std::size_t forgotten = 0;
  for (int round = 0; round < 100; ++round) {
    const auto wish = jobs(sweeper.decide(start));
    EXPECT_LE(wish.size(), Sweeper::work_max);
    forgotten += wish.size();
  }
  EXPECT_EQ(forgotten, n - 100'000);
}
TEST(sweeper, begins_with_the_oldest_after_a_restart) {
  Sweeper sweeper;
  sweeper.reset({ended(1, start + 30min), ended(2, start), ended(3, start + 10min)});
  EXPECT_EQ(jobs(sweeper.decide(start + 61min)), std::vector{JobId(2)});
  EXPECT_EQ(jobs(sweeper.decide(start + 2h)), (std::vector{JobId(3), JobId(1)}));
}
TEST(sweeper, asks_again_a_second_after_the_journal_failed) {
  Sweeper sweeper;
  sweeper.apply({ended(1, start), ended(2, start)});
  const auto wishes = sweeper.decide(start + 1h);
  sweeper.refused(wishes.at(0), {Code::unavailable, {}, "disk full"});
  EXPECT_TRUE(sweeper.decide(start + 1h).empty());
  EXPECT_TRUE(sweeper.decide(start + 1h + 500ms).empty());
  EXPECT_EQ(jobs(sweeper.decide(start + 1h + 1s)), (std::vector{JobId(1), JobId(2)}));
}

// ---- nodes
TEST(sweeper, forgets_a_node_that_was_away_for_a_day) {
  Sweeper sweeper;
  sweeper.apply({node(1, NodeState::lost, start), node(2, NodeState::gone, start),
                 node(3, NodeState::up, start), node(4, NodeState::lost, start)});
  sweeper.apply({node(4, NodeState::up, start + 1h)}); // it came back
  EXPECT_TRUE(sweeper.decide(start + 23h).empty());
  const auto wishes = sweeper.decide(start + 24h);
  EXPECT_EQ(ids(wishes, &core::RemoveNodes::nodes), (std::vector{NodeId(1), NodeId(2)}));
  sweeper.apply({core::NodeForgotten{NodeId(1)}, core::NodeForgotten{NodeId(2)}});
  EXPECT_TRUE(sweeper.decide(start + 48h).empty());
}
TEST(sweeper, frees_work_that_is_booked_on_a_node_that_is_not_there) {
  Sweeper sweeper;
  sweeper.apply({node(1, NodeState::up, start), core::FlightChanged{NodeId(1), JobId(5), 3, 1},
                 node(1, NodeState::lost, start)});
  EXPECT_EQ(ids(sweeper.decide(start), &core::MarkLost::nodes), std::vector{NodeId(1)});
  sweeper.apply({core::FlightChanged{NodeId(1), JobId(5), 0, 0}});
  EXPECT_TRUE(sweeper.decide(start + 10min).empty());
}

// ---- reports, and what is swept only when the settings say so
TEST(sweeper, reports_what_it_would_give_back_and_then_gives_back_the_same) {
  Sweeper sweeper;
  auto gone = node(7, NodeState::gone, start);
  gone.name = "n7";
  sweeper.apply({core::LeaseChanged{LeaseId(1), NodeId(1), start + 10s}, ended(1, start, 30),
                 ended(2, start, 10), gone});
  EXPECT_EQ(sweeper.report(start).text(), "nothing");
  EXPECT_EQ(sweeper.report(start).things(), 0u);
  EXPECT_TRUE(sweeper.sweep(start).empty());
  const auto report = sweeper.report(start + 25h);
  EXPECT_EQ(report.text(),
            "1 lease past its time, 2 finished jobs (of 40 tasks), 1 node that is gone (n7)");
  EXPECT_EQ(report.things(), 4u);
  EXPECT_EQ(sweeper.report(start + 25h).text(), report.text()); // asks for nothing
  EXPECT_EQ(sweeper.sweep(start + 25h).size(), 3u);
}
TEST(sweeper, a_reopened_job_is_in_no_report) {
  Sweeper sweeper;
  core::JobReopened reopened;
  reopened.job = JobId(1);
  sweeper.apply({ended(1, start), ended(2, start), reopened});
  EXPECT_EQ(sweeper.report(start + 2h).jobs, 1u);
}
TEST(sweeper, the_report_of_jobs_that_fill_the_room_counts_what_is_forgotten) {
  Sweeper sweeper;
  sweeper.apply({core::ConfigUpdated{{{"retention.tasks", "100"}}}});
  sweeper.apply({ended(1, start, 1'000), ended(2, start, 50), ended(3, start, 49),
                 ended(4, start, 1), ended(5, start, 60)});
  EXPECT_EQ(sweeper.report(start).jobs, 2u);
  EXPECT_EQ(jobs(sweeper.decide(start)).size(), 2u);
}
TEST(sweeper, a_sweep_by_hand_does_not_wait_for_its_time) {
  Sweeper sweeper;
  sweeper.apply({node(7, NodeState::lost, start)});
  EXPECT_TRUE(sweeper.decide(start + 24h - 1s).empty());
  EXPECT_TRUE(sweeper.decide(start + 24h).empty()); // the next sweep is in five minutes
  EXPECT_EQ(sweeper.sweep(start + 24h).size(), 1u);
}
TEST(sweeper, a_job_that_was_held_and_left_is_cancelled_when_the_settings_say_so) {
  Sweeper sweeper;
  sweeper.apply({core::HoldChanged{JobId(1), true}, core::HoldChanged{JobId(2), true}});
  EXPECT_TRUE(sweeper.decide(start).empty());
  EXPECT_TRUE(sweeper.sweep(start + 8'760h).empty()); // never, unless told
  sweeper.apply({core::ConfigUpdated{{{"retention.held", "30d"}}}});
  sweeper.apply({core::HoldChanged{JobId(2), false}});
  EXPECT_EQ(sweeper.report(start + 720h).text(), "1 abandoned job (1)");
  const auto wishes = sweeper.sweep(start + 720h);
  ASSERT_EQ(wishes.size(), 1u);
  EXPECT_EQ(std::get<core::Cancel>(wishes[0]).job, JobId(1));
  sweeper.apply({ended(1, start + 720h)});
  EXPECT_EQ(sweeper.report(start + 720h).text(), "nothing");
}
TEST(sweeper, a_lease_without_an_end_is_taken_back_when_it_is_idle_and_the_settings_say_so) {
  Sweeper sweeper;
  sweeper.apply({core::ConfigUpdated{{{"retention.leases", "1d"}}}});
  const core::LeaseChanged lease{LeaseId(1), NodeId(1), {}};
  sweeper.apply({lease});
  EXPECT_TRUE(sweeper.sweep(start).empty());
  sweeper.apply({lease}); // renewed
  EXPECT_TRUE(sweeper.sweep(start + 20h).empty());
  EXPECT_TRUE(sweeper.sweep(start + 30h).empty());
  EXPECT_EQ(sweeper.report(start + 44h).text(), "1 idle lease");
  EXPECT_EQ(leases(sweeper.sweep(start + 44h)), std::vector{LeaseId(1)});
}

} // namespace
} // namespace reeve::deciders
