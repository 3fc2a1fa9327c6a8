// See wal_tail.hpp.
#include "src/journal/wal_tail.hpp"

#include <array>
#include <bit>
#include <fstream>
#include <vector>

namespace reeve::journal {
namespace {

constexpr std::size_t header_bytes = 32, frame_header_bytes = 24;

using Sum = std::array<std::uint32_t, 2>;

std::uint32_t big_at(const unsigned char* p) {
  return static_cast<std::uint32_t>(p[0]) << 24 | static_cast<std::uint32_t>(p[1]) << 16 |
         static_cast<std::uint32_t>(p[2]) << 8 | static_cast<std::uint32_t>(p[3]);
}
std::uint32_t little_at(const unsigned char* p) {
  return static_cast<std::uint32_t>(p[3]) << 24 | static_cast<std::uint32_t>(p[2]) << 16 |
         static_cast<std::uint32_t>(p[1]) << 8 | static_cast<std::uint32_t>(p[0]);
}

Sum add(Sum sum, const unsigned char* p, std::size_t bytes, bool big) {
  for (const auto* end = p + bytes; p < end; p += 8) {
    sum[0] += (big ? big_at(p) : little_at(p)) + sum[1];
    sum[1] += (big ? big_at(p + 4) : little_at(p + 4)) + sum[0];
  }
  return sum;
}
Sum sum_at(const unsigned char* p) {
  return {big_at(p), big_at(p + 4)};
}

// Walks the frames. Each carries the checksum of all before it, so a frame can also be checked
// against what its neighbour says, or says once its own sum is computed anew: when that holds again
// behind a bad frame, the bad one was damaged after it had been written.
class Walk {
public:
  Walk(Sum sum, std::array<unsigned char, 8> salts, bool big)
      : stored_(sum), computed_(sum), salts_(salts), big_(big) {}

  void frame(const std::vector<unsigned char>& f, std::uint64_t number) {
    const bool ours = has_our_salts(f);
    const Sum by_stored = sum_of(f, stored_), by_computed = sum_of(f, computed_);
    stored_ = sum_at(f.data() + 16);
    const bool follows = by_stored == stored_ || (first_bad_ != 0 && by_computed == stored_);
    computed_ = by_stored == stored_ ? by_stored : by_computed;
    belongs_ = ours || (follows && belongs_); // its salts may be what was damaged
    of_this_log_ += belongs_ ? 1 : 0;
    const bool good = ours && follows;
    const bool commits = belongs_ && big_at(f.data() + 4) != 0;
    if (first_bad_ != 0) {
      // Only the last commit may be unsynced. A commit followed by a further good frame was synced,
      // so it was acknowledged. A bad frame's own word that it was one counts only when another
      // whole commit follows: its header may be the first bytes of a write that failed.
      lost_a_commit_ =
        lost_a_commit_ ||
        (good && (behind_ == Behind::commit || (behind_ == Behind::bad_commit && commits)));
      if (!follows)
        behind_ = Behind::nothing;
      else if (commits)
        behind_ = Behind::commit;
    } else if (!good) {
      first_bad_ = number;
      behind_ = commits ? Behind::bad_commit : Behind::nothing;
    } else if (commits) {
      committed_ = number;
    }
  }
  bool has_our_salts(const std::vector<unsigned char>& f) const {
    return std::equal(salts_.begin(), salts_.end(), f.begin() + 8);
  }

  [[nodiscard]] WalTail verdict(bool partial_frame) const {
    WalTail tail{committed_, {}, {}};
    const std::uint64_t cut = of_this_log_ > committed_ ? of_this_log_ - committed_ : 0;
    if (lost_a_commit_)
      tail.corrupt = "write-ahead log: frame " + std::to_string(first_bad_) +
                     " is damaged, and acknowledged commits follow it";
    else if (cut > 0 || partial_frame)
      tail.torn = "write-ahead log: " + std::to_string(cut) + " whole frames" +
                  (partial_frame ? " and a partial one" : "") + " after the last commit (frame " +
                  std::to_string(committed_) + ") were never acknowledged and are cut off";
    return tail;
  }

private:
  Sum sum_of(const std::vector<unsigned char>& f, Sum before) const {
    return add(add(before, f.data(), 8, big_), f.data() + frame_header_bytes,
               f.size() - frame_header_bytes, big_);
  }

  Sum stored_, computed_; // of the frame before: what it says, and what its bytes give
  std::array<unsigned char, 8> salts_;
  bool big_;
  std::uint64_t committed_ = 0, first_bad_ = 0, of_this_log_ = 0;
  enum class Behind { nothing, bad_commit, commit } behind_ = Behind::nothing;
  bool belongs_ = true, lost_a_commit_ = false;
};

} // namespace

WalTail inspect_wal(const std::string& wal) {
  std::ifstream in(wal, std::ios::binary);
  std::array<unsigned char, header_bytes> head{};
  if (!in || !in.read(reinterpret_cast<char*>(head.data()), header_bytes)) {
    if (in.gcount() > 0)
      return {0, "write-ahead log: its header was cut short, nothing in it was acknowledged", {}};
    return {};
  }
  if (std::array<unsigned char, frame_header_bytes> next{};
      head == std::array<unsigned char, header_bytes>{} &&
      in.read(reinterpret_cast<char*>(next.data()), frame_header_bytes) &&
      next == std::array<unsigned char, frame_header_bytes>{})
    return {}; // laid out, nothing in it yet
  in.clear();
  in.seekg(header_bytes);
  const std::uint32_t magic = big_at(head.data());
  const std::uint32_t page = big_at(head.data() + 8);
  const bool big = (magic & 1u) != 0;
  const bool known =
    (magic & ~1u) == 0x377f0682u && page >= 512 && page <= 65'536 && std::has_single_bit(page);
  if (!known || add({0, 0}, head.data(), 24, big) != sum_at(head.data() + 24))
    return {0, "write-ahead log: its header does not pass its check, all of it is cut off", {}};
  std::array<unsigned char, 8> salts{};
  std::copy(head.begin() + 16, head.begin() + 24, salts.begin());

  Walk walk(sum_at(head.data() + 24), salts, big);
  std::vector<unsigned char> frame(frame_header_bytes + page);
  for (std::uint64_t number = 1;; ++number) {
    in.read(reinterpret_cast<char*>(frame.data()), static_cast<std::streamsize>(frame.size()));
    const auto got = static_cast<std::size_t>(in.gcount());
    if (got == frame.size()) {
      walk.frame(frame, number);
      continue;
    }
    return walk.verdict(got >= 16 && walk.has_our_salts(frame));
  }
}

} // namespace reeve::journal
