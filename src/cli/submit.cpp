// The submit command. See submit.hpp.
#include "src/cli/submit.hpp"

#include "src/cli/commands.hpp"
#include "src/cli/job_file.hpp"
#include "src/cli/selector.hpp"
#include "src/cli/wait.hpp"
#include "src/util/text.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <istream>
#include <iterator>
#include <random>

namespace reeve::cli {
namespace {

constexpr std::size_t job_file_max = 64u << 20;
constexpr std::size_t script_max = 1u << 20; // a payload's bound
constexpr std::size_t one_message =
  1'000; // jobs that go out together, so that `duplicate` is about all of them

struct SubmitOptions {
  JobOptions job;
  std::string file, each_line, key, correlation;
  std::vector<std::string> unused; // stands in the help: the words never get here
  bool wait = false, follow = false, dry_run = false;
};

void add_job_options(Command& c, JobOptions& o) {
  c.text("-n,--name", o.name, "The job's name (else the program's)", "NAME")
    .text("-q,--queue", o.queue, "Queue", "QUEUE")
    .text("-a,--array", o.array,
          "One task for each index: 0-9, 1-100:2, 0-9%4 (at most 4 at once); $REEVE_ARRAY_INDEX",
          "RANGE")
    .number("--priority", o.priority, "Higher first, where the queue looks at it")
    .text("--vcores", o.vcores, "Cores of each task, such as 1 or 0.5 (else 1)", "N")
    .text("--memory", o.memory, "Memory of each task, such as 4GiB or 512M", "SIZE")
    .text("--disk", o.disk, "Disk of each task", "SIZE")
    .list("-r,--resource", o.resources, "Other resources of each task, such as gpu=1; repeatable",
          "NAME=N")
    .text("--time-limit", o.time_limit, "End a task after so long, such as 10m or 1h30m",
          "DURATION")
    .text("--estimate", o.estimate, "Expected run time of a task", "DURATION")
    .text("--grace", o.grace, "Time between TERM and KILL (else 10s)", "DURATION")
    .number("--retries", o.retries, "Further tries after a task failed")
    .number("--lost-retries", o.lost_retries, "Further tries after a node was lost (else 5)")
    .list(
      "--retry-on", o.retry,
      "Further tries by how an attempt ended, before --retries: exit:75,100-110=3, signal:SEGV=1, "
      "oom=2, time_limit=0, lost_node=9, preempted=5, any=1; then :charged, :hold, :wait=30s; "
      "repeatable, the first that fits counts",
      "END=N")
    .number("--crash-nodes", o.crash_nodes,
            "Hold a task that was on so many nodes as they died (else retry.crash_nodes)")
    .text("--checkpoint-signal", o.checkpoint_signal,
          "Sent before TERM when a task is moved to another node, such as USR1", "SIGNAL")
    .text("--disconnect", o.disconnect,
          "Wait so long for a lost node before its tasks run elsewhere (else 0s)", "DURATION")
    .text("--orphan-after", o.orphan_after,
          "A node that hears no master for so long stops the tasks (else never)", "DURATION")
    .text("--checkpoint-grace", o.checkpoint_grace, "Time between that signal and TERM (else 1m)",
          "DURATION")
    .number("--max-parallel", o.max_parallel, "At most so many tasks at once")
    .list("-e,--env", o.env, "Environment variable; repeatable", "KEY=VALUE")
    .text("--cwd", o.cwd, "Working directory on the node (else a fresh one per task)", "DIR")
    .text("--stdin", o.stdin_file, "File on the node that is the task's input", "FILE")
    .list("-l,--label", o.labels, "Label, for selecting and grouping; repeatable", "KEY=VALUE")
    .list("--node-label", o.node_labels, "Only nodes with this label; repeatable", "KEY=VALUE")
    .list("--constraint", o.constraints,
          "Only nodes whose labels fit: zone=a,b, zone!=a, ssd, !ssd, cores>16; repeatable",
          "CONSTRAINT")
    .list("--after", o.after,
          "Start when job 5 has succeeded: 5 or 5:ok; is over: 5:any; failed: 5:fail; task i after "
          "task i: 5:ok:each; repeatable",
          "JOB")
    .flag("--fail-fast", o.fail_fast, "Cancel the rest when a task has failed for good")
    .list("--near", o.near,
          "On nodes where jobs with this label run; @zone: within that node label; ?: preferred",
          "KEY=VALUE")
    .list("--apart", o.apart, "Not on such nodes; written alike", "KEY=VALUE")
    .text("--spread", o.spread, "Spread tasks evenly over the values of this node label", "LABEL")
    .flag("--exclusive", o.exclusive, "Alone on its nodes")
    .flag("--gang", o.gang, "All tasks start together, or none; $REEVE_PEERS")
    .list("--limit", o.limits,
          "At most so many tasks at once under this name, of all jobs: db=4, db=1/node; repeatable",
          "NAME=N")
    .text("--deadline", o.deadline, "When it should be done, such as 2h or '2025-01-31 10:00'",
          "TIME")
    .flag("--overcommit", o.overcommit, "May run on what a node has by its overcommit factor only")
    .flag("--speculate", o.speculate,
          "A task that takes far longer than usual gets a copy on another node")
    .flag("--no-preempt", o.not_preemptible, "Never stopped for work of higher priority")
    .text("--executor", o.executor, "process, noop, sleep or a name that agents have registered",
          "NAME")
    .text("--output-limit", o.output_limit,
          "Bytes kept of the head, and of the tail, of stdout and stderr (else 64KiB)", "SIZE")
    .text("-u,--user", o.user, "Whose job it is (else the login name)", "USER");
}

/// A duration is from now on.
Result<TimePoint> parse_deadline(std::string_view text, std::string_view field, TimePoint now) {
  if (const auto in = parse_duration(text, field))
    return now + *in;
  return parse_time(text, field, now);
}

Result<void> put_pairs(std::map<std::string, std::string>& into,
                       const std::vector<std::string>& pairs, const char* field) {
  for (const std::string& text : pairs) {
    auto pair = parse_pair(text, field);
    if (!pair)
      return tl::unexpected<Error>(pair.error());
    into.insert_or_assign(std::move(pair->first), std::move(pair->second));
  }
  return {};
}

Result<std::vector<JobSpec>> jobs_of_file(const std::string& path, Terminal& terminal) {
  auto text = read_file(path, &terminal.in, job_file_max);
  if (!text)
    return fail(Code::bad_field, "--file", text.error().text);
  const auto folder = std::filesystem::path(path).parent_path();
  auto jobs = parse_job_file(*text, form_of(path, *text), [&](const std::string& name) {
    return read_file((folder / name).string(), nullptr, job_file_max);
  });
  if (!jobs) // the file's own field, behind the file's name
    return fail(jobs.error().code, jobs.error().field, jobs.error().text + " (in " + path + ")");
  return jobs;
}

/// `blame`: the exit code when there is an error, usage for options, refused for what a job must
/// not be.
Result<std::vector<JobSpec>> make_jobs(const SubmitOptions& o, const SubmitCommand& command,
                                       Terminal& terminal, Exit& blame) {
  std::vector<JobSpec> jobs;
  blame = Exit::usage;
  if (o.file.empty() && command.words.empty() && o.job.executor != "noop")
    return fail(Code::bad_field, "COMMAND", "give a command behind `--`, or --file");
  if (!o.file.empty() && !command.words.empty())
    return fail(Code::bad_field, "COMMAND", "give either a command or --file");
  if (!o.file.empty()) {
    auto read = jobs_of_file(o.file, terminal);
    if (!read) {
      blame = read.error().field == "--file" ? Exit::usage : Exit::refused;
      return read;
    }
    jobs = std::move(*read);
  } else {
    JobSpec& spec = jobs.emplace_back();
    spec.resources.cpu_milli = 1000;
    spec.command = command.words;
    if (command.script)
      run_script(spec, *command.script, command.script_text);
  }
  std::optional<std::string> lines;
  if (!o.each_line.empty()) {
    auto text = read_file(o.each_line, &terminal.in, job_file_max);
    if (!text)
      return fail(Code::bad_field, "--each-line", text.error().text);
    lines = std::move(*text);
    if (!o.job.array.empty())
      return fail(Code::bad_field, "--each-line", "give either --array or --each-line");
  }
  for (std::size_t k = 0; k < jobs.size(); ++k) {
    blame = Exit::usage;
    JobSpec& spec = jobs[k];
    if (auto done = apply_options(spec, o.job, terminal.now()); !done)
      return tl::unexpected<Error>(done.error());
    if (lines)
      if (auto done = apply_lines(spec, *lines, "--each-line"); !done)
        return tl::unexpected<Error>(done.error());
    if (auto done = finish_command(spec, "COMMAND"); !done)
      return tl::unexpected<Error>(done.error());
    if (spec.user.empty())
      spec.user = terminal.user;
    default_name(spec);
    blame = Exit::refused;
    if (auto good = validate(spec, jobs.size() > 1 ? "jobs[" + std::to_string(k) + "]" : ""); !good)
      return tl::unexpected<Error>(good.error());
  }
  return jobs;
}

/// `--after last:any` becomes `--after 7:any`.
Result<void> resolve_last(Session& session, std::vector<std::string>& after) {
  for (std::string& text : after) {
    if (text != "last" && text.rfind("last:", 0) != 0)
      continue;
    auto client = session.client();
    if (!client)
      return tl::unexpected<Error>(client.error());
    JobSelector last;
    last.kind = JobSelector::Kind::last;
    const auto jobs = resolve(**client, last, ResolveOptions{session.terminal.user, {}});
    if (!jobs)
      return tl::unexpected<Error>(jobs.error());
    if (jobs->empty())
      return fail(Code::not_found, "--after", "there is no last job");
    text.replace(0, 4, std::to_string(jobs->front().value));
  }
  return {};
}

struct Accepted {
  std::vector<JobId> jobs;
  bool duplicate = false;
};

Result<Accepted> send(Client& client, const std::vector<JobSpec>& jobs, const std::string& key,
                      Duration timeout) {
  Accepted out;
  if (jobs.size() > one_message) {
    auto ids = client.submit(jobs, key, timeout);
    if (!ids)
      return tl::unexpected<Error>(ids.error());
    out.jobs = std::move(*ids);
    return out;
  }
  Submit request;
  request.key.data = key;
  request.jobs = jobs;
  const auto done = client.submit(std::move(request), timeout);
  if (!done)
    return tl::unexpected<Error>(done.error());
  for (std::uint64_t k = 0; k < done->count; ++k)
    out.jobs.emplace_back(done->first.value + k);
  out.duplicate = done->duplicate;
  return out;
}

std::string accepted_text(const Accepted& accepted, const std::vector<JobSpec>& jobs) {
  std::uint64_t tasks = 0;
  for (const JobSpec& job : jobs)
    tasks += job.count;
  std::string out = accepted.jobs.size() == 1 ? "job " : "jobs ";
  out +=
    jobs_text(accepted.jobs) + (accepted.duplicate ? " known by its key already" : " submitted");
  if (jobs.size() == 1)
    out += ": " + jobs[0].name;
  return out + " (" + std::to_string(tasks) + (tasks == 1 ? " task)" : " tasks)");
}

void show_accepted(Session& session, const Accepted& accepted, const std::vector<JobSpec>& jobs,
                   bool waits, bool follows) {
  if (session.human()) {
    (follows ? session.terminal.err : session.terminal.out) << accepted_text(accepted, jobs) << "\n"
                                                            << std::flush;
  } else if (session.format == Format::quiet) {
    if (!waits && !follows)
      for (const JobId id : accepted.jobs)
        session.terminal.out << id.value << "\n";
  } else if (!waits && !follows) {
    Json body;
    body["jobs"] = to_json(accepted.jobs);
    body["duplicate"] = accepted.duplicate;
    body["correlation"] = jobs.front().correlation;
    session.terminal.out << dump_json(versioned(body)) << "\n";
  }
}

Exit dry_run(Session& session, Client& client, const std::vector<JobSpec>& jobs) {
  Submit request;
  request.jobs = jobs;
  request.dry_run = true;
  const auto answer = client.submit(std::move(request), session.timeout);
  if (!answer)
    return session.fail(answer.error());
  Json body;
  body["dry_run"] = true;
  body["text"] = answer->text;
  body["jobs"] = to_json(jobs);
  body["texts"] = to_json(answer->texts);
  std::string text = answer->text.empty() ? "good" : answer->text;
  if (jobs.size() > 1 && session.human()) { // a line each
    for (std::size_t i = 0; i < answer->texts.size() && i < jobs.size(); ++i)
      session.terminal.out << printable(jobs[i].name + ": " + answer->texts[i]) << "\n";
    if (answer->texts.size() < jobs.size())
      session.terminal.out << jobs.size() - answer->texts.size() << " more were only checked\n";
    text = "each as things stand now, without the others";
  }
  session.show_done(body, text + " (nothing was submitted)");
  return Exit::good;
}

std::string random_id() {
  static constexpr char digits[] = "0123456789abcdef";
  std::random_device random;
  std::string out;
  for (int k = 0; k < 16; ++k)
    out += digits[random() & 15U];
  return out;
}

Exit submit(Session& session, SubmitOptions o) {
  if (o.key.size() > 48)
    return session.usage(Error{Code::bad_field, "--key",
                               "size must be at most 48, got " + std::to_string(o.key.size())});
  if (auto found = resolve_last(session, o.job.after); !found)
    return session.fail(found.error());
  Exit blame = Exit::usage;
  auto jobs = make_jobs(o, *session.submit_command, session.terminal, blame);
  if (!jobs)
    return blame == Exit::usage ? session.usage(jobs.error()) : session.fail(jobs.error());
  auto client = session.client();
  if (!client)
    return session.fail(client.error());
  if (o.dry_run)
    return dry_run(session, **client, *jobs);
  const std::string made = random_id();
  for (JobSpec& job : *jobs)
    if (!o.correlation.empty())
      job.correlation = o.correlation;
    else if (job.correlation.empty())
      job.correlation = made;
  const auto accepted = send(**client, *jobs, o.key, session.timeout);
  if (!accepted)
    return session.fail(accepted.error());
  show_accepted(session, *accepted, *jobs, o.wait, o.follow);
  if (o.follow)
    return follow_and_wait(session, **client, accepted->jobs);
  if (o.wait)
    return wait_for_jobs(session, **client, accepted->jobs);
  return Exit::good;
}

/// Where the command begins: behind `--`, or at the first word that is no option and no option's
/// value. args.size() when there is none.
std::size_t command_begin(const std::vector<Place>& places, const std::vector<std::string>& args,
                          std::size_t& submit_at) {
  const auto place = [&](std::string_view path) {
    return std::find_if(places.begin(), places.end(),
                        [&](const Place& p) { return p.path == path; });
  };
  auto at = place("reeve");
  submit_at = args.size();
  for (std::size_t k = 0; k < args.size(); ++k) {
    const std::string& word = args[k];
    if (word == "--")
      return submit_at < k ? k : args.size();
    if (word.size() > 1 && word[0] == '-') {
      k += at->takes_value(word) ? 1 : 0;
    } else if (submit_at < k) {
      return k;
    } else if (word == "submit") {
      submit_at = k;
      at = place("reeve submit");
    } else {
      return args.size(); // another command
    }
  }
  return args.size();
}

} // namespace

Result<std::string> read_file(const std::string& path, std::istream* in, std::size_t bytes_max) {
  std::string text;
  const auto take = [&](std::istream& from) {
    std::array<char, 65'536> buffer{};
    while (text.size() <= bytes_max && (from.read(buffer.data(), buffer.size()), from.gcount() > 0))
      text.append(buffer.data(), static_cast<std::size_t>(from.gcount()));
  };
  if (path == "-" && in != nullptr) {
    take(*in);
  } else {
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored))
      return fail(Code::io, "", path + ": is a directory");
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    if (!file)
      return fail(Code::io, "", path + ": " + std::strerror(errno != 0 ? errno : EIO));
    take(file);
  }
  if (text.size() > bytes_max)
    return fail(Code::too_large, "",
                path + ": more than " + format_size(static_cast<std::int64_t>(bytes_max)));
  return text;
}

