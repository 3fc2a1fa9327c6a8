// See settings.hpp.
#include "src/deciders/settings.hpp"

#include "src/sched/queue_settings.hpp"
#include "src/util/text.hpp"

#include <algorithm>
#include <array>

namespace reeve::deciders {
namespace {

constexpr std::int64_t ms = 1'000, second = 1'000'000, minute = 60 * second, hour = 60 * minute,
                       day = 24 * hour;
using S = Settings;

constexpr std::array table{
  Setting{"anomaly.every", "30s", &S::anomaly_every, 0, day,
          "how often nodes are compared, to flag those that depart from the rest; 0s: never"},
  Setting{"heartbeat.interval", "1s", &S::heartbeat_interval, 50 * ms, minute,
          "how often an agent says that it lives"},
  Setting{"heartbeat.rate", "2000", &S::heartbeat_rate, 1, 1'000'000,
          "heartbeats a second of all agents together: beyond that the interval is stretched"},
  Setting{"liveness.amnesty", "1m", &S::amnesty, 0, hour,
          "how long after its start the master waits for a node it has not heard of yet"},
  Setting{"liveness.flood_nodes", "3", &S::flood_nodes, 1, 1'000'000,
          "so many nodes may always be given up within liveness.flood_window"},
  Setting{"liveness.flood_patience", "5m", &S::flood_patience, 0, day,
          "how long nobody is given up while too many nodes are suspect"},
  Setting{"liveness.flood_percent", "1", &S::flood_percent, 0, 100,
          "this share of the nodes may be given up within liveness.flood_window"},
  Setting{"liveness.flood_stop_percent", "20", &S::flood_stop_percent, 0, 100,
          "when a larger share of the nodes is suspect nobody is given up"},
  Setting{"liveness.flood_window", "10s", &S::flood_window, 0, hour,
          "over which time flood_nodes and flood_percent count"},
  Setting{"liveness.lost_max", "30s", &S::lost_max, 100 * ms, day,
          "a node silent for so long is lost"},
  Setting{"liveness.lost_min", "10s", &S::lost_min, 100 * ms, day,
          "no node is lost before it was silent for so long"},
  Setting{"liveness.lost_phi", "10", &S::lost_phi, 1, 100,
          "a node of this suspicion is lost: the chance to be wrong is 1 in 10^n"},
  Setting{"liveness.suspect_phi", "5", &S::suspect_phi, 1, 100,
          "a node of this suspicion gets no new work"},
  Setting{"migration.overloaded_after", "2m", &S::migration_overloaded, 0, 30 * day,
          "a node above its high mark for so long gives up a job that can save its state, and "
          "another one each time so much later; 0s: never"},
  Setting{"migration.quarantined_after", "10s", &S::migration_quarantined, 0, 30 * day,
          "from a node in quarantine for so long goes all work that can save its state; 0s: never"},
  Setting{"quarantine.failures", "5", &S::quarantine_failures, 0, 1'000,
          "a node where so many different jobs failed, far more than elsewhere, gets no work for a "
          "while; 0: never"},
  Setting{"quarantine.first", "10m", &S::quarantine_first, second, 30 * day,
          "how long; doubled each time, until a task succeeds there"},
  Setting{"quarantine.flap_window", "1h", &S::quarantine_flap_window, second, 30 * day,
          "over which time quarantine.flaps counts"},
  Setting{"quarantine.flaps", "3", &S::quarantine_flaps, 0, 1'000,
          "a node that was lost and came back so often gets no work for a while; 0: never"},
  Setting{"quarantine.longest", "1d", &S::quarantine_longest, second, 30 * day, "how long at most"},
  Setting{"quarantine.window", "10m", &S::quarantine_window, second, day,
          "over which time failures count"},
  Setting{"retention.held", "0s", &S::retention_held, 0, 3'650 * day,
          "a job held for so long is abandoned: it is cancelled; 0s: never"},
  Setting{"retention.history", "30d", &S::retention_history, hour, 36'500 * day,
          "how long rows of the history are kept"},
  Setting{"retention.jobs", "1h", &S::retention_jobs, 0, 3'650 * day,
          "how long a finished job is kept in memory"},
  Setting{"retention.leases", "0s", &S::retention_leases, 0, 3'650 * day,
          "a lease without an end that was not renewed for so long is taken back; 0s: never"},
  Setting{"retention.nodes", "1d", &S::retention_nodes, minute, 3'650 * day,
          "how long a node that is lost or gone is remembered"},
  Setting{"retention.tasks", "100000", &S::retention_tasks, 0, 1'000'000'000,
          "how many tasks of finished jobs are kept in memory"},
  Setting{"retry.crash_nodes", "3", &S::retry_crash_nodes, 0, 1'000,
          "a task is held when it was on so many different nodes as they died; 0: never"},
  Setting{"retry.first", "1s", &S::retry_first, 0, day,
          "how long a task waits before its first retry; doubled for each further one"},
  Setting{"retry.jitter_percent", "20", &S::retry_jitter_percent, 0, 100,
          "by how much that time varies up and down"},
  Setting{"retry.longest", "5m", &S::retry_longest, 0, 30 * day,
          "how long a task waits at most before a retry"},
  Setting{"sla.availability", "0", &S::sla_availability, 0, 100'000,
          "promised: nodes are up for at least this share of the time they belong to the cluster; "
          "0: nothing"},
  Setting{"sla.check_every", "1m", &S::sla_check_every, second, day,
          "how often the promises are compared with the history; a breach is an event"},
  Setting{"sla.failures", "100", &S::sla_failures, 0, 100'000,
          "promised: at most this share of all attempts fails; 100: nothing"},
  Setting{"sla.longest", "0s", &S::sla_longest, 0, 365 * day,
          "promised: no job waits longer for its first task; 0s: nothing"},
  Setting{"sla.p50", "0s", &S::sla_p50, 0, 365 * day,
          "promised: half of all jobs wait no longer; 0s: nothing"},
  Setting{"sla.p90", "0s", &S::sla_p90, 0, 365 * day,
          "promised: 90 % of all jobs wait no longer; 0s: nothing"},
  Setting{"sla.p99", "0s", &S::sla_p99, 0, 365 * day,
          "promised: 99 % of all jobs wait no longer; 0s: nothing"},
  Setting{"sla.reliability", "0", &S::sla_reliability, 0, 100'000,
          "promised: at least this share of the jobs that are not cancelled succeeds; 0: nothing"},
  Setting{"sla.wait", "0s", &S::sla_wait, 0, 365 * day,
          "promised: jobs wait no longer on average; 0s: nothing"},
  Setting{"sla.window", "7d", &S::sla_window, minute, 365 * day,
          "over which time, up to now, the promises are judged"},
  Setting{"sweep.every", "5m", &S::sweep_every, second, day,
          "how often everything is looked through for what nobody needs any more"},
};

const Setting* find(std::string_view name) {
  const auto at =
    std::lower_bound(table.begin(), table.end(), name,
                     [](const Setting& s, std::string_view wanted) { return s.name < wanted; });
  return at != table.end() && at->name == name ? &*at : nullptr;
}

std::string in_one_unit(std::int64_t microseconds) {
  constexpr std::array<std::pair<std::int64_t, const char*>, 5> units{
    {{day, "d"}, {hour, "h"}, {minute, "m"}, {second, "s"}, {ms, "ms"}}};
  for (const auto& [unit, name] : units)
    if (microseconds >= unit && microseconds % unit == 0)
      return std::to_string(microseconds / unit) + name;
  return std::to_string(microseconds) + (microseconds == 0 ? "s" : "us");
}

bool is_percent(const Setting& setting) {
  return std::holds_alternative<Percent Settings::*>(setting.member);
}
bool is_duration(const Setting& setting) {
  return std::holds_alternative<Duration Settings::*>(setting.member);
}

Result<std::int64_t> parse(const Setting& setting, const std::string& text,
                           const std::string& field) {
  Result<std::int64_t> value = 0;
  if (is_duration(setting)) {
    auto duration = parse_duration(text, field);
    value = duration ? Result<std::int64_t>(duration->count()) : fail(Code::bad_field, field, "");
  } else if (is_percent(setting)) {
    value = parse_milli(text, field);
  } else {
    value = parse_integer(text, field, setting.min, setting.max);
  }
  if (value && *value >= setting.min && *value <= setting.max)
    return value;
  return fail(Code::bad_field, field,
              "must be " + setting.allowed() + ", got '" + printable(text.substr(0, 64)) + "'");
}

void store(const Setting& setting, std::int64_t value, Settings& settings) {
  if (const auto* duration = std::get_if<Duration Settings::*>(&setting.member))
    settings.*(*duration) = Duration(value);
  else if (const auto* percent = std::get_if<Percent Settings::*>(&setting.member))
    settings.*(*percent) = Percent{value};
  else
    settings.*std::get<std::int64_t Settings::*>(setting.member) = value;
}

/// Rules between two settings.
Result<void> check_pairs(const Settings& s, const std::string& prefix) {
  if (s.lost_min > s.lost_max)
    return fail(Code::bad_field, prefix + "liveness.lost_min",
                "must not be above liveness.lost_max, which is " + format_duration(s.lost_max) +
                  ", got '" + format_duration(s.lost_min) + "'");
  if (s.suspect_phi > s.lost_phi)
    return fail(Code::bad_field, prefix + "liveness.suspect_phi",
                "must not be above liveness.lost_phi, which is " + std::to_string(s.lost_phi) +
                  ", got '" + std::to_string(s.suspect_phi) + "'");
  if (s.quarantine_first > s.quarantine_longest)
    return fail(Code::bad_field, prefix + "quarantine.first",
                "must not be above quarantine.longest, which is " +
                  format_duration(s.quarantine_longest) + ", got '" +
                  format_duration(s.quarantine_first) + "'");
  if (s.retry_first > s.retry_longest)
    return fail(Code::bad_field, prefix + "retry.first",
                "must not be above retry.longest, which is " + format_duration(s.retry_longest) +
                  ", got '" + format_duration(s.retry_first) + "'");
  return {};
}

} // namespace

std::string Setting::allowed() const {
  if (is_duration(*this))
    return "a duration from " + in_one_unit(min) + " to " + in_one_unit(max);
  if (is_percent(*this))
    return "per cent, such as 99.9";
  return "a whole number from " + std::to_string(min) + " to " + std::to_string(max);
}

std::span<const Setting> setting_table() {
  return table;
}

std::map<std::string, std::string> default_settings() {
  std::map<std::string, std::string> values;
  for (const Setting& setting : table)
    values.emplace(setting.name, setting.default_text);
  for (const auto& setting : sched::scheduler_setting_table())
    values.emplace("scheduler." + std::string(setting.name), setting.default_text);
  for (const auto& setting : sched::queue_setting_table())
    values.emplace("queue.*." + std::string(setting.name), setting.default_text);
  return values;
}

Result<void> check_settings(const std::map<std::string, std::string>& changes,
                            const std::map<std::string, std::string>& present,
                            const std::string& prefix) {
  auto values = present;
  for (const auto& [name, value] : changes) {
    const std::string field = prefix + name;
    if (sched::is_queue_setting(name)) {
      if (auto good = sched::check_queue_setting(name, value, prefix); !good)
        return good;
      continue;
    }
    const Setting* setting = find(name);
    if (setting == nullptr)
      return fail(Code::bad_field, field,
                  "no such setting; `reeve master config` shows all there are");
    if (value.empty()) {
      values.erase(name);
      continue;
    }
    if (auto parsed = parse(*setting, value, field); !parsed)
      return tl::unexpected<Error>(std::move(parsed).error());
    values[name] = value;
  }
  return check_pairs(settings_from(values), prefix);
}

Settings settings_from(const std::map<std::string, std::string>& values) {
  Settings settings;
  for (const Setting& setting : table) {
    const auto at = values.find(std::string(setting.name));
    auto value = at == values.end() ? parse(setting, std::string(setting.default_text), "")
                                    : parse(setting, at->second, "");
    if (!value)
      value = parse(setting, std::string(setting.default_text), "");
    store(setting, *value, settings);
  }
  return settings;
}

} // namespace reeve::deciders
