// The life of tasks in the keeper: start, capture, limits, stop, end, and the exits that wait for
// release. Owned by the keeper's loop, which brings it events and the time. Must never tell an exit
// while a process of that attempt is left.
#pragma once

#include "agents/worker/keeper_log.hpp"
#include "agents/worker/keeper_strays.hpp"
#include "agents/worker/output_store.hpp"
#include "agents/worker/spawn_pool.hpp"

#include <chrono>
#include <functional>
#include <set>
#include <unordered_map>
#include <unordered_set>

namespace reeve::worker {

using SteadyTime = std::chrono::steady_clock::time_point;

/// What an epoll event is about; the other 60 bits name it.
enum class Watch : std::uint8_t {
  listener = 1,
  signals,
  spawned,
  connection,
  leader,
  out,
  err,
  stray
};
constexpr std::uint64_t watch_tag(Watch watch, std::uint64_t what) {
  return (static_cast<std::uint64_t>(watch) << 56) | what;
}

class Tasks {
public:
  struct Parts { // all outlive the tasks
    std::string dir;
    record::Opened opened;
    int epoll = -1;
    KeeperLog& log;
    OutputStore& outputs;
    WorkDirs& work_dirs;
    Cgroups& cgroups;
    SpawnPool& pool;
  };
  explicit Tasks(Parts parts);

  /// Ends of an earlier keeper's tasks, to be told to the agent until released.
  void inherit(std::vector<keeper::Exit> exits);
  void start(const keeper::Start& start, const std::shared_ptr<const Program>& program);
  /// `move`: it runs again elsewhere, so its job's checkpoint signal comes first.
  void stop(const AttemptId& id, Cause cause, const std::string& text,
            std::optional<Duration> grace, bool move = false);
  void release(const AttemptId& id);
  void forget(const AttemptId& id);
  /// No more starts; all that runs is stopped.
  void stop_all(std::optional<Duration> grace);
  [[nodiscard]] bool idle() const { return tasks_.empty(); }

  void on_spawned();
  void on_readable(Serial serial, Stream stream);
  void on_leader_dead(Serial serial);
  void on_orphans();
  void on_time(SteadyTime now);
  [[nodiscard]] std::optional<SteadyTime> next_deadline() const;

  /// Exits since the last call. The log must be flushed before they are told.
  std::vector<keeper::Exit> take_new_exits() { return std::exchange(new_exits_, {}); }
  [[nodiscard]] const std::map<AttemptId, keeper::Exit>& exits() const { return exits_; }
  [[nodiscard]] std::vector<keeper::Running> running() const;
  /// Shortens the log when it has grown.
  void tidy_log();

private:
  struct Task {
    Serial serial = 0;
    AttemptId id;
    Epoch epoch;
    std::shared_ptr<const Program> program;
    std::vector<UnitShare> units;
    pid_t pid = 0; // 0: not started yet
    Fd pidfd, out, err;
    std::uint64_t ticks_low = 0, ticks_high = 0;
    TimePoint started, ended;
    SteadyTime started_steady, ended_steady;
    OutputWriter kept_out, kept_err;
    WorkDir work_dir;
    Cgroup cgroup;
    bool leader_dead =
      false; // a zombie that we keep until the end, so that its number stays its own
    // Stopping:
    bool stopping = false;
    Cause stop_cause = Cause::none; // none: only what it left behind is being stopped
    std::string stop_text;
    Duration grace{0};
    bool checkpointing = false; // it has its checkpoint signal; TERM comes at the deadline
    bool killing = false;
    std::chrono::milliseconds sweep{20};
    std::optional<SteadyTime> deadline; // of the time limit, of the grace, of the next sweep
  };

  Task* find(Serial serial);
  void took_off(Spawned spawned);
  void watch(int fd, Watch what, std::uint64_t which);
  void close_watched(Fd& fd) const;
  void set_deadline(Task& task, std::optional<SteadyTime> when);
  void begin_stop(Task& task, Cause cause, const std::string& text, Duration grace, bool move);
  void terminate(Task& task);
  void begin_kill(Task& task);
  void terminate_strays(const Task& task);
  void finish_if_empty(Task& task);
  void finish(Task& task);
  void fail_start(Task& task, std::string text, bool node_trouble);
  void conclude(Task& task, TaskResult result);
  TaskResult result_of(Task& task);
  void judge(const Task& task, bool by_signal, int status, TaskResult& result) const;
  void read_result(const Task& task, TaskResult& result) const;
  bool drain(Task& task, Stream stream, int chunks);

  Parts parts_;
  Strays strays_;
  Serial next_serial_ = 1;
  std::unordered_map<Serial, std::unique_ptr<Task>> tasks_;
  std::unordered_map<AttemptId, Serial> by_id_;
  std::unordered_map<pid_t, Serial> by_leader_;
  std::unordered_set<Serial> closing_; // first process dead, others left
  std::set<std::pair<SteadyTime, Serial>> deadlines_;
  std::map<AttemptId, keeper::Exit> exits_;
  std::vector<keeper::Exit> new_exits_;
  bool refusing_ = false;
};

} // namespace reeve::worker
