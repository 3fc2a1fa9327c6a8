// The bytes of each message and entry, as they were first sent or stored, and values of every type
// there and back. golden.txt only grows: a line that is there must be read for ever.
#include "messages/codec.hpp"
#include "tests/unit/messages/type_table.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <sstream>

namespace reeve::test {
namespace {

std::string to_hex(std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out.push_back(digits[static_cast<unsigned char>(c) >> 4]);
    out.push_back(digits[static_cast<unsigned char>(c) & 15]);
  }
  return out;
}
std::string from_hex(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return out;
}

/// Type -> its lines, oldest first.
std::map<std::string, std::vector<std::string>> golden() {
  std::map<std::string, std::vector<std::string>> lines;
  std::ifstream file(REEVE_GOLDEN_BYTES);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name, hex;
    if (words >> name >> hex && name[0] != '#')
      lines[name].push_back(hex);
  }
  return lines;
}

TEST(golden_bytes, each_type_is_written_as_its_newest_line_says) {
  const auto lines = golden();
  std::string missing;
  for (const auto& type : type_table()) {
    const std::string hex = to_hex(type.sample());
    const auto at = lines.find(type.name);
    if (at == lines.end() || at->second.back() != hex)
      missing += type.name + " " + hex + "\n";
  }
  EXPECT_TRUE(missing.empty())
    << "If a field was appended, append these lines to tests/unit/messages/golden.txt; "
       "never change one that is there:\n"
    << missing;
}

TEST(golden_bytes, every_line_is_still_read_and_means_the_same) {
  auto lines = golden();
  for (const auto& type : type_table()) {
    for (const auto& hex : lines[type.name]) {
      const auto again = type.again(from_hex(hex));
      ASSERT_TRUE(again) << type.name << ": " << again.error().message();
      EXPECT_EQ(to_hex(*again), hex) << type.name;
    }
    lines.erase(type.name);
  }
  for (const auto& [name, hex] : lines)
    ADD_FAILURE() << "golden.txt has a type that is no more: " << name;
}

TEST(golden_bytes, a_value_without_a_set_field_is_an_empty_map_or_array) {
  for (const auto& type : type_table()) {
    const bool required =
      std::any_of(type.fields.begin(), type.fields.end(), [](const auto& f) { return f.required; });
    if (!required) {
      EXPECT_EQ(to_hex(type.defaults()), type.as_array ? "90" : "80") << type.name;
    }
  }
}

std::uint64_t seed_of_this_run() {
  const char* given = std::getenv("REEVE_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

TEST(every_type, comes_back_as_it_was_sent) {
  const auto seed = seed_of_this_run();
  SCOPED_TRACE("repeat with REEVE_SEED=" + std::to_string(seed) +
               " reeve_messages_tests --gtest_filter=every_type.*");
  Dice dice(seed);
  for (const auto& type : type_table())
    for (int round = 0; round < 60; ++round) {
      const std::string bytes = type.random(dice);
      const auto again = type.again(bytes);
      ASSERT_TRUE(again) << type.name << ": " << again.error().message() << " in " << to_hex(bytes);
      ASSERT_EQ(to_hex(*again), to_hex(bytes)) << type.name;
    }
}

TEST(every_type, cut_off_anywhere_is_an_error) {
  for (const auto& type : type_table()) {
    const std::string bytes = type.sample();
    for (std::size_t size = 0; size < bytes.size(); size += 1 + bytes.size() / 200) {
      const auto cut = type.again(std::string_view(bytes).substr(0, size));
      ASSERT_FALSE(cut) << type.name << " of " << size << " bytes";
      EXPECT_EQ(cut.error().code, Code::bad_message) << type.name;
    }
    const auto longer = type.again(bytes + '\xc0');
    ASSERT_FALSE(longer) << type.name;
    EXPECT_EQ(longer.error().code, Code::bad_message) << type.name;
  }
}

TEST(every_type, with_any_byte_changed_is_read_or_refused_in_words) {
  Dice dice(20250101);
  for (const auto& type : type_table()) {
    const std::string bytes = type.sample();
    for (int round = 0; round < 400; ++round) {
      std::string changed = bytes;
      for (std::uint64_t n = dice.pick(3) + 1; n > 0; --n)
        changed[static_cast<std::size_t>(dice.pick(changed.size()))] =
          static_cast<char>(dice.pick(256));
      const auto value = type.again(changed);
      if (value) { // what is read is within bounds: it can be sent on
        ASSERT_TRUE(type.again(*value)) << type.name << " " << to_hex(changed);
      } else {
        EXPECT_NE(value.error().code, Code::ok);
        EXPECT_FALSE(value.error().text.empty()) << type.name << " " << to_hex(changed);
      }
    }
  }
}

/// A body whose field `k` holds `value`, and of an array the values before it as in the sample.
std::string with_field(const TypeInfo& type, std::size_t k, const std::string& value) {
  std::string body;
  if (!type.as_array) {
    codec::put_map(body, 1);
    codec::put_str(body, type.fields[k].name);
    return body + value;
  }
  const std::string bytes = type.sample();
  codec::Tape tape;
  EXPECT_TRUE(tape.parse(bytes, {}));
  codec::Cursor cursor(tape);
  cursor.next();
  codec::put_array(body, k + 1);
  for (std::size_t i = 0; i < k; ++i) {
    std::string raw;
    EXPECT_TRUE(codec::read_raw(cursor, raw, FieldRule{}));
    body += raw;
  }
  return body + value;
}

TEST(every_type, refuses_a_value_of_another_type_in_each_field_and_names_the_field) {
  const std::string odd = "\x91\x91\xc3"; // a boolean in an array in an array: no field of ours
  for (const auto& type : type_table())
    for (std::size_t k = 0; k < type.fields.size(); ++k) {
      const auto& field = type.fields[k];
      const auto value = type.again(with_field(type, k, odd));
      EXPECT_EQ(value.has_value(), field.holds_any) << type.name << "." << field.name;
      if (value)
        continue;
      EXPECT_EQ(value.error().code, Code::bad_field) << type.name << "." << field.name;
      EXPECT_EQ(value.error().field.substr(0, field.name.size()), field.name)
        << type.name << "." << field.name << ": " << value.error().message();
    }
}

TEST(every_type, with_fields_by_name_has_no_more_than_the_reader_can_count) {
  for (const auto& type : type_table())
    EXPECT_LE(type.fields.size(), 64u) << type.name;
}

} // namespace
} // namespace reeve::test
