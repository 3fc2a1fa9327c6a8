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
  blocks_[block].count = 0;
  blocks_[block].parent = none;
  blocks_[block].leaf = leaf;
  return block;
}

void Ranked::free_block(std::uint32_t block) {
  free_.push_back(block);
}

Ranked::Place Ranked::find(Id id) const {
  const std::uint32_t block = (*where_)[id];
  const Block& b = blocks_[block];
  std::uint32_t at = 0;
  while (b.ids[at] != id)
    ++at;
  return {block, at};
}

std::uint32_t Ranked::index_in_parent(std::uint32_t block) const {
  const Block& p = blocks_[blocks_[block].parent];
  std::uint32_t at = 0;
  while (p.ids[at] != block)
    ++at;
  return at;
}

bool Ranked::sum_up(std::uint32_t block, std::uint32_t parent, std::uint32_t at) {
  const Block& b = blocks_[block];
  Block& p = blocks_[parent];
  bool changed = p.keys[at] != b.keys[0];
  p.keys[at] = b.keys[0];
  const std::uint64_t mask = mask_in(block);
  changed |= mask != p.masks[at];
  p.masks[at] = mask;
  for (std::size_t d = 0; d < dims_; ++d) {
    const std::int64_t most = most_in(block, d);
    std::int64_t& above = amounts(parent, d)[at];
    changed |= most != above;
    above = most;
  }
  return changed;
}

std::int64_t Ranked::most_in(std::uint32_t block, std::size_t dim) const {
  const std::int64_t* all = amounts(block, dim);
  const std::uint32_t count = blocks_[block].count;
  std::int64_t most = std::numeric_limits<std::int64_t>::min(), other = most;
  std::uint32_t i = 0;
  for (; i + 1 < count; i += 2) { // two chains: neither waits for the other
    most = std::max(most, all[i]);
    other = std::max(other, all[i + 1]);
  }
  if (i < count)
    most = std::max(most, all[i]);
  return std::max(most, other);
}

std::uint64_t Ranked::mask_in(std::uint32_t block) const {
  const Block& b = blocks_[block];
  std::uint64_t mask = 0;
  for (std::uint32_t i = 0; i < b.count; ++i)
    mask |= b.masks[i];
  return mask;
}

void Ranked::remember(std::uint32_t block, std::uint32_t at) {
  was_.resize(dims_);
  for (std::size_t d = 0; d < dims_; ++d)
    was_[d] = amounts(block, d)[at];
  was_mask_ = blocks_[block].masks[at];
}

bool Ranked::settle(std::uint32_t block, std::uint32_t at) {
  for (;;) {
    const std::uint32_t parent = blocks_[block].parent;
    const bool is_top = parent == none;
    const std::uint32_t up = is_top ? 0 : index_in_parent(block);
    const Block& b = blocks_[block];
    Key& key = is_top ? top_key_ : blocks_[parent].keys[up];
    std::uint64_t& all = is_top ? top_mask_ : blocks_[parent].masks[up];
    bool changed = key != b.keys[0];
    key = b.keys[0];
    const std::uint64_t before = all, mask = at == none ? 0 : b.masks[at];
    all = (was_mask_ & ~mask) == 0 ? before | mask : mask_in(block);
    changed |= all != before;
    was_mask_ = before;
    for (std::size_t d = 0; d < dims_; ++d) {
      std::int64_t& most = is_top ? top_[d] : amounts(parent, d)[up];
      const std::int64_t most_before = most;
      const std::int64_t now =
        at == none ? std::numeric_limits<std::int64_t>::min() : amounts(block, d)[at];
      if (now >= most)
        most = now;
      else if (was_[d] == most) // it was the most, perhaps alone
        most = most_in(block, d);
      changed |= most != most_before;
      was_[d] = most_before;
    }
    if (!changed || is_top)
      return changed;
    block = parent;
    at = up;
  }
}

void Ranked::open_gap(std::uint32_t block, std::uint32_t at) {
  Block& b = blocks_[block];
  std::copy_backward(b.keys + at, b.keys + b.count, b.keys + b.count + 1);
  std::copy_backward(b.ids + at, b.ids + b.count, b.ids + b.count + 1);
  std::copy_backward(b.masks + at, b.masks + b.count, b.masks + b.count + 1);
  for (std::size_t d = 0; d < dims_; ++d) {
    std::int64_t* a = amounts(block, d);
    std::copy_backward(a + at, a + b.count, a + b.count + 1);
  }
  ++b.count;
}

void Ranked::close_gap(std::uint32_t block, std::uint32_t at) {
  Block& b = blocks_[block];
  std::copy(b.keys + at + 1, b.keys + b.count, b.keys + at);
  std::copy(b.ids + at + 1, b.ids + b.count, b.ids + at);
  std::copy(b.masks + at + 1, b.masks + b.count, b.masks + at);
  for (std::size_t d = 0; d < dims_; ++d) {
    std::int64_t* a = amounts(block, d);
    std::copy(a + at + 1, a + b.count, a + at);
  }
  --b.count;
}

