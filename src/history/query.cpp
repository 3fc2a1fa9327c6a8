// Questions to the history. See history.hpp.
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

/// The first column of each row.
Result<Lists::Keys> numbers_of(sqlite::Database& db, const Sql& sql) {
  auto statement = sql.prepare(db);
  if (!statement)
    return tl::unexpected<Error>(std::move(statement).error());
  Lists::Keys numbers;
  auto read = each_row(*statement, db.path(), [&] {
    numbers.push_back(statement->integer_at(0));
    return true;
  });
  if (!read)
    return tl::unexpected<Error>(std::move(read).error());
  return numbers;
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
/// Of rows that are looked at in their own order: without the indexes of kinds.
void also_kind(Sql& sql, const QueryHistory& q) {
  also_name(sql, "+k.name", q.name);
  if (!q.user.empty())
    sql.also("+k.user=?", q.user);
  if (!q.queue.empty())
    sql.also("+k.queue=?", q.queue);
}
} // namespace

Result<Lists::Keys> History::kinds_like(const QueryHistory& q) {
  Sql sql("SELECT kind FROM kinds");
  also_name(sql, "name", q.name);
  if (!q.user.empty())
    sql.also("user=?", q.user);
  if (!q.queue.empty())
    sql.also("queue=?", q.queue);
  auto kinds = numbers_of(db_, sql.end(" LIMIT " + std::to_string(looked_at_max + 1)));
  if (kinds)
    std::sort(kinds->begin(), kinds->end());
  return kinds;
}

Result<Lists::Keys> History::nodes_named(const std::string& name) {
  return numbers_of(db_,
                    Sql("SELECT node FROM node_names").also("name=?", name).end(" ORDER BY 1"));
}

Result<void> History::each_listed(Lists::Of of, const Lists::Keys& keys, Lists::Ids ids,
                                  const std::function<bool(const Packed::Row&)>& wanted,
                                  const std::function<Result<bool>(std::int64_t id)>& show) {
  std::vector<std::int64_t> found; // of one block
  Result<bool> more = true;
  auto read = lists_.read(
    db_, of, &keys, ids,
    [&](std::int64_t, const Packed::Row& row) {
      if (wanted(row))
        found.push_back(row[0]);
    },
    [&] {
      std::sort(found.begin(), found.end(), std::greater<>());
      for (auto id = found.begin(); more && *more && id != found.end(); ++id)
        more = show(*id);
      found.clear();
      return more && *more;
    });
  return more ? read : tl::unexpected<Error>(std::move(more).error());
}

Result<std::vector<History::RunTime>> History::run_times(std::uint32_t most) {
  auto statement = db_.prepare(
    "SELECT k.user, k.executor, k.name, (r.ended_us - r.started_us) / max(1, r.count) FROM "
    "attempt_runs r CROSS JOIN job_rows j ON j.job=r.job CROSS JOIN kinds k ON k.kind=j.kind WHERE "
    "r.cause=0 "
    "AND r.started_us IS NOT NULL AND k.name<>'' ORDER BY r.id DESC LIMIT ?",
    false);
  if (!statement)
    return tl::unexpected<Error>(std::move(statement).error());
  statement->integer(1, std::int64_t{most});
  std::vector<RunTime> out;
  auto read = each_row(*statement, db_.path(), [&] {
    out.push_back({std::string(statement->text_at(0)), std::string(statement->text_at(1)),
                   std::string(statement->text_at(2)), Duration(statement->integer_at(3))});
    return true;
  });
  if (!read)
    return tl::unexpected<Error>(std::move(read).error());
  std::reverse(out.begin(), out.end());
  return out;
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
  also_kind(sql, q);
  sql.end(" ORDER BY e.end_id DESC LIMIT " + std::to_string(q.limit + 1));
  if (!listed)
    return table_of(db_, sql, q.limit);
  return listed_page(
    sql, Lists::Of::ends_by_kind, *kinds, *ids, q.limit, [&](const Packed::Row& row) {
      using Column = Lists::EndColumn;
      return (!state || row[Column::state] == static_cast<std::int64_t>(*state)) &&
             (!on_node || std::binary_search(on_node->begin(), on_node->end(), row[Column::job]));
    });
}

