// Rows of whole numbers as columns, in one cell of the database: rows of some neighbouring keys. A
// value takes as many bytes as the widest of its column needs, so a column is read at about a
// nanosecond a value, and one that is the same in each row takes none. Used by Lists. Damaged bytes
// are refused or give other numbers; nothing is read beyond their end.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace reeve::history {

class Packed {
public:
  static constexpr std::size_t columns_max = 8;
  using Row = std::array<std::int64_t, columns_max>;
  struct Keyed {
    std::int64_t key = 0;
    std::span<const Row> rows;
  };
  /// `keys`: in their order, none without rows. `columns`: of each row, at least 1.
  static std::string pack(std::span<const Keyed> keys, std::size_t columns);

  struct Part { // rows of one key
    std::int64_t key = 0;
    std::size_t first = 0, count = 0;
  };
  /// Looks at packed bytes, which must live as long as this is used. False: they are damaged.
  bool open(std::string_view bytes, std::size_t columns);
  [[nodiscard]] const std::vector<Part>& parts() const { return parts_; }
  /// Values of `count` rows from `first` on.
  void read(std::size_t column, std::size_t first, std::size_t count, std::int64_t* to) const;

private:
  struct Column {
    std::uint64_t base = 0; // what is added to each
    std::size_t width = 0;  // bytes of a value
    const char* values = nullptr;
  };
  std::vector<Part> parts_;
  std::array<Column, columns_max> columns_;
};

} // namespace reeve::history
