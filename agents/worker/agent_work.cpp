// See agent_work.hpp.
#include "agents/worker/agent_work.hpp"

#include <functional>
#include <iterator>

namespace reeve::worker {

namespace {
constexpr std::size_t waiting_compact_above = 64;

std::uint64_t end_of(const TaskRun& run) {
  return std::uint64_t{run.first} + run.count;
}
} // namespace

AgentWork::AgentWork(Resources capacity, std::set<std::string> executors)
    : capacity_(std::move(capacity)), units_(capacity_.named_milli),
      executors_(std::move(executors)) {}

void AgentWork::put_spec(JobId id, const Raw& raw) {
  Job& job = jobs_[id];
  if (job.spec)
    return;
  Read& read = read_[std::hash<std::string_view>{}(raw.msgpack) % read_.size()];
  if (!read.spec || read.bytes != raw.msgpack) {
    auto spec = decode<JobSpec>(raw.msgpack);
    if (!spec) {
      job.broken = "the job's specification cannot be read here: " + spec.error().message();
      spec = JobSpec{};
      job.spec = std::make_shared<const JobSpec>(std::move(*spec));
      return;
    }
    read = {raw.msgpack, std::make_shared<const JobSpec>(std::move(*spec))};
  }
  job.spec = read.spec;
  job.spec_missed = false;
  if (!executors_.contains(job.spec->executor))
    job.broken = "no executor \"" + job.spec->executor + "\" here";
  else if (!fits(job.spec->resources, capacity_))
    job.broken = shortage(job.spec->resources, capacity_, capacity_);
}

bool AgentWork::overlaps_batch(const Job& job, const TaskRun& run) {
  auto it = job.batches.lower_bound({run.attempt, run.first});
  if (it != job.batches.end() && it->first.first == run.attempt && it->first.second < end_of(run))
    return true;
  if (it == job.batches.begin())
    return false;
  --it;
  return it->first.first == run.attempt &&
         std::uint64_t{it->first.second} + it->second.count > run.first;
}

bool AgentWork::assign(AssignedJob&& assigned, Epoch epoch) {
  auto it = jobs_.find(assigned.job);
  if (it == jobs_.end() || !it->second.spec) {
    if (it != jobs_.end())
      it->second.spec_missed = true;
    return assigned.runs.empty();
  }
  Job& job = it->second;
  job.slots = std::max<std::uint32_t>(assigned.slots, 1);
  if (!assigned.peers.empty())
    job.peers = std::make_shared<const std::vector<std::string>>(std::move(assigned.peers));
  std::size_t item = 0;
  for (const TaskRun& run : assigned.runs) {
    std::vector<std::string> items;
    if (!assigned.items.empty()) {
      const auto from = assigned.items.begin() + static_cast<std::ptrdiff_t>(item);
      items.assign(std::make_move_iterator(from),
                   std::make_move_iterator(from + static_cast<std::ptrdiff_t>(run.count)));
      item += run.count;
    }
    take(assigned.job, job, run, epoch, std::move(items));
  }
  queue(assigned.job, job);
  forget_if_over(it);
  return true;
}

void AgentWork::take(JobId id, Job& job, const TaskRun& run, Epoch epoch,
                     std::vector<std::string> items) {
  std::vector<AttemptMap::Piece> known;
  job.attempts.overlapping(run.first, end_of(run),
                           [&known](const AttemptMap::Piece& piece) { known.push_back(piece); });
  if (known.empty() && !overlaps_batch(job, run)) {
    take_piece(job, run, epoch, std::move(items));
    return;
  }
  // Parts that are known stay as they are, unless this is a newer attempt of them.
  std::uint64_t at = run.first;
  const auto take_until = [&](std::uint64_t end) {
    if (at >= end)
      return;
    const TaskRun part{static_cast<TaskIndex>(at), static_cast<std::uint32_t>(end - at),
                       run.attempt};
    if (!overlaps_batch(job, part)) {
      std::vector<std::string> some;
      if (!items.empty()) {
        const auto from = items.begin() + static_cast<std::ptrdiff_t>(at - run.first);
        some.assign(from, from + static_cast<std::ptrdiff_t>(part.count));
      }
      take_piece(job, part, epoch, std::move(some));
    }
    at = end;
  };
  for (const auto& piece : known) {
    if (piece.attempt < run.attempt) {
      drop_runs(id, job, {piece.run()});
      continue;
    }
    take_until(piece.first);
    at = piece.end();
  }
  take_until(end_of(run));
}

void AgentWork::take_piece(Job& job, const TaskRun& run, Epoch epoch,
                           std::vector<std::string> items) {
  job.attempts.put(run, Phase::waiting);
  job.waiting.push_back({run, epoch, std::move(items)});
  waiting_ += run.count;
}

void AgentWork::adopt(const AttemptId& id, std::vector<UnitShare> units) {
  Job& job = jobs_[id.job];
  job.attempts.put({id.index, 1, id.attempt}, Phase::running);
  units_.adopt(units);
  book(job, job.batches[{id.attempt, id.index}] = {1, 1, false, std::move(units)});
  ++job.busy;
  job.slots = std::max(job.slots, job.busy);
  ++running_;
}

void AgentWork::adopt_ended(const AttemptId& id) {
  jobs_[id.job].attempts.put({id.index, 1, id.attempt}, Phase::ended);
}

void AgentWork::prune_waiting(Job& job) {
  std::vector<Waiting> kept;
  std::uint64_t before = 0, after = 0;
  for (std::size_t k = job.head; k < job.waiting.size(); ++k) {
    Waiting& waiting = job.waiting[k];
    before += waiting.run.count;
    const std::size_t items_gone =
      waiting.items.empty() ? 0 : waiting.items.size() - waiting.run.count;
    job.attempts.overlapping(
      waiting.run.first, end_of(waiting.run), [&](const AttemptMap::Piece& piece) {
        if (piece.attempt != waiting.run.attempt || piece.phase != Phase::waiting)
          return;
        Waiting part{piece.run(), waiting.epoch, {}};
        if (!waiting.items.empty()) {
          const auto from = waiting.items.begin() + static_cast<std::ptrdiff_t>(
                                                      items_gone + piece.first - waiting.run.first);
          part.items.assign(
            std::make_move_iterator(from),
            std::make_move_iterator(from + static_cast<std::ptrdiff_t>(piece.count)));
        }
        after += piece.count;
        kept.push_back(std::move(part));
      });
  }
  waiting_ -= before - after;
  job.waiting = std::move(kept);
  job.head = 0;
}

std::vector<AttemptMap::Piece> AgentWork::find_known(const Job& job,
                                                     const std::vector<TaskRun>& runs) {
  std::vector<AttemptMap::Piece> found;
  for (const TaskRun& run : runs)
    job.attempts.overlapping(run.first, end_of(run), [&](const AttemptMap::Piece& piece) {
      if (piece.attempt == run.attempt && piece.phase != Phase::ended)
        found.push_back(piece);
    });
  return found;
}

void AgentWork::stop(const JobRuns& tasks, Cause cause, const std::string& text, TimePoint now,
                     bool move) {
  const auto it = jobs_.find(tasks.job);
  if (it == jobs_.end())
    return;
  Job& job = it->second;
  for (const auto& piece : find_known(job, tasks.runs)) {
    if (piece.phase == Phase::waiting) {
      job.attempts.put(piece.run(), Phase::ended);
      ended.push_back({tasks.job, piece.run(), cause, text, now});
    } else {
      stops.push_back({tasks.job, job.spec, piece.run(), cause, text, std::nullopt, move});
    }
  }
  prune_waiting(job);
}

void AgentWork::drop_runs(JobId id, Job& job, const std::vector<TaskRun>& runs) {
  // What has ended is in Results messages, which the master will acknowledge and ignore.
  for (const auto& piece : find_known(job, runs)) {
    job.attempts.erase(piece.run(), piece.phase);
    if (piece.phase == Phase::running) // its slot stays taken until the executor says it has ended
      stops.push_back(
        {id, job.spec, piece.run(), Cause::cancelled, "no longer this node's", {}, false});
  }
  prune_waiting(job);
}

void AgentWork::drop(const JobRuns& tasks) {
  const auto it = jobs_.find(tasks.job);
  if (it == jobs_.end())
    return;
  drop_runs(tasks.job, it->second, tasks.runs);
  forget_if_over(it);
}

void AgentWork::stop_all(Cause cause, const std::string& text, Duration grace_most, TimePoint now) {
  stopping_ = true;
  std::map<JobId, std::vector<TaskRun>> all; // ordered: equal inputs give equal outputs
  for (const auto& [id, job] : jobs_)
    for (const auto& piece : job.attempts.pieces())
      all[id].push_back(piece.run());
  const std::size_t from = stops.size();
  for (auto& [id, runs] : all)
    stop({id, std::move(runs)}, cause, text, now);
  for (std::size_t k = from; k < stops.size(); ++k) {
    const Duration grace = stops[k].spec ? stops[k].spec->grace : grace_most;
    stops[k].grace = std::min(grace, grace_most);
  }
}

void AgentWork::queue(JobId id, Job& job) {
  if (job.queued || job.head == job.waiting.size() || job.busy >= job.slots)
    return;
  job.queued = true;
  ready_.push_back(id);
}

void AgentWork::book(const Job& job, Batch& batch) {
  if (!job.spec) // adopted without its specification
    return;
  batch.booked = true;
  used_ += job.spec->resources;
}

bool AgentWork::refuse(JobId id, Job& job, TimePoint now) {
  if (job.broken.empty())
    return false;
  const bool unknown = !executors_.contains(job.spec->executor);
  for (std::size_t k = job.head; k < job.waiting.size(); ++k) {
    const TaskRun& run = job.waiting[k].run;
    job.attempts.put(run, Phase::ended);
    ended.push_back(
      {id, run, unknown ? Cause::unknown_executor : Cause::start_failed, job.broken, now});
  }
  prune_waiting(job);
  return true;
}

bool AgentWork::start_one(JobId id, Job& job, TimePoint) {
  const Resources& need = job.spec->resources;
  if (!fits(used_ + need, capacity_))
    return false;
  auto units = units_.take(need.named_milli);
  if (!units)
    return false;
  Waiting& next = job.waiting[job.head];
  const auto limit = batch_.find(job.spec->executor);
  const std::uint32_t count =
    std::min(next.run.count, limit == batch_.end() ? 1 : std::max(limit->second, 1U));
  const TaskRun run{next.run.first, count, next.run.attempt};
  StartTasks start{id, job.spec, run, next.epoch, {}, job.peers, *units};
  if (!next.items.empty()) {
    const auto from = next.items.end() - static_cast<std::ptrdiff_t>(next.run.count);
    start.items.assign(std::make_move_iterator(from),
                       std::make_move_iterator(from + static_cast<std::ptrdiff_t>(count)));
  }
  next.run.first += count;
  next.run.count -= count;
  if (next.run.count == 0) {
    next.items = {};
    if (++job.head == job.waiting.size()) {
      job.waiting.clear();
      job.head = 0;
    } else if (job.head > waiting_compact_above && job.head * 2 > job.waiting.size()) {
      job.waiting.erase(job.waiting.begin(),
                        job.waiting.begin() + static_cast<std::ptrdiff_t>(job.head));
      job.head = 0;
    }
  }
  waiting_ -= count;
  job.attempts.put(run, Phase::running);
  book(job, job.batches[{run.attempt, run.first}] = {count, count, false, std::move(*units)});
  ++job.busy;
  ++running_;
  starts.push_back(std::move(start));
  return true;
}

void AgentWork::start(TimePoint now) {
  if (freed_) {
    freed_ = false;
    ready_.insert(ready_.begin(), blocked_.begin(), blocked_.end()); // they came first
    blocked_.clear();
  }
  while (!ready_.empty()) {
    const JobId id = ready_.front();
    ready_.pop_front();
    const auto it = jobs_.find(id);
    if (it == jobs_.end())
      continue;
    Job& job = it->second;
    job.queued = false;
    if (refuse(id, job, now) || stopping_)
      continue;
    while (job.head < job.waiting.size() && job.busy < job.slots) {
      if (!start_one(id, job, now)) {
        job.queued = true;
        blocked_.push_back(id);
        break;
      }
    }
  }
}

void AgentWork::batch_done(Job& job, Attempt attempt, TaskIndex first, std::uint32_t count) {
  // A report may span batches (merged) or be a part of one.
  std::uint64_t at = first;
  const std::uint64_t end = at + count;
  while (at < end) {
    auto it = job.batches.upper_bound({attempt, static_cast<TaskIndex>(at)});
    if (it == job.batches.begin())
      return;
    --it;
    const std::uint64_t batch_end = std::uint64_t{it->first.second} + it->second.count;
    if (it->first.first != attempt || batch_end <= at)
      return;
    const std::uint64_t to = std::min(end, batch_end);
    it->second.left -= std::min(it->second.left, static_cast<std::uint32_t>(to - at));
    at = to;
    if (it->second.left == 0) {
      if (it->second.booked)
        used_ -= job.spec->resources;
      units_.give_back(it->second.units);
      job.batches.erase(it);
      --job.busy;
      --running_;
      freed_ = true;
    }
  }
}

void AgentWork::report_quiet(Job& job, const QuietRun& quiet, std::vector<QuietRun>& kept) {
  std::vector<TaskRun> runs;
  job.attempts.overlapping(quiet.run.first, end_of(quiet.run), [&](const AttemptMap::Piece& piece) {
    if (piece.attempt == quiet.run.attempt && piece.phase == Phase::running)
      runs.push_back(piece.run());
  });
  for (const TaskRun& run : runs) {
    job.attempts.put(run, Phase::ended);
    kept.push_back({run, quiet.started, quiet.ended});
  }
  batch_done(job, quiet.run.attempt, quiet.run.first, quiet.run.count);
}

void AgentWork::finished(Finished& done) {
  const auto it = jobs_.find(done.job);
  if (it == jobs_.end()) {
    for (const FinishedTask& task : done.tasks)
      forget.push_back({done.job, task.result.index, task.result.attempt});
    done.quiet.clear();
    done.tasks.clear();
    return;
  }
  Job& job = it->second;
  std::vector<QuietRun> quiet;
  for (const QuietRun& run : done.quiet)
    report_quiet(job, run, quiet);
  done.quiet = std::move(quiet);
  std::erase_if(done.tasks, [&](const FinishedTask& task) {
    const TaskRun run{task.result.index, 1, task.result.attempt};
    bool known = false, reported = false;
    job.attempts.overlapping(run.first, end_of(run), [&](const AttemptMap::Piece& piece) {
      known = piece.attempt == run.attempt && piece.phase == Phase::running;
      reported = piece.attempt == run.attempt && piece.phase == Phase::ended;
    });
    if (known)
      job.attempts.put(run, Phase::ended);
    else if (!reported)
      forget.push_back({done.job, run.first, run.attempt});
    if (!reported)
      batch_done(job, run.attempt, run.first, 1);
    return !known;
  });
  queue(done.job, job);
  forget_if_over(it);
}

void AgentWork::acked(JobId id, const TaskRun& run) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end())
    return;
  it->second.attempts.erase(run, Phase::ended);
  forget_if_over(it);
}

