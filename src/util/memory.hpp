// What of memory the operating system has to be asked for. Used by the tables of the scheduler.
// Keeps nothing.
#pragma once

#include <cstddef>

namespace reeve {

constexpr std::size_t huge_page = std::size_t{2} << 20; // bytes

/// Asks for huge pages for what begins and ends at one. Only a wish: where the kernel has none,
/// nothing is another.
void wish_huge_pages(void* begin, std::size_t bytes);

} // namespace reeve
