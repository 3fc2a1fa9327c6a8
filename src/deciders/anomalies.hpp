// Which nodes depart from the rest: in how long the same work takes there, in the share of work
// that fails, in how unevenly their heartbeats come, in what they use beyond what is booked. Part
// of recovery. Reads no clock; only tells, with numbers: what follows is for people.
#pragma once

#include "src/core/changes.hpp"
#include "src/core/commands.hpp"
#include "src/deciders/robust.hpp"
#include "src/deciders/settings.hpp"

namespace reeve::deciders {

/// The rules, with the defaults of `settings`. Every 30 s each trait of each node is compared with
/// that of all: an outlier (robust.hpp) that also matters in practice (such as: takes half as long
/// again) twice in a row is flagged, and is so until it is none twice in a row. At least 5 nodes
/// must have the trait.
class Anomalies {
public:
  static constexpr std::size_t least_nodes = 5;

  void reset();
  void on(const core::NodeChanged& change);
  void on(const core::NodeAvailable& change);
  void on(const core::FlightChanged& change);
  void on(const core::JobEnded& change) { families_of_.erase(change.job); }
  void forget(NodeId node) { nodes_.erase(node); }
  /// Results, before the changes of the same batch: they end what is in flight.
  void learn(const TasksFinished& fact, TimePoint at);
  /// A heartbeat came `at` a time and told what is in use.
  void heard(NodeId node, const Resources& used, TimePoint at);
  /// Flag for each node whose departures have changed.
  std::vector<core::Command> decide(TimePoint now, const Settings& settings);
  /// Told again at the next look.
  void refused(const core::Flag& wish);

private:
  enum Trait : std::uint8_t { run_time, failures, heartbeat, use, traits };
  struct Ends {
    double good = 0, bad = 0;
  };
  struct Node {
    bool up = false;
    Resources capacity, booked;
    Recent<48> slowness; // run time, as a multiple of what is usual for such work
    Ends ends;           // halved every 5 min, so that old ones count less and less
    TimePoint halved, heard;
    Recent<48> gaps;         // between heartbeats, in seconds
    double beyond = 0;       // cores in use beyond what is booked, a moving average
    std::uint32_t beats = 0; // that `beyond` is made of
    std::array<std::uint8_t, traits>
      seen{}; // in a row: outlier when not flagged, none when flagged
    std::array<bool, traits> flagged{};
    bool tell = false;
    std::array<NodeFlag, traits> flags;
  };
  struct Family {
    Recent<32> seconds;
    double usual = 0; // their median, renewed every few
    unsigned fresh = 0;
  };
  void learn(Node& node, Family* family, const TaskResult& result);
  void look(Trait trait);
  [[nodiscard]] static std::optional<double> value_of(const Node& node, Trait trait);
  void judge(Node& node, Trait trait, double value, const Usual& usual);

  std::map<NodeId, Node> nodes_;
  std::map<std::string, Family> families_;
  std::map<JobId, Family*> families_of_; // of jobs that have been in flight; null: no name
  TimePoint next_look_;
};

} // namespace reeve::deciders
