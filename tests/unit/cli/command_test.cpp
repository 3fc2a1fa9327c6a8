// Commands against a master of fixed answers: what they ask, print and return. The files in golden/
// are what people and programs see; REEVE_UPDATE_GOLDEN=1 writes them anew.
#include "tests/unit/cli/small_cluster.hpp"
#include "tests/unit/client/fake_publisher.hpp"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

namespace reeve::cli {
namespace {

using Ran = SmallCluster::Ran;

std::string file_text(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// ---- golden output

struct Shown {
  const char* name; // of the golden files
  std::vector<std::string> args;
};
void PrintTo(const Shown& shown, std::ostream* out) {
  *out << shown.name;
}
class Output : public testing::TestWithParam<Shown> {};

TEST_P(Output, is_as_promised_in_every_format) {
  SmallCluster cluster;
  for (const char* format : {"table", "wide", "json", "jsonl", "quiet"}) {
    auto args = GetParam().args;
    args.insert(args.begin(), {"-o", format});
    const Ran ran = cluster.reeve(args);
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.err, "") << format;
    const std::string path =
      std::string(REEVE_GOLDEN) + "/" + GetParam().name + "." + format + ".txt";
    if (std::getenv("REEVE_UPDATE_GOLDEN") != nullptr)
      std::ofstream(path) << ran.out;
    EXPECT_EQ(ran.out, file_text(path)) << path;
    std::istringstream lines(ran.out);
    for (std::string line; std::string(format) == "jsonl" && std::getline(lines, line);)
      EXPECT_EQ(line.rfind("{\"v\":1,", 0), 0U) << line;
  }
}

INSTANTIATE_TEST_SUITE_P(
  reeve, Output,
  testing::Values(
    Shown{"job_list", {"job", "list"}}, Shown{"job_show", {"job", "show", "1", "3"}},
    Shown{"job_wait", {"job", "wait", "2", "3"}}, Shown{"job_cancel", {"job", "cancel", "2", "3"}},
    Shown{"submit", {"submit", "--correlation", "c1", "--", "echo", "hi"}},
    Shown{"submit_dry_run", {"submit", "--dry-run", "--", "echo", "hi"}},
    Shown{"task_list", {"task", "list", "2"}}, Shown{"task_show", {"task", "show", "1/0-1"}},
    Shown{"task_explain", {"task", "explain", "3/0"}}, Shown{"node_list", {"node", "list"}},
    Shown{"node_show", {"node", "show", "n1"}},
    Shown{"node_drain", {"node", "drain", "n1", "--reason", "new disk"}},
    Shown{"lease_list", {"lease", "list"}}, Shown{"lease_take", {"lease", "take", "--vcores", "1"}},
    Shown{"lease_release", {"lease", "release", "3"}}, Shown{"history", {"history"}},
    Shown{"stats", {"stats"}}, Shown{"master_status", {"master", "status"}},
    Shown{"master_config", {"master", "config"}}),
  [](const auto& tested) { return std::string(tested.param.name); });

// ---- exit codes

struct Ended {
  const char* name;
  std::vector<std::string> args;
  int code;
  const char* err; // its beginning
};
void PrintTo(const Ended& ended, std::ostream* out) {
  *out << ended.name;
}
class ExitCode : public testing::TestWithParam<Ended> {};

TEST_P(ExitCode, says_what_happened_and_the_error_names_the_field) {
  SmallCluster cluster;
  const Ran ran = cluster.reeve(GetParam().args);
  EXPECT_EQ(ran.code, GetParam().code) << ran.err;
  EXPECT_EQ(ran.err.substr(0, std::string(GetParam().err).size()), GetParam().err);
}

INSTANTIATE_TEST_SUITE_P(
  reeve, ExitCode,
  testing::Values(
    Ended{"good", {"job", "list"}, 0, ""}, Ended{"help", {"--help"}, 0, ""},
    Ended{"version", {"--version"}, 0, ""}, Ended{"a_task_failed", {"job", "wait", "1"}, 1, ""},
    Ended{"nothing", {}, 2, "Gives work to a reeve cluster"},
    Ended{"no_such_command", {"jobs"}, 2, "reeve: no command 'jobs'; did you mean job?"},
    Ended{
      "no_such_verb", {"node", "dran", "n1"}, 2, "reeve: no command 'dran'; did you mean drain?"},
    Ended{"nothing_like_it", {"frobnicate", "--x"}, 2, "reeve: no command 'frobnicate'\nRun"},
    Ended{"no_such_option", {"job", "list", "--nonsense"}, 2, "reeve: no option '--nonsense'\n"},
    Ended{"mistyped_option",
          {"job", "list", "--stat=running"},
          2,
          "reeve: no option '--stat'; did you mean --state?"},
    Ended{"mistyped_option_of_all",
          {"--mster", "x", "job", "list"},
          2,
          "reeve: no option '--mster'; did you mean --master?"},
    Ended{"missing_word", {"job", "cancel"}, 2, "reeve: JOB is required"},
    Ended{"bad_selector", {"job", "cancel", "x"}, 2, "reeve: JOB: must be a job such as 5"},
    Ended{"bad_state", {"job", "list", "-s", "runing"}, 2, "reeve: --state: must be pending"},
    Ended{"bad_format", {"job", "list", "-o", "xml"}, 2, "reeve: --output: must be table"},
    Ended{"bad_timeout", {"stats", "--timeout", "x"}, 2, "reeve: --timeout: must be a duration"},
    Ended{"bad_size", {"submit", "--memory", "x", "--", "a"}, 2, "reeve: --memory: must be a size"},
    Ended{"bad_master", {"stats", "-m", "tcp://x:y"}, 2, "reeve: master: not an endpoint"},
    Ended{"no_command", {"submit"}, 2, "reeve: COMMAND: give a command behind `--`"},
    Ended{"no_file", {"submit", "-f", "/nowhere/job.toml"}, 2, "reeve: --file: /nowhere/job.toml"},
    Ended{"both_streams", {"job", "logs", "1", "--stdout", "--stderr"}, 2, "reeve: "},
    Ended{"nothing_to_hold", {"lease", "take"}, 2, "reeve: --vcores: say what to hold"},
    Ended{"release_of_nothing", {"lease", "release"}, 2, "reeve: LEASE: give either"},
    Ended{"whole_job_as_tasks", {"task", "cancel", "2"}, 2, "reeve: TASK: name the tasks"},
    Ended{
      "several_jobs_for_one_task", {"task", "list", "1-3"}, 2, "reeve: TASK: 1-3 means several"},
    Ended{"bad_history_kind", {"history", "job"}, 2, "reeve: KIND: must be jobs, attempts"},
    Ended{"bad_history_time", {"history", "--since", "x"}, 2, "reeve: --since: must be a time"},
    Ended{"bad_event_start", {"events", "--from", "x"}, 2, "reeve: --from: must be now, start or"},
    Ended{"bad_seq", {"journal", "export", "--from", "x"}, 2, "reeve: --from: must be a whole"},
    Ended{"no_events", {"events"}, 4, "reeve: master: this master publishes no events"},
    Ended{"bad_shell", {"completion", "tcsh"}, 2, "reeve: SHELL: must be bash, zsh or fish"},
    Ended{"config_both_ways", {"master", "config", "a", "b=1"}, 2, "reeve: NAME: either"},
    Ended{
      "refused", {"master", "config", "nonsense=1"}, 3, "reeve: values.nonsense: no such setting"},
    Ended{"a_bad_job",
          {"submit", "--executor", "sleep", "--", "1s", "2s"},
          3,
          "reeve: command: for executor sleep"},
    Ended{"no_such_job", {"job", "show", "99"}, 4, "reeve: JOB: no job 99"},
    Ended{"no_such_job_to_list", {"job", "list", "99"}, 4, "reeve: JOB: no job 99"},
    Ended{"none_of_that_state", {"job", "list", "1", "-s", "held"}, 0, ""},
    Ended{"no_such_jobs", {"job", "list", "1,98"}, 4, "reeve: JOB: no job 98"},
    Ended{"no_such_task", {"task", "show", "1/77"}, 4, "reeve: TASK: no task 1/77"},
    Ended{"no_such_node", {"node", "show", "n9"}, 4, "reeve: NODE: no node n9"},
    Ended{"no_such_setting", {"master", "config", "x"}, 4, "reeve: NAME: no setting x"},
    Ended{"no_master",
          {"stats", "-m", "tcp://127.0.0.1:1", "--timeout", "50ms"},
          5,
          "reeve: master: none reached at tcp://127.0.0.1:1"}),
  [](const auto& tested) { return std::string(tested.param.name); });

TEST(exit_code, a_call_without_an_answer_times_out) {
  SmallCluster cluster;
  cluster.instead = [](FakeMaster::Asked&) { return true; };
  EXPECT_EQ(cluster.reeve({"stats", "--timeout", "100ms"}).code, 6);
}

TEST(exit_code, a_master_that_is_busy_for_too_long_is_told_apart) {
  SmallCluster cluster;
  cluster.instead = [](FakeMaster::Asked& asked) {
    asked.refuse(Code::busy, "", "too much in flight", std::chrono::seconds(60));
    return true;
  };
  EXPECT_EQ(cluster.reeve({"stats", "--timeout", "300ms"}).code, 7);
}

TEST(exit_code, errors_for_programs_are_json_with_code_field_and_exit) {
  SmallCluster cluster;
  const Ran ran = cluster.reeve({"job", "show", "99", "-o", "json"});
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "{\"v\":1,\"error\":{\"code\":\"not_found\",\"field\":\"JOB\",\"text\":\"no "
                     "job 99 (older ones: reeve history --job ID)\",\"exit\":4}}\n");
}

// ---- what is asked

TEST(submit, makes_a_job_of_a_command_and_its_options) {
  SmallCluster cluster;
  const Ran ran = cluster.reeve({"submit", "-n", "squares", "-a", "1-10%2", "--memory", "1GiB",
                                 "-l", "team=x", "--key", "k", "--", "sh", "-c", "echo -n"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "job 7 submitted: squares (10 tasks)\n");
  ASSERT_EQ(cluster.submitted.jobs.size(), 1U);
  EXPECT_EQ(cluster.submitted.key.data, "k");
  const JobSpec& job = cluster.submitted.jobs[0];
  EXPECT_EQ(job.command, (std::vector<std::string>{"sh", "-c", "echo -n"}));
  EXPECT_EQ(job.user, "ann");
  EXPECT_EQ(job.count, 10U);
  EXPECT_EQ(job.max_parallel, 2U);
  EXPECT_EQ(job.resources.cpu_milli, 1000);
  EXPECT_EQ(job.labels.at("team"), "x");
}

TEST(submit, the_commands_own_options_are_left_to_it) {
  SmallCluster cluster;
  ASSERT_EQ(cluster.reeve({"submit", "-n", "x", "grep", "-n", "--wait", "y"}).code, 0);
  EXPECT_EQ(cluster.submitted.jobs.at(0).command,
            (std::vector<std::string>{"grep", "-n", "--wait", "y"}));
  EXPECT_EQ(cluster.submitted.jobs.at(0).name, "x");
  ASSERT_EQ(cluster.reeve({"submit", "--", "prog", "--", "-o", "json"}).code, 0);
  EXPECT_EQ(cluster.submitted.jobs.at(0).command,
            (std::vector<std::string>{"prog", "--", "-o", "json"}));
}

TEST(submit, after_last_means_the_newest_job_of_the_user) {
  SmallCluster cluster;
  ASSERT_EQ(cluster.reeve({"submit", "--after", "last:any", "--after", "1", "--", "true"}).code, 0);
  EXPECT_EQ(cluster.submitted.jobs.at(0).after,
            (std::vector<Dependency>{{JobId(3), 0, DependencyKind::any, false},
                                     {JobId(1), 0, DependencyKind::ok, false}}));
}

TEST(submit, one_task_for_each_line_of_standard_input) {
  SmallCluster cluster;
  ASSERT_EQ(cluster.reeve({"submit", "--each-line", "-", "--", "curl", "{}"}, "a\n\nb\n").code, 0);
  EXPECT_EQ(cluster.submitted.jobs.at(0).items, (std::vector<std::string>{"a", "b"}));
}

TEST(submit, a_job_file_from_standard_input_under_the_options_given) {
  SmallCluster cluster;
  const Ran ran = cluster.reeve(
    {"submit", "-f", "-", "--retries", "3", "-o", "quiet"},
    R"({"jobs": [{"name": "a", "command": ["x"], "retries": 1}, {"name": "b", "command": ["y"]}]})");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "7\n8\n");
  ASSERT_EQ(cluster.submitted.jobs.size(), 2U);
  EXPECT_EQ(cluster.submitted.jobs[0].retries, 3U);
  EXPECT_EQ(cluster.submitted.jobs[1].name, "b");
}

TEST(submit, what_is_wrong_in_a_job_file_is_named_with_field_and_file) {
  SmallCluster cluster;
  const Ran ran = cluster.reeve({"submit", "-f", "-"}, "command = [\"x\"]\nretrys = 1\n");
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.err, "reeve: retrys: no such field (in -)\n");
}

