// The page's files, built into the program. The constants behind it are made by embed.cmake.
#pragma once

#include <string_view>
#include <vector>

namespace reeve::dashboard {

struct Asset {
  std::string_view path, type, content; // the path of index.html is "/"
};
const std::vector<Asset>& assets();

} // namespace reeve::dashboard
