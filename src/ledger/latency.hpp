// How often something took how long: fixed classes, so that figures of many masters and of any
// length of time add up. Used by the ledger and its actor's deciders. Never reads a clock.
#pragma once

#include "messages/protocol.hpp"

#include <algorithm>
#include <array>

namespace reeve::ledger {

class Latency {
public:
  /// Microseconds: 1, 2.5 and 5 times each power of ten, from 50 µs to an hour and more.
  static constexpr std::array<std::int64_t, 19> bounds_us{
    50,         100,         250,         500,           1'000,         2'500,     5'000,
    10'000,     25'000,      50'000,      100'000,       250'000,       1'000'000, 5'000'000,
    25'000'000, 100'000'000, 600'000'000, 3'600'000'000, 36'000'000'000};

  /// `times`: as if called so often. Less than nothing, as by clocks that differ, counts as
  /// nothing.
  void took(Duration time, std::uint64_t times = 1) {
    const std::int64_t us = std::max<std::int64_t>(time.count(), 0);
    const auto at = std::lower_bound(bounds_us.begin(), bounds_us.end(), us);
    counts_[static_cast<std::size_t>(at - bounds_us.begin())] += times;
    sum_us_ += us * static_cast<std::int64_t>(times);
    total_ += times;
  }
  [[nodiscard]] std::uint64_t total() const { return total_; }
  [[nodiscard]] Histogram histogram() const {
    return {{bounds_us.begin(), bounds_us.end()}, {counts_.begin(), counts_.end()}, sum_us_};
  }

private:
  std::array<std::uint64_t, bounds_us.size() + 1> counts_{};
  std::int64_t sum_us_ = 0;
  std::uint64_t total_ = 0;
};

} // namespace reeve::ledger
