// How long jobs waited, counted in classes of a width of 1/32 of their bounds: a percentile of
// millions of waits out of some hundred bytes that can be added up. Used by totals and their
// questions. Pure; a text that is damaged gives what can be read of it.
// After: Tene, HdrHistogram (log-linear classes).
#pragma once

#include "src/sqlite/database.hpp"

#include <utility>
#include <vector>

namespace reeve::history {

class Waits {
public:
  /// `us`: microseconds; below 0 counts as 0. `times` may be negative: a wait that is taken back.
  void add(std::int64_t us, std::int64_t times = 1);
  void add(const Waits& other);
  /// Sorts what was added: several questions are quicker then.
  void count();
  /// So many in a hundred waited at most this long: never too low, and at most 1/32 too high. 0
  /// when there are none. `percent`: 0 to 100.
  [[nodiscard]] std::int64_t percentile(int percent) const;
  /// What a database keeps. Classes and counts as variable-length integers.
  [[nodiscard]] std::string encode() const;
  static Waits decode(std::string_view bytes);

private:
  using Class = std::pair<std::uint32_t, std::int64_t>; // and how many waits of it
  [[nodiscard]] std::vector<Class> counted() const;
  std::vector<Class> classes_;       // in their order, none of 0
  std::vector<std::uint32_t> fresh_; // classes of waits that are not counted yet: that is quick
};

/// SQL functions: waits_of(us) of the rows of a group, nulls left out, and add_waits(a, b).
Result<void> add_waits_functions(sqlite::Database& db);

} // namespace reeve::history
