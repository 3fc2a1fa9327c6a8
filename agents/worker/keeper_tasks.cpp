// The life of tasks in the keeper: starting, stopping, noticing the end. What the end means is in
// keeper_results.cpp.
#include "agents/worker/keeper_tasks.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <sys/epoll.h>

namespace reeve::worker {

namespace {
constexpr std::size_t attempts_max = 1'000'000;
constexpr std::chrono::milliseconds sweep_max{1000};
constexpr Duration stray_grace = std::chrono::seconds(10);

SteadyTime now_steady() {
  return std::chrono::steady_clock::now();
}
} // namespace

Tasks::Tasks(Parts parts)
    : parts_(std::move(parts)),
      strays_(parts_.opened.keeper,
              TaskLookup{
                .by_id =
                  [this](const AttemptId& id) {
                    const auto found = by_id_.find(id);
                    return found != by_id_.end() ? found->second : Serial{0};
                  },
                .by_leader =
                  [this](pid_t pid) {
                    const auto found = by_leader_.find(pid);
                    return found != by_leader_.end() ? found->second : Serial{0};
                  },
                .by_cgroup =
                  [this](const std::string& text) {
                    for (const auto& [serial, task] : tasks_)
                      if (const std::size_t at = task->cgroup.path.rfind("/reeve-");
                          task->cgroup && at != std::string::npos &&
                          text.find(task->cgroup.path.substr(at) + "\n") != std::string::npos)
                        return serial;
                    return Serial{0};
                  },
                .running_since =
                  [this](std::uint64_t ticks) {
                    std::vector<Serial> found;
                    for (const auto& [serial, task] : tasks_)
                      if (task->pid != 0 && task->ticks_low <= ticks)
                        found.push_back(serial);
                    return found;
                  },
              },
              [this](int pidfd, pid_t pid) {
                watch(pidfd, Watch::stray, static_cast<std::uint64_t>(pid));
              }) {}

Tasks::Task* Tasks::find(Serial serial) {
  const auto found = tasks_.find(serial);
  return found != tasks_.end() ? found->second.get() : nullptr;
}

void Tasks::watch(int fd, Watch what, std::uint64_t which) {
  epoll_event event{};
  event.events = EPOLLIN;
  if (what == Watch::leader) // dies once
    event.events |= EPOLLONESHOT;
  event.data.u64 = watch_tag(what, which);
  if (::epoll_ctl(parts_.epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    std::fprintf(stderr, "epoll: %s\n", errno_text(errno).c_str());
}

/// A process that is being started holds copies of our descriptors until it runs its program: what
/// is only closed would go on telling of its end until then.
void Tasks::close_watched(Fd& fd) const {
  if (!fd)
    return;
  ::epoll_ctl(parts_.epoll, EPOLL_CTL_DEL, fd.get(), nullptr);
  fd.reset();
}

void Tasks::set_deadline(Task& task, std::optional<SteadyTime> when) {
  if (task.deadline)
    deadlines_.erase({*task.deadline, task.serial});
  task.deadline = when;
  if (when)
    deadlines_.insert({*when, task.serial});
}

std::optional<SteadyTime> Tasks::next_deadline() const {
  return deadlines_.empty() ? std::nullopt : std::optional(deadlines_.begin()->first);
}

void Tasks::inherit(std::vector<keeper::Exit> exits) {
  for (keeper::Exit& exit : exits) {
    parts_.log.add(record::Ended{exit});
    const AttemptId id = exit.id();
    exits_.insert_or_assign(id, std::move(exit));
  }
}

// ---- starting ----------------------------------------------------------------------------------

void Tasks::start(const keeper::Start& start, const std::shared_ptr<const Program>& program) {
  std::vector<SpawnRequest> requests;
  std::vector<Serial> fresh;
  for (const keeper::StartTask& wanted : start.tasks) {
    const AttemptId id{start.job, wanted.index, wanted.attempt};
    if (by_id_.contains(id))
      continue;
    if (const auto ended = exits_.find(id); ended != exits_.end()) {
      new_exits_.push_back(ended->second);
      continue;
    }
    auto task = std::make_unique<Task>();
    task->serial = next_serial_++;
    task->id = id;
    task->epoch = start.epoch;
    task->program = program;
    task->units = wanted.units;
    task->kept_out = OutputWriter(program->output_limit);
    task->kept_err = OutputWriter(program->output_limit);
    parts_.outputs.forget(id); // of an earlier keeper's attempt with the same number
    parts_.log.add(record::Intent{id, start.epoch});
    requests.push_back(SpawnRequest{task->serial, id, program, wanted.item, wanted.env});
    fresh.push_back(task->serial);
    by_id_[id] = task->serial;
    tasks_.emplace(task->serial, std::move(task));
  }
  std::string problem;
  if (refusing_)
    problem = "the keeper is stopping";
  else if (tasks_.size() + exits_.size() > attempts_max)
    problem = "the keeper holds " + std::to_string(attempts_max) + " attempts already";
  else if (auto stored = parts_.log.flush(); !stored) // what is not on record must not run
    problem = stored.error().text;
  if (problem.empty()) {
    parts_.pool.add(std::move(requests));
    return;
  }
  for (const Serial serial : fresh)
    fail_start(*find(serial), problem, true);
}

void Tasks::on_spawned() {
  for (Spawned& spawned : parts_.pool.take())
    took_off(std::move(spawned));
}

void Tasks::took_off(Spawned spawned) {
  Task& task = *find(spawned.serial);
  task.started = spawned.started;
  task.started_steady = spawned.started_steady;
  task.work_dir = std::move(spawned.work_dir);
  task.cgroup = std::move(spawned.cgroup);
  if (!spawned.error.empty()) {
    fail_start(task, std::move(spawned.error), spawned.node_trouble);
    return;
  }
  task.pid = spawned.pid;
  task.pidfd = std::move(spawned.pidfd);
  task.out = std::move(spawned.out);
  task.err = std::move(spawned.err);
  task.ticks_low = spawned.ticks_low;
  task.ticks_high = spawned.ticks_high;
  by_leader_[task.pid] = task.serial;
  // Its start time lies between the two readings of the boot clock around clone: as good as
  // /proc/PID/stat, which has the same resolution, without reading it.
  parts_.log.add(record::Started{task.id, task.pid, task.ticks_low, task.ticks_high});
  watch(task.pidfd.get(), Watch::leader, task.serial);
  watch(task.out.get(), Watch::out, task.serial);
  watch(task.err.get(), Watch::err, task.serial);
  if (task.stopping) // asked for before it ran
    begin_stop(task, task.stop_cause, task.stop_text, task.grace, task.checkpointing);
  else if (task.program->time_limit.count() > 0)
    set_deadline(task, task.started_steady + task.program->time_limit);
}

// ---- stopping ----------------------------------------------------------------------------------

void Tasks::stop(const AttemptId& id, Cause cause, const std::string& text,
                 std::optional<Duration> grace, bool move) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end())
    return;
  Task& task = *find(found->second);
  const Duration patience = grace.value_or(task.program->grace);
  if (task.pid == 0) {
    task.grace = task.stopping ? std::min(task.grace, patience) : patience;
    if (!task.stopping) {
      task.stop_cause = cause;
      task.stop_text = text;
    }
    task.checkpointing = move && (task.checkpointing || !task.stopping);
    task.stopping = true;
  } else if (!task.stopping) {
    begin_stop(task, cause, text, patience, move);
  } else if (task.checkpointing) {
    if (!move) { // it is not wanted any more, anywhere
      task.grace = patience;
      terminate(task);
    }
  } else if (!task.killing) { // a shorter grace counts, the first cause stays
    const SteadyTime kill_at = now_steady() + patience;
    if (!task.deadline || kill_at < *task.deadline)
      set_deadline(task, kill_at);
  }
}

void Tasks::stop_all(std::optional<Duration> grace) {
  refusing_ = true;
  std::vector<AttemptId> all;
  for (const auto& [id, serial] : by_id_)
    all.push_back(id);
  for (const AttemptId& id : all)
    stop(id, Cause::cancelled, "the node is shutting down", grace);
}

void Tasks::begin_stop(Task& task, Cause cause, const std::string& text, Duration grace,
                       bool move) {
  task.stopping = true;
  task.stop_cause = cause;
  task.stop_text = text;
  task.grace = grace;
  task.checkpointing = move && task.program->checkpoint_signal != 0 && !task.leader_dead;
  if (!task.checkpointing) {
    terminate(task);
    return;
  }
  ::kill(-task.pid, task.program->checkpoint_signal); // the whole group, as TERM
  ::kill(-task.pid, SIGCONT);
  set_deadline(task, now_steady() + task.program->checkpoint_grace);
}

void Tasks::terminate(Task& task) {
  task.checkpointing = false;
  if (task.grace.count() <= 0) {
    begin_kill(task);
    return;
  }
  ::kill(
    -task.pid,
    SIGTERM); // the first process is not reaped before the end, so the group's number is its own
  ::kill(-task.pid, SIGCONT); // a stopped one must be able to act on it
  if (Strays::any()) {
    strays_.refresh();
    terminate_strays(task);
  }
  set_deadline(task, now_steady() + task.grace);
}

void Tasks::terminate_strays(const Task& task) {
  for (const pid_t pid : strays_.of(task.serial))
    if (const auto stat = read_stat(pid);
        stat && stat->group != task.pid) // the group has been told
      signal_tree(pid, true, SIGTERM);
}

void Tasks::begin_kill(Task& task) {
  task.killing = true;
  // First remember what hangs below: when their parents die, they are the keeper's, and must be
  // known again.
  if (!task.leader_dead)
    strays_.remember(task.serial, task.pid);
  for (const pid_t pid : strays_.of(task.serial))
    strays_.remember(task.serial, pid);
  ::kill(-task.pid, SIGKILL);
  if (task.cgroup)
    parts_.cgroups.kill(task.cgroup);
  if (!task.leader_dead)
    signal_tree(task.pid, false, SIGKILL);
  for (const pid_t pid : strays_.of(task.serial))
    signal_tree(pid, true, SIGKILL);
  // Something may have forked meanwhile. Ends are noticed by their pidfds; this only strikes again.
  set_deadline(task, now_steady() + task.sweep);
  task.sweep = std::min(task.sweep * 2, sweep_max);
}

void Tasks::on_time(SteadyTime now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    Task& task = *find(deadlines_.begin()->second);
    set_deadline(task, std::nullopt);
    if (task.checkpointing) {
      terminate(task);
    } else if (task.stopping) {
      if (Strays::any())
        strays_.refresh();
      begin_kill(task);
    } else {
      begin_stop(task, Cause::time_limit, {}, task.program->grace, false);
    }
  }
}

