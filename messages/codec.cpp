// The part of the codec that touches msgpack-c: the parse visitor and the packer. See codec.hpp.
#include "messages/codec.hpp"

#include <algorithm>
#include <array>
#include <msgpack.hpp>

namespace reeve {

std::string_view name_of(Code code) {
  switch (code) {
  case Code::ok:
    return "ok";
  case Code::bad_message:
    return "bad_message";
  case Code::bad_field:
    return "bad_field";
  case Code::unknown_version:
    return "unknown_version";
  case Code::unknown_type:
    return "unknown_type";
  case Code::too_large:
    return "too_large";
  case Code::not_found:
    return "not_found";
  case Code::refused:
    return "refused";
  case Code::no_capacity:
    return "no_capacity";
  case Code::node_down:
    return "node_down";
  case Code::busy:
    return "busy";
  case Code::unavailable:
    return "unavailable";
  case Code::stale_epoch:
    return "stale_epoch";
  case Code::not_leader:
    return "not_leader";
  case Code::timed_out:
    return "timed_out";
  case Code::io:
    return "io";
  case Code::corrupt:
    return "corrupt";
  case Code::internal:
    return "internal";
  case Code::conflict:
    return "conflict";
  case Code::stale:
    return "stale";
  }
  return "unknown";
}

namespace codec {
namespace {

// msgpack-c calls these one by one; returning false stops the parser.
class TapeVisitor : public msgpack::null_visitor {
public:
  TapeVisitor(std::vector<Token>& tokens, const DecodeLimits& limits, std::size_t bytes)
      : tokens_(tokens), limits_(limits), bytes_(bytes) {}

  bool visit_nil() { return add(Type::nil) != nullptr; }
  bool visit_boolean(bool v) {
    Token* t = add(Type::boolean);
    return t && ((t->b = v), true);
  }
  bool visit_positive_integer(std::uint64_t v) {
    Token* t = add(Type::uint);
    return t && ((t->u = v), true);
  }
  bool visit_negative_integer(std::int64_t v) {
    if (v >= 0) // some packers take a signed format for every number
      return visit_positive_integer(static_cast<std::uint64_t>(v));
    Token* t = add(Type::sint);
    return t && ((t->i = v), true);
  }
  bool visit_float32(float v) { return visit_float64(static_cast<double>(v)); }
  bool visit_float64(double v) {
    Token* t = add(Type::real);
    return t && ((t->d = v), true);
  }
  bool visit_str(const char* v, std::uint32_t size) { return text(Type::str, v, size); }
  bool visit_bin(const char* v, std::uint32_t size) { return text(Type::bin, v, size); }
  bool visit_ext(const char*, std::uint32_t) {
    return stop(Code::bad_message, "extension types are not used");
  }
  bool start_array(std::uint32_t n) { return open(Type::array, n, n); }
  bool start_map(std::uint32_t n) { return open(Type::map, n, std::uint64_t{n} * 2); }
  bool end_array() { return --depth_, true; }
  bool end_map() { return --depth_, true; }
  void parse_error(std::size_t, std::size_t at) { fail_at(at); }
  void insufficient_bytes(std::size_t, std::size_t at) { fail_at(at); }

  Error error;

private:
  Token* add(Type type) {
    if (tokens_.size() >= limits_.tokens) {
      stop(Code::too_large,
           "more than " + std::to_string(limits_.tokens) + " values in one message");
      return nullptr;
    }
    Token& token = tokens_.emplace_back();
    token.type = type;
    return &token;
  }
  bool text(Type type, const char* v, std::uint32_t size) {
    Token* t = add(type);
    if (!t)
      return false;
    t->data = v;
    t->size = size;
    return true;
  }
  bool open(Type type, std::uint32_t n, std::uint64_t values) {
    // Every value takes a byte at least, so a count beyond the whole message is a lie; refused
    // before anything grows.
    if (values > bytes_)
      return stop(Code::bad_message,
                  "a count of " + std::to_string(n) + " is more than the message can hold");
    if (++depth_ > limits_.depth)
      return stop(Code::too_large, "nested deeper than " + std::to_string(limits_.depth));
    Token* t = add(type);
    if (!t)
      return false;
    t->size = n;
    return true;
  }
  bool stop(Code code, std::string text) {
    error = Error{code, "", std::move(text)};
    return false;
  }
  void fail_at(std::size_t at) {
    error = Error{Code::bad_message, "", "not valid msgpack at byte " + std::to_string(at)};
  }

