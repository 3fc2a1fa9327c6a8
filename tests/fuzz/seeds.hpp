// First inputs for the fuzz targets. See seeds.cpp.
#pragma once

#include <string>

namespace reeve::fuzz {
/// A folder for each target below `folder`.
void write_seeds(const std::string& folder);
} // namespace reeve::fuzz
