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

} // namespace

void Recovery::reset(const core::Changes& changes) {
  names_.clear();
  quarantines_.reset();
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
    } else if (const auto* gone = std::get_if<core::NodeForgotten>(&change)) {
      names_.erase(gone->node);
      quarantines_.forget(gone->node);
    } else if (const auto* ended = std::get_if<core::JobEnded>(&change))
      crashes_.erase(ended->job);
    else if (const auto* forgotten = std::get_if<core::JobForgotten>(&change))
      crashes_.erase(forgotten->job);
    else if (const auto* config = std::get_if<core::ConfigUpdated>(&change))
      settings_ = settings_from(config->values);
  }
}

void Recovery::apply(const core::Committed& batch) {
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
  if (interrupted.cause != Cause::lost_node || !interrupted.node) {
    for (const TaskRun& run : interrupted.runs)
      judge(interrupted, run, {});
    return;
  }
  RunMap<Crashes>& crashes = crashes_[interrupted.job];
  for (const TaskRun& run : interrupted.runs)
    crashes.update(
      run.first, run.count,
      [&](Crashes& nodes) {
        if (std::find(nodes.begin(), nodes.end(), interrupted.node) == nodes.end())
          nodes.push_back(interrupted.node);
      },
      [&](TaskIndex first, std::uint32_t count, const Crashes& nodes) {
        judge(interrupted, {first, count, run.attempt}, nodes);
      });
}

/// Doubles from the first try on.
Duration Recovery::backoff(std::uint32_t tries) const {
  Duration wait = settings_.retry_first;
  for (std::uint32_t i = 1; i < tries && wait < settings_.retry_longest; ++i)
    wait *= 2;
  return std::min(wait, settings_.retry_longest);
}

void Recovery::judge(const core::TasksInterrupted& i, const TaskRun& run, const Crashes& crashes) {
  Fate fate;
  fate.job = i.job;
  fate.cause = i.cause;
  if (i.cause == Cause::lost_node) {
    const std::string lost =
      i.node ? "node " + name_of_node(i.node) + " was lost" : "its node was lost";
    const auto crash_nodes = static_cast<std::size_t>(settings_.retry_crash_nodes);
    if (i.losses > i.kind->lost_retries) {
      fate.again = false;
      fate.reason = lost + ", as has happened " + times(i.losses) + "; lost_retries is " +
                    std::to_string(i.kind->lost_retries);
    } else if (crash_nodes > 0 && crashes.size() >= crash_nodes) {
      fate.again = false;
      fate.hold = true;
      fate.reason = "was on " + std::to_string(crashes.size()) + " nodes as they died: ";
      for (std::size_t n = 0; n < crashes.size(); ++n)
        fate.reason += (n == 0 ? "" : ", ") + name_of_node(crashes[n]);
    } else {
      fate.wait = i.losses > 1 ? backoff(i.losses - 1) : Duration(0);
      fate.reason = lost;
    }
  } else if (i.cause != Cause::drained && i.cause != Cause::cancelled &&
             i.cause != Cause::preempted) {
    fate.wait = backoff(i.failures);
    fate.reason = "failed " + times(i.failures) + " (" + std::string(name_of(i.cause)) +
                  "); retries is " + std::to_string(i.kind->retries);
  }
  decided_[fate].push_back(run);
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
  for (auto& [fate, runs] : std::exchange(decided_, {})) {
    if (REEVE_MUTANT(lost_work_forgotten) && fate.cause == Cause::lost_node)
      continue;
    if (!fate.again) {
      if (fate.hold) // whoever releases it says that all was well
        for (const TaskRun& run : runs)
          if (const auto at = crashes_.find(fate.job); at != crashes_.end())
            at->second.erase(run.first, run.count);
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
  }
}

} // namespace reeve::deciders
