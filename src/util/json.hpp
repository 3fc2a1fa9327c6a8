// JSON for everything that declares `fields` (messages/schema.hpp): what people read and write. The
// command line's output, job files, history rows and event text come through here. nlohmann's
// exceptions end in json.cpp. Must never do I/O.
#pragma once

#include "messages/codec.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace reeve {

/// Keeps the order in which fields were declared, so that output is stable.
using Json = nlohmann::ordered_json;

/// Errors: bad_message with line and column.
Result<Json> parse_json(std::string_view text);
/// One line, or indented by two spaces. Bytes that are not UTF-8 become U+FFFD instead of an
/// exception.
std::string dump_json(const Json& json, bool pretty = false);
/// Text when it is valid UTF-8, else {"base64": "…"}.
Json bytes_to_json(std::string_view bytes);
/// The inverse of bytes_to_json.
Result<std::string> bytes_from_json(const Json& json);
/// Any msgpack value, bytes as above; {"base64": "…"} of the whole when it is not valid msgpack.
Json msgpack_to_json(std::string_view msgpack);

std::string to_base64(std::string_view bytes);
Result<std::string> from_base64(std::string_view text);
bool is_utf8(std::string_view bytes);

namespace json_detail {

/// The codec's own reading of one scalar, so that bounds and words are the same as on the wire.
const codec::Tape& scalar_tape(const Json& json);
bool carry_error(codec::Cursor& to, codec::Cursor& from);
bool wrong_type(codec::Cursor& c, std::string_view wanted, const Json& got);
codec::Cursor empty_cursor();

template<class T> Json write(const T& v);

template<class T> struct FieldWriter {
  Json& out;
  const T& v;
  template<class M> void operator()(const char* name, M T::*member, const FieldRule& = {}) {
    out[name] = write(v.*member);
  }
};

template<class T> Json write(const T& v) {
  using namespace schema;
  if constexpr (std::is_same_v<T, bool> || std::is_arithmetic_v<T>) {
    return v;
  } else if constexpr (is_id<T>) {
    return v.value;
  } else if constexpr (std::is_same_v<T, Duration>) {
    return v.count();
  } else if constexpr (std::is_same_v<T, TimePoint>) {
    return v.time_since_epoch().count();
  } else if constexpr (std::is_enum_v<T>) {
    if constexpr (requires { name_of(v); })
      return std::string(name_of(v));
    else
      return static_cast<std::uint64_t>(v);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return v;
  } else if constexpr (std::is_same_v<T, Bytes>) {
    return bytes_to_json(v.data);
  } else if constexpr (std::is_same_v<T, Raw>) {
    return v.msgpack.empty() ? Json(nullptr) : msgpack_to_json(v.msgpack);
  } else if constexpr (is_optional<T>) {
    return v ? write(*v) : Json(nullptr);
  } else if constexpr (is_vector<T>) {
    Json out = Json::array();
    for (const auto& item : v)
      out.push_back(write(static_cast<const typename T::value_type&>(item)));
    return out;
  } else if constexpr (is_map<T>) {
    Json out = Json::object();
    for (const auto& [key, value] : v)
      out[key] = write(value);
    return out;
  } else if constexpr (is_variant<T>) {
    Json out = Json::object();
    if constexpr (requires { name_of(v); })
      out["type"] = std::string(name_of(v));
    else
      out["type"] = v.index();
    out["body"] = std::visit([](const auto& body) { return write(body); }, v);
    return out;
  } else {
    static_assert(schema::Struct<T>, "declare fields()");
    Json out = Json::object();
    FieldWriter<T> writer{out, v};
    T::fields(writer);
    return out;
  }
}

template<class T> bool read(codec::Cursor& c, const Json& json, T& out, const FieldRule& rule);

template<class T> struct FieldReader { // finds the field of one key
  codec::Cursor& c;
  const Json& json;
  T& out;
  std::string_view key;
  bool found = false, good = true;
  template<class M> void operator()(const char* name, M T::*member, const FieldRule& rule = {}) {
    if (found || key != name)
      return;
    found = true;
    good = read(c, json, out.*member, rule);
    if (!good)
      c.in_field(name);
  }
};
template<class T> struct RequiredChecker {
  codec::Cursor& c;
  const Json& json;
  bool good = true;
  template<class M> void operator()(const char* name, M T::*, const FieldRule& rule = {}) {
    if (good && rule.required && !json.contains(name)) {
      good = c.fail(Code::bad_field, "required and missing");
      c.in_field(name);
    }
  }
};

template<class T>
bool read_enum(codec::Cursor& c, const Json& json, T& out, const FieldRule& rule) {
  if constexpr (requires { name_of(out); }) {
    if (json.is_string()) {
      constexpr auto last = [] {
        if constexpr (requires { T::last_; })
          return static_cast<std::uint32_t>(T::last_);
        else
          return 255U; // codes and message types have gaps; their names end below this
      }();
      for (std::uint32_t k = 0; k <= last; ++k)
        if (name_of(static_cast<T>(k)) == json.get_ref<const std::string&>()) {
          out = static_cast<T>(k);
          return true;
        }
      return c.fail(Code::bad_field, "no such value: " + json.get_ref<const std::string&>());
    }
  }
  codec::Cursor scalar(scalar_tape(json));
  return codec::read(scalar, out, rule) || carry_error(c, scalar);
}

template<schema::Struct T> bool read_struct(codec::Cursor& c, const Json& json, T& out) {
  if (!json.is_object())
    return wrong_type(c, "an object", json);
  for (const auto& item : json.items()) {
    FieldReader<T> reader{c, item.value(), out, item.key()};
    T::fields(reader);
    if (!reader.found) {
      c.fail(Code::bad_field, "no such field");
      c.in_field(std::string_view(item.key()).substr(0, 64));
      return false;
    }
    if (!reader.good)
      return false;
  }
  RequiredChecker<T> required{c, json};
  T::fields(required);
  return required.good;
}

template<class T> bool read(codec::Cursor& c, const Json& json, T& out, const FieldRule& rule) {
  using namespace schema;
  if constexpr (std::is_enum_v<T>) {
    return read_enum(c, json, out, rule);
  } else if constexpr (std::is_same_v<T, Bytes>) {
    auto bytes = bytes_from_json(json);
    if (!bytes)
      return c.fail(Code::bad_field, bytes.error().text);
    out.data = std::move(*bytes);
    return codec::check_size(c, out.data.size(), rule);
  } else if constexpr (is_optional<T>) {
    if (json.is_null()) {
      out.reset();
      return true;
    }
    return read(c, json, out.emplace(), rule);
  } else if constexpr (is_vector<T>) {
    if (!json.is_array())
      return wrong_type(c, "an array", json);
    if (!codec::check_size(c, json.size(), rule))
      return false;
    out.clear();
    out.reserve(json.size());
    for (std::size_t k = 0; k < json.size(); ++k) {
      typename T::value_type item{};
      if (!read(c, json[k], item, FieldRule{})) {
        c.in_index(k);
        return false;
      }
      out.push_back(std::move(item));
    }
    return true;
  } else if constexpr (is_map<T>) {
    if (!json.is_object())
      return wrong_type(c, "an object", json);
    if (!codec::check_size(c, json.size(), rule))
      return false;
    out.clear();
    for (const auto& entry : json.items()) {
      typename T::mapped_type value{};
      if (!read(c, entry.value(), value, FieldRule{})) {
        c.in_field(entry.key());
        return false;
      }
      out.insert_or_assign(entry.key(), std::move(value));
    }
    return true;
  } else if constexpr (schema::Struct<T>) {
    return read_struct(c, json, out);
  } else {
    static_assert(!std::is_same_v<T, Raw> && !is_variant<T>, "not read from JSON");
    if (json.is_structured())
      return wrong_type(c, "a single value", json);
    codec::Cursor scalar(scalar_tape(json));
    return codec::read(scalar, out, rule) || carry_error(c, scalar);
  }
}

} // namespace json_detail

/// An object with every field under its name: enums by name, times as whole microseconds, maps as
/// objects.
template<class T> Json to_json(const T& value) {
  return json_detail::write(value);
}

/// Reads what to_json writes; fields may be absent as on the wire. Errors: bad_field with the path,
/// in the wire's words.
template<class T> Result<T> from_json(const Json& json) {
  codec::Cursor cursor = json_detail::empty_cursor();
  T value{};
  if (!json_detail::read(cursor, json, value, FieldRule{}))
    return tl::unexpected<Error>(cursor.take_error());
  return value;
}

} // namespace reeve
