// Which rows belong to a kind of job or to a node: in place of an index entry a row, which for a
// table of millions lies on another page each, some ten thousand rows that follow each other share
// lists by kind and by node. Lists only grow at their end, so writing costs the same however many
// rows there are. They hold what totals need of an end and an attempt, too, so totals of millions
// need no rows. History writes them in the transaction of their rows; what is newer than the last
// list is held in memory, and read again from the rows at a start.
#pragma once

#include "messages/ids.hpp"
#include "src/history/packed.hpp"
#include "src/sqlite/database.hpp"

#include <array>
#include <functional>
#include <limits>
#include <unordered_map>
#include <vector>

namespace reeve::history {

class Lists {
public:
  enum class Of { ends_by_kind, runs_by_kind, runs_by_node };
  static constexpr std::size_t families = 3;
  static constexpr std::size_t rows_in_block = 32'768;

  struct EndColumn {
    enum : std::size_t { id, state, job, tasks, ended_us, ran_us, wait_us, known, count_ };
  };
  enum Known : std::int64_t { no_start, start, wait }; // of an end: what follows from it, too
  struct RunColumn {
    enum : std::size_t {
      id,
      node,
      tasks,
      cause,
      recorded_us,
      wall_us,
      cpu_us,
      max_rss_bytes,
      count_
    };
  };
  struct NodeColumn {
    enum : std::size_t { id, job, cause, count_ };
  };

  /// `block`: rows that share lists.
  explicit Lists(std::size_t block = rows_in_block) : block_(block) {}
  Result<void> prepare(sqlite::Database& db);

  /// Ids must grow. Nothing counts before `write`.
  void add_end(std::int64_t kind, const Packed::Row& row) { add(Of::ends_by_kind, kind, row); }
  void add_run(std::int64_t kind, std::int64_t job, const Packed::Row& row);
  /// Writes the lists that are long enough; part of a transaction.
  Result<void> write(sqlite::Database& db);
  /// What was added may not be in the database.
  void forget() { ready_ = false; }
  [[nodiscard]] bool ready() const { return ready_; }
  /// Reads again what is not in written lists; part of a transaction, as it may write some.
  Result<void> catch_up(sqlite::Database& db);
  /// Forgets lists whose rows are all older than these.
  Result<void> sweep(sqlite::Database& db, std::int64_t kept_end, std::int64_t kept_run);
  /// Ids up to this one are in written lists: they must never be given again.
  static Result<std::int64_t> newest_end(sqlite::Database& db);
  static Result<std::int64_t> newest_run(sqlite::Database& db);

  struct Ids { // the end is not part of it
    std::int64_t begin = 0, end = std::numeric_limits<std::int64_t>::max();
  };
  using Keys = std::vector<std::int64_t>; // in their order
  /// Rows of some keys, for as long as they are shown.
  class Rows {
  public:
    /// Of one key each, in the order of keys; rows of one in the order of ids.
    [[nodiscard]] const std::vector<Packed::Part>& parts() const { return parts_; }
    /// The values of a column, which is only unpacked when asked for. At the place of a part's row.
    const std::int64_t* operator[](std::size_t column) const;
    template<class F> void each(F&& f) const {
      for (const Packed::Part& part : parts_)
        for (std::size_t row = part.first; row < part.first + part.count; ++row)
          f(row);
    }

  private:
    friend Lists;
    Packed packed_;
    std::vector<Packed::Part> parts_;
    std::size_t first_ = 0, count_ = 0; // of the packed rows
    mutable std::array<std::vector<std::int64_t>, Packed::columns_max> values_;
    mutable std::array<bool, Packed::columns_max> unpacked_{};
  };
  using Visit = std::function<void(const Rows& rows)>;
  /// What to read: rows of these keys (none: of every key), ids of this stretch.
  struct Wanted {
    Of of;
    const Keys* keys = nullptr;
    Ids ids;
  };
  /// The newest block first, within a block in no order. `more`: after each block; false ends it.
  /// Rows may be gone meanwhile. Errors: corrupt, and SQLite's.
  Result<void> read(sqlite::Database& db, const Wanted& wanted, const Visit& visit,
                    const std::function<bool()>& more);
  [[nodiscard]] std::size_t block() const { return block_; }

private:
  struct Family {
    std::size_t rows = 0;
    std::int64_t first = 0, last = 0; // ids that are open
    std::unordered_map<std::int64_t, std::vector<Packed::Row>> keys;
  };
  void add(Of of, std::int64_t key, const Packed::Row& row);
  Result<void> write_one(sqlite::Database& db, Of of);
  Family& family(Of of) { return open_[static_cast<std::size_t>(of)]; }
  Result<void> read_open(sqlite::Database& db, const Wanted& wanted, const Visit& visit);
  Result<void> read_block(sqlite::Database& db, const Wanted& wanted, std::int64_t first,
                          std::int64_t last, const Visit& visit);
  Result<void> show(sqlite::Database& db, const Wanted& wanted, std::string_view bytes, bool whole,
                    const Visit& visit);

  std::size_t block_;
  bool ready_ = false;
  std::array<Family, families> open_;
  Rows shown_;
  sqlite::Statement insert_, insert_block_, blocks_, of_key_, of_all_;
};

/// The tables, as SQL.
std::string lists_tables();

} // namespace reeve::history
