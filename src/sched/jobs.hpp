// Jobs as the scheduler keeps them: 24 bytes while they only wait, more once they are unusual or in
// flight. Owned by Scheduler. Plain data.
#pragma once

#include "src/sched/estimate.hpp"
#include "src/sched/flights.hpp"
#include "src/sched/lots.hpp"

#include <deque>
#include <memory>

namespace reeve::sched {

/// What a job has only once something of it was placed, requeued or refused.
struct JobMore {
  std::vector<TaskRun> ready;                         // besides the fresh ones, sorted
  std::vector<std::pair<TimePoint, TaskRun>> delayed; // wait for a time
  std::vector<FlightId> flights;
  std::uint32_t tasks = 0, slots = 0; // expected
  TimePoint sulking;                  // something was refused; tried again then
  Duration sulk{0};
  std::unordered_map<std::string, std::uint32_t> spread; // tasks by the value of the label
  std::unique_ptr<Estimate> estimate;                    // of a job without a name
};

struct SchedJob {
  LotId lot = nobody;  // nobody: no such job
  TaskIndex first = 0; // [first, first + count) were never placed
  std::uint32_t count : 24 = 0;
  std::uint32_t held : 1 = 0;
  std::uint32_t listed : 1 = 0;  // could be placed now
  std::uint32_t in_line : 1 = 0; // stands in its lot's JobLine, listed or not
  std::uint32_t blocked : 1 = 0; // waits for other jobs
  std::uint32_t more = nobody;
  TimePoint submitted;
};
static_assert(sizeof(SchedJob) == 24);

/// By id, in pages that are freed when all their jobs are gone.
class Jobs {
public:
  [[nodiscard]] SchedJob* find(JobId id);
  [[nodiscard]] const SchedJob* find(JobId id) const { return const_cast<Jobs*>(this)->find(id); }
  SchedJob& add(JobId id); // must not be there
  void erase(JobId id);
  JobMore& more(SchedJob& job) {
    if (job.more == nobody) {
      if (free_more_.empty()) {
        job.more = static_cast<std::uint32_t>(mores_.size());
        mores_.emplace_back();
      } else {
        job.more = free_more_.back();
        free_more_.pop_back();
      }
    }
    return mores_[job.more];
  }
  [[nodiscard]] const JobMore* more_of(const SchedJob& job) const {
    return job.more == nobody ? nullptr : &mores_[job.more];
  }
  [[nodiscard]] JobMore* more_of(const SchedJob& job) {
    return job.more == nobody ? nullptr : &mores_[job.more];
  }
  void drop_more(SchedJob& job);
  template<class F> void each(F&& f) {
    for (auto& [number, page] : pages_)
      for (std::size_t i = 0; i < page_jobs; ++i)
        if (page->jobs[i].lot != nobody)
          f(JobId(number * page_jobs + i), page->jobs[i]);
  }
  [[nodiscard]] std::size_t size() const { return size_; }

private:
  static constexpr std::size_t page_jobs = 512;
  struct Page {
    std::array<SchedJob, page_jobs> jobs;
    std::size_t live = 0;
  };
  std::map<std::uint64_t, std::unique_ptr<Page>> pages_;
  Page* last_ = nullptr; // looked at
  std::uint64_t last_number_ = 0;
  std::deque<JobMore> mores_;
  std::vector<std::uint32_t> free_more_;
  std::size_t size_ = 0;
};

} // namespace reeve::sched