TEST(submit, a_script_brings_its_own_options_and_those_given_win) {
  const std::string path =
    testing::TempDir() + "reeve_script_" + std::to_string(::getpid()) + ".sh";
  std::ofstream(path) << "#!/bin/sh\n#REEVE --name night --retries 2\necho hi\n";
  SmallCluster cluster;
  const Ran ran = cluster.reeve({"submit", "--retries", "5", path, "arg"});
  std::filesystem::remove(path);
  ASSERT_EQ(ran.code, 0) << ran.err;
  const JobSpec& job = cluster.submitted.jobs.at(0);
  EXPECT_EQ(job.name, "night");
  EXPECT_EQ(job.retries, 5U);
  EXPECT_EQ(job.payload.data, "#!/bin/sh\n#REEVE --name night --retries 2\necho hi\n");
  EXPECT_EQ(job.command.back(), "arg");
}

TEST(submit, waits_when_asked_and_returns_how_it_ended) {
  SmallCluster cluster;
  const Ran ran = cluster.reeve({"submit", "--wait", "--", "true"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "job 7 submitted: true (1 task)\n"
                     "job 7 succeeded: 2 of 2 tasks succeeded, exit code 0\n");
  EXPECT_EQ(cluster.waited.back(), std::vector<JobId>{JobId(7)});
}

TEST(submit, followed_output_is_on_stdout_alone) {
  SmallCluster cluster;
  cluster.instead = [](FakeMaster::Asked& asked) {
    if (asked.header.type != MessageType::submit)
      return false;
    asked.reply(Submitted{JobId(1), 1, false, ""});
    return true;
  };
  const Ran ran = cluster.reeve({"submit", "--follow", "--", "true"});
  EXPECT_EQ(ran.out, "1/0: hello\n1/1: hello\n");
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.err, "job 1 submitted: true (1 task)\njob 1 failed: 1 of 2 tasks succeeded, 1 "
                     "failed, exit code 3\n");
}

