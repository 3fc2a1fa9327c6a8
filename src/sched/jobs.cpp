// See jobs.hpp.
#include "src/sched/jobs.hpp"

namespace reeve::sched {

SchedJob* Jobs::find(JobId id) {
  const std::uint64_t number = id.value / page_jobs;
  if (!last_ || last_number_ != number) {
    const auto at = pages_.find(number);
    if (at == pages_.end())
      return nullptr;
    last_ = at->second.get();
    last_number_ = number;
  }
  SchedJob& job = last_->jobs[id.value % page_jobs];
  return job.lot == nobody ? nullptr : &job;
}

SchedJob& Jobs::add(JobId id) {
  const std::uint64_t number = id.value / page_jobs;
  auto& page = pages_[number];
  if (!page)
    page = std::make_unique<Page>();
  ++page->live;
  ++size_;
  return page->jobs[id.value % page_jobs];
}

void Jobs::erase(JobId id) {
  const auto at = pages_.find(id.value / page_jobs);
  SchedJob& job = at->second->jobs[id.value % page_jobs];
  drop_more(job);
  job = SchedJob();
  --size_;
  if (--at->second->live == 0) {
    if (last_ == at->second.get())
      last_ = nullptr;
    pages_.erase(at);
  }
}

void Jobs::drop_more(SchedJob& job) {
  if (job.more == nobody)
    return;
  mores_[job.more] = JobMore();
  free_more_.push_back(job.more);
  job.more = nobody;
}

} // namespace reeve::sched
