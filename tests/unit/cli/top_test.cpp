// What `reeve top` shows, without a terminal, and the report of `reeve stats --since`.
#include "src/cli/top_model.hpp"
#include "src/history/sla.hpp"

#include <gtest/gtest.h>

namespace reeve::cli {
namespace {

using namespace std::chrono_literals;

NodeView node(const std::string& name, std::int64_t free_milli, std::int64_t used_milli) {
  NodeView out;
  out.name = name;
  out.capacity = {4'000, 1'000, 0, {}};
  out.available = {free_milli, 1'000, 0, {}};
  out.used = {used_milli, 0, 0, {}};
  return out;
}
JobView job(std::uint64_t id, const std::string& name, const std::string& queue) {
  JobView out;
  out.progress.job = JobId(id);
  out.progress.total = 10;
  out.progress.pending = 6;
  out.progress.assigned = 4;
  out.progress.state = JobState::running;
  out.name = name;
  out.queue = queue;
  out.submitted = TimePoint(Duration(1));
  return out;
}
TopFacts facts() {
  TopFacts out;
  out.now = TimePoint(60s);
  out.stats.emplace();
  out.stats->nodes_up = 3;
  out.nodes = {node("c", 3'000, 0), node("a", 1'000, 100), node("b", 2'000, 4'000)};
  out.jobs = {job(9, "train", "night"), job(7, "render", "day"), job(5, "test", "day")};
  return out;
}
std::vector<std::string> keys(const TopModel& model) {
  std::vector<std::string> out;
  for (const auto& row : model.rows())
    out.push_back(row.key);
  return out;
}
using Keys = std::vector<std::string>;

TEST(top, nodes_are_sorted_by_each_column_in_turn_and_numbers_largest_first) {
  TopModel model;
  model.update(facts());
  EXPECT_EQ(keys(model), (Keys{"a", "b", "c"}));
  model.next_sort(); // state
  model.next_sort(); // booked
  EXPECT_EQ(model.order_text(), "by BOOKED, most first");
  EXPECT_EQ(keys(model), (Keys{"a", "b", "c"}));
  model.turn();
  EXPECT_EQ(keys(model), (Keys{"c", "b", "a"}));
  model.next_sort(); // measured
  EXPECT_EQ(keys(model), (Keys{"b", "a", "c"}));
}

TEST(top, the_choice_stays_on_its_row_while_others_come_and_go) {
  TopModel model;
  model.update(facts());
  model.move(1);
  ASSERT_EQ(model.row()->key, "b");
  auto more = facts();
  more.nodes.push_back(node("aa", 0, 0));
  model.update(more);
  EXPECT_EQ(model.row()->key, "b");
  model.move(100);
  EXPECT_EQ(model.row()->key, "c");
  model.move(-100);
  EXPECT_EQ(model.row()->key, "a");
  model.update(TopFacts());
  EXPECT_EQ(model.row(), nullptr);
  model.move(1);
  EXPECT_EQ(model.row(), nullptr);
}

TEST(top, a_filter_looks_at_every_column) {
  TopModel model;
  model.show(TopPage::jobs);
  model.update(facts());
  model.filter("DAY");
  EXPECT_EQ(keys(model), (Keys{"5", "7"}));
  model.filter("train");
  EXPECT_EQ(keys(model), Keys{"9"});
  model.filter("");
  EXPECT_EQ(model.rows().size(), 3u);
}

TEST(top, queues_add_up_their_jobs) {
  TopModel model;
  model.show(TopPage::queues);
  model.update(facts());
  ASSERT_EQ(keys(model), (Keys{"day", "night"}));
  const auto& cells = model.rows()[0].cells;
  EXPECT_EQ(cells[1].text, "2");
  EXPECT_EQ(cells[2].text, "8");
  EXPECT_EQ(cells[3].text, "12");
  EXPECT_EQ(cells[5].text, "59s");
}

TEST(top, rates_come_from_two_looks) {
  TopModel model;
  auto first = facts();
  model.update(first);
  first.now += 10s;
  first.stats->submitted = 500;
  first.stats->succeeded = 200;
  model.update(first);
  EXPECT_NE(model.head(200)[1].find("50 submitted/s, 20 ended/s"), std::string::npos)
    << model.head(200)[1];
}

TEST(top, what_was_last_known_stays_while_the_master_is_away) {
  TopModel model;
  model.update(facts());
  TopFacts away;
  away.trouble = "no master";
  model.update(away);
  EXPECT_NE(model.head(200)[0].find("3 up"), std::string::npos);
  EXPECT_EQ(model.head(200).back(), "no master");
}

TEST(top, lines_fit_the_width) {
  TopModel model;
  model.update(facts());
  for (const auto& line : model.head(30))
    EXPECT_LE(display_width(line), 30u) << line;
}

TEST(top, every_page_has_rows_with_a_cell_for_each_column) {
  auto all = facts();
  TaskView task;
  task.job = JobId(9);
  task.index = 3;
  task.node = "a";
  all.tasks.push_back(task);
  Event event;
  event.kind = "node.lost";
  event.node = "a";
  all.events.push_front(event);
  TopModel model;
  model.update(all);
  for (int page = 0; page <= static_cast<int>(TopPage::last_); ++page) {
    model.show(static_cast<TopPage>(page));
    ASSERT_FALSE(model.rows().empty()) << page;
    for (const auto& row : model.rows())
      EXPECT_EQ(row.cells.size(), model.columns().size()) << page;
  }
}

// ---- promises

using namespace history;

HistoryRows rows(std::vector<std::string> columns, std::vector<std::vector<std::string>> cells) {
  return {std::move(columns), std::move(cells), 0};
}

TEST(sla, figures_are_of_all_groups_together) {
  const auto jobs =
    rows({"queue", "jobs", "succeeded", "failed", "cancelled", "average_wait_us", "longest_wait_us",
          "p50_wait_us", "p90_wait_us", "p99_wait_us"},
         {{"day", "8", "6", "1", "1", "1000000", "5000000", "1", "2", "3"},
          {"night", "2", "1", "1", "0", "6000000", "9000000", "2000000", "4000000", "8000000"}});
  const auto attempts =
    rows({"node", "attempts", "failed", "lost"}, {{"a", "15", "2", "1"}, {"b", "5", "0", "0"}});
  const auto report = sla_report(jobs, attempts, {}, TimePoint(0s), TimePoint(100s));
  EXPECT_EQ(report.jobs, 10u);
  EXPECT_DOUBLE_EQ(report.reliability.value(), 7.0 / 9);
  EXPECT_DOUBLE_EQ(report.attempt_failures.value(), 0.1);
  EXPECT_EQ(report.average_wait, 2s);
  EXPECT_EQ(report.longest_wait, 9s);
  EXPECT_EQ(report.p90_wait, 4s);
  EXPECT_FALSE(report.availability);
}

TEST(sla, nodes_are_down_between_loss_and_return_and_away_after_their_leave) {
  const std::vector<std::string> columns{"node", "time_us", "state"};
  // a: up from 0, lost at 50 s, back at 60 s. b: up from 20 s, left at 40 s. Looked at from 10 s to
  // 110 s.
  const auto nodes = rows(columns, {{"a", "60000000", "registered"},
                                    {"a", "50000000", "lost"},
                                    {"b", "40000000", "gone"},
                                    {"b", "30000000", "draining"},
                                    {"b", "20000000", "registered"},
                                    {"a", "0", "registered"}});
  const auto report = sla_report({}, {}, nodes, TimePoint(10s), TimePoint(110s));
  EXPECT_DOUBLE_EQ(report.availability.value(), 110.0 / 120);
}

TEST(sla, promises_are_judged_and_what_was_not_measured_is_not) {
  SlaReport report;
  report.jobs = 1;
  report.reliability = 0.995;
  report.attempt_failures = 0.03;
  report.average_wait = 4min;
  const auto kept = [&](const char* text) {
    return judge(report, parse_target(text).value())->kept;
  };
  EXPECT_TRUE(kept("reliability=99.5"));
  EXPECT_FALSE(kept("reliability=99.6"));
  EXPECT_TRUE(kept("failures=3"));
  EXPECT_FALSE(kept("failures=2.9"));
  EXPECT_TRUE(kept("wait=4m"));
  EXPECT_FALSE(kept("wait=3m"));
  report.p99_wait = 10min;
  EXPECT_TRUE(kept("p99=10m"));
  EXPECT_FALSE(kept("p99=9m"));
  EXPECT_FALSE(judge(report, parse_target("availability=99").value()));
  for (const char* bad : {"speed=1", "reliability=101", "reliability", "wait=soon", "failures=-1"})
    EXPECT_EQ(parse_target(bad).error().field, "--target") << bad;
}

TEST(sla, settings_that_promise_nothing_are_no_targets) {
  EXPECT_TRUE(
    targets_in({{"sla.reliability", "0"}, {"sla.failures", "100"}, {"sla.wait", "0s"}}).empty());
  const auto targets = targets_in(
    {{"sla.availability", "99.9"}, {"sla.failures", "2"}, {"sla.p90", "5m"}, {"sla.window", "1d"}});
  ASSERT_EQ(targets.size(), 3u);
  EXPECT_EQ(targets[0].text(), "at least 99.9 %");
  EXPECT_EQ(targets[1].text(), "at most 2 %");
  EXPECT_EQ(targets[2].text(), "at most 5m00s");
}

TEST(sla, every_promise_is_judged_kept_but_those_that_are_broken) {
  SlaReport report;
  report.since = TimePoint(9s);
  report.reliability = 0.5;
  const auto targets = targets_in({{"sla.reliability", "99"}, {"sla.availability", "90"}});
  for (const auto& judged : judge_all(report, targets)) {
    EXPECT_EQ(judged.kept, judged.promise != "reliability") << judged.promise;
    if (judged.promise != "reliability")
      continue;
    EXPECT_EQ(judged.measured, "50 %");
    EXPECT_EQ(judged.promised, "at least 99 %");
    EXPECT_EQ(judged.since, TimePoint(9s));
  }
  EXPECT_EQ(judge_all(std::nullopt, {}).size(), 8u);
}

} // namespace
} // namespace reeve::cli
