// Random numbers that are the same on every platform. For tests.
#pragma once

#include <cstdint>
#include <random>

namespace reeve::test {

class Dice {
public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  /// One of 0 … n-1.
  std::uint64_t pick(std::uint64_t n) { return engine_() % n; }
  std::uint64_t any() { return engine_(); }

private:
  std::mt19937_64 engine_;
};

} // namespace reeve::test
