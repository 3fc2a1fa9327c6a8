// The socket of a client: sends what Calls has to send, hands it the replies, notices lost
// connections and moves on to the next master. Owned by Client, used by one thread, which must call
// `pump` for anything to happen. cppzmq's exceptions end in connection.cpp.
#pragma once

#include "src/client/calls.hpp"

#include <memory>

namespace reeve::client {

/// ZeroMQ takes any text for a port and then connects to nothing, for ever.
bool port_is_good(std::string_view endpoint);

struct ConnectionOptions {
  std::vector<std::string> endpoints; // tcp://host:port, at least one
  std::size_t frame_bytes_max = 64u << 20;
  std::function<bool()> interrupted; // asked at least five times a second while waiting
};

class Connection {
public:
  /// Error: bad_field (`master`) when an endpoint is not one.
  static Result<std::unique_ptr<Connection>> open(ConnectionOptions options);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] Calls& calls();
  /// A master answered `hello` (encoded) and understands bundles or not: what waits to be sent may
  /// go out in them, and the next master, or the next program at the same address, is greeted
  /// alike.
  void welcomed(std::string hello, bool bundles);
  /// Sends, receives and keeps time; waits at most `patience` for something to happen.
  /// Error: timed_out when interrupted.
  Result<void> pump(Duration patience);
  /// Sends what can be sent at once, without a look at the replies.
  void flush();
  /// A connection stands.
  [[nodiscard]] bool connected() const;
  [[nodiscard]] std::string endpoint() const; // the one in use
  /// "none reached at tcp://…", in the field `master`.
  [[nodiscard]] Error no_master() const;

private:
  struct Impl;
  explicit Connection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// `host`, `host:7118`, `tcp://host` made whole with tcp:// and port 7117. ipc:// and inproc://
/// stay as they are.
std::string whole_endpoint(std::string_view endpoint);
/// A comma separated list of them; blanks are ignored.
std::vector<std::string> endpoint_list(std::string_view text);

} // namespace reeve::client
