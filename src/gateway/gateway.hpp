// The gateway without its actor: hostile frames in, checked and sorted messages out; effects in,
// frames out. Decides nothing about the cluster. Owned by the gateway actor. Knows no socket and no
// clock; never throws, whatever the bytes are.
#pragma once

#include "src/gateway/logs.hpp"
#include "src/gateway/peers.hpp"
#include "src/gateway/sessions.hpp"

namespace reeve::gateway {

struct Greeting { // what Hello is answered with
  std::string cluster, master, program, events;
};

/// How much waits elsewhere; see `Limits`.
struct Pressure {
  std::uint64_t queued = 0;    // handed to the ledger, not yet looked at
  std::uint64_t undurable = 0; // decided, not yet durable
  bool full = false;           // the journal has little room left: no more jobs
  bool crowded = false;        // the process has as much memory as it may: no more jobs
  bool in_doubt = false;       // another master may reign by now: nothing is answered
};
struct Limits {
  std::uint32_t outstanding_of_peer = 10'000;
  std::uint64_t queued = 200'000, undurable = 200'000;
  Duration retry_after = std::chrono::milliseconds(100);
};

class Gateway {
public:
  explicit Gateway(Greeting greeting, Limits limits = {});

  /// The epoch that headers carry from now on.
  void set_epoch(Epoch epoch) { epoch_ = epoch; }
  /// No client request is taken any more: Failed{unavailable}.
  void stop_requests() { stopping_ = true; }

  void on_messages(std::vector<net::Message> messages, Pressure pressure, TimePoint now,
                   Outbox& out);
  void on_effects(std::vector<ledger::Effect> effects, TimePoint now, Outbox& out);
  void on_gone(Peer peer, TimePoint now, Outbox& out);
  /// Log requests that were not answered, peers that went away unseen. About once a second.
  void tick(TimePoint now, Outbox& out);

  struct Counters {
    std::int64_t bad_messages = 0, busy = 0, register_again = 0, bound_nodes = 0, peers = 0;
  };
  [[nodiscard]] Counters counters() const;

private:
  struct Call { // one message while it is looked at
    Peer peer = 0;
    Header header;
    std::string_view body;
    TimePoint now;
    Outbox& out;
    [[nodiscard]] Origin origin() const { return {peer, header.correlation}; }
  };

  void on_message(Peer peer, std::string_view header, std::string_view body, bool bundled,
                  TimePoint now, Outbox& out);
  void on_bundle(const Call& call);
  /// Several messages for a peer that understands bundles become one.
  void bundle(Outbox& out);
  void on_known_version(const Call& call);
  template<class M> void take(const Call& call);
  template<class M> void ask_ledger(const Call& call, M message);

  void handle(const Call& call, Hello message);
  void handle(const Call& call, Submit message);
  void handle(const Call& call, ActOnJobs message);
  void handle(const Call& call, Wait message);
  void handle(const Call& call, Allocate message);
  void handle(const Call& call, ActOnNodes message);
  void handle(const Call& call, SetConfig message);
  void handle(const Call& call, Step message);
  void handle(const Call& call, SetLogLevel message);
  void handle(const Call& call, QueryHistory message);
  template<class M>
  void handle(const Call& call, M message); // everything else goes to the ledger as it is

  void handle(const Call& call, RegisterNode message);
  void handle(const Call& call, Heartbeat message);
  void handle(const Call& call, Results message);
  void handle(const Call& call, LogReply message);
  void handle(const Call& call, Leave message);
  void handle(const Call& call, Pull message);

  /// The node's session if this peer may speak for it; else tells the agent to register again.
  Session* session_for(const Call& call, std::uint64_t session);
  /// False: the request was answered with busy or unavailable, or repeats one that awaits its
  /// answer.
  bool admit(const Call& call);
  [[nodiscard]] const char* too_busy(const Call& call, const PeerState& peer) const;
  void register_again(Peer peer, const std::string& reason, TimePoint now, Outbox& out);
  void refuse(const Call& call, const Error& error, Duration retry_after = {});

  template<class M>
  void send(Peer peer, const M& message, std::uint64_t correlation, Outbox& out) const;
  void send_encoded(Peer peer, MessageType type, std::uint64_t correlation, std::string body,
                    Outbox& out) const;
  void send_acks(Outbox& out);
  void send_assigns(Session& session, Outbox& out);

  void carry_out(ledger::ToPeer effect, TimePoint now, Outbox& out);
  void carry_out(ledger::NodeBound effect, TimePoint now, Outbox& out);
  void carry_out(ledger::NodeUnbound effect, TimePoint now, Outbox& out);
  void carry_out(ledger::AssignToNode effect, TimePoint now, Outbox& out);
  void carry_out(ledger::StopOnNode effect, TimePoint now, Outbox& out);
  void carry_out(ledger::ToAllNodes effect, TimePoint now, Outbox& out);
  void carry_out(ledger::AskForLog effect, TimePoint now, Outbox& out);
  void carry_out(ledger::CompleteTasks effect, TimePoint now, Outbox& out);
  void carry_out(ledger::CompleteProgress effect, TimePoint now, Outbox& out);
  void carry_out(ledger::AskScheduler effect, TimePoint now, Outbox& out);

  Greeting greeting_;
  Limits limits_;
  Epoch epoch_;
  bool stopping_ = false;
  Pressure pressure_;
  Peers peers_;
  Sessions sessions_;
  LogRequests logs_;
  std::set<NodeId> gathered_;   // nodes with work in `gathering`
  std::vector<Assign> assigns_; // scratch
  /// Of results: sent behind the work that was given before them. A worker forgets a job's
  /// specification with the acknowledgement of its last task.
  std::vector<ledger::ToPeer> acks_;
  Counters counters_;
};

template<class M>
void Gateway::send(Peer peer, const M& message, std::uint64_t correlation, Outbox& out) const {
  send_encoded(peer, M::type, correlation, encode(message), out);
}

} // namespace reeve::gateway
