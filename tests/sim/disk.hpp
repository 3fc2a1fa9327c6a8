// The master's virtual disk and a journal on it. What is written and not synced may be lost, cut or
// damaged by a crash; the disk may be full, and syncing may fail. Owned by the simulation; the
// simulated master's writer uses the journal as the real one uses SQLite. Rows are framed and
// checked by the real code (src/journal/batch_row).
#pragma once

#include "src/journal/batch_row.hpp"
#include "tests/sim/log.hpp"
#include "tests/sim/random.hpp"

#include <deque>

namespace reeve::sim {

class Disk final : public Log {
public:
  struct Row {
    journal::BatchRow row;
    bool synced = false;
  };
  struct StoredSnapshot {
    journal::Snapshot snapshot;
    std::uint32_t crc = 0;
    bool synced = false;
  };
  bool full = false;
  int failing_syncs = 0; // so many more will fail
  Epoch epoch;
  Seq truncated;
  std::deque<Row> rows; // one a transaction
  std::vector<StoredSnapshot> snapshots;

  /// The power goes: what was not synced is there, or not, or in part.
  void crash(Random& random);
  [[nodiscard]] Seq synced() const override;
  [[nodiscard]] Seq begins_after() const override { return truncated; }
  [[nodiscard]] std::string entry(Seq seq) const override;
  [[nodiscard]] Result<core::Cluster> recovered() const override;
};

class DiskJournal final : public journal::Journal {
public:
  explicit DiskJournal(Disk& disk, bool read_only = false) : disk_(disk), read_only_(read_only) {}
  /// Cuts off a torn end. Errors: corrupt.
  Result<void> open();
  /// `append` in its two steps; a crash may come between them.
  Result<void> write(std::span<const journal::Batch> batches);
  Result<void> sync();

  Result<void> acquire(Epoch epoch, std::string_view master) override;
  [[nodiscard]] Epoch epoch() const override { return disk_.epoch; }
  Result<void> append(std::span<const journal::Batch> batches) override;
  [[nodiscard]] Seq last() const override;
  Result<void> read(Seq from,
                    const std::function<Result<void>(Seq, std::string_view)>& each) override;
  Result<journal::Snapshot> load_snapshot() override;
  Result<void> save_snapshot(const journal::Snapshot& snapshot) override;
  Result<void> truncate(Seq upto) override;
  Result<journal::Health> verify() override;
  Result<std::unique_ptr<journal::Journal>> reader() override;

private:
  Disk& disk_;
  bool read_only_;
  Epoch reign_;
};

} // namespace reeve::sim