TEST(wait, ctrl_c_says_that_the_job_goes_on_and_how_to_find_it) {
  SmallCluster cluster;
  cluster.instead = [&](FakeMaster::Asked& asked) {
    if (asked.header.type != MessageType::wait)
      return false;
    cluster.interrupted = true;
    return true;
  };
  const Ran ran = cluster.reeve({"submit", "--wait", "--", "true"});
  EXPECT_EQ(ran.code, 130);
  EXPECT_EQ(ran.err, "reeve: interrupted; job 7 keeps running (reeve job wait 7 waits again, reeve "
                     "job cancel 7 ends it)\n");
}

TEST(wait, says_why_a_job_did_not_go_well) {
  SmallCluster cluster;
  cluster.instead = [&](FakeMaster::Asked& asked) {
    if (asked.header.type != MessageType::list_jobs)
      return false;
    JobList list;
    list.jobs.push_back(SmallCluster::job(1, "broken", JobState::failed, 2, 1, 1));
    list.jobs[0].reason = "ran longer than its time limit of 1 s";
    asked.reply(list);
    return true;
  };
  const Ran ran = cluster.reeve({"job", "wait", "1"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.out, "job 1 failed: 1 of 2 tasks succeeded, 1 failed, exit code 3: ran longer than "
                     "its time limit of 1 s\n");
}

TEST(wait, a_time_limit_leaves_the_job_running) {
  SmallCluster cluster;
  cluster.instead = [&](FakeMaster::Asked& asked) {
    return asked.header.type == MessageType::wait;
  };
  const Ran ran = cluster.reeve({"job", "wait", "2", "--timeout", "200ms"});
  EXPECT_EQ(ran.code, 6);
  EXPECT_EQ(ran.err.rfind("reeve: timed out; job 2 keeps running", 0), 0U) << ran.err;
}

TEST(wait,
     all_means_those_that_have_not_ended_and_a_name_those_that_have_when_there_are_no_others) {
  SmallCluster cluster;
  EXPECT_EQ(cluster.reeve({"job", "wait", "all"}).code, 0);
  EXPECT_EQ(cluster.waited.back(), (std::vector<JobId>{JobId(3), JobId(2)}));
  EXPECT_EQ(cluster.reeve({"job", "wait", "name:broken"}).code, 1);
  EXPECT_EQ(cluster.waited.back(), std::vector<JobId>{JobId(1)});
}

TEST(job_actions, act_on_what_is_named_with_the_reason) {
  SmallCluster cluster;
  const std::pair<const char*, JobAction> actions[] = {{"cancel", JobAction::cancel},
                                                       {"retry", JobAction::retry},
                                                       {"hold", JobAction::hold},
                                                       {"release", JobAction::release}};
  for (const auto& [name, action] : actions) {
    EXPECT_EQ(cluster.reeve({"job", name, "1-2", "--reason", "why"}).code, 0);
    EXPECT_EQ(cluster.acted.action, action);
    EXPECT_EQ(cluster.acted.jobs, (std::vector<JobId>{JobId(1), JobId(2)}));
    EXPECT_EQ(cluster.acted.reason, "why");
  }
  EXPECT_EQ(cluster.reeve({"job", "cancel", "all"}).code, 0);
  EXPECT_EQ(cluster.acted.jobs, (std::vector<JobId>{JobId(3), JobId(2)})); // not what has ended
}

TEST(job_actions, all_of_none_is_not_a_failure) {
  SmallCluster cluster;
  cluster.instead = [](FakeMaster::Asked& asked) {
    asked.reply(JobList{});
    return true;
  };
  const Ran ran = cluster.reeve({"job", "cancel", "all"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.err, "there is no such job\n");
  EXPECT_EQ(cluster.reeve({"job", "cancel", "name:x"}).code, 4);
}

TEST(task_actions, cancel_names_runs_of_tasks) {
  SmallCluster cluster;
  EXPECT_EQ(cluster.reeve({"task", "cancel", "2/0-4", "3/7"}).code, 0);
  ASSERT_EQ(cluster.acted.tasks.size(), 2U);
  EXPECT_EQ(cluster.acted.tasks[0], (JobRuns{JobId(2), {{0, 5, 1}}}));
  EXPECT_EQ(cluster.acted.tasks[1], (JobRuns{JobId(3), {{7, 1, 1}}}));
}

TEST(logs, several_tasks_are_told_apart_and_one_is_printed_as_it_is) {
  SmallCluster cluster;
  EXPECT_EQ(cluster.reeve({"task", "logs", "1/0"}).out, "hello\n");
  EXPECT_EQ(cluster.reeve({"job", "logs", "1"}).out, "1/0: hello\n1/1: hello\n");
  EXPECT_EQ(cluster.reeve({"job", "logs", "1", "--stderr"}).out, "");
}

TEST(nodes, are_named_by_pattern_label_or_all) {
  SmallCluster cluster;
  EXPECT_EQ(cluster.reeve({"node", "list", "n*", "-o", "quiet"}).out, "n1\nn2\n");
  EXPECT_EQ(cluster.reeve({"node", "list", "label:zone=west", "-o", "quiet"}).out, "n2\n");
  EXPECT_EQ(cluster.reeve({"node", "list", "--state", "up", "-o", "quiet"}).out, "n1\n");
  EXPECT_EQ(cluster.reeve({"node", "undrain", "all"}).code, 0);
  EXPECT_EQ(cluster.acted_on_nodes.nodes, (std::vector<std::string>{"n1", "n2"}));
  EXPECT_EQ(cluster.reeve({"node", "label", "n1", "zone=north", "disk="}).code, 0);
  EXPECT_EQ(cluster.acted_on_nodes.labels,
            (std::map<std::string, std::string>{{"zone", "north"}, {"disk", ""}}));
  EXPECT_EQ(cluster.reeve({"node", "label", "n1"}).code, 2);
}

TEST(nodes, drain_waits_until_nothing_runs_there) {
  SmallCluster cluster;
  int looks = 0;
  cluster.instead = [&](FakeMaster::Asked& asked) {
    if (asked.header.type != MessageType::list_nodes)
      return false;
    NodeView node;
    node.name = "n1";
    node.tasks = ++looks < 3 ? 2 : 0;
    asked.reply(NodeList{{node}, Seq(1)});
    return true;
  };
  const Ran ran = cluster.reeve({"node", "drain", "n1", "--wait"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.err, "2 tasks still there\n");
  EXPECT_EQ(looks, 3);
}

TEST(leases, are_taken_renewed_and_given_back_as_asked) {
  SmallCluster cluster;
  ASSERT_EQ(cluster
              .reeve({"lease", "take", "--node", "n1", "--vcores", "0.5", "--memory", "1GiB", "-r",
                      "gpu=1", "--for", "10m", "--key", "k"})
              .code,
            0);
  EXPECT_EQ(cluster.allocated.node, "n1");
  EXPECT_EQ(cluster.allocated.owner, "ann");
  EXPECT_EQ(cluster.allocated.resources.cpu_milli, 500);
  EXPECT_EQ(cluster.allocated.resources.named_milli.at("gpu"), 1000);
  EXPECT_EQ(cluster.allocated.duration, std::chrono::minutes(10));
  ASSERT_EQ(cluster.reeve({"lease", "renew", "3", "--for", "5m"}).code, 0);
  EXPECT_EQ(cluster.renewed.lease, LeaseId(3));
  EXPECT_EQ(cluster.renewed.duration, std::chrono::minutes(5));
  ASSERT_EQ(cluster.reeve({"lease", "release", "--node", "n2", "--owner", "bob"}).code, 0);
  EXPECT_EQ(cluster.released, (Release{LeaseId(), "n2", "bob"}));
}

TEST(history, filters_are_asked_as_given) {
  SmallCluster cluster;
  ASSERT_EQ(cluster
              .reeve({"history",          "attempts", "--since", "2m",      "--until",
                      "2025-01-31 10:00", "--name",   "ren*",    "--user",  "bob",
                      "--queue",          "q",        "--node",  "n1",      "--state",
                      "failed",           "--job",    "5",       "--limit", "7"})
              .code,
            0);
  const QueryHistory& q = cluster.questioned;
  EXPECT_EQ(q.kind, HistoryKind::attempts);
  EXPECT_EQ(q.since, at(60 - 120));
  EXPECT_EQ(q.until, at(0));
  EXPECT_EQ(q.name, "ren*");
  EXPECT_EQ(q.user, "bob");
  EXPECT_EQ(q.queue, "q");
  EXPECT_EQ(q.node, "n1");
  EXPECT_EQ(q.state, "failed");
  EXPECT_EQ(q.job, JobId(5));
  EXPECT_EQ(q.limit, 7U);
}

TEST(history, pages_are_read_until_the_limit) {
  SmallCluster cluster;
  cluster.instead = [](FakeMaster::Asked& asked) {
    const auto query = asked.as<QueryHistory>();
    HistoryRows rows{{"job"}, {}, 0};
    const std::uint64_t begin = query.before == 0 ? 2500 : query.before;
    for (std::uint64_t k = 1; k <= query.limit && k < begin; ++k)
      rows.rows.push_back({std::to_string(begin - k)});
    rows.next = begin > query.limit ? begin - query.limit : 0;
    asked.reply(rows);
    return true;
  };
  const Ran ran = cluster.reeve({"history", "--limit", "2400", "-o", "quiet"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 2400);
  EXPECT_EQ(ran.out.substr(0, 5), "2499\n");
  EXPECT_EQ(ran.out.substr(ran.out.size() - 5), "\n100\n");
}

Event told(std::uint64_t seq, const std::string& kind, std::uint64_t job, const std::string& node,
           const std::string& queue = {}) {
  Event e = testing_support::event(seq, 0, kind);
  e.time = at(static_cast<std::int64_t>(seq));
  e.job = JobId(job);
  e.node = node;
  e.queue = queue;
  e.numbers = {{"tasks", 3}};
  return e;
}

TEST(events, are_filtered_by_kind_job_node_and_queue) {
  SmallCluster cluster;
  testing_support::FakePublisher publisher(
    {told(1, "job.submitted", 5, ""), told(2, "task.placed", 5, "n1"), told(3, "job.ended", 5, ""),
     told(4, "jobs.something", 0, ""), told(5, "job.ended", 6, ""),
     told(6, "job.submitted", 7, "", "night")});
  publisher.durable = 6;
  const auto seqs = [&](std::vector<std::string> filters) {
    std::vector<std::string> args{"events", "-m",        publisher.where().front(),
                                  "--from", "start",     "-o",
                                  "quiet",  "--timeout", "300ms"};
    args.insert(args.end(), filters.begin(), filters.end());
    const Ran ran = cluster.reeve(args);
    EXPECT_EQ(ran.code, 0) << ran.err;
    return ran.out;
  };
  EXPECT_EQ(seqs({"--filter", "job"}), "1\n3\n5\n6\n");
  EXPECT_EQ(seqs({"--queue", "night"}), "6\n");
  EXPECT_EQ(seqs({"--queue", "night", "--job", "6"}), "");
  EXPECT_EQ(seqs({"--filter", "job.ended", "--job", "6"}), "5\n");
  EXPECT_EQ(seqs({"--node", "n1"}), "2\n");
}

TEST(events, are_lines_for_people_and_json_for_programs) {
  SmallCluster cluster;
  testing_support::FakePublisher publisher({told(2, "task.placed", 5, "n1", "batch")});
  publisher.durable = 2;
  const auto shown = [&](const char* format, const char* count) {
    const Ran ran = cluster.reeve(
      {"events", "-m", publisher.where().front(), "--from", "1", "--count", count, "-o", format});
    EXPECT_EQ(ran.code, 0) << ran.err;
    return ran.out;
  };
  EXPECT_EQ(shown("table", "2"),
            "-  2  stream.gap  events 1 to 1 are missing: the master no longer keeps them  "
            "first=1  last=1\n"
            "2025-01-31 10:00:02  2  task.placed  job 5  queue batch  n1  tasks=3\n");
  const std::string json = shown("jsonl", "2");
  EXPECT_EQ(
    json.substr(json.find('\n') + 1),
    R"({"v":1,"seq":2,"part":0,"time_us":1738317602000000,"kind":"task.placed","job":5,)"
    R"("node":"n1","name":"","text":"","numbers":{"tasks":3},"correlation":"","queue":"batch"})"
    "\n");
}

TEST(events, fewer_than_asked_for_within_the_time_is_a_timeout) {
  SmallCluster cluster;
  testing_support::FakePublisher publisher;
  EXPECT_EQ(
    cluster.reeve({"events", "-m", publisher.where().front(), "--count", "1", "--timeout", "200ms"})
      .code,
    6);
}

TEST(master_commands, settings_are_shown_and_set) {
  SmallCluster cluster;
  EXPECT_EQ(cluster.reeve({"master", "config", "beacon.interval", "-o", "quiet"}).out, "2s\n");
  EXPECT_EQ(cluster.reeve({"master", "config", "retention.*", "-o", "quiet"}).out, "1h\n");
  EXPECT_EQ(cluster.reeve({"master", "config", "retention.jobs=2h", "beacon.interval="}).out,
            "beacon.interval back to its default, retention.jobs is now 2h\n");
  EXPECT_EQ(cluster.configured.values.at("retention.jobs"), "2h");
  EXPECT_EQ(cluster.reeve({"master", "snapshot"}).out, "snapshot of 40 entries written\n");
}

TEST(completion, every_shell_gets_every_command_and_option) {
  SmallCluster cluster;
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Ran ran = cluster.reeve({"completion", shell});
    EXPECT_EQ(ran.code, 0);
    for (const char* word : {"submit", "undrain", "time-limit", "release", "explain"})
      EXPECT_NE(ran.out.find(word), std::string::npos) << shell << " " << word;
  }
}

TEST(completion, bash_completes_nouns_verbs_and_options) {
  SmallCluster cluster;
  const std::string path =
    testing::TempDir() + "reeve_completion_" + std::to_string(::getpid()) + ".bash";
  const auto completed = [&](const std::string& words, int current) {
    std::ofstream(path) << cluster.reeve({"completion", "bash"}).out << "COMP_WORDS=(" << words
                        << ")\nCOMP_CWORD=" << current
                        << "\n_reeve\nprintf '%s ' \"${COMPREPLY[@]}\"\n";
    FILE* pipe = ::popen(("bash " + path).c_str(), "r");
    std::string out;
    for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe))
      out += static_cast<char>(c);
    EXPECT_EQ(::pclose(pipe), 0);
    return out;
  };
  EXPECT_EQ(completed("reeve jo", 1), "job journal ");
  EXPECT_EQ(completed("reeve job ca", 2), "cancel ");
  EXPECT_EQ(completed("reeve -m host node un", 4), "undrain ");
  EXPECT_EQ(completed("reeve node drain n1 --rea", 4), "--reason ");
  EXPECT_EQ(completed("reeve job list -o js", 4), "json jsonl ");
  EXPECT_EQ(completed("reeve submit -- --na", 3), " "); // the command's own words
  std::filesystem::remove(path);
}

} // namespace
} // namespace reeve::cli
