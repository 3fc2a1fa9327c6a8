// Writes rows, their sums and lists: all of one transaction. See history.hpp.
#include "src/history/history.hpp"
#include "src/history/schema.hpp"
#include "src/history/sql.hpp"

#include <algorithm>

namespace reeve::history {
namespace {

constexpr std::size_t kinds_max = 100'000;

void text_or_null(sqlite::Statement& s, int parameter, std::string_view text) {
  if (text.empty())
    s.null(parameter);
  else
    s.text(parameter, text);
}
void blob_or_null(sqlite::Statement& s, int parameter, std::string_view bytes) {
  if (bytes.empty())
    s.null(parameter);
  else
    s.blob(parameter, bytes);
}

/// A value of a row of attempt_runs.
void give_run(const RunRow& row, std::int64_t id, int column, Feed::Cell to) {
  switch (column) {
  case 0:
    return to.integer(id);
  case 1:
    return to.integer(static_cast<std::int64_t>(row.job.value));
  case 2:
    return to.integer(row.run.first);
  case 3:
    return to.integer(row.run.count);
  case 4:
    return to.integer(row.run.attempt);
  case 5:
    return to.integer(row.node.value);
  case 6:
    return to.integer(static_cast<std::int64_t>(row.cause));
  case 7:
    return to.integer(us(row.recorded));
  case 8:
    return to.time(row.started);
  case 9:
    return to.time(row.ended);
  default:
    break;
  }
  if (row.result == nullptr)
    return; // null
  const TaskResult& r = *row.result;
  switch (column) {
  case 10:
    return to.integer(r.exit_code);
  case 11:
    return to.integer(r.signal);
  case 12:
    return to.integer(r.usage.wall.count());
  case 13:
    return to.integer(r.usage.user_cpu.count());
  case 14:
    return to.integer(r.usage.system_cpu.count());
  case 15:
    return to.integer(r.usage.max_rss_bytes);
  case 16:
    return to.integer(static_cast<std::int64_t>(r.stdout_bytes));
  case 17:
    return to.integer(static_cast<std::int64_t>(r.stderr_bytes));
  case 18:
    return to.text(r.text);
  default:
    return to.blob(r.result.data);
  }
}

} // namespace

Result<void> History::insert(Rows& rows, bool again) {
  const auto key_of = [&](std::int64_t kind) -> const KindKey& {
    static const KindKey unknown;
    const auto at = kind_keys_.find(kind);
    return at == kind_keys_.end() ? unknown : at->second.key;
  };
  return note_minute(rows)
    .and_then([&] { return insert_nodes(rows); })
    .and_then([&] { return know_jobs(rows); })
    .and_then([&] { return insert_ends(rows, again); })
    .and_then([&] { return insert_runs(rows); })
    .and_then([&] { return insert_outputs(rows); })
    .and_then([&] { return insert_config(rows); })
    .and_then([&] { return totals_.write(db_, key_of); })
    .and_then([&] { return meta_.integer(1, rows.last.value).run(db_.path()); });
}

/// Notes the first ids that a minute's rows get, and which times its rows have.
Result<void> History::note_minute(const Rows& rows) {
  const std::int64_t minute = us(rows.latest) / 60'000'000;
  if (minute == minute_now_)
    return minute_grows_.integer(1, us(rows.earliest)).integer(2, us(rows.latest)).run(db_.path());
  minute_now_ = minute;
  return minute_.integer(1, us(rows.earliest))
    .integer(2, us(rows.latest))
    .integer(3, ids_.end + 1)
    .integer(4, ids_.run + 1)
    .integer(5, ids_.node + 1)
    .integer(6, ids_.config + 1)
    .run(db_.path());
}

/// A kind that is in use says so once an hour: so those that are not can be forgotten.
Result<std::int64_t> History::kind_of(const KindKey& key, TimePoint used) {
  constexpr auto noted_every = std::chrono::hours(1);
  if (kind_keys_.size() >= kinds_max) {
    kinds_.clear();
    kind_keys_.clear();
  }
  auto known = kinds_.find(key);
  if (known == kinds_.end()) {
    for (auto* statement : {&find_kind_, &kind_})
      statement->text(1, key.name).text(2, key.user).text(3, key.queue).text(4, key.executor);
    const sqlite::Reset reset(find_kind_);
    auto found = find_kind_.next(db_.path());
    if (!found)
      return tl::unexpected<Error>(std::move(found).error());
    std::int64_t kind = 0;
    TimePoint noted = used;
    if (*found) {
      kind = find_kind_.integer_at(0);
      noted = TimePoint(Duration(find_kind_.integer_at(1)));
    } else {
      if (auto inserted = kind_.integer(5, us(used)).run(db_.path()); !inserted)
        return tl::unexpected<Error>(std::move(inserted).error());
      kind = sqlite3_last_insert_rowid(db_.handle());
    }
    known = kinds_.emplace(key, kind).first;
    kind_keys_[kind] = {key, noted, totals_.number_of_queue(key.queue)};
  }
  Kind& kind = kind_keys_.at(known->second);
  if (used - kind.used >= noted_every) {
    if (auto noted = kind_used_.integer(1, us(used)).integer(2, known->second).run(db_.path());
        !noted)
      return tl::unexpected<Error>(std::move(noted).error());
    kind.used = used;
  }
  return known->second;
}

/// Its key, which sums are told by.
Result<void> History::know_kind(std::int64_t kind) {
  if (kind == 0 || kind_keys_.contains(kind))
    return {};
  kind_key_.integer(1, kind);
  return each_row(kind_key_, db_.path(), [&] {
    const auto text = [&](int column) { return std::string(kind_key_.text_at(column)); };
    KindKey key{text(0), text(1), text(2), text(3)};
    kinds_.emplace(key, kind);
    const std::uint32_t queue = totals_.number_of_queue(key.queue);
    kind_keys_[kind] = {std::move(key), TimePoint(Duration(kind_key_.integer_at(4))), queue};
    return true;
  });
}

const History::Known* History::known(JobId job) const {
  const auto at = std::lower_bound(known_.begin(), known_.end(), job,
                                   [](const Known& one, JobId wanted) { return one.job < wanted; });
  return at != known_.end() && at->job == job ? &*at : nullptr;
}

/// Jobs that were submitted before these rows. `jobs`: in their order, each once.
Result<void> History::look_up(const std::vector<JobId>& jobs) {
  if (jobs.empty())
    return {};
  const auto shown = feed_.show(jobs.size(), [&](std::size_t row, int, Feed::Cell to) {
    to.integer(static_cast<std::int64_t>(jobs[row].value));
  });
  return each_row(look_up_, db_.path(), [&] {
    known_.push_back({JobId(look_up_.unsigned_at(0)), look_up_.integer_at(1),
                      TimePoint(Duration(look_up_.integer_at(2))),
                      look_up_.is_null(3) ? -1 : look_up_.integer_at(3)});
    return true;
  });
}

Result<void> History::know_jobs(const Rows& rows) {
  if (auto good = insert_jobs(rows.jobs); !good)
    return good;
  const std::size_t fresh = known_.size();
  std::vector<JobId> before;
  const auto want = [&](JobId job) {
    if ((before.empty() || before.back() != job) && known(job) == nullptr)
      before.push_back(job);
  };
  for (const EndRow& row : rows.ends)
    want(row.job);
  for (const RunRow& row : rows.runs)
    want(row.job);
  std::sort(before.begin(), before.end());
  before.erase(std::unique(before.begin(), before.end()), before.end());
  auto good = look_up(before);
  for (auto at = known_.begin() + static_cast<std::ptrdiff_t>(fresh); good && at != known_.end();
       ++at)
    good = know_kind(at->kind);
  std::sort(known_.begin(), known_.end(),
            [](const Known& a, const Known& b) { return a.job < b.job; });
  return good;
}

/// `rows`: in the order of jobs, as the ledger numbers them.
Result<void> History::insert_jobs(std::span<const JobRow> rows) {
  known_.reserve(rows.size());
  std::unordered_map<const SpecInfo*, std::int64_t> kinds; // many have the same one
  for (const JobRow& row : rows) {
    std::int64_t& kind = kinds[row.spec.get()];
    if (kind == 0) {
      auto found = kind_of(row.spec->kind, row.submitted);
      if (!found)
        return tl::unexpected<Error>(std::move(found).error());
      kind = *found;
    }
    known_.push_back({row.job, kind, row.submitted, row.spec->tasks});
  }
  const auto shown = feed_.show(rows.size(), [&](std::size_t at, int column, Feed::Cell to) {
    const JobRow& row = rows[at];
    switch (column) {
    case 0:
      return to.integer(static_cast<std::int64_t>(row.job.value));
    case 1:
      return to.integer(known_[at].kind);
    case 2:
      return to.integer(row.spec->tasks);
    case 3:
      return to.integer(row.spec->priority);
    case 4:
      return to.integer(us(row.submitted));
    case 5:
      return to.text(row.spec->labels);
    default:
      return to.text(row.spec->correlation);
    }
  });
  return insert_jobs_.run(db_.path());
}

/// Takes back the end of a job that runs again.
Result<void> History::void_end(const Known& job) {
  ended_.integer(1, job.job.value);
  return each_row(ended_, db_.path(),
                  [&] {
                    const auto number = [&](int column) { return ended_.integer_at(column); };
                    totals_.add_job(job.kind,
                                    {static_cast<JobState>(number(0)),
                                     job.tasks < 0 ? number(3) : job.tasks, job.submitted,
                                     TimePoint(Duration(number(1))),
                                     TimePoint(Duration(number(2)))},
                                    -1);
                    return true;
                  })
    .and_then([&] { return note_void_.integer(1, job.job.value).run(db_.path()); })
    .and_then([&] { return void_.integer(1, job.job.value).run(db_.path()); });
}

/// The last end of each job that does not run again, in the order of the ledger.
Result<std::vector<History::End>> History::last_ends(const Rows& rows, bool again) {
  std::vector<End> ends;
  const bool voided = std::any_of(rows.ends.begin(), rows.ends.end(),
                                  [](const EndRow& row) { return row.end == nullptr; });
  std::unordered_map<JobId, const core::JobEnded*> last;
  if (voided)
    for (const EndRow& row : rows.ends)
      last[row.job] = row.end;
  for (const EndRow& row : rows.ends) {
    const Known* job = known(row.job);
    if (row.end == nullptr || again)
      if (auto good = void_end(*job); !good)
        return tl::unexpected<Error>(std::move(good).error());
    if (row.end != nullptr && (!voided || last[row.job] == row.end))
      ends.push_back({++ids_.end, row.end, job});
  }
  return ends;
}

Result<void> History::insert_ends(const Rows& rows, bool again) {
  for (const EndRow& row : rows.ends)
    if (known(row.job) == nullptr) { // from before a gap: nothing else is known of it
      if (auto good = nameless_.integer(1, row.job.value).run(db_.path()); !good)
        return good;
      known_.insert(std::lower_bound(known_.begin(), known_.end(), row.job,
                                     [](const Known& one, JobId job) { return one.job < job; }),
                    {row.job, 0, {}, -1});
    }
  auto ends = last_ends(rows, again);
  if (!ends)
    return tl::unexpected<Error>(std::move(ends).error());
  for (const auto& [id, end, job] : *ends) {
    const std::int64_t tasks =
      job->tasks < 0 ? std::int64_t{end->succeeded} + end->failed + end->cancelled : job->tasks;
    totals_.add_job(job->kind, {end->state, tasks, job->submitted, end->started, end->at});
    const bool started = end->started != TimePoint{},
               waited = started && job->submitted != TimePoint{};
    lists_.add_end(job->kind, {id, static_cast<std::int64_t>(end->state),
                               static_cast<std::int64_t>(job->job.value), tasks, us(end->at),
                               started ? us(end->at) - us(end->started) : 0,
                               waited ? us(end->started) - us(job->submitted) : 0,
                               waited    ? Lists::wait
                               : started ? Lists::start
                                         : Lists::no_start});
  }
  const auto shown = feed_.show(ends->size(), [&](std::size_t at, int column, Feed::Cell to) {
    const auto& [id, end, job] = (*ends)[at];
    switch (column) {
    case 0:
      return to.integer(static_cast<std::int64_t>(job->job.value));
    case 1:
      return to.integer(id);
    case 2:
      return to.integer(static_cast<std::int64_t>(end->state));
    case 3:
      return to.time(end->started);
    case 4:
      return to.integer(us(end->at));
    case 5:
      return to.integer(end->succeeded);
    case 6:
      return to.integer(end->failed);
    case 7:
      return to.integer(end->cancelled);
    case 8:
      return to.integer(end->exit_code);
    default:
      return to.text(end->reason);
    }
  });
  return insert_ends_.run(db_.path());
}

Result<void> History::insert_runs(const Rows& rows) {
  const std::int64_t first = ids_.run + 1;
  const std::uint32_t no_queue = totals_.number_of_queue("");
  for (const RunRow& row : rows.runs) {
    const Known* job = known(row.job);
    const std::int64_t kind = job ? job->kind : 0, id = ++ids_.run, tasks = row.run.count;
    AttemptSums sums = sums_of_run(row.cause, tasks);
    if (const TaskResult* r = row.result) {
      sums.sum_wall_us = r->usage.wall.count();
      sums.sum_cpu_us = (r->usage.user_cpu + r->usage.system_cpu).count();
      sums.max_rss_bytes = r->usage.max_rss_bytes;
    }
    const auto known_kind = kind_keys_.find(kind);
    totals_.add_attempts(kind, known_kind == kind_keys_.end() ? no_queue : known_kind->second.queue,
                         row.node, row.recorded, sums);
    lists_.add_run(kind, static_cast<std::int64_t>(row.job.value),
                   {id, row.node.value, tasks, static_cast<std::int64_t>(row.cause),
                    us(row.recorded), sums.sum_wall_us, sums.sum_cpu_us, sums.max_rss_bytes});
    if (row.run.count == 1 && !rows.outputs.empty())
      new_runs_[{row.job, row.run.first, row.run.attempt}] = id;
  }
  const auto shown = feed_.show(rows.runs.size(), [&](std::size_t at, int column, Feed::Cell to) {
    give_run(rows.runs[at], first + static_cast<std::int64_t>(at), column, to);
  });
  return insert_runs_.run(db_.path());
}

/// A head belongs to its attempt's row; without one nobody could ask for it.
Result<void> History::insert_outputs(const Rows& rows) {
  for (const TaskOutput* written : rows.outputs) {
    const TaskOutput& output = *written;
    if (output.out.data.empty() && output.err.data.empty())
      continue;
    std::int64_t run = 0;
    if (const auto at = new_runs_.find({output.job, output.index, output.attempt});
        at != new_runs_.end()) {
      run = at->second;
    } else {
      const sqlite::Reset reset(task_run_);
      auto found = task_run_.integer(1, output.job.value)
                     .integer(2, std::int64_t{output.index})
                     .integer(3, std::int64_t{output.attempt})
                     .next(db_.path());
      if (!found)
        return tl::unexpected<Error>(std::move(found).error());
      if (!*found)
        continue;
      run = task_run_.integer_at(0);
    }
    head_.integer(1, run);
    blob_or_null(head_, 2, output.out.data);
    blob_or_null(head_, 3, output.err.data);
    if (auto good = head_.run(db_.path()); !good)
      return good;
  }
  return {};
}

Result<void> History::insert_nodes(const Rows& rows) {
  for (const auto& [node, name] : rows.names)
    if (auto good = name_.integer(1, std::int64_t{node.value}).text(2, name).run(db_.path()); !good)
      return good;
  for (const NodeRow& row : rows.nodes) {
    node_.integer(1, ++ids_.node)
      .integer(2, us(row.time))
      .integer(3, row.seq.value)
      .integer(4, std::int64_t{row.node.value})
      .text(5, row.state);
    text_or_null(node_, 6, row.reason);
    text_or_null(node_, 7, row.capacity);
    text_or_null(node_, 8, row.labels);
    text_or_null(node_, 9, row.program);
    if (row.incarnation)
      node_.integer(10, row.incarnation.value);
    else
      node_.null(10);
    if (auto good = node_.run(db_.path()); !good)
      return good;
  }
  return {};
}

Result<void> History::insert_config(const Rows& rows) {
  for (const ConfigRow& row : rows.config) {
    config_.integer(1, ++ids_.config)
      .integer(2, us(row.time))
      .integer(3, row.seq.value)
      .text(4, row.name);
    text_or_null(config_, 5, row.value);
    if (auto good = config_.run(db_.path()); !good)
      return good;
  }
  return {};
}

} // namespace reeve::history
