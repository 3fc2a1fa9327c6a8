// See schema.hpp.
#include "src/history/schema.hpp"

#include "messages/types.hpp"
#include "src/history/lists.hpp"
#include "src/history/totals.hpp"

namespace reeve::history {
namespace {

// `id`, and `end_id` of ended jobs, grow in the order in which the ledger decided, so newest first
// is id DESC, and a page ends at an id. A row of `minutes` has the first ids that were given within
// about a minute, and the times that belong to them: so no table needs an index on time. What
// belongs to a kind of job or to a node is in lists (lists.hpp).
constexpr const char* tables = R"(
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta VALUES('last_seq', 0);
CREATE TABLE minutes(id INTEGER PRIMARY KEY, earliest_us INTEGER NOT NULL,
  latest_us INTEGER NOT NULL,
  end_id INTEGER NOT NULL, run_id INTEGER NOT NULL, node_id INTEGER NOT NULL,
  config_id INTEGER NOT NULL);
CREATE TABLE gaps(first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, reason TEXT NOT NULL);

CREATE TABLE kinds(kind INTEGER PRIMARY KEY, name TEXT NOT NULL, user TEXT NOT NULL,
  queue TEXT NOT NULL, executor TEXT NOT NULL, used_us INTEGER NOT NULL DEFAULT 0,
  UNIQUE(name, user, queue, executor));
CREATE INDEX kinds_user ON kinds(user);
CREATE INDEX kinds_queue ON kinds(queue);
)";
// A job is written at its submission and, in a row of its own, at its end: no row ever changes.
constexpr const char* jobs_tables = R"(
CREATE TABLE job_rows(job INTEGER PRIMARY KEY, kind INTEGER, tasks INTEGER, priority INTEGER,
  submitted_us INTEGER, labels TEXT, correlation TEXT);
CREATE TABLE job_ends(job INTEGER PRIMARY KEY, end_id INTEGER NOT NULL, state INTEGER NOT NULL,
  started_us INTEGER, ended_us INTEGER NOT NULL, succeeded INTEGER, failed INTEGER,
  cancelled INTEGER, exit_code INTEGER, reason TEXT);
)";
constexpr const char* ends_indexes = R"(
CREATE UNIQUE INDEX job_ends_id ON job_ends(end_id);
CREATE INDEX job_ends_unusual ON job_ends(state, end_id) WHERE state <> 2;
)";
constexpr const char* other_tables = R"(
CREATE TABLE attempt_runs(id INTEGER PRIMARY KEY, job INTEGER NOT NULL, first INTEGER NOT NULL,
  count INTEGER NOT NULL, attempt INTEGER NOT NULL, node INTEGER NOT NULL, cause INTEGER NOT NULL,
  recorded_us INTEGER NOT NULL, started_us INTEGER, ended_us INTEGER, exit_code INTEGER,
  signal INTEGER, wall_us INTEGER, user_cpu_us INTEGER, system_cpu_us INTEGER,
  max_rss_bytes INTEGER, stdout_bytes INTEGER, stderr_bytes INTEGER, text TEXT, result BLOB);
CREATE INDEX attempt_runs_task ON attempt_runs(job, first);
CREATE INDEX attempt_runs_unusual ON attempt_runs(cause) WHERE cause <> 0;
CREATE TABLE output_heads(run INTEGER PRIMARY KEY, stdout BLOB, stderr BLOB);

CREATE TABLE node_names(node INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE INDEX node_names_name ON node_names(name);
CREATE TABLE node_rows(id INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, seq INTEGER NOT NULL,
  node INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT, capacity TEXT, labels TEXT,
  program TEXT, incarnation INTEGER);
CREATE INDEX node_rows_node ON node_rows(node);
CREATE TABLE config_rows(id INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, seq INTEGER NOT NULL,
  name TEXT NOT NULL, value TEXT);
CREATE INDEX config_rows_name ON config_rows(name);

CREATE TABLE job_states(state INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE causes(cause INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE numbers(n INTEGER PRIMARY KEY);
)";

constexpr const char* jobs_view = R"(
CREATE VIEW jobs AS SELECT j.job, k.name, k.user, k.queue, k.executor, s.name AS state, j.tasks,
  e.succeeded, e.failed, e.cancelled, e.exit_code, j.priority, j.submitted_us, e.started_us,
  e.ended_us, e.reason, j.labels, j.correlation
  FROM job_rows j LEFT JOIN job_ends e ON e.job = j.job LEFT JOIN kinds k ON k.kind = j.kind
  LEFT JOIN job_states s ON s.state = e.state;
)";
constexpr const char* views = R"(
CREATE VIEW attempts AS SELECT r.job, r.first + n.n AS task, r.attempt, m.name AS node,
  c.name AS cause, r.exit_code, r.signal, r.recorded_us, r.started_us, r.ended_us, r.wall_us,
  r.user_cpu_us, r.system_cpu_us, r.max_rss_bytes, r.stdout_bytes, r.stderr_bytes, r.text, r.result
  FROM attempt_runs r JOIN numbers n ON n.n < r.count JOIN causes c ON c.cause = r.cause
  LEFT JOIN node_names m ON m.node = r.node;
CREATE VIEW outputs AS SELECT r.job, r.first AS task, r.attempt, o.stdout, o.stderr
  FROM output_heads o JOIN attempt_runs r ON r.id = o.run;
CREATE VIEW nodes AS SELECT m.name AS node, r.time_us, r.state, r.reason, r.capacity, r.labels,
  r.program, r.incarnation, r.seq FROM node_rows r LEFT JOIN node_names m ON m.node = r.node;
CREATE VIEW config AS SELECT name, value, time_us, seq FROM config_rows;
)";

