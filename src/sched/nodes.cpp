// See nodes.hpp.
#include "src/sched/nodes.hpp"

#include "src/core/match.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace reeve::sched {

using What = Column::What;

namespace {
constexpr std::size_t looked_at = 8; // candidates that `balance` compares exactly

std::uint64_t mix(std::uint64_t x) { // splitmix64, Steele, Lea and Flood, OOPSLA 2014
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

// Small differences of what was learned of nodes are noise: they count in steps.
constexpr std::int64_t speed_steps = 20; // 5 %
std::uint64_t speed_step(double slowness) {
  return static_cast<std::uint64_t>(std::clamp(slowness, 0.0, 1e6) * speed_steps);
}
/// 4 an octave, from 1 ms on.
std::uint64_t delay_step(Duration delay) {
  const double ms = static_cast<double>(delay.count()) / 1000;
  return ms <= 1 ? 0 : 1 + static_cast<std::uint64_t>(std::min(4 * std::log2(ms), 120.0));
}
Duration least_delay(std::uint64_t step) {
  return step == 0 ? Duration(0)
                   : Duration(static_cast<std::int64_t>(
                       1000 * std::exp2(static_cast<double>(step - 1) / 4)));
}
/// Doubles of 0 and above, in their order.
std::uint64_t ordered(double x) {
  return std::bit_cast<std::uint64_t>(std::max(x, 0.0));
}
} // namespace

Nodes::Nodes() : dirty_(columns_.size(), dirty_where_) {
  total_.resize(columns_.size());
  shared_.resize(columns_.size());
  weights_.resize(columns_.size());
}

void Nodes::suspect(std::set<NodeId> nodes) {
  suspects_ = std::move(nodes);
  for (At at = 0; at < nodes_.size(); ++at)
    if (Node& node = nodes_[at]; node.known && node.suspect != suspects_.contains(node.id)) {
      node.suspect = !node.suspect;
      ++facts_version_;
      touch(at);
    }
}

// ---- the share that is kept

std::int64_t Nodes::kept(const Resources& capacity, const std::string& name) const {
  const auto at = reserve_.find(name);
  if (at == reserve_.end())
    return 0;
  const std::int64_t whole = amount_of(capacity, name), percent = at->second;
  return whole / 100 * percent + whole % 100 * percent / 100; // cannot overflow
}

bool Nodes::set_reserve(const std::map<std::string, std::uint32_t>& percents) {
  if (reserve_ == percents)
    return false;
  reserve_ = percents;
  bool added = false;
  for (const auto& [name, percent] : reserve_)
    added |= columns_.add({What::open, name});
  rebuild();
  for (At at = 0; at < nodes_.size(); ++at)
    if (nodes_[at].known)
      set_base(at, nodes_[at].facts.available);
  ++facts_version_;
  return added;
}

void Nodes::set_capacity(At at) {
  const core::NodeChanged& facts = nodes_[at].facts;
  columns_.fill(facts.capacity, 0, row(capacity_, at));
  const auto out = row(whole_, at);
  columns_.fill(facts.capacity, plenty, out);
  for (std::size_t c = 0; c < out.size(); ++c)
    switch (columns_[c].what) {
    case What::room:
      out[c] = room_of_node;
      break;
    case What::idle:
      out[c] = 1;
      break;
    case What::cpu_over:
      out[c] =
        facts.capacity.cpu_milli / 1000 * facts.overcommit_milli - kept(facts.capacity, "vcores");
      break;
    case What::memory_over:
      out[c] = facts.capacity.memory_bytes / 1000 * facts.overcommit_milli -
               kept(facts.capacity, "memory");
      break;
    case What::open:
      out[c] = amount_of(facts.capacity, columns_[c].name) - kept(facts.capacity, columns_[c].name);
      break;
    default:
      break;
    }
}

void Nodes::set_base(At at, const Resources& available) {
  const core::NodeChanged& facts = nodes_[at].facts;
  const auto base = row(base_, at);
  columns_.fill(available, plenty, base);
  for (std::size_t c = 0; c < columns_.size(); ++c)
    switch (columns_[c].what) {
    case What::cpu_over:
      base[c] = facts.capacity.cpu_milli / 1000 * facts.overcommit_milli -
                facts.capacity.cpu_milli + available.cpu_milli - kept(facts.capacity, "vcores");
      break;
    case What::memory_over:
      base[c] = facts.capacity.memory_bytes / 1000 * facts.overcommit_milli -
                facts.capacity.memory_bytes + available.memory_bytes -
                kept(facts.capacity, "memory");
      break;
    case What::open:
      base[c] = amount_of(available, columns_[c].name) - kept(facts.capacity, columns_[c].name);
      break;
    default:
      break;
    }
}

void Nodes::count_total(At at, std::int64_t sign) {
  const core::NodeChanged& facts = nodes_[at].facts;
  if (facts.state != NodeState::up)
    return;
  const Amounts whole_node = columns_.of(facts.capacity, 0);
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    total_[c] += Sum{sign} * whole_node[c];
    shared_[c] = columns_.is_resource(c) ? as_double(total_[c]) : 0;
  }
}

