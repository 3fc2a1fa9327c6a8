// What becomes of work whose attempt ended without counting: tried again now or later, held for a
// person, or failed; and which nodes get no work because they fail it. Owned by the recovery actor
// and the simulator. Reads no clock; its randomness has a seed. Places nothing: the scheduler does,
// once a task waits again.
#pragma once

#include "src/core/changes.hpp"
#include "src/core/commands.hpp"
#include "src/deciders/quarantine.hpp"
#include "src/deciders/run_map.hpp"
#include "src/deciders/settings.hpp"

#include <optional>
#include <random>

namespace reeve::deciders {

/// The rules, with the defaults of `settings`. After a lost node: again at once, then after 1 s
/// doubling to 5 min; not more often than the job's `lost_retries`; held when a task was on 3
/// different nodes as they died, because it may be what kills them. After a failure of its own:
/// again after 1 s doubling; the ledger has counted `retries`. After a node's orderly leave, a
/// preemption, or a stop that nobody asked for: again at once. Waiting times vary by 20 %.
class Recovery {
public:
  explicit Recovery(std::uint64_t seed) : random_(seed) {}

  void reset(const core::Changes& changes);
  void apply(const core::Changes& changes);
  /// The same, and learns which nodes fail from the results among the entries.
  void apply(const core::Committed& batch);
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
  using Crashes = std::vector<NodeId>; // where a task was as the node died, each once

  void on(const core::TasksInterrupted& interrupted);
  void judge(const core::TasksInterrupted& interrupted, const TaskRun& run, const Crashes& crashes);
  [[nodiscard]] Duration backoff(std::uint32_t tries) const;
  [[nodiscard]] std::string name_of_node(NodeId node) const;
  template<class Wish> void again(Wish wish, const Error& error);

  Settings settings_ = settings_from({});
  Quarantines quarantines_;
  std::map<NodeId, std::string> names_;
  std::map<JobId, RunMap<Crashes>> crashes_; // until the job is over
  std::map<Fate, std::vector<TaskRun>> decided_;
  std::vector<core::Command> refused_; // to be asked again
  bool unavailable_ = false;           // not before `ask_again_`
  std::optional<TimePoint> ask_again_;
  std::mt19937_64 random_;
};

} // namespace reeve::deciders