// ---- ending ------------------------------------------------------------------------------------

void Tasks::on_leader_dead(Serial serial) {
  Task* task = find(serial);
  if (!task || task->leader_dead)
    return;
  task->leader_dead = true;
  task->ended_steady = now_steady();
  task->ended = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  // The kernel gives a dying process's children to us before its pidfd becomes readable. So no
  // children here: nothing of any task is left besides the other first processes. This is the way
  // of nearly all tasks, and costs one system call.
  if (!Strays::any()) {
    finish(*task);
    return;
  }
  strays_.refresh();
  if (!strays_.has(serial)) {
    finish(*task);
    return;
  }
  ::epoll_ctl(parts_.epoll, EPOLL_CTL_DEL, task->pidfd.get(),
              nullptr); // readable from now on, and known
  closing_.insert(serial);
  if (!task->stopping)
    begin_stop(*task, Cause::none, {}, std::min(task->program->grace, stray_grace), false);
  else if (task->checkpointing) // it has saved what it wanted to; what it left behind may go
    terminate(*task);
  else if (task->killing)
    begin_kill(*task);
  else
    terminate_strays(*task);
}

void Tasks::on_orphans() {
  if (!Strays::any() && closing_.empty())
    return;
  strays_.refresh();
  const std::vector<Serial> closing(closing_.begin(), closing_.end());
  for (const Serial serial : closing)
    if (Task* task = find(serial))
      finish_if_empty(*task);
}

