// Things in an order, each with amounts, and the question "which is the first that has enough of
// everything?" answered without looking at all: a B+ tree by key whose inner entries carry, for
// each amount, the most of what is below them. Used for nodes (what is free) and for what waits
// (what is needed, negated). Knows neither.
#pragma once

#include "src/sched/huge.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace reeve::sched {

struct Key {
  std::uint64_t major = 0, minor = 0;
  constexpr bool operator==(const Key&) const = default;
  constexpr bool operator<(const Key& other) const {
    return major < other.major || (major == other.major && minor < other.minor);
  }
};

class Ranked {
public:
  using Id = std::uint32_t;
  static constexpr Id none = ~Id{0};

  /// Where each id is: shared by trees of which only one has a given id at a time.
  using Where = std::vector<std::uint32_t>;

  /// `amounts`: how many each entry has. `where` outlives this.
  Ranked(std::size_t amounts, Where& where)
      : dims_(amounts), where_(&where), top_(amounts), was_(amounts) {}

  // What changes something returns whether the whole is another now: its first key, the most of an
  // amount, or all masks together; also when nothing is left.

  /// `mask`: any bits; an inner entry has those of all below it. The key must be the only one of
  /// its kind: put the id in. `amounts` must not point into this object.
  bool insert(Id id, Key key, std::span<const std::int64_t> amounts, std::uint64_t mask);
  bool erase(Id id);
  /// Gives a present entry another key, amounts or mask.
  bool update(Id id, Key key, std::span<const std::int64_t> amounts, std::uint64_t mask);
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] Key key_of(Id id) const;
  [[nodiscard]] Id first_id() const; // not when empty
  /// Is it the first?
  [[nodiscard]] bool leads(Id id) const {
    const auto [block, at] = find(id);
    return blocks_[block].keys[at] == top_key_;
  }
  /// It will be given other amounts soon.
  void prefetch(Id id) const {
    const auto [block, at] = find(id);
    __builtin_prefetch(&blocks_[block].keys[at]);
    __builtin_prefetch(&blocks_[block].masks[at]);
    for (std::size_t d = 0; d < dims_; ++d)
      __builtin_prefetch(amounts(block, d) + at);
  }
  /// The entry that stands a few behind this one; none: there is none, or it is not known at once.
  [[nodiscard]] Id behind(Id id, std::uint32_t few) const {
    const auto [block, at] = find(id);
    const Block* b = &blocks_[block];
    std::uint32_t wanted = at + few;
    if (wanted >= b->end) {
      if (b->parent == none || b->up + 1 >= blocks_[b->parent].end)
        return none;
      wanted -= b->end;
      b = &blocks_[blocks_[b->parent].ids[b->up + 1]];
      wanted += b->begin;
    }
    return wanted < b->end ? b->ids[wanted] : none;
  }
  /// Of all entries, also those that nobody searches for. Not when empty.
  [[nodiscard]] Key first_key() const { return top_key_; }
  /// The most of each amount, and all masks together. Not when empty.
  [[nodiscard]] std::int64_t most(std::size_t dim) const { return top_[dim]; }
  [[nodiscard]] std::uint64_t mask() const { return top_mask_; }

  /// The first entry in key order, from `from` on, with at least want[d] of each amount d, a bit of
  /// `mask`, and accept(id) true. `none` when there is none.
  template<class Accept>
  Id first(std::span<const std::int64_t> want, std::uint64_t mask, Accept&& accept,
           Key from = {}) const {
    return root_ == none ? none : search(root_, want, mask, accept, from);
  }

