// The ledger without its actor: takes commands and requests, decides and applies at once, and lets
// effects go when their entries are durable (group commit). Owned by the ledger actor and the
// simulator. Never reads a clock, never touches a socket or a disk.
//
//   request / wish ──► Cluster::execute ──► entries ──► take_batches() ──► the journal's writer
//                                            └► effects wait ◄── durable(seq) /
//                                            append_failed(error)
#pragma once

#include "src/core/cluster.hpp"
#include "src/journal/journal.hpp"
#include "src/ledger/effects.hpp"
#include "src/ledger/latency.hpp"
#include "src/ledger/waiters.hpp"

#include <deque>

namespace reeve::ledger {

/// SubmitJobs: specs have been validated and encoded by the gateway. Submit: a dry run.
using Request = std::variant<core::SubmitJobs, ActOnJobs, Wait, Allocate, Release, Renew,
                             ActOnNodes, SetConfig, GetConfig, ListJobs, ListTasks, ListNodes,
                             GetStats, GetMaster, ListLeases, ReadLog, Submit, Explain>;

struct Identity {
  std::string cluster, master, program;
  TimePoint started;
  std::map<std::string, std::string> defaults = {}; // of every run-time setting, to be shown
  std::string endpoint = {};                        // where other masters and clients reach it
};

/// Why the journal takes no entries at the moment.
struct Trouble {
  Error error;
  TimePoint since;
};

/// A wish that came to nothing, for the decider that had it.
struct RefusedWish {
  std::vector<core::RefusedPlacement> placements; // of a Place
  std::optional<Error> error;                     // of any other
};

class Ledger {
public:
  /// `cluster` as recovered from the journal, whose newest entry is `cluster.last_seq()`.
  Ledger(Identity identity, core::Cluster cluster);

  /// Starts a reign: appends EpochStarted. Returns the new epoch, which is above the cluster's and
  /// above `taken`, the highest that was ever acquired: a master may die between acquiring the
  /// journal and its first entry.
  Epoch begin(TimePoint now, Epoch taken = {});

  // ---- inputs
  void request(Peer peer, std::uint64_t correlation, const Request& request, TimePoint now);
  void register_node(Peer peer, std::uint64_t correlation, const RegisterNode& message,
                     Duration heartbeat, TimePoint now);
  /// Results of a bound node. Acknowledged (ResultsAck) when durable, duplicates too. While the
  /// journal fails they are dropped: the agent keeps them and sends them when it has registered
  /// again.
  void results(Peer peer, NodeId node, Results message, TimePoint now);
  void leave(NodeId node, const std::string& reason, TimePoint now);
  RefusedWish wish(const core::Command& command, TimePoint now);
  /// A peer cannot be reached any more: its waits end.
  void peer_gone(Peer peer);
  /// What heartbeats measured; shown in NodeView, part of no entry.
  void measured(NodeId node, const Resources& used, TimePoint heard);
  /// How many tasks run or wait on a node as it counts, heartbeat by heartbeat. When that has not
  /// been what is counted here, nor changed, for `disagree_for`, it is to register again: what one
  /// of the two has not is then given back or sent once more.
  void counted_there(NodeId node, std::uint64_t tasks, TimePoint heard);
  static constexpr Duration disagree_for = std::chrono::seconds(30);
  /// What a node's own check says, heartbeat by heartbeat: it drains the node and undrains it.
  void checked(NodeId node, const std::string& trouble, TimePoint now);
  /// All nodes that may be dead, as the watchdog sees it; shown in views, part of no entry.
  void suspect(std::vector<NodeId> nodes) { suspects_ = {nodes.begin(), nodes.end()}; }
  /// Progress for those who wait, waits that were not renewed; stops that may have been lost.
  void tick(TimePoint now);
  void send_beacon(TimePoint now);

  // ---- the journal's side
  /// Closed batches to append, in order; empty when there is nothing. After `append_failed` until
  /// `reload`: empty.
  std::vector<journal::Batch> take_batches();
  [[nodiscard]] bool has_batches() const;
  /// Everything up to `seq` is durable: its effects are released.
  void durable(Seq seq);
  /// Speculative state is worthless now: waiting effects become errors to whoever asked, and every
  /// command and question is refused with `error` until `reload`, but for GetMaster. Call `reload`
  /// with the cluster as the journal has it.
  void append_failed(const Error& error, TimePoint now);
  /// The cluster as the journal has it, while it still takes no entries: what only looks is
  /// answered out of it from now on.
  void show(core::Cluster cluster);
  /// Also starts accepting again. The deciders must be reset from `describe()`. Every node must
  /// register again: what was decided about its tasks may be void.
  void reload(core::Cluster cluster);
  [[nodiscard]] const std::optional<Trouble>& trouble() const { return trouble_; }

  // ---- outputs
  std::vector<Effect> take_effects();
  std::vector<core::CommittedPtr> take_committed();

