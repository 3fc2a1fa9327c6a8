// Sums of what has ended, for each hour and each day: totals over a month need not look at a
// month's rows. History keeps them in the transaction that writes the rows, so both always agree;
// query_totals.cpp reads them. Must never count a row that is not there.
#pragma once

#include "src/history/rows.hpp"
#include "src/history/waits.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace reeve::history {

constexpr std::int64_t hour_us = 3'600'000'000, day_us = 24 * hour_us;

/// A stretch of time, in microseconds since 1970; the end is not part of it.
struct Stretch {
  std::int64_t begin = 0, end = std::numeric_limits<std::int64_t>::max();
  [[nodiscard]] bool empty() const { return begin >= end; }
  [[nodiscard]] bool has(std::int64_t time) const { return time >= begin && time < end; }
};

struct JobSums {
  std::int64_t jobs = 0, succeeded = 0, failed = 0, cancelled = 0, tasks = 0;
  std::int64_t waits = 0, sum_wait_us = 0, longest_wait_us = 0; // of those that started
  std::int64_t sum_ran_us = 0;
  Waits spread;

  [[nodiscard]] std::int64_t size() const { return jobs; }
  void add(const JobSums& other);
  /// Columns from `column` on, in the order of the fields.
  static JobSums at(const sqlite::Statement& row, int column);
};
struct AttemptSums {
  std::int64_t attempts = 0, succeeded = 0, failed = 0, lost = 0;
  std::int64_t sum_wall_us = 0, sum_cpu_us = 0, max_rss_bytes = 0;

  [[nodiscard]] std::int64_t size() const { return attempts; }
  void add(const AttemptSums& other) { // inline: of millions
    attempts += other.attempts;
    succeeded += other.succeeded;
    failed += other.failed;
    lost += other.lost;
    sum_wall_us += other.sum_wall_us;
    sum_cpu_us += other.sum_cpu_us;
    max_rss_bytes = std::max(max_rss_bytes, other.max_rss_bytes);
  }
  static AttemptSums at(const sqlite::Statement& row, int column);
};

/// An end of a job, as far as sums need it.
struct EndedJob {
  JobState state = JobState::succeeded;
  std::int64_t tasks = 0;
  TimePoint submitted, started, ended; // 0: unknown
};

/// What `tasks` tasks of one run add.
AttemptSums sums_of_run(Cause cause, std::int64_t tasks);

/// The sums of one transaction, before they are written: of each owner (user and queue), of each
/// node, of each queue on each node (days only), and of each name of jobs an owner has. Where jobs
/// of a slot have more than `names_max` names, as when each has its own, a row for each would cost
/// more than it saves: such a slot is noted as crowded, and has no sums by name.
class Totals {
public:
  static constexpr std::size_t names_max = 4'096;

  Result<void> prepare(sqlite::Database& db);
  /// `kind`: of jobs, a number of the caller's. `times`: -1 takes an end back.
  void add_job(std::int64_t kind, const EndedJob& end, int times = 1);
  /// `queue`: its number.
  void add_attempts(std::int64_t kind, std::uint32_t queue, NodeId node, TimePoint recorded,
                    const AttemptSums& sums);
  /// Which stays as long as this.
  std::uint32_t number_of_queue(const std::string& queue);
  using KeyOf = std::function<const KindKey&(std::int64_t kind)>;
  Result<void> write(sqlite::Database& db, const KeyOf& key_of);
  /// What was added, and what is known of the database, may not be in it.
  void forget();
  /// Forgets hours and days that were over by then.
  static Result<void> sweep(sqlite::Database& db, TimePoint cutoff);

private:
  void clear();
  struct HourOf { // a kind's, or a node's
    std::int64_t hour = 0, number = 0;
    auto operator<=>(const HourOf&) const = default;
  };
  struct Hash {
    std::size_t operator()(const HourOf& key) const noexcept {
      return static_cast<std::size_t>(key.number) * 0x9E3779B97F4A7C15ULL ^
             static_cast<std::size_t>(key.hour);
    }
  };
  template<class Sums> using Hours = std::unordered_map<HourOf, Sums, Hash>;
  template<class Sums> struct Tables {
    sqlite::Statement of_owners, of_names;
    std::string names; // the table
  };
  template<class Sums>
  Result<void> write_kinds(sqlite::Database& db, const Hours<Sums>& from, Tables<Sums>& to,
                           const KeyOf& key_of);
  Result<bool> room_for(sqlite::Database& db, const std::string& table, std::int64_t span,
                        std::int64_t slot, std::size_t names);

  Hours<JobSums> jobs_;
  Hours<AttemptSums> attempts_, nodes_, queues_; // of the last the number has queue and node
  std::unordered_map<std::string, std::uint32_t> queue_numbers_;
  std::vector<std::string> queue_names_; // by number
  Tables<JobSums> job_tables_;
  Tables<AttemptSums> attempt_tables_;
  sqlite::Statement add_node_, add_queue_;
  // Names that a slot has, or that many at most; none: it is crowded.
  std::map<std::tuple<std::string, std::int64_t, std::int64_t>, std::optional<std::size_t>> names_;
};

/// The tables, as SQL, and what fills them from rows that are there already.
std::string totals_tables();
std::string fill_totals();
/// Those that layout 4 had not.
std::string queues_table();
std::string fill_queues();
/// The sums of rows as SQL, in the order of the fields; `e`: job_ends, `j`: job_rows, `r`:
/// attempt_runs.
std::string job_sums();
std::string attempt_sums();

} // namespace reeve::history
