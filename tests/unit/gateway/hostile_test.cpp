// Whatever comes in, the sender gets an answer that names the fault, and nobody behind the gateway
// hears of it.
#include "tests/unit/gateway/fixture.hpp"

#include <random>

namespace reeve::gateway::test {

class Hostile : public GatewayTest {
protected:
  Failed refused(const Outbox& out, std::uint64_t correlation = 1) {
    EXPECT_TRUE(nothing_passed_on(out));
    return only<Failed>(out, correlation);
  }
  static std::string header(MessageType type, std::uint32_t version = 1) {
    return encode(Header{version, type, 1, {}});
  }
};

TEST_F(Hostile, an_unknown_version_is_told_which_are_spoken) {
  const auto failed = refused(raw(client, header(MessageType::submit, 9), "anything"));
  EXPECT_EQ(failed.code, Code::unknown_version);
  EXPECT_EQ(failed.versions, std::vector<std::uint32_t>{1});
}
TEST_F(Hostile, a_newer_version_may_have_another_header) {
  std::string newer;
  codec::put_array(newer, 6);
  for (std::uint64_t v : {2, 10, 1, 0, 5, 6})
    codec::put_uint(newer, v);
  EXPECT_EQ(refused(raw(client, newer, "anything")).code, Code::unknown_version);
}
TEST_F(Hostile, an_unknown_type_is_named) {
  const auto failed = refused(raw(client, header(static_cast<MessageType>(999)), encode(Hello{})));
  EXPECT_EQ(failed.code, Code::unknown_type);
  EXPECT_EQ(failed.text, "no message has type 999");
}
TEST_F(Hostile, a_type_that_only_masters_send_is_refused) {
  EXPECT_EQ(refused(raw(client, header(MessageType::assign), encode(Assign{}))).text,
            "a master takes no assign");
}
TEST_F(Hostile, an_empty_header_is_a_bad_message) {
  EXPECT_EQ(refused(raw(client, "", ""), 0).code, Code::bad_message);
}
TEST_F(Hostile, a_header_that_is_no_msgpack_is_a_bad_message) {
  EXPECT_EQ(refused(raw(client, "\xc1\xc1\xc1", ""), 0).code, Code::bad_message);
}
TEST_F(Hostile, an_oversized_header_is_refused) {
  EXPECT_EQ(refused(raw(client, std::string(5'000, '\x90'), ""), 0).code, Code::too_large);
}
TEST_F(Hostile, a_header_of_wrong_types_names_its_field) {
  std::string bytes;
  codec::put_array(bytes, 3);
  codec::put_uint(bytes, 1);
  codec::put_str(bytes, "submit");
  codec::put_uint(bytes, 1);
  EXPECT_EQ(refused(raw(client, bytes, ""), 0).field, "header.type");
}
TEST_F(Hostile, an_empty_body_is_a_bad_message) {
  EXPECT_EQ(refused(raw(client, header(MessageType::submit), "")).code, Code::bad_message);
}
TEST_F(Hostile, a_deeply_nested_body_is_too_large) {
  EXPECT_EQ(refused(raw(client, header(MessageType::submit), std::string(100'000, '\x91'))).code,
            Code::too_large);
}
TEST_F(Hostile, a_count_beyond_the_bytes_is_refused) {
  EXPECT_NE(refused(raw(client, header(MessageType::submit), "\xdd\xff\xff\xff\xff")).code,
            Code::ok);
}
TEST_F(Hostile, an_unknown_field_is_named) {
  std::string body;
  codec::put_map(body, 1);
  codec::put_str(body, "jbos");
  codec::put_nil(body);
  const auto failed = refused(raw(client, header(MessageType::submit), body));
  EXPECT_EQ(failed.code, Code::bad_field);
  EXPECT_EQ(failed.field, "jbos");
}
TEST_F(Hostile, a_submit_without_jobs_is_refused) {
  EXPECT_EQ(refused(say(client, Submit{})).field, "jobs");
}
TEST_F(Hostile, a_bad_job_is_named_by_its_place) {
  Submit submit;
  submit.jobs.resize(3);
  for (auto& job : submit.jobs)
    job.executor = "noop";
  submit.jobs[2].executor = "process";
  EXPECT_EQ(refused(say(client, submit)).field, "jobs[2].command");
}
TEST_F(Hostile, resources_of_a_lease_are_checked) {
  Allocate allocate;
  allocate.resources.named_milli["gpu"] = -5;
  EXPECT_EQ(refused(say(client, allocate)).field, "resources.named_milli.gpu");
}
TEST_F(Hostile, a_run_beyond_the_largest_array_is_refused) {
  ActOnJobs act;
  act.tasks.push_back({JobId(1), {{4'294'967'295u, 4'294'967'295u, 1}}});
  EXPECT_EQ(refused(say(client, act)).field, "tasks[0].runs[0]");
}
TEST_F(Hostile, results_of_an_impossible_task_are_refused) {
  bind();
  Results results;
  results.session = session;
  results.jobs.push_back({JobId(1), {{{4'294'967'295u, 2, 1}, {}, {}}}, {}});
  const auto out = say(agent, results);
  EXPECT_EQ(only<Failed>(out).field, "jobs[0].quiet[0].run");
  EXPECT_TRUE(out.ledger.empty());
}
TEST_F(Hostile, results_of_a_stranger_are_not_passed_on) {
  bind();
  Results results;
  results.session = session;
  const auto out = say(stranger, results);
  EXPECT_TRUE(nothing_passed_on(out));
  only<RegisterAgain>(out, 0);
}
TEST_F(Hostile, results_of_an_old_session_are_not_passed_on) {
  bind();
  Results results;
  results.session = session - 1;
  const auto out = say(agent, results);
  EXPECT_TRUE(nothing_passed_on(out));
  only<RegisterAgain>(out, 0);
}
TEST_F(Hostile, a_stranger_cannot_say_goodbye_for_a_node) {
  bind();
  Leave leave;
  leave.session = session;
  EXPECT_TRUE(nothing_passed_on(say(stranger, leave)));
}
TEST_F(Hostile, a_stranger_who_repeats_itself_is_told_once_in_a_while) {
  Heartbeat beat;
  std::size_t told = 0;
  for (int i = 0; i < 100; ++i)
    told += say(stranger, beat).send.size();
  EXPECT_EQ(told, 1u);
  now_ += std::chrono::seconds(1);
  EXPECT_EQ(say(stranger, beat).send.size(), 1u);
}
TEST_F(Hostile, a_log_reply_that_nobody_asked_for_is_dropped) {
  bind();
  LogReply reply;
  reply.request = 12;
  reply.chunk.emplace();
  const auto out = say(agent, reply);
  EXPECT_TRUE(nothing_passed_on(out));
  EXPECT_TRUE(out.send.empty());
}
TEST_F(Hostile, random_bytes_are_answered_and_never_passed_on) {
  std::mt19937 random(20240607);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(random() % 64, 0);
    for (auto& c : bytes)
      c = static_cast<char>(random());
    const auto type = static_cast<MessageType>(random() % 100);
    const auto out = raw(client, header(type), bytes);
    // A few random bodies are whole messages (an empty map is a good GetStats); none may speak for
    // a node.
    EXPECT_TRUE(out.watchdog.empty());
    EXPECT_LE(out.send.size(), 1u);
    raw(client, bytes, "");
  }
}
TEST_F(Hostile, good_messages_with_one_byte_changed_do_no_harm) {
  bind();
  Submit submit;
  submit.jobs.resize(2);
  submit.jobs[0].command = {"true"};
  submit.jobs[1].command = {"sleep", "1"};
  submit.jobs[1].resources.named_milli["gpu"] = 1'000;
  const std::string body = encode(submit);
  for (std::size_t at = 0; at < body.size(); ++at)
    for (int value = 0; value < 256; ++value) {
      std::string changed = body;
      changed[at] = static_cast<char>(value);
      const auto out = raw(
        client, encode(Header{1, MessageType::submit, at * 256 + static_cast<unsigned>(value), {}}),
        changed);
      EXPECT_EQ(out.ledger.size() + out.send.size(), 1u);
    }
}

} // namespace reeve::gateway::test
