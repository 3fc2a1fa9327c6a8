// What committed changes, refusals and the time do to the scheduler's view. See state.hpp.
#include "src/sched/state.hpp"

#include <algorithm>
#include <cmath>

namespace reeve::sched {
namespace {
constexpr std::size_t completions_looked_at = 8; // nodes without room, for sct
}

std::uint32_t tasks_in(std::span<const TaskRun> runs) {
  std::uint32_t n = 0;
  for (const TaskRun& run : runs)
    n += run.count;
  return n;
}

void add_to(Few<TaskRun>& runs, const TaskRun& run) {
  if (runs.empty())
    runs.push_back(run);
  else if (TaskRun& last = runs.back(); last.attempt == run.attempt && last.first < run.first &&
                                        last.first + last.count == run.first)
    last.count += run.count;
  else
    core::add_to(runs.many(), run);
}

void cut(std::vector<TaskRun>& runs, const TaskRun& away) {
  const std::uint64_t from = away.first, to = from + away.count;
  std::vector<TaskRun> left;
  left.reserve(runs.size() + 1);
  for (const TaskRun& run : runs) {
    const std::uint64_t first = run.first, end = first + run.count;
    if (end <= from || first >= to) {
      left.push_back(run);
      continue;
    }
    if (first < from)
      left.push_back({run.first, static_cast<std::uint32_t>(from - first), run.attempt});
    if (end > to)
      left.push_back(
        {static_cast<TaskIndex>(to), static_cast<std::uint32_t>(end - to), run.attempt});
  }
  runs = std::move(left);
}

Scheduler::State::State() {
  columns = nodes.columns().size();
  anything = lots.anything();
  nodes.show_reserved = [this](At at, std::span<std::int64_t> shown) {
    const Amounts least = least_until(at, TimePoint::max());
    std::ranges::copy(least, shown.begin());
  };
}

void Scheduler::State::foresee(const core::Change& change, int step) const {
  const auto* flight = std::get_if<core::FlightChanged>(&change);
  if (!flight)
    return;
  const At at = nodes.find(flight->node);
  if (step == 0) {
    jobs.prefetch(flight->job);
    if (at != nowhere)
      nodes.prefetch(at);
    return;
  }
  // When it ends, the last in its node's list takes its place there.
  const std::vector<FlightId>* here = at == nowhere ? nullptr : &nodes[at].flights;
  if (here && !here->empty()) {
    if (step == 1)
      fetch(&here->back());
    else
      flights.prefetch(here->back());
  }
  const SchedJob* job = jobs.find(flight->job);
  if (!job)
    return;
  const JobMore* more = jobs.more_of(*job);
  if (step == 1 && job->flies)
    flights.prefetch(job->more);
  else if (step == 1 && more)
    fetch(more);
  else if (job->flies) {
    const Flight& f = flights[job->more];
    lots.prefetch(f.lot);
    if (here && f.in_node < here->size())
      fetch(&(*here)[f.in_node]);
  } else if (more && more->flights.size() == 1)
    flights.prefetch(*more->flights.begin());
}

// ---- nodes

void Scheduler::State::on(const core::NodeChanged& c) {
  const At at = nodes.changed(c);
  if (terms.any()) { // it may be in another place now
    terms.clear_counts();
    flights.each([&](FlightId, const Flight& f) {
      if (f.expected.tasks > 0)
        terms.count(lot_of(*jobs.find(f.job)).kind().labels, nodes[f.at].facts, 1);
    });
    neighbours_changed();
  }
  (void)at;
}
void Scheduler::State::on(const core::NodeForgotten& c) {
  nodes.forgotten(c.node);
}
void Scheduler::State::on(const core::NodeAvailable& c) {
  nodes.available(c.node, c.available);
}
void Scheduler::State::on(const core::LeaseChanged& c) {
  if (leases.emplace(c.lease, HeldLease{c.node, c.limits, c.key}).second) {
    nodes.leased(c.node, true);
    count_limits(c.limits, nodes.find(c.node), 1);
  }
  lots.hold(c.lease, c.queue, c.owner, c.resources);
}
void Scheduler::State::on(const core::LeaseEnded& c) {
  if (const auto at = leases.find(c.lease); at != leases.end()) {
    const HeldLease gone = std::move(at->second);
    leases.erase(at);
    nodes.leased(gone.node, false);
    count_limits(gone.limits, nodes.find(gone.node), -1);
  }
  lots.let_go(c.lease);
}

Result<void> Scheduler::State::check(const Allocate& wanted) {
  if (!wanted.key.data.empty())
    for (const auto& [id, lease] : leases)
      if (lease.key == wanted.key)
        return {}; // asked again: it is granted already
  if (const std::string what = lots.over_quota(wanted.queue, wanted.owner, wanted.resources);
      !what.empty())
    return fail(Code::refused, "resources", what);
  At at = nowhere;
  for (At other = 0; other < nodes.places() && at == nowhere && !wanted.node.empty(); ++other)
    if (nodes[other].known && nodes[other].facts.name == wanted.node)
      at = other;
  if (at != nowhere && nodes[at].suspect)
    return fail(Code::node_down, "node", "node " + wanted.node + " is suspect: it may be dead");
  for (std::size_t i = 0; i < wanted.limits.size(); ++i) {
    const Limit& limit = wanted.limits[i];
    const std::string field = "limits[" + std::to_string(i) + "]";
    if (limit.per_node && wanted.node.empty())
      return fail(Code::bad_field, field, "a limit per node needs a node that is named");
    if (limit.per_node && at == nowhere)
      continue; // the ledger says that there is no such node
    const auto& used = limit.per_node ? nodes[at].limits : limits;
    if (const auto here = used.find(limit.name); here != used.end() && here->second >= limit.most)
      return fail(Code::refused, field,
                  "the limit " + limit.name + " is reached: " + std::to_string(here->second) +
                    " of " + std::to_string(limit.most));
  }
  return {};
}

// ---- settings

void Scheduler::State::on(const core::ConfigUpdated& c) {
  const AllQueueSettings settings(c.values);
  if (settings == lots.settings())
    return;
  nodes.set_seed(settings.global().seed);
  bool counts_tasks = false;
  const auto look = [&](const QueueSettings& s) {
    counts_tasks |= s.limit.contains("tasks") || s.user_limit.contains("tasks");
  };
  look(settings.of("*"));
  for (const std::string& name : settings.named())
    look(settings.of(name));
  const bool counts = counts_tasks && nodes.ask_for({Column::What::tasks, {}});
  if (nodes.set_reserve(settings.global().reserve) || counts)
    lots.columns_changed();
  lots.configure(settings);
  nodes.use_none();
  lots.queues().each([this](const Queue& queue) { nodes.use(queue.settings.ranking); });
  columns_may_have_changed();
  for (std::uint32_t r = 0; r < reservations.size(); ++r)
    if (reservations[r].lot != nobody)
      unreserve(r);
  for (LotId id = 0; id < lots.places(); ++id)
    if (lots[id].measure)
      rehead(id); // others may be overdue, or expected to run otherwise
}

/// Wishes book new columns, too.
void Scheduler::State::columns_may_have_changed() {
  if (columns == nodes.columns().size())
    return;
  columns = nodes.columns().size();
  anything = lots.anything();
  idle_column = nodes.columns().find({Column::What::idle, {}});
  idle_amounts.assign(columns, 0);
  if (idle_column)
    idle_amounts[*idle_column] = 1;
  nodes.forget_wishes();
  flights.each([&](FlightId, Flight& f) {
    const Lot& lot = lot_of(*jobs.find(f.job));
    if (f.expected.slots != f.confirmed.slots)
      nodes.wished(f.at, lot.measure->booking,
                   std::int64_t{f.expected.slots} - std::int64_t{f.confirmed.slots});
  });
}

// ---- jobs

SchedJob& Scheduler::State::add(JobId id, const core::KindPtr& kind, std::uint32_t tasks,
                                TimePoint submitted, bool held) {
  SchedJob& job = jobs.add(id);
  job.lot = lots.join(kind, tasks);
  nodes.use(lots.queue_of(job.lot).settings.ranking);
  job.submitted = submitted;
  job.held = held;
  columns_may_have_changed();
  if (Lot& lot = lots[job.lot]; lot.members == 1) {
    if (!lot.measure->estimate)
      lot.measure->estimate = families.of(*kind);
    if (!kind->family.empty())
      family_lots[kind->family].insert(job.lot);
    if (!kind->affinity.empty())
      neighbourly.insert(job.lot);
    if (!kind->affinity.empty() && terms.add(*kind)) {
      terms.clear_counts();
      flights.each([&](FlightId, const Flight& f) {
        if (f.expected.tasks > 0)
          terms.count(lot_of(*jobs.find(f.job)).kind().labels, nodes[f.at].facts, 1);
      });
    }
  }
  return job;
}

void Scheduler::State::on(const core::JobArrived& c) {
  if (jobs.find(c.job))
    return;
  SchedJob& job = add(c.job, c.kind, c.first + c.count, c.submitted, c.held);
  job.blocked = c.blocked;
  if (c.count > 0 && !c.blocked) {
    job.first = c.first;
    job.count = c.count & 0xFFFFFF;
    lots.queue_of(job.lot).ready += c.count;
    reconsider(c.job, job);
  }
}

void Scheduler::State::on(const core::JobReopened& c) {
  if (!jobs.find(c.job))
    add(c.job, c.kind, 0, c.submitted, c.held);
}

void Scheduler::State::forget(JobId id) {
  SchedJob* job = jobs.find(id);
  if (!job)
    return;
  while (!jobs.flights_of(*job).empty()) {
    const FlightId f = jobs.flights_of(*job).back();
    flights.drop_wishes(flights[f]);
    expect(f, *job, Load());
    drop_if_over(f);
  }
  watched_jobs.erase(id);
  lots.queue_of(job->lot).ready -= ready(*job);
  if (JobMore* more = jobs.more_of(*job))
    more->ready.clear();
  job->count = 0;
  reconsider(id, *job);
  const LotId lot = job->lot;
  const std::vector<std::uint32_t> kept = lots.queue_of(lot).reservations;
  for (const std::uint32_t r : kept)
    if (reservations[r].job == id)
      unreserve(r);
  if (lots[lot].members == 1) {
    const core::Kind& kind = lots[lot].kind();
    if (const auto at = family_lots.find(kind.family); at != family_lots.end()) {
      at->second.erase(lot);
      if (at->second.empty())
        family_lots.erase(at);
    }
    if (!kind.affinity.empty()) {
      terms.remove(kind);
      neighbourly.erase(lot);
    }
    for (auto& [name, waiting] : limited)
      waiting.erase(lot);
  }
  if (job->in_line)
    jobs.leave(lots[lot].line, id, *job);
  jobs.erase(id);
  lots.leave(lot);
}
void Scheduler::State::on(const core::JobEnded& c) {
  forget(c.job);
}
void Scheduler::State::on(const core::JobForgotten& c) {
  forget(c.job);
}

std::uint32_t Scheduler::State::ready(const SchedJob& job) const {
  const JobMore* more = jobs.more_of(job);
  return job.count + (more && !more->ready.empty() ? tasks_in(more->ready) : 0);
}

void Scheduler::State::put(JobId id, SchedJob& job, const TaskRun& run) {
  JobMore& more = unfold(job);
  more.ready.insert(
    std::upper_bound(more.ready.begin(), more.ready.end(), run,
                     [](const TaskRun& a, const TaskRun& b) { return a.first < b.first; }),
    run);
  lots.queue_of(job.lot).ready += run.count;
  reconsider(id, job);
}

void Scheduler::State::on(const core::TasksReleased& c) {
  if (SchedJob* job = jobs.find(c.job)) {
    job->blocked = 0;
    for (const TaskRun& run : c.runs)
      put(c.job, *job, run);
  }
}

void Scheduler::State::on(const core::TasksReady& c) {
  SchedJob* job = jobs.find(c.job);
  if (!job)
    return;
  if (c.not_before > clock) {
    unfold(*job).rarer().delayed.emplace_back(c.not_before, c.run);
    timers.insert({c.not_before, Wake::job, c.job.value});
    if (lot_of(*job).kind().gang)
      reconsider(c.job, *job);
  } else {
    put(c.job, *job, c.run);
  }
}

void Scheduler::State::withdraw(JobId id, SchedJob& job, const TaskRun& run) {
  const std::uint32_t before = ready(job);
  if (JobMore* more = jobs.more_of(job)) {
    cut(more->ready, run);
    if (more->rare && !more->rare->delayed.empty()) {
      std::vector<std::pair<TimePoint, TaskRun>> left;
      for (const auto& [time, waits] : more->rare->delayed) {
        std::vector<TaskRun> parts{waits};
        cut(parts, run);
        for (const TaskRun& part : parts)
          left.emplace_back(time, part);
      }
      more->rare->delayed = std::move(left);
    }
  }
  if (job.count > 0) {
    std::vector<TaskRun> fresh{{job.first, job.count, 1}};
    cut(fresh, run);
    job.count = 0;
    if (!fresh.empty()) { // the last part stays fresh, what is before it is not
      job.first = fresh.back().first;
      job.count = fresh.back().count & 0xFFFFFF;
      fresh.pop_back();
      for (const TaskRun& part : fresh)
        unfold(job).ready.push_back(part);
      if (!fresh.empty())
        std::ranges::sort(unfold(job).ready, {}, &TaskRun::first);
    }
  }
  lots.queue_of(job.lot).ready -= before - ready(job);
  (void)id;
}

void Scheduler::State::on(const core::TasksWithdrawn& c) {
  SchedJob* job = jobs.find(c.job);
  if (!job)
    return;
  const std::vector<TaskRun> runs =
    c.runs.empty() ? std::vector<TaskRun>{{0, tasks_max, 1}} : c.runs;
  for (const TaskRun& run : runs) {
    withdraw(c.job, *job, run);
    for (const FlightId f : jobs.flights_of(*job))
      flights.each_wish(flights[f], [&](Wish& wish) { wish.gone.push_back(run); });
  }
  reconsider(c.job, *job);
}

void Scheduler::State::on(const core::HoldChanged& c) {
  if (SchedJob* job = jobs.find(c.job)) {
    job->held = c.held;
    reconsider(c.job, *job);
  }
}

void Scheduler::State::reconsider(JobId id, SchedJob& job) {
  Lot& lot = lots[job.lot];
  const Measure& m = *lot.measure;
  const JobMore* more = jobs.more_of(job);
  bool may = !job.held && (job.count > 0 || (more && !more->ready.empty()));
  if (may && (more || job.flies))
    may = (!more || !more->rare || more->rare->sulking <= clock) &&
          (m.max_parallel == 0 || expected_of(job).tasks < m.max_parallel) &&
          (!m.gang ||
           (expected_of(job).tasks == 0 && (!more || !more->rare || more->rare->delayed.empty())));
  if (may && !job.listed) {
    job.listed = 1;
    if (!job.in_line)
      jobs.join(lot.line, id, job);
    if (!lot.head || id < lot.head)
      rehead(job.lot);
    for (const FlightId f : jobs.flights_of(job))
      touch(f);
  } else if (!may && job.listed) {
    job.listed = 0;
    if (lot.head == id)
      rehead(job.lot);
  }
}

void Scheduler::State::rehead(LotId id) {
  Lot& lot = lots[id];
  const JobId head = jobs.front(lot.line);
  if (!head) {
    lot.head = {};
    lots.take_off(id);
    lot.open = true; // what it could not use meanwhile it has not seen
    return;
  }
  lot.head = head;
  lot.head_since = jobs.find(head)->submitted;
  reckon(id);
  if (!at_limit(id))
    lots.place(id);
}

std::optional<Duration> Scheduler::State::run_time(const Measure& measure) {
  if (measure.told > Duration(0))
    return measure.told;
  return measure.estimate ? measure.estimate->median() : std::nullopt;
}

void Scheduler::State::reckon(LotId id) {
  Lot& lot = lots[id];
  const QueueSettings& s = lots.queue_of(id).settings;
  lot.overdue = s.max_wait > Duration(0) && lot.head_since + s.max_wait <= clock;
  if (!lot.overdue && s.max_wait > Duration(0) && !lot.armed) {
    lot.armed = true;
    timers.insert({lot.head_since + s.max_wait, Wake::lot, id});
  }
  lot.run_time = run_time(*lot.measure);
  if (s.order != Order::sct || !lot.run_time)
    return;
  // Completion on the best node: now where there is room, else of those that are idle soonest the
  // one where it would be over first.
  At turn = nowhere - 1;
  const Measure& m = *lot.measure;
  const Duration usual = *lot.run_time;
  const auto here = [&](At at) {
    return nodes[at].delay +
           Duration(std::llround(static_cast<double>(usual.count()) * nodes[at].slowness));
  };
  lot.wait = Duration(0);
  const At best =
    nodes.pick(Ranking::least_time_first, m.want, m.need, m.pool, turn, nullptr, usual);
  if (best != nowhere) {
    lot.run_time = here(best);
    return;
  }
  std::size_t looked = 0;
  auto least = Duration::max();
  nodes.each_by_time(m.pool, [&](At at) {
    if (!covers(nodes.whole(at), m.need))
      return false;
    if (const auto start = earliest(at, m)) {
      const Duration wait = std::max(Duration(0), *start - clock);
      if (wait + here(at) < least) {
        least = wait + here(at);
        lot.wait = wait;
        lot.run_time = here(at);
      }
    }
    return ++looked == completions_looked_at;
  });
}

// ---- flights

JobMore& Scheduler::State::unfold(SchedJob& job) {
  if (!job.flies)
    return jobs.more(job);
  const FlightId only = job.more;
  job.flies = 0;
  job.more = nobody;
  JobMore& more = jobs.more(job);
  flights.list(only, more.flights);
  more.slots = flights[only].expected.slots;
  more.tasks = flights[only].expected.tasks;
  return more;
}

Load Scheduler::State::expected_of(const SchedJob& job) const {
  if (job.flies)
    return flights[job.more].expected;
  const JobMore* more = jobs.more_of(job);
  return more ? Load{more->slots, more->tasks} : Load{};
}

FlightId Scheduler::State::flight(JobId id, SchedJob& job, NodeId node, At at) {
  FlightId f = flight_of(id, job, node);
  if (f != no_flight)
    return f;
  f = flights.add(id, node, at);
  if (job.more == nobody) { // most jobs are never on two nodes
    job.flies = 1;
    job.more = f;
  } else {
    flights.list(f, unfold(job).flights);
  }
  Node& n = nodes[at];
  flights[f].lot = job.lot;
  flights[f].gang = lot_of(job).measure->gang;
  flights[f].in_node = n.flights.size() & (Flight::nodes_max - 1);
  if (n.flights.empty())
    n.flights.reserve(32);
  n.flights.push_back(f);
  if (lot_of(job).measure->exclusive)
    n.exclusive = id;
  nodes.touch(at);
  return f;
}

void Scheduler::State::drop_if_over(FlightId f) {
  Flight& flight = flights[f];
  if (!flight.over())
    return;
  SchedJob& job = *jobs.find(flight.job);
  Node& node = nodes[flight.at];
  const FlightId other = node.flights.back();
  node.flights[flight.in_node] = other;
  flights[other].in_node = flight.in_node;
  node.flights.pop_back();
  if (node.exclusive == flight.job)
    node.exclusive = {};
  if (node.flights.empty())
    node.busy_until = {};
  nodes.touch(flight.at);
  if (job.flies) {
    job.flies = 0;
    job.more = nobody;
  } else {
    flights.unlist(f, jobs.more(job).flights);
  }
  flights.erase(f);
}

void Scheduler::State::expect(FlightId id, SchedJob& job) {
  expect(id, job, flights[id].confirmed);
}

void Scheduler::State::expect(FlightId id, SchedJob& job, const Load& confirmed) {
  Flight& f = flights[id];
  const Lot& lot = lots[job.lot];
  const core::Kind& kind = lot.kind();
  const Load before = f.expected, booked = std::exchange(f.confirmed, confirmed);
  flights.expect(f);
  if (f.expected != before)
    nodes.note(f.at);
  const std::int64_t slots = std::int64_t{f.expected.slots} - before.slots;
  if (!job.flies) {
    JobMore& more = jobs.more(job);
    more.tasks += f.expected.tasks - before.tasks;
    more.slots += static_cast<std::uint32_t>(slots);
  }
  const std::int64_t ahead_of_ledger = (std::int64_t{f.expected.slots} - confirmed.slots) -
                                       (std::int64_t{before.slots} - booked.slots);
  if (ahead_of_ledger != 0)
    nodes.wished(f.at, lot.measure->booking, ahead_of_ledger);
  if ((before.tasks == 0) != (f.expected.tasks == 0)) {
    const std::int64_t n = f.expected.tasks == 0 ? -1 : 1;
    if (terms.any() && terms.count(kind.labels, nodes[f.at].facts, n))
      neighbours_changed();
  }
  flights.start(f, before, clock);
  if (slots == 0)
    return;
  nodes[f.at].room_used += slots * lot.measure->need[Columns::room];
  nodes.touch(f.at);
  lots.charge(job.lot, slots);
  if (lot.measure->spread) {
    const auto label = nodes[f.at].facts.labels.find(kind.spread);
    if (label != nodes[f.at].facts.labels.end())
      unfold(job).rarer().spread[label->second] += static_cast<std::uint32_t>(slots);
  }
  if (lot.measure->limits)
    count_limits(kind.limits, f.at, slots);
}

/// Where somebody's neighbours run now nothing need have been gained: who seeks or shuns some is
/// looked at again on every node.
void Scheduler::State::neighbours_changed() {
  for (const LotId id : neighbourly) {
    lots.set_passed(id, false);
    lots.set_open(id, true);
  }
}

void Scheduler::State::count_limits(const std::vector<Limit>& counted, At at, std::int64_t n) {
  for (const Limit& limit : counted) {
    limits[limit.name] += static_cast<std::uint32_t>(n);
    if (at != nowhere)
      nodes[at].limits[limit.name] += static_cast<std::uint32_t>(n);
    if (n < 0) {
      unlimit(limit.name);
      if (at != nowhere)
        nodes.touch(at);
    }
  }
}

void Scheduler::State::touch(FlightId id) {
  if (!flights[id].touched) {
    flights[id].touched = true;
    touched.push_back(id);
  }
}

void Scheduler::State::on(const core::TasksTaken& c) {
  const Placement& p = c.placement;
  SchedJob* job = jobs.find(p.job);
  const At at = nodes.find(p.node);
  if (!job || at == nowhere)
    return;
  const FlightId f = flight(p.job, *job, p.node, at);
  if (lot_of(*job).measure->speculate)
    watch(p.job, p.node, p.runs, p.copy ? Seen::copied : Seen::placed);
  if (p.copy) {
    // Its tasks did not wait.
  } else if (flights.drop_wish(flights[f], p.runs)) {
    if (JobMore* more = jobs.more_of(*job); more && more->rare)
      more->rare->sulk = Duration(0);
  } else {
    for (const TaskRun& run : p.runs) // wished before a reset
      withdraw(p.job, *job, run);
  }
  for (const TaskRun& run : p.runs)
    flights.add_run(flights[f], run);
  // Its FlightChanged comes next and reckons.
}

void Scheduler::State::on(const core::FlightChanged& c) {
  SchedJob* job = jobs.find(c.job);
  const At at = nodes.find(c.node);
  if (!job || at == nowhere)
    return;
  const FlightId f = flight(c.job, *job, c.node, at);
  if (c.in_flight == 0)
    flights.clear_runs(flights[f]);
  for (const TaskRun& run : c.runs)
    flights.add_run(flights[f], run);
  if (!c.runs.empty() && lot_of(*job).measure->speculate)
    watch(c.job, c.node, c.runs, Seen::described);
  expect(f, *job, {c.slots, c.in_flight});
  if (job->listed) // else it wants no more there; when it is listed again it is touched
    touch(f);
  drop_if_over(f);
  reconsider(c.job, *job);
}

void Scheduler::State::refuse(const core::RefusedPlacement& refused) {
  const Placement& p = refused.placement;
  SchedJob* job = jobs.find(p.job);
  const FlightId f = job ? flight_of(p.job, *job, p.node) : no_flight;
  if (f == no_flight)
    return;
  auto wish = flights.drop_wish(flights[f], p.runs);
  expect(f, *job);
  const At at = flights[f].at;
  drop_if_over(f);
  if (!wish)
    return;
  // The reason is on its way as a change. Until it is here, the same wish would be refused again.
  const auto sulk = [&](Duration& pause, TimePoint& until) {
    pause = std::min(std::max(pause * 2, sulk_first), sulk_longest);
    until = clock + pause;
  };
  const bool of_node = refused.error.code == Code::no_capacity ||
                       refused.error.code == Code::node_down || refused.error.field == "node";
  if (of_node && !lot_of(*job).kind().gang) {
    sulk(nodes[at].sulk, nodes[at].sulking);
    nodes.touch(at);
  } else {
    JobRare& rare = unfold(*job).rarer();
    sulk(rare.sulk, rare.sulking);
    timers.insert({rare.sulking, Wake::job, p.job.value});
  }
  for (const TaskRun& away : wish->gone)
    cut(wish->runs.many(), away);
  for (const TaskRun& run : wish->runs)
    put(p.job, *job, run);
  reconsider(p.job, *job);
}

// ---- time

void Scheduler::State::wake(TimePoint now) {
  clock = std::max(clock, now);
  while (!timers.empty() && timers.begin()->at <= clock) {
    const Timer timer = *timers.begin();
    timers.erase(timers.begin());
    if (timer.what == Wake::lot) {
      const auto id = static_cast<LotId>(timer.id);
      if (id < lots.places() && lots[id].measure) {
        lots[id].armed = false;
        if (lots[id].head)
          rehead(id);
      }
      continue;
    }
    const JobId id(timer.id);
    SchedJob* job = jobs.find(id);
    JobMore* more = job ? jobs.more_of(*job) : nullptr;
    if (!more)
      continue;
    if (more->rare)
      for (auto& [time, run] : std::exchange(more->rare->delayed, {})) {
        if (time <= clock)
          put(id, *job, run);
        else
          more->rare->delayed.emplace_back(time, run);
      }
    reconsider(id, *job);
  }
  for (const std::string& family : std::exchange(learned, {}))
    if (const auto at = family_lots.find(family); at != family_lots.end())
      for (const LotId id : std::set<LotId>(at->second))
        if (lots[id].head)
          rehead(id);
}

void Scheduler::State::pulled(NodeId node) {
  const At at = nodes.find(node);
  if (at == nowhere)
    return;
  nodes[at].sulking = {};
  nodes[at].sulk = Duration(0);
  nodes[at].asks = true;
  nodes.touch(at);
  if (nodes[at].flights.empty())
    lots.next_in_turn(at);
}

const Estimate* Scheduler::State::learned_of(const SchedJob& job) const {
  if (const JobMore* more = jobs.more_of(job); more && more->rare && more->rare->estimate)
    return more->rare->estimate.get();
  return lot_of(job).measure->estimate.get();
}

void Scheduler::State::learn(NodeId node, const JobResults& results) {
  SchedJob* job = jobs.find(results.job);
  if (!job)
    return;
  const Lot& lot = lot_of(*job);
  Estimate* estimate = lot.measure->estimate.get();
  if (!estimate && lot.size > 1) {
    JobRare& rare = unfold(*job).rarer();
    if (!rare.estimate)
      rare.estimate = std::make_unique<Estimate>();
    estimate = rare.estimate.get();
  }
  const FlightId f = flight_of(results.job, *job, node);
  const At at = nodes.find(node);
  const auto took = [&](Duration time) {
    // What is not run time: the way there and back, and getting ready. Known of slots that began
    // together, with nothing given ahead.
    if (at != nowhere && f != no_flight && flights.starts(flights[f]).size() == 1 &&
        flights[f].expected.tasks == flights[f].expected.slots) {
      const Duration rest = std::clamp(clock - flights.starts(flights[f]).begin()->time - time,
                                       Duration(0), Duration(std::chrono::hours(1)));
      nodes[at].delay += (rest - nodes[at].delay) / 8;
      nodes.late_in_time(at);
    }
    if (!estimate)
      return;
    if (const auto usual = estimate->median(); usual && at != nowhere && usual->count() > 1'000) {
      const double ratio = std::clamp(
        static_cast<double>(time.count()) / static_cast<double>(usual->count()), 0.2, 5.0);
      nodes[at].slowness += 0.1 * (ratio - nodes[at].slowness);
      nodes.late_in_time(at);
    }
    const auto before = estimate->median();
    estimate->learn(time);
    estimates += before != estimate->median() ? 1 : 0;
  };
  for (const QuietRun& quiet : results.quiet) {
    unwatch(results.job, std::span(&quiet.run, 1));
    took((quiet.ended - quiet.started) / quiet.run.count);
    if (f != no_flight)
      flights.take_run(flights[f], quiet.run);
  }
  for (const TaskResult& result : results.tasks) {
    const TaskRun run{result.index, 1, result.attempt};
    unwatch(results.job, std::span(&run, 1));
    if (result.cause == Cause::none)
      took(result.ended - result.started);
    if (f != no_flight)
      flights.take_run(flights[f], run);
  }
  if (!lot.measure->estimate || !estimate->median())
    return;
  const Duration usual = *estimate->median(); // a tenth more or less moves nobody
  if (estimate->told < Duration(0) || usual > estimate->told + estimate->told / 10 ||
      usual < estimate->told - estimate->told / 10) {
    estimate->told = usual;
    learned.insert(lot.kind().family);
  }
}

} // namespace reeve::sched
