// See executor_simple.hpp.
#include "agents/worker/executor_simple.hpp"

#include "src/util/text.hpp"

#include <algorithm>

namespace reeve::worker {

// ---- noop

void NoopExecutor::start(StartTasks&& tasks, Now now) {
  const QuietRun quiet{tasks.run, now.wall, now.wall};
  // The runs of one job follow each other: one list for them all.
  if (!ended_.empty() && ended_.back().job == tasks.job)
    ended_.back().quiet.push_back(quiet);
  else
    ended_.push_back({tasks.job, {quiet}, {}});
}

Result<void> NoopExecutor::collect(Now, std::vector<Finished>& out) {
  out.insert(out.end(), std::make_move_iterator(ended_.begin()),
             std::make_move_iterator(ended_.end()));
  ended_.clear();
  return {};
}

std::optional<TimePoint> NoopExecutor::wake_at() const {
  return ended_.empty() ? std::nullopt : std::optional(TimePoint{}); // at once
}

// ---- sleep

Result<Duration> sleep_of(const std::vector<std::string>& command) {
  const auto us = command.size() == 1
                    ? parse_integer(command.front(), "command", 0, std::int64_t{1} << 50)
                    : Result<std::int64_t>(fail(Code::bad_field, "command", ""));
  if (!us)
    return fail(Code::bad_field, "command", "must be one duration in microseconds");
  return Duration(*us);
}

void SleepExecutor::start(StartTasks&& tasks, Now now) {
  const auto wanted = sleep_of(tasks.spec->command);
  for (std::uint32_t k = 0; k < tasks.run.count; ++k) {
    const AttemptId id{tasks.job, tasks.run.first + k, tasks.run.attempt};
    Sleeper sleeper{now.steady, now.wall, Cause::none, {}};
    if (!wanted) {
      sleeper.cause = Cause::start_failed;
      sleeper.text = wanted.error().message();
    } else {
      Duration length = *wanted;
      if (const Duration limit = tasks.spec->time_limit; limit.count() > 0 && limit < length) {
        length = limit;
        sleeper.cause = Cause::time_limit;
        sleeper.text = "reached its time limit";
      }
      sleeper.until = now.steady + length;
    }
    alarms_.push_back({sleeper.until, id});
    std::push_heap(alarms_.begin(), alarms_.end(), std::greater<>{});
    sleepers_.insert_or_assign(id, std::move(sleeper));
  }
}

void SleepExecutor::stop(const StopRun& run, Now now) {
  for (std::uint32_t k = 0; k < run.run.count; ++k) {
    const AttemptId id{run.job, run.run.first + k, run.run.attempt};
    const auto it = sleepers_.find(id);
    if (it == sleepers_.end() || it->second.until <= now.steady)
      continue;
    it->second.until = now.steady;
    it->second.cause = run.cause;
    it->second.text = run.text;
    alarms_.push_back({now.steady, id});
    std::push_heap(alarms_.begin(), alarms_.end(), std::greater<>{});
  }
}

void SleepExecutor::drop_stale_alarms() {
  while (!alarms_.empty()) {
    const auto it = sleepers_.find(alarms_.front().id);
    if (it != sleepers_.end() && it->second.until == alarms_.front().at)
      return;
    std::pop_heap(alarms_.begin(), alarms_.end(), std::greater<>{});
    alarms_.pop_back();
  }
}

Result<void> SleepExecutor::collect(Now now, std::vector<Finished>& out) {
  for (drop_stale_alarms(); !alarms_.empty() && alarms_.front().at <= now.steady;
       drop_stale_alarms()) {
    const AttemptId id = alarms_.front().id;
    Sleeper sleeper = std::move(sleepers_.extract(id).mapped());
    if (out.empty() || out.back().job != id.job)
      out.push_back({id.job, {}, {}});
    if (sleeper.cause == Cause::none) {
      out.back().quiet.push_back({{id.index, 1, id.attempt}, sleeper.started, now.wall});
      continue;
    }
    TaskResult result;
    result.index = id.index;
    result.attempt = id.attempt;
    result.cause = sleeper.cause;
    result.text = std::move(sleeper.text);
    result.started = sleeper.started;
    result.ended = now.wall;
    result.usage.wall = now.wall - sleeper.started;
    out.back().tasks.push_back({std::move(result), std::nullopt});
  }
  return {};
}

std::optional<TimePoint> SleepExecutor::wake_at() const {
  return alarms_.empty() ? std::nullopt : std::optional(alarms_.front().at);
}

} // namespace reeve::worker
