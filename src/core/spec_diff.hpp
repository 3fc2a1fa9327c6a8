// A job's encoded specification as what makes it differ from another one of its kind. A million
// waiting jobs that are alike but for a number in their name and arguments take a few bytes each.
// Used by the job table and snapshots. Knows no msgpack: bytes in, bytes out.
#pragma once

#include <string>
#include <string_view>

namespace reeve::core {

/// Empty when they are the same.
std::string spec_difference(std::string_view sample, std::string_view spec);
/// The specification again. Whatever the bytes are, reads within their bounds; what is not a
/// difference made from this sample gives some other text.
std::string spec_restored(std::string_view sample, std::string_view difference);

} // namespace reeve::core
