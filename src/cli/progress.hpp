// How far jobs are, as one line: counts, rate and time left. Pure: brings no clock, prints nothing.
// Used while waiting.
#pragma once

#include "messages/protocol.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace reeve::cli {

struct Totals {
  std::uint64_t jobs = 0, jobs_ended = 0, tasks = 0, done = 0, failed = 0, running = 0, held = 0;
};
Totals totals(const std::vector<JobProgress>& jobs);

class ProgressLine {
public:
  using Instant = std::chrono::steady_clock::time_point;
  /// `width`: columns of the terminal for a bar, 0 for plain words.
  ProgressLine(std::string title, std::size_t width) : title_(std::move(title)), width_(width) {}
  /// The line for these counts, or none when it would be the same as the last.
  std::optional<std::string> line(const std::vector<JobProgress>& jobs, Instant now);

private:
  [[nodiscard]] std::string bar(double part, std::size_t width) const;
  std::string title_;
  std::size_t width_;
  bool started_ = false;
  Instant since_;            // of the first counts
  std::uint64_t before_ = 0; // done at that time
  std::string last_;
};

} // namespace reeve::cli
