// The rules of the encoding, one by one: what is read, what is refused, and in which words.
#include "messages/entries.hpp"
#include "messages/protocol.hpp"

#include <gtest/gtest.h>

namespace reeve {
namespace {

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (const int v : values)
    out.push_back(static_cast<char>(v));
  return out;
}
std::string named(std::string_view name, const std::string& value) {
  std::string out;
  codec::put_map(out, 1);
  codec::put_str(out, name);
  return out + value;
}
template<class T> Error refused(const std::string& body, const DecodeLimits& limits = {}) {
  const auto value = decode<T>(body, limits);
  EXPECT_FALSE(value);
  return value ? Error{Code::ok, {}, {}} : value.error();
}
std::string text(std::string_view value) {
  std::string out;
  codec::put_str(out, value);
  return out;
}

// ---- what is written

TEST(encoding, leaves_defaults_out_of_maps) {
  Done done;
  EXPECT_EQ(encode(done), bytes({0x80}));
  done.changed = 5;
  EXPECT_EQ(encode(done), bytes({0x81, 0xa7, 'c', 'h', 'a', 'n', 'g', 'e', 'd', 0x05}));
}
TEST(encoding, writes_required_fields_even_when_they_are_the_default) {
  ActOnJobs act; // cancel is 0
  EXPECT_EQ(encode(act), bytes({0x81, 0xa6, 'a', 'c', 't', 'i', 'o', 'n', 0x00}));
}
TEST(encoding, cuts_trailing_defaults_off_arrays) {
  EXPECT_EQ(encode(TaskRun{7, 1, 1}), bytes({0x91, 0x07}));
  EXPECT_EQ(encode(TaskRun{7, 300, 1}), bytes({0x92, 0x07, 0xcd, 0x01, 0x2c}));
  EXPECT_EQ(encode(TaskRun{7, 1, 2}), bytes({0x93, 0x07, 0x01, 0x02}));
}
TEST(encoding, writes_a_fact_as_its_number_and_its_fields) {
  const Entry entry{TimePoint(Duration(5)), JobHeld{JobId(9), false, ""}};
  EXPECT_EQ(encode(entry), bytes({0x92, 0x05, 0x92, 0x0d, 0x92, 0x09, 0xc2}));
}
TEST(encoding, of_a_header_is_an_array_of_four) {
  const Header header{1, MessageType::submit, 300, Epoch(2)};
  EXPECT_EQ(encode(header), bytes({0x94, 0x01, 0x0a, 0xcd, 0x01, 0x2c, 0x02}));
}

// ---- what is read

TEST(decoding, takes_numbers_in_any_width) {
  for (const auto& five : {bytes({0x05}), bytes({0xcc, 5}), bytes({0xcd, 0, 5}),
                           bytes({0xce, 0, 0, 0, 5}), bytes({0xcf, 0, 0, 0, 0, 0, 0, 0, 5}),
                           bytes({0xd0, 5}), bytes({0xd3, 0, 0, 0, 0, 0, 0, 0, 5})}) {
    const auto value = decode<Done>(named("changed", five));
    ASSERT_TRUE(value) << value.error().message();
    EXPECT_EQ(value->changed, 5u);
  }
}
TEST(decoding, takes_texts_and_arrays_in_any_width) {
  EXPECT_EQ(decode<Done>(named("text", bytes({0xdb, 0, 0, 0, 1, 'x'})))->text, "x");
  EXPECT_EQ(decode<TaskRun>(bytes({0xdd, 0, 0, 0, 1, 3}))->first, 3u);
}
TEST(decoding, takes_the_fields_of_a_map_in_any_order) {
  std::string body;
  codec::put_map(body, 2);
  body += text("text") + text("hi") + text("changed") + bytes({3});
  const auto value = decode<Done>(body);
  ASSERT_TRUE(value);
  EXPECT_EQ(value->changed, 3u);
  EXPECT_EQ(value->text, "hi");
}
TEST(decoding, keeps_the_defaults_of_what_an_array_leaves_out) {
  const auto run = decode<TaskRun>(bytes({0x91, 9}));
  ASSERT_TRUE(run);
  EXPECT_EQ(*run, (TaskRun{9, 1, 1}));
}
TEST(decoding, keeps_any_value_and_packs_it_in_the_shortest_form) {
  const auto spec = decode<AssignedSpec>(bytes({0x92, 1, 0x81, 0xd9, 1, 'k', 0xcd, 0, 7}));
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->spec.msgpack, bytes({0x81, 0xa1, 'k', 7}));
}
TEST(decoding, takes_nil_for_what_may_be_missing) {
  std::string body;
  codec::put_map(body, 2);
  body += text("request") + bytes({1}) + text("chunk") + bytes({0xc0});
  const auto reply = decode<LogReply>(body);
  ASSERT_TRUE(reply);
  EXPECT_FALSE(reply->chunk);
}

