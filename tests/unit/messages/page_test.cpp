// PROTOCOL.md tells the truth: its tables of fields and numbers are compared with what the types
// declare. What a table must look like is printed when it differs.
#include "messages/event_pack.hpp"
#include "tests/unit/messages/all_types.hpp"

#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <sstream>

namespace reeve::test {
namespace {

// ---- names out of the compiler

template<class T> std::string type_name() {
  std::string_view text =
    __PRETTY_FUNCTION__; // "… [with T = reeve::Foo; …]" or "… [T = reeve::Foo]"
  text.remove_prefix(text.find("T = ") + 4);
  text = text.substr(0, text.find_first_of(";]"));
  return std::string(text.substr(text.rfind(':') == text.npos ? 0 : text.rfind(':') + 1));
}
/// Empty when no enumerator has this value.
template<auto V> std::string enumerator_name() {
  std::string_view text = __PRETTY_FUNCTION__;
  text.remove_prefix(text.find("V = ") + 4);
  text = text.substr(0, text.find_first_of(";]"));
  if (text.find('(') != text.npos || text.rfind(':') == text.npos)
    return {};
  return std::string(text.substr(text.rfind(':') + 1));
}
template<class E, std::size_t... I>
void each_enumerator(std::map<std::uint64_t, std::string>& out, std::index_sequence<I...>) {
  const auto add = [&](std::uint64_t number, std::string name) {
    if (!name.empty())
      out[number] = std::move(name);
  };
  (add(I, enumerator_name<static_cast<E>(I)>()), ...);
}
template<class E> std::map<std::uint64_t, std::string> enumerators() {
  std::map<std::uint64_t, std::string> out;
  each_enumerator<E>(out, std::make_index_sequence<128>());
  return out;
}

// ---- a field in the page's words

std::string number_text(std::int64_t n) {
  constexpr std::int64_t plain_max = 1 << 20;
  const std::uint64_t size =
    n < 0 ? 0 - static_cast<std::uint64_t>(n) : static_cast<std::uint64_t>(n);
  if (size >= plain_max && (size & (size - 1)) == 0) {
    int power = 0;
    while ((std::uint64_t{1} << power) != size)
      ++power;
    return (n < 0 ? "-2^" : "2^") + std::to_string(power);
  }
  return std::to_string(n);
}

template<class T> std::string type_text() {
  using namespace schema;
  if constexpr (std::is_same_v<T, bool>)
    return "bool";
  else if constexpr (is_id<T>)
    return type_text<typename T::rep>();
  else if constexpr (std::is_same_v<T, Duration>)
    return "duration";
  else if constexpr (std::is_same_v<T, TimePoint>)
    return "time";
  else if constexpr (std::is_enum_v<T>)
    return type_name<T>();
  else if constexpr (std::is_integral_v<T>)
    return std::string(std::is_unsigned_v<T> ? "uint" : "int") + std::to_string(sizeof(T) * 8);
  else if constexpr (std::is_floating_point_v<T>)
    return "float";
  else if constexpr (std::is_same_v<T, std::string>)
    return "text";
  else if constexpr (std::is_same_v<T, Bytes>)
    return "bytes";
  else if constexpr (std::is_same_v<T, Raw>)
    return "any";
  else if constexpr (is_optional<T>)
    return type_text<typename T::value_type>() + " or nil";
  else if constexpr (is_vector<T>)
    return "list of " + type_text<typename T::value_type>();
  else if constexpr (is_map<T>)
    return "map of " + type_text<typename T::mapped_type>();
  else if constexpr (is_variant<T>)
    return "Fact";
  else
    return type_name<T>();
}

template<class T> std::string bounds_text(const FieldRule& rule) {
  const bool low = rule.min != std::numeric_limits<std::int64_t>::min();
  const bool high = rule.max != std::numeric_limits<std::int64_t>::max();
  const bool counted = std::is_same_v<T, std::string> || std::is_same_v<T, Bytes> ||
                       schema::is_vector<T> || schema::is_map<T>;
  std::string out = counted && (low || high) ? "size " : "";
  if (low && high)
    return out + number_text(rule.min) + " to " + number_text(rule.max);
  if (low)
    return out + "≥ " + number_text(rule.min);
  if (high)
    return out + "≤ " + number_text(rule.max);
  return out;
}

template<class T> std::string default_text(const T& value) {
  using namespace schema;
  if constexpr (std::is_same_v<T, bool>)
    return value ? "true" : "false";
  else if constexpr (is_id<T>)
    return number_text(static_cast<std::int64_t>(value.value));
  else if constexpr (std::is_same_v<T, Duration>)
    return std::to_string(value.count());
  else if constexpr (std::is_same_v<T, TimePoint>)
    return std::to_string(value.time_since_epoch().count());
  else if constexpr (std::is_enum_v<T>)
    return std::to_string(static_cast<std::uint64_t>(value));
  else if constexpr (std::is_arithmetic_v<T>)
    return number_text(static_cast<std::int64_t>(value));
  else if constexpr (std::is_same_v<T, std::string>)
    return "\"" + value + "\"";
  else
    return "empty"; // lists, maps, bytes, any; structures: all of theirs
}

struct Row {
  std::string field, type, bounds, fallback; // fallback: the default, or "required"
  [[nodiscard]] std::string text() const {
    return "| `" + field + "` | " + type + " | " + bounds + " | " + fallback + " |";
  }
};

template<class T> struct Describer {
  std::vector<Row>& rows;
  T value{};
  template<class M> void operator()(const char* name, M T::*member, const FieldRule& rule = {}) {
    rows.push_back({name, type_text<M>(), bounds_text<M>(rule),
                    rule.required ? "required" : default_text(value.*member)});
  }
};

// ---- the page

struct Section {
  std::string heading;
  std::vector<std::vector<std::string>> rows; // cells of its table, without the head
};

std::string trimmed(std::string text) {
  while (!text.empty() && text.back() == ' ')
    text.pop_back();
  while (!text.empty() && text.front() == ' ')
    text.erase(0, 1);
  return text;
}

/// Name (the first word of a heading) -> the section with the table below it.
std::map<std::string, Section> read_page() {
  std::map<std::string, Section> sections;
  std::ifstream page(REEVE_PROTOCOL_PAGE);
  Section* now = nullptr;
  int table_line = 0;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("#")) {
      const auto from = line.find_first_not_of("# ");
      const std::string heading = from == line.npos ? "" : line.substr(from);
      now = &sections[heading.substr(0, heading.find(' '))];
      now->heading = heading;
      table_line = 0;
    } else if (line.starts_with("|") && now != nullptr) {
      if (++table_line <= 2)
        continue;
      std::vector<std::string> cells;
      std::istringstream parts(line.substr(1));
      for (std::string cell; std::getline(parts, cell, '|');)
        cells.push_back(trimmed(cell));
      now->rows.push_back(std::move(cells));
    } else if (table_line > 0) {
      now = nullptr; // one table a section
    }
  }
  return sections;
}

