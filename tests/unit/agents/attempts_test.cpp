// AttemptMap against the plainest model: one entry a task.
#include "agents/worker/agent_attempts.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>

namespace reeve::worker {
namespace {

using Model = std::map<TaskIndex, std::pair<Attempt, Phase>>;

Model flatten(const AttemptMap& map) {
  Model out;
  for (const auto& piece : map.pieces())
    for (std::uint32_t k = 0; k < piece.count; ++k)
      out[piece.first + k] = {piece.attempt, piece.phase};
  return out;
}

TEST(agent_attempts, neighbours_that_are_alike_become_one_piece) {
  AttemptMap map;
  map.put({0, 10, 1}, Phase::waiting);
  map.put({20, 10, 1}, Phase::waiting);
  map.put({10, 10, 1}, Phase::waiting);
  ASSERT_EQ(map.pieces().size(), 1U);
  map.put({5, 1, 1}, Phase::running);
  EXPECT_EQ(map.pieces().size(), 3U);
  map.put({5, 1, 1}, Phase::waiting);
  EXPECT_EQ(map.pieces().size(), 1U);
}

TEST(agent_attempts, erases_only_that_attempt_in_that_phase) {
  AttemptMap map;
  map.put({0, 4, 1}, Phase::ended);
  map.put({4, 4, 2}, Phase::ended);
  EXPECT_EQ(map.erase({0, 8, 1}, Phase::running), 0U);
  EXPECT_EQ(map.erase({2, 6, 1}, Phase::ended), 2U);
  EXPECT_EQ(map.pieces(),
            (std::vector<AttemptMap::Piece>{{0, 2, 1, Phase::ended}, {4, 4, 2, Phase::ended}}));
}

TEST(agent_attempts, the_last_index_of_all_is_no_exception) {
  AttemptMap map;
  map.put({0xffff'fff0, 16, 1}, Phase::waiting);
  map.put({0xffff'ffff, 1, 1}, Phase::running);
  EXPECT_EQ(map.pieces().size(), 2U);
  EXPECT_EQ(map.erase({0xffff'ffff, 1, 1}, Phase::running), 1U);
}

TEST(agent_attempts, agrees_with_one_entry_a_task_over_random_steps) {
  const char* given = std::getenv("REEVE_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  SCOPED_TRACE("REEVE_SEED=" + std::to_string(seed) +
               " reeve_agents_tests --gtest_filter=agent_attempts.agrees*");
  std::mt19937_64 random(seed);
  const auto below = [&random](std::uint64_t n) {
    return static_cast<std::uint32_t>(random() % n);
  };
  AttemptMap map;
  Model model;
  for (int step = 0; step < 20'000; ++step) {
    const TaskRun run{below(60), 1 + below(20), 1 + below(2)};
    const auto phase = static_cast<Phase>(below(3));
    if (below(2) == 0) {
      map.put(run, phase);
      for (std::uint32_t k = 0; k < run.count; ++k)
        model[run.first + k] = {run.attempt, phase};
    } else {
      std::uint32_t erased = 0;
      for (std::uint32_t k = 0; k < run.count; ++k)
        if (const auto it = model.find(run.first + k);
            it != model.end() && it->second == std::pair(run.attempt, phase)) {
          model.erase(it);
          ++erased;
        }
      ASSERT_EQ(map.erase(run, phase), erased);
    }
    ASSERT_EQ(flatten(map), model) << "step " << step;
    std::uint32_t seen = 0, expected = 0;
    map.overlapping(run.first, run.first + run.count, [&](const AttemptMap::Piece& piece) {
      EXPECT_GE(piece.first, run.first);
      EXPECT_LE(piece.end(), run.first + run.count);
      seen += piece.count;
    });
    for (std::uint32_t k = 0; k < run.count; ++k)
      expected += model.contains(run.first + k) ? 1 : 0;
    ASSERT_EQ(seen, expected);
  }
}

} // namespace
} // namespace reeve::worker
