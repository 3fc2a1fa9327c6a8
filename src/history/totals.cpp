// See totals.hpp.
#include "src/history/totals.hpp"

#include "src/history/schema.hpp"

#include <algorithm>

namespace reeve::history {
namespace {

constexpr std::array spans{hour_us, day_us};

// What an insert does with sums that are there.
constexpr const char* jobs_grow =
  "jobs=jobs+excluded.jobs,succeeded=succeeded+excluded.succeeded,"
  "failed=failed+excluded.failed,cancelled=cancelled+excluded.cancelled,"
  "tasks=tasks+excluded.tasks,waits=waits+excluded.waits,"
  "sum_wait_us=sum_wait_us+excluded.sum_wait_us,"
  "longest_wait_us=max(longest_wait_us,excluded.longest_wait_us),"
  "sum_ran_us=sum_ran_us+excluded.sum_ran_us,spread=add_waits(spread,excluded.spread)";
constexpr const char* attempts_grow =
  "attempts=attempts+excluded.attempts,succeeded=succeeded+excluded.succeeded,"
  "failed=failed+excluded.failed,lost=lost+excluded.lost,"
  "sum_wall_us=sum_wall_us+excluded.sum_wall_us,sum_cpu_us=sum_cpu_us+excluded.sum_cpu_us,"
  "max_rss_bytes=max(max_rss_bytes,excluded.max_rss_bytes)";
constexpr const char *job_columns = "jobs,succeeded,failed,cancelled,tasks,waits,sum_wait_us,"
                                    "longest_wait_us,sum_ran_us,spread",
                     *attempt_columns =
                       "attempts,succeeded,failed,lost,sum_wall_us,sum_cpu_us,max_rss_bytes";

std::string number_of(auto value) {
  return std::to_string(static_cast<std::int64_t>(value));
}

std::int64_t hour_of(TimePoint time) {
  return us(time) / hour_us * hour_us;
}

void bind(sqlite::Statement& statement, int first, std::initializer_list<std::int64_t> values) {
  for (const std::int64_t value : values)
    statement.integer(first++, value);
}
int bind_sums(sqlite::Statement& to, int first, const AttemptSums& sums) {
  bind(to, first,
       {sums.attempts, sums.succeeded, sums.failed, sums.lost, sums.sum_wall_us, sums.sum_cpu_us,
        sums.max_rss_bytes});
  return first + 7;
}
int bind_sums(sqlite::Statement& to, int first, const JobSums& s) {
  bind(to, first,
       {s.jobs, s.succeeded, s.failed, s.cancelled, s.tasks, s.waits, s.sum_wait_us,
        s.longest_wait_us, s.sum_ran_us});
  return first + 9;
}
std::string bytes_beside(const JobSums& sums) {
  return sums.spread.encode();
}
std::string bytes_beside(const AttemptSums&) {
  return {};
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

AttemptSums AttemptSums::at(const sqlite::Statement& row, int column) {
  AttemptSums out;
  for (std::int64_t* field : {&out.attempts, &out.succeeded, &out.failed, &out.lost,
                              &out.sum_wall_us, &out.sum_cpu_us, &out.max_rss_bytes})
    *field = row.integer_at(column++);
  return out;
}

AttemptSums sums_of_run(Cause cause, std::int64_t tasks) {
  AttemptSums sums;
  sums.attempts = tasks;
  if (cause == Cause::none)
    sums.succeeded = tasks;
  else if (cause != Cause::cancelled && cause != Cause::drained && cause != Cause::preempted &&
           cause != Cause::superseded)
    sums.failed = tasks;
  if (cause == Cause::lost_node)
    sums.lost = tasks;
  return sums;
}

Result<void> Totals::prepare(sqlite::Database& db) {
  job_tables_.names = "job_name_totals";
  attempt_tables_.names = "attempt_name_totals";
  const auto insert = [](const std::string& table, int columns, const char* sums) {
    std::string sql = "INSERT INTO " + table + " VALUES(?";
    for (int column = 1; column < columns; ++column)
      sql += ",?";
    return sql + ") ON CONFLICT DO UPDATE SET " + sums;
  };
  const std::pair<sqlite::Statement*, std::string> statements[] = {
    {&job_tables_.of_owners, insert("job_totals", 14, jobs_grow)},
    {&job_tables_.of_names, insert(job_tables_.names, 15, jobs_grow)},
    {&attempt_tables_.of_owners, insert("attempt_totals", 11, attempts_grow)},
    {&attempt_tables_.of_names, insert(attempt_tables_.names, 12, attempts_grow)},
    {&add_node_, insert("node_totals", 10, attempts_grow)},
    {&add_queue_, insert("queue_node_totals", 11, attempts_grow)}};
  for (const auto& [statement, sql] : statements) {
    auto prepared = db.prepare(sql);
    if (!prepared)
      return tl::unexpected<Error>(std::move(prepared).error());
    *statement = std::move(*prepared);
  }
  return {};
}

void Totals::add_job(std::int64_t kind, const EndedJob& end, int times) {
  JobSums& sums = jobs_[{hour_of(end.ended), kind}];
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

void Totals::add_attempts(std::int64_t kind, std::uint32_t queue, NodeId node, TimePoint recorded,
                          const AttemptSums& sums) {
  const std::int64_t hour = hour_of(recorded);
  attempts_[{hour, kind}].add(sums);
  nodes_[{hour, node.value}].add(sums);
  queues_[{hour / day_us * day_us, (std::int64_t{queue} << 32) | node.value}].add(sums);
}

std::uint32_t Totals::number_of_queue(const std::string& queue) {
  const auto [at, fresh] =
    queue_numbers_.try_emplace(queue, static_cast<std::uint32_t>(queue_names_.size()));
  if (fresh)
    queue_names_.push_back(queue);
  return at->second;
}

Result<void> Totals::write(sqlite::Database& db, const KeyOf& key_of) {
  auto good = write_kinds(db, jobs_, job_tables_, key_of).and_then([&] {
    return write_kinds(db, attempts_, attempt_tables_, key_of);
  });
  std::map<HourOf, const AttemptSums*> nodes; // in the order of the table
  for (const auto& [key, sums] : nodes_)
    nodes.emplace(key, &sums);
  for (const std::int64_t span : spans)
    for (auto at = nodes.begin(); good && at != nodes.end(); ++at) {
      bind(add_node_, 1, {span, at->first.hour / span * span, at->first.number});
      bind_sums(add_node_, 4, *at->second);
      good = add_node_.run(db.path());
    }
  std::map<HourOf, const AttemptSums*> queues; // near the order of the table
  for (const auto& [key, sums] : queues_)
    queues.emplace(key, &sums);
  for (auto at = queues.begin(); good && at != queues.end(); ++at) {
    const auto number = static_cast<std::uint64_t>(at->first.number);
    bind(add_queue_, 1, {day_us, at->first.hour});
    add_queue_.text(3, queue_names_[number >> 32]).integer(4, number & 0xFFFF'FFFF);
    bind_sums(add_queue_, 5, *at->second);
    good = add_queue_.run(db.path());
  }
  clear();
  return good;
}

template<class Sums>
Result<void> Totals::write_kinds(sqlite::Database& db, const Hours<Sums>& from, Tables<Sums>& to,
                                 const KeyOf& key_of) {
  using Owner = std::pair<std::string_view, std::string_view>; // user, queue
  struct Slot {
    std::map<Owner, Sums> owners;
    std::map<std::pair<std::string_view, Owner>, Sums> names;
  };
  for (const std::int64_t span : spans) {
    std::map<std::int64_t, Slot> slots;
    for (const auto& [at, sums] : from) {
      const KindKey& key = key_of(at.number);
      Slot& slot = slots[at.hour / span * span];
      const Owner owner{key.user, key.queue};
      slot.owners[owner].add(sums);
      slot.names[{key.name, owner}].add(sums);
    }
    const auto put = [&](sqlite::Statement& into, int first, const Sums& sums) {
      const int next = bind_sums(into, first, sums);
      const std::string bytes = bytes_beside(sums);
      if constexpr (std::is_same_v<Sums, JobSums>)
        into.blob(next, bytes);
      return into.run(db.path());
    };
    for (const auto& [time, slot] : slots) {
      for (const auto& [owner, sums] : slot.owners) {
        bind(to.of_owners, 1, {span, time});
        to.of_owners.text(3, owner.first).text(4, owner.second);
        if (auto good = put(to.of_owners, 5, sums); !good)
          return good;
      }
      const auto room = room_for(db, to.names, span, time, slot.names.size());
      if (!room)
        return tl::unexpected<Error>(room.error());
      for (auto at = slot.names.begin(); *room && at != slot.names.end(); ++at) {
        const auto& [name, owner] = at->first;
        bind(to.of_names, 1, {span, time});
        to.of_names.text(3, name).text(4, owner.first).text(5, owner.second);
        if (auto good = put(to.of_names, 6, at->second); !good)
          return good;
      }
    }
  }
  return {};
}

/// Whether so many names, some of which may be there, can be added to a slot; else it is crowded
/// from now on.
Result<bool> Totals::room_for(sqlite::Database& db, const std::string& table, std::int64_t span,
                              std::int64_t slot, std::size_t names) {
  constexpr std::size_t slots_max = 64;
  const std::string where = " WHERE span_us=" + number_of(span) + " AND slot_us=" + number_of(slot);
  const auto count = [&](const std::string& from) {
    return db.integer("SELECT count(*) FROM " + from);
  };
  if (names_.size() > slots_max)
    names_.clear();
  const auto [at, fresh] = names_.try_emplace({table, span, slot}, 0);
  auto& known = at->second;
  if (fresh) {
    const auto crowded = count("crowded_slots" + where + " AND of_what='" + table + "'");
    if (!crowded)
      return tl::unexpected<Error>(crowded.error());
    if (crowded->value_or(0) > 0)
      known.reset();
  }
  if (!known)
    return false;
  if (fresh || *known + names > names_max) {
    const auto there = count(table + where);
    if (!there)
      return tl::unexpected<Error>(there.error());
    known = static_cast<std::size_t>(there->value_or(0));
  }
  if (*known <= names_max && names <= names_max) {
    *known += names;
    return true;
  }
  known.reset();
  auto noted = db.run(("DELETE FROM " + table + where + ";INSERT INTO crowded_slots VALUES('" +
                       table + "'," + number_of(span) + "," + number_of(slot) + ")")
                        .c_str());
  if (!noted)
    return tl::unexpected<Error>(std::move(noted).error());
  return false;
}

void Totals::clear() {
  jobs_.clear();
  attempts_.clear();
  nodes_.clear();
  queues_.clear();
}

void Totals::forget() {
  clear();
  names_.clear();
}

Result<void> Totals::sweep(sqlite::Database& db, TimePoint cutoff) {
  Result<void> good;
  for (const char* table : {"job_totals", "attempt_totals", "node_totals", "queue_node_totals",
                            "job_name_totals", "attempt_name_totals", "crowded_slots"})
    for (const std::int64_t span : spans)
      if (good)
        good = db.run(("DELETE FROM " + std::string(table) + " WHERE span_us=" + number_of(span) +
                       " AND slot_us<=" + number_of(us(cutoff) - span))
                        .c_str());
  return good;
}

namespace {
const std::string slot_columns = "(span_us INTEGER, slot_us INTEGER,",
                  attempt_sum_columns =
                    "attempts INTEGER NOT NULL, succeeded INTEGER NOT NULL,"
                    "failed INTEGER NOT NULL, lost INTEGER NOT NULL, sum_wall_us INTEGER NOT NULL,"
                    "sum_cpu_us INTEGER NOT NULL, max_rss_bytes INTEGER NOT NULL,";
std::string key_columns(const char* columns) {
  return "PRIMARY KEY(span_us, slot_us, " + std::string(columns) + ")) WITHOUT ROWID;";
}
} // namespace

std::string queues_table() {
  return "CREATE TABLE queue_node_totals" + slot_columns + "queue TEXT, node INTEGER," +
         attempt_sum_columns + key_columns("queue, node");
}

std::string fill_queues() {
  const std::string day = number_of(day_us);
  return "INSERT INTO queue_node_totals SELECT " + day + ",r.recorded_us/" + day + "*" + day +
         ",coalesce(k.queue,''),r.node," + attempt_sums() +
         " FROM attempt_runs r LEFT JOIN job_rows j ON j.job=r.job LEFT JOIN kinds k ON "
         "k.kind=j.kind GROUP BY 2,3,4;";
}

std::string totals_tables() {
  const std::string& slot = slot_columns;
  const std::string jobs =
    "user TEXT, queue TEXT, jobs INTEGER NOT NULL, succeeded INTEGER NOT NULL,"
    "failed INTEGER NOT NULL, cancelled INTEGER NOT NULL, tasks INTEGER NOT NULL,"
    "waits INTEGER NOT NULL, sum_wait_us INTEGER NOT NULL, longest_wait_us INTEGER NOT NULL,"
    "sum_ran_us INTEGER NOT NULL, spread BLOB,";
  const std::string& attempts = attempt_sum_columns;
  const auto& key = key_columns;
  return queues_table() + "CREATE TABLE job_totals" + slot + jobs + key("user, queue") +
         "CREATE TABLE job_name_totals" + slot + "name TEXT," + jobs + key("name, user, queue") +
         "CREATE TABLE attempt_totals" + slot + "user TEXT, queue TEXT," + attempts +
         key("user, queue") + "CREATE TABLE attempt_name_totals" + slot +
         "name TEXT, user TEXT, queue TEXT," + attempts + key("name, user, queue") +
         "CREATE TABLE node_totals" + slot + "node INTEGER," + attempts + key("node") +
         "CREATE TABLE crowded_slots(of_what TEXT, span_us INTEGER, slot_us INTEGER,"
         "PRIMARY KEY(of_what, span_us, slot_us)) WITHOUT ROWID;";
}

std::string job_sums() {
  const auto states = [](JobState state) { return "sum(e.state=" + number_of(state) + "),"; };
  return "count(*)," + states(JobState::succeeded) + states(JobState::failed) +
         states(JobState::cancelled) +
         "sum(coalesce(j.tasks, e.succeeded + e.failed + e.cancelled)),"
         "count(e.started_us - j.submitted_us),"
         "coalesce(sum(e.started_us - j.submitted_us), 0),"
         "coalesce(max(e.started_us - j.submitted_us), 0),"
         "coalesce(sum(e.ended_us - e.started_us), 0), waits_of(e.started_us - j.submitted_us)";
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

/// Hours by name and by node and days by queue and node out of the rows; the rest out of these.
std::string fill_totals() {
  std::string sql = fill_queues();
  const std::string hour = number_of(hour_us), day = number_of(day_us);
  const auto fill = [&](const std::string& table, const std::string& select, const char* grow) {
    sql +=
      "INSERT INTO " + table + " SELECT " + select + " ON CONFLICT DO UPDATE SET " + grow + ";";
  };
  const auto from_rows = [&](const std::string& time, const std::string& group,
                             const std::string& sums, const std::string& from,
                             const std::string& by) {
    return hour + "," + time + "/" + hour + "*" + hour + "," + group + sums + " FROM " + from +
           " WHERE true GROUP BY 2," + by;
  };
  const auto days = [&](const std::string& table, const std::string& group, const char* columns,
                        const char* grow) {
    fill(table,
         day + ",slot_us/" + day + "*" + day + "," + group + columns + " FROM " + table +
           " WHERE span_us=" + hour,
         grow);
  };
  const std::string name = "coalesce(k.name,''),coalesce(k.user,''),coalesce(k.queue,''),",
                    kind = " LEFT JOIN kinds k ON k.kind=j.kind";
  fill("job_name_totals",
       from_rows("e.ended_us", name, job_sums(),
                 "job_ends e LEFT JOIN job_rows j ON j.job=e.job" + kind, "j.kind"),
       jobs_grow);
  fill("attempt_name_totals",
       from_rows("r.recorded_us", name, attempt_sums(),
                 "attempt_runs r LEFT JOIN job_rows j ON j.job=r.job" + kind, "j.kind"),
       attempts_grow);
  fill("node_totals",
       from_rows("r.recorded_us", "r.node,", attempt_sums(), "attempt_runs r", "r.node"),
       attempts_grow);
  for (const auto& [of, columns, grow] : {std::tuple("job", job_columns, jobs_grow),
                                          std::tuple("attempt", attempt_columns, attempts_grow)}) {
    const std::string owners = std::string(of) + "_totals",
                      names = std::string(of) + "_name_totals";
    fill(owners,
         "span_us,slot_us,user,queue," + std::string(columns) + " FROM " + names + " WHERE true",
         grow);
    days(owners, "user,queue,", columns, grow);
    days(names, "name,user,queue,", columns, grow);
  }
  days("node_totals", "node,", attempt_columns, attempts_grow);
  for (const std::string table : {"job_name_totals", "attempt_name_totals"})
    sql += "INSERT INTO crowded_slots SELECT '" + table + "',span_us,slot_us FROM " + table +
           " GROUP BY 2,3 HAVING count(*)>" + std::to_string(Totals::names_max) + ";DELETE FROM " +
           table +
           " WHERE (span_us,slot_us) IN (SELECT span_us,slot_us FROM crowded_slots WHERE "
           "of_what='" +
           table + "');";
  return sql;
}

} // namespace reeve::history
