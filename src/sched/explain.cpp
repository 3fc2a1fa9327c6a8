// Why a task waits, or why it is where it is. Asked by people, now and then: looks at every node
// once, at a bounded number of jobs, and changes nothing. Who asks keeps to a part of the time
// (ration.hpp). See state.hpp.
#include "src/core/match.hpp"
#include "src/sched/state.hpp"
#include "src/util/text.hpp"

#include <algorithm>
#include <cmath>

namespace reeve::sched {
namespace {
constexpr std::uint64_t counted = 10'000; // jobs and lots looked at for the place in the queue

std::string plural(std::uint64_t n, const std::string& what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}
/// "3 vcores", "1.5 GiB memory", "0.5 gpu".
std::string amount_text(const Columns& columns, std::size_t column, std::int64_t amount) {
  const std::string name = columns.name_of(column);
  const std::string number = name == "memory" || name == "disk"            ? format_size(amount)
                             : columns[column].what == Column::What::tasks ? std::to_string(amount)
                                                                           : format_milli(amount);
  return number + " " + name;
}
bool is_amount(const Columns& columns, std::size_t column) {
  const auto what = columns[column].what;
  return columns.is_resource(column) || what == Column::What::open ||
         what == Column::What::cpu_over || what == Column::What::memory_over;
}
} // namespace

void Scheduler::State::explain_flight(const Flight& flight, Explained& out) const {
  const Lot& lot = lot_of(*jobs.find(flight.job));
  const Measure& m = *lot.measure;
  const core::NodeChanged& facts = nodes[flight.at].facts;
  out.summary = "is on node " + facts.name;
  const std::string ranking(name_of(lots.queues()[lot.queue].settings.ranking));
  switch (flight.why()) {
  case Why::before:
    out.notes.push_back("it was there when this master began to reign");
    break;
  case Why::ranked:
    out.notes.push_back("the queue " + lot.kind().queue + " ranks nodes by " + ranking +
                        ": this was the first that had room");
    break;
  case Why::kept:
    out.notes.push_back("a place had been kept for it there, as it could start there first");
    break;
  case Why::filled:
    out.notes.push_back("it should be over before a place kept there for another is needed");
    break;
  }
  std::uint32_t fit = 0;
  for (At at = 0; at < nodes.places(); ++at)
    fit += nodes[at].known && nodes.in_pool(m.pool, at) && covers(nodes.whole(at), m.need) ? 1 : 0;
  out.notes.push_back(std::to_string(fit) + " of " + plural(nodes.count(), "node") +
                      " could run it, by executor, labels and size");
  out.notes.push_back("its job holds " + plural(flight.expected.slots, "slot") + " there for " +
                      plural(flight.expected.tasks, "task"));
  if (flight.expected.tasks > flight.expected.slots)
    out.notes.push_back("it may wait there for a slot: short tasks are given ahead of need");
}

std::string Scheduler::State::held_back(JobId, const SchedJob& job,
                                        std::vector<std::string>& notes) const {
  const Lot& lot = lot_of(job);
  const Measure& m = *lot.measure;
  const core::Kind& kind = lot.kind();
  if (job.held)
    return "its job is held";
  for (ShelfId s = lot.shelf; s != nobody; s = lots.shelf(s).above)
    if (const std::uint32_t q = lots.shelf(s).queue;
        q != nobody && lots.queues()[q].settings.paused)
      return "the queue " + lots.queues()[q].name + " is paused";
  if (const std::uint32_t n = expected_of(job).tasks;
      kind.max_parallel > 0 && n >= kind.max_parallel)
    return "its job runs " + plural(n, "task") + ", as many as it may at once";
  if (const ShelfId short_of = lots.short_quota(job.lot); short_of != nobody) {
    const Shelf& shelf = lots.shelf(short_of);
    const std::string who = (shelf.of_user ? "user " : "queue ") + shelf.name;
    for (std::size_t c = 0; c < m.cost.size(); ++c)
      if (m.cost[c] > 0 && m.cost[c] > shelf.left[c]) {
        notes.push_back(who + " holds " + amount_text(nodes.columns(), c, narrow(shelf.usage[c])) +
                        " and may hold " +
                        amount_text(nodes.columns(), c, narrow(shelf.usage[c] + shelf.left[c])));
        return who + " may hold no more " + nodes.columns().name_of(c);
      }
  }
  for (const Limit& limit : kind.limits)
    if (const auto at = limits.find(limit.name);
        !limit.per_node && at != limits.end() && at->second >= limit.most)
      return "the limit " + limit.name + " lets " + plural(limit.most, "task") + " run at once";
  return {};
}

Scheduler::State::Reason Scheduler::State::reason_of(At at, const Lot& lot, JobId id) const {
  using Said = Reason::What;
  const Node& node = nodes[at];
  const Measure& m = *lot.measure;
  const auto first = [&](std::span<const std::int64_t> have) {
    std::size_t c = 0;
    while (c < m.need.size() && (m.need[c] <= 0 || m.need[c] <= have[c]))
      ++c;
    return c;
  };
  if (!node.works || node.suspect || node.quarantined > clock)
    return {Said::out_of_work};
  if (!nodes.in_pool(m.pool, at))
    return {Said::unlike};
  if (const std::size_t c = first(nodes.whole(at)); c < m.need.size())
    return {Said::too_small, c};
  if (node.exclusive && node.exclusive != id)
    return {Said::alone};
  if (!acceptable(lot, at, false))
    return {Said::unacceptable};
  if (const std::size_t c = first(nodes.free(at)); c < m.need.size())
    return {Said::busy, c};
  if (node.listed && !covers(nodes.seen(at), m.need) &&
      reservation_of(static_cast<LotId>(jobs.find(id)->lot), id) == nobody)
    return {Said::kept};
  if (node.sulking > clock)
    return {Said::sulking};
  if (node.pulls && !node.asks)
    return {Said::not_asked};
  return {Said::none};
}

std::string Scheduler::State::text_of(Reason reason, At at, const Lot& lot) const {
  using Said = Reason::What;
  const Node& node = nodes[at];
  const core::NodeChanged& facts = node.facts;
  const Columns& names = nodes.columns();
  const bool of_reserve =
    reason.column < names.size() && names[reason.column].what == Column::What::open;
  switch (reason.what) {
  case Said::none:
    return {};
  case Said::out_of_work:
    if (facts.state != NodeState::up)
      return std::string(name_of(facts.state));
    return node.suspect               ? "suspect: it may be dead"
           : facts.draining           ? "draining"
           : node.quarantined > clock ? "quarantined"
                                      : "above its high mark";
  case Said::unlike: {
    const core::Kind& kind = lot.kind();
    if (std::ranges::find(facts.executors, kind.executor) == facts.executors.end())
      return "no executor " + kind.executor;
    return core::unmet(kind, facts.labels);
  }
  case Said::too_small:
    return (of_reserve ? "too small beside the reserve: " : "too small: ") +
           names.name_of(reason.column);
  case Said::alone:
    return "another job has it alone";
  case Said::unacceptable:
    return "affinity or a limit per node";
  case Said::busy:
    return (of_reserve ? "reserved share: " : "busy: ") + names.name_of(reason.column);
  case Said::kept:
    return "kept for a task that waits longer";
  case Said::sulking:
    return "refused something a moment ago";
  case Said::not_asked:
    return "takes work only when it asks";
  }
  return {};
}

Scheduler::State::Ahead Scheduler::State::count_ahead(JobId id, const SchedJob& job,
                                                      TaskIndex index) const {
  Ahead out;
  const Lot& lot = lot_of(job);
  const bool fair = lots.queue_of(job.lot).settings.order == Order::fair;
  const std::uint64_t rank = lots.rank_of(job.lot);
  const auto add = [&](const Lot& them, std::uint64_t n) {
    out.tasks += n;
    if (n == 0)
      return;
    const auto time = run_time(*them.measure);
    if (!time || !out.work) {
      out.work.reset();
      return;
    }
    double share = 0; // of the cluster, for one task
    for (std::size_t c = 0; c < them.measure->cost.size(); ++c)
      if (nodes.columns().is_resource(c) && nodes.total()[c] > 0)
        share =
          std::max(share, static_cast<double>(them.measure->cost[c]) / as_double(nodes.total()[c]));
    const double more = share * static_cast<double>(n) * static_cast<double>(time->count());
    *out.work += Duration(std::llround(std::min(more, 1e15)));
  };
  std::uint64_t looked = 0;
  for (LotId other = 0; other < lots.places(); ++other) {
    if (!out.all || ++looked > counted) {
      out.all = false;
      break;
    }
    const Lot& them = lots[other];
    if (!them.measure || them.queue != lot.queue || !them.shelved)
      continue;
    const bool by_share = fair && them.shelf != lot.shelf; // else one line
    const std::uint64_t theirs = lots.rank_of(other);
    if (by_share ? !lots.before(other, job.lot) : theirs > rank)
      continue;
    std::uint64_t n = 0;
    jobs.each(them.line, [&](JobId j, const SchedJob& waiting) {
      if (!by_share && theirs == rank && j >= id)
        return false;
      if (waiting.listed)
        n += ready(waiting);
      out.all = ++looked <= counted;
      return out.all;
    });
    add(them, n);
  }
  std::uint64_t& own = out.own;
  if (const JobMore* more = jobs.more_of(job))
    for (const TaskRun& run : more->ready)
      if (run.first < index)
        own += std::min<std::uint32_t>(run.count, index - run.first);
  if (job.count > 0 && index >= job.first && index - job.first < job.count)
    own += index - job.first;
  add(lot, own);
  const auto time = run_time(*lot.measure);
  if (const std::uint32_t most = lot.kind().max_parallel; most > 0 && time && out.work)
    *out.work = std::max(
      *out.work, *time * static_cast<std::int64_t>(std::min<std::uint64_t>(own / most, 1'000'000)));
  return out;
}

Result<Explained> Scheduler::State::explain(JobId id, TaskIndex index) {
  const SchedJob* job = jobs.find(id);
  if (!job)
    return fail(Code::not_found, "job",
                "job " + std::to_string(id.value) + " neither waits nor runs (see job show)");
  nodes.settle(clock);
  const Lot& lot = lot_of(*job);
  const Measure& m = *lot.measure;
  const Columns& names = nodes.columns();
  const JobMore* more = jobs.more_of(*job);
  Explained out;
  const auto within = [index](const TaskRun& run) {
    return run.first <= index && index - run.first < run.count;
  };
  const bool fresh = job->count > 0 && within({job->first, job->count, 1});
  if (!fresh && (!more || std::ranges::none_of(more->ready, within))) {
    if (more && more->rare)
      for (const auto& [time, run] : more->rare->delayed)
        if (within(run)) {
          out.summary =
            "waits for its next try, in " + format_duration(std::max(Duration(0), time - clock));
          out.start = time;
          return out;
        }
    const auto held = jobs.flights_of(*job);
    for (const FlightId f : held) {
      bool here = std::ranges::any_of(flights.runs(flights[f]), within);
      flights.each_wish(flights[f],
                        [&](const Wish& wish) { here |= std::ranges::any_of(wish.runs, within); });
      if (here) {
        explain_flight(flights[f], out);
        return out;
      }
    }
    // Of what was there when the view was built only numbers are known.
    std::vector<FlightId> unknown;
    for (const FlightId f : held)
      if (tasks_in(flights.runs(flights[f])) < flights[f].confirmed.tasks)
        unknown.push_back(f);
    if (unknown.size() == 1) {
      explain_flight(flights[unknown.front()], out);
      return out;
    }
    if (!unknown.empty()) {
      for (const FlightId f : unknown)
        out.summary += (out.summary.empty() ? "is on one of the nodes " : ", ") +
                       nodes[flights[f].at].facts.name;
      out.notes.push_back("it was there when this master began to reign");
    } else if (job->blocked)
      out.summary = "waits for other jobs";
    else
      out.summary = "does not wait for a node: it is in flight, over, held, or "
                    "between two tries";
    return out;
  }
  out.summary = held_back(id, *job, out.notes);
  const bool held = !out.summary.empty();

  // Node by node, each with its first reason. Put in words once: nodes are many, reasons few.
  std::uint32_t roomy = 0, large = 0;
  struct Count {
    Reason reason;
    At at; // one of them
    std::uint32_t nodes;
  };
  std::vector<Count> counts;
  std::vector<std::int64_t> nearest(m.need.size(), plenty); // shortage, over nodes that are large
  std::vector<std::int64_t> largest(m.need.size(), 0);      // node, of those that fit otherwise
  for (At at = 0; at < nodes.places(); ++at) {
    if (!nodes[at].known)
      continue;
    const Reason reason = reason_of(at, lot, id);
    const bool is_large =
      reason.what == Reason::What::none || reason.what > Reason::What::too_small;
    large += is_large ? 1 : 0;
    if (reason.what == Reason::What::none)
      ++roomy;
    else if (reason.what < Reason::What::too_small) // in many words
      ++out.nodes[text_of(reason, at, lot)];
    else if (const auto known = std::ranges::find(counts, reason, &Count::reason);
             known != counts.end())
      ++known->nodes;
    else
      counts.push_back({reason, at, 1});
    for (std::size_t c = 0; c < m.need.size(); ++c) {
      if (m.need[c] <= 0 || !is_amount(names, c) || !nodes.in_pool(m.pool, at))
        continue;
      largest[c] = std::max(largest[c], nodes.whole(at)[c]);
      if (is_large && m.need[c] > nodes.free(at)[c])
        nearest[c] = std::min(nearest[c], m.need[c] - nodes.free(at)[c]);
    }
  }
  for (const Count& count : counts)
    out.nodes[text_of(count.reason, count.at, lot)] += count.nodes;
  if (out.summary.empty()) {
    if (nodes.count() == 0)
      out.summary = "there are no nodes";
    else if (large == 0)
      out.summary = "no node can ever run it as it is";
    else if (roomy > 0 && lot.head != id && lot.head)
      out.summary = "waits for its turn";
    else if (roomy > 0)
      out.summary = "is about to be placed";
    else
      out.summary = "no node has room";
  }
  for (std::size_t c = 0; c < nearest.size(); ++c) {
    if (large > 0 && roomy == 0 && nearest[c] < plenty && nearest[c] > 0)
      out.notes.push_back("would fit with " +
                          (names.name_of(c) == "memory" || names.name_of(c) == "disk"
                             ? format_size(nearest[c])
                             : format_milli(nearest[c])) +
                          " more " + names.name_of(c) + " free on a node" +
                          (names[c].what == Column::What::open ? ", beside the reserve" : ""));
    if (large == 0 && largest[c] > 0 && m.need[c] > largest[c])
      out.notes.push_back("needs " + amount_text(names, c, m.need[c]) +
                          ", the largest node that fits otherwise has " +
                          amount_text(names, c, largest[c]) +
                          (names[c].what == Column::What::open ? " beside the reserve" : ""));
  }

  // Its place in line and when it may start.
  const Ahead ahead = count_ahead(id, *job, index);
  out.ahead = ahead.tasks;
  if (!ahead.all)
    out.notes.push_back("at least: only " + std::to_string(counted) +
                        " jobs are looked at for its place in line");
  if (const std::uint32_t r = reservation_of(job->lot, id); r != nobody && ahead.own == 0) {
    out.start = reservations[r].start;
    out.notes.push_back("a place is kept for it on node " +
                        nodes[reservations[r].parts.front().at].facts.name);
  } else if (large > 0 && !held && ahead.work) {
    std::optional<TimePoint> first = roomy > 0 ? std::optional(clock) : std::nullopt;
    if (!first)
      for (const At at : suitable(lot))
        if (const auto start = earliest(at, m); start && (!first || *start < *first))
          first = start;
    if (first)
      out.start = *first + *ahead.work;
  }
  if (lot.overdue && lot.head == id)
    out.notes.push_back("has waited longer than max_wait of its queue: it comes first");
  return out;
}

/// Lets such a job wait for a moment, and asks.
std::string Scheduler::State::would_go(const core::KindPtr& kind, std::uint32_t tasks,
                                       const std::string& waits) {
  const JobId probe{std::numeric_limits<std::int64_t>::max()};
  on(core::JobArrived{probe, kind, clock, 0, tasks});
  nodes.settle(clock);
  const SchedJob& job = *jobs.find(probe);
  const LotId id = job.lot;
  const Lot& lot = lots[id];
  const Explained why = *explain(probe, 0);
  const auto list = [](std::string& out, const std::string& more) {
    out += (out.empty() ? "" : "; ") + more;
  };
  std::string out;
  At at = nowhere;
  Queue& queue = lots.queue_of(id);
  std::uint64_t room = 0; // for how many of its tasks
  if (why.summary == "is about to be placed") {
    for (At node = 0; node < nodes.places() && tasks > 1; ++node)
      if (nodes[node].known && nodes.takes_work(node, clock) &&
          nodes.in_pool(lot.measure->pool, node) && acceptable(lot, node, false))
        room += static_cast<std::uint64_t>(
          times_in(nodes.seen(node), lot.measure->need, within_limits(lot, node, tasks)));
    if (!kind->gang) {
      const At turn = queue.turn;
      at = pick(id, job);
      queue.turn = turn;
    } else if (room >= tasks) {
      out = "would start now, all " + plural(tasks, "task") + " together";
    } else {
      out = "would wait: there is room for " + plural(room, "task") + " of a gang of " +
            std::to_string(tasks);
    }
  }
  if (at != nowhere) {
    out = "would start now on " + nodes[at].facts.name + " (ranking " +
          std::string(name_of(queue.settings.ranking)) + ")";
    const auto most = static_cast<std::uint32_t>(
      std::min<std::uint64_t>({room, tasks, kind->max_parallel > 0 ? kind->max_parallel : tasks}));
    if (tasks > 1)
      out += ", " +
             std::to_string(lots.times_within_quotas(id, within_limits(lot, nowhere, most))) +
             " of its " + std::to_string(tasks) + " tasks at once";
  } else if (out.empty()) {
    out = "would wait: " + why.summary;
  }
  if (at == nowhere) {
    for (const auto& [reason, n] : why.nodes)
      list(out, plural(n, "node") + ": " + reason);
    for (const std::string& note : why.notes)
      list(out, note);
    if (why.ahead > 0)
      list(out, plural(why.ahead, "task") + " before it");
    if (why.start > clock)
      list(out, "expected to start in " +
                  format_duration(std::chrono::floor<std::chrono::seconds>(why.start - clock)));
  }
  forget(probe);
  if (waits.empty())
    return out;
  if (waits.ends_with("can not happen any more"))
    return "would be cancelled at once: " + waits;
  constexpr std::string_view now = "would start now";
  return "would wait " + waits.substr(std::string_view("waits ").size()) + "; as things stand it " +
         (out.starts_with(now) ? "would then start" + out.substr(now.size()) : "then " + out);
}

} // namespace reeve::sched
