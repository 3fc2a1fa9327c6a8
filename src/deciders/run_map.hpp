// A value for each task of a job, run-length coded: neighbours that were treated alike share one.
// Used by recovery. Knows nothing of what the values mean.
#pragma once

#include "messages/ids.hpp"

#include <map>

namespace reeve::deciders {

template<class T> class RunMap {
public:
  /// Calls change(value) for each stretch of [first, first + count) that has one value (a new one
  /// where there was none), then use(first, count, value).
  template<class F, class G>
  void update(TaskIndex first, std::uint32_t count, F&& change, G&& use) {
    const std::uint64_t end = std::uint64_t{first} + count;
    split(first);
    split(end);
    for (std::uint64_t at = first; at < end;) {
      auto found = runs_.lower_bound(at);
      if (found == runs_.end() || found->first > at) {
        const std::uint64_t next =
          found == runs_.end() ? end : std::min<std::uint64_t>(found->first, end);
        found = runs_.emplace_hint(found, at, Run{next, T{}});
      }
      change(found->second.value);
      use(static_cast<TaskIndex>(at), static_cast<std::uint32_t>(found->second.end - at),
          found->second.value);
      at = found->second.end;
    }
  }
  void erase(TaskIndex first, std::uint32_t count) {
    split(first);
    split(std::uint64_t{first} + count);
    runs_.erase(runs_.lower_bound(first), runs_.lower_bound(std::uint64_t{first} + count));
  }
  [[nodiscard]] bool empty() const { return runs_.empty(); }

private:
  struct Run {
    std::uint64_t end = 0;
    T value;
  };
  void split(std::uint64_t at) {
    auto next = runs_.upper_bound(at);
    if (next == runs_.begin())
      return;
    auto run = std::prev(next);
    if (run->first == at || run->second.end <= at)
      return;
    runs_.emplace_hint(next, at, Run{run->second.end, run->second.value});
    run->second.end = at;
  }
  std::map<std::uint64_t, Run> runs_; // by first task
};

} // namespace reeve::deciders