// ---- what is refused

TEST(decoding, names_an_unknown_field) {
  const auto error = refused<Done>(named("chnaged", bytes({1})));
  EXPECT_EQ(error.code, Code::bad_field);
  EXPECT_EQ(error.message(), "chnaged: no such field");
}
TEST(decoding, names_a_field_that_is_given_twice) {
  std::string body;
  codec::put_map(body, 2);
  body += text("changed") + bytes({1}) + text("changed") + bytes({1});
  EXPECT_EQ(refused<Done>(body).message(), "changed: given twice");
}
TEST(decoding, names_a_key_that_is_given_twice) {
  std::string labels;
  codec::put_map(labels, 2);
  labels += text("zone") + text("a") + text("zone") + text("b");
  EXPECT_EQ(refused<JobSpec>(named("labels", labels)).message(), "labels.zone: given twice");
}
TEST(decoding, names_a_required_field_that_is_missing) {
  EXPECT_EQ(refused<ActOnJobs>(bytes({0x80})).message(), "action: required and missing");
  EXPECT_EQ(refused<TaskRun>(bytes({0x90})).message(), "first: required and missing");
}
TEST(decoding, refuses_an_array_longer_than_the_known_fields) {
  EXPECT_EQ(refused<TaskRun>(bytes({0x94, 1, 1, 1, 1})).message(),
            "has more entries than known fields");
}
TEST(decoding, refuses_a_key_that_is_no_text) {
  EXPECT_EQ(refused<Done>(bytes({0x81, 0x01, 0x01})).message(), "has a key that is not a string");
}
TEST(decoding, says_which_type_was_wanted_and_which_came) {
  EXPECT_EQ(refused<Done>(named("changed", text("5"))).message(),
            "changed: must be an integer, got a string");
  EXPECT_EQ(refused<Done>(named("text", bytes({0xc4, 1, 'x'}))).message(),
            "text: must be a string, got bytes");
  EXPECT_EQ(refused<Submit>(named("key", text("k"))).message(), "key: must be bytes, got a string");
  EXPECT_EQ(refused<Submit>(named("dry_run", bytes({1}))).message(),
            "dry_run: must be a boolean, got an integer");
  EXPECT_EQ(refused<Done>(named("changed", bytes({0xca, 0x3f, 0x80, 0, 0}))).message(),
            "changed: must be an integer, got a float");
  EXPECT_EQ(refused<Done>(named("changed", bytes({0xc0}))).message(),
            "changed: must be an integer, got nil");
  EXPECT_EQ(refused<Done>(bytes({0x90})).message(), "must be a map, got an array");
  EXPECT_EQ(refused<TaskRun>(bytes({0x80})).message(), "must be an array, got a map");
}
TEST(decoding, says_the_bounds_and_what_came) {
  EXPECT_EQ(refused<ListJobs>(named("limit", bytes({0}))).message(),
            "limit: must be from 1 to 10000, got 0");
  EXPECT_EQ(refused<ListJobs>(named("limit", bytes({0xcd, 0xff, 0xff}))).message(),
            "limit: must be from 1 to 10000, got 65535");
  EXPECT_EQ(refused<Done>(named("changed", bytes({0xff}))).message(),
            "changed: must not be negative, got -1");
  EXPECT_EQ(refused<Wait>(named("every_us", bytes({0xff}))).message(),
            "every_us: must be at least 0, got -1");
  EXPECT_EQ(refused<Submit>(named("key", bytes({0xc4, 65}) + std::string(65, 'k'))).message(),
            "key: size must be at most 64, got 65");
  EXPECT_EQ(refused<JobSpec>(named("queue", text(""))).message(),
            "queue: size must be from 1 to 64, got 0");
  EXPECT_EQ(refused<ActOnJobs>(named("action", bytes({4}))).message(),
            "action: must be at most 3, got 4");
}
TEST(decoding, refuses_a_number_that_does_not_fit_its_type) {
  EXPECT_EQ(
    refused<JobSpec>(named("retries", bytes({0xcf, 255, 255, 255, 255, 255, 255, 255, 255}))).field,
    "retries");
  EXPECT_EQ(
    refused<JobSpec>(named("max_parallel", bytes({0xcf, 0, 0, 0, 1, 0, 0, 0, 0}))).message(),
    "max_parallel: must be at most 4294967295, got 4294967296");
  EXPECT_EQ(
    refused<JobProgress>(named("exit_code", bytes({0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0}))).field,
    "exit_code");
  EXPECT_EQ(refused<Event>(named("time_us", bytes({0xcf, 255, 255, 255, 255, 255, 255, 255, 255})))
              .message(),
            "time_us: must be at most 9223372036854775806");
}
TEST(decoding, gives_the_whole_path_to_the_fault) {
  Submit submit;
  submit.jobs.resize(3);
  submit.jobs[2].resources.named_milli["gpu"] = 1;
  std::string body = encode(submit);
  body.back() = '\xc3'; // the amount becomes a boolean
  EXPECT_EQ(refused<Submit>(body).message(),
            "jobs[2].resources.named_milli.gpu: must be an integer, got a boolean");

  // jobs: [[1, [[0, 0]]]]: a run of no tasks
  EXPECT_EQ(
    refused<RegisterNode>(named("attempts", bytes({0x91, 0x92, 1, 0x91, 0x92, 0, 0}))).message(),
    "attempts[0].runs[0].count: must be from 1 to 4294967295, got 0");
}
TEST(decoding, makes_a_hostile_field_name_printable_and_short) {
  const auto error = refused<Done>(named("\x1b[31m" + std::string(500, 'x'), bytes({1})));
  EXPECT_LE(error.field.size(), 256u);
  EXPECT_EQ(error.field.substr(0, 5), "?[31m");
}
TEST(decoding, refuses_what_is_no_single_msgpack_value) {
  for (const auto& body : {std::string(), bytes({0xc1}), bytes({0x81}), bytes({0x80, 0x80}),
                           bytes({0x81, 0xa1}), bytes({0xd4, 1, 2}), bytes({0xc7, 1, 5, 2})}) {
    const auto error = refused<Done>(body);
    EXPECT_EQ(error.code, Code::bad_message) << error.message();
  }
}
TEST(decoding, refuses_an_alternative_that_does_not_exist) {
  EXPECT_EQ(refused<Entry>(bytes({0x92, 1, 0x92, 0xcc, 200, 0x90})).message(),
            "fact: no such alternative: 200");
  EXPECT_EQ(refused<Entry>(bytes({0x92, 1, 0x93, 1, 0x90, 0x90})).field, "fact");
}

