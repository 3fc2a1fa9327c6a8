// What the agent's core and its executors say to each other. Plain data, used by agent_core, the
// executors and the agent's loop. Must never do I/O or read a clock.
#pragma once

#include "agents/worker/keeper_protocol.hpp"
#include "messages/protocol.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace reeve::worker {

using SpecPtr = std::shared_ptr<const JobSpec>; // without items
using Peers = std::shared_ptr<const std::vector<std::string>>;

/// Tasks for one slot: run one after another, each reported.
struct StartTasks {
  JobId job;
  SpecPtr spec;
  TaskRun run;
  Epoch epoch;                       // of the master that assigned them
  std::vector<std::string> items;    // one per task, or none
  Peers peers = nullptr;             // gang: where each of its tasks runs; null: no gang
  std::vector<UnitShare> units = {}; // of named resources, held by the slot
};

/// Tasks to be ended before their time. Each is still reported, with `cause` unless it had ended.
struct StopRun {
  JobId job;
  SpecPtr spec; // null: tasks of an earlier agent, so the keeper's
  TaskRun run;
  Cause cause = Cause::cancelled;
  std::string text;
  std::optional<Duration> grace; // instead of the job's
  bool move = false;             // it runs again elsewhere
};

struct FinishedTask {
  TaskResult result;
  std::optional<TaskOutput> output;
};

/// Tasks of one job that ended, as an executor tells it.
struct Finished {
  JobId job;
  std::vector<QuietRun> quiet;
  std::vector<FinishedTask> tasks;
};

/// The same end for every task of a run; told in few bytes, expanded when it is sent.
struct EndedAlike {
  JobId job;
  TaskRun run;
  Cause cause = Cause::cancelled;
  std::string text;
  TimePoint at;
};

enum class NoteLevel : std::uint8_t { debug, info, warning, error };
struct Note { // a line for the log
  NoteLevel level = NoteLevel::info;
  std::string text;
};

} // namespace reeve::worker
