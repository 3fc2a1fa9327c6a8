// See memory.hpp.
#include "src/util/memory.hpp"

#include <sys/mman.h>

namespace reeve {

void wish_huge_pages(void* begin, std::size_t bytes) {
  static_cast<void>(madvise(begin, bytes, MADV_HUGEPAGE)); // refused: as it was
}

} // namespace reeve
