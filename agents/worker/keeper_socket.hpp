// Frames over the unix socket between agent and keeper: a 4-byte little-endian length, then the
// bytes. Used by both ends. Must never allocate more than a frame's bound for a peer, nor block.
#pragma once

#include "agents/worker/keeper_fd.hpp"
#include "agents/worker/keeper_protocol.hpp"

#include <string>
#include <string_view>

namespace reeve::worker {

void append_frame(std::string& out, std::string_view body);

/// Bytes as they come, frames as they are complete.
class FrameReader {
public:
  /// Reads what is there, at most about 4 MiB a call. False: the peer has closed. Errors: io.
  Result<bool> read_from(int fd);
  /// The next complete frame, valid until the next call of either function; empty view: none yet.
  /// Errors: too_large, bad_message.
  Result<std::string_view> next();

private:
  std::string buffer_;
  std::size_t begin_ = 0; // of what has not been handed out
};

/// Sends from the front of `out` what the socket takes. Errors: io (the peer is gone).
Result<void> send_some(int fd, std::string& out);

/// Listens on / connects to `dir`/keeper.sock; the path may be longer than a socket address.
/// Non-blocking, close-on-exec.
Result<Fd> listen_in(const std::string& dir);
Result<Fd> connect_in(const std::string& dir);

} // namespace reeve::worker
