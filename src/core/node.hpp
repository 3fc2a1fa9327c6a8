// A node and a lease as the ledger keeps them. Owned by Cluster; only apply changes them.
#pragma once

#include "messages/protocol.hpp"

#include <unordered_set>

namespace reeve::core {

struct Node {
  NodeId id;
  std::string name;
  NodeState state = NodeState::up;
  bool draining = false;
  std::string reason;
  Incarnation incarnation;
  Resources capacity, booked;
  std::map<std::string, std::string> labels; // what the agent said, overlaid by what operators set
  std::map<std::string, std::string> set_labels; // by operators; an empty value hides the agent's
  std::vector<std::string> executors;
  std::string program;
  TimePoint registered, since;    // since: when `state` began
  std::unordered_set<JobId> jobs; // that have tasks in flight here
  std::uint32_t tasks = 0, leases = 0;
  JobId exclusive; // has the node for itself; 0: none
  std::uint32_t overcommit_milli = 1000;
  bool closed = false;           // above its high mark
  TimePoint quarantined;         // until then
  TimePoint drain_deadline;      // what runs here then is moved away; 0: it runs on
  std::vector<NodeFlag> flags;   // how it departs from the rest
  bool drained_by_check = false; // its own check script asked for it
  bool pulls = false;            // gets work only when it asks; which the scheduler sees to

  [[nodiscard]] Resources available() const { return capacity - booked; }
  /// What a job may still be given; with its overcommit factor for jobs that allow it.
  [[nodiscard]] Resources room(bool overcommit) const {
    Resources most = capacity;
    if (overcommit) {
      most.cpu_milli = times(most.cpu_milli, overcommit_milli);
      most.memory_bytes = times(most.memory_bytes, overcommit_milli);
    }
    return most - booked;
  }
  static std::int64_t times(std::int64_t amount, std::int64_t milli) { // cannot overflow
    return amount / 1000 * milli + amount % 1000 * milli / 1000;
  }
  [[nodiscard]] bool takes_work(TimePoint now) const {
    return state == NodeState::up && !draining && !closed && quarantined <= now;
  }
};

struct Lease {
  LeaseId id;
  NodeId node;
  std::string owner;
  Resources resources;
  TimePoint granted, expires; // expires 0: until released
  Bytes key;
  std::string queue; // in whose limits it counts; empty: that of scheduler.lease_queue
  std::vector<Limit> limits;
};

} // namespace reeve::core