Result<void> apply_options(JobSpec& spec, const JobOptions& o, TimePoint now) {
  const auto text = [](std::string& field, const std::string& given) {
    field = given.empty() ? field : given;
  };
  text(spec.name, o.name);
  text(spec.queue, o.queue);
  text(spec.executor, o.executor);
  text(spec.user, o.user);
  text(spec.cwd, o.cwd);
  text(spec.stdin_file, o.stdin_file);
  text(spec.spread, o.spread);
  spec.exclusive = spec.exclusive || o.exclusive;
  spec.gang = spec.gang || o.gang;
  spec.overcommit = spec.overcommit || o.overcommit;
  spec.speculate = spec.speculate || o.speculate;
  spec.preemptible = spec.preemptible && !o.not_preemptible;
  if (o.fail_fast)
    spec.on_failure = FailurePolicy::fail_fast;
  spec.priority = o.priority.value_or(spec.priority);
  spec.retries = o.retries.value_or(spec.retries);
  spec.lost_retries = o.lost_retries.value_or(spec.lost_retries);
  spec.max_parallel = o.max_parallel.value_or(spec.max_parallel);
  spec.crash_nodes = o.crash_nodes.value_or(spec.crash_nodes);
  Result<void> good;
  const auto also = [&](auto parsed, auto put) {
    if (!good)
      return;
    if (parsed)
      put(*parsed);
    else
      good = tl::unexpected<Error>(parsed.error());
  };
  Resources& r = spec.resources;
  if (!o.vcores.empty())
    also(parse_milli(o.vcores, "--vcores"), [&](std::int64_t n) { r.cpu_milli = n; });
  if (!o.memory.empty())
    also(parse_size(o.memory, "--memory"), [&](std::int64_t n) { r.memory_bytes = n; });
  if (!o.disk.empty())
    also(parse_size(o.disk, "--disk"), [&](std::int64_t n) { r.disk_bytes = n; });
  if (!o.time_limit.empty())
    also(parse_duration(o.time_limit, "--time-limit"), [&](Duration d) { spec.time_limit = d; });
  if (!o.estimate.empty())
    also(parse_duration(o.estimate, "--estimate"), [&](Duration d) { spec.estimate = d; });
  if (!o.grace.empty())
    also(parse_duration(o.grace, "--grace"), [&](Duration d) { spec.grace = d; });
  if (!o.checkpoint_signal.empty())
    also(parse_signal(o.checkpoint_signal, "--checkpoint-signal"),
         [&](std::int32_t n) { spec.checkpoint_signal = n; });
  if (!o.disconnect.empty())
    also(parse_duration(o.disconnect, "--disconnect"), [&](Duration d) { spec.disconnect = d; });
  if (!o.orphan_after.empty())
    also(parse_duration(o.orphan_after, "--orphan-after"),
         [&](Duration d) { spec.orphan_after = d; });
  if (!o.checkpoint_grace.empty())
    also(parse_duration(o.checkpoint_grace, "--checkpoint-grace"),
         [&](Duration d) { spec.checkpoint_grace = d; });
  if (!o.output_limit.empty())
    also(parse_size(o.output_limit, "--output-limit"), [&](std::int64_t n) {
      spec.output_limit = static_cast<std::uint32_t>(std::min<std::int64_t>(n, 16 << 20));
    });
  if (!o.deadline.empty())
    also(parse_deadline(o.deadline, "--deadline", now), [&](TimePoint t) { spec.deadline = t; });
  const auto each = [&](const std::vector<std::string>& texts, auto apply) {
    for (const std::string& one : texts)
      if (good)
        good = apply(one);
  };
  each(o.resources, [&](auto& t) { return apply_resource(spec, t, "--resource"); });
  each(o.after, [&](auto& t) { return apply_dependency(spec, t, "--after"); });
  each(o.constraints, [&](auto& t) { return apply_constraint(spec, t, "--constraint"); });
  each(o.near, [&](auto& t) { return apply_affinity(spec, t, false, "--near"); });
  each(o.apart, [&](auto& t) { return apply_affinity(spec, t, true, "--apart"); });
  each(o.retry, [&](auto& t) { return apply_retry(spec, t, "--retry-on"); });
  each(o.limits, [&](auto& t) { return apply_limit(spec, t, "--limit"); });
  if (good)
    good = put_pairs(spec.env, o.env, "--env");
  if (good)
    good = put_pairs(spec.labels, o.labels, "--label");
  if (good)
    good = put_pairs(spec.node_labels, o.node_labels, "--node-label");
  if (good && !o.array.empty())
    good = apply_array(spec, o.array, "--array");
  return good;
}

