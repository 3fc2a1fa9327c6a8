// Jobs as the scheduler keeps them: 32 bytes while they only wait, more once they are unusual or in
// flight. Owned by Scheduler. Plain data.
#pragma once

#include "src/sched/estimate.hpp"
#include "src/sched/flights.hpp"
#include "src/sched/lots.hpp"

#include <array>
#include <map>
#include <memory>

namespace reeve::sched {

/// What few jobs have.
struct JobRare {
  std::vector<std::pair<TimePoint, TaskRun>> delayed; // wait for a time
  TimePoint sulking;                                  // something was refused; tried again then
  Duration sulk{0};
  std::unordered_map<std::string, std::uint32_t> spread; // tasks by the value of the label
  std::unique_ptr<Estimate> estimate;                    // of a job without a name
};

/// What a job has only once something of it was requeued or refused, or is on several nodes.
struct alignas(64) JobMore {
  std::vector<TaskRun> ready; // besides the fresh ones, sorted
  Few<FlightId> flights;
  std::uint32_t tasks = 0, slots = 0; // expected
  std::unique_ptr<JobRare> rare;      // null: none of it
  JobRare& rarer() {
    if (!rare)
      rare = std::make_unique<JobRare>();
    return *rare;
  }
};
static_assert(sizeof(JobMore) <= 64);

struct SchedJob {
  LotId lot = nobody;  // nobody: no such job
  TaskIndex first = 0; // [first, first + count) were never placed
  std::uint32_t count : 24 = 0;
  std::uint32_t held : 1 = 0;
  std::uint32_t listed : 1 = 0;  // could be placed now
  std::uint32_t in_line : 1 = 0; // stands in its lot's JobLine, listed or not
  std::uint32_t blocked : 1 = 0; // waits for other jobs
  std::uint32_t flies : 1 = 0;   // in flight on one node, and nothing else is to be known
  std::uint32_t more = nobody;   // its JobMore; of one that flies its flight
  TimePoint submitted;
  std::uint32_t next = 0, before = 0; // in line: so much higher and lower are their ids; 0: nobody
};
static_assert(sizeof(SchedJob) == 32);

/// By id, in pages that are used again when all their jobs are gone.
class Jobs {
public:
  [[nodiscard]] SchedJob* find(JobId id) {
    Page* page = page_of(id);
    if (!page)
      return nullptr;
    SchedJob& job = page->jobs[id.value % page_jobs];
    return job.lot == nobody ? nullptr : &job;
  }
  [[nodiscard]] const SchedJob* find(JobId id) const { return const_cast<Jobs*>(this)->find(id); }
  SchedJob& add(JobId id); // must not be there
  /// It will be asked for soon.
  void prefetch(JobId id) const {
    if (const Page* page = page_of(id))
      fetch(&page->jobs[id.value % page_jobs]);
  }
  void erase(JobId id); // stands in no line
  // ---- the line of a lot, which has all its jobs that may be placed
  void join(JobLine& line, JobId id, SchedJob& job);
  void leave(JobLine& line, JobId id, SchedJob& job);
  /// The first that could be placed now; who cannot, and is before it, leaves. 0: nobody.
  JobId front(JobLine& line);
  /// Those in line, able or not: who has its place in their order, until f returns false; then,
  /// likewise, those who came late.
  template<class F> void each(const JobLine& line, F&& f) const {
    for (JobId id = line.first; id;) {
      const SchedJob& job = *find(id);
      if (!f(id, job))
        break;
      id = job.next == 0 ? JobId() : JobId(id.value + job.next);
    }
    for (const JobId id : line.late)
      if (!f(id, *find(id)))
        break;
  }
  /// Who stands behind it will be asked for soon.
  void prefetch_next(JobId id) const {
    if (const SchedJob* job = find(id); job && job->next != 0)
      prefetch(JobId(id.value + job->next));
  }
  /// Made if there is none; not of one that flies.
  JobMore& more(SchedJob& job) {
    if (job.more == nobody)
      job.more = mores_.add();
    return mores_[job.more];
  }
  [[nodiscard]] const JobMore* more_of(const SchedJob& job) const {
    return job.more == nobody || job.flies ? nullptr : &mores_[job.more];
  }
  [[nodiscard]] JobMore* more_of(const SchedJob& job) {
    return job.more == nobody || job.flies ? nullptr : &mores_[job.more];
  }
  [[nodiscard]] std::span<const FlightId> flights_of(const SchedJob& job) const {
    if (job.flies)
      return {&job.more, 1};
    return job.more == nobody ? std::span<const FlightId>() : mores_[job.more].flights.all();
  }
  [[nodiscard]] std::size_t size() const { return size_; }

private:
  static constexpr std::size_t page_jobs = 512;
  static constexpr std::uint64_t near_pages = std::uint64_t{1} << 22;
  struct Page {
    std::array<SchedJob, page_jobs> jobs;
    std::uint32_t live = 0, number = 0; // number: of the page, in pages_
  };
  [[nodiscard]] Page* page_of(JobId id) const {
    const std::uint64_t number = id.value / page_jobs;
    if (number - base_ < near_.size())
      if (Page* page = near_[number - base_])
        return page;
    return far_.empty() ? nullptr : far_page(number);
  }
  [[nodiscard]] Page* far_page(std::uint64_t number) const;
  /// Pages from that of the oldest job on, by number from base_; null: no job. Ids count up, but
  /// one may come that is far from all others.
  std::vector<Page*> near_;
  std::uint64_t base_ = 0;
  std::size_t gone_ = 0; // pages in front that have no job
  std::map<std::uint64_t, Page*> far_;
  Store<Page> pages_;
  Store<JobMore> mores_;
  std::size_t size_ = 0;
};

} // namespace reeve::sched