At Nodes::changed(const core::NodeChanged& facts) {
  ++facts_version_;
  At at = find(facts.node);
  if (at == nowhere) {
    if (empty_.empty()) {
      at = static_cast<At>(nodes_.size());
      nodes_.emplace_back();
      row_length_ = columns_.size();
      rows_.resize(rows_.size() + row_count * row_length_);
      marks_.emplace_back();
      for (PoolData& pool : pools_)
        pool.fit.push_back(false);
    } else {
      at = empty_.back();
      empty_.pop_back();
      nodes_[at] = Node();
    }
    if (by_id_.size() <= facts.node.value)
      by_id_.resize(facts.node.value + 1, nowhere);
    by_id_[facts.node.value] = at;
    nodes_[at].known = true;
    ++count_;
    std::ranges::fill(row(wished_, at), 0);
    std::ranges::fill(row(seen_, at), std::numeric_limits<std::int64_t>::min());
  } else {
    count_total(at, -1);
  }
  Node& node = nodes_[at];
  const bool other_labels =
    node.facts.labels != facts.labels || node.facts.executors != facts.executors;
  node.asks &= facts.incarnation == node.facts.incarnation;
  node.facts = facts;
  node.id = facts.node;
  node.works = facts.state == NodeState::up && !facts.draining && !facts.closed;
  node.pulls = facts.pulls;
  node.quarantined = facts.quarantined;
  node.suspect = suspects_.contains(facts.node);
  node.sulking = {};
  if (facts.quarantined != TimePoint{})
    wakes_.emplace(facts.quarantined, at);
  count_total(at, 1);
  bool heavier = false;
  set_capacity(at);
  const auto capacity = row(capacity_, at);
  for (std::size_t c = 0; c < columns_.size(); ++c)
    if (capacity[c] > 0 && 1.0 / static_cast<double>(capacity[c]) < weights_[c])
      heavier = true;
    else if (weights_[c] == 0 && capacity[c] > 0)
      heavier = true;
  set_base(at, facts.available);
  if (other_labels || node.mask == 0)
    sort_into_pools(at);
  if (heavier)
    rebuild();
  unlist(at); // so that it counts as gained
  touch(at);
  return at;
}

bool Nodes::fits_pool(const Node& node, const PoolData& pool) {
  const auto& executors = node.facts.executors;
  return core::unmet(*pool.like, node.facts.labels).empty() &&
         std::find(executors.begin(), executors.end(), pool.like->executor) != executors.end();
}

void Nodes::sort_into_pools(At at) {
  Node& node = nodes_[at];
  node.mask = 0;
  for (Pool p = 0; p < pools_.size(); ++p) {
    PoolData& pool = pools_[p];
    if (pool.users == 0)
      continue;
    const bool fit = node.known && fits_pool(node, pool);
    pool.count += static_cast<std::uint32_t>(fit) - static_cast<std::uint32_t>(pool.fit[at]);
    pool.fit[at] = fit;
    if (fit)
      node.mask |= bit_of(p);
  }
}

void Nodes::forgotten(NodeId id) {
  const At at = find(id);
  if (at == nowhere)
    return;
  ++facts_version_;
  count_total(at, -1);
  unlist(at);
  nodes_[at].known = false;
  sort_into_pools(at);
  nodes_[at] = Node();
  by_id_[id.value] = nowhere;
  empty_.push_back(at);
  --count_;
}

void Nodes::available(NodeId id, const Resources& available) {
  if (const At at = find(id); at != nowhere) {
    Resources& known = nodes_[at].facts.available;
    known.cpu_milli = available.cpu_milli;
    known.memory_bytes = available.memory_bytes;
    known.disk_bytes = available.disk_bytes;
    if (!known.named_milli.empty() || !available.named_milli.empty())
      known.named_milli = available.named_milli;
    set_base(at, available);
    touch(at);
  }
}

