// Values of any type that declares its fields: one fixed sample with every field set, and random
// ones from a seed. Both respect the bounds. Used by the tests of this folder and to make the fuzz
// corpora.
#pragma once

#include "messages/entries.hpp"
#include "messages/protocol.hpp"
#include "tests/unit/messages/dice.hpp"

#include <algorithm>
#include <string>

namespace reeve::test {

namespace values {

/// How the two kinds of value differ. Fixed: every field is set, the same each time.
struct Fixed {
  std::uint64_t next = 0;
  bool sets_field() { return true; }
  std::size_t size(std::size_t least, std::size_t most) {
    return std::clamp<std::size_t>(2, least, most);
  }
  std::uint64_t within(std::uint64_t span) { // 0 … span
    next = next % 100'000 + 7;
    return std::min(next, span);
  }
  static bool flag(bool was) { return !was; }
  std::string text(std::size_t size, bool) {
    std::string out;
    for (std::size_t i = 0; i < size; ++i)
      out.push_back(static_cast<char>('a' + (next + i) % 26));
    return out;
  }
  std::size_t text_size(std::size_t least, std::size_t most) {
    return std::clamp<std::size_t>(4, least, most);
  }
};

struct Random {
  Dice& dice;
  bool sets_field() { return dice.pick(2) == 0; }
  std::size_t size(std::size_t least, std::size_t most) {
    return std::clamp<std::size_t>(static_cast<std::size_t>(dice.pick(4)), least, most);
  }
  std::uint64_t within(std::uint64_t span) {
    switch (dice.pick(4)) { // small ones, any, and both ends
    case 0:
      return 0;
    case 1:
      return span;
    case 2:
      return std::min<std::uint64_t>(span, dice.pick(300));
    default:
      return span == ~std::uint64_t{0} ? dice.any() : dice.any() % (span + 1);
    }
  }
  bool flag(bool) { return dice.pick(2) == 0; }
  std::string text(std::size_t size, bool binary) {
    std::string out;
    for (std::size_t i = 0; i < size; ++i)
      out.push_back(static_cast<char>(binary ? dice.pick(256) : 0x20 + dice.pick(0x5f)));
    return out;
  }
  std::size_t text_size(std::size_t least, std::size_t most) {
    return std::clamp<std::size_t>(static_cast<std::size_t>(dice.pick(dice.pick(8) ? 12 : 300)),
                                   least, most);
  }
};

template<class T, class Source> void fill(Source& s, T& out, const FieldRule& rule);

template<class T, class Source> struct FieldFiller {
  Source& s;
  T& out;
  template<class M> void operator()(const char*, M T::*member, const FieldRule& rule = {}) {
    if (rule.required || s.sets_field())
      fill(s, out.*member, rule);
  }
};

inline std::size_t low(const FieldRule& rule) {
  return static_cast<std::size_t>(std::max<std::int64_t>(rule.min, 0));
}
inline std::size_t high(const FieldRule& rule, std::size_t most) {
  return rule.max < static_cast<std::int64_t>(most) ? static_cast<std::size_t>(rule.max) : most;
}

template<class T, class Source> T number(Source& s, const FieldRule& rule) {
  using Limits = std::numeric_limits<T>;
  if constexpr (std::is_unsigned_v<T>) {
    const std::uint64_t least = rule.min > 0 ? static_cast<std::uint64_t>(rule.min) : 0;
    std::uint64_t most = Limits::max();
    if (rule.max != std::numeric_limits<std::int64_t>::max())
      most = std::min(most, static_cast<std::uint64_t>(rule.max));
    return static_cast<T>(least + s.within(most - least));
  } else {
    const std::int64_t least = std::max<std::int64_t>(rule.min, Limits::min());
    const std::int64_t most = std::min<std::int64_t>(rule.max, Limits::max());
    const auto span = static_cast<std::uint64_t>(most) - static_cast<std::uint64_t>(least);
    if constexpr (std::is_same_v<Source, Fixed>) // small numbers, not those near the lower end
      return static_cast<T>(
        std::max<std::int64_t>(least, 0) +
        static_cast<std::int64_t>(s.within(std::min<std::uint64_t>(
          span, static_cast<std::uint64_t>(most - std::max<std::int64_t>(least, 0))))));
    else
      return static_cast<T>(static_cast<std::uint64_t>(least) + s.within(span));
  }
}

template<class Variant, class Source, std::size_t I = 0>
void fill_alternative(Source& s, Variant& out, std::size_t index) {
  if constexpr (I < std::variant_size_v<Variant>) {
    if (index == I)
      fill(s, out.template emplace<I>(), FieldRule{});
    else
      fill_alternative<Variant, Source, I + 1>(s, out, index);
  }
}

template<class T, class Source> void fill(Source& s, T& out, const FieldRule& rule) {
  using namespace schema;
  if constexpr (std::is_same_v<T, bool>) {
    out = s.flag(out);
  } else if constexpr (is_id<T>) {
    fill(s, out.value, rule);
  } else if constexpr (std::is_same_v<T, Duration>) {
    out = Duration(number<std::int64_t>(s, rule));
  } else if constexpr (std::is_same_v<T, TimePoint>) {
    out = TimePoint(Duration(number<std::int64_t>(s, rule)));
  } else if constexpr (std::is_enum_v<T>) {
    FieldRule bounds = rule;
    if constexpr (requires { T::last_; })
      bounds.max = static_cast<std::int64_t>(T::last_);
    out = static_cast<T>(number<std::underlying_type_t<T>>(s, bounds));
  } else if constexpr (std::is_integral_v<T>) {
    out = number<T>(s, rule);
  } else if constexpr (std::is_floating_point_v<T>) {
    out = static_cast<T>(s.within(1'000'000)) / 16;
  } else if constexpr (std::is_same_v<T, std::string>) {
    out = s.text(s.text_size(low(rule), high(rule, 400)), false);
  } else if constexpr (std::is_same_v<T, Bytes>) {
    out.data = s.text(s.text_size(low(rule), high(rule, 400)), true);
  } else if constexpr (std::is_same_v<T, Raw>) {
    out.msgpack.clear();
    codec::put_map(out.msgpack, 1);
    codec::put_str(out.msgpack, s.text(4, false));
    codec::put_uint(out.msgpack, s.within(70'000));
  } else if constexpr (is_optional<T>) {
    fill(s, out.emplace(), rule);
  } else if constexpr (is_vector<T>) {
    out.resize(s.size(low(rule), high(rule, 400)));
    for (auto& item : out)
      fill(s, item, FieldRule{});
  } else if constexpr (is_map<T>) {
    out.clear();
    const std::size_t size = s.size(low(rule), high(rule, 400));
    while (out.size() < size) {
      const std::string key = s.text(3, false) + std::to_string(out.size());
      fill(s, out[key], FieldRule{});
    }
  } else if constexpr (is_variant<T>) {
    fill_alternative(s, out, static_cast<std::size_t>(s.within(std::variant_size_v<T> - 1)));
  } else {
    FieldFiller<T, Source> filler{s, out};
    T::fields(filler);
  }
}

} // namespace values

/// Every field set to something that is not its default, wherever that can be. The same each time.
template<class T> T sample() {
  values::Fixed source;
  T out{};
  values::fill(source, out, FieldRule{});
  return out;
}

template<class T> T random_value(Dice& dice) {
  values::Random source{dice};
  T out{};
  values::fill(source, out, FieldRule{});
  return out;
}

} // namespace reeve::test
