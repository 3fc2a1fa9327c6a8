// What is given back because nobody needs it any more: leases past their time or idle, finished
// jobs past their retention, jobs that were held and left, nodes that are gone for long, work
// booked on a node that is not there. Owned by the sweeper actor and the simulator. Reads no clock,
// asks for bounded work at a time.
#pragma once

#include "src/core/changes.hpp"
#include "src/core/commands.hpp"
#include "src/deciders/settings.hpp"

#include <deque>
#include <set>
#include <unordered_map>
#include <unordered_set>

namespace reeve::deciders {

/// What a sweep would give back.
struct SweepReport {
  std::uint64_t leases = 0, idle_leases = 0, jobs = 0, job_tasks = 0, held_jobs = 0, nodes = 0,
                orphans = 0;
  std::string some_nodes, some_held; // the first few
  std::uint64_t history_rows = 0;    // past their retention, as far as they were counted
  bool more_history = false;         // there are more
  std::string history_trouble;       // why they could not be counted
  std::uint64_t journal_entries = 0; // since its snapshot: the next one takes their place
  [[nodiscard]] std::uint64_t things() const {
    return leases + idle_leases + jobs + held_jobs + nodes + orphans + history_rows;
  }
  /// "2 leases past their time, 120 finished jobs (of 4000 tasks)"; "nothing". A sweep takes
  /// nothing from the journal: what its snapshot will is told behind a semicolon, as is what could
  /// not be looked at.
  [[nodiscard]] std::string text() const;
};

/// The rules, with the defaults of `settings`: a lease ends at its time; a finished job is
/// forgotten after 1 h, or when those that finished after it have 100,000 tasks; a node that was
/// lost or has left is forgotten after a day. When the settings say so, a job that has been held
/// for long is cancelled, and a lease without an end taken back. At most `work_max` items of each
/// kind a call. What was asked for and is neither done nor refused is asked for again after 10 s.
class Sweeper {
public:
  static constexpr std::size_t work_max = 10'000;

  void reset(const core::Changes& changes);
  void apply(const core::Changes& changes);
  void refused(const core::Command& command, const Error& error);
  std::vector<core::Command> decide(TimePoint now);
  /// Everything at once, instead of the nodes every `sweep.every` only.
  std::vector<core::Command> sweep(TimePoint now);
  /// What is due now; asks for nothing.
  [[nodiscard]] SweepReport report(TimePoint now) const;

private:
  template<class Id> class Asked { // what was asked for, and since when
  public:
    bool may_ask(Id id, TimePoint now) {
      const auto [at, fresh] = since_.try_emplace(id, now);
      if (!fresh && now >= at->second && now - at->second < std::chrono::seconds(10))
        return false;
      at->second = now;
      return true;
    }
    void settled(Id id) { since_.erase(id); }

  private:
    std::map<Id, TimePoint> since_;
  };
  struct Ended {
    JobId job;
    TimePoint at;
    std::uint32_t tasks = 0;
  };
  void on(const core::NodeChanged& change);
  void on(const core::NodeForgotten& change);
  void on(const core::LeaseChanged& change);
  void on(const core::LeaseEnded& change);
  void on(const core::JobEnded& change);
  void on(const core::JobReopened& change);
  void on(const core::FlightChanged& change);
  void on(const core::ConfigUpdated& change);
  void on(const core::JobArrived& change) { held(change.job, change.held); }
  void on(const core::HoldChanged& change) { held(change.job, change.held); }
  void held(JobId job, bool is_held);
  template<class C> void on(const C&) {} // of no concern here

  void end_leases(TimePoint now, std::vector<core::Command>& commands);
  void forget_jobs(TimePoint now, std::vector<core::Command>& commands);
  void remove_nodes(TimePoint now, std::vector<core::Command>& commands);
  void free_orphans(std::vector<core::Command>& commands);
  void end_idle_leases(TimePoint now, std::vector<core::Command>& commands);
  void cancel_abandoned(TimePoint now, std::vector<core::Command>& commands);
  /// What is seen for the first time is dated.
  void date(TimePoint now);
  [[nodiscard]] bool job_is_due(const Ended& oldest, std::uint64_t tasks_left, TimePoint now) const;
  [[nodiscard]] static bool due(TimePoint since, Duration patience, TimePoint now) {
    return patience > Duration(0) && since != TimePoint{} && now - since >= patience;
  }

  Settings settings_ = settings_from({});
  std::map<LeaseId, TimePoint> leases_; // only those with an end
  std::set<std::pair<TimePoint, LeaseId>> lease_ends_;
  std::deque<Ended> ended_;              // oldest first
  std::map<JobId, unsigned> reopened_;   // so many of their entries in `ended_` are void
  std::uint64_t ended_tasks_ = 0;        // sum over `ended_`
  std::map<NodeId, TimePoint> away_;     // lost or gone, since when
  std::map<NodeId, std::string> names_;  // of those
  std::map<LeaseId, TimePoint> endless_; // leases without an end: since when, as seen here
  std::map<JobId, TimePoint> held_;      // since when, as seen here
  bool undated_ = false;
  std::unordered_map<NodeId, std::unordered_set<JobId>> in_flight_;
  Asked<LeaseId> asked_leases_;
  Asked<NodeId> asked_nodes_;
  bool unavailable_ = false;
  TimePoint ask_again_, next_sweep_;
};

} // namespace reeve::deciders
