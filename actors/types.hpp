// What actors say to each other, and where each of them is. Batches travel as one pointer: a Parcel
// has one receiver, who may take its content; what several receive is shared and const. Nothing
// here leaves the process, so nothing is serialised.
#pragma once

#include "actors/revive.hpp"
#include "src/deciders/sweeper.hpp"
#include "src/gateway/gateway.hpp"
#include "src/ledger/writer.hpp"
#include "src/sched/estimate.hpp"

#include <caf/all.hpp>

namespace reeve::actors {

/// A message for one receiver, who takes the content out. Copies share it.
template<class T> class Parcel {
public:
  Parcel() = default;
  explicit Parcel(T content) : content_(std::make_shared<T>(std::move(content))) {}
  [[nodiscard]] T take() const { return std::move(*content_); }

private:
  std::shared_ptr<T> content_;
};

// ---- gateway
struct Frames {
  std::vector<net::Message> messages;
  std::size_t bytes = 0;
};
struct GonePeer {
  gateway::Peer peer = 0;
  std::string reason;
};
struct Effects {
  std::vector<ledger::Effect> effects;
};

// ---- from the gateway
struct LedgerMail {
  std::vector<gateway::ForLedger> items;
};
struct RegistryMail {
  std::vector<gateway::ForRegistry> items;
};
struct WatchdogMail {
  std::vector<gateway::ForWatchdog> items;
};
struct ArchivistMail {
  std::vector<gateway::ForArchivist> items;
};
struct SweeperMail {
  std::vector<gateway::SweepAsked> items;
};
struct RecoveryMail {
  std::vector<gateway::Measured> beats;
};
struct SchedulerMail {
  std::vector<gateway::ForScheduler> items;
};

/// What a sweep gives back: from the sweeper to the ledger, which adds the journal, to the
/// archivist, which adds the history and answers.
struct Swept {
  gateway::Origin from;
  bool dry_run = false;
  deciders::SweepReport report;
};

// ---- ledger
struct CheckedRegistration { // from the registry
  gateway::Registration registration;
  Duration heartbeat{0};
};
struct Wishes { // from a decider; refusals go back to the sender
  std::vector<core::Command> commands;
};
struct AppendReport { // from the writer's thread
  ledger::Writer::Report report;
};
struct ReviveReport { // from the writer's thread
  Result<Revival> outcome;
};
struct Readable { // from the writer's thread: the cluster as the failing journal has it
  Result<ledger::Recovered> outcome;
};
struct Released { // from the writer's thread: the reign was given up
  Result<void> outcome;
};
struct SnapshotReader { // from the writer's thread: a way to read the journal beside it
  std::unique_ptr<journal::Journal> journal;
};
struct SnapshotReport { // from the snapshot's thread
  Result<journal::Snapshot> outcome;
};

// ---- to the deciders, the publisher and the archivist
struct Described { // the whole state: build your view from it
  std::shared_ptr<const core::Changes> changes;
  Seq seq;
};
struct Refused {
  std::shared_ptr<const ledger::RefusedWish> wish;
  std::shared_ptr<const core::Command> command; // what was wished, when it was refused whole
};
/// From the watchdog, whenever it changes: every node that may be dead. No new work goes there.
struct Suspicion {
  std::vector<NodeId> nodes; // in id order
};

struct Counted { // numbers for `stats`
  std::map<std::string, std::int64_t> values;
  std::map<std::string, Histogram> histograms = {};
};

struct Remembered { // from the history: how long tasks took before this master began
  std::vector<sched::RunTime> past;
};

// ---- archivist
struct Settle { // request, answered with done: everything up to `seq` is in the history for good
  Seq seq;
};
struct Settled { // from the recorder's thread
  std::uint64_t request = 0;
  Result<void> outcome;
};

// ---- publisher
struct News { // what has become durable since the last ones
  std::vector<core::CommittedPtr> batches;
};
struct Subscribed {
  std::string topic;
  bool begins = true; // else it is over
};

} // namespace reeve::actors

namespace caf {
template<class T> struct allowed_unsafe_message_type<reeve::actors::Parcel<T>> : std::true_type {};
} // namespace caf
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reeve::core::CommittedPtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reeve::actors::Described)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reeve::actors::Refused)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(reeve::Epoch)

namespace reeve::actors {
// At most 10 characters each.
using start_atom = caf::atom_constant<caf::atom("start")>;
using tick_atom = caf::atom_constant<caf::atom("tick")>;
using second_atom = caf::atom_constant<caf::atom("second")>;
using revive_atom = caf::atom_constant<caf::atom("revive")>;
using think_atom = caf::atom_constant<caf::atom("think")>;
using gone_atom = caf::atom_constant<caf::atom("gone")>;
using stop_atom = caf::atom_constant<caf::atom("stop")>;
using news_atom = caf::atom_constant<caf::atom("news")>;
using done_atom = caf::atom_constant<caf::atom("done")>;

/// Where everybody is. Filled in before `start` is sent, never changed while actors run.
struct Directory {
  caf::actor gateway, ledger, registry, watchdog, scheduler, recovery, sweeper, publisher,
    archivist;
};
using DirectoryPtr = std::shared_ptr<Directory>;

} // namespace reeve::actors
