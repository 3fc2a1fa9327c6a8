// See recovery.hpp.
#include "src/deciders/recovery.hpp"

#include "messages/mutant.hpp"

#include <algorithm>

namespace reeve::deciders {
namespace {

/// Sorted, neighbours of the same attempt joined, what is given twice left out.
std::vector<TaskRun> tidied(std::vector<TaskRun> runs) {
  std::sort(runs.begin(), runs.end(),
            [](const TaskRun& a, const TaskRun& b) { return a.first < b.first; });
  std::vector<TaskRun> out;
  for (TaskRun run : runs) {
    if (!out.empty()) {
      const std::uint64_t end = std::uint64_t{out.back().first} + out.back().count;
      if (run.first < end) {
        const std::uint64_t overlap = std::min<std::uint64_t>(end - run.first, run.count);
        run.first += static_cast<TaskIndex>(overlap);
        run.count -= static_cast<std::uint32_t>(overlap);
        if (run.count == 0)
          continue;
      }
      if (run.first == end && run.attempt == out.back().attempt) {
        out.back().count += run.count;
        continue;
      }
    }
    out.push_back(run);
  }
  return out;
}

std::uint64_t tasks_of(const std::vector<TaskRun>& runs) {
  std::uint64_t n = 0;
  for (const TaskRun& run : runs)
    n += run.count;
  return n;
}

/// Two halves of at least one task each.
std::pair<std::vector<TaskRun>, std::vector<TaskRun>> halves(const std::vector<TaskRun>& runs) {
  std::pair<std::vector<TaskRun>, std::vector<TaskRun>> out;
  std::uint64_t left = tasks_of(runs) / 2;
  for (const TaskRun& run : runs) {
    const auto n = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, run.count));
    left -= n;
    if (n > 0)
      out.first.push_back({run.first, n, run.attempt});
    if (n < run.count)
      out.second.push_back({run.first + n, run.count - n, run.attempt});
  }
  return out;
}

std::string times(std::uint32_t n) {
  return n == 1 ? "once" : std::to_string(n) + " times";
}

std::string tries(std::uint32_t n) {
  return n == 1 ? "1 further try" : std::to_string(n) + " further tries";
}

} // namespace

void Recovery::reset(const core::Changes& changes) {
  names_.clear();
  quarantines_.reset();
  migration_.reset();
  anomalies_.reset();
  disconnects_.reset();
  decided_.clear();
  refused_.clear();
  unavailable_ = false;
  apply(changes);
}

void Recovery::apply(const core::Changes& changes) {
  for (const auto& change : changes) {
    if (const auto* interrupted = std::get_if<core::TasksInterrupted>(&change))
      on(*interrupted);
    else if (const auto* node = core::get_if<core::NodeChanged>(change)) {
      names_[node->node] = node->name;
      quarantines_.on(*node);
      migration_.on(*node);
      anomalies_.on(*node);
      disconnects_.on(*node);
    } else if (const auto* gone = std::get_if<core::NodeForgotten>(&change)) {
      names_.erase(gone->node);
      quarantines_.forget(gone->node);
      migration_.forget(gone->node);
      anomalies_.forget(gone->node);
      disconnects_.forget(gone->node);
    } else if (const auto* flight = std::get_if<core::FlightChanged>(&change)) {
      migration_.on(*flight);
      anomalies_.on(*flight);
      disconnects_.on(*flight);
    } else if (const auto* room = std::get_if<core::NodeAvailable>(&change))
      anomalies_.on(*room);
    else if (const auto* ended = std::get_if<core::JobEnded>(&change))
      anomalies_.on(*ended);
    else if (const auto* config = std::get_if<core::ConfigUpdated>(&change))
      settings_ = settings_from(config->values);
  }
}