void Ranked::move_entry(std::uint32_t from, std::uint32_t at, std::uint32_t to,
                        std::uint32_t slot) {
  Block& a = blocks_[from];
  Block& b = blocks_[to];
  b.keys[slot] = a.keys[at];
  b.ids[slot] = a.ids[at];
  b.masks[slot] = a.masks[at];
  for (std::size_t d = 0; d < dims_; ++d)
    amounts(to, d)[slot] = amounts(from, d)[at];
  if (b.leaf)
    (*where_)[b.ids[slot]] = to;
  else
    blocks_[b.ids[slot]].parent = to;
}

std::uint32_t Ranked::split(std::uint32_t block) {
  const std::uint32_t right = new_block(blocks_[block].leaf);
  constexpr std::uint32_t half = fan / 2;
  for (std::uint32_t i = half; i < fan; ++i)
    move_entry(block, i, right, i - half);
  blocks_[right].count = fan - half;
  blocks_[block].count = half;
  if (blocks_[block].parent == none) {
    const std::uint32_t above = new_block(false);
    root_ = above;
    blocks_[above].count = 1;
    blocks_[above].ids[0] = block;
    blocks_[block].parent = above;
    sum_up(block, above, 0);
  }
  const std::uint32_t parent = blocks_[block].parent;
  const std::uint32_t at = index_in_parent(block);
  open_gap(parent, at + 1);
  blocks_[parent].ids[at + 1] = right;
  blocks_[right].parent = parent;
  sum_up(block, parent, at);
  sum_up(right, parent, at + 1);
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
    if (blocks_[block].count == fan) { // on the way down, so that a parent always has room
      const std::uint32_t right = split(block);
      if (!(key < blocks_[right].keys[0]))
        block = right;
    }
    Block& b = blocks_[block];
    if (b.leaf)
      break;
    std::uint32_t at = 0;
    while (at + 1 < b.count && !(key < b.keys[at + 1]))
      ++at;
    block = b.ids[at];
  }
  const Block& leaf = blocks_[block];
  std::uint32_t at = 0;
  while (at < leaf.count && leaf.keys[at] < key)
    ++at;
  open_gap(block, at);
  Block& b = blocks_[block];
  b.keys[at] = key;
  b.ids[at] = id;
  b.masks[at] = mask;
  for (std::size_t d = 0; d < dims_; ++d)
    amounts(block, d)[at] = mine[d];
  (*where_)[id] = block;
  ++size_;
  // What is above can only grow: no need to look at the whole block.
  for (;;) {
    const std::uint32_t parent = blocks_[block].parent;
    const bool is_top = parent == none;
    const std::uint32_t up = is_top ? 0 : index_in_parent(block);
    Key& least = is_top ? top_key_ : blocks_[parent].keys[up];
    std::uint64_t& all = is_top ? top_mask_ : blocks_[parent].masks[up];
    bool changed = size_ == 1 || key < least || (all | mask) != all;
    least = std::min(least, key);
    all |= mask;
    for (std::size_t d = 0; d < dims_; ++d) {
      std::int64_t& above = is_top ? top_[d] : amounts(parent, d)[up];
      if (mine[d] > above) {
        above = mine[d];
        changed = true;
      }
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
  while (blocks_[block].count == 0) {
    const std::uint32_t parent = blocks_[block].parent;
    if (parent == none) {
      free_block(block);
      root_ = none;
      return true;
    }
    const std::uint32_t up = index_in_parent(block);
    free_block(block);
    remember(parent, up);
    close_gap(parent, up);
    block = parent;
  }
  const bool changed = settle(block, none);
  while (!blocks_[root_].leaf && blocks_[root_].count == 1) {
    const std::uint32_t old = root_;
    root_ = blocks_[old].ids[0];
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
  const bool after = at > 0 ? b.keys[at - 1] < key : !(key < b.keys[0]) || b.parent == none;
  const bool before =
    at + 1 < b.count ? key < b.keys[at + 1] : !(b.keys[at] < key) || b.parent == none;
  if (!after || !before) { // it has to move
    const bool gone = erase(id);
    return insert(id, key, mine, mask) || gone;
  }
  bool same = b.keys[at] == key && b.masks[at] == mask;
  remember(block, at);
  b.keys[at] = key;
  b.masks[at] = mask;
  for (std::size_t d = 0; d < dims_; ++d) {
    std::int64_t& amount = amounts(block, d)[at];
    same &= amount == mine[d];
    amount = mine[d];
  }
  return !same && settle(block, at);
}

Key Ranked::key_of(Id id) const {
  const auto [block, at] = find(id);
  return blocks_[block].keys[at];
}

Ranked::Id Ranked::first_id() const {
  std::uint32_t block = root_;
  while (!blocks_[block].leaf)
    block = blocks_[block].ids[0];
  return blocks_[block].ids[0];
}

} // namespace reeve::sched
