// The settings that may change while a master runs: one table with name, default, what is allowed
// and what it is for; and the values that the deciders use, taken from the journalled texts. Used
// by the registry, by every decider and by main for `--set`. docs/configuration.md shows the table.
#pragma once

#include "messages/error.hpp"
#include "messages/ids.hpp"

#include <map>
#include <span>
#include <string>
#include <variant>

namespace reeve::deciders {

/// In thousandths of a per cent.
struct Percent {
  std::int64_t milli = 0;
};

/// The values in force. `settings_from` makes one; a default-made one has nothing in it.
struct Settings {
  Duration anomaly_every{0};
  Duration heartbeat_interval{0};
  std::int64_t heartbeat_rate = 0;
  std::int64_t suspect_phi = 0, lost_phi = 0;
  Duration lost_min{0}, lost_max{0}, amnesty{0};
  std::int64_t flood_nodes = 0, flood_percent = 0, flood_stop_percent = 0;
  Duration flood_window{0}, flood_patience{0};
  Duration migration_overloaded{0}, migration_quarantined{0};
  std::int64_t quarantine_failures = 0;
  Duration quarantine_first{0}, quarantine_longest{0}, quarantine_window{0};
  std::int64_t quarantine_flaps = 0;
  Duration quarantine_flap_window{0};
  Duration retry_first{0}, retry_longest{0};
  std::int64_t retry_jitter_percent = 0, retry_crash_nodes = 0;
  Duration retention_jobs{0}, retention_nodes{0}, retention_history{0}, retention_held{0},
    retention_leases{0};
  std::int64_t retention_tasks = 0;
  Percent sla_availability, sla_failures, sla_reliability;
  Duration sla_wait{0}, sla_longest{0}, sla_p50{0}, sla_p90{0}, sla_p99{0};
  Duration sla_window{0}, sla_check_every{0};
  Duration sweep_every{0};
};

/// A decider waits so long before it asks again a ledger whose journal takes nothing.
constexpr Duration unavailable_patience = std::chrono::seconds(1);

struct Setting {
  std::string_view name, default_text;
  std::variant<Duration Settings::*, std::int64_t Settings::*, Percent Settings::*> member;
  std::int64_t min = 0, max = 0; // durations: microseconds; parts: thousandths of a per cent
  std::string_view help;
  /// "a duration from 1s to 1h"
  [[nodiscard]] std::string allowed() const;
};

/// In alphabetical order.
std::span<const Setting> setting_table();
std::map<std::string, std::string> default_settings();

/// Would `changes` (an empty value: back to the default) over `present` be good? Errors: bad_field,
/// `field` naming the setting behind `prefix`, the text the value and what is allowed.
Result<void> check_settings(const std::map<std::string, std::string>& changes,
                            const std::map<std::string, std::string>& present,
                            const std::string& prefix = "");
/// What is not in `values`, or is not good (written by another version), has its default.
Settings settings_from(const std::map<std::string, std::string>& values);

} // namespace reeve::deciders
