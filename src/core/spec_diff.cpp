// See spec_diff.hpp. A difference is a list of steps: how many bytes of the sample to copy, how
// many to skip after that, how many bytes of its own follow, and those. Numbers are LEB128.
#include "src/core/spec_diff.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace reeve::core {
namespace {

constexpr std::size_t anchor = 5;    // equal bytes that end a stretch of own bytes
constexpr std::size_t window = 48;   // how far ahead in the sample they are looked for
constexpr std::size_t own_max = 512; // own bytes before no more is looked for: payloads

void put(std::string& out, std::size_t n) {
  for (; n >= 0x80; n >>= 7)
    out.push_back(static_cast<char>(n | 0x80));
  out.push_back(static_cast<char>(n));
}

/// 0 at the end.
std::size_t take(std::string_view& in) {
  std::size_t n = 0;
  for (unsigned shift = 0; !in.empty() && shift < 63; shift += 7) {
    const auto byte = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    n |= static_cast<std::size_t>(byte & 0x7f) << shift;
    if (byte < 0x80)
      break;
  }
  return n;
}

std::size_t equal_bytes(std::string_view a, std::string_view b) {
  const std::size_t most = std::min(a.size(), b.size());
  return static_cast<std::size_t>(
    std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(most), b.begin()).first -
    a.begin());
}

struct Anchor {
  std::size_t own = 0, skip = 0;
};
/// Where the two run together again: after how many bytes of `spec`, how many of `sample`.
Anchor next_anchor(std::string_view sample, std::string_view spec) {
  // Most often both go on alike to their ends: numbers differ, and not their lengths.
  const std::size_t most = std::min(spec.size(), own_max);
  for (std::size_t own = 1; own + anchor <= most; ++own) {
    const std::size_t reach = std::min(sample.size(), own + window);
    const char* at = sample.data();
    const char* const end = sample.data() + reach;
    while (static_cast<std::size_t>(end - at) >= anchor) {
      at = static_cast<const char*>(
        std::memchr(at, spec[own], static_cast<std::size_t>(end - at) - anchor + 1));
      if (!at)
        break;
      if (std::memcmp(at, spec.data() + own, anchor) == 0)
        return {own, static_cast<std::size_t>(at - sample.data())};
      ++at;
    }
  }
  return {spec.size(), sample.size()};
}

} // namespace

std::string spec_difference(std::string_view sample, std::string_view spec) {
  std::string out;
  if (sample == spec)
    return out;
  for (;;) {
    const std::size_t same = equal_bytes(sample, spec);
    sample.remove_prefix(same);
    spec.remove_prefix(same);
    const Anchor next = next_anchor(sample, spec);
    put(out, same);
    put(out, next.skip);
    put(out, next.own);
    out.append(spec.substr(0, next.own));
    sample.remove_prefix(next.skip);
    spec.remove_prefix(next.own);
    if (spec.empty())
      return out;
  }
}

std::string spec_restored(std::string_view sample, std::string_view difference) {
  if (difference.empty())
    return std::string(sample);
  std::string out;
  out.reserve(sample.size() + difference.size());
  while (!difference.empty()) {
    const std::size_t same = std::min(take(difference), sample.size());
    out.append(sample.substr(0, same));
    sample.remove_prefix(same);
    sample.remove_prefix(std::min(take(difference), sample.size()));
    std::size_t own = take(difference);
    own = std::min(own, difference.size());
    out.append(difference.substr(0, own));
    difference.remove_prefix(own);
  }
  return out;
}

} // namespace reeve::core
