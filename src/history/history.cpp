// Opening, transactions, what they begin and end with. Rows are written in insert.cpp, questions
// answered in query.cpp. See history.hpp.
#include "src/history/history.hpp"

#include "src/history/schema.hpp"
#include "src/history/waits.hpp"

namespace reeve::history {

Result<std::unique_ptr<History>> History::open(const std::string& path, std::size_t block) {
  if (auto made = sqlite::make_private_file(path); !made)
    return tl::unexpected<Error>(std::move(made).error());
  auto db = sqlite::Database::open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX);
  if (!db)
    return tl::unexpected<Error>(std::move(db).error());
  if (auto good = add_waits_functions(*db).and_then([&] { return prepare_layout(*db); }); !good)
    return tl::unexpected<Error>(std::move(good).error());
  std::unique_ptr<History> history(new History(std::move(*db), block));
  if (auto good = history->start(); !good)
    return tl::unexpected<Error>(std::move(good).error());
  return history;
}

Result<void> History::start() {
  if (auto attached = feed_.attach(db_); !attached)
    return attached;
  // A conflict ends the transaction: nothing needs to be kept for undoing one statement.
  const std::pair<sqlite::Statement*, std::string> statements[] = {
    {&begin_, "BEGIN IMMEDIATE"},
    {&commit_, "COMMIT"},
    {&insert_jobs_, Feed::insert("INSERT OR IGNORE INTO job_rows", 7)},
    {&insert_ends_, Feed::insert("INSERT OR ROLLBACK INTO job_ends", 10)},
    {&insert_runs_, Feed::insert("INSERT OR ROLLBACK INTO attempt_runs", 20)},
    {&nameless_, "INSERT OR IGNORE INTO job_rows(job) VALUES(?)"},
    {&look_up_, "SELECT j.job,j.kind,j.submitted_us,j.tasks FROM feed f CROSS JOIN job_rows j ON "
                "j.job=f.c0"},
    {&ended_, "SELECT state,started_us,ended_us,succeeded+failed+cancelled FROM job_ends WHERE "
              "job=?"},
    {&note_void_, "INSERT OR IGNORE INTO void_ends SELECT end_id FROM job_ends WHERE job=?"},
    {&void_, "DELETE FROM job_ends WHERE job=?"},
    {&head_, "INSERT OR IGNORE INTO output_heads VALUES(?,?,?)"},
    {&node_, "INSERT INTO node_rows VALUES(?,?,?,?,?,?,?,?,?,?)"},
    {&name_, "INSERT OR REPLACE INTO node_names VALUES(?,?)"},
    {&config_, "INSERT INTO config_rows VALUES(?,?,?,?,?)"},
    {&meta_, "UPDATE meta SET value=? WHERE key='last_seq'"},
    {&minute_, "INSERT INTO minutes(earliest_us,latest_us,end_id,run_id,node_id,config_id) "
               "VALUES(?,?,?,?,?,?)"},
    {&minute_grows_, "UPDATE minutes SET earliest_us=min(earliest_us,?),latest_us=max(latest_us,?) "
                     "WHERE id=(SELECT max(id) FROM minutes)"},
    {&kind_, "INSERT INTO kinds(name,user,queue,executor,used_us) VALUES(?,?,?,?,?)"},
    {&find_kind_,
     "SELECT kind,used_us FROM kinds WHERE name=? AND user=? AND queue=? AND executor=?"},
    {&kind_key_, "SELECT name,user,queue,executor,used_us FROM kinds WHERE kind=?"},
    {&kind_used_, "UPDATE kinds SET used_us=? WHERE kind=?"},
    {&task_run_, "SELECT id FROM attempt_runs WHERE job=? AND first=? AND attempt=? AND count=1"},
  };
  for (const auto& [statement, sql] : statements) {
    auto prepared = db_.prepare(sql);
    if (!prepared)
      return tl::unexpected<Error>(std::move(prepared).error());
    *statement = std::move(*prepared);
  }
  if (auto good = totals_.prepare(db_).and_then([&] { return lists_.prepare(db_); }); !good)
    return good;
  const struct {
    std::int64_t* value;
    const char* sql;
  } numbers[] = {{&ids_.end, "SELECT max(coalesce((SELECT max(end_id) FROM job_ends),0),"
                             "coalesce((SELECT max(end_id) FROM void_ends),0))"},
                 {&ids_.run, "SELECT max(id) FROM attempt_runs"},
                 {&ids_.node, "SELECT max(id) FROM node_rows"},
                 {&ids_.config, "SELECT max(id) FROM config_rows"}};
  for (const auto& [value, sql] : numbers) {
    auto newest = db_.integer(sql);
    if (!newest)
      return tl::unexpected<Error>(std::move(newest).error());
    *value = newest->value_or(0);
  }
  const auto listed_end = Lists::newest_end(db_), listed_run = Lists::newest_run(db_);
  auto last = db_.integer("SELECT value FROM meta WHERE key='last_seq'");
  if (!listed_end || !listed_run || !last)
    return tl::unexpected<Error>(!listed_end   ? listed_end.error()
                                 : !listed_run ? listed_run.error()
                                               : last.error());
  ids_.end = std::max(ids_.end, *listed_end);
  ids_.run = std::max(ids_.run, *listed_run);
  last_ = Seq(static_cast<std::uint64_t>(last->value_or(0)));
  return ready_lists();
}

Result<void> History::ready_lists() {
  return lists_.ready() ? Result<void>() : in_transaction([] { return Result<void>(); });
}

/// After a failure nothing of `work` remains, nor in what is remembered here.
Result<void> History::in_transaction(const std::function<Result<void>()>& work) {
  const Ids ids = ids_;
  auto done = begin_.run(db_.path())
                .and_then([&] { return lists_.ready() ? Result<void>() : lists_.catch_up(db_); })
                .and_then(work)
                .and_then([&] { return lists_.write(db_); })
                .and_then([&] { return commit_.run(db_.path()); });
  new_runs_.clear();
  known_.clear();
  if (!done) {
    db_.roll_back();
    totals_.forget();
    lists_.forget();
    ids_ = ids;
    kinds_.clear();
    kind_keys_.clear();
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
  auto recorded = in_transaction([&] { return insert(rows, false); });
  if (!recorded && recorded.error().code == Code::conflict) // an end whose voiding was in a gap
    recorded = in_transaction([&] { return insert(rows, true); });
  if (recorded)
    last_ = rows.last;
  return recorded;
}

/// In WAL mode a commit with synchronous=FULL syncs the log, and with it every commit before: but
/// only one that changes something.
Result<void> History::sync() {
  auto synced = db_.run("PRAGMA synchronous=FULL").and_then([&] {
    return in_transaction([&] {
      return db_.run("INSERT INTO meta VALUES('syncs',1) ON CONFLICT DO UPDATE SET value=value+1");
    });
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

} // namespace reeve::history
