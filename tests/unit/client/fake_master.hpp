// A ROUTER on a port of 127.0.0.1 that the system picks, with a thread that answers as the test
// says: rightly, late, twice, wrongly or not at all. Used by the tests of the client and of the
// command line. Hello is answered with Welcome unless the test does it.
#pragma once

#include "messages/protocol.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <zmq.hpp>

namespace reeve::testing_support {

class FakeMaster {
public:
  /// One request, and the means to answer it.
  class Asked {
  public:
    Header header;
    std::string body;
    int time = 1; // 1 for the first request of this type, then 2, …

    template<class M> M as() const { return *decode<M>(body); }
    template<class M> void reply(const M& message) {
      frames(
        {encode(Header{protocol_version, M::type, header.correlation, Epoch(1)}), encode(message)});
    }
    void refuse(Code code, std::string field, std::string text, Duration retry_after = {}) {
      reply(Failed{code, std::move(field), std::move(text), retry_after, {}});
    }
    /// Any frames behind the routing id.
    void frames(const std::vector<std::string>& all) {
      socket.send(zmq::buffer(routing_id), zmq::send_flags::sndmore);
      for (std::size_t k = 0; k < all.size(); ++k)
        socket.send(zmq::buffer(all[k]),
                    k + 1 < all.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
    }

    Asked(zmq::socket_t& s, std::string id) : socket(s), routing_id(std::move(id)) {}

  private:
    zmq::socket_t& socket;
    std::string routing_id;
  };
  using Handler = std::function<void(Asked&)>;

  explicit FakeMaster(Handler handler, bool answer_hello = true)
      : handler_(std::move(handler)), answer_hello_(answer_hello),
        wake_(context_, zmq::socket_type::pair) {
    wake_.bind("inproc://wake");
    socket_ = bind("tcp://127.0.0.1:*");
    endpoint_ = socket_.get(zmq::sockopt::last_endpoint);
    thread_ = std::thread([this] { run(); });
  }
  ~FakeMaster() {
    wake_.send(zmq::str_buffer("end"), zmq::send_flags::none);
    thread_.join();
  }
  FakeMaster(const FakeMaster&) = delete;
  FakeMaster& operator=(const FakeMaster&) = delete;

  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }
  /// Requests of that type so far.
  [[nodiscard]] int asked(MessageType type) {
    const std::lock_guard lock(mutex_);
    return times_[type];
  }
  /// From within the handler: all connections end, and a new socket listens at the same place, as
  /// after a restart.
  void restart_after_this() { restart_ = true; }

private:
  zmq::socket_t bind(const std::string& where) {
    zmq::socket_t socket(context_, zmq::socket_type::router);
    socket.set(zmq::sockopt::linger, 0);
    socket.bind(where);
    return socket;
  }

  void run() {
    zmq::socket_t end(context_, zmq::socket_type::pair);
    end.connect("inproc://wake");
    while (true) {
      std::array<zmq::pollitem_t, 2> items{
        {{socket_.handle(), 0, ZMQ_POLLIN, 0}, {end.handle(), 0, ZMQ_POLLIN, 0}}};
      zmq::poll(items, std::chrono::milliseconds(-1));
      if ((items[1].revents & ZMQ_POLLIN) != 0)
        return;
      while (serve() && !restart_) {
      }
      if (restart_.exchange(false)) {
        socket_.close();
        for (bool bound = false; !bound;) { // the old listener goes in its own time
          try {
            socket_ = bind(endpoint_);
            bound = true;
          } catch (const zmq::error_t&) {
            std::this_thread::yield();
          }
        }
      }
    }
  }

  /// One request, if there is one.
  bool serve() {
    std::vector<std::string> frames;
    zmq::message_t frame;
    do {
      if (!socket_.recv(frame, frames.empty() ? zmq::recv_flags::dontwait : zmq::recv_flags::none))
        return false;
      frames.push_back(frame.to_string());
    } while (frame.more());
    if (frames.size() != 3)
      return true;
    Asked asked(socket_, frames[0]);
    const auto header = decode<Header>(frames[1]);
    if (!header)
      return true;
    asked.header = *header;
    asked.body = frames[2];
    {
      const std::lock_guard lock(mutex_);
      asked.time = ++times_[header->type];
    }
    if (answer_hello_ && header->type == MessageType::hello) {
      Welcome welcome;
      welcome.cluster = "test";
      welcome.program = "reeved test";
      asked.reply(welcome);
      return true;
    }
    handler_(asked);
    return true;
  }

  Handler handler_;
  bool answer_hello_;
  std::atomic<bool> restart_{false};
  std::mutex mutex_;
  std::map<MessageType, int> times_;
  zmq::context_t context_;
  zmq::socket_t wake_, socket_;
  std::string endpoint_;
  std::thread thread_;
};

} // namespace reeve::testing_support
