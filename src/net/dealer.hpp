// One ZeroMQ DEALER socket to one master: connect, send and receive two-frame messages, and hear of
// the connection coming and going. For an agent's or a client's own poll loop; one thread. cppzmq's
// exceptions end here. Reconnecting is ZeroMQ's work; it never blocks.
#pragma once

#include "messages/error.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <zmq.hpp>

namespace reeve::net {

struct DealerOptions {
  int send_messages = 1'000, receive_messages = 10'000; // high-water marks
  std::int64_t frame_bytes_max = 16 << 20;
  int heartbeat_ms = 1'000; // of ZMTP: a peer that does not answer three of them is gone
  int linger_ms = 0;        // how long the context waits at the end for what was not sent
};

/// Two frames as they came. The views live as long as this.
class Frames {
public:
  zmq::message_t header_frame, body_frame;
  [[nodiscard]] std::string_view header() const { return header_frame.to_string_view(); }
  [[nodiscard]] std::string_view body() const { return body_frame.to_string_view(); }
};

class Dealer {
public:
  enum class Event { connected, disconnected };

  /// Starts connecting. Nothing is queued for a connection that is not there. Errors: bad_field
  /// (endpoint), io.
  static Result<Dealer> connect(zmq::context_t& context, const std::string& endpoint,
                                const DealerOptions& options = {});

  /// False: not connected, or the queue is full; nothing was taken.
  bool send(const std::pair<std::string, std::string>& frames);
  /// Null when there is nothing. Errors: bad_message for anything but two frames (it is dropped).
  Result<std::optional<Frames>> receive();
  /// What happened to the connection, in order; null when there is nothing more.
  std::optional<Event> event();

  /// For zmq::poll: readable -> `receive` until null, and `event` until null.
  [[nodiscard]] void* socket() { return socket_.handle(); }
  [[nodiscard]] void* monitor() { return monitor_.handle(); }

private:
  Dealer() = default;
  zmq::socket_t socket_, monitor_;
  bool up_ = false;
};

} // namespace reeve::net
