// The master's sockets, with real peers on the loopback. Every wait is for an event, with a
// deadline.
#include "src/net/server.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <set>
#include <zmq.hpp>

namespace reeve::net {
namespace {

using namespace std::chrono_literals;

class ServerTest : public testing::Test {
protected:
  void open(ServerOptions options = {}) {
    auto bound = Server::bind(std::move(options));
    ASSERT_TRUE(bound) << bound.error().message();
    server_ = std::move(*bound);
    Server::Handler handler;
    handler.received = [this](std::vector<Message> messages) {
      const std::lock_guard lock(mutex_);
      for (auto& message : messages)
        received_.push_back(std::move(message));
      news_.notify_all();
    };
    handler.gone = [this](Peer peer, std::string reason) {
      const std::lock_guard lock(mutex_);
      gone_.emplace_back(peer, std::move(reason));
      news_.notify_all();
    };
    handler.subscribed = [this](const std::string& topic, bool begins) {
      const std::lock_guard lock(mutex_);
      if (begins)
        topics_.insert(topic);
      else if (const auto at = topics_.find(topic); at != topics_.end())
        topics_.erase(at);
      news_.notify_all();
    };
    server_->start(std::move(handler));
  }
  template<class F> bool await(F&& condition) {
    std::unique_lock lock(mutex_);
    for (const auto end = std::chrono::steady_clock::now() + 20s; !condition();)
      if (std::chrono::steady_clock::now() > end)
        return false;
      else
        news_.wait_for(lock, 10ms); // not everything that is awaited tells of itself
    return true;
  }
  std::vector<Message> await_messages(std::size_t n) {
    EXPECT_TRUE(await([&] { return received_.size() >= n; }));
    const std::lock_guard lock(mutex_);
    return received_;
  }
  zmq::socket_t dealer() {
    zmq::socket_t socket(context_, zmq::socket_type::dealer);
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::rcvtimeo, 20'000);
    socket.connect(server_->endpoint());
    return socket;
  }
  static void say(zmq::socket_t& socket, std::vector<std::string> frames) {
    for (std::size_t i = 0; i < frames.size(); ++i)
      socket.send(zmq::buffer(frames[i]),
                  i + 1 < frames.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
  }
  static std::vector<std::string> hear(zmq::socket_t& socket) {
    std::vector<std::string> frames;
    zmq::message_t frame;
    do {
      if (!socket.recv(frame))
        break;
      frames.push_back(frame.to_string());
    } while (frame.more());
    return frames;
  }

  std::mutex mutex_;
  std::condition_variable news_;
  std::vector<Message> received_;
  std::vector<std::pair<Peer, std::string>> gone_;
  std::multiset<std::string> topics_;
  zmq::context_t context_;
  std::unique_ptr<Server> server_; // last: its thread calls into the rest
};

TEST_F(ServerTest, tells_the_port_that_the_system_picked) {
  open();
  EXPECT_EQ(server_->endpoint().rfind("tcp://127.0.0.1:", 0), 0u);
  EXPECT_EQ(server_->endpoint().find('*'), std::string::npos);
}
TEST_F(ServerTest, a_taken_port_is_an_error_that_names_the_flag) {
  open();
  const auto second = Server::bind({.listen = server_->endpoint()});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().field, "listen");
  EXPECT_NE(second.error().text.find("in use"), std::string::npos) << second.error().text;
}
TEST_F(ServerTest, a_senseless_endpoint_is_an_error) {
  EXPECT_FALSE(Server::bind({.listen = "nonsense"}));
  const auto events = Server::bind({.listen = "tcp://127.0.0.1:*", .events = "tcp://nowhere"});
  ASSERT_FALSE(events);
  EXPECT_EQ(events.error().field, "events");
}
TEST_F(ServerTest, a_message_comes_in_and_its_answer_goes_out) {
  open();
  auto peer = dealer();
  say(peer, {"header", "body"});
  const auto messages = await_messages(1);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].header, "header");
  EXPECT_EQ(messages[0].body, "body");
  EXPECT_NE(messages[0].peer, 0u);
  server_->send({{messages[0].peer, "h", "b"}});
  EXPECT_EQ(hear(peer), (std::vector<std::string>{"h", "b"}));
}
TEST_F(ServerTest, messages_of_another_shape_are_dropped_and_counted) {
  open();
  auto peer = dealer();
  say(peer, {"alone"});
  say(peer, {"one", "two", "three"});
  say(peer, {"header", "body"});
  const auto messages = await_messages(1);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].header, "header");
  EXPECT_EQ(server_->counters().misshapen.load(), 2u);
}
TEST_F(ServerTest, a_peer_that_chose_its_own_routing_id_is_not_heard) {
  open();
  zmq::socket_t chosen(context_, zmq::socket_type::dealer);
  chosen.set(zmq::sockopt::linger, 0);
  chosen.set(zmq::sockopt::routing_id, "admin");
  chosen.connect(server_->endpoint());
  say(chosen, {"h", "b"});
  auto peer = dealer();
  // The second peer's message may overtake the first: repeat until both were seen.
  ASSERT_TRUE(await([&] { return true; }));
  for (int i = 0; i < 2'000 && server_->counters().misshapen.load() == 0; ++i) {
    say(peer, {"h", "b"});
    await_messages(static_cast<std::size_t>(i) + 1);
  }
  EXPECT_EQ(server_->counters().misshapen.load(), 1u);
}
TEST_F(ServerTest, an_oversized_frame_costs_its_sender_the_connection_and_nobody_else) {
  open({.frame_bytes_max = 10'000});
  auto bad = dealer(), good = dealer();
  say(bad, {"h", std::string(20'000, 'x')});
  say(good, {"h", "b"});
  const auto messages = await_messages(1);
  EXPECT_EQ(messages[0].body, "b");
}
TEST_F(ServerTest, an_unreachable_peer_is_reported) {
  open();
  server_->send({{Peer{0x1'0000'0001}, "h", "b"}});
  EXPECT_TRUE(await([&] { return !gone_.empty(); }));
  EXPECT_EQ(gone_[0].first, Peer{0x1'0000'0001});
}
TEST_F(ServerTest, order_is_kept_through_the_backlog_of_a_slow_peer) {
  open();
  auto peer = dealer();
  peer.set(zmq::sockopt::rcvhwm, 1'000);
  say(peer, {"h", "b"});
  const Peer id = await_messages(1)[0].peer;
  constexpr int n = 20'000;
  for (int i = 0; i < n; ++i)
    server_->send({{id, std::to_string(i), std::string(500, 'x')}});
  for (int i = 0; i < n; ++i)
    ASSERT_EQ(hear(peer).at(0), std::to_string(i));
}
TEST_F(ServerTest, a_peer_that_never_reads_is_dropped_at_its_byte_bound_and_others_are_served) {
  open({.peer_bytes_max = 1 << 20});
  zmq::socket_t stuck(context_, zmq::socket_type::dealer);
  stuck.set(zmq::sockopt::linger, 0);
  stuck.set(zmq::sockopt::rcvhwm, 1);
  stuck.set(zmq::sockopt::rcvbuf, 4'096);
  stuck.connect(server_->endpoint());
  say(stuck, {"h", "b"});
  const Peer id = await_messages(1)[0].peer;
  for (int i = 0; i < 400; ++i)
    server_->send({{id, "h", std::string(100'000, 'x')}});
  EXPECT_TRUE(await([&] { return !gone_.empty(); }));
  EXPECT_EQ(gone_[0].first, id);
  auto other = dealer();
  say(other, {"h", "other"});
  const auto messages = await_messages(2);
  server_->send({{messages[1].peer, "h", "served"}});
  EXPECT_EQ(hear(other).at(1), "served");
}
TEST_F(ServerTest, nothing_is_read_while_too_much_is_unworked) {
  open({.input_bytes_max = 1});
  auto peer = dealer();
  say(peer, {"h", "first"});
  const std::size_t bytes = await_messages(1)[0].bytes();
  say(peer, {"h", "second"});
  server_->send({{received_[0].peer, "h", "b"}});
  hear(peer); // a round trip later the second has been there and was not read
  {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(received_.size(), 1u);
  }
  server_->consumed(bytes);
  EXPECT_EQ(await_messages(2)[1].body, "second");
}
TEST_F(ServerTest, events_reach_those_who_subscribed) {
  open({.events = "tcp://127.0.0.1:*"});
  zmq::socket_t subscriber(context_, zmq::socket_type::sub);
  subscriber.set(zmq::sockopt::linger, 0);
  subscriber.set(zmq::sockopt::rcvtimeo, 20'000);
  subscriber.set(zmq::sockopt::subscribe, "job.");
  subscriber.connect(server_->events_endpoint());
  ASSERT_TRUE(await([&] { return topics_.contains("job."); }));
  server_->publish({{"node.lost.n1", "p", "not for us"}, {"job.ended.7", "position", "event"}});
  EXPECT_EQ(hear(subscriber), (std::vector<std::string>{"job.ended.7", "position", "event"}));
}
TEST_F(ServerTest, tells_of_each_subscription_and_of_its_end) {
  open({.events = "tcp://127.0.0.1:*"});
  zmq::socket_t first(context_, zmq::socket_type::sub), second(context_, zmq::socket_type::sub);
  for (auto* subscriber : {&first, &second}) {
    subscriber->set(zmq::sockopt::linger, 0);
    subscriber->set(zmq::sockopt::subscribe, "");
    subscriber->set(zmq::sockopt::subscribe, "job.");
    subscriber->connect(server_->events_endpoint());
  }
  ASSERT_TRUE(await([&] { return topics_.count("") == 2 && topics_.count("job.") == 2; }));
  first.set(zmq::sockopt::unsubscribe, "job.");
  first.close();
  EXPECT_TRUE(await([&] { return topics_.count("") == 1 && topics_.count("job.") == 1; }));
  second.close();
  EXPECT_TRUE(await([&] { return topics_.empty(); }));
}
/// The connection's end is how a reader that had stopped learns that it must ask again.
TEST_F(ServerTest, an_event_reader_that_takes_nothing_for_long_is_let_go) {
  open({.events = "tcp://127.0.0.1:*", .silent_reader_ms = 500});
  zmq::socket_t reader(context_, zmq::socket_type::sub); // nobody asks it for what it has
  reader.set(zmq::sockopt::linger, 0);
  reader.set(zmq::sockopt::rcvhwm, 1);
  reader.set(zmq::sockopt::reconnect_ivl, -1);
  reader.set(zmq::sockopt::subscribe, "big");
  reader.connect(server_->events_endpoint());
  ASSERT_TRUE(await([&] { return topics_.contains("big"); }));
  for (int n = 0; n < 64; ++n)
    server_->publish({{"big", "p", std::string(1u << 20, 'x')}}); // more than the system takes
  EXPECT_TRUE(await([&] { return topics_.empty(); }));
}
TEST_F(ServerTest, what_was_queued_before_the_stop_is_still_sent) {
  open();
  auto peer = dealer();
  say(peer, {"h", "b"});
  const Peer id = await_messages(1)[0].peer;
  std::vector<Message> messages(200, Message{id, "h", "b"});
  server_->send(std::move(messages));
  server_->stop();
  for (int i = 0; i < 200; ++i)
    ASSERT_EQ(hear(peer).size(), 2u) << i;
}

} // namespace
} // namespace reeve::net
