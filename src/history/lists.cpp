// See lists.hpp.
#include "src/history/lists.hpp"

#include "src/history/sql.hpp"

#include <algorithm>

namespace reeve::history {
namespace {

constexpr std::size_t looked_up_max = 64; // keys; for more all lists of a block are read

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

void visit_rows(std::string_view packed, Lists::Of of, std::int64_t key, Lists::Ids ids,
                const Lists::Visit& visit) {
  Packed::read(packed, columns_of(of), [&](const Packed::Row& row) {
    if (row[0] >= ids.begin && row[0] < ids.end)
      visit(key, row);
  });
}

} // namespace

void Packed::add(const Row& row, std::size_t columns) {
  for (std::size_t c = 0; c < columns; ++c) { // unsigned: differences may not overflow
    const auto difference =
      static_cast<std::uint64_t>(row[c]) - static_cast<std::uint64_t>(last_[c]);
    put_varint(bytes_, zigzag(static_cast<std::int64_t>(difference)));
  }
  last_ = row;
}

Result<void> Lists::prepare(sqlite::Database& db) {
  const std::pair<sqlite::Statement*, const char*> statements[] = {
    {&insert_, "INSERT INTO lists VALUES(?,?,?,?)"},
    {&insert_block_, "INSERT INTO list_blocks VALUES(?,?,?)"},
    {&blocks_, "SELECT first FROM list_blocks WHERE of_what=? AND first<? AND last>=? ORDER BY "
               "first DESC"},
    {&of_key_, "SELECT key,packed FROM lists WHERE of_what=? AND first=? AND key=?"},
    {&of_all_, "SELECT key,packed FROM lists WHERE of_what=? AND first=?"}};
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
  to.keys[key].add(row, columns_of(of));
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

Result<void> Lists::write_one(sqlite::Database& db, Of of) {
  Family& from = family(of);
  std::vector<const std::pair<const std::int64_t, Packed>*> order;
  for (const auto& list : from.keys)
    order.push_back(&list);
  std::sort(order.begin(), order.end(),
            [](const auto* a, const auto* b) { return a->first < b->first; });
  Result<void> good = insert_block_.integer(1, number_of_family(of))
                        .integer(2, from.first)
                        .integer(3, from.last)
                        .run(db.path());
  insert_.integer(1, number_of_family(of)).integer(2, from.first);
  for (auto list = order.begin(); good && list != order.end(); ++list)
    good = insert_.integer(3, (*list)->first).blob(4, (*list)->second.bytes()).run(db.path());
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
    each(
      "SELECT coalesce(j.kind,0), e.end_id, e.state, e.job FROM job_ends e LEFT JOIN job_rows j ON "
      "j.job=e.job WHERE e.end_id>" +
        std::to_string(*ends) + " ORDER BY e.end_id",
      [&](const sqlite::Statement& row) {
        add_end(row.integer_at(0), {row.integer_at(1), row.integer_at(2), row.integer_at(3)});
      })
      .and_then([&] {
        return each("SELECT coalesce(j.kind,0), r.job, r.id, r.node, r.count, r.cause, "
                    "r.recorded_us, r.wall_us, coalesce(r.user_cpu_us,0) + "
                    "coalesce(r.system_cpu_us,0), r.max_rss_bytes FROM attempt_runs r LEFT JOIN "
                    "job_rows j ON j.job=r.job WHERE r.id>" +
                      std::to_string(std::min(*by_kind, *by_node)) + " ORDER BY r.id",
                    [&](const sqlite::Statement& row) {
                      Packed::Row run{};
                      for (std::size_t c = 0; c < RunColumn::count_; ++c)
                        run[c] = row.integer_at(static_cast<int>(c) + 2);
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
  return good;
}

Result<std::int64_t> Lists::newest_end(sqlite::Database& db) {
  return last_listed(db, Of::ends_by_kind);
}
Result<std::int64_t> Lists::newest_run(sqlite::Database& db) {
  return last_listed(db, Of::runs_by_kind);
}

/// True: it could be read.
Result<bool> Lists::read_block(sqlite::Database& db, Of of, std::int64_t first, const Keys* keys,
                               Ids ids, const Visit& visit) {
  const bool look_up = keys != nullptr && keys->size() <= looked_up_max;
  sqlite::Statement& select = look_up ? of_key_ : of_all_;
  const auto read_rows = [&]() -> Result<bool> {
    for (;;) {
      auto row = select.next(db.path());
      if (!row || !*row)
        return row;
      const std::int64_t key = select.integer_at(0);
      if (keys == nullptr || look_up || std::binary_search(keys->begin(), keys->end(), key))
        visit_rows(select.blob_at(1), of, key, ids, visit);
    }
  };
  const sqlite::Reset reset(select);
  select.integer(1, number_of_family(of)).integer(2, first);
  if (!look_up)
    return read_rows();
  for (const std::int64_t key : *keys) {
    select.integer(3, key);
    if (auto read = read_rows(); !read)
      return read;
  }
  return true;
}

Result<void> Lists::read(sqlite::Database& db, Of of, const Keys* keys, Ids ids, const Visit& visit,
                         const std::function<bool()>& more) {
  const Family& open = family(of);
  if (keys == nullptr || keys->size() > open.keys.size()) {
    for (const auto& [key, list] : open.keys)
      if (keys == nullptr || std::binary_search(keys->begin(), keys->end(), key))
        visit_rows(list.bytes(), of, key, ids, visit);
  } else {
    for (const std::int64_t key : *keys)
      if (const auto at = open.keys.find(key); at != open.keys.end())
        visit_rows(at->second.bytes(), of, key, ids, visit);
  }
  if (!more())
    return {};
  const sqlite::Reset reset(blocks_);
  blocks_.integer(1, number_of_family(of)).integer(2, ids.end).integer(3, ids.begin);
  for (;;) {
    auto block = blocks_.next(db.path());
    if (!block)
      return tl::unexpected<Error>(std::move(block).error());
    if (!*block)
      return {};
    auto read = read_block(db, of, blocks_.integer_at(0), keys, ids, visit);
    if (!read)
      return tl::unexpected<Error>(std::move(read).error());
    if (!more())
      return {};
  }
}

std::string lists_tables() {
  return "CREATE TABLE list_blocks(of_what INTEGER, first INTEGER, last INTEGER NOT NULL,"
         "PRIMARY KEY(of_what, first)) WITHOUT ROWID;"
         "CREATE TABLE lists(of_what INTEGER, first INTEGER, key INTEGER, packed BLOB NOT NULL,"
         "PRIMARY KEY(of_what, first, key)) WITHOUT ROWID;";
}

} // namespace reeve::history
