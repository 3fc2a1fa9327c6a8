// A master of fixed answers behind the command line: three jobs, two nodes, a lease. Tells what it
// was asked to do. Used by the tests of the commands.
#pragma once

#include "src/cli/app.hpp"
#include "tests/unit/client/fake_master.hpp"

#include <cstdlib>
#include <sstream>

namespace reeve::cli {

using testing_support::FakeMaster;

inline TimePoint at(std::int64_t seconds) { // 2025-01-31 10:00:00 UTC and so many seconds
  return TimePoint(std::chrono::seconds(1'738'317'600 + seconds));
}

class SmallCluster {
public:
  SmallCluster() : master_([this](FakeMaster::Asked& asked) { serve(asked); }) {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
  }

  struct Ran {
    int code = -1;
    std::string out, err;
  };
  /// Runs the command line as a user would. `in`: standard input.
  Ran reeve(std::vector<std::string> args, const std::string& in = {}) {
    std::ostringstream out, err;
    std::istringstream input(in);
    Terminal terminal{out, err, input, false, false, 80, {}, {}, {}, "ann"};
    terminal.env = [&](const char* name) {
      return name == std::string("REEVE_MASTER") ? master_.endpoint() : std::string();
    };
    terminal.interrupted = [this] { return interrupted.load(); };
    terminal.now = [] { return at(60); };
    Ran ran;
    ran.code = run(std::move(args), terminal);
    ran.out = out.str();
    ran.err = err.str();
    return ran;
  }

  // What was asked last.
  Submit submitted;
  ActOnJobs acted;
  ActOnNodes acted_on_nodes;
  Allocate allocated;
  Release released;
  Renew renewed;
  SetConfig configured;
  QueryHistory questioned;
  std::vector<std::vector<JobId>> waited;
  std::atomic<bool> interrupted{false};
  /// Answers in place of the fixed ones when it returns true.
  std::function<bool(FakeMaster::Asked&)> instead;

  static JobView job(std::uint64_t id, const std::string& name, JobState state, std::uint32_t total,
                     std::uint32_t succeeded, std::uint32_t failed) {
    JobView view;
    view.progress.job = JobId(id);
    view.progress.state = state;
    view.progress.total = total;
    view.progress.succeeded = succeeded;
    view.progress.failed = failed;
    const std::uint32_t rest = total - succeeded - failed;
    (state == JobState::running ? view.progress.assigned : view.progress.pending) = rest;
    view.progress.exit_code = failed > 0 ? 3 : 0;
    view.name = name;
    view.user = "ann";
    view.queue = "default";
    view.submitted = at(static_cast<std::int64_t>(id));
    if (state != JobState::pending)
      view.started = at(static_cast<std::int64_t>(id) + 1);
    if (is_final(state))
      view.ended = at(static_cast<std::int64_t>(id) + 5);
    return view;
  }
  static std::vector<JobView> jobs() { // newest first, as a master lists them
    std::vector<JobView> all{job(3, "render", JobState::pending, 100, 0, 0),
                             job(2, "squares", JobState::running, 10, 4, 0),
                             job(1, "broken", JobState::failed, 2, 1, 1)};
    all[0].labels = {{"team", "film"}};
    all[0].priority = 5;
    all[0].reason = "no node has 64 vcores";
    return all;
  }

private:
  void serve(FakeMaster::Asked& asked) {
    if (instead && instead(asked))
      return;
    switch (asked.header.type) {
    case MessageType::submit: {
      submitted = asked.as<Submit>();
      Submitted answer{JobId(7), static_cast<std::uint32_t>(submitted.jobs.size()), false, ""};
      if (submitted.dry_run)
        answer = {JobId(),
                  0,
                  false,
                  "1 task would start on n1",
                  {"1 task would start on n1", "would wait"}};
      return asked.reply(answer);
    }
    case MessageType::list_jobs:
      return list(asked);
    case MessageType::list_tasks:
      return tasks(asked);
    case MessageType::act_on_jobs:
      acted = asked.as<ActOnJobs>();
      return asked.reply(Done{4, ""});
    case MessageType::wait: {
      waited.push_back(asked.as<Wait>().jobs);
      Progress answer{{}, true};
      for (const JobId id : waited.back()) {
        auto ended = job(id.value, "x", id == JobId(1) ? JobState::failed : JobState::succeeded, 2,
                         id == JobId(1) ? 1 : 2, id == JobId(1) ? 1 : 0);
        answer.jobs.push_back(ended.progress);
      }
      return asked.reply(answer);
    }
    case MessageType::list_nodes:
      return asked.reply(NodeList{nodes(), Seq(40)});
    case MessageType::act_on_nodes:
      acted_on_nodes = asked.as<ActOnNodes>();
      return asked.reply(Done{acted_on_nodes.nodes.size(), ""});
    case MessageType::list_leases:
      return asked.reply(LeaseList{{lease()}, {}});
    case MessageType::allocate:
      allocated = asked.as<Allocate>();
      return asked.reply(Granted{lease(), {}});
    case MessageType::release:
      released = asked.as<Release>();
      return asked.reply(Done{1, ""});
    case MessageType::renew:
      renewed = asked.as<Renew>();
      return asked.reply(Done{1, ""});
    case MessageType::get_stats:
      return asked.reply(stats());
    case MessageType::get_master:
      return asked.reply(status());
    case MessageType::get_config:
      return asked.reply(ConfigValues{{{"beacon.interval", "2s"}},
                                      {{"beacon.interval", "1s"}, {"retention.jobs", "1h"}}});
    case MessageType::set_config:
      configured = asked.as<SetConfig>();
      if (configured.values.count("nonsense") > 0)
        return asked.refuse(Code::bad_field, "values.nonsense", "no such setting");
      return asked.reply(Done{1, ""});
    case MessageType::step:
      return asked.reply(Done{1, "snapshot of 40 entries written"});
    case MessageType::query_history:
      questioned = asked.as<QueryHistory>();
      return asked.reply(HistoryRows{
        {"job", "name", "user", "queue", "state", "tasks", "ended_us", "ran_us", "reason"},
        {{"1", "broken", "ann", "default", "failed", "2", "1738317606000000", "4000000",
          "task 1 ended with exit code 3"}},
        0});
    case MessageType::read_log:
      return log(asked);
    case MessageType::explain: {
      Explained answer;
      answer.summary = "no node has room";
      answer.nodes = {{"memory", 3}, {"label zone=east", 1}};
      answer.notes = {"a node with 4 GiB more memory would do"};
      return asked.reply(answer);
    }
    default:
      asked.refuse(Code::unknown_type, "type", "not asked in these tests");
    }
  }

  static void list(FakeMaster::Asked& asked) {
    const auto query = asked.as<ListJobs>();
    JobList list;
    list.seq = Seq(40);
    for (JobView& view : jobs()) {
      const auto has = [](const auto& wanted, const auto& value) {
        return wanted.empty() || std::find(wanted.begin(), wanted.end(), value) != wanted.end();
      };
      if (!has(query.jobs, view.progress.job) || !has(query.states, view.progress.state) ||
          (!query.name.empty() && query.name != view.name && query.name != "*") ||
          (query.before && view.progress.job >= query.before))
        continue;
      if (query.spec) {
        JobSpec spec;
        spec.name = view.name;
        spec.command = {"sh", "-c", "echo \"$REEVE_ITEM\""};
        spec.count = view.progress.total;
        spec.resources.cpu_milli = 1000;
        view.spec.msgpack = encode(spec);
      }
      if (list.jobs.size() == query.limit) {
        list.more = true;
        break;
      }
      list.jobs.push_back(std::move(view));
    }
    asked.reply(list);
  }

  static TaskView task(JobId job, TaskIndex index, TaskState state) {
    TaskView view;
    view.job = job;
    view.index = index;
    view.state = state;
    view.attempt = state == TaskState::pending ? 0 : 1;
    view.node = state == TaskState::pending ? "" : "n1";
    if (is_final(state)) {
      view.ended = true;
      view.last.index = index;
      view.last.started = at(2);
      view.last.ended = at(4);
      view.last.usage = {std::chrono::seconds(2), std::chrono::milliseconds(1500),
                         std::chrono::milliseconds(20), 3 << 20};
      view.last.stdout_bytes = 6;
      if (state == TaskState::failed) {
        view.last.cause = Cause::exit_code;
        view.last.exit_code = 3;
      } else {
        view.last.result.data = "42";
      }
    }
    return view;
  }
  static void tasks(FakeMaster::Asked& asked) {
    const auto query = asked.as<ListTasks>();
    if (query.job > JobId(3))
      return asked.refuse(Code::not_found, "job", "no job " + std::to_string(query.job.value));
    std::vector<TaskView> all{task(query.job, 0, TaskState::succeeded),
                              task(query.job, 1, TaskState::failed)};
    if (query.job == JobId(2))
      all.push_back(task(query.job, 2, TaskState::pending));
    TaskList list;
    for (const TaskView& view : all)
      if (view.index >= query.from && list.tasks.size() < query.limit &&
          (query.states.empty() ||
           std::find(query.states.begin(), query.states.end(), view.state) != query.states.end()))
        list.tasks.push_back(view);
    asked.reply(list);
  }
  static void log(FakeMaster::Asked& asked) {
    const auto query = asked.as<ReadLog>();
    const std::string text = query.stream == Stream::out ? "hello\n" : "";
    LogChunk chunk;
    chunk.offset = std::min<std::uint64_t>(query.offset, text.size());
    chunk.data.data = text.substr(chunk.offset);
    chunk.written = text.size();
    chunk.ended = true;
    chunk.attempt = 1;
    asked.reply(chunk);
  }

  static std::vector<NodeView> nodes() {
    NodeView a;
    a.node = NodeId(1);
    a.name = "n1";
    a.capacity.cpu_milli = 4000;
    a.capacity.memory_bytes = 8LL << 30;
    a.capacity.named_milli = {{"gpu", 2000}};
    a.available = a.capacity;
    a.available.cpu_milli = 2500;
    a.available.named_milli = {{"gpu", 500}};
    a.used.cpu_milli = 900;
    a.tasks = 2;
    a.leases = 1;
    a.labels = {{"zone", "east"}};
    a.program = "reeve-agent test";
    a.registered = at(0);
    a.heard = at(59);
    a.incarnation = Incarnation(0xfedcba9876543210);
    NodeView b = a;
    b.node = NodeId(2);
    b.name = "n2";
    b.state = NodeState::lost;
    b.draining = true;
    b.reason = "new disk";
    b.tasks = b.leases = 0;
    b.labels = {{"zone", "west"}};
    return {a, b};
  }
  static LeaseView lease() {
    LeaseView view;
    view.lease = LeaseId(3);
    view.node = "n1";
    view.owner = "ann";
    view.resources.cpu_milli = 1000;
    view.granted = at(0);
    view.expires = at(600);
    return view;
  }
  static Stats stats() {
    Stats s;
    s.jobs = 3;
    s.jobs_pending = s.jobs_running = 1;
    s.tasks_pending = 100;
    s.tasks_assigned = 6;
    s.submitted = 112;
    s.placed = 13;
    s.succeeded = 5;
    s.failed = 1;
    s.nodes_up = s.nodes_lost = 1;
    s.capacity.cpu_milli = 4000;
    s.available.cpu_milli = 2500;
    s.seq = Seq(40);
    s.uptime = std::chrono::seconds(3700);
    s.counters = {{"net.received", 123}};
    return s;
  }
  static MasterStatus status() {
    MasterStatus s;
    s.cluster = "reeve";
    s.master = "m1";
    s.program = "reeved test";
    s.role = "leader";
    s.epoch = Epoch(4);
    s.seq = s.durable = Seq(40);
    s.snapshot = Seq(30);
    s.journal = "sqlite: healthy";
    s.started = at(0);
    s.state_hash = 0xfedcba9876543210;
    return s;
  }

  FakeMaster master_;
};

} // namespace reeve::cli
