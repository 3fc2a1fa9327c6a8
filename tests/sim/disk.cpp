// See disk.hpp.
#include "tests/sim/disk.hpp"

#include "src/ledger/recover.hpp"

namespace reeve::sim {
namespace {

Seq last_of(const Disk& disk) {
  return disk.rows.empty() ? disk.truncated : disk.rows.back().row.last();
}

/// Cuts or damages bytes that were on their way to the disk. False: nothing of them is left.
bool tear(std::string& bytes, Random& random) {
  switch (random.below(4)) {
  case 0:
    return false;
  case 1:
    bytes.resize(random.below(bytes.size()));
    return true;
  case 2:
    bytes[random.below(bytes.size())] ^= static_cast<char>(1 << random.below(8));
    return true;
  default:
    return true; // all of it had reached the disk
  }
}

} // namespace

void Disk::crash(Random& random) {
  while (!rows.empty() && !rows.back().synced && !tear(rows.back().row.body, random))
    rows.pop_back();
  for (std::size_t i = snapshots.size(); i-- > 0;)
    if (!snapshots[i].synced && !tear(snapshots[i].snapshot.bytes, random))
      snapshots.erase(snapshots.begin() + static_cast<std::ptrdiff_t>(i));
}

Seq Disk::synced() const {
  for (std::size_t i = rows.size(); i-- > 0;)
    if (rows[i].synced)
      return rows[i].row.last();
  return truncated;
}

std::string Disk::entry(Seq seq) const {
  for (std::size_t i = rows.size(); i-- > 0;) {
    const journal::BatchRow& row = rows[i].row;
    if (row.seq > seq.value || !rows[i].synced)
      continue;
    if (row.last() < seq)
      break;
    const auto entries = journal::unpack(row);
    return entries ? std::string((*entries)[seq.value - row.seq]) : std::string();
  }
  return {};
}

Result<core::Cluster> Disk::recovered() const {
  Disk copy = *this;
  DiskJournal journal(copy);
  auto recovered = ledger::recover(journal);
  if (!recovered)
    return tl::unexpected<Error>(std::move(recovered).error());
  return std::move(recovered->cluster);
}

Result<void> DiskJournal::open() {
  Seq expected = disk_.truncated.next();
  for (std::size_t i = 0; i < disk_.rows.size(); ++i) {
    Disk::Row& stored = disk_.rows[i];
    auto good = journal::check(stored.row, expected);
    if (!good && (i + 1 < disk_.rows.size() || stored.synced))
      return good;
    if (!good) { // never acknowledged
      disk_.rows.pop_back();
      break;
    }
    stored.synced = true; // read back: it stays
    expected = stored.row.last().next();
  }
  return {};
}

Result<void> DiskJournal::write(std::span<const journal::Batch> batches) {
  if (!reign_ || reign_ != disk_.epoch)
    return fail(Code::stale_epoch, {}, "another master has the journal");
  if (disk_.full)
    return fail(Code::unavailable, {}, "no space left on device");
  journal::Batch all{batches.front().first, {}};
  for (const journal::Batch& batch : batches) {
    if (batch.first.value != all.first.value + all.entries.size() || batch.entries.empty())
      return fail(Code::internal, {}, "a gap between batches");
    all.entries.insert(all.entries.end(), batch.entries.begin(), batch.entries.end());
  }
  if (all.first != last_of(disk_).next())
    return fail(Code::internal, {}, "a gap before the batch");
  Disk::Row stored;
  stored.row.seq = all.first.value;
  stored.row.count = static_cast<std::int64_t>(all.entries.size());
  stored.row.version = entry_schema_version;
  if (auto packed = journal::pack(all, stored.row.body); !packed)
    return packed;
  stored.row.length = static_cast<std::int64_t>(stored.row.body.size());
  stored.row.crc =
    journal::row_crc(stored.row.seq, stored.row.count, stored.row.version, stored.row.body);
  disk_.rows.push_back(std::move(stored));
  return {};
}

Result<void> DiskJournal::sync() {
  if (disk_.failing_syncs > 0) {
    --disk_.failing_syncs;
    disk_.rows.pop_back(); // settled: it is not there
    return fail(Code::io, {}, "input/output error");
  }
  disk_.rows.back().synced = true;
  return {};
}

Result<void> DiskJournal::append(std::span<const journal::Batch> batches) {
  if (batches.empty())
    return {};
  if (auto written = write(batches); !written)
    return written;
  return sync();
}

Result<void> DiskJournal::acquire(Epoch epoch, std::string_view) {
  if (read_only_ || epoch <= disk_.epoch)
    return fail(Code::refused, "epoch", "it was taken before");
  if (disk_.full)
    return fail(Code::unavailable, {}, "no space left on device");
  disk_.epoch = reign_ = epoch;
  return {};
}

Seq DiskJournal::last() const {
  return last_of(disk_);
}

Result<void> DiskJournal::read(Seq from,
                               const std::function<Result<void>(Seq, std::string_view)>& each) {
  if (from <= disk_.truncated && from)
    return fail(Code::not_found, {}, "truncated away");
  for (const Disk::Row& stored : disk_.rows) {
    if (stored.row.last() < from)
      continue;
    const auto entries = journal::unpack(stored.row);
    if (!entries)
      return tl::unexpected(entries.error());
    for (std::size_t i = 0; i < entries->size(); ++i)
      if (const Seq seq(stored.row.seq + i); seq >= from)
        if (auto taken = each(seq, (*entries)[i]); !taken)
          return taken;
  }
  return {};
}

Result<journal::Snapshot> DiskJournal::load_snapshot() {
  for (std::size_t i = disk_.snapshots.size(); i-- > 0;) {
    const auto& stored = disk_.snapshots[i];
    if (journal::crc32c(stored.snapshot.bytes) == stored.crc &&
        stored.snapshot.seq >= disk_.truncated)
      return stored.snapshot;
  }
  return journal::Snapshot{};
}

Result<void> DiskJournal::save_snapshot(const journal::Snapshot& snapshot) {
  if (!reign_ || reign_ != disk_.epoch)
    return fail(Code::stale_epoch, {}, "another master has the journal");
  if (disk_.full)
    return fail(Code::unavailable, {}, "no space left on device");
  disk_.snapshots.push_back({snapshot, journal::crc32c(snapshot.bytes), false});
  return {};
}

Result<void> DiskJournal::truncate(Seq upto) {
  if (!disk_.snapshots.empty())
    disk_.snapshots.back().synced = true;
  if (disk_.snapshots.size() > 2)
    disk_.snapshots.erase(disk_.snapshots.begin(), disk_.snapshots.end() - 2);
  while (!disk_.rows.empty() && disk_.rows.front().synced &&
         disk_.rows.front().row.last() <= upto) {
    disk_.truncated = disk_.rows.front().row.last();
    disk_.rows.pop_front();
  }
  return {};
}

Result<journal::Health> DiskJournal::verify() {
  journal::Health health;
  health.last = last();
  return health;
}

Result<std::unique_ptr<journal::Journal>> DiskJournal::reader() {
  return std::make_unique<DiskJournal>(disk_, true);
}

} // namespace reeve::sim
