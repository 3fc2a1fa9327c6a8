// What leaves the master because of an entry, or as the answer to a question. Made by the ledger,
// released once everything it depends on is durable, carried out by the gateway and the archivist.
// Plain data.
#pragma once

#include "messages/protocol.hpp"

namespace reeve::ledger {

/// The gateway's name for a connection: its routing id as a number. 0: nobody.
using Peer = std::uint64_t;

struct ToPeer { // one message
  Peer peer = 0;
  MessageType type = MessageType::failed;
  std::uint64_t correlation = 0;
  std::string body;
};
inline Failed failed(const Error& error, Duration retry_after = {}) {
  Failed message;
  message.code = error.code;
  message.field = error.field;
  message.text = error.text;
  message.retry_after = retry_after;
  return message;
}
inline ToPeer refusal(Peer peer, std::uint64_t correlation, const Error& error,
                      Duration retry_after = {}) {
  return {peer, MessageType::failed, correlation, encode(failed(error, retry_after))};
}
/// A node has registered: from now on the peer is that node's only connection and Assign numbers
/// start at 1 again. The gateway sends `reply`, and forgets the node's former peer.
struct NodeBound {
  Peer peer = 0;
  std::uint64_t correlation = 0;
  std::uint64_t session = 0;
  Incarnation incarnation;
  Registered reply;
};
/// The node is lost, gone or forgotten: its peer is nobody until it registers again; the gateway
/// answers its frames with RegisterAgain.
struct NodeUnbound {
  NodeId node;
  std::string reason;
};
/// Work for a node; the gateway gathers what it has for a node into numbered Assign messages.
/// Dropped when the node is not bound: it is sent again when the node registers.
struct AssignToNode {
  NodeId node;
  std::optional<AssignedSpec> spec;
  AssignedJob job;
};
struct StopOnNode {
  NodeId node;
  JobRuns tasks;
  std::string reason;
  bool move = false; // they will run again elsewhere
};
struct ToAllNodes { // the gateway fills in `state` and `draining` of each reader from `states`
  Beacon beacon;
  std::map<NodeId, std::pair<NodeState, bool>> states; // only those that are not simply up
};
/// The gateway asks the node and passes the answer to the peer. On no answer, or node 0, it asks
/// the archivist.
struct AskForLog {
  Peer peer = 0;
  std::uint64_t correlation = 0;
  NodeId node;
  ReadLog log; // attempt filled in
};
/// The archivist adds results of finished tasks to the list, then answers the peer.
struct CompleteTasks {
  Peer peer = 0;
  std::uint64_t correlation = 0;
  TaskList list;
};
/// The archivist adds how those jobs ended that have no total, as they are forgotten here, then
/// answers the peer.
struct CompleteProgress {
  Peer peer = 0;
  std::uint64_t correlation = 0;
  Progress progress;
};

/// A dry run of jobs that could be submitted.
struct DryRun {
  std::vector<JobSpec> jobs;
  std::vector<std::string> waits; // what each waits for of other jobs; empty: nothing
};
/// The scheduler answers the peer.
struct AskScheduler {
  Peer peer = 0;
  std::uint64_t correlation = 0;
  std::variant<Explain, DryRun> question;
};

using Effect = std::variant<ToPeer, NodeBound, NodeUnbound, AssignToNode, StopOnNode, ToAllNodes,
                            AskForLog, CompleteTasks, CompleteProgress, AskScheduler>;

} // namespace reeve::ledger
