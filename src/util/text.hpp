// What people type and read: durations, sizes, vcores, times. Used by the command line,
// configuration and job files. Every parser names the field it was called for. Must never read a
// clock: times come in as arguments.
#pragma once

#include "messages/error.hpp"
#include "messages/ids.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reeve {

/// `10m`, `1h30m`, `500ms`, `1.5s`, `2d`; a number alone is seconds. Units: us ms s m (or min) h d
/// w. Not negative.
Result<Duration> parse_duration(std::string_view text, std::string_view field);
/// `4GiB`, `512M`, `1.5T`, `100kB`, `4096`. K, M, G, T, P and KiB… are powers of 1024; kB, MB… of
/// 1000. Not negative.
Result<std::int64_t> parse_size(std::string_view text, std::string_view field);
/// Thousandths: `0.5` is 500, `2` is 2000. At most three places. Not negative.
Result<std::int64_t> parse_milli(std::string_view text, std::string_view field);
/// A whole number within [min, max], nothing else.
Result<std::int64_t> parse_integer(std::string_view text, std::string_view field, std::int64_t min,
                                   std::int64_t max);
/// `key=value`; the key must not be empty, the value may be. Splits at the first `=`.
Result<std::pair<std::string, std::string>> parse_pair(std::string_view text,
                                                       std::string_view field);
/// `2025-01-31`, `2025-01-31 10:00`, `2025-01-31T10:00:05Z`, `@1738317600`, or a duration, meaning
/// so long before `now`. Without Z: local time.
Result<TimePoint> parse_time(std::string_view text, std::string_view field, TimePoint now);

/// Short: `0s`, `350us`, `12.3ms`, `1.5s`, `12m03s`, `3h05m`, `2d04h`.
std::string format_duration(Duration duration);
/// `0`, `512`, `4GiB`, `1.5MiB`.
std::string format_size(std::int64_t bytes);
/// `0.5`, `2`.
std::string format_milli(std::int64_t milli);
/// `1234567` as `1.23M`; below 10,000 as it is.
std::string format_count(double n);
/// Local time to the second; `-` for 0.
std::string format_time(TimePoint time);

std::vector<std::string> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);
/// Control characters and bytes that are not UTF-8 as `?`: text from elsewhere must not steer the
/// terminal.
std::string printable(std::string_view text);

} // namespace reeve
