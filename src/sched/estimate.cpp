// See estimate.hpp.
#include "src/sched/estimate.hpp"

#include <algorithm>

namespace reeve::sched {

void Estimate::learn(Duration run_time) {
  recent_[next_] = std::max(run_time, Duration(0));
  next_ = (next_ + 1) % kept;
  used_ = std::min(used_ + 1, kept);
  std::array<Duration, kept> sorted = recent_;
  const auto middle = sorted.begin() + used_ / 2;
  std::nth_element(sorted.begin(), middle, sorted.begin() + used_);
  median_ = *middle;
}

std::optional<Duration> Estimate::median() const {
  if (used_ == 0)
    return {};
  return median_;
}

} // namespace reeve::sched
