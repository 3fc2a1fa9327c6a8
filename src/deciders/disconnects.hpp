// How long is waited for lost nodes by jobs that want it (their `disconnect`): until then their
// tasks may be running on, out of sight. Part of recovery. Reads no clock; only asks.
#pragma once

#include "src/core/changes.hpp"
#include "src/core/commands.hpp"

#include <map>
#include <set>

namespace reeve::deciders {

/// A job's tasks are given up `disconnect` after their node was marked lost, unless it is back. At
/// most `work_max` jobs a call.
class Disconnects {
public:
  static constexpr std::size_t work_max = 1'000;

  void reset() { nodes_.clear(); }
  void on(const core::NodeChanged& change);
  void on(const core::FlightChanged& change);
  void forget(NodeId node) { nodes_.erase(node); }
  std::vector<core::Command> decide(TimePoint now);
  void refused(const core::Abandon& wish);

private:
  struct Node {
    std::string name;
    bool lost = false;
    TimePoint since;                 // it is
    std::map<JobId, Duration> waits; // jobs in flight there that wait
    std::set<JobId> asked;
  };
  std::map<NodeId, Node> nodes_; // on which such jobs have been in flight
};

} // namespace reeve::deciders
