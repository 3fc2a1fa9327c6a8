// Run-length arithmetic on tasks. See marks.hpp.
#include "src/core/marks.hpp"

#include <algorithm>

namespace reeve::core {

Marks::Map::const_iterator Marks::find(TaskIndex index) const {
  auto at = map_.upper_bound(index);
  if (at == map_.begin())
    return map_.end();
  --at;
  return std::uint64_t{at->first} + at->second.count > index ? at : map_.end();
}

void Marks::split(std::uint64_t at) {
  if (at == 0 || at > std::numeric_limits<TaskIndex>::max())
    return;
  const auto index = static_cast<TaskIndex>(at);
  auto it = map_.upper_bound(index);
  if (it == map_.begin())
    return;
  --it;
  const std::uint64_t end = std::uint64_t{it->first} + it->second.count;
  if (it->first == index || end <= at)
    return;
  Mark right = it->second;
  right.count = static_cast<std::uint32_t>(end - at);
  it->second.count = index - it->first;
  map_.emplace(index, std::move(right));
}

void Marks::erase(TaskIndex first, std::uint32_t count) {
  const std::uint64_t end = std::uint64_t{first} + count;
  split(first);
  split(end);
  auto at = map_.lower_bound(first);
  while (at != map_.end() && at->first < end)
    at = map_.erase(at);
}

void Marks::set(TaskIndex first, Mark mark) {
  erase(first, mark.count);
  auto at = map_.insert_or_assign(first, std::move(mark)).first;
  if (auto next = std::next(at); next != map_.end() &&
                                 std::uint64_t{at->first} + at->second.count == next->first &&
                                 at->second.same_but_count(next->second)) {
    at->second.count += next->second.count;
    map_.erase(next);
  }
  if (at != map_.begin()) {
    auto before = std::prev(at);
    if (std::uint64_t{before->first} + before->second.count == at->first &&
        before->second.same_but_count(at->second)) {
      before->second.count += at->second.count;
      map_.erase(at);
    }
  }
}

namespace {
// The runs are sorted by first: the earliest that can touch `first`.
std::size_t start_of(const std::vector<TaskRun>& runs, TaskIndex first) {
  auto at = std::upper_bound(runs.begin(), runs.end(), first,
                             [](TaskIndex f, const TaskRun& r) { return f < r.first; });
  return static_cast<std::size_t>(at - runs.begin()) - (at == runs.begin() ? 0 : 1);
}
} // namespace

std::vector<TaskRun> common(const std::vector<TaskRun>& runs, const TaskRun& run) {
  std::vector<TaskRun> out;
  const std::uint64_t end = std::uint64_t{run.first} + run.count;
  for (std::size_t i = start_of(runs, run.first); i < runs.size() && runs[i].first < end; ++i) {
    if (runs[i].attempt != run.attempt)
      continue;
    const std::uint64_t from = std::max(runs[i].first, run.first);
    const std::uint64_t to =
      std::min<std::uint64_t>(std::uint64_t{runs[i].first} + runs[i].count, end);
    if (from < to)
      out.push_back(
        {static_cast<TaskIndex>(from), static_cast<std::uint32_t>(to - from), run.attempt});
  }
  return out;
}

std::vector<TaskRun> take_from(std::vector<TaskRun>& runs, const TaskRun& run) {
  std::vector<TaskRun> out = common(runs, run);
  for (const TaskRun& part : out) {
    const std::size_t i = start_of(runs, part.first);
    TaskRun& whole = runs[i];
    const TaskIndex end = whole.first + whole.count, part_end = part.first + part.count;
    const bool left = whole.first < part.first, right = part_end < end;
    if (left && right) {
      TaskRun tail{part_end, end - part_end, whole.attempt};
      whole.count = part.first - whole.first;
      runs.insert(runs.begin() + static_cast<std::ptrdiff_t>(i) + 1, tail);
    } else if (left) {
      whole.count = part.first - whole.first;
    } else if (right) {
      whole.first = part_end;
      whole.count = end - part_end;
    } else {
      runs.erase(runs.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  return out;
}

void add_to(std::vector<TaskRun>& runs, const TaskRun& run) {
  auto at = std::lower_bound(runs.begin(), runs.end(), run.first,
                             [](const TaskRun& r, TaskIndex f) { return r.first < f; });
  if (at != runs.begin()) {
    auto before = std::prev(at);
    if (before->attempt == run.attempt && before->first + before->count == run.first) {
      before->count += run.count;
      if (at != runs.end() && at->attempt == run.attempt && at->first == run.first + run.count) {
        before->count += at->count;
        runs.erase(at);
      }
      return;
    }
  }
  if (at != runs.end() && at->attempt == run.attempt && at->first == run.first + run.count) {
    at->first = run.first;
    at->count += run.count;
    return;
  }
  runs.insert(at, run);
}

bool holds(const std::vector<TaskRun>& runs, TaskIndex index) {
  if (runs.empty())
    return false;
  const TaskRun& run = runs[start_of(runs, index)];
  return run.first <= index && index - run.first < run.count;
}

} // namespace reeve::core
