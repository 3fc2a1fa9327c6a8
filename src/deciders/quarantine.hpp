// Which nodes fail the work of different jobs while the others do not: they get none for a while.
// Part of recovery. Reads no clock; learns from committed results only, and knows nothing after a
// restart but what the ledger keeps: until when a node is in quarantine.
#pragma once

#include "src/core/changes.hpp"
#include "src/core/commands.hpp"
#include "src/deciders/settings.hpp"

#include <deque>

namespace reeve::deciders {

/// The rules, with the defaults of `settings`: 5 different jobs failed on the node within 10 min,
/// half of what ended there failed, and twice the share of what ended elsewhere. It gets no work
/// for 10 min. What it is given then is a probe: the first failure puts it back, for twice as long
/// (at most a day), a success clears it. At most a fifth of the nodes, or one, are put away so:
/// when more of them fail, the fault is more likely in the work. Counted as failures of a node are
/// exit codes, signals, tasks that cannot start, executors' errors and the node's own trouble. A
/// node that was lost and came back 3 times within an hour is put away in the same way.
class Quarantines {
public:
  void reset() { nodes_.clear(); }
  void on(const core::NodeChanged& change);
  void forget(NodeId node) { nodes_.erase(node); }
  void learn(const TasksFinished& fact, TimePoint at, const Settings& settings);
  std::vector<core::Command> decide(TimePoint now, const Settings& settings);
  /// Not put away after all: judged again with its next failure.
  void refused(const core::Quarantine& wish);

private:
  struct Ends {
    std::uint64_t good = 0, bad = 0;
    [[nodiscard]] double share() const { // of the bad ones
      return good + bad == 0 ? 0 : static_cast<double>(bad) / static_cast<double>(good + bad);
    }
  };
  struct Node {
    std::string name;
    bool up = false;
    TimePoint until;    // in quarantine until then
    unsigned times = 0; // in a row, without a success between
    bool judge = false; // something has failed since it was looked at
    bool lost = false;
    std::deque<TimePoint> returns;     // when it came back after it was lost, within the window
    bool flapped = false;              // it has since it was looked at
    Ends ends, older;                  // of this half of a window and of the half before
    TimePoint half;                    // when this one began
    std::map<JobId, TimePoint> failed; // last failure of each job, within the window
  };
  /// For longer each time.
  static void put_away(Node& node, TimePoint now, const Settings& settings);
  static void turn(Node& node, TimePoint at, Duration window);
  [[nodiscard]] bool is_worse(NodeId id, const Node& node) const;
  [[nodiscard]] bool may_put_away(TimePoint now) const;

  std::map<NodeId, Node> nodes_;
};

} // namespace reeve::deciders
