// Names, rules and arithmetic of the plain types. See types.hpp.
#include "messages/types.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

namespace reeve {
namespace {
constexpr std::array task_state_names{"pending", "assigned",  "interrupted", "succeeded",
                                      "failed",  "cancelled", "held"};
constexpr std::array job_state_names{"pending", "running",   "succeeded",
                                     "failed",  "cancelled", "held"};
constexpr std::array cause_names{
  "none",       "exit_code",    "signal",         "time_limit", "out_of_memory",    "cancelled",
  "lost_node",  "start_failed", "executor_error", "drained",    "unknown_executor", "preempted",
  "dependency", "node_trouble", "superseded"};
constexpr std::array node_state_names{"up", "suspect", "lost", "gone"};
constexpr std::array dependency_names{"ok", "any", "fail"};
constexpr std::array policy_names{"go_on", "fail_fast"};
constexpr std::array operator_names{"in", "not_in", "exists", "absent", "less", "greater"};

template<std::size_t N, class E>
std::string_view pick(const std::array<const char*, N>& names, E value) {
  const auto i = static_cast<std::size_t>(value);
  return i < N ? names[i] : "unknown";
}

std::string join(std::string_view path, std::string_view name) {
  return path.empty() ? std::string(name) : std::string(path) + "." + std::string(name);
}

bool good_name(std::string_view s) {
  return std::all_of(s.begin(), s.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
}

std::string bytes_text(std::int64_t n) {
  static constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto v = static_cast<double>(n);
  std::size_t u = 0;
  while (v >= 1024 && u < 5)
    v /= 1024, ++u;
  char buffer[48];
  std::snprintf(buffer, sizeof buffer, "%.4g %s", v, units[u]);
  return buffer;
}
std::string milli_text(std::int64_t n) {
  char buffer[48];
  std::snprintf(buffer, sizeof buffer, "%.6g", static_cast<double>(n) / 1000.0);
  return buffer;
}
} // namespace

std::string_view name_of(TaskState state) {
  return pick(task_state_names, state);
}
std::string_view name_of(JobState state) {
  return pick(job_state_names, state);
}
std::string_view name_of(Cause cause) {
  return pick(cause_names, cause);
}
std::string_view name_of(NodeState state) {
  return pick(node_state_names, state);
}
std::string_view name_of(DependencyKind kind) {
  return pick(dependency_names, kind);
}
std::string_view name_of(FailurePolicy policy) {
  return pick(policy_names, policy);
}
std::string_view name_of(LabelOperator op) {
  return pick(operator_names, op);
}

Result<void> validate(const Resources& r, std::string_view path) {
  constexpr std::int64_t most = std::int64_t{1} << 50; // so that sums and products do not overflow
  const std::pair<const char*, std::int64_t> amounts[] = {
    {"cpu_milli", r.cpu_milli}, {"memory_bytes", r.memory_bytes}, {"disk_bytes", r.disk_bytes}};
  for (const auto& [name, amount] : amounts)
    if (amount < 0 || amount > most)
      return fail(Code::bad_field, join(path, name),
                  "must be from 0 to 2^50, got " + std::to_string(amount));
  for (const auto& [name, amount] : r.named_milli) {
    if (name.empty() || name.size() > 64 || !good_name(name))
      return fail(Code::bad_field, join(path, "named_milli"),
                  "a name must have 1 to 64 printable characters");
    if (amount < 0 || amount > most)
      return fail(Code::bad_field, join(path, "named_milli." + name),
                  "must be from 0 to 2^50, got " + std::to_string(amount));
  }
  return {};
}

namespace {
Result<void> validate(const Constraint& c, std::string_view path) {
  const bool number = c.op == LabelOperator::less || c.op == LabelOperator::greater;
  if (c.op == LabelOperator::exists || c.op == LabelOperator::absent) {
    if (!c.values.empty())
      return fail(Code::bad_field, join(path, "values"), "must be empty for exists and absent");
  } else if (c.values.empty() || (number && c.values.size() != 1)) {
    return fail(Code::bad_field, join(path, "values"),
                number ? "one number, to compare with" : "give at least one value");
  }
  if (number) {
    double value = 0;
    const std::string& text = c.values.front();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size())
      return fail(Code::bad_field, join(path, "values[0]"), "must be a number, got " + text);
  }
  return {};
}
} // namespace

namespace {
Result<void> validate(const RetryRule& rule, std::string_view path) {
  if (rule.on == Cause::cancelled || rule.on == Cause::dependency ||
      rule.on == Cause::node_trouble || rule.on == Cause::unknown_executor ||
      rule.on == Cause::superseded)
    return fail(Code::bad_field, join(path, "on"),
                "must be exit_code, signal, time_limit, out_of_memory, start_failed, "
                "executor_error, lost_node, preempted, drained, or none for any failure of the "
                "task's own; got " +
                  std::string(name_of(rule.on)));
  if (!rule.codes.empty() && rule.on != Cause::exit_code && rule.on != Cause::signal)
    return fail(Code::bad_field, join(path, "codes"),
                "only exit_code and signal have codes: leave it empty");
  for (std::size_t i = 0; i < rule.codes.size(); ++i)
    if (rule.codes[i].last < rule.codes[i].first)
      return fail(Code::bad_field, join(path, "codes[" + std::to_string(i) + "]"),
                  "must be a first and a last code, got " + std::to_string(rule.codes[i].first) +
                    " and " + std::to_string(rule.codes[i].last));
  return {};
}
} // namespace

Result<void> validate(const JobSpec& spec, std::string_view path) {
  if (spec.executor == "process" && spec.command.empty())
    return fail(Code::bad_field, join(path, "command"),
                "required for executor process: the program and its arguments");
  if (spec.executor == "process" && spec.command[0].empty())
    return fail(Code::bad_field, join(path, "command[0]"), "must name a program");
  for (std::size_t i = 0; i < spec.command.size(); ++i)
    if (spec.command[i].find('\0') != std::string::npos)
      return fail(Code::bad_field, join(path, "command[" + std::to_string(i) + "]"),
                  "must not contain a zero byte");
  for (const auto& [key, value] : spec.env)
    if (key.empty() || key.find('=') != std::string::npos || key.find('\0') != std::string::npos ||
        value.find('\0') != std::string::npos)
      return fail(Code::bad_field, join(path, "env"),
                  "names must not be empty or contain '=' or zero bytes");
  if (!spec.items.empty() && spec.items.size() != spec.count)
    return fail(Code::bad_field, join(path, "items"),
                "must have one entry for each of " + std::to_string(spec.count) +
                  " tasks, or none");
  for (const char* field : {"name", "queue", "user"}) {
    const std::string& value = field[0] == 'n'   ? spec.name
                               : field[0] == 'q' ? spec.queue
                                                 : spec.user;
    if (!good_name(value))
      return fail(Code::bad_field, join(path, field), "must not contain control characters");
  }
  if (spec.executor == "sleep") {
    const bool number = spec.command.size() == 1 && !spec.command[0].empty() &&
                        spec.command[0].size() <= 15 &&
                        std::all_of(spec.command[0].begin(), spec.command[0].end(),
                                    [](char c) { return c >= '0' && c <= '9'; });
    if (!number)
      return fail(Code::bad_field, join(path, "command"),
                  "for executor sleep: one whole number, the microseconds to sleep");
  }
  if (spec.gang && spec.count > gang_max)
    return fail(Code::bad_field, join(path, "gang"),
                "at most " + std::to_string(gang_max) + " tasks can start together, got " +
                  std::to_string(spec.count));
  if (spec.gang && spec.max_parallel > 0 && spec.max_parallel < spec.count)
    return fail(Code::bad_field, join(path, "max_parallel"),
                "a gang's tasks all run at once: leave it 0");
  for (std::size_t i = 0; i < spec.constraints.size(); ++i)
    if (auto good =
          validate(spec.constraints[i], join(path, "constraints[" + std::to_string(i) + "]"));
        !good)
      return good;
  for (std::size_t i = 0; i < spec.retry.size(); ++i)
    if (auto good = validate(spec.retry[i], join(path, "retry[" + std::to_string(i) + "]")); !good)
      return good;
  if (spec.speculate &&
      (spec.gang || spec.exclusive || !spec.limits.empty() || !spec.affinity.empty()))
    return fail(Code::bad_field, join(path, "speculate"),
                "a job with " +
                  std::string(spec.gang             ? "gang"
                              : spec.exclusive      ? "exclusive"
                              : spec.limits.empty() ? "affinity"
                                                    : "limits") +
                  " can have no copies of its tasks");
  if (spec.checkpoint_signal == 9 || spec.checkpoint_signal == 19) // KILL, STOP
    return fail(Code::bad_field, join(path, "checkpoint_signal"),
                "must be a signal that a task can catch, got " +
                  std::to_string(spec.checkpoint_signal));
  return validate(spec.resources, join(path, "resources"));
}

Resources& operator+=(Resources& a, const Resources& b) {
  a.cpu_milli += b.cpu_milli;
  a.memory_bytes += b.memory_bytes;
  a.disk_bytes += b.disk_bytes;
  for (const auto& [name, amount] : b.named_milli)
    if (auto at = a.named_milli.try_emplace(name, 0).first; (at->second += amount) == 0)
      a.named_milli.erase(at);
  return a;
}
Resources& operator-=(Resources& a, const Resources& b) {
  return a += b * -1;
}
Resources operator+(Resources a, const Resources& b) {
  return a += b;
}
Resources operator-(Resources a, const Resources& b) {
  return a -= b;
}
Resources operator*(const Resources& a, std::int64_t n) {
  Resources r;
  r.cpu_milli = a.cpu_milli * n;
  r.memory_bytes = a.memory_bytes * n;
  r.disk_bytes = a.disk_bytes * n;
  for (const auto& [name, amount] : a.named_milli)
    if (amount * n != 0)
      r.named_milli[name] = amount * n;
  return r;
}
bool fits(const Resources& need, const Resources& have) {
  const auto short_of = [](std::int64_t n, std::int64_t h) { return n > 0 && n > h; };
  if (short_of(need.cpu_milli, have.cpu_milli) || short_of(need.memory_bytes, have.memory_bytes) ||
      short_of(need.disk_bytes, have.disk_bytes))
    return false;
  for (const auto& [name, amount] : need.named_milli) {
    const auto at = have.named_milli.find(name);
    if (short_of(amount, at == have.named_milli.end() ? 0 : at->second))
      return false;
  }
  return true;
}
std::int64_t times_fitting(const Resources& need, const Resources& have, std::int64_t most) {
  const auto limit = [&](std::int64_t n, std::int64_t h) {
    if (n > 0)
      most = std::min(most, h <= 0 ? 0 : h / n);
  };
  limit(need.cpu_milli, have.cpu_milli);
  limit(need.memory_bytes, have.memory_bytes);
  limit(need.disk_bytes, have.disk_bytes);
  for (const auto& [name, amount] : need.named_milli) {
    const auto at = have.named_milli.find(name);
    limit(amount, at == have.named_milli.end() ? 0 : at->second);
  }
  return most;
}
bool is_zero(const Resources& r) {
  return r.cpu_milli == 0 && r.memory_bytes == 0 && r.disk_bytes == 0 &&
         std::all_of(r.named_milli.begin(), r.named_milli.end(),
                     [](const auto& e) { return e.second == 0; });
}
std::string to_text(const Resources& r) {
  std::string out;
  const auto add = [&](const std::string& part) { out += (out.empty() ? "" : ", ") + part; };
  if (r.cpu_milli != 0)
    add(milli_text(r.cpu_milli) + (r.cpu_milli == 1000 ? " vcore" : " vcores"));
  if (r.memory_bytes != 0)
    add(bytes_text(r.memory_bytes) + " memory");
  if (r.disk_bytes != 0)
    add(bytes_text(r.disk_bytes) + " disk");
  for (const auto& [name, amount] : r.named_milli)
    if (amount != 0)
      add(milli_text(amount) + " " + name);
  return out.empty() ? "nothing" : out;
}
std::string shortage(const Resources& asked, const Resources& available,
                     const Resources& capacity) {
  std::string out;
  const auto add = [&](const std::string& name, std::int64_t a, std::int64_t v, std::int64_t c,
                       auto text) {
    if (a > v)
      out += (out.empty() ? "" : "; ") + name + ": asked " + text(a) + ", available " + text(v) +
             ", capacity " + text(c);
  };
  const auto of = [](const Resources& r, const std::string& name) {
    const auto at = r.named_milli.find(name);
    return at == r.named_milli.end() ? 0 : at->second;
  };
  add("vcores", asked.cpu_milli, available.cpu_milli, capacity.cpu_milli, milli_text);
  add("memory", asked.memory_bytes, available.memory_bytes, capacity.memory_bytes, bytes_text);
  add("disk", asked.disk_bytes, available.disk_bytes, capacity.disk_bytes, bytes_text);
  for (const auto& [name, amount] : asked.named_milli)
    add(name, amount, of(available, name), of(capacity, name), milli_text);
  return out;
}

REEVE_NOUNS(REEVE_CODEC_DEFINE)

} // namespace reeve
