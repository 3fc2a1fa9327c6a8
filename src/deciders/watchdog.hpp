// Who is alive: how suspicious each node's silence is, when that is enough to give the node up, and
// when so many fall silent that the fault is more likely here. Owned by the watchdog actor and the
// simulator. Reads no clock, changes no cluster: it asks for MarkLost and tells who is suspect.
#pragma once

#include "src/core/changes.hpp"
#include "src/core/commands.hpp"
#include "src/deciders/settings.hpp"

#include <array>
#include <deque>
#include <optional>

namespace reeve::deciders {

/// Past gaps between signs of life of one node.
class Gaps {
public:
  void add(Duration gap);
  /// Suspicion that a node is dead: -log10 P(its next sign of life is merely late), from a normal
  /// distribution of the gaps. 0 = just heard, 8 = wrong once in 10^8. Mean and deviation are never
  /// taken as less than `expected` and a half of it: a node that chats while it works must not
  /// become suspect when it falls back to heartbeats, and a few even beats prove no precision.
  /// Source: Hayashibara et al., "The phi accrual failure detector", SRDS 2004.
  [[nodiscard]] double phi(Duration silence, Duration expected) const;

private:
  std::array<float, 64> ms_{};
  std::uint16_t count_ = 0, next_ = 0;
  double mean_ = 0, deviation_ = 0; // of ms_
};

/// The rules, with the defaults of `settings`:
/// - *Suspect* (no new work): disconnected, phi >= 5, or not heard of since this master started.
/// - *Lost*: phi >= 10 and silent for at least 10 s, or silent for 30 s; with stretched heartbeats
///   at least 2 and at most 4 intervals. A node not heard of since the start has 1 min (amnesty).
/// - *Flood*: at most max(3, 1 %) of the nodes are given up within 10 s, the longest silent first.
///   While more than max(3, 20 %) are suspect nobody is given up and an alarm is raised: so many do
///   not die at once, something between them and here did. The floor of 3 lets the nodes of a small
///   cluster die all together: 2 of 2 is no flood. In a larger one the stop ends after 5 min of
///   patience, the alarm stays, and nodes are given up at the rate of the first rule; otherwise the
///   death of most of a cluster would keep its tasks waiting for ever.
/// - *Lateness*: when this was not called in time (stopped, starved), nobody was listening: every
///   silence is shortened by as much.
class Watchdog {
public:
  /// `called_every`: how often the owner promises to call decide().
  explicit Watchdog(Duration called_every) : called_every_(called_every) {}

  void reset(const core::Changes& changes);
  void apply(const core::Changes& changes);
  void refused(const core::Command& command, const Error& error);

  /// A sign of life. An older one changes nothing: they may overtake each other.
  void heard(NodeId node, TimePoint at);
  void disconnected(NodeId node);

  /// MarkLost for the nodes that are to be given up now. Cheap when called more often than needed.
  std::vector<core::Command> decide(TimePoint now);
  /// Everybody who is suspect, in id order, when that is not what was told last.
  std::optional<std::vector<NodeId>> take_suspicion();
  /// For the log and the operators, when it has changed: why nobody is given up; empty: all is well
  /// again.
  std::optional<std::string> take_alarm();

  [[nodiscard]] double phi(NodeId node, TimePoint now) const;

private:
  struct Watched {
    Incarnation incarnation;
    bool known = false; // heard of since this master started
    bool connected = true, suspect = true, asked = false;
    TimePoint heard;   // when !known: when the waiting began
    TimePoint sampled; // the last sign of life that counted as a gap
    Gaps gaps;
  };
  struct Due { // to be given up
    NodeId node;
    Duration silence{0};
    double phi = 0;
    bool known = false, connected = true;
  };
  void on(const core::NodeChanged& change);
  [[nodiscard]] Duration expected() const;
  void add_lateness(TimePoint now);
  std::vector<Due> look_at_all(TimePoint now, std::size_t& suspects);
  [[nodiscard]] std::size_t allowed(TimePoint now, std::size_t suspects);
  void suspicion_changed(Watched& node, bool suspect);

  Settings settings_ = settings_from({});
  Duration called_every_;
  std::map<NodeId, Watched> nodes_; // those that are up as far as the ledger knows
  bool suspicion_changed_ = true;
  TimePoint called_, next_look_;
  std::deque<std::pair<TimePoint, std::size_t>> given_up_; // within the flood window
  std::optional<TimePoint> stopped_;                       // since when too many are suspect
  std::string alarm_, alarm_told_;
};

} // namespace reeve::deciders
