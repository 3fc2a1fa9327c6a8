// The only source of chance in the simulation: streams of numbers, each from a seed of its own, so
// that taking one fault out of a run leaves the others as they were. Used by everything in
// tests/sim. Never seeded from outside.
#pragma once

#include "messages/ids.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace reeve::sim {

/// Scatters its input (the finaliser of splitmix64, Steele, Lea and Flood, OOPSLA 2014).
inline std::uint64_t scatter(std::uint64_t z) {
  z += 0x9E3779B97F4A7C15ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}
inline std::uint64_t seed_of(std::uint64_t seed, std::string_view name, std::uint64_t number = 0) {
  for (const char c : name)
    seed = scatter(seed ^ static_cast<unsigned char>(c));
  return scatter(seed ^ number);
}

class Random {
public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() { return scatter(state_++); }
  /// [0, n); 0 when n is 0.
  std::uint64_t below(std::uint64_t n) { return n == 0 ? 0 : next() % n; }
  std::int64_t between(std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(most - least) + 1));
  }
  Duration between(Duration least, Duration most) {
    return Duration(between(least.count(), most.count()));
  }
  bool percent(std::uint64_t p) { return below(100) < p; }
  bool per_mille(std::uint64_t p) { return below(1'000) < p; }
  template<class T> T& pick(std::vector<T>& from) { return from[below(from.size())]; }
  template<class T> void shuffle(std::vector<T>& values) {
    for (std::size_t i = values.size(); i > 1; --i)
      std::swap(values[i - 1], values[below(i)]);
  }

private:
  std::uint64_t state_;
};

} // namespace reeve::sim
