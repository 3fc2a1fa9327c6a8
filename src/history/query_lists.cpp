// Totals out of lists, for stretches that have no sums. Some ten nanoseconds a row, so that three
// million are looked at in far less than a tenth of a second. See history.hpp.
#include "src/history/history.hpp"
#include "src/history/sql.hpp"

#include <algorithm>

namespace reeve::history {
namespace {

/// Sums of groups that are known by number.
template<class Sums> class Groups {
public:
  std::uint32_t of(const std::string& name) {
    const auto [at, fresh] = numbers_.try_emplace(name, static_cast<std::uint32_t>(sums_.size()));
    if (fresh)
      sums_.emplace_back();
    return at->second;
  }
  Sums& operator[](std::uint32_t group) { return sums_[group]; }
  void move_to(std::map<std::string, Sums>& all) {
    for (const auto& [name, group] : numbers_)
      if (Sums& sums = sums_[group]; sums.size() > 0)
        if (const auto [at, fresh] = all.try_emplace(name, std::move(sums)); !fresh)
          at->second.add(sums); // as it was not moved
  }

private:
  std::unordered_map<std::string, std::uint32_t> numbers_;
  std::vector<Sums> sums_;
};

/// Numbers that are found again, and which group each belongs to.
struct Grouped {
  Lists::Keys keys; // in their order
  std::vector<std::uint32_t> groups;

