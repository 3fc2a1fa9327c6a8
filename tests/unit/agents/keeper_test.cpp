// Real processes under a real keeper: how they start, what they are given, how they end, and that
// nothing of them is left.
#include "agents/worker/executor_process.hpp"
#include "agents/worker/output.hpp"
#include "tests/unit/agents/keeper_bench.hpp"

#include <algorithm>
#include <set>
#include <sstream>
#include <sys/resource.h>
#include <sys/socket.h>

namespace reeve::worker {
namespace {
using std::chrono::milliseconds;

class keeper_process : public KeeperBench {
protected:
  std::string output(const AttemptId& id, Stream stream = Stream::out) {
    const auto chunk = read_output(dir_, id, stream, 0, 1 << 20);
    EXPECT_TRUE(chunk) << chunk.error().message();
    return chunk ? chunk->data.data : std::string();
  }
  std::string output_of(const JobSpec& spec, std::optional<std::string> item = {}) {
    const AttemptId id = start(spec, std::move(item));
    EXPECT_EQ(result(id).cause, Cause::none) << result(id).text;
    return output(id);
  }
};

// ---- what it is told

TEST(keeper_of_an_older_version, is_sent_no_field_but_those_by_which_a_process_is_run) {
  const char* known[] = {"command",
                         "env",
                         "cwd",
                         "stdin_file",
                         "payload",
                         "index_first",
                         "index_step",
                         "resources",
                         "time_limit_us",
                         "grace_us",
                         "output_limit",
                         "checkpoint_signal",
                         "checkpoint_grace_us"};
  JobSpec spec = shell("true");
  spec.name = "render", spec.user = "ada", spec.queue = "night", spec.count = 7;
  spec.items = {"a"};
  spec.cwd = "/", spec.stdin_file = "/dev/null", spec.payload.data = "x";
  spec.env = {{"A", "b"}};
  spec.index_first = spec.index_step = 3;
  spec.resources.cpu_milli = 500;
  spec.priority = 5, spec.retries = 2, spec.max_parallel = 4;
  spec.time_limit = spec.grace = spec.checkpoint_grace = spec.estimate = Duration(9);
  spec.output_limit = 1, spec.checkpoint_signal = 10;
  spec.node_labels = spec.labels = {{"zone", "x"}};
  spec.limits = {{"licence", 1, false}};
  spec.retry = {RetryRule{}};
  spec.overcommit = spec.speculate = true;
  spec.correlation = "c";
  const std::string bytes = encode(for_keeper(spec));
  codec::Tape& tape = codec::thread_tape();
  ASSERT_TRUE(tape.parse(bytes, stored_limits));
  ASSERT_EQ(tape.tokens[0].size, std::size(known));
  std::size_t found = 0;
  for (const codec::Token& token : tape.tokens)
    if (token.type == codec::Type::str)
      found += std::ranges::count(known, std::string_view(token.data, token.size));
  EXPECT_EQ(found, std::size(known));
}

// ---- ends

TEST_F(keeper_process, its_exit_code_or_signal_is_told) {
  EXPECT_EQ(run(shell("exit 0")).cause, Cause::none);
  const TaskResult code = run(shell("exit 3"));
  EXPECT_EQ(code.cause, Cause::exit_code);
  EXPECT_EQ(code.exit_code, 3);
  const TaskResult killed = run(shell("kill -SEGV $$"));
  EXPECT_EQ(killed.cause, Cause::signal);
  EXPECT_EQ(killed.signal, SIGSEGV);
  EXPECT_NE(killed.text.find("SIGSEGV"), std::string::npos) << killed.text;
}

TEST_F(keeper_process, that_cannot_start_says_why) {
  write("text", "hello", 0600);
  write("no-shebang", "exit 0", 0700);
  write("lost-interpreter", "#!/nowhere/sh\n", 0700);
  JobSpec lost_folder = shell("true"), no_input = shell("true"), folder_as_input = shell("true");
  lost_folder.cwd = file("nowhere");
  no_input.stdin_file = file("nowhere");
  folder_as_input.stdin_file = folder_;
  const auto command = [](std::vector<std::string> words) {
    JobSpec spec;
    spec.command = std::move(words);
    return spec;
  };
  const std::pair<JobSpec, std::string> rows[] = {
    {command({"no-such-command", "x"}), "command not found: no-such-command"},
    {command({file("nowhere")}), "command not found: "},
    {command({file("text")}), "not executable"},
    {command({file("no-shebang")}), "not a program"},
    {command({file("lost-interpreter")}), "interpreter"},
    {command({}), "command is empty"},
    {command({"echo", std::string("a\0b", 3)}), "command[1] contains a NUL byte"},
    {lost_folder, "working directory missing: "},
    {no_input, "stdin file missing: "},
    {folder_as_input, "not a plain file"},
  };
  for (const auto& [spec, text] : rows) {
    const TaskResult result = run(spec);
    EXPECT_EQ(result.cause, Cause::start_failed) << text;
    EXPECT_NE(result.text.find(text), std::string::npos) << result.text << " instead of " << text;
  }
}

TEST_F(keeper_process, is_not_blamed_for_what_its_node_lacks) {
  std::filesystem::remove_all(dir_ + "/work"); // nowhere to make a fresh folder
  const TaskResult result = run(shell("true"));
  EXPECT_EQ(result.cause, Cause::node_trouble);
  EXPECT_NE(result.text.find("cannot make the working directory"), std::string::npos)
    << result.text;
}

TEST_F(keeper_process, tells_what_it_used) {
  const TaskResult busy =
    run(shell("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; x=$(head -c 40000000 /dev/zero | "
              "tr '\\0' a); sleep 0.05"));
  EXPECT_EQ(busy.cause, Cause::none) << busy.text;
  EXPECT_GT(busy.usage.user_cpu.count(), 0);
  EXPECT_GE(busy.usage.wall, Duration(milliseconds(50)));
  EXPECT_GE(busy.ended, busy.started);
  EXPECT_GT(busy.usage.max_rss_bytes, 40'000'000);
}

// ---- what it is given

TEST_F(keeper_process, sees_the_jobs_environment_and_its_own_names_only) {
  JobSpec spec;
  spec.command = {"env"};
  spec.env = {{"COLOUR", "blue green"}, {"REEVE_TASK", "not this"}, {"PATH", "/usr/bin:/bin"}};
  spec.index_first = 100;
  spec.index_step = -10;
  const AttemptId id = start(spec, "pear", 3);
  EXPECT_EQ(result(id).cause, Cause::none);
  std::map<std::string, std::string> seen;
  std::istringstream lines(output(id));
  for (std::string line; std::getline(lines, line);)
    seen[line.substr(0, line.find('='))] = line.substr(line.find('=') + 1);
  EXPECT_EQ(seen["COLOUR"], "blue green");
  EXPECT_EQ(seen["REEVE_JOB_ID"], std::to_string(id.job.value));
  EXPECT_EQ(seen["REEVE_TASK"], "3");
  EXPECT_EQ(seen["REEVE_ATTEMPT"], "1");
  EXPECT_EQ(seen["REEVE_ARRAY_INDEX"], "70");
  EXPECT_EQ(seen["REEVE_ITEM"], "pear");
  EXPECT_FALSE(seen.contains("HOME")) << "the keeper's own environment stays its own";
  EXPECT_FALSE(seen.contains("REEVE_PAYLOAD"));
}

TEST_F(keeper_process, has_its_item_in_place_of_braces) {
  JobSpec spec;
  spec.command = {"printf", "%s|", "{}", "a{}b{}", "{"};
  EXPECT_EQ(output_of(spec, "x{}y"), "x{}y|ax{}ybx{}y|{|");
  EXPECT_EQ(output_of(spec), "{}|a{}b{}|{|") << "a job without items keeps them";
  spec.command = {"{}", "hello"};
  EXPECT_EQ(output_of(spec, "echo"), "hello\n");
}

TEST_F(keeper_process, runs_where_it_is_told_or_in_a_fresh_folder) {
  JobSpec spec = shell("pwd; ls -A | wc -l; touch left-behind");
  spec.cwd = "/tmp/..";
  spec.command = {"pwd"};
  EXPECT_EQ(output_of(spec), "/\n");
  std::string before;
  for (int k = 0; k < 3; ++k) {
    const AttemptId id = start(shell("pwd; ls -A | wc -l; touch left-behind"));
    result(id);
    const std::string said = output(id);
    const std::string where = said.substr(0, said.find('\n'));
    EXPECT_EQ(said.substr(said.find('\n') + 1), "0\n") << "something lay in it";
    EXPECT_TRUE(where.starts_with(dir_ + "/work" + "/")) << where;
    EXPECT_NE(where, before);
    before = where;
  }
}

TEST_F(keeper_process, reads_its_file_or_nothing) {
  JobSpec spec;
  spec.command = {"cat"};
  EXPECT_EQ(output_of(spec), "");
  write("input", "line one\nline two\n");
  spec.stdin_file = file("input");
  EXPECT_EQ(output_of(spec), "line one\nline two\n");
}

TEST_F(keeper_process, gets_a_payload_and_gives_a_result_in_files) {
  JobSpec spec = shell("tr a-z A-Z < $REEVE_PAYLOAD > $REEVE_RESULT");
  spec.payload.data = std::string("some\0bytes", 10);
  const TaskResult good = run(spec);
  EXPECT_EQ(good.cause, Cause::none);
  EXPECT_EQ(good.result.data, std::string("SOME\0BYTES", 10));
  EXPECT_EQ(run(shell("echo why > $REEVE_RESULT; exit 7")).result.data, "why\n")
    << "a failed task tells, too";
}

TEST_F(keeper_process, fails_when_its_result_cannot_be_taken) {
  const std::pair<std::string, std::string> rows[] = {
    {"head -c 65537 /dev/zero > $REEVE_RESULT", "result of 65537 bytes is more than 65536"},
    {"ln -s /etc/hostname $REEVE_RESULT", "result not readable"},
    {"mkfifo $REEVE_RESULT", "result is not a plain file"},
    {"mkdir $REEVE_RESULT", "result is not a plain file"},
  };
  for (const auto& [script, text] : rows) {
    const TaskResult result = run(shell(script));
    EXPECT_EQ(result.cause, Cause::executor_error) << script;
    EXPECT_NE(result.text.find(text), std::string::npos) << result.text;
    EXPECT_EQ(result.result.data, "");
  }
  EXPECT_EQ(run(shell("head -c 65536 /dev/zero > $REEVE_RESULT")).result.data.size(), 65'536u);
  EXPECT_TRUE(std::filesystem::is_empty(dir_ + "/results")) << "nothing stays behind";
}

TEST_F(keeper_process, leads_a_session_and_group_and_inherits_nothing_else) {
  // What the keeper's starter leaves open or ignores would otherwise be every task's.
  agent_->stop_all(Duration(0));
  ASSERT_TRUE(agent_->flush());
  ASSERT_TRUE(wait_end(keeper_pid_));
  int leak[2];
  ASSERT_EQ(::pipe(leak), 0);
  const auto before = std::signal(SIGUSR1, SIG_IGN);
  launch();
  std::signal(SIGUSR1, before);
  ::close(leak[1]);
  ASSERT_TRUE(wait_readable(leak[0])) << "the keeper holds its starter's pipe open";
  ::close(leak[0]);
  const std::string said = output_of(shell("echo $$; cut -d' ' -f5,6 /proc/$$/stat; ulimit -n; "
                                           "grep -E 'Sig(Blk|Ign)' /proc/$$/status | cut -f2"));
  rlimit own{};
  ::getrlimit(RLIMIT_NOFILE, &own);
  std::istringstream words(said);
  std::string pid, group, session, files;
  std::uint64_t blocked = 1, ignored = 1;
  words >> pid >> group >> session >> files >> std::hex >> blocked >> ignored;
  EXPECT_EQ(group, pid);
  EXPECT_EQ(session, pid);
  JobSpec list;
  list.command = {"ls", "/proc/self/fd"};
  EXPECT_EQ(output_of(list), "0\n1\n2\n3\n") << "the last is the folder that it reads";
  EXPECT_EQ(files, std::to_string(own.rlim_cur)) << said;
  EXPECT_EQ(blocked, 0u) << said;
  EXPECT_EQ(ignored & 0x7fffffffu, 0u) << said; // glibc's own two, from 32 on, are not ours
}

// ---- output

TEST_F(keeper_process, keeps_head_and_tail_of_what_it_writes) {
  JobSpec spec = shell("i=0; while [ $i -lt 2000 ]; do printf '%07d\\n' $i; i=$((i+1)); done");
  spec.output_limit = 1'000;
  const AttemptId id = start(spec);
  EXPECT_EQ(result(id).stdout_bytes, 16'000u);
  const auto head = read_output(dir_, id, Stream::out, 0, 1 << 20);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->data.data.size(), 1'000u);
  EXPECT_TRUE(head->data.data.starts_with("0000000\n0000001\n"));
  EXPECT_EQ(head->written, 16'000u);
  const auto gap = read_output(dir_, id, Stream::out, 1'000, 1 << 20);
  ASSERT_TRUE(gap);
  EXPECT_EQ(gap->offset, 15'000u) << "what lies between was dropped, and the chunk says so";
  EXPECT_TRUE(gap->data.data.ends_with("0001998\n0001999\n"));
  EXPECT_EQ(gap->data.data.size(), 1'000u);
  EXPECT_LE(std::filesystem::file_size(dir_ + "/output/1.0.1.out"), 2'064u);
}

TEST_F(keeper_process, has_its_output_apart_counted_and_readable_while_it_runs) {
  Signpost post(file("post"));
  const AttemptId id =
    start(shell("echo out; echo err >&2; echo x > " + post.path() + "; exec sleep 600"));
  post.line();
  run(shell("true")); // the keeper has been through all that was ready before
  EXPECT_EQ(output(id), "out\n");
  EXPECT_EQ(output(id, Stream::err), "err\n");
  cancel(id);
  EXPECT_EQ(result(id).stderr_bytes, 4u);
  JobSpec quiet = shell("echo nothing of this is kept");
  quiet.output_limit = 0;
  const AttemptId silent = start(quiet);
  EXPECT_EQ(result(silent).stdout_bytes, 24u);
  EXPECT_EQ(output(silent), "");
}

TEST_F(keeper_process, output_is_forgotten_when_told) {
  const AttemptId id = start(shell("echo hello"));
  result(id);
  EXPECT_EQ(output(id), "hello\n");
  agent_->release({id});
  agent_->forget_output({id});
  ASSERT_TRUE(agent_->flush());
  run(shell("true")); // what was sent before is done
  EXPECT_TRUE(std::filesystem::is_empty(dir_ + "/output"));
}

// ---- limits

TEST_F(keeper_process, that_runs_too_long_is_stopped) {
  JobSpec spec = shell("exec sleep 600");
  spec.time_limit = milliseconds(100);
  const TaskResult result = run(spec);
  EXPECT_EQ(result.cause, Cause::time_limit);
  EXPECT_EQ(result.signal, SIGTERM);
  EXPECT_EQ(result.text, "ran longer than its time limit of 0.1 s");
  EXPECT_GE(result.usage.wall, Duration(milliseconds(100)));
}

TEST_F(keeper_process, that_takes_too_much_memory_is_stopped) {
  const auto& notes = agent_->welcome().notes;
  const bool groups = std::any_of(notes.begin(), notes.end(), [](const std::string& note) {
    return note.find("by cgroup") != std::string::npos;
  });
  JobSpec spec = shell("dd if=/dev/zero of=/dev/null bs=300M count=1");
  spec.resources.memory_bytes = 64 << 20;
  const TaskResult result = run(spec);
  EXPECT_EQ(result.cause, groups ? Cause::out_of_memory : Cause::exit_code) << result.text;
  EXPECT_LT(result.usage.max_rss_bytes, 80 << 20);
  EXPECT_EQ(run(shell("dd if=/dev/zero of=/dev/null bs=300M count=1")).cause, Cause::none);
}

TEST_F(keeper_process, has_a_memory_limit_without_cgroups_too) {
  agent_->stop_all(Duration(0));
  ASSERT_TRUE(agent_->flush());
  ASSERT_TRUE(wait_end(keeper_pid_));
  launch({"--no-cgroups"});
  JobSpec spec = shell("dd if=/dev/zero of=/dev/null bs=300M count=1");
  spec.resources.memory_bytes = 64 << 20;
  EXPECT_EQ(run(spec).cause, Cause::exit_code);
}

// ---- stopping

TEST_F(keeper_process, is_asked_to_end_and_may_tidy_up) {
  Signpost post(file("post"));
  const AttemptId id =
    start(shell("trap 'echo tidy > " + post.path() + "; exit 0' TERM; echo up > " + post.path() +
                "; while :; do sleep 0.01; done"));
  EXPECT_EQ(post.line(), "up");
  cancel(id);
  EXPECT_EQ(post.line(), "tidy");
  const TaskResult result = this->result(id);
  EXPECT_EQ(result.cause, Cause::cancelled);
  EXPECT_EQ(result.text, "not wanted");
}

TEST_F(keeper_process, that_does_not_listen_is_killed_when_the_grace_is_over) {
  Signpost post(file("post"));
  const AttemptId id =
    start(shell("trap '' TERM; echo up > " + post.path() + "; while :; do sleep 600; done"));
  post.line();
  cancel(id, milliseconds(50));
  const TaskResult result = this->result(id);
  EXPECT_EQ(result.cause, Cause::cancelled);
  EXPECT_EQ(result.signal, SIGKILL);
}

TEST_F(keeper_process, that_is_stopped_by_a_signal_can_be_cancelled) {
  Signpost post(file("post"));
  const AttemptId id = start(shell("echo $$ > " + post.path() + "; kill -STOP $$; sleep 600"));
  post.pid();
  cancel(id, std::chrono::minutes(10));
  EXPECT_EQ(result(id).signal, SIGTERM);
}

TEST_F(keeper_process, takes_a_shorter_grace_than_the_first) {
  Signpost post(file("post"));
  const AttemptId id =
    start(shell("trap '' TERM; echo up > " + post.path() + "; while :; do sleep 600; done"));
  post.line();
  cancel(id, std::chrono::minutes(10));
  cancel(id, milliseconds(1));
  EXPECT_EQ(result(id).signal, SIGKILL);
}

TEST_F(keeper_process, that_does_not_end_when_it_was_killed_is_told_as_the_nodes_trouble) {
  const pid_t keeper = keeper_pid_;
  ProcessExecutor executor(std::move(*agent_), dir_);
  agent_.reset();
  const auto now = [](std::chrono::seconds later) {
    return Now{TimePoint(later), TimePoint(later)};
  };
  StartTasks tasks;
  tasks.job = JobId(5);
  tasks.spec = std::make_shared<const JobSpec>(shell("exec sleep 600"));
  tasks.run = {3, 1, 1};
  executor.start(std::move(tasks), now(std::chrono::seconds(0)));
  executor.commit();
  EXPECT_EQ(executor.trouble(TimePoint(std::chrono::hours(9))), "") << "it may run for ever";
  ASSERT_EQ(::kill(keeper, SIGSTOP), 0); // as if the kernel would not let the task go
  StopRun stop;
  stop.job = JobId(5);
  stop.spec = std::make_shared<const JobSpec>(shell("exec sleep 600"));
  stop.run = {3, 1, 1};
  executor.stop(stop, now(std::chrono::seconds(100)));
  EXPECT_EQ(executor.trouble(TimePoint(std::chrono::seconds(169))), "") << "10 s grace, 1 min more";
  EXPECT_EQ(executor.trouble(TimePoint(std::chrono::seconds(170))),
            "task 5/3 was killed and does not end");
  ASSERT_EQ(::kill(keeper, SIGCONT), 0);
  executor.commit();
  std::vector<Finished> ended;
  while (ended.empty() && wait_readable(executor.fd()))
    ASSERT_TRUE(executor.collect(now(std::chrono::seconds(171)), ended));
  EXPECT_EQ(ended.size(), 1u);
  EXPECT_EQ(executor.trouble(TimePoint(std::chrono::hours(9))), "");
  connect(); // for the end of the test
}

TEST_F(keeper_process, that_forks_without_end_meets_a_limit_and_leaves_nothing) {
  constexpr unsigned nobody = 65'534; // root is not bound by such a limit
  if (::geteuid() == 0) {
    agent_->stop_all(Duration(0));
    ASSERT_TRUE(agent_->flush());
    ASSERT_TRUE(wait_end(keeper_pid_));
    agent_.reset();
    std::filesystem::remove_all(dir_);
    ASSERT_EQ(::chown(folder_.c_str(), nobody, nobody), 0);
    std::filesystem::copy_file(REEVE_AGENT, file("agent")); // nobody may not be let to where it is
    const auto launched = launch_keeper(
      {"/usr/bin/setpriv", "--reuid", std::to_string(nobody), "--regid", std::to_string(nobody),
       "--clear-groups", file("agent"), "keeper", "--state", dir_, "--processes", "60"});
    ASSERT_TRUE(launched) << launched.error().message();
    connect();
  } else {
    agent_->stop_all(Duration(0));
    ASSERT_TRUE(agent_->flush());
    ASSERT_TRUE(wait_end(keeper_pid_));
    launch({"--processes", std::to_string(all_processes().size() + 60)});
  }
  const TaskResult result = run(shell("for i in $(seq 1000); do sleep 600 & done; wait"));
  EXPECT_EQ(result.cause, Cause::exit_code) << "the shell could not fork: " << result.text;
  EXPECT_TRUE(marked(agent_->incarnation()).empty());
}

TEST_F(keeper_process, takes_children_daemons_and_the_disguised_along) {
  Signpost post(file("post"));
  // A child in the group, one in a session of its own, a double-forked one, and one without the
  // marker in its environment; all deaf to TERM.
  write("deaf", "#!/bin/sh\ntrap '' TERM\necho $$ > $1\nwhile :; do sleep 600; done\n", 0700);
  const std::string deaf = file("deaf") + " " + post.path();
  const AttemptId id =
    start(shell("trap '' TERM; " + deaf + " & setsid " + deaf + " & (setsid " + deaf +
                " &) ; env -i PATH=/usr/bin:/bin setsid " + deaf + " & wait"));
  std::vector<pid_t> pids;
  for (int k = 0; k < 4; ++k)
    pids.push_back(post.pid());
  cancel(id, milliseconds(50));
  EXPECT_EQ(result(id).cause, Cause::cancelled);
  for (const pid_t pid : pids)
    EXPECT_FALSE(alive(pid)) << "the exit was told while a process was left";
}

TEST_F(keeper_process, is_over_only_when_what_it_left_in_the_background_is) {
  Signpost post(file("post"));
  const AttemptId id =
    start(shell("(trap 'echo bye > " + post.path() + "; exit' TERM; echo up > " + post.path() +
                "; while :; do sleep 0.01; done) & sleep 0.05; exit 0"));
  EXPECT_EQ(post.line(), "up");
  EXPECT_EQ(result(id).cause, Cause::none) << "it ended well itself";
  EXPECT_EQ(post.line(), "bye") << "and its child was asked to end";
  EXPECT_TRUE(marked(agent_->incarnation()).empty());
}

TEST_F(keeper_process, two_tasks_do_not_take_each_others_orphans) {
  Signpost post(file("post"));
  const std::string daemon = "(setsid sh -c 'echo $$ > " + post.path() + "; exec sleep 600' &); ";
  const AttemptId first = start(shell(daemon + "exec sleep 600"));
  const pid_t of_first = post.pid();
  const AttemptId second = start(shell(daemon + "exec sleep 600"));
  const pid_t of_second = post.pid();
  cancel(second);
  EXPECT_EQ(result(second).cause, Cause::cancelled);
  EXPECT_FALSE(alive(of_second));
  EXPECT_TRUE(alive(of_first));
  cancel(first);
  result(first);
  EXPECT_FALSE(alive(of_first));
}

// ---- moving

class keeper_checkpoint : public keeper_process {
protected:
  void SetUp() override {
    keeper_process::SetUp();
    post_.emplace(file("post"));
  }
  /// Deaf to TERM: what ends it is the checkpoint or KILL.
  JobSpec saving(const std::string& on_signal, Duration grace) {
    JobSpec spec = shell("trap '' TERM; trap '" + on_signal + "' USR1; echo up > " + post_->path() +
                         "; while :; do sleep 0.01; done");
    spec.checkpoint_signal = SIGUSR1;
    spec.checkpoint_grace = grace;
    spec.grace = milliseconds(1);
    return spec;
  }
  AttemptId started(const JobSpec& spec) {
    const AttemptId id = start(spec);
    EXPECT_EQ(post_->line(), "up");
    return id;
  }
  void move(const AttemptId& id) {
    agent_->stop({id}, Cause::cancelled, "moved", {}, true);
    EXPECT_TRUE(agent_->flush());
  }
  std::optional<Signpost> post_;
};

TEST_F(keeper_checkpoint, is_kept_for_tasks_with_items_too) {
  JobSpec spec;
  spec.items = {"a", "b"};
  spec.checkpoint_signal = SIGUSR1;
  spec.checkpoint_grace = Duration(7);
  EXPECT_EQ(for_keeper(spec).checkpoint_signal, SIGUSR1);
  EXPECT_EQ(for_keeper(spec).checkpoint_grace, Duration(7));
}

TEST_F(keeper_checkpoint, a_task_that_is_moved_may_save_its_state_and_go) {
  const AttemptId id =
    started(saving("echo saved > " + post_->path() + "; exit 0", std::chrono::minutes(10)));
  move(id);
  EXPECT_EQ(post_->line(), "saved");
  const TaskResult result = this->result(id);
  EXPECT_EQ(result.cause, Cause::cancelled) << "its exit code says nothing: it goes on elsewhere";
  EXPECT_EQ(result.text, "moved");
}
TEST_F(keeper_checkpoint, one_that_does_not_go_is_ended_when_the_time_is_over) {
  const AttemptId id = started(saving(":", milliseconds(50)));
  move(id);
  EXPECT_EQ(result(id).signal, SIGKILL);
}
TEST_F(keeper_checkpoint, hearing_it_again_changes_nothing_and_cancelling_ends_the_wait) {
  const AttemptId id = started(saving("echo saving > " + post_->path(), std::chrono::minutes(10)));
  move(id);
  EXPECT_EQ(post_->line(), "saving");
  move(id);
  EXPECT_EQ(run(shell("true")).cause, Cause::none); // it was heard
  EXPECT_FALSE(ended_.contains(id));
  cancel(id);
  EXPECT_EQ(result(id).signal, SIGKILL);
}
TEST_F(keeper_checkpoint, a_task_that_is_cancelled_gets_no_checkpoint_signal) {
  const AttemptId id =
    started(saving("echo saving > " + post_->path() + "; exit 0", std::chrono::minutes(10)));
  cancel(id);
  EXPECT_EQ(result(id).signal, SIGKILL);
}

// ---- the agent's life and death

TEST_F(keeper_process, runs_on_without_an_agent_and_is_told_to_the_next) {
  Signpost post(file("post")), gate(file("gate"));
  const AttemptId runs = start(shell("echo up > " + post.path() + "; exec sleep 600"));
  const AttemptId ends = start(shell("echo up > " + post.path() + "; read x < " + gate.path() +
                                     "; echo done > $REEVE_RESULT; echo end > " + post.path()));
  post.line(), post.line();
  agent_.reset();
  std::ofstream(gate.path()) << "go\n";
  EXPECT_EQ(post.line(), "end");
  connect();
  EXPECT_EQ(result(ends).result.data, "done\n");
  connect(); // now that one of them is certainly over
  ASSERT_EQ(agent_->welcome().running.size(), 1u);
  EXPECT_EQ(agent_->welcome().running[0].id, runs);
  EXPECT_EQ(agent_->welcome().running[0].epoch, Epoch(1));
  EXPECT_GE(ended_[ends].size(), 2u) << "told on each connection until released";
  agent_->release({ends});
  ASSERT_TRUE(agent_->flush());
  run(shell("true"));
  ended_.clear();
  connect();
  EXPECT_FALSE(ended_.contains(ends));
  cancel(runs);
  EXPECT_EQ(result(runs).cause, Cause::cancelled);
}

TEST_F(keeper_process, is_started_once_however_often_it_is_asked_for) {
  const std::string list = file("list");
  const JobSpec spec = shell("echo $$ >> " + list);
  for (int k = 0; k < 3; ++k)
    agent_->start(JobId(9), spec, Epoch(1), {{0, 1, {}}});
  ASSERT_TRUE(agent_->flush());
  const AttemptId id{JobId(9), 0, 1};
  result(id);
  agent_->start(JobId(9), spec, Epoch(1), {{0, 1, {}}});
  ASSERT_TRUE(agent_->flush());
  const auto told = ended_[id].size();
  while (ended_[id].size() == told && hear()) {
  }
  const std::string ran = read(list);
  EXPECT_EQ(std::count(ran.begin(), ran.end(), '\n'), 1);
}

TEST_F(keeper_process, hundreds_of_short_ones_end_each_once) {
  const std::string list = file("list");
  JobSpec spec;
  spec.command = {"/bin/sh", "-c", "echo $REEVE_TASK >> " + list};
  std::vector<keeper::StartTask> tasks;
  for (TaskIndex k = 0; k < 300; ++k)
    tasks.push_back({k, 1, {}});
  agent_->start(JobId(1), spec, Epoch(1), tasks);
  ASSERT_TRUE(agent_->flush());
  for (TaskIndex k = 0; k < 300; ++k)
    ASSERT_EQ(result({JobId(1), k, 1}).cause, Cause::none) << k;
  std::istringstream lines(read(list));
  std::set<int> seen;
  for (int index = 0; lines >> index;)
    EXPECT_TRUE(seen.insert(index).second) << index << " ran twice";
  EXPECT_EQ(seen.size(), 300u);
  for (const auto& [id, told] : ended_)
    EXPECT_EQ(told.size(), 1u);
}

TEST_F(keeper_process, belongs_to_the_agent_that_came_last) {
  auto second = KeeperClient::connect(dir_);
  ASSERT_TRUE(second);
  ASSERT_TRUE(wait_readable(agent_->fd()));
  const auto told = agent_->receive();
  ASSERT_FALSE(told);
  EXPECT_NE(told.error().message().find("another agent has taken over"), std::string::npos);
  agent_ = std::move(*second);
  EXPECT_EQ(run(shell("true")).cause, Cause::none);
}

// ---- the keeper's own death

TEST_F(keeper_process, of_a_killed_keeper_is_ended_by_the_next_which_tells_how_each_ended) {
  Signpost post(file("post"));
  const std::string deaf =
    "trap '' TERM; echo $$ > " + post.path() + "; while :; do sleep 600; done";
  const AttemptId runs = start(shell("setsid sh -c \"" + deaf + "\" & " + deaf));
  const pid_t one = post.pid(), two = post.pid();
  const AttemptId ended = start(shell("exit 4"));
  result(ended);
  const AttemptId released = start(shell("exit 0"));
  result(released);
  agent_->release({released});
  ASSERT_TRUE(agent_->flush());
  run(shell("true"));
  agent_->release({AttemptId{JobId(last_job_), 0, 1}});
  ASSERT_TRUE(agent_->flush());
  run(shell("true"));
  const Incarnation before = agent_->incarnation();
  kill_keeper();
  EXPECT_TRUE(alive(one) && alive(two)) << "tasks outlive the keeper until the next one comes";
  launch();
  EXPECT_EQ(agent_->incarnation(), before) << "the end of every attempt is known";
  EXPECT_FALSE(alive(one) || alive(two));
  std::map<AttemptId, Cause> ends;
  for (const keeper::Exit& exit : agent_->ended())
    ends[exit.id()] = exit.result.cause;
  EXPECT_EQ(ends, (std::map<AttemptId, Cause>{{runs, Cause::lost_node},
                                              {ended, Cause::exit_code},
                                              {{JobId(last_job_), 0, 1}, Cause::none}}));
  EXPECT_TRUE(agent_->welcome().lost.empty());
  EXPECT_TRUE(agent_->welcome().running.empty());
  agent_->release({ended});
  ASSERT_TRUE(agent_->flush());
  run(shell("true")); // the release is behind it
  kill_keeper();
  launch();
  EXPECT_EQ(agent_->incarnation(), before);
  EXPECT_EQ(agent_->ended().size(), 3u) << "what was released is forgotten, the rest is not";
  EXPECT_EQ(run(shell("true")).cause, Cause::none);
}

TEST_F(keeper_process, a_torn_record_is_told_and_the_rest_counts) {
  Signpost post(file("post"));
  const AttemptId id = start(shell("echo $$ > " + post.path() + "; exec sleep 600"));
  const pid_t pid = post.pid();
  kill_keeper();
  std::ofstream(dir_ + "/attempts.log", std::ios::app | std::ios::binary) << "torn";
  launch();
  EXPECT_EQ(agent_->welcome().lost, (std::vector<AttemptId>{id}));
  EXPECT_FALSE(alive(pid));
  const auto& notes = agent_->welcome().notes;
  EXPECT_TRUE(std::any_of(notes.begin(), notes.end(), [](const std::string& note) {
    return note.find("4 bytes after byte") != std::string::npos;
  }));
}

TEST_F(keeper_process, a_second_keeper_of_the_directory_is_refused) {
  const auto second = launch_keeper({REEVE_AGENT, "keeper", "--state", dir_});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().text.find("another keeper runs here"), std::string::npos)
    << second.error().text;
  EXPECT_EQ(run(shell("true")).cause, Cause::none);
}

TEST_F(keeper_process, is_stopped_with_grace_when_the_keeper_gets_term) {
  Signpost post(file("post"));
  start(shell("trap 'echo tidy > " + post.path() + "; exit 0' TERM; echo up > " + post.path() +
              "; while :; do sleep 0.01; done"));
  EXPECT_EQ(post.line(), "up");
  const Incarnation keeper = agent_->incarnation();
  ASSERT_EQ(::kill(keeper_pid_, SIGTERM), 0);
  EXPECT_EQ(post.line(), "tidy");
  EXPECT_TRUE(wait_end(keeper_pid_));
  EXPECT_TRUE(marked(keeper).empty());
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/keeper.sock"));
  agent_.reset();
}

// ---- hostile bytes

TEST_F(keeper_process, does_not_notice_garbage_on_the_socket) {
  Signpost post(file("post"));
  const AttemptId id = start(shell("echo up > " + post.path() + "; exec sleep 600"));
  post.line();
  std::string huge(4, '\xff'), empty(4, '\0'), wrong, unknown_job;
  append_frame(wrong, "\xc1garbage");
  append_frame(unknown_job, encode(keeper::ToKeeper(keeper::Hello{})));
  append_frame(unknown_job,
               encode(keeper::ToKeeper(keeper::Start{JobId(77), Epoch(1), {{0, 1, {}}}})));
  std::string old_version;
  append_frame(old_version, encode(keeper::ToKeeper(keeper::Hello{99})));
  for (const std::string& bytes : {huge, empty, wrong, old_version, unknown_job}) {
    auto fd = connect_in(dir_);
    ASSERT_TRUE(fd);
    ASSERT_EQ(::send(fd->get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    FrameReader in;
    std::string last;
    for (bool open = true; open && wait_readable(fd->get());) { // until it hangs up
      const auto more = in.read_from(fd->get());
      open = more && *more;
      for (auto frame = in.next(); frame && !frame->empty(); frame = in.next())
        last = *frame;
    }
    const auto answer = decode<keeper::FromKeeper>(last);
    ASSERT_TRUE(answer);
    EXPECT_TRUE(std::holds_alternative<keeper::Refused>(*answer));
  }
  connect(); // the last of them had greeted, so it had taken over
  ASSERT_EQ(agent_->welcome().running.size(), 1u);
  cancel(id);
  EXPECT_EQ(result(id).cause, Cause::cancelled);
}

} // namespace
} // namespace reeve::worker
