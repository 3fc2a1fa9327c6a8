// Run-length arithmetic on tasks, against a plain array that knows each task by itself.
#include "src/core/marks.hpp"

#include <array>
#include <gtest/gtest.h>
#include <random>

namespace reeve::core::test {
namespace {

Mark mark_of(std::uint32_t count, TaskState state, Attempt attempt = 1) {
  Mark mark;
  mark.count = count;
  mark.state = state;
  mark.attempt = attempt;
  return mark;
}

struct Random {
  std::mt19937 source;
  std::uint32_t operator()(std::uint32_t below) {
    return static_cast<std::uint32_t>(source()) % below;
  }
};

TEST(marks, join_equal_neighbours_and_split_where_one_differs) {
  Marks marks;
  marks.set(0, mark_of(5, TaskState::failed));
  marks.set(5, mark_of(5, TaskState::failed));
  EXPECT_EQ(marks.map().size(), 1u);
  marks.set(3, mark_of(2, TaskState::held));
  EXPECT_EQ(marks.map().size(), 3u);
  EXPECT_EQ(marks.find(4)->second.state, TaskState::held);
  EXPECT_EQ(marks.find(5)->second.state, TaskState::failed);
  marks.set(3, mark_of(2, TaskState::failed));
  EXPECT_EQ(marks.map().size(), 1u);
  EXPECT_EQ(marks.find(10), marks.map().end());
}

TEST(marks, reach_to_the_last_index_there_is) {
  constexpr TaskIndex last = std::numeric_limits<TaskIndex>::max();
  Marks marks;
  marks.set(last, mark_of(1, TaskState::failed));
  marks.set(last - 1, mark_of(1, TaskState::failed));
  ASSERT_EQ(marks.map().size(), 1u);
  marks.erase(last, 1);
  EXPECT_EQ(marks.find(last), marks.map().end());
  EXPECT_EQ(marks.find(last - 1)->second.count, 1u);
}

TEST(marks, are_what_a_plain_array_says) {
  Random random{std::mt19937(7)};
  constexpr std::uint32_t tasks = 64;
  std::array<int, tasks> plain{}; // 0: no mark, else attempt
  Marks marks;
  for (int i = 0; i < 5000; ++i) {
    const TaskIndex first = random(tasks);
    const std::uint32_t count = 1 + random(tasks - first);
    const int attempt = static_cast<int>(random(4));
    if (attempt == 0)
      marks.erase(first, count);
    else
      marks.set(first, mark_of(count, TaskState::failed, static_cast<Attempt>(attempt)));
    std::fill_n(plain.begin() + first, count, attempt);

    std::size_t runs = 0;
    for (TaskIndex t = 0; t < tasks; ++t) {
      const auto at = marks.find(t);
      ASSERT_EQ(at == marks.map().end() ? 0 : static_cast<int>(at->second.attempt), plain[t]);
      runs += plain[t] != 0 && (t == 0 || plain[t - 1] != plain[t]) ? 1 : 0;
    }
    ASSERT_EQ(marks.map().size(), runs) << "neighbours that are alike are one";
    std::uint32_t seen = 0;
    marks.each_in(first, count, [&](TaskIndex from, const Mark& part) {
      ASSERT_GE(from, first);
      ASSERT_LE(from + part.count, first + count);
      seen += part.count;
    });
    ASSERT_EQ(seen, attempt == 0 ? 0 : count);
  }
}

TEST(runs, are_added_joined_found_and_taken_as_a_plain_array_says) {
  Random random{std::mt19937(11)};
  constexpr std::uint32_t tasks = 48;
  std::array<Attempt, tasks> plain{}; // 0: not there
  std::vector<TaskRun> runs;
  for (int i = 0; i < 5000; ++i) {
    const TaskIndex first = random(tasks);
    const std::uint32_t count = 1 + random(tasks - first);
    const Attempt attempt = 1 + random(2);
    const bool free = std::all_of(plain.begin() + first, plain.begin() + first + count,
                                  [](Attempt a) { return a == 0; });
    if (free && random(2) == 0) {
      add_to(runs, {first, count, attempt});
      std::fill_n(plain.begin() + first, count, attempt);
    } else {
      const auto same = common(runs, {first, count, attempt});
      const auto taken = take_from(runs, {first, count, attempt});
      ASSERT_EQ(taken, same);
      std::uint32_t n = 0;
      for (const TaskRun& run : taken)
        n += run.count;
      std::uint32_t wanted = 0;
      for (TaskIndex t = first; t < first + count; ++t)
        if (plain[t] == attempt) {
          plain[t] = 0;
          ++wanted;
        }
      ASSERT_EQ(n, wanted);
    }
    std::uint64_t end = 0;
    for (std::size_t k = 0; k < runs.size(); ++k) {
      ASSERT_GE(runs[k].first, end);
      if (k > 0 && runs[k].first == end) {
        ASSERT_NE(runs[k].attempt, runs[k - 1].attempt) << "neighbours that are alike are one";
      }
      end = std::uint64_t{runs[k].first} + runs[k].count;
      for (TaskIndex t = runs[k].first; t < end; ++t)
        ASSERT_EQ(plain[t], runs[k].attempt);
    }
    for (TaskIndex t = 0; t < tasks; ++t)
      ASSERT_EQ(holds(runs, t), plain[t] != 0);
  }
}

} // namespace
} // namespace reeve::core::test
