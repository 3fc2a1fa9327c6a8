// Which rows belong to a kind of job or to a node: in place of an index entry a row, which for a
// table of millions lies on another page each, some ten thousand rows that follow each other share
// one list for each kind and node. Lists only grow at their end, so writing costs the same however
// many rows there are. They hold what totals need of an attempt, too. History writes them in the
// transaction of their rows; what is newer than the last list is held in memory, and read again
// from the rows at a start.
#pragma once

#include "messages/ids.hpp"
#include "src/history/varint.hpp"
#include "src/sqlite/database.hpp"

#include <array>
#include <functional>
#include <limits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace reeve::history {

/// Rows one after another, each value as what it differs from the one above it.
class Packed {
public:
  static constexpr std::size_t columns_max = 8;
  using Row = std::array<std::int64_t, columns_max>;

  void add(const Row& row, std::size_t columns);
  [[nodiscard]] std::string_view bytes() const { return bytes_; }
  /// `f` for each row; of damaged bytes for those before the damage.
  template<class F> static void read(std::string_view bytes, std::size_t columns, F&& f) {
    const char* at = bytes.data();
    const char* const end = at + bytes.size();
    for (Row row{}; at != end; f(std::as_const(row)))
      for (std::size_t c = 0; c < columns; ++c) {
        std::uint64_t difference = 0;
        if (!take_varint(at, end, difference))
          return;
        row[c] = static_cast<std::int64_t>(static_cast<std::uint64_t>(row[c]) +
                                           static_cast<std::uint64_t>(unzigzag(difference)));
      }
  }

private:
  std::string bytes_;
  Row last_{};
};

class Lists {
public:
  enum class Of { ends_by_kind, runs_by_kind, runs_by_node };
  static constexpr std::size_t families = 3;
  static constexpr std::size_t rows_in_block = 32'768;

  struct EndColumn {
    enum : std::size_t { id, state, job, count_ };
  };
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
  using Visit = std::function<void(std::int64_t key, const Packed::Row& row)>;
  /// Rows of these keys (none: of every key), the newest block first, within a block in no order.
  /// `more`: after each block; false ends it. Rows may be gone meanwhile.
  Result<void> read(sqlite::Database& db, Of of, const Keys* keys, Ids ids, const Visit& visit,
                    const std::function<bool()>& more);

private:
  struct Family {
    std::size_t rows = 0;
    std::int64_t first = 0, last = 0; // ids that are open
    std::unordered_map<std::int64_t, Packed> keys;
  };
  void add(Of of, std::int64_t key, const Packed::Row& row);
  Result<void> write_one(sqlite::Database& db, Of of);
  Family& family(Of of) { return open_[static_cast<std::size_t>(of)]; }
  Result<bool> read_block(sqlite::Database& db, Of of, std::int64_t first, const Keys* keys,
                          Ids ids, const Visit& visit);

  std::size_t block_;
  bool ready_ = false;
  std::array<Family, families> open_;
  sqlite::Statement insert_, insert_block_, blocks_, of_key_, of_all_;
};

/// The tables, as SQL.
std::string lists_tables();

} // namespace reeve::history