void Recovery::apply(const core::Committed& batch) {
  for (const Entry& entry : batch.entries)
    if (const auto* finished = std::get_if<TasksFinished>(&entry.fact))
      anomalies_.learn(*finished, entry.time);
  apply(batch.changes);
  for (const Entry& entry : batch.entries)
    if (const auto* finished = std::get_if<TasksFinished>(&entry.fact))
      quarantines_.learn(*finished, entry.time, settings_);
}

std::string Recovery::name_of_node(NodeId node) const {
  const auto at = names_.find(node);
  return at == names_.end() ? "node " + std::to_string(node.value) : at->second;
}

void Recovery::on(const core::TasksInterrupted& interrupted) {
  auto& runs = decided_[judge(interrupted)];
  runs.insert(runs.end(), interrupted.runs.begin(), interrupted.runs.end());
}

/// Doubles from the first try on.
Duration Recovery::backoff(std::uint32_t tries, Duration first) const {
  const Duration longest = std::max(settings_.retry_longest, first);
  Duration wait = first;
  for (std::uint32_t i = 1; i < tries && wait < longest; ++i)
    wait *= 2;
  return std::min(wait, longest);
}

/// In words, how an attempt ended: "exit code 3", "node n1 was lost".
std::string Recovery::end_text(const core::TasksInterrupted& i) const {
  switch (i.cause) {
  case Cause::lost_node:
    return i.node ? "node " + name_of_node(i.node) + " was lost" : "its node was lost";
  case Cause::exit_code:
    return "exit code " + std::to_string(i.tally->code);
  case Cause::signal:
    return "signal " + std::to_string(i.tally->code);
  case Cause::node_trouble:
    return i.node ? "node " + name_of_node(i.node) + " could not start it"
                  : "its node could not start it";
  default:
    return std::string(name_of(i.cause));
  }
}

Recovery::Fate Recovery::judge(const core::TasksInterrupted& i) const {
  Fate fate;
  fate.job = i.job;
  fate.cause = i.cause;
  const core::Kind& kind = *i.kind;
  const core::Tally& tally = *i.tally;
  const bool lost = i.cause == Cause::lost_node;
  const auto at = core::rule_for(kind, i.cause, i.tally->code);
  const RetryRule* rule = at ? &kind.retry[*at] : nullptr;
  const std::string end = end_text(i);
  if (!core::tries_left(tally, kind, i.cause, i.tally->code)) {
    fate.again = false;
    fate.hold = rule != nullptr && rule->hold;
    if (rule != nullptr && tally.uses_of(*at) > rule->tries)
      fate.reason = end + ", as has happened " + times(tally.uses_of(*at)) +
                    "; its retry rule allows " + tries(rule->tries);
    else if (rule != nullptr || !lost)
      fate.reason =
        end + "; failed " + times(tally.failures) + ", retries is " + std::to_string(kind.retries);
    else
      fate.reason = end + ", as has happened " + times(tally.losses) + "; lost_retries is " +
                    std::to_string(kind.lost_retries);
    return fate;
  }
  const auto crash_nodes =
    kind.crash_nodes > 0 ? kind.crash_nodes : static_cast<std::size_t>(settings_.retry_crash_nodes);
  if (lost && crash_nodes > 0 && tally.crashes.size() >= crash_nodes) {
    fate.again = false;
    fate.hold = true;
    fate.reason = "was on " + std::to_string(tally.crashes.size()) +
                  (tally.crashes.size() == 1 ? " node as it died: " : " nodes as they died: ");
    for (std::size_t n = 0; n < tally.crashes.size(); ++n)
      fate.reason += (n == 0 ? "" : ", ") + name_of_node(tally.crashes[n]);
    return fate;
  }
  if (rule != nullptr) {
    const std::uint32_t used = tally.uses_of(*at);
    fate.reason = end + "; try " + std::to_string(used) + " of " + std::to_string(rule->tries) +
                  " by its retry rule";
    if (rule->wait > Duration(0))
      fate.wait = backoff(used, rule->wait);
    else if (core::is_own(i.cause) || used > 1)
      fate.wait = backoff(core::is_own(i.cause) ? used : used - 1, settings_.retry_first);
  } else if (lost) {
    fate.reason = end;
    fate.wait = tally.losses > 1 ? backoff(tally.losses - 1, settings_.retry_first) : Duration(0);
  } else if (i.cause == Cause::node_trouble) {
    fate.reason = end + ", which is not its fault";
    fate.wait = backoff(tally.troubles, settings_.retry_first);
  } else if (core::is_own(i.cause)) {
    fate.reason = "failed " + times(tally.failures) + " (" + end + "); retries is " +
                  std::to_string(kind.retries);
    fate.wait = backoff(tally.failures, settings_.retry_first);
  }
  return fate;
}

