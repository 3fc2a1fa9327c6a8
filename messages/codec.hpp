// msgpack in and out for everything that declares `fields` (schema.hpp). Decoding is for hostile
// bytes: depth, counts and sizes are bounded before anything is allocated, nothing throws, and an
// error names the field. msgpack-c does the parsing (visitor) and packing; its exceptions and types
// end in this file and codec.cpp. Used by net, journal, agents and clients. Must never block or do
// I/O.
#pragma once

#include "messages/schema.hpp"

#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

namespace reeve {

struct DecodeLimits {
  std::size_t bytes = 16u << 20;
  std::size_t depth = 16;
  std::size_t tokens =
    4'000'000; // values in one message, so that 16 MiB of nils do not become gigabytes
  std::size_t list_bytes = 256u << 20; // what its lists take in memory: an empty map of one byte
                                       // may be a structure of a thousand
};
/// Of our own bytes behind a checksum, journal and snapshots: an entry holds a whole message and a
/// little more, a snapshot's job all that became of its tasks.
constexpr DecodeLimits stored_limits{
  .bytes = 1u << 30, .depth = 32, .tokens = 100'000'000, .list_bytes = std::size_t{1} << 40};

namespace codec {

enum class Type : std::uint8_t { nil, boolean, uint, sint, real, str, bin, array, map };

std::string_view name_of(Type type);

struct Token {
  Type type = Type::nil;
  std::uint32_t size = 0; // bytes of a str or bin, entries of an array or map
  union {
    std::uint64_t u = 0;
    std::int64_t i;
    double d;
    bool b;
    const char* data; // into the decoded bytes
  };
};

/// The values of one message in order. Reused between messages; points into the bytes given to
/// `parse`.
class Tape {
public:
  /// Errors: bad_message (not msgpack, extension types, trailing bytes), too_large (bytes, depth,
  /// tokens).
  Result<void> parse(std::string_view bytes, const DecodeLimits& limits);
  std::vector<Token> tokens;
};

/// Reads a tape front to back. After the first error every read fails; the path grows while the
/// calls return.
class Cursor {
public:
  explicit Cursor(const Tape& tape, std::size_t list_bytes = DecodeLimits{}.list_bytes)
      : tape_(tape), list_bytes_(list_bytes) {}
  [[nodiscard]] const Token* peek() const {
    return pos_ < tape_.tokens.size() ? &tape_.tokens[pos_] : nullptr;
  }
  const Token* next() { return pos_ < tape_.tokens.size() ? &tape_.tokens[pos_++] : nullptr; }

