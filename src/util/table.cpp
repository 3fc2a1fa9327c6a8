// Tables for people. See table.hpp.
#include "src/util/table.hpp"

#include "src/util/text.hpp"

#include <algorithm>

namespace reeve {

std::string painted(std::string_view text, Colour colour, bool on) {
  if (!on || colour == Colour::none)
    return std::string(text);
  const char* code = "1";
  switch (colour) {
  case Colour::red:
    code = "31";
    break;
  case Colour::green:
    code = "32";
    break;
  case Colour::yellow:
    code = "33";
    break;
  case Colour::blue:
    code = "34";
    break;
  case Colour::grey:
    code = "90";
    break;
  case Colour::bold:
  case Colour::none:
    break;
  }
  return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
  }));
}

void Table::add(std::vector<Cell> row) {
  row.resize(columns_.size(), Cell(""));
  for (Cell& cell : row)
    cell.text = cell.text.empty() ? "-" : printable(cell.text);
  rows_.push_back(std::move(row));
}

std::string Table::text(bool colours) const {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    std::size_t width = display_width(columns_[c].name);
    for (const auto& row : rows_)
      width = std::max(width, display_width(row[c].text));
    widths.push_back(width);
  }
  std::string out;
  const auto line = [&](const std::vector<Cell>& cells) {
    std::string text;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const std::string blanks(widths[c] - display_width(cells[c].text), ' ');
      const std::string shown = painted(cells[c].text, cells[c].colour, colours);
      text += (c == 0 ? "" : "  ") + (columns_[c].right ? blanks + shown : shown + blanks);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  };
  std::vector<Cell> heading;
  for (const Column& column : columns_)
    heading.emplace_back(column.name, Colour::bold);
  line(heading);
  for (const auto& row : rows_)
    line(row);
  return out;
}

} // namespace reeve
