// Things in an order, each with amounts, and the question "which is the first that has enough of
// everything?" answered without looking at all: a B+ tree by key whose inner entries carry, for
// each amount, the most of what is below them. Used for nodes (what is free) and for what waits
// (what is needed, negated). Knows neither.
#pragma once

#include "src/sched/huge.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

namespace reeve::sched {

struct Key {
  std::uint64_t major = 0, minor = 0;
  constexpr bool operator==(const Key&) const = default;
  constexpr bool operator<(const Key& other) const { return whole() < other.whole(); }

private:
  __extension__ using Whole = unsigned __int128; // compared without a branch
  [[nodiscard]] constexpr Whole whole() const { return Whole{major} << 64 | minor; }
};

class Ranked {
public:
  using Id = std::uint32_t;
  static constexpr Id none = ~Id{0};

  /// Where each id is: shared by trees of which only one has a given id at a time.
  using Where = std::vector<std::uint32_t>;

  /// `amounts`: how many each entry has. `where` outlives this.
  Ranked(std::size_t amounts, Where& where)
      : dims_(amounts), lines_each_((first_amount + amounts + words_of_line - 1) / words_of_line),
        where_(&where), top_(first_amount + amounts), was_(first_amount + amounts) {}

  // What changes something returns whether the whole is another now: its first key, the most of an
  // amount, or all masks together; also when nothing is left.

  /// `mask`: any bits; an inner entry has those of all below it. The key must be the only one of
  /// its kind: put the id in. `amounts` must not point into this object.
  bool insert(Id id, Key key, std::span<const std::int64_t> amounts, std::uint64_t mask);
  bool erase(Id id);
  /// Gives a present entry another key, amounts or mask.
  bool update(Id id, Key key, std::span<const std::int64_t> amounts, std::uint64_t mask);
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] Key key_of(Id id) const { return key(at(id)); }
  [[nodiscard]] Id first_id() const { return id(first_entry()); } // not when empty
  /// Is it the first?
  [[nodiscard]] bool leads(Id id) const { return key(at(id)) == first_key(); }
  /// It will be given other amounts soon.
  void prefetch(Id id) const {
    const std::int64_t* const words = at(id);
    for (std::size_t i = 0; i < lines_each_; ++i)
      fetch(words + i * words_of_line);
  }
  /// The entry that stands a few behind this one; none: there is none, or it is not known at once.
  [[nodiscard]] Id behind(Id id, std::uint32_t few) const {
    const std::uint32_t place = (*where_)[id];
    std::uint32_t block = place / fan, rank = blocks_[block].rank_of(place % fan) + few;
    if (const Block& b = blocks_[block]; rank >= b.count) {
      if (b.parent == none)
        return none;
      const Block& parent = blocks_[b.parent];
      const std::uint32_t next = parent.rank_of(b.up) + 1;
      if (next >= parent.count)
        return none;
      rank -= b.count;
      block = this->id(entry(b.parent, parent.slot(next)));
    }
    const Block& b = blocks_[block];
    return rank < b.count ? this->id(entry(block, b.slot(rank))) : none;
  }
  /// Of all entries, also those that nobody searches for. Not when empty.
  [[nodiscard]] Key first_key() const { return key(top_.data()); }
  /// The most of each amount, and all masks together. Not when empty.
  [[nodiscard]] std::int64_t most(std::size_t dim) const { return top_[first_amount + dim]; }
  [[nodiscard]] std::uint64_t mask() const { return mask(top_.data()); }
  /// Has it as much of everything at most as the other? Neither is empty.
  [[nodiscard]] bool as_much(const Ranked& other) const {
    return std::equal(top_.begin() + first_amount, top_.end(), other.top_.begin() + first_amount);
  }