Result<void> fill_names(sqlite::Database& db) {
  const auto fill = [&](const char* sql, auto last) -> Result<void> {
    auto insert = db.prepare(sql, false);
    if (!insert)
      return tl::unexpected<Error>(std::move(insert).error());
    using E = decltype(last);
    for (int k = 0; k <= static_cast<int>(last); ++k) {
      const auto name = name_of(static_cast<E>(k));
      if (auto good = insert->integer(1, std::int64_t{k}).text(2, name).run(db.path()); !good)
        return good;
    }
    return {};
  };
  return fill("INSERT OR REPLACE INTO job_states VALUES(?,?)", JobState::last_).and_then([&] {
    return fill("INSERT OR REPLACE INTO causes VALUES(?,?)", Cause::last_);
  });
}

Result<void> make(sqlite::Database& db) {
  const std::string numbers = "INSERT INTO numbers WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL "
                              "SELECT n + 1 FROM c WHERE n < " +
                              std::to_string(block_tasks - 1) + ") SELECT n FROM c;";
  const std::string sql = std::string("BEGIN IMMEDIATE;") + tables + jobs_tables + ends_indexes +
                          other_tables + lists_tables() + totals_tables() + jobs_view + views +
                          numbers + "PRAGMA application_id=" + std::to_string(application_id) +
                          ";PRAGMA user_version=" + std::to_string(layout_version) + ";COMMIT;";
  // auto_vacuum only takes effect before the first page exists.
  auto made = db.run("PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA "
                     "synchronous=NORMAL;")
                .and_then([&] { return db.run(sql.c_str()); });
  if (!made)
    db.roll_back();
  return made;
}

/// `sql`: with its BEGIN and COMMIT.
Result<void> in_one(sqlite::Database& db, const std::string& sql) {
  auto done = db.run(sql.c_str());
  if (!done)
    db.roll_back();
  return done;
}

/// Layout 1 had no correlation, layout 2 no totals; up to layout 3 a job had one row, which was
/// changed at its end, and indexes where lists are now. Lists are made when the file is opened.
/// Layout 4 had lists that held less, and no sums of queues on nodes.
Result<void> upgrade(sqlite::Database& db, std::int64_t from) {
  const std::string end = "PRAGMA user_version=" + std::to_string(layout_version) + "; COMMIT;";
  std::string sql = "BEGIN IMMEDIATE;";
  if (from == 4)
    return in_one(db, sql + "DROP TABLE lists; DROP TABLE list_blocks;" + lists_tables() +
                        queues_table() + fill_queues() + end);
  sql += "DROP VIEW jobs;";
  if (from < 2)
    sql += "ALTER TABLE job_rows ADD COLUMN correlation TEXT;";
  sql += "ALTER TABLE job_rows RENAME TO old_rows;";
  sql += jobs_tables;
  sql += "INSERT INTO job_rows SELECT job,kind,tasks,priority,submitted_us,labels,correlation "
         "FROM old_rows ORDER BY job;"
         "INSERT INTO job_ends SELECT job,end_id,state,started_us,ended_us,succeeded,failed,"
         "cancelled,exit_code,reason FROM old_rows WHERE end_id IS NOT NULL ORDER BY job;"
         "ALTER TABLE kinds ADD COLUMN used_us INTEGER NOT NULL DEFAULT 0;"
         "UPDATE kinds SET used_us=coalesce((SELECT max(o.submitted_us) FROM old_rows o WHERE "
         "o.kind=kinds.kind),0);"
         "DROP TABLE old_rows; DROP INDEX attempt_runs_node;";
  sql += ends_indexes;
  if (from < 3)
    sql += "CREATE INDEX kinds_user ON kinds(user); CREATE INDEX kinds_queue ON kinds(queue);";
  else
    sql += "DROP TABLE job_totals; DROP TABLE attempt_totals; DROP TABLE node_totals;";
  return in_one(db, sql + lists_tables() + totals_tables() + jobs_view + fill_totals() + end);
}

} // namespace

Result<void> prepare_layout(sqlite::Database& db) {
  auto application = db.integer("PRAGMA application_id");
  auto version = db.integer("PRAGMA user_version");
  auto objects = db.integer("SELECT count(*) FROM sqlite_master");
  if (!application || !version || !objects)
    return tl::unexpected<Error>(!application ? std::move(application).error()
                                 : !version   ? std::move(version).error()
                                              : std::move(objects).error());
  if (application->value_or(0) == 0 && objects->value_or(0) == 0) {
    if (auto made = make(db); !made)
      return made;
  } else if (application->value_or(0) != application_id) {
    return fail(Code::refused, {}, db.path() + ": not a history of reeve, but another database");
  } else if (version->value_or(0) >= 1 && version->value_or(0) < layout_version) {
    if (auto upgraded = upgrade(db, version->value_or(0)); !upgraded)
      return upgraded;
  } else if (version->value_or(0) != layout_version) {
    return fail(Code::unknown_version, {},
                db.path() + ": layout " + std::to_string(version->value_or(0)) +
                  ", this program knows " + std::to_string(layout_version));
  }
  // One commit a second, and nothing that is not in the journal too: no sync for each.
  return db
    .run("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=4000;"
         "PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-32000; PRAGMA temp_store=MEMORY")
    .and_then([&] { return fill_names(db); });
}

} // namespace reeve::history
