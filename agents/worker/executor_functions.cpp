// See executor_functions.hpp.
#include "agents/worker/executor_functions.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

namespace reeve::worker {

namespace {

constexpr std::size_t functions_max = 60; // with the built-in ones still below 64 on the wire
constexpr std::size_t text_bytes_max = 4'096;
constexpr double batch_seconds = 200e-6;
constexpr std::uint32_t batch_most = 256;
constexpr double smoothing = 0.2;

std::map<std::string, Function>& registry() {
  static std::map<std::string, Function> functions;
  return functions;
}

TimePoint wall_now() {
  return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

Usage thread_usage() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  const auto us = [](const timeval& t) {
    return Duration(std::int64_t{t.tv_sec} * 1'000'000 + t.tv_usec);
  };
  return {Duration(0), us(usage.ru_utime), us(usage.ru_stime), 0};
}

} // namespace

Result<void> register_function(const std::string& name, Function function) {
  if (name.empty() || name.size() > 64)
    return fail(Code::bad_field, "name", "must have 1 to 64 characters");
  if (name == "process" || name == "noop" || name == "sleep")
    return fail(Code::bad_field, "name", "\"" + name + "\" is a built-in executor");
  if (!function)
    return fail(Code::bad_field, "function", "is empty");
  if (registry().size() >= functions_max)
    return fail(Code::too_large, "name", "at most 60 functions");
  if (!registry().emplace(name, std::move(function)).second)
    return fail(Code::conflict, "name", "\"" + name + "\" is registered already");
  return {};
}

const std::map<std::string, Function>& registered_functions() {
  return registry();
}

struct FunctionExecutor::Batch {
  struct Stop {
    Cause cause = Cause::cancelled;
    std::string text;
  };
  StartTasks tasks;
  const Function* function = nullptr; // of the executor's map, which Shared keeps a copy of
  std::unique_ptr<std::atomic<bool>[]> stopped; // one a task
  std::mutex mutex;
  Stop stop; // why; guarded by mutex
};

struct FunctionExecutor::Shared {
  std::map<std::string, Function> functions;
  std::mutex mutex;
  std::condition_variable work;
  std::deque<std::shared_ptr<Batch>> queue;
  struct Ended {
    Finished finished;
    AttemptId batch;
    std::string function;
    double seconds = 0; // a call, on average
  };
  std::vector<Ended> ended;
  unsigned busy = 0;
  bool closing = false;
  int event = -1;
  ~Shared() {
    if (event >= 0)
      close(event);
  }
};

namespace {

class Context : public TaskContext {
public:
  Context(const StartTasks& tasks, std::uint32_t at, const std::atomic<bool>& stopped)
      : tasks_(tasks), at_(at), stopped_(stopped) {
    if (tasks.spec->time_limit.count() > 0)
      deadline_ = std::chrono::steady_clock::now() + tasks.spec->time_limit;
  }
  [[nodiscard]] TaskId id() const override { return {tasks_.job, tasks_.run.first + at_}; }
  [[nodiscard]] Attempt attempt() const override { return tasks_.run.attempt; }
  [[nodiscard]] const JobSpec& spec() const override { return *tasks_.spec; }
  [[nodiscard]] std::string_view item() const override {
    return at_ < tasks_.items.size() ? std::string_view(tasks_.items[at_]) : std::string_view();
  }
  [[nodiscard]] const std::vector<std::string>& peers() const override {
    static const std::vector<std::string> none;
    return tasks_.peers ? *tasks_.peers : none;
  }
  [[nodiscard]] const std::vector<UnitShare>& units() const override { return tasks_.units; }
  [[nodiscard]] bool late() const {
    return deadline_ && std::chrono::steady_clock::now() >= *deadline_;
  }
  [[nodiscard]] bool cancelled() const override {
    return stopped_.load(std::memory_order_relaxed) || late();
  }

private:
  const StartTasks& tasks_;
  std::uint32_t at_;
  const std::atomic<bool>& stopped_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
};

Result<Bytes> call(const Function& function, const TaskContext& context) {
  try {
    return function(context);
  } catch (const std::exception& error) {
    return fail(Code::internal, {}, std::string("exception: ") + error.what());
  } catch (...) {
    return fail(Code::internal, {}, "an exception that is not a std::exception");
  }
}

} // namespace

FunctionExecutor::FunctionExecutor(std::map<std::string, Function> functions, unsigned threads)
    : functions_(std::move(functions)), shared_(std::make_shared<Shared>()) {
  shared_->functions = functions_;
  shared_->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (functions_.empty())
    return;
  for (unsigned n = 0; n < std::max(threads, 1U); ++n)
    threads_.emplace_back([shared = shared_] { serve(shared); });
}

FunctionExecutor::~FunctionExecutor() {
  for (auto& [id, batch] : running_)
    for (std::uint32_t k = 0; k < batch->tasks.run.count; ++k)
      batch->stopped[k] = true;
  bool busy = false;
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->closing = true;
    shared_->queue.clear();
    busy = shared_->busy > 0;
  }
  shared_->work.notify_all();
  for (std::thread& thread : threads_) {
    if (busy)
      thread.detach(); // a function that does not end must not keep the agent
    else
      thread.join();
  }
}

