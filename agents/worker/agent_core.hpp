// What an agent does, without how: messages, endings of tasks and the time go in; messages to send
// and tasks to start or stop come out. Owned by the agent's loop and by the simulation. Has no
// socket, clock or thread; equal inputs give equal outputs. Obeys only the highest epoch it has
// seen.
#pragma once

#include "agents/worker/agent_results.hpp"
#include "agents/worker/agent_work.hpp"

namespace reeve::worker {

struct AgentConfig {
  std::string name;
  Incarnation incarnation; // the keeper's
  Resources capacity;
  std::map<std::string, std::string> labels;
  std::vector<std::string> executors;
  std::string program;
  bool pulls = false;               // takes work only when it asks
  std::vector<std::string> masters; // endpoints; a link each
  std::uint64_t seed = 0;           // of session numbers and jitter
  ResultsLimits results;
  Duration answer_after{3'000'000};  // a registration without an answer is repeated; doubles
  Duration answer_most{30'000'000};  // but not beyond this
  Duration silence_least{3'000'000}; // a master is not called silent before
};

/// What a master may send to an agent.
using FromMaster = std::variant<Registered, Assign, ResultsAck, StopTasks, Beacon, RegisterAgain,
                                LogRequest, Failed>;
/// What an agent sends to a master.
using ToMaster = std::variant<RegisterNode, Heartbeat, AgentResults::Message, Leave, Pull>;

struct Send {
  std::size_t link = 0;
  ToMaster message;
};

/// What has to be done now, in this order.
struct Actions {
  std::vector<StartTasks> start;
  std::vector<StopRun> stop;
  std::vector<AttemptId> release;  // exits that the keeper need not keep
  std::vector<JobId> forget;       // jobs whose specification is no longer needed
  std::vector<AssignedSpec> specs; // of processes, which outlive an agent: to be kept
  std::vector<Send> send;
  std::vector<std::size_t> registered; // links that are registered as of now
  std::vector<Note> notes;
  void clear();
  [[nodiscard]] bool empty() const;
};

enum class LinkState : std::uint8_t {
  down,
  registering,
  standby, // it does not lead; asked again now and then, and at once when it says that it does
  registered
};

/// One master, as the agent knows it.
struct Link {
  std::string endpoint;
  bool connected = false;
  LinkState state = LinkState::down;
  std::uint64_t session = 0;     // of the last RegisterNode
  std::uint64_t assign_seen = 0; // highest Assign.number without a gap
  NodeId node;
  Epoch epoch;
  Duration heartbeat{1'000'000};
  TimePoint heard, asked, next_heartbeat, retry_at, pulled;
  std::uint32_t unanswered = 0; // registrations in a row
  bool stale_noted = false;
  std::string trouble; // the last refusal
  std::optional<Beacon> beacon;
  TimePoint beacon_at;
  Duration beacon_gap{0}; // longest between two
};

class AgentCore {
public:
  explicit AgentCore(AgentConfig config);

  /// How many neighbouring tasks one slot of an executor may be handed at once; 1 unless set.
  void set_batch(const std::string& executor, std::uint32_t tasks) {
    work_.set_batch(executor, tasks);
  }
  /// What the machine uses now, for heartbeats.
  void set_used(Resources used) { used_ = std::move(used); }
  /// What the machine's own check says; empty: all is well. News goes out with the next heartbeat,
  /// which then is due at once.
  void set_trouble(const std::string& trouble, TimePoint now);

  // Before the first connection: what the keeper has from an earlier agent.
  void adopt_spec(JobId job, const Raw& spec) { work_.put_spec(job, spec); }
  void adopt(const AttemptId& id, Epoch epoch, std::vector<UnitShare> units = {});
  void adopt(JobId job, FinishedTask&& ended, Epoch epoch, TimePoint now);

  // Inputs. What follows from them comes out of the next `step`.
  void connected(std::size_t link, TimePoint now);
  void disconnected(std::size_t link, TimePoint now);
  void receive(std::size_t link, Epoch epoch, FromMaster&& message, TimePoint now);
  void finished(Finished&& done, TimePoint now);
  /// Takes no more work and ends all there is, to be tried elsewhere, with at most this grace.
  void stop(Duration grace_most, const std::string& reason, TimePoint now);
  /// Nothing runs, and every result is acknowledged.
  [[nodiscard]] bool settled() const { return work_.idle() && results_.empty(); }
  /// Says goodbye to every master that knows this node.
  void leave(const std::string& reason);

  /// Does what is due and hands out what has to be done.
  void step(TimePoint now, Actions& out);
  /// When `step` must be called, if nothing happens before.
  [[nodiscard]] std::optional<TimePoint> next_wake() const;

  /// True when a message of this epoch on this link is to be obeyed (log requests are answered
  /// outside). Notes the first stale one.
  bool obeys(std::size_t link, Epoch epoch);

  [[nodiscard]] const AgentConfig& config() const { return config_; }
  [[nodiscard]] const std::vector<Link>& links() const { return links_; }
  [[nodiscard]] const AgentWork& work() const { return work_; }
  [[nodiscard]] const AgentResults& results() const { return results_; }
  [[nodiscard]] Epoch epoch() const { return epoch_; }

private:
  void on(std::size_t link, Registered&& message, TimePoint now);
  void on(std::size_t link, Assign&& message, TimePoint now);
  void on(std::size_t link, ResultsAck&& message, TimePoint now);
  void on(std::size_t link, StopTasks&& message, TimePoint now);
  void on(std::size_t link, Beacon&& message, TimePoint now);
  void on(std::size_t link, RegisterAgain&& message, TimePoint now);
  void on(std::size_t link, LogRequest&& message, TimePoint now);
  void on(std::size_t link, Failed&& message, TimePoint now);

  void register_at(std::size_t link, TimePoint now);
  void check_link(std::size_t link, TimePoint now);
  void schedule_heartbeat(Link& link, TimePoint now);
  [[nodiscard]] Duration patience(const Link& link) const;
  [[nodiscard]] Duration silence(const Link& link) const;
  [[nodiscard]] std::optional<std::size_t> leader() const;
  void send_results(TimePoint now);
  void stop_orphans(TimePoint now);
  void pull();
  void note(NoteLevel level, std::string text);
  std::uint64_t random();

  AgentConfig config_;
  AgentWork work_;
  AgentResults results_;
  std::vector<Link> links_;
  Epoch epoch_;                       // highest seen
  std::optional<TimePoint> heard_;    // any master that is to be obeyed; none: not begun
  std::optional<TimePoint> orphaned_; // when the first task is, unless one is heard
  std::set<JobId> orphans_;           // jobs that were stopped for that since one was heard
  Resources used_;
  std::string trouble_;
  Actions actions_; // gathered since the last step
  std::uint64_t random_state_;
  bool resend_all_ = false;
  bool has_room_ = false; // a task has ended, or it has registered, since it last asked for work
};

/// "tasks[3].first: …" when a master's message is impossible; a reader must not act on such a one.
Result<void> validate(const FromMaster& message);

} // namespace reeve::worker
