// CRC-32C (Castagnoli polynomial, reflected 0x82F63B78), as in RFC 3720. The processor's own
// instruction where it has one.
#include "src/journal/crc32c.hpp"

#include "src/journal/journal.hpp"

#include <array>
#include <cstring>

namespace reeve::journal {
namespace {

// Slicing by 4: table[k][b] is the CRC of byte b followed by k zero bytes.
using Tables = std::array<std::array<std::uint32_t, 256>, 4>;

constexpr Tables make_tables() {
  Tables t{};
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::uint32_t crc = b;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc >> 1) ^ ((crc & 1u) ? 0x82F63B78u : 0u);
    t[0][b] = crc;
  }
  for (std::size_t k = 1; k < t.size(); ++k)
    for (std::size_t b = 0; b < 256; ++b)
      t[k][b] = (t[k - 1][b] >> 8) ^ t[0][t[k - 1][b] & 0xffu];
  return t;
}
constexpr Tables tables = make_tables();

} // namespace

namespace detail {

std::uint32_t crc32c_by_table(std::string_view bytes, std::uint32_t seed) {
  std::uint32_t crc = ~seed;
  const auto* p = reinterpret_cast<const unsigned char*>(bytes.data());
  std::size_t left = bytes.size();
  for (; left >= 4; left -= 4, p += 4) {
    crc ^= static_cast<std::uint32_t>(p[0]) | static_cast<std::uint32_t>(p[1]) << 8 |
           static_cast<std::uint32_t>(p[2]) << 16 | static_cast<std::uint32_t>(p[3]) << 24;
    crc = tables[3][crc & 0xffu] ^ tables[2][(crc >> 8) & 0xffu] ^ tables[1][(crc >> 16) & 0xffu] ^
          tables[0][crc >> 24];
  }
  for (; left > 0; --left, ++p)
    crc = (crc >> 8) ^ tables[0][(crc ^ *p) & 0xffu];
  return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc32c_by_instruction(std::string_view bytes,
                                                                      std::uint32_t seed) {
  std::uint64_t crc = ~seed;
  const char* p = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, p += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, p, 8);
    crc = __builtin_ia32_crc32di(crc, word);
  }
  auto narrow = static_cast<std::uint32_t>(crc);
  for (; left > 0; --left, ++p)
    narrow = __builtin_ia32_crc32qi(narrow, static_cast<unsigned char>(*p));
  return ~narrow;
}
bool has_crc32c_instruction() {
  return __builtin_cpu_supports("sse4.2") != 0;
}
#else
std::uint32_t crc32c_by_instruction(std::string_view bytes, std::uint32_t seed) {
  return crc32c_by_table(bytes, seed);
}
bool has_crc32c_instruction() {
  return false;
}
#endif

} // namespace detail

std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed) {
  static const bool fast = detail::has_crc32c_instruction();
  return fast ? detail::crc32c_by_instruction(bytes, seed) : detail::crc32c_by_table(bytes, seed);
}

} // namespace reeve::journal
