// See lists.hpp.
#include "src/history/lists.hpp"

#include "src/history/sql.hpp"

#include <algorithm>

namespace reeve::history {
namespace {

constexpr std::size_t looked_up_max = 64;   // keys; for more all lists of a block are read
constexpr std::size_t lists_in_block = 128; // at least; keys with few rows share one

constexpr std::size_t columns_of(Lists::Of of) {
  return of == Lists::Of::ends_by_kind   ? std::size_t{Lists::EndColumn::count_}
         : of == Lists::Of::runs_by_kind ? std::size_t{Lists::RunColumn::count_}
                                         : std::size_t{Lists::NodeColumn::count_};
}
std::int64_t number_of_family(Lists::Of of) {
  return static_cast<std::int64_t>(of);
}

Result<std::int64_t> last_listed(sqlite::Database& db, Lists::Of of) {
  auto last = db.integer("SELECT last FROM list_blocks WHERE of_what=" +
                         std::to_string(number_of_family(of)) + " ORDER BY first DESC LIMIT 1");
  if (!last)
    return tl::unexpected<Error>(std::move(last).error());
  return last->value_or(0);
}

std::vector<Packed::Keyed> in_order(const auto& keys) {
  std::vector<Packed::Keyed> order;
  order.reserve(keys.size());
  for (const auto& [key, rows] : keys)
    order.push_back({key, rows});
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  return order;
}

/// The first key that is not below `wanted`, which is most often near.
Lists::Keys::const_iterator next_key(Lists::Keys::const_iterator from,
                                     Lists::Keys::const_iterator end, std::int64_t wanted) {
  constexpr int near = 8;
  for (int steps = 0; from != end && *from < wanted; ++from)
    if (++steps > near)
      return std::lower_bound(from, end, wanted);
  return from;
}

Packed::Row list_row(const sqlite::Statement& from, int column, std::size_t columns) {
  Packed::Row row{};
  for (std::size_t c = 0; c < columns; ++c)
    row[c] = from.integer_at(column++);
  return row;
}

} // namespace

Result<void> Lists::prepare(sqlite::Database& db) {
  const std::pair<sqlite::Statement*, const char*> statements[] = {
    {&insert_, "INSERT INTO lists VALUES(?,?,?,?)"},
    {&insert_block_, "INSERT INTO list_blocks VALUES(?,?,?)"},
    {&blocks_,
     "SELECT first,last FROM list_blocks WHERE of_what=? AND first<? AND last>=? ORDER BY "
     "first DESC"},
    {&of_key_, "SELECT packed FROM lists WHERE of_what=? AND first=? AND key<=? ORDER BY key DESC "
               "LIMIT 1"},
    {&of_all_, "SELECT packed FROM lists WHERE of_what=? AND first=?"}};
  for (const auto& [statement, sql] : statements) {
    auto prepared = db.prepare(sql);
    if (!prepared)
      return tl::unexpected<Error>(std::move(prepared).error());
    *statement = std::move(*prepared);
  }
  return {};
}

void Lists::add(Of of, std::int64_t key, const Packed::Row& row) {
  Family& to = family(of);
  if (to.rows++ == 0)
    to.first = row[0];
  to.last = row[0];
  to.keys[key].push_back(row);
}

void Lists::add_run(std::int64_t kind, std::int64_t job, const Packed::Row& row) {
  add(Of::runs_by_kind, kind, row);
  add(Of::runs_by_node, row[RunColumn::node], {row[RunColumn::id], job, row[RunColumn::cause]});
}

Result<void> Lists::write(sqlite::Database& db) {
  Result<void> good;
  for (const Of of : {Of::ends_by_kind, Of::runs_by_kind, Of::runs_by_node})
    if (good && family(of).rows >= block_)
      good = write_one(db, of);
  return good;
}

/// Keys that follow each other share a list until it is long enough. Its key is the first of them.
Result<void> Lists::write_one(sqlite::Database& db, Of of) {
  Family& from = family(of);
  const std::vector<Packed::Keyed> order = in_order(from.keys);
  auto good = insert_block_.integer(1, number_of_family(of))
                .integer(2, from.first)
                .integer(3, from.last)
                .run(db.path());
  insert_.integer(1, number_of_family(of)).integer(2, from.first);
  const std::size_t enough = block_ / lists_in_block;
  for (std::size_t begin = 0; good && begin < order.size();) {
    std::size_t end = begin, rows = 0;
    do
      rows += order[end++].rows.size();
    while (end < order.size() && rows + order[end].rows.size() <= enough);
    const std::string packed =
      Packed::pack(std::span(order).subspan(begin, end - begin), columns_of(of));
    good = insert_.integer(3, order[begin].key).blob(4, packed).run(db.path());
    begin = end;
  }
  from = {};
  return good;
}

Result<void> Lists::catch_up(sqlite::Database& db) {
  open_ = {};
  const auto each = [&](const std::string& sql, auto&& add_row) -> Result<void> {
    auto statement = db.prepare(sql, false);
    if (!statement)
      return tl::unexpected<Error>(std::move(statement).error());
    Result<void> written;
    auto read = each_row(*statement, db.path(), [&] {
      add_row(*statement);
      written = write(db);
      return written.has_value();
    });
    return read ? written : read;
  };
  const auto ends = last_listed(db, Of::ends_by_kind), by_kind = last_listed(db, Of::runs_by_kind),
             by_node = last_listed(db, Of::runs_by_node);
  for (const auto* last : {&ends, &by_kind, &by_node})
    if (!*last)
      return tl::unexpected<Error>(last->error());
  auto caught =
    each("SELECT coalesce(j.kind,0), e.end_id, e.state, e.job, coalesce(j.tasks, e.succeeded + "
         "e.failed + e.cancelled), e.ended_us, e.ended_us - e.started_us, e.started_us - "
         "j.submitted_us, (e.started_us IS NOT NULL) + (e.started_us - j.submitted_us IS NOT NULL) "
         "FROM job_ends e LEFT JOIN job_rows j ON j.job=e.job WHERE e.end_id>" +
           std::to_string(*ends) + " ORDER BY e.end_id",
         [&](const sqlite::Statement& row) {
           add_end(row.integer_at(0), list_row(row, 1, EndColumn::count_));
         })
      .and_then([&] {
        return each("SELECT coalesce(j.kind,0), r.job, r.id, r.node, r.count, r.cause, "
                    "r.recorded_us, r.wall_us, coalesce(r.user_cpu_us,0) + "
                    "coalesce(r.system_cpu_us,0), r.max_rss_bytes FROM attempt_runs r LEFT JOIN "
                    "job_rows j ON j.job=r.job WHERE r.id>" +
                      std::to_string(std::min(*by_kind, *by_node)) + " ORDER BY r.id",
                    [&](const sqlite::Statement& row) {
                      const auto run = list_row(row, 2, RunColumn::count_);
                      if (run[0] > *by_kind)
                        add(Of::runs_by_kind, row.integer_at(0), run);
                      if (run[0] > *by_node)
                        add(Of::runs_by_node, run[RunColumn::node],
                            {run[0], row.integer_at(1), run[RunColumn::cause]});
                    });
      });
  ready_ = caught.has_value();
  return caught;
}

Result<void> Lists::sweep(sqlite::Database& db, std::int64_t kept_end, std::int64_t kept_run) {
  Result<void> good;
  for (const Of of : {Of::ends_by_kind, Of::runs_by_kind, Of::runs_by_node}) {
    const std::string family = "of_what=" + std::to_string(number_of_family(of));
    const std::string old =
      family + " AND last<" + std::to_string(of == Of::ends_by_kind ? kept_end : kept_run);
    if (good)
      good = db.run(("DELETE FROM lists WHERE " + family +
                     " AND first IN (SELECT first FROM list_blocks WHERE " + old +
                     "); DELETE FROM list_blocks WHERE " + old)
                      .c_str());
  }
  return good.and_then([&] {
    return db.run(("DELETE FROM void_ends WHERE end_id<" + std::to_string(kept_end)).c_str());
  });
}

Result<std::int64_t> Lists::newest_end(sqlite::Database& db) {
  return last_listed(db, Of::ends_by_kind);
}
Result<std::int64_t> Lists::newest_run(sqlite::Database& db) {
  return last_listed(db, Of::runs_by_kind);
}

const std::int64_t* Lists::Rows::operator[](std::size_t column) const {
  auto& values = values_[column];
  if (!unpacked_[column]) {
    if (values.size() < count_)
      values.resize(count_);
    packed_.read(column, first_, count_, values.data());
    unpacked_[column] = true;
  }
  return values.data();
}

/// Shows what is wanted of one list. `whole`: of no row the id is out of the stretch.
Result<void> Lists::show(sqlite::Database& db, const Wanted& wanted, std::string_view bytes,
                         bool whole, const Visit& visit) {
  Rows& rows = shown_;
  if (!rows.packed_.open(bytes, columns_of(wanted.of)))
    return fail(Code::corrupt, {}, db.path() + ": a list cannot be read");
  rows.parts_.clear();
  if (wanted.keys == nullptr) {
    rows.parts_ = rows.packed_.parts();
  } else {
    auto key = wanted.keys->begin(); // both are in order
    for (const Packed::Part& part : rows.packed_.parts())
      if (key = next_key(key, wanted.keys->end(), part.key); key == wanted.keys->end())
        break;
      else if (*key == part.key)
        rows.parts_.push_back(part);
  }
  if (rows.parts_.empty())
    return {};
  rows.first_ = rows.parts_.front().first;
  rows.count_ = rows.parts_.back().first + rows.parts_.back().count - rows.first_;
  rows.unpacked_ = {};
  for (Packed::Part& part : rows.parts_)
    part.first -= rows.first_;
  if (!whole) {
    const std::int64_t* ids = rows[0];
    for (Packed::Part& part : rows.parts_) {
      const std::int64_t *begin = ids + part.first, *end = begin + part.count;
      const std::int64_t* from = std::lower_bound(begin, end, wanted.ids.begin);
      part.first = static_cast<std::size_t>(from - ids);
      part.count = static_cast<std::size_t>(std::lower_bound(from, end, wanted.ids.end) - from);
    }
    std::erase_if(rows.parts_, [](const Packed::Part& part) { return part.count == 0; });
  }
  if (!rows.parts_.empty())
    visit(rows);
  return {};
}

Result<void> Lists::read_block(sqlite::Database& db, const Wanted& wanted, std::int64_t first,
                               std::int64_t last, const Visit& visit) {
  const bool whole = first >= wanted.ids.begin && last < wanted.ids.end;
  const bool look_up = wanted.keys != nullptr && wanted.keys->size() <= looked_up_max;
  sqlite::Statement& select = look_up ? of_key_ : of_all_;
  const sqlite::Reset reset(select);
  select.integer(1, number_of_family(wanted.of)).integer(2, first);
  const auto show_next = [&]() -> Result<bool> {
    const auto row = select.next(db.path());
    if (!row || !*row)
      return row;
    return show(db, wanted, select.blob_at(0), whole, visit).map([] { return true; });
  };
  while (!look_up) {
    const auto shown = show_next();
    if (!shown)
      return tl::unexpected<Error>(shown.error());
    if (!*shown)
      return {};
  }
  for (auto key = wanted.keys->begin(); key != wanted.keys->end();) {
    select.integer(3, *key);
    const auto shown = show_next(); // with it other keys that are wanted
    if (!shown)
      return tl::unexpected<Error>(shown.error());
    key = std::upper_bound(key, wanted.keys->end(),
                           *shown ? std::max(*key, shown_.packed_.parts().back().key) : *key);
    select.reset();
  }
  return {};
}

/// Rows that are held in memory, packed for this: so there is one way to show rows.
Result<void> Lists::read_open(sqlite::Database& db, const Wanted& wanted, const Visit& visit) {
  const Family& open = family(wanted.of);
  std::vector<Packed::Keyed> keys;
  if (wanted.keys != nullptr && wanted.keys->size() <= open.keys.size()) {
    for (const std::int64_t key : *wanted.keys)
      if (const auto at = open.keys.find(key); at != open.keys.end())
        keys.push_back({key, at->second});
  } else {
    keys = in_order(open.keys);
  }
  if (keys.empty())
    return {};
  return show(db, wanted, Packed::pack(keys, columns_of(wanted.of)), false, visit);
}

Result<void> Lists::read(sqlite::Database& db, const Wanted& wanted, const Visit& visit,
                         const std::function<bool()>& more) {
  if (auto shown = read_open(db, wanted, visit); !shown || !more())
    return shown;
  const sqlite::Reset reset(blocks_);
  blocks_.integer(1, number_of_family(wanted.of))
    .integer(2, wanted.ids.end)
    .integer(3, wanted.ids.begin);
  for (;;) {
    auto block = blocks_.next(db.path());
    if (!block)
      return tl::unexpected<Error>(std::move(block).error());
    if (!*block)
      return {};
    auto read = read_block(db, wanted, blocks_.integer_at(0), blocks_.integer_at(1), visit);
    if (!read)
      return read;
    if (!more())
      return {};
  }
}

std::string lists_tables() {
  return "CREATE TABLE void_ends(end_id INTEGER PRIMARY KEY);"
         "CREATE TABLE list_blocks(of_what INTEGER, first INTEGER, last INTEGER NOT NULL,"
         "PRIMARY KEY(of_what, first)) WITHOUT ROWID;"
         "CREATE TABLE lists(of_what INTEGER, first INTEGER, key INTEGER, packed BLOB NOT NULL,"
         "PRIMARY KEY(of_what, first, key)) WITHOUT ROWID;";
}

} // namespace reeve::history
