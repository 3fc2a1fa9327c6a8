// What an agent has to do: specifications, queues of waiting runs, what runs in how many slots, and
// what has ended but is not acknowledged. Owned by AgentCore. Never runs more of a job than its
// slots, nor more in all than the node's capacity, whatever a master says. No I/O, no clock.
#pragma once

#include "agents/worker/agent_attempts.hpp"
#include "agents/worker/agent_types.hpp"

#include <array>
#include <deque>
#include <map>
#include <set>
#include <unordered_map>

namespace reeve::worker {

class AgentWork {
public:
  AgentWork(Resources capacity, std::set<std::string> executors);

  /// How many neighbouring tasks one slot of this executor may be handed at once; 1 unless set.
  void set_batch(const std::string& executor, std::uint32_t tasks) { batch_[executor] = tasks; }

  /// A job's specification. One that cannot be read makes its tasks fail to start, with the reason.
  void put_spec(JobId job, const Raw& spec);
  /// New work. Attempts that are known already change nothing; older attempts of the same tasks are
  /// dropped. False: the job's specification is missing and nothing was taken.
  bool assign(AssignedJob&& job, Epoch epoch);
  /// A task that runs, or has ended, under the keeper since before this agent. Its specification
  /// should be put first.
  void adopt(const AttemptId& id, std::vector<UnitShare> units = {});
  void adopt_ended(const AttemptId& id);

  /// Ends tasks early. Waiting ones go to `ended` at once, running ones to `stops`.
  /// `move`: they run again elsewhere.
  void stop(const JobRuns& tasks, Cause cause, const std::string& text, TimePoint now,
            bool move = false);
  /// Tasks that are nobody's any more: ended without a report.
  void drop(const JobRuns& tasks);
  /// Everything is to end, nothing new is taken.
  void stop_all(Cause cause, const std::string& text, Duration grace_most, TimePoint now);
  [[nodiscard]] bool stopping() const { return stopping_; }

  /// Starts what the slots and the capacity allow.
  void start(TimePoint now);
  /// Leaves in `done` what is to be reported; puts the rest into `forget`.
  void finished(Finished& done);
  void acked(JobId job, const TaskRun& run);

  /// Every attempt: waiting, running, ended and not acknowledged. Jobs whose specification was
  /// missed are left out, so that the master sends them again with it.
  [[nodiscard]] std::vector<JobRuns> list() const;
  [[nodiscard]] const JobSpec* spec_of(JobId job) const; // null: not here
  [[nodiscard]] bool knows(JobId job) const { return jobs_.contains(job); }
  [[nodiscard]] bool runs(JobId job, TaskIndex index, Attempt attempt) const;
  [[nodiscard]] Attempt newest_attempt(JobId job, TaskIndex index) const; // 0: not here

  [[nodiscard]] std::uint32_t running() const { return running_; } // slots in use
  [[nodiscard]] std::uint64_t waiting() const { return waiting_; } // tasks
  [[nodiscard]] std::size_t jobs() const { return jobs_.size(); }
  [[nodiscard]] const Resources& used() const { return used_; }
  [[nodiscard]] bool idle() const { return running_ == 0 && waiting_ == 0; }

  // What has to be done outside; the owner takes it and clears it.
  std::vector<StartTasks> starts;
  std::vector<StopRun> stops;
  std::vector<EndedAlike> ended;
  std::vector<AttemptId> forget;     // exits that the keeper need not keep
  std::vector<JobId> forgotten_jobs; // no task left: their specification is forgotten

private:
  struct Waiting {
    TaskRun run;
    Epoch epoch;
    std::vector<std::string> items; // of the run as it came; the last `run.count` are still to go
  };
  struct Batch { // what one slot was handed
    std::uint32_t count = 0, left = 0;
    bool booked = false; // its resources are part of used_
    std::vector<UnitShare> units;
  };
  struct Job {
    SpecPtr spec;
    std::string broken; // why its specification cannot be used
    bool spec_missed = false;
    bool queued = false; // in ready_
    std::uint32_t slots = 1, busy = 0;
    AttemptMap attempts;
    Peers peers;                  // gang: as the last Assign said
    std::vector<Waiting> waiting; // from `head` on, in the order of arrival
    std::size_t head = 0;
    std::map<std::pair<Attempt, TaskIndex>, Batch> batches;
  };
  using Jobs = std::unordered_map<JobId, Job>;

  void take(JobId id, Job& job, const TaskRun& run, Epoch epoch, std::vector<std::string> items);
  void take_piece(Job& job, const TaskRun& run, Epoch epoch, std::vector<std::string> items);
  void drop_runs(JobId id, Job& job, const std::vector<TaskRun>& runs);
  /// Takes out of the queue what `attempts` no longer calls waiting.
  void prune_waiting(Job& job);
  [[nodiscard]] static std::vector<AttemptMap::Piece> find_known(const Job& job,
                                                                 const std::vector<TaskRun>& runs);
  bool start_one(JobId id, Job& job, TimePoint now); // false: no room, or in too small pieces
  bool refuse(JobId id, Job& job, TimePoint now);    // true: the job's tasks can never run here
  void batch_done(Job& job, Attempt attempt, TaskIndex first, std::uint32_t count);
  void report_quiet(Job& job, const QuietRun& quiet, std::vector<QuietRun>& kept);
  void queue(JobId id, Job& job);
  void book(const Job& job, Batch& batch);
  void forget_if_over(Jobs::iterator it);
  [[nodiscard]] static bool overlaps_batch(const Job& job, const TaskRun& run);

  Resources capacity_, used_;
  Units units_;
  std::set<std::string> executors_;
  std::map<std::string, std::uint32_t> batch_;
  Jobs jobs_;
  std::deque<JobId> ready_;   // may have something to start
  std::deque<JobId> blocked_; // would start, but the node is full
  std::uint64_t waiting_ = 0;
  std::uint32_t running_ = 0;
  bool freed_ = false; // since the blocked ones were looked at
  bool stopping_ = false;

  struct Read { // many jobs carry the same specification: it is read once
    std::string bytes;
    SpecPtr spec;
  };
  std::array<Read, 64> read_;
};

} // namespace reeve::worker
