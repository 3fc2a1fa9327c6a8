// Progress as a line. See progress.hpp.
#include "src/cli/progress.hpp"

#include "src/util/table.hpp"
#include "src/util/text.hpp"

#include <algorithm>

namespace reeve::cli {

Totals totals(const std::vector<JobProgress>& jobs) {
  Totals t;
  for (const JobProgress& job : jobs) {
    ++t.jobs;
    t.jobs_ended += is_final(job.state) ? 1 : 0;
    t.tasks += job.total;
    t.done += std::uint64_t{job.succeeded} + job.failed + job.cancelled;
    t.failed += job.failed;
    t.running += job.assigned;
    t.held += job.held;
  }
  return t;
}

std::string ProgressLine::bar(double part, std::size_t width) const {
  const auto full = static_cast<std::size_t>(part * static_cast<double>(width));
  std::string out = "[" + std::string(full, '#');
  if (full < width)
    out += ">" + std::string(width - full - 1, ' ');
  return out + "]";
}

std::optional<std::string> ProgressLine::line(const std::vector<JobProgress>& jobs, Instant now) {
  const Totals t = totals(jobs);
  if (t.tasks == 0)
    return std::nullopt; // nothing is known yet
  if (!started_) {
    started_ = true;
    since_ = now;
    before_ = t.done;
  }
  const double part = static_cast<double>(t.done) / static_cast<double>(t.tasks);
  std::string words = std::to_string(t.done) + "/" + std::to_string(t.tasks);
  words += " " + std::to_string(static_cast<int>(part * 100)) + "%";
  if (t.running > 0)
    words += ", " + std::to_string(t.running) + " on nodes";
  if (t.failed > 0)
    words += ", " + std::to_string(t.failed) + " failed";
  if (t.held > 0)
    words += ", " + std::to_string(t.held) + " held";
  const double seconds = std::chrono::duration<double>(now - since_).count();
  const std::uint64_t since = t.done - std::min(t.done, before_);
  if (since > 0 && seconds >= 0.5 && t.done < t.tasks) {
    const double rate = static_cast<double>(since) / seconds;
    const double left = static_cast<double>(t.tasks - t.done) / rate;
    words += ", " + format_count(rate) + "/s";
    if (left < 1e7)
      words += ", " + format_duration(std::chrono::seconds(static_cast<std::int64_t>(left + 0.5))) +
               " left";
  }
  std::string out = title_ + ": " + words;
  if (width_ > 0) {
    const std::size_t used =
      display_width(title_) + display_width(words) + 5; // blanks and brackets
    if (width_ > used + 8)
      out = title_ + " " + bar(part, std::min<std::size_t>(30, width_ - used)) + " " + words;
    else if (out.size() >= width_)
      out.resize(width_ - 1);
  }
  if (out == last_)
    return std::nullopt;
  last_ = out;
  return out;
}

} // namespace reeve::cli
