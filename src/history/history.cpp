// Writing. Questions are in query.cpp. See history.hpp.
#include "src/history/history.hpp"

#include "src/history/schema.hpp"
#include "src/history/waits.hpp"

#include <algorithm>
#include <array>

#include <functional>

namespace reeve::history {
namespace {

constexpr std::size_t kinds_max = 100'000;

void time_or_null(sqlite::Statement& s, int parameter, TimePoint time) {
  if (time == TimePoint{})
    s.null(parameter);
  else
    s.integer(parameter, us(time));
}
void text_or_null(sqlite::Statement& s, int parameter, std::string_view text) {
  if (text.empty())
    s.null(parameter);
  else
    s.text(parameter, text);
}
void blob_or_null(sqlite::Statement& s, int parameter, std::string_view bytes) {
  if (bytes.empty())
    s.null(parameter);
  else
    s.blob(parameter, bytes);
}

/// The row of a job that is new with these.
const JobRow* find_job(const Rows& rows, JobId job) {
  const auto at =
    std::lower_bound(rows.jobs.begin(), rows.jobs.end(), job,
                     [](const JobRow& row, JobId wanted) { return row.job < wanted; });
  return at != rows.jobs.end() && at->job == job ? &*at : nullptr;
}

} // namespace

Result<std::unique_ptr<History>> History::open(const std::string& path) {
  if (auto made = sqlite::make_private_file(path); !made)
    return tl::unexpected<Error>(std::move(made).error());
  auto db = sqlite::Database::open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX);
  if (!db)
    return tl::unexpected<Error>(std::move(db).error());
  if (auto good = add_waits_functions(*db).and_then([&] { return prepare_layout(*db); }); !good)
    return tl::unexpected<Error>(std::move(good).error());
  std::unique_ptr<History> history(new History(std::move(*db)));
  if (auto good = history->start(); !good)
    return tl::unexpected<Error>(std::move(good).error());
  return history;
}

Result<void> History::start() {
  const struct {
    sqlite::Statement* statement;
    const char* sql;
  } statements[] = {
    {&begin_, "BEGIN IMMEDIATE"},
    {&commit_, "COMMIT"},
    {&end_,
     "UPDATE job_rows SET end_id=?2,state=?3,started_us=?4,ended_us=?5,succeeded=?6,failed=?7,"
     "cancelled=?8,exit_code=?9,reason=?10 WHERE job=?1"},
    {&unend_, "UPDATE job_rows SET end_id=NULL,state=NULL,started_us=NULL,ended_us=NULL,"
              "succeeded=NULL,failed=NULL,cancelled=NULL,exit_code=NULL,reason=NULL WHERE job=?1"},
    {&nameless_, "INSERT OR IGNORE INTO job_rows(job) VALUES(?)"},
    {&head_, "INSERT OR IGNORE INTO output_heads VALUES(?,?,?)"},
    {&node_, "INSERT INTO node_rows VALUES(?,?,?,?,?,?,?,?,?,?)"},
    {&name_, "INSERT OR REPLACE INTO node_names VALUES(?,?)"},
    {&config_, "INSERT INTO config_rows VALUES(?,?,?,?,?)"},
    {&meta_, "UPDATE meta SET value=? WHERE key='last_seq'"},
    {&minute_, "INSERT INTO minutes(earliest_us,latest_us,end_id,run_id,node_id,config_id) "
               "VALUES(?,?,?,?,?,?)"},
    {&minute_grows_, "UPDATE minutes SET earliest_us=min(earliest_us,?),latest_us=max(latest_us,?) "
                     "WHERE id=(SELECT max(id) FROM minutes)"},
    {&kind_, "INSERT INTO kinds(name,user,queue,executor) VALUES(?,?,?,?)"},
    {&find_kind_, "SELECT kind FROM kinds WHERE name=? AND user=? AND queue=? AND executor=?"},
    {&task_run_, "SELECT id FROM attempt_runs WHERE job=? AND first=? AND attempt=? AND count=1"},
    {&known_, "SELECT k.user,k.queue,j.submitted_us,j.tasks,j.state,j.started_us,j.ended_us,"
              "j.succeeded+j.failed+j.cancelled FROM job_rows j LEFT JOIN kinds k ON "
              "k.kind=j.kind WHERE j.job=?"},
  };
  for (const auto& [statement, sql] : statements) {
    auto prepared = db_.prepare(sql);
    if (!prepared)
      return tl::unexpected<Error>(std::move(prepared).error());
    *statement = std::move(*prepared);
  }
  const Result<void> bulks[] = {jobs_.prepare(db_, "INSERT OR IGNORE INTO job_rows", 16),
                                runs_.prepare(db_, "INSERT INTO attempt_runs", 20),
                                totals_.prepare(db_)};
  for (const auto& bulk : bulks)
    if (!bulk)
      return bulk;
  const struct {
    std::int64_t* value;
    const char* sql;
  } numbers[] = {{&ids_.end, "SELECT max(end_id) FROM job_rows"},
                 {&ids_.run, "SELECT max(id) FROM attempt_runs"},
                 {&ids_.node, "SELECT max(id) FROM node_rows"},
                 {&ids_.config, "SELECT max(id) FROM config_rows"}};
  for (const auto& [value, sql] : numbers) {
    auto newest = db_.integer(sql);
    if (!newest)
      return tl::unexpected<Error>(std::move(newest).error());
    *value = newest->value_or(0);
  }
  auto last = db_.integer("SELECT value FROM meta WHERE key='last_seq'");
  if (!last)
    return tl::unexpected<Error>(std::move(last).error());
  last_ = Seq(static_cast<std::uint64_t>(last->value_or(0)));
  return {};
}

