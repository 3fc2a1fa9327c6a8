// How much of its time somebody spends on what can wait: a part of it, however much is asked. Used
// by the scheduler's actor for questions, so that they never slow it. Reads no clock.
#pragma once

#include "messages/types.hpp"

#include <algorithm>

namespace reeve::sched {

class Ration {
public:
  /// One in so many moments may go to it; of the next `ahead` all at once.
  Ration(std::int64_t one_in, Duration ahead) : one_in_(one_in), ahead_(ahead) {}
  [[nodiscard]] bool may(TimePoint now) const { return now >= next(); }
  void took(TimePoint begun, TimePoint finished) {
    spent_until_ = std::max(spent_until_, begun) + (finished - begun) * one_in_;
  }
  /// When it may be.
  [[nodiscard]] TimePoint next() const { return spent_until_ - ahead_; }

private:
  std::int64_t one_in_;
  Duration ahead_;
  TimePoint spent_until_; // its part of the time, as far as that has gone to it
};

} // namespace reeve::sched
