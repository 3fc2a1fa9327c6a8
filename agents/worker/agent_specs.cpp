// See agent_specs.hpp. A record is a 4-byte little-endian length and an AssignedSpec.
#include "agents/worker/agent_specs.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include <fcntl.h>
#include <unistd.h>

namespace reeve::worker {

namespace {

constexpr std::size_t rewrite_above = 16u << 20; // bytes of dropped specifications

std::string framed(const AssignedSpec& record) {
  const std::string body = encode(record);
  const auto size = static_cast<std::uint32_t>(body.size());
  std::string out;
  for (unsigned shift = 0; shift < 32; shift += 8)
    out.push_back(static_cast<char>((size >> shift) & 0xff));
  return out + body;
}

Result<void> write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return fail(Code::io, {}, path + ": " + std::strerror(errno));
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

} // namespace

SpecLog::SpecLog(SpecLog&& other) noexcept {
  *this = std::move(other);
}

SpecLog& SpecLog::operator=(SpecLog&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(specs_, other.specs_);
  std::swap(written_, other.written_);
  std::swap(live_, other.live_);
  return *this;
}

SpecLog::~SpecLog() {
  if (fd_ >= 0)
    ::close(fd_);
}

std::map<JobId, Raw> SpecLog::parse(std::string_view bytes) {
  std::map<JobId, Raw> specs;
  while (bytes.size() >= 4) {
    std::uint32_t size = 0;
    for (unsigned k = 0; k < 4; ++k)
      size |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[k])) << (8 * k);
    if (bytes.size() - 4 < size)
      break;
    auto record = decode<AssignedSpec>(bytes.substr(4, size));
    bytes.remove_prefix(4 + std::size_t{size});
    if (!record)
      continue;
    if (record->spec.msgpack.empty() || record->spec.msgpack == "\xc0")
      specs.erase(record->job);
    else
      specs[record->job] = std::move(record->spec);
  }
  return specs;
}

Result<SpecLog> SpecLog::open(const std::string& path) {
  SpecLog log;
  log.path_ = path;
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  log.specs_ = parse(bytes);
  if (auto rewritten = log.rewrite(); !rewritten)
    return tl::unexpected(rewritten.error());
  return log;
}

Result<void> SpecLog::rewrite() {
  const std::string fresh = path_ + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail(Code::io, {}, fresh + ": " + std::strerror(errno));
  std::string bytes;
  for (const auto& [job, spec] : specs_)
    bytes += framed({job, spec});
  auto written = write_all(fd, bytes, fresh);
  if (written && ::rename(fresh.c_str(), path_.c_str()) != 0)
    written = fail(Code::io, {}, path_ + ": " + std::strerror(errno));
  if (!written) {
    ::close(fd);
    return written;
  }
  if (fd_ >= 0)
    ::close(fd_);
  fd_ = fd;
  written_ = live_ = bytes.size();
  return {};
}

Result<void> SpecLog::append(const AssignedSpec& record) {
  const std::string bytes = framed(record);
  written_ += bytes.size();
  return write_all(fd_, bytes, path_);
}

Result<void> SpecLog::put(JobId job, const Raw& spec) {
  if (!specs_.try_emplace(job, spec).second)
    return {};
  live_ += spec.msgpack.size();
  return append({job, spec});
}

Result<void> SpecLog::drop(JobId job) {
  const auto it = specs_.find(job);
  if (it == specs_.end())
    return {};
  live_ -= std::min(live_, it->second.msgpack.size());
  specs_.erase(it);
  if (specs_.empty() && written_ < rewrite_above) { // the usual end: start over, without a new file
    written_ = live_ = 0;
    if (::ftruncate(fd_, 0) == 0 && ::lseek(fd_, 0, SEEK_SET) == 0)
      return {};
  }
  if (written_ > live_ + rewrite_above)
    return rewrite();
  return append({job, {}});
}

} // namespace reeve::worker
