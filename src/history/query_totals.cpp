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

bool of_names(const QueryHistory& q) {
  return !q.name.empty() || q.by == "name";
}
bool of_owners(const QueryHistory& q) {
  return of_names(q) || !q.user.empty() || !q.queue.empty() || q.by == "user" || q.by == "queue";
}
bool of_nodes(const QueryHistory& q) {
  return !q.node.empty() || q.by == "node";
}

/// The table of kept sums that can answer; empty: only rows can.
std::string kept_sums(const QueryHistory& q) {
  if (q.job)
    return {};
  if (of_nodes(q))
    return "node_totals";
  const std::string of = q.kind == HistoryKind::jobs ? "job" : "attempt";
  return of + (of_names(q) ? "_name_totals" : "_totals");
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
               ? "SELECT " + group_of(q, "e.ended_us") + "," + job_sums() +
                   " FROM job_ends e LEFT JOIN job_rows j ON j.job=e.job LEFT JOIN kinds k ON "
                   "k.kind=j.kind"
               : "SELECT " + group_of(q, "r.recorded_us") + "," + attempt_sums() +
                   " FROM attempt_runs r LEFT JOIN job_rows j ON j.job=r.job LEFT JOIN kinds k ON "
                   "k.kind=j.kind LEFT JOIN node_names m ON m.node=r.node");
}

void also_owner(Sql& sql, const QueryHistory& q) {
  also_name(sql, "k.name", q.name);
  if (!q.user.empty())
    sql.also("k.user=?", q.user);
  if (!q.queue.empty())
    sql.also("k.queue=?", q.queue);
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
  auto statement = sql.prepare(db);
  if (!statement)
    return tl::unexpected<Error>(std::move(statement).error());
  std::vector<std::int64_t> slots;
  auto read = each_row(*statement, db.path(), [&] {
    slots.push_back(statement->integer_at(0));
    return true;
  });
  if (!read)
    return tl::unexpected<Error>(std::move(read).error());
  return slots;
}

Stretch asked_of(const QueryHistory& q) {
  return {std::max<std::int64_t>(us(q.since), 0),
          q.until == TimePoint() ? always : us(q.until) + 1};
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
    const auto ids =
      of_jobs<Sums> ? ids_of(part, "end_id", ids_.end) : ids_of(part, "run_id", ids_.run);
    if (!ids) {
      good = tl::unexpected<Error>(ids.error());
      return;
    }
    const std::string id = std::string(q.job ? "+" : "") + (of_jobs<Sums> ? "e.end_id" : "r.id");
    sql.also(id + ">=", ids->begin);
    sql.also(id + "<", ids->end);
    also_time(sql, part, of_jobs<Sums> ? "e.ended_us" : "r.recorded_us");
    also_owner(sql, q);
    if (q.job)
      sql.also(of_jobs<Sums> ? "e.job=" : "r.job=", static_cast<std::int64_t>(q.job.value));
    good = gather_sums(db_, sql.end(" GROUP BY 1"), sums);
  };
  const std::string table = kept_sums(q);
  const std::function<void(std::int64_t, Stretch)> by_slots = [&](std::int64_t span, Stretch of) {
    if (!good || of.empty())
      return;
    std::vector<std::int64_t> crowded; // slots without sums of names
    if (of_names(q)) {
      auto slots = slots_without(db_, table, span, of);
      if (!slots) {
        good = tl::unexpected<Error>(std::move(slots).error());
        return;
      }
      crowded = std::move(*slots);
    }
    Sql sql = from_kept<Sums>(q, table, span, of);
    also_owner(sql, q);
    good = gather_sums(db_, sql, sums);
    for (const std::int64_t slot : crowded)
      if (span == hour_us)
        by_rows({std::max(slot, of.begin), std::min(slot + span, of.end)});
      else
        by_slots(hour_us, {std::max(slot, of.begin), std::min(slot + span, of.end)});
  };
  const Stretch all = asked_of(q);
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

