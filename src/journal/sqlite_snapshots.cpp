// Snapshots in chunks, and giving back the space of what they make unnecessary. A snapshot counts
// once its head row is there.
#include "src/journal/sqlite_journal.hpp"

#include <algorithm>
#include <xxhash.h>

namespace reeve::journal {
namespace {

constexpr std::size_t chunk_bytes = 1u << 20;
constexpr std::size_t chunks_per_commit =
  8; // bounds the write-ahead log while a large snapshot is written
constexpr std::uint64_t rows_per_delete = 512;
constexpr std::int64_t pages_kept_free = 4096; // 16 MiB: the next entries use them again
constexpr std::int64_t pages_per_vacuum = 2048;

std::string hash_of(std::string_view bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  return {reinterpret_cast<const char*>(canonical.digest), sizeof canonical.digest};
}

tl::unexpected<Error> damaged(Seq seq, const std::string& fault) {
  return fail(Code::corrupt, {}, "snapshot " + std::to_string(seq.value) + ": " + fault);
}

} // namespace

Result<std::vector<SqliteJournal::SnapshotHead>> SqliteJournal::snapshot_heads() {
  auto select = db_.prepare("SELECT seq,chunks,bytes,hash FROM snapshots ORDER BY seq DESC", false);
  if (!select)
    return tl::unexpected<Error>(std::move(select).error());
  std::vector<SnapshotHead> heads;
  for (;;) {
    auto row = select->next(db_.path());
    if (!row)
      return tl::unexpected<Error>(std::move(row).error());
    if (!*row)
      return heads;
    heads.push_back({Seq(select->unsigned_at(0)), select->integer_at(1), select->integer_at(2),
                     std::string(select->blob_at(3))});
  }
}

Result<std::string> SqliteJournal::snapshot_bytes(const SnapshotHead& head) {
  auto select =
    db_.prepare("SELECT part,crc,body FROM snapshot_chunks WHERE snapshot=? ORDER BY part", false);
  if (!select)
    return tl::unexpected<Error>(std::move(select).error());
  select->integer(1, head.seq.value);
  std::string bytes;
  std::int64_t part = 0;
  for (;; ++part) {
    auto row = select->next(db_.path());
    if (!row && row.error().code == Code::corrupt)
      return damaged(head.seq, row.error().text);
    if (!row)
      return tl::unexpected<Error>(std::move(row).error());
    if (!*row)
      break;
    if (select->integer_at(0) != part)
      return damaged(head.seq, "chunk " + std::to_string(part) + " is missing");
    const auto body = select->blob_at(2);
    if (select->integer_at(1) != static_cast<std::int64_t>(crc32c(body)))
      return damaged(head.seq, "chunk " + std::to_string(part) + " does not pass its CRC");
    bytes += body;
  }
  if (part != head.chunks || static_cast<std::int64_t>(bytes.size()) != head.bytes)
    return damaged(head.seq, std::to_string(part) + " of " + std::to_string(head.chunks) +
                               " chunks and " + std::to_string(bytes.size()) + " of " +
                               std::to_string(head.bytes) + " bytes are there");
  if (hash_of(bytes) != head.hash)
    return damaged(head.seq, "its bytes do not pass the hash");
  return bytes;
}

Result<Snapshot> SqliteJournal::load_snapshot() {
  auto cut = truncated();
  if (!cut)
    return tl::unexpected<Error>(std::move(cut).error());
  auto heads = snapshot_heads();
  if (!heads)
    return tl::unexpected<Error>(std::move(heads).error());
  std::string faults;
  for (const auto& head : *heads) {
    if (head.seq < *cut)
      break; // the entries behind it are gone
    auto bytes = snapshot_bytes(head);
    if (bytes)
      return Snapshot{head.seq, std::move(*bytes)};
    if (bytes.error().code != Code::corrupt)
      return tl::unexpected<Error>(std::move(bytes).error());
    faults += (faults.empty() ? "" : "; ") + bytes.error().text;
  }
  if (!*cut)
    return Snapshot{}; // every entry is still there: the state can be had from the first one on
  return fail(Code::corrupt, {},
              db_.path() + ": entries up to " + std::to_string(cut->value) +
                " were truncated and no good snapshot takes their place" +
                (faults.empty() ? "" : ": " + faults));
}

Result<void> SqliteJournal::save_snapshot(const Snapshot& snapshot) {
  if (options_.read_only || !reign_)
    return fail(Code::refused, {}, db_.path() + ": no epoch was acquired for saving a snapshot");
  if (!snapshot.seq || snapshot.seq > last_)
    return fail(Code::internal, {},
                "a snapshot of " + std::to_string(snapshot.seq.value) +
                  " where the journal ends at " + std::to_string(last_.value));
  auto saved = write_snapshot(snapshot);
  if (!saved) // chunks without a head are nobody's; the next save removes them if this cannot
    static_cast<void>(
      db_.run("DELETE FROM snapshot_chunks WHERE snapshot NOT IN (SELECT seq FROM snapshots)"));
  return saved;
}

Result<void> SqliteJournal::seed(const Snapshot& snapshot) {
  if (options_.read_only || !reign_)
    return fail(Code::refused, {}, db_.path() + ": no epoch was acquired for filling it");
  if (last_)
    return fail(Code::refused, {}, db_.path() + ": is not empty");
  // The mark first: without the snapshot the journal is then plainly unusable.
  return in_transaction(
           [&] { return set_meta("truncated", static_cast<std::int64_t>(snapshot.seq.value)); })
    .and_then([&] {
      last_ = snapshot.seq;
      return write_snapshot(snapshot);
    });
}

Result<void> SqliteJournal::write_snapshot(const Snapshot& snapshot) {
  const std::string seq = std::to_string(snapshot.seq.value);
  auto cleared = in_transaction([&] {
    return db_.run(
      ("DELETE FROM snapshots WHERE seq=" + seq +
       ";DELETE FROM snapshot_chunks WHERE snapshot NOT IN (SELECT seq FROM snapshots)")
        .c_str());
  });
  if (!cleared)
    return cleared;
  auto insert = db_.prepare("INSERT INTO snapshot_chunks(snapshot,part,crc,body) VALUES(?,?,?,?)");
  if (!insert)
    return tl::unexpected<Error>(std::move(insert).error());
  const std::string_view bytes = snapshot.bytes;
  const std::size_t chunks = (bytes.size() + chunk_bytes - 1) / chunk_bytes;
  for (std::size_t part = 0; part < chunks;) {
    auto written = in_transaction([&]() -> Result<void> {
      for (std::size_t n = 0; n < chunks_per_commit && part < chunks; ++n, ++part) {
        const auto body = bytes.substr(part * chunk_bytes, chunk_bytes);
        insert->integer(1, snapshot.seq.value)
          .integer(2, static_cast<std::int64_t>(part))
          .integer(3, static_cast<std::int64_t>(crc32c(body)))
          .blob(4, body);
        if (auto stored = insert->run(db_.path()); !stored)
          return stored;
      }
      return {};
    });
    if (!written)
      return written;
  }
  auto head = db_.prepare("INSERT INTO snapshots(seq,chunks,bytes,hash) VALUES(?,?,?,?)", false);
  if (!head)
    return tl::unexpected<Error>(std::move(head).error());
  const std::string hash = hash_of(bytes);
  head->integer(1, snapshot.seq.value)
    .integer(2, static_cast<std::int64_t>(chunks))
    .integer(3, static_cast<std::int64_t>(bytes.size()))
    .blob(4, hash);
  return in_transaction([&] { return head->run(db_.path()); });
}

Result<void> SqliteJournal::truncate(Seq upto) {
  if (options_.read_only || !reign_)
    return fail(Code::refused, {}, db_.path() + ": no epoch was acquired for truncating");
  auto heads = snapshot_heads();
  if (!heads)
    return tl::unexpected<Error>(std::move(heads).error());
  if (heads->size() > 2) {
    const std::string oldest_kept = std::to_string((*heads)[1].seq.value);
    auto dropped = in_transaction([&] {
      return db_.run(("DELETE FROM snapshots WHERE seq<" + oldest_kept +
                      ";DELETE FROM snapshot_chunks WHERE snapshot<" + oldest_kept)
                       .c_str());
    });
    if (!dropped)
      return dropped;
  }
  const Seq newest = heads->empty() ? Seq(0) : heads->front().seq;
  return delete_upto(std::min(upto, newest)).and_then([&] { return give_pages_back(); });
}

// Whole rows from the front, some hundred a commit, each commit with its own mark.
Result<void> SqliteJournal::delete_upto(Seq limit) {
  auto select = db_.prepare("SELECT seq+count-1 FROM entries WHERE seq+count-1<=?1 AND seq<=?1 "
                            "ORDER BY seq",
                            false);
  auto remove = db_.prepare("DELETE FROM entries WHERE seq<=?", false);
  if (!select || !remove)
    return tl::unexpected<Error>(!select ? std::move(select).error() : std::move(remove).error());
  for (;;) {
    Seq cut;
    select->integer(1, limit.value);
    for (std::uint64_t n = 0; n < rows_per_delete; ++n) {
      auto row = select->next(db_.path());
      if (!row)
        return tl::unexpected<Error>(std::move(row).error());
      if (!*row)
        break;
      cut = Seq(select->unsigned_at(0));
    }
    select->reset();
    if (!cut)
      return {};
    auto deleted = in_transaction([&] {
      return remove->integer(1, cut.value).run(db_.path()).and_then([&] {
        return set_meta("truncated", static_cast<std::int64_t>(cut.value));
      });
    });
    if (!deleted)
      return deleted;
  }
}

Result<void> SqliteJournal::give_pages_back() {
  for (;;) {
    auto free_pages = db_.integer("PRAGMA freelist_count");
    if (!free_pages)
      return tl::unexpected<Error>(std::move(free_pages).error());
    const std::int64_t spare = free_pages->value_or(0) - pages_kept_free;
    if (spare <= 0)
      break;
    const std::string pages = std::to_string(std::min(spare, pages_per_vacuum));
    if (auto done = db_.run(("PRAGMA incremental_vacuum(" + pages + ")").c_str()); !done)
      return done;
  }
  return db_.run("PRAGMA wal_checkpoint(PASSIVE)");
}

} // namespace reeve::journal
