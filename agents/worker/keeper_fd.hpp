// A file descriptor that closes itself, and errno in words. Used by all files of the keeper. Must
// never hide an error it could tell.
#pragma once

#include "messages/error.hpp"

#include <cerrno>
#include <cstring>
#include <string>
#include <unistd.h>
#include <utility>

namespace reeve::worker {

class Fd {
public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other)
      reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Fd() { reset(); }
  void reset(int fd = -1) {
    if (fd_ >= 0)
      ::close(fd_);
    fd_ = fd;
  }
  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

private:
  int fd_ = -1;
};

inline std::string errno_text(int error) {
  const char* words = strerrordesc_np(error); // unlike strerror: safe in threads
  return words ? words : "error " + std::to_string(error);
}
inline tl::unexpected<Error> io_error(const std::string& what, int error) {
  return fail(Code::io, "", what + ": " + errno_text(error));
}

} // namespace reeve::worker
