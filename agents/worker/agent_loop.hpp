// One thread that joins everything: master sockets, keeper, executors, timers, signals and the
// control socket around AgentCore. Created and run by agent_main. Must never block, except while it
// starts or replaces a keeper.
#pragma once

#include "agents/worker/agent_control.hpp"
#include "agents/worker/agent_core.hpp"
#include "agents/worker/agent_machine.hpp"
#include "agents/worker/agent_specs.hpp"
#include "agents/worker/check_script.hpp"
#include "agents/worker/executor_functions.hpp"
#include "agents/worker/executor_process.hpp"
#include "agents/worker/executor_simple.hpp"
#include "src/net/dealer.hpp"

#include <functional>
#include <memory>

namespace reeve::worker {

struct AgentOptions {
  std::vector<std::string> masters; // endpoints
  std::string name, dir, program;
  Resources capacity;
  std::map<std::string, std::string> labels;
  bool pulls = false;                      // takes work only when it asks
  std::vector<std::string> keeper_command; // starts the keeper of `dir`
  std::map<std::string, Function> functions;
  CheckOptions check;              // of this machine
  Duration status_interval{0};     // a line in the log; 0: none
  Duration grace_most{30'000'000}; // of tasks that are stopped with the agent
  Duration keep_outputs =
    std::chrono::hours(30 * 24); // of ended tasks; 0: as long as there is room
  std::function<void(const std::string& endpoint, NodeId node)> on_registered;
};

/// How a loop ended.
enum class LoopEnd {
  stopped,    // tasks, keeper and all
  kept,       // the agent alone; tasks run on
  keeper_lost // start over: a new keeper has a new incarnation
};

class AgentLoop {
public:
  /// Finds or starts the keeper, adopts what it has, starts connecting. `signals`: a signalfd of
  /// SIGTERM, SIGINT and SIGUSR2. Errors: of the keeper, io, bad_field (an endpoint).
  static Result<std::unique_ptr<AgentLoop>> create(AgentOptions options, ControlServer& control,
                                                   int signals);
  ~AgentLoop();

  LoopEnd run();

private:
  AgentLoop(AgentOptions options, ControlServer& control, int signals, KeeperClient&& keeper);

  Result<void> open_links();
  void adopt(const KeeperClient& client, const SpecLog& specs);
  void wait();
  void read_links();
  void read_frame(std::size_t link, const net::Frames& frames);
  void read_signals();
  void answer_log(std::size_t link, const LogRequest& request);
  void collect();
  void finished(Finished done, TimePoint at);
  void recover_keeper(const Error& why);
  void act(); // steps the core until there is nothing left to do
  void perform(Actions& actions);
  void perform_tasks(Actions& actions);
  void measure();
  std::string sweep(bool dry_run);
  void check_end();
  void begin_stop(const std::string& reason);
  void end(LoopEnd how);
  void stop_keeper();
  [[nodiscard]] ControlServer::Answer control(std::string_view command);
  [[nodiscard]] std::string attempt_text(std::string_view asked) const;
  [[nodiscard]] Executor* executor_of(const JobSpec* spec);
  [[nodiscard]] std::optional<TimePoint> next_wake() const;
  [[nodiscard]] Now now() const;

  AgentOptions options_;
  ControlServer& control_;
  int signals_, timer_ = -1;
  TimePoint wall_start_;
  std::chrono::steady_clock::time_point steady_start_;
  zmq::context_t context_{1};
  std::vector<net::Dealer> dealers_; // one a link
  ProcessExecutor process_;
  NoopExecutor noop_;
  SleepExecutor sleep_;
  FunctionExecutor functions_;
  std::optional<SpecLog> specs_;
  std::unique_ptr<AgentCore> core_;
  MachineUse machine_;
  CheckScript check_;
  std::string stuck_; // a task that does not die, in words
  Actions actions_;   // reused
  std::vector<Finished> ended_;
  TimePoint measure_at_, status_at_, sweep_at_;
  std::optional<TimePoint> stop_by_, results_by_; // while stopping
  std::optional<LoopEnd> end_;
};

/// The agent's state for `reeve-agent status`, as JSON with "v":1.
std::string status_json(const AgentCore& core, const std::string& dir, TimePoint now, bool pretty);
/// The same for a reader on a terminal, made from that JSON. Errors: bad_message.
Result<std::string> status_text(std::string_view json);

} // namespace reeve::worker
