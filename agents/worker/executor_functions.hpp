// Runs C++ functions (worker.hpp) on a pool of threads. See executor.hpp for the rules. A function
// cannot be killed: it is asked to end, and its slot stays taken until it returns.
#pragma once

#include "agents/worker/executor.hpp"
#include "agents/worker/worker.hpp"

#include <thread>

namespace reeve::worker {

class FunctionExecutor : public Executor {
public:
  FunctionExecutor(std::map<std::string, Function> functions, unsigned threads);
  ~FunctionExecutor() override;

  void start(StartTasks&& tasks, Now now) override;
  void stop(const StopRun& run, Now now) override;
  Result<void> collect(Now now, std::vector<Finished>& out) override;
  [[nodiscard]] int fd() const override;
  [[nodiscard]] short poll_events() const override;

  /// How many neighbouring tasks of this function one slot should be handed at once, so that short
  /// ones do not wait for the loop: about 200 µs of work.
  [[nodiscard]] std::uint32_t batch(const std::string& name) const;
  [[nodiscard]] const std::map<std::string, Function>& functions() const { return functions_; }

private:
  struct Batch;
  struct Shared;
  static void serve(const std::shared_ptr<Shared>& shared);

  std::map<std::string, Function> functions_;
  std::map<std::string, double> seconds_; // of one call, smoothed
  std::shared_ptr<Shared> shared_;        // the threads' part; outlives this if a function hangs
  std::map<AttemptId, std::shared_ptr<Batch>> running_; // by the first task
  std::vector<std::thread> threads_;
};

} // namespace reeve::worker