class Page : public testing::Test {
protected:
  static void SetUpTestSuite() { sections_ = read_page(); }
  static std::map<std::string, Section> sections_;

  static std::string cell(const std::vector<std::string>& row, std::size_t i) {
    return i < row.size() ? row[i] : std::string();
  }
  template<class E> static void check_numbers() {
    const std::string name = type_name<E>();
    const auto at = sections_.find(name);
    ASSERT_NE(at, sections_.end()) << "no section " << name;
    std::map<std::uint64_t, std::string> written;
    for (const auto& row : at->second.rows)
      written[std::stoull(cell(row, 0))] = cell(row, 1);
    std::map<std::uint64_t, std::string> wanted;
    for (const auto& [number, enumerator] : enumerators<E>())
      wanted[number] = "`" + enumerator + "`";
    EXPECT_EQ(written, wanted) << name;
  }
};
std::map<std::string, Section> Page::sections_;

TEST_F(Page, has_each_type_with_each_field_its_type_bounds_and_default) {
  each_type([]<class T>(std::type_identity<T>, const char* name) {
    std::vector<Row> rows;
    Describer<T> describer{rows};
    T::fields(describer);
    std::string heading = name;
    heading += schema::is_array<T>() ? " (array" : " (map";
    if constexpr (is_message<T>)
      heading += ", type " + std::to_string(static_cast<unsigned>(T::type));
    heading += ")";
    std::string wanted;
    for (const auto& row : rows)
      wanted += row.text() + "\n";
    const auto at = sections_.find(name);
    if (at == sections_.end()) {
      ADD_FAILURE() << "no section:\n#### " << heading << "\n" << wanted;
      return;
    }
    std::string written;
    for (const auto& row : at->second.rows) {
      for (std::size_t i = 0; i < 4; ++i)
        written += "| " + cell(row, i) + (cell(row, i).empty() ? "" : " ");
      written += "|\n";
      EXPECT_GE(cell(row, 4).size(), 3u) << name << ": " << cell(row, 0) << " is not explained";
    }
    std::string wanted_now; // an empty cell is written with one blank
    for (const auto& row : rows)
      for (const auto* part : {&row.field, &row.type, &row.bounds, &row.fallback}) {
        const std::string text = part == &row.field ? "`" + *part + "`" : *part;
        wanted_now += "| " + text + (text.empty() ? "" : " ");
        if (part == &row.fallback)
          wanted_now += "|\n";
      }
    EXPECT_EQ(written, wanted_now) << heading << " must have the rows\n" << wanted;
    EXPECT_EQ(at->second.heading, heading);
  });
}

