// Jobs and their flights against plain maps.
#include "src/sched/jobs.hpp"

#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>

namespace reeve::sched {
namespace {

constexpr std::uint64_t jobs_seed = 20'261'125;

TEST(jobs, are_found_as_in_a_map_however_far_apart_their_numbers_are) {
  std::mt19937_64 random(jobs_seed);
  Jobs jobs;
  std::map<std::uint64_t, std::uint32_t> all;
  std::uint64_t newest = 3'000'000'000;
  for (std::uint32_t step = 1; step <= 60'000; ++step) {
    const auto what = random() % 8;
    if (what < 4 || all.empty()) {
      std::uint64_t id = ++newest;
      if (what == 0) // one that is old, or not from the ledger
        id = random() % 2 == 0 ? 1 + random() % 100'000 : ~std::uint64_t{0} - random() % 5'000;
      if (all.contains(id))
        continue;
      jobs.add(JobId(id)).lot = step;
      all[id] = step;
    } else if (what < 7) { // the old ones go first, mostly
      auto at = all.lower_bound(random() % 4 == 0 ? random() : 0);
      if (at == all.end())
        at = all.begin();
      jobs.erase(JobId(at->first));
      all.erase(at);
    }
    std::uint64_t some = newest - random() % 2'000;
    if (const auto at = all.lower_bound(random() % newest); at != all.end() && random() % 2 == 0)
      some = at->first;
    const SchedJob* found = jobs.find(JobId(some));
    const auto expected = all.find(some);
    ASSERT_EQ(found != nullptr, expected != all.end())
      << "REEVE_SEED=" << jobs_seed << " id " << some;
    if (found) {
      ASSERT_EQ(found->lot, expected->second) << "REEVE_SEED=" << jobs_seed << " id " << some;
    }
    ASSERT_EQ(jobs.size(), all.size());
    if (step % 20'000 == 0)
      while (!all.empty()) {
        jobs.erase(JobId(all.begin()->first));
        all.erase(all.begin());
      }
  }
}

TEST(jobs, stand_in_line_by_their_ids_whoever_leaves_and_comes_back) {
  std::mt19937_64 random(jobs_seed);
  Jobs jobs;
  JobLine line;
  std::map<JobId, bool> all; // in line, and could be placed
  std::set<JobId> out;       // there, but in no line
  std::uint64_t newest = 1'000;
  for (int step = 0; step < 40'000; ++step) {
    const auto pick = [&](auto& from) {
      return std::next(from.begin(), static_cast<std::ptrdiff_t>(random() % from.size()));
    };
    const auto what = random() % 10;
    if (what < 3) {
      newest += random() % 5'000 == 0 ? std::uint64_t{5'000'000'000} : 1 + random() % 700;
      jobs.add(JobId(newest)).lot = 7;
      out.insert(JobId(newest));
    } else if (what < 6 && !out.empty()) { // also one that had left
      const JobId id = *pick(out);
      out.erase(id);
      SchedJob& job = *jobs.find(id);
      job.listed = 1;
      jobs.join(line, id, job);
      all[id] = true;
    } else if (what < 7 && !all.empty()) {
      const auto at = pick(all);
      at->second = !at->second;
      jobs.find(at->first)->listed = at->second;
    } else if (what < 9 && !all.empty()) {
      const auto at = random() % 2 == 0 ? all.begin() : pick(all);
      jobs.leave(line, at->first, *jobs.find(at->first));
      if (random() % 2 == 0)
        jobs.erase(at->first);
      else
        out.insert(at->first);
      all.erase(at);
    } else {
      while (!all.empty() && !all.begin()->second) { // they leave when the first is asked for
        out.insert(all.begin()->first);
        all.erase(all.begin());
      }
      ASSERT_EQ(jobs.front(line), all.empty() ? JobId() : all.begin()->first)
        << "REEVE_SEED=" << jobs_seed << " step " << step;
    }
    if (step % 50 != 0)
      continue;
    std::set<JobId> seen;
    jobs.each(line, [&](JobId id, const SchedJob& job) {
      EXPECT_EQ(job.in_line, 1u);
      seen.insert(id);
      return true;
    });
    ASSERT_EQ(seen.size(), all.size()) << "REEVE_SEED=" << jobs_seed << " step " << step;
    for (const JobId id : seen)
      ASSERT_TRUE(all.contains(id)) << "REEVE_SEED=" << jobs_seed << " step " << step;
  }
}

TEST(flights, know_what_runs_and_since_when_as_lists_would) {
  std::mt19937_64 random(jobs_seed);
  for (int round = 0; round < 400; ++round) {
    Flights flights;
    const FlightId id = flights.add(JobId(1), NodeId(1), 0);
    Flight& f = flights[id];
    std::set<std::pair<TaskIndex, Attempt>> runs;
    std::vector<Since> starts;
    TimePoint now{std::chrono::hours(1)};
    for (int step = 0; step < 12; ++step) {
      const bool odd = random() % 4 == 0; // mostly as most flights are
      if (random() % 2 == 0) {
        const TaskRun run{static_cast<TaskIndex>(odd ? random() % 40 : 10 + runs.size()),
                          static_cast<std::uint32_t>(1 + random() % 2),
                          static_cast<Attempt>(odd ? 2 : 1)};
        bool there = false;
        for (std::uint32_t i = 0; i < run.count; ++i)
          for (const Attempt a : {1, 2})
            there |= runs.contains({run.first + i, a});
        if (!there) {
          flights.add_run(f, run);
          for (std::uint32_t i = 0; i < run.count; ++i)
            runs.insert({run.first + i, run.attempt});
        }
      } else if (!runs.empty()) {
        const auto at = odd ? std::prev(runs.end()) : runs.begin();
        flights.take_run(f, {at->first, 1, at->second});
        runs.erase(at);
      }
      std::set<std::pair<TaskIndex, Attempt>> seen;
      for (const TaskRun& run : flights.runs(f))
        for (std::uint32_t i = 0; i < run.count; ++i)
          seen.insert({run.first + i, run.attempt});
      ASSERT_EQ(seen, runs) << "REEVE_SEED=" << jobs_seed << " round " << round;
      // As many slots as are expected, the newest last; all of them now while tasks wait there.
      const Load before = f.expected;
      f.expected.slots = static_cast<std::uint32_t>(random() % (odd ? 5 : 2));
      f.expected.tasks = f.expected.slots + (odd && random() % 3 == 0 ? 1 : 0);
      flights.start(f, before, now);
      std::uint32_t there = 0;
      for (const Since& since : starts)
        there += since.n;
      if (f.expected.tasks > f.expected.slots) {
        starts = {{now, f.expected.slots}};
      } else if (there < f.expected.slots) {
        starts.push_back({now, f.expected.slots - there});
      } else {
        for (; there > f.expected.slots; --there) {
          while (starts.front().n == 0)
            starts.erase(starts.begin());
          --starts.front().n;
        }
      }
      const auto told = [](const auto& all) { // by time; what has none does not matter
        std::map<TimePoint, std::uint32_t> out;
        for (const Since& since : all)
          if (since.n > 0)
            out[since.time] += since.n;
        return out;
      };
      ASSERT_EQ(told(flights.starts(f)), told(starts)) << "REEVE_SEED=" << jobs_seed;
      if (random() % 3 != 0)
        now += Duration(1 + static_cast<std::int64_t>(random() % 1'000));
    }
  }
}

TEST(flights, are_found_by_job_and_node_while_jobs_grow_and_shrink) {
  std::mt19937_64 random(jobs_seed);
  Flights flights;
  std::map<JobId, Few<FlightId>> of_job;
  std::map<std::pair<JobId, NodeId>, FlightId> all;
  for (int step = 0; step < 40'000; ++step) {
    // Jobs of up to 24 flights: on both sides of where they are hashed.
    const JobId job(1 + random() % 6);
    const NodeId node(1 + static_cast<std::uint32_t>(random() % 24));
    Few<FlightId>& mine = of_job[job];
    const FlightId found = flights.find(job, node, mine.all());
    const auto expected = all.find({job, node});
    ASSERT_EQ(found, expected == all.end() ? no_flight : expected->second)
      << "REEVE_SEED=" << jobs_seed << " step " << step;
    const bool shrink = step / 4'000 % 2 == 1;
    if (found == no_flight) {
      if (!shrink || random() % 4 == 0)
        flights.list(all[{job, node}] = flights.add(job, node, At(node.value)), mine);
    } else if (shrink || random() % 4 == 0) {
      flights.unlist(found, mine);
      flights.erase(found);
      all.erase({job, node});
    }
    for (std::uint32_t i = 0; i < mine.size(); ++i)
      ASSERT_EQ(flights[mine[i]].in_job, i) << "REEVE_SEED=" << jobs_seed;
  }
}

TEST(flights, know_their_wishes_by_what_they_wish_oldest_first) {
  Flights flights;
  const FlightId f = flights.add(JobId(1), NodeId(1), 0);
  for (std::uint32_t i = 0; i < 3; ++i) {
    Wish& wish = flights.add_wish(flights[f]);
    wish.tasks = 1;
    wish.slots = i + 1;
    wish.runs.push_back({i, 1, 1});
  }
  flights.expect(flights[f]);
  EXPECT_EQ(flights[f].expected, (Load{3, 3}));
  EXPECT_EQ(flights.wishes(), 3u);
  EXPECT_EQ(flights.newest_wish(flights[f]).slots, 3u);
  const TaskRun second{1, 1, 1};
  const auto dropped = flights.drop_wish(flights[f], {&second, 1});
  ASSERT_TRUE(dropped);
  EXPECT_EQ(dropped->slots, 2u);
  EXPECT_FALSE(flights.drop_wish(flights[f], {&second, 1}));
  std::vector<std::uint32_t> left;
  flights.each_wish(flights[f], [&](const Wish& wish) { left.push_back(wish.slots); });
  EXPECT_EQ(left, (std::vector<std::uint32_t>{1, 3}));
  flights.drop_wishes(flights[f]);
  EXPECT_EQ(flights.wishes(), 0u);
  EXPECT_TRUE(flights[f].over());
}

} // namespace
} // namespace reeve::sched
