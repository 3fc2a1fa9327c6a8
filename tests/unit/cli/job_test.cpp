// What people write about jobs: options, array forms, scripts, job files in TOML and JSON.
#include "src/cli/job_file.hpp"
#include "src/cli/submit.hpp"

#include <gtest/gtest.h>

namespace reeve::cli {
namespace {

using Words = std::vector<std::string>;

Result<std::string> no_files(const std::string& path) {
  return fail(Code::io, "", path + ": No such file or directory");
}
Result<std::vector<JobSpec>> toml(std::string_view text, const ReadFile& files = no_files) {
  return parse_job_file(text, JobFileForm::toml, files);
}
std::string error_of(const auto& result) {
  return result ? "no error" : result.error().message();
}

// ---- arrays, items, resources

struct ArrayCase {
  const char* text;
  std::uint32_t count;
  std::int64_t first, step;
  std::uint32_t parallel;
};
TEST(job_text, array_forms_give_count_first_step_and_parallelism) {
  for (const ArrayCase& c :
       {ArrayCase{"0-9", 10, 0, 1, 0}, ArrayCase{"1-100:2", 50, 1, 2, 0},
        ArrayCase{"7", 1, 7, 1, 0}, ArrayCase{"0-9%4", 10, 0, 1, 4},
        ArrayCase{"1-9:3%2", 3, 1, 3, 2}, ArrayCase{"0-9999999", 10'000'000, 0, 1, 0}}) {
    JobSpec spec;
    ASSERT_TRUE(apply_array(spec, c.text, "--array")) << c.text;
    EXPECT_EQ(spec.count, c.count) << c.text;
    EXPECT_EQ(spec.index_first, c.first) << c.text;
    EXPECT_EQ(spec.index_step, c.step) << c.text;
    EXPECT_EQ(spec.max_parallel, c.parallel) << c.text;
  }
}

TEST(job_text, wrong_arrays_are_refused_by_name) {
  for (const char* bad : {"", "a", "5-1", "-1", "0-9%0", "0-9%", "1,3", "0-10000000", "1:2",
                          "0-9:0", "0-99999999999999999999"}) {
    JobSpec spec;
    const auto done = apply_array(spec, bad, "--array");
    ASSERT_FALSE(done) << bad;
    EXPECT_EQ(done.error().code, Code::bad_field);
    EXPECT_EQ(done.error().field, "--array") << bad;
  }
}

TEST(job_text, each_line_that_is_not_blank_is_an_item) {
  JobSpec spec;
  ASSERT_TRUE(apply_lines(spec, "one\r\n\n  \n two words \nthree", "--each-line"));
  EXPECT_EQ(spec.items, (Words{"one", " two words ", "three"}));
  EXPECT_EQ(spec.count, 3U);
  EXPECT_EQ(error_of(apply_lines(spec, "\n \n", "--each-line")),
            "--each-line: has no line that is not empty");
}

TEST(job_text, resources_are_read_by_their_kind) {
  JobSpec spec;
  for (const char* text : {"gpu=0.5", "memory=2GiB", "vcores=1.5", "disk=1M"})
    ASSERT_TRUE(apply_resource(spec, text, "--resource")) << text;
  EXPECT_EQ(spec.resources.named_milli, (std::map<std::string, std::int64_t>{{"gpu", 500}}));
  EXPECT_EQ(spec.resources.memory_bytes, 2LL << 30);
  EXPECT_EQ(spec.resources.cpu_milli, 1500);
  EXPECT_EQ(spec.resources.disk_bytes, 1 << 20);
  EXPECT_EQ(error_of(apply_resource(spec, "gpu", "--resource")),
            "--resource: must be of the form KEY=VALUE, got 'gpu'");
  EXPECT_FALSE(apply_resource(spec, "gpu=-1", "--resource"));
}

TEST(job_text, dependencies_say_which_job_how_it_must_end_and_whether_task_by_task) {
  JobSpec spec;
  const FindJob find = [](std::string_view name) -> Result<Dependency> {
    if (name != "compile")
      return fail(Code::bad_field, "", "no job of this name in the file");
    Dependency found;
    found.place = 3;
    return found;
  };
  for (const char* text : {"5", "6:any", "7:fail:each", "compile", "compile:ok:each"})
    ASSERT_TRUE(apply_dependency(spec, text, "--after", find)) << text;
  EXPECT_EQ(spec.after, (std::vector<Dependency>{{JobId(5), 0, DependencyKind::ok, false},
                                                 {JobId(6), 0, DependencyKind::any, false},
                                                 {JobId(7), 0, DependencyKind::fail, true},
                                                 {JobId(), 3, DependencyKind::ok, false},
                                                 {JobId(), 3, DependencyKind::ok, true}}));
  EXPECT_EQ(error_of(apply_dependency(spec, "5:done", "--after")),
            "--after: must be ok, any or fail, got 'done'");
  EXPECT_EQ(error_of(apply_dependency(spec, "link", "after[0]", find)),
            "after[0]: no job of this name in the file");
  for (const char* bad : {"", "x", "0", "-1", "5:ok:any", ":ok", "5:"})
    EXPECT_FALSE(apply_dependency(spec, bad, "--after")) << bad;
}

TEST(job_text, constraints_have_an_operator_and_values) {
  JobSpec spec;
  for (const char* text : {"zone=a,b", "zone!=c", "ssd", "!gpu", "cores>16", "cores<64"})
    ASSERT_TRUE(apply_constraint(spec, text, "--constraint")) << text;
  EXPECT_EQ(spec.constraints, (std::vector<Constraint>{{"zone", LabelOperator::in, {"a", "b"}},
                                                       {"zone", LabelOperator::not_in, {"c"}},
                                                       {"ssd", LabelOperator::exists, {}},
                                                       {"gpu", LabelOperator::absent, {}},
                                                       {"cores", LabelOperator::greater, {"16"}},
                                                       {"cores", LabelOperator::less, {"64"}}}));
  for (const char* bad : {"", "!", "=a", "!=a", ">3", "!!x"})
    EXPECT_FALSE(apply_constraint(spec, bad, "--constraint")) << bad;
}

TEST(job_text, nearness_names_labels_a_range_and_how_much_it_matters) {
  JobSpec spec;
  ASSERT_TRUE(apply_affinity(spec, "team=x,stage=2@zone?", false, "--near"));
  ASSERT_TRUE(apply_affinity(spec, "team=y", true, "--apart"));
  EXPECT_EQ(spec.affinity,
            (std::vector<Affinity>{{{{"team", "x"}, {"stage", "2"}}, "zone", false, false},
                                   {{{"team", "y"}}, "", true, true}}));
  for (const char* bad : {"", "team", "@zone", "?", "=x"})
    EXPECT_FALSE(apply_affinity(spec, bad, false, "--near")) << bad;
}

TEST(job_text, limits_are_for_the_cluster_or_for_each_node) {
  JobSpec spec;
  ASSERT_TRUE(apply_limit(spec, "db=4", "--limit"));
  ASSERT_TRUE(apply_limit(spec, "disk=1/node", "--limit"));
  EXPECT_EQ(spec.limits, (std::vector<Limit>{{"db", 4, false}, {"disk", 1, true}}));
  for (const char* bad : {"", "db", "db=0", "db=x", "=1", "db=1/rack"})
    EXPECT_FALSE(apply_limit(spec, bad, "--limit")) << bad;
}

TEST(job_text, retry_rules_name_an_end_and_how_often) {
  using std::chrono::seconds;
  JobSpec spec;
  for (const char* good :
       {"exit:75,100-110=3", "signal:SEGV,SIGBUS,9-10=1:hold", "oom=2:charged:wait=30s", "any=0",
        "lost_node=10", "preempted=1000", "exit=4"})
    ASSERT_TRUE(apply_retry(spec, good, "--retry-on")) << good;
  EXPECT_EQ(spec.retry, (std::vector<RetryRule>{
                          {Cause::exit_code, {{75, 75}, {100, 110}}, 3, false, false, seconds(0)},
                          {Cause::signal, {{11, 11}, {7, 7}, {9, 10}}, 1, false, true, seconds(0)},
                          {Cause::out_of_memory, {}, 2, true, false, seconds(30)},
                          {Cause::none, {}, 0, false, false, seconds(0)},
                          {Cause::lost_node, {}, 10, false, false, seconds(0)},
                          {Cause::preempted, {}, 1000, false, false, seconds(0)},
                          {Cause::exit_code, {}, 4, false, false, seconds(0)}}));
  for (const char* bad :
       {"", "exit", "exit=", "exit=x", "exit=1001", "exit=-1", "exit:=1", "exit:0=1", "exit:256=1",
        "exit:9-3=1", "exit:75,=1", "oom:9=1", "signal:NOPE=1", "sometimes=1", "exit=1:often",
        "exit=1:wait=soon", "cancelled=1", "node_trouble=1"}) {
    const auto done = apply_retry(spec, bad, "--retry-on");
    ASSERT_FALSE(done) << bad;
    EXPECT_EQ(done.error().field, "--retry-on") << bad;
  }
  EXPECT_EQ(error_of(apply_retry(spec, "exit:0=1", "--retry-on")),
            "--retry-on: exit codes must be such as 75 or 100-110, from 1 to 255; got '0'");
}

TEST(job_text, signals_have_names_or_numbers) {
  EXPECT_EQ(parse_signal("USR1", "s"), 10);
  EXPECT_EQ(parse_signal("SIGTERM", "s"), 15);
  EXPECT_EQ(parse_signal("34", "s"), 34);
  for (const char* bad : {"", "0", "65", "SIG", "usr1", "USR"})
    EXPECT_EQ(error_of(parse_signal(bad, "s")),
              std::string("s: must be a signal such as USR1, SIGTERM or 10, got '") + bad + "'");
}

TEST(job_text, a_sleep_is_written_as_a_duration) {
  JobSpec spec;
  spec.executor = "sleep";
  spec.command = {"1.5s"};
  ASSERT_TRUE(finish_command(spec, "COMMAND"));
  EXPECT_EQ(spec.command, Words{"1500000"});
  ASSERT_TRUE(finish_command(spec, "COMMAND")); // already microseconds
  EXPECT_EQ(spec.command, Words{"1500000"});
}

TEST(job_text, a_job_without_a_name_is_called_after_its_program) {
  JobSpec spec;
  spec.command = {"/usr/bin/make", "-j2"};
  default_name(spec);
  EXPECT_EQ(spec.name, "make");
}

// ---- words and scripts

TEST(job_text, words_are_split_as_a_shell_does) {
  const auto words = split_words(R"(--name 'a b'  --env="X=1 2" c\ d "e\"f" '' $HOME)");
  ASSERT_TRUE(words);
  EXPECT_EQ(*words, (Words{"--name", "a b", "--env=X=1 2", "c d", "e\"f", "", "$HOME"}));
  EXPECT_EQ(error_of(split_words("'open")), "a quote (') does not end");
}

TEST(job_text, a_script_brings_the_options_of_its_marked_lines) {
  const auto script = parse_script("#!/bin/sh -e\n# text\n#REEVE --name 'night run' # why\n#REEVEX "
                                   "--no\n#REEVE\t--memory 1GiB\necho hi\n");
  ASSERT_TRUE(script);
  ASSERT_TRUE(*script);
  EXPECT_EQ((*script)->interpreter, "/bin/sh -e");
  EXPECT_EQ((*script)->options, (Words{"--name", "night run", "--memory", "1GiB"}));
  EXPECT_FALSE(*parse_script("#!/bin/sh\necho hi\n"));
  EXPECT_FALSE(*parse_script("#REEVE --name x\n"));
  EXPECT_EQ(error_of(parse_script("#!/bin/sh\n#REEVE --name 'x\n")),
            "line 2: a quote (') does not end");
}

TEST(job_text, a_script_travels_as_the_payload_and_gets_its_arguments) {
  JobSpec spec;
  spec.command = {"./night.sh", "a", "b"};
  run_script(spec, Script{"/bin/sh -e", {}}, "#!/bin/sh -e\n");
  EXPECT_EQ(spec.command, (Words{"/bin/sh", "-c", R"(exec /bin/sh -e "$REEVE_PAYLOAD" "$@")",
                                 "./night.sh", "a", "b"}));
  EXPECT_EQ(spec.payload.data, "#!/bin/sh -e\n");
  EXPECT_EQ(spec.name, "night.sh");
}

// ---- options

TEST(job_options, every_value_given_is_put_over_the_job) {
  JobSpec spec;
  spec.name = "from file";
  spec.retries = 7;
  JobOptions o;
  o.vcores = "0.5";
  o.memory = "1GiB";
  o.time_limit = "10m";
  o.env = {"A=1", "B=x=y"};
  o.node_labels = {"zone=a"};
  o.array = "1-3";
  o.priority = -5;
  o.deadline = "2h";
  o.not_preemptible = true;
  o.fail_fast = true;
  ASSERT_TRUE(apply_options(spec, o, TimePoint(std::chrono::hours(1))));
  EXPECT_EQ(spec.deadline, TimePoint(std::chrono::hours(3)));
  EXPECT_FALSE(spec.preemptible);
  EXPECT_EQ(spec.on_failure, FailurePolicy::fail_fast);
  EXPECT_EQ(spec.name, "from file");
  EXPECT_EQ(spec.retries, 7U);
  EXPECT_EQ(spec.resources.cpu_milli, 500);
  EXPECT_EQ(spec.resources.memory_bytes, 1 << 30);
  EXPECT_EQ(spec.time_limit, std::chrono::minutes(10));
  EXPECT_EQ(spec.env, (std::map<std::string, std::string>{{"A", "1"}, {"B", "x=y"}}));
  EXPECT_EQ(spec.node_labels, (std::map<std::string, std::string>{{"zone", "a"}}));
  EXPECT_EQ(spec.count, 3U);
  EXPECT_EQ(spec.priority, -5);
}

TEST(job_options, a_wrong_value_names_its_option) {
  const auto check = [](auto set, const char* field) {
    JobSpec spec;
    JobOptions o;
    set(o);
    const auto done = apply_options(spec, o, TimePoint());
    ASSERT_FALSE(done) << field;
    EXPECT_EQ(done.error().field, field);
  };
  check([](JobOptions& o) { o.vcores = "many"; }, "--vcores");
  check([](JobOptions& o) { o.memory = "1X"; }, "--memory");
  check([](JobOptions& o) { o.disk = "-1"; }, "--disk");
  check([](JobOptions& o) { o.time_limit = "10 parsecs"; }, "--time-limit");
  check(
    [](JobOptions& o) {
      o.estimate = "";
      o.grace = "x";
    },
    "--grace");
  check([](JobOptions& o) { o.output_limit = "x"; }, "--output-limit");
  check([](JobOptions& o) { o.env = {"=x"}; }, "--env");
  check([](JobOptions& o) { o.labels = {"x"}; }, "--label");
  check([](JobOptions& o) { o.node_labels = {"x"}; }, "--node-label");
  check([](JobOptions& o) { o.array = "x"; }, "--array");
  check([](JobOptions& o) { o.after = {"x"}; }, "--after");
  check([](JobOptions& o) { o.constraints = {""}; }, "--constraint");
  check([](JobOptions& o) { o.near = {"x"}; }, "--near");
  check([](JobOptions& o) { o.apart = {"x"}; }, "--apart");
  check([](JobOptions& o) { o.limits = {"x"}; }, "--limit");
  check([](JobOptions& o) { o.retry = {"x"}; }, "--retry-on");
  check([](JobOptions& o) { o.checkpoint_signal = "x"; }, "--checkpoint-signal");
  check([](JobOptions& o) { o.checkpoint_grace = "x"; }, "--checkpoint-grace");
  check([](JobOptions& o) { o.deadline = "x"; }, "--deadline");
}

// ---- job files

TEST(job_file, toml_with_friendly_forms_becomes_a_job) {
  const auto jobs = toml(R"(
name = "render"
command = ["./render", "{}"]
vcores = 2
memory = "4GiB"
resources = { gpu = 1 }
time_limit = "1h30m"
array = "1-10%3"
env = { THREADS = 2, FAST = true, NAME = "x" }
output_limit = "1MiB"
labels = { team = "film" }
)");
  ASSERT_TRUE(jobs) << jobs.error().message();
  ASSERT_EQ(jobs->size(), 1U);
  const JobSpec& job = jobs->front();
  EXPECT_EQ(job.command, (Words{"./render", "{}"}));
  EXPECT_EQ(job.resources.cpu_milli, 2000);
  EXPECT_EQ(job.resources.memory_bytes, 4LL << 30);
  EXPECT_EQ(job.resources.named_milli.at("gpu"), 1000);
  EXPECT_EQ(job.time_limit, std::chrono::minutes(90));
  EXPECT_EQ(job.count, 10U);
  EXPECT_EQ(job.max_parallel, 3U);
  EXPECT_EQ(job.env.at("THREADS"), "2");
  EXPECT_EQ(job.env.at("FAST"), "true");
  EXPECT_EQ(job.output_limit, 1U << 20);
}

TEST(job_file, a_command_in_one_string_is_for_the_shell) {
  const auto jobs = toml("command = \"echo $HOME | wc\"");
  ASSERT_TRUE(jobs) << jobs.error().message();
  EXPECT_EQ(jobs->front().command, (Words{"/bin/sh", "-c", "echo $HOME | wc"}));
  EXPECT_EQ(jobs->front().resources.cpu_milli, 1000); // one core unless it says otherwise
}

TEST(job_file, json_and_toml_say_the_same) {
  const auto a = toml("[[jobs]]\ncommand = [\"a\"]\n[[jobs]]\ncommand = [\"b\"]\nretries = 2\n");
  const auto b =
    parse_job_file(R"({"jobs": [{"command": ["a"]}, {"command": ["b"], "retries": 2}]})",
                   JobFileForm::json, no_files);
  ASSERT_TRUE(a);
  ASSERT_TRUE(b);
  EXPECT_EQ(*a, *b);
  EXPECT_EQ(a->size(), 2U);
}

TEST(job_file, jobs_wait_for_each_other_by_name_or_for_others_by_number) {
  const auto jobs = toml(R"(
[[jobs]]
name = "compile"
command = ["make"]
[[jobs]]
name = "test"
command = ["ctest"]
after = ["compile", "17:any", { job = 18, kind = "fail" }]
on_failure = "fail_fast"
constraints = "zone=a"
limits = ["db=2"]
retry = ["exit:75=3", {on = "signal", tries = 1}, "any=2"]
checkpoint_signal = "USR2"
checkpoint_grace = "5m"
crash_nodes = 2
near = "team=x"
apart = ["team=y@zone"]
deadline = "2025-01-31T10:00:00Z"
)");
  ASSERT_TRUE(jobs) << jobs.error().message();
  const JobSpec& job = jobs->at(1);
  ASSERT_EQ(job.after.size(), 3U);
  EXPECT_EQ(job.after[0], (Dependency{JobId(18), 0, DependencyKind::fail, false}));
  EXPECT_EQ(job.after[1], (Dependency{JobId(), 0, DependencyKind::ok, false}));
  EXPECT_EQ(job.after[2], (Dependency{JobId(17), 0, DependencyKind::any, false}));
  EXPECT_EQ(job.on_failure, FailurePolicy::fail_fast);
  EXPECT_EQ(job.constraints.size(), 1U);
  EXPECT_EQ(job.limits.size(), 1U);
  ASSERT_EQ(job.retry.size(), 3U); // in this order
  EXPECT_EQ(job.retry[0].on, Cause::exit_code);
  EXPECT_EQ(job.retry[1].on, Cause::signal);
  EXPECT_EQ(job.retry[2].on, Cause::none);
  EXPECT_EQ(job.checkpoint_signal, 12);
  EXPECT_EQ(job.checkpoint_grace, std::chrono::minutes(5));
  EXPECT_EQ(job.crash_nodes, 2U);
  EXPECT_EQ(job.affinity.size(), 2U);
  EXPECT_EQ(job.deadline, TimePoint(std::chrono::seconds(1'738'317'600)));
}

TEST(job_file, a_name_that_several_jobs_have_cannot_be_waited_for) {
  const auto jobs = toml("[[jobs]]\nname = \"a\"\ncommand = \"x\"\n[[jobs]]\nname = \"a\"\n"
                         "command = \"y\"\n[[jobs]]\ncommand = \"z\"\nafter = \"a\"");
  EXPECT_EQ(error_of(jobs), "jobs[2].after[0]: several jobs of the file are called a");
}

TEST(job_file, items_come_from_a_file_beside_it) {
  const auto jobs = toml("command = [\"curl\", \"{}\"]\neach_line = \"urls.txt\"",
                         [](const std::string& path) -> Result<std::string> {
                           EXPECT_EQ(path, "urls.txt");
                           return std::string("a\nb\n");
                         });
  ASSERT_TRUE(jobs) << jobs.error().message();
  EXPECT_EQ(jobs->front().items, (Words{"a", "b"}));
  EXPECT_EQ(jobs->front().count, 2U);
}

struct FileCase {
  const char *text, *error;
};
TEST(job_file, what_is_wrong_is_named_with_its_place) {
  for (const FileCase& c : {
         FileCase{"command = [\"x\"]\nretrys = 1", "retrys: no such field"},
         FileCase{"command = [\"x\"]\ntime_limit = \"soon\"",
                  "time_limit: must be a duration such as 90s, 10m, 1h30m or 500ms, got 'soon'"},
         FileCase{"[[jobs]]\ncommand = [\"x\"]\n[[jobs]]\ncommand = [\"x\"]\nmemory = \"1X\"",
                  "jobs[1].memory: must be a size such as 4GiB, 512M or 4096, got '1X'"},
         FileCase{"[[jobs]]\ncommand = []",
                  "jobs[0].command: required for executor process: the program and its arguments"},
         FileCase{"command = [\"x\"]\nretries = \"two\"",
                  "retries: must be an integer, got a string"},
         FileCase{"command = [\"x\"]\neach_line = \"gone\"",
                  "each_line: gone: No such file or directory"},
         FileCase{"command = [\"x\"]\nretry = [\"exit=many\"]",
                  "retry[0]: the number of further tries must be from 0 to 1000; got 'exit=many'"},
         FileCase{
           "command = [\"x\"]\nretry = [{on = \"cancelled\", tries = 1}]",
           "retry[0].on: must be exit_code, signal, time_limit, out_of_memory, start_failed, "
           "executor_error, lost_node, preempted, drained, or none for any failure of the "
           "task's own; got cancelled"},
         FileCase{"command = [\"x\"]\ncheckpoint_signal = \"KILL\"",
                  "checkpoint_signal: must be a signal that a task can catch, got 9"},
         FileCase{"jobs = []", "jobs: must be a list of at least one job"},
         FileCase{"name = \"x\"\n[[jobs]]\ncommand = [\"x\"]", "name: no such field beside `jobs`"},
       })
    EXPECT_EQ(error_of(toml(c.text)), c.error) << c.text;
}

TEST(job_file, a_syntax_error_names_line_and_column) {
  const auto bad = toml("command = [\"x\"\nretries = 1");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Code::bad_message);
  EXPECT_EQ(bad.error().text.rfind("line 2, column ", 0), 0U) << bad.error().text;
}

TEST(job_file, its_form_is_known_by_name_or_first_character) {
  EXPECT_EQ(form_of("a.json", "x"), JobFileForm::json);
  EXPECT_EQ(form_of("a.toml", "{"), JobFileForm::toml);
  EXPECT_EQ(form_of("-", " \n{\"command\": []}"), JobFileForm::json);
  EXPECT_EQ(form_of("-", "command = []"), JobFileForm::toml);
}

} // namespace
} // namespace reeve::cli
