// The command line of reeve-agent and of every worker program that links this library: flags,
// sub-commands, log, signals, then the loop. Thinks nothing itself.
#include "agents/worker/agent_logs.hpp"
#include "agents/worker/agent_loop.hpp"
#include "agents/worker/keeper.hpp"
#include "agents/worker/worker.hpp"
#include "src/log/log.hpp"
#include "src/util/text.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include <csignal>
#include <cstdio>
#include <filesystem>

#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#ifndef REEVE_VERSION
#define REEVE_VERSION "0.1.0"
#endif

namespace reeve::worker {

namespace {

constexpr const char* program_text = "reeve-agent " REEVE_VERSION;
constexpr const char* example =
  "Example:\n"
  "  reeve-agent --master tcp://10.0.0.1:7117 --name rack1-07 --vcores 16 --memory 60GiB \\\n"
  "              -r gpu=2 --label zone=a\n"
  "\n"
  "Tasks run under a keeper process of their own. SIGTERM (or `reeve-agent stop`) stops them with\n"
  "grace and takes the node out of the cluster; SIGUSR2 (or `reeve-agent stop --keep-tasks`), a\n"
  "crash or a kill ends the agent alone: the tasks run on, and the next agent adopts them.";

// Exit codes of all programs (see `reeve --help`).
constexpr int exit_failed = 1, exit_usage = 2, exit_refused = 3, exit_unreached = 5,
              exit_timeout = 6;

struct Flags {
  std::string masters = "tcp://127.0.0.1:7117";
  std::string name, dir, vcores, memory, disk, status_interval, keep_outputs;
  std::string log_level = "info", log_file, log_format = "text", log_size = "10MiB";
  std::uint32_t log_files = 10;
  std::string level; // log-level
  std::string check, check_interval, check_timeout;
  std::vector<std::string> tasks; // logs
  bool follow = false;            // logs
  std::vector<std::string> resources, labels;
  std::string output = "table"; // status
  bool keep_tasks = false;      // stop
  bool dry_run = false;         // sweep
  std::uint64_t processes = 10'000;
  bool no_cgroups = false; // keeper
  bool foreground = false; // keeper
  bool pulls = false;
};

int complain(const Error& error, int code) {
  std::fprintf(stderr, "reeve-agent: %s\n", error.message().c_str());
  return code;
}

int exit_code_of(const Error& error) {
  switch (error.code) {
  case Code::bad_field:
    return exit_usage;
  case Code::conflict:
  case Code::refused:
    return exit_refused;
  case Code::unavailable:
    return exit_unreached;
  case Code::timed_out:
    return exit_timeout;
  default:
    return exit_failed;
  }
}

Result<void> set_capacity(const Flags& flags, Resources& capacity) {
  capacity = detect_capacity(flags.dir);
  if (!flags.vcores.empty()) {
    auto value = parse_milli(flags.vcores, "vcores");
    if (!value)
      return tl::unexpected(value.error());
    capacity.cpu_milli = *value;
  }
  for (const auto& [text, field, target] :
       {std::tuple{&flags.memory, "memory", &capacity.memory_bytes},
        std::tuple{&flags.disk, "disk", &capacity.disk_bytes}}) {
    if (text->empty())
      continue;
    auto value = parse_size(*text, field);
    if (!value)
      return tl::unexpected(value.error());
    *target = *value;
  }
  for (const std::string& text : flags.resources) {
    auto pair = parse_pair(text, "resource");
    if (!pair)
      return tl::unexpected(pair.error());
    auto value = parse_milli(pair->second, "resource " + pair->first);
    if (!value)
      return tl::unexpected(value.error());
    capacity.named_milli[pair->first] = *value;
  }
  return validate(capacity, "capacity");
}

std::string own_path() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  // After an upgrade in place the link names a deleted file: /proc/self/exe itself still works.
  if (error || !std::filesystem::exists(path, error))
    return "/proc/self/exe";
  return path.string();
}

Result<AgentOptions> options_of(const Flags& flags) {
  AgentOptions options;
  for (const std::string& endpoint : split(flags.masters, ','))
    if (const auto trimmed = trim(endpoint); !trimmed.empty())
      options.masters.emplace_back(trimmed);
  if (options.masters.empty())
    return fail(Code::bad_field, "master", "names no endpoint");
  options.name = flags.name.empty() ? detect_host_name() : flags.name;
  if (options.name.size() > 256)
    return fail(Code::bad_field, "name", "at most 256 characters");
  options.dir = flags.dir;
  options.program = program_text;
  options.pulls = flags.pulls;
  if (auto set = set_capacity(flags, options.capacity); !set)
    return tl::unexpected(set.error());
  for (const std::string& text : flags.labels) {
    auto pair = parse_pair(text, "label");
    if (!pair)
      return tl::unexpected(pair.error());
    options.labels[pair->first] = pair->second;
  }
  options.check.command = flags.check;
  for (const auto& [text, field, target, least] :
       {std::tuple{&flags.status_interval, "status-interval", &options.status_interval, 0},
        std::tuple{&flags.keep_outputs, "keep-outputs", &options.keep_outputs, 0},
        std::tuple{&flags.check_interval, "check-interval", &options.check.interval, 1},
        std::tuple{&flags.check_timeout, "check-timeout", &options.check.timeout, 1}}) {
    if (text->empty())
      continue;
    auto duration = parse_duration(*text, field);
    if (!duration)
      return tl::unexpected(duration.error());
    if (*duration < Duration(least))
      return fail(Code::bad_field, field, "must be above 0");
    *target = *duration;
  }
  options.keeper_command = {own_path(), "keeper",      "--state",
                            flags.dir,  "--processes", std::to_string(flags.processes)};
  options.functions = registered_functions();
  options.on_registered = [](const std::string& endpoint, NodeId node) {
    std::printf("registered with %s as node %u\n", endpoint.c_str(), node.value);
    std::fflush(stdout);
  };
  return options;
}

Result<void> set_log(const Flags& flags) {
  const auto size = parse_size(flags.log_size, "--log-size");
  if (!size)
    return tl::unexpected(size.error());
  return log::open({"reeve-agent", flags.log_level, flags.log_file, flags.log_format,
                    static_cast<std::uint64_t>(*size), flags.log_files});
}

/// Blocked in every thread, read by the loop.
int signal_descriptor() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGUSR2})
    sigaddset(&set, number);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN); // such a write is an error like that of a full disk
  return ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int run_agent(const Flags& flags) {
  if (auto set = set_log(flags); !set)
    return complain(set.error(), exit_code_of(set.error()));
  auto lock = DirectoryLock::take(flags.dir);
  if (!lock)
    return complain(lock.error(), exit_code_of(lock.error()));
  auto options = options_of(flags);
  if (!options)
    return complain(options.error(), exit_code_of(options.error()));
  auto control = ControlServer::listen(flags.dir + "/agent.sock");
  if (!control)
    return complain(control.error(), exit_code_of(control.error()));
  const int signals = signal_descriptor();
  spdlog::info("{} \"{}\" with {}", program_text, options->name, to_text(options->capacity));
  for (;;) {
    auto loop = AgentLoop::create(*options, *control, signals);
    if (!loop) {
      spdlog::critical("{}", loop.error().message());
      return exit_failed;
    }
    const LoopEnd end = (*loop)->run();
    if (end == LoopEnd::keeper_lost)
      continue;
    spdlog::info(end == LoopEnd::kept ? "ended; tasks run on under the keeper" : "ended");
    return 0;
  }
}