/// After a failure nothing of `work` remains, nor in what is remembered here.
Result<void> History::in_transaction(const std::function<Result<void>()>& work) {
  const Ids ids = ids_;
  auto done =
    begin_.run(db_.path()).and_then(work).and_then([&] { return commit_.run(db_.path()); });
  new_runs_.clear();
  last_known_.reset();
  if (!done) {
    db_.roll_back();
    totals_.clear();
    jobs_.clear();
    runs_.clear();
    ids_ = ids;
    kinds_.clear();
    minute_now_ = 0;
  }
  return done;
}

Result<void> History::record(std::span<const core::CommittedPtr> batches) {
  if (batches.empty())
    return {};
  RowBuilder builder(specs_);
  Seq next = last_.next();
  for (const auto& batch : batches) {
    if (batch->first != next)
      return fail(Code::conflict, {},
                  "history: entry " + std::to_string(next.value) + " comes next, not " +
                    std::to_string(batch->first.value));
    builder.add(*batch);
    next = batch->last().next();
  }
  Rows& rows = builder.rows();
  auto recorded = in_transaction([&] { return insert(rows); });
  if (recorded)
    last_ = rows.last;
  return recorded;
}

Result<void> History::insert(Rows& rows) {
  return note_minute(rows)
    .and_then([&] { return insert_nodes(rows); })
    .and_then([&] { return insert_jobs_and_ends(rows); })
    .and_then([&] { return insert_runs(rows); })
    .and_then([&] { return insert_outputs(rows); })
    .and_then([&] { return insert_config(rows); })
    .and_then([&] { return totals_.write(db_); })
    .and_then([&] { return meta_.integer(1, rows.last.value).run(db_.path()); });
}

/// Notes the first ids that a minute's rows get, and which times its rows have.
Result<void> History::note_minute(const Rows& rows) {
  const std::int64_t minute = us(rows.latest) / 60'000'000;
  if (minute == minute_now_)
    return minute_grows_.integer(1, us(rows.earliest)).integer(2, us(rows.latest)).run(db_.path());
  minute_now_ = minute;
  return minute_.integer(1, us(rows.earliest))
    .integer(2, us(rows.latest))
    .integer(3, ids_.end + 1)
    .integer(4, ids_.run + 1)
    .integer(5, ids_.node + 1)
    .integer(6, ids_.config + 1)
    .run(db_.path());
}

