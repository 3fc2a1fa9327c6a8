// The event stream against a master that publishes, forgets, restarts and repeats, over real
// sockets.
#include "src/client/events.hpp"
#include "tests/unit/client/fake_publisher.hpp"

#include <gtest/gtest.h>

namespace reeve {
namespace {
using namespace std::chrono_literals;
using testing_support::event;
using testing_support::FakeMaster;
using testing_support::FakePublisher;

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

TEST(event_stream, what_is_not_wanted_is_passed_over_and_not_asked_for_again) {
  FakePublisher publisher;
  EventOptions options = from(1);
  options.wanted = [](std::string_view topic) { return topic.starts_with("node."); };
  auto stream = EventStream::open(publisher.where(), options);
  ASSERT_TRUE(stream) << stream.error().message();
  publisher.publish(event(1, 0, "node.lost"));
  publisher.publish(event(2, 0, "job.ended"));
  publisher.publish(event(3, 0, "node.lost"));
  EXPECT_EQ(read(*stream, 2), (Words{"1", "3"}));
  publisher.publish(event(4, 0, "job.ended"));
  publisher.publish(event(5, 0, "node.lost"));
  EXPECT_EQ(read(*stream, 1), (Words{"5"}));
  publisher.leave_out(event(6, 0, "node.lost")); // noticed by the next, wanted or not
  publisher.durable = 7;
  publisher.publish(event(7, 0, "job.ended"));
  EXPECT_EQ(read(*stream, 2), (Words{"6", "7"})) << "of a replay all is given";
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

TEST(event_stream, what_a_slow_reader_was_not_sent_is_asked_for_again) {
  FakePublisher publisher;
  auto stream = EventStream::open(publisher.where(), from(1));
  ASSERT_TRUE(stream) << stream.error().message();
  publisher.publish(event(1));
  EXPECT_EQ(read(*stream, 1), Words{"1"});
  publisher.durable = 4;
  for (const std::uint64_t seq : {2, 3})
    publisher.leave_out(event(seq));
  publisher.publish(event(4));
  EXPECT_EQ(read(*stream, 3), (Words{"2", "3", "4"}));
  publisher.publish(event(5));
  EXPECT_EQ(read(*stream, 1), Words{"5"});
  EXPECT_EQ(publisher.replays, 2);
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
