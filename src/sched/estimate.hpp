// How long tasks run: the median of the newest run times, a kind of work. Owned by Scheduler. Reads
// no clock.
#pragma once

#include "src/core/changes.hpp"

#include <array>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>

namespace reeve::sched {

/// The median of up to 31 samples: half of them may be arbitrarily wrong, and a change of the work
/// is followed after 16.
class Estimate {
public:
  void learn(Duration run_time);
  [[nodiscard]] std::optional<Duration> median() const;
  [[nodiscard]] std::uint32_t samples() const { return used_; }
  Duration told{-1}; // as those who sort by it know it

private:
  static constexpr std::uint32_t kept = 31;
  std::array<Duration, kept> recent_{};
  std::uint32_t used_ = 0, next_ = 0;
  Duration median_{0};
};
using EstimatePtr = std::shared_ptr<Estimate>;

/// Estimates by user, executor and job name (numbers in it left out). Those that nobody has asked
/// for are forgotten in the end: names are the users' to invent.
struct RunTime { // of a task that ended well, before this scheduler began
  std::string user, executor, name;
  Duration time{0};
};

class Families {
public:
  /// Null when the kind has no name: its jobs need not be alike.
  EstimatePtr of(const core::Kind& kind);
  /// Takes the past for true of what nothing is known of yet; oldest first. Returns the families.
  std::set<std::string> remember(std::span<const RunTime> past);

private:
  static constexpr std::size_t kept = 10'000;
  using Table = std::unordered_map<std::string, EstimatePtr>;
  EstimatePtr of(const std::string& user, const std::string& executor, const std::string& family);
  Table young_, old_;
};

/// When something that should take `expected` and has taken `so_far` will be over, counted from its
/// start: an estimate that has proved wrong is doubled until it is not, up to `limit` (0: none).
Duration corrected(Duration expected, Duration so_far, Duration limit);

} // namespace reeve::sched
