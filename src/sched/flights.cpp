// See flights.hpp.
#include "src/sched/flights.hpp"

#include <algorithm>

namespace reeve::sched {

FlightId Flights::find(JobId job, NodeId node, const Few<FlightId>& of_job) const {
  if (of_job.size() <= listed) {
    for (const FlightId id : of_job)
      if ((*this)[id].node == node)
        return id;
    return no_flight;
  }
  return by_pair_.find(job, node);
}

FlightId Flights::add(JobId job, NodeId node, At at, Few<FlightId>& of_job) {
  const FlightId id = flights_.add();
  Flight& flight = (*this)[id];
  flight.job = job;
  flight.node = node;
  flight.at = at;
  flight.in_job = static_cast<std::uint32_t>(of_job.size());
  of_job.push_back(id);
  if (of_job.size() > listed)
    for (const FlightId f : of_job.all().last(of_job.size() == listed + 1 ? listed + 1 : 1))
      if (!std::exchange((*this)[f].hashed, true))
        by_pair_.add(job, (*this)[f].node, f);
  return id;
}

void Flights::erase(FlightId id, Few<FlightId>& of_job) {
  Flight& flight = (*this)[id];
  const FlightId last = of_job.back();
  of_job[flight.in_job] = last;
  (*this)[last].in_job = flight.in_job;
  of_job.pop_back();
  if (flight.hashed)
    by_pair_.erase(flight.job, flight.node);
  flights_.give_back(id);
}

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
