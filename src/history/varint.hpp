// Whole numbers in as few bytes as they need. Used by what keeps many of them in one cell of the
// history. Reads damaged bytes to their first fault, never beyond their end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace reeve::history {

inline void put_varint(std::string& to, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7)
    to += static_cast<char>(value | 0x80);
  to += static_cast<char>(value);
}
/// False at the end, or when the number has none.
inline bool take_varint(const char*& at, const char* end, std::uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; at != end && shift < 64; shift += 7) {
    const auto byte = static_cast<unsigned char>(*at++);
    value |= std::uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80)
      return true;
  }
  return false;
}
inline bool take_varint(std::string_view& from, std::uint64_t& value) {
  const char* at = from.data();
  const bool good = take_varint(at, from.data() + from.size(), value);
  from.remove_prefix(static_cast<std::size_t>(at - from.data()));
  return good;
}
// Small numbers of either sign stay short.
inline std::uint64_t zigzag(std::int64_t n) {
  return (static_cast<std::uint64_t>(n) << 1) ^ static_cast<std::uint64_t>(n >> 63);
}
inline std::int64_t unzigzag(std::uint64_t n) {
  return static_cast<std::int64_t>((n >> 1) ^ (~(n & 1) + 1));
}

} // namespace reeve::history