  /// The first entry in key order, from `from` on, with at least want[d] of each amount d, a bit of
  /// `mask`, and accept(id) true. `none` when there is none.
  template<class Accept>
  Id first(std::span<const std::int64_t> want, std::uint64_t mask, Accept&& accept,
           Key from = {}) const {
    if (root_ == none)
      return none;
    Id refused = none; // that is not asked twice
    if (from == Key{}) // mostly it is the very first
      if (const std::int64_t* const words = first_entry();
          (this->mask(words) & mask) != 0 && has(words, want)) {
        refused = id(words);
        if (accept(refused))
          return refused;
      }
    std::uint32_t block = root_, rank = from == Key{} ? 0 : from_rank(root_, from);
    for (;;) {
      const Block& b = blocks_[block];
      Id found = none;
      for (; rank < b.count; ++rank) {
        const std::int64_t* const words = entry(block, b.slot(rank));
        if ((this->mask(words) & mask) == 0 || !has(words, want))
          continue;
        found = id(words);
        if (!b.leaf)
          break;
        if (found != refused && accept(found))
          return found;
      }
      if (rank < b.count) { // down
        block = found;
        rank = from == Key{} ? 0 : from_rank(block, from);
      } else { // up, and on with what stands behind
        if (b.parent == none)
          return none;
        rank = blocks_[b.parent].rank_of(b.up) + 1;
        block = b.parent;
      }
    }
  }

private:
  static constexpr std::uint32_t fan = 16;
  /// An entry has its place in the block for as long as it is there: what comes and goes beside it
  /// moves nothing. Its rank among the others is in `order`, four bits for each rank: the place of
  /// its entry, then the places that are free (Mao, Kohler and Morris, "Cache craftiness for fast
  /// multicore key-value storage", EuroSys 2012).
  struct Block {
    std::uint64_t order = 0xFEDCBA9876543210;
    std::uint32_t parent = none;
    std::uint8_t up = 0; // its place in the parent
    std::uint8_t count = 0;
    bool leaf = true;
    [[nodiscard]] std::uint32_t slot(std::uint32_t rank) const { return order >> 4 * rank & 15; }
    [[nodiscard]] std::uint32_t rank_of(std::uint32_t slot) const {
      constexpr std::uint64_t ones = 0x1111111111111111;
      const std::uint64_t other = order ^ slot * ones; // 0 in the four bits that are sought
      return static_cast<std::uint32_t>(std::countr_zero((other - ones) & ~other & ones << 3)) / 4;
    }
    std::uint32_t open(std::uint32_t rank);
    void close(std::uint32_t rank);
  };
  static constexpr std::size_t words_of_line = 8;
  struct alignas(64) Line { // of the cache: an entry of up to four amounts lies in one
    std::int64_t words[words_of_line];
  };
  // The words of an entry: its key (of an inner one, the smallest below), its mask, its id (the
  // block), its amounts.
  static constexpr std::size_t first_amount = 4;
  [[nodiscard]] static Key key(const std::int64_t* words) {
    return {static_cast<std::uint64_t>(words[0]), static_cast<std::uint64_t>(words[1])};
  }
  static void set_key(std::int64_t* words, const Key& key) {
    words[0] = static_cast<std::int64_t>(key.major);
    words[1] = static_cast<std::int64_t>(key.minor);
  }
  [[nodiscard]] static std::uint64_t mask(const std::int64_t* words) {
    return static_cast<std::uint64_t>(words[2]);
  }
  static void set_mask(std::int64_t* words, std::uint64_t mask) {
    words[2] = static_cast<std::int64_t>(mask);
  }
  [[nodiscard]] static Id id(const std::int64_t* words) { return static_cast<Id>(words[3]); }
  [[nodiscard]] static bool has(const std::int64_t* words, std::span<const std::int64_t> want) {
    for (std::size_t d = 0; d < want.size(); ++d)
      if (words[first_amount + d] < want[d])
        return false;
    return true;
  }

  [[nodiscard]] std::int64_t* entry(std::uint32_t block, std::uint32_t slot) {
    return lines_[(block * fan + slot) * lines_each_].words;
  }
  [[nodiscard]] const std::int64_t* entry(std::uint32_t block, std::uint32_t slot) const {
    return lines_[(block * fan + slot) * lines_each_].words;
  }
  [[nodiscard]] const std::int64_t* first_entry() const {
    return entry(front_, blocks_[front_].slot(0));
  }
  [[nodiscard]] const std::int64_t* at(Id id) const {
    return lines_[(*where_)[id] * lines_each_].words;
  }
  /// The entry above the block; of the root, what is told of the whole.
  [[nodiscard]] std::int64_t* above(const Block& b) {
    return b.parent == none ? top_.data() : entry(b.parent, b.up);
  }
  /// The rank of the first entry that is not before the key.
  [[nodiscard]] std::uint32_t at_least(std::uint32_t block, const Key& key) const;
  /// From which on there may be some.
  [[nodiscard]] std::uint32_t from_rank(std::uint32_t block, const Key& key) const;
  std::uint32_t new_block(bool leaf);
  [[nodiscard]] std::int64_t most_in(const Block& b, std::uint32_t block, std::size_t word,
                                     std::int64_t enough) const;
  [[nodiscard]] std::uint64_t mask_in(const Block& b, std::uint32_t block,
                                      std::uint64_t enough) const;
  /// What an entry is before it changes.
  void remember(const std::int64_t* words);
  /// The remembered entry of the block is `now`, or (null) gone: makes the entry above true again,
  /// and so on upwards while that changes anything. Looks at a whole block only for amounts of
  /// which the entry had the most.
  bool settle(std::uint32_t block, const std::int64_t* now);
  bool settle_key(std::uint32_t block);
  void sum_up(std::uint32_t block);
  /// Who looks for the entry there finds it.
  void link(std::uint32_t block, std::uint32_t slot);
  /// The parent has room, or there is none. `key`: will be inserted next.
  std::uint32_t split(std::uint32_t block, const Key& key);
  bool remove(Id id);
  [[nodiscard]] std::uint32_t first_leaf() const;

  std::size_t dims_, lines_each_;
  HugeVector<Block> blocks_;
  HugeVector<Line> lines_; // by block and place
  std::vector<std::uint32_t> free_;
  Where* where_; // id -> leaf * fan + place
  std::uint32_t root_ = none;
  std::uint32_t front_ = none; // the first leaf; of nothing, when there is no root
  std::size_t size_ = 0;
  std::vector<std::int64_t> top_; // as an entry above the root would be
  std::vector<std::int64_t> was_;
};

} // namespace reeve::sched