Result<std::int64_t> History::kind_of(const KindKey& key) {
  if (const auto at = kinds_.find(key); at != kinds_.end())
    return at->second;
  for (auto* statement : {&find_kind_, &kind_})
    statement->text(1, key.name).text(2, key.user).text(3, key.queue).text(4, key.executor);
  const sqlite::Reset reset(find_kind_);
  auto found = find_kind_.next(db_.path());
  if (!found)
    return tl::unexpected<Error>(std::move(found).error());
  std::int64_t kind = 0;
  if (*found) {
    kind = find_kind_.integer_at(0);
  } else {
    if (auto inserted = kind_.run(db_.path()); !inserted)
      return tl::unexpected<Error>(std::move(inserted).error());
    kind = sqlite3_last_insert_rowid(db_.handle());
  }
  if (kinds_.size() >= kinds_max)
    kinds_.clear();
  kinds_.emplace(key, kind);
  return kind;
}

Result<void> History::insert_job(const JobRow& row, const End* last) {
  auto kind = kind_of(row.spec->kind);
  if (!kind)
    return tl::unexpected<Error>(std::move(kind).error());
  auto values = jobs_.row();
  values.integer(static_cast<std::int64_t>(row.job.value))
    .integer(*kind)
    .integer(row.spec->tasks)
    .integer(row.spec->priority)
    .integer(us(row.submitted))
    .text(row.spec->labels);
  const core::JobEnded* end = last ? last->end : nullptr;
  if (end != nullptr)
    totals_.add_job(row.spec->kind.user, row.spec->kind.queue,
                    {end->state, row.spec->tasks, row.submitted, end->started, end->at});
  if (end == nullptr) {
    for (int column = 7; column <= 15; ++column)
      values.null();
  } else {
    values.integer(last->id)
      .integer(static_cast<std::int64_t>(end->state))
      .time(end->started)
      .integer(us(end->at))
      .integer(end->succeeded)
      .integer(end->failed)
      .integer(end->cancelled)
      .integer(end->exit_code)
      .text(end->reason);
  }
  values.text(row.spec->correlation);
  return jobs_.add(db_);
}

Result<std::optional<History::Known>> History::known(JobId job) {
  const sqlite::Reset reset(known_);
  auto found = known_.integer(1, job.value).next(db_.path());
  if (!found)
    return tl::unexpected<Error>(std::move(found).error());
  if (!*found)
    return std::optional<Known>();
  const auto time = [&](int column) { return TimePoint(Duration(known_.integer_at(column))); };
  Known out;
  out.job = job;
  out.user = known_.text_at(0);
  out.queue = known_.text_at(1);
  out.submitted = time(2);
  if (!known_.is_null(3))
    out.tasks = known_.integer_at(3);
  if (!known_.is_null(6))
    out.end = EndedJob{static_cast<JobState>(known_.integer_at(4)),
                       out.tasks.value_or(known_.integer_at(7)), out.submitted, time(5), time(6)};
  return std::optional<Known>(std::move(out));
}

Result<void> History::insert_end(JobId job, const End& last) {
  const core::JobEnded* end = last.end;
  auto before = known(job);
  if (!before)
    return tl::unexpected<Error>(std::move(before).error());
  if (const auto& was = *before) { // else nothing changes below, and it is asked again
    if (was->end)
      totals_.add_job(was->user, was->queue, *was->end, -1);
    if (end != nullptr)
      totals_.add_job(
        was->user, was->queue,
        {end->state,
         was->tasks.value_or(std::int64_t{end->succeeded} + end->failed + end->cancelled),
         was->submitted, end->started, end->at});
  }
  if (end == nullptr)
    return unend_.integer(1, job.value).run(db_.path());
  end_.integer(1, job.value).integer(2, last.id).integer(3, static_cast<std::int64_t>(end->state));
  time_or_null(end_, 4, end->started);
  end_.integer(5, us(end->at))
    .integer(6, std::int64_t{end->succeeded})
    .integer(7, std::int64_t{end->failed})
    .integer(8, std::int64_t{end->cancelled})
    .integer(9, std::int64_t{end->exit_code});
  text_or_null(end_, 10, end->reason);
  return end_.run(db_.path());
}

