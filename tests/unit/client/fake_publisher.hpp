// A master that publishes events: kept ones on demand, new ones as the test says, and restarts.
// Used by the tests of the event stream and of `reeve events`.
#pragma once

#include "messages/event_pack.hpp"
#include "tests/unit/client/fake_master.hpp"

#include <memory>

namespace reeve::testing_support {

inline Event event(std::uint64_t seq, std::uint32_t part = 0, std::string kind = "job.submitted") {
  Event e;
  e.seq = Seq(seq);
  e.part = part;
  e.kind = std::move(kind);
  return e;
}

/// An XPUB socket and a ring of kept events, as a master has them; and a master that says where.
class FakePublisher {
public:
  explicit FakePublisher(std::vector<Event> kept = {})
      : kept_(std::move(kept)), wake_(context_, zmq::socket_type::pair) {
    wake_.bind("inproc://wake");
    socket_ = bind("tcp://127.0.0.1:*");
    endpoint_ = socket_.get(zmq::sockopt::last_endpoint);
    thread_ = std::thread([this] { serve(); });
    master_ = std::make_unique<FakeMaster>(
      [this](FakeMaster::Asked& asked) {
        if (asked.header.type == MessageType::hello) {
          Welcome welcome;
          welcome.events = endpoint_;
          asked.reply(welcome);
        } else {
          MasterStatus status;
          status.durable = Seq(durable);
          asked.reply(status);
        }
      },
      false);
  }
  ~FakePublisher() {
    tell("end");
    thread_.join();
  }
  FakePublisher(const FakePublisher&) = delete;
  FakePublisher& operator=(const FakePublisher&) = delete;

  void publish(const Event& e) { tell("publish", encode(e)); }
  /// Kept, but not sent: as to a reader that is slower than events come.
  void leave_out(const Event& e) { tell("leave out", encode(e)); }
  /// All connections end; what is kept and the place stay, as after a quick restart.
  void restart(bool forget) { tell(forget ? "forget" : "restart"); }
  [[nodiscard]] std::vector<std::string> where() const { return {master_->endpoint()}; }

  std::atomic<std::uint64_t> durable{0};
  std::atomic<int> replays{0};

private:
  zmq::socket_t bind(const std::string& where) {
    zmq::socket_t socket(context_, zmq::socket_type::xpub);
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::xpub_verbose, 1);
    for (bool bound = false; !bound;) // the old listener goes in its own time
      try {
        socket.bind(where);
        bound = true;
      } catch (const zmq::error_t&) {
        std::this_thread::yield();
      }
    return socket;
  }
  void tell(const std::string& what, const std::string& body = {}) {
    wake_.send(zmq::buffer(what), zmq::send_flags::sndmore);
    wake_.send(zmq::buffer(body), zmq::send_flags::none);
  }
  void send(const std::string& topic, const EventPack& pack, std::uint64_t number = 0) {
    socket_.send(zmq::buffer(topic), zmq::send_flags::sndmore);
    socket_.send(zmq::buffer(encode(std::vector<std::uint64_t>{number})), zmq::send_flags::sndmore);
    socket_.send(zmq::buffer(pack.bytes()), zmq::send_flags::none);
  }
  /// As many of the kept events as fit, from an earlier one on than was asked for.
  void replay(const std::string& topic) {
    ++replays;
    const Seq from(std::stoull(topic.substr(8)));
    Event end = event(0, 0, "replay.done");
    EventPack pack;
    for (std::size_t k = 0; k < kept_.size(); ++k) {
      if (kept_[k].seq >= from || (k + 1 < kept_.size() && kept_[k + 1].seq >= from))
        pack.add(kept_[k]);
      if (pack.count() == 2 || k + 1 == kept_.size()) {
        send(topic, pack);
        pack.clear();
      }
      end.seq = kept_[k].seq;
      end.part = kept_[k].part;
    }
    if (!kept_.empty())
      end.numbers["oldest"] = static_cast<std::int64_t>(kept_.front().seq.value);
    pack.add(end);
    send(topic, pack);
  }
  void serve() {
    zmq::socket_t told(context_, zmq::socket_type::pair);
    told.connect("inproc://wake");
    while (true) {
      std::array<zmq::pollitem_t, 2> items{
        {{socket_.handle(), 0, ZMQ_POLLIN, 0}, {told.handle(), 0, ZMQ_POLLIN, 0}}};
      zmq::poll(items, std::chrono::milliseconds(-1));
      zmq::message_t frame, body;
      while (socket_.recv(frame, zmq::recv_flags::dontwait))
        if (const std::string text = frame.to_string(); text.rfind("\1of.past.", 0) == 0)
          replay(text.substr(1));
      if ((items[1].revents & ZMQ_POLLIN) == 0)
        continue;
      (void)told.recv(frame);
      (void)told.recv(body);
      const std::string what = frame.to_string();
      if (what == "end")
        return;
      if (what == "publish" || what == "leave out") {
        kept_.push_back(*decode<Event>(body.to_string()));
        ++number_;
        if (what == "publish") {
          EventPack pack;
          pack.add(kept_.back());
          send("of.all", pack, number_);
        }
        continue;
      }
      if (what == "forget")
        kept_.clear();
      socket_.close();
      socket_ = bind(endpoint_);
    }
  }

  std::vector<Event> kept_;
  std::uint64_t number_ = 0;
  zmq::context_t context_;
  zmq::socket_t wake_, socket_;
  std::string endpoint_;
  std::thread thread_;
  std::unique_ptr<FakeMaster> master_;
};

} // namespace reeve::testing_support
