// The journal's writer thread: appends what the ledger hands it, all queued batches in one commit,
// and reports. Owns the Journal; nobody else may write to it. Owned by the ledger actor. Never
// decides anything.
#pragma once

#include "src/journal/journal.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace reeve::ledger {

class Writer {
public:
  struct Report {
    Result<Seq> durable; // everything up to it, or why the append failed; after a failure
                         // everything queued is dropped
    Seq snapshot;        // not 0: a snapshot at this seq was stored and the journal truncated
    std::optional<Error> snapshot_failed = {}; // a snapshot was not stored; appending goes on
  };
  using OnReport =
    std::function<void(Report)>; // called on the writer's thread: must only pass a message on

  Writer(std::unique_ptr<journal::Journal> journal, OnReport on_report);
  ~Writer(); // finishes what is queued, then joins

  void append(std::vector<journal::Batch> batches);
  /// Stores a snapshot and truncates what it covers, between two appends.
  void save(journal::Snapshot snapshot);
  /// After a failed append: forget the failure, take work again.
  void resume();
  /// Runs `work` with the journal on the writer's thread, after everything that was queued before
  /// it (recovery after a failure, a reader for a snapshot).
  void run(std::function<void(journal::Journal&)> work);

private:
  void loop();
  void append_all(const std::vector<journal::Batch>& batches);
  void save_one(const journal::Snapshot& snapshot);

  std::unique_ptr<journal::Journal> journal_;
  OnReport on_report_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<journal::Batch> queue_;
  std::vector<journal::Snapshot> snapshots_;
  std::vector<std::function<void(journal::Journal&)>> works_;
  bool failed_ = false, stop_ = false; // guarded by mutex_, as the queues are
  std::thread thread_;
};

} // namespace reeve::ledger
