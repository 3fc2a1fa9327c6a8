// See file_lock.hpp.
#include "src/journal/file_lock.hpp"

#include "src/util/words.hpp"

#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace reeve::journal {
namespace {

constexpr std::size_t note_bytes_max = 160;

// An open-file-description lock: closing another descriptor of the same file does not drop it, as
// it would a POSIX one.
struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

std::string read_note(const std::string& database) {
  std::array<char, note_bytes_max> buffer{};
  const int fd = ::open(FileLock::path_of(database).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return {};
  const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), 0);
  ::close(fd);
  return n > 0 ? std::string(buffer.data(), static_cast<std::size_t>(n)) : std::string();
}

} // namespace

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
FileLock::~FileLock() {
  if (fd_ >= 0)
    ::close(fd_);
}

Result<FileLock> FileLock::take(const std::string& database) {
  const std::string path = path_of(database);
  FileLock lock;
  lock.fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock.fd_ < 0)
    return fail(Code::io, {}, path + ": " + std::strerror(errno));
  auto wanted = whole_file(F_WRLCK);
  if (::fcntl(lock.fd_, F_OFD_SETLK, &wanted) == 0)
    return lock;
  if (errno != EAGAIN && errno != EACCES)
    return fail(Code::io, {}, path + ": cannot lock: " + std::strerror(errno));
  return fail(Code::refused, {},
              database + ": another master has this journal open (" +
                holder_in(read_note(database)) + " holds " + path + ")");
}

bool FileLock::is_held(const std::string& database) {
  const int fd = ::open(path_of(database).c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return false;
  auto wanted = whole_file(F_WRLCK);
  const bool asked = ::fcntl(fd, F_OFD_GETLK, &wanted) == 0;
  ::close(fd);
  return asked && wanted.l_type != F_UNLCK;
}

void FileLock::note(std::string_view identity, Seq last) const {
  // One fixed-width line with its own CRC: a half-written note counts as none.
  std::array<char, note_bytes_max> line{};
  int n = std::snprintf(line.data(), line.size(),
                        "process %10lld journal %.*s durable %020" PRIu64 " crc ",
                        static_cast<long long>(::getpid()), static_cast<int>(identity.size()),
                        identity.data(), last.value);
  const auto size = static_cast<std::size_t>(n);
  const std::uint32_t crc = crc32c(std::string_view(line.data(), size));
  n += std::snprintf(line.data() + n, line.size() - size, "%08" PRIx32 "\n", crc);
  // A note that cannot be written only makes the lower bound lower.
  [[maybe_unused]] const ssize_t written =
    ::pwrite(fd_, line.data(), static_cast<std::size_t>(n), 0);
}

Seq FileLock::noted(const std::string& database, std::string_view identity) {
  return parse_note(read_note(database), identity);
}

std::string FileLock::holder_in(std::string_view note) {
  const bool named = next_word(note) == "process";
  const auto process = numbers_in<std::int64_t>(note, 1);
  return named && !process.empty() ? "process " + std::to_string(process.front())
                                   : "another process";
}

Seq FileLock::parse_note(const std::string& note, std::string_view identity) {
  long long process = 0;
  std::array<char, 65> name{};
  std::uint64_t seq = 0;
  std::uint32_t crc = 0;
  int crc_at = 0;
  if (std::sscanf(note.c_str(), "process %lld journal %64s durable %" SCNu64 " crc %n%" SCNx32,
                  &process, name.data(), &seq, &crc_at, &crc) != 4)
    return Seq(0);
  if ((!identity.empty() && identity != name.data()) ||
      crc != crc32c(std::string_view(note).substr(0, static_cast<std::size_t>(crc_at))))
    return Seq(0);
  return Seq(seq);
}

} // namespace reeve::journal
