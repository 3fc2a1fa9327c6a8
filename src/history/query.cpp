// Questions to the history. See history.hpp.
#include "src/history/history.hpp"

#include "src/history/schema.hpp"
#include "src/history/sql.hpp"

#include <algorithm>
#include <functional>

namespace reeve::history {
namespace {

constexpr std::size_t looked_at_max = 10'000; // kinds, or jobs, that are looked at one by one

template<class E> std::optional<E> by_name(const std::string& name, E last) {
  for (int k = 0; k <= static_cast<int>(last); ++k)
    if (name_of(static_cast<E>(k)) == name)
      return static_cast<E>(k);
  return std::nullopt;
}

/// A table of `limit` rows at most, its first column the row's id, which is not shown. `next`: the
/// last one shown when there are more.
Result<HistoryRows> table_of(sqlite::Database& db, const Sql& sql, std::uint32_t limit) {
  auto statement = sql.prepare(db);
  if (!statement)
    return tl::unexpected<Error>(std::move(statement).error());
  HistoryRows out;
  for (int column = 1; column < statement->columns(); ++column)
    out.columns.emplace_back(statement->column_name(column));
  std::uint64_t shown = 0;
  for (;;) {
    auto row = statement->next(db.path());
    if (!row)
      return tl::unexpected<Error>(std::move(row).error());
    if (!*row)
      return out;
    if (out.rows.size() == limit) {
      out.next = shown;
      return out;
    }
    shown = statement->unsigned_at(0);
    auto& cells = out.rows.emplace_back();
    for (int column = 1; column < statement->columns(); ++column)
      cells.emplace_back(statement->text_at(column));
  }
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

/// Ids of `id` that can be of the asked stretch of time: a first cut before times are compared.
Result<void> History::bound_ids(const QueryHistory& q, const char* column, std::int64_t newest,
                                const std::string& id, std::string& condition) {
  condition = id + ">0";
  if (q.since != TimePoint{}) {
    auto first = first_id(q.since, column, newest);
    if (!first)
      return tl::unexpected<Error>(std::move(first).error());
    condition = id + ">=" + std::to_string(*first);
  }
  if (q.until != TimePoint{}) {
    const std::string c = column;
    auto end =
      db_.integer("SELECT min(" + c + ") FROM minutes WHERE " + c + ">(SELECT max(" + c +
                  ") FROM minutes WHERE earliest_us<=" + std::to_string(us(q.until)) + ")");
    if (!end)
      return tl::unexpected<Error>(std::move(end).error());
    if (*end)
      condition += " AND " + id + "<" + std::to_string(**end);
  }
  return {};
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

Result<std::vector<std::int64_t>> History::kinds_like(const QueryHistory& q) {
  Sql sql("SELECT kind FROM kinds");
  also_name(sql, "name", q.name);
  if (!q.user.empty())
    sql.also("user=?", q.user);
  if (!q.queue.empty())
    sql.also("queue=?", q.queue);
  auto statement = sql.end(" LIMIT " + std::to_string(looked_at_max + 1)).prepare(db_);
  if (!statement)
    return tl::unexpected<Error>(std::move(statement).error());
  std::vector<std::int64_t> kinds;
  auto read = each_row(*statement, db_.path(), [&] {
    kinds.push_back(statement->integer_at(0));
    return true;
  });
  if (!read)
    return tl::unexpected<Error>(std::move(read).error());
  return kinds;
}

/// The newest `most` ends among jobs of these kinds, each found through its own part of the index.
/// `of_kind`: SQL with the kind as ?1 and an end as ?2 that is too old.
Result<std::vector<std::int64_t>> History::newest_ends(const std::vector<std::int64_t>& kinds,
                                                       const Sql& of_kind, std::size_t most) {
  auto statement = of_kind.prepare(db_, 3);
  if (!statement)
    return tl::unexpected<Error>(std::move(statement).error());
  std::vector<std::int64_t> ends; // a heap, the oldest on top
  for (const std::int64_t kind : kinds) {
    const bool full = ends.size() == most;
    statement->reset();
    statement->integer(1, kind).integer(2, full ? ends.front() : std::int64_t{0});
    auto read = each_row(*statement, db_.path(), [&] {
      if (ends.size() == most && statement->integer_at(0) <= ends.front())
        return false;
      ends.push_back(statement->integer_at(0));
      std::push_heap(ends.begin(), ends.end(), std::greater<>());
      if (ends.size() > most) {
        std::pop_heap(ends.begin(), ends.end(), std::greater<>());
        ends.pop_back();
      }
      return true;
    });
    if (!read)
      return tl::unexpected<Error>(std::move(read).error());
  }
  return ends;
}

/// Jobs of the kinds that are asked for; nothing when there are too many.
Result<std::optional<std::vector<std::int64_t>>> History::few_jobs_of(const QueryHistory& q) {
  using Jobs = std::optional<std::vector<std::int64_t>>;
  const auto kinds = kinds_like(q);
  auto statement = db_.prepare("SELECT job FROM job_rows WHERE kind=?", false);
  if (!kinds || !statement)
    return tl::unexpected<Error>(!kinds ? kinds.error() : statement.error());
  if (kinds->size() > looked_at_max)
    return Jobs();
  Jobs jobs(std::in_place);
  for (const std::int64_t kind : *kinds) {
    statement->reset();
    statement->integer(1, kind);
    bool too_many = false;
    auto read = each_row(*statement, db_.path(), [&] {
      too_many = jobs->size() == looked_at_max;
      if (!too_many)
        jobs->push_back(statement->integer_at(0));
      return !too_many;
    });
    if (!read)
      return tl::unexpected<Error>(std::move(read).error());
    if (too_many)
      return Jobs();
  }
  return jobs;
}

Result<std::vector<History::RunTime>> History::run_times(std::uint32_t most) {
  auto statement = db_.prepare(
    "SELECT k.user, k.executor, k.name, (r.ended_us - r.started_us) / max(1, r.count) FROM "
    "attempt_runs r JOIN job_rows j ON j.job=r.job JOIN kinds k ON k.kind=j.kind WHERE r.cause=0 "
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
  Sql sql("SELECT j.end_id, j.job AS job, k.name AS name, k.user AS user, k.queue AS queue, s.name "
          "AS state, coalesce(j.tasks, j.succeeded + j.failed + j.cancelled) AS tasks, j.succeeded "
          "AS succeeded, j.failed AS failed, j.cancelled AS cancelled, j.exit_code AS exit_code, "
          "j.submitted_us AS submitted_us, j.started_us AS started_us, j.ended_us AS ended_us, "
          "j.ended_us - j.started_us AS ran_us, j.priority AS priority, k.executor AS executor, "
          "j.reason AS reason, j.labels AS labels, j.correlation AS correlation FROM job_rows j "
          "LEFT JOIN kinds k ON "
          "k.kind=j.kind LEFT JOIN job_states s ON s.state=j.state");
  std::string ids;
  if (auto bounded = bound_ids(q, "end_id", ids_.end, "j.end_id", ids); !bounded)
    return tl::unexpected<Error>(std::move(bounded).error());
  const auto state = by_name(q.state, JobState::last_);
  if (!q.state.empty() && !state)
    return tl::unexpected<Error>(no_such_state(q.state, "one of " + names_up_to(JobState::last_)));
  const bool unusual = state && *state != JobState::succeeded;
  const auto also_all = [&](Sql& to) {
    to.also(ids);
    if (q.before > 0)
      to.also("j.end_id<", static_cast<std::int64_t>(q.before));
    also_time(to, q, "j.ended_us");
    if (q.job)
      to.also("j.job=", static_cast<std::int64_t>(q.job.value));
    if (state)
      to.also("j.state=", static_cast<std::int64_t>(*state));
    if (unusual)
      to.also("j.state<>2"); // what the index of the others is for
    if (!q.node.empty())
      to.also("j.job IN (SELECT job FROM attempt_runs WHERE node IN (SELECT node FROM node_names "
              "WHERE name=?))",
              q.node);
  };
  also_all(sql);
  if (by_kind(q)) {
    auto kinds = unusual ? Result<std::vector<std::int64_t>>() : kinds_like(q);
    if (!kinds)
      return tl::unexpected<Error>(std::move(kinds).error());
    if (unusual ||
        kinds->size() > looked_at_max) { // frequent, or among few: rows from the newest on
      also_kind(sql, q);
    } else {
      Sql of_kind("SELECT j.end_id FROM job_rows j");
      of_kind.also("j.kind=?1").also("j.end_id>?2");
      also_all(of_kind);
      const std::string most = std::to_string(q.limit + 1);
      auto ends = newest_ends(*kinds, of_kind.end(" ORDER BY j.end_id DESC LIMIT " + most),
                              std::size_t{q.limit} + 1);
      if (!ends)
        return tl::unexpected<Error>(std::move(ends).error());
      sql.also("j.end_id IN " + list_of(*ends));
    }
  }
  sql.end(" ORDER BY j.end_id DESC LIMIT " + std::to_string(q.limit + 1));
  return table_of(db_, sql, q.limit);
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
  std::string ids;
  if (auto bounded = bound_ids(q, "run_id", ids_.run, "r.id", ids); !bounded)
    return tl::unexpected<Error>(std::move(bounded).error());
  sql.also(ids);
  if (q.before > 0) {
    const auto run = static_cast<std::int64_t>(q.before / block_tasks),
               place = static_cast<std::int64_t>(q.before % block_tasks);
    sql.also("r.id<=", run);
    sql.also("(r.id<" + std::to_string(run) + " OR n.n<" + std::to_string(place) + ")");
  }
  also_time(sql, q, "r.recorded_us");
  if (q.job)
    sql.also("r.job=", static_cast<std::int64_t>(q.job.value));
  if (q.task) {
    if (!q.job)
      return fail(Code::bad_field, "task", "say of which job");
    const std::int64_t task = *q.task;
    sql.also("r.first>=", task - task % block_tasks);
    sql.also("r.first<=", task);
    sql.also("n.n=" + std::to_string(task) + "-r.first");
  }
  if (!q.state.empty()) {
    const auto none = static_cast<std::int64_t>(Cause::none);
    const auto cause = by_name(q.state, Cause::last_);
    if (q.state == "succeeded")
      sql.also("r.cause=", none);
    else if (q.state == "failed")
      sql.also("r.cause<>" + std::to_string(none) + " AND r.cause NOT IN " +
               list_of({static_cast<std::int64_t>(Cause::cancelled),
                        static_cast<std::int64_t>(Cause::drained),
                        static_cast<std::int64_t>(Cause::preempted),
                        static_cast<std::int64_t>(Cause::superseded)}));
    else if (cause)
      sql.also("r.cause=", static_cast<std::int64_t>(*cause));
    else
      return tl::unexpected<Error>(
        no_such_state(q.state, "succeeded, failed, or one of " + names_up_to(Cause::last_)));
    if (q.state != "succeeded" && q.state != "none")
      sql.also("r.cause<>0");
  }
  if (!q.node.empty())
    sql.also("r.node IN (SELECT node FROM node_names WHERE name=?)", q.node);
  if (by_kind(q)) {
    auto jobs = few_jobs_of(q);
    if (!jobs)
      return tl::unexpected<Error>(std::move(jobs).error());
    if (*jobs)
      sql.also("r.job IN " + list_of(**jobs));
    else
      also_kind(sql, q);
  }
  sql.end(" ORDER BY r.id DESC, n.n DESC LIMIT " + std::to_string(q.limit + 1));
  return table_of(db_, sql, q.limit);
}

Result<HistoryRows> History::query_nodes(const QueryHistory& q) {
  Sql sql(
    "SELECT r.id, m.name AS node, r.time_us AS time_us, r.state AS state, r.reason AS reason, "
    "r.capacity AS capacity, r.labels AS labels, r.program AS program, r.incarnation AS "
    "incarnation, r.seq AS seq FROM node_rows r LEFT JOIN node_names m ON m.node=r.node");
  std::string ids;
  if (auto bounded = bound_ids(q, "node_id", ids_.node, "r.id", ids); !bounded)
    return tl::unexpected<Error>(std::move(bounded).error());
  sql.also(ids);
  if (q.before > 0)
    sql.also("r.id<", static_cast<std::int64_t>(q.before));
  also_time(sql, q, "r.time_us");
  const std::string& name = q.node.empty() ? q.name : q.node;
  if (!name.empty()) {
    Sql named("");
    sql.also("r.node IN (SELECT node FROM node_names WHERE " +
               std::string(name.back() == '*'
                             ? "substr(name,1," + std::to_string(name.size() - 1) + ")"
                             : "name") +
               "=?)",
             name.back() == '*' ? name.substr(0, name.size() - 1) : name);
  }
  if (!q.state.empty())
    sql.also("r.state=?", q.state);
  sql.end(" ORDER BY r.id DESC LIMIT " + std::to_string(q.limit + 1));
  return table_of(db_, sql, q.limit);
}

Result<HistoryRows> History::query_config(const QueryHistory& q) {
  Sql sql("SELECT r.id, r.name AS name, r.value AS value, r.time_us AS time_us, r.seq AS seq FROM "
          "config_rows r");
  std::string ids;
  if (auto bounded = bound_ids(q, "config_id", ids_.config, "r.id", ids); !bounded)
    return tl::unexpected<Error>(std::move(bounded).error());
  sql.also(ids);
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
  auto select = db_.prepare("SELECT s.state,j.tasks,j.succeeded,j.failed,j.cancelled,j.exit_code "
                            "FROM jobs j JOIN job_states s ON s.name=j.state WHERE j.job=?",
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
