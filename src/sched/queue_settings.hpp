// What an operator may set for a queue: `queue.<name>.<setting>`, or `queue.*.<setting>` for all
// that say nothing themselves; and `scheduler.<setting>` for what concerns all. Journalled as plain
// texts by the ledger. Used by the registry (to refuse what is wrong), the scheduler and the
// simulator. Reads nothing.
#pragma once

#include "messages/error.hpp"
#include "messages/ids.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace reeve::sched {

/// Which task next.
enum class Order : std::uint8_t { fifo, priority, sjf, spt, sct, fair, edf };
/// On which node.
enum class Ranking : std::uint8_t {
  round_robin,
  random,
  least_time_first,
  best_fit,
  balance,
  pack
};
constexpr std::size_t rankings = 6;
/// What may start while the first in line finds no room.
enum class Backfill : std::uint8_t {
  easy,         // what does not delay the first in line
  conservative, // what delays none of the first `backfill_depth` in line
  greedy,       // whatever fits; only what has waited for max_wait is protected
  strict,       // nothing
};

std::string_view name_of(Order order);
std::string_view name_of(Ranking ranking);
std::string_view name_of(Backfill backfill);

/// At most so much at once; by "vcores" (milli), "memory", "disk" (bytes), "tasks", or the name of
/// a resource (milli). Empty: no limit.
using Quota = std::map<std::string, std::int64_t>;

struct QueueSettings {
  Order order = Order::fifo;
  Ranking ranking = Ranking::round_robin;
  Backfill backfill = Backfill::easy;
  std::uint32_t backfill_depth = 50;
  Duration max_wait = std::chrono::hours(1); // 0: never overdue
  std::uint32_t weight = 1;
  std::map<std::string, std::uint32_t> user_weights;
  Quota limit, user_limit;
  std::uint64_t submit_limit = 0; // tasks of one user that wait; 0: no limit
  bool paused = false;
  bool preempt = false;
  bool use_reserve = false; // may have what scheduler.reserve keeps from others
  bool operator==(const QueueSettings&) const = default;
};

struct GlobalSettings {
  std::uint32_t prefetch = 40;         // tasks a slot
  Duration prefetch_time{100'000};     // tasks given ahead last at most so long
  std::uint32_t prefetch_keep = 16;    // last tasks of a queue
  std::uint64_t seed = 1;              // of the ranking `random`
  std::string lease_queue = "default"; // in which leases count
  // Percent of a node's capacity; a high mark of 0 is none.
  std::int64_t high_cpu = 0, high_memory = 0, low_cpu = 50, low_memory = 50;
  std::uint32_t overcommit_max = 100, overcommit_step = 10; // percent
  Duration adjust_every = std::chrono::seconds(10);
  std::uint32_t straggler_factor = 3;           // times the usual run time; 0: no copies
  std::map<std::string, std::uint32_t> reserve; // percent of each node, by names as in Quota
  bool operator==(const GlobalSettings&) const = default;
};

struct QueueSettingInfo {
  std::string_view name, default_text, allowed, help;
};
/// For documentation and completion: the names behind `queue.<name>.`, and those behind
/// `scheduler.`.
const std::vector<QueueSettingInfo>& queue_setting_table();
const std::vector<QueueSettingInfo>& scheduler_setting_table();

/// Is this name one of ours (right or wrong in what follows)?
bool is_queue_setting(std::string_view name);
/// Errors: bad_field, `field` naming the setting behind `prefix`, the text what is allowed and the
/// value given. An empty value is always good: back to the default.
Result<void> check_queue_setting(const std::string& name, const std::string& value,
                                 const std::string& prefix = "");

class AllQueueSettings {
public:
  AllQueueSettings() = default;
  /// What is not good (written by another version) has its default.
  explicit AllQueueSettings(const std::map<std::string, std::string>& config);
  [[nodiscard]] QueueSettings of(const std::string& queue) const;
  [[nodiscard]] const GlobalSettings& global() const { return global_; }
  /// Queues that have a setting of their own, sorted.
  [[nodiscard]] std::vector<std::string> named() const;
  bool operator==(const AllQueueSettings&) const = default;

private:
  std::map<std::string, std::map<std::string, std::string>> queues_;
  GlobalSettings global_;
};

} // namespace reeve::sched
