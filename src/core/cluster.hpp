// The cluster's whole state and the only rules by which it changes: decide (may a wish become a
// fact?), apply (what a fact does). Owned by the ledger (src/ledger), the journal's compactor and
// the simulator. Has no clock, thread, I/O or randomness: the same entries give the same state,
// byte for byte. Nothing read from a socket reaches a check: decide refuses, so apply cannot fail.
#pragma once

#include "src/core/changes.hpp"
#include "src/core/commands.hpp"
#include "src/core/job.hpp"
#include "src/core/node.hpp"

#include <set>
#include <span>
#include <unordered_map>

namespace reeve::core {

struct RefusedPlacement {
  Placement placement;
  Error error;
};

/// What became of a command. `entry` is already applied. Neither entry nor error: all was as wished
/// before.
struct Outcome {
  std::optional<Entry> entry;
  std::optional<Error> error;            // refused whole
  std::vector<RefusedPlacement> refused; // Place: those that could not be
  std::uint64_t changed = 0;             // tasks, nodes, leases … changed
  JobId first_job;                       // SubmitJobs
  std::uint32_t jobs = 0;                // SubmitJobs
  bool duplicate = false;                // SubmitJobs, GrantLease: the key was known
  LeaseId lease;                         // GrantLease
  NodeId node;                           // RegisterNode, GrantLease
};

/// What a node that registers must drop, what it must be sent again, and what of all that is in
/// flight there it must stop, because the word to do so may have been lost.
struct Reconciled {
  std::vector<JobRuns> stop;
  std::vector<Placement> resend;
  std::vector<JobRuns> cancel;
  std::vector<JobRuns> move; // to run again elsewhere
};

class Cluster {
public:
  Cluster();
  ~Cluster();
  Cluster(Cluster&&) noexcept;
  Cluster& operator=(Cluster&&) noexcept;

  /// decide + apply. `now` becomes the entry's time. Appends to `changes` what the deciders must
  /// hear.
  Outcome execute(const Command& command, TimePoint now, Changes& changes);
  /// Replays a fact. `seq` is its position; must be last_seq() + 1. Errors: corrupt when the entry
  /// does not fit the state.
  Result<void> replay(Seq seq, const Entry& entry, Changes& changes);

  [[nodiscard]] Seq last_seq() const;
  [[nodiscard]] Epoch epoch() const;

  // ---- reading
  [[nodiscard]] const Node* find_node(NodeId id) const;
  [[nodiscard]] const Node* find_node(std::string_view name) const;
  [[nodiscard]] const Job* find_job(JobId id) const;
  [[nodiscard]] const std::map<NodeId, Node>& nodes() const;
  [[nodiscard]] const std::map<LeaseId, Lease>& leases() const;
  [[nodiscard]] const std::map<std::string, std::string>& config() const;
  /// Promises (settings `sla.*`) that were judged not to be kept.
  [[nodiscard]] const std::set<std::string>& broken_promises() const;
  [[nodiscard]] JobId newest_job() const;
  [[nodiscard]] JobId oldest_job() const;
  [[nodiscard]] const Kind& kind_of(const Job& job) const;
  [[nodiscard]] TaskState state_of(const Job& job, TaskIndex index) const;
  struct Placed {
    Attempt attempt = 0; // the last one placed; 0: none yet
    NodeId node;         // where it is in flight; 0: it is not
  };
  [[nodiscard]] Placed placed(const Job& job, TaskIndex index) const;
  /// What a task still waits for of other jobs, as "waits for job 5 to succeed (running)"; empty:
  /// nothing.
  [[nodiscard]] std::string waits_for(const Job& job, TaskIndex index) const;
  /// Would these jobs be taken? Changes nothing. Returns what each would wait for of other jobs, in
  /// words; empty: nothing. Errors: as execute would have.
  [[nodiscard]] Result<std::vector<std::string>> would_take(const SubmitJobs& command,
                                                            TimePoint now) const;

  [[nodiscard]] Result<JobProgress> progress(JobId id) const;
  [[nodiscard]] JobList list(const ListJobs& query) const;
  [[nodiscard]] Result<TaskList> list(const ListTasks& query) const;
  [[nodiscard]] Result<NodeList> list(const ListNodes& query) const;
  [[nodiscard]] LeaseList list(const ListLeases& query) const;
  [[nodiscard]] LeaseView view(const Lease& lease) const;
  [[nodiscard]] Stats stats() const;

  /// The spec (without items) that goes to agents, and the items of a run. Empty when there is no
  /// such job.
  [[nodiscard]] Raw spec_for_agents(JobId job) const;
  /// A gang's peers by task index: what each task's node carries as label `address`, else its name.
  /// Empty when the job is no gang.
  [[nodiscard]] std::vector<std::string> peers_of(JobId job) const;
  [[nodiscard]] std::vector<std::string> items_of(JobId job, std::span<const TaskRun> runs) const;
  /// Compares what a registering node says it has with what it should have.
  [[nodiscard]] Reconciled reconcile(NodeId node, std::span<const JobRuns> attempts) const;

  /// The whole state as changes, for a decider that starts.
  void describe(Changes& changes) const;

  // ---- snapshot
  [[nodiscard]] std::string snapshot() const;
  static Result<Cluster> restore(std::string_view bytes);
  /// XXH3 of the snapshot: equal states, equal hashes.
  [[nodiscard]] std::uint64_t state_hash() const;
  /// The hash takes the whole state: of one with more jobs it would hold up whoever shows it.
  static constexpr std::uint64_t hashed_jobs_max = 20'000;
  /// The promises that can be checked on one state; empty when all hold. For tests and the
  /// simulator.
  [[nodiscard]] std::vector<std::string> check_invariants() const;

  struct State; // state.hpp, for this folder only

private:
  std::unique_ptr<State> state_;
};

} // namespace reeve::core