void Nodes::leased(NodeId id, bool more) {
  if (const At at = find(id); at != nowhere) {
    nodes_[at].leases += more ? 1 : static_cast<std::uint32_t>(-1);
    touch(at);
  }
}

void Nodes::wished(At at, const Amounts& booking, std::int64_t n) {
  const auto wished_row = row(wished_, at);
  for (std::size_t c = 0; c < booking.size(); ++c)
    wished_row[c] += booking[c] * n;
  touch(at);
}

void Nodes::forget_wishes() {
  for (At at = 0; at < nodes_.size(); ++at) {
    std::ranges::fill(row(wished_, at), 0);
    if (nodes_[at].known)
      touch(at);
  }
}

void Nodes::settle_touched(TimePoint now) {
  while (!wakes_.empty() && wakes_.begin()->first <= now) {
    const At at = wakes_.begin()->second;
    wakes_.erase(wakes_.begin());
    touch(at);
  }
  for (std::size_t i = 0; i < touched_.size(); ++i) {
    if (i + 6 < touched_.size())
      prefetch(touched_[i + 6]);
    if (i + 2 < touched_.size())
      if (const At next = touched_[i + 2]; nodes_[next].listed)
        for (const Exact& exact : exact_)
          exact.tree->prefetch(next);
    const At at = touched_[i];
    marks_[at].touched = false;
    refresh(at, now);
  }
  touched_.clear();
}

void Nodes::unlist(At at) {
  Node& node = nodes_[at];
  if (!node.listed)
    return;
  node.listed = false;
  Marks& marks = marks_[at];
  for (const Exact& exact : exact_)
    exact.tree->erase(at);
  if (std::exchange(marks.in_time, false))
    indexes_[by_time]->tree.erase(at);
  if (marks.dirty) {
    marks.dirty = false;
    --dirty_count_;
    if (marks.in_dirty)
      dirty_.erase(at);
    marks.in_dirty = false;
  }
  std::ranges::fill(row(seen_, at), std::numeric_limits<std::int64_t>::min());
}

void Nodes::refresh(At at, TimePoint now) {
  Node& node = nodes_[at];
  if (!node.known)
    return;
  const std::size_t columns = row_length_;
  const std::int64_t *const base = row(base_, at).data(), *const wished_row = base + columns;
  const std::span<std::int64_t> free_row = row(free_, at);
  for (std::size_t c = 0; c < columns; ++c)
    free_row[c] = base[c] - wished_row[c];
  free_row[Columns::room] = room_of_node - node.room_used;
  if (idle_)
    free_row[*idle_] = node.flights.empty() && node.leases == 0 ? 1 : 0;
  if (!takes_work(at, now) || node.exclusive) {
    unlist(at);
    if (node.sulking > now)
      wakes_.emplace(node.sulking, at);
    return;
  }
  const auto seen_row = row(seen_, at);
  std::span<const std::int64_t> shown = free_row;
  if (node.reservations > 0 && show_reserved) {
    scratch_.assign(free_row);
    show_reserved(at, scratch_);
    shown = scratch_;
  }
  bool gained = false, changed = !node.listed;
  for (std::size_t c = 0; c < columns; ++c) {
    gained |= shown[c] > seen_row[c];
    changed |= shown[c] != seen_row[c];
    seen_row[c] = shown[c];
  }
  late_in_time(at);
  if (changed)
    for (const Exact& exact : exact_) {
      const Key k = key(exact.ranking, at);
      if (node.listed)
        exact.tree->update(at, k, seen_row, node.mask);
      else
        exact.tree->insert(at, k, seen_row, node.mask);
    }
  node.listed = true;
  gains_ += gained ? 1 : 0;
  Marks& marks = marks_[at];
  if (!marks.dirty && gained) {
    marks.dirty = true;
    ++dirty_count_;
    dirty_list_.push_back(at);
    late(at);
  } else if (marks.dirty && changed) {
    late(at);
  }
}

void Nodes::late_in_time(At at) {
  if (indexes_[by_time] && !marks_[at].time_late) {
    marks_[at].time_late = true;
    time_late_.push_back(at);
  }
}

