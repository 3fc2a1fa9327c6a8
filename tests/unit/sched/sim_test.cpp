// Workloads are read as they are written, and in virtual time the scheduler keeps what its policies
// promise: bounds from the literature, checked against brute force where that is possible.
#include "src/sched/sim.hpp"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <random>

namespace reeve::sched {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

Workload machines(std::size_t n, std::int64_t vcores = 1) {
  Workload w;
  for (std::size_t i = 0; i < n; ++i) {
    w.nodes.emplace_back();
    w.nodes.back().name = "m" + std::to_string(i);
    w.nodes.back().capacity.cpu_milli = vcores * 1000;
  }
  return w;
}
void add(Workload& w, Duration at, Duration run, std::int64_t vcores = 1,
         const std::string& user = "ada", std::uint32_t count = 1) {
  SimJob job;
  job.at = at;
  job.spec.user = user;
  job.spec.command = {"true"};
  job.spec.count = count;
  job.spec.resources.cpu_milli = vcores * 1000;
  job.spec.estimate = run;
  job.run_times = {run};
  w.jobs.push_back(std::move(job));
}

// ---- files

TEST(swf, reads_files_as_they_are_comment_header_and_unknowns_included) {
  const auto w = read_swf("; Version: 2.2\n"
                          ";   MaxProcs:   64 \n"
                          "; Note: anything\n"
                          "\n"
                          "    1   100  10  60   4  55.0  -1   4  120   -1  1  7  2  3  1 "
                          " 1 -1 -1\r\n"
                          "2 160 -1 -1 8 -1 -1 -1 300 2048 0 -1 -1 -1 -1 -1 -1 -1\n"
                          "3 170 -1 50 -1 -1 -1 -1 -1 -1 5 3 -1 -1 0 -1 -1 -1\n"
                          "4 180 -1 -1 2 -1 -1 2 -1 -1 5 3 -1 -1 0 -1 -1 -1\n");
  ASSERT_TRUE(w) << w.error().message();
  ASSERT_EQ(w->nodes.size(), 1u);
  EXPECT_EQ(w->nodes[0].capacity.cpu_milli, 64'000);
  ASSERT_EQ(w->jobs.size(), 2u);
  EXPECT_EQ(w->jobs[0].at, Duration(0));
  EXPECT_EQ(w->jobs[0].spec.resources.cpu_milli, 4'000);
  EXPECT_EQ(w->jobs[0].spec.estimate, seconds(120));
  EXPECT_EQ(w->jobs[0].run_time(0), seconds(60));
  EXPECT_EQ(w->jobs[0].spec.user, "u7");
  EXPECT_EQ(w->jobs[0].spec.queue, "q1");
  EXPECT_EQ(w->jobs[1].at, seconds(60));
  EXPECT_EQ(w->jobs[1].run_time(0),
            seconds(300)); // what it asked for, when it is not known
  EXPECT_EQ(w->jobs[1].spec.resources.memory_bytes, 2048 * 1024 * 8);
  EXPECT_EQ(w->notes, (std::vector<std::string>{"1 jobs without a number of processors left out",
                                                "1 jobs without a run time left out"}));
}

TEST(swf, names_the_line_of_what_it_cannot_read) {
  const auto few = read_swf("; x\n1 2 3\n");
  ASSERT_FALSE(few);
  EXPECT_EQ(few.error().field, "line 2");
  const auto word = read_swf("1 0 1 60 4 5 1 4 120 -1 1 7 2 x 1 1 -1 -1\n");
  ASSERT_FALSE(word);
  EXPECT_EQ(word.error().message(), "line 1: field 14 must be a number, got 'x'");
}

TEST(swf, jobs_wider_than_a_node_become_gangs) {
  const auto w = read_swf("; MaxProcs: 16\n1 0 1 60 10 5 -1 10 120 -1 1 7 2 3 1 1 -1 -1\n", {4, 0});
  ASSERT_TRUE(w);
  ASSERT_EQ(w->nodes.size(), 4u);
  EXPECT_TRUE(w->jobs[0].spec.gang);
  EXPECT_EQ(w->jobs[0].spec.count, 3u);
  EXPECT_EQ(simulate(*w).metrics.unfinished, 0u);
}

TEST(generated, work_is_the_same_for_the_same_seed_and_survives_its_file) {
  const Workload once = generate({5, 300, 64, 8, 0.7}), again = generate({5, 300, 64, 8, 0.7});
  EXPECT_TRUE(write_swf(once) == write_swf(again));
  EXPECT_FALSE(write_swf(once) == write_swf(generate({6, 300, 64, 8, 0.7})));
  const auto read = read_swf(write_swf(once));
  ASSERT_TRUE(read) << read.error().message();
  ASSERT_EQ(read->jobs.size(), once.jobs.size());
  EXPECT_TRUE(write_swf(*read) == write_swf(once)); // not _EQ: it would print both
}

TEST(workload_file, is_read_and_its_mistakes_are_named) {
  const auto w = read_workload("# two nodes\n"
                               "node big vcores=8 memory=32GiB gpu=2 speed=2 label.zone=east\n"
                               "node n vcores=0.5 x=3\n"
                               "job at=10s run=1m name=late user=eve\n"
                               "job run=2s vcores=4 gpu=1 count=3 priority=5 on.zone=east # now\n");
  ASSERT_TRUE(w) << w.error().message();
  ASSERT_EQ(w->nodes.size(), 4u);
  EXPECT_EQ(w->nodes[0].capacity.named_milli.at("gpu"), 2'000);
  EXPECT_EQ(w->nodes[3].name, "n3");
  ASSERT_EQ(w->jobs.size(), 2u);
  EXPECT_EQ(w->jobs[0].spec.count, 3u);
  EXPECT_EQ(w->jobs[0].spec.node_labels.at("zone"), "east");
  EXPECT_EQ(w->jobs[1].spec.name, "late");
  for (const auto& [text, error] : {
         std::pair("node n vcores=x\njob run=1s\n", "line 1: vcores: "),
         std::pair("node n vcores=1\njob at=1s\n", "line 2: run: required and missing"),
         std::pair("node n\nthing\n", "line 2: must start with node or job"),
         std::pair("job run=1s\n", "line 1: there must be at least one node"),
         std::pair("node n\njob run=1s run=2s\n", "line 2: run: given twice"),
         std::pair("node n\njob run=1s colour.x=1\n",
                   "line 2: nothing known by the name of colour.x"),
       }) {
    const auto bad = read_workload(text);
    ASSERT_FALSE(bad) << text;
    EXPECT_EQ(bad.error().message().substr(0, std::string(error).size()), error);
  }
}

TEST(recorded, work_comes_back_from_a_journal_as_it_ran) {
  Workload w = machines(2);
  add(w, seconds(0), seconds(30), 1, "ada", 3);
  add(w, seconds(5), seconds(7));
  std::vector<Entry> entries;
  core::Cluster cluster;
  core::Changes changes;
  const auto run = [&](const core::Command& command, TimePoint at) {
    auto out = cluster.execute(command, at, changes);
    ASSERT_TRUE(out.entry);
    entries.push_back(*out.entry);
  };
  core::RegisterNode node;
  node.name = "n";
  node.capacity.cpu_milli = 4'000;
  node.executors = {"process"};
  run(node, TimePoint(seconds(100)));
  run(core::SubmitJobs{{}, {Raw{encode(w.jobs[0].spec)}}}, TimePoint(seconds(110)));
  run(core::SubmitJobs{{}, {Raw{encode(w.jobs[1].spec)}}}, TimePoint(seconds(115)));
  run(core::Place{{{NodeId(1), JobId(1), 3, {{0, 3, 1}}}}}, TimePoint(seconds(116)));
  JobResults results{JobId(1), {}, {}};
  for (TaskIndex i = 0; i < 2; ++i) {
    results.tasks.emplace_back();
    results.tasks.back().index = i;
    results.tasks.back().started = TimePoint(seconds(116));
    results.tasks.back().ended = TimePoint(seconds(126 + 10 * i));
  }
  run(core::Finish{NodeId(1), {results}}, TimePoint(seconds(140)));
  const Workload back = workload_of(entries);
  ASSERT_EQ(back.nodes.size(), 1u);
  ASSERT_EQ(back.jobs.size(), 1u); // the other never ended
  EXPECT_EQ(back.notes.size(), 1u);
  EXPECT_EQ(back.jobs[0].run_times, (std::vector<Duration>{seconds(10), seconds(20), seconds(20)}));
}

// ---- measures

TEST(measures, are_what_they_are_called_on_a_case_reckoned_by_hand) {
  // One machine: 10 s at once, 30 s waits 10 s, 20 s (arrives at 5 s) waits 35 s.
  Workload w = machines(1);
  add(w, seconds(0), seconds(10), 1, "ada");
  add(w, seconds(0), seconds(30), 1, "bob");
  add(w, seconds(5), seconds(20), 1, "bob");
  const SimResult r = simulate(w);
  EXPECT_EQ(r.metrics.jobs, 3u);
  EXPECT_EQ(r.metrics.unfinished, 0u);
  EXPECT_DOUBLE_EQ(r.metrics.mean_wait_s, 45.0 / 3);
  EXPECT_DOUBLE_EQ(r.metrics.p95_wait_s, 35);
  EXPECT_DOUBLE_EQ(r.metrics.makespan_s, 60);
  EXPECT_DOUBLE_EQ(r.metrics.utilisation, 1);
  const double slow2 = 40.0 / 30, slow3 = 55.0 / 20;
  EXPECT_DOUBLE_EQ(r.metrics.mean_slowdown, (1 + slow2 + slow3) / 3);
  const std::vector<double> users{1, (slow2 + slow3) / 2};
  EXPECT_DOUBLE_EQ(r.metrics.fairness, jains_index(users));
  EXPECT_EQ(r.refused, 0u);
}

TEST(measures, jains_index_is_one_for_equals_and_a_share_for_few) {
  EXPECT_DOUBLE_EQ(jains_index(std::vector<double>{3, 3, 3, 3}), 1);
  EXPECT_DOUBLE_EQ(jains_index(std::vector<double>{7, 0, 0, 0}), 0.25);
  EXPECT_DOUBLE_EQ(jains_index(std::vector<double>{1, 1, 0, 0}),
                   0.5); // k of n: k/n
  EXPECT_DOUBLE_EQ(jains_index({}), 1);
}

TEST(plot, draws_a_line_for_each_result_and_escapes_names) {
  Workload w = machines(1);
  add(w, seconds(0), seconds(10));
  const std::vector<std::pair<std::string, SimResult>> results{{"a<b", simulate(w)},
                                                               {"c", simulate(w)}};
  const std::string svg = plot_svg("x & y", results);
  EXPECT_TRUE(svg.starts_with("<svg "));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  EXPECT_NE(svg.find("a&lt;b"), std::string::npos);
  EXPECT_NE(svg.find("x &amp; y"), std::string::npos);
  std::size_t lines = 0;
  for (auto at = svg.find("<polyline"); at != std::string::npos; at = svg.find("<polyline", at + 1))
    ++lines;
  EXPECT_EQ(lines, 4u);
}

TEST(simulator, gives_the_same_result_every_time) {
  const Workload w = generate({3, 300, 64, 8, 0.9});
  const SimResult once = simulate(w), again = simulate(w);
  ASSERT_EQ(once.tasks.size(), again.tasks.size());
  for (std::size_t i = 0; i < once.tasks.size(); ++i)
    ASSERT_EQ(once.tasks[i].started, again.tasks[i].started);
  EXPECT_EQ(once.metrics.unfinished, 0u);
}

// ---- proofs

TEST(list_scheduling, is_never_beyond_two_less_one_mth_of_the_optimum) {
  // Graham, "Bounds for certain multiprocessing anomalies", 1966.
  const std::uint64_t seed = 1966;
  std::mt19937_64 random(seed);
  for (int round = 0; round < 60; ++round) {
    const std::size_t m = 2 + random() % 2, n = 3 + random() % 5;
    std::vector<std::int64_t> times;
    Workload w = machines(m);
    for (std::size_t i = 0; i < n; ++i) {
      times.push_back(1 + static_cast<std::int64_t>(random() % 20));
      add(w, seconds(0), seconds(times.back()));
    }
    std::int64_t optimum = 1'000'000;
    const auto assign = [&](auto&& self, std::size_t i, std::vector<std::int64_t>& load) -> void {
      if (i == n) {
        optimum = std::min(optimum, *std::ranges::max_element(load));
        return;
      }
      for (std::size_t k = 0; k < m; ++k) {
        load[k] += times[i];
        self(self, i + 1, load);
        load[k] -= times[i];
      }
    };
    std::vector<std::int64_t> load(m, 0);
    assign(assign, 0, load);
    for (const char* order : {"fifo", "spt", "sjf", "fair"}) {
      const SimResult r = simulate(w, {{{"queue.default.order", order}}, {}, {}});
      EXPECT_LE(r.metrics.makespan_s,
                (2 - 1.0 / static_cast<double>(m)) * static_cast<double>(optimum) + 1e-9)
        << "REEVE_SEED=" << seed << " round " << round << " " << order;
      EXPECT_GE(r.metrics.makespan_s, static_cast<double>(optimum) - 1e-9);
    }
  }
}

TEST(spt, has_the_least_mean_flow_time_on_one_machine) {
  // Smith, "Various optimizers for single-stage production", 1956.
  const std::uint64_t seed = 1956;
  std::mt19937_64 random(seed);
  for (int round = 0; round < 40; ++round) {
    Workload w = machines(1);
    std::vector<std::int64_t> times;
    for (std::size_t i = 0; i < 6; ++i) {
      times.push_back(1 + static_cast<std::int64_t>(random() % 50));
      add(w, seconds(0), seconds(times.back()));
    }
    std::ranges::sort(times);
    std::int64_t least = 1'000'000;
    do {
      std::int64_t sum = 0, now = 0;
      for (const std::int64_t t : times)
        sum += now += t;
      least = std::min(least, sum);
    } while (std::ranges::next_permutation(times).found);
    for (const char* order : {"spt", "sjf", "sct"}) {
      const SimResult r = simulate(w, {{{"queue.default.order", order}}, {}, {}});
      double sum = 0;
      for (const SimTask& t : r.tasks)
        sum += static_cast<double>(t.ended.count()) / 1e6;
      EXPECT_DOUBLE_EQ(sum, static_cast<double>(least))
        << "REEVE_SEED=" << seed << " round " << round << " " << order;
    }
  }
}

/// Runs a workload and notes for each job the first start it was promised.
std::map<std::size_t, std::pair<TimePoint, Duration>>
promises(const Workload& w, const std::string& backfill, SimResult& result) {
  std::map<std::size_t, std::pair<TimePoint, Duration>> out; // job -> promised start, when
  SimOptions options;
  options.settings = {{"queue.default.backfill", backfill},
                      {"queue.default.max_wait", "0"},
                      {"scheduler.prefetch", "0"}};
  options.watch = [&](const core::Cluster& cluster, Scheduler& scheduler, TimePoint now) {
    std::size_t asked = 0;
    for (JobId id(1); id <= cluster.newest_job() && asked < 12; id = id.next()) {
      const core::Job* job = cluster.find_job(id);
      if (!job || job->pending() == 0)
        continue;
      ++asked;
      const auto why = scheduler.explain(id, 0, now);
      if (!why || why->notes.empty() || why->notes.back().find("a place is kept") != 0)
        continue;
      out.try_emplace(id.value - 1, why->start, now.time_since_epoch());
    }
  };
  result = simulate(w, options);
  return out;
}

TEST(backfill, no_kept_place_is_taken_late_when_run_times_are_as_promised) {
  for (const std::uint64_t seed : {11u, 12u, 13u, 14u})
    for (const char* mode : {"easy", "conservative"}) {
      Workload w = generate({seed, 250, 32, 5, 1.1});
      for (SimJob& job : w.jobs)
        job.spec.estimate = job.run_times[0];
      SimResult result;
      const auto promised = promises(w, mode, result);
      EXPECT_GT(promised.size(), 4u) << mode;
      for (const auto& [job, promise] : promised)
        EXPECT_LE(TimePoint(result.tasks[job].started), promise.first)
          << mode << " REEVE_SEED=" << seed << ": job " << job << " was promised at "
          << promise.second.count();
      EXPECT_EQ(result.metrics.unfinished, 0u);
      EXPECT_EQ(result.refused, 0u);
    }
}

TEST(backfill, fills_the_machine_better_than_waiting_in_line) {
  Workload w = generate({21, 400, 64, 6, 1.0});
  const auto run = [&](const char* mode) {
    return simulate(w, {{{"queue.default.backfill", mode}}, {}, {}}).metrics;
  };
  const Metrics strict = run("strict"), easy = run("easy");
  EXPECT_LT(easy.mean_wait_s, strict.mean_wait_s / 2);
  EXPECT_LT(easy.makespan_s, strict.makespan_s);
}

class starvation : public testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(starvation, a_big_task_among_small_ones_starts_within_the_stated_bound) {
  // Small tasks keep four vcores busy for two hours; all come before the big one in each order, and
  // greedy backfill lets them. Whatever the backfill, it must start max_wait after its arrival and
  // the longest of the others' run times at the latest.
  const auto& [order, backfill] = GetParam();
  const auto run = [order = order, backfill = backfill](const char* max_wait) {
    Workload w = machines(1, 4);
    for (int i = 0; i < 600; ++i) {
      add(w, seconds(14 * i), seconds(60), 1, "u" + std::to_string(i % 40));
      w.jobs.back().spec.priority = 5;
      w.jobs.back().spec.deadline = TimePoint(seconds(14 * i + 90));
    }
    add(w, seconds(30), seconds(600), 4, "big");
    w.jobs.back().spec.priority = -5;
    w.jobs.back().spec.deadline = TimePoint(std::chrono::hours(100));
    std::ranges::stable_sort(w.jobs, {}, &SimJob::at);
    std::size_t big = 0;
    while (w.jobs[big].spec.user != "big")
      ++big;
    const SimResult r = simulate(w, {{{"queue.default.order", order},
                                      {"queue.default.backfill", backfill},
                                      {"queue.default.max_wait", max_wait}},
                                     {},
                                     {}});
    EXPECT_EQ(r.metrics.unfinished, 0u);
    for (const SimTask& t : r.tasks)
      if (t.job == big)
        return t.started - t.submitted;
    return Duration(0);
  };
  EXPECT_LE(run("10m"), minutes(11));
  if (backfill == std::string("greedy")) {
    EXPECT_GT(run("0"), minutes(60)); // it would starve
  }
}

INSTANTIATE_TEST_SUITE_P(
  all, starvation,
  testing::Combine(testing::Values("fifo", "priority", "sjf", "spt", "sct", "edf", "fair"),
                   testing::Values("greedy", "easy", "conservative", "strict")),
  [](const auto& row) {
    return std::string(std::get<0>(row.param)) + "_" + std::get<1>(row.param);
  });

TEST(backfill, a_pass_keeps_no_more_places_than_stand_in_line) {
  // Lots of two queues and many sizes that want the same nodes. The bound is what lets a pass end;
  // it holds however the lots take turns.
  for (std::uint64_t seed = 1; seed <= 12; ++seed)
    for (const char* mode : {"easy", "conservative"}) {
      std::mt19937_64 random(seed);
      const auto below = [&](std::uint64_t n) { return random() % n; };
      const char* orders[] = {"fifo", "priority", "sjf", "spt", "sct", "fair", "edf"};
      Workload w = machines(3, 4);
      for (int i = 0; i < 80; ++i) {
        add(w, seconds(static_cast<int>(below(600))), seconds(1 + static_cast<int>(below(200))),
            1 + static_cast<int>(below(4)), "u" + std::to_string(below(3)));
        JobSpec& spec = w.jobs.back().spec;
        spec.queue = below(2) == 0 ? "a" : "b";
        spec.priority = static_cast<std::int32_t>(below(4));
        if (below(8) == 0)
          spec.exclusive = true;
        if (below(4) == 0)
          spec.limits = {Limit{"licence", 2, false}};
      }
      std::ranges::stable_sort(w.jobs, {}, &SimJob::at);
      SimOptions options;
      options.settings = {{"queue.a.order", orders[below(7)]},
                          {"queue.b.order", orders[below(7)]},
                          {"queue.*.backfill", mode},
                          {"queue.*.backfill_depth", "5"},
                          {"queue.*.max_wait", "100s"},
                          {"queue.b.user_limit", below(2) == 0 ? "vcores=6" : ""}};
      options.watch = [&](const core::Cluster& cluster, Scheduler& scheduler, TimePoint) {
        std::size_t waiting = 0;
        for (JobId id(1); id <= cluster.newest_job(); id = id.next())
          if (const core::Job* job = cluster.find_job(id); job && job->pending() > 0)
            ++waiting;
        // One each, and another when it was looked at in vain and gave up its own.
        EXPECT_LE(scheduler.places_kept(), 2 * waiting)
          << mode << " REEVE_SEED=" << seed << ", " << waiting << " wait";
      };
      const SimResult r = simulate(w, options);
      EXPECT_EQ(r.metrics.unfinished, 0u) << mode << " REEVE_SEED=" << seed;
    }
}

} // namespace
} // namespace reeve::sched
