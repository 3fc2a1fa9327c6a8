// Questions: filters, pages, results of single tasks, output.
#include "tests/unit/history/world.hpp"

#include <random>

namespace reeve::history {
namespace {

using namespace std::chrono_literals;

/// Nine jobs of three names, two users, two queues on two nodes; an hour between one and the next.
class Questions : public WithHistory {
protected:
  void SetUp() override {
    WithHistory::SetUp();
    const NodeId nodes[] = {world.add_node("n1"), world.add_node("n2")};
    begin = world.now;
    for (int i = 0; i < 9; ++i) {
      JobSpec spec;
      spec.name = std::vector{"render", "render-final", "test"}[static_cast<std::size_t>(i % 3)];
      spec.user = i < 5 ? "ann" : "bob";
      spec.queue = i % 2 ? "fast" : "default";
      spec.executor = "noop";
      const JobId job = world.submit(spec);
      const NodeId node = nodes[i / 4 % 2];
      world.place(node, job, {{0, 1, 1}});
      world.now += 1h;
      world.finish(node, job,
                   {world.result(0, 1,
                                 i % 4 == 3 ? Cause::exit_code
                                 : i == 8   ? Cause::time_limit
                                            : Cause::none)});
      record(); // job i + 1 ended at begin + (i + 1) h, and some milliseconds
    }
  }
  Texts jobs(QueryHistory question) { return column(query(question), "job"); }
  TimePoint begin;
};

struct Filter {
  const char* name;
  void (*set)(QueryHistory& q, TimePoint begin);
  Texts jobs;
};
class Filters : public Questions, public testing::WithParamInterface<Filter> {};
TEST_P(Filters, choose_rows_newest_first) {
  for (const HistoryKind kind : {HistoryKind::jobs, HistoryKind::attempts}) {
    QueryHistory question;
    question.kind = kind;
    GetParam().set(question, begin);
    EXPECT_EQ(jobs(question), GetParam().jobs) << (kind == HistoryKind::jobs ? "jobs" : "attempts");
  }
}
INSTANTIATE_TEST_SUITE_P(
  by, Filters,
  testing::Values(
    Filter{
      "nothing", [](QueryHistory&, TimePoint) {}, {"9", "8", "7", "6", "5", "4", "3", "2", "1"}},
    Filter{"name", [](QueryHistory& q, TimePoint) { q.name = "render"; }, {"7", "4", "1"}},
    Filter{"beginning_of_name",
           [](QueryHistory& q, TimePoint) { q.name = "render*"; },
           {"8", "7", "5", "4", "2", "1"}},
    Filter{"any_name",
           [](QueryHistory& q, TimePoint) {
             q.name = "*";
             q.user = "bob";
           },
           {"9", "8", "7", "6"}},
    Filter{"unknown_name", [](QueryHistory& q, TimePoint) { q.name = "rende"; }, {}},
    Filter{"name_with_quote", [](QueryHistory& q, TimePoint) { q.name = "' OR 1=1 --"; }, {}},
    Filter{"user", [](QueryHistory& q, TimePoint) { q.user = "ann"; }, {"5", "4", "3", "2", "1"}},
    Filter{"queue", [](QueryHistory& q, TimePoint) { q.queue = "fast"; }, {"8", "6", "4", "2"}},
    Filter{"node", [](QueryHistory& q, TimePoint) { q.node = "n2"; }, {"8", "7", "6", "5"}},
    Filter{"unknown_node", [](QueryHistory& q, TimePoint) { q.node = "n3"; }, {}},
    Filter{"failed", [](QueryHistory& q, TimePoint) { q.state = "failed"; }, {"9", "8", "4"}},
    Filter{"succeeded",
           [](QueryHistory& q, TimePoint) {
             q.state = "succeeded";
             q.user = "bob";
           },
           {"7", "6"}},
    Filter{"job", [](QueryHistory& q, TimePoint) { q.job = JobId(4); }, {"4"}},
    Filter{"since", [](QueryHistory& q, TimePoint b) { q.since = b + 6h; }, {"9", "8", "7", "6"}},
    Filter{
      "until", [](QueryHistory& q, TimePoint b) { q.until = b + 3h + 30min; }, {"3", "2", "1"}},
    Filter{"since_and_until",
           [](QueryHistory& q, TimePoint b) {
             q.since = b + 3h;
             q.until = b + 5h;
           },
           {"4", "3"}},
    Filter{"a_time_before_all", [](QueryHistory& q, TimePoint b) { q.until = b; }, {}},
    Filter{"a_time_after_all", [](QueryHistory& q, TimePoint b) { q.since = b + 24h; }, {}},
    Filter{"everything",
           [](QueryHistory& q, TimePoint b) {
             q.name = "render*";
             q.user = "bob";
             q.queue = "fast";
             q.node = "n2";
             q.state = "failed";
             q.since = b;
             q.until = b + 24h;
           },
           {"8"}}),
  [](const auto& test) { return test.param.name; });

/// Many kinds of jobs, few of each: they are found through an index of their own each, and from
/// more than can be looked at one by one on from the newest rows.
TEST_F(Questions, find_the_same_among_few_kinds_and_many) {
  const NodeId node = world.add_node("x");
  Texts all;
  for (const int most : {300, 10'500}) {
    while (static_cast<int>(all.size()) < most) {
      JobSpec spec;
      spec.name = "frame-" + std::to_string(all.size());
      spec.user = "eve";
      spec.executor = "noop";
      const JobId job = world.submit(spec);
      world.place(node, job, {{0, 1, 1}});
      world.finish(node, job, {world.result(0)});
      all.push_back(std::to_string(job.value));
    }
    record();
    for (const HistoryKind kind : {HistoryKind::jobs, HistoryKind::attempts}) {
      QueryHistory question;
      question.kind = kind;
      question.user = "eve";
      question.limit = 70;
      for (std::size_t page = 0; page < 3; ++page) {
        const auto rows = query(question);
        const auto from = all.rbegin() + static_cast<std::ptrdiff_t>(70 * page);
        EXPECT_EQ(column(rows, "job"), Texts(from, from + 70));
        question.before = rows.next;
      }
      question.before = 0;
      question.name = "frame-29*";
      EXPECT_EQ(query(question).rows.size(), most == 300 ? 11u : 70u);
      question.name = "frame-299";
      EXPECT_EQ(jobs(question), Texts{all[299]});
      question.node = "n1";
      EXPECT_EQ(jobs(question), Texts{});
    }
  }
}
TEST_F(Questions, attempts_can_be_chosen_by_how_they_ended) {
  QueryHistory question;
  question.kind = HistoryKind::attempts;
  question.state = "time_limit";
  EXPECT_EQ(jobs(question), Texts{"9"});
  question.state = "exit_code";
  EXPECT_EQ(jobs(question), (Texts{"8", "4"}));
}
TEST_F(Questions, a_state_that_does_not_exist_is_refused_with_those_that_do) {
  for (const HistoryKind kind : {HistoryKind::jobs, HistoryKind::attempts}) {
    QueryHistory question;
    question.kind = kind;
    question.state = "broken";
    const auto rows = history->query(question);
    ASSERT_FALSE(rows);
    EXPECT_EQ(rows.error().code, Code::bad_field);
    EXPECT_EQ(rows.error().field, "state");
    EXPECT_NE(rows.error().text.find("succeeded"), std::string::npos);
  }
}
TEST_F(Questions, waits_of_all_together_are_told_by_rank) {
  const NodeId node = world.add_node("n9");
  const TimePoint since = world.now;
  for (int k = 1; k <= 20; ++k) { // job k waits for k minutes
    const JobId job = world.submit("waits");
    const TimePoint then = world.now;
    world.now = then + std::chrono::minutes(k) - 1ms;
    world.place(node, job, {{0, 1, 1}});
    world.finish(node, job, {world.result(0)});
  }
  record();
  QueryHistory question;
  question.by = "all";
  question.since = since;
  const auto rows = history->query(question);
  ASSERT_TRUE(rows) << rows.error().message();
  ASSERT_EQ(rows->rows.size(), 1u);
  const auto minutes = [&](const char* name) {
    const auto at = std::find(rows->columns.begin(), rows->columns.end(), name);
    return std::stoll(rows->rows[0][static_cast<std::size_t>(at - rows->columns.begin())]) /
           60'000'000;
  };
  EXPECT_EQ(rows->rows[0][1], "20");
  EXPECT_EQ(minutes("p50_wait_us"), 10);
  EXPECT_EQ(minutes("p90_wait_us"), 18);
  EXPECT_EQ(minutes("p99_wait_us"), 20);
  EXPECT_EQ(minutes("longest_wait_us"), 20);
}
TEST_F(Questions, totals_of_groups_add_up) {
  QueryHistory question;
  question.by = "user";
  auto rows = history->query(question);
  ASSERT_TRUE(rows) << rows.error().message();
  EXPECT_EQ(rows->columns,
            (Texts{"user", "jobs", "succeeded", "failed", "cancelled", "tasks", "average_wait_us",
                   "longest_wait_us", "p50_wait_us", "p90_wait_us", "p99_wait_us", "sum_ran_us"}));
  ASSERT_EQ(rows->rows.size(), 2u);
  const auto firsts = [](const std::vector<std::string>& row) {
    return std::vector<std::string>(row.begin(), row.begin() + 6);
  };
  EXPECT_EQ(firsts(rows->rows[0]), (Texts{"ann", "5", "4", "1", "0", "5"}));
  EXPECT_EQ(firsts(rows->rows[1]), (Texts{"bob", "4", "2", "2", "0", "4"}));
  EXPECT_EQ(rows->next, 0u);
  question.kind = HistoryKind::attempts;
  question.by = "node";
  question.state.clear();
  rows = history->query(question);
  ASSERT_TRUE(rows) << rows.error().message();
  ASSERT_EQ(rows->rows.size(), 2u);
  EXPECT_EQ(std::vector<std::string>(rows->rows[0].begin(), rows->rows[0].begin() + 5),
            (Texts{"n1", "5", "3", "2", "0"}));
  question.kind = HistoryKind::jobs;
  question.by = "hour";
  question.since = begin + 3h;
  rows = history->query(question);
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->rows.size(), 7u) << "an hour between one and the next, the oldest first";
  EXPECT_LT(rows->rows.front()[0], rows->rows.back()[0]);
}
/// Sums that are kept, and rows at the ends of a stretch, together give what the rows alone give.
TEST_F(Questions, totals_of_any_stretch_are_those_of_its_rows) {
  block = 150; // so many rows share a list
  reopen();
  std::mt19937_64 random(7);
  const NodeId nodes[] = {world.add_node("x"), world.add_node("y")};
  const TimePoint first = world.now;
  for (int k = 0; k < 400; ++k) {
    world.now += std::chrono::minutes(random() % 40);
    JobSpec spec;
    spec.executor = "noop";
    spec.user = "user" + std::to_string(random() % 3);
    spec.queue = random() % 2 ? "day" : "night";
    spec.name = "name" + std::to_string(random() % 4);
    const JobId job = world.submit(spec);
    world.now += std::chrono::seconds(random() % 900);
    const NodeId node = nodes[random() % 2];
    world.place(node, job, {{0, 1, 1}});
    const bool failed = random() % 4 == 0;
    world.finish(node, job, {world.result(0, 1, failed ? Cause::signal : Cause::none)});
    if (failed && random() % 2) { // its end is taken back; it may be another one, or none
      record();
      world.execute(core::Retry{job, {}});
      if (random() % 2) {
        world.place(node, job, {{0, 1, 2}});
        world.finish(node, job, {world.result(0, 2)});
      }
    }
  }
  record();
  const auto minutes = static_cast<std::uint64_t>((world.now - first) / 1min);
  for (int k = 0; k < 60; ++k) {
    QueryHistory question;
    question.limit = 10'000;
    question.since = first + std::chrono::minutes(random() % minutes) + 1us;
    if (k % 4 != 0)
      question.until = question.since + std::chrono::minutes(random() % minutes) + 1us;
    const auto within = [&](const std::string& column) {
      return " WHERE " + column + ">=" + std::to_string(us(question.since)) +
             (question.until == TimePoint{}
                ? ""
                : " AND " + column + "<=" + std::to_string(us(question.until)));
    };
    const auto joined = [&](std::size_t cells) {
      Texts out;
      for (const auto& row : query(question).rows) {
        auto& line = out.emplace_back();
        for (std::size_t c = 0; c < cells; ++c)
          line += (c ? "|" : "") + row[c];
      }
      std::sort(out.begin(), out.end());
      return out;
    };
    const auto rows = [&](const std::string& text) {
      auto out = sql(text);
      std::sort(out.begin(), out.end());
      return out;
    };
    for (const char* by : {"user", "queue", "name"}) {
      question.by = by;
      auto wanted = rows("SELECT " + std::string(by) +
                         ",count(*),sum(state='succeeded'),sum(state='failed'),sum(state="
                         "'cancelled'),sum(tasks),cast(avg(started_us-submitted_us) AS INTEGER)"
                         " FROM jobs" +
                         within("ended_us") + " GROUP BY 1");
      EXPECT_EQ(joined(7), wanted) << by;
    }
    for (const auto& [by, span] : {std::pair{"hour", hour_us}, std::pair{"day", day_us}}) {
      question.by = by;
      const std::string s = std::to_string(span);
      EXPECT_EQ(joined(2), rows("SELECT ended_us/" + s + "*" + s + ",count(*) FROM jobs" +
                                within("ended_us") + " GROUP BY 1"))
        << by;
    }
    question.by = "user";
    question.queue = "day";
    EXPECT_EQ(joined(2), rows("SELECT user,count(*) FROM jobs" + within("ended_us") +
                              " AND queue='day' GROUP BY 1"));
    question.queue.clear();
    question.name = "name1*";
    EXPECT_EQ(joined(2), rows("SELECT user,count(*) FROM jobs" + within("ended_us") +
                              " AND name='name1' GROUP BY 1"));
    question.name.clear();
    question.kind = HistoryKind::attempts;
    question.by = "name";
    EXPECT_EQ(joined(2), rows("SELECT name,count(*) FROM attempts a JOIN jobs j USING (job)" +
                              within("recorded_us") + " GROUP BY 1"));
    question.by = "node";
    EXPECT_EQ(joined(4),
              rows("SELECT node,count(*),sum(cause='none'),sum(cause<>'none') FROM attempts" +
                   within("recorded_us") + " GROUP BY 1"));
    const auto joined_rows = [&](const std::string& group, const std::string& filter) {
      return rows("SELECT " + group +
                  ",count(*),sum(cause='none'),sum(cause<>'none'),sum(cause='lost_node'),"
                  "sum(wall_us),sum(user_cpu_us+system_cpu_us),max(max_rss_bytes) FROM attempts a "
                  "JOIN jobs j USING (job)" +
                  within("recorded_us") + " AND " + filter + " GROUP BY 1");
    };
    question.user = "user1"; // of an owner on nodes: out of lists
    EXPECT_EQ(joined(8), joined_rows("node", "user='user1'"));
    question.user.clear();
    question.queue = "day";
    EXPECT_EQ(joined(8), joined_rows("node", "queue='day'"));
    question.queue.clear();
    question.name = "name2";
    EXPECT_EQ(joined(8), joined_rows("node", "name='name2'"));
    question.name.clear();
    question.node = "x";
    for (const char* by : {"user", "name"}) {
      question.by = by;
      EXPECT_EQ(joined(8), joined_rows(by, "node='x'"));
    }
    question.user = "user2";
    question.by = "hour";
    EXPECT_EQ(joined(8),
              joined_rows("recorded_us/3600000000*3600000000", "node='x' AND user='user2'"));
    question.by = "all";
    EXPECT_EQ(joined(8), joined_rows("'all'", "node='x' AND user='user2'"));
  }
}
/// Where each job has its own name, a sum for each would save nothing. Of a day without sums those
/// of its hours are added where it has many rows, else its rows are listed.
TEST_F(Questions, totals_by_name_are_right_where_there_are_too_many_names_to_keep_sums) {
  const NodeId node = world.add_node("x");
  const auto run_many = [&](std::size_t names) {
    for (std::size_t k = 0; k < names; ++k)
      world.run(node, k % 100 == 0 ? "often" : "frame-" + std::to_string(k));
    record();
  };
  world.now += 48h - Duration(world.now.time_since_epoch().count() % day_us);
  run_many(Totals::names_max / 2);
  const std::string hour = std::to_string(us(world.now) / hour_us * hour_us);
  const auto kept = [&](const std::string& table) {
    return std::stoi(
      sql("SELECT count(*) FROM " + table + " WHERE span_us=3600000000 AND slot_us=" + hour)[0]);
  };
  EXPECT_GT(kept("job_name_totals"), 2'000);
  EXPECT_EQ(kept("crowded_slots"), 0);
  run_many(2 * Totals::names_max);
  EXPECT_EQ(kept("job_name_totals"), 0);
  EXPECT_EQ(kept("attempt_name_totals"), 0);
  EXPECT_EQ(kept("crowded_slots"), 2);
  world.now += 2h;
  run_many(50); // an hour that is not crowded, of a day that is
  for (const std::size_t rows_in_block : {std::size_t{200}, block}) {
    block = rows_in_block;
    reopen();
    for (const HistoryKind kind : {HistoryKind::jobs, HistoryKind::attempts}) {
      QueryHistory question;
      question.kind = kind;
      question.by = "name";
      question.limit = 10'000;
      const auto rows = query(question).rows;
      EXPECT_EQ(rows[0][0], "often");
      EXPECT_EQ(rows[0][1], std::to_string(21 + 82 + 1));
      EXPECT_EQ(rows.size(), 1 + 3 + 2 * Totals::names_max - 82);
      question.by = "all";
      question.name = "frame-1*";
      EXPECT_EQ(query(question).rows[0][1],
                sql("SELECT count(*) FROM jobs WHERE name GLOB 'frame-1*'")[0]);
      question.name.clear();
      EXPECT_EQ(query(question).rows[0][1], sql("SELECT count(*) FROM jobs")[0]);
    }
  }
}
TEST(packed_rows, come_back_as_they_were_and_damaged_ones_never_reach_beyond_their_end) {
  std::mt19937_64 random(7);
  constexpr std::size_t columns = 5;
  std::vector<std::vector<Packed::Row>> rows(20);
  std::vector<Packed::Keyed> keys;
  for (std::size_t c = 0; c < 100; ++c)
    for (auto& of_key : rows) {
      Packed::Row row{};
      for (std::size_t k = 0; k + 1 < columns; ++k) // the last is the same in each
        row[k] = static_cast<std::int64_t>(random()) >> (k * 16 + random() % 16);
      of_key.push_back(row);
    }
  for (std::size_t k = 0; k < rows.size(); ++k)
    keys.push_back({static_cast<std::int64_t>(k * k) - 3, rows[k]});
  const std::string bytes = Packed::pack(keys, columns);
  Packed packed;
  const auto value = [&](std::size_t column, std::size_t row) {
    std::int64_t out = 0;
    packed.read(column, row, 1, &out);
    return out;
  };
  ASSERT_TRUE(packed.open(bytes, columns));
  ASSERT_EQ(packed.parts().size(), keys.size());
  for (std::size_t k = 0; k < keys.size(); ++k) {
    const auto& part = packed.parts()[k];
    EXPECT_EQ(part.key, keys[k].key);
    ASSERT_EQ(part.count, rows[k].size());
    for (std::size_t r = 0; r < part.count; ++r)
      for (std::size_t c = 0; c < columns; ++c)
        EXPECT_EQ(value(c, part.first + r), rows[k][r][c]);
  }
  for (std::size_t size = 0; size < bytes.size(); size += 1 + size / 50)
    EXPECT_FALSE(packed.open(std::string(bytes, 0, size), columns)) << "cut at " << size;
  for (int k = 0; k < 2'000; ++k) {
    std::string damaged = bytes.substr(0, 400 + random() % 400);
    damaged[random() % 60] = static_cast<char>(random());
    if (packed.open(damaged, 1))
      for (const auto& part : packed.parts())
        for (std::size_t r = 0; r < part.count; ++r)
          value(0, part.first + r); // the sanitizer looks on
  }
}
TEST(waits, are_told_by_rank_never_too_short_and_at_most_a_32nd_too_long) {
  std::mt19937_64 random(7);
  std::vector<std::int64_t> all;
  Waits waits, half;
  for (int k = 0; k < 5'000; ++k) {
    const auto us = static_cast<std::int64_t>(random() >> (random() % 63 + 1));
    all.push_back(us);
    (k % 2 ? waits : half).add(us);
  }
  half.add(12'345);
  half.add(12'345, -1);
  waits.add(Waits::decode(half.encode()));
  std::sort(all.begin(), all.end());
  for (const int percent : {1, 10, 50, 90, 99, 100}) {
    const auto truth = all[static_cast<std::size_t>(percent) * all.size() / 100 - 1];
    EXPECT_GE(waits.percentile(percent), truth) << percent;
    EXPECT_LE(waits.percentile(percent) - truth, truth / 32) << percent;
  }
  EXPECT_EQ(Waits().percentile(50), 0);
  EXPECT_EQ(Waits::decode(half.encode()).encode(), half.encode());
  EXPECT_EQ(Waits::decode("\xff\xff\xff").percentile(50), 0) << "a text that is cut off";
}
TEST_F(Questions, totals_of_what_there_are_none_of_are_refused) {
  const auto field = [&](HistoryKind kind, const char* by) {
    QueryHistory question;
    question.kind = kind;
    question.by = by;
    const auto rows = history->query(question);
    return rows ? std::string("good") : rows.error().field;
  };
  EXPECT_EQ(field(HistoryKind::jobs, "colour"), "by");
  EXPECT_EQ(field(HistoryKind::jobs, "node"), "by");
  EXPECT_EQ(field(HistoryKind::nodes, "user"), "by");
  EXPECT_EQ(field(HistoryKind::attempts, "queue"), "good");
}
TEST_F(Questions, the_attempts_of_one_task_are_found_in_a_large_array) {
  const NodeId n1(1);
  const JobId array = world.submit("array", 20'000);
  world.place(n1, array, {{0, 20'000, 1}});
  for (TaskIndex first = 0; first < 20'000; first += 50)
    world.quiet(n1, array, {first, 50, 1});
  record();
  QueryHistory question;
  question.kind = HistoryKind::attempts;
  question.job = array;
  question.task = 9'999;
  const auto rows = history->query(question);
  ASSERT_TRUE(rows) << rows.error().message();
  ASSERT_EQ(rows->rows.size(), 1u);
  EXPECT_EQ(rows->rows[0][1], "9999");
  question.job = {};
  EXPECT_EQ(history->query(question).error().field, "task");
}
TEST_F(Questions, a_clock_that_was_set_back_hides_no_rows) {
  const NodeId n1(1);
  world.now -= 6h;
  world.run(n1, "late");
  record();
  QueryHistory question;
  question.since = begin + 2h + 30min;
  question.until = begin + 3h + 30min;
  EXPECT_EQ(jobs(question), (Texts{"10", "3"}));
}
TEST_F(Questions, rows_of_nodes_and_settings_are_filtered_too) {
  world.execute(core::DrainNodes{{"n2"}, true, "disk"});
  world.execute(core::ChangeConfig{{{"retention.jobs", "2h"}, {"sweep.every", "1m"}}});
  record();
  QueryHistory question;
  question.kind = HistoryKind::nodes;
  EXPECT_EQ(column(query(question), "node"), (Texts{"n2", "n2", "n1"}));
  question.node = "n2";
  EXPECT_EQ(column(query(question), "state"), (Texts{"draining", "registered"}));
  question.state = "draining";
  EXPECT_EQ(column(query(question), "reason"), Texts{"disk"});
  question = {};
  question.kind = HistoryKind::config;
  question.name = "retention*";
  EXPECT_EQ(column(query(question), "value"), Texts{"2h"});
}

// ---- pages
class Pages : public Questions, public testing::WithParamInterface<std::uint32_t> {};
TEST_P(Pages, together_are_the_whole) {
  const NodeId n1(1);
  const JobId array = world.submit("array", 30);
  world.place(n1, array, {{0, 30, 1}});
  world.quiet(n1, array, {0, 30, 1});
  record();
  for (const HistoryKind kind : {HistoryKind::jobs, HistoryKind::attempts, HistoryKind::nodes}) {
    QueryHistory question;
    question.kind = kind;
    question.limit = 10'000;
    const auto whole = query(question);
    EXPECT_EQ(whole.next, 0u);
    question.limit = GetParam();
    std::vector<std::vector<std::string>> pages;
    for (int page = 0; page < 100; ++page) {
      const auto rows = query(question);
      EXPECT_LE(rows.rows.size(), GetParam());
      pages.insert(pages.end(), rows.rows.begin(), rows.rows.end());
      if (rows.next == 0)
        break;
      question.before = rows.next;
    }
    EXPECT_EQ(pages, whole.rows);
  }
}
INSTANTIATE_TEST_SUITE_P(of, Pages, testing::Values(1u, 3u, 7u, 39u, 40u),
                         testing::PrintToStringParamName());

// ---- waits for jobs that are forgotten
TEST_F(WithHistory, a_wait_gets_how_jobs_ended_and_keeps_what_it_knows) {
  const NodeId n1 = world.add_node("n1");
  const JobId failed = world.submit("a", 3), open = world.submit("b"), known = world.submit("c");
  world.place(n1, failed, {{0, 3, 1}});
  world.finish(n1, failed, {world.result(0), world.result(1, 1, Cause::exit_code, 7)});
  world.finish(n1, failed, {world.result(2)});
  record();
  Progress progress{{{.job = failed}, {.job = open}, {.job = JobId(77)}}, true};
  progress.jobs.push_back({.job = known, .state = JobState::cancelled, .total = 1});
  const Progress before = progress;
  ASSERT_TRUE(history->complete(progress));
  EXPECT_EQ(progress.jobs[0], (JobProgress{.job = failed,
                                           .state = JobState::failed,
                                           .total = 3,
                                           .succeeded = 2,
                                           .failed = 1,
                                           .exit_code = 7}));
  for (const std::size_t i : {1, 2, 3})
    EXPECT_EQ(progress.jobs[i], before.jobs[i]) << i;
}

// ---- single tasks
class Tasks : public WithHistory {
protected:
  void SetUp() override {
    WithHistory::SetUp();
    n1 = world.add_node("n1");
    n2 = world.add_node("n2");
  }
  TaskList list(JobId job, TaskIndex from = 0, std::uint32_t limit = 100) {
    ListTasks question;
    question.job = job;
    question.from = from;
    question.limit = limit;
    auto tasks = world.cluster.list(question).value();
    const auto completed = history->complete(tasks);
    EXPECT_TRUE(completed) << completed.error().message();
    return tasks;
  }
  NodeId n1, n2;
};

TEST_F(Tasks, that_have_ended_get_their_node_and_result) {
  const JobId job = world.submit("j", 5, 1);
  world.place(n1, job, {{0, 5, 1}});
  TaskResult good = world.result(1);
  good.result.data = "42";
  world.finish(n1, job, {good, world.result(2, 1, Cause::exit_code, 9)});
  world.quiet(n1, job, {3, 1, 1});
  world.execute(core::Requeue{job, {{2, 1, 1}}, Cause::exit_code, {}, "again"});
  world.place(n2, job, {{2, 1, 2}});
  world.finish(n2, job, {world.result(2, 2, Cause::signal)});
  record();
  const auto tasks = list(job).tasks;
  ASSERT_EQ(tasks.size(), 5u);
  EXPECT_FALSE(tasks[0].ended); // in flight
  EXPECT_EQ(tasks[0].node, "n1");
  EXPECT_TRUE(tasks[1].ended);
  EXPECT_EQ(tasks[1].node, "n1");
  EXPECT_EQ(tasks[1].last.result.data, "42");
  EXPECT_EQ(tasks[1].last.usage.wall, 2s);
  EXPECT_EQ(tasks[2].state, TaskState::failed);
  EXPECT_EQ(tasks[2].node, "n2");
  EXPECT_EQ(tasks[2].attempt, 2u);
  EXPECT_EQ(tasks[2].last.cause, Cause::signal);
  EXPECT_EQ(tasks[3].node, "n1");
  EXPECT_EQ(tasks[3].last.cause, Cause::none);
  EXPECT_NE(tasks[3].last.ended, TimePoint{});
}
TEST_F(Tasks, that_run_again_show_their_last_end_and_their_present_place) {
  const JobId job = world.submit("j", 1, 1);
  world.place(n1, job, {{0, 1, 1}});
  world.finish(n1, job, {world.result(0, 1, Cause::exit_code, 9)});
  world.execute(core::Requeue{job, {{0, 1, 1}}, Cause::exit_code, {}, "again"});
  world.place(n2, job, {{0, 1, 2}});
  record();
  const auto task = list(job).tasks.at(0);
  EXPECT_EQ(task.state, TaskState::assigned);
  EXPECT_EQ(task.node, "n2");
  EXPECT_EQ(task.attempt, 2u);
  EXPECT_TRUE(task.ended);
  EXPECT_EQ(task.last.attempt, 1u);
  EXPECT_EQ(task.last.exit_code, 9);
}
TEST_F(Tasks, in_the_middle_of_a_large_array_are_found) {
  const JobId job = world.submit("array", 100'000);
  world.place(n1, job, {{0, 100'000, 1}});
  world.quiet(n1, job, {0, 100'000, 1});
  record();
  for (const TaskIndex from : {0u, 8'191u, 50'000u, 99'990u}) {
    const auto tasks = list(job, from, 10).tasks;
    ASSERT_EQ(tasks.size(), 10u);
    for (const auto& task : tasks)
      EXPECT_EQ(task.node, "n1") << task.index;
  }
}
TEST_F(Tasks, an_attempt_of_a_succeeded_task_is_known_from_here) {
  const JobId job = world.submit("j", 1, 3);
  for (Attempt attempt = 1; attempt <= 3; ++attempt) {
    world.place(n1, job, {{0, 1, attempt}});
    world.finish(n1, job, {world.result(0, attempt, attempt < 3 ? Cause::signal : Cause::none)});
    if (attempt < 3)
      world.execute(core::Requeue{job, {{0, 1, attempt}}, Cause::signal, {}, ""});
  }
  record();
  EXPECT_EQ(list(job).tasks.at(0).attempt, 3u);
}

// ---- output
class Output : public Tasks {
protected:
  void SetUp() override {
    Tasks::SetUp();
    job = world.submit("j", 10, 5);
    world.place(n1, job, {{0, 10, 1}});
  }
  void end(TaskIndex task, const std::string& out, std::uint64_t written, std::string err = {}) {
    TaskResult result = world.result(task);
    result.stdout_bytes = written;
    result.stderr_bytes = err.size();
    world.finish(n1, job, {result}, {{job, task, 1, {out}, {std::move(err)}}});
    record();
  }
  History::Log log(TaskIndex task, std::uint64_t offset = 0, std::uint32_t limit = 65'536,
                   Stream stream = Stream::out) {
    ReadLog question;
    question.job = job;
    question.index = task;
    question.offset = offset;
    question.limit = limit;
    question.stream = stream;
    const auto found = history->log(question);
    if (!found || !*found) {
      ADD_FAILURE() << "no log";
      return {};
    }
    return **found;
  }
  JobId job;
};
TEST_F(Output, of_a_few_bytes_is_all_here) {
  end(0, "hello\n", 6, "oops\n");
  EXPECT_EQ(log(0).chunk.data.data, "hello\n");
  EXPECT_TRUE(log(0).whole);
  EXPECT_TRUE(log(0).chunk.ended);
  EXPECT_EQ(log(0).chunk.written, 6u);
  EXPECT_EQ(log(0).node, n1);
  EXPECT_EQ(log(0, 0, 100, Stream::err).chunk.data.data, "oops\n");
  EXPECT_EQ(log(0, 2, 3).chunk.data.data, "llo");
  EXPECT_EQ(log(0, 2, 3).chunk.offset, 2u);
  EXPECT_EQ(log(0, 6).chunk.data.data, "");
  EXPECT_EQ(log(0, 6).chunk.offset, 6u);
}
TEST_F(Output, that_was_longer_is_a_head_and_says_so) {
  end(1, std::string(4'096, 'x'), 10'000);
  EXPECT_FALSE(log(1).whole);
  EXPECT_EQ(log(1).chunk.data.data.size(), 4'096u);
  EXPECT_EQ(log(1).chunk.written, 10'000u);
  EXPECT_EQ(log(1, 4'096).chunk.data.data, "");
  EXPECT_EQ(log(1, 4'096).chunk.offset, 10'000u); // what lies between is not here
}
TEST_F(Output, that_there_was_none_of_is_known) {
  world.quiet(n1, job, {2, 1, 1});
  record();
  EXPECT_TRUE(log(2).whole);
  EXPECT_EQ(log(2).chunk.written, 0u);
}
TEST_F(Output, of_a_lost_attempt_is_unknown) {
  world.execute(core::MarkLost{{n1}, "silent", false});
  record();
  EXPECT_FALSE(log(3).known);
  EXPECT_FALSE(log(3).whole);
}
TEST_F(Output, is_that_of_the_attempt_asked_for_or_the_last) {
  TaskResult first = world.result(4, 1, Cause::exit_code, 1);
  first.stdout_bytes = 5;
  world.finish(n1, job, {first}, {{job, 4, 1, {"first"}, {}}});
  record();
  world.execute(core::Requeue{job, {{4, 1, 1}}, Cause::exit_code, {}, ""});
  world.place(n2, job, {{4, 1, 2}});
  TaskResult second = world.result(4, 2);
  second.stdout_bytes = 6;
  world.finish(n2, job, {second}, {{job, 4, 2, {"second"}, {}}});
  record();
  EXPECT_EQ(log(4).chunk.data.data, "second");
  EXPECT_EQ(log(4).chunk.attempt, 2u);
  EXPECT_EQ(log(4).node, n2);
  ReadLog question;
  question.job = job;
  question.index = 4;
  question.attempt = 1;
  EXPECT_EQ(history->log(question).value()->chunk.data.data, "first");
  question.attempt = 3;
  EXPECT_FALSE(history->log(question).value());
}
TEST_F(Output, of_what_never_ended_is_nothing) {
  record();
  ReadLog question;
  question.job = JobId(99);
  EXPECT_FALSE(history->log(question).value());
}

} // namespace
} // namespace reeve::history
