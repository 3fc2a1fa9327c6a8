// What becomes of work whose attempt ended without counting: tried again now or later, held for a
// person, or failed; which nodes get no work because they fail it, and from which it is moved away.
// Owned by the recovery actor and the simulator. Reads no clock; its randomness has a seed. Places
// nothing: the scheduler does, once a task waits again.
#pragma once

#include "src/core/changes.hpp"
#include "src/core/commands.hpp"
#include "src/deciders/anomalies.hpp"
#include "src/deciders/disconnects.hpp"
#include "src/deciders/migration.hpp"
#include "src/deciders/quarantine.hpp"
#include "src/deciders/settings.hpp"

#include <optional>
#include <random>

namespace reeve::deciders {

/// The rules, with the defaults of `settings`. The first of the job's retry rules that fits decides
/// how often and after how long. Where none does: after a lost node again at once, then after 1 s
/// doubling to 5 min, not more often than `lost_retries`; after a failure of its own again after
/// 1 s doubling, `retries` times (the ledger has counted). Held when a task was on 3 different
/// nodes as they died, because it may be what kills them. After a node's own trouble again after 1
/// s doubling, as often as it takes. After a node's orderly leave, a move, a preemption, or a stop
/// that nobody asked for: again at once. Waiting times vary by 20 %.
class Recovery {
public:
  explicit Recovery(std::uint64_t seed) : random_(seed) {}

  void reset(const core::Changes& changes);
  void apply(const core::Changes& changes);
  /// The same, and learns which nodes fail from the results among the entries.
  void apply(const core::Committed& batch);
  /// A node's heartbeat came, with what it uses.
  void heard(NodeId node, const Resources& used, TimePoint at) { anomalies_.heard(node, used, at); }
  void refused(const core::Command& command, const Error& error);
  /// Requeue and GiveUp for everything that was interrupted since, Quarantine for nodes that fail.
  std::vector<core::Command> decide(TimePoint now);

private:
  /// Tasks that share their fate become one command.
  struct Fate {
    JobId job;
    bool again = true, hold = false;
    Duration wait{0}; // without jitter
    Cause cause = Cause::lost_node;
    std::string reason;
    auto operator<=>(const Fate&) const = default;
  };
  void on(const core::TasksInterrupted& interrupted);
  [[nodiscard]] Fate judge(const core::TasksInterrupted& interrupted) const;
  [[nodiscard]] Duration backoff(std::uint32_t tries, Duration first) const;
  [[nodiscard]] std::string name_of_node(NodeId node) const;
  [[nodiscard]] std::string end_text(const core::TasksInterrupted& interrupted) const;
  template<class Wish> void again(Wish wish, const Error& error);

  Settings settings_ = settings_from({});
  Quarantines quarantines_;
  Migration migration_;
  Anomalies anomalies_;
  Disconnects disconnects_;
  std::map<NodeId, std::string> names_;
  std::map<Fate, std::vector<TaskRun>> decided_;
  std::vector<core::Command> refused_; // to be asked again
  bool unavailable_ = false;           // not before `ask_again_`
  std::optional<TimePoint> ask_again_;
  std::mt19937_64 random_;
};

} // namespace reeve::deciders
