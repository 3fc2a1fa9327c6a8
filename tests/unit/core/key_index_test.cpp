// The index of submission keys, against a plain map.
#include "src/core/job.hpp"

#include <gtest/gtest.h>
#include <random>

namespace reeve::core {
namespace {

TEST(KeyIndex, FindsWhatAMapFindsWhateverIsAddedAndErased) {
  const unsigned seed = std::random_device()();
  RecordProperty("seed", static_cast<int>(seed));
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  KindEntry kind;
  JobTable jobs;
  KeyIndex index;
  std::map<std::pair<std::uint64_t, std::uint64_t>, JobId> map;
  std::vector<KeyPrint> keys; // few places and tags, so that keys meet
  for (std::uint64_t n = 0; n < 400; ++n)
    keys.push_back({n % 50 + 1, (n % 3) << 56 | n});
  for (int round = 0; round < 20'000; ++round) {
    const KeyPrint key = keys[random() % keys.size()];
    const JobId known = index.find(key, jobs);
    const auto at = map.find({key.low, key.high});
    ASSERT_EQ(known, at == map.end() ? JobId() : at->second);
    if (known) {
      index.erase(key, jobs);
      jobs.erase(known);
      map.erase(at);
    } else {
      const JobId id = jobs.newest().next();
      Job& job = jobs.add(id);
      job.kind = &kind;
      job.key = key;
      index.add(key, id, jobs);
      map.emplace(std::pair{key.low, key.high}, id);
    }
  }
}

TEST(KeyIndex, KnowsNothingOfJobsWithoutAKey) {
  JobTable jobs;
  KeyIndex index;
  index.add(KeyPrint{}, JobId(1), jobs);
  EXPECT_EQ(index.find(KeyPrint{}, jobs), JobId());
  index.erase(KeyPrint{}, jobs);
  EXPECT_EQ(index.find(KeyPrint{1, 2}, jobs), JobId());
}

} // namespace
} // namespace reeve::core
