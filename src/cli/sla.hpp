// What was promised and what was kept over a stretch of time, out of the history's totals and of
// what nodes went through. Pure: `reeve stats --since` asks the questions and hands in the answers.
#pragma once

#include "messages/protocol.hpp"

#include <optional>

namespace reeve::cli {

/// Figures of one stretch of time. Parts are 0 to 1; none: nothing to say it of.
struct SlaReport {
  TimePoint since, until;
  std::uint64_t jobs = 0, succeeded = 0, failed = 0, cancelled = 0;
  std::uint64_t attempts = 0, attempts_failed = 0, attempts_lost = 0;
  Duration average_wait{0}, longest_wait{0}; // of jobs, until their first task was placed
  std::optional<double> reliability;      // jobs that succeeded, of those that were not cancelled
  std::optional<double> attempt_failures; // attempts that failed or were lost
  std::optional<double> availability;     // node time up, of node time in the cluster
};

/// `jobs`: totals of jobs by anything; `attempts`: totals of attempts by node; `nodes`: rows of
/// nodes, newest first, from the beginning of the history. A node counts from its registration
/// until it took its leave or was removed; between being lost and registering again it is down.
SlaReport sla_report(const HistoryRows& jobs, const HistoryRows& attempts, const HistoryRows& nodes,
                     TimePoint since, TimePoint until);

/// A promise: `reliability=99`, `availability=99.9` (per cent at least), `failures=2` (per cent at
/// most), `wait=5m` (on average), `longest=1h`.
struct SlaTarget {
  std::string name;
  double percent = 0;
  Duration wait{0};
};
/// Errors: bad_field (`--target`).
Result<SlaTarget> parse_target(const std::string& text);
/// What was measured, in words, and whether the promise was kept; nothing when nothing was
/// measured.
struct SlaVerdict {
  std::string measured;
  bool kept = true;
};
std::optional<SlaVerdict> judge(const SlaReport& report, const SlaTarget& target);

} // namespace reeve::cli
