// See ranked.hpp. Blocks are split when full and freed when empty; half-empty ones are left alone
// (Johnson and Shasha, "B-trees with inserts and deletes: why free-at-empty is better than
// merge-at-half", JCSS 1993).
#include "src/sched/ranked.hpp"

#include <algorithm>
#include <limits>

namespace reeve::sched {

std::uint32_t Ranked::new_block(bool leaf) {
  std::uint32_t block;
  if (free_.empty()) {
    block = static_cast<std::uint32_t>(blocks_.size());
    blocks_.emplace_back();
    amounts_.resize(amounts_.size() + dims_ * fan);
  } else {
    block = free_.back();
    free_.pop_back();
  }
  Block& b = blocks_[block];
  b.parent = none;
  b.begin = b.end = 0;
  b.leaf = leaf;
  return block;
}

void Ranked::free_block(std::uint32_t block) {
  free_.push_back(block);
}

/// Its entry above, from nothing.
void Ranked::sum_up(std::uint32_t block) {
  const Block& b = blocks_[block];
  Block& p = blocks_[b.parent];
  p.keys[b.up] = b.keys[b.begin];
  p.masks[b.up] = mask_in(block);
  for (std::size_t d = 0; d < dims_; ++d)
    amounts(b.parent, d)[b.up] = most_in(block, d);
}

std::int64_t Ranked::most_in(std::uint32_t block, std::size_t dim) const {
  const std::int64_t* all = amounts(block, dim);
  const std::uint32_t end = blocks_[block].end;
  std::int64_t most = std::numeric_limits<std::int64_t>::min(), other = most;
  std::uint32_t i = blocks_[block].begin;
  for (; i + 1 < end; i += 2) { // two chains: neither waits for the other
    most = std::max(most, all[i]);
    other = std::max(other, all[i + 1]);
  }
  if (i < end)
    most = std::max(most, all[i]);
  return std::max(most, other);
}

std::uint64_t Ranked::mask_in(std::uint32_t block) const {
  const Block& b = blocks_[block];
  std::uint64_t mask = 0;
  for (std::uint32_t i = b.begin; i < b.end; ++i)
    mask |= b.masks[i];
  return mask;
}

void Ranked::remember(std::uint32_t block, std::uint32_t at) {
  const std::int64_t* const all = amounts(block, 0) + at;
  std::int64_t* const was = was_.data();
  for (std::size_t d = 0, dims = dims_; d < dims; ++d)
    was[d] = all[d * fan];
  was_mask_ = blocks_[block].masks[at];
}

bool Ranked::settle(std::uint32_t block, std::uint32_t at) {
  std::int64_t* const was = was_.data();
  const std::size_t dims = dims_; // what is written might be it, for all the compiler knows
  for (;;) {
    const Block& b = blocks_[block];
    const std::uint32_t parent = b.parent, up = b.up;
    const bool is_top = parent == none;
    Key& key = is_top ? top_key_ : blocks_[parent].keys[up];
    std::uint64_t& all = is_top ? top_mask_ : blocks_[parent].masks[up];
    const bool moved = key != b.keys[b.begin];
    key = b.keys[b.begin];
    const std::uint64_t before = all, mask = at == none ? 0 : b.masks[at];
    all = (was_mask_ & ~mask) == 0 ? before | mask : mask_in(block);
    bool changed = all != before;
    was_mask_ = before;
    const std::int64_t* const here = amounts(block, 0);
    std::int64_t* const above = is_top ? top_.data() : amounts(parent, 0) + up;
    const std::size_t stride = is_top ? 1 : fan;
    for (std::size_t d = 0; d < dims; ++d) {
      const std::int64_t before_d = above[d * stride];
      const std::int64_t now =
        at == none ? std::numeric_limits<std::int64_t>::min() : here[d * fan + at];
      std::int64_t most = before_d;
      if (now >= most)
        most = now;
      else if (was[d] == most) // it was the most, perhaps alone
        most = most_in(block, d);
      was[d] = before_d;
      if (most != before_d) {
        above[d * stride] = most;
        changed = true;
      }
    }
    if (is_top || !(changed || moved))
      return changed || moved;
    block = parent;
    if (!changed)
      return settle_key(block);
    at = up;
  }
}

/// The same where nothing else may be another.
bool Ranked::settle_key(std::uint32_t block) {
  for (;;) {
    const Block& b = blocks_[block];
    Key& key = b.parent == none ? top_key_ : blocks_[b.parent].keys[b.up];
    if (key == b.keys[b.begin])
      return false;
    key = b.keys[b.begin];
    if (b.parent == none)
      return true;
    block = b.parent;
  }
}

void Ranked::link(std::uint32_t block, std::uint32_t first, std::uint32_t last) {
  const Block& b = blocks_[block];
  if (b.leaf)
    for (std::uint32_t i = first; i < last; ++i)
      (*where_)[b.ids[i]] = block * fan + i;
  else
    for (std::uint32_t i = first; i < last; ++i) {
      blocks_[b.ids[i]].parent = block;
      blocks_[b.ids[i]].up = static_cast<std::uint8_t>(i);
    }
}

/// Moves entries [first, last) by one place.
void Ranked::shift(std::uint32_t block, std::uint32_t first, std::uint32_t last, int by) {
  if (first == last)
    return;
  Block& b = blocks_[block];
  const auto move = [&](auto* all) {
    if (by > 0)
      std::copy_backward(all + first, all + last, all + last + 1);
    else
      std::copy(all + first, all + last, all + first - 1);
  };
  move(b.keys);
  move(b.ids);
  move(b.masks);
  for (std::size_t d = 0; d < dims_; ++d)
    move(amounts(block, d));
  if (by > 0)
    link(block, first + 1, last + 1);
  else
    link(block, first - 1, last - 1);
}

std::uint32_t Ranked::open_gap(std::uint32_t block, std::uint32_t at) {
  Block& b = blocks_[block];
  if (b.end == fan || (b.begin > 0 && at - b.begin < b.end - at)) {
    shift(block, b.begin, at, -1);
    --b.begin;
    return at - 1;
  }
  shift(block, at, b.end, 1);
  ++b.end;
  return at;
}

void Ranked::close_gap(std::uint32_t block, std::uint32_t at) {
  Block& b = blocks_[block];
  if (at - b.begin < b.end - at) {
    shift(block, b.begin, at, 1);
    ++b.begin;
  } else {
    shift(block, at + 1, b.end, -1);
    --b.end;
  }
}

std::uint32_t Ranked::split(std::uint32_t block, const Key& key) {
  const std::uint32_t right = new_block(blocks_[block].leaf);
  // What comes at the end mostly comes there again: the left part stays full.
  const std::uint32_t left = blocks_[block].keys[fan - 1] < key ? fan - 1 : fan / 2;
  Block& a = blocks_[block];
  Block& b = blocks_[right];
  std::copy(a.keys + left, a.keys + fan, b.keys);
  std::copy(a.ids + left, a.ids + fan, b.ids);
  std::copy(a.masks + left, a.masks + fan, b.masks);
  for (std::size_t d = 0; d < dims_; ++d)
    std::copy(amounts(block, d) + left, amounts(block, d) + fan, amounts(right, d));
  b.end = static_cast<std::uint8_t>(fan - left);
  a.end = static_cast<std::uint8_t>(left);
  link(right, 0, b.end);
  if (a.parent == none) {
    const std::uint32_t above = new_block(false); // a and b may have moved
    root_ = above;
    blocks_[above].ids[0] = block;
    blocks_[above].end = 1;
    link(above, 0, 1);
  }
  const std::uint32_t parent = blocks_[block].parent;
  const std::uint32_t at = open_gap(parent, std::uint32_t{blocks_[block].up} + 1);
  blocks_[parent].ids[at] = right;
  link(parent, at, at + 1);
  sum_up(block);
  sum_up(right);
  return right;
}

bool Ranked::insert(Id id, Key key, std::span<const std::int64_t> mine, std::uint64_t mask) {
  if (where_->size() <= id)
    where_->resize(std::max<std::size_t>(id + 1, where_->size() * 2), none);
  if (root_ == none) {
    root_ = new_block(true);
    top_key_ = key;
    top_mask_ = 0;
    std::ranges::fill(top_, std::numeric_limits<std::int64_t>::min());
  }
  std::uint32_t block = root_;
  for (;;) {
    if (blocks_[block].count() == fan) { // on the way down, so that a parent always has room
      const std::uint32_t right = split(block, key);
      if (!(key < blocks_[right].keys[0]))
        block = right;
    }
    const Block& b = blocks_[block];
    if (b.leaf)
      break;
    const std::uint32_t after = b.at_least(key); // no other has this very key
    block = b.ids[after > b.begin && (after == b.end || key < b.keys[after]) ? after - 1 : after];
  }
  const std::uint32_t at = open_gap(block, blocks_[block].at_least(key));
  Block& leaf = blocks_[block];
  leaf.keys[at] = key;
  leaf.ids[at] = id;
  leaf.masks[at] = mask;
  for (std::size_t d = 0; d < dims_; ++d)
    amounts(block, d)[at] = mine[d];
  (*where_)[id] = block * fan + at;
  ++size_;
  // What is above can only grow: no need to look at the whole block.
  for (;;) {
    const std::uint32_t parent = blocks_[block].parent, up = blocks_[block].up;
    const bool is_top = parent == none;
    Key& least = is_top ? top_key_ : blocks_[parent].keys[up];
    std::uint64_t& all = is_top ? top_mask_ : blocks_[parent].masks[up];
    bool changed = size_ == 1 || key < least || (all | mask) != all;
    if (key < least)
      least = key;
    all |= mask;
    std::int64_t* const above = is_top ? top_.data() : amounts(parent, 0) + up;
    const std::size_t stride = is_top ? 1 : fan;
    for (std::size_t d = 0; d < mine.size(); ++d)
      if (mine[d] > above[d * stride]) {
        above[d * stride] = mine[d];
        changed = true;
      }
    if (!changed || is_top)
      return changed;
    block = parent;
  }
}

bool Ranked::remove_at(Place place) {
  auto [block, at] = place;
  remember(block, at);
  close_gap(block, at);
  while (blocks_[block].count() == 0) {
    const std::uint32_t parent = blocks_[block].parent, up = blocks_[block].up;
    free_block(block);
    if (parent == none) {
      root_ = none;
      return true;
    }
    remember(parent, up);
    close_gap(parent, up);
    block = parent;
  }
  const bool changed = settle(block, none);
  while (!blocks_[root_].leaf && blocks_[root_].count() == 1) {
    const std::uint32_t old = root_;
    root_ = blocks_[old].ids[blocks_[old].begin];
    blocks_[root_].parent = none;
    free_block(old);
  }
  return changed;
}

bool Ranked::erase(Id id) {
  const bool changed = remove_at(find(id));
  (*where_)[id] = none;
  --size_;
  return changed;
}

bool Ranked::update(Id id, Key key, std::span<const std::int64_t> mine, std::uint64_t mask) {
  const auto [block, at] = find(id);
  Block& b = blocks_[block];
  bool same = b.keys[at] == key;
  if (!same) {
    const bool after = at > b.begin ? b.keys[at - 1] < key : b.keys[at] < key || b.parent == none;
    const bool before =
      at + 1 < b.end ? key < b.keys[at + 1] : key < b.keys[at] || b.parent == none;
    if (!after || !before) { // it has to move
      const bool gone = erase(id);
      return insert(id, key, mine, mask) || gone;
    }
    b.keys[at] = key;
  }
  was_mask_ = b.masks[at];
  same &= was_mask_ == mask;
  b.masks[at] = mask;
  std::int64_t* const all = amounts(block, 0) + at;
  std::int64_t* const was = was_.data();
  for (std::size_t d = 0; d < mine.size(); ++d) {
    was[d] = all[d * fan];
    same &= was[d] == mine[d];
    all[d * fan] = mine[d];
  }
  return !same && settle(block, at);
}

Key Ranked::key_of(Id id) const {
  const auto [block, at] = find(id);
  return blocks_[block].keys[at];
}

Ranked::Id Ranked::first_id() const {
  const Block* b = &blocks_[root_];
  while (!b->leaf)
    b = &blocks_[b->ids[b->begin]];
  return b->ids[b->begin];
}

} // namespace reeve::sched
