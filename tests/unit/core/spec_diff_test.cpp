// Specifications kept as what makes them differ: every one comes back as it was.
#include "src/core/spec_diff.hpp"

#include "messages/types.hpp"

#include <gtest/gtest.h>
#include <random>

namespace reeve::core::test {
namespace {

std::string again(const std::string& sample, const std::string& spec) {
  return spec_restored(sample, spec_difference(sample, spec));
}

TEST(spec_difference, gives_every_specification_back) {
  const std::string sample = "the quick brown fox jumps over the lazy dog";
  const std::string long_tail(100'000, 'x');
  for (const std::string& spec :
       {std::string(), sample, std::string("the"), sample + sample, sample.substr(20),
        std::string("no relation at all"),
        std::string("the quick red fox jumps over the lazy dog 7"),
        "the quick brown fox " + long_tail + " jumps over the lazy dog", long_tail}) {
    EXPECT_EQ(again(sample, spec), spec);
    EXPECT_EQ(again(spec, sample), sample);
    EXPECT_EQ(again("", spec), spec);
  }
}

TEST(spec_difference, is_nothing_for_what_is_the_same) {
  EXPECT_TRUE(spec_difference("abc", "abc").empty());
  EXPECT_FALSE(spec_difference("abc", "").empty());
  EXPECT_EQ(again("abc", ""), "");
}

TEST(spec_difference, of_jobs_that_are_alike_but_for_a_number_is_a_few_bytes) {
  JobSpec spec;
  const auto numbered = [&](const std::string& number) {
    spec.name = "render frame " + number;
    spec.command = {"render", "--scene", "city.blend", "--frame", number, "--out", number + ".png"};
    spec.env = {{"HOME", "/home/ada"}, {"LANG", "C.UTF-8"}};
    return encode(spec);
  };
  const std::string sample = numbered("1");
  for (const char* number : {"2", "10", "999999", "123456789"}) {
    const std::string other = numbered(number);
    EXPECT_EQ(again(sample, other), other);
    EXPECT_LE(spec_difference(sample, other).size(), 20 + 4 * std::string(number).size());
  }
}

TEST(spec_difference, of_random_edits_gives_them_back) {
  std::mt19937 random(3);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
  for (int i = 0; i < 3000; ++i) {
    std::string sample, spec;
    for (std::size_t n = below(300); n > 0; --n)
      sample.push_back(static_cast<char>('a' + below(i % 2 ? 3 : 26)));
    spec = sample;
    for (std::size_t edits = below(6); edits > 0; --edits) {
      const std::size_t at = below(spec.size() + 1);
      if (below(2) == 0)
        spec.erase(at, below(20));
      else
        spec.insert(at, std::string(below(20), static_cast<char>('a' + below(26))));
    }
    ASSERT_EQ(again(sample, spec), spec);
  }
}

TEST(spec_difference, that_is_damaged_reads_nothing_beyond_its_bounds) {
  std::mt19937 random(5);
  const std::string sample(100, 's');
  for (int i = 0; i < 3000; ++i) {
    std::string bytes;
    for (std::size_t n = random() % 30; n > 0; --n)
      bytes.push_back(static_cast<char>(random()));
    EXPECT_LE(spec_restored(sample, bytes).size(), sample.size() + bytes.size());
  }
}

} // namespace
} // namespace reeve::core::test
