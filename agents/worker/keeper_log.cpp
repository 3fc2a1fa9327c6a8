// The keeper's record of attempts. See keeper_log.hpp.
#include "agents/worker/keeper_log.hpp"

#include "agents/worker/keeper_proc.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace reeve::worker {
namespace {

constexpr std::uint64_t rewrite_bytes = 16u << 20;
constexpr std::size_t record_bytes_max = 1u << 20;
constexpr std::size_t frame_head = 8;

void put_u32(std::string& out, std::uint32_t v) {
  for (unsigned shift = 0; shift < 32; shift += 8)
    out.push_back(static_cast<char>((v >> shift) & 0xFFu));
}
std::uint32_t get_u32(std::string_view bytes) {
  std::uint32_t v = 0;
  for (unsigned k = 0; k < 4; ++k)
    v |= std::uint32_t{static_cast<unsigned char>(bytes[k])} << (8 * k);
  return v;
}

void append_record(std::string& out, const record::Record& record) {
  const std::string body = encode(record);
  put_u32(out, static_cast<std::uint32_t>(body.size()));
  put_u32(out, XXH32(body.data(), body.size(), static_cast<std::uint32_t>(body.size())));
  out += body;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

void replay(LogState& state, const record::Record& record) {
  if (const auto* opened = std::get_if<record::Opened>(&record)) {
    state.opened = *opened;
    state.attempts.clear();
  } else if (const auto* intent = std::get_if<record::Intent>(&record)) {
    state.attempts[intent->id] = {};
    state.attempts[intent->id].epoch = intent->epoch;
  } else if (const auto* started = std::get_if<record::Started>(&record)) {
    auto& entry = state.attempts[started->id];
    entry.pid = started->pid;
    entry.ticks_low = started->ticks_low;
    entry.ticks_high = started->ticks_high;
  } else if (const auto* ended = std::get_if<record::Ended>(&record)) {
    auto& entry = state.attempts[ended->exit.id()];
    entry.epoch = ended->exit.epoch;
    entry.exit = ended->exit;
  } else if (const auto* released = std::get_if<record::Released>(&record)) {
    state.attempts.erase(released->id);
  }
}

} // namespace

LogState read_keeper_log(const std::string& path) {
  LogState state;
  const std::string bytes = read_small_file(path, 1u << 30);
  std::string_view rest = bytes;
  const auto torn = [&](const std::string& why) {
    state.torn = "attempts.log: " + std::to_string(rest.size()) + " bytes after byte " +
                 std::to_string(bytes.size() - rest.size()) + " not read: " + why;
  };
  while (!rest.empty()) {
    if (rest.size() < frame_head) {
      torn("a frame is cut off");
      return state;
    }
    const std::uint32_t size = get_u32(rest);
    if (size == 0 || size > record_bytes_max || size > rest.size() - frame_head) {
      torn(size > 0 && size <= record_bytes_max ? "a frame is cut off"
                                                : "a length is out of bounds");
      return state;
    }
    const std::string_view body = rest.substr(frame_head, size);
    if (XXH32(body.data(), body.size(), size) != get_u32(rest.substr(4))) {
      torn("a checksum fails");
      return state;
    }
    auto record = decode<record::Record>(body);
    if (!record) {
      torn(record.error().message());
      return state;
    }
    replay(state, *record);
    rest.remove_prefix(frame_head + size);
  }
  return state;
}

Result<KeeperLog> KeeperLog::create(const std::string& path, const record::Opened& opened) {
  KeeperLog log;
  log.path_ = path;
  if (auto written = log.rewrite(opened, {}); !written)
    return tl::unexpected<Error>(written.error());
  return log;
}

void KeeperLog::add(const record::Record& record) {
  append_record(buffer_, record);
}

Result<void> KeeperLog::flush() {
  if (buffer_.empty())
    return {};
  std::string bytes = std::exchange(buffer_, {});
  if (!write_all(fd_.get(), bytes)) {
    const int error = errno;
    // Half a record would hide all that come later.
    if (::ftruncate(fd_.get(), static_cast<off_t>(bytes_)) != 0)
      return io_error("attempts.log cannot be cut back", errno);
    return io_error("attempts.log", error);
  }
  bytes_ += bytes.size();
  buffer_ = std::move(bytes);
  buffer_.clear(); // keeps its memory
  return {};
}

Result<void> KeeperLog::rewrite(const record::Opened& opened,
                                const std::vector<record::Record>& records) {
  std::string bytes;
  append_record(bytes, opened);
  for (const auto& record : records)
    append_record(bytes, record);
  const std::string fresh = path_ + ".new";
  Fd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
  rewrite_at_ = std::max(bytes_ * 2, rewrite_bytes); // should this fail, not again at once
  if (!fd || !write_all(fd.get(), bytes) || ::rename(fresh.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(fresh.c_str());
    return io_error(path_, error);
  }
  fd_ = std::move(fd);
  buffer_.clear();
  bytes_ = bytes.size();
  rewrite_at_ = std::max<std::uint64_t>(bytes_ * 4, rewrite_bytes);
  return {};
}

} // namespace reeve::worker
