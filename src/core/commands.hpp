// Commands: wishes that the ledger may refuse. Sent by the deciders and, through the gateway, by
// clients and agents. A wish that has the shape of the fact it asks for is that type under another
// name. Plain data; no I/O, no clock.
#pragma once

#include "messages/entries.hpp"

#include <set>

namespace reeve::core {

using BeginEpoch = EpochStarted;
/// `node` is ignored: the ledger knows the name or gives a new id. Nothing is journalled when all
/// is as it was.
using RegisterNode = NodeRegistered;
using MarkLost = NodesLost; // nodes that are not up are left out
using RemoveNodes = NodesRemoved;
using Place = TasksPlaced; // each placement is judged by itself
using Finish =
  TasksFinished; // results of attempts that are not in flight on that node are left out
using Requeue = TasksRequeued;
using GiveUp = TasksGivenUp;
using Cancel = TasksCancelled;
using Retry = TasksRetried;
using Hold = JobHeld;
using Forget = JobsForgotten;
using EndLeases = LeasesEnded;
using ChangeConfig = ConfigChanged;
using Preempt = TasksPreempted; // attempts that are not in flight there are left out
using Tune = NodeTuned;
using Quarantine = NodesQuarantined;
using Flag = NodeFlagged;
/// Nothing is journalled when it was kept, or broken, before.
using JudgePromise = PromiseJudged;

struct DrainNodes { // or undrain
  std::vector<std::string> nodes;
  bool drain = true;
  std::string reason;
  std::optional<Duration> deadline = {}; // what still runs after so long is moved away
};
/// What a node's own check script found. Empty: all is well, and a drain that it asked for ends.
struct CheckNode {
  NodeId node;
  std::string trouble;
};
/// Moves what a job has in flight on a node away from there.
struct MoveOff {
  NodeId node;
  JobId job;
  bool gently = true; // only if it has a checkpoint signal and may be preempted
  std::string reason;
};
/// Those of a job's tasks that are in flight on a lost node, for which it has been waited.
struct Abandon {
  NodeId node;
  JobId job;
  std::string reason;
};
struct QuarantineNodes { // by an operator; duration 0: lift it
  std::vector<std::string> nodes;
  Duration duration{0};
  std::string reason;
};
struct LabelNodes {
  std::vector<std::string> nodes;
  std::map<std::string, std::string> labels;
};
struct SubmitJobs { // specs have passed validate(); one Raw (a JobSpec map) each
  Bytes key;
  std::vector<Raw> specs;
};
struct GrantLease {
  std::string node; // empty: any node with room, the one with the most of it, but none of `not_on`
  std::string owner;
  Resources resources;
  Duration duration{0};
  Bytes key;
  std::string queue = {};
  std::vector<Limit> limits = {};
  std::set<NodeId> not_on = {};
};
struct RenewLease {
  LeaseId lease;
  Duration duration{0};
};
struct ReleaseLeases {
  LeaseId lease;
  std::string node, owner;
};

using Command =
  std::variant<BeginEpoch, RegisterNode, MarkLost, DrainNodes, LabelNodes, RemoveNodes, SubmitJobs,
               Place, Finish, Requeue, GiveUp, Cancel, Retry, Hold, Forget, GrantLease, RenewLease,
               ReleaseLeases, EndLeases, ChangeConfig, Preempt, Tune, Quarantine, QuarantineNodes,
               CheckNode, Flag, MoveOff, JudgePromise, Abandon>;

} // namespace reeve::core
