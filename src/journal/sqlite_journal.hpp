// The journal of one machine: an SQLite file with one row per batch. Opened by open_sqlite
// (sqlite_open.cpp), used by the ledger's writer; tools and recovery use readers. Must never say
// "durable" before the write-ahead log is synced.
#pragma once

#include "src/journal/batch_row.hpp"
#include "src/journal/file_lock.hpp"
#include "src/sqlite/database.hpp"

namespace reeve::journal {

constexpr std::int64_t sqlite_application_id = 0x72656576; // "reev"
constexpr std::int64_t sqlite_layout_version = 1;          // PRAGMA user_version

class SqliteJournal final : public Journal {
public:
  SqliteJournal(SqliteOptions options, sqlite::Database db, FileLock lock)
      : options_(std::move(options)), db_(std::move(db)), lock_(std::move(lock)) {}

  /// Prepares the statements and learns where the journal ends. A writer also refuses a journal
  /// whose end was lost.
  Result<void> start(std::string torn_tail);

  Result<void> acquire(Epoch epoch, std::string_view master) override;
  [[nodiscard]] Epoch epoch() const override;
  Result<void> append(std::span<const Batch> batches) override;
  [[nodiscard]] Seq last() const override;
  Result<void> read(Seq from,
                    const std::function<Result<void>(Seq, std::string_view)>& each) override;
  Result<Snapshot> load_snapshot() override;
  Result<void> save_snapshot(const Snapshot& snapshot) override;
  Result<void> truncate(Seq upto) override;
  Result<void> seed(const Snapshot& snapshot) override;
  Result<Health> verify() override;
  Result<std::unique_ptr<Journal>> reader() override;

private:
  struct SnapshotHead {
    Seq seq;
    std::int64_t chunks = 0, bytes = 0;
    std::string hash;
  };
  enum class Stage { before_commit, commit };

  Result<void> check_room(std::span<const Batch> batches);
  Result<void> write_batches(std::span<const Batch> batches);
  Error after_failure(Error error, Stage stage);
  Result<void> settle();
  Result<Epoch> stored_epoch() const;
  Result<Seq> stored_last();
  Result<Seq> truncated();
  Result<void> read_rows(Seq from, std::vector<BatchRow>& rows);
  Result<void> check_end(Seq end, Seq noted) const;
  Result<std::vector<SnapshotHead>> snapshot_heads();
  Result<std::string> snapshot_bytes(const SnapshotHead& head);
  Result<void> write_snapshot(const Snapshot& snapshot);
  Result<void> delete_upto(Seq limit);
  Result<void> give_pages_back();
  Result<void> in_transaction(const std::function<Result<void>()>& work);
  Result<void> set_meta(std::string_view key, std::int64_t value);
  Result<void> set_meta(std::string_view key, std::string_view value);

  SqliteOptions options_;
  sqlite::Database db_;
  FileLock lock_;
  std::string
    identity_; // random, made with the file: the lock file's note belongs to this journal only
  std::string torn_tail_;
  Epoch reign_;            // 0: not acquired
  Seq last_;               // of a writer
  bool unsettled_ = false; // a failed commit may still come to life in the log: nothing is appended
                           // before that is ruled out
  std::string body_;       // reused between appends
  mutable sqlite::Statement begin_, commit_, insert_, epoch_, meta_, last_row_, truncated_, rows_,
    row_at_;
};

} // namespace reeve::journal