int run_status(const Flags& flags) {
  if (flags.output != "table" && flags.output != "json")
    return complain({Code::bad_field, "output", "table or json"}, exit_usage);
  auto answer = ask_agent(flags.dir, "status", std::chrono::seconds(10));
  if (!answer)
    return complain(answer.error(), exit_code_of(answer.error()));
  if (flags.output == "json") {
    std::fputs(answer->c_str(), stdout);
    return 0;
  }
  auto text = status_text(*answer);
  if (!text)
    return complain(text.error(), exit_failed);
  std::fputs(text->c_str(), stdout);
  return 0;
}

int run_stop(const Flags& flags) {
  auto answer =
    ask_agent(flags.dir, flags.keep_tasks ? "stop keep-tasks" : "stop", std::chrono::minutes(2));
  if (!answer)
    return complain(answer.error(), exit_code_of(answer.error()));
  std::printf("stopped\n");
  return 0;
}

int run_sweep(const Flags& flags) {
  auto answer =
    ask_agent(flags.dir, flags.dry_run ? "sweep dry-run" : "sweep", std::chrono::minutes(1));
  if (!answer)
    return complain(answer.error(), exit_code_of(answer.error()));
  std::fputs(answer->c_str(), stdout);
  return 0;
}

int run_log_level(const Flags& flags) {
  auto answer = ask_agent(flags.dir, "log-level " + flags.level, std::chrono::seconds(10));
  if (!answer)
    return complain(answer.error(), exit_code_of(answer.error()));
  const bool good = answer->starts_with("log level is ");
  std::fputs(answer->c_str(), good ? stdout : stderr);
  return good ? 0 : exit_usage;
}

int run_logs(const Flags& flags) {
  const auto printed = print_outputs(flags.dir, flags.tasks, flags.follow);
  return printed ? 0 : complain(printed.error(), exit_code_of(printed.error()));
}

int run_keeper(const Flags& flags) {
  KeeperOptions options;
  options.dir = flags.dir;
  options.detach = !flags.foreground;
  options.cgroups = !flags.no_cgroups;
  options.processes = flags.processes;
  return keeper_main(options);
}