  bool fail(Code code, std::string text);
  bool wrong_type(std::string_view wanted, const Token* got);
  /// Before `count` values of `bytes` each are allocated.
  bool room_for(std::size_t count, std::size_t bytes);
  void in_field(std::string_view name);
  void in_index(std::size_t index);
  [[nodiscard]] bool failed() const { return failed_; }
  Error take_error();

private:
  const Tape& tape_;
  std::size_t list_bytes_; // left
  std::size_t pos_ = 0;
  bool failed_ = false;
  Error error_;
};

bool read_int(Cursor& c, std::int64_t& out, const FieldRule& rule);
bool read_uint(Cursor& c, std::uint64_t& out, const FieldRule& rule);
bool read_text(Cursor& c, std::string_view& out, Type type, const FieldRule& rule);
bool read_bool(Cursor& c, bool& out);
bool read_real(Cursor& c, double& out);
bool read_raw(Cursor& c, std::string& out, const FieldRule& rule);
bool check_size(Cursor& c, std::size_t size, const FieldRule& rule);

template<class T> bool read(Cursor& c, T& out, const FieldRule& rule);

template<class T> struct MapFieldReader { // finds the field of one key
  Cursor& c;
  T& out;
  std::string_view key;
  std::uint64_t& seen;
  unsigned index = 0;
  bool found = false, good = true;
  template<class M> void operator()(const char* name, M T::*member, const FieldRule& rule = {}) {
    const unsigned mine = index++;
    if (found || key != name)
      return;
    found = true;
    if ((seen >> mine) & 1u)
      good = c.fail(Code::bad_field, "given twice");
    else
      good = read(c, out.*member, rule);
    seen |= std::uint64_t{1} << mine;
    if (!good)
      c.in_field(name);
  }
};
template<class T> struct RequiredChecker {
  Cursor& c;
  std::uint64_t seen;
  unsigned index = 0;
  bool good = true;
  template<class M> void operator()(const char* name, M T::*, const FieldRule& rule = {}) {
    const unsigned mine = index++;
    if (good && rule.required && !((seen >> mine) & 1u)) {
      good = c.fail(Code::bad_field, "required and missing");
      c.in_field(name);
    }
  }
};
template<class T> struct ArrayFieldReader {
  Cursor& c;
  T& out;
  std::uint32_t left;
  bool good = true;
  template<class M> void operator()(const char* name, M T::*member, const FieldRule& rule = {}) {
    if (!good)
      return;
    if (left == 0) {
      if (rule.required) {
        good = c.fail(Code::bad_field, "required and missing");
        c.in_field(name);
      }
      return;
    }
    --left;
    good = read(c, out.*member, rule);
    if (!good)
      c.in_field(name);
  }
};

template<schema::Struct T> bool read_struct(Cursor& c, T& out) {
  const Token* head = c.next();
  if constexpr (schema::is_array<T>()) {
    if (!head || head->type != Type::array)
      return c.wrong_type("an array", head);
    ArrayFieldReader<T> reader{c, out, head->size};
    T::fields(reader);
    if (reader.good && reader.left > 0)
      return c.fail(Code::bad_field, "has more entries than known fields");
    return reader.good;
  } else {
    if (!head || head->type != Type::map)
      return c.wrong_type("a map", head);
    std::uint64_t seen = 0;
    for (std::uint32_t n = head->size; n > 0; --n) {
      const Token* key = c.next();
      if (!key || key->type != Type::str)
        return c.fail(Code::bad_field, "has a key that is not a string");
      MapFieldReader<T> reader{c, out, std::string_view(key->data, key->size), seen};
      T::fields(reader);
      if (!reader.found) {
        c.fail(Code::bad_field, "no such field");
        c.in_field(std::string_view(key->data, std::min<std::size_t>(key->size, 64)));
        return false;
      }
      if (!reader.good)
        return false;
    }
    RequiredChecker<T> required{c, seen};
    T::fields(required);
    return required.good;
  }
}

template<class Variant, std::size_t I = 0>
bool read_alternative(Cursor& c, Variant& out, std::uint64_t index, const FieldRule& rule) {
  if constexpr (I == std::variant_size_v<Variant>) {
    return c.fail(Code::bad_field, "no such alternative: " + std::to_string(index));
  } else {
    if (index == I) {
      return read(c, out.template emplace<I>(), rule);
    }
    return read_alternative<Variant, I + 1>(c, out, index, rule);
  }
}

template<class T> bool read(Cursor& c, T& out, const FieldRule& rule) {
  using namespace schema;
  if constexpr (std::is_same_v<T, bool>) {
    return read_bool(c, out);
  } else if constexpr (is_id<T>) {
    return read(c, out.value, rule);
  } else if constexpr (std::is_same_v<T, Duration>) {
    std::int64_t us = 0;
    if (!read_int(c, us, rule))
      return false;
    out = Duration(us);
    return true;
  } else if constexpr (std::is_same_v<T, TimePoint>) {
    std::int64_t us = 0;
    if (!read_int(c, us, rule))
      return false;
    out = TimePoint(Duration(us));
    return true;
  } else if constexpr (std::is_enum_v<T>) {
    std::underlying_type_t<T> raw{};
    FieldRule bounds = rule;
    if constexpr (requires { T::last_; })
      bounds.max = static_cast<std::int64_t>(T::last_);
    if (!read(c, raw, bounds))
      return false;
    out = static_cast<T>(raw);
    return true;
  } else if constexpr (std::is_integral_v<T> && std::is_unsigned_v<T>) {
    std::uint64_t v = 0;
    FieldRule bounds = rule;
    if constexpr (sizeof(T) < 8)
      bounds.max = std::min<std::int64_t>(bounds.max, std::numeric_limits<T>::max());
    if (!read_uint(c, v, bounds))
      return false;
    out = static_cast<T>(v);
    return true;
  } else if constexpr (std::is_integral_v<T>) {
    std::int64_t v = 0;
    FieldRule bounds = rule;
    if constexpr (sizeof(T) < 8) {
      bounds.min = std::max<std::int64_t>(bounds.min, std::numeric_limits<T>::min());
      bounds.max = std::min<std::int64_t>(bounds.max, std::numeric_limits<T>::max());
    }
    if (!read_int(c, v, bounds))
      return false;
    out = static_cast<T>(v);
    return true;
  } else if constexpr (std::is_floating_point_v<T>) {
    double v = 0;
    if (!read_real(c, v))
      return false;
    out = static_cast<T>(v);
    return true;
  } else if constexpr (std::is_same_v<T, std::string>) {
    std::string_view v;
    if (!read_text(c, v, Type::str, rule))
      return false;
    out.assign(v);
    return true;
  } else if constexpr (std::is_same_v<T, Bytes>) {
    std::string_view v;
    if (!read_text(c, v, Type::bin, rule))
      return false;
    out.data.assign(v);
    return true;
  } else if constexpr (std::is_same_v<T, Raw>) {
    return read_raw(c, out.msgpack, rule);
  } else if constexpr (is_optional<T>) {
    if (const Token* t = c.peek(); t && t->type == Type::nil) {
      c.next();
      out.reset();
      return true;
    }
    return read(c, out.emplace(), rule);
  } else if constexpr (is_vector<T>) {
    const Token* head = c.next();
    if (!head || head->type != Type::array)
      return c.wrong_type("an array", head);
    if (!check_size(c, head->size, rule))
      return false;
    const std::uint32_t n = head->size;
    if (!c.room_for(n, sizeof(typename T::value_type)))
      return false;
    out.clear();
    out.reserve(n); // n tokens at least follow: the tape has counted them
    for (std::uint32_t k = 0; k < n; ++k) {
      typename T::value_type item{};
      if (!read(c, item, FieldRule{})) {
        c.in_index(k);
        return false;
      }
      out.push_back(std::move(item));
    }
    return true;
  } else if constexpr (is_map<T>) {
    const Token* head = c.next();
    if (!head || head->type != Type::map)
      return c.wrong_type("a map", head);
    if (!check_size(c, head->size, rule))
      return false;
    out.clear();
    for (std::uint32_t n = head->size; n > 0; --n) {
      std::string_view key;
      if (!read_text(c, key, Type::str, FieldRule{.max = 4096}))
        return false;
      typename T::mapped_type value{};
      if (!read(c, value, FieldRule{})) {
        c.in_field(key);
        return false;
      }
      if (!out.try_emplace(std::string(key), std::move(value)).second) {
        c.fail(Code::bad_field, "given twice");
        c.in_field(key);
        return false;
      }
    }
    return true;
  } else if constexpr (is_variant<T>) {
    const Token* head = c.next();
    if (!head || head->type != Type::array || head->size != 2)
      return c.wrong_type("an array of type and body", head);
    std::uint64_t index = 0;
    if (!read_uint(c, index, FieldRule{}))
      return false;
    return read_alternative(c, out, index, rule);
  } else {
    static_assert(schema::Struct<T>, "declare fields()");
    return read_struct(c, out);
  }
}

/// msgpack-c's packer behind plain functions, appending to a string.
void put_nil(std::string& out);
void put_bool(std::string& out, bool v);
void put_uint(std::string& out, std::uint64_t v);
void put_int(std::string& out, std::int64_t v);
void put_real(std::string& out, double v);
void put_str(std::string& out, std::string_view v);
void put_bin(std::string& out, std::string_view v);
void put_array(std::string& out, std::size_t n);
void put_map(std::string& out, std::size_t n);

template<class T> void write(std::string& out, const T& v);

template<class T> struct LastSetField { // of an array: what follows it is left out
  const T& v;
  const T& unset = schema::defaults<T>();
  std::uint32_t last = 0, index = 0;
  template<class M> void operator()(const char*, M T::*member, const FieldRule& rule = {}) {
    ++index;
    if (rule.required || v.*member != unset.*member)
      last = index;
  }
};
template<class T> struct ArrayFieldWriter {
  std::string& out;
  const T& v;
  std::uint32_t left; // how many from the front
  template<class M> void operator()(const char*, M T::*member, const FieldRule& = {}) {
    if (left == 0)
      return;
    --left;
    write(out, v.*member);
  }
};
template<class T> struct MapFieldWriter {
  std::string& out;
  const T& v;
  const T& unset = schema::defaults<T>();
  std::uint32_t set = 0;
  template<class M> void operator()(const char* name, M T::*member, const FieldRule& rule = {}) {
    if (!rule.required && v.*member == unset.*member)
      return;
    ++set;
    put_str(out, name);
    write(out, v.*member);
  }
};
/// Says in the head of a map, written at `at` as an empty one, that `n` fields followed.
void end_map(std::string& out, std::size_t at, std::size_t n);

template<class T> void write(std::string& out, const T& v) {
  using namespace schema;
  if constexpr (std::is_same_v<T, bool>)
    put_bool(out, v);
  else if constexpr (is_id<T>)
    put_uint(out, v.value);
  else if constexpr (std::is_same_v<T, Duration>)
    put_int(out, v.count());
  else if constexpr (std::is_same_v<T, TimePoint>)
    put_int(out, v.time_since_epoch().count());
  else if constexpr (std::is_enum_v<T>)
    put_uint(out, static_cast<std::uint64_t>(v));
  else if constexpr (std::is_integral_v<T> && std::is_unsigned_v<T>)
    put_uint(out, v);
  else if constexpr (std::is_integral_v<T>)
    put_int(out, v);
  else if constexpr (std::is_floating_point_v<T>)
    put_real(out, static_cast<double>(v));
  else if constexpr (std::is_same_v<T, std::string>)
    put_str(out, v);
  else if constexpr (std::is_same_v<T, Bytes>)
    put_bin(out, v.data);
  else if constexpr (std::is_same_v<T, Raw>) {
    if (v.msgpack.empty())
      put_nil(out);
    else
      out.append(v.msgpack);
  } else if constexpr (is_optional<T>) {
    if (v)
      write(out, *v);
    else
      put_nil(out);
  } else if constexpr (is_vector<T>) {
    put_array(out, v.size());
    for (const auto& item : v)
      write(out, static_cast<const typename T::value_type&>(item));
  } else if constexpr (is_map<T>) {
    put_map(out, v.size());
    for (const auto& [key, value] : v) {
      put_str(out, key);
      write(out, value);
    }
  } else if constexpr (is_variant<T>) {
    put_array(out, 2);
    put_uint(out, v.index());
    std::visit([&](const auto& body) { write(out, body); }, v);
  } else {
    static_assert(schema::Struct<T>, "declare fields()");
    if constexpr (schema::is_array<T>()) {
      LastSetField<T> set{v};
      T::fields(set);
      put_array(out, set.last);
      ArrayFieldWriter<T> writer{out, v, set.last};
      T::fields(writer);
    } else {
      const std::size_t at = out.size();
      put_map(out, 0);
      MapFieldWriter<T> writer{out, v};
      T::fields(writer);
      end_map(out, at, writer.set);
    }
  }
}

/// A tape of this thread, so that decoding allocates nothing in the steady state.
Tape& thread_tape();
/// Gives memory back after an unusually large message.
void trim(Tape& tape);
/// The text at `field` of an encoded map, without decoding the rest: for one rare field of many
/// messages. Empty when there is none.
std::string text_in(std::string_view map, std::string_view field);

} // namespace codec

/// Appends the msgpack form of `value`.
template<class T> void encode_to(std::string& out, const T& value) {
  codec::write(out, value);
}
template<class T> std::string encode(const T& value) {
  std::string out;
  codec::write(out, value);
  return out;
}

/// Decodes one value that fills `bytes` exactly. Errors: bad_message, bad_field (path in `field`),
/// too_large.
template<class T> Result<T> decode(std::string_view bytes, const DecodeLimits& limits = {}) {
  codec::Tape& tape = codec::thread_tape();
  if (auto parsed = tape.parse(bytes, limits); !parsed)
    return tl::unexpected<Error>(std::move(parsed).error());
  codec::Cursor cursor(tape, limits.list_bytes);
  T value{};
  const bool good = codec::read(cursor, value, FieldRule{});
  codec::trim(tape);
  if (!good)
    return tl::unexpected<Error>(cursor.take_error());
  return value;
}

} // namespace reeve

/// `REEVE_CODEC_DECLARE(Submit)` after a type: its bytes are read and written by code that one file
/// holds (REEVE_CODEC_DEFINE there), instead of being compiled again wherever it is used.
#define REEVE_CODEC_DECLARE(T) REEVE_CODEC_INSTANCE(extern template, T)
#define REEVE_CODEC_DEFINE(T) REEVE_CODEC_INSTANCE(template, T)
#define REEVE_CODEC_INSTANCE(kind, T)                                                              \
  kind bool codec::read<T>(codec::Cursor&, T&, const FieldRule&);                                  \
  kind void codec::write<T>(std::string&, const T&);
