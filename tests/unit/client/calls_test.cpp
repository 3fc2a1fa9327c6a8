// The table of requests under way, in virtual time: when things are sent again, and how each call
// ends.
#include "src/client/calls.hpp"

#include <gtest/gtest.h>

namespace reeve::client {
namespace {
using namespace std::chrono_literals;

const Error nobody{Code::io, "master", "none reached"};

struct Told {
  std::vector<Result<Reply>> all;
};

class Table : public testing::Test {
protected:
  Instant now{1000s};
  Calls calls;
  std::map<std::uint64_t, Told> told;

  std::uint64_t make(Duration timeout, Duration again, bool repeatable = true,
                     bool stream = false) {
    Call call;
    call.type = MessageType::get_stats;
    call.deadline = timeout.count() > 0 ? now + timeout : never;
    call.again = again;
    call.repeatable = repeatable;
    call.stream = stream;
    const std::uint64_t id = !calls.has_unsent() && told.empty() ? 1 : told.rbegin()->first + 1;
    call.on_reply = [this, id](Result<Reply> reply) {
      told[id].all.push_back(std::move(reply));
      return told[id].all.back()->type != MessageType::progress;
    };
    told[id];
    EXPECT_EQ(calls.add(std::move(call)), id);
    return id;
  }
  std::vector<std::uint64_t> send_all() {
    std::vector<std::uint64_t> sent;
    for (auto next = calls.next_message(false); next.calls > 0; next = calls.next_message(false)) {
      sent.push_back(decode<Header>(next.header)->correlation);
      calls.sent(next.calls, now);
    }
    return sent;
  }
  void pass(Duration time) {
    now += time;
    calls.tick(now, nobody);
  }
  bool answer(std::uint64_t id, MessageType type = MessageType::stats, std::uint64_t epoch = 1) {
    return calls.reply(encode(Header{protocol_version, type, id, Epoch(epoch)}), "", now);
  }
  bool refuse(std::uint64_t id, Code code, Duration retry_after = {}) {
    return calls.reply(encode(Header{protocol_version, MessageType::failed, id, Epoch(1)}),
                       encode(Failed{code, "f", "no", retry_after, {}}), now);
  }
};
using Ids = std::vector<std::uint64_t>;

TEST_F(Table, a_call_is_sent_once_and_told_once) {
  const auto id = make(10s, 1s);
  EXPECT_EQ(send_all(), Ids{id});
  EXPECT_TRUE(answer(id));
  EXPECT_FALSE(answer(id)) << "a second reply belongs to nobody";
  EXPECT_EQ(told[id].all.size(), 1U);
  pass(1h);
  EXPECT_TRUE(send_all().empty());
}

TEST_F(Table, a_bundle_holds_what_waits_and_its_answers_may_come_in_one) {
  for (int n = 0; n < 3; ++n)
    make(0s, 1s);
  const auto out = calls.next_message(true);
  ASSERT_EQ(out.calls, 3U);
  EXPECT_EQ(decode<Header>(out.header)->type, MessageType::bundle);
  const auto sent = decode<Bundle>(out.body);
  ASSERT_TRUE(sent);
  ASSERT_EQ(sent->messages.size(), 3U);
  for (std::uint64_t n = 0; n < 3; ++n)
    EXPECT_EQ(decode<Header>(sent->messages[n].header.data)->correlation, n + 1);
  calls.sent(out.calls, now);
  EXPECT_FALSE(calls.has_unsent());
  Bundle answers;
  for (const std::uint64_t id : {3, 1})
    answers.messages.push_back(
      {{encode(Header{protocol_version, MessageType::stats, id, Epoch(1)})}, {""}});
  const auto header = encode(Header{protocol_version, MessageType::bundle, 0, Epoch(1)});
  EXPECT_TRUE(calls.reply(header, encode(answers), now));
  EXPECT_EQ(told[1].all.size(), 1U);
  EXPECT_EQ(told[2].all.size(), 0U);
  EXPECT_EQ(told[3].all.size(), 1U);
  EXPECT_FALSE(calls.reply(header, "nonsense", now));
  EXPECT_FALSE(calls.reply(header, encode(answers), now)) << "they were told already";
}

TEST_F(Table, a_bundle_is_bounded_and_a_long_call_goes_alone) {
  Call large;
  large.body = std::string(1 << 20, 'x');
  large.on_reply = [](Result<Reply>) { return true; };
  make(0s, 1s);
  calls.add(large);
  for (int n = 0; n < 2; ++n) {
    const auto out = calls.next_message(true);
    EXPECT_EQ(out.calls, 1U);
    EXPECT_EQ(decode<Header>(out.header)->correlation, n + 1U);
    calls.sent(out.calls, now);
  }
  EXPECT_FALSE(calls.has_unsent());
}

TEST_F(Table, a_call_without_an_answer_is_sent_again_with_doubling_pauses) {
  const auto id = make(0s, 1s);
  send_all();
  for (const Duration pause : {1s, 2s, 4s, 8s, 8s}) {
    pass(pause - 1ms);
    EXPECT_TRUE(send_all().empty());
    pass(1ms);
    EXPECT_EQ(send_all(), Ids{id});
  }
}

TEST_F(Table, a_call_that_must_not_be_repeated_is_never_sent_twice) {
  const auto id = make(10s, 1s, false);
  send_all();
  pass(5s);
  EXPECT_TRUE(send_all().empty());
  calls.disconnected();
  EXPECT_TRUE(send_all().empty());
  ASSERT_EQ(told[id].all.size(), 1U);
  EXPECT_EQ(told[id].all[0].error().code, Code::timed_out);
  EXPECT_NE(told[id].all[0].error().text.find("may or may not be done"), std::string::npos);
}

TEST_F(Table, a_lost_connection_sends_everything_unanswered_again_in_order) {
  make(0s, 1s);
  make(0s, 1s);
  make(0s, 1s);
  send_all();
  answer(2);
  calls.disconnected();
  EXPECT_EQ(send_all(), (Ids{1, 3}));
}

TEST_F(Table, a_busy_master_is_asked_again_after_the_time_it_named) {
  const auto id = make(0s, 1s);
  send_all();
  EXPECT_TRUE(refuse(id, Code::busy, 10s));
  pass(9s);
  EXPECT_TRUE(send_all().empty());
  pass(3s);
  EXPECT_EQ(send_all(), Ids{id});
  EXPECT_TRUE(answer(id));
  EXPECT_TRUE(told[id].all.at(0));
}

TEST_F(Table, a_master_that_stays_busy_ends_the_call_with_busy_and_not_with_a_timeout) {
  const auto id = make(10s, 60s);
  send_all();
  refuse(id, Code::busy, 4s);
  pass(5s);
  send_all();
  refuse(id, Code::busy, 20s);
  ASSERT_EQ(told[id].all.size(), 1U);
  EXPECT_EQ(told[id].all[0].error().code, Code::busy);
}

TEST_F(Table, other_refusals_end_the_call_and_keep_their_field) {
  const auto id = make(10s, 1s);
  send_all();
  refuse(id, Code::refused);
  EXPECT_EQ(told[id].all.at(0).error(), (Error{Code::refused, "f", "no"}));
  EXPECT_EQ(calls.size(), 0U);
}

TEST_F(Table, time_running_out_tells_apart_no_master_and_no_answer) {
  const auto unsent = make(2s, 0s);
  pass(2s);
  EXPECT_EQ(told[unsent].all.at(0).error(), nobody);
  const auto unanswered = make(2s, 0s);
  send_all();
  pass(2s);
  EXPECT_EQ(told[unanswered].all.at(0).error().code, Code::timed_out);
}

TEST_F(Table, a_stream_is_told_each_reply_and_repeated_at_a_steady_pace) {
  const auto id = make(0s, 20s, true, true);
  send_all();
  answer(id, MessageType::progress);
  pass(10s);
  answer(id, MessageType::progress);
  EXPECT_TRUE(send_all().empty());
  for (int k = 0; k < 3; ++k) {
    pass(k == 0 ? 10s : 20s);
    EXPECT_EQ(send_all(), Ids{id});
  }
  answer(id, MessageType::stats); // the last
  EXPECT_EQ(told[id].all.size(), 3U);
  EXPECT_EQ(calls.size(), 0U);
}

TEST_F(Table, a_callback_may_start_and_cancel_calls) {
  Call inner;
  inner.on_reply = [](Result<Reply>) { return true; };
  Call outer;
  outer.on_reply = [&](Result<Reply>) {
    for (int k = 0; k < 100; ++k)
      calls.add(inner);
    return true;
  };
  const auto id = calls.add(outer);
  calls.sent(calls.next_message(false).calls, now);
  EXPECT_TRUE(answer(id));
  EXPECT_EQ(calls.size(), 100U);
  calls.cancel(5);
  EXPECT_EQ(send_all().size(), 99U);
}

TEST_F(Table, the_highest_epoch_is_remembered) {
  make(0s, 1s);
  send_all();
  answer(1, MessageType::stats, 7);
  answer(99, MessageType::stats, 3);
  EXPECT_EQ(calls.epoch(), Epoch(7));
}

TEST_F(Table, garbage_is_nobodys_reply) {
  const auto id = make(10s, 1s);
  send_all();
  EXPECT_FALSE(calls.reply("\xc1\xff", "", now));
  EXPECT_FALSE(calls.reply("", "", now));
  EXPECT_FALSE(calls.reply(encode(Header{1, MessageType::stats, id + 1, {}}), "", now));
  EXPECT_TRUE(told[id].all.empty());
}

} // namespace
} // namespace reeve::client
