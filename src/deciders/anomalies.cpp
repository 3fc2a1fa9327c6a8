// See anomalies.hpp.
#include "src/deciders/anomalies.hpp"

namespace reeve::deciders {
namespace {

constexpr std::size_t families_max = 10'000; // names are the users' to invent
constexpr std::size_t least_times = 8;       // of run times and gaps, before they say anything
constexpr double least_ends = 20;
constexpr std::uint32_t least_beats = 16;
constexpr double newest_share = 1.0 / 16; // of the moving average
constexpr Duration half_life = std::chrono::minutes(5);

/// What an outlier must be, besides: `factor` times the middle and `more` above it.
struct Matters {
  const char* name;
  double least_distance, factor, more;
};
constexpr std::array<Matters, 4> what_matters{{
  {"run_time", 0.05, 1.5, 0.3}, // multiples of the usual run time
  {"failures", 0.01, 2, 0.1},   // share of what ended
  {"heartbeat", 0.005, 2, 0.1}, // seconds of unevenness
  {"use", 0.02, 1, 0.2},        // share of its cores, beyond what is booked
}};

bool is_bad(Cause cause) {
  return core::is_own(cause) || cause == Cause::node_trouble;
}

std::int64_t milli(double value) {
  return static_cast<std::int64_t>(std::llround(value * 1'000));
}
std::string short_number(double value) {
  const std::int64_t hundredths = std::llround(std::abs(value) * 100);
  std::string text = std::to_string(hundredths / 100);
  if (const auto rest = hundredths % 100; rest > 0)
    text += (rest < 10 ? ".0" : ".") + std::to_string(rest);
  return (value < 0 && hundredths > 0 ? "-" : "") + text;
}
std::string percent_text(double share) {
  return std::to_string(std::llround(share * 100)) + " %";
}

} // namespace

void Anomalies::reset() {
  nodes_.clear();
  families_of_.clear();
}

void Anomalies::on(const core::NodeChanged& change) {
  Node& node = nodes_[change.node];
  node.up = change.state == NodeState::up;
  node.capacity = change.capacity;
  node.booked = change.capacity - change.available;
  if (!node.up)
    node.heard = {};
  // What the ledger holds; after a restart this is all that is known of it.
  std::array<bool, traits> flagged{};
  for (const NodeFlag& flag : change.flags)
    for (std::size_t t = 0; t < traits; ++t)
      if (flag.what == what_matters.at(t).name) {
        flagged.at(t) = true;
        node.flags.at(t) = flag;
      }
  if (node.tell) // our own wish is on its way
    node.tell = flagged != node.flagged;
  else
    node.flagged = flagged;
}

void Anomalies::on(const core::NodeAvailable& change) {
  if (const auto at = nodes_.find(change.node); at != nodes_.end())
    at->second.booked = at->second.capacity - change.available;
}

void Anomalies::on(const core::FlightChanged& change) {
  if (change.in_flight == 0 || !change.kind || families_of_.contains(change.job))
    return;
  Family* family = nullptr;
  if (const std::string& name = change.kind->family; !name.empty()) {
    if (families_.size() >= families_max && !families_.contains(name)) {
      families_of_.clear();
      families_.clear();
    }
    family = &families_[change.kind->user + '\n' + change.kind->executor + '\n' + name];
  }
  families_of_[change.job] = family;
}

void Anomalies::learn(Node& node, Family* family, const TaskResult& result) {
  if (result.cause != Cause::none) {
    node.ends.bad += is_bad(result.cause) ? 1 : 0;
    return;
  }
  ++node.ends.good;
  const double seconds = static_cast<double>((result.ended - result.started).count()) / 1e6;
  if (family == nullptr || seconds <= 0)
    return;
  if (family->usual > 0)
    node.slowness.add(seconds / family->usual);
  family->seconds.add(seconds);
  if (++family->fresh >= 4 && family->seconds.size() >= least_times) {
    family->fresh = 0;
    family->usual = median(family->seconds.values());
  }
}

void Anomalies::learn(const TasksFinished& fact, TimePoint at) {
  const auto found = nodes_.find(fact.node);
  if (found == nodes_.end())
    return;
  Node& node = found->second;
  if (at - node.halved >= half_life) {
    const double left = at - node.halved < 2 * half_life ? 0.5 : 0;
    node.ends = {node.ends.good * left, node.ends.bad * left};
    node.halved = at;
  }
  for (const JobResults& job : fact.jobs) {
    const auto family = families_of_.find(job.job);
    for (const TaskResult& result : job.tasks)
      learn(node, family == families_of_.end() ? nullptr : family->second, result);
    for (const QuietRun& quiet : job.quiet)
      node.ends.good += quiet.run.count;
  }
}

void Anomalies::heard(NodeId id, const Resources& used, TimePoint at) {
  const auto found = nodes_.find(id);
  if (found == nodes_.end())
    return;
  Node& node = found->second;
  if (node.heard != TimePoint{} && at > node.heard)
    node.gaps.add(static_cast<double>((at - node.heard).count()) / 1e6);
  node.heard = at;
  if (node.capacity.cpu_milli <= 0)
    return;
  const double beyond = static_cast<double>(used.cpu_milli - node.booked.cpu_milli) /
                        static_cast<double>(node.capacity.cpu_milli);
  node.beyond = node.beats == 0 ? beyond : node.beyond + (beyond - node.beyond) * newest_share;
  ++node.beats;
}

std::optional<double> Anomalies::value_of(const Node& node, Trait trait) {
  if (!node.up)
    return std::nullopt;
  switch (trait) {
  case run_time:
    if (node.slowness.size() < least_times)
      return std::nullopt;
    return median(node.slowness.values());
  case failures:
    if (node.ends.good + node.ends.bad < least_ends)
      return std::nullopt;
    return node.ends.bad / (node.ends.good + node.ends.bad);
  case heartbeat:
    if (node.gaps.size() < least_times)
      return std::nullopt;
    return usual_of(node.gaps.values()).distance;
  default:
    return node.beats < least_beats ? std::nullopt : std::optional(node.beyond);
  }
}

void Anomalies::judge(Node& node, Trait trait, double value, const Usual& usual) {
  const Matters& m = what_matters.at(trait);
  const bool departs = departure(value, usual, m.least_distance) > outlier &&
                       value >= usual.middle * m.factor && value >= usual.middle + m.more;
  std::uint8_t& seen = node.seen.at(trait);
  if (departs == node.flagged.at(trait)) {
    seen = 0;
    return;
  }
  if (++seen < 2)
    return;
  seen = 0;
  node.flagged.at(trait) = departs;
  node.tell = true;
  NodeFlag& flag = node.flags.at(trait);
  flag = {m.name, milli(value), milli(usual.middle), {}};
  switch (trait) {
  case run_time:
    flag.text = "work takes " + short_number(value) + " times as long as usual; elsewhere " +
                short_number(usual.middle) + " times";
    break;
  case failures:
    flag.text =
      percent_text(value) + " of what ended here failed; elsewhere " + percent_text(usual.middle);
    break;
  case heartbeat:
    flag.text = "heartbeats vary by " + short_number(value) + " s; elsewhere by " +
                short_number(usual.middle) + " s";
    break;
  default:
    flag.text = "uses " + percent_text(value) + " of its vcores beyond what is booked; elsewhere " +
                percent_text(usual.middle);
    break;
  }
}

void Anomalies::look(Trait trait) {
  std::vector<double> values;
  std::vector<std::pair<Node*, double>> with;
  for (auto& [id, node] : nodes_)
    if (const auto value = value_of(node, trait)) {
      values.push_back(*value);
      with.emplace_back(&node, *value);
    }
  if (values.size() < least_nodes)
    return;
  const Usual usual = usual_of(values);
  for (const auto& [node, value] : with)
    judge(*node, trait, value, usual);
}

std::vector<core::Command> Anomalies::decide(TimePoint now, const Settings& settings) {
  std::vector<core::Command> commands;
  if (settings.anomaly_every <= Duration(0) ||
      (now < next_look_ && next_look_ - now <= settings.anomaly_every))
    return commands;
  next_look_ = now + settings.anomaly_every;
  for (const Trait trait : {run_time, failures, heartbeat, use})
    look(trait);
  for (auto& [id, node] : nodes_)
    if (node.tell) {
      core::Flag wish{id, {}};
      for (std::size_t t = 0; t < traits; ++t)
        if (node.flagged.at(t))
          wish.flags.push_back(node.flags.at(t));
      commands.emplace_back(std::move(wish));
    }
  return commands;
}

void Anomalies::refused(const core::Flag& wish) {
  if (const auto at = nodes_.find(wish.node); at != nodes_.end())
    at->second.tell = true;
}

} // namespace reeve::deciders
