// The journal: where facts become durable, in one order. The ledger's writer thread appends;
// recovery and tools read. Backends: `sqlite` (one machine), `etcd` (several masters:
// etcd_journal.hpp), `memory` (tests). Opaque bytes in, opaque bytes out: what is in a batch is
// messages/entries.hpp's business. Must never acknowledge what a power cut could take back.
#pragma once

#include "messages/entries.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace reeve::journal {

/// Consecutive encoded entries: entries[i] has seq first + i.
struct Batch {
  Seq first;
  std::vector<std::string> entries;
  [[nodiscard]] Seq last() const { return Seq(first.value + entries.size() - 1); }
};

struct Snapshot {
  Seq seq; // the state after this entry; 0: none
  std::string bytes;
};

/// What `open` and `verify` find out about stored bytes.
struct Health {
  Seq first, last; // of the readable entries; last 0: empty
  Seq snapshot;    // newest good one
  std::string
    torn_tail; // what was cut off at the end because it was never acknowledged; empty: nothing
  std::uint64_t bytes = 0; // on disk
};

/// How the reign over a journal that several masters share is. Any thread may look.
struct Pulse {
  std::atomic<std::int64_t> confirmed_us{0}; // when the journal last confirmed it: steady clock
  std::atomic<bool> deposed{false};          // another master reigns
  std::atomic<bool> full{false}; // three quarters of the room are used: take no new work
  std::atomic<bool> stop{false}; // set from outside: an append that waits gives up
};

/// One thread at a time calls a journal (the ledger's writer), except `read` and `load_snapshot`,
/// which may run beside it on a reader of their own (`reader()`).
class Journal {
public:
  virtual ~Journal() = default;

  /// Takes the reign: no other process can append from now on. Errors: refused (somebody else holds
  /// it, or `epoch` is not above the stored one), io, unavailable (disk full).
  virtual Result<void> acquire(Epoch epoch, std::string_view master) = 0;
  /// The highest epoch that was ever acquired; 0: none. The next master takes one above it: a
  /// master may die between `acquire` and its EpochStarted.
  [[nodiscard]] virtual Epoch epoch() const = 0;
  /// Makes the batches durable, in order and all or none, before it returns. batches.front().first
  /// must be last() + 1. Errors: unavailable (disk full: nothing was stored, may be tried again
  /// later), io (the outcome is settled before returning: nothing was stored), stale_epoch (fenced:
  /// step down). etcd: after an error, some of the first batches may be stored; last() tells.
  virtual Result<void> append(std::span<const Batch> batches) = 0;
  /// Newest durable seq; 0 when empty.
  [[nodiscard]] virtual Seq last() const = 0;
  /// Calls `each` for every entry with seq >= from, in order without gaps, until it returns an
  /// error (passed on). Errors: corrupt, naming the seq and the fault (length, CRC, version, gap);
  /// not_found when `from` was truncated away.
  virtual Result<void> read(Seq from,
                            const std::function<Result<void>(Seq, std::string_view)>& each) = 0;
  /// Newest snapshot whose check passes; an older one if the newest is damaged and the entries
  /// after it are still there. Seq 0: none.
  virtual Result<Snapshot> load_snapshot() = 0;
  virtual Result<void> save_snapshot(const Snapshot& snapshot) = 0;
  /// Deletes entries with seq <= upto (never beyond the newest snapshot) and all but the newest two
  /// snapshots.
  virtual Result<void> truncate(Seq upto) = 0;
  /// An empty journal begins behind this snapshot, as the one it was taken from did. Errors:
  /// refused (not empty), and those of save_snapshot.
  virtual Result<void> seed(const Snapshot&) {
    return fail(Code::refused, {}, "this journal cannot be filled");
  }
  virtual Result<Health> verify() = 0;
  /// A second, read-only way into the same journal, for another thread.
  virtual Result<std::unique_ptr<Journal>> reader() = 0;
  /// Gives the reign up, so that another master begins at once. Nothing can be appended after it.
  virtual Result<void> release() { return {}; }
  /// Null: nobody else can take the reign while this process lives.
  [[nodiscard]] virtual std::shared_ptr<Pulse> pulse() const { return nullptr; }
};

struct SqliteOptions {
  std::string path;            // the database file; made with its folder when missing
  bool read_only = false;      // for tools beside a running master
  std::uint64_t max_bytes = 0; // 0: no limit. Tests and small disks.
  bool lay_out_log = false; // gives the log its full length, where there is room for many of them
};
/// Errors: io (with errno's words), corrupt (anything but a torn tail), refused (another master has
/// it open), unknown_version.
Result<std::unique_ptr<Journal>> open_sqlite(const SqliteOptions& options);

/// Keeps everything in memory. `store` outlives the journal, so that a test can crash the master
/// and open it again.
struct MemoryStore;
std::shared_ptr<MemoryStore> make_memory_store();
std::unique_ptr<Journal> open_memory(std::shared_ptr<MemoryStore> store);
/// The next `n` appends succeed, then each fails with `code` until called again with an empty
/// optional.
void fail_appends_after(MemoryStore& store, std::uint64_t n, std::optional<Code> code);

/// CRC-32C (Castagnoli), as in RFC 3720; hardware where the processor has it.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed = 0);

} // namespace reeve::journal