/// Of attempts of some owner on nodes there are no sums, as these are nearly as many as attempts.
/// Lists have what is needed of each.
Result<std::map<std::string, AttemptSums>> History::sums_on_nodes(const QueryHistory& q) {
  using Column = Lists::RunColumn;
  std::map<std::string, AttemptSums> sums;
  const bool by_kind = q.by == "user" || q.by == "queue" || q.by == "name";
  Sql kinds("SELECT k.kind," + (by_kind ? group_of(q, "") : "''") + " FROM kinds k");
  QueryHistory owner = q;
  owner.node.clear();
  also_owner(kinds, owner);
  auto statement = kinds.end(" ORDER BY 1").prepare(db_);
  if (!statement)
    return tl::unexpected<Error>(std::move(statement).error());
  Lists::Keys keys;
  std::unordered_map<std::int64_t, AttemptSums*> groups; // by kind, node or time, as asked
  auto known = each_row(*statement, db_.path(), [&] {
    keys.push_back(statement->integer_at(0));
    if (by_kind)
      groups[keys.back()] = &sums[std::string(statement->text_at(1))];
    return true;
  });
  const bool by_node = q.by == "node", by_all = q.by == "all", anywhere = q.node.empty();
  if (by_node) {
    auto names = db_.prepare("SELECT node,name FROM node_names", false);
    if (!names)
      return tl::unexpected<Error>(std::move(names).error());
    if (known)
      known = each_row(*names, db_.path(), [&] {
        groups[names->integer_at(0)] = &sums[std::string(names->text_at(1))];
        return true;
      });
  }
  const auto nodes = anywhere ? Result<Lists::Keys>() : nodes_named(q.node);
  auto ids = ids_of(q, "run_id", ids_.run);
  const auto oldest = db_.integer("SELECT min(id) FROM attempt_runs");
  if (!known || !nodes || !ids || !oldest)
    return tl::unexpected<Error>(!known   ? known.error()
                                 : !nodes ? nodes.error()
                                 : !ids   ? ids.error()
                                          : oldest.error());
  ids->begin = std::max(ids->begin, oldest->value_or(ids->end)); // lists may hold older ones
  const bool every = q.name.empty() && q.user.empty() && q.queue.empty();
  const Stretch all = asked_of(q);
  const std::int64_t span = q.by == "hour" ? hour_us : day_us;
  auto read = lists_.read(
    db_, Lists::Of::runs_by_kind, every ? nullptr : &keys, *ids,
    [&](std::int64_t kind, const Packed::Row& row) {
      if (row[Column::recorded_us] < all.begin || row[Column::recorded_us] >= all.end ||
          (!anywhere && !std::binary_search(nodes->begin(), nodes->end(), row[Column::node])))
        return;
      AttemptSums one = sums_of_run(static_cast<Cause>(row[Column::cause]), row[Column::tasks]);
      one.sum_wall_us = row[Column::wall_us];
      one.sum_cpu_us = row[Column::cpu_us];
      one.max_rss_bytes = row[Column::max_rss_bytes];
      const std::int64_t number = by_kind   ? kind
                                  : by_node ? row[Column::node]
                                  : by_all  ? 0
                                            : row[Column::recorded_us] / span * span;
      auto& group = groups[number];
      if (group == nullptr) // a kind or node that is not known has no name
        group = &sums[by_kind || by_node ? "" : by_all ? "all" : std::to_string(number)];
      group->add(one);
    },
    [] { return true; });
  if (!read)
    return tl::unexpected<Error>(std::move(read).error());
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
         : add(of_nodes(q) && of_owners(q) && !q.job ? sums_on_nodes(q) : sums_of<AttemptSums>(q),
               {"attempts", "succeeded", "failed", "lost", "sum_wall_us", "sum_cpu_us",
                "max_rss_bytes"});
  if (!added)
    return tl::unexpected<Error>(added.error());
  return out;
}

} // namespace reeve::history
