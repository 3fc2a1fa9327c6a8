// What is written, and that it is written once.
#include "tests/unit/history/world.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <random>
#include <sstream>
#include <sys/resource.h>

namespace reeve::history {
namespace {

using namespace std::chrono_literals;
using Histories = WithHistory;

TEST_F(Histories, a_job_is_there_from_its_submission_and_says_how_it_ended) {
  const NodeId n1 = world.add_node("n1");
  const JobId job = world.submit("render");
  record();
  EXPECT_EQ(sql("SELECT job,name,user,queue,executor,state,tasks,ended_us FROM jobs"),
            Texts{"1|render|ann|default|noop||1|"});
  world.place(n1, job, {{0, 1, 1}});
  world.finish(n1, job, {world.result(0, 1, Cause::exit_code, 3)});
  record();
  EXPECT_EQ(sql("SELECT job,name,state,succeeded,failed,cancelled,exit_code FROM jobs"),
            Texts{"1|render|failed|0|1|0|3"});
  EXPECT_EQ(sql("SELECT job,task,attempt,node,cause,exit_code,wall_us,max_rss_bytes FROM attempts"),
            Texts{"1|0|1|n1|exit_code|3|2000000|5242880"});
  EXPECT_EQ(history->last(), world.cluster.last_seq());
}
TEST_F(Histories, labels_reasons_and_results_are_kept) {
  const NodeId n1 = world.add_node("n1");
  JobSpec spec;
  spec.name = "j";
  spec.executor = "noop";
  spec.labels = {{"team", "blue"}, {"quote", "\"'"}};
  spec.priority = -3;
  const JobId job = world.submit(spec);
  world.place(n1, job, {{0, 1, 1}});
  TaskResult result = world.result(0);
  result.result.data = std::string("\0\xff"
                                   "bytes",
                                   7);
  result.text = "all is well";
  world.finish(n1, job, {result});
  const JobId second = world.submit("k");
  world.execute(core::Cancel{second, {}, "not needed"});
  record();
  EXPECT_EQ(sql("SELECT labels,priority FROM jobs WHERE job=1"),
            Texts{"{\"quote\":\"\\\"'\",\"team\":\"blue\"}|-3"});
  EXPECT_EQ(sql("SELECT hex(result),text FROM attempts"), Texts{"00FF6279746573|all is well"});
  EXPECT_EQ(sql("SELECT state,reason,started_us FROM jobs WHERE job=2"),
            Texts{"cancelled|not needed|"});
}
TEST_F(Histories, a_quiet_array_is_a_few_rows_and_the_view_shows_every_task) {
  const NodeId n1 = world.add_node("n1");
  const JobId job = world.submit("array", 20'000);
  world.place(n1, job, {{0, 20'000, 1}});
  for (TaskIndex first = 0; first < 20'000; first += 50)
    world.quiet(n1, job, {first, 50, 1});
  record();
  EXPECT_EQ(sql("SELECT first,count FROM attempt_runs ORDER BY first"),
            (Texts{"0|8192", "8192|8192", "16384|3616"}));
  EXPECT_EQ(sql("SELECT count(*),min(task),max(task),count(DISTINCT task) FROM attempts"),
            Texts{"20000|0|19999|20000"});
  EXPECT_EQ(sql("SELECT state,succeeded FROM jobs"), Texts{"succeeded|20000"});
}
TEST_F(Histories, tasks_that_ended_alike_on_two_nodes_by_turns_share_rows_by_node) {
  const NodeId n1 = world.add_node("n1"), n2 = world.add_node("n2");
  const JobId job = world.submit("array", 1'000);
  world.place(n1, job, {{0, 500, 1}});
  world.place(n2, job, {{500, 500, 1}});
  for (TaskIndex first = 0; first < 500; first += 10) {
    world.quiet(n1, job, {first, 10, 1});
    world.quiet(n2, job, {first + 500, 10, 1});
  }
  record();
  EXPECT_EQ(sql("SELECT first,count,node FROM attempt_runs ORDER BY first"),
            (Texts{"0|500|1", "500|500|2"}));
}
TEST_F(Histories, what_was_on_a_lost_node_is_an_attempt_too) {
  const NodeId n1 = world.add_node("n1"), n2 = world.add_node("n2");
  const JobId job = world.submit("array", 10);
  world.place(n1, job, {{0, 4, 1}});
  world.place(n2, job, {{4, 6, 1}});
  world.execute(core::MarkLost{{n1}, "silent", false});
  world.execute(core::MarkLost{{n2}, "took its leave", true});
  record();
  EXPECT_EQ(sql("SELECT count(*),node,cause FROM attempts GROUP BY node ORDER BY node"),
            (Texts{"4|n1|lost_node", "6|n2|drained"}));
}
TEST_F(Histories, an_end_that_the_agent_reports_itself_is_one_attempt) {
  const NodeId n1 = world.add_node("n1");
  const JobId job = world.submit("j", 3);
  world.place(n1, job, {{0, 3, 1}});
  world.finish(n1, job, {world.result(1, 1, Cause::drained)});
  world.execute(core::MarkLost{{n1}, "left", true});
  record();
  EXPECT_EQ(sql("SELECT task,cause,wall_us FROM attempts ORDER BY task"),
            (Texts{"0|drained|", "1|drained|2000000", "2|drained|"}));
}
TEST_F(Histories, a_task_that_was_moved_or_pushed_out_is_told_apart_from_one_that_was_cancelled) {
  const NodeId n1 = world.add_node("n1");
  const JobId moved = world.submit("moved", 2), cancelled = world.submit("cancelled"),
              pushed = world.submit("pushed");
  for (const JobId job : {cancelled, pushed})
    world.place(n1, job, {{0, 1, 1}});
  world.place(n1, moved, {{0, 2, 1}});
  world.execute(core::MoveOff{n1, moved, false, "new disk"});
  world.execute(core::Cancel{cancelled, {}, "not wanted"});
  world.execute(core::Preempt{n1, pushed, {{0, 1, 1}}, Cause::preempted, "makes room"});
  for (const JobId job : {moved, cancelled, pushed})
    world.finish(n1, job, {world.result(0, 1, Cause::cancelled)});
  world.finish(n1, moved, {world.result(1, 1, Cause::none)});
  record();
  EXPECT_EQ(sql("SELECT job,task,cause FROM attempts ORDER BY job,task"),
            (Texts{"1|0|drained", "1|1|none", "2|0|cancelled", "3|0|preempted"}));
}
TEST_F(Histories, each_attempt_is_a_row) {
  const NodeId n1 = world.add_node("n1");
  const JobId job = world.submit("flaky", 1, 2);
  for (Attempt attempt = 1; attempt <= 3; ++attempt) {
    world.place(n1, job, {{0, 1, attempt}});
    world.finish(n1, job, {world.result(0, attempt, attempt < 3 ? Cause::signal : Cause::none)});
    if (attempt < 3)
      world.execute(core::Requeue{job, {{0, 1, attempt}}, Cause::signal, {}, "again"});
    record();
  }
  EXPECT_EQ(sql("SELECT attempt,cause FROM attempts ORDER BY attempt"),
            (Texts{"1|signal", "2|signal", "3|none"}));
  EXPECT_EQ(sql("SELECT state,succeeded,failed FROM jobs"), Texts{"succeeded|1|0"});
}
TEST_F(Histories, a_retried_job_has_one_end_and_that_is_its_last) {
  const NodeId n1 = world.add_node("n1");
  const JobId job = world.run(n1, "j", Cause::exit_code, 1);
  record();
  world.execute(core::Retry{job, {}});
  record();
  EXPECT_EQ(sql("SELECT state FROM jobs"), Texts{""});
  EXPECT_TRUE(query({}).rows.empty());
  world.place(n1, job, {{0, 1, 2}});
  world.finish(n1, job, {world.result(0, 2)});
  record();
  EXPECT_EQ(sql("SELECT state FROM jobs"), Texts{"succeeded"});
  EXPECT_EQ(sql("SELECT count(*) FROM job_ends"), Texts{"1"});
}
TEST_F(Histories, nodes_and_settings_have_their_own_rows) {
  const NodeId n1 = world.add_node("n1");
  world.execute(core::DrainNodes{{"n1"}, true, "new disk"});
  world.execute(core::MarkLost{{n1}, "silent for 11 s", false});
  world.execute(core::RemoveNodes{{n1}});
  world.execute(core::ChangeConfig{{{"retention.jobs", "2h"}}});
  world.execute(core::ChangeConfig{{{"retention.jobs", ""}}});
  record();
  EXPECT_EQ(sql("SELECT node,state,reason,capacity FROM nodes ORDER BY time_us"),
            (Texts{"n1|registered||1000 vcores", "n1|draining|new disk|",
                   "n1|lost|silent for 11 s|", "n1|removed||"}));
  EXPECT_EQ(sql("SELECT name,value FROM config ORDER BY time_us"),
            (Texts{"retention.jobs|2h", "retention.jobs|"}));
}

// ---- once, whatever happens
TEST_F(Histories, remembers_over_a_restart_what_it_has) {
  world.add_node("n1");
  record();
  const Seq last = history->last();
  reopen();
  EXPECT_EQ(history->last(), last);
  world.submit("j");
  record();
  EXPECT_EQ(sql("SELECT count(*) FROM jobs"), Texts{"1"});
}
TEST_F(Histories, batches_that_do_not_fit_change_nothing) {
  world.add_node("n1");
  const auto first = world.batches();
  world.submit("a");
  const auto second = world.batches();
  ASSERT_FALSE(history->record(second));
  EXPECT_EQ(history->last(), Seq(0));
  ASSERT_TRUE(history->record(first));
  const auto twice = history->record(first);
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, Code::conflict);
  EXPECT_EQ(sql("SELECT count(*) FROM nodes"), Texts{"1"});
}
TEST_F(Histories, a_full_disk_is_said_and_loses_nothing) {
  const NodeId n1 = world.add_node("n1");
  record();
  const auto before = history->last();
  JobSpec spec;
  spec.name = "j";
  spec.executor = "noop";
  const JobId job = world.submit(spec);
  world.place(n1, job, {{0, 1, 1}});
  TaskResult result = world.result(0);
  result.result.data = std::string(60'000, 'x');
  world.finish(n1, job, {result});
  const auto batches = world.batches();
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{}, small{};
  getrlimit(RLIMIT_FSIZE, &limit);
  small = limit;
  small.rlim_cur = 8'192;
  setrlimit(RLIMIT_FSIZE, &small);
  const auto failed = history->record(batches);
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, old_handler);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Code::unavailable) << failed.error().message();
  EXPECT_EQ(history->last(), before);
  const auto again = history->record(batches);
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(sql("SELECT job,length(result) FROM attempts"), Texts{"1|60000"});
  EXPECT_EQ(sql("SELECT state FROM jobs"), Texts{"succeeded"});
}
TEST_F(Histories, sync_is_a_commit_like_any_other) {
  world.add_node("n1");
  record();
  const auto synced = history->sync();
  ASSERT_TRUE(synced) << synced.error().message();
  reopen();
  EXPECT_EQ(history->last(), world.cluster.last_seq());
}
TEST_F(Histories, a_gap_is_written_down_and_jobs_from_before_it_can_be_adopted) {
  const NodeId n1 = world.add_node("n1");
  const JobId job = world.submit("old");
  world.commit(); // lost
  const Seq gap = world.cluster.last_seq();
  auto spec = std::make_shared<SpecInfo>();
  spec->kind = {"old", "ann", "default", "noop"};
  const std::vector<JobRow> jobs{{job, spec, world.now}};
  const std::vector<std::pair<NodeId, std::string>> names{{n1, "n1"}};
  ASSERT_TRUE(history->adopt(jobs, names));
  ASSERT_TRUE(history->note_gap(gap, "not in the journal any more"));
  EXPECT_EQ(history->last(), gap);
  world.place(n1, job, {{0, 1, 1}});
  world.finish(n1, job, {world.result(0)});
  record();
  EXPECT_EQ(sql("SELECT name,state FROM jobs"), Texts{"old|succeeded"});
  EXPECT_EQ(sql("SELECT node,cause FROM attempts"), Texts{"n1|none"});
  EXPECT_EQ(sql("SELECT * FROM gaps"), Texts{"1|2|not in the journal any more"});
}

TEST_F(Histories, an_end_that_was_taken_back_within_a_gap_is_replaced) {
  const NodeId n1 = world.add_node("n1");
  const JobId job = world.run(n1, "j", Cause::exit_code, 1);
  record();
  world.execute(core::Retry{job, {}});
  world.commit(); // lost
  ASSERT_TRUE(history->note_gap(world.cluster.last_seq(), "lost"));
  world.place(n1, job, {{0, 1, 2}});
  world.finish(n1, job, {world.result(0, 2)});
  record();
  EXPECT_EQ(sql("SELECT name,state FROM jobs"), Texts{"j|succeeded"});
  EXPECT_EQ(sql("SELECT sum(jobs),sum(failed) FROM job_totals WHERE span_us=3600000000"),
            Texts{"1|0"});
  QueryHistory question;
  question.name = "j";
  EXPECT_EQ(column(query(question), "state"), Texts{"succeeded"});
}
TEST_F(Histories, lists_that_are_written_hold_ids_that_are_never_given_again) {
  block = 1;
  reopen();
  const NodeId n1 = world.add_node("n1");
  world.run(n1, "first");
  const JobId job = world.run(n1, "again", Cause::signal);
  record();
  world.execute(core::Retry{job, {}});
  record(); // the newest end is gone, its number is in a list
  reopen();
  world.run(n1, "other");
  record();
  QueryHistory question;
  question.name = "again";
  EXPECT_EQ(column(query(question), "job"), Texts{});
  question.name = "other";
  EXPECT_EQ(column(query(question), "job"), Texts{"3"});
  EXPECT_EQ(sql("SELECT max(end_id) FROM job_ends"), Texts{"3"});
}

/// The sums that were kept, and those of the rows that are there now. Without the longest waits: of
/// an end that was taken back the wait may stay.
std::pair<Texts, Texts> both_totals(const std::string& path) {
  auto db = sqlite::Database::open(path, SQLITE_OPEN_READWRITE).value();
  EXPECT_TRUE(add_waits_functions(db));
  const auto rows = [&] {
    Texts out;
    for (const char* sql :
         {"SELECT 'jobs',span_us,slot_us,user,queue,jobs,succeeded,failed,cancelled,tasks,waits,"
          "sum_wait_us,sum_ran_us,hex(spread) FROM job_totals WHERE jobs>0",
          "SELECT 'names',span_us,slot_us,name,user,queue,jobs,succeeded,failed,cancelled,tasks,"
          "waits,sum_wait_us,sum_ran_us,hex(spread) FROM job_name_totals WHERE jobs>0",
          "SELECT 'attempts',* FROM attempt_totals", "SELECT 'named',* FROM attempt_name_totals",
          "SELECT 'nodes',* FROM node_totals", "SELECT 'queues',* FROM queue_node_totals",
          "SELECT 'crowded',* FROM crowded_slots"}) {
      auto statement = db.prepare(sql, false).value();
      while (statement.next("test").value()) {
        auto& row = out.emplace_back();
        for (int column = 0; column < statement.columns(); ++column)
          row += (column == 0 ? "" : "|") + std::string(statement.text_at(column));
      }
    }
    return out;
  };
  Texts kept = rows();
  EXPECT_TRUE(db.run(("BEGIN; DELETE FROM queue_node_totals; DELETE FROM job_totals; DELETE FROM "
                      "attempt_totals; DELETE FROM node_totals;"
                      "DELETE FROM job_name_totals; DELETE FROM attempt_name_totals; DELETE FROM "
                      "crowded_slots;" +
                      fill_totals())
                       .c_str()));
  Texts summed = rows();
  EXPECT_TRUE(db.run("ROLLBACK"));
  return {std::move(kept), std::move(summed)};
}

/// Totals of jobs and attempts out of lists, in stretches that begin and end within an hour, and
/// the same out of the rows.
void expect_lists_have_what_the_rows_have(History& history, sqlite::Database& db,
                                          std::mt19937_64& random) {
  const auto rows_of = [&](const std::string& sql) {
    std::map<std::string, std::string> rows;
    auto statement = db.prepare(sql, false).value();
    while (statement.next("test").value()) {
      auto& row = rows[std::string(statement.text_at(0))];
      for (int column = 1; column < statement.columns(); ++column)
        row += std::string(statement.text_at(column)) + "|";
    }
    return rows;
  };
  std::size_t compared = 0;
  const auto compare = [&](const QueryHistory& question, const std::string& sql) {
    std::map<std::string, std::string> rows;
    const HistoryRows found = history.query(question).value();
    for (const auto& row : found.rows)
      for (std::size_t c = 1; c < (question.kind == HistoryKind::jobs ? 7 : 8); ++c)
        rows[row[0]] += row[c] + "|";
    EXPECT_EQ(rows, rows_of(sql)) << sql;
    compared += rows.size();
  };
  const auto first = db.integer("SELECT min(recorded_us) FROM attempt_runs").value().value();
  const auto last = db.integer("SELECT max(recorded_us) FROM attempt_runs").value().value();
  for (int k = 0; k < 12; ++k) {
    QueryHistory question;
    question.limit = 10'000;
    const auto time = [&] {
      return first + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(last - first));
    };
    const auto [begin, end] = std::minmax({time(), time()}); // by value
    question.since = TimePoint(Duration(begin));
    question.until = TimePoint(Duration(end));
    const std::string within = " BETWEEN " + std::to_string(begin) + " AND " + std::to_string(end);
    for (const std::string by : {"name", "all"}) {
      question.by = by;
      question.kind = HistoryKind::jobs;
      const std::string group = by == "all" ? "'all'" : by;
      compare(question, "SELECT " + group +
                          ",count(*),sum(state='succeeded'),sum(state='failed'),sum(state="
                          "'cancelled'),sum(tasks),cast(avg(started_us-submitted_us) AS INTEGER) "
                          "FROM jobs WHERE ended_us" +
                          within + " GROUP BY 1");
    }
    question.kind = HistoryKind::attempts;
    for (const std::string by : {"name", "node"})
      for (const std::string node : {"", "n2"}) {
        question.by = by;
        question.node = node;
        question.name = by == "node" ? "job3" : "";
        compare(question,
                "SELECT " + std::string(by == "node" ? "m" : "j") +
                  ".name,sum(r.count),sum(r.count*(r.cause=0)),sum(r.count*(c.name NOT IN ('none',"
                  "'cancelled','drained','preempted','superseded'))),sum(r.count*(c.name="
                  "'lost_node')),coalesce(sum(wall_us),0),coalesce(sum(user_cpu_us+system_cpu_us),"
                  "0),max(max_rss_bytes) FROM attempt_runs r JOIN causes c USING (cause) JOIN jobs "
                  "j USING (job) JOIN node_names m ON m.node=r.node WHERE recorded_us" +
                  within + (node.empty() ? "" : " AND m.name='" + node + "'") +
                  (question.name.empty() ? "" : " AND j.name='" + question.name + "'") +
                  " GROUP BY 1");
      }
  }
  EXPECT_GT(compared, 50u);
}

/// Pages of every filter that is answered out of lists.
void expect_filters_find_what_the_views_have(History& history, sqlite::Database& db) {
  std::size_t found = 0;
  const auto compare = [&](QueryHistory question, const std::string& sql) {
    Texts wanted, pages;
    auto statement = db.prepare(sql, false).value();
    while (statement.next("test").value())
      wanted.emplace_back(statement.text_at(0));
    question.limit = question.kind == HistoryKind::jobs ? 9 : 150;
    do {
      const auto page = history.query(question).value();
      for (const auto& row : page.rows)
        pages.push_back(question.kind == HistoryKind::jobs ? row[0]
                                                           : row[0] + "." + row[1] + "." + row[2]);
      question.before = page.next;
    } while (question.before != 0 && pages.size() <= wanted.size());
    if (question.kind == HistoryKind::attempts) // of a run the view has no order
      for (Texts* all : {&wanted, &pages})
        std::sort(all->begin(), all->end());
    EXPECT_EQ(pages, wanted) << sql;
    found += wanted.size();
  };
  for (const std::string name : {"", "job0", "job*"})
    for (const std::string node : {"", "n1"})
      for (const std::string state : {"", "failed"}) {
        QueryHistory question;
        question.name = name;
        question.node = node;
        question.state = state;
        const std::string named = name.empty() ? "" : " AND k.name GLOB '" + name + "'";
        compare(question,
                "SELECT e.job FROM job_ends e JOIN job_rows j USING (job) JOIN kinds k USING (kind)"
                " JOIN job_states s ON s.state=e.state WHERE 1" +
                  named + (state.empty() ? "" : " AND s.name='" + state + "'") +
                  (node.empty()
                     ? ""
                     : " AND e.job IN (SELECT job FROM attempts WHERE node='" + node + "')") +
                  " ORDER BY end_id DESC");
        question.kind = HistoryKind::attempts;
        compare(question,
                "SELECT a.job||'.'||a.task||'.'||a.attempt FROM attempts a JOIN jobs k USING (job) "
                "WHERE 1" +
                  named + (node.empty() ? "" : " AND a.node='" + node + "'") +
                  (state.empty()          ? ""
                   : state == "failed"    ? " AND cause NOT IN ('none','cancelled','drained',"
                                            "'preempted','superseded')"
                   : state == "succeeded" ? " AND cause='none'"
                                          : " AND cause='" + state + "'"));
      }
  EXPECT_GT(found, 100u);
}

/// A random cluster's life. Whatever the cluster knows at the end the history must know too, and
/// every result that was journalled exactly once; also when it was closed in between, and rows were
/// written in other portions.
class RandomLives : public testing::TestWithParam<std::uint64_t> {};
TEST_P(RandomLives, are_recorded_once_and_whole) {
  SCOPED_TRACE("REEVE_SEED=" + std::to_string(GetParam()));
  std::mt19937_64 random(GetParam());
  const auto any = [&](std::uint64_t n) { return static_cast<std::uint32_t>(random() % n); };
  World world;
  TempFolder folder;
  const auto [jobs, all] = random_life(world, random, 1'500);
  std::map<std::tuple<JobId, TaskIndex, Attempt>, std::uint32_t> results; // journalled
  for (const auto& batch : all)
    for (const Entry& entry : batch->entries)
      if (const auto* finished = std::get_if<TasksFinished>(&entry.fact))
        for (const JobResults& job : finished->jobs) {
          for (const QuietRun& quiet : job.quiet)
            for (TaskIndex i = 0; i < quiet.run.count; ++i)
              ++results[{job.job, quiet.run.first + i, quiet.run.attempt}];
          for (const TaskResult& result : job.tasks)
            ++results[{job.job, result.index, result.attempt}];
        }

  std::unique_ptr<History> history;
  for (std::size_t at = 0; at < all.size();) {
    if (!history || any(10) == 0) {
      history.reset();
      history = History::open(folder.file("history.db"), 20 + any(200)).value(); // rows in a list
    }
    const std::size_t n = std::min<std::size_t>(1 + any(20), all.size() - at);
    ASSERT_TRUE(history->record(std::span(all).subspan(at, n)));
    at += n;
  }
  auto db = sqlite::Database::open(folder.file("history.db"), SQLITE_OPEN_READONLY).value();
  std::map<std::tuple<JobId, TaskIndex, Attempt>, std::uint32_t> rows;
  auto attempts =
    db.prepare("SELECT job,task,attempt,wall_us IS NOT NULL OR cause='none' FROM attempts").value();
  while (attempts.next("test").value()) {
    const auto number = [&](int c) { return static_cast<std::uint32_t>(attempts.integer_at(c)); };
    auto& count = rows[{JobId(attempts.unsigned_at(0)), number(1), number(2)}];
    EXPECT_EQ(count, 0u) << "job " << number(0) << " task " << number(1) << " attempt " << number(2)
                         << " has two rows";
    count = number(3); // 0: it was lost with its node, there is no result
    if (count == 0)
      ++count, rows.erase({JobId(attempts.unsigned_at(0)), number(1), number(2)});
  }
  EXPECT_EQ(rows, results);
  EXPECT_GT(results.size(), 100u);
  const auto [kept, summed] = both_totals(folder.file("history.db"));
  EXPECT_EQ(kept, summed);
  EXPECT_GT(kept.size(), 10u);
  expect_filters_find_what_the_views_have(*history, db);
  expect_lists_have_what_the_rows_have(*history, db, random);
  std::size_t ended = 0;
  auto ends =
    db.prepare("SELECT state,tasks,succeeded,failed,cancelled FROM jobs WHERE job=?").value();
  for (const JobId job : jobs) {
    const auto progress = world.cluster.progress(job).value();
    ends.reset();
    ASSERT_TRUE(ends.integer(1, job.value).next("test").value());
    EXPECT_EQ(ends.integer_at(1), std::int64_t{progress.total});
    if (!is_final(progress.state)) {
      EXPECT_TRUE(ends.is_null(0));
      continue;
    }
    ++ended;
    EXPECT_EQ(ends.text_at(0), name_of(progress.state));
    EXPECT_EQ(ends.integer_at(2), std::int64_t{progress.succeeded});
    EXPECT_EQ(ends.integer_at(3), std::int64_t{progress.failed});
    EXPECT_EQ(ends.integer_at(4), std::int64_t{progress.cancelled});
  }
  EXPECT_GT(ended, 3u);
}
INSTANTIATE_TEST_SUITE_P(seeds, RandomLives, testing::Range<std::uint64_t>(1, 9),
                         testing::PrintToStringParamName());

// ---- retention
TEST_F(Histories, old_rows_go_and_new_ones_stay) {
  const NodeId n1 = world.add_node("n1");
  const JobId first = world.run(n1, "old");
  const JobId slow = world.submit("slow");
  world.execute(core::ChangeConfig{{{"retention.jobs", "2h"}}});
  record();
  world.now += 240h;
  const TimePoint cutoff = world.now - 1h;
  world.place(n1, slow, {{0, 1, 1}});
  world.finish(n1, slow, {world.result(0)}, {{slow, 0, 1, {"out"}, {}}});
  world.run(n1, "new");
  record();
  const auto due = history->due(cutoff);
  ASSERT_TRUE(due) << due.error().message();
  EXPECT_EQ(due->rows, 4u) << "a job, its attempt, a node's change and one of the configuration";
  EXPECT_FALSE(due->more);
  EXPECT_FALSE(history->sweep(cutoff).value());
  EXPECT_EQ(history->due(cutoff).value().rows, 0u);
  EXPECT_EQ(sql("SELECT name FROM jobs ORDER BY job"), (Texts{"slow", "new"}));
  EXPECT_EQ(sql("SELECT job FROM attempts ORDER BY job"), (Texts{"2", "3"}));
  EXPECT_EQ(sql("SELECT count(*) FROM nodes"), Texts{"0"});
  EXPECT_EQ(sql("SELECT count(*) FROM config"), Texts{"0"});
  EXPECT_EQ(sql("SELECT stdout FROM outputs"), Texts{"out"});
  EXPECT_EQ(first, JobId(1));
  EXPECT_FALSE(history->sweep(world.now + 1h).value());
  EXPECT_EQ(sql("SELECT count(*) FROM jobs"), Texts{"0"});
  EXPECT_EQ(sql("SELECT count(*) FROM output_heads"), Texts{"0"});
  EXPECT_EQ(
    sql("SELECT count(*) FROM node_totals WHERE slot_us<" + std::to_string(us(cutoff) - day_us)),
    Texts{"0"});
  world.run(n1, "after");
  record();
  EXPECT_EQ(sql("SELECT name FROM jobs"), Texts{"after"});
}
TEST_F(Histories, much_that_is_old_goes_in_steps) {
  const NodeId n1 = world.add_node("n1");
  for (int i = 0; i < 12'000; ++i)
    world.run(n1, "j" + std::to_string(i));
  const JobId open = world.submit("open");
  record();
  int steps = 1;
  while (history->sweep(world.now + 1h).value())
    ++steps;
  EXPECT_GE(steps, 3);
  EXPECT_EQ(sql("SELECT job FROM job_rows"), Texts{std::to_string(open.value)});
  EXPECT_EQ(sql("SELECT count(*) FROM attempt_runs"), Texts{"0"});
  EXPECT_EQ(sql("SELECT name FROM kinds"), Texts{"open"});
  world.run(n1, "new");
  record();
  EXPECT_EQ(sql("SELECT name FROM jobs ORDER BY job"), (Texts{"open", "new"}));
}

// ---- files that are none
TEST_F(Histories, the_correlation_is_kept) {
  JobSpec spec;
  spec.executor = "noop";
  spec.correlation = "order 66";
  world.submit(spec);
  record();
  EXPECT_EQ(sql("SELECT correlation FROM jobs"), Texts{"order 66"});
}

/// Files that older versions left.
class OldLayouts : public WithHistory, public testing::WithParamInterface<int> {
protected:
  void SetUp() override {
    std::ifstream file(SOURCE_DIR "/tests/unit/history/layout_3.sql");
    std::stringstream dump;
    dump << file.rdbuf();
    auto db =
      sqlite::Database::open(folder.file("history.db"), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)
        .value();
    const auto made = db.run(dump.str().c_str());
    ASSERT_TRUE(made) << made.error().message();
    if (GetParam() < 3) {
      ASSERT_TRUE(db.run("DROP INDEX kinds_user; DROP INDEX kinds_queue; DROP TABLE job_totals; "
                         "DROP TABLE attempt_totals; DROP TABLE node_totals; "
                         "PRAGMA user_version=2"));
    }
  }
  Texts views() {
    Texts all;
    for (const char* view : {"jobs", "attempts", "outputs", "nodes", "config", "gaps"}) {
      all.push_back(std::string(view) + ":");
      const auto rows = sql("SELECT * FROM " + std::string(view) + " ORDER BY 1,2,3");
      all.insert(all.end(), rows.begin(), rows.end());
    }
    return all;
  }
};
TEST_P(OldLayouts, are_taken_over_with_everything_that_they_have) {
  const Texts before = views();
  EXPECT_GT(before.size(), 25u);
  if (GetParam() == 1) {
    auto db = sqlite::Database::open(folder.file("history.db"), SQLITE_OPEN_READWRITE).value();
    ASSERT_TRUE(db.run("DROP VIEW jobs; ALTER TABLE job_rows DROP COLUMN correlation; CREATE VIEW "
                       "jobs AS SELECT job FROM job_rows; PRAGMA user_version=1"));
  }
  reopen();
  const Texts after = views();
  if (GetParam() > 1) {
    EXPECT_EQ(after, before);
  } else {
    EXPECT_EQ(after.size(), before.size());
  }
  EXPECT_EQ(history->last(), Seq(40));
  const auto [kept, summed] = both_totals(folder.file("history.db"));
  EXPECT_EQ(kept, summed);
  EXPECT_GT(kept.size(), 10u);
  QueryHistory question;
  question.name = "render";
  EXPECT_EQ(column(query(question), "job"), (Texts{"2", "1"}));
  question.name.clear();
  question.node = "n2";
  question.kind = HistoryKind::attempts;
  EXPECT_EQ(column(query(question), "job"), (Texts{"5", "3", "2", "1"}));
  reopen(); // it is of this layout now
  EXPECT_EQ(views(), after);
  history.reset(); // what layout 4 had: lists of another form, one of them of no use here
  {
    auto db = sqlite::Database::open(folder.file("history.db"), SQLITE_OPEN_READWRITE).value();
    ASSERT_TRUE(db.run("DROP TABLE void_ends; DROP TABLE queue_node_totals; INSERT INTO "
                       "list_blocks VALUES(0,1,3); INSERT INTO "
                       "lists VALUES(0,1,1,x'020406'); PRAGMA user_version=4"));
  }
  reopen();
  EXPECT_EQ(views(), after);
  EXPECT_EQ(column(query(question), "job"), (Texts{"5", "3", "2", "1"}));
  EXPECT_EQ(sql("SELECT count(*) FROM lists"), Texts{"0"});
  EXPECT_FALSE(history->sweep(world.now + 100'000h).value());
  EXPECT_EQ(sql("SELECT name FROM jobs"), Texts{"waits"});
  EXPECT_EQ(sql("SELECT name FROM kinds"), Texts{"waits"});
}
INSTANTIATE_TEST_SUITE_P(from, OldLayouts, testing::Values(1, 2, 3),
                         testing::PrintToStringParamName());

TEST(history_files, of_another_program_are_refused) {
  TempFolder folder;
  {
    auto db =
      sqlite::Database::open(folder.file("history.db"), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    ASSERT_TRUE(db->run("CREATE TABLE t(x)"));
  }
  const auto opened = History::open(folder.file("history.db"));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::refused);
}
TEST(history_files, of_a_newer_version_are_refused) {
  TempFolder folder;
  ASSERT_TRUE(History::open(folder.file("history.db")));
  {
    auto db = sqlite::Database::open(folder.file("history.db"), SQLITE_OPEN_READWRITE);
    ASSERT_TRUE(db->run(("PRAGMA user_version=" + std::to_string(layout_version + 1)).c_str()));
  }
  const auto opened = History::open(folder.file("history.db"));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::unknown_version);
}
TEST(history_files, that_are_damaged_say_so) {
  TempFolder folder;
  { std::ofstream(folder.file("history.db")) << std::string(10'000, 'x'); }
  const auto opened = History::open(folder.file("history.db"));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::corrupt);
  EXPECT_NE(opened.error().text.find("history.db"), std::string::npos);
}

} // namespace
} // namespace reeve::history