void Tasks::finish_if_empty(Task& task) {
  if (!strays_.has(task.serial))
    finish(task);
  else if (task.killing &&
           std::exchange(task.sweep, std::chrono::milliseconds{20}) > std::chrono::milliseconds{0})
    begin_kill(task); // new ones came to us: at once
}

void Tasks::fail_start(Task& task, std::string text, bool node_trouble) {
  TaskResult result;
  result.index = task.id.index;
  result.attempt = task.id.attempt;
  result.cause = task.stopping  ? task.stop_cause
                 : node_trouble ? Cause::node_trouble
                                : Cause::start_failed;
  result.text = std::move(text);
  result.text.resize(std::min<std::size_t>(result.text.size(), 4096));
  const TimePoint now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  result.started = task.started == TimePoint{} ? now : task.started;
  result.ended = now;
  conclude(task, std::move(result));
}

void Tasks::finish(Task& task) {
  constexpr int all =
    1024; // chunks: nobody is left who writes, so the pipe holds at most its own size
  drain(task, Stream::out, all);
  drain(task, Stream::err, all);
  TaskResult result = result_of(task);
  conclude(task, std::move(result));
}

void Tasks::conclude(Task& task, TaskResult result) {
  const Serial serial = task.serial;
  set_deadline(task, std::nullopt);
  close_watched(task.out);
  close_watched(task.err);
  if (task.cgroup)
    Cgroups::remove(task.cgroup);
  if (!task.work_dir.path.empty())
    parts_.work_dirs.give_back(std::move(task.work_dir));
  parts_.outputs.ended(task.id, task.kept_out.bytes_kept() + task.kept_err.bytes_kept());
  keeper::Exit exit{task.id.job, task.epoch, std::move(result)};
  parts_.log.add(record::Ended{exit});
  new_exits_.push_back(exit);
  exits_.insert_or_assign(task.id, std::move(exit));
  by_id_.erase(task.id);
  if (task.pid != 0) {
    by_leader_.erase(task.pid);
    strays_.forget(serial);
  }
  closing_.erase(serial);
  tasks_.erase(serial);
}

