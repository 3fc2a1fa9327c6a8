// Opening's second half, the reign, and appending. Reading is in sqlite_read.cpp, snapshots in
// sqlite_snapshots.cpp.
#include "src/journal/sqlite_journal.hpp"

namespace reeve::journal {
namespace {
constexpr std::uint64_t page_bytes = 4096;
}

Result<void> SqliteJournal::start(std::string torn_tail) {
  torn_tail_ = std::move(torn_tail);
  const std::pair<sqlite::Statement*, const char*> wanted[] = {
    {&begin_, "BEGIN IMMEDIATE"},
    {&commit_, "COMMIT"},
    {&insert_, "INSERT INTO entries(seq,count,version,length,crc,body) VALUES(?,?,?,?,?,?)"},
    {&epoch_, "SELECT value FROM meta WHERE key='epoch'"},
    {&meta_, "UPDATE meta SET value=?2 WHERE key=?1"},
    {&last_row_, "SELECT seq,count FROM entries ORDER BY seq DESC LIMIT 1"},
    {&truncated_, "SELECT value FROM meta WHERE key='truncated'"},
    {&rows_, "SELECT seq,count,version,length,crc,body FROM entries WHERE seq>=? ORDER BY seq"},
    {&row_at_, "SELECT seq,count,version,length,crc,body FROM entries WHERE seq<=? "
               "ORDER BY seq DESC LIMIT 1"},
  };
  for (const auto& [statement, sql] : wanted) {
    auto prepared = db_.prepare(sql);
    if (!prepared)
      return tl::unexpected<Error>(std::move(prepared).error());
    *statement = std::move(*prepared);
  }
  auto identity = db_.text("SELECT value FROM meta WHERE key='journal'");
  if (!identity)
    return tl::unexpected<Error>(std::move(identity).error());
  if (!*identity)
    return fail(Code::corrupt, {}, db_.path() + ": the journal's identity is missing");
  identity_ = **identity;
  if (options_.read_only)
    return {}; // tools look at damaged journals, too: verify and read report

  const Seq noted = FileLock::noted(options_.path, identity_);
  auto end = stored_last();
  if (!end)
    return tl::unexpected<Error>(std::move(end).error());
  if (auto whole = check_end(*end, noted); !whole)
    return whole;
  last_ = *end;
  std::vector<BatchRow> rows; // the newest row is checked now, the others when they are replayed
  if (auto good = truncated(); !good || *good < last_) {
    if (auto read = read_rows(last_, rows); !read)
      return read;
  }
  lock_.note(identity_, last_);
  return {};
}

Result<Seq> SqliteJournal::truncated() {
  const sqlite::Reset reset(truncated_);
  auto row = truncated_.next(db_.path());
  if (!row)
    return tl::unexpected<Error>(std::move(row).error());
  if (!*row)
    return fail(Code::corrupt, {}, db_.path() + ": the mark of truncation is missing");
  return Seq(truncated_.unsigned_at(0));
}

Result<Seq> SqliteJournal::stored_last() {
  auto cut = truncated();
  if (!cut)
    return cut;
  const sqlite::Reset reset(last_row_);
  auto row = last_row_.next(db_.path());
  if (!row)
    return tl::unexpected<Error>(std::move(row).error());
  if (!*row)
    return *cut;
  const std::int64_t seq = last_row_.integer_at(0), count = last_row_.integer_at(1);
  constexpr std::int64_t most = std::int64_t{1} << 62;
  if (seq < 1 || seq > most || count < 1 || count > most)
    return fail(Code::corrupt, {},
                "journal entry " + std::to_string(seq) + ": count: " + std::to_string(count) +
                  " in the last row");
  return Seq(static_cast<std::uint64_t>(seq + count - 1));
}

Result<void> SqliteJournal::check_end(Seq end, Seq noted) const {
  if (end >= noted)
    return {};
  return fail(Code::corrupt, {},
              "journal entry " + std::to_string(end.value + 1) + ": lost: " + db_.path() +
                " ends at " + std::to_string(end.value) + ", but everything up to " +
                std::to_string(noted.value) + " was acknowledged (noted in " +
                FileLock::path_of(options_.path) +
                "). Bring back the right file and its -wal; or, to go on without those entries, "
                "remove the .lock file");
}

Result<void> SqliteJournal::acquire(Epoch epoch, std::string_view master) {
  if (options_.read_only)
    return fail(Code::refused, {}, db_.path() + ": opened for reading only");
  auto done = in_transaction([&]() -> Result<void> {
    auto stored = stored_epoch();
    if (!stored)
      return tl::unexpected<Error>(std::move(stored).error());
    if (epoch <= *stored)
      return fail(Code::refused, "epoch",
                  "epoch " + std::to_string(epoch.value) + " is not above " +
                    std::to_string(stored->value) + ", which was already taken");
    return set_meta("epoch", static_cast<std::int64_t>(epoch.value)).and_then([&] {
      return set_meta("master", master);
    });
  });
  if (done)
    reign_ = epoch;
  return done;
}

Result<Epoch> SqliteJournal::stored_epoch() const {
  const sqlite::Reset reset(epoch_);
  auto row = epoch_.next(db_.path());
  if (!row)
    return tl::unexpected<Error>(std::move(row).error());
  if (!*row)
    return fail(Code::corrupt, {}, db_.path() + ": the epoch is missing");
  return Epoch(epoch_.unsigned_at(0));
}

Epoch SqliteJournal::epoch() const {
  return stored_epoch().value_or(reign_);
}

Seq SqliteJournal::last() const {
  if (!options_.read_only)
    return last_;
  return const_cast<SqliteJournal*>(this)->stored_last().value_or(Seq(0));
}

Result<void> SqliteJournal::check_room(std::span<const Batch> batches) {
  if (options_.max_bytes == 0)
    return {};
  auto pages = db_.integer("PRAGMA page_count");
  auto free_pages = db_.integer("PRAGMA freelist_count");
  if (!pages || !free_pages)
    return tl::unexpected<Error>(!pages ? std::move(pages).error() : std::move(free_pages).error());
  std::uint64_t bytes =
    static_cast<std::uint64_t>(pages->value_or(0) - free_pages->value_or(0)) * page_bytes;
  for (const auto& batch : batches)
    for (const auto& entry : batch.entries)
      bytes += entry.size();
  if (bytes <= options_.max_bytes)
    return {};
  return fail(Code::unavailable, {},
              db_.path() + ": full: the journal may take " + std::to_string(options_.max_bytes) +
                " bytes and would take " + std::to_string(bytes));
}

Result<void> SqliteJournal::append(std::span<const Batch> batches) {
  if (options_.read_only || !reign_)
    return fail(Code::refused, {}, db_.path() + ": no epoch was acquired for appending");
  if (batches.empty())
    return {};
  if (auto good = check_order(batches, last_.next()); !good)
    return good;
  if (unsettled_)
    if (auto settled = settle(); !settled)
      return settled;
  if (auto room = check_room(batches); !room)
    return room;

  if (auto begun = begin_.run(db_.path()); !begun)
    return begun;
  if (auto written = write_batches(batches); !written)
    return tl::unexpected<Error>(after_failure(std::move(written).error(), Stage::before_commit));
  if (auto done = commit_.run(db_.path()); !done)
    return tl::unexpected<Error>(after_failure(std::move(done).error(), Stage::commit));
  last_ = batches.back().last();
  lock_.note(identity_, last_);
  return {};
}

Result<void> SqliteJournal::write_batches(std::span<const Batch> batches) {
  // The lock file keeps others out; an operator may have removed it. The epoch in the same
  // transaction is what decides.
  auto stored_reign = stored_epoch();
  if (!stored_reign)
    return tl::unexpected<Error>(std::move(stored_reign).error());
  if (*stored_reign != reign_)
    return fail(Code::stale_epoch, {},
                "epoch " + std::to_string(stored_reign->value) +
                  " has taken the journal from epoch " + std::to_string(reign_.value));
  for (const auto& batch : batches) {
    if (auto packed = pack(batch, body_); !packed)
      return packed;
    const auto count = static_cast<std::int64_t>(batch.entries.size());
    constexpr auto version = static_cast<std::int64_t>(entry_schema_version);
    insert_.integer(1, batch.first.value)
      .integer(2, count)
      .integer(3, version)
      .integer(4, static_cast<std::int64_t>(body_.size()))
      .integer(5, static_cast<std::int64_t>(row_crc(batch.first.value, count, version, body_)))
      .blob(6, body_);
    if (auto stored = insert_.run(db_.path()); !stored)
      return stored;
  }
  return {};
}

// Rolls back and makes sure that what failed stays failed. A commit whose sync failed has left
// complete frames in the log: a crash now would bring it back to life. Writing something else over
// them rules that out.
Error SqliteJournal::after_failure(Error error, Stage stage) {
  if (error.code == Code::conflict)
    error = Error{Code::stale_epoch, {}, "another master has appended: " + error.text};
  db_.roll_back();
  if (stage == Stage::before_commit)
    return error;
  if (auto settled = settle(); !settled) {
    // Out of space while writing: the commit's last frame, without which it does not count, was
    // never written.
    if (error.code == Code::unavailable && settled.error().code == Code::unavailable) {
      unsettled_ = false;
      return error;
    }
    error.code = Code::io;
    error.text += "; whether it was stored cannot be settled yet: " + settled.error().text;
  }
  return error;
}

Result<void> SqliteJournal::settle() {
  auto done = in_transaction([&]() -> Result<void> {
    auto end = stored_last();
    if (!end)
      return tl::unexpected<Error>(std::move(end).error());
    if (*end > last_)
      if (auto removed =
            db_.run(("DELETE FROM entries WHERE seq>" + std::to_string(last_.value)).c_str());
          !removed)
        return removed;
    return db_.run("UPDATE meta SET value=value+1 WHERE key='settled'");
  });
  unsettled_ = !done;
  return done;
}

Result<void> SqliteJournal::in_transaction(const std::function<Result<void>()>& work) {
  if (auto begun = begin_.run(db_.path()); !begun)
    return begun;
  auto done = work();
  if (done)
    done = commit_.run(db_.path());
  if (!done)
    db_.roll_back();
  return done;
}

Result<void> SqliteJournal::set_meta(std::string_view key, std::int64_t value) {
  return meta_.text(1, key).integer(2, value).run(db_.path());
}
Result<void> SqliteJournal::set_meta(std::string_view key, std::string_view value) {
  return meta_.text(1, key).text(2, value).run(db_.path());
}

Result<std::unique_ptr<Journal>> SqliteJournal::reader() {
  SqliteOptions options = options_;
  options.read_only = true;
  return open_sqlite(options);
}

} // namespace reeve::journal
