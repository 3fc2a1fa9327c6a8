// Reading the rows: for recovery, for tools, and what a standby follows. See etcd_journal.hpp.
#include "src/journal/etcd_journal.hpp"

#include <algorithm>

namespace reeve::journal {
namespace {

using namespace etcd;

constexpr std::int64_t page_rows_least = 16, page_rows_most = 2'048;
constexpr std::size_t page_bytes_small = 1u << 20, page_bytes_large = 8u << 20;
constexpr std::int64_t look_rows = 32;
constexpr std::int64_t parts_at_once = 16;

Result<Seq> cut_of(const std::vector<Value>& found) {
  if (found.empty())
    return Seq(0);
  const auto cut = seq_of(found[0].value);
  if (!cut)
    return fail(Code::corrupt, {}, "etcd journal: the place where it begins is unreadable");
  return cut;
}

tl::unexpected<Error> truncated_away(Seq seq, Seq cut) {
  return fail(Code::not_found, {},
              "journal entry " + std::to_string(seq.value) +
                ": truncated away; the first one kept is " + std::to_string(cut.value + 1));
}

} // namespace

std::vector<Op> EtcdJournal::find_newest() const {
  return {Get{.key = keys_.row(Seq(0)), .end = keys_.rows_end(), .limit = 1, .newest = true},
          Get{keys_.cut()}};
}

Result<Seq> EtcdJournal::newest_of(const Answer& answer) {
  auto newest = cut_of(answer.found[1]);
  if (const auto& rows = answer.found[0]; newest && !rows.empty()) {
    auto row = decode_row(seq_of(rows[0].key), rows[0].value);
    if (!row)
      return tl::unexpected<Error>(std::move(row).error());
    newest = std::max(*newest, row->batch.last());
  }
  return newest;
}

/// Of the reign that lasts, or as etcd has it now; as it was last seen when etcd does not answer.
Seq EtcdJournal::last() const {
  {
    const std::scoped_lock lock(mutex_);
    if (reigns_)
      return last_;
  }
  const auto answer = ask({.then = find_newest()});
  const std::scoped_lock lock(mutex_);
  if (answer && !reigns_)
    if (const auto newest = newest_of(*answer))
      last_ = *newest;
  return last_;
}

Result<Seq> EtcdJournal::find_cut() const {
  auto answer = ask({.then = {Get{keys_.cut()}}});
  if (!answer)
    return tl::unexpected<Error>(std::move(answer).error());
  return cut_of(answer->found[0]);
}

/// Fetches the body of a row that was too large for one value.
Result<void> EtcdJournal::complete(Row& row) const {
  const Seq first(row.batch.seq);
  for (std::uint32_t k = 0; k < row.parts;) {
    auto answer = ask({.then = {Get{.key = keys_.part(first, k),
                                    .end = keys_.part(first, row.parts),
                                    .limit = parts_at_once}}});
    if (!answer)
      return tl::unexpected<Error>(std::move(answer).error());
    if (answer->found[0].empty())
      return fail(Code::corrupt, {},
                  "journal entry " + std::to_string(first.value) + ": part " + std::to_string(k) +
                    " is missing");
    for (const Value& value : answer->found[0]) {
      row.batch.body += value.value;
      ++k;
    }
  }
  return {};
}

/// Whole checked rows, from the one that holds `from` on.
Result<void> EtcdJournal::each_row(Seq from, const std::function<Result<void>(const Row&)>& each) {
  auto start = ask({.then = {Get{.key = keys_.row(Seq(0)),
                                 .end = keys_.row(from.next()),
                                 .limit = 1,
                                 .newest = true,
                                 .keys_only = true},
                             Get{keys_.cut()}}});
  if (!start)
    return tl::unexpected<Error>(std::move(start).error());
  auto cut = cut_of(start->found[1]);
  if (!cut)
    return tl::unexpected<Error>(std::move(cut).error());
  if (from <= *cut)
    return truncated_away(from, *cut);
  Seq expected = start->found[0].empty() ? cut->next() : seq_of(start->found[0][0].key);
  std::int64_t limit = page_rows_least;
  for (bool more = true; more;) {
    auto page =
      ask({.then = {Get{.key = keys_.row(expected), .end = keys_.rows_end(), .limit = limit}}});
    if (!page)
      return tl::unexpected<Error>(std::move(page).error());
    more = page->more;
    std::size_t bytes = 0;
    for (const Value& value : page->found[0]) {
      bytes += value.value.size();
      auto row = decode_row(seq_of(value.key), value.value);
      if (!row)
        return tl::unexpected<Error>(std::move(row).error());
      if (row->batch.seq == expected.value && row->parts > 0)
        if (auto whole = complete(*row); !whole)
          return whole;
      if (auto good = check(row->batch, expected); !good) {
        if (const auto now = find_cut(); now && expected <= *now)
          return truncated_away(expected, *now);
        return good;
      }
      if (auto taken = each(*row); !taken)
        return taken;
      expected = row->batch.last().next();
    }
    if (bytes < page_bytes_small)
      limit = std::min(limit * 2, page_rows_most);
    else if (bytes > page_bytes_large)
      limit = std::max(limit / 2, page_rows_least);
  }
  return {};
}

Result<void> EtcdJournal::read(Seq from,
                               const std::function<Result<void>(Seq, std::string_view)>& each) {
  from = std::max(from, Seq(1));
  return each_row(from, [&](const Row& row) -> Result<void> {
    const auto entries = unpack(row.batch);
    if (!entries)
      return tl::unexpected<Error>(entries.error());
    Seq seq(row.batch.seq);
    for (const std::string_view entry : *entries) {
      if (seq >= from)
        if (auto taken = each(seq, entry); !taken)
          return taken;
      seq = seq.next();
    }
    return {};
  });
}

Result<Look> EtcdJournal::look(Seq from, Duration patience, bool latest) {
  // One transaction: everything of one moment. A member that is behind shows an older moment, and
  // rows that were there once are never another's later.
  auto answer =
    kv_->txn({.then = {Get{keys_.leader()}, Get{.key = keys_.heartbeat(), .keys_only = true},
                       Get{.key = keys_.row(Seq(0)),
                           .end = keys_.rows_end(),
                           .limit = 1,
                           .newest = true,
                           .keys_only = true},
                       Get{.key = keys_.heads(),
                           .end = end_of(keys_.heads()),
                           .limit = 1,
                           .newest = true,
                           .keys_only = true},
                       Get{.key = keys_.row(from), .end = keys_.rows_end(), .limit = look_rows},
                       Get{keys_.cut()}},
              .local = !latest},
             patience);
  if (!answer)
    return fail(Code::io, {}, answer.error().text);
  learn(answer->found[0]);
  Look look;
  {
    const std::scoped_lock lock(mutex_);
    look.leader = leader_;
  }
  for (const std::size_t k : {std::size_t{0}, std::size_t{1}, std::size_t{2}})
    if (!answer->found[k].empty()) // any write of the leader's is a sign of life
      look.heartbeat = std::max(look.heartbeat, answer->found[k][0].modified);
  if (!answer->found[3].empty())
    look.snapshot = seq_of(answer->found[3][0].key);
  auto cut = cut_of(answer->found[5]);
  if (!cut)
    return tl::unexpected<Error>(std::move(cut).error());
  look.last = *cut;
  if (!answer->found[2].empty()) // its first entry: how many more are in it shows when it is read
    look.last = std::max(look.last, seq_of(answer->found[2][0].key));
  if (from <= *cut)
    return truncated_away(from, *cut);
  Seq expected = from;
  for (const Value& value : answer->found[4]) {
    auto row = decode_row(seq_of(value.key), value.value);
    if (!row)
      return tl::unexpected<Error>(std::move(row).error());
    if (row->batch.seq == expected.value && row->parts > 0)
      if (auto whole = complete(*row); !whole)
        return tl::unexpected<Error>(std::move(whole).error());
    if (auto good = check(row->batch, expected); !good)
      return tl::unexpected<Error>(std::move(good).error());
    auto entries = unpack(row->batch);
    if (!entries)
      return tl::unexpected<Error>(std::move(entries).error());
    auto entry = entries->begin();
    for (const std::uint32_t count : row->batches) {
      look.batches.push_back({expected, {entry, entry + count}});
      expected = look.batches.back().last().next();
      entry += count;
    }
    expected = row->batch.last().next();
    look.last = std::max(look.last, row->batch.last());
  }
  look.more = look.last >= expected;
  return look;
}

Result<Health> EtcdJournal::verify() {
  Health health;
  auto cut = find_cut();
  if (!cut)
    return tl::unexpected<Error>(std::move(cut).error());
  health.last = *cut;
  auto read = each_row(cut->next(), [&](const Row& row) -> Result<void> {
    if (!health.first)
      health.first = Seq(row.batch.seq);
    health.last = row.batch.last();
    health.bytes += row.batch.body.size();
    const auto entries = unpack(row.batch);
    return entries ? Result<void>() : tl::unexpected<Error>(entries.error());
  });
  if (!read)
    return tl::unexpected<Error>(std::move(read).error());
  auto snapshot = load_snapshot();
  if (!snapshot)
    return tl::unexpected<Error>(std::move(snapshot).error());
  health.snapshot = snapshot->seq;
  health.bytes += snapshot->bytes.size();
  return health;
}

} // namespace reeve::journal
