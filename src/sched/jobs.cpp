// See jobs.hpp.
#include "src/sched/jobs.hpp"

namespace reeve::sched {

Jobs::Page* Jobs::far_page(std::uint64_t number) const {
  const auto at = far_.find(number);
  return at == far_.end() ? nullptr : at->second;
}

SchedJob& Jobs::add(JobId id) {
  const std::uint64_t number = id.value / page_jobs;
  Page* page = page_of(id);
  if (!page) {
    if (near_.empty())
      base_ = number;
    const std::uint32_t fresh = pages_.add();
    page = &pages_[fresh];
    page->number = fresh;
    if (number - base_ < near_pages) {
      while (near_.size() <= number - base_)
        near_.push_back(nullptr);
      near_[number - base_] = page;
      gone_ = std::min<std::size_t>(gone_, number - base_);
    } else {
      far_[number] = page;
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
  if (more_of(job))
    mores_.give_back(job.more);
  job = SchedJob();
  --size_;
  if (--page->live > 0)
    return;
  pages_.give_back(page->number);
  if (number - base_ >= near_.size() || !near_[number - base_]) {
    far_.erase(number);
    return;
  }
  near_[number - base_] = nullptr;
  while (gone_ < near_.size() && !near_[gone_])
    ++gone_;
  if (2 * gone_ >= near_.size()) {
    near_.erase(near_.begin(), near_.begin() + static_cast<std::ptrdiff_t>(gone_));
    base_ += gone_;
    gone_ = 0;
  }
}

void Jobs::join(JobLine& line, JobId id, SchedJob& job) {
  constexpr std::uint64_t far = ~std::uint32_t{0};
  job.in_line = 1;
  if (!line.last) {
    line.first = line.last = id;
  } else if (line.last < id && id.value - line.first.value < far) {
    job.before = static_cast<std::uint32_t>(id.value - line.last.value);
    find(line.last)->next = job.before;
    line.last = id;
  } else {
    line.late.insert(id);
  }
}

void Jobs::leave(JobLine& line, JobId id, SchedJob& job) {
  job.in_line = 0;
  if (!line.late.empty() && line.late.erase(id) > 0)
    return;
  const JobId next = job.next == 0 ? JobId() : JobId(id.value + job.next);
  const JobId before = job.before == 0 ? JobId() : JobId(id.value - job.before);
  const std::uint32_t apart = next && before ? job.next + job.before : 0;
  if (next)
    find(next)->before = apart;
  else
    line.last = before;
  if (before)
    find(before)->next = apart;
  else
    line.first = next;
  job.next = job.before = 0;
}

JobId Jobs::front(JobLine& line) {
  for (;;) {
    const bool late = !line.late.empty() && (!line.first || *line.late.begin() < line.first);
    const JobId id = late ? *line.late.begin() : line.first;
    if (!id)
      return {};
    SchedJob& job = *find(id);
    if (job.listed)
      return id;
    leave(line, id, job);
  }
}

} // namespace reeve::sched