TEST_F(Page, has_each_number_that_stands_for_a_name) {
  check_numbers<Code>();
  check_numbers<MessageType>();
  check_numbers<TaskState>();
  check_numbers<JobState>();
  check_numbers<Cause>();
  check_numbers<NodeState>();
  check_numbers<JobAction>();
  check_numbers<NodeAction>();
  check_numbers<MasterAction>();
  check_numbers<HistoryKind>();
  check_numbers<Stream>();
  check_numbers<DependencyKind>();
  check_numbers<FailurePolicy>();
  check_numbers<LabelOperator>();
}

template<std::size_t I = 0> void check_facts(const Section& section) {
  if constexpr (I < std::variant_size_v<Fact>) {
    const auto name = name_of(Fact(std::in_place_index<I>));
    ASSERT_LT(I, section.rows.size()) << name;
    EXPECT_EQ(section.rows[I][0], std::to_string(I));
    EXPECT_EQ(section.rows[I][1], "`" + std::string(name) + "`");
    using Alternative = std::variant_alternative_t<I, Fact>;
    EXPECT_EQ(type_name<Alternative>(), name);
    check_facts<I + 1>(section);
  }
}
TEST_F(Page, has_each_fact_with_its_number) {
  ASSERT_TRUE(sections_.contains("Fact"));
  check_facts(sections_.at("Fact"));
}

// ---- examples

std::string unhexed(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 3)
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return out;
}
/// The frames of each example: lines of bytes in hex, frames between bars.
std::vector<std::vector<std::string>> read_examples() {
  std::vector<std::vector<std::string>> examples;
  std::ifstream page(REEVE_PROTOCOL_PAGE);
  for (std::string line; std::getline(page, line);) {
    if (line.size() < 5 || line.find_first_not_of("0123456789abcdef |") != line.npos ||
        line.find(" | ") == line.npos)
      continue;
    std::vector<std::string> frames;
    for (std::size_t from = 0; from < line.size();) {
      const auto bar = std::min(line.find(" | ", from), line.size());
      frames.push_back(unhexed(std::string_view(line).substr(from, bar - from)));
      from = bar + 3;
    }
    examples.push_back(std::move(frames));
  }
  return examples;
}

template<class T> void check_example(const std::string& body) {
  const auto value = decode<T>(body);
  ASSERT_TRUE(value) << value.error().message();
  EXPECT_TRUE(encode(*value) == body) << "is not written so: " << testing::PrintToString(body);
}

TEST_F(Page, has_examples_that_are_read_and_written_so) {
  const auto examples = read_examples();
  EXPECT_GE(examples.size(), 12u);
  for (const auto& frames : examples) {
    if (frames.size() == 3 && frames[0] == "of.all") {
      PackReader reader(frames[2]);
      EventPack pack;
      while (const auto event = reader.next())
        pack.add(decode<Event>(event->event).value());
      EXPECT_EQ(pack.count(), 1u);
      EXPECT_TRUE(pack.bytes() == frames[2]);
      continue;
    }
    if (frames.size() == 3) {
      const auto event = decode<Event>(frames[2]);
      ASSERT_TRUE(event) << event.error().message();
      check_example<Event>(frames[2]);
      EXPECT_EQ(frames[0], event->kind + "." + std::to_string(event->job.value));
      continue;
    }
    ASSERT_EQ(frames.size(), 2u);
    const auto header = decode<Header>(frames[0]);
    ASSERT_TRUE(header) << header.error().message();
    EXPECT_TRUE(encode(*header) == frames[0]);
    bool found = false;
    each_message([&]<class T>(std::type_identity<T>, const char* name) {
      if (T::type != header->type || header->version != protocol_version)
        return;
      SCOPED_TRACE(name);
      check_example<T>(frames[1]);
      found = true;
    });
    EXPECT_TRUE(found || header->version != protocol_version);
  }
}

TEST_F(Page, names_each_message_with_its_number_and_section) {
  std::map<MessageType, std::string> by_number;
  each_message([&]<class T>(std::type_identity<T>, const char* name) {
    EXPECT_TRUE(by_number.emplace(T::type, name).second) << name << " has another's number";
  });
  for (const auto& [number, name] : enumerators<MessageType>())
    EXPECT_TRUE(by_number.contains(static_cast<MessageType>(number))) << name;
}

} // namespace
} // namespace reeve::test
