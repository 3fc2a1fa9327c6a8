// Tables and properties. See views.hpp.
#include "src/cli/views.hpp"

#include "src/util/text.hpp"

namespace reeve::cli {
namespace {

bool set(TimePoint time) {
  return time != TimePoint{};
}

Colour colour_of(JobState state) {
  switch (state) {
  case JobState::succeeded:
    return Colour::green;
  case JobState::failed:
    return Colour::red;
  case JobState::running:
    return Colour::blue;
  case JobState::held:
    return Colour::yellow;
  case JobState::cancelled:
    return Colour::grey;
  case JobState::pending:
    break;
  }
  return Colour::none;
}
Colour colour_of(TaskState state) {
  switch (state) {
  case TaskState::succeeded:
    return Colour::green;
  case TaskState::failed:
    return Colour::red;
  case TaskState::assigned:
    return Colour::blue;
  case TaskState::interrupted:
  case TaskState::held:
    return Colour::yellow;
  case TaskState::cancelled:
    return Colour::grey;
  case TaskState::pending:
    break;
  }
  return Colour::none;
}
Colour colour_of(const NodeView& node) {
  if (node.state == NodeState::lost)
    return Colour::red;
  if (node.draining || node.closed || set(node.quarantined) || node.state == NodeState::suspect)
    return Colour::yellow;
  return node.state == NodeState::up ? Colour::green : Colour::grey;
}
std::string state_text(const NodeView& node) {
  return std::string(name_of(node.state)) + (node.draining ? ", draining" : "") +
         (set(node.quarantined) ? ", quarantined" : "") + (node.closed ? ", full" : "") +
         (node.flags.empty() ? "" : ", departs");
}

std::string between(TimePoint begin, TimePoint end) {
  return set(begin) && set(end) ? format_duration(std::chrono::duration_cast<Duration>(end - begin))
                                : "";
}
std::string number(std::uint64_t n) {
  return std::to_string(n);
}

std::string resources_short(const Resources& r) {
  return is_zero(r) ? "" : to_text(r);
}

std::string named_text(const Resources& available, const Resources& capacity) {
  std::string out;
  for (const auto& [name, amount] : capacity.named_milli) {
    const auto at = available.named_milli.find(name);
    out += (out.empty() ? "" : " ") + name + "=" +
           format_milli(at == available.named_milli.end() ? 0 : at->second) + "/" +
           format_milli(amount);
  }
  return out;
}

} // namespace

std::string task_name(JobId job, TaskIndex index) {
  return std::to_string(job.value) + "/" + std::to_string(index);
}

std::string labels_text(const std::map<std::string, std::string>& labels) {
  std::string out;
  for (const auto& [key, value] : labels)
    out.append(out.empty() ? "" : " ").append(key).append("=").append(value);
  return out;
}

std::string ending(const TaskView& task) {
  if (!task.ended)
    return "";
  const TaskResult& last = task.last;
  switch (last.cause) {
  case Cause::none:
  case Cause::exit_code:
    return "exit " + std::to_string(last.exit_code);
  case Cause::signal:
    return "signal " + std::to_string(last.signal);
  default:
    return std::string(name_of(last.cause));
  }
}

Table job_table(const std::vector<JobView>& jobs, bool wide) {
  std::vector<Table::Column> columns{{"JOB", true},    {"NAME"},       {"USER"},
                                     {"STATE"},        {"DONE", true}, {"TASKS", true},
                                     {"FAILED", true}, {"SUBMITTED"},  {"RAN", true}};
  if (wide)
    for (const char* name :
         {"QUEUE", "PRIORITY", "ON NODES", "STARTED", "ENDED", "LABELS", "REASON"})
      columns.push_back(
        {name, name == std::string_view("PRIORITY") || name == std::string_view("ON NODES")});
  Table table(columns);
  for (const JobView& job : jobs) {
    const JobProgress& p = job.progress;
    std::vector<Table::Cell> row{
      number(p.job.value),
      job.name,
      job.user,
      Table::Cell(std::string(name_of(p.state)), colour_of(p.state)),
      number(std::uint64_t{p.succeeded} + p.failed + p.cancelled),
      number(p.total),
      Table::Cell(number(p.failed), p.failed > 0 ? Colour::red : Colour::none),
      format_time(job.submitted),
      between(job.started, job.ended)};
    if (wide) {
      for (std::string text :
           {job.queue, std::to_string(job.priority), number(p.assigned), format_time(job.started),
            format_time(job.ended), labels_text(job.labels), job.reason})
        row.emplace_back(std::move(text));
    }
    table.add(std::move(row));
  }
  return table;
}

Table task_table(const std::vector<TaskView>& tasks, bool wide) {
  std::vector<Table::Column> columns{{"TASK"}, {"STATE"},      {"ATTEMPT", true}, {"NODE"},
                                     {"END"},  {"WALL", true}, {"CPU", true},     {"MEMORY", true}};
  if (wide)
    for (const char* name : {"STARTED", "ENDED", "STDOUT", "STDERR"})
      columns.push_back({name});
  columns.push_back({"REASON"});
  Table table(columns);
  for (const TaskView& task : tasks) {
    const TaskResult& last = task.last;
    const auto ran = [&](std::string text) { return task.ended ? std::move(text) : std::string(); };
    std::vector<Table::Cell> row{
      task_name(task.job, task.index),
      Table::Cell(std::string(name_of(task.state)), colour_of(task.state)),
      task.attempt == 0 ? "" : number(task.attempt),
      task.node,
      ending(task),
      ran(format_duration(last.usage.wall)),
      ran(format_duration(last.usage.user_cpu + last.usage.system_cpu)),
      ran(format_size(last.usage.max_rss_bytes))};
    if (wide) {
      row.emplace_back(format_time(last.started));
      row.emplace_back(format_time(last.ended));
      row.emplace_back(ran(format_size(static_cast<std::int64_t>(last.stdout_bytes))));
      row.emplace_back(ran(format_size(static_cast<std::int64_t>(last.stderr_bytes))));
    }
    row.emplace_back(!task.reason.empty() ? task.reason : last.text);
    table.add(std::move(row));
  }
  return table;
}

Table node_table(const std::vector<NodeView>& nodes, bool wide) {
  std::vector<Table::Column> columns{{"NODE"},         {"STATE"},        {"TASKS", true},
                                     {"VCORES", true}, {"MEMORY", true}, {"DISK", true},
                                     {"OTHER"}};
  if (wide)
    for (const char* name :
         {"LEASES", "USED VCORES", "USED MEMORY", "LABELS", "PROGRAM", "REGISTERED"})
      columns.push_back({name});
  columns.push_back({"REASON"});
  Table table(columns);
  const auto pair = [](const std::string& a, const std::string& b) { return a + "/" + b; };
  for (const NodeView& node : nodes) {
    const Resources &have = node.capacity, &free = node.available;
    std::vector<Table::Cell> row{
      node.name,
      Table::Cell(state_text(node), colour_of(node)),
      number(node.tasks),
      pair(format_milli(free.cpu_milli), format_milli(have.cpu_milli)),
      pair(format_size(free.memory_bytes), format_size(have.memory_bytes)),
      pair(format_size(free.disk_bytes), format_size(have.disk_bytes)),
      named_text(free, have)};
    if (wide)
      for (std::string text : {number(node.leases), format_milli(node.used.cpu_milli),
                               format_size(node.used.memory_bytes), labels_text(node.labels),
                               node.program, format_time(node.registered)})
        row.emplace_back(std::move(text));
    row.emplace_back(node.reason);
    table.add(std::move(row));
  }
  return table;
}

Table lease_table(const std::vector<LeaseView>& leases) {
  Table table(
    {{"LEASE", true}, {"NODE"}, {"OWNER"}, {"QUEUE"}, {"RESOURCES"}, {"GRANTED"}, {"EXPIRES"}});
  for (const LeaseView& lease : leases)
    table.add({number(lease.lease.value), lease.node, lease.owner, lease.queue,
               to_text(lease.resources), format_time(lease.granted),
               set(lease.expires) ? format_time(lease.expires) : "never"});
  return table;
}

Json job_json(const JobView& job) {
  Json out = to_json(job);
  if (const auto spec = decode<JobSpec>(job.spec.msgpack); !job.spec.msgpack.empty() && spec)
    out["spec"] = to_json(*spec);
  return out;
}

Json node_json(const NodeView& node) {
  Json out = to_json(node);
  out["incarnation"] = std::to_string(node.incarnation.value);
  return out;
}

Session::Properties job_properties(const JobView& job) {
  const JobProgress& p = job.progress;
  Session::Properties out{{"Job", number(p.job.value)},
                          {"Name", job.name},
                          {"User", job.user},
                          {"Queue", job.queue},
                          {"State", std::string(name_of(p.state))},
                          {"Reason", job.reason},
                          {"Priority", std::to_string(job.priority)}};
  std::string tasks = number(p.total);
  const std::pair<std::uint32_t, const char*> counts[] = {
    {p.pending, "pending"},    {p.assigned, "on nodes"},   {p.interrupted, "interrupted"},
    {p.held, "held"},          {p.succeeded, "succeeded"}, {p.failed, "failed"},
    {p.cancelled, "cancelled"}};
  std::string parts;
  for (const auto& [n, name] : counts)
    if (n > 0)
      parts += (parts.empty() ? "" : ", ") + number(n) + " " + name;
  out.emplace_back("Tasks", parts.empty() ? tasks : tasks + " (" + parts + ")");
  if (is_final(p.state) && p.state != JobState::cancelled)
    out.emplace_back("Exit code", std::to_string(p.exit_code));
  out.emplace_back("Submitted", format_time(job.submitted));
  if (set(job.started))
    out.emplace_back("Started", format_time(job.started));
  if (set(job.ended))
    out.emplace_back("Ended",
                     format_time(job.ended) +
                       (set(job.started) ? ", after " + between(job.started, job.ended) : ""));
  out.emplace_back("Labels", labels_text(job.labels));
  out.emplace_back("Correlation", job.correlation);
  const auto spec = decode<JobSpec>(job.spec.msgpack);
  if (job.spec.msgpack.empty() || !spec)
    return out;
  std::string command;
  for (const std::string& word : spec->command)
    command +=
      (command.empty() ? "" : " ") +
      (word.find_first_of(" \t\n'\"$") == std::string::npos && !word.empty() ? word
                                                                             : "'" + word + "'");
  out.emplace_back("Executor", spec->executor);
  out.emplace_back("Command", command);
  out.emplace_back("Each task", resources_short(spec->resources));
  out.emplace_back("Directory", spec->cwd);
  out.emplace_back("Environment", labels_text(spec->env));
  out.emplace_back("Only on", labels_text(spec->node_labels));
  std::string after;
  for (const Dependency& d : spec->after)
    after += (after.empty() ? "" : ", ") + number(d.job.value) + ":" +
             std::string(name_of(d.kind)) + (d.each ? ":each" : "");
  out.emplace_back("After", after);
  if (spec->max_parallel > 0)
    out.emplace_back("At once", "at most " + number(spec->max_parallel));
  if (spec->time_limit.count() > 0)
    out.emplace_back("Time limit", format_duration(spec->time_limit));
  if (spec->retries > 0)
    out.emplace_back("Retries", number(spec->retries));
  return out;
}

Session::Properties task_properties(const TaskView& task) {
  const TaskResult& last = task.last;
  Session::Properties out{{"Task", task_name(task.job, task.index)},
                          {"State", std::string(name_of(task.state))},
                          {"Reason", task.reason},
                          {"Attempt", task.attempt == 0 ? "none yet" : number(task.attempt)},
                          {"Node", task.node}};
  if (set(task.not_before))
    out.emplace_back("Not before", format_time(task.not_before));
  if (!task.ended)
    return out;
  out.emplace_back("Ended by", ending(task));
  out.emplace_back("Text", last.text);
  out.emplace_back("Started", format_time(last.started));
  out.emplace_back("Ended", format_time(last.ended));
  out.emplace_back("Wall time", format_duration(last.usage.wall));
  out.emplace_back("CPU time", format_duration(last.usage.user_cpu) + " user, " +
                                 format_duration(last.usage.system_cpu) + " system");
  out.emplace_back("Memory", format_size(last.usage.max_rss_bytes) + " at most");
  out.emplace_back("Output",
                   format_size(static_cast<std::int64_t>(last.stdout_bytes)) + " stdout, " +
                     format_size(static_cast<std::int64_t>(last.stderr_bytes)) + " stderr");
  out.emplace_back("Result",
                   last.result.data.empty() ? "" : dump_json(bytes_to_json(last.result.data)));
  return out;
}

Session::Properties node_properties(const NodeView& node) {
  Session::Properties out{
    {"Node", node.name},
    {"State", state_text(node)},
    {"Reason", node.reason},
    {"Capacity", to_text(node.capacity)},
    {"Available", to_text(node.available)},
    {"Used", resources_short(node.used)},
    {"Tasks", number(node.tasks)},
    {"Leases", number(node.leases)},
    {"Labels", labels_text(node.labels)},
    {"Drained", set(node.drain_deadline)
                  ? "what still runs there at " + format_time(node.drain_deadline) + " is moved"
                  : ""},
    {"Quarantined", set(node.quarantined) ? "until " + format_time(node.quarantined) : ""},
    {"Overcommit",
     node.overcommit_milli == 1000 ? "" : format_milli(node.overcommit_milli) + " times"},
    {"Work", node.pulls ? "only when it asks" : ""},
    {"Program", node.program},
    {"Registered", format_time(node.registered)},
    {"Last heard", format_time(node.heard)}};
  for (const NodeFlag& flag : node.flags)
    out.emplace_back("Departs", flag.what + ": " + flag.text);
  return out;
}

} // namespace reeve::cli
