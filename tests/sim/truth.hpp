// What really happened, seen by nobody in the simulation: the durable entries replayed
// one by one, and every process that runs anywhere. Checks the promises of DESIGN section 3 at each
// event. Owned by the simulation; told by the master, the agents and the users, decides nothing.
#pragma once

#include "agents/worker/agent_types.hpp"
#include "src/core/cluster.hpp"
#include "tests/sim/log.hpp"
#include "tests/sim/random.hpp"
#include "tests/sim/timeline.hpp"

#include <map>
#include <optional>
#include <set>

namespace reeve::sim {

using worker::AttemptId;

class Truth {
public:
  Truth(Timeline& timeline, const Log& log) : timeline_(timeline), log_(log) {}

  /// A promise is broken. The first one counts.
  void broken(std::string what);
  struct Broken {
    std::string what;
    TimePoint at;
  };
  [[nodiscard]] const std::optional<Broken>& fault() const { return fault_; }

  // ---- the master
  /// Entries are about to have effects: they must be on the disk for good.
  void published(const core::Committed& batch, const core::Cluster& now);
  /// A master recovered this state from the disk.
  void recovered(const core::Cluster& cluster);
  /// A standby has followed up to here.
  void followed(const core::Cluster& cluster) {
    if (++hashed_ % 8 == 0)
      check_hash(cluster, "a standby's state");
  }
  /// Everything again, from nothing and from the newest snapshot.
  void check_all();

  // ---- agents
  struct Place { // where a process runs
    const void* machine = nullptr;
    std::string node;
    bool honest = true;
    Resources capacity;
  };
  void started(const Place& place, const AttemptId& id, const Resources& resources);
  void ended(const AttemptId& id);
  /// The master's word that these results are durable has come.
  void acknowledged(const std::string& node, const JobRuns& tasks);

  // ---- users
  void submitted(const std::string& key, JobId first, std::uint32_t count, std::uint32_t asked);
  void told_ended(JobId job);
  void granted(LeaseId lease);

  [[nodiscard]] const core::Cluster& cluster() const { return cluster_; }
  [[nodiscard]] const std::set<JobId>& acknowledged_jobs() const { return jobs_; }
  [[nodiscard]] bool over(JobId job) const; // has ended, and does not run again
  [[nodiscard]] std::size_t running() const { return running_.size(); }
  /// A pending task by lot; none: nothing is pending.
  [[nodiscard]] std::optional<TaskId> some_pending(Random& random) const;
  [[nodiscard]] std::uint64_t print() const { return print_; } // of everything that was replayed
  [[nodiscard]] std::string unfinished() const;                // for a person

private:
  void replay(Seq seq, const std::string& bytes);
  void before(const Fact& fact);
  void after(const Fact& fact);
  void finish(JobId job, const TaskRun& run);
  void check_capacity();
  void check_hash(const core::Cluster& other, const char* which);

  struct Running {
    Place place;
    Resources resources;
  };
  Timeline& timeline_;
  const Log& log_;
  std::optional<Broken> fault_;
  core::Cluster cluster_;
  std::vector<std::uint64_t> prints_; // of entry seq - 1
  std::uint64_t print_ = 0;
  std::map<NodeId, Resources> booked_; // before the entry
  std::map<AttemptId, NodeId> placed_;
  std::set<AttemptId> results_, given_up_; // given up: with the node that was lost
  std::set<AttemptId> copies_;             // placed beside another that runs on
  std::set<TaskId> succeeded_;
  std::map<AttemptId, Running> running_;
  std::map<std::string, std::pair<JobId, std::uint32_t>> keys_;
  std::set<JobId> jobs_, ended_; // jobs_: users know them
  std::set<LeaseId> leases_;
  std::uint64_t hashed_ = 0;
};

} // namespace reeve::sim
