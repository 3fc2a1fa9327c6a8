// What the page is told: answers of the master as JSON, put together where one question of the page
// takes several of the master. Called by the server's threads.
#pragma once

#include "agents/dashboard/masters.hpp"
#include "agents/dashboard/questions.hpp"
#include "src/util/json.hpp"

#include <memory>

namespace reeve::dashboard {

class Api {
public:
  explicit Api(Masters& masters) : masters_(masters) {}

  Result<Json> nodes(const NodesWanted& wanted);
  /// Every node in as few bytes as can be: [state, booked %, used %] each, and their names, unless
  /// the asker has those of this `version` (`known`).
  Result<Json> heat(const std::string& known);
  Result<Json> node(const std::string& name);
  Result<Json> jobs(const ListJobs& wanted);
  /// The job, its specification, and the jobs that it is tied to by dependencies.
  Result<Json> job(JobId id);
  Result<Json> tasks(const ListTasks& wanted);
  /// One task, its attempts from the history, and why it waits.
  Result<Json> task(JobId job, TaskIndex index);
  Result<Json> explain(const Explain& wanted);
  /// Each queue: how much waits and runs, and when its next and its last task are expected to
  /// start.
  Result<Json> queues();
  Result<Json> history(const QueryHistory& wanted);
  Result<Json> log(const ReadLog& wanted);
  Result<Json> act(const Action& action);

private:
  using Clock = std::chrono::steady_clock;
  using Nodes = std::shared_ptr<const NodeList>;
  /// All nodes, at most a second old: many pages look at the same.
  Result<Nodes> all_nodes();
  Json forecast(const std::string& queue, bool oldest);

  Masters& masters_;
  std::mutex nodes_mutex_, queues_mutex_;
  Nodes nodes_; // guarded by nodes_mutex_
  Clock::time_point nodes_at_;
  std::optional<Json> queues_; // guarded by queues_mutex_
  Clock::time_point queues_at_;
};

/// Per cent of the resource that is most asked for; cores and memory count. 0 to 100.
int booked_percent(const NodeView& node);
int used_percent(const NodeView& node);
/// draining, quarantined, or the node's state.
std::string shown_state(const NodeView& node, TimePoint now);

} // namespace reeve::dashboard
