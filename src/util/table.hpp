// A table of text for a terminal: columns as wide as their widest cell, two blanks between. Used by
// the command line and by `reeve-agent status`. Must never print by itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reeve {

enum class Colour : std::uint8_t { none, red, green, yellow, blue, grey, bold };

/// `text` in that colour, or as it is when `on` is false.
std::string painted(std::string_view text, Colour colour, bool on);
/// Columns of a terminal that `text` takes: its code points.
std::size_t display_width(std::string_view text);

class Table {
public:
  struct Column {
    std::string name;
    bool right = false; // numbers
  };
  struct Cell {
    Cell(std::string t, Colour c = Colour::none)
        : text(std::move(t)), colour(c) {} // NOLINT: cells are written as texts
    Cell(const char* t) : text(t) {}       // NOLINT
    std::string text;
    Colour colour = Colour::none;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// As many cells as columns; control characters in them are replaced.
  void add(std::vector<Cell> row);
  [[nodiscard]] std::size_t rows() const { return rows_.size(); }
  /// Heading and rows, each line ended by a newline and without blanks at its end.
  [[nodiscard]] std::string text(bool colours) const;

private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

} // namespace reeve
