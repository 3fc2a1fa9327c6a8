// See waiters.hpp.
#include "src/ledger/waiters.hpp"

#include <algorithm>

namespace reeve::ledger {
namespace {
constexpr Duration patience = std::chrono::minutes(2);
} // namespace

Progress Waiters::progress_of(const Waiter& waiter, const ProgressOf& of, bool last) {
  Progress progress;
  progress.last = last;
  progress.jobs.reserve(waiter.wait.jobs.size());
  for (const JobId job : waiter.wait.jobs)
    if (auto known = of(job)) {
      progress.jobs.push_back(*known);
    } else if (const auto at = waiter.ended.find(job); at != waiter.ended.end()) {
      progress.jobs.push_back(at->second);
    } else if (last) {
      progress.jobs.emplace_back();
      progress.jobs.back().job = job;
    }
  return progress;
}

void Waiters::add(Peer peer, std::uint64_t correlation, const Wait& wait, std::vector<JobId> open,
                  std::vector<JobProgress> ended, TimePoint now) {
  const Key key{peer, correlation};
  Waiter waiter{wait, {open.begin(), open.end()}, now, {}, true, {}};
  if (const auto known = waits_.find(key); known != waits_.end()) {
    waiter.told = known->second.told;
    waiter.moved = known->second.moved;
    waiter.ended = std::move(known->second.ended);
    forget(key);
  }
  for (const JobProgress& job : ended)
    waiter.ended.insert_or_assign(job.job, job);
  for (const JobId job : waiter.open)
    by_job_[job].insert(key);
  waits_.insert_or_assign(key, std::move(waiter));
}

std::vector<Waiters::Answer> Waiters::ended(JobId job, const ProgressOf& progress) {
  std::vector<Answer> answers;
  const auto at = by_job_.find(job);
  if (at == by_job_.end())
    return answers;
  const std::set<Key> keys = std::move(at->second);
  by_job_.erase(at);
  const auto end = progress(job);
  for (const Key& key : keys) {
    Waiter& waiter = waits_.at(key);
    waiter.moved = true;
    waiter.open.erase(job);
    if (end)
      waiter.ended.insert_or_assign(job, *end);
    if (!waiter.open.empty())
      continue;
    answers.push_back({key.first, key.second, progress_of(waiter, progress, true)});
    waits_.erase(key);
  }
  return answers;
}

void Waiters::moved(JobId job) {
  if (const auto at = by_job_.find(job); at != by_job_.end())
    for (const Key& key : at->second)
      waits_.at(key).moved = true;
}

std::vector<Waiters::Answer> Waiters::tick(TimePoint now, const ProgressOf& progress) {
  std::vector<Answer> answers;
  std::vector<Key> stale;
  for (auto& [key, waiter] : waits_) {
    if (now - waiter.renewed > patience) {
      stale.push_back(key);
      continue;
    }
    const Duration every = waiter.wait.every;
    if (every <= Duration(0) || !waiter.moved || now - waiter.told < every)
      continue;
    waiter.moved = false;
    waiter.told = now;
    answers.push_back({key.first, key.second, progress_of(waiter, progress, false)});
  }
  for (const Key& key : stale)
    forget(key);
  return answers;
}

void Waiters::drop(Peer peer) {
  std::vector<Key> gone;
  for (auto at = waits_.lower_bound({peer, 0}); at != waits_.end() && at->first.first == peer; ++at)
    gone.push_back(at->first);
  for (const Key& key : gone)
    forget(key);
}

std::vector<Waiters::Waiting> Waiters::take_all() {
  std::vector<Waiting> all;
  for (auto& [key, waiter] : waits_)
    all.push_back({key.first, key.second, std::move(waiter.wait), waiter.renewed});
  waits_.clear();
  by_job_.clear();
  return all;
}

void Waiters::forget(const Key& key) {
  const auto at = waits_.find(key);
  for (const JobId job : at->second.open)
    if (const auto keys = by_job_.find(job); keys != by_job_.end()) {
      keys->second.erase(key);
      if (keys->second.empty())
        by_job_.erase(keys);
    }
  waits_.erase(at);
}

} // namespace reeve::ledger
