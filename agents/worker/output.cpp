// Captured output: the file's shape, the keeper's writer and the agent's reader. See output.hpp.
#include "agents/worker/output_store.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

namespace reeve::worker {
namespace {

struct FileHeader {
  std::uint64_t magic = 0x31'54'55'4F'56'45'45'52; // "REEVOUT1"
  std::uint64_t limit = 0;
  std::uint64_t reserved =
    0; // end of what is being written now: ring bytes below reserved - limit may be gone
  std::uint64_t written = 0; // end of what is there
  std::uint64_t check = 0;   // a reader that meets a half-written header sees it here
  std::uint64_t unused[3] = {0, 0, 0};

  [[nodiscard]] std::uint64_t sum() const {
    return magic ^ (limit * 3) ^ (reserved * 5) ^ (written * 7);
  }
};
static_assert(sizeof(FileHeader) == 64);
constexpr std::uint64_t output_limit_max = 16u << 20;

FileHeader header_of(std::uint64_t limit, std::uint64_t reserved, std::uint64_t written) {
  FileHeader header;
  header.limit = limit;
  header.reserved = reserved;
  header.written = written;
  header.check = header.sum();
  return header;
}

bool write_at(int fd, std::string_view bytes, std::uint64_t at) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
    at += static_cast<std::uint64_t>(n);
  }
  return true;
}
std::string_view bytes_of(const FileHeader& header) {
  return {reinterpret_cast<const char*>(&header), sizeof header};
}

bool read_at(int fd, char* out, std::size_t size, std::uint64_t at) {
  while (size > 0) {
    const ssize_t n = ::pread(fd, out, size, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    out += n;
    size -= static_cast<std::size_t>(n);
    at += static_cast<std::uint64_t>(n);
  }
  return true;
}

Result<FileHeader> read_header(int fd, const std::string& path) {
  // The keeper may be writing it at this moment; a few looks later it is whole, or it is not ours.
  for (int look = 0; look < 1000; ++look) {
    FileHeader header;
    header.magic = 0;
    if (!read_at(fd, reinterpret_cast<char*>(&header), sizeof header, 0))
      return fail(Code::corrupt, "", path + ": shorter than its header");
    if (header.magic == FileHeader{}.magic && header.check == header.sum() &&
        header.limit <= output_limit_max && header.written <= header.reserved)
      return header;
  }
  return fail(Code::corrupt, "", path + ": the header fails its check");
}

std::uint64_t tail_begin(const FileHeader& header) {
  return std::max(header.limit,
                  header.reserved > header.limit ? header.reserved - header.limit : 0);
}

} // namespace

std::string output_path(const std::string& dir, const AttemptId& id, Stream stream) {
  return dir + "/output/" + std::to_string(id.job.value) + "." + std::to_string(id.index) + "." +
         std::to_string(id.attempt) + (stream == Stream::out ? ".out" : ".err");
}

std::uint64_t OutputWriter::bytes_kept() const {
  return fd_ ? sizeof(FileHeader) + std::min(written_, limit_ * 2) : 0;
}

bool OutputWriter::put_header(std::uint64_t reserved) {
  return write_at(fd_.get(), bytes_of(header_of(limit_, reserved, written_)), 0);
}

