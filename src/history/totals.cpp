// See totals.hpp.
#include "src/history/totals.hpp"

#include "src/history/schema.hpp"

#include <algorithm>

namespace reeve::history {
namespace {

constexpr std::array spans{hour_us, day_us};

std::string number_of(auto value) {
  return std::to_string(static_cast<std::int64_t>(value));
}

std::int64_t hour_of(TimePoint time) {
  return us(time) / hour_us * hour_us;
}

/// Finds or makes the sums of an hour and an owner, copying names only when they are new.
auto& sums_of(auto& of, std::int64_t hour, std::string_view user, std::string_view queue) {
  const auto at = of.find(std::tuple(hour, user, queue));
  return at != of.end() ? at->second : of[{hour, std::string(user), std::string(queue)}];
}

void bind(sqlite::Statement& statement, int first, std::initializer_list<std::int64_t> values) {
  for (const std::int64_t value : values)
    statement.integer(first++, value);
}
void bind_attempts(sqlite::Statement& to, int first, const AttemptSums& sums) {
  bind(to, first,
       {sums.attempts, sums.succeeded, sums.failed, sums.lost, sums.sum_wall_us, sums.sum_cpu_us,
        sums.max_rss_bytes});
}

} // namespace

void JobSums::add(const JobSums& other) {
  jobs += other.jobs;
  succeeded += other.succeeded;
  failed += other.failed;
  cancelled += other.cancelled;
  tasks += other.tasks;
  waits += other.waits;
  sum_wait_us += other.sum_wait_us;
  longest_wait_us = std::max(longest_wait_us, other.longest_wait_us);
  sum_ran_us += other.sum_ran_us;
  spread.add(other.spread);
}

JobSums JobSums::at(const sqlite::Statement& row, int column) {
  JobSums out;
  for (std::int64_t* field : {&out.jobs, &out.succeeded, &out.failed, &out.cancelled, &out.tasks,
                              &out.waits, &out.sum_wait_us, &out.longest_wait_us, &out.sum_ran_us})
    *field = row.integer_at(column++);
  out.spread = Waits::decode(row.blob_at(column));
  return out;
}

void AttemptSums::add(const AttemptSums& other) {
  attempts += other.attempts;
  succeeded += other.succeeded;
  failed += other.failed;
  lost += other.lost;
  sum_wall_us += other.sum_wall_us;
  sum_cpu_us += other.sum_cpu_us;
  max_rss_bytes = std::max(max_rss_bytes, other.max_rss_bytes);
}

AttemptSums AttemptSums::at(const sqlite::Statement& row, int column) {
  AttemptSums out;
  for (std::int64_t* field : {&out.attempts, &out.succeeded, &out.failed, &out.lost,
                              &out.sum_wall_us, &out.sum_cpu_us, &out.max_rss_bytes})
    *field = row.integer_at(column++);
  return out;
}

Result<void> Totals::prepare(sqlite::Database& db) {
  const std::string attempts =
    "attempts=attempts+excluded.attempts,succeeded=succeeded+excluded.succeeded,"
    "failed=failed+excluded.failed,lost=lost+excluded.lost,"
    "sum_wall_us=sum_wall_us+excluded.sum_wall_us,sum_cpu_us=sum_cpu_us+excluded.sum_cpu_us,"
    "max_rss_bytes=max(max_rss_bytes,excluded.max_rss_bytes)";
  const std::pair<sqlite::Statement*, std::string> statements[] = {
    {&add_job_,
     "INSERT INTO job_totals VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET "
     "jobs=jobs+excluded.jobs,succeeded=succeeded+excluded.succeeded,"
     "failed=failed+excluded.failed,cancelled=cancelled+excluded.cancelled,"
     "tasks=tasks+excluded.tasks,waits=waits+excluded.waits,"
     "sum_wait_us=sum_wait_us+excluded.sum_wait_us,"
     "longest_wait_us=max(longest_wait_us,excluded.longest_wait_us),"
     "sum_ran_us=sum_ran_us+excluded.sum_ran_us,spread=add_waits(spread,excluded.spread)"},
    {&add_attempts_,
     "INSERT INTO attempt_totals VALUES(?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET " +
       attempts},
    {&add_node_,
     "INSERT INTO node_totals VALUES(?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET " + attempts}};
  for (const auto& [statement, sql] : statements) {
    auto prepared = db.prepare(sql);
    if (!prepared)
      return tl::unexpected<Error>(std::move(prepared).error());
    *statement = std::move(*prepared);
  }
  return {};
}

void Totals::add_job(std::string_view user, std::string_view queue, const EndedJob& end,
                     int times) {
  JobSums& sums = sums_of(jobs_, hour_of(end.ended), user, queue);
  sums.jobs += times;
  sums.tasks += times * end.tasks;
  (end.state == JobState::succeeded ? sums.succeeded
   : end.state == JobState::failed  ? sums.failed
                                    : sums.cancelled) += times;
  if (end.started == TimePoint{})
    return;
  sums.sum_ran_us += times * (us(end.ended) - us(end.started));
  if (end.submitted == TimePoint{})
    return;
  const std::int64_t wait = us(end.started) - us(end.submitted);
  sums.waits += times;
  sums.sum_wait_us += times * wait;
  sums.spread.add(wait, times);
  // Of what is taken back the longest stays; a question cuts it by what the spread knows.
  if (times > 0)
    sums.longest_wait_us = std::max(sums.longest_wait_us, wait);
}

void Totals::add_attempts(std::string_view user, std::string_view queue, NodeId node,
                          TimePoint recorded, const AttemptSums& sums) {
  sums_of(attempts_, hour_of(recorded), user, queue).add(sums);
  nodes_[{hour_of(recorded), node}].add(sums);
}

Result<void> Totals::write(sqlite::Database& db) {
  Result<void> good;
  for (const std::int64_t span : spans) {
    for (auto at = jobs_.begin(); good && at != jobs_.end(); ++at) {
      const auto& [hour, user, queue] = at->first;
      const JobSums& s = at->second;
      const std::string spread = s.spread.encode();
      bind(add_job_, 1, {span, hour / span * span});
      add_job_.text(3, user).text(4, queue);
      bind(add_job_, 5,
           {s.jobs, s.succeeded, s.failed, s.cancelled, s.tasks, s.waits, s.sum_wait_us,
            s.longest_wait_us, s.sum_ran_us});
      good = add_job_.blob(14, spread).run(db.path());
    }
    for (auto at = attempts_.begin(); good && at != attempts_.end(); ++at) {
      const auto& [hour, user, queue] = at->first;
      bind(add_attempts_, 1, {span, hour / span * span});
      add_attempts_.text(3, user).text(4, queue);
      bind_attempts(add_attempts_, 5, at->second);
      good = add_attempts_.run(db.path());
    }
    for (auto at = nodes_.begin(); good && at != nodes_.end(); ++at) {
      bind(add_node_, 1, {span, at->first.first / span * span, at->first.second.value});
      bind_attempts(add_node_, 4, at->second);
      good = add_node_.run(db.path());
    }
  }
  clear();
  return good;
}

void Totals::clear() {
  jobs_.clear();
  attempts_.clear();
  nodes_.clear();
}

Result<void> Totals::sweep(sqlite::Database& db, TimePoint cutoff) {
  Result<void> good;
  for (const char* table : {"job_totals", "attempt_totals", "node_totals"})
    for (const std::int64_t span : spans)
      if (good)
        good = db.run(("DELETE FROM " + std::string(table) + " WHERE span_us=" + number_of(span) +
                       " AND slot_us<=" + number_of(us(cutoff) - span))
                        .c_str());
  return good;
}

std::string totals_tables() {
  const std::string attempts =
    "attempts INTEGER NOT NULL, succeeded INTEGER NOT NULL, failed INTEGER NOT NULL,"
    "lost INTEGER NOT NULL, sum_wall_us INTEGER NOT NULL, sum_cpu_us INTEGER NOT NULL,"
    "max_rss_bytes INTEGER NOT NULL,";
  return "CREATE TABLE job_totals(span_us INTEGER, slot_us INTEGER, user TEXT, queue TEXT,"
         "jobs INTEGER NOT NULL, succeeded INTEGER NOT NULL, failed INTEGER NOT NULL,"
         "cancelled INTEGER NOT NULL, tasks INTEGER NOT NULL, waits INTEGER NOT NULL,"
         "sum_wait_us INTEGER NOT NULL, longest_wait_us INTEGER NOT NULL,"
         "sum_ran_us INTEGER NOT NULL, spread BLOB,"
         "PRIMARY KEY(span_us, slot_us, user, queue)) WITHOUT ROWID;"
         "CREATE TABLE attempt_totals(span_us INTEGER, slot_us INTEGER, user TEXT, queue TEXT," +
         attempts +
         "PRIMARY KEY(span_us, slot_us, user, queue)) WITHOUT ROWID;"
         "CREATE TABLE node_totals(span_us INTEGER, slot_us INTEGER, node INTEGER," +
         attempts + "PRIMARY KEY(span_us, slot_us, node)) WITHOUT ROWID;";
}

std::string job_sums() {
  const auto states = [](JobState state) { return "sum(j.state=" + number_of(state) + "),"; };
  return "count(*)," + states(JobState::succeeded) + states(JobState::failed) +
         states(JobState::cancelled) +
         "sum(coalesce(j.tasks, j.succeeded + j.failed + j.cancelled)),"
         "count(j.started_us - j.submitted_us),"
         "coalesce(sum(j.started_us - j.submitted_us), 0),"
         "coalesce(max(j.started_us - j.submitted_us), 0),"
         "coalesce(sum(j.ended_us - j.started_us), 0), waits_of(j.started_us - j.submitted_us)";
}

std::string attempt_sums() {
  const std::string taken_away = number_of(Cause::cancelled) + "," + number_of(Cause::drained) +
                                 "," + number_of(Cause::preempted) + "," +
                                 number_of(Cause::superseded);
  return "sum(r.count),sum(r.count*(r.cause=0)),sum(r.count*(r.cause<>0 AND r.cause NOT IN (" +
         taken_away + "))),sum(r.count*(r.cause=" + number_of(Cause::lost_node) +
         ")),coalesce(sum(r.wall_us),0),sum(coalesce(r.user_cpu_us,0)+coalesce(r.system_cpu_us,"
         "0)),coalesce(max(r.max_rss_bytes),0)";
}

std::string fill_totals() {
  std::string sql;
  for (const std::int64_t span : spans) {
    const std::string us = number_of(span);
    const auto slot = [&](const std::string& time) {
      return " SELECT " + us + "," + time + "/" + us + "*" + us + ",";
    };
    const std::string owner = "coalesce(k.user,''),coalesce(k.queue,''),";
    sql += "INSERT INTO job_totals" + slot("j.ended_us") + owner + job_sums() +
           " FROM job_rows j LEFT JOIN kinds k ON k.kind=j.kind WHERE j.end_id IS NOT NULL GROUP "
           "BY 1,2,3,4;";
    sql += "INSERT INTO attempt_totals" + slot("r.recorded_us") + owner + attempt_sums() +
           " FROM attempt_runs r LEFT JOIN job_rows j ON j.job=r.job LEFT JOIN kinds k ON "
           "k.kind=j.kind GROUP BY 1,2,3,4;";
    sql += "INSERT INTO node_totals" + slot("r.recorded_us") + "r.node," + attempt_sums() +
           " FROM attempt_runs r GROUP BY 1,2,3;";
  }
  return sql;
}

} // namespace reeve::history
