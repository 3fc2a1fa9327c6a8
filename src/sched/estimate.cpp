// See estimate.hpp.
#include "src/sched/estimate.hpp"

#include "src/core/draft.hpp"

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

EstimatePtr Families::of(const core::Kind& kind) {
  if (kind.family.empty())
    return nullptr;
  return of(kind.user, kind.executor, kind.family);
}

std::set<std::string> Families::remember(std::span<const RunTime> past) {
  std::set<std::string> families;
  std::set<Estimate*> taught; // by the past, not by what has ended since
  for (const RunTime& run : past) {
    const std::string family = core::family_of(run.name);
    if (family.empty())
      continue;
    Estimate* estimate = of(run.user, run.executor, family).get();
    if (estimate->median() && !taught.contains(estimate))
      continue;
    taught.insert(estimate);
    estimate->learn(run.time);
    families.insert(family);
  }
  return families;
}

EstimatePtr Families::of(const std::string& user, const std::string& executor,
                         const std::string& family) {
  const std::string name = user + '\0' + executor + '\0' + family;
  if (const auto at = young_.find(name); at != young_.end())
    return at->second;
  if (young_.size() >= kept)
    old_ = std::exchange(young_, {});
  EstimatePtr estimate;
  if (const auto at = old_.find(name); at != old_.end())
    estimate = at->second;
  else
    estimate = std::make_shared<Estimate>();
  young_[name] = estimate;
  return estimate;
}

Duration corrected(Duration expected, Duration so_far, Duration limit) {
  // Doubling, as Tsafrir, Etsion and Feitelson increase predictions that have run out ("Backfilling
  // using system-generated predictions", TPDS 2007).
  Duration total = std::max(expected, Duration(1));
  while (total <= so_far)
    total *= 2;
  if (limit > Duration(0) && so_far < limit)
    total = std::min(total, limit);
  return total;
}

} // namespace reeve::sched
