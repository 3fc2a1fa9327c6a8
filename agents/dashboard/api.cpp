// See api.hpp.
#include "agents/dashboard/api.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace reeve::dashboard {
namespace {

constexpr auto nodes_age = std::chrono::seconds(1);
constexpr auto queues_age = std::chrono::seconds(2);
constexpr std::uint64_t graph_window =
  400; // ids around a job among which its dependents are sought
constexpr std::size_t graph_max = 200;
constexpr std::uint32_t forecast_looks = 100; // jobs among which one that waits is sought
constexpr std::size_t forecasts_max = 100;    // queues; each takes a few questions

TimePoint now_us() {
  return std::chrono::floor<Duration>(std::chrono::system_clock::now());
}

int percent(std::int64_t part, std::int64_t whole) {
  return whole <= 0 ? 0 : static_cast<int>(std::clamp<std::int64_t>(part * 100 / whole, 0, 100));
}

template<class T> tl::unexpected<Error> error_of(const Result<T>& result) {
  return tl::unexpected<Error>(result.error());
}

Json node_summary(const NodeView& node, TimePoint now) {
  Json out = to_json(node);
  out["incarnation"] = std::to_string(node.incarnation.value);
  out["shown"] = shown_state(node, now);
  out["booked"] = booked_percent(node);
  out["used_percent"] = used_percent(node);
  return out;
}

bool contains(std::string_view text, std::string_view part) {
  return std::search(text.begin(), text.end(), part.begin(), part.end(), [](char a, char b) {
           return std::tolower(static_cast<unsigned char>(a)) ==
                  std::tolower(static_cast<unsigned char>(b));
         }) != text.end();
}

bool matches(const NodeView& node, const NodesWanted& wanted, TimePoint now) {
  if (!wanted.state.empty() && shown_state(node, now) != wanted.state)
    return false;
  if (wanted.text.empty() || contains(node.name, wanted.text) || contains(node.reason, wanted.text))
    return true;
  return std::any_of(node.labels.begin(), node.labels.end(), [&](const auto& label) {
    return contains(label.first + "=" + label.second, wanted.text);
  });
}

std::int64_t sort_value(const NodeView& node, const std::string& by) {
  if (by == "booked")
    return booked_percent(node);
  if (by == "used")
    return used_percent(node);
  if (by == "tasks")
    return node.tasks;
  if (by == "memory")
    return node.capacity.memory_bytes;
  if (by == "heard")
    return node.heard.time_since_epoch().count();
  return static_cast<std::int64_t>(node.state);
}

Json with_spec(const JobView& job) {
  Json out = to_json(job);
  if (const auto spec = decode<JobSpec>(job.spec.msgpack); !job.spec.msgpack.empty() && spec) {
    out["spec"] = to_json(*spec);
    out["spec"].erase("items"); // may be a million
    out["spec"].erase("payload");
  } else {
    out.erase("spec");
  }
  return out;
}

/// One job as a vertex of a graph.
struct Vertex {
  JobView view;
  std::vector<Dependency> after;
};

Json vertex_json(const Vertex& v) {
  Json out{{"id", v.view.progress.job.value},
           {"name", v.view.name},
           {"progress", to_json(v.view.progress)}};
  out["after"] = to_json(v.after);
  return out;
}

} // namespace

int booked_percent(const NodeView& node) {
  const Resources& c = node.capacity;
  return std::max(percent(c.cpu_milli - node.available.cpu_milli, c.cpu_milli),
                  percent(c.memory_bytes - node.available.memory_bytes, c.memory_bytes));
}
int used_percent(const NodeView& node) {
  return std::max(percent(node.used.cpu_milli, node.capacity.cpu_milli),
                  percent(node.used.memory_bytes, node.capacity.memory_bytes));
}
std::string shown_state(const NodeView& node, TimePoint now) {
  if (node.state == NodeState::up && node.quarantined > now)
    return "quarantined";
  if (node.state == NodeState::up && node.draining)
    return "draining";
  return std::string(name_of(node.state));
}

// ---- nodes

Result<Api::Nodes> Api::all_nodes() {
  const std::scoped_lock lock(nodes_mutex_); // the others wait for the same answer
  if (nodes_ && Clock::now() - nodes_at_ < nodes_age)
    return nodes_;
  auto list = masters_.ask(ListNodes{});
  if (!list)
    return error_of(list);
  nodes_ = std::make_shared<const NodeList>(std::move(*list));
  nodes_at_ = Clock::now();
  return nodes_;
}

Result<Json> Api::nodes(const NodesWanted& wanted) {
  const auto all = all_nodes();
  if (!all)
    return error_of(all);
  const TimePoint now = now_us();
  std::vector<const NodeView*> found;
  std::map<std::string, std::uint64_t> states;
  for (const NodeView& node : (*all)->nodes) {
    ++states[shown_state(node, now)];
    if (matches(node, wanted, now))
      found.push_back(&node);
  }
  const auto before = [&](const NodeView* a, const NodeView* b) {
    if (wanted.sort != "name")
      if (const auto x = sort_value(*a, wanted.sort), y = sort_value(*b, wanted.sort); x != y)
        return wanted.down ? x > y : x < y;
    return wanted.sort == "name" && wanted.down ? b->name < a->name : a->name < b->name;
  };
  std::sort(found.begin(), found.end(), before);
  Json page = Json::array();
  for (std::size_t k = wanted.offset; k < std::min(found.size(), wanted.offset + wanted.limit); ++k)
    page.push_back(node_summary(*found[k], now));
  return Json{{"nodes", page},
              {"matching", found.size()},
              {"total", (*all)->nodes.size()},
              {"states", to_json(states)}};
}

