// What people type, and JSON: parsed or refused with the field's name; what is written is read as
// the same.
#include "src/util/text.hpp"
#include "messages/protocol.hpp"
#include "src/events/events.hpp"
#include "src/history/packed.hpp"
#include "src/history/waits.hpp"
#include "src/util/json.hpp"
#include "src/util/table.hpp"
#include "tests/fuzz/target.hpp"

namespace {
using namespace reeve;
using fuzz::named;

/// What is read of a pack is inside it, and no more than it says.
void read_pack(std::string_view text) {
  PackReader reader(text);
  std::uint32_t events = 0;
  while (const auto event = reader.next()) {
    REQUIRE(++events <= reader.count());
    for (const std::string_view part : {event->topic, event->event})
      REQUIRE(part.empty() || (part.begin() >= text.begin() && part.end() <= text.end()));
  }
}

void read_words(std::string_view text) {
  const TimePoint now{std::chrono::hours(480'000)};
  named(parse_duration(text, "f"));
  named(parse_size(text, "f"));
  named(parse_milli(text, "f"));
  named(parse_integer(text, "f", -100, 100));
  named(parse_pair(text, "f"));
  named(parse_time(text, "f", now));
  (void)events::replay_from(text);
  read_pack(text);
  (void)codec::text_in(text, "correlation");
  if (const auto good = parse_duration(text, "f"))
    REQUIRE(*good >= Duration(0) && !format_duration(*good).empty());
  if (const auto good = parse_size(text, "f"))
    REQUIRE(*good >= 0 && !format_size(*good).empty());
  REQUIRE(is_utf8(printable(text)));
  Table table({{"A"}, {"B", true}});
  table.add({std::string(text), "1"});
  REQUIRE(!table.text(true).empty());
  const auto decoded = from_base64(text);
  if (decoded)
    REQUIRE(*from_base64(to_base64(*decoded)) == *decoded);
}

void read_json(std::string_view text) {
  const auto json = parse_json(text);
  named(json);
  if (!json)
    return;
  REQUIRE(parse_json(dump_json(*json)));
  if (const auto spec = from_json<JobSpec>(*json)) {
    const auto again = from_json<JobSpec>(to_json(*spec));
    REQUIRE(again && *again == *spec);
  } else {
    named(spec);
  }
}

void read_waits(std::string_view text) {
  const auto waits = history::Waits::decode(text);
  REQUIRE(history::Waits::decode(waits.encode()).encode() == waits.encode());
  REQUIRE(waits.percentile(0) >= 0 && waits.percentile(100) >= 0);
  auto twice = waits;
  twice.add(waits);
  REQUIRE(twice.percentile(50) >= 0);
}

void read_packed(std::string_view text) {
  using history::Packed;
  for (const std::size_t columns : {2u, 3u, 8u}) {
    Packed packed;
    if (!packed.open(text, columns))
      continue;
    std::vector<std::vector<Packed::Row>> rows;
    std::vector<Packed::Keyed> keys;
    std::size_t all = 0;
    rows.reserve(packed.parts().size());
    for (const auto& part : packed.parts()) {
      all += part.count;
      REQUIRE(all <= text.size());
      std::vector<std::int64_t> values(part.count);
      auto& of_part = rows.emplace_back(part.count);
      for (std::size_t c = 0; c < columns; ++c) {
        packed.read(c, part.first, part.count, values.data());
        for (std::size_t row = 0; row < part.count; ++row)
          of_part[row][c] = values[row];
      }
      if (part.count > 0)
        keys.push_back({part.key, of_part});
    }
    if (keys.empty())
      continue;
    const std::string again = Packed::pack(keys, columns);
    Packed twice;
    REQUIRE(twice.open(again, columns) && twice.parts().size() == keys.size());
    for (std::size_t k = 0; k < keys.size(); ++k)
      for (std::size_t c = 0; c < columns; ++c) {
        const auto& part = twice.parts()[k];
        std::vector<std::int64_t> values(part.count);
        twice.read(c, part.first, part.count, values.data());
        for (std::size_t row = 0; row < part.count; ++row)
          REQUIRE(values[row] == keys[k].rows[row][c]);
      }
  }
}
} // namespace

// A byte: 0: words, 1: JSON, 2: waits and 4: lists as the history keeps them, else msgpack shown as
// JSON. Then the text.
REEVE_FUZZ(text) {
  fuzz::Pieces pieces(input);
  switch (pieces.number(1)) {
  case 0:
    return read_words(pieces.rest());
  case 1:
    return read_json(pieces.rest());
  case 2:
    return read_waits(pieces.rest());
  case 4:
    return read_packed(pieces.rest());
  default:
    REQUIRE(!dump_json(msgpack_to_json(pieces.rest())).empty());
  }
}