std::vector<core::Command> Recovery::decide(TimePoint now) {
  if (std::exchange(unavailable_, false))
    ask_again_ = now + unavailable_patience;
  if (ask_again_ && now < *ask_again_)
    return {};
  ask_again_.reset();
  std::vector<core::Command> commands = std::exchange(refused_, {});
  for (core::Command& command : quarantines_.decide(now, settings_))
    commands.push_back(std::move(command));
  for (core::Command& command : migration_.decide(now, settings_))
    commands.push_back(std::move(command));
  for (core::Command& command : anomalies_.decide(now, settings_))
    commands.push_back(std::move(command));
  for (core::Command& command : disconnects_.decide(now))
    commands.push_back(std::move(command));
  for (auto& [fate, runs] : std::exchange(decided_, {})) {
    if (REEVE_MUTANT(lost_work_forgotten) && fate.cause == Cause::lost_node)
      continue;
    if (!fate.again) {
      commands.emplace_back(
        core::GiveUp{fate.job, tidied(std::move(runs)), fate.hold, fate.cause, fate.reason});
      continue;
    }
    TimePoint not_before{};
    if (fate.wait > Duration(0)) {
      const double unit = static_cast<double>(random_() >> 11) * 0x1.0p-53; // [0, 1)
      const double factor =
        1 + (2 * unit - 1) * static_cast<double>(settings_.retry_jitter_percent) / 100;
      not_before =
        now + Duration(static_cast<std::int64_t>(static_cast<double>(fate.wait.count()) * factor));
    }
    commands.emplace_back(
      core::Requeue{fate.job, tidied(std::move(runs)), fate.cause, not_before, fate.reason});
  }
  return commands;
}

template<class Wish> void Recovery::again(Wish wish, const Error& error) {
  if (error.code == Code::unavailable) {
    unavailable_ = true;
    refused_.emplace_back(std::move(wish));
    return;
  }
  if (error.code == Code::not_found || tasks_of(wish.runs) <= 1)
    return;                             // the job, or this task, has moved on: cancelled meanwhile
  auto [low, high] = halves(wish.runs); // some of them have
  Wish second = wish;
  wish.runs = std::move(low);
  second.runs = std::move(high);
  refused_.emplace_back(std::move(wish));
  refused_.emplace_back(std::move(second));
}

void Recovery::refused(const core::Command& command, const Error& error) {
  if (const auto* requeue = std::get_if<core::Requeue>(&command))
    again(*requeue, error);
  else if (const auto* give_up = std::get_if<core::GiveUp>(&command))
    again(*give_up, error);
  else if (const auto* quarantine = std::get_if<core::Quarantine>(&command)) {
    unavailable_ |= error.code == Code::unavailable;
    quarantines_.refused(*quarantine);
  } else if (const auto* flag = std::get_if<core::Flag>(&command)) {
    unavailable_ |= error.code == Code::unavailable;
    anomalies_.refused(*flag);
  } else if (const auto* move = std::get_if<core::MoveOff>(&command)) {
    unavailable_ |= error.code == Code::unavailable;
    migration_.refused(*move, error);
  } else if (const auto* abandon = std::get_if<core::Abandon>(&command)) {
    unavailable_ |= error.code == Code::unavailable;
    disconnects_.refused(*abandon);
  }
}

} // namespace reeve::deciders
