// Whether the leader is dead or of no use, as a standby sees it on two paths: its heartbeat in etcd
// and its own answers on a direct connection. Used by the standby and by tests. Reads no clock. A
// wrong verdict costs a change of leaders, never the truth: the takeover is a compare in etcd.
#pragma once

#include "messages/types.hpp"

namespace reeve::standby {

struct Patience {
  Duration silence = std::chrono::milliseconds(600); // on both paths, then the leader is dead
  // In etcd, while etcd answers me: by then a leader acknowledges nothing any more, even if it
  // still answers me.
  Duration useless = std::chrono::milliseconds(2'500);
  Duration tick = std::chrono::milliseconds(300); // a longer gap between two ticks is my own fault
};

class Suspicion {
public:
  explicit Suspicion(Patience patience = {}) : patience_(patience) {}

  /// A leader's record, seen for the first time. `more`: added to the patience, so that not all
  /// standbys try at once. `vacant`: nobody reigns, or who did has released the reign.
  void begin(bool vacant, Duration more, TimePoint now);
  /// Etcd showed a newer heartbeat or row.
  void heartbeat(TimePoint now) { beat_ = now; }
  /// The leader itself answered.
  void answered(TimePoint now);
  /// The direct connection was reset and a new one is refused: the process is gone. Counts only if
  /// the leader answered there before; a wrong address proves nothing.
  void refused() { refused_ = known_; }
  /// Call often: also finds out that the standby itself was stopped, which is no silence of others.
  void tick(TimePoint now);

  [[nodiscard]] bool dead(TimePoint now) const;
  /// In words, for the log.
  [[nodiscard]] const char* reason(TimePoint now) const;

private:
  [[nodiscard]] bool silent(TimePoint now) const;
  Patience patience_;
  Duration more_{0};
  TimePoint beat_, answer_, tick_;
  bool vacant_ = false, known_ = false, refused_ = false;
};

} // namespace reeve::standby