// ---- limits, before anything is allocated

TEST(limits, of_depth) {
  const auto nested = [](std::size_t depth) {
    std::string spec(depth - 1, '\x91');
    return bytes({0x92, 1}) + spec + '\xc0'; // AssignedSpec [1, [[[… nil]]]]
  };
  EXPECT_TRUE(decode<AssignedSpec>(nested(16)));
  const auto error = refused<AssignedSpec>(nested(17));
  EXPECT_EQ(error.code, Code::too_large);
  EXPECT_EQ(error.text, "nested deeper than 16");
  EXPECT_EQ(refused<Done>(std::string(1'000'000, '\x91')).code, Code::too_large);
}
TEST(limits, of_counts_that_the_bytes_cannot_hold) {
  for (const auto& body :
       {bytes({0xdd, 0xff, 0xff, 0xff, 0xff}), bytes({0xdf, 0x7f, 0xff, 0xff, 0xff}),
        bytes({0xdc, 0xff, 0xff}), bytes({0xde, 0x01, 0x00})}) {
    const auto error = refused<Done>(body);
    EXPECT_EQ(error.code, Code::bad_message) << error.message();
  }
}
TEST(limits, of_sizes_that_the_bytes_cannot_hold) {
  for (const auto& body :
       {bytes({0xdb, 0xff, 0xff, 0xff, 0xff}), bytes({0xc6, 0xff, 0xff, 0xff, 0xff, 'x'})})
    EXPECT_EQ(refused<Done>(named("text", body)).code, Code::bad_message);
}
TEST(limits, of_bytes) {
  DecodeLimits limits;
  limits.bytes = 10;
  const auto error = refused<Done>(named("text", text("much longer")), limits);
  EXPECT_EQ(error.code, Code::too_large);
  EXPECT_EQ(error.text, "18 bytes are more than 10");
}
TEST(limits, of_values_in_one_message) {
  DecodeLimits limits;
  limits.tokens = 100;
  std::string jobs;
  codec::put_array(jobs, 200);
  jobs += std::string(200, '\x01');
  const auto error = refused<ListJobs>(named("jobs", jobs), limits);
  EXPECT_EQ(error.code, Code::too_large);
  EXPECT_EQ(error.text, "more than 100 values in one message");
}
TEST(limits, of_lists) {
  std::string states;
  codec::put_array(states, 17);
  states += std::string(17, '\x01');
  EXPECT_EQ(refused<ListJobs>(named("states", states)).message(),
            "states: size must be at most 16, got 17");
}

