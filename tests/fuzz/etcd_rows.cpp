// What masters read of each other: the journal's rows in etcd, who leads, heads of snapshots, and
// the note in a file's lock. Damaged values are called corrupt; what is read is written the same.
#include "src/journal/etcd_row.hpp"
#include "src/journal/file_lock.hpp"
#include "tests/fuzz/target.hpp"

namespace {
using namespace reeve;
using namespace reeve::journal;

template<class T> bool good(const Result<T>& result) {
  REQUIRE(result || result.error().code == Code::corrupt);
  return result.has_value();
}
} // namespace

// A byte: 0: a leader, 1: a row, 2: a head of a snapshot, else a lock's note. Then the value.
REEVE_FUZZ(etcd_rows) {
  fuzz::Pieces pieces(input);
  const auto what = pieces.number(1);
  const std::string_view value = pieces.rest();
  if (what == 0) {
    if (const auto leader = etcd::decode_leader(value); good(leader)) {
      const auto again = etcd::decode_leader(etcd::encode_leader(*leader));
      REQUIRE(again && again->epoch == leader->epoch && again->name == leader->name &&
              again->endpoint == leader->endpoint && again->released == leader->released);
    }
  } else if (what == 1) {
    if (auto row = etcd::decode_row(Seq(9), value); good(row)) {
      const auto again = etcd::decode_row(Seq(9), etcd::encode_row(*row));
      REQUIRE(again && again->epoch == row->epoch && again->batches == row->batches &&
              again->parts == row->parts && again->batch.count == row->batch.count);
      if (const auto whole = check(row->batch, Seq(9)); whole)
        (void)unpack(row->batch);
    }
  } else if (what == 2) {
    if (const auto head = etcd::decode_head(Seq(9), value); good(head)) {
      const auto again = etcd::decode_head(Seq(9), etcd::encode_head(*head));
      REQUIRE(again && again->chunks == head->chunks && again->bytes == head->bytes &&
              again->hash == head->hash);
    }
  } else {
    const std::string note(value);
    const Seq any = FileLock::parse_note(note, "");
    REQUIRE(!FileLock::holder_in(note).empty());
    REQUIRE(FileLock::parse_note(note, "another") == Seq(0) || any != Seq(0));
  }
}
