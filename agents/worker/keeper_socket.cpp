// The frames and the address of the keeper's socket. See keeper_socket.hpp.
#include "agents/worker/keeper_socket.hpp"

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace reeve::worker {
namespace {

struct Address {
  Fd dir;
  sockaddr_un un{};
};

// sun_path holds 107 characters, state directories can be longer: the way through /proc/self/fd is
// always short.
Result<Address> address_in(const std::string& dir) {
  Address address;
  address.dir.reset(::open(dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!address.dir)
    return io_error(dir, errno);
  const std::string path = "/proc/self/fd/" + std::to_string(address.dir.get()) + "/keeper.sock";
  address.un.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), address.un.sun_path);
  return address;
}

} // namespace

void append_frame(std::string& out, std::string_view body) {
  const auto size = static_cast<std::uint32_t>(body.size());
  for (unsigned shift = 0; shift < 32; shift += 8)
    out.push_back(static_cast<char>((size >> shift) & 0xFFu));
  out.append(body);
}

Result<bool> FrameReader::read_from(int fd) {
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  std::array<char, 65'536> chunk;
  for (int turn = 0; turn < 64; ++turn) {
    const ssize_t n = ::recv(fd, chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (n == 0)
      return false;
    if (n < 0) {
      if (errno == EINTR)
        continue;
      if (errno == EAGAIN)
        return true;
      return io_error("keeper socket", errno);
    }
    buffer_.append(chunk.data(), static_cast<std::size_t>(n));
    if (static_cast<std::size_t>(n) < chunk.size())
      return true;
  }
  return true; // more is there, and poll says so again
}

Result<std::string_view> FrameReader::next() {
  const std::size_t have = buffer_.size() - begin_;
  if (have < 4)
    return std::string_view{};
  std::uint32_t size = 0;
  for (unsigned k = 0; k < 4; ++k)
    size |= std::uint32_t{static_cast<unsigned char>(buffer_[begin_ + k])} << (8 * k);
  if (size == 0)
    return fail(Code::bad_message, "", "empty frame");
  if (size > keeper_frame_bytes_max)
    return fail(Code::too_large, "", "frame of " + std::to_string(size) + " bytes");
  if (have - 4 < size)
    return std::string_view{};
  const std::string_view frame(buffer_.data() + begin_ + 4, size);
  begin_ += 4 + std::size_t{size};
  return frame;
}

Result<void> send_some(int fd, std::string& out) {
  std::size_t sent = 0;
  int error = 0;
  while (sent < out.size()) {
    const ssize_t n = ::send(fd, out.data() + sent, out.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      error = errno == EAGAIN ? 0 : errno;
      break;
    }
    sent += static_cast<std::size_t>(n);
  }
  out.erase(0, sent);
  if (error)
    return io_error("keeper socket", error);
  return {};
}

Result<Fd> listen_in(const std::string& dir) {
  auto address = address_in(dir);
  if (!address)
    return tl::unexpected<Error>(address.error());
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd)
    return io_error("socket", errno);
  ::unlink(address->un.sun_path); // left by a dead keeper: the lock says that no other lives
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address->un), sizeof address->un) != 0)
    return io_error("bind keeper.sock", errno);
  if (::chmod(address->un.sun_path, 0600) != 0 || ::listen(fd.get(), 8) != 0)
    return io_error("listen on keeper.sock", errno);
  return fd;
}

Result<Fd> connect_in(const std::string& dir) {
  auto address = address_in(dir);
  if (!address)
    return fail(Code::unavailable, "", address.error().text);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd)
    return io_error("socket", errno);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address->un), sizeof address->un) != 0)
    return fail(Code::unavailable, "", "no keeper listens in " + dir + ": " + errno_text(errno));
  ::fcntl(fd.get(), F_SETFL, O_NONBLOCK); // after connect: only the greeting may wait
  return fd;
}

} // namespace reeve::worker
