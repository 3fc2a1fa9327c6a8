// Who may become a node, and what operators may ask of nodes and settings: checks before the ledger
// is asked. Owned by the registry actor and the simulator. Whether a name or an incarnation is
// taken is not looked at here: only the ledger knows.
#pragma once

#include "src/core/changes.hpp"
#include "src/deciders/settings.hpp"

#include <set>

namespace reeve::deciders {

/// How long an agent waits between two heartbeats so that all together keep to heartbeat.rate.
Duration heartbeat_interval(const Settings& settings, std::size_t nodes);

class Registry {
public:
  void reset(const core::Changes& changes);
  void apply(const core::Changes& changes);

  /// The heartbeat interval for the node. Errors: bad_field, below the message's names.
  [[nodiscard]] Result<Duration> check(const RegisterNode& message) const;
  [[nodiscard]] Result<void> check(const ActOnNodes& message) const;
  [[nodiscard]] Result<void> check(const SetConfig& message) const;

private:
  std::set<NodeId> up_;
  std::map<std::string, std::string> config_; // all that differ from the defaults
  Settings settings_ = settings_from({});
};

} // namespace reeve::deciders
