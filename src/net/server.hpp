// The master's sockets: ROUTER for agents and clients, XPUB for events, one I/O thread that owns
// both. Owned by the gateway actor. Looks at the shape of messages (routing id + 2 frames), never
// into them; whatever it hands over is hostile. Exceptions of cppzmq end in server.cpp.
#pragma once

#include "messages/error.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace reeve::net {

/// A connection: the routing id that ROUTER gave it, as a number. Never 0, never given twice while
/// the program runs (short of 2^32 connections).
using Peer = std::uint64_t;

struct Message { // to or from a peer
  Peer peer = 0;
  std::string header, body;
  [[nodiscard]] std::size_t bytes() const { return sizeof(Message) + header.size() + body.size(); }
};
struct Publication { // three frames on the event socket
  std::string topic, position, body;
};

struct ServerOptions {
  std::string listen = "tcp://127.0.0.1:*"; // port `*`: the system picks one
  std::string events{};                     // empty: no event socket
  std::int64_t frame_bytes_max = 16 << 20;
  std::size_t peer_bytes_max = 64u
                               << 20; // waiting for one slow peer; beyond it the peer is dropped
  int silent_reader_ms = 30'000; // takes nothing for so long: an event reader's connection ends
  std::size_t input_bytes_max =
    64u << 20; // handed over and not yet given back by `consumed`; beyond it nothing is read
};

struct ServerCounters { // since the start; any thread may read them
  std::atomic<std::uint64_t> received{0}, sent{0}, misshapen{0}, unreachable{0}, dropped_peers{0};
};

class Server {
public:
  /// Called on the I/O thread: must only pass on.
  struct Handler {
    std::function<void(std::vector<Message>)> received;
    std::function<void(Peer, std::string reason)>
      gone; // cannot be sent to any more; what was on its way is lost
    std::function<void(std::string topic, bool begins)>
      subscribed; // somebody listens to events with this prefix, or does so no more
  };

  /// Opens and binds both sockets; the thread does not run yet, connections wait. Errors: io,
  /// naming `listen` or `events`.
  static Result<std::unique_ptr<Server>> bind(ServerOptions options);
  ~Server(); // stops
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }
  [[nodiscard]] const std::string& events_endpoint() const { return events_endpoint_; }
  [[nodiscard]] const ServerCounters& counters() const { return counters_; }

  void start(Handler handler);
  /// From any thread. Order is kept for each peer.
  void send(std::vector<Message> messages);
  void publish(std::vector<Publication> publications);
  /// Messages handed over have been worked on: `bytes` as the sum of Message::bytes().
  void consumed(std::size_t bytes);
  /// Reads nothing from peers any more; still sends.
  void pause();
  /// Sends what is queued, as far as peers take it within half a second, and ends the thread.
  void stop();

private:
  struct Io;
  explicit Server(ServerOptions options);

  ServerOptions options_;
  std::string endpoint_, events_endpoint_;
  ServerCounters counters_;
  std::unique_ptr<Io> io_;
};

} // namespace reeve::net
