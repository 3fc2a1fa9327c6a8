// Totals of jobs and attempts: days and hours from the sums that are kept, what is left of the
// asked stretch out of lists (query_lists.cpp). See history.hpp.
#include "src/history/history.hpp"
#include "src/history/sql.hpp"

#include <algorithm>

namespace reeve::history {
namespace {

constexpr std::int64_t always = Stretch().end;

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

/// Those that touch as one.
std::vector<Stretch> joined(std::vector<Stretch> stretches) {
  std::erase_if(stretches, [](const Stretch& stretch) { return stretch.empty(); });
  std::sort(stretches.begin(), stretches.end(),
            [](const Stretch& a, const Stretch& b) { return a.begin < b.begin; });
  std::vector<Stretch> out;
  for (const Stretch& one : stretches)
    if (!out.empty() && out.back().end == one.begin)
      out.back().end = one.end;
    else
      out.push_back(one);
  return out;
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

bool of_names(const QueryHistory& q) {
  return !q.name.empty() || q.by == "name";
}
bool of_owners(const QueryHistory& q) {
  return of_names(q) || !q.user.empty() || !q.queue.empty() || q.by == "user" || q.by == "queue";
}
bool of_nodes(const QueryHistory& q) {
  return !q.node.empty() || q.by == "node";
}

constexpr const char* queues_on_nodes = "queue_node_totals"; // of days only

/// The table of kept sums that can answer; empty: none. Of attempts of users and names on nodes
/// there would be nearly as many as attempts.
std::string kept_sums(const QueryHistory& q) {
  if (of_nodes(q) && (of_names(q) || !q.user.empty() || q.by == "user"))
    return {};
  if (of_nodes(q) && of_owners(q))
    return q.by == "hour" ? "" : queues_on_nodes;
  if (of_nodes(q))
    return "node_totals";
  const std::string of = q.kind == HistoryKind::jobs ? "job" : "attempt";
  return of + (of_names(q) ? "_name_totals" : "_totals");
}

/// Of whole slots of `span`.
template<class Sums>
Sql from_kept(const QueryHistory& q, const std::string& table, std::int64_t span, Stretch of) {
  const bool node = of_nodes(q);
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
               ? "SELECT " + group_of(q, "e.ended_us") + "," + job_sums() +
                   " FROM job_ends e LEFT JOIN job_rows j ON j.job=e.job LEFT JOIN kinds k ON "
                   "k.kind=j.kind"
               : "SELECT " + group_of(q, "r.recorded_us") + "," + attempt_sums() +
                   " FROM attempt_runs r LEFT JOIN job_rows j ON j.job=r.job LEFT JOIN kinds k ON "
                   "k.kind=j.kind LEFT JOIN node_names m ON m.node=r.node");
}

void also_owner(Sql& sql, const QueryHistory& q) {
  also_kind(sql, "k.", q);
  if (!q.node.empty())
    sql.also("m.name=?", q.node);
}

/// Slots of a stretch that have no sums by name.
Result<std::vector<std::int64_t>> slots_without(sqlite::Database& db, const std::string& table,
                                                std::int64_t span, Stretch of) {
  Sql sql("SELECT slot_us FROM crowded_slots");
  sql.also("of_what=?", table);
  sql.also("span_us=", span);
  sql.also("slot_us>=", of.begin);
  sql.also("slot_us<", of.end);
  return numbers_of(db, sql);
}

Stretch asked_of(const QueryHistory& q) {
  return {std::max<std::int64_t>(us(q.since), 0),
          q.until == TimePoint() ? always : us(q.until) + 1};
}

/// Of a row with a group's name and its sums.
template<class Sums>
bool gather_row(const sqlite::Statement& row, std::map<std::string, Sums>& to) {
  to[std::string(row.text_at(0))].add(Sums::at(row, 1));
  return true;
}
template<class Sums>
Result<void> gather_sums(sqlite::Database& db, const Sql& sql, std::map<std::string, Sums>& to) {
  return each_row(db, sql, [&](const sqlite::Statement& row) { return gather_row(row, to); });
}

std::string or_nothing(bool there, std::int64_t value) {
  return there ? std::to_string(value) : std::string();
}

std::vector<std::string> cells_of(const JobSums& s) {
  Waits waits = s.spread;
  waits.count();
  const auto part = [&](int percent) {
    return or_nothing(s.waits > 0, std::min(s.longest_wait_us, waits.percentile(percent)));
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

/// Those with most first, times in their order.
template<class Sums>
void list_sums(const QueryHistory& q, const std::map<std::string, Sums>& all, HistoryRows& out) {
  std::vector<const std::pair<const std::string, Sums>*> order;
  for (const auto& group : all)
    if (group.second.size() > 0)
      order.push_back(&group);
  if (q.by != "hour" && q.by != "day")
    std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
      return a->second.size() > b->second.size();
    });
  order.resize(std::min<std::size_t>(order.size(), q.limit));
  for (const auto* group : order) {
    auto& cells = out.rows.emplace_back(std::vector<std::string>{group->first});
    for (auto& cell : cells_of(group->second))
      cells.push_back(std::move(cell));
  }
}

} // namespace

template<class Sums>
Result<void> History::add_of_job(const QueryHistory& q, std::map<std::string, Sums>& to) {
  Sql sql = from_rows<Sums>(q);
  sql.also(of_jobs<Sums> ? "e.job=" : "r.job=", static_cast<std::int64_t>(q.job.value));
  also_time(sql, q, of_jobs<Sums> ? "e.ended_us" : "r.recorded_us");
  also_owner(sql, q);
  return gather_sums(db_, sql.end(" GROUP BY 1"), to);
}

/// Of a day without sums its hours may have some. These are read about as fast as so many blocks of
/// rows, if each has as many as it may.
constexpr std::size_t rows_of_hours = 32;

template<class Sums>
Result<void> History::add_kept(const QueryHistory& q, const std::string& table,
                               std::map<std::string, Sums>& to, std::vector<Stretch>& rest) {
  Result<void> good;
  const std::function<void(std::int64_t, Stretch)> by_slots = [&](std::int64_t span, Stretch of) {
    if (!good || of.empty())
      return;
    auto crowded =
      of_names(q) ? slots_without(db_, table, span, of) : Result<std::vector<std::int64_t>>();
    if (!crowded) {
      good = tl::unexpected<Error>(std::move(crowded).error());
      return;
    }
    Sql sql = from_kept<Sums>(q, table, span, of);
    also_owner(sql, q);
    good = gather_sums(db_, sql, to);
    for (const std::int64_t slot : *crowded) {
      const Stretch left{std::max(slot, of.begin), std::min(slot + span, of.end)};
      const auto rows = span == day_us ? rows_within(of_jobs<Sums>, left) : 0;
      if (!rows)
        good = tl::unexpected<Error>(rows.error());
      else if (*rows > rows_of_hours * lists_.block())
        by_slots(hour_us, left);
      else
        rest.push_back(left);
    }
  };
  const Cut hours = cut(asked_of(q), table == queues_on_nodes ? day_us : hour_us);
  rest.push_back(hours.before);
  rest.push_back(hours.behind);
  const Cut days = q.by == "hour" ? Cut{hours.whole, {0, 0}, {0, 0}} : cut(hours.whole, day_us);
  by_slots(hour_us, days.before);
  by_slots(day_us, days.whole);
  by_slots(hour_us, days.behind);
  return good;
}

Result<bool> History::add_few_on_node(const QueryHistory& q,
                                      std::map<std::string, AttemptSums>& to) {
  const std::size_t looked_at_max = lists_.block() / 3; // one by one, at some microseconds each
  const auto nodes = nodes_named(q.node);
  const auto ids = listed_ids(false, asked_of(q));
  if (!nodes || !ids)
    return tl::unexpected<Error>(!nodes ? nodes.error() : ids.error());
  Lists::Keys found;
  auto read = lists_.read(
    db_, {Lists::Of::runs_by_node, &*nodes, *ids},
    [&](const Lists::Rows& rows) {
      const std::int64_t* id = rows[0];
      rows.each([&](std::size_t row) { found.push_back(id[row]); });
    },
    [&] { return found.size() <= looked_at_max; });
  if (!read)
    return tl::unexpected<Error>(std::move(read).error());
  if (found.size() > looked_at_max)
    return false;
  Sql sql = from_rows<AttemptSums>(q);
  sql.also("r.id=?1");
  also_time(sql, q, "r.recorded_us");
  also_owner(sql, q);
  auto statement = sql.end(" GROUP BY 1").prepare(db_, 2);
  if (!statement)
    return tl::unexpected<Error>(std::move(statement).error());
  for (const std::int64_t id : found) {
    statement->reset();
    statement->integer(1, id);
    if (auto good = each_row(*statement, db_.path(), [&] { return gather_row(*statement, to); });
        !good)
      return tl::unexpected<Error>(std::move(good).error());
  }
  return true;
}

template<class Sums> Result<std::map<std::string, Sums>> History::sums_of(const QueryHistory& q) {
  std::map<std::string, Sums> sums;
  std::vector<Stretch> rest;
  const std::string table = kept_sums(q);
  Result<void> good;
  if constexpr (!of_jobs<Sums>)
    if (table.empty() && !q.node.empty() && !q.job) {
      const auto added = add_few_on_node(q, sums);
      if (!added)
        return tl::unexpected<Error>(added.error());
      if (*added)
        return sums;
    }
  if (q.job)
    good = add_of_job(q, sums);
  else if (table.empty())
    rest.push_back(asked_of(q));
  else
    good = add_kept(q, table, sums, rest);
  if (rest = joined(std::move(rest)); good && !rest.empty())
    good = add_listed(q, rest, sums);
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
