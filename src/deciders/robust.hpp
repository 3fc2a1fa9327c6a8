// What is usual, and what departs from it, by statistics that a few wild values do not move. Used
// by anomalies and stragglers. Pure.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

namespace reeve::deciders {

/// The middle one, or the mean of the two middle ones; 0 of none.
inline double median(std::vector<double> values) {
  if (values.empty())
    return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1)
    return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

/// Median, and the median distance from it (MAD).
struct Usual {
  double middle = 0, distance = 0;
};
inline Usual usual_of(const std::vector<double>& values) {
  Usual usual{median(values), 0};
  std::vector<double> distances;
  distances.reserve(values.size());
  for (const double value : values)
    distances.push_back(std::abs(value - usual.middle));
  usual.distance = median(std::move(distances));
  return usual;
}

/// How far above the usual a value is: about standard deviations of a normal distribution. Above
/// 3.5 it is an outlier. `least`: a smaller median distance counts as this one.
/// Source: Iglewicz, Hoaglin, "How to Detect and Handle Outliers", 1993 (modified z-score).
inline double departure(double value, const Usual& usual, double least) {
  return 0.6745 * (value - usual.middle) / std::max(usual.distance, least);
}
constexpr double outlier = 3.5;

/// The newest values, up to N.
template<std::size_t N> class Recent {
public:
  void add(double value) {
    values_[next_] = static_cast<float>(value);
    next_ = (next_ + 1) % N;
    size_ = std::min(size_ + 1, N);
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::vector<double> values() const {
    return {values_.begin(), values_.begin() + static_cast<std::ptrdiff_t>(size_)};
  }

private:
  std::array<float, N> values_{};
  std::size_t next_ = 0, size_ = 0;
};

} // namespace reeve::deciders
