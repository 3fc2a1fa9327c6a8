// See sweeper.hpp.
#include "src/deciders/sweeper.hpp"

#include "messages/mutant.hpp"

#include <algorithm>

namespace reeve::deciders {
void Sweeper::reset(const core::Changes& changes) {
  *this = {};
  apply(changes);
  // The whole state comes in the order of ids.
  std::stable_sort(ended_.begin(), ended_.end(),
                   [](const Ended& a, const Ended& b) { return a.at < b.at; });
}

void Sweeper::apply(const core::Changes& changes) {
  for (const auto& change : changes)
    std::visit([this](const auto& c) { on(core::unboxed(c)); }, change);
}

void Sweeper::on(const core::NodeChanged& change) {
  if (change.state == NodeState::lost || change.state == NodeState::gone) {
    away_[change.node] = change.since;
    return;
  }
  away_.erase(change.node);
  asked_nodes_.settled(change.node);
}
void Sweeper::on(const core::NodeForgotten& change) {
  away_.erase(change.node);
  asked_nodes_.settled(change.node);
}
void Sweeper::on(const core::LeaseChanged& change) {
  on(core::LeaseEnded{change.lease}); // its former end
  if (change.expires == TimePoint{})
    return;
  leases_[change.lease] = change.expires;
  lease_ends_.emplace(change.expires, change.lease);
}
void Sweeper::on(const core::LeaseEnded& change) {
  asked_leases_.settled(change.lease);
  const auto at = leases_.find(change.lease);
  if (at == leases_.end())
    return;
  lease_ends_.erase({at->second, change.lease});
  leases_.erase(at);
}
void Sweeper::on(const core::JobEnded& change) {
  ended_.push_back({change.job, change.at, change.tasks});
  ended_tasks_ += change.tasks;
}
void Sweeper::on(const core::JobReopened& change) {
  ++reopened_[change.job];
}
void Sweeper::on(const core::FlightChanged& change) {
  if (change.in_flight > 0) {
    in_flight_[change.node].insert(change.job);
  } else if (const auto at = in_flight_.find(change.node); at != in_flight_.end()) {
    at->second.erase(change.job);
  }
}
void Sweeper::on(const core::ConfigUpdated& change) {
  settings_ = settings_from(change.values);
}

void Sweeper::refused(const core::Command& command, const Error& error) {
  unavailable_ |= error.code == Code::unavailable;
  if (const auto* forget = std::get_if<core::Forget>(&command);
      forget && error.code == Code::unavailable) // asked again, as the oldest
    for (auto at = forget->jobs.rbegin(); at != forget->jobs.rend(); ++at)
      ended_.push_front({*at, {}, 0});
}

std::vector<core::Command> Sweeper::decide(TimePoint now) {
  if (std::exchange(unavailable_, false))
    ask_again_ = now + unavailable_patience;
  if (now < ask_again_)
    return {};
  std::vector<core::Command> commands;
  end_leases(now, commands);
  forget_jobs(now, commands);
  if (now >= next_sweep_) {
    next_sweep_ = now + settings_.sweep_every;
    remove_nodes(now, commands);
    free_orphans(commands);
  }
  return commands;
}

void Sweeper::end_leases(TimePoint now, std::vector<core::Command>& commands) {
  core::EndLeases wish{{}, true};
  for (const auto& [expires, lease] : lease_ends_) {
    if (expires > now || wish.leases.size() == work_max || REEVE_MUTANT(leases_for_ever))
      break;
    if (asked_leases_.may_ask(lease, now))
      wish.leases.push_back(lease);
  }
  if (!wish.leases.empty())
    commands.emplace_back(std::move(wish));
}

void Sweeper::forget_jobs(TimePoint now, std::vector<core::Command>& commands) {
  core::Forget wish;
  while (!ended_.empty() && wish.jobs.size() < work_max) {
    const Ended oldest = ended_.front();
    const bool old = now - oldest.at >= settings_.retention_jobs;
    const bool many =
      ended_tasks_ - oldest.tasks >= static_cast<std::uint64_t>(settings_.retention_tasks);
    if (!old && !many)
      break;
    ended_.pop_front();
    ended_tasks_ -= oldest.tasks;
    if (const auto at = reopened_.find(oldest.job); at != reopened_.end()) {
      if (--at->second == 0)
        reopened_.erase(at);
      continue;
    }
    wish.jobs.push_back(oldest.job);
  }
  if (!wish.jobs.empty())
    commands.emplace_back(std::move(wish));
}

void Sweeper::remove_nodes(TimePoint now, std::vector<core::Command>& commands) {
  core::RemoveNodes wish;
  for (const auto& [node, since] : away_)
    if (now - since >= settings_.retention_nodes && wish.nodes.size() < work_max &&
        asked_nodes_.may_ask(node, now))
      wish.nodes.push_back(node);
  if (!wish.nodes.empty())
    commands.emplace_back(std::move(wish));
}

/// The ledger interrupts what was on a node as it marks it lost, so this finds nothing; if it ever
/// does, the work must not hang for ever.
void Sweeper::free_orphans(std::vector<core::Command>& commands) {
  core::MarkLost wish;
  wish.reason = "work is booked on a node that is not there";
  for (const auto& [node, since] : away_)
    if (const auto at = in_flight_.find(node); at != in_flight_.end() && !at->second.empty())
      wish.nodes.push_back(node);
  if (!wish.nodes.empty())
    commands.emplace_back(std::move(wish));
}

} // namespace reeve::deciders
