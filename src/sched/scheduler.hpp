// Decides what runs where: keeps its own view of nodes and waiting work, fed by committed changes,
// and hands out Place wishes. Owned by the scheduler actor and by the simulator. Reads no clock:
// every call that needs the time brings it. A refusal is news, not an error.
#pragma once

#include "src/core/cluster.hpp"
#include "src/sched/estimate.hpp"

#include <set>
#include <unordered_map>

namespace reeve::sched {

class Scheduler {
public:
  Scheduler();
  ~Scheduler();
  Scheduler(Scheduler&&) noexcept;
  Scheduler& operator=(Scheduler&&) noexcept;

  /// Forgets everything; `changes` describe the whole cluster (core::Cluster::describe).
  void reset(const core::Changes& changes);
  void apply(const core::Changes& changes);
  /// The same, and learns run times from the results among the entries.
  void apply(const core::Committed& batch);
  /// Placements that came to nothing. Their tasks wait again, unless changes say otherwise.
  void refused(std::span<const core::RefusedPlacement> placements);
  /// What should happen now. Nothing is wished twice until it is answered.
  std::vector<core::Command> decide(TimePoint now);
  /// The last decision ended before all was looked at: decide again soon.
  [[nodiscard]] bool more() const;
  /// Places that the last decision kept for those who wait and had none. At most as many as lots
  /// stand in line: a pass that moved places to and fro would not end.
  [[nodiscard]] std::size_t places_kept() const;
  /// When `decide` must be called, if nothing happens before.
  [[nodiscard]] std::optional<TimePoint> next_wake() const;
  /// Why a task waits, or why it is where it is. Errors: not_found.
  [[nodiscard]] Result<Explained> explain(JobId job, TaskIndex index, TimePoint now) const;
  /// What would become of the first task of each of these jobs, submitted in this order: sentences.
  /// A guess from how things stand, no promise. `waits`: what each waits for of other jobs, in
  /// words; empty: nothing. At most `dry_run_max` jobs that differ are looked at, and sentences
  /// only go as far. Errors: as submitting them would have.
  [[nodiscard]] Result<std::vector<std::string>>
  would_go(const std::vector<JobSpec>& specs, const std::vector<std::string>& waits, TimePoint now);
  static constexpr std::size_t dry_run_max = 100;
  /// A node asks for work: it is not spared for a refusal any more, and when it has nothing to do
  /// it is the next in turn. One that gets work only when it asks is filled once.
  void pulled(NodeId node);
  /// How long tasks took before this scheduler began, oldest first: expected again.
  void remember(std::span<const RunTime> past);
  /// What a node's heartbeat says that it really uses, everything on the machine together.
  void measured(NodeId node, const Resources& used);
  /// All nodes that may be dead: no new work goes there.
  void suspect(const std::vector<NodeId>& suspects);
  /// A lease is granted only within quotas and limits, as a task would be. Errors: refused,
  /// node_down, bad_field.
  [[nodiscard]] Result<void> check(const Allocate& wanted, TimePoint now) const;
  /// For `stats`: of every queue how many tasks could start (`queue.NAME.waiting`) and how many
  /// slots it holds (`queue.NAME.running`).
  [[nodiscard]] std::map<std::string, std::int64_t> counts() const;

private:
  struct State;
  std::unique_ptr<State> state_;
};

} // namespace reeve::sched