private:
  static constexpr std::uint32_t fan = 32;
  /// Entries [begin, end), so that the first can go without moving the others: what is served in
  /// turn always leaves in front.
  struct Block {
    std::uint32_t parent = none;
    std::uint8_t up = 0; // its entry in the parent
    std::uint8_t begin = 0, end = 0;
    bool leaf = true;
    Key keys[fan]; // inner: the smallest below
    Id ids[fan];   // inner: blocks
    std::uint64_t masks[fan];
    [[nodiscard]] std::uint32_t count() const { return std::uint32_t{end} - begin; }
    /// The first entry that is not before the key.
    [[nodiscard]] std::uint32_t at_least(const Key& key) const {
      std::uint32_t low = begin, high = end;
      while (low < high) {
        const std::uint32_t middle = (low + high) / 2;
        if (keys[middle] < key)
          low = middle + 1;
        else
          high = middle;
      }
      return low;
    }
  };
  struct Place {
    std::uint32_t block, at;
  };

  [[nodiscard]] std::int64_t* amounts(std::uint32_t block, std::size_t dim) {
    return &amounts_[(block * dims_ + dim) * fan];
  }
  [[nodiscard]] const std::int64_t* amounts(std::uint32_t block, std::size_t dim) const {
    return &amounts_[(block * dims_ + dim) * fan];
  }
  std::uint32_t new_block(bool leaf);
  void free_block(std::uint32_t block);
  [[nodiscard]] Place find(Id id) const {
    const std::uint32_t place = (*where_)[id];
    return {place / fan, place % fan};
  }
  [[nodiscard]] std::int64_t most_in(std::uint32_t block, std::size_t dim) const;
  [[nodiscard]] std::uint64_t mask_in(std::uint32_t block) const;
  /// What an entry is before it changes.
  void remember(std::uint32_t block, std::uint32_t at);
  /// The remembered entry is what stands at `at` now, or (none) gone: makes the parent's entry true
  /// again, and so on upwards while that changes anything. Looks at a whole block only for amounts
  /// of which the entry had the most.
  bool settle(std::uint32_t block, std::uint32_t at);
  bool settle_key(std::uint32_t block);
  void sum_up(std::uint32_t block);
  /// Makes room for an entry before `at`; returns where it is. The block is not full.
  std::uint32_t open_gap(std::uint32_t block, std::uint32_t at);
  void close_gap(std::uint32_t block, std::uint32_t at);
  void shift(std::uint32_t block, std::uint32_t first, std::uint32_t last, int by);
  /// Entries [first, last) are where they are: tells those who look for them.
  void link(std::uint32_t block, std::uint32_t first, std::uint32_t last);
  /// The parent has room, or there is none. `key`: will be inserted next.
  std::uint32_t split(std::uint32_t block, const Key& key);
  bool remove_at(Place place);

  template<class Accept>
  Id search(std::uint32_t block, std::span<const std::int64_t> want, std::uint64_t mask,
            Accept& accept, const Key& from) const {
    const Block& b = blocks_[block];
    const std::int64_t* const have = &amounts_[block * dims_ * fan];
    std::uint32_t i = b.begin;
    if (from != Key{}) {
      i = b.at_least(from);
      if (!b.leaf && i > b.begin)
        --i; // what is wanted may be inside
    }
    for (; i < b.end; ++i) {
      if ((b.masks[i] & mask) == 0)
        continue;
      bool enough = true;
      for (std::size_t d = 0; d < want.size() && enough; ++d)
        enough = have[d * fan + i] >= want[d];
      if (!enough)
        continue;
      if (b.leaf) {
        if (accept(b.ids[i]))
          return b.ids[i];
      } else if (const Id found = search(b.ids[i], want, mask, accept, from); found != none) {
        return found;
      }
    }
    return none;
  }

  std::size_t dims_;
  HugeVector<Block> blocks_;
  HugeVector<std::int64_t> amounts_; // block, dim, entry
  std::vector<std::uint32_t> free_;
  Where* where_; // id -> leaf * fan + entry
  std::uint32_t root_ = none;
  std::size_t size_ = 0;
  std::vector<std::int64_t> top_; // as an entry above the root would be
  Key top_key_;
  std::uint64_t top_mask_ = 0;
  std::vector<std::int64_t> was_;
  std::uint64_t was_mask_ = 0;
};

} // namespace reeve::sched
