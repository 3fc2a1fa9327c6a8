// See jobs.hpp.
#include "src/sched/jobs.hpp"

namespace reeve::sched {

Jobs::Page* Jobs::far_page(std::uint64_t number) const {
  const auto at = far_.find(number);
  return at == far_.end() ? nullptr : at->second.get();
}

SchedJob& Jobs::add(JobId id) {
  const std::uint64_t number = id.value / page_jobs;
  Page* page = page_of(id);
  if (!page) {
    if (near_.empty())
      base_ = number;
    auto fresh = std::make_unique<Page>();
    page = fresh.get();
    if (number - base_ < near_pages) {
      while (near_.size() <= number - base_)
        near_.emplace_back();
      near_[number - base_] = std::move(fresh);
    } else {
      far_[number] = std::move(fresh);
    }
  }
  ++page->live;
  ++size_;
  return page->jobs[id.value % page_jobs];
}

void Jobs::erase(JobId id) {
  const std::uint64_t number = id.value / page_jobs;
  Page* page = page_of(id);
  SchedJob& job = page->jobs[id.value % page_jobs];
  drop_more(job);
  job = SchedJob();
  --size_;
  if (--page->live > 0)
    return;
  if (number - base_ >= near_.size() || !near_[number - base_]) {
    far_.erase(number);
    return;
  }
  near_[number - base_].reset();
  while (!near_.empty() && !near_.front()) {
    near_.pop_front();
    ++base_;
  }
}

void Jobs::drop_more(SchedJob& job) {
  if (job.more == nobody)
    return;
  mores_.give_back(job.more);
  job.more = nobody;
}

} // namespace reeve::sched
