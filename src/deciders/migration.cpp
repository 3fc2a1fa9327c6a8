// See migration.hpp.
#include "src/deciders/migration.hpp"

#include <algorithm>

namespace reeve::deciders {

void Migration::on(const core::NodeChanged& change) {
  if (change.state != NodeState::up)
    return forget(change.node);
  Node& node = nodes_[change.node];
  node.name = change.name;
  if (node.deadline != change.drain_deadline)
    node.asked.clear();
  node.draining = change.draining;
  node.deadline = change.drain_deadline;
  node.quarantined = change.quarantined;
  node.closed = change.closed;
  if (node.draining || node.closed || node.quarantined != TimePoint{}) {
    watched_.insert(change.node);
  } else {
    watched_.erase(change.node);
    node.why = Why::none;
    node.asked.clear();
  }
}

Migration::Why Migration::why_of(const Node& node, TimePoint now) {
  if (node.draining)
    return node.deadline != TimePoint{} ? Why::drained : Why::none;
  if (node.quarantined > now)
    return Why::quarantined;
  return node.closed ? Why::overloaded : Why::none;
}

void Migration::on(const core::FlightChanged& change) {
  Node& node = nodes_[change.node];
  if (change.in_flight > 0) {
    node.jobs.insert(change.job);
  } else {
    node.jobs.erase(change.job);
    node.asked.erase(change.job);
  }
}

void Migration::forget(NodeId node) {
  nodes_.erase(node);
  watched_.erase(node);
}

void Migration::ask(NodeId id, Node& node, bool gently, std::size_t most, const std::string& reason,
                    std::vector<core::Command>& commands) {
  for (auto job = node.jobs.rbegin();
       job != node.jobs.rend() && most > 0 && commands.size() < work_max; ++job)
    if (node.asked.insert(*job).second) {
      commands.emplace_back(core::MoveOff{id, *job, gently, reason});
      --most;
    }
}

std::vector<core::Command> Migration::decide(TimePoint now, const Settings& settings) {
  std::vector<core::Command> commands;
  for (const NodeId id : watched_) {
    Node& node = nodes_.at(id);
    if (const Why why = why_of(node, now); node.why != why) {
      node.why = why;
      node.since = now;
      node.asked.clear();
    }
    node.since = std::min(node.since, now); // the clock was set back
    const Duration patience =
      node.why == Why::quarantined ? settings.migration_quarantined : settings.migration_overloaded;
    const bool due = patience > Duration(0) && now - node.since >= patience;
    switch (node.why) {
    case Why::none:
      break;
    case Why::drained:
      if (now >= node.deadline)
        ask(id, node, false, work_max, "node " + node.name + " is drained, its deadline is over",
            commands);
      break;
    case Why::quarantined:
      if (due)
        ask(id, node, true, work_max, "node " + node.name + " is in quarantine", commands);
      break;
    case Why::overloaded:
      if (!due)
        break;
      const std::size_t before = commands.size();
      ask(id, node, true, 1, "node " + node.name + " is above its high mark", commands);
      if (commands.size() > before)
        node.since = now;
      break;
    }
  }
  return commands;
}

void Migration::refused(const core::MoveOff& wish, const Error& error) {
  const auto at = nodes_.find(wish.node);
  if (at == nodes_.end())
    return;
  if (error.code == Code::unavailable)
    at->second.asked.erase(wish.job);
  else if (at->second.why == Why::overloaded) // the next one, soon
    at->second.since = TimePoint(Duration(1));
}

} // namespace reeve::deciders
