// See questions.hpp.
#include "agents/dashboard/questions.hpp"

#include "src/util/json.hpp"
#include "src/util/text.hpp"

#include <algorithm>

namespace reeve::dashboard {
namespace {

constexpr std::size_t text_max = 256;
constexpr std::int64_t most = std::int64_t{1} << 53; // what JavaScript counts exactly

/// Reads parameters one by one and keeps the first error.
class Reader {
public:
  explicit Reader(const Parameters& parameters) : left_(parameters) {}

  void text(const char* name, std::string& into, std::size_t max = text_max) {
    auto value = take(name);
    if (!value)
      return;
    if (value->size() > max)
      return error(name, "must have at most " + std::to_string(max) + " bytes");
    if (!is_utf8(*value))
      return error(name, "must be UTF-8");
    into = std::move(*value);
  }
  template<class N>
  void number(const char* name, N& into, std::int64_t min = 0, std::int64_t max = most) {
    const auto value = take(name);
    if (!value)
      return;
    const auto parsed = parse_integer(*value, name, min, max);
    if (!parsed)
      return error(name, parsed.error().text);
    into = N(static_cast<std::uint64_t>(*parsed));
  }
  void flag(const char* name, bool& into) {
    const auto value = take(name);
    if (!value)
      return;
    if (*value != "0" && *value != "1")
      return error(name, "must be 0 or 1");
    into = *value == "1";
  }
  /// Microseconds since 1970.
  void time(const char* name, TimePoint& into) {
    std::int64_t us = 0;
    number(name, us);
    if (us > 0)
      into = TimePoint(Duration(us));
  }
  /// A list of names, comma separated.
  template<class E> void names(const char* name, std::vector<E>& into) {
    const auto value = take(name);
    if (!value || value->empty())
      return;
    for (const auto& word : split(value->substr(0, text_max), ',')) {
      bool found = false;
      for (int k = 0; k <= static_cast<int>(E::last_) && !found; ++k)
        if (name_of(static_cast<E>(k)) == word) {
          into.push_back(static_cast<E>(k));
          found = true;
        }
      if (!found)
        return error(name, "no such state: " + printable(word));
    }
  }
  void one_of(const char* name, std::string& into, std::initializer_list<const char*> allowed) {
    std::string value = into;
    text(name, value);
    std::string all;
    for (const char* word : allowed) {
      if (value == word) {
        into = value;
        return;
      }
      all += (all.empty() ? "" : ", ") + std::string(word);
    }
    error(name, "must be one of " + all);
  }
  void needed(const char* name) {
    if (!left_.contains(name))
      error(name, "is missing");
  }
  template<class T> Result<T> done(T value) {
    if (!error_ && !left_.empty())
      error(printable(left_.begin()->first.substr(0, 64)).c_str(), "no such parameter");
    if (error_)
      return tl::unexpected<Error>(std::move(*error_));
    return value;
  }
  void error(const char* name, std::string text) {
    if (!error_)
      error_ = Error{Code::bad_field, name, std::move(text)};
  }

private:
  std::optional<std::string> take(const char* name) {
    const auto at = left_.find(name);
    if (at == left_.end())
      return std::nullopt;
    if (left_.count(name) > 1)
      error(name, "given twice");
    std::string value = std::move(at->second);
    left_.erase(name);
    return value;
  }
  Parameters left_;
  std::optional<Error> error_;
};

} // namespace

Result<NodesWanted> nodes_wanted(const Parameters& parameters) {
  NodesWanted o;
  Reader r(parameters);
  r.text("q", o.text);
  r.one_of("state", o.state, {"", "up", "suspect", "lost", "gone", "draining", "quarantined"});
  r.one_of("sort", o.sort, {"name", "booked", "used", "tasks", "memory", "heard", "state"});
  r.flag("down", o.down);
  r.number("offset", o.offset, 0, 10'000'000);
  r.number("limit", o.limit, 1, 500);
  return r.done(o);
}

Result<ListJobs> jobs_wanted(const Parameters& parameters) {
  ListJobs o;
  o.limit = 50;
  Reader r(parameters);
  r.text("name", o.name);
  r.text("user", o.user, 64);
  r.text("queue", o.queue, 64);
  r.names("state", o.states);
  std::uint64_t before = 0;
  r.number("before", before);
  o.before = JobId(before);
  r.number("limit", o.limit, 1, 500);
  std::string ids, label;
  r.text("ids", ids, 8'192);
  for (const auto& word : split(ids, ','))
    if (!trim(word).empty()) {
      const auto id = parse_integer(trim(word), "ids", 1, most);
      if (!id)
        r.error("ids", id.error().text);
      else
        o.jobs.emplace_back(static_cast<std::uint64_t>(*id));
    }
  r.text("label", label, 1'024);
  if (!label.empty()) {
    if (auto pair = parse_pair(label, "label"))
      o.labels.insert(std::move(*pair));
    else
      r.error("label", pair.error().text);
  }
  return r.done(o);
}

Result<ListTasks> tasks_wanted(const Parameters& parameters) {
  ListTasks o;
  Reader r(parameters);
  r.needed("job");
  r.number("job", o.job, 1);
  r.number("from", o.from, 0, tasks_max);
  r.number("limit", o.limit, 1, 1'000);
  r.names("state", o.states);
  return r.done(o);
}

Result<QueryHistory> history_wanted(const Parameters& parameters) {
  QueryHistory o;
  Reader r(parameters);
  std::string kind = "jobs";
  r.one_of("kind", kind, {"jobs", "attempts", "nodes", "config"});
  o.kind = kind == "jobs"       ? HistoryKind::jobs
           : kind == "attempts" ? HistoryKind::attempts
           : kind == "nodes"    ? HistoryKind::nodes
                                : HistoryKind::config;
  r.time("since", o.since);
  r.time("until", o.until);
  r.text("name", o.name);
  r.text("user", o.user, 64);
  r.text("queue", o.queue, 64);
  r.text("node", o.node);
  r.text("state", o.state, 32);
  r.number("job", o.job);
  std::uint64_t task = ~std::uint64_t{0};
  r.number("task", task, 0, tasks_max);
  if (task != ~std::uint64_t{0})
    o.task = static_cast<TaskIndex>(task);
  r.number("limit", o.limit, 1, 1'000);
  std::string before; // beyond what JavaScript counts: as text both ways
  r.text("before", before, 20);
  if (!before.empty()) {
    const auto n = parse_integer(before, "before", 0, (std::int64_t{1} << 62));
    if (n)
      o.before = static_cast<std::uint64_t>(*n);
    else
      r.error("before", n.error().text);
  }
  r.one_of("by", o.by, {"", "user", "queue", "name", "node", "hour", "day"});
  return r.done(o);
}

Result<ReadLog> log_wanted(const Parameters& parameters) {
  ReadLog o;
  Reader r(parameters);
  r.needed("job");
  r.number("job", o.job, 1);
  r.number("index", o.index, 0, tasks_max);
  r.number("attempt", o.attempt, 0, 1'000'000);
  r.number("offset", o.offset);
  r.number("limit", o.limit, 1, 262'144);
  std::string stream = "stdout";
  r.one_of("stream", stream, {"stdout", "stderr"});
  o.stream = stream == "stdout" ? Stream::out : Stream::err;
  return r.done(o);
}

Result<Explain> explain_wanted(const Parameters& parameters) {
  Explain o;
  Reader r(parameters);
  r.needed("job");
  r.number("job", o.job, 1);
  r.number("index", o.index, 0, tasks_max);
  return r.done(o);
}

Result<std::pair<Seq, std::uint32_t>> place_wanted(const std::string& text) {
  const auto dot = text.find('.');
  const auto seq = parse_integer(text.substr(0, dot), "from", 0, most);
  if (!seq)
    return tl::unexpected<Error>(seq.error());
  std::int64_t part = 0;
  if (dot != std::string::npos) {
    const auto parsed = parse_integer(text.substr(dot + 1), "from", 0, 0xffff'ffff);
    if (!parsed)
      return tl::unexpected<Error>(parsed.error());
    part = *parsed;
  }
  return std::pair{Seq(static_cast<std::uint64_t>(*seq)), static_cast<std::uint32_t>(part)};
}

namespace {
struct OneTask {
  JobId job;
  TaskIndex index = 0;
  template<class V> static void fields(V& v) {
    v("job", &OneTask::job, {.required = true, .min = 1});
    v("index", &OneTask::index, {.required = true});
  }
};
struct ActionBody {
  std::string action, reason;
  std::vector<JobId> jobs;
  std::vector<OneTask> tasks;
  std::vector<std::string> nodes;
  template<class V> static void fields(V& v) {
    v("action", &ActionBody::action, {.required = true, .max = 16});
    v("reason", &ActionBody::reason, {.max = 1024});
    v("jobs", &ActionBody::jobs, {.max = 1'000});
    v("tasks", &ActionBody::tasks, {.max = 1'000});
    v("nodes", &ActionBody::nodes, {.max = 1'000});
  }
};
} // namespace

Result<Action> action_wanted(const std::string& body) {
  const auto json = parse_json(body);
  if (!json)
    return tl::unexpected<Error>(json.error());
  auto read = from_json<ActionBody>(*json);
  if (!read)
    return tl::unexpected<Error>(read.error());
  static const std::map<std::string, JobAction> of_jobs{{"cancel", JobAction::cancel},
                                                        {"retry", JobAction::retry},
                                                        {"hold", JobAction::hold},
                                                        {"release", JobAction::release}};
  static const std::map<std::string, NodeAction> of_nodes{{"drain", NodeAction::drain},
                                                          {"undrain", NodeAction::undrain}};
  if (const auto at = of_jobs.find(read->action); at != of_jobs.end()) {
    if (!read->nodes.empty())
      return fail(Code::bad_field, "nodes", at->first + " is for jobs and tasks");
    if (read->jobs.empty() && read->tasks.empty())
      return fail(Code::bad_field, "jobs", "name at least one job or task");
    ActOnJobs act;
    act.action = at->second;
    act.reason = read->reason;
    act.jobs = std::move(read->jobs);
    for (const auto& task : read->tasks)
      act.tasks.push_back({task.job, {{task.index, 1, 1}}});
    return act;
  }
  if (const auto at = of_nodes.find(read->action); at != of_nodes.end()) {
    if (!read->jobs.empty() || !read->tasks.empty())
      return fail(Code::bad_field, "jobs", at->first + " is for nodes");
    if (read->nodes.empty())
      return fail(Code::bad_field, "nodes", "name at least one node");
    ActOnNodes act;
    act.action = at->second;
    act.reason = read->reason;
    act.nodes = std::move(read->nodes);
    return act;
  }
  return fail(Code::bad_field, "action",
              "must be one of cancel, retry, hold, release, drain, undrain");
}

} // namespace reeve::dashboard
