// What people type: every form of durations, sizes, vcores and times, and what is refused.
#include "src/util/table.hpp"
#include "src/util/text.hpp"

#include <cstdlib>
#include <ctime>
#include <gtest/gtest.h>

namespace reeve {
namespace {
using namespace std::chrono_literals;

struct Row {
  const char* text;
  std::int64_t value;
};

TEST(text, durations) {
  for (const Row& row :
       {Row{"10m", 600'000'000}, Row{"1h30m", 5'400'000'000}, Row{"500ms", 500'000},
        Row{"90", 90'000'000}, Row{"1.5s", 1'500'000}, Row{"250us", 250},
        Row{"2d", 172'800'000'000}, Row{"1w", 604'800'000'000}, Row{"0", 0}, Row{" 5s ", 5'000'000},
        Row{"1min", 60'000'000}, Row{"0.25", 250'000}}) {
    const auto parsed = parse_duration(row.text, "f");
    ASSERT_TRUE(parsed) << row.text;
    EXPECT_EQ(parsed->count(), row.value) << row.text;
  }
  for (const char* bad :
       {"", "m", "10x", "-5s", "5s5", "1..5s", "1h 30m", ".", "9999999999999w", "10 m"}) {
    const auto parsed = parse_duration(bad, "time_limit");
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().field, "time_limit");
    EXPECT_EQ(parsed.error().code, Code::bad_field);
  }
}

TEST(text, sizes) {
  for (const Row& row :
       {Row{"4GiB", 4LL << 30}, Row{"512M", 512LL << 20}, Row{"4096", 4096}, Row{"1.5T", 3LL << 39},
        Row{"100kB", 100'000}, Row{"2MB", 2'000'000}, Row{"1k", 1024}, Row{"7B", 7}, Row{"0", 0},
        Row{"1 GiB", 1LL << 30}, Row{"1Gi", 1LL << 30}})
    EXPECT_EQ(parse_size(row.text, "f").value_or(-1), row.value) << row.text;
  for (const char* bad : {"", "G", "4X", "-1", "4GiBB", "99999999P", "1e9"})
    EXPECT_FALSE(parse_size(bad, "f")) << bad;
}

TEST(text, thousandths) {
  for (const Row& row : {Row{"0.5", 500}, Row{"2", 2000}, Row{"2.25", 2250}, Row{"0.001", 1},
                         Row{".5", 500}, Row{"0", 0}})
    EXPECT_EQ(parse_milli(row.text, "f").value_or(-1), row.value) << row.text;
  for (const char* bad : {"", "0.0005", "-1", "1/2", "x", "."})
    EXPECT_FALSE(parse_milli(bad, "f")) << bad;
}

TEST(text, times) {
  setenv("TZ", "UTC", 1);
  tzset();
  const TimePoint now{std::chrono::seconds(1'000'000)};
  EXPECT_EQ(*parse_time("1970-01-02", "f", now), TimePoint(86'400s));
  EXPECT_EQ(*parse_time("1970-01-02 01:00", "f", now), TimePoint(90'000s));
  EXPECT_EQ(*parse_time("1970-01-02T01:00:05Z", "f", now), TimePoint(90'005s));
  EXPECT_EQ(*parse_time("@77", "f", now), TimePoint(77s));
  EXPECT_EQ(*parse_time("1h", "f", now), now - 1h);
  for (const char* bad :
       {"", "yesterday", "2025-02-31", "2025-13-01", "2025-01-01 25:00", "2025-01-01x", "@x"})
    EXPECT_FALSE(parse_time(bad, "since", now)) << bad;
  EXPECT_EQ(format_time(TimePoint(90'005s)), "1970-01-02 01:00:05");
  EXPECT_EQ(format_time(TimePoint{}), "-");
}

TEST(text, durations_are_shown_short) {
  EXPECT_EQ(format_duration(0s), "0s");
  EXPECT_EQ(format_duration(350us), "350us");
  EXPECT_EQ(format_duration(12'340us), "12.3ms");
  EXPECT_EQ(format_duration(999'999us), "1s");
  EXPECT_EQ(format_duration(1500ms), "1.5s");
  EXPECT_EQ(format_duration(59'990ms), "60s");
  EXPECT_EQ(format_duration(723s), "12m03s");
  EXPECT_EQ(format_duration(3h + 5min), "3h05m");
  EXPECT_EQ(format_duration(52h), "2d04h");
  EXPECT_EQ(format_duration(-2s), "-2s");
}

TEST(text, sizes_and_counts_are_shown_short) {
  EXPECT_EQ(format_size(0), "0");
  EXPECT_EQ(format_size(1000), "1000");
  EXPECT_EQ(format_size(4LL << 30), "4GiB");
  EXPECT_EQ(format_size(3LL << 19), "1.5MiB");
  EXPECT_EQ(format_size(500LL << 20), "500MiB");
  EXPECT_EQ(format_milli(500), "0.5");
  EXPECT_EQ(format_milli(2000), "2");
  EXPECT_EQ(format_milli(1), "0.001");
  EXPECT_EQ(format_count(9999), "9999");
  EXPECT_EQ(format_count(1'234'567), "1.23M");
  EXPECT_EQ(format_count(12.345), "12.3");
}

TEST(text, foreign_text_cannot_steer_the_terminal) {
  EXPECT_EQ(printable("a\x1b[31mb\n"), "a?[31mb?");
  EXPECT_EQ(printable("grün"), "grün");
  EXPECT_EQ(printable("\xc2\x9b"), "??");
  EXPECT_EQ(printable("a\xff"), "a?");
}

TEST(table, columns_are_as_wide_as_their_widest_cell) {
  Table table({{"ID", true}, {"NAME"}, {"STATE"}});
  table.add({"5", "grün", Table::Cell("ok", Colour::green)});
  table.add({"123", "", "failed"});
  EXPECT_EQ(table.text(false), " ID  NAME  STATE\n  5  grün  ok\n123  -     failed\n");
  EXPECT_NE(table.text(true).find("\x1b[32mok\x1b[0m"), std::string::npos);
}

} // namespace
} // namespace reeve
