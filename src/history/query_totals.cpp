// Totals of jobs and attempts: days and hours from the sums that are kept, what is left of the
// asked stretch at its ends row by row. See history.hpp.
#include "src/history/history.hpp"
#include "src/history/sql.hpp"

#include <algorithm>
#include <limits>

namespace reeve::history {
namespace {

constexpr std::int64_t always = std::numeric_limits<std::int64_t>::max();

/// A stretch of time, in microseconds since 1970; the end is not part of it.
struct Stretch {
  std::int64_t begin = 0, end = always;
  [[nodiscard]] bool empty() const { return begin >= end; }
};
std::int64_t up_to(std::int64_t time, std::int64_t span) {
  return time > always - span ? time : (time + span - 1) / span * span;
}
std::int64_t down_to(std::int64_t time, std::int64_t span) {
  return time == always ? time : time / span * span;
}
/// Whole slots of `span` within, and what is left before and behind them.
struct Cut {
  Stretch before, whole, behind;
};
Cut cut(Stretch all, std::int64_t span) {
  const Stretch whole{up_to(all.begin, span), down_to(all.end, span)};
  if (all.empty() || whole.empty())
    return {all, {0, 0}, {0, 0}};
  return {{all.begin, whole.begin}, whole, {whole.end, all.end}};
}

template<class Sums> constexpr bool of_jobs = std::is_same_v<Sums, JobSums>;

/// What rows of one group have in common, as SQL; empty: there is no such group.
std::string group_of(const QueryHistory& q, const std::string& time) {
  if (q.by == "user" || q.by == "queue" || q.by == "name")
    return "coalesce(k." + q.by + ",'')";
  if (q.by == "node" && q.kind == HistoryKind::attempts)
    return "coalesce(m.name,'')";
  if (q.by == "all")
    return "'all'";
  if (q.by == "hour" || q.by == "day") {
    const std::string span = std::to_string(q.by == "hour" ? hour_us : day_us);
    return time + "/" + span + "*" + span;
  }
  return {};
}

/// The table of kept sums that can answer; empty: only rows can.
std::string kept_sums(const QueryHistory& q) {
  if (!q.name.empty() || q.by == "name" || q.job)
    return {};
  if (q.kind == HistoryKind::jobs)
    return "job_totals";
  const bool owner = !q.user.empty() || !q.queue.empty() || q.by == "user" || q.by == "queue";
  const bool node = !q.node.empty() || q.by == "node";
  return owner && node ? "" : node ? "node_totals" : "attempt_totals";
}

/// Of whole slots of `span`.
template<class Sums>
Sql from_kept(const QueryHistory& q, const std::string& table, std::int64_t span, Stretch of) {
  const bool node = table == "node_totals";
  const std::string columns =
    of_jobs<Sums> ? "k.jobs,k.succeeded,k.failed,k.cancelled,k.tasks,k.waits,k.sum_wait_us,"
                    "k.longest_wait_us,k.sum_ran_us,k.spread"
                  : "k.attempts,k.succeeded,k.failed,k.lost,k.sum_wall_us,k.sum_cpu_us,"
                    "k.max_rss_bytes";
  Sql sql("SELECT " + group_of(q, "k.slot_us") + "," + columns + " FROM " + table + " k" +
          (node ? " LEFT JOIN node_names m ON m.node=k.node" : ""));
  sql.also("k.span_us=", span);
  sql.also("k.slot_us>=", of.begin);
  sql.also("k.slot_us<", of.end);
  return sql;
}

template<class Sums> Sql from_rows(const QueryHistory& q) {
  return Sql(of_jobs<Sums>
               ? "SELECT " + group_of(q, "j.ended_us") + "," + job_sums() +
                   " FROM job_rows j LEFT JOIN kinds k ON k.kind=j.kind"
               : "SELECT " + group_of(q, "r.recorded_us") + "," + attempt_sums() +
                   " FROM attempt_runs r LEFT JOIN job_rows j ON j.job=r.job LEFT JOIN kinds k ON "
                   "k.kind=j.kind LEFT JOIN node_names m ON m.node=r.node");
}

void also_owner(Sql& sql, const QueryHistory& q) {
  if (!q.user.empty())
    sql.also("k.user=?", q.user);
  if (!q.queue.empty())
    sql.also("k.queue=?", q.queue);
  if (!q.node.empty())
    sql.also("m.name=?", q.node);
}

template<class Sums>
Result<void> gather_sums(sqlite::Database& db, const Sql& sql, std::map<std::string, Sums>& to) {
  auto statement = sql.prepare(db);
  if (!statement)
    return tl::unexpected<Error>(std::move(statement).error());
  for (;;) {
    auto row = statement->next(db.path());
    if (!row)
      return tl::unexpected<Error>(std::move(row).error());
    if (!*row)
      return {};
    to[std::string(statement->text_at(0))].add(Sums::at(*statement, 1));
  }
}

std::string or_nothing(bool there, std::int64_t value) {
  return there ? std::to_string(value) : std::string();
}

std::vector<std::string> cells_of(const JobSums& s) {
  const auto part = [&](int percent) {
    return or_nothing(s.waits > 0, std::min(s.longest_wait_us, s.spread.percentile(percent)));
  };
  return {std::to_string(s.jobs),
          std::to_string(s.succeeded),
          std::to_string(s.failed),
          std::to_string(s.cancelled),
          std::to_string(s.tasks),
          or_nothing(s.waits > 0, s.waits > 0 ? s.sum_wait_us / s.waits : 0),
          part(100),
          part(50),
          part(90),
          part(99),
          std::to_string(s.sum_ran_us)};
}
std::vector<std::string> cells_of(const AttemptSums& s) {
  return {std::to_string(s.attempts),
          std::to_string(s.succeeded),
          std::to_string(s.failed),
          std::to_string(s.lost),
          std::to_string(s.sum_wall_us),
          std::to_string(s.sum_cpu_us),
          or_nothing(s.max_rss_bytes > 0, s.max_rss_bytes)};
}
std::int64_t size_of(const JobSums& s) {
  return s.jobs;
}
std::int64_t size_of(const AttemptSums& s) {
  return s.attempts;
}

/// Those with most first, times in their order.
template<class Sums>
void list_sums(const QueryHistory& q, const std::map<std::string, Sums>& all, HistoryRows& out) {
  std::vector<const std::pair<const std::string, Sums>*> order;
  for (const auto& group : all)
    if (size_of(group.second) > 0)
      order.push_back(&group);
  if (q.by != "hour" && q.by != "day")
    std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
      return size_of(a->second) > size_of(b->second);
    });
  order.resize(std::min<std::size_t>(order.size(), q.limit));
  for (const auto* group : order) {
    auto& cells = out.rows.emplace_back(std::vector<std::string>{group->first});
    for (auto& cell : cells_of(group->second))
      cells.push_back(std::move(cell));
  }
}

} // namespace

