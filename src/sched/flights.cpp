// See flights.hpp.
#include "src/sched/flights.hpp"

#include "src/core/marks.hpp"

#include <algorithm>

namespace reeve::sched {
namespace {
constexpr std::uint32_t none = ~std::uint32_t{0};
} // namespace

FlightId Flights::find(JobId job, NodeId node, std::span<const FlightId> of_job) const {
  if (of_job.size() <= listed) {
    for (const FlightId id : of_job)
      if ((*this)[id].node == node)
        return id;
    return no_flight;
  }
  return by_pair_.find(job, node);
}

FlightId Flights::add(JobId job, NodeId node, At at) {
  const FlightId id = flights_.add();
  flights_.prefetch_next();
  Flight& flight = (*this)[id];
  flight.job = job;
  flight.node = node;
  flight.at = at & (Flight::nodes_max - 1);
  return id;
}

void Flights::list(FlightId id, Few<FlightId>& of_job) {
  Flight& flight = (*this)[id];
  flight.in_job = of_job.size() & 0x3FFFFF;
  of_job.push_back(id);
  if (of_job.size() > listed)
    for (const FlightId f : of_job.all().last(of_job.size() == listed + 1 ? listed + 1 : 1))
      if (Flight& other = (*this)[f]; other.hashed == 0) {
        other.hashed = 1;
        by_pair_.add(other.job, other.node, f);
      }
}

void Flights::unlist(FlightId id, Few<FlightId>& of_job) {
  Flight& flight = (*this)[id];
  const FlightId last = of_job.back();
  of_job[flight.in_job] = last;
  (*this)[last].in_job = flight.in_job;
  of_job.pop_back();
  if (flight.hashed)
    by_pair_.erase(flight.job, flight.node);
}

void Flights::erase(FlightId id) {
  if (const std::uint32_t more = (*this)[id].more; more != none)
    mores_.give_back(more);
  flights_.give_back(id);
}

// ---- what runs and since when

/// `before`: what was expected when its slots were last counted.
FlightMore& Flights::unfold(Flight& flight, const Load& before) {
  if (flight.more == none) {
    flight.more = mores_.add();
    FlightMore& more = mores_[flight.more];
    if (flight.count > 0)
      more.runs.push_back({flight.first, flight.count, 1});
    if (flight.started)
      more.starts.push_back({flight.start, before.slots});
  }
  return mores_[flight.more];
}

OneOr<TaskRun> Flights::runs(const Flight& flight) const {
  if (flight.more != none)
    return OneOr<TaskRun>(mores_[flight.more].runs);
  return flight.count == 0 ? OneOr<TaskRun>() : OneOr(TaskRun{flight.first, flight.count, 1});
}

void Flights::add_run(Flight& flight, const TaskRun& run) {
  if (flight.more == none && run.attempt == 1) {
    if (flight.count == 0) {
      flight.first = run.first;
      flight.count = run.count & 0xFFFFFF;
      return;
    }
    if (flight.first < run.first && flight.first + flight.count == run.first) {
      flight.count = (flight.count + run.count) & 0xFFFFFF;
      return;
    }
  }
  core::add_to(unfold(flight, flight.expected).runs, run);
}

void Flights::take_run(Flight& flight, const TaskRun& run) {
  if (flight.more == none && flight.count == 0)
    return;
  if (flight.more == none && run == TaskRun{flight.first, flight.count, 1})
    flight.count = 0;
  else
    core::take_from(unfold(flight, flight.expected).runs, run);
}

void Flights::clear_runs(Flight& flight) {
  if (flight.more != none)
    mores_[flight.more].runs.clear();
  flight.count = 0;
}

OneOr<Since> Flights::starts(const Flight& flight) const {
  if (flight.more != none)
    return OneOr<Since>(mores_[flight.more].starts);
  return flight.started ? OneOr(Since{flight.start, flight.expected.slots}) : OneOr<Since>();
}

void Flights::start(Flight& flight, const Load& before, TimePoint now) {
  const std::uint32_t slots = flight.expected.slots;
  const bool ahead = flight.expected.tasks > slots;
  if (flight.more == none) {
    const std::uint32_t there = flight.started ? before.slots : 0;
    if (!flight.started || ahead || flight.start == now || there >= slots) {
      if (ahead || there < slots) {
        flight.start = now;
        flight.started = 1;
      } else if (slots == 0 && there > 0) {
        flight.started = 0;
      }
      return;
    }
  }
  std::vector<Since>& starts = unfold(flight, before).starts;
  std::uint32_t there = 0;
  for (const auto& [time, n] : starts)
    there += n;
  if (ahead) {
    starts.assign(1, {now, slots});
  } else if (there < slots) {
    if (!starts.empty() && starts.back().time == now)
      starts.back().n += slots - there;
    else
      starts.push_back({now, slots - there});
  } else {
    for (std::uint32_t away = there - slots; away > 0;) {
      Since& oldest = starts.front();
      const std::uint32_t part = std::min(away, oldest.n);
      oldest.n -= part;
      away -= part;
      if (oldest.n == 0)
        starts.erase(starts.begin());
    }
  }
}

// ---- wishes

Wish& Flights::add_wish(Flight& flight) {
  WishId id;
  if (free_wishes_.empty()) {
    id = static_cast<WishId>(wishes_.size());
    wishes_.emplace_back();
  } else {
    id = free_wishes_.back();
    free_wishes_.pop_back();
  }
  if (flight.wish == no_wish)
    flight.wish = id;
  else
    newest_wish(flight).next = id;
  return wishes_[id];
}

Wish& Flights::newest_wish(const Flight& flight) {
  WishId id = flight.wish;
  while (wishes_[id].next != no_wish)
    id = wishes_[id].next;
  return wishes_[id];
}

std::optional<Wish> Flights::drop_wish(Flight& flight, std::span<const TaskRun> runs) {
  for (WishId* from = &flight.wish; *from != no_wish; from = &wishes_[*from].next) {
    const WishId id = *from;
    if (!std::ranges::equal(wishes_[id].runs, runs))
      continue;
    *from = wishes_[id].next;
    free_wishes_.push_back(id);
    return std::exchange(wishes_[id], {});
  }
  return {};
}

void Flights::drop_wishes(Flight& flight) {
  while (flight.wish != no_wish) {
    const WishId id = flight.wish;
    flight.wish = wishes_[id].next;
    wishes_[id] = {};
    free_wishes_.push_back(id);
  }
}

} // namespace reeve::sched
