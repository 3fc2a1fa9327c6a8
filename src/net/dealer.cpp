// See dealer.hpp.
#include "src/net/dealer.hpp"

#include <array>
#include <atomic>
#include <cstring>

namespace reeve::net {

namespace {

// A dead peer is found out by ZMTP's own heartbeats, a stuck handshake is given up early.
constexpr int handshake_ms = 2'000;
constexpr int reconnect_ms = 100, reconnect_most_ms = 2'000;

std::string monitor_endpoint() {
  static std::atomic<std::uint64_t> next{1};
  return "inproc://reeve-dealer-" + std::to_string(next++);
}

bool again(const zmq::error_t& error) {
  return error.num() == EAGAIN || error.num() == EINTR;
}

} // namespace

Result<Dealer> Dealer::connect(zmq::context_t& context, const std::string& endpoint,
                               const DealerOptions& options) {
  try {
    Dealer dealer;
    dealer.socket_ = zmq::socket_t(context, zmq::socket_type::dealer);
    zmq::socket_t& s = dealer.socket_;
    s.set(zmq::sockopt::linger, options.linger_ms);
    s.set(zmq::sockopt::sndhwm, options.send_messages);
    s.set(zmq::sockopt::rcvhwm, options.receive_messages);
    s.set(zmq::sockopt::maxmsgsize, options.frame_bytes_max);
    s.set(zmq::sockopt::handshake_ivl, handshake_ms);
    s.set(zmq::sockopt::heartbeat_ivl, options.heartbeat_ms);
    s.set(zmq::sockopt::heartbeat_timeout, 3 * options.heartbeat_ms);
    s.set(zmq::sockopt::reconnect_ivl, reconnect_ms);
    s.set(zmq::sockopt::reconnect_ivl_max, reconnect_most_ms);
    // A message queued before the connection would reach a master that no longer waits for it.
    s.set(zmq::sockopt::immediate, true);
    const std::string monitor = monitor_endpoint();
    if (zmq_socket_monitor(s.handle(), monitor.c_str(),
                           ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED) != 0)
      return fail(Code::io, {}, std::string("zmq_socket_monitor: ") + zmq_strerror(zmq_errno()));
    dealer.monitor_ = zmq::socket_t(context, zmq::socket_type::pair);
    dealer.monitor_.set(zmq::sockopt::linger, 0);
    dealer.monitor_.connect(monitor);
    s.connect(endpoint);
    return dealer;
  } catch (const zmq::error_t& error) {
    const bool wrong = error.num() == EINVAL || error.num() == EPROTONOSUPPORT;
    return fail(wrong ? Code::bad_field : Code::io, "endpoint", endpoint + ": " + error.what());
  }
}

bool Dealer::send(const std::pair<std::string, std::string>& frames) {
  try {
    // ZeroMQ sends all parts of a message or none: once the first is taken, the second is.
    if (!socket_.send(zmq::buffer(frames.first),
                      zmq::send_flags::sndmore | zmq::send_flags::dontwait))
      return false;
    return socket_.send(zmq::buffer(frames.second), zmq::send_flags::dontwait).has_value();
  } catch (const zmq::error_t&) {
    return false;
  }
}

Result<std::optional<Frames>> Dealer::receive() {
  try {
    Frames frames;
    if (!socket_.recv(frames.header_frame, zmq::recv_flags::dontwait))
      return std::nullopt;
    int parts = 1;
    bool more = frames.header_frame.more();
    while (more) {
      zmq::message_t part;
      if (!socket_.recv(part, zmq::recv_flags::dontwait))
        break;
      more = part.more();
      if (++parts == 2)
        frames.body_frame = std::move(part);
    }
    if (parts != 2)
      return fail(Code::bad_message, {}, "a message of other than 2 frames");
    return std::optional<Frames>(std::move(frames));
  } catch (const zmq::error_t& error) {
    if (again(error))
      return std::nullopt;
    return fail(Code::io, {}, std::string("receive: ") + error.what());
  }
}

std::optional<Dealer::Event> Dealer::event() {
  try {
    for (;;) {
      zmq::message_t what, where;
      if (!monitor_.recv(what, zmq::recv_flags::dontwait))
        return std::nullopt;
      if (what.more() && !monitor_.recv(where, zmq::recv_flags::dontwait))
        return std::nullopt;
      std::uint16_t number = 0;
      if (what.size() < sizeof number)
        continue;
      std::memcpy(&number, what.data(), sizeof number);
      const bool up = number == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
      if (up == up_ && !up) // a connection that was never up went away
        continue;
      up_ = up;
      return up ? Event::connected : Event::disconnected;
    }
  } catch (const zmq::error_t&) {
    return std::nullopt;
  }
}

} // namespace reeve::net