bool Tasks::drain(Task& task, Stream stream, int chunks) {
  Fd& fd = stream == Stream::out ? task.out : task.err;
  OutputWriter& kept = stream == Stream::out ? task.kept_out : task.kept_err;
  thread_local std::array<char, 65'536> buffer;
  while (fd && chunks-- > 0) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN)
      return true;
    if (n <= 0) {
      close_watched(fd);
      return false;
    }
    kept.append(parts_.dir, task.id, stream, {buffer.data(), static_cast<std::size_t>(n)});
    if (static_cast<std::size_t>(n) < 4096)
      return true; // all that was there; poll tells of more
  }
  return static_cast<bool>(fd);
}

void Tasks::on_readable(Serial serial, Stream stream) {
  constexpr int share = 16; // 1 MiB at most, then the others
  if (Task* task = find(serial))
    drain(*task, stream, share);
}

// ---- what the agent asks for -------------------------------------------------------------------

void Tasks::release(const AttemptId& id) {
  if (exits_.erase(id) > 0)
    parts_.log.add(record::Released{id});
}

void Tasks::forget(const AttemptId& id) {
  if (!by_id_.contains(id))
    parts_.outputs.forget(id);
}

std::vector<keeper::Running> Tasks::running() const {
  std::vector<keeper::Running> list;
  list.reserve(tasks_.size());
  for (const auto& [serial, task] : tasks_)
    list.push_back({task->id, task->epoch, task->started, task->units});
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return list;
}

void Tasks::tidy_log() {
  if (!parts_.log.should_rewrite())
    return;
  std::vector<record::Record> live;
  for (const auto& [serial, task] : tasks_) {
    live.emplace_back(record::Intent{task->id, task->epoch});
    if (task->pid != 0)
      live.emplace_back(record::Started{task->id, task->pid, task->ticks_low, task->ticks_high});
  }
  for (const auto& [id, exit] : exits_)
    live.emplace_back(record::Ended{exit});
  if (auto written = parts_.log.rewrite(parts_.opened, live); !written)
    std::fprintf(stderr, "%s\n", written.error().text.c_str());
}

} // namespace reeve::worker
