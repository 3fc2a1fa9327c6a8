// Pages of rows, newest first. Totals are in query_totals.cpp, single tasks in query_tasks.cpp. See
// history.hpp.
#include "src/history/history.hpp"

#include "src/history/schema.hpp"
#include "src/history/sql.hpp"

#include <algorithm>
#include <functional>

namespace reeve::history {
namespace {

constexpr std::size_t looked_at_max = 10'000; // kinds, or jobs, that are looked at one by one
constexpr std::size_t jobs_listed_max = 300'000;

template<class E> std::optional<E> by_name(const std::string& name, E last) {
  for (int k = 0; k <= static_cast<int>(last); ++k)
    if (name_of(static_cast<E>(k)) == name)
      return static_cast<E>(k);
  return std::nullopt;
}

/// A table of `limit` rows at most, its first column the row's id, which is not shown. `next`: the
/// last one shown when there are more.
class Page {
public:
  Page(sqlite::Database& db, std::uint32_t limit) : db_(db), limit_(limit) {}
  /// The rows that `statement` gives. False: there are more than have room.
  Result<bool> add(sqlite::Statement& statement) {
    for (;;) {
      auto row = statement.next(db_.path());
      if (!row)
        return row;
      if (!*row)
        return true;
      if (out_.rows.size() == limit_) {
        out_.next = shown_;
        return false;
      }
      shown_ = statement.unsigned_at(0);
      auto& cells = out_.rows.emplace_back();
      for (int column = 1; column < statement.columns(); ++column)
        cells.emplace_back(statement.text_at(column));
    }
  }
  /// `added`: what the last `add` gave. Its statement names the columns.
  Result<HistoryRows> whole(const sqlite::Statement& statement, const Result<void>& added) {
    if (!added)
      return tl::unexpected<Error>(added.error());
    for (int column = 1; column < statement.columns(); ++column)
      out_.columns.emplace_back(statement.column_name(column));
    return std::move(out_);
  }

private:
  sqlite::Database& db_;
  std::uint32_t limit_;
  HistoryRows out_;
  std::uint64_t shown_ = 0;
};

Result<HistoryRows> table_of(sqlite::Database& db, const Sql& sql, std::uint32_t limit) {
  auto statement = sql.prepare(db);
  if (!statement)
    return tl::unexpected<Error>(std::move(statement).error());
  Page page(db, limit);
  auto added = page.add(*statement).map([](bool) {});
  return page.whole(*statement, added);
}

std::string within(const std::string& id, Lists::Ids ids) {
  return id + ">=" + std::to_string(ids.begin) + " AND " + id + "<" + std::to_string(ids.end);
}

/// Tasks that were taken away, not failed.
bool taken_away(Cause cause) {
  return cause == Cause::cancelled || cause == Cause::drained || cause == Cause::preempted ||
         cause == Cause::superseded;
}

Error no_such_state(const std::string& state, const std::string& wanted) {
  return {Code::bad_field, "state", "must be " + wanted + ", got '" + state.substr(0, 64) + "'"};
}

template<class E> std::string names_up_to(E last) {
  std::string names;
  for (int k = 0; k <= static_cast<int>(last); ++k)
    names += (k == 0 ? "" : ", ") + std::string(name_of(static_cast<E>(k)));
  return names;
}

} // namespace

Result<HistoryRows> History::query(const QueryHistory& question) {
  if (auto ready = ready_lists(); !ready)
    return tl::unexpected<Error>(std::move(ready).error());
  if (!question.by.empty())
    return query_totals(question);
  switch (question.kind) {
  case HistoryKind::jobs:
    return query_jobs(question);
  case HistoryKind::attempts:
    return query_attempts(question);
  case HistoryKind::nodes:
    return query_nodes(question);
  case HistoryKind::config:
    break;
  }
  return query_config(question);
}

Result<Lists::Ids> History::ids_of(const QueryHistory& q, const char* column, std::int64_t newest) {
  Lists::Ids ids{1, newest + 1};
  if (q.since != TimePoint{}) {
    auto first = first_id(q.since, column, newest);
    if (!first)
      return tl::unexpected<Error>(std::move(first).error());
    ids.begin = *first;
  }
  if (q.until != TimePoint{}) {
    const std::string c = column;
    auto end =
      db_.integer("SELECT min(" + c + ") FROM minutes WHERE " + c + ">(SELECT max(" + c +
                  ") FROM minutes WHERE earliest_us<=" + std::to_string(us(q.until)) + ")");
    if (!end)
      return tl::unexpected<Error>(std::move(end).error());
    ids.end = end->value_or(ids.end);
  }
  return ids;
}

namespace {
bool by_kind(const QueryHistory& q) {
  return !q.name.empty() || !q.user.empty() || !q.queue.empty();
}
// Of rows that are looked at in their own order: without the indexes of kinds.
constexpr const char* unindexed = "+k.";
} // namespace

Result<Lists::Keys> History::kinds_like(const QueryHistory& q) {
  Sql sql("SELECT kind FROM kinds");
  also_kind(sql, "", q);
  auto kinds = numbers_of(db_, sql.end(" LIMIT " + std::to_string(looked_at_max + 1)));
  if (kinds)
    std::sort(kinds->begin(), kinds->end());
  return kinds;
}

Result<Lists::Keys> History::nodes_named(const std::string& name) {
  return numbers_of(db_,
                    Sql("SELECT node FROM node_names").also("name=?", name).end(" ORDER BY 1"));
}

Result<HistoryRows> History::query_jobs(const QueryHistory& q) {
  Sql sql("SELECT e.end_id, e.job AS job, k.name AS name, k.user AS user, k.queue AS queue, s.name "
          "AS state, coalesce(j.tasks, e.succeeded + e.failed + e.cancelled) AS tasks, e.succeeded "
          "AS succeeded, e.failed AS failed, e.cancelled AS cancelled, e.exit_code AS exit_code, "
          "j.submitted_us AS submitted_us, e.started_us AS started_us, e.ended_us AS ended_us, "
          "e.ended_us - e.started_us AS ran_us, j.priority AS priority, k.executor AS executor, "
          "e.reason AS reason, j.labels AS labels, j.correlation AS correlation FROM job_ends e "
          "CROSS JOIN job_rows j ON j.job=e.job LEFT JOIN kinds k ON k.kind=j.kind LEFT JOIN "
          "job_states s ON s.state=e.state");
  auto ids = ids_of(q, "end_id", ids_.end);
  if (!ids)
    return tl::unexpected<Error>(std::move(ids).error());
  if (q.before > 0)
    ids->end = std::min(ids->end, static_cast<std::int64_t>(q.before));
  const auto state = by_name(q.state, JobState::last_);
  if (!q.state.empty() && !state)
    return tl::unexpected<Error>(no_such_state(q.state, "one of " + names_up_to(JobState::last_)));
  auto kinds = by_kind(q) && !q.job ? kinds_like(q) : Result<Lists::Keys>();
  if (!kinds)
    return tl::unexpected<Error>(std::move(kinds).error());
  // Too many kinds are frequent ones, or among few rows: rows from the newest on.
  const bool listed = by_kind(q) && !q.job && kinds->size() <= looked_at_max;
  if (listed)
    sql.also("e.end_id=?1");
  else
    sql.also(within(q.job ? "+e.end_id" : "e.end_id", *ids));
  also_time(sql, q, "e.ended_us");
  if (q.job)
    sql.also("e.job=", static_cast<std::int64_t>(q.job.value));
  if (state)
    sql.also("e.state=", static_cast<std::int64_t>(*state));
  if (state && *state != JobState::succeeded && !listed)
    sql.also("e.state<>2"); // what the index of the others is for
  std::optional<Lists::Keys> on_node;
  if (!q.node.empty()) {
    const auto nodes = nodes_named(q.node);
    if (!nodes)
      return tl::unexpected<Error>(nodes.error());
    auto few = few_jobs_on(*nodes, listed ? jobs_listed_max : looked_at_max);
    if (!few)
      return tl::unexpected<Error>(std::move(few).error());
    on_node = std::move(*few);
    if (!on_node) // many: the next one is soon found by looking at each
      sql.also("EXISTS (SELECT 1 FROM attempt_runs r WHERE r.job=e.job AND r.node IN " +
               list_of(*nodes) + ")");
    else if (!listed)
      sql.also("e.job IN " + list_of(*on_node));
  }
  also_kind(sql, unindexed, q);
  sql.end(" ORDER BY e.end_id DESC LIMIT " + std::to_string(q.limit + 1));
  if (!listed)
    return table_of(db_, sql, q.limit);
  using Column = Lists::EndColumn;
  return listed_page(
    sql, {Lists::Of::ends_by_kind, &*kinds, *ids}, q.limit,
    [&](const Lists::Rows& rows, std::size_t i) {
      return (!state || rows[Column::state][i] == static_cast<std::int64_t>(*state)) &&
             (!on_node ||
              std::binary_search(on_node->begin(), on_node->end(), rows[Column::job][i]));
    });
}

/// Rows that `sql` gives for ids of lists, each as ?1, the newest first.
Result<HistoryRows>
History::listed_page(const Sql& sql, const Lists::Wanted& listed, std::uint32_t limit,
                     const std::function<bool(const Lists::Rows&, std::size_t)>& wanted) {
  auto statement = sql.prepare(db_, 2);
  if (!statement)
    return tl::unexpected<Error>(std::move(statement).error());
  Page page(db_, limit);
  std::vector<std::int64_t> found; // of one block
  Result<bool> more = true;
  auto read = lists_.read(
    db_, listed,
    [&](const Lists::Rows& rows) {
      rows.each([&](std::size_t i) {
        if (wanted(rows, i))
          found.push_back(rows[0][i]);
      });
    },
    [&] {
      std::sort(found.begin(), found.end(), std::greater<>());
      for (auto id = found.begin(); more && *more && id != found.end(); ++id) {
        statement->reset();
        statement->integer(1, *id);
        more = page.add(*statement);
      }
      found.clear();
      return more && *more;
    });
  return page.whole(*statement, more ? read : tl::unexpected<Error>(std::move(more).error()));
}

/// Jobs that have an attempt on one of these nodes, in their order; none when they are more than
/// `most`.
Result<std::optional<Lists::Keys>> History::few_jobs_on(const Lists::Keys& nodes,
                                                        std::size_t most) {
  Lists::Keys jobs;
  auto read = lists_.read(
    db_, {Lists::Of::runs_by_node, &nodes, {}},
    [&](const Lists::Rows& rows) {
      const std::int64_t* of = rows[Lists::NodeColumn::job];
      rows.each([&](std::size_t i) { jobs.push_back(of[i]); });
    },
    [&] { return jobs.size() <= most; });
  if (!read)
    return tl::unexpected<Error>(std::move(read).error());
  if (jobs.size() > most)
    return std::optional<Lists::Keys>();
  std::sort(jobs.begin(), jobs.end());
  return std::optional<Lists::Keys>(std::move(jobs));
}

/// A row for each task; `before` and `next` are the run's id times block_tasks plus the task's
/// place in it.
Result<HistoryRows> History::query_attempts(const QueryHistory& q) {
  Sql sql("SELECT r.id * " + std::to_string(block_tasks) +
          " + n.n, r.job AS job, r.first + n.n AS task, r.attempt AS attempt, k.name AS name, "
          "m.name AS node, c.name AS cause, r.exit_code AS exit_code, r.signal AS signal, "
          "r.started_us AS started_us, r.ended_us AS ended_us, r.wall_us AS wall_us, "
          "r.user_cpu_us AS user_cpu_us, r.system_cpu_us AS system_cpu_us, r.max_rss_bytes AS "
          "max_rss_bytes, r.stdout_bytes AS stdout_bytes, r.stderr_bytes AS stderr_bytes, r.text "
          "AS text, r.recorded_us AS recorded_us FROM attempt_runs r CROSS JOIN numbers n ON "
          "n.n<r.count LEFT JOIN job_rows j ON j.job=r.job LEFT JOIN kinds k ON k.kind=j.kind "
          "LEFT JOIN node_names m ON m.node=r.node LEFT JOIN causes c ON c.cause=r.cause");
  if (q.task && !q.job)
    return fail(Code::bad_field, "task", "say of which job");
  const auto cause = by_name(q.state, Cause::last_);
  const bool succeeded = q.state == "succeeded" || cause == Cause::none,
             failed = q.state == "failed";
  if (!q.state.empty() && !succeeded && !failed && !cause)
    return tl::unexpected<Error>(
      no_such_state(q.state, "succeeded, failed, or one of " + names_up_to(Cause::last_)));
  const auto wanted_cause = [&](Cause c) {
    return q.state.empty() || (succeeded ? c == Cause::none
                               : failed  ? c != Cause::none && !taken_away(c)
                                         : c == *cause);
  };
  auto ids = ids_of(q, "run_id", ids_.run);
  if (!ids)
    return tl::unexpected<Error>(std::move(ids).error());
  const auto run = static_cast<std::int64_t>(q.before / block_tasks);
  if (q.before > 0)
    ids->end = std::min(ids->end, run + 1);
  auto kinds = by_kind(q) && !q.job ? kinds_like(q) : Result<Lists::Keys>();
  auto nodes = q.node.empty() ? Result<Lists::Keys>() : nodes_named(q.node);
  if (!kinds || !nodes)
    return tl::unexpected<Error>(!kinds ? kinds.error() : nodes.error());
  const bool of_kinds = by_kind(q) && !q.job && kinds->size() <= looked_at_max;
  const bool listed = of_kinds || (!q.node.empty() && !q.job);
  sql.also(listed ? "r.id=?1" : within("r.id", *ids));
  if (q.before > 0)
    sql.also("(r.id<" + std::to_string(run) + " OR n.n<" + std::to_string(q.before % block_tasks) +
             ")");
  also_time(sql, q, "r.recorded_us");
  if (q.job)
    sql.also("r.job=", static_cast<std::int64_t>(q.job.value));
  if (q.task) {
    const std::int64_t task = *q.task;
    sql.also("r.first>=", task - task % block_tasks);
    sql.also("r.first<=", task);
    sql.also("n.n=" + std::to_string(task) + "-r.first");
  }
  if (!q.state.empty()) {
    std::vector<std::int64_t> causes;
    for (int k = 0; k <= static_cast<int>(Cause::last_); ++k)
      if (wanted_cause(static_cast<Cause>(k)))
        causes.push_back(k);
    sql.also((failed ? "+r.cause IN " : "r.cause IN ") + list_of(causes));
    if (!succeeded)
      sql.also("r.cause<>0"); // what the index of the others is for
  }
  if (!q.node.empty())
    sql.also("r.node IN " + list_of(*nodes));
  also_kind(sql, unindexed, q);
  sql.end(" ORDER BY r.id DESC, n.n DESC LIMIT " + std::to_string(q.limit + 1));
  if (!listed)
    return table_of(db_, sql, q.limit);
  if (of_kinds)
    return listed_page(sql, {Lists::Of::runs_by_kind, &*kinds, *ids}, q.limit,
                       [&](const Lists::Rows& rows, std::size_t i) {
                         using Column = Lists::RunColumn;
                         return wanted_cause(static_cast<Cause>(rows[Column::cause][i])) &&
                                (q.node.empty() || std::binary_search(nodes->begin(), nodes->end(),
                                                                      rows[Column::node][i]));
                       });
  return listed_page(sql, {Lists::Of::runs_by_node, &*nodes, *ids}, q.limit,
                     [&](const Lists::Rows& rows, std::size_t i) {
                       return wanted_cause(static_cast<Cause>(rows[Lists::NodeColumn::cause][i]));
                     });
}

Result<HistoryRows> History::query_nodes(const QueryHistory& q) {
  Sql sql(
    "SELECT r.id, m.name AS node, r.time_us AS time_us, r.state AS state, r.reason AS reason, "
    "r.capacity AS capacity, r.labels AS labels, r.program AS program, r.incarnation AS "
    "incarnation, r.seq AS seq FROM node_rows r LEFT JOIN node_names m ON m.node=r.node");
  const auto ids = ids_of(q, "node_id", ids_.node);
  if (!ids)
    return tl::unexpected<Error>(ids.error());
  sql.also(within("r.id", *ids));
  if (q.before > 0)
    sql.also("r.id<", static_cast<std::int64_t>(q.before));
  also_time(sql, q, "r.time_us");
  const std::string& name = q.node.empty() ? q.name : q.node;
  if (!name.empty())
    sql.also("r.node IN (SELECT node FROM node_names WHERE " +
               std::string(name.back() == '*'
                             ? "substr(name,1," + std::to_string(name.size() - 1) + ")"
                             : "name") +
               "=?)",
             name.back() == '*' ? name.substr(0, name.size() - 1) : name);
  if (!q.state.empty())
    sql.also("r.state=?", q.state);
  sql.end(" ORDER BY r.id DESC LIMIT " + std::to_string(q.limit + 1));
  return table_of(db_, sql, q.limit);
}

Result<HistoryRows> History::query_config(const QueryHistory& q) {
  Sql sql("SELECT r.id, r.name AS name, r.value AS value, r.time_us AS time_us, r.seq AS seq FROM "
          "config_rows r");
  const auto ids = ids_of(q, "config_id", ids_.config);
  if (!ids)
    return tl::unexpected<Error>(ids.error());
  sql.also(within("r.id", *ids));
  if (q.before > 0)
    sql.also("r.id<", static_cast<std::int64_t>(q.before));
  also_time(sql, q, "r.time_us");
  also_name(sql, "r.name", q.name);
  sql.end(" ORDER BY r.id DESC LIMIT " + std::to_string(q.limit + 1));
  return table_of(db_, sql, q.limit);
}

} // namespace reeve::history