Result<Json> Api::heat(const std::string& known) {
  const auto all = all_nodes();
  if (!all)
    return error_of(all);
  const TimePoint now = now_us();
  Json cells = Json::array(), names = Json::array();
  std::uint64_t version = 14'695'981'039'346'656'037ULL; // FNV-1a of the names
  for (const NodeView& node : (*all)->nodes) {
    const std::string state = shown_state(node, now);
    const int code = state == "up"                           ? 0
                     : state == "suspect" || state == "lost" ? 2
                     : state == "gone"                       ? 3
                                                             : 1;
    cells.push_back({code, booked_percent(node), used_percent(node)});
    names.push_back(node.name);
    for (const char c : node.name + '\n')
      version = (version ^ static_cast<unsigned char>(c)) * 1'099'511'628'211ULL;
  }
  Json out{{"cells", cells}, {"version", std::to_string(version)}};
  if (known != std::to_string(version))
    out["names"] = std::move(names);
  return out;
}

Result<Json> Api::node(const std::string& name) {
  ListNodes wanted;
  wanted.names = {name};
  const auto list = masters_.ask(wanted);
  if (!list)
    return error_of(list);
  if (list->nodes.empty())
    return fail(Code::not_found, "name", "no node " + name);
  QueryHistory past;
  past.kind = HistoryKind::nodes;
  past.node = name;
  past.limit = 50;
  const auto rows = masters_.ask(past);
  Json out = node_summary(list->nodes.front(), now_us());
  if (rows)
    out["history"] = to_json(*rows);
  return out;
}

// ---- jobs and tasks

Result<Json> Api::jobs(const ListJobs& wanted) {
  const auto list = masters_.ask(wanted);
  if (!list)
    return error_of(list);
  Json out = to_json(*list);
  for (Json& job : out["jobs"])
    job.erase("spec");
  return out;
}

Result<Json> Api::job(JobId id) {
  ListJobs wanted;
  wanted.jobs = {id};
  wanted.spec = true;
  const auto list = masters_.ask(wanted);
  if (!list)
    return error_of(list);
  if (list->jobs.empty())
    return fail(Code::not_found, "job",
                "no job " + std::to_string(id.value) + "; ended jobs are kept in history");
  // What a job waits for has a smaller id, what waits for it a larger one; a workflow's jobs are
  // submitted together and lie side by side.
  ListJobs around;
  around.spec = true;
  around.before = JobId(id.value + graph_window);
  around.limit = 2 * graph_window;
  std::map<JobId, Vertex> near;
  const auto take = [&](const JobView& job) {
    const auto spec = decode<JobSpec>(job.spec.msgpack);
    near[job.progress.job] = {job, spec ? spec->after : std::vector<Dependency>{}};
  };
  if (const auto neighbours = masters_.ask(around))
    std::for_each(neighbours->jobs.begin(), neighbours->jobs.end(), take);
  take(list->jobs.front());
  std::map<JobId, std::vector<JobId>> followers;
  for (const auto& [job, vertex] : near)
    for (const auto& edge : vertex.after)
      followers[edge.job].push_back(job);
  std::set<JobId> graph{id};
  std::vector<JobId> open{id};
  while (!open.empty() && graph.size() < graph_max) {
    const JobId at = open.back();
    open.pop_back();
    const auto visit = [&](JobId job) {
      if (near.contains(job) && graph.insert(job).second)
        open.push_back(job);
    };
    for (const auto& edge : near[at].after)
      visit(edge.job);
    if (const auto found = followers.find(at); found != followers.end())
      std::for_each(found->second.begin(), found->second.end(), visit);
  }
  Json vertices = Json::array();
  for (const JobId job : graph)
    vertices.push_back(vertex_json(near.at(job)));
  Json out{{"job", with_spec(list->jobs.front())}, {"graph", vertices}};
  return out;
}

Result<Json> Api::tasks(const ListTasks& wanted) {
  const auto list = masters_.ask(wanted);
  if (!list)
    return error_of(list);
  return to_json(*list);
}

Result<Json> Api::task(JobId job, TaskIndex index) {
  ListTasks wanted;
  wanted.job = job;
  wanted.from = index;
  wanted.limit = 1;
  const auto list = masters_.ask(wanted);
  if (!list)
    return error_of(list);
  if (list->tasks.empty() || list->tasks.front().index != index)
    return fail(Code::not_found, "index", "no such task");
  Json out{{"task", to_json(list->tasks.front())}};
  QueryHistory past;
  past.kind = HistoryKind::attempts;
  past.job = job;
  past.task = index;
  if (const auto rows = masters_.ask(past))
    out["attempts"] = to_json(*rows);
  if (!is_final(list->tasks.front().state))
    if (const auto why = masters_.ask(Explain{job, index}))
      out["explain"] = to_json(*why);
  return out;
}