/// That order changes with every task that starts or ends, and is mostly asked for places to be
/// kept, whatever is free: it is brought up to date when it is asked.
void Nodes::list_by_time() {
  in_time_.resize(nodes_.size());
  Ranked& tree = indexes_[by_time]->tree;
  for (std::size_t i = 0; i < time_late_.size(); ++i) {
    if (i + 4 < time_late_.size())
      fetch(&nodes_[time_late_[i + 4]].mask);
    const At at = time_late_[i];
    Marks& marks = marks_[at];
    marks.time_late = false;
    if (!nodes_[at].listed)
      continue;
    const InTime now{key(Ranking::least_time_first, at), nodes_[at].mask};
    if (!marks.in_time)
      tree.insert(at, now.key, row(seen_, at), now.mask);
    else if (room_by_time_ || now != in_time_[at])
      tree.update(at, now.key, row(seen_, at), now.mask);
    marks.in_time = true;
    in_time_[at] = now;
  }
  time_late_.clear();
}

void Nodes::late(At at) {
  if (!marks_[at].late) {
    marks_[at].late = true;
    dirty_late_.push_back(at);
  }
}

void Nodes::list_dirty() {
  for (const At at : dirty_late_) {
    Marks& marks = marks_[at];
    marks.late = false;
    if (!marks.dirty)
      continue;
    if (marks.in_dirty)
      dirty_.update(at, {0, at}, row(seen_, at), nodes_[at].mask);
    else
      dirty_.insert(at, {0, at}, row(seen_, at), nodes_[at].mask);
    marks.in_dirty = true;
  }
  dirty_late_.clear();
}

void Nodes::clean() {
  for (const At at : dirty_list_) {
    Marks& marks = marks_[at];
    if (marks.in_dirty)
      dirty_.erase(at);
    marks.dirty = marks.in_dirty = false;
  }
  dirty_list_.clear();
  dirty_count_ = 0;
}

void Nodes::most_dirty(Amounts& out) {
  list_dirty();
  for (std::size_t c = 0; c < columns_.size(); ++c)
    out[c] = dirty_.most(c);
}

void Nodes::most(Amounts& out) {
  out.clear();
  if (exact_.empty() && !indexes_[by_time])
    return;
  const Ranked& tree =
    exact_.empty() ? with_room(Ranking::least_time_first).tree : *exact_.front().tree;
  if (tree.size() == 0)
    return;
  out.resize(row_length_);
  std::int64_t* const all = out.data();
  for (std::size_t c = 0, columns = row_length_; c < columns; ++c)
    all[c] = tree.most(c);
}

bool Nodes::ask_for(const core::Kind& kind) {
  if (!columns_.add_for(kind))
    return false;
  rebuild();
  return true;
}
bool Nodes::ask_for(const Column& column) {
  if (!columns_.add(column))
    return false;
  rebuild();
  return true;
}

void Nodes::use_none() {
  for (auto& index : indexes_)
    index.reset();
  list_exact();
  room_by_time_ = false;
  for (Marks& marks : marks_)
    marks.in_time = false;
}

void Nodes::set_seed(std::uint64_t seed) {
  if (random_ == seed)
    return;
  random_ = seed;
  rebuild();
}

/// Columns or weights are others now: reckons everything anew. Rare.
void Nodes::rebuild() {
  const std::size_t columns = columns_.size();
  const std::size_t old = row_length_;
  ++gains_;
  idle_ = columns_.find({What::idle, {}});
  if (old != columns) { // available and wished amounts of the new columns
    const auto before =
      std::exchange(rows_, HugeVector<std::int64_t>(nodes_.size() * row_count * columns, 0));
    row_length_ = columns;
    for (At at = 0; at < nodes_.size(); ++at) {
      for (std::size_t c = 0; c < old; ++c)
        row(wished_, at)[c] = before[(at * row_count + wished_) * old + c];
      std::ranges::fill(row(seen_, at), std::numeric_limits<std::int64_t>::min());
    }
  }
  total_.assign(columns, 0);
  shared_.assign(columns, 0);
  weights_.assign(columns, 0);
  for (At at = 0; at < nodes_.size(); ++at) {
    Node& node = nodes_[at];
    node.listed = false;
    marks_[at].dirty = marks_[at].in_dirty = marks_[at].in_time = false;
    if (!node.known)
      continue;
    if (old != columns)
      set_base(at, node.facts.available);
    count_total(at, 1);
    set_capacity(at);
    const auto capacity = row(capacity_, at);
    for (std::size_t c = 0; c < columns; ++c)
      if (capacity[c] > 0) {
        const double weight = 1.0 / static_cast<double>(capacity[c]);
        weights_[c] = weights_[c] == 0 ? weight : std::min(weights_[c], weight);
      }
    std::ranges::fill(row(seen_, at), std::numeric_limits<std::int64_t>::min());
    touch(at);
  }
  for (auto& index : indexes_)
    if (index)
      index = std::make_unique<Index>(columns);
  list_exact();
  dirty_list_.clear();
  dirty_count_ = 0;
  dirty_where_.clear();
  dirty_ = Ranked(columns, dirty_where_);
}

