// Sums of what has ended, for each hour and each day: totals over a month need not look at a
// month's rows. History keeps them in the transaction that writes the rows, so both always agree;
// query_totals.cpp reads them. Must never count a row that is not there.
#pragma once

#include "src/core/changes.hpp"
#include "src/history/waits.hpp"

#include <array>
#include <map>
#include <tuple>

namespace reeve::history {

constexpr std::int64_t hour_us = 3'600'000'000, day_us = 24 * hour_us;

struct JobSums {
  std::int64_t jobs = 0, succeeded = 0, failed = 0, cancelled = 0, tasks = 0;
  std::int64_t waits = 0, sum_wait_us = 0, longest_wait_us = 0; // of those that started
  std::int64_t sum_ran_us = 0;
  Waits spread;

  void add(const JobSums& other);
  /// Columns from `column` on, in the order of the fields.
  static JobSums at(const sqlite::Statement& row, int column);
};
struct AttemptSums {
  std::int64_t attempts = 0, succeeded = 0, failed = 0, lost = 0;
  std::int64_t sum_wall_us = 0, sum_cpu_us = 0, max_rss_bytes = 0;

  void add(const AttemptSums& other);
  static AttemptSums at(const sqlite::Statement& row, int column);
};

/// An end of a job, as far as sums need it.
struct EndedJob {
  JobState state = JobState::succeeded;
  std::int64_t tasks = 0;
  TimePoint submitted, started, ended; // 0: unknown
};

/// The sums of one transaction, before they are written.
class Totals {
public:
  Result<void> prepare(sqlite::Database& db);
  /// `times`: -1 takes an end back.
  void add_job(std::string_view user, std::string_view queue, const EndedJob& end, int times = 1);
  void add_attempts(std::string_view user, std::string_view queue, NodeId node, TimePoint recorded,
                    const AttemptSums& sums);
  Result<void> write(sqlite::Database& db);
  void clear();
  /// Forgets hours and days that were over by then.
  static Result<void> sweep(sqlite::Database& db, TimePoint cutoff);

private:
  using Owner = std::tuple<std::int64_t, std::string, std::string>; // hour, user, queue
  std::map<Owner, JobSums, std::less<>> jobs_;
  std::map<Owner, AttemptSums, std::less<>> attempts_;
  std::map<std::pair<std::int64_t, NodeId>, AttemptSums> nodes_;
  sqlite::Statement add_job_, add_attempts_, add_node_;
};

/// The tables, as SQL, and what fills them from rows that are there already.
std::string totals_tables();
std::string fill_totals();
/// The sums of rows as SQL, in the order of the fields; `j`: job_rows, `r`: attempt_runs.
std::string job_sums();
std::string attempt_sums();

} // namespace reeve::history
