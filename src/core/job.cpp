// Tables of jobs and of submitters' keys. See job.hpp.
#include "src/core/job.hpp"

#include "src/core/spec_diff.hpp"

#include <algorithm>
#include <cstring>
#include <xxhash.h>

namespace reeve::core {

namespace {
constexpr std::size_t long_form = 0xff;
constexpr std::size_t long_head = 1 + sizeof(std::uint32_t);
} // namespace

SpecBlob::SpecBlob(std::string_view bytes) {
  if (bytes.empty())
    return;
  const std::size_t head = bytes.size() < long_form ? 1 : long_head;
  bytes_.reset(new char[head + bytes.size()]);
  const auto size = static_cast<std::uint32_t>(bytes.size());
  bytes_[0] = static_cast<char>(head == 1 ? size : long_form);
  if (head != 1)
    std::memcpy(bytes_.get() + 1, &size, sizeof size);
  std::memcpy(bytes_.get() + head, bytes.data(), bytes.size());
}
std::string_view SpecBlob::view() const {
  if (!bytes_)
    return {};
  if (const auto size = static_cast<unsigned char>(bytes_[0]); size < long_form)
    return {bytes_.get() + 1, size};
  std::uint32_t size = 0;
  std::memcpy(&size, bytes_.get() + 1, sizeof size);
  return {bytes_.get() + long_head, size};
}
std::string Job::encoded_spec() const {
  return spec_restored(kind->sample, spec.view());
}
std::string Job::correlation() const {
  return codec::text_in(encoded_spec(), "correlation");
}

KeyPrint print_of(const Bytes& key) {
  if (key.data.empty())
    return {};
  const XXH128_hash_t h = XXH3_128bits(key.data.data(), key.data.size());
  return {h.low64, h.high64 | 1u}; // never zero
}

JobState Job::state() const {
  if (ended) {
    if (extra && extra->failed > 0)
      return JobState::failed;
    if (extra && extra->cancelled > 0)
      return JobState::cancelled;
    return JobState::succeeded;
  }
  if (assigned() == 0 &&
      (held || (extra && extra->held > 0 && pending() + extra->interrupted == 0)))
    return JobState::held;
  return extra && extra->started != TimePoint{} ? JobState::running : JobState::pending;
}

Job& JobTable::add(JobId id) {
  const std::uint64_t page = id.value / page_jobs;
  if (const std::uint64_t last = newest_.value / page_jobs; last != page && last >= first_page_ &&
                                                            last - first_page_ < pages_.size() &&
                                                            pages_[last - first_page_].live == 0)
    pages_[last - first_page_].jobs.reset();
  if (pages_.empty())
    first_page_ = page;
  while (first_page_ + pages_.size() <= page)
    pages_.emplace_back();
  auto& slot = pages_[page - first_page_];
  if (!slot.jobs)
    slot.jobs = std::make_unique<std::array<Job, page_jobs>>();
  ++slot.live;
  ++size_;
  newest_ = id;
  return (*slot.jobs)[id.value % page_jobs];
}
Job* JobTable::find(JobId id) {
  const std::uint64_t page = id.value / page_jobs;
  if (page < first_page_ || page - first_page_ >= pages_.size() || !pages_[page - first_page_].jobs)
    return nullptr;
  Job& job = (*pages_[page - first_page_].jobs)[id.value % page_jobs];
  return job.kind ? &job : nullptr;
}
void JobTable::erase(JobId id) {
  Job* job = find(id);
  if (!job)
    return;
  *job = Job{};
  --size_;
  auto& page = pages_[id.value / page_jobs - first_page_];
  // The page that new jobs go to stays, so that its slots are not used twice.
  if (--page.live == 0 && id.value / page_jobs != newest_.value / page_jobs)
    page.jobs.reset();
  while (!pages_.empty() && !pages_.front().jobs) {
    pages_.pop_front();
    ++first_page_;
  }
}
void JobTable::start_after(JobId id) {
  if (id > newest_)
    newest_ = id;
}
JobId JobTable::oldest() const {
  for (std::size_t p = 0; p < pages_.size(); ++p)
    if (pages_[p].jobs)
      for (std::size_t i = 0; i < page_jobs; ++i)
        if ((*pages_[p].jobs)[i].kind)
          return JobId((first_page_ + p) * page_jobs + i);
  return newest_.next();
}

namespace {
constexpr std::uint64_t deleted = ~std::uint64_t{0};
}

/// Where the slot of `key` is; slots_.size() when it is not there.
std::size_t KeyIndex::place_of(const KeyPrint& key, const JobTable& jobs) const {
  if (slots_.empty() || key.none())
    return slots_.size();
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = key.low & mask; slots_[i] != 0; i = (i + 1) & mask) {
    if (slots_[i] == deleted || ((slots_[i] ^ key.high) & tag_bits) != 0)
      continue;
    if (const Job* job = jobs.find(JobId(slots_[i] & ~tag_bits)); job && job->key == key)
      return i;
  }
  return slots_.size();
}
JobId KeyIndex::find(const KeyPrint& key, const JobTable& jobs) const {
  const std::size_t at = place_of(key, jobs);
  return at == slots_.size() ? JobId() : JobId(slots_[at] & ~tag_bits);
}
void KeyIndex::put(const KeyPrint& key, JobId id) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t i = key.low & mask;
  while (slots_[i] != 0)
    i = (i + 1) & mask;
  slots_[i] = (key.high & tag_bits) | id.value;
  ++used_;
  ++live_;
}
void KeyIndex::add(const KeyPrint& key, JobId id, const JobTable& jobs) {
  if (key.none())
    return;
  if ((used_ + 1) * 10 > slots_.size() * 7)
    grow(jobs);
  put(key, id);
}
void KeyIndex::erase(const KeyPrint& key, const JobTable& jobs) {
  const std::size_t at = place_of(key, jobs);
  if (at == slots_.size())
    return;
  slots_[at] = deleted;
  --live_;
}
/// Asks the jobs for their keys in the order in which they lie in memory.
void KeyIndex::grow(const JobTable& jobs) {
  std::vector<std::uint64_t> ids;
  ids.reserve(live_);
  for (const std::uint64_t slot : slots_)
    if (slot != 0 && slot != deleted)
      ids.push_back(slot & ~tag_bits);
  std::sort(ids.begin(), ids.end());
  std::size_t size = 64;
  while (size < (live_ + 1) * 2)
    size *= 2;
  slots_.assign(size, 0);
  used_ = live_ = 0;
  for (const std::uint64_t id : ids)
    if (const Job* job = jobs.find(JobId(id)))
      put(job->key, JobId(id));
}

} // namespace reeve::core
