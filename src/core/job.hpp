// A job as the ledger keeps it: 64 bytes and what its specification differs in from others while it
// waits, more once it runs. Owned by Cluster's JobTable. Only apply changes it.
#pragma once

#include "src/core/changes.hpp"
#include "src/core/marks.hpp"

#include <array>
#include <deque>
#include <memory>
#include <unordered_map>

namespace reeve::core {

/// Tasks of one job in flight on one node.
struct Allocation {
  std::uint32_t slots = 0;     // at most so many run at once; booked = slots x the job's resources
  std::uint32_t in_flight = 0; // sum of runs; slots <= in_flight
  std::vector<TaskRun> runs;   // sorted by first
};

/// What a job needs only once it has run, or when it is unusual.
struct JobExtra {
  std::map<NodeId, Allocation> allocations;
  Marks marks;
  std::uint32_t assigned = 0, succeeded = 0, failed = 0, cancelled = 0, held = 0, interrupted = 0;
  TimePoint started, ended;
  std::int32_t exit_code = 0;
  std::vector<TaskRun> stopping; // in flight and to be stopped; attempt is ignored
  std::vector<TaskRun> yielding; // in flight and to be stopped, to wait again; attempt is ignored
  std::vector<TaskRun> moving;   // those of `yielding` that are moved off their node
  std::vector<TaskRun> copied;   // in flight twice; attempt is ignored
  std::vector<TaskRun> beaten;   // attempts in flight whose other copy has ended well
  std::vector<Dependency> after; // `job` filled in
  std::vector<TaskRun> blocked;  // not placed before what they wait for; attempt is 1
  std::vector<std::string> items;
  std::string reason; // of a hold, a cancellation or the first failure
};

struct KindEntry {                  // in the cluster's table; the job points at it
  const std::string* key = nullptr; // in that table
  KindPtr kind;
  std::string sample; // encoded JobSpec without items, of its first job
  std::uint64_t jobs = 0;
  std::uint64_t* waiting = nullptr; // tasks of its user that wait in its queue, of all kinds
};

/// What makes a job's JobSpec, encoded and without items, differ from its kind's sample
/// (spec_diff.hpp). A pointer wide, because a million of them wait; nothing when they are the same.
class SpecBlob {
public:
  SpecBlob() = default;
  explicit SpecBlob(std::string_view bytes);
  [[nodiscard]] std::string_view view() const;

private:
  std::unique_ptr<char[]> bytes_; // length: one byte, or 255 and four; then the bytes
};

struct KeyPrint { // XXH3-128 of the submitter's key; zero: none
  std::uint64_t low = 0, high = 0;
  bool operator==(const KeyPrint&) const = default;
  [[nodiscard]] bool none() const { return low == 0 && high == 0; }
};
KeyPrint print_of(const Bytes& key);

struct Job {
  SpecBlob spec;
  KindEntry* kind = nullptr; // null: no such job
  std::unique_ptr<JobExtra> extra;
  TimePoint submitted;
  KeyPrint key;            // only on the first job of a Submit
  std::uint32_t count = 0; // tasks
  TaskIndex next = 0;      // tasks at and above it were never placed, cancelled or held
  std::uint32_t batch = 0; // jobs in that Submit; only on the first
  bool held = false;
  bool cancelling = false; // the whole job: what is in flight is being stopped
  bool ended = false;

  [[nodiscard]] std::uint32_t fresh() const { return count - next; }
  [[nodiscard]] std::uint32_t final_tasks() const {
    return extra ? extra->succeeded + extra->failed + extra->cancelled : 0;
  }
  [[nodiscard]] std::uint32_t assigned() const { return extra ? extra->assigned : 0; }
  [[nodiscard]] std::uint32_t pending() const {
    return extra ? count - final_tasks() - extra->assigned - extra->held - extra->interrupted
                 : count;
  }
  JobExtra& more() {
    if (!extra)
      extra = std::make_unique<JobExtra>();
    return *extra;
  }
  [[nodiscard]] JobState state() const;
  [[nodiscard]] std::string encoded_spec() const; // JobSpec without items
  [[nodiscard]] std::string correlation() const;  // as in that
};
static_assert(sizeof(Job) <= 64, "a pending job must stay small");

/// Jobs by id, in pages that are freed when all their jobs are forgotten. Ids are given in order,
/// so looking one up is two indexings.
class JobTable {
public:
  Job& add(JobId id); // id must be newest() + 1
  [[nodiscard]] Job* find(JobId id);
  [[nodiscard]] const Job* find(JobId id) const { return const_cast<JobTable*>(this)->find(id); }
  void erase(JobId id);
  /// The table starts after this id (restoring a snapshot).
  void start_after(JobId id);
  [[nodiscard]] JobId newest() const { return newest_; }
  [[nodiscard]] JobId oldest() const; // newest() + 1 when empty
  [[nodiscard]] std::uint64_t size() const { return size_; }
  template<class F> void each(F&& f) const { // in id order
    for (std::size_t p = 0; p < pages_.size(); ++p)
      if (pages_[p].jobs)
        for (std::size_t i = 0; i < page_jobs; ++i)
          if (const Job& job = (*pages_[p].jobs)[i]; job.kind)
            f(JobId((first_page_ + p) * page_jobs + i), job);
  }

private:
  static constexpr std::size_t page_jobs = 512;
  struct Page { // the count stands outside, so that the jobs fill what an allocator gives
    std::unique_ptr<std::array<Job, page_jobs>> jobs;
    std::size_t live = 0;
  };
  std::deque<Page> pages_;
  std::uint64_t first_page_ = 0;
  JobId newest_;
  std::uint64_t size_ = 0;
};

/// Which job came with which key: open addressing over job ids, 8 bytes a slot, of which the
/// highest is taken from the key, so that others' keys are rarely looked at.
class KeyIndex {
public:
  [[nodiscard]] JobId find(const KeyPrint& key, const JobTable& jobs) const;
  void add(const KeyPrint& key, JobId id, const JobTable& jobs);
  void erase(const KeyPrint& key, const JobTable& jobs);

private:
  static constexpr std::uint64_t tag_bits = std::uint64_t{0xff} << 56;
  [[nodiscard]] std::size_t place_of(const KeyPrint& key, const JobTable& jobs) const;
  void put(const KeyPrint& key, JobId id);
  void grow(const JobTable& jobs);
  std::vector<std::uint64_t> slots_; // 0: free, ~0: deleted
  std::size_t used_ = 0, live_ = 0;
};

} // namespace reeve::core
