// Names of the journal's facts. See entries.hpp.
#include "messages/entries.hpp"

#include <array>

namespace reeve {
std::string_view name_of(const Fact& fact) {
  static constexpr std::array names{
    "EpochStarted", "NodeRegistered",   "NodesLost",    "NodesDrained",  "NodesLabelled",
    "NodesRemoved", "JobsSubmitted",    "TasksPlaced",  "TasksFinished", "TasksRequeued",
    "TasksGivenUp", "TasksCancelled",   "TasksRetried", "JobHeld",       "JobsForgotten",
    "LeaseGranted", "LeaseRenewed",     "LeasesEnded",  "ConfigChanged", "TasksPreempted",
    "NodeTuned",    "NodesQuarantined", "NodeFlagged",  "PromiseJudged", "TasksAbandoned"};
  static_assert(names.size() == std::variant_size_v<Fact>);
  return names[fact.index()];
}
REEVE_FACTS(REEVE_CODEC_DEFINE)

} // namespace reeve