Result<SubmitCommand> take_command(const std::vector<Place>& places,
                                   std::vector<std::string>& args) {
  SubmitCommand out;
  std::size_t submit_at = 0;
  const std::size_t begin = command_begin(places, args, submit_at);
  if (begin >= args.size())
    return out;
  const std::size_t words = begin + (args[begin] == "--" ? 1 : 0);
  out.words.assign(args.begin() + static_cast<std::ptrdiff_t>(words), args.end());
  args.resize(begin);
  if (out.words.empty())
    return out;
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(out.words[0], ignored))
    return out;
  auto text = read_file(out.words[0], nullptr, script_max);
  if (!text)
    return out; // not ours to read: the node will say what is wrong with it
  auto script = parse_script(*text);
  if (!script)
    return fail(Code::bad_field, out.words[0] + ", " + script.error().field, script.error().text);
  if (!*script)
    return out;
  args.insert(args.begin() + static_cast<std::ptrdiff_t>(submit_at) + 1, (*script)->options.begin(),
              (*script)->options.end());
  out.script = std::move(*script);
  out.script_text = std::move(*text);
  return out;
}

void add_submit(Command root, Session& session) {
  auto o = std::make_shared<SubmitOptions>();
  Command c = root.verb(
    "submit", "Gives the cluster a job: a command, a script, an array of tasks or a job file",
    "reeve submit --name render --array 0-99%8 --memory 2GiB --wait -- ./render.sh\n"
    "  reeve submit --each-line urls.txt -- curl -O {}\n"
    "  reeve submit --file examples/hello.toml --follow",
    [&session, o] { return submit(session, *o); });
  c.words("COMMAND", o->unused,
          "Program and arguments, behind `--`. A script with #REEVE lines brings its own options",
          Command::Need::optional)
    .text("-f,--file", o->file, "Job file, JSON or TOML; - is standard input", "FILE")
    .text("--each-line", o->each_line,
          "One task for each line of FILE (- is standard input): {} in the command, $REEVE_ITEM",
          "FILE");
  add_job_options(c, o->job);
  c.flag("-w,--wait", o->wait, "Wait until it has ended; exit code 1 when a task failed")
    .flag("--follow", o->follow, "Print what its tasks print until it has ended, then as --wait")
    .flag("--dry-run", o->dry_run, "Only check, and say where it would go")
    .text("--correlation", o->correlation,
          "An id that log lines, events and history of these jobs carry (else a random one)", "ID")
    .text("--key", o->key, "The same key again makes no second job (else a random one)", "KEY");
}

} // namespace reeve::cli