Result<Json> Api::explain(const Explain& wanted) {
  const auto why = masters_.ask(wanted);
  if (!why)
    return error_of(why);
  return to_json(*why);
}

namespace {
/// Names of queues out of those of settings and counters: "queue.NAME.what".
void take_queue(const std::string& name, std::set<std::string>& queues) {
  constexpr std::string_view prefix = "queue.";
  const auto dot = name.rfind('.');
  if (name.starts_with(prefix) && dot > prefix.size())
    queues.insert(name.substr(prefix.size(), dot - prefix.size()));
}

/// The value in force: the queue's own, else that of all queues, else the default.
std::string queue_setting(const ConfigValues& config, const std::string& queue,
                          const std::string& what) {
  for (const auto& [values, name] :
       {std::pair{&config.values, queue}, std::pair{&config.values, std::string("*")},
        std::pair{&config.defaults, std::string("*")}})
    if (const auto at = values->find("queue." + name + "." + what); at != values->end())
      return at->second;
  return {};
}
} // namespace

/// The first task in line, or the last, and when it is expected to start. Null: none waits.
Json Api::forecast(const std::string& queue, bool oldest) {
  ListJobs jobs;
  jobs.queue = queue;
  jobs.states = {JobState::pending, JobState::running};
  jobs.limit = forecast_looks;
  jobs.oldest_first = oldest;
  const auto list = masters_.ask(jobs);
  if (!list)
    return nullptr;
  const auto job = std::find_if(list->jobs.begin(), list->jobs.end(),
                                [](const JobView& view) { return view.progress.pending > 0; });
  if (job == list->jobs.end())
    return nullptr;
  ListTasks waiting;
  waiting.job = job->progress.job;
  waiting.states = {TaskState::pending};
  waiting.limit = 1;
  const auto tasks = masters_.ask(waiting);
  if (!tasks || tasks->tasks.empty())
    return nullptr;
  const TaskIndex index = tasks->tasks.front().index;
  const auto why = masters_.ask(Explain{waiting.job, index});
  return Json{{"job", waiting.job.value},
              {"index", index},
              {"submitted_us", to_json(job->submitted)},
              {"explain", why ? to_json(*why) : Json(nullptr)}};
}

Result<Json> Api::queues() {
  const std::scoped_lock lock(queues_mutex_);
  if (queues_ && Clock::now() - queues_at_ < queues_age)
    return *queues_;
  const auto config = masters_.ask(GetConfig{});
  if (!config)
    return error_of(config);
  const auto stats = masters_.ask(GetStats{});
  if (!stats)
    return error_of(stats);
  std::set<std::string> names{"default"};
  for (const auto& [name, value] : config->values)
    take_queue(name, names);
  for (const auto& [name, value] : stats->counters)
    take_queue(name, names);
  names.erase("*");
  const auto count = [&](const std::string& queue, const char* what) {
    const auto at = stats->counters.find("queue." + queue + "." + what);
    return at == stats->counters.end() ? std::int64_t{0} : at->second;
  };
  Json list = Json::array();
  std::size_t forecasts = 0;
  for (const auto& name : names) {
    Json out{{"name", name},
             {"waiting", count(name, "waiting")},
             {"running", count(name, "running")},
             {"paused", queue_setting(*config, name, "paused") == "true"}};
    for (const char* what : {"order", "ranking", "backfill", "limit"})
      out[what] = queue_setting(*config, name, what);
    if (count(name, "waiting") > 0 && ++forecasts <= forecasts_max) {
      out["next"] = forecast(name, true);
      out["last"] = forecast(name, false);
    }
    list.push_back(std::move(out));
  }
  queues_ = Json{{"queues", list}};
  queues_at_ = Clock::now();
  return *queues_;
}

// ---- history, output, actions

Result<Json> Api::history(const QueryHistory& wanted) {
  const auto rows = masters_.ask(wanted);
  if (!rows)
    return error_of(rows);
  Json out = to_json(*rows);
  out["next"] = std::to_string(rows->next); // beyond what JavaScript counts
  return out;
}

Result<Json> Api::log(const ReadLog& wanted) {
  const auto chunk = masters_.ask(wanted);
  if (!chunk)
    return error_of(chunk);
  return Json{{"text", chunk->data.data}, // dump_json mends what is not UTF-8
              {"offset", chunk->offset},   {"next", chunk->offset + chunk->data.data.size()},
              {"written", chunk->written}, {"ended", chunk->ended},
              {"attempt", chunk->attempt}};
}

Result<Json> Api::act(const Action& action) {
  Result<Done> done = tl::unexpected<Error>(Error{});
  if (const auto* jobs = std::get_if<ActOnJobs>(&action))
    done = masters_.act(*jobs);
  else
    done = masters_.ask(std::get<ActOnNodes>(action));
  if (!done)
    return error_of(done);
  return to_json(*done);
}

} // namespace reeve::dashboard
