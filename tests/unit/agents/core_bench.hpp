// An AgentCore with virtual time and a master played by the test. No sockets, no threads.
#pragma once

#include "agents/worker/agent_core.hpp"

#include <gtest/gtest.h>

namespace reeve::worker {

inline TimePoint at_ms(std::int64_t ms) {
  return TimePoint(std::chrono::hours(500'000)) + Duration(ms * 1'000);
}

inline Raw spec_of(const std::string& executor, std::int64_t cpu_milli = 0) {
  JobSpec spec;
  spec.executor = executor;
  spec.command = {"1000"};
  spec.resources.cpu_milli = cpu_milli;
  return Raw{encode(spec)};
}

inline AgentConfig config_of(std::int64_t cpu_milli = 4'000, std::size_t masters = 1) {
  AgentConfig config;
  config.name = "n1";
  config.incarnation = Incarnation(7);
  config.capacity.cpu_milli = cpu_milli;
  config.executors = {"process", "noop", "sleep"};
  for (std::size_t k = 0; k < masters; ++k)
    config.masters.push_back("tcp://m" + std::to_string(k));
  config.seed = 42;
  return config;
}

struct CoreBench {
  explicit CoreBench(AgentConfig config = config_of()) : core(std::move(config)) {}

  AgentCore core;
  TimePoint now = at_ms(0);
  std::vector<StartTasks> started;
  std::vector<StopRun> stopped;
  std::vector<AttemptId> released;
  std::vector<JobId> forgotten;
  std::vector<Send> sent;
  std::vector<Note> notes;
  std::uint64_t number = 0; // of the last Assign

  void step() {
    Actions actions;
    for (;;) {
      core.step(now, actions);
      if (actions.empty())
        return;
      move(actions.start, started);
      move(actions.stop, stopped);
      move(actions.release, released);
      move(actions.forget, forgotten);
      move(actions.send, sent);
      move(actions.notes, notes);
    }
  }
  void pass(std::int64_t ms) {
    now += Duration(ms * 1'000);
    step();
  }
  /// The messages of one type sent since the last call for any type.
  template<class M> std::vector<M> take() {
    std::vector<M> out;
    std::vector<Send> rest;
    for (Send& send : sent) {
      if constexpr (std::is_same_v<M, Results>) {
        if (auto* message = std::get_if<AgentResults::Message>(&send.message)) {
          out.push_back(**message);
          continue;
        }
      } else if (auto* message = std::get_if<M>(&send.message)) {
        out.push_back(std::move(*message));
        continue;
      }
      rest.push_back(std::move(send));
    }
    sent = std::move(rest);
    return out;
  }
  template<class M> void say(M message, std::uint64_t epoch = 1, std::size_t link = 0) {
    core.receive(link, Epoch(epoch), FromMaster(std::move(message)), now);
    step();
  }
  RegisterNode answer_registration(std::vector<JobRuns> stop = {}, std::uint64_t epoch = 1,
                                   std::size_t link = 0) {
    auto asked = take<RegisterNode>();
    if (asked.empty()) {
      ADD_FAILURE() << "the agent did not register";
      return {};
    }
    number = 0;
    say(Registered{NodeId(3), asked.back().session, std::chrono::seconds(1), std::move(stop)},
        epoch, link);
    return asked.back();
  }
  void join() {
    core.connected(0, now);
    step();
    answer_registration();
  }
  Assign work(std::uint64_t job, std::uint32_t slots, std::vector<TaskRun> runs,
              std::optional<Raw> spec = spec_of("sleep")) {
    Assign message;
    message.session = core.links()[0].session;
    message.number = ++number;
    if (spec)
      message.specs.push_back({JobId(job), *spec});
    message.jobs.push_back({JobId(job), slots, std::move(runs), {}, {}});
    return message;
  }
  void end_quietly(std::uint64_t job, TaskRun run) {
    core.finished({JobId(job), {{run, now, now}}, {}}, now);
    step();
  }
  void end(std::uint64_t job, TaskIndex index, Attempt attempt, Cause cause = Cause::none) {
    Finished done{JobId(job), {}, {}};
    done.tasks.emplace_back();
    done.tasks.back().result.index = index;
    done.tasks.back().result.attempt = attempt;
    done.tasks.back().result.cause = cause;
    done.tasks.back().result.stdout_bytes = 1;
    core.finished(std::move(done), now);
    step();
  }
  [[nodiscard]] bool noted(const std::string& part) const {
    return std::any_of(notes.begin(), notes.end(),
                       [&](const Note& note) { return note.text.find(part) != std::string::npos; });
  }

private:
  template<class T> static void move(std::vector<T>& from, std::vector<T>& to) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  }
};

inline std::vector<TaskRun> runs_of(const std::vector<StartTasks>& started) {
  std::vector<TaskRun> out;
  for (const StartTasks& start : started)
    out.push_back(start.run);
  return out;
}

} // namespace reeve::worker
