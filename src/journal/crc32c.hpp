// Both ways to a CRC-32C, for the tests that compare them. Everyone else calls `crc32c` of
// journal.hpp.
#pragma once

#include <cstdint>
#include <string_view>

namespace reeve::journal::detail {

std::uint32_t crc32c_by_table(std::string_view bytes, std::uint32_t seed);
/// Only when has_crc32c_instruction().
std::uint32_t crc32c_by_instruction(std::string_view bytes, std::uint32_t seed);
bool has_crc32c_instruction();

} // namespace reeve::journal::detail
