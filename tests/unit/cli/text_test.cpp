// Selectors, names, progress, history rows: what needs no master.
#include "src/cli/history_rows.hpp"
#include "src/cli/logs.hpp"
#include "src/cli/names.hpp"
#include "src/cli/progress.hpp"
#include "src/cli/selector.hpp"

#include <gtest/gtest.h>
#include <sstream>

namespace reeve::cli {
namespace {
using namespace std::chrono_literals;

// ---- selectors

TEST(selector, jobs_are_named_in_every_form) {
  using Kind = JobSelector::Kind;
  EXPECT_EQ(*parse_job_selector("5"), (JobSelector{Kind::ids, {{5, 5, 1}}, "", ""}));
  EXPECT_EQ(*parse_job_selector("1-10:2,3"),
            (JobSelector{Kind::ids, {{1, 10, 2}, {3, 3, 1}}, "", ""}));
  EXPECT_EQ(*parse_job_selector("last"), (JobSelector{Kind::last, {}, "", ""}));
  EXPECT_EQ(*parse_job_selector("all"), (JobSelector{Kind::all, {}, "", ""}));
  EXPECT_EQ(*parse_job_selector("name:ren*"), (JobSelector{Kind::name, {}, "", "ren*"}));
  EXPECT_EQ(*parse_job_selector("label:team=a=b"), (JobSelector{Kind::label, {}, "team", "a=b"}));
}

TEST(selector, tasks_are_named_behind_their_job) {
  EXPECT_EQ(parse_task_selector("5/3")->tasks, (std::vector<Span>{{3, 3, 1}}));
  EXPECT_EQ(parse_task_selector("last/0-9:3,20")->tasks,
            (std::vector<Span>{{0, 9, 3}, {20, 20, 1}}));
  EXPECT_TRUE(parse_task_selector("5")->tasks.empty());
  EXPECT_EQ(parse_task_selector("label:path=a/b/7")->job.value, "a/b");
}

TEST(selector, nonsense_is_refused_with_what_would_be_right) {
  for (const char* bad : {"", "0", "x", "-1", "5-", "3-1", "1:2", "1-5:0", "name:", "label:x",
                          "1,,2", "99999999999999999999", "5 6"}) {
    const auto parsed = parse_job_selector(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code, Code::bad_field);
    EXPECT_EQ(parsed.error().field, bad == std::string("label:x") ? "JOB" : "JOB");
  }
  for (const char* bad : {"5/", "5/x", "5/3-1", "5/10000000"}) {
    const auto parsed = parse_task_selector(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().field, "TASK") << bad;
  }
}

TEST(selector, spans_become_runs_and_steps_single_tasks) {
  const auto runs = runs_of({{0, 9, 1}, {20, 24, 2}});
  ASSERT_TRUE(runs);
  ASSERT_EQ(runs->size(), 4U);
  EXPECT_EQ((*runs)[0], (TaskRun{0, 10, 1}));
  EXPECT_EQ((*runs)[3], (TaskRun{24, 1, 1}));
  EXPECT_FALSE(runs_of({{0, 9'999'998, 2}}));
}

TEST(names, an_unknown_state_is_answered_with_all_that_there_are) {
  EXPECT_EQ(*parse_names<JobState>({"running,pending", "held"}, "--state"),
            (std::vector{JobState::running, JobState::pending, JobState::held}));
  EXPECT_EQ(parse_names<JobState>({"runing"}, "--state").error().message(),
            "--state: must be pending, running, succeeded, failed, cancelled or held, got "
            "'runing'");
}

// ---- progress

JobProgress progress(std::uint32_t total, std::uint32_t succeeded, std::uint32_t assigned = 0,
                     std::uint32_t failed = 0) {
  JobProgress p;
  p.total = total;
  p.succeeded = succeeded;
  p.assigned = assigned;
  p.failed = failed;
  p.pending = total - succeeded - assigned - failed;
  p.state = succeeded + failed == total ? JobState::succeeded : JobState::running;
  return p;
}

TEST(progress, the_line_says_counts_rate_and_time_left) {
  ProgressLine line("job 5", 0);
  const ProgressLine::Instant start;
  EXPECT_EQ(line.line({progress(100, 0, 4)}, start), "job 5: 0/100 0%, 4 on nodes");
  EXPECT_EQ(line.line({progress(100, 0, 4)}, start + 1s), std::nullopt); // nothing new
  EXPECT_EQ(line.line({progress(100, 20, 4, 1)}, start + 2s),
            "job 5: 21/100 21%, 4 on nodes, 1 failed, 10.5/s, 8s left");
  EXPECT_EQ(line.line({progress(100, 100)}, start + 9s), "job 5: 100/100 100%");
}

TEST(progress, a_terminal_gets_a_bar_that_fits) {
  ProgressLine line("job 5", 60);
  const auto text = line.line({progress(10, 5)}, {});
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, "job 5 [###############>              ] 5/10 50%");
  ProgressLine narrow("job 5", 12);
  EXPECT_LT(narrow.line({progress(1000, 5, 7)}, {})->size(), 12U);
}

TEST(progress, several_jobs_are_added_up) {
  const Totals t = totals({progress(10, 4, 2), progress(1, 1)});
  EXPECT_EQ(t.jobs, 2U);
  EXPECT_EQ(t.jobs_ended, 1U);
  EXPECT_EQ(t.tasks, 11U);
  EXPECT_EQ(t.done, 5U);
  EXPECT_EQ(t.running, 2U);
}

// ---- logs

TEST(prefixed_writer, only_whole_lines_get_the_prefix_and_a_rest_comes_at_the_end) {
  std::ostringstream out;
  PrefixedWriter writer(out, "5/3: ");
  writer.write("one\ntw");
  EXPECT_EQ(out.str(), "5/3: one\n");
  writer.write("o\n\nth");
  EXPECT_EQ(out.str(), "5/3: one\n5/3: two\n5/3: \n");
  writer.finish();
  EXPECT_EQ(out.str(), "5/3: one\n5/3: two\n5/3: \n5/3: th\n");
}

TEST(prefixed_writer, without_a_prefix_bytes_go_through_as_they_come) {
  std::ostringstream out;
  PrefixedWriter writer(out, "");
  writer.write("tw");
  EXPECT_EQ(out.str(), "tw");
  writer.finish();
  EXPECT_EQ(out.str(), "tw");
}

// ---- history

TEST(history_rows, values_are_shown_by_what_their_column_holds) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  HistoryRows rows;
  rows.columns = {"job", "name", "state", "ended_us", "ran_us", "max_rss_bytes", "reason"};
  rows.rows = {{"5", "12", "failed", "1738317600000000", "1500000", "1048576", ""},
               {"4", "x", "succeeded", "", "", "", ""}};
  EXPECT_EQ(history_table(rows, false).text(false),
            "JOB  NAME  STATE      ENDED                 RAN  MAX RSS\n"
            "  5  12    failed     2025-01-31 10:00:00  1.5s     1MiB\n"
            "  4  x     succeeded  -                       -        -\n");
  EXPECT_EQ(
    dump_json(history_json(rows)),
    R"({"rows":[{"job":5,"name":"12","state":"failed","ended_us":1738317600000000,"ran_us":1500000,)"
    R"("max_rss_bytes":1048576,"reason":null},{"job":4,"name":"x","state":"succeeded",)"
    R"("ended_us":null,"ran_us":null,"max_rss_bytes":null,"reason":null}],"next":0})");
}

TEST(history_rows, columns_for_few_are_left_to_the_wide_table) {
  HistoryRows rows;
  rows.columns = {"job", "priority", "reason"};
  rows.rows = {{"5", "3", ""}};
  EXPECT_EQ(history_table(rows, false).text(false), "JOB\n  5\n");
  EXPECT_EQ(history_table(rows, true).text(false), "JOB  PRIORITY  REASON\n  5         3  -\n");
}

} // namespace
} // namespace reeve::cli
