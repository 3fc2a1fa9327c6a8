// See flights.hpp.
#include "src/sched/flights.hpp"

namespace reeve::sched {

FlightId Flights::find(JobId job, NodeId node) const {
  const auto at = by_pair_.find(Pair{job, node});
  return at == by_pair_.end() ? no_flight : at->second;
}

FlightId Flights::add(JobId job, NodeId node, At at) {
  FlightId id;
  if (free_.empty()) {
    id = static_cast<FlightId>(flights_.size());
    flights_.emplace_back();
  } else {
    id = free_.back();
    free_.pop_back();
  }
  Flight& flight = flights_[id];
  flight.job = job;
  flight.node = node;
  flight.at = at;
  by_pair_.emplace(Pair{job, node}, id);
  return id;
}

void Flights::erase(FlightId id) {
  by_pair_.erase(Pair{flights_[id].job, flights_[id].node});
  flights_[id] = Flight();
  free_.push_back(id);
}

} // namespace reeve::sched