TEST(limits, of_what_lists_take_in_memory) {
  // 100,000 empty jobs fit; results that are two bytes each, and more than a hundred in memory, do
  // not.
  std::string tasks;
  codec::put_array(tasks, 100'000);
  for (int i = 0; i < 100'000; ++i)
    tasks += bytes({0x91, 0});
  std::string jobs;
  codec::put_array(jobs, 19);
  for (int i = 1; i <= 19; ++i) {
    codec::put_array(jobs, 3);
    codec::put_uint(jobs, static_cast<std::uint64_t>(i));
    codec::put_array(jobs, 0);
    jobs += tasks;
  }
  std::string body;
  codec::put_map(body, 3);
  body += text("session") + bytes({1}) + text("number") + bytes({1}) + text("jobs") + jobs;
  const auto error = refused<Results>(body);
  EXPECT_EQ(error.code, Code::too_large);
  EXPECT_EQ(error.message().substr(0, 5), "jobs[");
  std::string submit;
  codec::put_array(submit, 100'000);
  submit += std::string(100'000, '\x80');
  EXPECT_TRUE(decode<Submit>(named("jobs", submit)));
}

// ---- rules beyond the schema

TEST(job_spec, is_refused_with_the_field_at_fault) {
  const auto fault = [](auto change) {
    JobSpec spec;
    spec.command = {"true"};
    change(spec);
    const auto good = validate(spec, "jobs[0]");
    return good ? std::string() : good.error().message();
  };
  EXPECT_EQ(fault([](JobSpec&) {}), "");
  EXPECT_EQ(fault([](JobSpec& s) { s.command.clear(); }),
            "jobs[0].command: required for executor process: the program and its arguments");
  EXPECT_EQ(fault([](JobSpec& s) { s.command = {""}; }), "jobs[0].command[0]: must name a program");
  EXPECT_EQ(fault([](JobSpec& s) { s.command.emplace_back("a\0b", 3); }),
            "jobs[0].command[1]: must not contain a zero byte");
  EXPECT_EQ(fault([](JobSpec& s) { s.env["A=B"] = "c"; }),
            "jobs[0].env: names must not be empty or contain '=' or zero bytes");
  EXPECT_EQ(fault([](JobSpec& s) { s.items = {"a"}, s.count = 2; }),
            "jobs[0].items: must have one entry for each of 2 tasks, or none");
  EXPECT_EQ(fault([](JobSpec& s) { s.name = "a\nb"; }),
            "jobs[0].name: must not contain control characters");
  EXPECT_EQ(fault([](JobSpec& s) { s.executor = "sleep", s.command = {"1s"}; }),
            "jobs[0].command: for executor sleep: one whole number, the microseconds to sleep");
  EXPECT_EQ(fault([](JobSpec& s) { s.resources.disk_bytes = (std::int64_t{1} << 50) + 1; }),
            "jobs[0].resources.disk_bytes: must be from 0 to 2^50, got 1125899906842625");
  Stats of_many;
  of_many.capacity.disk_bytes = 100'000ll << 44; // sums are larger than what one node may have
  EXPECT_EQ(decode<Stats>(encode(of_many))->capacity.disk_bytes, 100'000ll << 44);
  EXPECT_EQ(fault([](JobSpec& s) { s.resources.named_milli["gpu"] = -1; }),
            "jobs[0].resources.named_milli.gpu: must be from 0 to 2^50, got -1");
}
TEST(resources, say_what_is_short_with_asked_available_and_capacity) {
  Resources asked{2'000, 4LL << 30, 0, {{"gpu", 1'000}}};
  Resources available{4'000, 1LL << 30, 0, {}};
  Resources capacity{4'000, 2LL << 30, 0, {{"gpu", 500}}};
  EXPECT_EQ(shortage(asked, available, capacity),
            "memory: asked 4 GiB, available 1 GiB, capacity 2 GiB; gpu: asked 1, available 0, "
            "capacity 0.5");
  EXPECT_FALSE(fits(asked, available));
  EXPECT_TRUE(fits(available, capacity));
  EXPECT_EQ(times_fitting(Resources{1'500, 0, 0, {}}, available, 100), 2);
  EXPECT_EQ(times_fitting(Resources{}, available, 100), 100);
}
TEST(resources, that_cancel_out_leave_nothing_behind) {
  Resources a{1, 2, 3, {{"gpu", 4}}};
  EXPECT_EQ(a - a, Resources{});
  EXPECT_TRUE(is_zero(a - a));
  EXPECT_EQ(to_text(a - a), "nothing");
}

} // namespace
} // namespace reeve
