// The tree against a plain sorted list.
#include "src/sched/ranked.hpp"

#include <gtest/gtest.h>
#include <map>
#include <random>

namespace reeve::sched {
namespace {

struct InLine {
  Key key;
  std::vector<std::int64_t> amounts;
  std::uint64_t mask = 0;
};

TEST(ranked, answers_as_a_sorted_list_would_after_any_changes) {
  const std::uint64_t seed = 20'240'611;
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t n) { return random() % n; };
  for (const std::size_t dims : {1u, 3u}) {
    Ranked::Where where;
    Ranked tree(dims, where);
    std::map<Ranked::Id, InLine> list;
    for (int step = 0; step < 20'000; ++step) {
      const auto id = static_cast<Ranked::Id>(below(step % 10'000 < 7'000 ? 1'000 : 40));
      InLine e{{below(50), id}, {}, std::uint64_t{1} << below(4)};
      for (std::size_t d = 0; d < dims; ++d)
        e.amounts.push_back(static_cast<std::int64_t>(below(20)) - 5);
      const auto what = below(10);
      const auto whole = [&] { // what is to be seen of all together
        std::vector<std::int64_t> out;
        if (tree.size() == 0)
          return out;
        out = {static_cast<std::int64_t>(tree.first_key().major),
               static_cast<std::int64_t>(tree.first_key().minor),
               static_cast<std::int64_t>(tree.mask())};
        for (std::size_t d = 0; d < dims; ++d)
          out.push_back(tree.most(d));
        return out;
      };
      const auto before = whole();
      bool other = false;
      if (!list.contains(id)) {
        other = tree.insert(id, e.key, e.amounts, e.mask);
        list[id] = e;
      } else if (what < 4) {
        other = tree.erase(id);
        list.erase(id);
      } else {
        if (what < 6)
          e.key = list[id].key;
        other = tree.update(id, e.key, e.amounts, e.mask);
        list[id] = e;
      }
      if (before != whole()) {
        ASSERT_TRUE(other) << "a change of the whole was not told, REEVE_SEED=" << seed;
      }
      if (step % 7 != 0)
        continue;
      std::vector<std::int64_t> want;
      for (std::size_t d = 0; d < dims; ++d)
        want.push_back(static_cast<std::int64_t>(below(22)) - 5);
      const std::uint64_t mask = below(15) + 1;
      const Key from{below(2) * below(55), below(2'000)};
      const auto odd = [&](Ranked::Id i) { return i % 3 != 0; };
      Ranked::Id expected = Ranked::none;
      Key best{~0ull, ~0ull};
      for (const auto& [i, entry] : list) {
        bool fits = !(entry.key < from) && entry.key < best && (entry.mask & mask) && odd(i);
        for (std::size_t d = 0; d < dims; ++d)
          fits &= entry.amounts[d] >= want[d];
        if (fits) {
          best = entry.key;
          expected = i;
        }
      }
      ASSERT_EQ(tree.first(want, mask, odd, from), expected) << "REEVE_SEED=" << seed;
      ASSERT_EQ(tree.size(), list.size());
      if (list.empty())
        continue;
      Key first{~0ull, ~0ull};
      Ranked::Id first_id = Ranked::none;
      std::uint64_t all = 0;
      std::vector<std::int64_t> most(dims, -100);
      for (const auto& [i, entry] : list) {
        if (entry.key < first)
          first_id = i;
        first = std::min(first, entry.key);
        all |= entry.mask;
        for (std::size_t d = 0; d < dims; ++d)
          most[d] = std::max(most[d], entry.amounts[d]);
      }
      ASSERT_EQ(tree.first_key(), first);
      ASSERT_EQ(tree.first_id(), first_id);
      ASSERT_EQ(tree.mask(), all);
      for (std::size_t d = 0; d < dims; ++d)
        ASSERT_EQ(tree.most(d), most[d]);
      ASSERT_EQ(tree.key_of(list.begin()->first), list.begin()->second.key);
    }
  }
}

} // namespace
} // namespace reeve::sched