/// Rows that `sql` gives for ids of lists, each as ?1.
Result<HistoryRows> History::listed_page(const Sql& sql, Lists::Of of, const Lists::Keys& keys,
                                         Lists::Ids ids, std::uint32_t limit,
                                         const std::function<bool(const Packed::Row&)>& wanted) {
  auto statement = sql.prepare(db_, 2);
  if (!statement)
    return tl::unexpected<Error>(std::move(statement).error());
  Page page(db_, limit);
  auto added = each_listed(of, keys, ids, wanted, [&](std::int64_t id) {
    statement->reset();
    statement->integer(1, id);
    return page.add(*statement);
  });
  return page.whole(*statement, added);
}

/// Jobs that have an attempt on one of these nodes, in their order; none when they are more than
/// `most`.
Result<std::optional<Lists::Keys>> History::few_jobs_on(const Lists::Keys& nodes,
                                                        std::size_t most) {
  Lists::Keys jobs;
  auto read = lists_.read(
    db_, Lists::Of::runs_by_node, &nodes, {},
    [&](std::int64_t, const Packed::Row& row) { jobs.push_back(row[Lists::NodeColumn::job]); },
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
  also_kind(sql, q);
  sql.end(" ORDER BY r.id DESC, n.n DESC LIMIT " + std::to_string(q.limit + 1));
  if (!listed)
    return table_of(db_, sql, q.limit);
  if (of_kinds)
    return listed_page(sql, Lists::Of::runs_by_kind, *kinds, *ids, q.limit,
                       [&](const Packed::Row& row) {
                         using Column = Lists::RunColumn;
                         return wanted_cause(static_cast<Cause>(row[Column::cause])) &&
                                (q.node.empty() || std::binary_search(nodes->begin(), nodes->end(),
                                                                      row[Column::node]));
                       });
  return listed_page(sql, Lists::Of::runs_by_node, *nodes, *ids, q.limit,
                     [&](const Packed::Row& row) {
                       return wanted_cause(static_cast<Cause>(row[Lists::NodeColumn::cause]));
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

// ---- single tasks

namespace {
const std::string task_columns =
  "SELECT r.id, r.first, r.count, r.attempt, m.name, r.cause, r.started_us, r.ended_us, "
  "r.exit_code, r.signal, r.wall_us, r.user_cpu_us, r.system_cpu_us, r.max_rss_bytes, "
  "r.stdout_bytes, r.stderr_bytes, r.text, r.result, r.node FROM attempt_runs r LEFT JOIN "
  "node_names m ON m.node=r.node WHERE r.job=?1 AND r.first>=?2 AND r.first<=?3 AND r.cause<>" +
  std::to_string(static_cast<int>(Cause::superseded)); // its other copy tells what became of it

TaskResult result_at(const sqlite::Statement& s, TaskIndex index) {
  const auto number = [&](int column) { return static_cast<std::int32_t>(s.integer_at(column)); };
  const auto time = [&](int column) { return TimePoint(Duration(s.integer_at(column))); };
  TaskResult r;
  r.index = index;
  r.attempt = static_cast<Attempt>(s.integer_at(3));
  r.cause = static_cast<Cause>(s.integer_at(5));
  r.started = time(6);
  r.ended = time(7);
  r.exit_code = number(8);
  r.signal = number(9);
  r.usage.wall = Duration(s.integer_at(10));
  r.usage.user_cpu = Duration(s.integer_at(11));
  r.usage.system_cpu = Duration(s.integer_at(12));
  r.usage.max_rss_bytes = s.integer_at(13);
  r.stdout_bytes = s.unsigned_at(14);
  r.stderr_bytes = s.unsigned_at(15);
  r.text = s.text_at(16);
  r.result.data = s.blob_at(17);
  return r;
}
std::int64_t block_of(TaskIndex index) {
  return index - index % block_tasks;
}
} // namespace

Result<void> History::complete(TaskList& list) {
  if (list.tasks.empty())
    return {};
  std::map<TaskIndex, TaskView*> wanted; // of one job: that is what ListTasks asks for
  for (TaskView& task : list.tasks)
    wanted.emplace(task.index, &task);
  auto select = db_.prepare(task_columns, false);
  if (!select)
    return tl::unexpected<Error>(std::move(select).error());
  select->integer(1, list.tasks.front().job.value)
    .integer(2, block_of(wanted.begin()->first))
    .integer(3, std::int64_t{wanted.rbegin()->first});
  return each_row(*select, db_.path(), [&] {
    const auto first = static_cast<TaskIndex>(select->integer_at(1));
    const auto end = first + static_cast<std::uint32_t>(select->integer_at(2));
    for (auto at = wanted.lower_bound(first); at != wanted.end() && at->first < end; ++at) {
      TaskView& task = *at->second;
      auto result = result_at(*select, at->first);
      if (task.ended && task.last.attempt > result.attempt)
        continue; // a later one is there already
      if (task.state != TaskState::assigned && result.attempt >= task.attempt) {
        task.attempt = result.attempt;
        task.node = select->text_at(4);
      }
      task.ended = true;
      task.last = std::move(result);
    }
    return true;
  });
}

Result<void> History::complete(Progress& progress) {
  auto select = db_.prepare("SELECT e.state,j.tasks,e.succeeded,e.failed,e.cancelled,e.exit_code "
                            "FROM job_ends e JOIN job_rows j ON j.job=e.job WHERE e.job=?",
                            false);
  if (!select)
    return tl::unexpected<Error>(std::move(select).error());
  for (JobProgress& job : progress.jobs) {
    if (job.total > 0)
      continue;
    select->integer(1, job.job.value);
    auto read = each_row(*select, db_.path(), [&] {
      job.state = static_cast<JobState>(select->integer_at(0));
      job.total = static_cast<std::uint32_t>(select->integer_at(1));
      job.succeeded = static_cast<std::uint32_t>(select->integer_at(2));
      job.failed = static_cast<std::uint32_t>(select->integer_at(3));
      job.cancelled = static_cast<std::uint32_t>(select->integer_at(4));
      job.exit_code = static_cast<std::int32_t>(select->integer_at(5));
      return true;
    });
    if (!read)
      return read;
  }
  return {};
}

Result<std::optional<History::Log>> History::log(const ReadLog& question) {
  auto select =
    db_.prepare(task_columns + " AND r.first+r.count>?3 AND (?4=0 OR r.attempt=?4) ORDER BY "
                               "r.attempt DESC LIMIT 1",
                false);
  if (!select)
    return tl::unexpected<Error>(std::move(select).error());
  select->integer(1, question.job.value)
    .integer(2, block_of(question.index))
    .integer(3, std::int64_t{question.index})
    .integer(4, std::int64_t{question.attempt});
  auto row = select->next(db_.path());
  if (!row)
    return tl::unexpected<Error>(std::move(row).error());
  if (!*row)
    return std::optional<Log>();
  Log log;
  log.node = NodeId(static_cast<std::uint32_t>(select->integer_at(18)));
  const bool out = question.stream == Stream::out;
  log.chunk.written = select->unsigned_at(out ? 14 : 15);
  log.chunk.attempt = static_cast<Attempt>(select->integer_at(3));
  log.chunk.ended = true;
  auto head = db_.prepare("SELECT stdout, stderr FROM output_heads WHERE run=?", false);
  if (!head)
    return tl::unexpected<Error>(std::move(head).error());
  auto found = head->integer(1, select->integer_at(0)).next(db_.path());
  if (!found)
    return tl::unexpected<Error>(std::move(found).error());
  const std::string_view kept = *found ? head->blob_at(out ? 0 : 1) : std::string_view();
  log.known = select->integer_at(5) == 0 || !select->is_null(out ? 14 : 15);
  log.whole = log.known && kept.size() >= log.chunk.written;
  if (question.offset < kept.size()) {
    log.chunk.offset = question.offset;
    log.chunk.data.data = kept.substr(question.offset, question.limit);
  } else { // what lies behind the head is not here
    log.chunk.offset = std::max<std::uint64_t>(question.offset, log.chunk.written);
  }
  return std::optional<Log>(std::move(log));
}

} // namespace reeve::history
