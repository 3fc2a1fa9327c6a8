// history.db: what was, for questions. Rows come from committed batches, each once, also over
// restarts: the position in the journal is stored with the rows in one transaction. The truth is
// the journal; nothing here is needed to run. One thread at a time (Recorder's).
#pragma once

#include "src/history/bulk_insert.hpp"
#include "src/history/rows.hpp"
#include "src/history/totals.hpp"
#include "src/sqlite/database.hpp"

#include <functional>
#include <span>

namespace reeve::history {

class Sql;

class History {
public:
  /// Makes the file and its folder when missing. Errors: io, corrupt, refused, unknown_version.
  static Result<std::unique_ptr<History>> open(const std::string& path);

  /// Newest entry of the journal whose rows are here.
  [[nodiscard]] Seq last() const { return last_; }
  /// Adds the rows of batches that follow each other; the first begins at last() + 1. All or none.
  /// Errors: unavailable (disk full), io, corrupt; conflict when the batches do not fit.
  Result<void> record(std::span<const core::CommittedPtr> batches);
  /// What record() has returned from survives a power cut from now on.
  Result<void> sync();
  /// Entries up to `upto` will never come: they are not in the journal any more.
  Result<void> note_gap(Seq upto, const std::string& reason);
  /// Jobs and nodes that were known before the first entry that will come. Those that are here
  /// already stay as they are.
  Result<void> adopt(std::span<const JobRow> jobs,
                     std::span<const std::pair<NodeId, std::string>> names);

  // ---- questions
  Result<HistoryRows> query(const QueryHistory& question);
  /// Fills in what is known of tasks that have ended: node, attempt, result.
  Result<void> complete(TaskList& list);
  /// Fills in how those jobs ended that have no total. What is not known here stays as it is.
  Result<void> complete(Progress& progress);
  struct Log {
    LogChunk chunk;     // of the head that was kept
    NodeId node;        // where the attempt was
    bool known = false; // how much it wrote; not so when the node was lost
    bool whole = false; // the head is all there ever was
  };
  /// Nothing when no such attempt has ended.
  Result<std::optional<Log>> log(const ReadLog& question);

  struct RunTime {
    std::string user, executor, name; // of the job
    Duration time{0};
  };
  /// How long the newest runs of named jobs took that went well, oldest first.
  Result<std::vector<RunTime>> run_times(std::uint32_t most);

  struct Due {
    std::uint64_t rows = 0;
    bool more = false; // not counted to the end
  };
  /// How many rows are from before `cutoff`: of each table at most 100,000 are counted.
  Result<Due> due(TimePoint cutoff);
  /// Deletes rows from before `cutoff`, at most some thousand. True: there are more.
  Result<bool> sweep(TimePoint cutoff);

private:
  explicit History(sqlite::Database db) : db_(std::move(db)) {}
  Result<void> start();
  /// Forgets kinds that no job has any more, some at a time.
  Result<void> sweep_kinds();
  Result<void> in_transaction(const std::function<Result<void>()>& work);

  Result<void> insert(Rows& rows);
  struct End {
    const core::JobEnded* end = nullptr; // none: it runs again
    std::int64_t id = 0;
  };
  /// What is known of a job's owner and its last end. Nothing: no such row.
  struct Known {
    JobId job;
    std::string user, queue;
    TimePoint submitted;
    std::optional<std::int64_t> tasks;
    std::optional<EndedJob> end;
  };
  Result<std::optional<Known>> known(JobId job);
  Result<void> insert_job(const JobRow& row, const End* last);
  Result<void> insert_end(JobId job, const End& last);
  Result<void> insert_jobs_and_ends(const Rows& rows);
  Result<void> insert_runs(const Rows& rows);
  Result<void> count_run(const Rows& rows, const RunRow& row);
  Result<void> insert_outputs(const Rows& rows);
  Result<void> insert_nodes(const Rows& rows);
  Result<void> insert_config(const Rows& rows);
  Result<void> note_minute(const Rows& rows);
  Result<std::int64_t> kind_of(const KindKey& key);

  Result<HistoryRows> query_jobs(const QueryHistory& question);
  Result<HistoryRows> query_attempts(const QueryHistory& question);
  Result<HistoryRows> query_nodes(const QueryHistory& question);
  Result<HistoryRows> query_config(const QueryHistory& question);
  Result<HistoryRows> query_totals(const QueryHistory& question);
  template<class Sums> Result<std::map<std::string, Sums>> sums_of(const QueryHistory& question);
  Result<void> bound_ids(const QueryHistory& question, const char* column, std::int64_t newest,
                         const std::string& id, std::string& condition);
  /// Some, when there are too many to be looked at one by one.
  Result<std::vector<std::int64_t>> kinds_like(const QueryHistory& question);
  Result<std::optional<std::vector<std::int64_t>>> few_jobs_of(const QueryHistory& question);
  Result<std::vector<std::int64_t>> newest_ends(const std::vector<std::int64_t>& kinds,
                                                const Sql& of_kind, std::size_t most);
  /// Rows of `since` or later have ids from this one on. `column`: of `minutes`.
  Result<std::int64_t> first_id(TimePoint since, const char* column, std::int64_t newest);

  struct Ids { // the newest that were given
    std::int64_t end = 0, run = 0, node = 0, config = 0;
  };

  sqlite::Database db_;
  Seq last_;
  Ids ids_;
  std::int64_t minute_now_ = 0; // that the newest row of `minutes` is for; 0: begin a new one
  Specs specs_;
  std::map<KindKey, std::int64_t> kinds_;
  std::int64_t kinds_swept_ = 0; // up to this one, in this round
  std::map<std::tuple<JobId, TaskIndex, Attempt>, std::int64_t> new_runs_; // those of one task
  std::optional<Known> last_known_; // of a job that has many runs
  Totals totals_;
  BulkInsert jobs_, runs_;
  sqlite::Statement begin_, commit_, end_, unend_, nameless_, head_, node_, name_, config_, meta_,
    minute_, minute_grows_, kind_, find_kind_, task_run_, known_;
};

} // namespace reeve::history
