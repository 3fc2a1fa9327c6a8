// The virtual network between masters and everybody who connects to them: connections that come
// and go, frames that are late, lost, repeated or overtaken, directions that are clogged. Owned by
// the simulation. Knows only bytes; frames of a connection that is gone reach nobody.
#pragma once

#include "tests/sim/random.hpp"
#include "tests/sim/timeline.hpp"

#include <array>
#include <deque>
#include <map>

namespace reeve::sim {

struct Frame {
  std::string header, body;
};

/// An agent or a client.
class Dialer {
public:
  virtual ~Dialer() = default;
  [[nodiscard]] virtual bool can_connect() const = 0;
  virtual void on_connected() = 0;
  virtual void on_disconnected() = 0;
  virtual void on_frame(const Frame& frame) = 0;
};
/// A master.
class Listener {
public:
  virtual ~Listener() = default;
  [[nodiscard]] virtual bool can_accept() const = 0;
  virtual void on_frame(std::uint64_t peer, Frame frame) = 0;
  virtual void on_gone(std::uint64_t peer) = 0;
};

struct Noise {
  std::uint64_t drop = 0, repeat = 0; // per mille of the frames
  bool reorder = false;
  Duration delay_least{200}, delay_most{2'000};
};

class Network {
public:
  Network(Timeline& timeline, std::uint64_t seed, Noise first)
      : noise(first), timeline_(timeline), random_(seed) {}
  /// Listeners have numbers, from 0 on.
  void listen(Listener& listener) { listeners_.push_back(&listener); }
  /// Returns the host's number. It is connected to the listener as soon as possible, and again
  /// whenever it is not.
  std::size_t add(Dialer& dialer, std::size_t listener = 0);

  /// False: there is no connection; nothing was taken.
  bool send_up(std::size_t host, Frame frame);
  void send_down(std::uint64_t peer, Frame frame);

  /// The host's connection breaks. The master hears of it now, or when it next sends there.
  void hang_up(std::size_t host);
  void hang_up_all(std::size_t listener);
  /// Frames of a direction wait. After 3 s both ends give the connection up, as ZeroMQ's heartbeats
  /// do. Counted: each clog needs its unclog.
  void clog(std::size_t host, bool up, bool down);
  void unclog(std::size_t host, bool up, bool down);
  /// Frames that the host was sent long ago come again: a leader of the past speaks.
  void repeat_old(std::size_t host);
  [[nodiscard]] std::uint64_t peer_of(std::size_t host) const { return hosts_[host].peer; }

  Noise noise;

private:
  enum Way : std::size_t { up = 0, down = 1 };
  struct Direction {
    int clogs = 0;
    std::uint64_t clogging = 0; // which clog this is
    TimePoint last;             // when the newest frame arrives
    std::vector<Frame> held;
  };
  struct Host {
    Dialer* dialer = nullptr;
    std::size_t listener = 0;
    std::uint64_t peer = 0; // 0: not connected
    std::array<Direction, 2> ways;
    std::deque<Frame> old;
  };
  void dial(std::size_t host);
  void send(std::size_t host, Way way, Frame frame);
  void fly(std::size_t host, Way way, Frame frame);
  void arrive(std::size_t host, Way way, std::uint64_t peer, const Frame& frame);

  Timeline& timeline_;
  Random random_;
  std::vector<Listener*> listeners_;
  std::vector<Host> hosts_;
  std::map<std::uint64_t, std::size_t> by_peer_;
  std::vector<std::size_t> listener_of_; // each peer there ever was, from 1 on
};

} // namespace reeve::sim
