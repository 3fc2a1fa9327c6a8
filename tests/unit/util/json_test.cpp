// JSON made from the schema: every field under its name, back again, and errors that name the
// field.
#include "messages/entries.hpp"
#include "messages/protocol.hpp"
#include "src/util/json.hpp"

#include <gtest/gtest.h>

namespace reeve {
namespace {

JobSpec full_spec() {
  JobSpec spec;
  spec.name = "render";
  spec.command = {"sh", "-c", "echo $1"};
  spec.env = {{"A", "1"}, {"B", ""}};
  spec.payload = Bytes{std::string("\x00\xff\x10", 3)};
  spec.count = 3;
  spec.items = {"a", "b", "c"};
  spec.index_first = -5;
  spec.resources = {500, 1 << 20, 0, {{"gpu", 1000}}};
  spec.priority = -3;
  spec.time_limit = std::chrono::minutes(10);
  spec.labels = {{"team", "x"}};
  return spec;
}

TEST(json, a_job_spec_comes_back_as_it_was) {
  const JobSpec spec = full_spec();
  const Result<JobSpec> again = from_json<JobSpec>(to_json(spec));
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(*again, spec);
}

TEST(json, fields_keep_the_order_of_the_schema_and_their_wire_names) {
  EXPECT_EQ(dump_json(to_json(Usage{Duration(5), Duration(1), Duration(2), 4096})),
            R"({"wall_us":5,"user_cpu_us":1,"system_cpu_us":2,"max_rss_bytes":4096})");
}

TEST(json, enums_are_written_by_name_and_read_by_name_or_number) {
  TaskView view;
  view.state = TaskState::cancelled;
  view.last.cause = Cause::out_of_memory;
  const Json json = to_json(view);
  EXPECT_EQ(json["state"], "cancelled");
  EXPECT_EQ(json["last"]["cause"], "out_of_memory");
  EXPECT_EQ(*from_json<TaskView>(json), view);
  EXPECT_EQ(from_json<TaskView>(Json{{"state", 5}})->state, TaskState::cancelled);
  EXPECT_EQ(from_json<TaskView>(Json{{"state", "asleep"}}).error().message(),
            "state: no such value: asleep");
}

TEST(json, bytes_are_text_when_they_can_be_and_base64_when_not) {
  EXPECT_EQ(to_json(Bytes{"grüß"}), "grüß");
  EXPECT_EQ(dump_json(to_json(Bytes{"\xff\x00\x01"})),
            R"({"base64":"/w=="})"); // a C string ends at its zero
  EXPECT_EQ(dump_json(to_json(Bytes{std::string("\xff\x00\x01", 3)})), R"({"base64":"/wAB"})");
}

TEST(json, raw_msgpack_is_shown_value_by_value) {
  JobView view;
  view.spec = Raw{encode(full_spec())};
  const Json json = to_json(view);
  EXPECT_EQ(json["spec"]["command"][2], "echo $1");
  EXPECT_EQ(json["spec"]["resources"]["named_milli"]["gpu"], 1000);
  EXPECT_EQ(json["spec"]["index_first"], -5);
  EXPECT_EQ(msgpack_to_json("\xc1"), (Json{{"base64", "wQ=="}}));
}

TEST(json, a_variant_carries_its_name) {
  const Fact fact = NodesDrained{{NodeId(3)}, true, "repair"};
  EXPECT_EQ(
    dump_json(to_json(fact)),
    R"({"type":"NodesDrained","body":{"nodes":[3],"drain":true,"reason":"repair","deadline_us":0,"by_check":false}})");
}

TEST(json, text_that_is_not_utf8_is_replaced_and_throws_nothing) {
  EXPECT_EQ(dump_json(Json(std::string("a\xff"))), "\"a\xef\xbf\xbd\"");
}

TEST(json, broken_text_is_refused_with_its_place) {
  const auto parsed = parse_json("[1,\n2,,]");
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, Code::bad_message);
  EXPECT_NE(parsed.error().text.find("line 2"), std::string::npos) << parsed.error().text;
}

struct BadRow {
  const char* name;
  const char* json;
  const char* message;
};
class BadJson : public testing::TestWithParam<BadRow> {};

TEST_P(BadJson, is_refused_and_the_field_named) {
  const auto read = from_json<Submit>(*parse_json(GetParam().json));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::bad_field);
  EXPECT_EQ(read.error().message(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
  json, BadJson,
  testing::Values(BadRow{"missing", R"({})", "jobs: required and missing"},
                  BadRow{"unknown", R"({"jobs":[{"nam":"x"}]})", "jobs[0].nam: no such field"},
                  BadRow{"not_an_object", R"({"jobs":[{},5]})",
                         "jobs[1]: must be an object, got an integer"},
                  BadRow{"wrong_type", R"({"jobs":[{"count":"3"}]})",
                         "jobs[0].count: must be an integer, got a string"},
                  BadRow{"float", R"({"jobs":[{"count":1.5}]})",
                         "jobs[0].count: must be an integer, got a float"},
                  BadRow{"out_of_bounds", R"({"jobs":[{"count":0}]})",
                         "jobs[0].count: must be from 1 to 10000000, got 0"},
                  BadRow{"negative", R"({"jobs":[{"retries":-1}]})",
                         "jobs[0].retries: must not be negative, got -1"},
                  BadRow{"inside_a_map", R"({"jobs":[{"env":{"A":1}}]})",
                         "jobs[0].env.A: must be a string, got an integer"},
                  BadRow{"inside_a_list", R"({"jobs":[{"command":["a",null]}]})",
                         "jobs[0].command[1]: must be a string, got nil"},
                  BadRow{"structure_for_scalar", R"({"jobs":[{"name":{}}]})",
                         "jobs[0].name: must be a single value, got an object"},
                  BadRow{"empty", R"({"jobs":[]})", "jobs: size must be from 1 to 100000, got 0"},
                  BadRow{"base64", R"({"key":{"base64":"abc"},"jobs":[{}]})",
                         "key: base64 must have a multiple of 4 characters"}),
  [](const auto& row) { return row.param.name; });

TEST(json, base64_of_every_length_comes_back) {
  std::string bytes;
  for (int n = 0; n < 300; ++n) {
    EXPECT_EQ(*from_base64(to_base64(bytes)), bytes);
    bytes += static_cast<char>(n * 7);
  }
  EXPECT_FALSE(from_base64("ab!="));
  EXPECT_FALSE(from_base64("=abc"));
}

TEST(json, utf8_is_told_from_what_only_looks_like_it) {
  EXPECT_TRUE(is_utf8("plain äöü € 😀"));
  for (const char* bad : {"\x80", "\xc0\x80", "\xc2", "\xe0\x80\x80", "\xed\xa0\x80",
                          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80"})
    EXPECT_FALSE(is_utf8(bad));
}

} // namespace
} // namespace reeve
