// How tasks are carried out: one Executor a way. Called by the agent's loop only, on its thread;
// none may block it. An executor reports each task it was given exactly once.
#pragma once

#include "agents/worker/agent_types.hpp"

#include <span>

namespace reeve::worker {

/// `steady` never jumps and is for timers; `wall` is for what people read.
struct Now {
  TimePoint steady, wall;
};

class Executor {
public:
  Executor() = default;
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  virtual ~Executor() = default;

  virtual void start(StartTasks&& tasks, Now now) = 0;
  virtual void stop(const StopRun& run, Now now) = 0;
  /// After a group of starts and stops.
  virtual void commit() {}
  /// Appends what has ended. Errors: what carried the tasks is gone.
  virtual Result<void> collect(Now now, std::vector<Finished>& out) = 0;
  /// When to call `collect`, unless `fd` becomes ready before; a steady time.
  [[nodiscard]] virtual std::optional<TimePoint> wake_at() const { return std::nullopt; }
  /// For poll; -1: none.
  [[nodiscard]] virtual int fd() const { return -1; }
  [[nodiscard]] virtual short poll_events() const { return 0; }
};

} // namespace reeve::worker
