// How a batch looks in a row: its entries framed one behind the other, and a CRC over the frames
// and every number beside them. Used by the journals that store. Must never trust what it reads.
#pragma once

#include "src/journal/journal.hpp"

#include <span>

namespace reeve::journal {

/// One stored batch as it was read, before anything is believed.
struct BatchRow {
  std::uint64_t seq = 0;
  std::int64_t count = 0, version = 0, length = 0, crc = 0;
  std::string body; // for each entry: length (4 bytes, little endian), bytes
  [[nodiscard]] Seq last() const { return Seq(seq + static_cast<std::uint64_t>(count) - 1); }
};

/// Whether each begins where the one before ends, the first at `next`, and none is empty. Error:
/// internal. For every journal's append.
Result<void> check_order(std::span<const Batch> batches, Seq next);
/// Replaces `body` with the frames of `batch`. Error: too_large when an entry or the whole does not
/// fit the format.
Result<void> pack(const Batch& batch, std::string& body);
/// Of a row's numbers and body.
std::uint32_t row_crc(std::uint64_t seq, std::int64_t count, std::int64_t version,
                      std::string_view body);
/// Whether the row is what was written, and begins at `expected`. Error: corrupt, naming the seq
/// and the fault.
Result<void> check(const BatchRow& row, Seq expected);
/// The entries of a row that passed its check; they point into it. Error: corrupt (frames that do
/// not add up).
Result<std::vector<std::string_view>> unpack(const BatchRow& row);

} // namespace reeve::journal
