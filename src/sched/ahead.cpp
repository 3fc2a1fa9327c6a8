// Tasks given to a node ahead of need, so that short ones never wait for a round trip; where nobody
// else has a better claim to what they hold on to. See state.hpp and docs/adr/002.
#include "src/sched/state.hpp"

#include <algorithm>

namespace reeve::sched {
namespace {
constexpr std::uint32_t short_max =
  20'000;                              // tasks a slot, when they are too short for fewer to last
constexpr Duration short_time{10'000}; // that is to say, for so long
} // namespace

/// Tasks to have waiting at a node for each slot.
std::uint32_t Scheduler::State::ahead(const SchedJob& job) const {
  const GlobalSettings& s = lots.settings().global();
  const Measure& measure = *lot_of(job).measure;
  // What was learned counts more than what was said: a wrong promise would hold tasks back here
  // that could run elsewhere.
  std::optional<Duration> time;
  if (const Estimate* usual = learned_of(job))
    time = usual->median();
  if (!time && measure.kind->estimate > Duration(0))
    time = measure.kind->estimate;
  if (!time || s.prefetch == 0 || measure.kind->speculate) // a watched task begins when it is given
    return 0;
  const std::int64_t us = std::max<std::int64_t>(1, time->count());
  const std::int64_t usual = std::min<std::int64_t>(s.prefetch, s.prefetch_time.count() / us);
  const std::int64_t least =
    std::min<std::int64_t>(short_max, std::min(short_time, s.prefetch_time).count() / us);
  return static_cast<std::uint32_t>(std::max(usual, least));
}

/// Would the lot get the place again, if a task of it on this node ended now?
bool Scheduler::State::first_claim(const Flight& flight, LotId id) {
  const Measure& m = *lots[id].measure;
  Amounts want(nodes.free(flight.at));
  for (std::size_t c = 0; c < want.size(); ++c)
    want[c] = -(want[c] + m.booking[c] * flight.expected.slots);
  want[Columns::room] -= m.need[Columns::room] * flight.expected.slots;
  lots.charge(id, -1);
  const LotId first = lots.first(want, nodes[flight.at].mask, [&](LotId other) {
    return nodes.in_pool(lots[other].measure->pool, flight.at);
  });
  lots.charge(id, 1);
  return first != nobody && &lots[first].kind() == &lots[id].kind();
}

void Scheduler::State::give_ahead() {
  const GlobalSettings& s = lots.settings().global();
  for (const FlightId f : std::exchange(touched, {})) {
    if (flights.wishes() >= wishes_max) { // until some are answered
      touched.push_back(f);
      continue;
    }
    flights[f].touched = false;
    if (!flights[f].job)
      continue;
    SchedJob& job = *jobs.find(flights[f].job);
    if (!job.listed)
      continue;
    const LotId id = job.lot;
    const Lot& lot = lots[id];
    const core::Kind& kind = lot.kind();
    const At at = flights[f].at;
    if (kind.gang || !nodes.takes_work(at, clock) || nodes[at].reservations > 0 || !lot.shelved)
      continue;
    if (kind.exclusive) {
      fill_exclusive(f);
      continue;
    }
    const Load load = flights[f].expected;
    const std::uint64_t waiting = lots.queue_of(id).ready;
    if (load.slots == 0 || waiting <= s.prefetch_keep)
      continue;
    // Guided self-scheduling (Polychronopoulos and Kuck, 1987): pieces shrink towards the end, so
    // that no node is left with much when the others are done.
    const std::uint64_t share =
      (waiting - s.prefetch_keep) / (2 * std::max<std::uint64_t>(1, expected_of(job).slots));
    const std::uint64_t target = std::min<std::uint64_t>(
      flight_max, std::uint64_t{load.slots} * (1 + std::min<std::uint64_t>(ahead(job), share)));
    if (load.tasks > target / 2 + load.slots / 2)
      continue; // refilled in large pieces
    if (!first_claim(flights[f], id))
      continue;
    const auto more = static_cast<std::uint32_t>(
      std::min<std::uint64_t>({target - load.tasks, ready(job), allowance(job)}));
    if (more > 0)
      wish(flights[f].job, job, at, more, 0);
  }
}

/// A job that has the node alone may start more of its tasks there.
void Scheduler::State::fill_exclusive(FlightId f) {
  const Flight& flight = flights[f];
  SchedJob& job = *jobs.find(flight.job);
  if (nodes[flight.at].exclusive != flight.job)
    return;
  Amounts each = lot_of(job).measure->need;
  if (idle_column)
    each[*idle_column] = 0;
  const std::int64_t fits =
    times_in(nodes.free(flight.at), each, std::min(ready(job), allowance(job)));
  const auto n = lots.times_within_quotas(
    job.lot, within_limits(lot_of(job), flight.at, static_cast<std::uint32_t>(fits)));
  if (n > 0) {
    const auto more = static_cast<std::uint32_t>(n);
    wish(flight.job, job, flight.at, more, more);
  }
}

} // namespace reeve::sched
