// Rows of text made into tables and JSON. See history_rows.hpp. What a column holds is known from
// its name's end: times and durations in microseconds (`_us`), sizes (`_bytes`).
#include "src/cli/history_rows.hpp"

#include "src/util/text.hpp"

#include <algorithm>
#include <charconv>

namespace reeve::cli {
namespace {

enum class ColumnKind { text, number, time, duration, size };

bool ends(std::string_view name, std::string_view tail) {
  return name.size() >= tail.size() && name.substr(name.size() - tail.size()) == tail;
}

ColumnKind kind_of(std::string_view column) {
  if (ends(column, "_bytes"))
    return ColumnKind::size;
  if (ends(column, "cpu_us") || ends(column, "wall_us") || ends(column, "limit_us") ||
      ends(column, "ran_us") || ends(column, "wait_us"))
    return ColumnKind::duration;
  if (ends(column, "_us"))
    return ColumnKind::time;
  static constexpr std::array numbers{
    "job",       "task",      "attempt", "first",    "count", "tasks", "succeeded", "failed",
    "cancelled", "exit_code", "signal",  "priority", "seq",   "jobs",  "attempts",  "lost"};
  return std::find(numbers.begin(), numbers.end(), column) != numbers.end() ? ColumnKind::number
                                                                            : ColumnKind::text;
}

/// For the wide table only.
bool for_few(std::string_view column) {
  static constexpr std::array columns{
    "queue",       "priority",    "executor",    "labels",        "cancelled",    "submitted_us",
    "started_us",  "recorded_us", "user_cpu_us", "system_cpu_us", "stdout_bytes", "stderr_bytes",
    "incarnation", "program",     "seq",         "correlation"};
  return std::find(columns.begin(), columns.end(), column) != columns.end();
}

std::optional<std::int64_t> whole(const std::string& text) {
  std::int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return n;
}

std::string shown(ColumnKind kind, const std::string& value) {
  const auto n = whole(value);
  if (!n)
    return value;
  switch (kind) {
  case ColumnKind::time:
    return format_time(TimePoint(Duration(*n)));
  case ColumnKind::duration:
    return format_duration(Duration(*n));
  case ColumnKind::size:
    return format_size(*n);
  default:
    return value;
  }
}

Colour colour_of(std::string_view column, const std::string& value) {
  if (column != "state" && column != "cause")
    return Colour::none;
  if (value == "succeeded" || value == "none" || value == "up" || value == "registered")
    return Colour::green;
  return value == "failed" || value == "lost" ? Colour::red : Colour::yellow;
}

std::string heading(std::string name) {
  if (ends(name, "_us"))
    name.resize(name.size() - 3);
  else if (ends(name, "_bytes"))
    name.resize(name.size() - 6);
  for (char& c : name)
    c = c == '_' ? ' ' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return name;
}

} // namespace

Table history_table(const HistoryRows& rows, bool wide) {
  std::vector<std::size_t> used;
  for (std::size_t k = 0; k < rows.columns.size(); ++k)
    if (wide || (!for_few(rows.columns[k]) &&
                 (rows.rows.empty() ||
                  std::any_of(rows.rows.begin(), rows.rows.end(),
                              [&](const auto& row) { return k < row.size() && !row[k].empty(); }))))
      used.push_back(k);
  std::vector<Table::Column> columns;
  for (const std::size_t k : used) {
    const ColumnKind kind = kind_of(rows.columns[k]);
    columns.push_back(
      {heading(rows.columns[k]), kind != ColumnKind::text && kind != ColumnKind::time});
  }
  Table table(columns);
  for (const auto& row : rows.rows) {
    std::vector<Table::Cell> cells;
    for (const std::size_t k : used) {
      const std::string value = k < row.size() ? row[k] : "";
      cells.emplace_back(shown(kind_of(rows.columns[k]), value), colour_of(rows.columns[k], value));
    }
    table.add(std::move(cells));
  }
  return table;
}

Json history_json(const HistoryRows& rows) {
  Json list = Json::array();
  for (const auto& row : rows.rows) {
    Json out = Json::object();
    for (std::size_t k = 0; k < rows.columns.size(); ++k) {
      const std::string value = k < row.size() ? row[k] : "";
      const auto n =
        kind_of(rows.columns[k]) == ColumnKind::text ? std::optional<std::int64_t>() : whole(value);
      out[rows.columns[k]] = value.empty() ? Json(nullptr) : n ? Json(*n) : Json(value);
    }
    list.push_back(std::move(out));
  }
  return Json{{"rows", list}, {"next", rows.next}};
}

} // namespace reeve::cli
