// history.db: what was, for questions. Rows come from committed batches, each once, also over
// restarts: the position in the journal is stored with the rows in one transaction. The truth is
// the journal; nothing here is needed to run. One thread at a time (Recorder's).
#pragma once

#include "src/history/feed.hpp"
#include "src/history/lists.hpp"
#include "src/history/rows.hpp"
#include "src/history/totals.hpp"
#include "src/sqlite/database.hpp"

#include <functional>
#include <span>

namespace reeve::history {

class Sql;

class History {
public:
  /// Makes the file and its folder when missing, and brings it to this version's layout. `block`:
  /// rows that share lists. Errors: io, corrupt, refused, unknown_version.
  static Result<std::unique_ptr<History>> open(const std::string& path,
                                               std::size_t block = Lists::rows_in_block);

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
  History(sqlite::Database db, std::size_t block) : db_(std::move(db)), lists_(block) {}
  Result<void> start();
  /// Forgets kinds that no job has any more, some at a time.
  Result<void> sweep_kinds(TimePoint cutoff);
  Result<void> in_transaction(const std::function<Result<void>()>& work);
  /// What could not be written may have left them unknown.
  Result<void> ready_lists();

  /// What is known of a job's kind and submission.
  struct Known {
    JobId job;
    std::int64_t kind = 0; // 0: unknown
    TimePoint submitted;
    std::int64_t tasks = -1; // -1: unknown
  };
  struct End {
    std::int64_t id = 0;
    const core::JobEnded* end = nullptr;
    const Known* job = nullptr;
  };
  /// `again`: a job may be here with an end that nobody took back.
  Result<void> insert(Rows& rows, bool again);
  /// Fills known_ for every job that these rows are about.
  Result<void> know_jobs(const Rows& rows);
  Result<void> look_up(const std::vector<JobId>& jobs);
  [[nodiscard]] const Known* known(JobId job) const;
  Result<void> insert_jobs(std::span<const JobRow> rows);
  Result<void> insert_ends(const Rows& rows, bool again);
  Result<std::vector<End>> last_ends(const Rows& rows, bool again);
  Result<void> void_end(const Known& job);
  Result<void> insert_runs(const Rows& rows);
  Result<void> insert_outputs(const Rows& rows);
  Result<void> insert_nodes(const Rows& rows);
  Result<void> insert_config(const Rows& rows);
  Result<void> note_minute(const Rows& rows);
  Result<std::int64_t> kind_of(const KindKey& key, TimePoint used);
  Result<void> know_kind(std::int64_t kind);

  Result<HistoryRows> query_jobs(const QueryHistory& question);
  Result<HistoryRows> query_attempts(const QueryHistory& question);
  Result<HistoryRows> query_nodes(const QueryHistory& question);
  Result<HistoryRows> query_config(const QueryHistory& question);
  Result<HistoryRows> query_totals(const QueryHistory& question);
  template<class Sums> Result<std::map<std::string, Sums>> sums_of(const QueryHistory& question);
  template<class Sums>
  Result<void> add_of_job(const QueryHistory& question, std::map<std::string, Sums>& to);
  /// Whole hours and days. What is left of the asked stretch is added to `rest`.
  template<class Sums>
  Result<void> add_kept(const QueryHistory& question, const std::string& table,
                        std::map<std::string, Sums>& to, std::vector<Stretch>& rest);
  /// Looks at each attempt on the node; not so and false when these are many.
  Result<bool> add_few_on_node(const QueryHistory& question,
                               std::map<std::string, AttemptSums>& to);
  /// Out of lists. `question`: not of one job.
  template<class Sums>
  Result<void> add_listed(const QueryHistory& question, std::span<const Stretch> of,
                          std::map<std::string, Sums>& to);
  Result<Lists::Ids> listed_ids(bool jobs, const Stretch& of);
  Result<std::size_t> rows_within(bool jobs, const Stretch& of);
  /// Ids that can be of the asked stretch of time: a first cut before times are compared.
  Result<Lists::Ids> ids_of(const QueryHistory& question, const char* column, std::int64_t newest);
  /// In their order; one more than can be looked at one by one: there are too many.
  Result<Lists::Keys> kinds_like(const QueryHistory& question);
  Result<Lists::Keys> nodes_named(const std::string& name);
  Result<std::optional<Lists::Keys>> few_jobs_on(const Lists::Keys& nodes, std::size_t most);
  Result<HistoryRows>
  listed_page(const Sql& sql, const Lists::Wanted& listed, std::uint32_t limit,
              const std::function<bool(const Lists::Rows& rows, std::size_t row)>& wanted);
  /// Rows of `since` or later have ids from this one on. `column`: of `minutes`.
  Result<std::int64_t> first_id(TimePoint since, const char* column, std::int64_t newest);

  struct Ids { // the newest that were given
    std::int64_t end = 0, run = 0, node = 0, config = 0;
  };

  struct Kind {
    KindKey key;
    TimePoint used;          // that the database knows of
    std::uint32_t queue = 0; // number of totals_
  };

  Feed feed_; // ends after the database
  sqlite::Database db_;
  Seq last_;
  Ids ids_;
  std::int64_t minute_now_ = 0; // that the newest row of `minutes` is for; 0: begin a new one
  Specs specs_;
  std::map<KindKey, std::int64_t> kinds_;
  std::unordered_map<std::int64_t, Kind> kind_keys_; // of kinds_, and others
  std::int64_t kinds_swept_ = 0;                     // up to this one, in this round
  // of one transaction
  std::vector<Known> known_;                                               // in the order of jobs
  std::map<std::tuple<JobId, TaskIndex, Attempt>, std::int64_t> new_runs_; // those of one task
  Totals totals_;
  Lists lists_;
  sqlite::Statement begin_, commit_, insert_jobs_, insert_ends_, insert_runs_, nameless_, look_up_,
    ended_, note_void_, void_, head_, node_, name_, config_, meta_, minute_, minute_grows_, kind_,
    find_kind_, kind_key_, kind_used_, task_run_;
};

} // namespace reeve::history
