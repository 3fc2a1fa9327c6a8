// See etcd_row.hpp.
#include "src/journal/etcd_row.hpp"

#include <xxhash.h>

namespace reeve::journal::etcd {
namespace {

constexpr char layout = 1; // the first byte of every value

std::string hex_number(std::uint64_t value, std::size_t digits) {
  std::string text(digits, '0');
  for (std::size_t k = digits; k-- > 0; value >>= 4)
    text[k] = "0123456789abcdef"[value & 15];
  return text;
}

class ValueWriter {
public:
  std::string out{layout};
  void number(std::uint64_t value) {
    for (int k = 0; k < 8; ++k)
      out.push_back(static_cast<char>(value >> (8 * k)));
  }
  void text(std::string_view text) {
    number(text.size());
    out += text;
  }
};

class ValueReader {
public:
  explicit ValueReader(std::string_view value) : left_(value) {
    good_ = !left_.empty() && left_.front() == layout;
    if (good_)
      left_.remove_prefix(1);
  }
  std::uint64_t number() {
    std::uint64_t value = 0;
    const std::string_view bytes = take(8);
    for (std::size_t k = 0; k < bytes.size(); ++k)
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[k])) << (8 * k);
    return value;
  }
  std::string_view text() { return take(number()); }
  std::string_view take(std::uint64_t n) {
    if (!good_ || n > left_.size()) {
      good_ = false;
      return {};
    }
    const std::string_view out = left_.substr(0, n);
    left_.remove_prefix(n);
    return out;
  }
  std::string_view rest() { return std::exchange(left_, {}); }
  [[nodiscard]] bool good() const { return good_; }

private:
  std::string_view left_;
  bool good_ = false;
};

tl::unexpected<Error> unreadable(const std::string& what) {
  return fail(Code::corrupt, {}, "etcd journal: " + what + " is unreadable");
}

Nonce nonce_of(std::string_view bytes) {
  Nonce nonce{};
  bytes.copy(nonce.data(), nonce.size());
  return nonce;
}

} // namespace

std::string Keys::row(Seq first) const {
  return prefix + "j/" + hex_number(first.value, 16);
}
std::string Keys::part(Seq first, std::size_t index) const {
  return parts() + hex_number(first.value, 16) + "/" + hex_number(index, 8);
}
std::string Keys::chunks(Seq snapshot) const {
  return prefix + "snap/" + hex_number(snapshot.value, 16) + "/";
}
std::string Keys::chunk(Seq snapshot, std::size_t index) const {
  return chunks(snapshot) + hex_number(index, 8);
}
std::string Keys::head(Seq snapshot) const {
  return heads() + hex_number(snapshot.value, 16);
}

std::string end_of(std::string prefix) {
  ++prefix.back(); // every prefix of ours ends in '/'
  return prefix;
}

Seq seq_of(std::string_view key) {
  constexpr std::size_t digits = 16;
  if (key.size() < digits)
    return {};
  std::uint64_t value = 0;
  for (const char c : key.substr(key.size() - digits)) {
    const auto digit = std::string_view("0123456789abcdef").find(c);
    if (digit == std::string_view::npos)
      return {};
    value = value << 4 | digit;
  }
  return Seq(value);
}

std::string encode_leader(const Leader& leader) {
  ValueWriter w;
  w.number(leader.epoch.value);
  w.number(leader.released ? 1 : 0);
  w.text(leader.name);
  w.text(leader.endpoint);
  w.out.append(leader.nonce.data(), leader.nonce.size());
  return w.out;
}

Result<Leader> decode_leader(std::string_view value) {
  ValueReader r(value);
  Leader leader;
  leader.epoch = Epoch(r.number());
  leader.released = r.number() != 0;
  leader.name = r.text();
  leader.endpoint = r.text();
  leader.nonce = nonce_of(r.take(leader.nonce.size()));
  if (!r.good())
    return unreadable("the leader's record");
  return leader;
}

std::string encode_row(const Row& row) {
  ValueWriter w;
  w.number(static_cast<std::uint64_t>(row.batch.count));
  w.number(static_cast<std::uint64_t>(row.batch.version));
  w.number(static_cast<std::uint64_t>(row.batch.length));
  w.number(static_cast<std::uint64_t>(row.batch.crc));
  w.number(row.epoch.value);
  w.number(row.parts);
  w.out.append(row.nonce.data(), row.nonce.size());
  w.number(row.batches.size());
  for (const std::uint32_t entries : row.batches)
    w.number(entries);
  if (row.parts == 0)
    w.out += row.batch.body;
  return w.out;
}

Result<Row> decode_row(Seq first, std::string_view value) {
  ValueReader r(value);
  Row row;
  row.batch.seq = first.value;
  row.batch.count = static_cast<std::int64_t>(r.number());
  row.batch.version = static_cast<std::int64_t>(r.number());
  row.batch.length = static_cast<std::int64_t>(r.number());
  row.batch.crc = static_cast<std::int64_t>(r.number());
  row.epoch = Epoch(r.number());
  row.parts = static_cast<std::uint32_t>(r.number());
  row.nonce = nonce_of(r.take(row.nonce.size()));
  std::int64_t entries = 0;
  for (std::uint64_t left = r.number(); left > 0 && r.good(); --left) {
    row.batches.push_back(static_cast<std::uint32_t>(r.number()));
    entries += row.batches.back();
  }
  row.batch.body = r.rest();
  if (!r.good() || row.batch.count < 1 || entries != row.batch.count)
    return unreadable("journal entry " + std::to_string(first.value));
  return row;
}

std::string encode_head(const Head& head) {
  ValueWriter w;
  w.number(head.chunks);
  w.number(head.bytes);
  w.text(head.hash);
  return w.out;
}

Result<Head> decode_head(Seq seq, std::string_view value) {
  ValueReader r(value);
  Head head;
  head.seq = seq;
  head.chunks = r.number();
  head.bytes = r.number();
  head.hash = r.text();
  if (!r.good() || !seq)
    return unreadable("the head of snapshot " + std::to_string(seq.value));
  return head;
}

std::string hash_of_snapshot(std::string_view bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  return {reinterpret_cast<const char*>(canonical.digest), sizeof canonical.digest};
}

} // namespace reeve::journal::etcd
