// Resources as rows of numbers, so that "does it fit" is a few comparisons. Which column means what
// is found out as kinds of work ask for it: a cluster where nobody asks for disk has no column for
// it. Used by Nodes and Lots. Plain data.
#pragma once

#include "src/core/changes.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <optional>

namespace reeve::sched {

/// A number a column, as a vector would hold them; a few lie inside, so that what is asked of a
/// thousand kinds in turn is not fetched from elsewhere.
class Amounts {
public:
  Amounts() = default;
  explicit Amounts(std::size_t n, std::int64_t each = 0) { assign(n, each); }
  explicit Amounts(std::span<const std::int64_t> all) { assign(all); }
  Amounts(const Amounts& other) { assign(other.all()); }
  Amounts& operator=(const Amounts& other) {
    if (this != &other)
      assign(other.all());
    return *this;
  }
  ~Amounts() = default;

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::int64_t* data() { return many_ ? many_.get() : few_.data(); }
  [[nodiscard]] const std::int64_t* data() const { return many_ ? many_.get() : few_.data(); }
  [[nodiscard]] std::int64_t* begin() { return data(); }
  [[nodiscard]] std::int64_t* end() { return data() + size_; }
  [[nodiscard]] const std::int64_t* begin() const { return data(); }
  [[nodiscard]] const std::int64_t* end() const { return data() + size_; }
  [[nodiscard]] std::span<const std::int64_t> all() const { return {data(), size_}; }
  std::int64_t& operator[](std::size_t column) { return data()[column]; }
  const std::int64_t& operator[](std::size_t column) const { return data()[column]; }
  void clear() { size_ = 0; }
  /// What is new is 0.
  void resize(std::size_t n) {
    if (n > few_.size() && n > room_) {
      auto larger = std::make_unique<std::int64_t[]>(n);
      std::copy(begin(), end(), larger.get());
      many_ = std::move(larger);
      room_ = static_cast<std::uint32_t>(n);
    }
    if (n > size_)
      std::fill(data() + size_, data() + n, 0);
    size_ = static_cast<std::uint32_t>(n);
  }
  void assign(std::size_t n, std::int64_t each) {
    resize(n);
    std::fill(begin(), end(), each);
  }
  /// `all` must be of another.
  void assign(std::span<const std::int64_t> all) {
    resize(all.size());
    std::copy(all.begin(), all.end(), begin());
  }
  bool operator==(const Amounts& other) const { return std::ranges::equal(all(), other.all()); }

private:
  std::array<std::int64_t, 4> few_{};
  std::unique_ptr<std::int64_t[]> many_; // null: they are in few_
  std::uint32_t size_ = 0, room_ = 0;    // room_: in many_
};

/// Always enough: what a node has of a thing that is not counted, or a kind needs of nothing.
constexpr std::int64_t plenty = std::numeric_limits<std::int64_t>::max() / 4;

/// Of what many nodes have: each may claim 2^50 of a thing, and be one of more than 8,192 that do.
__extension__ using Sum = __int128;
using Sums = std::vector<Sum>;
/// As near as an amount comes.
constexpr std::int64_t narrow(Sum sum) {
  return static_cast<std::int64_t>(std::clamp<Sum>(sum, std::numeric_limits<std::int64_t>::min(),
                                                   std::numeric_limits<std::int64_t>::max()));
}
inline double as_double(Sum sum) {
  const auto low = static_cast<std::int64_t>(sum);
  return sum == low ? static_cast<double>(low) : static_cast<double>(sum);
}

struct Column {
  enum class What : std::uint8_t {
    cpu,
    memory,
    disk,
    room,        // places for tasks: no node runs more at once than it has
    idle,        // 1 when nothing is booked on a node
    cpu_over,    // with the node's overcommit factor
    memory_over, // the same
    tasks,       // nodes have plenty, quotas count them
    open,        // of the resource `name`, what is not kept for those who may use the reserve
    named,
  } what;
  std::string name; // of a named resource; open: "vcores", "memory", "disk" or such a name
  bool operator==(const Column&) const = default;
};

constexpr std::int64_t room_of_node = 4'096;
constexpr std::int64_t room_of_task = 1;
constexpr std::int64_t room_of_free_task = 64; // needs nothing: at most 64 of them on a node

class Columns {
public:
  static constexpr std::size_t room = 2; // always there, as cpu and memory are
  Columns();
  [[nodiscard]] std::size_t size() const { return columns_.size(); }
  [[nodiscard]] const Column& operator[](std::size_t i) const { return columns_[i]; }
  [[nodiscard]] std::optional<std::size_t> find(const Column& column) const;
  /// Adds what the kind needs and is not there. True: something was added.
  bool add_for(const core::Kind& kind);
  bool add(const Column& column);

  /// What one task needs of each column; 0: nothing.
  /// `use_reserve`: it may have what is kept.
  [[nodiscard]] Amounts need_of(const core::Kind& kind, bool use_reserve) const;
  /// The same for quotas and shares: what it is given, overcommit or not, and 1 task.
  [[nodiscard]] Amounts cost_of(const core::Kind& kind) const;
  /// What a node has less of when one task of the kind is booked on it.
  [[nodiscard]] Amounts booking_of(const core::Kind& kind) const;
  /// Amounts of plain resources; `rest` in the columns that are none.
  [[nodiscard]] Amounts of(const Resources& resources, std::int64_t rest) const;
  void fill(const Resources& resources, std::int64_t rest, std::span<std::int64_t> out) const;
  [[nodiscard]] bool is_resource(std::size_t column) const;
  /// "vcores", "memory", "gpu" …
  [[nodiscard]] std::string name_of(std::size_t column) const;

private:
  std::vector<Column> columns_;
};

/// How much of the resource that a quota calls by this name.
std::int64_t amount_of(const Resources& resources, const std::string& name);

/// Every column of `need` is covered.
inline bool covers(std::span<const std::int64_t> have, const Amounts& need) {
  for (std::size_t i = 0; i < need.size(); ++i)
    if (need[i] > 0 && need[i] > have[i])
      return false;
  return true;
}
/// How often `need` goes into `have`, at most `most`.
std::int64_t times_in(std::span<const std::int64_t> have, const Amounts& need, std::int64_t most);

} // namespace reeve::sched
