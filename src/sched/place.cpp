// What starts where: one pass takes what waits in its order, as long as something fits somewhere. A
// pass costs what has changed since the last one: lots that were found to fit nowhere are looked at
// again only for nodes that have gained. See state.hpp.
#include "src/sched/state.hpp"

#include <algorithm>

namespace reeve::sched {
namespace {
constexpr std::size_t placements_per_command = 500;

/// On the same nodes, at least as much of everything.
bool needs_as_much(const Measure& a, const Measure& b) {
  if (a.pool != b.pool)
    return false;
  for (std::size_t c = 0; c < a.need.size(); ++c)
    if (a.need[c] < b.need[c])
      return false;
  return true;
}
} // namespace

// ---- which

/// The first in order that may fit: an open lot on any node, a closed one on nodes that have
/// gained.
LotId Scheduler::State::candidate() {
  Amounts& want = envelope;
  nodes.most(want);
  if (want.empty())
    return nobody;
  for (std::int64_t& w : want)
    w = -w;
  const auto within_quota = [this](LotId id) {
    // The trees know quotas, but not what overcommit asks of them.
    return !lots[id].measure->overcommit || lots.short_quota(id) == nobody;
  };
  LotId found = lots.first(want, open_bit, within_quota);
  // Were none closed, what was found would be the first for nodes that have gained, too.
  if (lots.any(closed_bit) && nodes.any_dirty()) {
    nodes.most_dirty(want);
    for (std::int64_t& w : want)
      w = -w;
    const LotId other = lots.first(want, nodes.dirty_mask(), within_quota);
    if (other != nobody && (found == nobody || (other != found && lots.before(other, found))))
      found = other;
  }
  return found;
}

void Scheduler::State::foresee(LotId now) {
  constexpr std::uint32_t turns = 7; // until its own
  if (const LotId soon = lots.soon_after(now, turns); soon != nobody) {
    lots.prefetch(soon);
    foreseen[foresights % foreseen.size()] = soon;
  }
  const LotId sooner = foreseen[(foresights - 2) % foreseen.size()];
  lots.prefetch_inside(sooner);
  jobs.prefetch(lots[sooner].head);
  jobs.prefetch_next(lots[foreseen[(foresights - 5) % foreseen.size()]].head);
  ++foresights;
}

bool Scheduler::State::reaches_limit(LotId id) {
  for (const Limit& limit : lots[id].kind().limits) {
    const auto at = limits.find(limit.name);
    if (limit.per_node || at == limits.end() || at->second < limit.most)
      continue;
    lots.take_off(id);
    lots[id].open = true;
    limited[limit.name].insert(id);
    return true;
  }
  return false;
}

std::uint32_t Scheduler::State::within_limits(const Lot& lot, At at, std::uint32_t most) const {
  for (const Limit& limit : lot.kind().limits) {
    if (limit.per_node && at == nowhere)
      continue;
    const auto& used = limit.per_node ? nodes[at].limits : limits;
    const auto here = used.find(limit.name);
    most = std::min(most, limit.most - std::min(limit.most, here == used.end() ? 0 : here->second));
  }
  return most;
}

void Scheduler::State::unlimit(const std::string& name) {
  const auto at = limited.find(name);
  if (at == limited.end())
    return;
  const std::set<LotId> waiting = std::move(at->second);
  limited.erase(at);
  for (const LotId id : waiting)
    if (lots[id].measure && lots[id].head)
      rehead(id);
}

void Scheduler::State::place() {
  no_room_at = nodes.gains();
  serve_reservations();
  bool finished = true;
  for (;;) {
    if (wished_enough()) {
      finished = false;
      break;
    }
    nodes.settle(clock);
    const LotId id = candidate();
    if (id == nobody)
      break;
    if (at_limit(id))
      continue;
    if (keep_places_before(id))
      continue;
    foresee(id);
    if (!place_beside_its_own(id))
      pass_over(id);
  }
  fill_reserved();
  cut_short = drafted.size() >= pass_wishes && flights.wishes() < wishes_max;
  end_pass(finished);
}

/// It fits nowhere: not to be looked at again before a node gains.
void Scheduler::State::pass_over(LotId id) {
  lots[id].open = false;
  lots.set_passed(id, true);
  passed.push_back(id);
  if (lots.queue_of(id).settings.order == Order::sct && lots[id].head)
    rehead(id); // its wait is another now
}

void Scheduler::State::end_pass(bool finished) {
  for (const ShelfId shelf : std::exchange(shut_now, {}))
    lots.set_shut(shelf, false);
  if (finished) {
    // Closed lots that a quota or a pause kept from nodes that have gained did not see them: they
    // are open again. Those that were passed over did.
    if (nodes.any_dirty() && lots.any_limits()) {
      Amounts want(nodes.columns().size());
      nodes.most_dirty(want);
      for (std::int64_t& w : want)
        w = -w;
      std::vector<LotId> again;
      lots.each_closed(want, [&](LotId id) {
        if (!lots[id].passed)
          again.push_back(id);
      });
      for (const LotId id : again)
        lots.set_open(id, true);
    }
    nodes.clean();
  }
  for (const LotId id : std::exchange(passed, {}))
    if (lots[id].measure)
      lots.set_passed(id, false);
  no_room.clear();
  no_room_at = 0;
}

// ---- where

bool Scheduler::State::acceptable(const Lot& lot, At at, bool preferred) const {
  const core::Kind& kind = lot.kind();
  for (const Limit& limit : kind.limits)
    if (limit.per_node) {
      const auto used = nodes[at].limits.find(limit.name);
      if (used != nodes[at].limits.end() && used->second >= limit.most)
        return false;
    }
  return kind.affinity.empty() || terms.meets(kind, nodes[at].facts, preferred);
}

/// Something that needs no more of anything has found no room since a node gained. Of many kinds
/// that wait few have to look for a node themselves to find that they fit nowhere.
bool Scheduler::State::hopeless(const Measure& m) {
  if (no_room_at != nodes.gains()) {
    no_room_at = nodes.gains();
    no_room.clear();
  }
  return std::ranges::any_of(no_room,
                             [&m](const Measure* other) { return needs_as_much(m, *other); });
}

At Scheduler::State::pick(LotId id, const SchedJob& job, const Nodes::Accept* also) {
  const Lot& lot = lots[id];
  const Measure& m = *lot.measure;
  Queue& queue = lots.queue_of(id);
  const Ranking ranking = queue.settings.ranking;
  const bool checks = m.picky();
  const Duration run =
    ranking == Ranking::least_time_first ? run_time(m).value_or(Duration(0)) : Duration(0);
  if (!checks && !m.spread) {
    // Outside a pass nothing is remembered; and the dice of `random` would fall otherwise.
    if (also || ranking == Ranking::random || no_room_at == 0)
      return nodes.pick(ranking, m.want, m.need, m.pool, queue.turn, also, run);
    if (hopeless(m))
      return nowhere;
    const At at = nodes.pick(ranking, m.want, m.need, m.pool, queue.turn, also, run);
    if (at == nowhere) {
      std::erase_if(no_room, [&m](const Measure* other) { return needs_as_much(*other, m); });
      no_room.push_back(&m);
    }
    return at;
  }

  const core::Kind& kind = lot.kind();

  const auto choose = [&](bool preferred) -> At {
    const Nodes::Accept good = [&](At at) {
      return (!also || (*also)(at)) && (!checks || acceptable(lot, at, preferred));
    };
    if (kind.spread.empty())
      return nodes.pick(ranking, m.want, m.need, m.pool, queue.turn, &good, run);
    // The place with the fewest tasks of the job, of those that have room. Nodes without the label
    // come last.
    std::multimap<std::uint32_t, std::string> places;
    const JobMore* more = jobs.more_of(job);
    for (const std::string& value : nodes.values_of(kind.spread)) {
      std::uint32_t tasks = 0;
      if (more && more->rare)
        if (const auto here = more->rare->spread.find(value); here != more->rare->spread.end())
          tasks = here->second;
      places.emplace(tasks, value);
    }
    for (const auto& [tasks, value] : places) {
      const Nodes::Accept there = [&, &value = value](At at) { // clang 14 captures no bindings
        const auto label = nodes[at].facts.labels.find(kind.spread);
        return label != nodes[at].facts.labels.end() && label->second == value && good(at);
      };
      const At at = nodes.pick(ranking, m.want, m.need, m.pool, queue.turn, &there, run);
      if (at != nowhere)
        return at;
    }
    return nodes.pick(ranking, m.want, m.need, m.pool, queue.turn, &good, run);
  };
  const bool prefers =
    std::ranges::any_of(kind.affinity, [](const Affinity& a) { return !a.required; });
  if (prefers)
    if (const At at = choose(true); at != nowhere)
      return at;
  return choose(false);
}

std::uint32_t Scheduler::State::allowance(const SchedJob& job) const {
  const std::uint32_t most = lot_of(job).measure->max_parallel;
  return most == 0 ? flight_max : most - std::min(most, expected_of(job).tasks);
}

bool Scheduler::State::place_head(LotId id) {
  Lot& lot = lots[id];
  const JobId job_id = lot.head;
  SchedJob& job = *jobs.find(job_id);
  jobs.prefetch_next(job_id);
  const Measure& m = *lot.measure;
  if (m.gang)
    return place_gang(id, job_id);
  const At at = pick(id, job);
  if (at == nowhere)
    return false;
  const Queue& queue = lots.queue_of(id);
  std::int64_t n = 1;
  if (m.exclusive) {
    Amounts each = m.need; // only the first task needs the node empty
    if (idle_column)
      each[*idle_column] = 0;
    n = times_in(nodes.seen(at), each, std::min(ready(job), allowance(job)));
    n = lots.times_within_quotas(id, within_limits(lot, at, static_cast<std::uint32_t>(n)));
  } else if ((queue.settings.ranking == Ranking::best_fit ||
              queue.settings.ranking == Ranking::pack) &&
             queue.settings.order != Order::fair && !m.picky() && !m.spread && !m.limits) {
    // The node would be chosen again until it is full.
    n = times_in(nodes.seen(at), m.need, std::min(ready(job), allowance(job)));
    n = std::max<std::int64_t>(1, std::min(n, lots.times_within_quotas(id, n)));
  }
  const auto count = static_cast<std::uint32_t>(n);
  wish(job_id, job, at, count, count);
  if (job.listed && queue.settings.ranking == Ranking::round_robin && at + 4 < nodes.places())
    flights.prefetch(job_id, nodes[at + 4].id); // where its tasks after the next few go
  return true;
}

/// All tasks at once, or none.
bool Scheduler::State::place_gang(LotId id, JobId job_id) {
  Lot& lot = lots[id];
  SchedJob& job = *jobs.find(job_id);
  const core::Kind& kind = lot.kind();
  const Measure& m = *lot.measure;
  const std::uint32_t count = ready(job);
  if (lots.times_within_quotas(id, count) < count || within_limits(lot, nowhere, count) < count)
    return false;
  const bool alone = kind.exclusive || Terms::keeps_itself_away(kind);
  std::vector<std::pair<At, std::uint32_t>> parts; // in the order of choice
  std::map<At, std::size_t> chosen;
  std::uint32_t placed = 0;
  const Nodes::Accept fresh = [&](At at) {
    const auto here = chosen.find(at);
    return here == chosen.end() ||
           (!alone && within_limits(lot, at, count) > parts[here->second].second);
  };
  Amounts each = m.need;
  if (idle_column)
    each[*idle_column] = 0;
  const auto book = [&](At at, std::int64_t n) {
    nodes.wished(at, m.booking, n);
    nodes[at].room_used += n * m.need[Columns::room];
    nodes.settle(clock);
  };
  while (placed < count) {
    const At at = pick(id, job, &fresh);
    if (at == nowhere)
      break;
    const std::uint32_t n =
      kind.exclusive && !Terms::keeps_itself_away(kind)
        ? within_limits(lot, at,
                        static_cast<std::uint32_t>(times_in(nodes.seen(at), each, count - placed)))
        : 1;
    const auto [where, first] = chosen.try_emplace(at, parts.size());
    if (first)
      parts.emplace_back(at, 0);
    parts[where->second].second += n;
    placed += n;
    book(at, n);
  }
  for (const auto& [at, n] : parts)
    book(at, -static_cast<std::int64_t>(n));
  if (placed < count)
    return false;
  for (const auto& [at, n] : parts)
    wish(job_id, job, at, n, n);
  return true;
}

void Scheduler::State::take(SchedJob& job, std::uint32_t n, Few<TaskRun>& out) {
  lots.queue_of(job.lot).ready -= n;
  if (JobMore* more = jobs.more_of(job))
    while (n > 0 && !more->ready.empty()) {
      TaskRun& front = more->ready.front();
      TaskRun part = front;
      part.count = std::min(n, front.count);
      n -= part.count;
      front.first += part.count;
      front.count -= part.count;
      add_to(out, part);
      if (front.count == 0)
        more->ready.erase(more->ready.begin());
    }
  if (n > 0) {
    add_to(out, {job.first, n, 1});
    job.first += n;
    job.count = (job.count - n) & 0xFFFFFF;
  }
}

void Scheduler::State::wish(JobId id, SchedJob& job, At at, std::uint32_t tasks,
                            std::uint32_t slots, Why why) {
  const FlightId f = flight(id, job, nodes[at].id, at);
  Flight& to = flights[f];
  if (slots > 0)
    to.set_why(why);
  slots += to.expected.slots;
  Wish& wish = to.draft ? flights.newest_wish(to) : flights.add_wish(to);
  if (!to.draft) {
    to.draft = true;
    drafted.push_back(f);
  }
  take(job, tasks, wish.runs);
  wish.tasks += tasks;
  wish.slots = slots;
  expect(f, job);
  const Lot& lot = lot_of(job);
  Node& node = nodes[at];
  if (node.pulls)
    given.push_back(at);
  node.busy_until = std::max(node.busy_until, clock + lot.run_time.value_or(Duration(1'000'000)));
  reconsider(id, job);
  if (job.listed)
    touch(f);
  nodes.settle(clock);
}

std::vector<core::Command> Scheduler::State::send() {
  std::vector<core::Command> commands;
  core::Place batch;
  batch.placements.reserve(std::min(drafted.size(), placements_per_command));
  JobId gang; // whose placements must not be torn apart
  const std::vector<FlightId> all = std::exchange(drafted, {});
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i + 8 < all.size())
      flights.prefetch(all[i + 8]);
    if (i + 4 < all.size())
      flights.prefetch_wish(flights[all[i + 4]]);
    Flight& flight = flights[all[i]];
    flight.draft = false;
    const JobId job = flight.gang ? flight.job : JobId();
    if (batch.placements.size() >= placements_per_command && (!job || job != gang)) {
      commands.emplace_back(std::exchange(batch, {}));
      batch.placements.reserve(std::min(all.size() - i, placements_per_command));
    }
    gang = job;
    const Wish& wish = flights.newest_wish(flight);
    Placement& placement = batch.placements.emplace_back();
    placement.node = flight.node;
    placement.job = flight.job;
    placement.slots = wish.slots;
    placement.runs.assign(wish.runs.begin(), wish.runs.end());
  }
  if (!batch.placements.empty())
    commands.emplace_back(std::move(batch));
  return commands;
}

} // namespace reeve::sched
