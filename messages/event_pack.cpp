// See event_pack.hpp.
#include "messages/event_pack.hpp"

#include <array>
#include <charconv>

namespace reeve {
namespace {

constexpr std::size_t event_bytes_min = 5; // array, seq, part, topic, event
constexpr unsigned char array32 = 0xdd, array4 = 0x94, str16 = 0xda, bin32 = 0xc6;

void set_number(std::string& out, std::size_t at, std::size_t bytes, std::uint64_t value) {
  for (std::size_t k = bytes; k-- > 0; value >>= 8)
    out[at + k] = static_cast<char>(value & 0xff);
}
/// A head whose size is not known yet; returns where it goes.
std::size_t open_head(std::string& out, unsigned char type, std::size_t size_bytes) {
  out.push_back(static_cast<char>(type));
  out.append(size_bytes, '\0');
  return out.size() - size_bytes;
}

/// What msgpack's heads say, and their numbers. False: there is no such thing.
class Heads {
public:
  explicit Heads(std::string_view& rest) : rest_(rest) {}
  bool number(std::uint64_t& out) {
    unsigned type = 0;
    if (!byte(type))
      return false;
    if (type < 0x80) {
      out = type;
      return true;
    }
    return type >= 0xcc && type <= 0xcf && big_endian(out, std::size_t{1} << (type - 0xcc));
  }
  bool array(std::uint64_t& out) {
    unsigned type = 0;
    if (!byte(type))
      return false;
    if ((type & 0xf0u) == 0x90) {
      out = type & 0x0fu;
      return true;
    }
    return (type == 0xdc || type == array32) && big_endian(out, type == 0xdc ? 2 : 4);
  }
  bool text(std::string_view& out) {
    unsigned type = 0;
    std::uint64_t size = 0;
    if (!byte(type))
      return false;
    if ((type & 0xe0u) == 0xa0)
      size = type & 0x1fu;
    else if (type < 0xd9 || type > 0xdb || !big_endian(size, std::size_t{1} << (type - 0xd9)))
      return false;
    return take(out, size);
  }
  bool bytes(std::string_view& out) {
    unsigned type = 0;
    std::uint64_t size = 0;
    return byte(type) && type >= 0xc4 && type <= bin32 &&
           big_endian(size, std::size_t{1} << (type - 0xc4)) && take(out, size);
  }

private:
  bool byte(unsigned& out) {
    if (rest_.empty())
      return false;
    out = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return true;
  }
  bool big_endian(std::uint64_t& out, std::size_t bytes) {
    if (rest_.size() < bytes)
      return false;
    out = 0;
    for (const char c : rest_.substr(0, bytes))
      out = out << 8 | static_cast<unsigned char>(c);
    rest_.remove_prefix(bytes);
    return true;
  }
  bool take(std::string_view& out, std::uint64_t size) {
    if (rest_.size() < size)
      return false;
    out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }
  std::string_view& rest_;
};

} // namespace

void put_topic(std::string& out, const Event& event) {
  out += event.kind;
  if (event.job) {
    std::array<char, 20> digits;
    const auto end = std::to_chars(digits.begin(), digits.end(), event.job.value).ptr;
    out += '.';
    out.append(digits.begin(), end);
  } else if (!event.node.empty()) {
    out += '.';
    out += event.node;
  }
}

PackedEvent EventPack::add(const Event& event) {
  if (bytes_.empty())
    open_head(bytes_, array32, 4);
  set_number(bytes_, 1, 4, ++count_);
  if (count_ == 1)
    first_ = event.seq;
  last_ = event.seq;
  last_part_ = event.part;
  bytes_.push_back(static_cast<char>(array4));
  codec::put_uint(bytes_, event.seq.value);
  codec::put_uint(bytes_, event.part);
  const std::size_t topic = open_head(bytes_, str16, 2) + 2;
  put_topic(bytes_, event);
  const std::size_t topic_size = bytes_.size() - topic;
  set_number(bytes_, topic - 2, 2, topic_size);
  const std::size_t body = open_head(bytes_, bin32, 4) + 4;
  encode_to(bytes_, event);
  set_number(bytes_, body - 4, 4, bytes_.size() - body);
  const std::string_view all = bytes_;
  return {event.seq, event.part, all.substr(topic, topic_size), all.substr(body)};
}

void EventPack::clear() {
  bytes_.clear();
  count_ = last_part_ = 0;
  first_ = last_ = {};
}

PackReader::PackReader(std::string_view bytes) : rest_(bytes) {
  std::uint64_t count = 0;
  if (Heads(rest_).array(count) && count <= rest_.size() / event_bytes_min)
    count_ = static_cast<std::uint32_t>(count);
}

std::optional<PackedEvent> PackReader::next() {
  if (read_ == count_)
    return std::nullopt;
  PackedEvent event;
  std::uint64_t fields = 0, part = 0;
  Heads heads(rest_);
  if (!heads.array(fields) || fields != 4 || !heads.number(event.seq.value) ||
      !heads.number(part) || part > UINT32_MAX || !heads.text(event.topic) ||
      !heads.bytes(event.event)) {
    read_ = count_;
    return std::nullopt;
  }
  ++read_;
  event.part = static_cast<std::uint32_t>(part);
  return event;
}

} // namespace reeve