  [[nodiscard]] const core::Cluster& cluster() const { return cluster_; }
  [[nodiscard]] Seq durable_seq() const { return durable_; }
  [[nodiscard]] std::size_t
  undurable() const; // entries decided and not yet durable: the gateway's measure for Busy
  void note_snapshot(Seq seq) { snapshot_ = seq; }
  /// Durable entries that the newest snapshot does not hold.
  [[nodiscard]] std::uint64_t since_snapshot() const { return durable_.value - snapshot_.value; }
  void note_journal(std::string health) { journal_health_ = std::move(health); }
  /// How long ago the shared journal last confirmed the reign.
  void note_confirmed(Duration ago) { confirmed_ = ago; }
  void count(const std::string& name, std::int64_t value) {
    counters_[name] = value;
  } // shown by stats
  /// The same for what was measured elsewhere: the whole, not what is new.
  void count(const std::string& name, Histogram value) { histograms_[name] = std::move(value); }

private:
  struct Measured {
    Resources used;
    TimePoint heard;
  };
  struct Waiting {
    Seq after; // released when this is durable
    Effect effect;
  };

  core::Outcome execute(const core::Command& command, TimePoint now);
  void after_changes(std::size_t first_change);
  void effect(Effect effect);
  template<class M> void reply(Peer peer, std::uint64_t correlation, const M& message) {
    effect(ToPeer{peer, M::type, correlation, encode(message)});
  }
  void reply_error(Peer peer, std::uint64_t correlation, const Error& error,
                   Duration retry_after = {});
  void done(Peer peer, std::uint64_t correlation, std::uint64_t changed);
  void answer(std::vector<Waiters::Answer> answers);
  /// Nothing: the job is not held here.
  [[nodiscard]] std::optional<JobProgress> progress_of(JobId job) const;
  void dispatch(const Placement& placement, std::uint32_t slots, bool with_spec);
  void unbind(NodeId node, const std::string& reason);
  void tell_stops_again(TimePoint now);
  /// False: there is nothing to stop.
  bool tell_stops(NodeId node, std::vector<JobRuns> cancel, std::vector<JobRuns> move);
  void close_batch();
  void measure(const core::Committed& batch);
  [[nodiscard]] Beacon make_beacon(TimePoint now) const;

  void handle(Peer, std::uint64_t, const core::SubmitJobs&, TimePoint);
  void handle(Peer, std::uint64_t, const ActOnJobs&, TimePoint);
  void handle(Peer, std::uint64_t, const Wait&, TimePoint);
  void handle(Peer, std::uint64_t, const Allocate&, TimePoint);
  void handle(Peer, std::uint64_t, const Release&, TimePoint);
  void handle(Peer, std::uint64_t, const Renew&, TimePoint);
  void handle(Peer, std::uint64_t, const ActOnNodes&, TimePoint);
  void handle(Peer, std::uint64_t, const SetConfig&, TimePoint);
  void handle(Peer, std::uint64_t, const GetConfig&, TimePoint);
  void handle(Peer, std::uint64_t, const ListJobs&, TimePoint);
  void handle(Peer, std::uint64_t, const ListTasks&, TimePoint);
  void handle(Peer, std::uint64_t, const ListNodes&, TimePoint);
  void handle(Peer, std::uint64_t, const GetStats&, TimePoint);
  void handle(Peer, std::uint64_t, const GetMaster&, TimePoint);
  void handle(Peer, std::uint64_t, const ListLeases&, TimePoint);
  void handle(Peer, std::uint64_t, const ReadLog&, TimePoint);
  void handle(Peer, std::uint64_t, const Submit&, TimePoint);
  void handle(Peer, std::uint64_t, const Explain&, TimePoint);

  Identity identity_;
  core::Cluster cluster_;
  Seq durable_, snapshot_;
  std::string journal_health_ = "healthy";
  Duration confirmed_{0};
  std::optional<Trouble> trouble_;
  bool readable_ = false; // in trouble: the cluster is what the journal has

  core::Committed open_;      // entries decided since the last batch was closed
  journal::Batch open_batch_; // the same, encoded
  std::size_t open_bytes_ = 0;
  std::vector<journal::Batch> closed_;     // not yet taken by the writer
  std::deque<core::CommittedPtr> pending_; // closed, not yet durable
  std::deque<Waiting> waiting_;
  std::vector<Effect> released_;
  std::vector<core::CommittedPtr> committed_;
  Waiters waiters_;
  std::map<NodeId, Measured> measured_;
  struct Disagreement {
    std::uint64_t here = 0, there = 0;
    TimePoint since;
  };
  std::map<NodeId, Disagreement> disagreements_;
  std::set<NodeId> suspects_;
  std::map<NodeId, Peer> bound_; // which connection is the node's, as far as the ledger knows
  std::map<NodeId, TimePoint> stopping_; // nodes that were told to stop tasks, and when last
  std::optional<Beacon> told_;           // the newest beacon: repeated while the journal fails
  std::map<std::string, std::int64_t> counters_;
  std::map<std::string, Histogram> histograms_;
  Latency submit_to_placed_, submit_to_start_, heartbeat_gap_;
};

} // namespace reeve::ledger
