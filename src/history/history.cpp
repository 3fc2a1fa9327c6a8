// Writing. Questions are in query.cpp. See history.hpp.
#include "src/history/history.hpp"

#include "src/history/schema.hpp"

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

} // namespace

Result<std::unique_ptr<History>> History::open(const std::string& path) {
  if (auto made = sqlite::make_private_file(path); !made)
    return tl::unexpected<Error>(std::move(made).error());
  auto db = sqlite::Database::open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX);
  if (!db)
    return tl::unexpected<Error>(std::move(db).error());
  if (auto good = prepare_layout(*db); !good)
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
    {&job_, "INSERT OR IGNORE INTO job_rows VALUES(?,?,?,?,?,?)"},
    {&end_, "INSERT OR REPLACE INTO job_ends VALUES(?,?,?,?,?,?,?,?,?,?,?)"},
    {&unend_, "DELETE FROM job_ends WHERE job=?"},
    {&run_, "INSERT INTO attempt_runs VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"},
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
    {&job_kind_, "SELECT kind FROM job_rows WHERE job=?"},
    {&task_run_, "SELECT id FROM attempt_runs WHERE job=? AND first=? AND attempt=? AND count=1"},
  };
  for (const auto& [statement, sql] : statements) {
    auto prepared = db_.prepare(sql);
    if (!prepared)
      return tl::unexpected<Error>(std::move(prepared).error());
    *statement = std::move(*prepared);
  }
  const struct {
    std::int64_t* value;
    const char* sql;
  } numbers[] = {{&ids_.end, "SELECT max(id) FROM job_ends"},
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
  new_kinds_.clear();
  new_runs_.clear();
  if (!done) {
    db_.roll_back();
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
    .and_then([&] { return insert_jobs(rows.jobs); })
    .and_then([&] { return insert_runs(rows); })
    .and_then([&] { return insert_outputs(rows); })
    .and_then([&] { return insert_ends(rows); })
    .and_then([&] { return insert_config(rows); })
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

Result<std::optional<std::int64_t>> History::kind_of_job(JobId job) {
  if (const auto at = new_kinds_.find(job); at != new_kinds_.end())
    return std::optional(at->second);
  const sqlite::Reset reset(job_kind_);
  auto found = job_kind_.integer(1, job.value).next(db_.path());
  if (!found)
    return tl::unexpected<Error>(std::move(found).error());
  return *found ? std::optional(job_kind_.integer_at(0)) : std::nullopt;
}

Result<void> History::insert_jobs(std::span<const JobRow> jobs) {
  for (const JobRow& row : jobs) {
    auto kind = kind_of(row.spec->kind);
    if (!kind)
      return tl::unexpected<Error>(std::move(kind).error());
    new_kinds_.emplace(row.job, *kind);
    job_.integer(1, row.job.value)
      .integer(2, *kind)
      .integer(3, std::int64_t{row.spec->tasks})
      .integer(4, std::int64_t{row.spec->priority})
      .integer(5, us(row.submitted));
    text_or_null(job_, 6, row.spec->labels);
    if (auto good = job_.run(db_.path()); !good)
      return good;
  }
  return {};
}

Result<void> History::insert_ends(const Rows& rows) {
  for (const auto& [end, reopened] : rows.ends) {
    if (reopened) {
      if (auto good = unend_.integer(1, end.job.value).run(db_.path()); !good)
        return good;
      continue;
    }
    auto kind = kind_of_job(end.job);
    if (!kind)
      return tl::unexpected<Error>(std::move(kind).error());
    end_.integer(1, ++ids_.end).integer(2, end.job.value);
    if (*kind)
      end_.integer(3, **kind);
    else
      end_.null(3);
    end_.integer(4, static_cast<std::int64_t>(end.state));
    time_or_null(end_, 5, end.started);
    end_.integer(6, us(end.at))
      .integer(7, std::int64_t{end.succeeded})
      .integer(8, std::int64_t{end.failed})
      .integer(9, std::int64_t{end.cancelled})
      .integer(10, std::int64_t{end.exit_code});
    text_or_null(end_, 11, end.reason);
    if (auto good = end_.run(db_.path()); !good)
      return good;
  }
  return {};
}

Result<void> History::insert_runs(const Rows& rows) {
  for (const RunRow& row : rows.runs) {
    run_.integer(1, ++ids_.run)
      .integer(2, row.job.value)
      .integer(3, std::int64_t{row.run.first})
      .integer(4, std::int64_t{row.run.count})
      .integer(5, std::int64_t{row.run.attempt})
      .integer(6, std::int64_t{row.node.value})
      .integer(7, static_cast<std::int64_t>(row.cause))
      .integer(8, us(row.recorded));
    time_or_null(run_, 9, row.started);
    time_or_null(run_, 10, row.ended);
    if (row.measured) {
      const TaskResult& r = row.result;
      run_.integer(11, std::int64_t{r.exit_code})
        .integer(12, std::int64_t{r.signal})
        .integer(13, r.usage.wall.count())
        .integer(14, r.usage.user_cpu.count())
        .integer(15, r.usage.system_cpu.count())
        .integer(16, r.usage.max_rss_bytes)
        .integer(17, r.stdout_bytes)
        .integer(18, r.stderr_bytes);
      text_or_null(run_, 19, r.text);
      blob_or_null(run_, 20, r.result.data);
    } else {
      for (int parameter = 11; parameter <= 20; ++parameter)
        run_.null(parameter);
    }
    if (auto good = run_.run(db_.path()); !good)
      return good;
    if (row.run.count == 1 && !rows.outputs.empty())
      new_runs_[{row.job, row.run.first, row.run.attempt}] = ids_.run;
  }
  return {};
}

/// A head belongs to its attempt's row; without one nobody could ask for it.
Result<void> History::insert_outputs(const Rows& rows) {
  for (const TaskOutput& output : rows.outputs) {
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
    return insert_jobs(jobs);
  });
}

Result<std::int64_t> History::first_id(TimePoint since, const char* column, std::int64_t newest) {
  auto first = db_.integer("SELECT min(" + std::string(column) +
                           ") FROM minutes WHERE latest_us>=" + std::to_string(us(since)));
  if (!first)
    return tl::unexpected<Error>(std::move(first).error());
  return first->value_or(newest + 1);
}

Result<bool> History::sweep(TimePoint cutoff) {
  constexpr std::int64_t rows_max = 5'000;
  const struct {
    const char* column;
    std::int64_t newest;
    const char* sql;
  } deletes[] = {
    {"end_id", ids_.end,
     "DELETE FROM job_rows WHERE job IN (SELECT job FROM job_ends WHERE id<?1 ORDER BY id LIMIT "
     "?2)"},
    {"end_id", ids_.end,
     "DELETE FROM job_ends WHERE id IN (SELECT id FROM job_ends WHERE id<?1 ORDER BY id LIMIT ?2)"},
    {"run_id", ids_.run,
     "DELETE FROM output_heads WHERE run IN (SELECT id FROM attempt_runs WHERE id<?1 ORDER BY id "
     "LIMIT ?2)"},
    {"run_id", ids_.run,
     "DELETE FROM attempt_runs WHERE id IN (SELECT id FROM attempt_runs WHERE id<?1 ORDER BY id "
     "LIMIT ?2)"},
    {"node_id", ids_.node,
     "DELETE FROM node_rows WHERE id IN (SELECT id FROM node_rows WHERE id<?1 ORDER BY id LIMIT "
     "?2)"},
    {"config_id", ids_.config,
     "DELETE FROM config_rows WHERE id IN (SELECT id FROM config_rows WHERE id<?1 ORDER BY id "
     "LIMIT "
     "?2)"},
  };
  bool more = false;
  auto swept = in_transaction([&]() -> Result<void> {
    for (const auto& [column, newest, sql] : deletes) {
      auto kept = first_id(cutoff, column, newest);
      auto statement = db_.prepare(sql, false);
      if (!kept || !statement)
        return tl::unexpected<Error>(!kept ? std::move(kept).error()
                                           : std::move(statement).error());
      if (auto good = statement->integer(1, *kept).integer(2, rows_max).run(db_.path()); !good)
        return good;
      more = more || sqlite3_changes(db_.handle()) >= rows_max;
    }
    if (more)
      return {};
    return db_.run(("DELETE FROM minutes WHERE latest_us<" + std::to_string(us(cutoff))).c_str());
  });
  if (!swept)
    return tl::unexpected<Error>(std::move(swept).error());
  minute_now_ = 0; // its row may be gone
  if (auto given_back = db_.run("PRAGMA incremental_vacuum(1000)"); !given_back)
    return tl::unexpected<Error>(std::move(given_back).error());
  return more;
}

} // namespace reeve::history
