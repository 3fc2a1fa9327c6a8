// What the gateway core hands out: checked messages, sorted by who works on them. Plain data.
#pragma once

#include "src/ledger/ledger.hpp"
#include "src/net/server.hpp"

namespace reeve::gateway {

using ledger::Peer;

/// Who asked, so that an answer finds its way back.
struct Origin {
  Peer peer = 0;
  std::uint64_t correlation = 0;
};

// ---- to the ledger, in the order of arrival
struct Asked {
  Origin from;
  ledger::Request request;
};
struct GotResults {
  Peer peer = 0;
  NodeId node;
  Results results;
};
struct Left {
  NodeId node;
  std::string reason;
};
struct PeerGone {
  Peer peer = 0;
};
struct Stepped { // a master action
  Origin from;
  MasterAction action = MasterAction::snapshot;
};
struct Measured {
  NodeId node;
  Resources used;
  TimePoint heard;
  std::string trouble = {}; // of the node's own check
  std::uint64_t tasks = 0;  // that run or wait there, as the node counts
};
using ForLedger = std::variant<Asked, GotResults, Left, PeerGone, Stepped, Measured>;

// ---- to the registry
struct Registration {
  Origin from;
  RegisterNode message;
};
using ForRegistry = std::variant<Registration, Asked>; // Asked: ActOnNodes or SetConfig

// ---- to the watchdog
struct Beat { // any sign of life of a bound node
  NodeId node;
  TimePoint heard;
};
struct Disconnected {
  NodeId node;
};
using ForWatchdog = std::variant<Beat, Disconnected>;

// ---- to the archivist
struct LogWanted { // the node could not be asked: `why`
  ReadLog log;
  Error why;
  NodeId asked = {}; // the node that could not answer; 0: none was asked
};
struct ForArchivist {
  using Question = std::variant<QueryHistory, LogWanted, TaskList, Progress>;
  template<class Q>
  ForArchivist(Origin asker, Q asked)
      : from(asker), question(std::move(asked)) {} // clang 14 emplaces no aggregates
  Origin from;
  Question question;
};

// ---- to the scheduler
struct Pulled { // a node asks for work; nobody waits for an answer
  NodeId node;
};
struct ForScheduler {
  using Question =
    std::variant<Explain, ledger::DryRun, Allocate, Pulled, Measured>; // Allocate: to be checked
  Origin from;
  Question question;
};

// ---- to the sweeper
struct SweepAsked {
  Origin from;
  bool dry_run = false;
};

struct Outbox {
  std::vector<ForLedger> ledger;
  std::vector<ForRegistry> registry;
  std::vector<ForWatchdog> watchdog;
  std::vector<ForArchivist> archivist;
  std::vector<ForScheduler> scheduler;
  std::vector<Measured> recovery;
  std::vector<SweepAsked> sweeper;
  std::vector<net::Message> send;
  std::string log_level; // of this program from now on; empty: as it was
};

} // namespace reeve::gateway
