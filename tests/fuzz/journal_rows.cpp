// A stored batch whose bytes are not what was written: each fault is named, and what passes the
// check is taken apart without reading beyond it.
#include "src/journal/batch_row.hpp"
#include "tests/fuzz/target.hpp"

// A byte (bit 0: the CRC is made right, bit 1: the length too), seq, count, version, length and CRC
// (four bytes each), then the body.
REEVE_FUZZ(journal_rows) {
  using namespace reeve;
  fuzz::Pieces pieces(input);
  const auto how = pieces.number(1);
  journal::BatchRow row;
  row.seq = pieces.number(4);
  row.count = static_cast<std::int32_t>(pieces.number(4));
  row.version = static_cast<std::int32_t>(pieces.number(4));
  row.length = static_cast<std::int32_t>(pieces.number(4));
  row.crc = static_cast<std::int64_t>(pieces.number(4));
  row.body = std::string(pieces.rest());
  if ((how & 2) != 0)
    row.length = static_cast<std::int64_t>(row.body.size());
  if ((how & 1) != 0)
    row.crc = journal::row_crc(row.seq, row.count, row.version, row.body);
  if (const auto good = journal::check(row, Seq(1)); !good) {
    REQUIRE(good.error().code == Code::corrupt);
    return;
  }
  const auto entries = journal::unpack(row);
  if (!entries) {
    REQUIRE(entries.error().code == Code::corrupt);
    return;
  }
  REQUIRE(static_cast<std::int64_t>(entries->size()) == row.count);
  journal::Batch batch;
  batch.first = Seq(row.seq);
  for (const auto entry : *entries)
    batch.entries.emplace_back(entry);
  std::string body;
  REQUIRE(journal::pack(batch, body));
  REQUIRE(body == row.body);
}