/// Most jobs come and end within one call: those are written once.
Result<void> History::insert_jobs_and_ends(const Rows& rows) {
  std::unordered_map<JobId, End> last; // a job may end twice: it was retried
  for (const EndRow& row : rows.ends)
    last[row.job].end = row.end;
  for (const EndRow& row : rows.ends)
    if (End& end = last[row.job]; row.end != nullptr && end.end == row.end)
      end.id = ++ids_.end;
  for (const JobRow& row : rows.jobs) {
    const auto at = last.find(row.job);
    if (auto good = insert_job(row, at == last.end() ? nullptr : &at->second); !good)
      return good;
  }
  if (auto good = jobs_.flush(db_); !good)
    return good;
  for (const EndRow& row : rows.ends) {
    if (find_job(rows, row.job))
      continue;
    const auto at = last.find(row.job);
    if (at == last.end())
      continue; // written already
    auto good = insert_end(row.job, at->second);
    if (good &&
        sqlite3_changes(db_.handle()) == 0) // from before a gap: nothing else is known of it
      good = nameless_.integer(1, row.job.value).run(db_.path()).and_then([&] {
        return insert_end(row.job, at->second);
      });
    if (!good)
      return good;
    last.erase(at);
  }
  return {};
}

/// Adds a run to the sums of its job's owner and of its node.
Result<void> History::count_run(const Rows& rows, const RunRow& row) {
  const std::int64_t count = row.run.count;
  AttemptSums sums;
  sums.attempts = count;
  if (row.cause == Cause::none)
    sums.succeeded = count;
  else if (row.cause != Cause::cancelled && row.cause != Cause::drained &&
           row.cause != Cause::preempted && row.cause != Cause::superseded)
    sums.failed = count;
  if (row.cause == Cause::lost_node)
    sums.lost = count;
  if (const TaskResult* r = row.result) {
    sums.sum_wall_us = r->usage.wall.count();
    sums.sum_cpu_us = (r->usage.user_cpu + r->usage.system_cpu).count();
    sums.max_rss_bytes = r->usage.max_rss_bytes;
  }
  if (const JobRow* job = find_job(rows, row.job)) {
    totals_.add_attempts(job->spec->kind.user, job->spec->kind.queue, row.node, row.recorded, sums);
    return {};
  }
  if (!last_known_ || last_known_->job != row.job) {
    auto found = known(row.job);
    if (!found)
      return tl::unexpected<Error>(std::move(found).error());
    last_known_ = *found ? std::move(**found) : Known();
    last_known_->job = row.job;
  }
  totals_.add_attempts(last_known_->user, last_known_->queue, row.node, row.recorded, sums);
  return {};
}

Result<void> History::insert_runs(const Rows& rows) {
  for (const RunRow& row : rows.runs) {
    auto values = runs_.row();
    values.integer(++ids_.run)
      .integer(static_cast<std::int64_t>(row.job.value))
      .integer(row.run.first)
      .integer(row.run.count)
      .integer(row.run.attempt)
      .integer(row.node.value)
      .integer(static_cast<std::int64_t>(row.cause))
      .integer(us(row.recorded))
      .time(row.started)
      .time(row.ended);
    if (const TaskResult* r = row.result) {
      values.integer(r->exit_code)
        .integer(r->signal)
        .integer(r->usage.wall.count())
        .integer(r->usage.user_cpu.count())
        .integer(r->usage.system_cpu.count())
        .integer(r->usage.max_rss_bytes)
        .integer(static_cast<std::int64_t>(r->stdout_bytes))
        .integer(static_cast<std::int64_t>(r->stderr_bytes))
        .text(r->text)
        .blob(r->result.data);
    } else {
      for (int column = 11; column <= 20; ++column)
        values.null();
    }
    auto good = runs_.add(db_).and_then([&] { return count_run(rows, row); });
    if (!good)
      return good;
    if (row.run.count == 1 && !rows.outputs.empty())
      new_runs_[{row.job, row.run.first, row.run.attempt}] = ids_.run;
  }
  return runs_.flush(db_);
}

