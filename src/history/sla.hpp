// What was promised and what was kept over a stretch of time, out of the history's totals and of
// what nodes went through. Pure: `reeve stats --since` and the archivist ask the history and judge
// with this. Reads no clock.
#pragma once

#include "messages/entries.hpp"
#include "messages/protocol.hpp"

#include <functional>
#include <optional>

namespace reeve::history {

/// Figures of one stretch of time. Parts are 0 to 1; none: nothing to say it of.
struct SlaReport {
  TimePoint since, until;
  std::uint64_t jobs = 0, succeeded = 0, failed = 0, cancelled = 0;
  std::uint64_t attempts = 0, attempts_failed = 0, attempts_lost = 0;
  Duration average_wait{0}, longest_wait{0}; // of jobs, until their first task was placed
  Duration p50_wait{0}, p90_wait{0}, p99_wait{0};
  std::optional<double> reliability;      // jobs that succeeded, of those that were not cancelled
  std::optional<double> attempt_failures; // attempts that failed or were lost
  std::optional<double> availability;     // node time up, of node time in the cluster
};

/// `jobs`: totals of all jobs together; `attempts`: totals of attempts by anything; `nodes`: rows
/// of nodes, newest first, from the beginning of the history. A node counts from its registration
/// until it took its leave or was removed; between being lost and registering again it is down.
SlaReport sla_report(const HistoryRows& jobs, const HistoryRows& attempts, const HistoryRows& nodes,
                     TimePoint since, TimePoint until);

using AskHistory = std::function<Result<HistoryRows>(const QueryHistory&)>;
/// Asks what a report needs. Errors: of the asking.
Result<SlaReport> ask_report(const AskHistory& ask, TimePoint since, TimePoint until);

/// A promise: `reliability=99`, `availability=99.9` (per cent at least), `failures=2` (per cent at
/// most), and waits at most: `wait=5m` (on average), `longest=1h`, `p50=1s`, `p90=1m`, `p99=5m`.
struct SlaTarget {
  std::string name;
  double percent = 0;
  Duration wait{0};
  [[nodiscard]] std::string text() const; // "at least 99 %"
};
/// Errors: bad_field (`field`).
Result<SlaTarget> parse_target(const std::string& text, const std::string& field = "--target");
/// Those that the settings `sla.*` make. What promises nothing (0 % at least, 100 % at most, 0s) is
/// left out.
std::vector<SlaTarget> targets_in(const std::map<std::string, std::string>& settings);

/// What was measured, in words, and whether the promise was kept; nothing when nothing was
/// measured.
struct SlaVerdict {
  std::string measured;
  bool kept = true;
};
std::optional<SlaVerdict> judge(const SlaReport& report, const SlaTarget& target);

/// Verdicts on every promise that there can be, for the ledger, which takes those that are news.
/// `report`: none when nothing is promised.
std::vector<PromiseJudged> judge_all(const std::optional<SlaReport>& report,
                                     const std::vector<SlaTarget>& targets);

} // namespace reeve::history
