// A virtual machine with an agent: the real AgentCore, codecs and simple executors, joined as
// AgentLoop joins them, and a keeper whose processes are only virtual. Agent and keeper die
// together or apart. Owned by the simulation.
#pragma once

#include "agents/worker/agent_wire.hpp"
#include "agents/worker/executor_simple.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/truth.hpp"

#include <memory>

namespace reeve::sim {

struct Machine {
  std::string name;
  Resources capacity;
  std::map<std::string, std::string> labels;
  Clock clock;
  std::uint64_t seed = 0;
};

/// What a virtual process does is written in its job's command: {microseconds, how, number}.
/// how: `ok`; `fail` (exit code 1) or `signal` up to try `number`; `hang` (until it is stopped).
std::vector<std::string> behaviour(Duration length, std::string how, std::uint32_t number = 0);

class Keeper final : public Process {
public:
  Keeper(Timeline& timeline, Truth& truth, const Machine& machine);
  void start();
  /// The machine loses its power: processes, records and all.
  void crash();
  /// It dies, and the next one ends what it ran and tells of everything.
  void replace();

  struct Running {
    Epoch epoch;
    Resources resources;
    std::vector<worker::UnitShare> units;
    TimePoint started;
    bool stopping = false;
  };
  void run(worker::StartTasks&& tasks);
  void stop(const worker::StopRun& run);
  void release(const AttemptId& id) { ended.erase(id); }

  Incarnation incarnation;
  std::map<AttemptId, Running> running;
  std::map<AttemptId, std::pair<worker::FinishedTask, Epoch>> ended; // until released
  std::vector<AttemptId> untold; // of `ended`: the agent has not been told
  std::map<JobId, Raw> specs;
  Work on_end;
  bool honest = true;

private:
  void end(const AttemptId& id, Cause cause, std::int32_t code, const std::string& text);
  void end_after(Duration wait, const AttemptId& id, Cause cause, std::int32_t code,
                 const std::string& text);
  [[nodiscard]] Truth::Place place() const;

  Truth& truth_;
  const Machine& machine_;
  Random random_;
};

class Agent final : public Process {
public:
  Agent(Timeline& timeline, Network& network, Truth& truth, Machine machine,
        std::size_t masters = 1);

  /// Starts what does not run: the keeper too.
  void start();
  /// The agent dies, its tasks run on.
  void crash();
  /// Both die.
  void crash_machine();
  /// The keeper dies; agent and keeper start anew, on its records.
  void crash_keeper();
  /// An orderly end, as by SIGTERM.
  void leave();
  /// Something untrue, well formed or not. From now on nothing that happens here proves a fault.
  void lie(Random& random);
  void repent() { keeper_.honest = true; }
  [[nodiscard]] bool honest() const { return keeper_.honest; }
  Clock& clock() { return machine_.clock; }
  [[nodiscard]] const std::string& name() const { return machine_.name; }
  /// Its end of the connection to a master.
  [[nodiscard]] std::size_t host(std::size_t master) const { return links_[master].host; }
  void hang_up();
  /// Nothing runs, nothing is kept.
  [[nodiscard]] bool empty() const;
  [[nodiscard]] bool left() const { return left_; }
  [[nodiscard]] std::string state() const;

private:
  struct Link final : Dialer {
    Link(Agent& whose, std::size_t which) : agent(whose), number(which) {}
    [[nodiscard]] bool can_connect() const override { return agent.runs(); }
    void on_connected() override { agent.on_connected(number); }
    void on_disconnected() override { agent.on_disconnected(number); }
    void on_frame(const Frame& frame) override { agent.on_frame(number, frame); }
    Agent& agent;
    std::size_t number, host = 0;
  };
  void on_connected(std::size_t link);
  void on_disconnected(std::size_t link);
  void on_frame(std::size_t link, const Frame& frame);
  [[nodiscard]] worker::Now now() const;
  void adopt();
  void act();
  void collect();
  void perform(worker::Actions& actions);
  void perform_tasks(worker::Actions& actions);
  void note_sent(const Results& message);
  void check_ack(const worker::Incoming& incoming);
  void wake();
  void end_if_done();
  void say_goodbye();

  Network& network_;
  Truth& truth_;
  Machine machine_;
  std::deque<Link> links_; // one to each master
  Random random_;
  Keeper keeper_;
  std::unique_ptr<worker::AgentCore> core_;
  std::unique_ptr<worker::NoopExecutor> noop_;
  std::unique_ptr<worker::SleepExecutor> sleep_;
  worker::Actions actions_;
  std::map<std::uint64_t, std::vector<JobRuns>> sent_; // results by message number
  std::map<AttemptId, Resources> sleeping_;            // virtual tasks of the real executors
  TimePoint wakes_{};
  bool leaving_ = false, left_ = false;
};

} // namespace reeve::sim
