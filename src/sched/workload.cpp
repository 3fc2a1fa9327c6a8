// See workload.hpp.
#include "src/sched/workload.hpp"

#include "src/util/text.hpp"
#include "src/util/words.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numbers>
#include <optional>

namespace reeve::sched {
namespace {

constexpr Duration second{1'000'000};

std::string line_name(std::size_t number) {
  return "line " + std::to_string(number);
}

/// Calls f(line, number) until it fails.
template<class F> Result<void> each_line(std::string_view text, F&& f) {
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trim(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (auto good = f(line, number); !good)
      return good;
  }
  return {};
}

std::optional<double> number_in(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
    return {};
  return value;
}

void sort_jobs(Workload& workload) {
  std::ranges::stable_sort(workload.jobs, {}, &SimJob::at);
}

} // namespace

// ---- Standard Workload Format

Result<Workload> read_swf(std::string_view text, const SwfOptions& options) {
  constexpr std::size_t fields = 18;
  Workload out;
  std::int64_t max_processors = 0, widest = 0;
  std::uint64_t no_size = 0, no_time = 0;
  std::optional<double> first;
  const auto read = [&](std::string_view line, std::size_t number) -> Result<void> {
    if (line.empty())
      return {};
    if (line.front() == ';') {
      const std::string_view comment = trim(line.substr(1));
      for (const std::string_view name : {"MaxProcs:", "MaxNodes:"})
        if (comment.starts_with(name))
          if (const auto parts = words_in(comment.substr(name.size())); !parts.empty())
            if (const auto n = number_in(parts[0]); n && *n > 0 && *n < 1e9)
              max_processors = std::max(max_processors, static_cast<std::int64_t>(*n));
      return {};
    }
    const auto parts = words_in(line);
    if (parts.size() < fields)
      return fail(Code::bad_field, line_name(number),
                  "has " + std::to_string(parts.size()) + " numbers, must have 18");
    std::array<double, fields> f{};
    for (std::size_t i = 0; i < fields; ++i) {
      const auto value = number_in(parts[i]);
      if (!value || std::abs(*value) > 1e15)
        return fail(Code::bad_field, line_name(number),
                    "field " + std::to_string(i + 1) + " must be a number, got '" +
                      printable(parts[i].substr(0, 32)) + "'");
      f[i] = *value;
    }
    const double submit = f[1], wait = f[2], run = f[3], used = f[4], memory_used = f[6],
                 asked = f[7], asked_time = f[8], memory_asked = f[9];
    (void)wait;
    const double processors = asked > 0 ? asked : used;
    if (processors <= 0 || processors > 1e8) {
      ++no_size;
      return {};
    }
    const double seconds = run >= 0 ? run : asked_time;
    if (seconds < 0 || submit < 0) {
      ++no_time;
      return {};
    }
    if (!first)
      first = submit;
    SimJob job;
    const auto time = [](double s) { return Duration(std::llround(s * 1e6)); };
    job.at = time(submit - std::min(submit, *first));
    job.run_times = {time(seconds)};
    job.spec.name = "swf" + std::to_string(static_cast<std::int64_t>(f[0]));
    job.spec.user = f[11] >= 0 ? "u" + std::to_string(static_cast<std::int64_t>(f[11])) : "unknown";
    if (f[14] > 0)
      job.spec.queue = "q" + std::to_string(static_cast<std::int64_t>(f[14]));
    job.spec.command = {"true"};
    job.spec.resources.cpu_milli = static_cast<std::int64_t>(processors) * 1000;
    if (const double kib = memory_asked > 0 ? memory_asked : memory_used; kib > 0)
      job.spec.resources.memory_bytes = static_cast<std::int64_t>(kib * 1024 * processors);
    if (asked_time > 0)
      job.spec.estimate = time(asked_time);
    widest = std::max(widest, static_cast<std::int64_t>(processors));
    out.jobs.push_back(std::move(job));
    return {};
  };
  if (auto good = each_line(text, read); !good)
    return tl::unexpected<Error>(good.error());
  if (no_size > 0)
    out.notes.push_back(std::to_string(no_size) + " jobs without a number of processors left out");
  if (no_time > 0)
    out.notes.push_back(std::to_string(no_time) + " jobs without a run time left out");

  const std::int64_t all = std::max(max_processors, widest);
  const std::uint32_t count = std::max<std::uint32_t>(options.nodes, 1);
  const std::int64_t each =
    options.processors_per_node > 0
      ? options.processors_per_node
      : std::max<std::int64_t>(1, options.nodes > 0 ? (all + count - 1) / count : all);
  for (std::uint32_t i = 0; i < count; ++i) {
    SimNode node;
    node.name = "n" + std::to_string(i + 1);
    node.capacity.cpu_milli = each * 1000;
    node.capacity.memory_bytes = std::int64_t{1} << 49; // such files seldom say
    out.nodes.push_back(std::move(node));
  }
  std::uint64_t too_wide = 0;
  std::erase_if(out.jobs, [&](const SimJob& job) {
    const bool never = job.spec.resources.cpu_milli > each * 1000 * count;
    too_wide += never ? 1 : 0;
    return never;
  });
  if (too_wide > 0)
    out.notes.push_back(std::to_string(too_wide) + " jobs wider than all nodes left out");
  for (SimJob& job : out.jobs) {
    const std::int64_t processors = job.spec.resources.cpu_milli / 1000;
    if (processors <= each)
      continue;
    const std::int64_t tasks = (processors + each - 1) / each;
    job.spec.gang = true;
    job.spec.count = static_cast<std::uint32_t>(tasks);
    job.spec.resources.cpu_milli = (processors + tasks - 1) / tasks * 1000;
    job.spec.resources.memory_bytes /= tasks;
  }
  sort_jobs(out);
  return out;
}

std::string write_swf(const Workload& workload) {
  std::int64_t processors = 0;
  for (const SimNode& node : workload.nodes)
    processors += node.capacity.cpu_milli / 1000;
  std::string out = "; Version: 2.2\n; Computer: reeve, generated\n; MaxJobs: " +
                    std::to_string(workload.jobs.size()) +
                    "\n; MaxProcs: " + std::to_string(processors) + "\n; UnixStartTime: 0\n";
  std::map<std::string, std::size_t> users;
  std::size_t number = 0;
  for (const SimJob& job : workload.jobs) {
    const auto user = users.try_emplace(job.spec.user, users.size() + 1).first->second;
    const auto seconds = [](Duration d) { return std::to_string(d.count() / 1'000'000); };
    const std::string size =
      std::to_string(std::max<std::int64_t>(1, job.spec.resources.cpu_milli / 1000) *
                     (job.spec.gang ? job.spec.count : 1));
    out += std::to_string(++number) + ' ' + seconds(job.at) + " -1 " + seconds(job.run_time(0)) +
           ' ' + size + " -1 -1 " + size + ' ' +
           (job.spec.estimate > Duration(0) ? seconds(job.spec.estimate) : "-1") + " -1 1 " +
           std::to_string(user) + " -1 -1 1 -1 -1 -1\n";
  }
  return out;
}

// ---- our own format

namespace {

struct Pairs {
  std::size_t line;
  std::map<std::string, std::string> values;