/// A head belongs to its attempt's row; without one nobody could ask for it.
Result<void> History::insert_outputs(const Rows& rows) {
  for (const TaskOutput* written : rows.outputs) {
    const TaskOutput& output = *written;
    if (output.out.data.empty() && output.err.data.empty())
      continue;
    std::int64_t run = 0;
    if (const auto at = new_runs_.find({output.job, output.index, output.attempt});
        at != new_runs_.end()) {
      run = at->second;
    } else {
      const sqlite::Reset reset(task_run_);
      auto found = task_run_.integer(1, output.job.value)
                     .integer(2, std::int64_t{output.index})
                     .integer(3, std::int64_t{output.attempt})
                     .next(db_.path());
      if (!found)
        return tl::unexpected<Error>(std::move(found).error());
      if (!*found)
        continue;
      run = task_run_.integer_at(0);
    }
    head_.integer(1, run);
    blob_or_null(head_, 2, output.out.data);
    blob_or_null(head_, 3, output.err.data);
    if (auto good = head_.run(db_.path()); !good)
      return good;
  }
  return {};
}

Result<void> History::insert_nodes(const Rows& rows) {
  for (const auto& [node, name] : rows.names)
    if (auto good = name_.integer(1, std::int64_t{node.value}).text(2, name).run(db_.path()); !good)
      return good;
  for (const NodeRow& row : rows.nodes) {
    node_.integer(1, ++ids_.node)
      .integer(2, us(row.time))
      .integer(3, row.seq.value)
      .integer(4, std::int64_t{row.node.value})
      .text(5, row.state);
    text_or_null(node_, 6, row.reason);
    text_or_null(node_, 7, row.capacity);
    text_or_null(node_, 8, row.labels);
    text_or_null(node_, 9, row.program);
    if (row.incarnation)
      node_.integer(10, row.incarnation.value);
    else
      node_.null(10);
    if (auto good = node_.run(db_.path()); !good)
      return good;
  }
  return {};
}

Result<void> History::insert_config(const Rows& rows) {
  for (const ConfigRow& row : rows.config) {
    config_.integer(1, ++ids_.config)
      .integer(2, us(row.time))
      .integer(3, row.seq.value)
      .text(4, row.name);
    text_or_null(config_, 5, row.value);
    if (auto good = config_.run(db_.path()); !good)
      return good;
  }
  return {};
}

/// In WAL mode a commit with synchronous=FULL syncs the log, and with it every commit before.
Result<void> History::sync() {
  auto synced = db_.run("PRAGMA synchronous=FULL").and_then([&] {
    return in_transaction([&] { return meta_.integer(1, last_.value).run(db_.path()); });
  });
  auto back = db_.run("PRAGMA synchronous=NORMAL");
  return synced ? back : synced;
}

Result<void> History::note_gap(Seq upto, const std::string& reason) {
  if (upto <= last_)
    return {};
  auto insert = db_.prepare("INSERT INTO gaps VALUES(?,?,?)", false);
  if (!insert)
    return tl::unexpected<Error>(std::move(insert).error());
  insert->integer(1, last_.value + 1).integer(2, upto.value).text(3, reason);
  auto noted = in_transaction([&] {
    return insert->run(db_.path()).and_then([&] {
      return meta_.integer(1, upto.value).run(db_.path());
    });
  });
  if (noted)
    last_ = upto;
  return noted;
}

Result<void> History::adopt(std::span<const JobRow> jobs,
                            std::span<const std::pair<NodeId, std::string>> names) {
  return in_transaction([&]() -> Result<void> {
    for (const auto& [node, name] : names)
      if (auto good = name_.integer(1, std::int64_t{node.value}).text(2, name).run(db_.path());
          !good)
        return good;
    for (const JobRow& row : jobs)
      if (auto good = insert_job(row, nullptr); !good)
        return good;
    return jobs_.flush(db_);
  });
}

Result<std::int64_t> History::first_id(TimePoint since, const char* column, std::int64_t newest) {
  auto first = db_.integer("SELECT min(" + std::string(column) +
                           ") FROM minutes WHERE latest_us>=" + std::to_string(us(since)));
  if (!first)
    return tl::unexpected<Error>(std::move(first).error());
  return first->value_or(newest + 1);
}