void FunctionExecutor::serve(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  for (;;) {
    shared->work.wait(lock, [&] { return shared->closing || !shared->queue.empty(); });
    if (shared->closing)
      return;
    const std::shared_ptr<Batch> batch = std::move(shared->queue.front());
    shared->queue.pop_front();
    ++shared->busy;
    lock.unlock();

    const StartTasks& tasks = batch->tasks;
    Finished done{tasks.job, {}, {}};
    const auto begin = std::chrono::steady_clock::now();
    for (std::uint32_t k = 0; k < tasks.run.count; ++k) {
      const TaskIndex index = tasks.run.first + k;
      FinishedTask task;
      TaskResult& result = task.result;
      result.index = index;
      result.attempt = tasks.run.attempt;
      result.started = wall_now();
      const auto stopped = [&] {
        const std::lock_guard guard(batch->mutex);
        result.cause = batch->stop.cause;
        result.text = batch->stop.text;
      };
      if (batch->stopped[k]) {
        stopped();
      } else {
        const Usage before = thread_usage();
        const Context context(tasks, k, batch->stopped[k]);
        auto returned = call(*batch->function, context);
        const Usage after = thread_usage();
        result.usage.user_cpu = after.user_cpu - before.user_cpu;
        result.usage.system_cpu = after.system_cpu - before.system_cpu;
        if (returned && returned->data.size() > 65'536)
          returned = fail(Code::too_large, "result",
                          std::to_string(returned->data.size()) + " bytes, at most 65536");
        if (returned) {
          result.result = std::move(*returned);
        } else if (batch->stopped[k]) {
          stopped();
        } else {
          result.cause = context.late() ? Cause::time_limit : Cause::executor_error;
          result.text = returned.error().message();
          if (result.text.size() > text_bytes_max)
            result.text.resize(text_bytes_max);
        }
      }
      result.ended = wall_now();
      result.usage.wall = result.ended - result.started;
      if (result.cause != Cause::none || !result.result.data.empty()) {
        done.tasks.push_back(std::move(task));
      } else if (!done.quiet.empty() &&
                 done.quiet.back().run.first + done.quiet.back().run.count == index) {
        ++done.quiet.back().run.count;
        done.quiet.back().ended = result.ended;
      } else {
        done.quiet.push_back({{index, 1, tasks.run.attempt}, result.started, result.ended});
      }
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;

    lock.lock();
    --shared->busy;
    shared->ended.push_back({std::move(done),
                             {tasks.job, tasks.run.first, tasks.run.attempt},
                             tasks.spec->executor,
                             took.count() / tasks.run.count});
    const std::uint64_t one = 1;
    if (shared->ended.size() == 1 && write(shared->event, &one, sizeof one) < 0)
      continue; // full: the loop is woken already
  }
}

void FunctionExecutor::start(StartTasks&& tasks, Now now) {
  const auto function = shared_->functions.find(tasks.spec->executor);
  const AttemptId id{tasks.job, tasks.run.first, tasks.run.attempt};
  auto batch = std::make_shared<Batch>();
  batch->tasks = std::move(tasks);
  batch->function = function == shared_->functions.end() ? nullptr : &function->second;
  batch->stopped = std::make_unique<std::atomic<bool>[]>(batch->tasks.run.count);
  (void)now;
  running_[id] = batch;
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->queue.push_back(std::move(batch));
  }
  shared_->work.notify_one();
}

void FunctionExecutor::stop(const StopRun& run, Now) {
  const std::uint64_t end = std::uint64_t{run.run.first} + run.run.count;
  for (auto it = running_.lower_bound({run.job, 0, 0});
       it != running_.end() && it->first.job == run.job; ++it) {
    Batch& batch = *it->second;
    if (batch.tasks.run.attempt != run.run.attempt)
      continue;
    for (std::uint32_t k = 0; k < batch.tasks.run.count; ++k) {
      const std::uint64_t index = std::uint64_t{batch.tasks.run.first} + k;
      if (index < run.run.first || index >= end)
        continue;
      {
        const std::lock_guard guard(batch.mutex);
        batch.stop = {run.cause, run.text};
      }
      batch.stopped[k] = true;
    }
  }
}

Result<void> FunctionExecutor::collect(Now, std::vector<Finished>& out) {
  std::uint64_t count = 0;
  if (read(shared_->event, &count, sizeof count) < 0)
    return {}; // nothing was signalled
  std::vector<Shared::Ended> ended;
  {
    const std::lock_guard lock(shared_->mutex);
    ended.swap(shared_->ended);
  }
  for (Shared::Ended& each : ended) {
    running_.erase(each.batch);
    double& seconds = seconds_[each.function];
    seconds = seconds == 0 ? each.seconds : seconds + smoothing * (each.seconds - seconds);
    out.push_back(std::move(each.finished));
  }
  return {};
}

int FunctionExecutor::fd() const {
  return shared_->event;
}
short FunctionExecutor::poll_events() const {
  return POLLIN;
}

std::uint32_t FunctionExecutor::batch(const std::string& name) const {
  const auto it = seconds_.find(name);
  if (it == seconds_.end()) // not known yet: one at a time
    return 1;
  const double tasks = batch_seconds / std::max(it->second, 1e-9);
  return static_cast<std::uint32_t>(std::clamp(tasks, 1.0, static_cast<double>(batch_most)));
}

} // namespace reeve::worker
