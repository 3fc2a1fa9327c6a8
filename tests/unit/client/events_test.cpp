// The event stream against a master that publishes, forgets, restarts and repeats, over real
// sockets.
#include "src/client/events.hpp"
#include "tests/unit/client/fake_master.hpp"

#include <gtest/gtest.h>

namespace reeve {
namespace {
using namespace std::chrono_literals;
using testing_support::FakeMaster;

Event event(std::uint64_t seq, std::uint32_t part = 0, std::string kind = "job.submitted") {
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
  void send(const std::string& topic, const Event& e) {
    socket_.send(zmq::buffer(topic), zmq::send_flags::sndmore);
    socket_.send(zmq::str_buffer("position"), zmq::send_flags::sndmore);
    socket_.send(zmq::buffer(encode(e)), zmq::send_flags::none);
  }
  void replay(const std::string& topic) {
    ++replays;
    const Seq from(std::stoull(topic.substr(7)));
    Event end = event(0, 0, "replay.done");
    for (const Event& e : kept_) {
      if (e.seq >= from)
        send(topic, e);
      end.seq = e.seq;
      end.part = e.part;
    }
    if (!kept_.empty())
      end.numbers["oldest"] = static_cast<std::int64_t>(kept_.front().seq.value);
    send("replay.1.somebody-else", event(1)); // must not be taken for an answer
    send(topic, end);
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
        if (const std::string text = frame.to_string(); text.rfind("\1replay.", 0) == 0)
          replay(text.substr(1));
      if ((items[1].revents & ZMQ_POLLIN) == 0)
        continue;
      (void)told.recv(frame);
      (void)told.recv(body);
      const std::string what = frame.to_string();
      if (what == "end")
        return;
      if (what == "publish") {
        kept_.push_back(*decode<Event>(body.to_string()));
        send(kept_.back().kind, kept_.back());
        continue;
      }
      if (what == "forget")
        kept_.clear();
      socket_.close();
      socket_ = bind(endpoint_);
    }
  }

  std::vector<Event> kept_;
  zmq::context_t context_;
  zmq::socket_t wake_, socket_;
  std::string endpoint_;
  std::thread thread_;
  std::unique_ptr<FakeMaster> master_;
};

/// "5", "5.1" or "gap 2-4" for each, until as many have come.
std::vector<std::string> read(EventStream& stream, std::size_t count) {
  std::vector<std::string> out;
  while (out.size() < count) {
    auto next = stream.next(10s);
    if (!next || !*next)
      return out;
    const Event& e = **next;
    out.push_back(e.kind == "stream.gap" ? "gap " + std::to_string(e.numbers.at("first")) + "-" +
                                             std::to_string(e.numbers.at("last"))
                                         : std::to_string(e.seq.value) +
                                             (e.part > 0 ? "." + std::to_string(e.part) : ""));
  }
  return out;
}
using Words = std::vector<std::string>;

EventOptions from(std::uint64_t seq) {
  EventOptions options;
  options.from = Seq(seq);
  return options;
}

TEST(event_stream, without_a_start_only_what_happens_from_now_on_is_told) {
  FakePublisher publisher({event(1), event(2)});
  publisher.durable = 2;
  auto stream = EventStream::open(publisher.where());
  ASSERT_TRUE(stream) << stream.error().message();
  publisher.publish(event(3));
  publisher.publish(event(3, 1));
  EXPECT_EQ(read(*stream, 2), (Words{"3", "3.1"}));
}

TEST(event_stream, kept_events_come_first_and_none_comes_twice) {
  FakePublisher publisher({event(1), event(2), event(2, 1), event(3)});
  publisher.durable = 3;
  auto stream = EventStream::open(publisher.where(), from(2));
  ASSERT_TRUE(stream) << stream.error().message();
  publisher.publish(event(3));
  publisher.publish(event(4));
  EXPECT_EQ(read(*stream, 4), (Words{"2", "2.1", "3", "4"}));
}

TEST(event_stream, from_the_start_means_all_that_is_kept_and_tells_what_is_not) {
  FakePublisher publisher({event(5), event(7)});
  publisher.durable = 7;
  auto stream = EventStream::open(publisher.where(), from(0));
  ASSERT_TRUE(stream) << stream.error().message();
  EXPECT_EQ(read(*stream, 3), (Words{"gap 1-4", "5", "7"}));
}

TEST(event_stream, goes_on_after_a_lost_connection_without_loss_or_repetition) {
  FakePublisher publisher;
  auto stream = EventStream::open(publisher.where(), from(1));
  ASSERT_TRUE(stream) << stream.error().message();
  publisher.publish(event(1));
  publisher.publish(event(2));
  EXPECT_EQ(read(*stream, 2), (Words{"1", "2"}));
  publisher.durable = 4;
  publisher.restart(false);
  publisher.publish(event(2, 1)); // nobody listens now
  publisher.publish(event(3));
  publisher.publish(event(4));
  EXPECT_EQ(read(*stream, 3), (Words{"2.1", "3", "4"}));
}

TEST(event_stream, a_restart_that_forgot_events_is_told_as_a_gap) {
  FakePublisher publisher;
  auto stream = EventStream::open(publisher.where(), from(1));
  ASSERT_TRUE(stream) << stream.error().message();
  publisher.publish(event(1));
  EXPECT_EQ(read(*stream, 1), Words{"1"});
  publisher.durable = 6;
  publisher.restart(true);
  EXPECT_EQ(read(*stream, 1), Words{"gap 2-6"});
  publisher.publish(event(7));
  EXPECT_EQ(read(*stream, 1), Words{"7"});
}

TEST(event_stream, a_journal_that_begins_anew_is_followed_again) {
  FakePublisher publisher({event(50)});
  publisher.durable = 50;
  auto stream = EventStream::open(publisher.where(), from(50));
  ASSERT_TRUE(stream) << stream.error().message();
  EXPECT_EQ(read(*stream, 1), Words{"50"});
  publisher.durable = 1;
  publisher.restart(true);
  EXPECT_EQ(read(*stream, 1), Words{"gap 2-50"});
  publisher.publish(event(2));
  EXPECT_EQ(read(*stream, 1), Words{"2"});
}

TEST(event_stream, nothing_new_is_no_error_and_an_interruption_is) {
  FakePublisher publisher;
  std::atomic<bool> stop{false};
  EventOptions options;
  options.interrupted = [&] { return stop.load(); };
  auto stream = EventStream::open(publisher.where(), options);
  ASSERT_TRUE(stream) << stream.error().message();
  const auto nothing = stream->next(1ms);
  ASSERT_TRUE(nothing);
  EXPECT_FALSE(*nothing);
  stop = true;
  EXPECT_EQ(stream->next(10s).error().text, "interrupted");
}

TEST(event_stream, a_master_that_publishes_nothing_says_so) {
  FakeMaster master([](FakeMaster::Asked&) {});
  const auto stream = EventStream::open({master.endpoint()});
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().code, Code::not_found);
}

} // namespace
} // namespace reeve