  std::vector<Token>& tokens_;
  const DecodeLimits& limits_;
  std::size_t bytes_;
  std::size_t depth_ = 0;
};

struct StringSink { // what msgpack::packer writes into
  std::string& out;
  void write(const char* data, std::size_t size) { out.append(data, size); }
};
using Packer = msgpack::packer<StringSink>;

std::string range_text(const FieldRule& rule) {
  const bool low = rule.min != std::numeric_limits<std::int64_t>::min();
  const bool high = rule.max != std::numeric_limits<std::int64_t>::max();
  if (low && high)
    return "must be from " + std::to_string(rule.min) + " to " + std::to_string(rule.max);
  if (low)
    return "must be at least " + std::to_string(rule.min);
  return "must be at most " + std::to_string(rule.max);
}

} // namespace

std::string_view name_of(Type type) {
  switch (type) {
  case Type::nil:
    return "nil";
  case Type::boolean:
    return "a boolean";
  case Type::uint:
  case Type::sint:
    return "an integer";
  case Type::real:
    return "a float";
  case Type::str:
    return "a string";
  case Type::bin:
    return "bytes";
  case Type::array:
    return "an array";
  case Type::map:
    return "a map";
  }
  return "nothing";
}

Result<void> Tape::parse(std::string_view bytes, const DecodeLimits& limits) {
  tokens.clear();
  if (bytes.empty())
    return fail(Code::bad_message, "", "empty message");
  if (bytes.size() > limits.bytes)
    return fail(Code::too_large, "",
                std::to_string(bytes.size()) + " bytes are more than " +
                  std::to_string(limits.bytes));
  TapeVisitor visitor(tokens, limits, bytes.size());
  std::size_t offset = 0;
  bool parsed = false;
  try {
    parsed = msgpack::parse(bytes.data(), bytes.size(), offset, visitor);
  } catch (const std::exception& trouble) { // bad_alloc and msgpack's own limits
    return fail(Code::too_large, "", std::string("message not parsed: ") + trouble.what());
  }
  if (!parsed) {
    if (visitor.error.text.empty())
      visitor.error = Error{Code::bad_message, "", "not valid msgpack"};
    return tl::unexpected<Error>(std::move(visitor.error));
  }
  if (offset != bytes.size())
    return fail(Code::bad_message, "",
                std::to_string(bytes.size() - offset) + " bytes after the end of the message");
  return {};
}

bool Cursor::fail(Code code, std::string text) {
  if (!failed_) {
    failed_ = true;
    error_ = Error{code, "", std::move(text)};
  }
  return false;
}
bool Cursor::wrong_type(std::string_view wanted, const Token* got) {
  return fail(Code::bad_field, "must be " + std::string(wanted) + ", got " +
                                 std::string(got ? name_of(got->type) : "nothing"));
}
bool Cursor::room_for(std::size_t count, std::size_t bytes) {
  if (count > list_bytes_ / bytes)
    return fail(Code::too_large, "too many values for one message: send several");
  list_bytes_ -= count * bytes;
  return true;
}
void Cursor::in_field(std::string_view name) {
  if (error_.field.empty())
    error_.field = name;
  else if (error_.field.front() == '[')
    error_.field.insert(0, name);
  else
    error_.field.insert(0, std::string(name) + ".");
}
void Cursor::in_index(std::size_t index) {
  std::string head = "[" + std::to_string(index) + "]";
  if (!error_.field.empty() && error_.field.front() != '[')
    head += '.';
  error_.field.insert(0, head);
}
Error Cursor::take_error() {
  // A field name comes from the sender: keep it printable and short.
  if (error_.field.size() > 256)
    error_.field.resize(256);
  for (char& ch : error_.field)
    if (static_cast<unsigned char>(ch) < 0x20 || static_cast<unsigned char>(ch) >= 0x7f)
      ch = '?';
  return std::move(error_);
}

bool read_int(Cursor& c, std::int64_t& out, const FieldRule& rule) {
  const Token* t = c.next();
  if (!t || (t->type != Type::uint && t->type != Type::sint))
    return c.wrong_type("an integer", t);
  if (t->type == Type::uint &&
      t->u > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return c.fail(
      Code::bad_field,
      range_text({.max = std::min(rule.max, std::numeric_limits<std::int64_t>::max() - 1)}));
  const std::int64_t v = t->type == Type::uint ? static_cast<std::int64_t>(t->u) : t->i;
  if (v < rule.min || v > rule.max)
    return c.fail(Code::bad_field, range_text(rule) + ", got " + std::to_string(v));
  out = v;
  return true;
}
bool read_uint(Cursor& c, std::uint64_t& out, const FieldRule& rule) {
  const Token* t = c.next();
  if (!t || (t->type != Type::uint && t->type != Type::sint))
    return c.wrong_type("an integer", t);
  if (t->type == Type::sint)
    return c.fail(Code::bad_field, "must not be negative, got " + std::to_string(t->i));
  const bool below = rule.min > 0 && t->u < static_cast<std::uint64_t>(rule.min);
  const bool above = rule.max != std::numeric_limits<std::int64_t>::max() &&
                     (rule.max < 0 || t->u > static_cast<std::uint64_t>(rule.max));
  if (below || above)
    return c.fail(Code::bad_field, range_text(rule) + ", got " + std::to_string(t->u));
  out = t->u;
  return true;
}
bool check_size(Cursor& c, std::size_t size, const FieldRule& rule) {
  const auto n = static_cast<std::int64_t>(size);
  if (n < rule.min || n > rule.max)
    return c.fail(Code::bad_field, "size " + range_text(rule) + ", got " + std::to_string(n));
  return true;
}
bool read_text(Cursor& c, std::string_view& out, Type type, const FieldRule& rule) {
  const Token* t = c.next();
  if (!t || t->type != type)
    return c.wrong_type(name_of(type), t);
  if (!check_size(c, t->size, rule))
    return false;
  out = std::string_view(t->data, t->size);
  return true;
}
bool read_bool(Cursor& c, bool& out) {
  const Token* t = c.next();
  if (!t || t->type != Type::boolean)
    return c.wrong_type("a boolean", t);
  out = t->b;
  return true;
}
bool read_real(Cursor& c, double& out) {
  const Token* t = c.next();
  if (t && t->type == Type::real)
    out = t->d;
  else if (t && t->type == Type::uint)
    out = static_cast<double>(t->u);
  else if (t && t->type == Type::sint)
    out = static_cast<double>(t->i);
  else
    return c.wrong_type("a number", t);
  return true;
}
bool read_raw(Cursor& c, std::string& out, const FieldRule& rule) {
  // Packed again value by value: what is passed on is canonical and has been checked.
  out.clear();
  std::size_t left = 1;
  while (left > 0) {
    const Token* t = c.next();
    if (!t)
      return c.fail(Code::bad_message, "ends too early");
    --left;
    switch (t->type) {
    case Type::nil:
      put_nil(out);
      break;
    case Type::boolean:
      put_bool(out, t->b);
      break;
    case Type::uint:
      put_uint(out, t->u);
      break;
    case Type::sint:
      put_int(out, t->i);
      break;
    case Type::real:
      put_real(out, t->d);
      break;
    case Type::str:
      put_str(out, std::string_view(t->data, t->size));
      break;
    case Type::bin:
      put_bin(out, std::string_view(t->data, t->size));
      break;
    case Type::array:
      put_array(out, t->size), left += t->size;
      break;
    case Type::map:
      put_map(out, t->size), left += std::size_t{t->size} * 2;
      break;
    }
  }
  return check_size(c, out.size(), rule);
}

void put_nil(std::string& out) {
  StringSink sink{out};
  Packer(sink).pack_nil();
}
void put_bool(std::string& out, bool v) {
  StringSink sink{out};
  v ? Packer(sink).pack_true() : Packer(sink).pack_false();
}
void put_uint(std::string& out, std::uint64_t v) {
  StringSink sink{out};
  Packer(sink).pack_uint64(v); // takes the shortest form
}
void put_int(std::string& out, std::int64_t v) {
  StringSink sink{out};
  Packer(sink).pack_int64(v); // takes the shortest form, unsigned where it can
}
void put_real(std::string& out, double v) {
  StringSink sink{out};
  Packer(sink).pack_double(v);
}
void put_str(std::string& out, std::string_view v) {
  if (v.size() < 32) { // names of fields, most of them: one step instead of three
    std::array<char, 32> bytes;
    bytes[0] = static_cast<char>(0xa0u | v.size());
    std::copy(v.begin(), v.end(), bytes.begin() + 1);
    out.append(bytes.data(), v.size() + 1);
    return;
  }
  StringSink sink{out};
  Packer packer(sink);
  packer.pack_str(static_cast<std::uint32_t>(v.size()));
  packer.pack_str_body(v.data(), static_cast<std::uint32_t>(v.size()));
}
void put_bin(std::string& out, std::string_view v) {
  StringSink sink{out};
  Packer packer(sink);
  packer.pack_bin(static_cast<std::uint32_t>(v.size()));
  packer.pack_bin_body(v.data(), static_cast<std::uint32_t>(v.size()));
}
void put_array(std::string& out, std::size_t n) {
  StringSink sink{out};
  Packer(sink).pack_array(static_cast<std::uint32_t>(n));
}
void put_map(std::string& out, std::size_t n) {
  StringSink sink{out};
  Packer(sink).pack_map(static_cast<std::uint32_t>(n));
}

void end_map(std::string& out, std::size_t at, std::size_t n) {
  if (n < 16) {
    out[at] = static_cast<char>(0x80u | n);
    return;
  }
  std::string head;
  put_map(head, n);
  out.replace(at, 1, head);
}

Tape& thread_tape() {
  thread_local Tape tape;
  return tape;
}
void trim(Tape& tape) {
  constexpr std::size_t keep = 65'536;
  if (tape.tokens.capacity() > keep) {
    tape.tokens = {};
    tape.tokens.reserve(1024);
  }
}

std::string text_in(std::string_view map, std::string_view field) {
  if (map.find(field) == map.npos) // as a rule
    return {};
  Tape& tape = thread_tape();
  std::string text;
  if (tape.parse(map, stored_limits) && tape.tokens[0].type == Type::map) {
    const auto& tokens = tape.tokens;
    for (std::size_t at = 1; at + 1 < tokens.size();) {
      const Token& name = tokens[at];
      const Token& value = tokens[at + 1];
      if (name.type == Type::str && std::string_view(name.data, name.size) == field) {
        if (value.type == Type::str)
          text.assign(value.data, value.size);
        break;
      }
      std::size_t open = 1;
      for (++at; open > 0; ++at) {
        --open;
        open += tokens[at].type == Type::array ? tokens[at].size
                : tokens[at].type == Type::map ? std::size_t{2} * tokens[at].size
                                               : 0;
      }
    }
  }
  trim(tape);
  return text;
}

} // namespace codec
} // namespace reeve
