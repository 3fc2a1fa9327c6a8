// What is durable, whatever keeps it: a disk of one master, or an etcd that several share. Asked by
// the truth, which replays it; changes nothing.
#pragma once

#include "src/core/cluster.hpp"

namespace reeve::sim {

class Log {
public:
  virtual ~Log() = default;
  /// Seq of the newest entry that nothing can take away.
  [[nodiscard]] virtual Seq synced() const = 0;
  /// Seq of the newest entry that was truncated away.
  [[nodiscard]] virtual Seq begins_after() const = 0;
  /// The bytes of a durable entry; empty when there is none.
  [[nodiscard]] virtual std::string entry(Seq seq) const = 0;
  /// What a master would recover.
  [[nodiscard]] virtual Result<core::Cluster> recovered() const = 0;
};

} // namespace reeve::sim
