// See batch_row.hpp.
#include "src/journal/batch_row.hpp"

#include <cstring>

namespace reeve::journal {
namespace {

constexpr std::size_t frame_head_bytes = 4;
constexpr std::size_t body_bytes_max = 512u << 20; // SQLite's own bound for a blob is 10^9

void put_little(std::string& out, std::uint64_t value, std::size_t bytes) {
  for (std::size_t k = 0; k < bytes; ++k)
    out.push_back(static_cast<char>(value >> (8 * k)));
}

std::uint32_t little_at(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t k = 0; k < frame_head_bytes; ++k)
    value |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at + k])) << (8 * k);
  return value;
}

tl::unexpected<Error> corrupt(std::uint64_t seq, const std::string& fault) {
  return fail(Code::corrupt, {}, "journal entry " + std::to_string(seq) + ": " + fault);
}

} // namespace

Result<void> check_order(std::span<const Batch> batches, Seq next) {
  for (const auto& batch : batches) {
    if (batch.first != next)
      return fail(Code::internal, {},
                  "a batch that begins at " + std::to_string(batch.first.value) +
                    " was appended where " + std::to_string(next.value) + " comes next");
    if (batch.entries.empty())
      return fail(Code::internal, {},
                  "an empty batch was appended at " + std::to_string(batch.first.value));
    next = batch.last().next();
  }
  return {};
}

Result<void> pack(const Batch& batch, std::string& body) {
  std::size_t bytes = 0;
  for (const auto& entry : batch.entries)
    bytes += frame_head_bytes + entry.size();
  if (bytes > body_bytes_max)
    return fail(Code::too_large, {},
                "a batch of " + std::to_string(bytes) + " bytes is more than the journal takes (" +
                  std::to_string(body_bytes_max) + ")");
  body.clear();
  body.reserve(bytes);
  for (const auto& entry : batch.entries) {
    put_little(body, entry.size(), frame_head_bytes);
    body += entry;
  }
  return {};
}

std::uint32_t row_crc(std::uint64_t seq, std::int64_t count, std::int64_t version,
                      std::string_view body) {
  std::string head;
  put_little(head, seq, 8);
  put_little(head, static_cast<std::uint64_t>(count), 8);
  put_little(head, static_cast<std::uint64_t>(version), 8);
  put_little(head, body.size(), 8);
  return crc32c(body, crc32c(head));
}

Result<void> check(const BatchRow& row, Seq expected) {
  // The order of the checks decides what the operator reads: the plainest fault first.
  if (row.seq != expected.value)
    return corrupt(expected.value,
                   "gap: the next stored batch begins at " + std::to_string(row.seq));
  if (row.length != static_cast<std::int64_t>(row.body.size()))
    return corrupt(row.seq, "length: " + std::to_string(row.length) + " bytes were written, " +
                              std::to_string(row.body.size()) + " are there");
  const std::uint32_t crc = row_crc(row.seq, row.count, row.version, row.body);
  if (row.crc != static_cast<std::int64_t>(crc))
    return corrupt(row.seq, "CRC: " + std::to_string(row.crc) + " was written, the bytes give " +
                              std::to_string(crc));
  if (row.version < 1 || row.version > static_cast<std::int64_t>(entry_schema_version))
    return corrupt(row.seq, "version: written with schema version " + std::to_string(row.version) +
                              ", this program reads up to " + std::to_string(entry_schema_version));
  if (row.count < 1 || row.count > row.length / static_cast<std::int64_t>(frame_head_bytes))
    return corrupt(row.seq, "count: " + std::to_string(row.count) + " entries in " +
                              std::to_string(row.length) + " bytes");
  return {};
}

Result<std::vector<std::string_view>> unpack(const BatchRow& row) {
  std::vector<std::string_view> entries;
  entries.reserve(static_cast<std::size_t>(row.count));
  const std::string_view body = row.body;
  std::size_t at = 0;
  while (at < body.size()) {
    if (body.size() - at < frame_head_bytes ||
        little_at(body, at) > body.size() - at - frame_head_bytes)
      return corrupt(row.seq + entries.size(), "length: its frame ends behind the batch");
    const std::size_t size = little_at(body, at);
    entries.push_back(body.substr(at + frame_head_bytes, size));
    at += frame_head_bytes + size;
  }
  if (entries.size() != static_cast<std::size_t>(row.count))
    return corrupt(row.seq, "count: " + std::to_string(row.count) + " entries were written, " +
                              std::to_string(entries.size()) + " are there");
  return entries;
}

} // namespace reeve::journal