void AgentWork::forget_if_over(Jobs::iterator it) {
  if (!it->second.attempts.empty() || !it->second.batches.empty())
    return;
  forgotten_jobs.push_back(it->first);
  jobs_.erase(it);
}

std::vector<JobRuns> AgentWork::list() const {
  std::map<JobId, const Job*> sorted;
  for (const auto& [id, job] : jobs_)
    if (!job.spec_missed)
      sorted.emplace(id, &job);
  std::vector<JobRuns> out;
  for (const auto& [id, job] : sorted) {
    JobRuns runs{id, {}};
    for (const auto& piece : job->attempts.pieces()) {
      if (!runs.runs.empty() && end_of(runs.runs.back()) == piece.first &&
          runs.runs.back().attempt == piece.attempt)
        runs.runs.back().count += piece.count;
      else
        runs.runs.push_back(piece.run());
    }
    if (!runs.runs.empty())
      out.push_back(std::move(runs));
  }
  return out;
}

const JobSpec* AgentWork::spec_of(JobId id) const {
  const auto it = jobs_.find(id);
  return it == jobs_.end() ? nullptr : it->second.spec.get();
}

bool AgentWork::runs(JobId id, TaskIndex index, Attempt attempt) const {
  const auto it = jobs_.find(id);
  if (it == jobs_.end())
    return false;
  bool found = false;
  it->second.attempts.overlapping(index, std::uint64_t{index} + 1,
                                  [&](const AttemptMap::Piece& piece) {
                                    found = piece.attempt == attempt && piece.phase != Phase::ended;
                                  });
  return found;
}

Attempt AgentWork::newest_attempt(JobId id, TaskIndex index) const {
  const auto it = jobs_.find(id);
  Attempt attempt = 0;
  if (it != jobs_.end())
    it->second.attempts.overlapping(
      index, std::uint64_t{index} + 1,
      [&](const AttemptMap::Piece& piece) { attempt = piece.attempt; });
  return attempt;
}

} // namespace reeve::worker
