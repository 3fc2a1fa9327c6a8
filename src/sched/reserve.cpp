// Places kept for those who wait, so that what may start before them does not delay them. With
// `easy` the first in line has one (Lifka, "The ANL/IBM SP scheduling system", JSSPP 1995; Mu'alem
// and Feitelson, TPDS 2001), with `conservative` the first backfill_depth. Everything rests on
// expected run times: when they hold, a place is free at its time at the latest. See state.hpp.
#include "src/sched/state.hpp"

#include <algorithm>

namespace reeve::sched {
namespace {
constexpr std::size_t all_nodes = 128; // in a larger cluster not every node is looked at
constexpr std::size_t some_nodes = 32;
constexpr std::size_t lots_looked_at = 256;   // that could fill a node with a place kept on it
constexpr Duration unknown_first{60'000'000}; // a run time nobody knows, at first
} // namespace

// ---- time on a node

TimePoint Scheduler::State::end_of(const Measure& measure, TimePoint start) const {
  const Duration limit = measure.kind->time_limit;
  const Duration so_far = clock - start;
  const auto expected = run_time(measure);
  if (!expected)
    return limit > so_far ? start + limit : start + corrected(unknown_first, so_far, limit);
  return start + corrected(*expected, so_far, limit);
}

std::vector<Scheduler::State::Event> Scheduler::State::events(At at, std::uint32_t except) const {
  std::vector<Event> out;
  out.reserve(nodes[at].flights.size() + 4);
  TimePoint empty = clock;
  for (const FlightId id : nodes[at].flights) // they lie anywhere: all are fetched at once
    flights.prefetch(id);
  for (const FlightId id : nodes[at].flights) {
    const Flight& f = flights[id];
    const Measure& m = *lots[f.lot].measure;
    const Load& load = f.expected;
    if (load.slots == 0)
      continue;
    if (load.tasks > load.slots) { // its slots stay until what was given ahead is done
      const auto each = run_time(m).value_or(Duration(0));
      const TimePoint end =
        clock + std::max(Duration(1), each) * ((load.tasks + load.slots - 1) / load.slots);
      out.push_back({end, &m.booking, load.slots});
      empty = std::max(empty, end);
    } else {
      for (const auto& [start, n] : flights.starts(f)) {
        out.push_back({end_of(m, start), &m.booking, n});
        empty = std::max(empty, out.back().at);
      }
    }
  }
  if (idle_column && nodes[at].leases == 0 && !nodes[at].flights.empty())
    out.push_back({empty, &idle_amounts, 1});
  if (nodes[at].reservations > 0)
    for (std::uint32_t r = 0; r < reservations.size(); ++r) {
      const Reservation& other = reservations[r];
      if (other.lot == nobody || r == except)
        continue;
      const Measure& m = *lots[other.lot].measure;
      for (const auto& part : other.parts)
        if (part.at == at) {
          const TimePoint start = std::max(other.start, clock);
          out.push_back({start, &m.booking, -std::int64_t{part.tasks}});
          if (idle_column)
            out.push_back({start, &idle_amounts, -1});
          if (const auto time = run_time(m)) {
            out.push_back({start + *time, &m.booking, part.tasks});
            if (idle_column)
              out.push_back({start + *time, &idle_amounts, 1});
          }
        }
    }
  std::ranges::stable_sort(out, {}, &Event::at);
  return out;
}

TimePoint Scheduler::State::next_event(At at, const std::vector<Event>& all) const {
  for (const FlightId id : nodes[at].flights)
    if (flights[id].expected.tasks > flights[id].expected.slots)
      return clock;
  for (const Event& event : all)
    if (event.at > clock)
      return event.at;
  return TimePoint::max();
}

std::optional<TimePoint> Scheduler::State::earliest(At at, const Measure& m, std::uint32_t tasks,
                                                    std::uint32_t except,
                                                    TimePoint* good_until) const {
  Amounts level(nodes.free(at));
  Amounts need = m.need;
  for (std::int64_t& n : need)
    n *= tasks;
  if (idle_column)
    need[*idle_column] = std::min<std::int64_t>(need[*idle_column], 1);
  // From when on the level stays high enough for as long as it runs; for ever, if nobody knows.
  const auto run = run_time(m);
  std::optional<TimePoint> from;
  const auto look = [&](TimePoint since) { // the level holds from here on
    if (from && run && since >= *from + *run)
      return true; // long enough
    if (!covers(level, need))
      from.reset();
    else if (!from)
      from = std::max(since, clock);
    return false;
  };
  const std::vector<Event> all = events(at, except);
  if (good_until)
    *good_until = next_event(at, all);
  TimePoint since = clock;
  for (std::size_t i = 0;;) {
    for (; i < all.size() && all[i].at <= since; ++i)
      for (std::size_t c = 0; c < level.size(); ++c)
        level[c] += (*all[i].amounts)[c] * all[i].n;
    if (look(since) || i == all.size())
      return from;
    since = all[i].at;
  }
}

Amounts Scheduler::State::least_until(At at, TimePoint until) const {
  Amounts level(nodes.free(at));
  Amounts least = level;
  const std::vector<Event> all = events(at, nobody);
  for (std::size_t i = 0; i < all.size() && all[i].at < until;) {
    const TimePoint time = all[i].at;
    for (; i < all.size() && all[i].at == time; ++i)
      for (std::size_t c = 0; c < level.size(); ++c)
        level[c] += (*all[i].amounts)[c] * all[i].n;
    for (std::size_t c = 0; c < level.size(); ++c)
      least[c] = std::min(least[c], level[c]);
  }
  return least;
}

// ---- who gets a place

bool Scheduler::State::keep_places_before(LotId next) {
  const auto possible = [this](LotId id) { return lots[id].impossible != nodes.facts_version(); };
  if (lots.leads(next) && possible(next))
    return false;
  const LotId first = lots.first(anything, waits_bit, possible);
  if (first == next)
    return false;
  // Mostly the first in line has its place already, and nobody else is to have one.
  if (first != nobody && looked_at_others && lots[first].queue == lots[next].queue) {
    const Backfill mode = lots.queue_of(first).settings.backfill;
    if (mode == Backfill::greedy && !lots[first].overdue)
      return false;
    if ((mode == Backfill::easy || mode == Backfill::greedy) &&
        reservation_of(first, lots[first].head) != nobody)
      return false;
  }
  if (keep_places(lots[next].queue, next))
    return true;
  if (looked_at_others)
    return false;
  looked_at_others = true;
  bool changed = false;
  for (std::uint32_t q = 0; q < lots.queues().size(); ++q)
    if (q != lots[next].queue && lots.queues()[q].lots > 0)
      changed |= keep_places(q, next);
  return changed;
}

std::vector<LotId> Scheduler::State::in_line(std::uint32_t q, LotId next, bool& blocked) const {
  const Queue& queue = lots.queues()[q];
  const Backfill mode = queue.settings.backfill;
  const std::size_t depth = mode == Backfill::conservative ? queue.settings.backfill_depth : 1;
  std::vector<LotId> out;
  const auto visit = [&](LotId id) {
    if (next != nobody && (id == next || lots.before(next, id)))
      return true;
    if (lots[id].impossible == nodes.facts_version())
      return false;
    blocked = true;
    if (!lots[id].overdue && (mode == Backfill::greedy || mode == Backfill::strict))
      return true; // the overdue come first
    out.push_back(id);
    return out.size() >= depth;
  };
  lots.first_in(queue.shelf, anything, waits_bit, visit);
  return out;
}

bool Scheduler::State::keep_places(std::uint32_t q, LotId next) {
  Queue& queue = lots.queues()[q];
  bool blocked = false, changed = false;
  for (const LotId id : in_line(q, next, blocked)) {
    if (reservation_of(id, lots[id].head) != nobody)
      continue;
    if (reserve(id))
      ++places_kept;
    else
      lots[id].impossible = nodes.facts_version();
    changed = true;
  }
  if (lots[next].queue == q && queue.settings.backfill == Backfill::strict && blocked && !changed) {
    lots.set_shut(queue.shelf, true);
    shut_now.push_back(queue.shelf);
    return true;
  }
  if (changed)
    nodes.settle(clock);
  return changed;
}

bool Scheduler::State::place_beside_its_own(LotId id) {
  const std::uint32_t r = reservation_of(id, lots[id].head);
  if (r == nobody)
    return place_head(id);
  Reservation own = reservations[r];
  unreserve(r);
  nodes.settle(clock);
  if (place_head(id))
    return true;
  keep(std::move(own));
  nodes.settle(clock);
  return false;
}

std::uint32_t Scheduler::State::reservation_of(LotId id, JobId job) const {
  for (const std::uint32_t r : lots.queue_of(id).reservations)
    if (reservations[r].lot == id && reservations[r].job == job)
      return r;
  return nobody;
}

std::vector<At> Scheduler::State::suitable(const Lot& lot) {
  const Measure& m = *lot.measure;
  std::vector<At> out;
  const auto good = [&](At at) {
    return nodes.may_work(at, clock) && covers(nodes.whole(at), m.need) &&
           (!lot.measure->picky() || acceptable(lot, at, false));
  };
  if (nodes.count() <= all_nodes || lot.kind().gang) {
    for (At at = 0; at < nodes.places(); ++at)
      if (nodes[at].known && nodes.in_pool(m.pool, at) && good(at))
        out.push_back(at);
  } else {
    nodes.each_by_time(m.pool, [&](At at) {
      if (good(at))
        out.push_back(at);
      return out.size() >= some_nodes;
    });
  }
  return out;
}

bool Scheduler::State::reserve(LotId id) {
  const Lot& lot = lots[id];
  Reservation made;
  made.lot = id;
  made.job = lot.head;
  made.queue = lot.queue;
  if (lot.kind().gang) {
    if (!reserve_gang(id, made))
      return false;
  } else {
    for (const At at : suitable(lot))
      if (const auto start = earliest(at, *lot.measure);
          start && (made.parts.empty() || *start < made.start)) {
        made.parts = {{at, 1}};
        made.start = *start;
      }
    if (made.parts.empty())
      return false;
  }
  keep(std::move(made));
  return true;
}

void Scheduler::State::keep(Reservation made) {
  std::uint32_t r;
  if (free_reservations.empty()) {
    r = static_cast<std::uint32_t>(reservations.size());
    reservations.emplace_back();
  } else {
    r = free_reservations.back();
    free_reservations.pop_back();
  }
  for (const auto& part : made.parts) {
    ++nodes[part.at].reservations;
    nodes.touch(part.at);
  }
  lots.queues()[made.queue].reservations.push_back(r);
  reservations[r] = std::move(made);
}

/// The earliest time at which nodes have room for all its tasks together.
bool Scheduler::State::reserve_gang(LotId id, Reservation& made) {
  const Lot& lot = lots[id];
  const Measure& m = *lot.measure;
  const std::uint32_t count = ready(*jobs.find(lot.head));
  const bool alone = Terms::keeps_itself_away(lot.kind());
  struct Offer {
    At at;
    std::vector<std::pair<TimePoint, std::int64_t>> rooms; // from when on, for how many
  };
  std::vector<Offer> offers;
  std::vector<TimePoint> times;
  for (const At at : suitable(lot)) {
    Offer offer{at, {}};
    const std::int64_t most = alone ? 1 : times_in(nodes.whole(at), m.need, count);
    for (std::int64_t n = 1; n <= most; ++n) {
      const auto start = earliest(at, m, static_cast<std::uint32_t>(n));
      if (!start)
        break;
      offer.rooms.emplace_back(*start, n);
      times.push_back(*start);
    }
    if (!offer.rooms.empty())
      offers.push_back(std::move(offer));
  }
  std::ranges::sort(times);
  times.erase(std::unique(times.begin(), times.end()), times.end());
  const auto room_at = [](const Offer& offer, TimePoint time) {
    std::int64_t n = 0;
    for (const auto& [from, tasks] : offer.rooms)
      if (from <= time)
        n = std::max(n, tasks);
    return n;
  };
  const auto enough = [&](TimePoint time) {
    std::int64_t sum = 0;
    for (const Offer& offer : offers)
      sum += room_at(offer, time);
    return sum >= count;
  };
  const auto when =
    std::partition_point(times.begin(), times.end(), [&](TimePoint t) { return !enough(t); });
  if (when == times.end())
    return false;
  made.start = *when;
  std::uint32_t left = count;
  for (const Offer& offer : offers) {
    const auto n = static_cast<std::uint32_t>(std::min<std::int64_t>(left, room_at(offer, *when)));
    if (n > 0)
      made.parts.push_back({offer.at, n});
    left -= n;
  }
  return true;
}

void Scheduler::State::unreserve(std::uint32_t r) {
  Reservation& gone = reservations[r];
  for (const auto& part : gone.parts) {
    --nodes[part.at].reservations;
    nodes.touch(part.at);
  }
  std::erase(lots.queues()[gone.queue].reservations, r);
  gone = Reservation();
  free_reservations.push_back(r);
}

// ---- using it

void Scheduler::State::serve_reservations() {
  looked_at_others = false;
  places_kept = 0;
  if (reservations.size() == free_reservations.size())
    return;
  // Who is not among the first any more gives up its place here, and nowhere else in a pass: were
  // places taken away whenever somebody further in front is looked at, two lots could take each
  // other's in turn, for ever.
  for (std::uint32_t q = 0; q < lots.queues().size(); ++q)
    if (const std::vector<std::uint32_t> present = lots.queues()[q].reservations;
        !present.empty()) {
      bool blocked = false;
      const std::vector<LotId> wanted = in_line(q, nobody, blocked);
      for (const std::uint32_t r : present)
        if (!wanted.empty() && std::ranges::find(wanted, reservations[r].lot) == wanted.end())
          unreserve(r);
    }
  std::vector<std::uint32_t> active;
  for (std::uint32_t r = 0; r < reservations.size(); ++r)
    if (reservations[r].lot != nobody)
      active.push_back(r);
  std::ranges::sort(active, {}, [this](std::uint32_t r) { return reservations[r].start; });
  nodes.settle(clock);
  for (const std::uint32_t r : active) {
    Reservation& reservation = reservations[r];
    const LotId id = reservation.lot;
    const SchedJob* job = jobs.find(reservation.job);
    const bool nodes_good = std::ranges::all_of(reservation.parts, [&](const auto& part) {
      return nodes.may_work(part.at, clock) && nodes.in_pool(lots[id].measure->pool, part.at);
    });
    if (!job || job->lot != id || lots[id].head != reservation.job || !lots[id].shelved ||
        !nodes_good) {
      unreserve(r);
      continue;
    }
    const At first = reservation.parts.front().at;
    if (reservation.start > clock && clock < reservation.good_until &&
        reservation.reckoned_at == nodes[first].version && reservation.estimates_at == estimates)
      continue;
    // What runs longer than expected moves the place, what ends early brings it forward.
    const Measure& m = *lots[id].measure;
    TimePoint start = clock, good_until = clock;
    bool fits = true;
    for (const auto& part : reservation.parts) {
      const auto from = earliest(part.at, m, part.tasks, r, &good_until);
      fits &= from.has_value();
      start = std::max(start, from.value_or(start));
    }
    if (!fits) {
      unreserve(r);
      continue;
    }
    reservation.start = start;
    for (const auto& part : reservation.parts)
      nodes.touch(part.at);
    reservation.reckoned_at = nodes[first].version;
    reservation.estimates_at = estimates;
    reservation.good_until = reservation.parts.size() == 1 ? good_until : clock;
    const auto shelf_shut = [&] {
      for (ShelfId s = lots[id].shelf; s != nobody; s = lots.shelf(s).above)
        if (lots.shelf(s).shut)
          return true;
      return false;
    };
    const bool awake = std::ranges::all_of(
      reservation.parts, [&](const auto& part) { return nodes.takes_work(part.at, clock); });
    if (start > clock || !awake || shelf_shut() || lots.short_quota(id) != nobody)
      continue;
    const JobId job_id = reservation.job;
    const At at = reservation.parts.front().at;
    unreserve(r);
    nodes.settle(clock);
    if (at_limit(id))
      continue;
    if (lots[id].kind().gang || lots[id].kind().exclusive || lots[id].measure->picky()) {
      place_head(id); // where it fits now; if it does not, it gets a place kept again
      continue;
    }
    wish(job_id, *jobs.find(job_id), at, 1, 1, Why::kept);
  }
  nodes.settle(clock);
}

void Scheduler::State::fill_reserved() {
  std::vector<At> kept;
  for (const Reservation& reservation : reservations)
    for (const auto& part : reservation.parts)
      kept.push_back(part.at);
  std::ranges::sort(kept);
  kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
  std::vector<Filled> now_filled;
  for (const At at : kept) {
    // Time alone makes nobody fit who did not: the span that must stay free only grows.
    const auto before = std::ranges::find(filled, at, &Filled::at);
    if (before != filled.end() && before->node == nodes[at].version &&
        before->lots == lots.version() && before->estimates == estimates &&
        clock < before->good_until) {
      now_filled.push_back(*before);
      continue;
    }
    while (!wished_enough() && nodes.takes_work(at, clock) && !nodes[at].exclusive &&
           nodes[at].reservations > 0) {
      Amounts want(nodes.free(at));
      for (std::int64_t& w : want)
        w = -w;
      std::size_t looked = 0;
      bool gave_up = false;
      const LotId id = lots.first(want, waits_bit, [&](LotId other) {
        const Lot& lot = lots[other];
        if (++looked > lots_looked_at)
          return gave_up = true;
        const auto time = run_time(*lot.measure);
        return time && !lot.kind().gang && !lot.kind().exclusive &&
               nodes.in_pool(lot.measure->pool, at) &&
               covers(least_until(at, clock + *time), lot.measure->need) &&
               lots.short_quota(other) == nobody &&
               (!lot.measure->picky() || acceptable(lot, at, false));
      });
      if (id == nobody || gave_up) {
        now_filled.push_back(
          {at, nodes[at].version, lots.version(), estimates, next_event(at, events(at, nobody))});
        break;
      }
      if (at_limit(id))
        continue;
      if (keep_places_before(id))
        continue;
      const JobId job = lots[id].head;
      if (const std::uint32_t r = reservation_of(id, job); r != nobody)
        unreserve(r);
      wish(job, *jobs.find(job), at, 1, 1, Why::filled);
    }
  }
  filled = std::move(now_filled);
}

} // namespace reeve::sched
