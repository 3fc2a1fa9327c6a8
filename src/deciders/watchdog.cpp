// See watchdog.hpp.
#include "src/deciders/watchdog.hpp"

#include "messages/mutant.hpp"

#include <algorithm>
#include <cmath>

namespace reeve::deciders {
namespace {

constexpr double phi_most = 300; // where the probability underflows

std::string seconds(Duration duration) {
  const auto tenths = duration.count() / 100'000;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

} // namespace

void Gaps::add(Duration gap) {
  ms_[next_] = static_cast<float>(gap.count()) / 1'000;
  next_ = static_cast<std::uint16_t>((next_ + 1) % ms_.size());
  count_ = static_cast<std::uint16_t>(std::min<std::size_t>(count_ + 1u, ms_.size()));
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < count_; ++i)
    sum += static_cast<double>(ms_[i]);
  mean_ = sum / count_;
  for (std::size_t i = 0; i < count_; ++i)
    squares += (static_cast<double>(ms_[i]) - mean_) * (static_cast<double>(ms_[i]) - mean_);
  deviation_ = std::sqrt(squares / count_);
}

double Gaps::phi(Duration silence, Duration expected) const {
  const double interval = static_cast<double>(expected.count()) / 1'000;
  const double mean = std::max(mean_, interval), deviation = std::max(deviation_, interval / 2);
  const double late = (static_cast<double>(silence.count()) / 1'000 - mean) / deviation;
  const double probability = 0.5 * std::erfc(late / std::sqrt(2.0));
  return probability > 0 ? std::min(-std::log10(probability), phi_most) : phi_most;
}

Duration Watchdog::expected() const {
  const auto stretched = Duration(static_cast<std::int64_t>(nodes_.size()) * 1'000'000 /
                                  std::max<std::int64_t>(settings_.heartbeat_rate, 1));
  return std::max(settings_.heartbeat_interval, stretched);
}

/// What is known of nodes that stay is kept: after trouble with the journal their life goes on.
void Watchdog::reset(const core::Changes& changes) {
  auto before = std::exchange(nodes_, {});
  for (const auto& change : changes)
    if (const auto* node = core::get_if<core::NodeChanged>(change);
        node && node->state == NodeState::up) {
      const auto at = before.find(node->node);
      Watched watched;
      watched.incarnation = node->incarnation;
      if (at != before.end() && at->second.incarnation == node->incarnation)
        watched = std::move(at->second);
      watched.asked = false;
      nodes_.emplace(node->node, std::move(watched));
    } else if (const auto* config = std::get_if<core::ConfigUpdated>(&change)) {
      settings_ = settings_from(config->values);
    }
  suspicion_changed_ = true;
}

void Watchdog::apply(const core::Changes& changes) {
  for (const auto& change : changes) {
    if (const auto* node = core::get_if<core::NodeChanged>(change))
      on(*node);
    else if (const auto* forgotten = std::get_if<core::NodeForgotten>(&change))
      suspicion_changed_ |= nodes_.erase(forgotten->node) > 0;
    else if (const auto* config = std::get_if<core::ConfigUpdated>(&change))
      settings_ = settings_from(config->values);
  }
}

void Watchdog::on(const core::NodeChanged& change) {
  if (change.state != NodeState::up) {
    suspicion_changed_ |= nodes_.erase(change.node) > 0;
    return;
  }
  auto [at, fresh] = nodes_.try_emplace(change.node);
  Watched& node = at->second;
  if (!fresh && node.incarnation == change.incarnation)
    return; // drained, labelled …: says nothing about its life
  node = Watched{};
  node.incarnation = change.incarnation;
  node.known = true; // it has just registered
  node.suspect = false;
  node.heard = node.sampled = called_;
  suspicion_changed_ = true;
}

void Watchdog::refused(const core::Command& command, const Error&) {
  if (const auto* lost = std::get_if<core::MarkLost>(&command))
    for (const NodeId id : lost->nodes)
      if (const auto at = nodes_.find(id); at != nodes_.end())
        at->second.asked = false;
}

void Watchdog::suspicion_changed(Watched& node, bool suspect) {
  suspicion_changed_ |= node.suspect != suspect;
  node.suspect = suspect;
}

void Watchdog::heard(NodeId id, TimePoint at) {
  const auto found = nodes_.find(id);
  if (found == nodes_.end())
    return;
  Watched& node = found->second;
  if (node.known && at < node.heard)
    return;
  // Results of short tasks come many in a heartbeat: only what is about one heartbeat apart counts
  // as a gap.
  if (node.known && at - node.sampled >= expected() / 2) {
    node.gaps.add(at - node.sampled);
    node.sampled = at;
  } else if (!node.known) {
    node.sampled = at;
  }
  node.heard = at;
  node.known = node.connected = true;
  suspicion_changed(node, false);
}

void Watchdog::disconnected(NodeId id) {
  const auto found = nodes_.find(id);
  if (found == nodes_.end())
    return;
  found->second.connected = false;
  suspicion_changed(found->second, true);
}

void Watchdog::add_lateness(TimePoint now) {
  const Duration since = now - std::exchange(called_, now);
  if (since <= 2 * called_every_)
    return;
  const Duration late = since - called_every_;
  for (auto& [id, node] : nodes_)
    if (node.heard != TimePoint{}) {
      node.heard = std::min(node.heard + late, now);
      node.sampled = std::min(node.sampled + late, now);
    }
  if (stopped_)
    stopped_ = std::min(*stopped_ + late, now);
  for (auto& [at, n] : given_up_)
    at = std::min(at + late, now);
}

double Watchdog::phi(NodeId id, TimePoint now) const {
  const auto at = nodes_.find(id);
  return at == nodes_.end() ? 0 : at->second.gaps.phi(now - at->second.heard, expected());
}

/// Says who is suspect and returns who is overdue. `suspects`: of those who count for the flood.
std::vector<Watchdog::Due> Watchdog::look_at_all(TimePoint now, std::size_t& suspects) {
  const Duration interval = expected();
  const Duration least = std::max(settings_.lost_min, 2 * interval),
                 most = std::max(settings_.lost_max, 4 * interval),
                 patience = std::max(settings_.amnesty, most);
  std::vector<Due> due;
  for (auto& [id, node] : nodes_) {
    if (node.heard == TimePoint{})
      node.heard = node.sampled = now; // here the waiting begins
    const Duration silence = now - node.heard;
    if (!node.known) {
      if (silence >= patience) {
        ++suspects;
        due.push_back({id, silence, 0, false, node.connected});
      }
      continue;
    }
    const double phi = silence <= interval ? 0 : node.gaps.phi(silence, interval);
    suspicion_changed(node, !node.connected || phi >= static_cast<double>(settings_.suspect_phi));
    suspects += node.suspect ? 1 : 0;
    if ((silence >= least && phi >= static_cast<double>(settings_.lost_phi)) || silence >= most)
      due.push_back({id, silence, phi, true, node.connected});
  }
  std::stable_sort(due.begin(), due.end(),
                   [](const Due& a, const Due& b) { return a.silence > b.silence; });
  return due;
}

/// How many may be given up now.
std::size_t Watchdog::allowed(TimePoint now, std::size_t suspects) {
  const auto share = [this](std::int64_t percent) { // rounded up
    return std::max(static_cast<std::size_t>(settings_.flood_nodes),
                    (nodes_.size() * static_cast<std::size_t>(percent) + 99) / 100);
  };
  alarm_.clear();
  if (suspects <= share(settings_.flood_stop_percent)) {
    stopped_.reset();
  } else {
    if (!stopped_)
      stopped_ = now;
    alarm_ = std::to_string(suspects) + " of " + std::to_string(nodes_.size()) +
             " nodes are silent: is the master's network well?";
    if (now - *stopped_ < settings_.flood_patience) {
      alarm_ += " No node is given up.";
      return 0;
    }
    alarm_ += " They are given up a few at a time.";
  }
  while (!given_up_.empty() && now - given_up_.front().first >= settings_.flood_window)
    given_up_.pop_front();
  std::size_t used = 0;
  for (const auto& [at, n] : given_up_)
    used += n;
  const std::size_t most = share(settings_.flood_percent);
  return most > used ? most - used : 0;
}

std::vector<core::Command> Watchdog::decide(TimePoint now) {
  if (called_ == TimePoint{})
    called_ = now;
  add_lateness(now);
  if (now < next_look_)
    return {};
  next_look_ = now + std::max(called_every_, expected() / 4);
  std::size_t suspects = 0;
  const auto due = look_at_all(now, suspects);
  std::size_t left = allowed(now, suspects), given_up = 0;
  std::map<std::string, core::MarkLost> by_reason;
  for (const Due& d : due) {
    Watched& node = nodes_.at(d.node);
    if (node.asked || left == 0 || REEVE_MUTANT(never_lost))
      continue;
    --left;
    ++given_up;
    node.asked = true;
    const std::string reason =
      !d.known      ? "not heard of since the master started, " + seconds(d.silence) + " ago"
      : d.connected ? "silent for " + seconds(d.silence) + ", suspicion " +
                        std::to_string(static_cast<int>(d.phi))
                    : "disconnected, silent for " + seconds(d.silence);
    auto& lost = by_reason[reason];
    lost.reason = reason;
    lost.nodes.push_back(d.node);
  }
  if (given_up > 0)
    given_up_.emplace_back(now, given_up);
  std::vector<core::Command> commands;
  for (auto& [reason, lost] : by_reason)
    commands.emplace_back(std::move(lost));
  return commands;
}

std::optional<std::vector<NodeId>> Watchdog::take_suspicion() {
  if (!std::exchange(suspicion_changed_, false))
    return std::nullopt;
  std::vector<NodeId> suspects;
  for (const auto& [id, node] : nodes_)
    if (node.suspect)
      suspects.push_back(id);
  return suspects;
}

std::optional<std::string> Watchdog::take_alarm() {
  if (alarm_.empty() == alarm_told_.empty())
    return std::nullopt;
  alarm_told_ = alarm_;
  return alarm_;
}

} // namespace reeve::deciders
