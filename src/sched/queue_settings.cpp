// See queue_settings.hpp.
#include "src/sched/queue_settings.hpp"

#include "src/util/text.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace reeve::sched {
namespace {

constexpr std::array orders{"fifo", "priority", "sjf", "spt", "sct", "fair", "edf"};
constexpr std::array ranking_names{"round-robin", "random",  "least-time-first",
                                   "best-fit",    "balance", "pack"};
constexpr std::array backfills{"easy", "conservative", "greedy", "strict"};

template<std::size_t N> std::string listed(const std::array<const char*, N>& names) {
  std::string out;
  for (const char* name : names)
    out += (out.empty() ? "" : ", ") + std::string(name);
  return out;
}

tl::unexpected<Error> wrong(const std::string& field, std::string_view allowed,
                            const std::string& value) {
  return fail(Code::bad_field, field,
              "must be " + std::string(allowed) + ", got '" + printable(value.substr(0, 64)) + "'");
}

template<class E, std::size_t N>
Result<void> read_name(const std::array<const char*, N>& names, const std::string& value,
                       const std::string& field, E& out) {
  for (std::size_t i = 0; i < N; ++i)
    if (value == names[i]) {
      out = static_cast<E>(i);
      return {};
    }
  return wrong(field, "one of " + listed(names), value);
}
template<class T>
Result<void> read_number(const std::string& value, const std::string& field, std::int64_t min,
                         std::int64_t max, T& out) {
  const auto n = parse_integer(value, field, min, max);
  if (!n)
    return wrong(field, "a whole number from " + std::to_string(min) + " to " + std::to_string(max),
                 value);
  out = static_cast<T>(*n);
  return {};
}
Result<void> read_duration(const std::string& value, const std::string& field, Duration most,
                           Duration& out) {
  const auto time = parse_duration(value, field);
  if (!time || *time > most)
    return wrong(field, "a duration of at most " + format_duration(most), value);
  out = *time;
  return {};
}
Result<void> read_flag(const std::string& value, const std::string& field, bool& out) {
  if (value != "true" && value != "false")
    return wrong(field, "true or false", value);
  out = value == "true";
  return {};
}
constexpr std::string_view quota_allowed =
  "a list such as vcores=16,memory=64GiB,tasks=100,gpu=2, each once";
Result<void> read_quota(const std::string& value, const std::string& field, Quota& out) {
  Quota quota;
  for (const std::string& part : split(value, ',')) {
    const auto pair = parse_pair(trim(part), field);
    if (!pair)
      return wrong(field, quota_allowed, value);
    const auto& [name, text] = *pair;
    const auto amount = name == "memory" || name == "disk" ? parse_size(text, field)
                        : name == "tasks" ? parse_integer(text, field, 0, 1'000'000'000)
                                          : parse_milli(text, field);
    if (!amount || !quota.emplace(name, *amount).second)
      return wrong(field, quota_allowed, value);
  }
  out = std::move(quota);
  return {};
}
Result<void> read_weights(const std::string& value, const std::string& field,
                          std::map<std::string, std::uint32_t>& out) {
  std::map<std::string, std::uint32_t> weights;
  for (const std::string& part : split(value, ',')) {
    const auto pair = parse_pair(trim(part), field);
    const auto weight =
      pair ? parse_integer(pair->second, field, 1, 10'000) : Result<std::int64_t>(0);
    if (!pair || !weight ||
        !weights.emplace(pair->first, static_cast<std::uint32_t>(*weight)).second)
      return wrong(field, "a list such as ada=2,bob=1, weights from 1 to 10000, each once", value);
  }
  out = std::move(weights);
  return {};
}

Result<void> read_reserve(const std::string& value, const std::string& field,
                          std::map<std::string, std::uint32_t>& out) {
  std::map<std::string, std::uint32_t> shares;
  for (const std::string& part : split(value, ',')) {
    const auto pair = parse_pair(trim(part), field);
    const auto share = pair ? parse_integer(pair->second, field, 0, 100) : Result<std::int64_t>(0);
    if (!pair || pair->first == "tasks" || !share ||
        !shares.emplace(pair->first, static_cast<std::uint32_t>(*share)).second)
      return wrong(field,
                   "a list such as vcores=10,memory=10,gpu=50, percents from 0 to 100, each once",
                   value);
  }
  out = std::move(shares);
  return {};
}

constexpr Duration year = std::chrono::hours(24 * 366);

Result<void> read(QueueSettings& s, std::string_view name, const std::string& value,
                  const std::string& field) {
  if (name == "order")
    return read_name(orders, value, field, s.order);
  if (name == "ranking")
    return read_name(ranking_names, value, field, s.ranking);
  if (name == "backfill")
    return read_name(backfills, value, field, s.backfill);
  if (name == "backfill_depth")
    return read_number(value, field, 1, 1'000, s.backfill_depth);
  if (name == "max_wait")
    return read_duration(value, field, year, s.max_wait);
  if (name == "weight")
    return read_number(value, field, 1, 10'000, s.weight);
  if (name == "user_weights")
    return read_weights(value, field, s.user_weights);
  if (name == "limit")
    return read_quota(value, field, s.limit);
  if (name == "user_limit")
    return read_quota(value, field, s.user_limit);
  if (name == "submit_limit")
    return read_number(value, field, 0, 1'000'000'000'000, s.submit_limit);
  if (name == "paused")
    return read_flag(value, field, s.paused);
  if (name == "preempt")
    return read_flag(value, field, s.preempt);
  if (name == "use_reserve")
    return read_flag(value, field, s.use_reserve);
  std::string names;
  for (const auto& info : queue_setting_table())
    names += (names.empty() ? "" : ", ") + std::string(info.name);
  return fail(Code::bad_field, field, "no such setting of a queue; there are " + names);
}
Result<void> read(GlobalSettings& s, std::string_view name, const std::string& value,
                  const std::string& field) {
  if (name == "prefetch")
    return read_number(value, field, 0, 10'000, s.prefetch);
  if (name == "prefetch_time")
    return read_duration(value, field, std::chrono::minutes(10), s.prefetch_time);
  if (name == "prefetch_keep")
    return read_number(value, field, 0, 1'000'000, s.prefetch_keep);
  if (name == "high_cpu")
    return read_number(value, field, 0, 1'000, s.high_cpu);
  if (name == "high_memory")
    return read_number(value, field, 0, 1'000, s.high_memory);
  if (name == "low_cpu")
    return read_number(value, field, 0, 100, s.low_cpu);
  if (name == "low_memory")
    return read_number(value, field, 0, 100, s.low_memory);
  if (name == "overcommit_max")
    return read_number(value, field, 100, 1'600, s.overcommit_max);
  if (name == "overcommit_step")
    return read_number(value, field, 1, 100, s.overcommit_step);
  if (name == "straggler_factor")
    return read_number(value, field, 0, 1'000, s.straggler_factor);
  if (name == "adjust_every")
    return read_duration(value, field, std::chrono::hours(24), s.adjust_every);
  if (name == "reserve")
    return read_reserve(value, field, s.reserve);
  if (name == "lease_queue") {
    const bool good = std::ranges::all_of(
      value, [](char c) { return std::string_view(" !,=*").find(c) == std::string_view::npos; });
    if (value.empty() || value.size() > 64 || !good)
      return wrong(field, "the name of a queue, of 1 to 64 characters", value);
    s.lease_queue = value;
    return {};
  }
  if (name == "seed")
    return read_number(value, field, 0, std::numeric_limits<std::int64_t>::max(), s.seed);
  std::string names;
  for (const auto& info : scheduler_setting_table())
    names += (names.empty() ? "" : ", ") + std::string(info.name);
  return fail(Code::bad_field, field, "no such setting of the scheduler; there are " + names);
}

constexpr std::string_view queue_prefix = "queue.", scheduler_prefix = "scheduler.";

struct Parts {
  std::string queue, setting;
};
/// `queue.a.b.order` is the setting `order` of the queue `a.b`.
std::optional<Parts> take_apart(std::string_view name) {
  name.remove_prefix(queue_prefix.size());
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 == name.size())
    return {};
  return Parts{std::string(name.substr(0, dot)), std::string(name.substr(dot + 1))};
}

} // namespace

std::string_view name_of(Order order) {
  return orders[static_cast<std::size_t>(order)];
}
std::string_view name_of(Ranking ranking) {
  return ranking_names[static_cast<std::size_t>(ranking)];
}
std::string_view name_of(Backfill backfill) {
  return backfills[static_cast<std::size_t>(backfill)];
}

const std::vector<QueueSettingInfo>& queue_setting_table() {
  static const std::vector<QueueSettingInfo> table{
    {"backfill", "easy", "easy, conservative, greedy, strict",
     "what may start while the first in line finds no room: what does not "
     "delay it; what delays "
     "none of the first backfill_depth; whatever fits; nothing"},
    {"backfill_depth", "50", "1 to 1000", "how many in line conservative backfill protects"},
    {"limit", "", "such as vcores=16,memory=64GiB,tasks=100,gpu=2",
     "what all its tasks together may hold at once"},
    {"max_wait", "1h", "a duration, at most a year; 0: never",
     "what has waited longer comes first, whatever the order, and is kept a "
     "place"},
    {"order", "fifo", "fifo, priority, sjf, spt, sct, fair, edf",
     "which task comes next: oldest; highest priority; shortest job; "
     "shortest task; soonest "
     "finished; least served user; nearest deadline"},
    {"paused", "false", "true, false", "true: nothing of it is started"},
    {"preempt", "false", "true, false",
     "true: its tasks may push out those of lower priority where they find "
     "no room"},
    {"ranking", "round-robin", "round-robin, random, least-time-first, best-fit, balance, pack",
     "which node: in turn; any; where the task is over first; where least is "
     "left; the least "
     "used; the most used"},
    {"submit_limit", "0", "0 to 10^12", "how many tasks of one user may wait; 0: any number"},
    {"use_reserve", "false", "true, false",
     "true: its tasks may have the share that scheduler.reserve keeps"},
    {"user_limit", "", "such as vcores=16,memory=64GiB,tasks=100,gpu=2",
     "what the tasks of one user may hold at once"},
    {"user_weights", "", "such as ada=2,bob=1; 1 to 10000",
     "shares of users where the order is fair; 1 for whom it does not name"},
    {"weight", "1", "1 to 10000", "the queue's share beside other queues"},
  };
  return table;
}
const std::vector<QueueSettingInfo>& scheduler_setting_table() {
  static const std::vector<QueueSettingInfo> table{
    {"adjust_every", "10s", "a duration, at most 1d",
     "a node's overcommit factor, or whether it gets work, changes at most so often"},
    {"high_cpu", "0", "0 to 1000",
     "percent of a node's vcores really in use from which on it gets no new work; 0: no mark"},
    {"high_memory", "0", "0 to 1000", "the same for memory"},
    {"lease_queue", "default", "the name of a queue",
     "leases that name no queue count in its limits and shares, as tasks of their owners"},
    {"low_cpu", "50", "0 to 100",
     "below this and low_memory the overcommit factor of a node that is booked out grows"},
    {"low_memory", "50", "0 to 100", "the same for memory"},
    {"overcommit_max", "100", "100 to 1600",
     "percent of its capacity that a node may be given, for jobs that allow it; 100: no more than "
     "it has"},
    {"overcommit_step", "10", "1 to 100", "percent by which that grows; it falls twice as fast"},
    {"prefetch", "40", "0 to 10000", "how many tasks a slot are given to a node ahead of need"},
    {"prefetch_keep", "16", "0 to 1000000",
     "so many last tasks of a queue are never given ahead of need"},
    {"prefetch_time", "100ms", "a duration, at most 10m",
     "how long the tasks given ahead of need may take"},
    {"reserve", "", "such as vcores=10,memory=10,gpu=50; percents from 0 to 100",
     "this share of each node is kept for leases and for queues with use_reserve"},
    {"seed", "1", "a whole number", "of the ranking random: the same seed, the same choices"},
    {"straggler_factor", "3", "0 to 1000",
     "so many times as long as such tasks usually take, and a task of a job that asks for it gets "
     "a copy; 0: none does"},
  };
  return table;
}

bool is_queue_setting(std::string_view name) {
  return name.starts_with(queue_prefix) || name.starts_with(scheduler_prefix);
}

Result<void> check_queue_setting(const std::string& name, const std::string& value,
                                 const std::string& prefix) {
  const std::string field = prefix + name;
  const auto check = [&](auto probe, std::string_view setting, const auto& table) -> Result<void> {
    const bool known = std::any_of(table.begin(), table.end(),
                                   [&](const auto& info) { return info.name == setting; });
    return known && value.empty() ? Result<void>() : read(probe, setting, value, field);
  };
  if (name.starts_with(scheduler_prefix))
    return check(GlobalSettings(), std::string_view(name).substr(scheduler_prefix.size()),
                 scheduler_setting_table());
  const auto parts = take_apart(name);
  if (!parts || parts->queue.size() > 64)
    return fail(Code::bad_field, field, "must be queue.NAME.SETTING, a name of 1 to 64 characters");
  return check(QueueSettings(), parts->setting, queue_setting_table());
}

AllQueueSettings::AllQueueSettings(const std::map<std::string, std::string>& config) {
  for (const auto& [name, value] : config) {
    if (!is_queue_setting(name) || value.empty() || !check_queue_setting(name, value))
      continue;
    if (name.starts_with(scheduler_prefix))
      (void)read(global_, std::string_view(name).substr(scheduler_prefix.size()), value, name);
    else if (const auto parts = take_apart(name))
      queues_[parts->queue][parts->setting] = value;
  }
}

QueueSettings AllQueueSettings::of(const std::string& queue) const {
  QueueSettings out;
  for (const std::string& name : {std::string("*"), queue})
    if (const auto at = queues_.find(name); at != queues_.end())
      for (const auto& [setting, value] : at->second)
        (void)read(out, setting, value, setting);
  return out;
}

std::vector<std::string> AllQueueSettings::named() const {
  std::vector<std::string> out;
  for (const auto& [queue, settings] : queues_)
    if (queue != "*")
      out.push_back(queue);
  return out;
}

} // namespace reeve::sched
