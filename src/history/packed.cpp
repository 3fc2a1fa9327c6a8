// See packed.hpp.
#include "src/history/packed.hpp"

#include "src/history/varint.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace reeve::history {
namespace {

static_assert(std::endian::native == std::endian::little, "values lie as they are in memory");

template<std::size_t width>
void widen(const char* from, std::size_t count, std::uint64_t base, std::int64_t* to) {
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t value = 0;
    std::memcpy(&value, from + i * width, width);
    to[i] = static_cast<std::int64_t>(base + value); // may wrap around, as when it was packed
  }
}

} // namespace

std::string Packed::pack(std::span<const Keyed> keys, std::size_t columns) {
  std::string out;
  put_varint(out, keys.size());
  std::uint64_t before = 0;
  for (const Keyed& one : keys) {
    put_varint(out, static_cast<std::uint64_t>(one.key) - before);
    put_varint(out, one.rows.size());
    before = static_cast<std::uint64_t>(one.key);
  }
  for (std::size_t c = 0; c < columns; ++c) {
    std::int64_t least = keys.front().rows.front()[c], most = least;
    std::size_t rows = 0;
    for (const Keyed& one : keys) {
      for (const Row& row : one.rows) {
        least = std::min(least, row[c]);
        most = std::max(most, row[c]);
      }
      rows += one.rows.size();
    }
    const auto base = static_cast<std::uint64_t>(least);
    auto width =
      static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(most) - base) + 7) / 8;
    if (c == 0) // so there are never more rows than bytes
      width = std::max<std::size_t>(width, 1);
    out += static_cast<char>(width);
    put_varint(out, zigzag(least));
    std::size_t at = out.size();
    out.resize(at + rows * width);
    for (const Keyed& one : keys)
      for (const Row& row : one.rows) {
        const std::uint64_t value = static_cast<std::uint64_t>(row[c]) - base;
        std::memcpy(out.data() + at, &value, width);
        at += width;
      }
  }
  return out;
}

bool Packed::open(std::string_view bytes, std::size_t columns) {
  parts_.clear();
  std::uint64_t keys = 0, key = 0, rows = 0;
  if (!take_varint(bytes, keys) || keys == 0 || keys > bytes.size())
    return false;
  parts_.reserve(keys);
  for (std::uint64_t k = 0; k < keys; ++k) {
    std::uint64_t step = 0, count = 0;
    if (!take_varint(bytes, step) || !take_varint(bytes, count) || count > bytes.size() ||
        rows + count > bytes.size())
      return false;
    key += step;
    parts_.push_back({static_cast<std::int64_t>(key), rows, count});
    rows += count;
  }
  for (std::size_t c = 0; c < columns; ++c) {
    if (bytes.empty())
      return false;
    Column& column = columns_[c];
    column.width = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    std::uint64_t base = 0;
    if (column.width > 8 || (c == 0 && column.width == 0) || !take_varint(bytes, base) ||
        bytes.size() < rows * column.width)
      return false;
    column.base = static_cast<std::uint64_t>(unzigzag(base));
    column.values = bytes.data();
    bytes.remove_prefix(rows * column.width);
  }
  return true;
}

void Packed::read(std::size_t column, std::size_t first, std::size_t count,
                  std::int64_t* to) const {
  const Column& c = columns_[column];
  const char* from = c.values + first * c.width;
  switch (c.width) {
  case 0:
    return static_cast<void>(std::fill_n(to, count, static_cast<std::int64_t>(c.base)));
  case 1:
    return widen<1>(from, count, c.base, to);
  case 2:
    return widen<2>(from, count, c.base, to);
  case 3:
    return widen<3>(from, count, c.base, to);
  case 4:
    return widen<4>(from, count, c.base, to);
  case 5:
    return widen<5>(from, count, c.base, to);
  case 6:
    return widen<6>(from, count, c.base, to);
  case 7:
    return widen<7>(from, count, c.base, to);
  default:
    return widen<8>(from, count, c.base, to);
  }
}

} // namespace reeve::history