void OutputWriter::append(const std::string& dir, const AttemptId& id, Stream stream,
                          std::string_view bytes) {
  if (bytes.empty())
    return;
  if (error_ == 0 && !fd_) { // only now: most tasks write nothing
    fd_.reset(::open(output_path(dir, id, stream).c_str(),
                     O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd_)
      error_ = errno;
  }
  if (error_ != 0) { // counted all the same
    written_ += bytes.size();
    return;
  }
  if (written_ < limit_ || limit_ == 0)
    bytes.remove_prefix(append_head(bytes));
  if (!bytes.empty() && error_ == 0)
    append_ring(bytes);
  else
    written_ += bytes.size();
}

std::size_t OutputWriter::append_head(std::string_view bytes) {
  const std::size_t n =
    limit_ == 0 ? bytes.size() : std::min<std::uint64_t>(bytes.size(), limit_ - written_);
  const bool first = written_ == 0;
  const std::string_view head = limit_ == 0 ? std::string_view{} : bytes.substr(0, n);
  const std::uint64_t at = sizeof(FileHeader) + written_;
  bool good = false;
  if (first) { // header and data lie side by side: one call
    const FileHeader header = header_of(limit_, n, n);
    const iovec parts[2] = {{const_cast<FileHeader*>(&header), sizeof header},
                            {const_cast<char*>(head.data()), head.size()}};
    good = ::pwritev(fd_.get(), parts, 2, 0) == static_cast<ssize_t>(sizeof header + head.size());
    written_ += n;
  } else {
    good = write_at(fd_.get(), head, at);
    written_ += n;
    good = good && put_header(written_);
  }
  if (!good)
    error_ = errno ? errno : ENOSPC;
  return n;
}

void OutputWriter::append_ring(std::string_view bytes) {
  const std::uint64_t end = written_ + bytes.size();
  bool good = put_header(end); // announced first, so that readers know which old bytes are going
  if (bytes.size() > limit_)
    bytes.remove_prefix(bytes.size() - limit_);
  std::uint64_t at = end - bytes.size();
  while (good && !bytes.empty()) {
    const std::uint64_t place = (at - limit_) % limit_;
    const std::size_t n = std::min<std::uint64_t>(bytes.size(), limit_ - place);
    good = write_at(fd_.get(), bytes.substr(0, n), sizeof(FileHeader) + limit_ + place);
    bytes.remove_prefix(n);
    at += n;
  }
  written_ = end;
  good = good && put_header(end);
  if (!good)
    error_ = errno ? errno : ENOSPC;
}

Result<LogChunk> read_output(const std::string& dir, const AttemptId& id, Stream stream,
                             std::uint64_t offset, std::uint32_t limit) {
  LogChunk chunk;
  chunk.attempt = id.attempt;
  chunk.offset = offset;
  const std::string path = output_path(dir, id, stream);
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) {
    if (errno == ENOENT)
      return chunk;
    return io_error(path, errno);
  }
  limit = std::min<std::uint32_t>(limit, 1u << 20);
  for (int look = 0; look < 100; ++look) {
    auto header = read_header(fd.get(), path);
    if (!header)
      return tl::unexpected<Error>(header.error());
    const bool in_head = offset < std::min(header->limit, header->written);
    std::uint64_t from = in_head ? offset : std::max(offset, tail_begin(*header));
    const std::uint64_t end = in_head ? std::min(header->limit, header->written) : header->written;
    chunk.written = header->written;
    chunk.offset = from;
    chunk.data.data.clear();
    if (from >= end) {
      if (!in_head && offset < end && header->limit > 0)
        continue; // the ring is being overwritten as a whole just now
      chunk.offset = std::max(offset, header->limit == 0 ? header->written : 0);
      return chunk;
    }
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(limit, end - from));
    std::string data(n, '\0');
    if (in_head) {
      if (!read_at(fd.get(), data.data(), n, sizeof(FileHeader) + from))
        return fail(Code::corrupt, "", path + ": shorter than its header says");
      chunk.data.data = std::move(data);
      return chunk;
    }
    for (std::size_t done = 0; done < n;) {
      const std::uint64_t place = (from + done - header->limit) % header->limit;
      const std::size_t part = std::min<std::uint64_t>(n - done, header->limit - place);
      if (!read_at(fd.get(), data.data() + done, part, sizeof(FileHeader) + header->limit + place))
        return fail(Code::corrupt, "", path + ": shorter than its header says");
      done += part;
    }
    auto after = read_header(fd.get(), path);
    if (!after)
      return tl::unexpected<Error>(after.error());
    const std::uint64_t valid = tail_begin(*after);
    if (valid >= from + n)
      continue; // all overwritten while we read
    if (valid > from) {
      data.erase(0, valid - from);
      from = valid;
    }
    chunk.offset = from;
    chunk.data.data = std::move(data);
    return chunk;
  }
  return chunk; // a flood faster than we read: nothing of it now, `written` tells how far it is
}

} // namespace reeve::worker
