// Processes, through the keeper. See executor.hpp for the rules. Survives a lost connection to the
// keeper as long as it is the same keeper: what is under way is told again.
#pragma once

#include "agents/worker/executor.hpp"
#include "agents/worker/keeper_client.hpp"

#include <unordered_map>

namespace reeve::worker {

class ProcessExecutor : public Executor {
public:
  ProcessExecutor(KeeperClient client, std::string dir);

  void start(StartTasks&& tasks, Now now) override;
  void stop(const StopRun& run, Now now) override;
  void commit() override;
  /// Errors: unavailable (the keeper or its connection is gone: `reconnect`).
  Result<void> collect(Now now, std::vector<Finished>& out) override;
  [[nodiscard]] int fd() const override { return client_.fd(); }
  [[nodiscard]] short poll_events() const override;

  /// A task that the keeper had before this agent.
  void adopt(const AttemptId& id, Epoch epoch);
  /// The exits are durable at the master, or unwanted.
  void release(std::vector<AttemptId> attempts);
  void forget(JobId job) { client_.drop_spec(job); }
  void forget_output(std::vector<AttemptId> attempts) {
    client_.forget_output(std::move(attempts));
  }
  /// A task that has not ended long after it was killed, in words; empty: there is none.
  [[nodiscard]] std::string trouble(TimePoint steady) const;
  /// The keeper stops everything and ends.
  void stop_keeper(Duration grace);
  /// A new connection to the same keeper; appends what ended meanwhile. Errors: conflict when it is
  /// another keeper, so that all tasks are lost, and those of KeeperClient::connect.
  Result<void> reconnect(std::vector<Finished>& out);

  /// A keeper's exit with the head of what the task wrote.
  [[nodiscard]] static FinishedTask finished_task(const std::string& dir, keeper::Exit&& exit);

private:
  struct Task {
    SpecPtr spec; // null: adopted
    Epoch epoch;
    std::optional<std::string> item;
    Peers peers;
    std::vector<UnitShare> units;
    std::optional<StopRun> stopped;
    std::optional<TimePoint> killed; // at the latest then, by the steady clock
  };
  [[nodiscard]] static keeper::StartTask start_of(const AttemptId& id, const Task& task);
  void take(std::vector<keeper::Exit> exits, std::vector<Finished>& out);

  KeeperClient client_;
  std::string dir_;
  std::unordered_map<AttemptId, Task> tasks_; // without an exit
  struct Starting {
    SpecPtr spec;
    std::vector<keeper::StartTask> tasks;
  };
  std::map<std::pair<JobId, Epoch>, Starting> starting_; // until commit
  bool broken_ = false;
};

} // namespace reeve::worker
