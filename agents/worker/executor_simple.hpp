// Executors without a process: `noop` does nothing, at once, many tasks in one go; `sleep` lets
// command[0] microseconds pass. For benchmarks and tests. See executor.hpp for the rules.
#pragma once

#include "agents/worker/executor.hpp"

#include <unordered_map>

namespace reeve::worker {

class NoopExecutor : public Executor {
public:
  static constexpr std::uint32_t batch = 100'000; // tasks one slot may be handed at once

  void start(StartTasks&& tasks, Now now) override;
  void stop(const StopRun&, Now) override {} // what was started has ended already
  Result<void> collect(Now now, std::vector<Finished>& out) override;
  [[nodiscard]] std::optional<TimePoint> wake_at() const override;

private:
  std::vector<Finished> ended_;
};

/// What `sleep` is told to let pass: one whole number of microseconds. Error: bad_field
/// (`command`).
Result<Duration> sleep_of(const std::vector<std::string>& command);

class SleepExecutor : public Executor {
public:
  void start(StartTasks&& tasks, Now now) override;
  void stop(const StopRun& run, Now now) override;
  Result<void> collect(Now now, std::vector<Finished>& out) override;
  [[nodiscard]] std::optional<TimePoint> wake_at() const override;

private:
  struct Sleeper {
    TimePoint until, started; // steady, wall
    Cause cause = Cause::none;
    std::string text;
  };
  struct Alarm {
    TimePoint at;
    AttemptId id;
    bool operator>(const Alarm& other) const {
      return std::tie(at, id) > std::tie(other.at, other.id);
    }
  };
  void drop_stale_alarms();

  std::unordered_map<AttemptId, Sleeper> sleepers_;
  std::vector<Alarm> alarms_; // a heap, the earliest first; one that fits no sleeper is stale
};

} // namespace reeve::worker