Result<void> History::sweep_kinds() {
  constexpr std::int64_t at_once = 20'000;
  auto newest = db_.integer("SELECT max(kind) FROM kinds");
  if (!newest)
    return tl::unexpected<Error>(std::move(newest).error());
  const std::int64_t from = kinds_swept_ < newest->value_or(0) ? kinds_swept_ : 0;
  kinds_swept_ = from + at_once;
  auto swept = db_.run(("DELETE FROM kinds WHERE kind>" + std::to_string(from) +
                        " AND kind<=" + std::to_string(kinds_swept_) +
                        " AND NOT EXISTS (SELECT 1 FROM job_rows j WHERE j.kind=kinds.kind)")
                         .c_str());
  if (sqlite3_changes(db_.handle()) > 0)
    kinds_.clear(); // a number may come again
  return swept;
}

namespace {
struct Dated {         // rows that go when they are old enough
  const char* column;  // of minutes: the first `number` of each
  std::int64_t newest; // `number`
  const char *table, *key, *number;
  const char* with = nullptr; // goes before them: a table and its column of their keys
};
std::array<Dated, 4> dated(const auto& ids) {
  return {{{"end_id", ids.end, "job_rows", "job", "end_id"},
           {"run_id", ids.run, "attempt_runs", "id", "id", "output_heads WHERE run"},
           {"node_id", ids.node, "node_rows", "id", "id"},
           {"config_id", ids.config, "config_rows", "id", "id"}}};
}
} // namespace

Result<History::Due> History::due(TimePoint cutoff) {
  constexpr std::int64_t counted_max = 100'000;
  Due due;
  for (const Dated& d : dated(ids_)) {
    auto kept = first_id(cutoff, d.column, d.newest);
    if (!kept)
      return tl::unexpected<Error>(std::move(kept).error());
    auto rows = db_.integer("SELECT count(*) FROM (SELECT 1 FROM " + std::string(d.table) +
                            " WHERE " + d.number + "<" + std::to_string(*kept) + " LIMIT " +
                            std::to_string(counted_max) + ")");
    if (!rows)
      return tl::unexpected<Error>(std::move(rows).error());
    due.rows += static_cast<std::uint64_t>(rows->value_or(0));
    due.more |= rows->value_or(0) >= counted_max;
  }
  return due;
}

Result<bool> History::sweep(TimePoint cutoff) {
  constexpr std::int64_t rows_max = 5'000;
  bool more = false;
  const auto remove = [&](const std::string& what, const Dated& d,
                          std::int64_t kept) -> Result<void> {
    const std::string sql = "DELETE FROM " + what + " IN (SELECT " + d.key + " FROM " + d.table +
                            " WHERE " + d.number + "<?1 ORDER BY " + d.number + " LIMIT ?2)";
    auto statement = db_.prepare(sql.c_str(), false);
    if (!statement)
      return tl::unexpected<Error>(std::move(statement).error());
    if (auto good = statement->integer(1, kept).integer(2, rows_max).run(db_.path()); !good)
      return good;
    more = more || sqlite3_changes(db_.handle()) >= rows_max;
    return {};
  };
  auto swept = in_transaction([&]() -> Result<void> {
    for (const Dated& d : dated(ids_)) {
      auto kept = first_id(cutoff, d.column, d.newest);
      if (!kept)
        return tl::unexpected<Error>(std::move(kept).error());
      if (d.with != nullptr)
        if (auto good = remove(d.with, d, *kept); !good)
          return good;
      if (auto good = remove(std::string(d.table) + " WHERE " + d.key, d, *kept); !good)
        return good;
    }
    if (more)
      return {};
    return sweep_kinds().and_then([&] { return Totals::sweep(db_, cutoff); }).and_then([&] {
      return db_.run(("DELETE FROM minutes WHERE latest_us<" + std::to_string(us(cutoff))).c_str());
    });
  });
  if (!swept)
    return tl::unexpected<Error>(std::move(swept).error());
  minute_now_ = 0; // its row may be gone
  if (auto given_back = db_.run("PRAGMA incremental_vacuum(1000)"); !given_back)
    return tl::unexpected<Error>(std::move(given_back).error());
  return more;
}

} // namespace reeve::history
