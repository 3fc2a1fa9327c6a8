// How long a task of a kind runs: the median of the newest run times. Owned by Scheduler, one for
// each kind. Reads no clock.
#pragma once

#include "messages/ids.hpp"

#include <array>
#include <optional>

namespace reeve::sched {

/// The median of up to 31 samples: half of them may be arbitrarily wrong, and a change of the work
/// is followed after 16.
class Estimate {
public:
  void learn(Duration run_time);
  [[nodiscard]] std::optional<Duration> median() const;
  [[nodiscard]] std::uint32_t samples() const { return used_; }

private:
  static constexpr std::uint32_t kept = 31;
  std::array<Duration, kept> recent_{};
  std::uint32_t used_ = 0, next_ = 0;
  Duration median_{0};
};

} // namespace reeve::sched
