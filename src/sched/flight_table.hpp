// Which flight a (job, node) has, for jobs with many: open addressing with linear probing, so that
// a question costs one line of the cache. Used by Flights. Knows nothing of flights.
#pragma once

#include "messages/types.hpp"
#include "src/sched/huge.hpp"

namespace reeve::sched {

class FlightTable {
public:
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  [[nodiscard]] std::uint32_t find(JobId job, NodeId node) const {
    if (size_ == 0)
      return none;
    for (std::size_t i = home(job, node);; i = next(i)) {
      const Entry& e = entries_[i];
      if (e.id == none || (e.job == job && e.node == node))
        return e.id;
    }
  }
  /// It will be asked for soon.
  void prefetch(JobId job, NodeId node) const {
    if (size_ > 0)
      fetch(&entries_[home(job, node)]);
  }
  /// It must not be there.
  void add(JobId job, NodeId node, std::uint32_t id) {
    if (2 * (size_ + 1) > entries_.size())
      grow();
    ++size_;
    put({job, node, id});
  }
  void erase(JobId job, NodeId node) {
    std::size_t gap = home(job, node);
    while (entries_[gap].job != job || entries_[gap].node != node)
      gap = next(gap);
    // What stands behind may have been pushed there by it (Knuth, TAOCP 3, 6.4, algorithm R).
    for (std::size_t i = next(gap); entries_[i].id != none; i = next(i)) {
      const std::size_t from_home = i - home(entries_[i].job, entries_[i].node);
      if ((from_home & mask()) < ((i - gap) & mask()))
        continue; // the gap is before its home
      entries_[gap] = entries_[i];
      gap = i;
    }
    entries_[gap] = Entry();
    --size_;
  }
  [[nodiscard]] std::size_t size() const { return size_; }

private:
  struct Entry {
    JobId job;
    NodeId node;
    std::uint32_t id = none;
  };
  static_assert(sizeof(Entry) == 16);

  [[nodiscard]] std::size_t mask() const { return entries_.size() - 1; }
  [[nodiscard]] std::size_t next(std::size_t i) const { return (i + 1) & mask(); }
  [[nodiscard]] std::size_t home(JobId job, NodeId node) const {
    std::uint64_t x = (job.value * 0x9E3779B97F4A7C15ULL) ^ node.value; // splitmix64's last steps
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    return static_cast<std::size_t>(x ^ (x >> 31)) & mask();
  }
  void put(const Entry& entry) {
    std::size_t i = home(entry.job, entry.node);
    while (entries_[i].id != none)
      i = next(i);
    entries_[i] = entry;
  }
  void grow() {
    const auto before =
      std::exchange(entries_, HugeVector<Entry>(std::max<std::size_t>(64, 2 * entries_.size())));
    for (const Entry& entry : before)
      if (entry.id != none)
        put(entry);
  }

  HugeVector<Entry> entries_;
  std::size_t size_ = 0;
};

} // namespace reeve::sched
