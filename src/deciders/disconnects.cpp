// See disconnects.hpp.
#include "src/deciders/disconnects.hpp"

#include "src/util/text.hpp"

namespace reeve::deciders {

void Disconnects::on(const core::NodeChanged& change) {
  Node& node = nodes_[change.node];
  node.name = change.name;
  node.lost = change.state == NodeState::lost;
  node.since = change.since;
  if (!node.lost)
    node.asked.clear();
}

void Disconnects::on(const core::FlightChanged& change) {
  if (change.in_flight == 0) {
    if (const auto at = nodes_.find(change.node); at != nodes_.end()) {
      at->second.waits.erase(change.job);
      at->second.asked.erase(change.job);
    }
  } else if (change.kind && change.kind->disconnect > Duration(0)) {
    nodes_[change.node].waits[change.job] = change.kind->disconnect;
  }
}

std::vector<core::Command> Disconnects::decide(TimePoint now) {
  std::vector<core::Command> commands;
  for (auto& [id, node] : nodes_) {
    if (!node.lost)
      continue;
    for (const auto& [job, patience] : node.waits)
      if (now - node.since >= patience && commands.size() < work_max &&
          node.asked.insert(job).second)
        commands.emplace_back(core::Abandon{id, job,
                                            "node " + node.name +
                                              " was lost and has not come back within " +
                                              format_duration(patience)});
  }
  return commands;
}

void Disconnects::refused(const core::Abandon& wish) {
  if (const auto at = nodes_.find(wish.node); at != nodes_.end())
    at->second.asked.erase(wish.job);
}

} // namespace reeve::deciders
