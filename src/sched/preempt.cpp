// Making room for work of higher priority: which tasks of lower priority are asked to stop. As few
// as possible, and those first that lose least. The place is kept for whom it was made. See
// state.hpp.
#include "src/sched/state.hpp"

#include <algorithm>
#include <tuple>

namespace reeve::sched {
namespace {
constexpr Duration look_again{100'000}; // when nothing could be done
}

/// The cheapest way to make room for one task on the node; empty: there is none.
std::vector<Scheduler::State::Victim> Scheduler::State::victims_on(At at, const Lot& lot) const {
  const Measure& m = *lot.measure;
  std::vector<Victim> all;
  for (const FlightId id : nodes[at].flights) {
    const Flight& f = flights[id];
    const core::Kind& kind = lot_of(*jobs.find(f.job)).kind();
    // Stopping one task of a gang stops all of them, on other nodes, too: too much for one place.
    if (!kind.preemptible || kind.gang || kind.priority >= lot.kind().priority ||
        f.wish != no_wish || tasks_in(flights.runs(f)) != f.confirmed.tasks)
      continue;
    TimePoint start = clock; // the newest go first
    const OneOr<Since> starts = flights.starts(f);
    for (std::size_t k = starts.size(); k-- > 0;) { // clang 14 cannot reverse a view of it
      const Since& since = starts.data()[k];
      start = since.time;
      const double seconds = static_cast<double>((clock - start).count()) / 1e6;
      const double vcores = std::max(0.001, static_cast<double>(kind.resources.cpu_milli) / 1000);
      for (std::uint32_t i = 0; i < std::min(since.n, 64u); ++i)
        all.push_back({id, 1, kind.priority, seconds * vcores});
    }
  }
  std::ranges::stable_sort(all, [](const Victim& a, const Victim& b) {
    return std::tie(a.priority, a.lost) < std::tie(b.priority, b.lost);
  });
  Amounts level(nodes.free(at));
  const auto booking = [&](const Victim& v) -> const Amounts& {
    return lot_of(*jobs.find(flights[v.flight].job)).measure->booking;
  };
  const auto give = [&](const Victim& v, std::int64_t n) {
    for (std::size_t c = 0; c < level.size(); ++c)
      level[c] += booking(v)[c] * n;
  };
  std::vector<Victim> chosen;
  for (const Victim& v : all) {
    if (covers(level, m.need))
      break;
    bool helps = false;
    for (std::size_t c = 0; c < level.size(); ++c)
      helps = helps || (m.need[c] > level[c] && m.need[c] > 0 && booking(v)[c] > 0);
    if (!helps)
      continue;
    give(v, 1);
    chosen.push_back(v);
  }
  if (!covers(level, m.need))
    return {};
  // Never more than needed: whoever is chosen although it would do without goes free.
  for (std::size_t i = chosen.size(); i-- > 0;) {
    give(chosen[i], -1);
    if (covers(level, m.need))
      chosen.erase(chosen.begin() + static_cast<std::ptrdiff_t>(i));
    else
      give(chosen[i], 1);
  }
  return chosen;
}

void Scheduler::State::preempt(std::vector<core::Command>& commands) {
  if (cut_short || flights.wishes() >= wishes_max)
    return; // the pass did not come to its end: what waits may have room
  for (std::uint32_t q = 0; q < lots.queues().size(); ++q) {
    Queue& queue = lots.queues()[q];
    if (!queue.settings.preempt || queue.lots == 0)
      continue;
    const auto possible = [&](LotId other) {
      return lots[other].impossible != nodes.facts_version();
    };
    const LotId id = lots.first_in(queue.shelf, anything, waits_bit, possible);
    if (id == nobody || lots[id].kind().gang || lots[id].kind().exclusive)
      continue;
    const Lot& lot = lots[id];
    if (queue.preempt_for == lot.head && queue.preempt_after > clock)
      continue;
    const std::uint32_t present = reservation_of(id, lot.head);
    if (present != nobody && reservations[present].preempting)
      continue;
    At best = nowhere;
    std::vector<Victim> cheapest;
    std::pair<std::int32_t, double> least;
    for (const At at : suitable(lot)) {
      if (nodes[at].reservations > (present != nobody && reservations[present].parts[0].at == at))
        continue; // kept for somebody else
      auto victims = victims_on(at, lot);
      if (victims.empty())
        continue;
      std::pair<std::int32_t, double> cost{victims.back().priority, 0};
      for (const Victim& v : victims) {
        cost.first = std::max(cost.first, v.priority);
        cost.second += v.lost;
      }
      if (best == nowhere || cost < least) {
        best = at;
        least = cost;
        cheapest = std::move(victims);
      }
    }
    if (best == nowhere) {
      queue.preempt_for = lot.head;
      queue.preempt_after = clock + look_again;
      continue;
    }
    if (present != nobody)
      unreserve(present);
    keep({id, lot.head, lot.queue, {{best, 1}}, clock, true});
    std::map<FlightId, std::uint32_t> slots;
    for (const Victim& v : cheapest)
      slots[v.flight] += v.slots;
    for (const auto& [f, n] : slots) {
      // What was given ahead goes with them: it holds the slots.
      const Flight& flight = flights[f];
      std::uint32_t stop = flight.confirmed.tasks - flight.confirmed.slots + n;
      core::Preempt command{flight.node,
                            flight.job,
                            {},
                            Cause::preempted,
                            "makes room for job " + std::to_string(lot.head.value) +
                              " of priority " + std::to_string(lot.kind().priority)};
      const OneOr<TaskRun> runs = flights.runs(flight);
      for (std::size_t k = runs.size(); k-- > 0;) {
        const TaskRun& run = runs.data()[k];
        const std::uint32_t part = std::min(stop, run.count);
        if (part == 0)
          break;
        command.runs.push_back(
          {static_cast<TaskIndex>(run.first + run.count - part), part, run.attempt});
        stop -= part;
      }
      std::ranges::reverse(command.runs);
      commands.emplace_back(std::move(command));
    }
  }
  nodes.settle(clock);
}

} // namespace reeve::sched
