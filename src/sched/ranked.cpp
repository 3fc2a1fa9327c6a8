// See ranked.hpp. Blocks are split when full and freed when empty; half-empty ones are left alone
// (Johnson and Shasha, "B-trees with inserts and deletes: why free-at-empty is better than
// merge-at-half", JCSS 1993).
#include "src/sched/ranked.hpp"

#include <algorithm>
#include <limits>

namespace reeve::sched {

/// An entry is to stand at this rank: gives it a free place. The block is not full.
std::uint32_t Ranked::Block::open(std::uint32_t rank) {
  const std::uint64_t place = slot(count);
  const std::uint64_t before = (std::uint64_t{1} << 4 * rank) - 1;
  const std::uint64_t after = count == fan - 1 ? 0 : ~std::uint64_t{0} << 4 * (count + 1);
  order = (order & before) | place << 4 * rank | (order << 4 & ~(before << 4 | 15) & ~after) |
          (order & after);
  ++count;
  return static_cast<std::uint32_t>(place);
}

/// The entry of this rank goes.
void Ranked::Block::close(std::uint32_t rank) {
  --count;
  const std::uint64_t place = slot(rank);
  const std::uint64_t before = (std::uint64_t{1} << 4 * rank) - 1;
  const std::uint64_t to = (std::uint64_t{1} << 4 * count) - 1; // those that stay
  const std::uint64_t after = count == fan - 1 ? 0 : ~std::uint64_t{0} << 4 * (count + 1);
  order = (order & before) | (order >> 4 & ~before & to) | place << 4 * count | (order & after);
}

std::uint32_t Ranked::new_block(bool leaf) {
  std::uint32_t block;
  if (free_.empty()) {
    block = static_cast<std::uint32_t>(blocks_.size());
    blocks_.emplace_back();
    lines_.resize(lines_.size() + fan * lines_each_);
  } else {
    block = free_.back();
    free_.pop_back();
    blocks_[block] = Block();
  }
  blocks_[block].leaf = leaf;
  return block;
}

/// One after the other: what is read does not depend on what was, as it would in halves.
std::uint32_t Ranked::at_least(std::uint32_t block, const Key& wanted) const {
  const Block& b = blocks_[block];
  const std::int64_t* const all = entry(block, 0);
  const std::size_t each = lines_each_ * words_of_line;
  std::uint64_t order = b.order;
  std::uint32_t rank = 0;
  for (; rank < b.count && key(all + (order & 15) * each) < wanted; ++rank)
    order >>= 4;
  return rank;
}

std::uint32_t Ranked::from_rank(std::uint32_t block, const Key& from) const {
  const std::uint32_t rank = at_least(block, from);
  return !blocks_[block].leaf && rank > 0 ? rank - 1 : rank; // what is wanted may be inside
}

/// None of them has more than `enough`. The last come first: nodes that are served in turn have
/// mostly as much as those behind them had.
std::int64_t Ranked::most_in(const Block& b, std::uint32_t block, std::size_t word,
                             std::int64_t enough) const {
  const std::int64_t* const all = entry(block, 0) + word;
  const std::size_t each = lines_each_ * words_of_line;
  std::int64_t most = std::numeric_limits<std::int64_t>::min();
  std::uint64_t order = std::rotr(b.order, 4 * b.count);
  for (std::uint32_t n = b.count; n > 0 && most < enough; --n) {
    order = std::rotl(order, 4);
    most = std::max(most, all[(order & 15) * each]);
  }
  return most;
}

/// None of them has other bits than `enough`.
std::uint64_t Ranked::mask_in(const Block& b, std::uint32_t block, std::uint64_t enough) const {
  std::uint64_t all = 0, order = b.order;
  for (std::uint32_t n = b.count; n > 0 && all != enough; --n, order >>= 4)
    all |= mask(entry(block, order & 15));
  return all;
}

/// Its entry above, from nothing.
void Ranked::sum_up(std::uint32_t block) {
  const Block& b = blocks_[block];
  std::int64_t* const sum = above(b);
  set_key(sum, key(entry(block, b.slot(0))));
  set_mask(sum, mask_in(b, block, ~std::uint64_t{0}));
  for (std::size_t word = first_amount; word < first_amount + dims_; ++word)
    sum[word] = most_in(b, block, word, std::numeric_limits<std::int64_t>::max());
}

void Ranked::remember(const std::int64_t* words) {
  std::copy(words, words + first_amount + dims_, was_.data());
}

bool Ranked::settle(std::uint32_t block, const std::int64_t* now) {
  std::int64_t* const was = was_.data();
  const std::size_t end = first_amount + dims_; // what is written might be it, for all the compiler
                                                // knows
  bool first_moved = now == nullptr || key(now) != key(was);
  for (;;) {
    const Block& b = blocks_[block];
    std::int64_t* const sum = above(b);
    if (first_moved) {
      const Key first = key(entry(block, b.slot(0)));
      first_moved = key(sum) != first;
      set_key(sum, first);
    }
    bool changed = false;
    const std::uint64_t before = mask(sum), mine = now ? mask(now) : 0;
    if (mine != mask(was)) {
      const std::uint64_t all =
        (mask(was) & ~mine) == 0 ? before | mine : mask_in(b, block, before | mine);
      changed = all != before;
      set_mask(sum, all);
    }
    set_mask(was, before);
    for (std::size_t word = first_amount; word < end; ++word) {
      const std::int64_t most = sum[word];
      std::int64_t other = most;
      if (now && now[word] >= most)
        other = now[word];
      else if (was[word] == most) // it was the most, perhaps alone
        other = most_in(b, block, word, most);
      was[word] = most;
      sum[word] = other;
      changed |= other != most;
    }
    if (b.parent == none || !(changed || first_moved))
      return changed || first_moved;
    if (!changed)
      return settle_key(b.parent);
    block = b.parent;
    now = sum;
  }
}

/// The same where nothing but the first key may be another.
bool Ranked::settle_key(std::uint32_t block) {
  for (;;) {
    const Block& b = blocks_[block];
    std::int64_t* const sum = above(b);
    const Key first = key(entry(block, b.slot(0)));
    if (key(sum) == first)
      return false;
    set_key(sum, first);
    if (b.parent == none)
      return true;
    block = b.parent;
  }
}

void Ranked::link(std::uint32_t block, std::uint32_t slot) {
  const Id there = id(entry(block, slot));
  if (blocks_[block].leaf) {
    (*where_)[there] = block * fan + slot;
  } else {
    blocks_[there].parent = block;
    blocks_[there].up = static_cast<std::uint8_t>(slot);
  }
}

std::uint32_t Ranked::split(std::uint32_t block, const Key& next) {
  const std::uint32_t right = new_block(blocks_[block].leaf);
  if (blocks_[block].parent == none) {
    root_ = new_block(false);
    entry(root_, blocks_[root_].open(0))[3] = block;
    link(root_, 0);
  }
  Block& a = blocks_[block];
  Block& b = blocks_[right];
  // What comes at the end mostly comes there again: the left part stays full.
  const bool at_end = key(entry(block, a.slot(fan - 1))) < next;
  a.count = at_end ? fan - 1 : fan / 2;
  for (std::uint32_t rank = a.count; rank < fan; ++rank) {
    const std::int64_t* const from = entry(block, a.slot(rank));
    const std::uint32_t to = b.open(b.count);
    std::copy(from, from + first_amount + dims_, entry(right, to));
    link(right, to);
  }
  Block& parent = blocks_[a.parent];
  const std::uint32_t to = parent.open(parent.rank_of(a.up) + 1);
  entry(a.parent, to)[3] = right;
  link(a.parent, to);
  sum_up(block);
  sum_up(right);
  return right;
}

bool Ranked::insert(Id id, Key mine, std::span<const std::int64_t> amounts, std::uint64_t mask) {
  if (where_->size() <= id)
    where_->resize(std::max<std::size_t>(id + 1, where_->size() * 2), none);
  if (root_ == none) {
    root_ = front_ = new_block(true);
    set_key(top_.data(), mine);
    set_mask(top_.data(), 0);
    std::fill(top_.begin() + first_amount, top_.end(), std::numeric_limits<std::int64_t>::min());
  }
  std::uint32_t block = root_, rank = 0;
  for (;;) {
    if (blocks_[block].count == fan) { // on the way down, so that a parent always has room
      const std::uint32_t right = split(block, mine);
      if (!(mine < key(entry(right, blocks_[right].slot(0)))))
        block = right;
    }
    rank = at_least(block, mine); // no other has this very key
    if (blocks_[block].leaf)
      break;
    block = this->id(entry(block, blocks_[block].slot(rank > 0 ? rank - 1 : 0)));
  }
  const std::uint32_t slot = blocks_[block].open(rank);
  std::int64_t* const words = entry(block, slot);
  set_key(words, mine);
  set_mask(words, mask);
  words[3] = id;
  std::copy(amounts.begin(), amounts.end(), words + first_amount);
  (*where_)[id] = block * fan + slot;
  ++size_;
  // What is above can only grow: no need to look at the whole block.
  for (;;) {
    const Block& b = blocks_[block];
    std::int64_t* const sum = above(b);
    const std::uint64_t before = this->mask(sum);
    bool changed = size_ == 1 || mine < key(sum) || (before | mask) != before;
    if (mine < key(sum))
      set_key(sum, mine);
    set_mask(sum, before | mask);
    for (std::size_t d = 0; d < amounts.size(); ++d)
      if (amounts[d] > sum[first_amount + d]) {
        sum[first_amount + d] = amounts[d];
        changed = true;
      }
    if (!changed || b.parent == none)
      return changed;
    block = b.parent;
  }
}

/// It keeps its place in `where`.
bool Ranked::remove(Id id) {
  std::uint32_t block = (*where_)[id] / fan, slot = (*where_)[id] % fan;
  --size_;
  remember(entry(block, slot));
  blocks_[block].close(blocks_[block].rank_of(slot));
  while (blocks_[block].count == 0) {
    free_.push_back(block);
    slot = blocks_[block].up;
    block = blocks_[block].parent;
    if (block == none) {
      root_ = none;
      return true;
    }
    remember(entry(block, slot));
    blocks_[block].close(blocks_[block].rank_of(slot));
  }
  if (blocks_[front_].count == 0)
    front_ = first_leaf();
  const bool changed = settle(block, nullptr);
  while (!blocks_[root_].leaf && blocks_[root_].count == 1) {
    free_.push_back(root_);
    root_ = this->id(entry(root_, blocks_[root_].slot(0)));
    blocks_[root_].parent = none;
  }
  return changed;
}

bool Ranked::erase(Id id) {
  const bool changed = remove(id);
  (*where_)[id] = none;
  return changed;
}

bool Ranked::update(Id id, Key mine, std::span<const std::int64_t> amounts, std::uint64_t mask) {
  const std::uint32_t block = (*where_)[id] / fan, slot = (*where_)[id] % fan;
  std::int64_t* const words = entry(block, slot);
  bool same = key(words) == mine;
  if (!same) {
    const Block& b = blocks_[block];
    const std::uint32_t rank = b.rank_of(slot);
    const bool after =
      rank > 0 ? key(entry(block, b.slot(rank - 1))) < mine : key(words) < mine || b.parent == none;
    const bool before = rank + 1 < b.count ? mine < key(entry(block, b.slot(rank + 1)))
                                           : mine < key(words) || b.parent == none;
    if (!after || !before) { // it has to move
      const bool gone = remove(id);
      return insert(id, mine, amounts, mask) || gone;
    }
  }
  same &= this->mask(words) == mask;
  std::int64_t* const was = was_.data();
  set_key(was, key(words));
  set_mask(was, this->mask(words));
  set_key(words, mine);
  set_mask(words, mask);
  for (std::size_t d = 0; d < amounts.size(); ++d) {
    const std::size_t word = first_amount + d;
    was[word] = words[word];
    same &= was[word] == amounts[d];
    words[word] = amounts[d];
  }
  return !same && settle(block, words);
}

std::uint32_t Ranked::first_leaf() const {
  std::uint32_t block = root_;
  while (!blocks_[block].leaf)
    block = id(entry(block, blocks_[block].slot(0)));
  return block;
}

} // namespace reeve::sched
