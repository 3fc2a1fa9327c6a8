// Snapshots in chunks, and giving back the room of what they make unnecessary. A snapshot counts
// once its head is there. See etcd_journal.hpp.
#include "src/journal/etcd_journal.hpp"

#include <algorithm>

namespace reeve::journal {
namespace {

using namespace etcd;

constexpr std::size_t etcd_chunk_bytes = 256u << 10;
constexpr std::size_t chunks_at_once = 4; // etcd takes 1.5 MiB in one request
constexpr std::int64_t rows_per_deletion = 1'000;
constexpr std::size_t snapshots_kept = 2;

} // namespace

/// Newest first.
Result<std::vector<Head>> EtcdJournal::heads() const {
  auto answer =
    ask({.then = {Get{.key = keys_.heads(), .end = end_of(keys_.heads()), .newest = true}}});
  if (!answer)
    return tl::unexpected<Error>(std::move(answer).error());
  std::vector<Head> heads;
  for (const Value& value : answer->found[0]) {
    auto head = decode_head(seq_of(value.key), value.value);
    if (!head)
      return tl::unexpected<Error>(std::move(head).error());
    heads.push_back(std::move(*head));
  }
  return heads;
}

Result<Snapshot> EtcdJournal::snapshot_of(const Head& head) const {
  Snapshot snapshot{head.seq, {}};
  const auto damaged = [&](const std::string& fault) {
    return fail(Code::corrupt, {}, "snapshot " + std::to_string(head.seq.value) + ": " + fault);
  };
  for (std::uint64_t k = 0; k < head.chunks;) {
    auto answer = ask({.then = {Get{.key = keys_.chunk(head.seq, k),
                                    .end = keys_.chunk(head.seq, head.chunks),
                                    .limit = 16}}});
    if (!answer)
      return tl::unexpected<Error>(std::move(answer).error());
    if (answer->found[0].empty())
      return damaged("chunk " + std::to_string(k) + " is missing");
    for (const Value& value : answer->found[0]) {
      if (value.key != keys_.chunk(head.seq, k))
        return damaged("chunk " + std::to_string(k) + " is missing");
      snapshot.bytes += value.value;
      ++k;
    }
  }
  if (snapshot.bytes.size() != head.bytes || hash_of_snapshot(snapshot.bytes) != head.hash)
    return damaged("its hash is not that of its bytes");
  return snapshot;
}

Result<Snapshot> EtcdJournal::load_snapshot() {
  auto heads = this->heads();
  if (!heads)
    return tl::unexpected<Error>(std::move(heads).error());
  auto cut = find_cut();
  if (!cut)
    return tl::unexpected<Error>(std::move(cut).error());
  std::optional<Error> first;
  for (const Head& head : *heads) {
    if (head.seq < *cut)
      break; // the entries after it are gone
    auto snapshot = snapshot_of(head);
    if (snapshot || snapshot.error().code != Code::corrupt)
      return snapshot;
    if (!first)
      first = snapshot.error();
  }
  if (first)
    return tl::unexpected<Error>(*first);
  if (cut->value > 0)
    return fail(Code::corrupt, {},
                "the journal begins at " + std::to_string(cut->value + 1) +
                  " and has no snapshot of what was before");
  return Snapshot{};
}

Result<void> EtcdJournal::save_snapshot(const Snapshot& snapshot) {
  if (auto may = check_reign("saving a snapshot"); !may)
    return may;
  if (!snapshot.seq || snapshot.seq > last_)
    return fail(Code::internal, {},
                "a snapshot of " + std::to_string(snapshot.seq.value) +
                  " where the journal ends at " + std::to_string(last_.value));
  const std::string chunks = keys_.chunks(snapshot.seq);
  auto done = fenced({Delete{keys_.head(snapshot.seq)}, Delete{chunks, end_of(chunks)}});
  const std::string_view bytes = snapshot.bytes;
  Head head{snapshot.seq, 0, bytes.size(), hash_of_snapshot(bytes)};
  for (std::size_t at = 0; done && at < bytes.size();) {
    std::vector<Op> puts;
    for (; puts.size() < chunks_at_once && at < bytes.size(); at += etcd_chunk_bytes)
      puts.emplace_back(Put{keys_.chunk(snapshot.seq, head.chunks++),
                            std::string(bytes.substr(at, etcd_chunk_bytes))});
    done = fenced(std::move(puts));
  }
  if (done)
    done = fenced({Put{keys_.head(snapshot.seq), encode_head(head)}});
  if (!done)
    return tl::unexpected<Error>(std::move(done).error());
  return {};
}

Result<void> EtcdJournal::seed(const Snapshot& snapshot) {
  if (auto may = check_reign("filling it"); !may)
    return may;
  if (last_)
    return fail(Code::refused, {}, "etcd journal: is not empty");
  auto marked = fenced({Put{keys_.cut(), keys_.row(snapshot.seq)}});
  if (!marked)
    return tl::unexpected<Error>(std::move(marked).error());
  last_ = snapshot.seq;
  return save_snapshot(snapshot);
}

Result<void> EtcdJournal::drop_old_snapshots(const std::vector<Head>& heads) {
  for (std::size_t k = snapshots_kept; k < heads.size(); ++k) {
    const std::string chunks = keys_.chunks(heads[k].seq);
    auto done = fenced({Delete{keys_.head(heads[k].seq)}, Delete{chunks, end_of(chunks)}});
    if (!done)
      return tl::unexpected<Error>(std::move(done).error());
  }
  return {};
}

Result<void> EtcdJournal::truncate(Seq upto) {
  if (auto may = check_reign("truncating"); !may)
    return may;
  auto heads = this->heads();
  if (!heads)
    return tl::unexpected<Error>(std::move(heads).error());
  if (auto dropped = drop_old_snapshots(*heads); !dropped)
    return dropped;
  const Seq limit = std::min(upto, heads->empty() ? Seq(0) : heads->front().seq);
  // Whole rows only: the one that holds the entry after `limit` stays.
  auto found = ask({.then = {Get{.key = keys_.row(Seq(0)),
                                 .end = keys_.row(limit.next().next()),
                                 .limit = 1,
                                 .newest = true}}});
  if (!found)
    return tl::unexpected<Error>(std::move(found).error());
  if (found->found[0].empty())
    return {};
  const Value& value = found->found[0][0];
  auto row = decode_row(seq_of(value.key), value.value);
  if (!row)
    return tl::unexpected<Error>(std::move(row).error());
  const Seq cut = row->batch.last() <= limit ? row->batch.last() : Seq(row->batch.seq - 1);
  if (!cut)
    return {};
  // The word first: whoever reads must not take what is half deleted for damage.
  auto done = fenced({Put{keys_.cut(), keys_.row(cut)}});
  for (bool more = true; done && more;) { // in steps: a large deletion would hold etcd up
    auto page = ask({.then = {Get{.key = keys_.row(Seq(0)),
                                  .end = keys_.row(cut.next()),
                                  .limit = rows_per_deletion,
                                  .keys_only = true}}});
    if (!page)
      return tl::unexpected<Error>(std::move(page).error());
    const auto& rows = page->found[0];
    more = page->more;
    if (rows.empty())
      break;
    const Seq next = seq_of(rows.back().key).next();
    done = fenced(
      {Delete{keys_.row(Seq(0)), keys_.row(next)}, Delete{keys_.parts(), keys_.part(next, 0)}});
  }
  if (!done)
    return tl::unexpected<Error>(std::move(done).error());
  return kv_->compact(done->revision);
}

} // namespace reeve::journal
