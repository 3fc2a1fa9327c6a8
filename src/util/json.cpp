// The part of JSON that needs no template: parsing, base64, UTF-8, and msgpack shown as JSON. See
// json.hpp.
#include "src/util/json.hpp"

#include <array>

namespace reeve {
namespace {

constexpr std::string_view base64_digits =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string_view type_text(const Json& json) {
  switch (json.type()) {
  case Json::value_t::null:
    return "null";
  case Json::value_t::boolean:
    return "a boolean";
  case Json::value_t::number_integer:
  case Json::value_t::number_unsigned:
    return "an integer";
  case Json::value_t::number_float:
    return "a float";
  case Json::value_t::string:
    return "a string";
  case Json::value_t::array:
    return "an array";
  case Json::value_t::object:
    return "an object";
  default:
    return "nothing";
  }
}

codec::Token token_of(const Json& json) {
  codec::Token token;
  token.u = 0;
  if (json.is_boolean()) {
    token.type = codec::Type::boolean;
    token.b = json.get<bool>();
  } else if (json.is_number_unsigned()) {
    token.type = codec::Type::uint;
    token.u = json.get<std::uint64_t>();
  } else if (json.is_number_integer()) {
    token.i = json.get<std::int64_t>();
    token.type = token.i < 0 ? codec::Type::sint : codec::Type::uint;
  } else if (json.is_number_float()) {
    token.type = codec::Type::real;
    token.d = json.get<double>();
  } else if (json.is_string()) {
    const auto& text = json.get_ref<const std::string&>();
    token.type = codec::Type::str;
    token.data = text.data();
    token.size = static_cast<std::uint32_t>(text.size());
  }
  return token;
}

Json shown(codec::Cursor& c) {
  const codec::Token* t = c.next();
  if (!t)
    return nullptr;
  switch (t->type) {
  case codec::Type::nil:
    return nullptr;
  case codec::Type::boolean:
    return t->b;
  case codec::Type::uint:
    return t->u;
  case codec::Type::sint:
    return t->i;
  case codec::Type::real:
    return t->d;
  case codec::Type::str:
    return std::string(t->data, t->size);
  case codec::Type::bin:
    return bytes_to_json(std::string_view(t->data, t->size));
  case codec::Type::array: {
    Json out = Json::array();
    for (std::uint32_t n = t->size; n > 0; --n)
      out.push_back(shown(c));
    return out;
  }
  case codec::Type::map: {
    Json out = Json::object();
    for (std::uint32_t n = t->size; n > 0; --n) {
      const Json key = shown(c);
      Json value = shown(c);
      out[key.is_string() ? key.get<std::string>() : dump_json(key)] = std::move(value);
    }
    return out;
  }
  }
  return nullptr;
}

} // namespace

bool is_utf8(std::string_view s) {
  std::size_t i = 0;
  const auto at = [&](std::size_t k) { return static_cast<unsigned char>(s[k]); };
  while (i < s.size()) {
    const unsigned char c = at(i);
    if (c < 0x80) {
      ++i;
      continue;
    }
    const std::size_t more = c >= 0xc2 && c <= 0xdf   ? 1
                             : c >= 0xe0 && c <= 0xef ? 2
                             : c >= 0xf0 && c <= 0xf4 ? 3
                                                      : 0;
    if (more == 0 || s.size() - i <= more)
      return false;
    for (std::size_t k = 1; k <= more; ++k)
      if ((at(i + k) & 0xc0U) != 0x80)
        return false;
    const unsigned char second = at(i + 1);
    const bool overlong = (c == 0xe0 && second < 0xa0) || (c == 0xf0 && second < 0x90);
    const bool outside =
      (c == 0xed && second > 0x9f) || (c == 0xf4 && second > 0x8f); // surrogates, beyond U+10FFFF
    if (overlong || outside)
      return false;
    i += more + 1;
  }
  return true;
}

std::string to_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 3; ++k)
      word = word << 8U | (k < n ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k)
      out += k <= n ? base64_digits[word >> (18 - 6 * k) & 63U] : '=';
  }
  return out;
}

Result<std::string> from_base64(std::string_view text) {
  std::string out;
  if (text.size() % 4 != 0)
    return fail(Code::bad_field, "", "base64 must have a multiple of 4 characters");
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool end = i + 4 == text.size();
    std::size_t pads = 0;
    if (end)
      pads = text[i + 3] != '=' ? 0U : text[i + 2] != '=' ? 1U : 2U;
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const std::size_t digit = k >= 4 - pads ? 0 : base64_digits.find(text[i + k]);
      if (digit == std::string_view::npos)
        return fail(Code::bad_field, "", "not base64 at character " + std::to_string(i + k));
      word = word << 6U | static_cast<std::uint32_t>(digit);
    }
    for (std::size_t k = 0; k < 3 - pads; ++k)
      out += static_cast<char>(word >> (16 - 8 * k) & 0xffU);
  }
  return out;
}

Json bytes_to_json(std::string_view bytes) {
  if (is_utf8(bytes))
    return std::string(bytes);
  return Json{{"base64", to_base64(bytes)}};
}

Result<std::string> bytes_from_json(const Json& json) {
  if (json.is_string())
    return json.get<std::string>();
  if (json.is_object() && json.size() == 1 && json.contains("base64") && json["base64"].is_string())
    return from_base64(json["base64"].get_ref<const std::string&>());
  return fail(Code::bad_field, "",
              R"(must be a string or {"base64": "…"}, got )" + std::string(type_text(json)));
}

Json msgpack_to_json(std::string_view msgpack) {
  codec::Tape tape;
  if (!tape.parse(msgpack, DecodeLimits{}))
    return Json{{"base64", to_base64(msgpack)}};
  codec::Cursor cursor(tape);
  return shown(cursor);
}

Result<Json> parse_json(std::string_view text) {
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& trouble) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: …": the tag says nothing
    // to a person.
    std::string_view what = trouble.what();
    if (const auto at = what.find("] "); at != std::string_view::npos)
      what.remove_prefix(at + 2);
    return fail(Code::bad_message, "", std::string(what));
  } catch (const std::exception& trouble) {
    return fail(Code::bad_message, "", trouble.what());
  }
}

std::string dump_json(const Json& json, bool pretty) {
  return json.dump(pretty ? 2 : -1, ' ', false, Json::error_handler_t::replace);
}

namespace json_detail {

const codec::Tape& scalar_tape(const Json& json) {
  thread_local codec::Tape tape;
  tape.tokens.assign(1, token_of(json));
  return tape;
}

bool carry_error(codec::Cursor& to, codec::Cursor& from) {
  Error error = from.take_error();
  return to.fail(error.code, std::move(error.text));
}

bool wrong_type(codec::Cursor& c, std::string_view wanted, const Json& got) {
  return c.fail(Code::bad_field,
                "must be " + std::string(wanted) + ", got " + std::string(type_text(got)));
}

codec::Cursor empty_cursor() {
  static const codec::Tape tape;
  return codec::Cursor(tape);
}

} // namespace json_detail
} // namespace reeve