template<class Sums> Result<std::map<std::string, Sums>> History::sums_of(const QueryHistory& q) {
  std::map<std::string, Sums> sums;
  Result<void> good;
  const auto by_rows = [&](Stretch of) {
    if (!good || of.empty())
      return;
    QueryHistory part = q;
    part.since = TimePoint(Duration(of.begin));
    part.until = of.end == always ? TimePoint() : TimePoint(Duration(of.end - 1));
    Sql sql = from_rows<Sums>(q);
    std::string ids;
    good = of_jobs<Sums> ? bound_ids(part, "end_id", ids_.end, "j.end_id", ids)
                         : bound_ids(part, "run_id", ids_.run, "r.id", ids);
    if (!good)
      return;
    sql.also(ids);
    also_time(sql, part, of_jobs<Sums> ? "j.ended_us" : "r.recorded_us");
    also_name(sql, "k.name", q.name);
    also_owner(sql, q);
    if (q.job)
      sql.also(of_jobs<Sums> ? "j.job=" : "r.job=", static_cast<std::int64_t>(q.job.value));
    good = gather_sums(db_, sql.end(" GROUP BY 1"), sums);
  };
  const std::string table = kept_sums(q);
  const auto by_slots = [&](std::int64_t span, Stretch of) {
    if (!good || of.empty())
      return;
    Sql sql = from_kept<Sums>(q, table, span, of);
    also_owner(sql, q);
    good = gather_sums(db_, sql, sums);
  };
  const Stretch all{std::max<std::int64_t>(us(q.since), 0),
                    q.until == TimePoint() ? always : us(q.until) + 1};
  if (table.empty()) {
    by_rows(all);
  } else {
    const Cut hours = cut(all, hour_us);
    by_rows(hours.before);
    by_rows(hours.behind);
    const Cut days = q.by == "hour" ? Cut{hours.whole, {0, 0}, {0, 0}} : cut(hours.whole, day_us);
    by_slots(hour_us, days.before);
    by_slots(day_us, days.whole);
    by_slots(hour_us, days.behind);
  }
  if (!good)
    return tl::unexpected<Error>(std::move(good).error());
  return sums;
}

/// Without paging: as many groups as `limit`.
Result<HistoryRows> History::query_totals(const QueryHistory& q) {
  const bool jobs = q.kind == HistoryKind::jobs;
  if (!jobs && q.kind != HistoryKind::attempts)
    return fail(Code::bad_field, "by", "totals are of jobs or of attempts");
  if (group_of(q, "").empty())
    return fail(Code::bad_field, "by",
                std::string("must be one of user, queue, name, hour, day, all") +
                  (jobs ? "" : ", node") + ", got '" + q.by + "'");
  if (q.before > 0)
    return fail(Code::bad_field, "before", "totals have one page");
  if (!q.state.empty())
    return fail(Code::bad_field, "state", "totals count every state, each in its column");
  if (q.task)
    return fail(Code::bad_field, "task", "totals are not of single tasks");
  if (!q.node.empty() && jobs)
    return fail(Code::bad_field, "node", "totals of jobs are not of single nodes; ask attempts");
  HistoryRows out;
  out.columns = {q.by == "all" ? "of_what" : q.by == "hour" || q.by == "day" ? q.by + "_us" : q.by};
  const auto add = [&](auto sums, std::initializer_list<const char*> columns) -> Result<void> {
    if (!sums)
      return tl::unexpected<Error>(std::move(sums).error());
    out.columns.insert(out.columns.end(), columns.begin(), columns.end());
    list_sums(q, *sums, out);
    return {};
  };
  const auto added =
    jobs ? add(sums_of<JobSums>(q),
               {"jobs", "succeeded", "failed", "cancelled", "tasks", "average_wait_us",
                "longest_wait_us", "p50_wait_us", "p90_wait_us", "p99_wait_us", "sum_ran_us"})
         : add(sums_of<AttemptSums>(q), {"attempts", "succeeded", "failed", "lost", "sum_wall_us",
                                         "sum_cpu_us", "max_rss_bytes"});
  if (!added)
    return tl::unexpected<Error>(added.error());
  return out;
}

} // namespace reeve::history