  /// Nothing when it is not there. Quick when keys are asked for in their order.
  const std::uint32_t* find(std::int64_t key) {
    constexpr std::size_t near = 8;
    if (last_ >= keys.size() || keys[last_] > key)
      last_ = 0;
    for (std::size_t steps = 0; last_ < keys.size() && keys[last_] < key; ++last_)
      if (++steps > near) {
        last_ =
          static_cast<std::size_t>(std::lower_bound(keys.begin(), keys.end(), key) - keys.begin());
        break;
      }
    return last_ < keys.size() && keys[last_] == key ? &groups[last_] : nullptr;
  }

private:
  std::size_t last_ = 0;
};
/// Rows of a number and a name, in the order of numbers.
template<class Sums>
Result<Grouped> groups_of(sqlite::Database& db, const Sql& sql, Groups<Sums>& groups) {
  Grouped out;
  return each_row(db, sql,
                  [&](const sqlite::Statement& row) {
                    out.keys.push_back(row.integer_at(0));
                    out.groups.push_back(groups.of(std::string(row.text_at(1))));
                    return true;
                  })
    .map([&] { return std::move(out); });
}

/// What a row of a list adds, its columns at hand.
template<class Sums> struct Adder;
template<> struct Adder<AttemptSums> {
  using Column = Lists::RunColumn;
  const std::int64_t *cause, *tasks, *wall, *cpu, *rss;
  explicit Adder(const Lists::Rows& rows)
      : cause(rows[Column::cause]), tasks(rows[Column::tasks]), wall(rows[Column::wall_us]),
        cpu(rows[Column::cpu_us]), rss(rows[Column::max_rss_bytes]) {}
  void add(std::size_t i, AttemptSums& to) const {
    AttemptSums one = sums_of_run(static_cast<Cause>(cause[i]), tasks[i]);
    one.sum_wall_us = wall[i];
    one.sum_cpu_us = cpu[i];
    one.max_rss_bytes = rss[i];
    to.add(one);
  }
};
template<> struct Adder<JobSums> {
  using Column = Lists::EndColumn;
  const std::int64_t *state, *tasks, *ran, *wait, *known;
  explicit Adder(const Lists::Rows& rows)
      : state(rows[Column::state]), tasks(rows[Column::tasks]), ran(rows[Column::ran_us]),
        wait(rows[Column::wait_us]), known(rows[Column::known]) {}
  void add(std::size_t i, JobSums& to) const {
    const auto ended = static_cast<JobState>(state[i]);
    ++to.jobs;
    to.succeeded += ended == JobState::succeeded ? 1 : 0;
    to.failed += ended == JobState::failed ? 1 : 0;
    to.cancelled += ended == JobState::cancelled ? 1 : 0;
    to.tasks += tasks[i];
    to.sum_ran_us += ran[i];
    if (known[i] != Lists::wait)
      return;
    ++to.waits;
    to.sum_wait_us += wait[i];
    to.longest_wait_us = std::max(to.longest_wait_us, wait[i]);
    to.spread.add(wait[i]);
  }
};

} // namespace

/// Ids that rows still have: lists may hold older ones.
Result<Lists::Ids> History::listed_ids(bool jobs, const Stretch& of) {
  QueryHistory part;
  part.since = TimePoint(Duration(of.begin));
  part.until = of.end == Stretch().end ? TimePoint() : TimePoint(Duration(of.end - 1));
  auto ids = jobs ? ids_of(part, "end_id", ids_.end) : ids_of(part, "run_id", ids_.run);
  const auto oldest =
    db_.integer(jobs ? "SELECT min(end_id) FROM job_ends" : "SELECT min(id) FROM attempt_runs");
  if (!ids || !oldest)
    return tl::unexpected<Error>(!ids ? ids.error() : oldest.error());
  ids->begin = std::max(ids->begin, oldest->value_or(ids->end));
  return ids;
}

Result<std::size_t> History::rows_within(bool jobs, const Stretch& of) {
  return listed_ids(jobs, of).map([](const Lists::Ids& ids) {
    return static_cast<std::size_t>(std::max<std::int64_t>(ids.end - ids.begin, 0));
  });
}

template<class Sums>
Result<void> History::add_listed(const QueryHistory& q, std::span<const Stretch> of,
                                 std::map<std::string, Sums>& to) {
  constexpr bool jobs = std::is_same_v<Sums, JobSums>;
  constexpr std::size_t time_column =
    jobs ? std::size_t{Lists::EndColumn::ended_us} : std::size_t{Lists::RunColumn::recorded_us};
  const bool by_kind = q.by == "user" || q.by == "queue" || q.by == "name",
             by_node = q.by == "node", by_time = q.by == "hour" || q.by == "day",
             every = q.name.empty() && q.user.empty() && q.queue.empty();
  const std::int64_t span = q.by == "hour" ? hour_us : day_us;
  Groups<Sums> groups;
  const std::uint32_t rest = groups.of(by_kind || by_node ? "" : "all"); // whose name is not known
  Result<Grouped> kinds, nodes;
  if (by_kind || !every) {
    Sql sql("SELECT kind," + (by_kind ? q.by : "'all'") + " FROM kinds");
    also_kind(sql, "", q);
    kinds = groups_of(db_, sql.end(" ORDER BY kind"), groups);
  }
  if (by_node)
    nodes = groups_of(db_, Sql("SELECT node,name FROM node_names ORDER BY node"), groups);
  const auto on = q.node.empty() ? Result<Lists::Keys>() : nodes_named(q.node);
  const auto voided =
    jobs ? numbers_of(db_, Sql("SELECT end_id FROM void_ends ORDER BY 1")) : Result<Lists::Keys>();
  if (!kinds || !nodes || !on || !voided)
    return tl::unexpected<Error>(!kinds   ? kinds.error()
                                 : !nodes ? nodes.error()
                                 : !on    ? on.error()
                                          : voided.error());
  std::vector<std::uint32_t> group_of_node; // by its number, as these are looked up for each row
  for (std::size_t i = 0; i < nodes->keys.size(); ++i) {
    group_of_node.resize(static_cast<std::size_t>(nodes->keys[i]) + 1, rest);
    group_of_node.back() = nodes->groups[i];
  }
  Stretch stretch;
  std::int64_t slot = -1;
  std::uint32_t group_of_slot = rest;
  const auto has = [](const Lists::Keys& keys, std::int64_t key) {
    return std::binary_search(keys.begin(), keys.end(), key);
  };
  const auto visit = [&](const Lists::Rows& rows) {
    const std::int64_t* times = rows[time_column];
    const std::int64_t* node = by_node || !q.node.empty() ? rows[Lists::RunColumn::node] : nullptr;
    const std::int64_t* ids = voided->empty() ? nullptr : rows[0];
    const auto wanted = [&](std::size_t i) {
      return stretch.has(times[i]) && (q.node.empty() || has(*on, node[i])) &&
             (ids == nullptr || !has(*voided, ids[i]));
    };
    std::optional<Adder<Sums>> adder; // others are not even unpacked
    for (const auto& part : rows.parts()) {
      const std::uint32_t* kind = by_kind ? kinds->find(part.key) : nullptr;
      std::uint32_t group = kind != nullptr ? *kind : rest;
      for (std::size_t i = part.first; i < part.first + part.count; ++i) {
        if (!wanted(i))
          continue;
        if (by_node) {
          const auto n = static_cast<std::size_t>(node[i]);
          group = n < group_of_node.size() ? group_of_node[n] : rest;
        } else if (by_time && slot != times[i] / span * span) {
          slot = times[i] / span * span;
          group_of_slot = groups.of(std::to_string(slot));
        }
        if (!adder)
          adder.emplace(rows);
        adder->add(i, groups[by_time ? group_of_slot : group]);
      }
    }
  };
  for (const Stretch& one : of) {
    stretch = one;
    const auto ids = listed_ids(jobs, one);
    if (!ids)
      return tl::unexpected<Error>(ids.error());
    auto read = lists_.read(db_,
                            {jobs ? Lists::Of::ends_by_kind : Lists::Of::runs_by_kind,
                             every ? nullptr : &kinds->keys, *ids},
                            visit, [] { return true; });
    if (!read)
      return read;
  }
  groups.move_to(to);
  return {};
}
template Result<void> History::add_listed(const QueryHistory&, std::span<const Stretch>,
                                          std::map<std::string, JobSums>&);
template Result<void> History::add_listed(const QueryHistory&, std::span<const Stretch>,
                                          std::map<std::string, AttemptSums>&);

} // namespace reeve::history