void add_flags(CLI::App& app, Flags& flags) {
  app.footer(example);
  app.set_version_flag("--version", program_text);
  app.fallthrough(); // --state may follow the sub-command
  app.add_option("-m,--master", flags.masters, "Endpoints of all masters, comma separated")
    ->envname("REEVE_MASTER")
    ->capture_default_str();
  app.add_option("--name", flags.name,
                 "The node's name, unique in the cluster (default: host name)");
  app.add_option("--state", flags.dir, "State directory, one for each agent")
    ->default_val(default_state_dir());
  app.add_option("--vcores", flags.vcores,
                 "Processors for tasks, such as 2 or 0.5 (default: detected)");
  app.add_option("--memory", flags.memory, "Memory for tasks, such as 4GiB (default: detected)");
  app.add_option("--disk", flags.disk, "Disk for tasks, such as 10GiB (default: detected)");
  app.add_option("-r,--resource", flags.resources, "A named resource, such as gpu=1; repeatable")
    ->allow_extra_args(false);
  app.add_option("-l,--label", flags.labels, "A label key=value that jobs can ask for; repeatable")
    ->allow_extra_args(false);
  app.add_option("--check", flags.check,
                 "A check of this machine, for /bin/sh: while it fails the node is drained");
  app.add_option("--check-interval", flags.check_interval, "How often (default: 1m)");
  app.add_option("--check-timeout", flags.check_timeout,
                 "Longer than this is a failure (default: 30s)");
  app.add_flag(
    "--pull", flags.pulls,
    "Take work only when this agent asks for it: when it has started, and whenever a task "
    "has ended");
  app.add_option("--log-level", flags.log_level, "trace, debug, info, warn, error or off")
    ->capture_default_str();
  app.add_option("--log-file", flags.log_file, "Log here instead of to stderr");
  app.add_option("--log-format", flags.log_format, "text or json")->capture_default_str();
  app
    .add_option("--log-size", flags.log_size,
                "A log file that would grow beyond this is put aside; 0: never")
    ->capture_default_str();
  app
    .add_option("--log-files", flags.log_files,
                "So many log files are kept, the one being written included")
    ->capture_default_str();
  app
    .add_option("--task-processes", flags.processes,
                "Processes and threads that the agent's user may have in all, so that a fork bomb "
                "ends there; root is not bound by it; 0: no limit")
    ->capture_default_str();
  app.add_option("--keep-outputs", flags.keep_outputs,
                 "What ended tasks printed goes after so long; 0: only for lack of room (default: "
                 "30d)");
  app.add_option("--status-interval", flags.status_interval,
                 "Log a line of status so often, such as 1m (default: never)");
}

} // namespace

int agent_main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Runs tasks of a reeve cluster on this machine.", "reeve-agent");
  add_flags(app, flags);
  CLI::App* status = app.add_subcommand("status", "Shows the agent of a state directory");
  status->add_option("-o,--output", flags.output, "table or json")->capture_default_str();
  CLI::App* stop =
    app.add_subcommand("stop", "Ends the agent of a state directory, and waits for it");
  stop->add_flag("--keep-tasks", flags.keep_tasks,
                 "Its tasks run on until the next agent adopts them");
  CLI::App* log_level =
    app.add_subcommand("log-level", "Changes how much the agent of a state directory logs");
  log_level->add_option("LEVEL", flags.level, "trace, debug, info, warn, error or off")->required();
  CLI::App* logs = app.add_subcommand(
    "logs", "Prints what tasks on this machine print, straight from here: no master is asked");
  logs->add_option("TASK", flags.tasks, "JOB/TASK, such as 5/3; several at once")->required();
  logs->add_flag("-f,--follow", flags.follow, "Until all have ended");
  CLI::App* sweep = app.add_subcommand(
    "sweep", "Removes now what the agent of a state directory has kept for long enough");
  sweep->add_flag("--dry-run", flags.dry_run, "Only say what would go");
  CLI::App* keeper = app.add_subcommand("keeper", "Internal: the process that owns the tasks");
  keeper->add_option("--processes", flags.processes, "At most so many processes of its user");
  keeper->add_flag("--no-cgroups", flags.no_cgroups, "Use no cgroups for limits");
  keeper->add_flag("--foreground", flags.foreground, "Do not detach");
  app.require_subcommand(0, 1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) // --help, --version
      return app.exit(error);
    std::fprintf(stderr, "reeve-agent: %s\nTry 'reeve-agent --help'.\n", error.what());
    return exit_usage;
  }
  if (const auto absolute = std::filesystem::absolute(flags.dir); true)
    flags.dir = absolute.lexically_normal().string();
  if (keeper->parsed())
    return run_keeper(flags);
  if (status->parsed())
    return run_status(flags);
  if (stop->parsed())
    return run_stop(flags);
  if (log_level->parsed())
    return run_log_level(flags);
  if (logs->parsed())
    return run_logs(flags);
  if (sweep->parsed())
    return run_sweep(flags);
  return run_agent(flags);
}

} // namespace reeve::worker
