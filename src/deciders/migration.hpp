// Which work is moved off nodes that are to lose it: drained nodes past their deadline, nodes in
// quarantine, nodes above their high mark. Part of recovery. Reads no clock; only asks, and the
// ledger judges. Where the work goes on is for the scheduler.
#pragma once

#include "src/core/changes.hpp"
#include "src/core/commands.hpp"
#include "src/deciders/settings.hpp"

#include <set>

namespace reeve::deciders {

/// The rules, with the defaults of `settings`. What still runs on a draining node at its deadline
/// is moved, whatever it is. From a node that has been in quarantine for 10 s goes all that can
/// save its state (a job with a checkpoint signal, unless it may not be preempted). A node that has
/// been above its high mark for 2 min gives up one such job, the newest, and another one each
/// further 2 min. At most `work_max` jobs a call.
class Migration {
public:
  static constexpr std::size_t work_max = 1'000;

  void reset() { nodes_.clear(), watched_.clear(); }
  void on(const core::NodeChanged& change);
  void on(const core::FlightChanged& change);
  void forget(NodeId node);
  std::vector<core::Command> decide(TimePoint now, const Settings& settings);
  /// A job that cannot be moved gently is not asked for again while the node is as it is.
  void refused(const core::MoveOff& wish, const Error& error);

private:
  enum class Why : std::uint8_t { none, drained, quarantined, overloaded };
  struct Node {
    std::string name;
    bool draining = false, closed = false;
    TimePoint deadline;          // of the drain; 0: none
    TimePoint quarantined;       // until then
    Why why = Why::none;         // as it was when it was last looked at
    TimePoint since;             // it is so, or the last job was moved
    std::set<JobId> jobs, asked; // in flight here; of those, asked for or not to be moved
  };
  void ask(NodeId id, Node& node, bool gently, std::size_t most, const std::string& reason,
           std::vector<core::Command>& commands);

  [[nodiscard]] static Why why_of(const Node& node, TimePoint now);

  std::map<NodeId, Node> nodes_;
  std::set<NodeId> watched_; // that may have to give work away
};

} // namespace reeve::deciders
