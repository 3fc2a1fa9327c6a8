// Marks: what must be remembered of tasks that are not plain, run-length coded. A task without a
// mark has never been placed (its index is at or above the job's `next`), is in flight for the
// first time, or succeeded. So an array of 10 M tasks that all go well needs none. Owned by Job.
// Knows no cluster.
#pragma once

#include "src/core/retry.hpp"

namespace reeve::core {

struct Mark {
  std::uint32_t count = 1; // tasks from the map's key on
  TaskState state = TaskState::pending;
  Attempt attempt = 0; // last one placed; 0: none. A pending task's next placement is attempt + 1.
  std::uint32_t failures = 0, losses = 0;
  Cause cause = Cause::none;
  std::int32_t exit_code = 0; // or the signal's number
  TimePoint not_before;
  std::string reason;
  std::uint32_t troubles = 0; // this and the next two: as in Tally
  std::vector<std::uint32_t> uses;
  std::vector<NodeId> crashes;

  [[nodiscard]] Tally tally() const {
    return {failures, losses, troubles, uses, crashes, exit_code};
  }
  void put(const Tally& tally) {
    failures = tally.failures;
    losses = tally.losses;
    troubles = tally.troubles;
    uses = tally.uses;
    crashes = tally.crashes;
  }
  [[nodiscard]] bool same_but_count(const Mark& o) const {
    return state == o.state && attempt == o.attempt && failures == o.failures &&
           losses == o.losses && cause == o.cause && exit_code == o.exit_code &&
           not_before == o.not_before && reason == o.reason && troubles == o.troubles &&
           uses == o.uses && crashes == o.crashes;
  }
  bool operator==(const Mark&) const = default;
  template<class V> static void fields(V& v) {
    v("count", &Mark::count);
    v("state", &Mark::state);
    v("attempt", &Mark::attempt);
    v("failures", &Mark::failures);
    v("losses", &Mark::losses);
    v("cause", &Mark::cause);
    v("exit_code", &Mark::exit_code);
    v("not_before_us", &Mark::not_before);
    v("reason", &Mark::reason);
    v("troubles", &Mark::troubles);
    v("uses", &Mark::uses);
    v("crashes", &Mark::crashes);
  }
  static constexpr bool as_array = true;
};

class Marks {
public:
  using Map = std::map<TaskIndex, Mark>;

  /// The mark that covers `index`; end() if none.
  [[nodiscard]] Map::const_iterator find(TaskIndex index) const;
  /// Replaces whatever covered [first, first + mark.count) and joins equal neighbours.
  void set(TaskIndex first, Mark mark);
  void erase(TaskIndex first, std::uint32_t count);
  /// Calls f(first, mark) for the part of each mark inside [first, first + count), in order.
  /// `mark.count` is that of the part.
  template<class F> void each_in(TaskIndex first, std::uint32_t count, F&& f) const {
    const std::uint64_t end = std::uint64_t{first} + count;
    auto at = map_.upper_bound(first);
    if (at != map_.begin())
      --at;
    for (; at != map_.end() && at->first < end; ++at) {
      const std::uint64_t from = std::max<std::uint64_t>(at->first, first);
      const std::uint64_t to =
        std::min<std::uint64_t>(std::uint64_t{at->first} + at->second.count, end);
      if (from >= to)
        continue;
      Mark part = at->second;
      part.count = static_cast<std::uint32_t>(to - from);
      f(static_cast<TaskIndex>(from), part);
    }
  }
  [[nodiscard]] const Map& map() const { return map_; }
  [[nodiscard]] bool empty() const { return map_.empty(); }

private:
  void split(std::uint64_t at);
  Map map_;
};

/// Sorted, disjoint runs. Removes those parts of `run` (same attempt) that `runs` holds; returns
/// them.
std::vector<TaskRun> take_from(std::vector<TaskRun>& runs, const TaskRun& run);
/// The same without changing anything.
std::vector<TaskRun> common(const std::vector<TaskRun>& runs, const TaskRun& run);
/// Adds a run that overlaps none of them, joining neighbours of the same attempt.
void add_to(std::vector<TaskRun>& runs, const TaskRun& run);
bool holds(const std::vector<TaskRun>& runs, TaskIndex index);

} // namespace reeve::core
