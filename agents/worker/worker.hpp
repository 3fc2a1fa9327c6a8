// Write a worker in C++: give functions names, then run the agent. Jobs whose executor is such a
// name run that function once per task, on as many threads as the agent has vcores.
//
//   #include <reeve/agents/worker/worker.hpp>
//   int main(int argc, char** argv) {
//     reeve::worker::register_function("square", [](const reeve::worker::TaskContext& task) {
//       const auto n = task.array_index();
//       return reeve::Result<reeve::Bytes>(reeve::Bytes{std::to_string(n * n)});
//     });
//     return reeve::worker::agent_main(argc, argv); // all flags of reeve-agent
//   }
#pragma once

#include "agents/worker/units.hpp"
#include "messages/types.hpp"

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace reeve::worker {

/// What a function may know of the task it is run for. Valid during the call.
class TaskContext {
public:
  virtual ~TaskContext() = default;
  [[nodiscard]] virtual TaskId id() const = 0;
  [[nodiscard]] virtual Attempt attempt() const = 0;
  [[nodiscard]] virtual const JobSpec& spec() const = 0;   // without items
  [[nodiscard]] virtual std::string_view item() const = 0; // empty when the job has no items
  /// Where each task of its gang runs; this one is number id().index. Empty: it is in no gang.
  [[nodiscard]] virtual const std::vector<std::string>& peers() const = 0;
  /// The units of named resources that are its own meanwhile, such as {gpu, 1, 1000}.
  [[nodiscard]] virtual const std::vector<UnitShare>& units() const = 0;
  /// True once the task should end: it was cancelled or has reached its time limit. A function that
  /// never asks runs to its end.
  [[nodiscard]] virtual bool cancelled() const = 0;

  [[nodiscard]] std::string_view payload() const { return spec().payload.data; }
  [[nodiscard]] std::int64_t array_index() const {
    return spec().index_first + std::int64_t{id().index} * spec().index_step;
  }
};

/// Returns a small result (at most 64 KiB) or an error, which fails the task with its text. An
/// exception does too. Called from several threads at once.
using Function = std::function<Result<Bytes>(const TaskContext&)>;

/// Before agent_main. Errors: bad_field (empty, too long, or a name of a built-in executor),
/// conflict (registered before), too_large (more than 60 functions).
Result<void> register_function(const std::string& name, Function function);
/// All that were registered.
const std::map<std::string, Function>& registered_functions();

/// reeve-agent with these functions: reads the flags, runs until told to stop. Returns the exit
/// code.
int agent_main(int argc, char** argv);

} // namespace reeve::worker
