// Reading entries back, each checked. Copies a few rows at a time out of the database, so that a
// slow reader does not keep the write-ahead log from being reused.
#include "src/journal/sqlite_journal.hpp"

namespace reeve::journal {
namespace {

constexpr std::size_t read_bytes = 4u << 20, read_rows_max = 256;

BatchRow row_of(const sqlite::Statement& s) {
  BatchRow row;
  row.seq = s.unsigned_at(0);
  row.count = s.integer_at(1);
  row.version = s.integer_at(2);
  row.length = s.integer_at(3);
  row.crc = s.integer_at(4);
  row.body.assign(s.blob_at(5));
  return row;
}

Error name_seq(Error error, Seq seq) {
  if (error.code == Code::corrupt && error.text.find("journal entry") == std::string::npos)
    error.text = "journal entry " + std::to_string(seq.value) + ": page: " + error.text;
  return error;
}

} // namespace

// The rows from the one that holds `from`, as many as are read at once; none when the journal ends
// before it.
Result<void> SqliteJournal::read_rows(Seq from, std::vector<BatchRow>& rows) {
  rows.clear();
  auto refuse = [&](Error error) {
    return tl::unexpected<Error>(name_seq(std::move(error), from));
  };
  if (auto begun = db_.run("BEGIN"); !begun) // one view of the file for the mark and the rows
    return refuse(std::move(begun).error());
  struct End {
    sqlite::Database& db;
    ~End() { db.roll_back(); }
  } end{db_};
  const sqlite::Reset reset_at(row_at_), reset_rows(rows_);
  auto cut = truncated();
  if (!cut)
    return refuse(std::move(cut).error());
  if (from <= *cut)
    return fail(Code::not_found, {},
                "journal entry " + std::to_string(from.value) +
                  ": truncated away; the first one kept is " + std::to_string(cut->value + 1));
  auto holder = row_at_.integer(1, from.value).next(db_.path());
  if (!holder)
    return refuse(std::move(holder).error());
  Seq expected = cut->next();
  if (*holder) {
    BatchRow first = row_of(row_at_);
    expected = Seq(first.seq);
    if (auto good = check(first, expected); !good)
      return good;
    if (first.last() >= from) {
      expected = first.last().next();
      rows.push_back(std::move(first));
    } else {
      expected = first.last().next(); // nothing may lie between it and `from`
    }
  }
  std::size_t bytes = 0;
  auto more = rows_.integer(1, expected.value).next(db_.path());
  for (; more && *more; more = rows_.next(db_.path())) {
    BatchRow row = row_of(rows_);
    if (auto good = check(row, expected); !good) {
      if (!rows.empty())
        return {}; // what comes before the fault is delivered first
      return good;
    }
    expected = row.last().next();
    bytes += row.body.size();
    rows.push_back(std::move(row));
    if (bytes >= read_bytes || rows.size() >= read_rows_max)
      return {};
  }
  if (!more && rows.empty())
    return tl::unexpected<Error>(name_seq(std::move(more).error(), expected));
  return {};
}

Result<void> SqliteJournal::read(Seq from,
                                 const std::function<Result<void>(Seq, std::string_view)>& each) {
  Seq next = from ? from : Seq(1);
  const Seq noted = options_.read_only ? FileLock::noted(options_.path, identity_) : last_;
  std::vector<BatchRow> rows;
  for (;;) {
    if (auto read = read_rows(next, rows); !read)
      return read;
    if (rows.empty())
      return next > noted ? Result<void>() : check_end(Seq(next.value - 1), noted);
    for (const auto& row : rows) {
      auto entries = unpack(row);
      if (!entries)
        return tl::unexpected<Error>(std::move(entries).error());
      Seq seq(row.seq);
      for (const auto entry : *entries) {
        if (seq >= next)
          if (auto taken = each(seq, entry); !taken)
            return taken;
        seq = seq.next();
      }
    }
    next = rows.back().last().next();
  }
}

Result<Health> SqliteJournal::verify() {
  Health health;
  auto cut = truncated();
  if (!cut)
    return tl::unexpected<Error>(std::move(cut).error());
  health.last = *cut;
  auto good = read(cut->next(), [&](Seq seq, std::string_view) -> Result<void> {
    if (!health.first)
      health.first = seq;
    health.last = seq;
    return {};
  });
  if (!good)
    return tl::unexpected<Error>(std::move(good).error());
  auto snapshot = load_snapshot();
  if (!snapshot)
    return tl::unexpected<Error>(std::move(snapshot).error());
  health.snapshot = snapshot->seq;
  auto words = db_.text("PRAGMA integrity_check(1)");
  if (!words)
    return tl::unexpected<Error>(std::move(words).error());
  if (words->value_or("") != "ok")
    return fail(Code::corrupt, {}, db_.path() + ": " + words->value_or("no answer from the check"));
  health.torn_tail = torn_tail_;
  health.bytes = sqlite::bytes_on_disk(options_.path);
  return health;
}

} // namespace reeve::journal
