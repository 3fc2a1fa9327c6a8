// Parsing and formatting of what people type and read. See text.hpp.
#include "src/util/text.hpp"

#include "src/util/json.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>

namespace reeve {
namespace {

__extension__ using Wide = __int128; // exact products of a number and its unit

constexpr std::int64_t int_max = std::numeric_limits<std::int64_t>::max();

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

tl::unexpected<Error> bad(std::string_view field, std::string_view text, std::string_view wanted) {
  return fail(Code::bad_field, std::string(field),
              "must be " + std::string(wanted) + ", got '" + printable(text.substr(0, 64)) + "'");
}

/// A decimal number times `factor`, exact; false when it does not fit or has no digit. Takes it off
/// the front of `text`.
bool take_scaled(std::string_view& text, std::size_t length, std::int64_t factor,
                 std::int64_t& out) {
  const std::string_view number = text.substr(0, length);
  Wide value = 0;
  bool point = false, digit = false;
  Wide divisor = 1;
  for (const char c : number) {
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (!is_digit(c))
      return false;
    digit = true;
    if (point && divisor >= 1'000'000'000) // beyond nanounits
      continue;
    value = value * 10 + (c - '0');
    if (point)
      divisor *= 10;
    if (value > static_cast<Wide>(int_max))
      return false;
  }
  if (!digit)
    return false;
  value = value * factor / divisor;
  if (value > static_cast<Wide>(int_max))
    return false;
  out = static_cast<std::int64_t>(value);
  text.remove_prefix(length);
  return true;
}

std::size_t number_length(std::string_view text) {
  const auto end =
    std::find_if(text.begin(), text.end(), [](char c) { return !is_digit(c) && c != '.'; });
  return static_cast<std::size_t>(end - text.begin());
}

std::string shortest(double value) {
  std::array<char, 32> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.3g", value);
  return buffer.data();
}

std::string two(std::int64_t n) {
  return (n < 10 ? "0" : "") + std::to_string(n);
}

bool take_number(std::string_view& text, std::size_t digits, int& out) {
  if (text.size() < digits ||
      !std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(digits), is_digit))
    return false;
  out = 0;
  for (std::size_t i = 0; i < digits; ++i)
    out = out * 10 + (text[i] - '0');
  text.remove_prefix(digits);
  return true;
}
bool take_char(std::string_view& text, std::string_view any) {
  if (text.empty() || any.find(text.front()) == std::string_view::npos)
    return false;
  text.remove_prefix(1);
  return true;
}

bool parse_calendar(std::string_view text, TimePoint& out) {
  std::tm tm{};
  int year = 0, month = 0;
  if (!take_number(text, 4, year) || !take_char(text, "-") || !take_number(text, 2, month) ||
      !take_char(text, "-") || !take_number(text, 2, tm.tm_mday))
    return false;
  tm.tm_year = year - 1900;
  tm.tm_mon = month - 1;
  tm.tm_isdst = -1;
  if (take_char(text, "T ")) {
    if (!take_number(text, 2, tm.tm_hour) || !take_char(text, ":") ||
        !take_number(text, 2, tm.tm_min))
      return false;
    if (take_char(text, ":") && !take_number(text, 2, tm.tm_sec))
      return false;
  }
  const bool utc = take_char(text, "Z");
  const bool sane = year >= 1970 && month >= 1 && month <= 12 && tm.tm_mday >= 1 &&
                    tm.tm_mday <= 31 && tm.tm_hour <= 23 && tm.tm_min <= 59 && tm.tm_sec <= 60;
  if (!text.empty() || !sane)
    return false;
  const int day = tm.tm_mday;
  const std::time_t seconds = utc ? timegm(&tm) : std::mktime(&tm);
  if (tm.tm_mday != day) // 31 February
    return false;
  out = TimePoint(std::chrono::seconds(seconds));
  return true;
}

} // namespace

Result<Duration> parse_duration(std::string_view text, std::string_view field) {
  static constexpr std::array units{Unit{"us", 1},
                                    Unit{"ms", 1'000},
                                    Unit{"s", 1'000'000},
                                    Unit{"m", 60'000'000},
                                    Unit{"min", 60'000'000},
                                    Unit{"h", 3'600'000'000},
                                    Unit{"d", 86'400'000'000},
                                    Unit{"w", 604'800'000'000}};
  constexpr std::string_view wanted = "a duration such as 90s, 10m, 1h30m or 500ms";
  std::string_view rest = trim(text);
  std::int64_t total = 0;
  if (rest.empty())
    return bad(field, text, wanted);
  while (!rest.empty()) {
    const std::size_t length = number_length(rest);
    std::size_t end = length;
    while (end < rest.size() && !is_digit(rest[end]) && rest[end] != '.')
      ++end;
    const std::string_view name = rest.substr(length, end - length);
    const auto* unit =
      std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.name == name; });
    const bool alone =
      name.empty() && length == trim(text).size(); // no unit: seconds, and only as the whole
    if (unit == units.end() && !alone)
      return bad(field, text, wanted);
    std::int64_t part = 0;
    if (!take_scaled(rest, length, alone ? 1'000'000 : unit->factor, part) ||
        part > int_max - total)
      return bad(field, text, wanted);
    rest.remove_prefix(name.size());
    total += part;
  }
  return Duration(total);
}

Result<std::int64_t> parse_size(std::string_view text, std::string_view field) {
  static constexpr std::string_view letters = "KMGTP";
  constexpr std::string_view wanted = "a size such as 4GiB, 512M or 4096";
  std::string_view rest = trim(text);
  const std::size_t length = number_length(rest);
  std::string_view unit = rest.substr(length);
  while (!unit.empty() && unit.front() == ' ')
    unit.remove_prefix(1);
  std::int64_t factor = 1;
  if (!unit.empty() && unit != "B") {
    const char letter = unit[0] == 'k' ? 'K' : unit[0];
    const std::string_view tail = unit.substr(1);
    const std::size_t power = letters.find(letter);
    if (power == std::string_view::npos ||
        (!tail.empty() && tail != "iB" && tail != "i" && tail != "B"))
      return bad(field, text, wanted);
    for (std::size_t k = 0; k <= power; ++k)
      factor *= tail == "B" ? 1000 : 1024;
  }
  std::int64_t out = 0;
  if (!take_scaled(rest, length, factor, out))
    return bad(field, text, wanted);
  return out;
}

Result<std::int64_t> parse_milli(std::string_view text, std::string_view field) {
  constexpr std::string_view wanted = "a number such as 1, 0.5 or 2.25, with at most three places";
  std::string_view rest = trim(text);
  const std::size_t point = rest.find('.');
  std::int64_t out = 0;
  if ((point != std::string_view::npos && rest.size() - point > 4) ||
      !take_scaled(rest, rest.size(), 1000, out))
    return bad(field, text, wanted);
  return out;
}

Result<std::int64_t> parse_integer(std::string_view text, std::string_view field, std::int64_t min,
                                   std::int64_t max) {
  std::int64_t out = 0;
  const auto [end, trouble] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (trouble != std::errc{} || end != text.data() + text.size() || out < min || out > max)
    return bad(field, text,
               "a whole number from " + std::to_string(min) + " to " + std::to_string(max));
  return out;
}

Result<std::pair<std::string, std::string>> parse_pair(std::string_view text,
                                                       std::string_view field) {
  const std::size_t at = text.find('=');
  if (at == std::string_view::npos || at == 0)
    return bad(field, text, "of the form KEY=VALUE");
  return std::pair(std::string(text.substr(0, at)), std::string(text.substr(at + 1)));
}

Result<TimePoint> parse_time(std::string_view text, std::string_view field, TimePoint now) {
  const std::string_view whole = trim(text);
  if (!whole.empty() && whole.front() == '@') {
    auto seconds = parse_integer(whole.substr(1), field, 0, int_max / 1'000'000);
    if (!seconds)
      return tl::unexpected<Error>(seconds.error());
    return TimePoint(std::chrono::seconds(*seconds));
  }
  if (TimePoint at; parse_calendar(whole, at))
    return at;
  if (auto ago = parse_duration(whole, field); ago && whole.find('-') == std::string_view::npos)
    return now - *ago;
  return bad(field, text,
             "a time such as 2025-01-31, '2025-01-31 10:00', 2025-01-31T10:00:00Z, or 2h (ago)");
}

std::string format_duration(Duration duration) {
  const std::int64_t us = duration.count();
  if (us < 0)
    return "-" + format_duration(Duration(-us));
  if (us == 0)
    return "0s";
  if (us < 1'000)
    return std::to_string(us) + "us";
  if (us < 999'500)
    return shortest(static_cast<double>(us) / 1e3) + "ms";
  if (us < 60'000'000)
    return shortest(static_cast<double>(us) / 1e6) + "s";
  const std::int64_t s = us / 1'000'000;
  if (s < 3600)
    return std::to_string(s / 60) + "m" + two(s % 60) + "s";
  if (s < 86'400)
    return std::to_string(s / 3600) + "h" + two(s % 3600 / 60) + "m";
  return std::to_string(s / 86'400) + "d" + two(s % 86'400 / 3600) + "h";
}

std::string format_size(std::int64_t bytes) {
  static constexpr std::array units{"", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 0)
    return "-" + format_size(-bytes);
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> buffer{};
  std::snprintf(buffer.data(), buffer.size(), unit == 0 || value >= 100 ? "%.0f" : "%.4g",
                value >= 100 ? value : std::round(value * 10) / 10);
  return std::string(buffer.data()) + units[unit];
}

std::string format_milli(std::int64_t milli) {
  std::string out = (milli < 0 ? "-" : "") + std::to_string(std::abs(milli) / 1000);
  std::int64_t rest = std::abs(milli) % 1000;
  if (rest == 0)
    return out;
  std::string places = std::to_string(rest + 1000).substr(1);
  places.erase(places.find_last_not_of('0') + 1);
  return out + "." + places;
}

std::string format_count(double n) {
  static constexpr std::array units{"", "k", "M", "G"};
  if (n < 10'000)
    return n >= 100 || n == std::floor(n) ? std::to_string(static_cast<std::int64_t>(n))
                                          : shortest(n);
  std::size_t unit = 0;
  while (n >= 999.5 && unit + 1 < units.size()) {
    n /= 1000;
    ++unit;
  }
  return shortest(n) + units[unit];
}

std::string format_time(TimePoint time) {
  if (time == TimePoint{})
    return "-";
  const std::time_t seconds =
    std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  std::tm tm{};
  localtime_r(&seconds, &tm);
  std::array<char, 32> buffer{};
  std::strftime(buffer.data(), buffer.size(), "%Y-%m-%d %H:%M:%S", &tm);
  return buffer.data();
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> out;
  while (true) {
    const std::size_t at = text.find(separator);
    out.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos)
      return out;
    text.remove_prefix(at + 1);
  }
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos)
    return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::string printable(std::string_view text) {
  const bool utf8 = is_utf8(text);
  std::string out(text);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto c = static_cast<unsigned char>(out[i]);
    // U+0080…U+009F, the 8-bit control characters, are 0xC2 and a byte below 0xA0 in UTF-8.
    const bool c1 =
      utf8 && c == 0xc2 && i + 1 < out.size() && static_cast<unsigned char>(out[i + 1]) < 0xa0;
    if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8))
      out[i] = '?';
    else if (c1) {
      out[i] = '?';
      out[i + 1] = '?';
    }
  }
  return out;
}

} // namespace reeve
