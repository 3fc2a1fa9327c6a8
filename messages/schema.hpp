// How a message declares its fields, once, for every encoding: msgpack on the wire and in the
// journal, JSON for people.
//
//   struct Range {
//     static constexpr bool as_array = true;           // hot and small: positions instead of names
//     std::uint32_t first = 0, count = 1;
//     template<class V> static void fields(V& v) {
//       v("first", &Range::first);
//       v("count", &Range::count, {.min = 1});
//     }
//   };
//
// Rules: a field without `required` may be absent and then keeps its default; a map leaves defaults
// out when encoded; an array may be shorter (older sender) and never longer. New fields go at the
// end and are never required. Used by codec.hpp and src/util/json.hpp. Must never do I/O.
#pragma once

#include "messages/error.hpp"
#include "messages/ids.hpp"

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

namespace reeve {

/// Bounds of one field. For numbers `min` and `max` bound the value, for strings, bytes, lists and
/// maps the size.
struct FieldRule {
  bool required = false;
  std::int64_t min = std::numeric_limits<std::int64_t>::min();
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
};

/// Bytes that are not text: msgpack `bin`.
struct Bytes {
  std::string data;
  auto operator<=>(const Bytes&) const = default;
};

/// One msgpack value kept encoded, passed on without being looked into. Empty means nil.
struct Raw {
  std::string msgpack;
  auto operator<=>(const Raw&) const = default;
};

namespace schema {

struct NullVisitor {
  template<class... Ts> void operator()(Ts&&...) const {}
};

template<class T>
concept Struct = requires(NullVisitor& v) {
  T::fields(v);
};

template<class T> consteval bool is_array() {
  if constexpr (requires { T::as_array; })
    return T::as_array;
  else
    return false;
}

template<class T> inline constexpr bool is_id = false;
template<class Tag, class Rep> inline constexpr bool is_id<Id<Tag, Rep>> = true;

template<class T> inline constexpr bool is_vector = false;
template<class T, class A> inline constexpr bool is_vector<std::vector<T, A>> = true;

template<class T> inline constexpr bool is_optional = false;
template<class T> inline constexpr bool is_optional<std::optional<T>> = true;

template<class T> inline constexpr bool is_map = false;
template<class K, class T, class C, class A>
inline constexpr bool is_map<std::map<K, T, C, A>> = true;

template<class T> inline constexpr bool is_variant = false;
template<class... Ts> inline constexpr bool is_variant<std::variant<Ts...>> = true;

/// A value as it is when nobody has set it, to leave defaults out.
template<class T> const T& defaults() {
  static const T value{};
  return value;
}

} // namespace schema
} // namespace reeve
