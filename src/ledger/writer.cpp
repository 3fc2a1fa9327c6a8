// See writer.hpp.
#include "src/ledger/writer.hpp"

#include <iterator>

namespace reeve::ledger {

Writer::Writer(std::unique_ptr<journal::Journal> journal, OnReport on_report)
    : journal_(std::move(journal)), on_report_(std::move(on_report)), thread_([this] { loop(); }) {}

Writer::~Writer() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Writer::append(std::vector<journal::Batch> batches) {
  {
    const std::scoped_lock lock(mutex_);
    if (failed_)
      return; // does not fit behind what failed
    std::move(batches.begin(), batches.end(), std::back_inserter(queue_));
  }
  wake_.notify_one();
}

void Writer::save(journal::Snapshot snapshot) {
  {
    const std::scoped_lock lock(mutex_);
    snapshots_.push_back(std::move(snapshot));
  }
  wake_.notify_one();
}

void Writer::resume() {
  const std::scoped_lock lock(mutex_);
  failed_ = false;
}

void Writer::run(std::function<void(journal::Journal&)> work) {
  {
    const std::scoped_lock lock(mutex_);
    works_.push_back(std::move(work));
  }
  wake_.notify_one();
}

void Writer::loop() {
  for (;;) {
    std::vector<journal::Batch> batches;
    std::vector<journal::Snapshot> snapshots;
    std::vector<std::function<void(journal::Journal&)>> works;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(
        lock, [&] { return stop_ || !queue_.empty() || !snapshots_.empty() || !works_.empty(); });
      batches.swap(queue_);
      snapshots.swap(snapshots_);
      works.swap(works_);
      if (stop_ && batches.empty() && snapshots.empty() && works.empty())
        return;
    }
    if (!batches.empty())
      append_all(batches);
    for (const auto& snapshot : snapshots)
      save_one(snapshot);
    for (const auto& work : works)
      work(*journal_);
  }
}

void Writer::append_all(const std::vector<journal::Batch>& batches) {
  if (auto stored = journal_->append(batches); !stored) {
    {
      const std::scoped_lock lock(mutex_);
      failed_ = true;
      queue_.clear();
    }
    on_report_({tl::unexpected<Error>(std::move(stored).error()), {}});
    return;
  }
  on_report_({batches.back().last(), {}});
}

void Writer::save_one(const journal::Snapshot& snapshot) {
  auto stored = journal_->save_snapshot(snapshot);
  if (stored)
    stored = journal_->truncate(snapshot.seq);
  if (stored)
    on_report_({journal_->last(), snapshot.seq});
  else
    on_report_({journal_->last(), {}, std::move(stored).error()});
}

} // namespace reeve::ledger
