// The table of (job, node) against a plain map.
#include "src/sched/flight_table.hpp"

#include <gtest/gtest.h>
#include <map>
#include <random>

namespace reeve::sched {
namespace {

TEST(flight_table, answers_as_a_map_would_after_any_changes) {
  const std::uint64_t seed = 5;
  std::mt19937_64 random(seed);
  FlightTable table;
  std::map<std::pair<std::uint64_t, std::uint32_t>, std::uint32_t> plain;
  for (std::uint32_t step = 0; step < 40'000; ++step) {
    // More come than go, then more go than come: it grows, and gaps are closed where it is dense.
    const JobId job(1 + random() % 40);
    const NodeId node(1 + static_cast<std::uint32_t>(random() % 50));
    const bool grows = step / 4'000 % 2 == 0;
    const auto at = plain.find({job.value, node.value});
    ASSERT_EQ(table.find(job, node), at == plain.end() ? FlightTable::none : at->second)
      << "REEVE_SEED=" << seed << " step " << step;
    if (at == plain.end() && (grows || random() % 4 == 0)) {
      table.add(job, node, step);
      plain[{job.value, node.value}] = step;
    } else if (at != plain.end() && (!grows || random() % 4 == 0)) {
      table.erase(job, node);
      plain.erase(at);
    }
    ASSERT_EQ(table.size(), plain.size());
  }
  for (const auto& [key, id] : plain)
    EXPECT_EQ(table.find(JobId(key.first), NodeId(key.second)), id);
}

} // namespace
} // namespace reeve::sched