void Nodes::list_exact() {
  exact_.clear();
  for (std::size_t r = 0; r < rankings; ++r)
    if (indexes_[r] && r != by_time)
      exact_.push_back({static_cast<Ranking>(r), &indexes_[r]->tree});
}

Nodes::Index& Nodes::index(Ranking ranking) {
  const bool is_by_time = ranking == Ranking::least_time_first;
  auto& wanted = indexes_[static_cast<std::size_t>(ranking)];
  if (!wanted) {
    wanted = std::make_unique<Index>(columns_.size());
    for (At at = 0; at < nodes_.size(); ++at)
      if (!nodes_[at].listed)
        continue;
      else if (is_by_time)
        late_in_time(at);
      else
        wanted->tree.insert(at, key(ranking, at), row(seen_, at), nodes_[at].mask);
    list_exact();
  }
  if (is_by_time)
    list_by_time();
  return *wanted;
}

Nodes::Index& Nodes::with_room(Ranking ranking) {
  if (ranking == Ranking::least_time_first && !std::exchange(room_by_time_, true))
    for (At at = 0; at < nodes_.size(); ++at)
      late_in_time(at);
  return index(ranking);
}

std::uint64_t Nodes::random() {
  random_ += 0x9E3779B97F4A7C15ULL;
  return mix(random_);
}

/// The largest booked share of any resource, with `more` booked on top.
double Nodes::used_share(At at, const Amounts* more) const {
  double share = 0;
  const auto capacity = row(capacity_, at), free_row = free(at);
  for (std::size_t c = 0; c < columns_.size(); ++c)
    if (capacity[c] > 0) {
      const std::int64_t left = free_row[c] - (more ? (*more)[c] : 0);
      share =
        std::max(share, static_cast<double>(capacity[c] - left) / static_cast<double>(capacity[c]));
    }
  return share;
}

Key Nodes::key(Ranking ranking, At at) const {
  switch (ranking) {
  case Ranking::round_robin:
    return {at, at};
  case Ranking::random:
    return {mix(at), at};
  case Ranking::best_fit: {
    double left = 0;
    const auto free_row = free(at);
    for (std::size_t c = 0; c < columns_.size(); ++c)
      if (columns_.is_resource(c) && free_row[c] > 0)
        left += static_cast<double>(free_row[c]) * weights_[c];
    return {ordered(left), at};
  }
  case Ranking::pack:
    return {ordered(2 - used_share(at, nullptr)), at};
  case Ranking::balance:
    return {ordered(used_share(at, nullptr)), at};
  case Ranking::least_time_first: {
    // As fast ones in the order of what they take to begin, then those first that are less busy.
    const auto busy = static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, nodes_[at].busy_until.time_since_epoch().count()));
    return {speed_step(nodes_[at].slowness),
            delay_step(nodes_[at].delay) << 56 | (busy >> 16 & 0xFFFFFFFFF) << 20 | (at & 0xFFFFF)};
  }
  }
  return {at, at};
}

