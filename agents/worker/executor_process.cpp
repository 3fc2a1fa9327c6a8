// See executor_process.hpp.
#include "agents/worker/executor_process.hpp"

#include "agents/worker/output.hpp"

#include <poll.h>

namespace reeve::worker {

namespace {

constexpr Duration patience_with_killed = std::chrono::minutes(1);
constexpr std::uint32_t output_head_bytes = 4'096; // of TaskOutput

std::string head_of(const std::string& dir, const AttemptId& id, Stream stream,
                    std::uint64_t written) {
  if (written == 0)
    return {};
  auto chunk = read_output(dir, id, stream, 0, output_head_bytes);
  // A head that is gone is no reason to lose a result: the log itself is asked for elsewhere.
  if (!chunk || chunk->offset != 0)
    return {};
  return std::move(chunk->data.data);
}

} // namespace

ProcessExecutor::ProcessExecutor(KeeperClient client, std::string dir)
    : client_(std::move(client)), dir_(std::move(dir)) {}

void ProcessExecutor::adopt(const AttemptId& id, Epoch epoch) {
  tasks_[id] = {nullptr, epoch, {}, {}, {}, {}, {}};
}

keeper::StartTask ProcessExecutor::start_of(const AttemptId& id, const Task& task) {
  keeper::StartTask start{id.index, id.attempt, task.item, {}, task.units};
  if (task.peers) {
    std::string& peers = start.env["REEVE_PEERS"];
    for (const std::string& peer : *task.peers)
      peers += (&peer == task.peers->data() ? "" : ",") + peer;
    start.env["REEVE_RANK"] = std::to_string(id.index);
    start.env["REEVE_GANG_SIZE"] = std::to_string(task.peers->size());
  }
  tell_units(task.units, start.env);
  if (!task.spec->correlation.empty())
    start.env["REEVE_CORRELATION"] = task.spec->correlation;
  if (task.spec->env.contains("CUDA_VISIBLE_DEVICES")) // the job knows better
    start.env.erase("CUDA_VISIBLE_DEVICES");
  return start;
}

void ProcessExecutor::start(StartTasks&& tasks, Now now) {
  Starting& starting = starting_[{tasks.job, tasks.epoch}];
  starting.spec = tasks.spec;
  for (std::uint32_t k = 0; k < tasks.run.count; ++k) {
    const AttemptId id{tasks.job, tasks.run.first + k, tasks.run.attempt};
    Task task{tasks.spec, tasks.epoch, {}, tasks.peers, tasks.units, {}, {}};
    if (tasks.spec->time_limit > Duration(0))
      task.killed = now.steady + tasks.spec->time_limit + tasks.spec->grace;
    if (k < tasks.items.size())
      task.item = std::move(tasks.items[k]);
    starting.tasks.push_back(start_of(id, task));
    tasks_.insert_or_assign(id, std::move(task));
  }
}

void ProcessExecutor::stop(const StopRun& run, Now now) {
  commit(); // what is stopped must have been started
  std::vector<AttemptId> attempts;
  for (std::uint32_t k = 0; k < run.run.count; ++k) {
    const AttemptId id{run.job, run.run.first + k, run.run.attempt};
    const auto it = tasks_.find(id);
    if (it == tasks_.end())
      continue;
    it->second.stopped = run;
    // Of a job that is not known here any more, the longest that it may take.
    const Duration grace = run.grace  ? *run.grace
                           : run.spec ? run.spec->grace
                                      : std::chrono::hours(1);
    const Duration checkpoint = !run.move  ? Duration(0)
                                : run.spec ? run.spec->checkpoint_grace
                                           : Duration(std::chrono::hours(24));
    const TimePoint killed = now.steady + grace + checkpoint;
    it->second.killed = std::min(it->second.killed.value_or(killed), killed);
    attempts.push_back(id);
  }
  if (!attempts.empty())
    client_.stop(std::move(attempts), run.cause, run.text, run.grace, run.move);
}

void ProcessExecutor::commit() {
  for (auto& [key, starting] : starting_)
    client_.start(key.first, *starting.spec, key.second, std::move(starting.tasks));
  starting_.clear();
  if (!client_.flush())
    broken_ = true; // collect tells
}

void ProcessExecutor::release(std::vector<AttemptId> attempts) {
  if (!attempts.empty())
    client_.release(std::move(attempts));
}

std::string ProcessExecutor::trouble(TimePoint steady) const {
  for (const auto& [id, task] : tasks_)
    if (task.killed && steady - *task.killed >= patience_with_killed)
      return "task " + std::to_string(id.job.value) + "/" + std::to_string(id.index) +
             " was killed and does not end";
  return {};
}

void ProcessExecutor::stop_keeper(Duration grace) {
  client_.stop_all(grace);
  if (!client_.flush())
    broken_ = true;
}

short ProcessExecutor::poll_events() const {
  return static_cast<short>(POLLIN | (client_.wants_write() ? POLLOUT : 0));
}

FinishedTask ProcessExecutor::finished_task(const std::string& dir, keeper::Exit&& exit) {
  const AttemptId id = exit.id();
  FinishedTask task{std::move(exit.result), std::nullopt};
  TaskOutput output{id.job, id.index, id.attempt, {}, {}};
  output.out.data = head_of(dir, id, Stream::out, task.result.stdout_bytes);
  output.err.data = head_of(dir, id, Stream::err, task.result.stderr_bytes);
  if (!output.out.data.empty() || !output.err.data.empty())
    task.output = std::move(output);
  return task;
}

void ProcessExecutor::take(std::vector<keeper::Exit> exits, std::vector<Finished>& out) {
  for (keeper::Exit& exit : exits) {
    const AttemptId id = exit.id();
    tasks_.erase(id);
    if (out.empty() || out.back().job != id.job)
      out.push_back({id.job, {}, {}});
    out.back().tasks.push_back(finished_task(dir_, std::move(exit)));
  }
}

Result<void> ProcessExecutor::collect(Now, std::vector<Finished>& out) {
  if (broken_)
    return fail(Code::unavailable, {}, "cannot write to the keeper");
  if (auto flushed = client_.flush(); !flushed)
    return fail(Code::unavailable, {}, flushed.error().message());
  auto exits = client_.receive();
  if (!exits)
    return fail(Code::unavailable, {}, exits.error().message());
  take(std::move(*exits), out);
  return {};
}

Result<void> ProcessExecutor::reconnect(std::vector<Finished>& out) {
  auto client = KeeperClient::connect(dir_);
  if (!client)
    return tl::unexpected(client.error());
  if (client->incarnation() != client_.incarnation())
    return fail(Code::conflict, {}, "another keeper runs there now");
  client_ = std::move(*client);
  broken_ = false;
  std::vector<keeper::Exit> missed;
  for (const keeper::Exit& exit : client_.ended())
    if (tasks_.contains(exit.id())) // others were told before and wait for the master
      missed.push_back(exit);
  take(std::move(missed), out);
  // Starting an attempt that the keeper knows changes nothing.
  std::vector<std::pair<AttemptId, StopRun>> stops;
  for (auto& [id, task] : tasks_) {
    if (task.spec)
      client_.start(id.job, *task.spec, task.epoch, {start_of(id, task)});
    if (task.stopped)
      stops.emplace_back(id, *task.stopped);
  }
  for (auto& [id, stop] : stops)
    client_.stop({id}, stop.cause, stop.text, stop.grace, stop.move);
  starting_.clear(); // they are part of tasks_
  return client_.flush();
}

} // namespace reeve::worker