  tl::unexpected<Error> wrong(const std::string& what) const {
    return fail(Code::bad_field, line_name(line), what);
  }
  std::optional<std::string> take(const std::string& name) {
    const auto at = values.find(name);
    if (at == values.end())
      return {};
    std::string out = std::move(at->second);
    values.erase(at);
    return out;
  }
  /// Reads and removes a value by one of the parsers of src/util; leaves `out` when there is none.
  template<class T, class Parse>
  Result<void> read(const std::string& name, T& out, const Parse& parse) {
    const auto text = take(name);
    if (!text)
      return {};
    const auto value = parse(*text);
    if (!value)
      return wrong(name + ": " + value.error().text);
    out = static_cast<T>(*value);
    return {};
  }
};

Result<void> read_resources(Pairs& pairs, Resources& out) {
  const auto milli = [](const std::string& t) { return parse_milli(t, "value"); };
  const auto size = [](const std::string& t) { return parse_size(t, "value"); };
  if (auto good = pairs.read("vcores", out.cpu_milli, milli); !good)
    return good;
  if (auto good = pairs.read("memory", out.memory_bytes, size); !good)
    return good;
  if (auto good = pairs.read("disk", out.disk_bytes, size); !good)
    return good;
  for (const std::string& name : [&] {
         std::vector<std::string> names; // whatever is left without a dot is a resource
         for (const auto& [key, value] : pairs.values)
           if (key.find('.') == std::string::npos)
             names.push_back(key);
         return names;
       }()) {
    std::int64_t amount = 0;
    if (auto good = pairs.read(name, amount, milli); !good)
      return good;
    out.named_milli[name] = amount;
  }
  return {};
}

void read_prefixed(Pairs& pairs, const std::string& prefix,
                   std::map<std::string, std::string>& out) {
  for (auto at = pairs.values.begin(); at != pairs.values.end();)
    if (at->first.starts_with(prefix)) {
      out[at->first.substr(prefix.size())] = at->second;
      at = pairs.values.erase(at);
    } else {
      ++at;
    }
}

Result<void> read_node(Pairs pairs, const std::string& name, Workload& out) {
  SimNode node;
  node.name = name;
  std::uint32_t alike = 1;
  const auto count = [](const std::string& t) { return parse_integer(t, "value", 1, 1'000'000); };
  if (auto good = pairs.read("x", alike, count); !good)
    return good;
  if (const auto text = pairs.take("speed")) {
    const auto speed = number_in(*text);
    if (!speed || *speed < 0.001 || *speed > 1000)
      return pairs.wrong("speed: must be a number from 0.001 to 1000");
    node.speed = *speed;
  }
  read_prefixed(pairs, "label.", node.labels);
  if (auto good = read_resources(pairs, node.capacity); !good)
    return good;
  if (!pairs.values.empty())
    return pairs.wrong("nothing known by the name of " + printable(pairs.values.begin()->first));
  for (std::uint32_t i = 0; i < alike; ++i) {
    out.nodes.push_back(node);
    if (alike > 1)
      out.nodes.back().name = name + std::to_string(i + 1);
  }
  return {};
}

Result<void> read_job(Pairs pairs, Workload& out) {
  SimJob job;
  JobSpec& s = job.spec;
  s.command = {"true"};
  const auto duration = [](const std::string& t) { return parse_duration(t, "value"); };
  const auto number = [](std::int64_t min, std::int64_t max) {
    return [min, max](const std::string& t) { return parse_integer(t, "value", min, max); };
  };
  const auto flag = [](const std::string& t) -> Result<bool> {
    if (t != "true" && t != "false")
      return fail(Code::bad_field, "value", "must be true or false");
    return t == "true";
  };
  Duration run{-1}, deadline{-1};
  for (auto good :
       {pairs.read("at", job.at, duration), pairs.read("run", run, duration),
        pairs.read("estimate", s.estimate, duration), pairs.read("limit", s.time_limit, duration),
        pairs.read("deadline", deadline, duration),
        pairs.read("count", s.count, number(1, tasks_max)),
        pairs.read("priority", s.priority, number(-1'000'000, 1'000'000)),
        pairs.read("parallel", s.max_parallel, number(0, tasks_max)),
        pairs.read("gang", s.gang, flag), pairs.read("exclusive", s.exclusive, flag)})
    if (!good)
      return good;
  if (run < Duration(0))
    return pairs.wrong("run: required and missing");
  job.run_times = {run};
  if (deadline >= Duration(0)) // after its arrival; simulated time starts at 0
    s.deadline = TimePoint(job.at + deadline);
  for (auto& [name, field] : std::map<std::string, std::string*>{
         {"name", &s.name}, {"user", &s.user}, {"queue", &s.queue}, {"spread", &s.spread}})
    if (auto text = pairs.take(name))
      *field = *text;
  read_prefixed(pairs, "label.", s.labels);
  read_prefixed(pairs, "on.", s.node_labels);
  if (auto good = read_resources(pairs, s.resources); !good)
    return good;
  if (!pairs.values.empty())
    return pairs.wrong("nothing known by the name of " + printable(pairs.values.begin()->first));
  if (auto good = validate(s, ""); !good)
    return pairs.wrong(good.error().message());
  out.jobs.push_back(std::move(job));
  return {};
}

} // namespace

Result<Workload> read_workload(std::string_view text) {
  Workload out;
  const auto read = [&](std::string_view line, std::size_t number) -> Result<void> {
    line = trim(line.substr(0, line.find('#')));
    const auto parts = words_in(line);
    if (parts.empty())
      return {};
    Pairs pairs{number, {}};
    const bool node = parts[0] == "node", job = parts[0] == "job";
    if (!node && !job)
      return pairs.wrong("must start with node or job");
    if (node && (parts.size() < 2 || parts[1].find('=') != std::string_view::npos))
      return pairs.wrong("must be node NAME …");
    for (std::size_t i = node ? 2 : 1; i < parts.size(); ++i) {
      const auto pair = parse_pair(parts[i], line_name(number));
      if (!pair)
        return pairs.wrong("must be key=value, got '" + printable(parts[i].substr(0, 64)) + "'");
      if (!pairs.values.emplace(pair->first, pair->second).second)
        return pairs.wrong(printable(pair->first) + ": given twice");
    }
    return node ? read_node(std::move(pairs), std::string(parts[1]), out)
                : read_job(std::move(pairs), out);
  };
  if (auto good = each_line(text, read); !good)
    return tl::unexpected<Error>(good.error());
  if (out.nodes.empty())
    return fail(Code::bad_field, "line 1", "there must be at least one node");
  sort_jobs(out);
  return out;
}

// ---- a recorded journal

Workload workload_of(std::span<const Entry> entries) {
  Workload out;
  std::map<JobId, std::size_t> places;
  std::map<JobId, std::map<TaskIndex, Duration>> times;
  std::map<std::string, std::size_t> nodes;
  std::optional<TimePoint> start;
  for (const Entry& entry : entries) {
    if (const auto* node = std::get_if<NodeRegistered>(&entry.fact)) {
      const auto at = nodes.try_emplace(node->name, out.nodes.size()).first->second;
      if (at == out.nodes.size())
        out.nodes.emplace_back();
      out.nodes[at] = {node->name, node->capacity, node->labels, node->executors, 1};
    } else if (const auto* jobs = std::get_if<JobsSubmitted>(&entry.fact)) {
      if (!start)
        start = entry.time;
      for (std::size_t i = 0; i < jobs->specs.size(); ++i) {
        auto spec = decode<JobSpec>(jobs->specs[i].msgpack);
        if (!spec)
          continue;
        spec->items.clear();
        spec->after.clear(); // ids are others in a simulation
        places[JobId(jobs->first.value + i)] = out.jobs.size();
        out.jobs.push_back({entry.time - *start, std::move(*spec), {}});
      }
    } else if (const auto* finished = std::get_if<TasksFinished>(&entry.fact)) {
      for (const JobResults& results : finished->jobs) {
        auto& of_job = times[results.job];
        for (const QuietRun& quiet : results.quiet)
          for (std::uint32_t i = 0; i < quiet.run.count; ++i)
            of_job[quiet.run.first + i] = (quiet.ended - quiet.started) / quiet.run.count;
        for (const TaskResult& result : results.tasks)
          if (result.cause == Cause::none)
            of_job[result.index] = result.ended - result.started;
      }
    }
  }
  std::uint64_t unknown = 0;
  std::vector<SimJob> known;
  for (const auto& [id, place] : places) {
    SimJob& job = out.jobs[place];
    const auto at = times.find(id);
    if (at == times.end()) {
      ++unknown;
      continue;
    }
    std::vector<Duration> sorted;
    for (const auto& [index, time] : at->second)
      sorted.push_back(std::max(time, Duration(0)));
    std::ranges::sort(sorted);
    job.run_times.assign(job.spec.count, sorted[sorted.size() / 2]);
    for (const auto& [index, time] : at->second)
      if (index < job.spec.count)
        job.run_times[index] = std::max(time, Duration(0));
    if (sorted.front() == sorted.back())
      job.run_times.resize(1);
    known.push_back(std::move(job));
  }
  out.jobs = std::move(known);
  if (unknown > 0)
    out.notes.push_back(std::to_string(unknown) + " jobs of which no task ended well left out");
  sort_jobs(out);
  return out;
}

// ---- generated

namespace {
/// Not std's distributions: those differ between libraries.
class Random {
public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() { // splitmix64
    state_ += 0x9E3779B97F4A7C15ULL;
    std::uint64_t x = state_;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    return x ^ (x >> 31);
  }
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  double exponential(double mean) { return -mean * std::log(1 - unit()); }
  double normal() {
    return std::sqrt(-2 * std::log(1 - unit())) * std::cos(2 * std::numbers::pi * unit());
  }

private:
  std::uint64_t state_;
};
} // namespace

Workload generate(const Generator& g) {
  Random random(g.seed);
  Workload out;
  SimNode node;
  node.name = "machine";
  node.capacity.cpu_milli = std::int64_t{std::max(1u, g.processors)} * 1000;
  node.capacity.memory_bytes = std::int64_t{1} << 49;
  out.nodes.push_back(node);
  double work = 0; // processor seconds
  for (std::uint32_t i = 0; i < g.jobs; ++i) {
    SimJob job;
    const double most = std::log2(std::max(1u, g.processors));
    double size = random.unit() < 0.24 ? 0 : random.unit() * most;
    if (random.unit() < 0.75)
      size = std::floor(size); // a power of two
    const auto processors =
      std::clamp<std::int64_t>(std::llround(std::exp2(size)), 1, std::max(1u, g.processors));
    const double seconds =
      std::clamp(std::round(std::exp(random.unit() < 0.4 ? 3.5 + random.normal()
                                                         : 7.0 + 1.2 * random.normal())),
                 1.0, 172'800.0);
    const double promised = seconds * (1 + 4 * random.unit() * random.unit());
    job.spec.name = "job";
    const double popular = random.unit() * random.unit(); // few users, most of the jobs
    job.spec.user =
      "u" + std::to_string(1 + static_cast<std::uint32_t>(popular * std::max(1u, g.users)));
    job.spec.command = {"true"};
    job.spec.resources.cpu_milli = processors * 1000;
    job.spec.estimate = second * std::llround(std::ceil(promised / 60) * 60);
    job.run_times = {second * std::llround(seconds)};
    work += static_cast<double>(processors) * seconds;
    out.jobs.push_back(std::move(job));
  }
  const double length = work / (std::max(1u, g.processors) * std::clamp(g.load, 0.01, 10.0));
  const double mean_gap = length / std::max(1u, g.jobs);
  double now = 0;
  for (SimJob& job : out.jobs) {
    const double hour = std::fmod(now / 3600, 24); // days are three times as busy as nights
    job.at = second * std::llround(now);           // the first at 0
    now += random.exponential(mean_gap) * (hour >= 8 && hour < 20 ? 0.67 : 2.0);
  }
  return out;
}

} // namespace reeve::sched
