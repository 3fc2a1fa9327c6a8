// See lots.hpp.
#include "src/sched/lots.hpp"

#include <algorithm>
#include <cmath>

namespace reeve::sched {

using What = Column::What;

namespace {
std::uint64_t by_share(double share) {
  return 1 + static_cast<std::uint64_t>(std::clamp(share, 0.0, 1e6) * 0x1p40);
}
} // namespace

Lots::Lots(Nodes& nodes) : nodes_(nodes) {
  build_shelves();
}

// ---- queues and their shelves

std::uint32_t Lots::queue_named(const std::string& name) {
  const auto [at, fresh] =
    queue_names_.try_emplace(name, static_cast<std::uint32_t>(queues_.size()));
  if (!fresh)
    return at->second;
  const std::uint32_t id = at->second;
  queues_.add();
  queues_[id].name = name;
  queues_[id].settings = settings_.of(name);
  queues_[id].turn = turn_;
  const bool around = queues_.any([&](const Queue& queue) { // that are there already
    return queue.name.size() > name.size() && queue.name.starts_with(name + ".");
  });
  if (around || queue_around(name) != nobody)
    build_shelves();
  else
    build_shelf(id);
  return id;
}

/// The queue that this one stands in: `a.b` in `a`, when there is one.
std::uint32_t Lots::queue_around(const std::string& name) const {
  for (auto dot = name.rfind('.'); dot != std::string::npos && dot > 0;
       dot = name.rfind('.', dot - 1)) {
    if (const auto at = queue_names_.find(name.substr(0, dot)); at != queue_names_.end())
      return at->second;
    if (dot == 0)
      break;
  }
  return nobody;
}

ShelfId Lots::new_shelf(ShelfId above, std::uint32_t queue, double weight, const Quota& quota) {
  ShelfId id;
  const std::size_t columns = nodes_.columns().size();
  if (free_shelves_.empty()) {
    id = static_cast<ShelfId>(shelves_.size());
    shelves_.add(columns, shelf_where_);
  } else {
    id = free_shelves_.back();
    free_shelves_.pop_back();
    shelves_[id] = Shelf(columns, shelf_where_);
  }
  Shelf& shelf = shelves_[id];
  shelf.above = above;
  shelf.queue = queue;
  shelf.weight = weight;
  shelf.quota = quota;
  shelf.usage.assign(columns, 0);
  reckon_left(shelf);
  if (above != nobody)
    ++shelves_[above].children;
  return id;
}

void Lots::build_shelf(std::uint32_t id) {
  Queue& queue = queues_[id];
  if (queue.shelf != nobody)
    return;
  const std::uint32_t around = queue_around(queue.name);
  if (around != nobody)
    build_shelf(around);
  const QueueSettings& s = queue.settings;
  const bool by_user = s.order == Order::fair || !s.user_limit.empty();
  const bool has_inner =
    queues_.any([&](const Queue& other) { return queue_around(other.name) == id; });
  queue.shelf = new_shelf(around == nobody ? root_ : queues_[around].shelf, id, s.weight, s.limit);
  queue.own = queue.shelf;
  if (has_inner) {
    shelves_[queue.shelf].shares = true;
    queue.own = new_shelf(queue.shelf, id, 1, {});
  }
  shelves_[queue.shelf].name = queue.name;
  shelves_[queue.shelf].shut = s.paused;
  Shelf& own = shelves_[queue.own];
  own.name = queue.name;
  if (!by_user) {
    own.holds_lots = true;
    own.tree = Ranked(nodes_.columns().size(), lot_where_);
  } else {
    own.shares |= s.order == Order::fair;
  }
}

ShelfId Lots::shelf_for(std::uint32_t id, const std::string& user) {
  Queue& queue = queues_[id];
  if (shelves_[queue.own].holds_lots)
    return queue.own;
  const auto [at, fresh] = queue.users.try_emplace(user, nobody);
  if (fresh) {
    const auto& weights = queue.settings.user_weights;
    const auto weight = weights.find(user);
    at->second = new_shelf(queue.own, id, weight == weights.end() ? 1 : weight->second,
                           queue.settings.user_limit);
    Shelf& shelf = shelves_[at->second];
    shelf.name = user;
    shelf.of_user = true;
    shelf.holds_lots = true;
    shelf.tree = Ranked(nodes_.columns().size(), lot_where_);
  }
  return at->second;
}

void Lots::build_shelves() {
  const std::size_t columns = nodes_.columns().size();
  shelves_.clear();
  free_shelves_.clear();
  lot_where_.clear();
  shelf_where_.clear();
  root_ = new_shelf(nobody, nobody, 1, {});
  shelves_[root_].shares = true;
  queues_.each([](Queue& queue) {
    queue.shelf = queue.own = nobody;
    queue.users.clear();
  });
  for (std::uint32_t q = 0; q < queues_.size(); ++q)
    build_shelf(q);
  for (LotId id = 0; id < lots_.end(); ++id) {
    Lot& lot = lots_[id];
    if (!lot.measure)
      continue;
    lot.shelved = false;
    lot.open = true;
    lot.shelf = shelf_for(lot.queue, lot.kind().user);
    ++shelves_[lot.shelf].children;
    for (ShelfId s = lot.shelf; s != nobody; s = shelves_[s].above)
      for (std::size_t c = 0; c < columns; ++c)
        shelves_[s].usage[c] += Sum{lot.measure->cost[c]} * lot.running;
  }
  for (auto& [lease, held] : held_)
    charge(held);
  shelves_.each([this](Shelf& shelf) { reckon_left(shelf); });
  for (LotId id = 0; id < lots_.end(); ++id)
    if (lots_[id].measure && lots_[id].head)
      place(id);
}

void Lots::configure(const AllQueueSettings& settings) {
  if (settings_ == settings)
    return;
  settings_ = settings;
  queues_.each([this](Queue& queue) { queue.settings = settings_.of(queue.name); });
  for (const std::string& name : settings_.named()) // a queue around others need not have jobs
    queue_named(name);
  for (const auto& [lease, held] : held_)
    queue_named(lease_queue(held.queue));
  for (auto& [kind, measure] : measures_) // its queue may use the reserve now, or not any more
    reckon(measure);
  build_shelves();
}

void Lots::columns_changed() {
  for (auto& [kind, measure] : measures_)
    reckon(measure);
  build_shelves();
}

// ---- lots

void Lots::reckon(Measure& m) const {
  const Columns& columns = nodes_.columns();
  bool use_reserve = false;
  if (!settings_.global().reserve.empty()) {
    const auto queue = queue_names_.find(m.kind->queue);
    use_reserve = queue == queue_names_.end() ? settings_.of(m.kind->queue).use_reserve
                                              : queues_[queue->second].settings.use_reserve;
  }
  m.need = columns.need_of(*m.kind, use_reserve);
  m.cost = columns.cost_of(*m.kind);
  m.booking = columns.booking_of(*m.kind);
  m.want = m.need;
  m.less = m.need;
  for (std::size_t c = 0; c < m.need.size(); ++c) {
    m.want[c] = m.need[c] > 0 ? m.need[c] : std::numeric_limits<std::int64_t>::min();
    m.less[c] = m.need[c] > 0 ? -m.need[c] : plenty;
  }
}

LotId Lots::join(const core::KindPtr& kind, std::uint32_t tasks) {
  const auto [known, fresh] = by_like_.try_emplace(Like{kind.get(), tasks}, nobody);
  if (!fresh) {
    ++lots_[known->second].members;
    return known->second;
  }
  if (nodes_.ask_for(*kind))
    columns_changed();
  const LotId id = lots_.add();
  known->second = id;
  const auto [at, first_of_kind] = measures_.try_emplace(kind.get());
  Measure& measure = at->second;
  if (first_of_kind) {
    measure.kind = kind;
    measure.pool = nodes_.pool_of(kind);
    measure.told = kind->estimate;
    measure.overcommit = kind->overcommit;
    measure.gang = kind->gang;
    measure.exclusive = kind->exclusive;
    measure.limits = !kind->limits.empty();
    measure.limits_per_node =
      std::ranges::any_of(kind->limits, [](const Limit& limit) { return limit.per_node; });
    measure.affinity = !kind->affinity.empty();
    measure.spread = !kind->spread.empty();
    measure.speculate = kind->speculate;
    measure.max_parallel = kind->max_parallel;
    reckon(measure);
  }
  ++measure.lots;
  const std::uint32_t queue = queue_named(kind->queue); // may build all shelves again
  Lot& lot = lots_[id];
  lot.measure = &measure;
  lot.size = tasks;
  lot.queue = queue;
  lot.members = 1;
  lot.shelf = shelf_for(queue, kind->user);
  ++shelves_[lot.shelf].children;
  ++queues_[queue].lots;
  return id;
}

void Lots::leave(LotId id) {
  Lot& lot = lots_[id];
  if (--lot.members > 0)
    return;
  take_off(id);
  if (lot.running != 0)
    charge(id, -lot.running);
  --queues_[lot.queue].lots;
  drop_child(lot.shelf);
  by_like_.erase(Like{lot.measure->kind.get(), lot.size});
  if (--lot.measure->lots == 0) {
    nodes_.release(lot.measure->pool);
    measures_.erase(lot.measure->kind.get());
  }
  lots_.give_back(id);
}

/// A user's shelf goes with the last that stands on it.
void Lots::drop_child(ShelfId id) {
  Shelf& shelf = shelves_[id];
  if (--shelf.children > 0 || !shelf.of_user)
    return;
  queues_[shelf.queue].users.erase(shelf.name);
  --shelves_[shelf.above].children;
  free_shelves_.push_back(id);
}

Key Lots::key_of(const Lot& lot) const {
  constexpr std::uint64_t last = std::uint64_t{1} << 62;
  const auto time = [](Duration d) {
    return 1 + static_cast<std::uint64_t>(
                 std::clamp<std::int64_t>(d.count(), 0, std::int64_t{1} << 61));
  };
  const std::uint64_t head = lot.head.value;
  if (lot.overdue)
    return {0, head};
  switch (queues_[lot.queue].settings.order) {
  case Order::fifo:
  case Order::fair:
    break;
  case Order::priority:
    return {static_cast<std::uint64_t>(1 + (std::int64_t{1} << 31) - lot.kind().priority), head};
  case Order::sjf: {
    if (!lot.run_time)
      return {last, head};
    const double total = static_cast<double>(lot.run_time->count()) * lot.size;
    return {1 + static_cast<std::uint64_t>(std::min(total, 0x1p61)), head};
  }
  case Order::spt:
    return {lot.run_time ? time(*lot.run_time) : last, head};
  case Order::sct:
    return {lot.run_time ? time(lot.wait + *lot.run_time) : last, head};
  case Order::edf:
    return {lot.kind().deadline == TimePoint{} ? last
                                               : time(lot.kind().deadline.time_since_epoch()),
            head};
  }
  return {1, head};
}

std::uint64_t Lots::mask_of(const Lot& lot) {
  std::uint64_t mask = waits_bit | (lot.open ? open_bit : closed_bit);
  if (lot.passed)
    mask &= ~open_bit;
  else
    mask |= bit_of(lot.measure->pool);
  return mask;
}

void Lots::place(LotId id) {
  Lot& lot = lots_[id];
  Ranked& tree = shelves_[lot.shelf].tree;
  const bool other = lot.shelved ? tree.update(id, key_of(lot), lot.measure->less, mask_of(lot))
                                 : tree.insert(id, key_of(lot), lot.measure->less, mask_of(lot));
  lot.shelved = true;
  ++version_;
  if (other)
    settle(lot.shelf);
}

void Lots::take_off(LotId id) {
  Lot& lot = lots_[id];
  if (!lot.shelved)
    return;
  lot.shelved = false;
  ++version_;
  if (shelves_[lot.shelf].tree.erase(id))
    settle(lot.shelf);
}

void Lots::set_open(LotId id, bool open) {
  Lot& lot = lots_[id];
  if (lot.open == open)
    return;
  lot.open = open;
  if (lot.shelved)
    place(id);
}
void Lots::set_passed(LotId id, bool passed) {
  Lot& lot = lots_[id];
  if (lot.passed == passed)
    return;
  lot.passed = passed;
  if (lot.shelved)
    place(id);
}
void Lots::set_shut(ShelfId id, bool shut) {
  if (shelves_[id].shut == shut)
    return;
  shelves_[id].shut = shut;
  settle(id);
}

bool Lots::before(LotId a, LotId b) const {
  // Up to the shelf that holds both, then by their places there.
  std::vector<ShelfId> path;
  for (ShelfId s = lots_[a].shelf; s != nobody; s = shelves_[s].above)
    path.push_back(s);
  ShelfId below = nobody;
  for (ShelfId s = lots_[b].shelf; s != nobody; below = s, s = shelves_[s].above) {
    const auto at = std::find(path.begin(), path.end(), s);
    if (at == path.end())
      continue;
    if (shelves_[s].holds_lots || !shelves_[s].shares)
      return key_of(lots_[a]) < key_of(lots_[b]);
    const ShelfId other = *(at - 1);
    const auto place = [&](ShelfId id) { // what is off its shelf stands where it would come back
      return shelves_[id].shelved ? shelves_[id].key : Key{by_share(share(id)), id};
    };
    return place(other) < place(below);
  }
  return a < b;
}

bool Lots::leads(LotId id) const {
  const Lot& lot = lots_[id];
  if (!lot.shelved || !shelves_[lot.shelf].tree.leads(id))
    return false;
  for (ShelfId s = lot.shelf; shelves_[s].above != nobody; s = shelves_[s].above)
    if (!shelves_[s].shelved || !shelves_[shelves_[s].above].tree.leads(s))
      return false;
  return true;
}

void Lots::next_in_turn(At at) {
  turn_ = at - 1; // nowhere before the first
  queues_.each([this](Queue& queue) { queue.turn = turn_; });
}

Amounts Lots::anything() const {
  return Amounts(nodes_.columns().size(), std::numeric_limits<std::int64_t>::min());
}

// ---- shares and quotas

double Lots::share(ShelfId id) const {
  const Shelf& shelf = shelves_[id];
  const std::vector<double>& total = nodes_.shared();
  double most = 0;
  for (std::size_t c = 0; c < shelf.usage.size(); ++c)
    if (total[c] > 0)
      most = std::max(most, as_double(shelf.usage[c]) / total[c]);
  return most / shelf.weight;
}

void Lots::reckon_left(Shelf& shelf) const {
  shelf.left.assign(nodes_.columns().size(), plenty);
  for (const auto& [name, most] : shelf.quota) {
    const Column column = name == "vcores"   ? Column{What::cpu, {}}
                          : name == "memory" ? Column{What::memory, {}}
                          : name == "disk"   ? Column{What::disk, {}}
                          : name == "tasks"  ? Column{What::tasks, {}}
                                             : Column{What::named, name};
    if (const auto c = nodes_.columns().find(column))
      shelf.left[*c] = narrow(Sum{most} - shelf.usage[*c]);
  }
}

void Lots::charge(LotId id, std::int64_t n) {
  ++version_;
  Lot& lot = lots_[id];
  lot.running += n;
  queues_[lot.queue].running += n;
  const std::span<const std::int64_t> cost = lot.measure->cost.all();
  bool moves = false;
  for (ShelfId s = lot.shelf; s != nobody; s = shelves_[s].above) {
    Shelf& shelf = shelves_[s];
    Sum* const usage = shelf.usage.data();
    for (std::size_t c = 0; c < cost.size(); ++c)
      usage[c] += Sum{cost[c]} * n;
    if (!shelf.quota.empty())
      reckon_left(shelf);
    moves |= !shelf.quota.empty() || (shelf.above != nobody && shelves_[shelf.above].shares &&
                                      shelves_[shelf.above].children > 1);
  }
  if (moves)
    settle(lot.shelf);
}

// ---- leases

Amounts Lots::amounts_of(const Resources& resources) const {
  Amounts out = nodes_.columns().of(resources, 0);
  if (const auto tasks = nodes_.columns().find({Column::What::tasks, {}}))
    out[*tasks] = 1;
  return out;
}

void Lots::charge(Held& held) {
  held.shelf = nobody;
  const auto queue = queue_names_.find(lease_queue(held.queue));
  if (queue == queue_names_.end() || queues_[queue->second].own == nobody)
    return; // the shelves are about to be built again
  held.shelf = shelf_for(queue->second, held.owner);
  ++shelves_[held.shelf].children;
  const Amounts amounts = amounts_of(held.resources);
  for (ShelfId s = held.shelf; s != nobody; s = shelves_[s].above) {
    for (std::size_t c = 0; c < amounts.size(); ++c)
      shelves_[s].usage[c] += amounts[c];
    reckon_left(shelves_[s]);
  }
}

void Lots::hold(LeaseId lease, const std::string& queue, const std::string& owner,
                const Resources& resources) {
  if (held_.contains(lease))
    return; // renewed
  queue_named(lease_queue(queue));
  Held& held = held_[lease];
  held = {queue, owner, resources, nobody};
  charge(held);
  settle(held.shelf);
}

void Lots::let_go(LeaseId lease) {
  const auto at = held_.find(lease);
  if (at == held_.end())
    return;
  const Amounts amounts = amounts_of(at->second.resources);
  const ShelfId shelf = at->second.shelf;
  held_.erase(at);
  for (ShelfId s = shelf; s != nobody; s = shelves_[s].above) {
    for (std::size_t c = 0; c < amounts.size(); ++c)
      shelves_[s].usage[c] -= amounts[c];
    reckon_left(shelves_[s]);
  }
  settle(shelf);
  drop_child(shelf);
}

std::string Lots::over_quota(const std::string& given, const std::string& owner,
                             const Resources& resources) {
  const std::string name = lease_queue(given);
  const std::uint32_t queue = queue_named(name);
  if (queues_[queue].settings.paused)
    return "the queue " + name + " is paused";
  const Amounts amounts = amounts_of(resources);
  const ShelfId shelf = shelf_for(queue, owner);
  ++shelves_[shelf].children;
  std::string out;
  for (ShelfId s = shelf; s != nobody && out.empty(); s = shelves_[s].above)
    for (std::size_t c = 0; c < amounts.size() && out.empty(); ++c)
      if (amounts[c] > 0 && amounts[c] > shelves_[s].left[c])
        out = (shelves_[s].of_user ? "user " : "queue ") + shelves_[s].name + " may hold no more " +
              nodes_.columns().name_of(c);
  drop_child(shelf);
  return out;
}

ShelfId Lots::short_quota(LotId id) const {
  for (ShelfId s = lots_[id].shelf; s != nobody; s = shelves_[s].above)
    if (!covers(shelves_[s].left, lots_[id].measure->cost))
      return s;
  return nobody;
}

std::int64_t Lots::times_within_quotas(LotId id, std::int64_t most) const {
  for (ShelfId s = lots_[id].shelf; s != nobody; s = shelves_[s].above)
    if (!shelves_[s].quota.empty())
      most = times_in(shelves_[s].left, lots_[id].measure->cost, most);
  return most;
}

bool Lots::any_limits() const {
  return queues_.any([](const Queue& queue) {
    const QueueSettings& s = queue.settings;
    return s.paused || s.backfill == Backfill::strict || !s.limit.empty() || !s.user_limit.empty();
  });
}

void Lots::settle(ShelfId id) {
  ++version_;
  for (ShelfId above; (above = shelves_[id].above) != nobody; id = above) {
    Shelf& shelf = shelves_[id];
    Ranked& tree = shelves_[above].tree;
    if (shelf.tree.size() == 0) {
      if (!shelf.shelved)
        continue; // what it runs may still count in a quota further up
      tree.erase(id);
      shelf.shelved = shelf.late = false;
      continue;
    }
    std::uint64_t mask = shelf.tree.mask();
    if (shelf.shut || (!shelf.quota.empty() && !holds_smallest(shelf)))
      mask &= closed_bit;
    Key key = shelf.tree.first_key();
    const bool shares = shelves_[above].shares && key.major > 0;
    if (shares)
      key = {by_share(share(id)), id};
    // Alone, its place among its like matters to nobody.
    if (shares && shelf.shelved && tree.size() == 1 && mask == tree.mask() && shelf.key.major > 0 &&
        tree.as_much(shelf.tree)) {
      shelf.key = key;
      shelf.late = true;
      continue;
    }
    const std::size_t columns = nodes_.columns().size();
    Amounts most(columns);
    const auto copy_of = [&](const Ranked& from) {
      for (std::size_t c = 0; c < columns; ++c)
        most[c] = from.most(c);
    };
    if (!shelf.shelved && tree.size() == 1)
      if (Shelf& other = shelves_[tree.first_id()]; std::exchange(other.late, false)) {
        copy_of(tree);
        tree.update(tree.first_id(), other.key, most, tree.mask());
      }
    copy_of(shelf.tree);
    shelf.key = key;
    shelf.late = false;
    if (shelf.shelved)
      tree.update(id, key, most, mask);
    else
      tree.insert(id, key, most, mask);
    shelf.shelved = true;
  }
}

/// Its quota has room for one that needs as little of everything as any there does.
bool Lots::holds_smallest(const Shelf& shelf) {
  for (std::size_t c = 0; c < shelf.left.size(); ++c)
    if (const std::int64_t most = shelf.tree.most(c); most < 0 && -most > shelf.left[c])
      return false;
  return true;
}

} // namespace reeve::sched
