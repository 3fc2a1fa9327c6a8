// The journal of the tests: keeps everything in memory, crashes and fails on command. Behaves as
// the sqlite one does.
#include "src/journal/batch_row.hpp"

#include <algorithm>
#include <deque>
#include <mutex>

namespace reeve::journal {

struct MemoryStore {
  std::mutex mutex;
  Epoch epoch;
  std::string master;
  Seq truncated;
  std::deque<std::string> entries; // entries[i] has seq truncated + 1 + i
  std::vector<Snapshot> snapshots; // oldest first
  std::uint64_t appends_left = 0;
  std::optional<Code> failure;
  [[nodiscard]] Seq last() const { return Seq(truncated.value + entries.size()); }
};

namespace {

class MemoryJournal final : public Journal {
public:
  MemoryJournal(std::shared_ptr<MemoryStore> store, bool read_only)
      : store_(std::move(store)), read_only_(read_only) {}

  Result<void> acquire(Epoch epoch, std::string_view master) override {
    const std::scoped_lock lock(store_->mutex);
    if (read_only_)
      return fail(Code::refused, {}, "memory journal: opened for reading only");
    if (epoch <= store_->epoch)
      return fail(Code::refused, "epoch",
                  "epoch " + std::to_string(epoch.value) + " is not above " +
                    std::to_string(store_->epoch.value) + ", which was already taken");
    store_->epoch = reign_ = epoch;
    store_->master = master;
    return {};
  }
  [[nodiscard]] Epoch epoch() const override {
    const std::scoped_lock lock(store_->mutex);
    return store_->epoch;
  }

  Result<void> append(std::span<const Batch> batches) override {
    const std::scoped_lock lock(store_->mutex);
    if (auto may = check_reign("appending"); !may)
      return may;
    if (batches.empty())
      return {};
    if (auto good = check_order(batches, store_->last().next()); !good)
      return good;
    if (store_->failure) {
      if (store_->appends_left == 0)
        return fail(*store_->failure, {}, "memory journal: told to fail");
      --store_->appends_left;
    }
    for (const auto& batch : batches)
      store_->entries.insert(store_->entries.end(), batch.entries.begin(), batch.entries.end());
    return {};
  }
  [[nodiscard]] Seq last() const override {
    const std::scoped_lock lock(store_->mutex);
    return store_->last();
  }

  Result<void> read(Seq from,
                    const std::function<Result<void>(Seq, std::string_view)>& each) override {
    for (Seq seq = from ? from : Seq(1);; seq = seq.next()) {
      std::string entry; // copied: `each` may call the journal
      {
        const std::scoped_lock lock(store_->mutex);
        if (seq <= store_->truncated)
          return fail(Code::not_found, {},
                      "journal entry " + std::to_string(seq.value) +
                        ": truncated away; the first one kept is " +
                        std::to_string(store_->truncated.value + 1));
        if (seq > store_->last())
          return {};
        entry = store_->entries[seq.value - store_->truncated.value - 1];
      }
      if (auto taken = each(seq, entry); !taken)
        return taken;
    }
  }

  Result<Snapshot> load_snapshot() override {
    const std::scoped_lock lock(store_->mutex);
    return store_->snapshots.empty() ? Snapshot{} : store_->snapshots.back();
  }
  Result<void> save_snapshot(const Snapshot& snapshot) override {
    const std::scoped_lock lock(store_->mutex);
    if (auto may = check_reign("saving a snapshot"); !may)
      return may;
    if (!snapshot.seq || snapshot.seq > store_->last())
      return fail(Code::internal, {},
                  "a snapshot of " + std::to_string(snapshot.seq.value) +
                    " where the journal ends at " + std::to_string(store_->last().value));
    std::erase_if(store_->snapshots, [&](const Snapshot& s) { return s.seq == snapshot.seq; });
    const auto place =
      std::upper_bound(store_->snapshots.begin(), store_->snapshots.end(), snapshot,
                       [](const Snapshot& a, const Snapshot& b) { return a.seq < b.seq; });
    store_->snapshots.insert(place, snapshot);
    return {};
  }
  Result<void> seed(const Snapshot& snapshot) override {
    {
      const std::scoped_lock lock(store_->mutex);
      if (auto may = check_reign("filling it"); !may)
        return may;
      if (store_->last())
        return fail(Code::refused, {}, "memory journal: is not empty");
      store_->truncated = snapshot.seq;
    }
    return save_snapshot(snapshot);
  }
  Result<void> truncate(Seq upto) override {
    const std::scoped_lock lock(store_->mutex);
    if (auto may = check_reign("truncating"); !may)
      return may;
    auto& snapshots = store_->snapshots;
    if (snapshots.size() > 2)
      snapshots.erase(snapshots.begin(), snapshots.end() - 2);
    const Seq limit = std::min(upto, snapshots.empty() ? Seq(0) : snapshots.back().seq);
    while (store_->truncated < limit && !store_->entries.empty()) {
      store_->entries.pop_front();
      store_->truncated = store_->truncated.next();
    }
    return {};
  }

  Result<Health> verify() override {
    const std::scoped_lock lock(store_->mutex);
    Health health;
    health.first = store_->entries.empty() ? Seq(0) : store_->truncated.next();
    health.last = store_->last();
    health.snapshot = store_->snapshots.empty() ? Seq(0) : store_->snapshots.back().seq;
    for (const auto& entry : store_->entries)
      health.bytes += entry.size();
    return health;
  }
  Result<std::unique_ptr<Journal>> reader() override {
    return std::make_unique<MemoryJournal>(store_, true);
  }

private:
  [[nodiscard]] Result<void> check_reign(std::string_view doing) const {
    if (read_only_ || !reign_)
      return fail(Code::refused, {},
                  "memory journal: no epoch was acquired for " + std::string(doing));
    if (reign_ != store_->epoch)
      return fail(Code::stale_epoch, {},
                  "epoch " + std::to_string(store_->epoch.value) +
                    " has taken the journal from epoch " + std::to_string(reign_.value));
    return {};
  }

  std::shared_ptr<MemoryStore> store_;
  bool read_only_;
  Epoch reign_; // 0: not acquired
};

} // namespace

std::shared_ptr<MemoryStore> make_memory_store() {
  return std::make_shared<MemoryStore>();
}

std::unique_ptr<Journal> open_memory(std::shared_ptr<MemoryStore> store) {
  return std::make_unique<MemoryJournal>(std::move(store), false);
}

void fail_appends_after(MemoryStore& store, std::uint64_t n, std::optional<Code> code) {
  const std::scoped_lock lock(store.mutex);
  store.appends_left = n;
  store.failure = code;
}

} // namespace reeve::journal
