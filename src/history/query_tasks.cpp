// What became of single jobs and tasks: for those who ask about work that the master has forgotten.
// See history.hpp.
#include "src/history/history.hpp"
#include "src/history/schema.hpp"
#include "src/history/sql.hpp"

#include <algorithm>

namespace reeve::history {

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