At Nodes::pick(Ranking ranking, const Amounts& want, const Amounts& need, Pool pool, At& turn,
               const Accept* accept, Duration run_time) {
  const Index& in = with_room(ranking);
  const std::vector<bool>& fit = pools_[pool].fit;
  const auto good = [&](At at) { return fit[at] && (!accept || (*accept)(at)); };
  const std::uint64_t mask = bit_of(pool);
  At found = nowhere;
  switch (ranking) {
  case Ranking::round_robin:
    if (const At next = turn < nodes_.size() - 1 ? turn + 1 : 0; // mostly it is just the next
        next < nodes_.size() && nodes_[next].listed && covers(seen(next), need) && good(next)) {
      if (next + 8 < nodes_.size()) { // so are those that come next
        prefetch(next + 8);
        fetch(nodes_[next + 4].flights.data() + nodes_[next + 4].flights.size());
      }
      return turn = next;
    }
    found = in.tree.first(want, mask, good, Key{std::uint64_t{turn} + 1, 0});
    if (found == nowhere)
      found = in.tree.first(want, mask, good);
    if (found != nowhere)
      turn = found;
    return found;
  case Ranking::random: {
    for (int attempt = 0; attempt < 4 && !nodes_.empty(); ++attempt) {
      const At at = static_cast<At>(random() % nodes_.size());
      if (nodes_[at].listed && covers(seen(at), need) && good(at))
        return at;
    }
    found = in.tree.first(want, mask, good, Key{random(), 0});
    return found != nowhere ? found : in.tree.first(want, mask, good);
  }
  case Ranking::best_fit: {
    double least = 0; // what is less free in sum can not have enough of everything
    for (std::size_t c = 0; c < columns_.size(); ++c)
      if (columns_.is_resource(c) && need[c] > 0)
        least += static_cast<double>(need[c]) * weights_[c];
    return in.tree.first(want, mask, good, Key{ordered(least), 0});
  }
  case Ranking::balance: {
    double best = 0;
    std::size_t seen_so_far = 0;
    in.tree.first(want, mask, [&](At at) {
      if (!good(at))
        return false;
      const double share = used_share(at, &need);
      if (found == nowhere || share < best) {
        found = at;
        best = share;
      }
      return ++seen_so_far == looked_at;
    });
    return found;
  }
  case Ranking::pack:
    return in.tree.first(want, mask, good);
  case Ranking::least_time_first: {
    // Of nodes that are as fast the first is the best; slower ones are looked at only as long as
    // what they save at the beginning could make up for it.
    Duration best = Duration::max();
    for (Key from;;) {
      const At at = in.tree.first(want, mask, good, from);
      if (at == nowhere)
        return found;
      if (run_time <= Duration(0))
        return at;
      const std::uint64_t step = in.tree.key_of(at).major; // as it is listed: the search goes on
      const Duration run = run_time / speed_steps * static_cast<std::int64_t>(step);
      if (const Duration over = run + least_delay(delay_step(nodes_[at].delay)); over < best) {
        best = over;
        found = at;
      }
      from = {step + 1, 0};
      if (run + run_time / speed_steps >= best)
        return found;
    }
  }
  }
  return nowhere;
}

void Nodes::each_by_time(Pool pool, const Accept& f) {
  const Amounts anything(columns_.size(), std::numeric_limits<std::int64_t>::min());
  const std::vector<bool>& fit = pools_[pool].fit;
  index(Ranking::least_time_first).tree.first(anything, bit_of(pool), [&](At at) {
    return fit[at] && f(at);
  });
}

const std::set<std::string>& Nodes::values_of(const std::string& label) {
  if (label_values_version_ != facts_version_)
    label_values_.clear();
  label_values_version_ = facts_version_;
  const auto [at, fresh] = label_values_.try_emplace(label);
  if (fresh)
    for (const Node& node : nodes_)
      if (const auto value = node.facts.labels.find(label); value != node.facts.labels.end())
        at->second.insert(value->second);
  return at->second;
}

Pool Nodes::pool_of(const core::KindPtr& kind) {
  std::string name = kind->executor;
  const auto add = [&name](const std::string& text) {
    name += '\0';
    name += text;
  };
  for (const auto& [label, value] : kind->node_labels)
    add(label + "=" + value);
  for (const Constraint& c : kind->constraints) {
    add(std::to_string(static_cast<int>(c.op)) + c.label);
    for (const std::string& value : c.values)
      add(" " + value);
  }
  if (const auto at = pool_names_.find(name); at != pool_names_.end()) {
    ++pools_[at->second].users;
    return at->second;
  }
  Pool pool = 0;
  while (pool < pools_.size() && pools_[pool].users > 0)
    ++pool;
  if (pool == pools_.size())
    pools_.emplace_back();
  pools_[pool] = {name, kind, std::vector<bool>(nodes_.size(), false), 0, 1};
  pool_names_.emplace(std::move(name), pool);
  for (At at = 0; at < nodes_.size(); ++at) {
    Node& node = nodes_[at];
    if (!node.known || !fits_pool(node, pools_[pool]))
      continue;
    pools_[pool].fit[at] = true;
    ++pools_[pool].count;
    if ((node.mask & bit_of(pool)) != 0)
      continue;
    node.mask |= bit_of(pool);
    if (!node.listed)
      continue;
    for (const Exact& exact : exact_)
      exact.tree->update(at, exact.tree->key_of(at), row(seen_, at), node.mask);
    late_in_time(at);
    if (marks_[at].dirty)
      late(at);
  }
  return pool;
}

void Nodes::release(Pool pool) {
  if (--pools_[pool].users == 0) {
    pool_names_.erase(pools_[pool].name);
    pools_[pool].like.reset();
  }
}

} // namespace reeve::sched
