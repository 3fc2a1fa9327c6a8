// Jobs that wait for other jobs. What a dependency comes to is derived from the state, never
// journalled: the entry that ends a task also releases or cancels what waited for it. Also gangs,
// whose tasks depend on each other. See state.hpp.
#include "src/core/state.hpp"

#include <algorithm>

namespace reeve::core {
namespace {

enum class Verdict : std::uint8_t { wait, go, doom };

Verdict judge(DependencyKind kind, TaskState state) {
  if (!is_final(state))
    return Verdict::wait;
  const bool good = state == TaskState::succeeded;
  switch (kind) {
  case DependencyKind::ok:
    return good ? Verdict::go : Verdict::doom;
  case DependencyKind::fail:
    return good ? Verdict::doom : Verdict::go;
  case DependencyKind::any:
    break;
  }
  return Verdict::go;
}

Verdict judge_whole(DependencyKind kind, const Job* other) {
  if (!other) // forgotten, so it is over; how it ended nobody here knows
    return kind == DependencyKind::any ? Verdict::go : Verdict::doom;
  if (!other->ended)
    return Verdict::wait;
  return judge(kind,
               other->state() == JobState::succeeded ? TaskState::succeeded : TaskState::failed);
}

/// Sorts the parts of `runs` by what the same tasks of `other` came to.
struct Sorted {
  std::vector<TaskRun> wait, doom;
};
Sorted sort_each(DependencyKind kind, const Job& other, const std::vector<TaskRun>& runs) {
  Sorted out;
  const auto put = [&](TaskIndex first, std::uint32_t count, TaskState state) {
    const Verdict verdict = judge(kind, state);
    if (verdict == Verdict::wait)
      out.wait.push_back({first, count, 1});
    else if (verdict == Verdict::doom)
      out.doom.push_back({first, count, 1});
  };
  for (const TaskRun& run : runs) {
    std::vector<TaskRun> succeeded; // what nothing else is known of
    const std::uint64_t end = std::uint64_t{run.first} + run.count;
    const std::uint64_t placed = std::min<std::uint64_t>(end, other.next);
    if (placed > run.first)
      succeeded.push_back({run.first, static_cast<std::uint32_t>(placed - run.first), 1});
    if (placed < end)
      put(static_cast<TaskIndex>(std::max<std::uint64_t>(placed, run.first)),
          static_cast<std::uint32_t>(end - std::max<std::uint64_t>(placed, run.first)),
          TaskState::pending);
    if (other.extra) {
      other.extra->marks.each_in(run.first, run.count, [&](TaskIndex first, const Mark& mark) {
        put(first, mark.count, mark.state);
        take_from(succeeded, {first, mark.count, 1});
      });
      for (const auto& [node, allocation] : other.extra->allocations)
        for (const TaskRun& flying : allocation.runs)
          for (const TaskRun& part : take_from(succeeded, {flying.first, flying.count, 1}))
            put(part.first, part.count, TaskState::assigned);
    }
    for (const TaskRun& part : succeeded)
      put(part.first, part.count, TaskState::succeeded);
  }
  return out;
}

} // namespace

std::string waits_for(const Cluster::State& s, const std::vector<Dependency>& after,
                      std::optional<TaskIndex> index, const std::vector<JobDraft>* drafts) {
  constexpr std::size_t named = 5;
  std::size_t waiting = 0;
  std::string out, never;
  for (const Dependency& d : after) {
    const std::string end = d.kind == DependencyKind::ok     ? "to succeed"
                            : d.kind == DependencyKind::fail ? "to fail"
                                                             : "to end";
    std::string who, state;
    if (!d.job && drafts) {
      who = (*drafts)[d.place].name();
      who = "job " + (who.empty() ? "number " + std::to_string(d.place) : who);
      if (d.each)
        who = "the same task of " + who;
      state = "submitted with it";
    } else {
      const Job* other = s.jobs.find(d.job);
      Verdict verdict = judge_whole(d.kind, other);
      who = "job " + std::to_string(d.job.value);
      if (other && d.each && index && *index < other->count) {
        Sorted parts = sort_each(d.kind, *other, {{*index, 1, 1}});
        verdict = !parts.doom.empty()   ? Verdict::doom
                  : !parts.wait.empty() ? Verdict::wait
                                        : Verdict::go;
        who = "task " + std::to_string(d.job.value) + "/" + std::to_string(*index);
      } else if (d.each) {
        who = "the same task of " + who;
      }
      if (verdict == Verdict::go)
        continue;
      state = other ? std::string(name_of(other->state())) : "forgotten";
      if (verdict == Verdict::doom)
        never = who + " is " + state;
    }
    if (++waiting > named)
      continue;
    out += (out.empty() ? "waits for " : ", ") + who + " " + end + " (" + state + ")";
  }
  if (waiting > named)
    out += " and " + std::to_string(waiting - named) + " more";
  return never.empty() ? out : out + ", which can not happen any more";
}

void Applier::moved(JobId id) {
  if (!s_.dependents.empty() && s_.dependents.contains(id))
    moved_.push_back(id);
}

/// Releases and cancels what the entry decided for those who wait; a cancelled job may decide for
/// others.
void Applier::settle_dependents() {
  while (!moved_.empty()) {
    std::vector<JobId> now = std::exchange(moved_, {});
    std::sort(now.begin(), now.end());
    now.erase(std::unique(now.begin(), now.end()), now.end());
    for (const JobId id : now) {
      const auto at = s_.dependents.find(id);
      if (at == s_.dependents.end())
        continue;
      const Job* job = s_.jobs.find(id);
      const bool over = !job || job->ended;
      const std::vector<Cluster::State::Dependent> waiting = at->second;
      if (over)
        s_.dependents.erase(at);
      for (const auto& dependent : waiting)
        if (over || dependent.each)
          settle(dependent.job);
    }
  }
}

void Applier::settle(JobId id) {
  Job* job = s_.jobs.find(id);
  if (!job || !job->extra || job->extra->blocked.empty())
    return;
  bool waits = false;
  for (const Dependency& d : job->extra->after) {
    if (d.each)
      continue;
    const Job* other = s_.jobs.find(d.job);
    const Verdict verdict = judge_whole(d.kind, other);
    if (verdict == Verdict::doom) {
      const std::string what = !other                                  ? "is forgotten"
                               : other->state() == JobState::succeeded ? "succeeded"
                                                                       : "failed";
      return cancel(id, std::vector<TaskRun>(job->extra->blocked), Cause::dependency,
                    "job " + std::to_string(d.job.value) + ", which it waited for, " + what);
    }
    waits |= verdict == Verdict::wait;
  }
  std::vector<TaskRun> ready = job->extra->blocked;
  for (const Dependency& d : job->extra->after) {
    if (!d.each)
      continue;
    const Job* other = s_.jobs.find(d.job);
    if (!other) {
      if (d.kind != DependencyKind::any)
        return cancel(id, std::vector<TaskRun>(job->extra->blocked), Cause::dependency,
                      "job " + std::to_string(d.job.value) + ", which it waited for, is forgotten");
      continue;
    }
    Sorted sorted = sort_each(d.kind, *other, ready);
    for (const TaskRun& run : sorted.wait)
      take_from(ready, run);
    for (const TaskRun& run : sorted.doom)
      take_from(ready, run);
    if (!sorted.doom.empty()) {
      std::sort(sorted.doom.begin(), sorted.doom.end(),
                [](const TaskRun& a, const TaskRun& b) { return a.first < b.first; });
      cancel(id, sorted.doom, Cause::dependency,
             "its task of job " + std::to_string(d.job.value) + ", which it waited for, " +
               (d.kind == DependencyKind::ok ? "failed" : "succeeded"));
    }
  }
  if (waits || ready.empty())
    return;
  for (const TaskRun& run : ready)
    take_from(job->extra->blocked, run);
  changes_.push_back(TasksReleased{id, std::move(ready)});
}

/// One task of a gang does not run any more: the others are stopped, to start together again.
void Applier::yield_gang(Job& job, JobId id) {
  for (const auto& [node, allocation] : job.extra->allocations) {
    TasksToStop stop{node, id, {}, "its gang starts again", true};
    for (const TaskRun& run : allocation.runs) {
      std::vector<TaskRun> fresh{{run.first, run.count, 1}};
      for (const TaskRun& known : job.extra->yielding)
        take_from(fresh, known);
      for (const TaskRun& part : fresh) {
        add_to(job.extra->yielding, part);
        stop.runs.push_back({part.first, part.count, run.attempt});
      }
    }
    if (!stop.runs.empty())
      changes_.push_back(std::move(stop));
  }
}

std::string circle_in(const std::vector<JobDraft>& drafts) {
  const auto name = [&](std::size_t i) {
    const std::string given = drafts[i].name();
    return given.empty() ? "jobs[" + std::to_string(i) + "]" : given;
  };
  enum class Seen : std::uint8_t { no, open, closed };
  std::vector<Seen> seen(drafts.size(), Seen::no);
  struct Step {
    std::size_t job, next;
  };
  std::vector<Step> path; // depth first without recursion: a chain may be 100,000 long
  for (std::size_t start = 0; start < drafts.size(); ++start) {
    if (seen[start] != Seen::no)
      continue;
    path.push_back({start, 0});
    seen[start] = Seen::open;
    while (!path.empty()) {
      Step& step = path.back();
      if (step.next == drafts[step.job].after.size()) {
        seen[step.job] = Seen::closed;
        path.pop_back();
        continue;
      }
      const Dependency& d = drafts[step.job].after[step.next++];
      if (d.job || seen[d.place] == Seen::closed)
        continue;
      if (seen[d.place] == Seen::no) {
        seen[d.place] = Seen::open;
        path.push_back({d.place, 0});
        continue;
      }
      std::size_t from = 0;
      while (path[from].job != d.place)
        ++from;
      std::string circle;
      for (std::size_t i = from; i < path.size(); ++i)
        circle += name(path[i].job) + " -> ";
      return circle + name(d.place);
    }
  }
  return {};
}

} // namespace reeve::core
