// Jobs and their flights against plain maps.
#include "src/sched/jobs.hpp"

#include <gtest/gtest.h>
#include <map>
#include <random>

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
