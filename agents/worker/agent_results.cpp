// See agent_results.hpp.
#include "agents/worker/agent_results.hpp"

#include "messages/mutant.hpp"

#include <algorithm>
#include <unordered_map>

namespace reeve::worker {

namespace {

constexpr std::size_t quiet_bytes = 32, task_bytes = 64, alike_bytes = 64;

std::size_t bytes_of(const FinishedTask& task) {
  std::size_t bytes = task_bytes + task.result.text.size() + task.result.result.data.size();
  if (task.output)
    bytes += task.output->out.data.size() + task.output->err.data.size();
  return bytes;
}

TaskResult result_of(const EndedAlike& ended) {
  TaskResult result;
  result.index = ended.run.first;
  result.attempt = ended.run.attempt;
  result.cause = ended.cause;
  result.started = result.ended = ended.at;
  result.text = ended.text;
  return result;
}

/// Fills one Results message up to its limits.
struct Gatherer {
  const ResultsLimits& limits;
  Results& message;
  std::unordered_map<JobId, std::size_t> places = {};
  std::size_t count = 0, bytes = 0;

  [[nodiscard]] bool full() const { return count >= limits.results || bytes >= limits.bytes; }
  JobResults& of(JobId job) {
    if (!message.jobs.empty() && message.jobs.back().job == job)
      return message.jobs.back();
    if (message.jobs.empty()) // the usual message is about one job
      places.clear();
    const auto [it, fresh] = places.try_emplace(job, message.jobs.size());
    if (fresh) {
      message.jobs.push_back({job, {}, {}});
      bytes += alike_bytes;
    }
    return message.jobs[it->second];
  }
};

} // namespace

void AgentResults::push(Entry&& entry, std::size_t bytes, TimePoint now) {
  if (pending_.empty())
    oldest_ = now;
  pending_.push_back(std::move(entry));
  pending_bytes_ += bytes;
}

void AgentResults::add(Finished&& done, TimePoint now) {
  for (const QuietRun& quiet : done.quiet) {
    // Neighbours of the same try become one run, however they were executed.
    if (auto* last = pending_.empty() ? nullptr : std::get_if<Quiet>(&pending_.back());
        last && last->job == done.job && last->run.run.attempt == quiet.run.attempt &&
        std::uint64_t{last->run.run.first} + last->run.run.count == quiet.run.first) {
      last->run.run.count += quiet.run.count;
      last->run.started = std::min(last->run.started, quiet.started);
      last->run.ended = std::max(last->run.ended, quiet.ended);
    } else {
      push(Quiet{done.job, quiet}, quiet_bytes, now);
    }
  }
  for (FinishedTask& task : done.tasks) {
    const std::size_t bytes = bytes_of(task);
    push(Task{done.job, std::move(task)}, bytes, now);
  }
}

void AgentResults::add(EndedAlike&& ended, TimePoint now) {
  push(std::move(ended), alike_bytes, now);
}

bool AgentResults::due(bool idle, TimePoint now) const {
  if (pending_.empty() || unacked_.size() >= limits_.window)
    return false;
  return idle || pending_.size() >= limits_.results || pending_bytes_ >= limits_.bytes ||
         now >= oldest_ + linger_;
}

/// Every message costs the master a commit, so that results which come thick share one.
void AgentResults::pace(std::size_t gathered, TimePoint now) {
  const bool thick = gathered > 1 || now - flushed_ < limits_.close;
  linger_ = thick ? std::min(2 * linger_ + Duration(1'000), limits_.linger_most) : Duration(0);
  flushed_ = now;
}

AgentResults::Message AgentResults::gather(std::uint64_t session) {
  auto message = std::make_shared<Results>();
  message->session = session;
  message->number = ++last_number_;
  Gatherer to{limits_, *message};
  while (!pending_.empty() && !to.full()) {
    Entry& entry = pending_.front();
    if (auto* quiet = std::get_if<Quiet>(&entry)) {
      to.of(quiet->job).quiet.push_back(quiet->run);
      to.bytes += quiet_bytes;
      ++to.count;
      pending_bytes_ -= quiet_bytes;
      pending_.pop_front();
    } else if (auto* task = std::get_if<Task>(&entry)) {
      const std::size_t bytes = bytes_of(task->task);
      to.bytes += bytes;
      ++to.count;
      pending_bytes_ -= bytes;
      if (task->task.output)
        message->outputs.push_back(std::move(*task->task.output));
      to.of(task->job).tasks.push_back(std::move(task->task.result));
      pending_.pop_front();
    } else {
      auto& alike = std::get<EndedAlike>(entry);
      JobResults& job = to.of(alike.job);
      while (alike.run.count > 0 && !to.full()) {
        job.tasks.push_back(result_of(alike));
        ++alike.run.first;
        --alike.run.count;
        ++to.count;
        to.bytes += task_bytes + alike.text.size();
      }
      if (alike.run.count == 0) {
        pending_bytes_ -= alike_bytes;
        pending_.pop_front();
      }
    }
  }
  return message;
}

void AgentResults::flush(std::uint64_t session, bool idle, TimePoint now,
                         std::vector<Message>& out) {
  bool first = true;
  while (due(idle || !first, now)) { // once begun, nothing stays behind
    if (first)
      pace(pending_.size(), now);
    Message message = gather(session);
    if (!REEVE_MUTANT(results_sent_once))
      unacked_.emplace(message->number, Sent{message, now});
    out.push_back(std::move(message));
    first = false;
  }
}

void AgentResults::resend(std::uint64_t session, bool all, TimePoint now,
                          std::vector<Message>& out) {
  for (auto& [number, sent] : unacked_) {
    if (!all && now < sent.at + limits_.resend_after)
      continue;
    if (sent.message->session != session) { // the old one may still be on its way out
      auto copy = std::make_shared<Results>(*sent.message);
      copy->session = session;
      sent.message = std::move(copy);
    }
    sent.at = now;
    out.push_back(sent.message);
  }
}

AgentResults::Message AgentResults::ack(std::uint64_t number) {
  const auto it = unacked_.find(number);
  if (it == unacked_.end())
    return nullptr;
  Message message = std::move(it->second.message);
  unacked_.erase(it);
  return message;
}

std::optional<TimePoint> AgentResults::next_wake() const {
  std::optional<TimePoint> wake;
  if (!pending_.empty() && unacked_.size() < limits_.window)
    wake = oldest_ + linger_;
  for (const auto& [number, sent] : unacked_)
    wake = std::min(wake.value_or(TimePoint::max()), sent.at + limits_.resend_after);
  return wake;
}

} // namespace reeve::worker
