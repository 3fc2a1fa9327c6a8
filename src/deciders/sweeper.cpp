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
    names_[change.node] = change.name;
    return;
  }
  away_.erase(change.node);
  names_.erase(change.node);
  asked_nodes_.settled(change.node);
}
void Sweeper::on(const core::NodeForgotten& change) {
  away_.erase(change.node);
  names_.erase(change.node);
  asked_nodes_.settled(change.node);
}
void Sweeper::on(const core::LeaseChanged& change) {
  on(core::LeaseEnded{change.lease}); // its former end
  if (change.expires == TimePoint{}) {
    endless_[change.lease] = {};
    undated_ = true;
    return;
  }
  leases_[change.lease] = change.expires;
  lease_ends_.emplace(change.expires, change.lease);
}
void Sweeper::on(const core::LeaseEnded& change) {
  asked_leases_.settled(change.lease);
  endless_.erase(change.lease);
  const auto at = leases_.find(change.lease);
  if (at == leases_.end())
    return;
  lease_ends_.erase({at->second, change.lease});
  leases_.erase(at);
}
void Sweeper::on(const core::JobEnded& change) {
  ended_.push_back({change.job, change.at, change.tasks});
  ended_tasks_ += change.tasks;
  held_.erase(change.job);
}
void Sweeper::on(const core::JobReopened& change) {
  ++reopened_[change.job];
  held(change.job, change.held);
}
void Sweeper::held(JobId job, bool is_held) {
  if (!is_held) {
    held_.erase(job);
  } else if (held_.try_emplace(job).second) {
    undated_ = true;
  }
}
void Sweeper::on(const core::FlightChanged& change) {
  if (change.kind && change.kind->disconnect > Duration(0))
    return; // waits for a lost node for a time: deciders/disconnects.hpp
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
  date(now);
  std::vector<core::Command> commands;
  end_leases(now, commands);
  forget_jobs(now, commands);
  if (now >= next_sweep_ || next_sweep_ - now > settings_.sweep_every) {
    next_sweep_ = now + settings_.sweep_every;
    remove_nodes(now, commands);
    free_orphans(commands);
    end_idle_leases(now, commands);
    cancel_abandoned(now, commands);
  }
  return commands;
}

std::vector<core::Command> Sweeper::sweep(TimePoint now) {
  next_sweep_ = {};
  return decide(now);
}

void Sweeper::date(TimePoint now) {
  if (!std::exchange(undated_, false))
    return;
  for (auto& [lease, since] : endless_)
    if (since == TimePoint{})
      since = now;
  for (auto& [job, since] : held_)
    if (since == TimePoint{})
      since = now;
}

void Sweeper::end_idle_leases(TimePoint now, std::vector<core::Command>& commands) {
  core::EndLeases wish{{}, false};
  for (const auto& [lease, since] : endless_)
    if (wish.leases.size() < work_max && due(since, settings_.retention_leases, now) &&
        asked_leases_.may_ask(lease, now))
      wish.leases.push_back(lease);
  if (!wish.leases.empty())
    commands.emplace_back(std::move(wish));
}

void Sweeper::cancel_abandoned(TimePoint now, std::vector<core::Command>& commands) {
  std::size_t left = work_max;
  for (auto& [job, since] : held_)
    if (left > 0 && due(since, settings_.retention_held, now)) {
      since = now; // asked again, if nothing comes of it, as late
      --left;
      commands.emplace_back(
        core::Cancel{job, {}, "abandoned: held for longer than retention.held"});
    }
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

/// `tasks_left`: of all finished jobs that are kept, this one included.
bool Sweeper::job_is_due(const Ended& oldest, std::uint64_t tasks_left, TimePoint now) const {
  return now - oldest.at >= settings_.retention_jobs ||
         tasks_left - oldest.tasks >= static_cast<std::uint64_t>(settings_.retention_tasks);
}

void Sweeper::forget_jobs(TimePoint now, std::vector<core::Command>& commands) {
  core::Forget wish;
  while (!ended_.empty() && wish.jobs.size() < work_max) {
    const Ended oldest = ended_.front();
    if (!job_is_due(oldest, ended_tasks_, now))
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

SweepReport Sweeper::report(TimePoint now) const {
  constexpr std::size_t named = 5;
  SweepReport report;
  for (const auto& [expires, lease] : lease_ends_)
    report.leases += expires <= now ? 1 : 0;
  for (const auto& [lease, since] : endless_)
    report.idle_leases += due(since, settings_.retention_leases, now) ? 1 : 0;
  std::uint64_t tasks = ended_tasks_;
  std::map<JobId, unsigned> void_entries = reopened_;
  for (const Ended& ended : ended_) {
    if (!job_is_due(ended, tasks, now))
      break;
    tasks -= ended.tasks;
    if (const auto at = void_entries.find(ended.job); at != void_entries.end() && at->second > 0) {
      --at->second;
      continue;
    }
    ++report.jobs;
    report.job_tasks += ended.tasks;
  }
  const auto name = [](std::string& list, std::uint64_t n, const std::string& text) {
    if (n <= named)
      list += (n == 1 ? "" : ", ") + text;
    else if (n == named + 1)
      list += ", …";
  };
  for (const auto& [job, since] : held_)
    if (due(since, settings_.retention_held, now))
      name(report.some_held, ++report.held_jobs, std::to_string(job.value));
  for (const auto& [node, since] : away_) {
    if (now - since >= settings_.retention_nodes)
      name(report.some_nodes, ++report.nodes, names_.at(node));
    if (const auto at = in_flight_.find(node); at != in_flight_.end())
      report.orphans += at->second.size();
  }
  return report;
}

std::string SweepReport::text() const {
  std::string out;
  const auto add = [&](std::uint64_t n, const char* one, const char* many,
                       const std::string& more = "") {
    if (n > 0)
      out += (out.empty() ? "" : ", ") + std::to_string(n) + " " + (n == 1 ? one : many) + more;
  };
  add(leases, "lease past its time", "leases past their time");
  add(idle_leases, "idle lease", "idle leases");
  add(jobs, "finished job", "finished jobs",
      " (of " + std::to_string(job_tasks) + (job_tasks == 1 ? " task)" : " tasks)"));
  add(held_jobs, "abandoned job", "abandoned jobs", " (" + some_held + ")");
  add(nodes, "node that is gone", "nodes that are gone", " (" + some_nodes + ")");
  add(orphans, "allocation on a node that is not there", "allocations on nodes that are not there");
  add(history_rows, "row of the history", "rows of the history",
      more_history ? " or more, some thousand at a time" : "");
  if (out.empty())
    out = "nothing";
  if (journal_entries > 0)
    out += "; the journal's next snapshot replaces " + std::to_string(journal_entries) +
           (journal_entries == 1 ? " entry" : " entries");
  if (!history_trouble.empty())
    out += "; rows of the history could not be looked at: " + history_trouble;
  return out;
}

} // namespace reeve::deciders
