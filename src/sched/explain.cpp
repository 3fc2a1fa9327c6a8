// Why a task waits, or why it is where it is. Asked by people, now and then: looks at every node
// once, and changes nothing. See state.hpp.
#include "src/core/match.hpp"
#include "src/sched/state.hpp"
#include "src/util/text.hpp"

#include <algorithm>

namespace reeve::sched {
namespace {
constexpr std::uint64_t counted = 1'000'000; // jobs looked at for the place in the queue

std::string plural(std::uint64_t n, const std::string& what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}
} // namespace

Result<Explained> Scheduler::State::explain(JobId id, TaskIndex index) {
  const SchedJob* job = jobs.find(id);
  if (!job)
    return fail(Code::not_found, "job",
                "job " + std::to_string(id.value) + " neither waits nor runs (see job show)");
  nodes.settle(clock);
  const Lot& lot = lot_of(*job);
  const Measure& m = *lot.measure;
  const core::Kind& kind = lot.kind();
  const Queue& queue = lots.queue_of(job->lot);
  const QueueSettings& settings = queue.settings;
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
    for (const FlightId f : more ? more->flights.all() : std::span<const FlightId>()) {
      const Flight& flight = flights[f];
      const std::string& node = nodes[flight.at].facts.name;
      bool here = std::ranges::any_of(flight.runs, within);
      flights.each_wish(flight,
                        [&](const Wish& wish) { here |= std::ranges::any_of(wish.runs, within); });
      if (!here)
        continue;
      out.summary = "is on node " + node;
      out.notes.push_back("the queue " + kind.queue + " ranks nodes by " +
                          std::string(name_of(settings.ranking)));
      out.notes.push_back("its job holds " + plural(flight.expected.slots, "slot") + " there for " +
                          plural(flight.expected.tasks, "task"));
      if (flight.expected.tasks > flight.expected.slots)
        out.notes.push_back("it may wait there for a slot: short tasks are "
                            "given ahead of need");
      return out;
    }
    if (job->blocked)
      out.summary = "waits for other jobs";
    else
      out.summary = "does not wait for a node: it is in flight, over, held, or "
                    "between two tries";
    return out;
  }

  // What keeps it from being placed anywhere.
  const std::string quota_name = [&]() -> std::string {
    const ShelfId short_of = lots.short_quota(job->lot);
    if (short_of == nobody)
      return {};
    const Shelf& shelf = lots.shelf(short_of);
    for (std::size_t c = 0; c < m.cost.size(); ++c)
      if (m.cost[c] > 0 && m.cost[c] > shelf.left[c])
        return (shelf.of_user ? "user " : "queue ") + shelf.name + " may hold no more " +
               nodes.columns().name_of(c);
    return {};
  }();
  if (job->held)
    out.summary = "its job is held";
  else if (settings.paused)
    out.summary = "the queue " + kind.queue + " is paused";
  else if (kind.max_parallel > 0 && more && more->tasks >= kind.max_parallel)
    out.summary = "its job runs " + plural(more->tasks, "task") + ", as many as it may at once";
  else if (!quota_name.empty())
    out.summary = quota_name;
  for (const Limit& limit : kind.limits)
    if (const auto at = limits.find(limit.name);
        !limit.per_node && at != limits.end() && at->second >= limit.most && out.summary.empty())
      out.summary =
        "the limit " + limit.name + " lets " + plural(limit.most, "task") + " run at once";

  // Node by node, each with its first reason.
  std::uint32_t roomy = 0, large = 0;
  std::vector<std::int64_t> nearest; // the least shortage of each column, over nodes that are large
  nearest.assign(m.need.size(), plenty);
  for (At at = 0; at < nodes.places(); ++at) {
    const Node& node = nodes[at];
    if (!node.known)
      continue;
    std::string reason;
    const core::NodeChanged& facts = node.facts;
    if (facts.state != NodeState::up)
      reason = std::string(name_of(facts.state));
    else if (facts.draining)
      reason = "draining";
    else if (facts.quarantined > clock)
      reason = "quarantined";
    else if (facts.closed)
      reason = "above its high mark";
    else if (std::ranges::find(facts.executors, kind.executor) == facts.executors.end())
      reason = "no executor " + kind.executor;
    else if (const std::string unmet = core::unmet(kind, facts.labels); !unmet.empty())
      reason = unmet;
    if (reason.empty())
      for (std::size_t c = 0; c < m.need.size() && reason.empty(); ++c)
        if (m.need[c] > 0 && m.need[c] > nodes.whole(at)[c])
          reason = "too small: " + nodes.columns().name_of(c);
    if (reason.empty()) {
      ++large;
      if (node.exclusive && node.exclusive != id)
        reason = "another job has it alone";
      else if (!acceptable(lot, at, false))
        reason = "affinity or a limit per node";
    }
    if (reason.empty()) {
      for (std::size_t c = 0; c < m.need.size(); ++c)
        if (m.need[c] > 0 && m.need[c] > nodes.free(at)[c]) {
          nearest[c] = std::min(nearest[c], m.need[c] - nodes.free(at)[c]);
          if (reason.empty())
            reason = "busy: " + nodes.columns().name_of(c);
        }
      if (reason.empty() && !covers(nodes.seen(at), m.need) &&
          reservation_of(job->lot, id) == nobody)
        reason = "kept for a task that waits longer";
      else if (reason.empty() && node.sulking > clock)
        reason = "refused something a moment ago";
    }
    if (reason.empty())
      ++roomy;
    else
      ++out.nodes[reason];
  }

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
  if (large > 0 && roomy == 0)
    for (std::size_t c = 0; c < nearest.size(); ++c)
      if (nearest[c] < plenty && nearest[c] > 0 && nodes.columns().is_resource(c)) {
        const auto what = nodes.columns()[c].what;
        const bool bytes = what == Column::What::memory || what == Column::What::disk;
        out.notes.push_back("would fit with " +
                            (bytes ? format_size(nearest[c]) : format_milli(nearest[c])) +
                            " more " + nodes.columns().name_of(c) + " free on a node");
      }

  // Its place in line and when it may start.
  std::uint64_t looked = 0;
  const auto count_ahead = [&](LotId other) {
    const Lot& them = lots[other];
    const bool same = other == job->lot;
    if (!same && !lots.before(other, job->lot))
      return;
    them.jobs.each([&](JobId j) {
      if (++looked > counted)
        return;
      const SchedJob* waiting = jobs.find(j);
      if (!waiting || waiting->lot != other || !waiting->listed)
        return;
      if (same ? j < id : settings.order != Order::fifo || them.head < id)
        out.ahead += settings.order == Order::fifo && !same && j > id ? 0 : ready(*waiting);
    });
  };
  for (LotId other = 0; other < lots.places(); ++other)
    if (lots[other].measure && lots[other].queue == lot.queue && lots[other].shelved)
      count_ahead(other);
  if (more)
    for (const TaskRun& run : more->ready)
      if (run.first < index)
        out.ahead += std::min<std::uint32_t>(run.count, index - run.first);
  if (fresh)
    out.ahead += index - job->first;
  if (const std::uint32_t r = reservation_of(job->lot, id); r != nobody) {
    out.start = reservations[r].start;
    out.notes.push_back("a place is kept for it on node " +
                        nodes[reservations[r].parts.front().at].facts.name);
  } else if (roomy == 0 && large > 0) {
    for (const At at : suitable(lot))
      if (const auto start = earliest(at, m);
          start && (out.start == TimePoint{} || *start < out.start))
        out.start = *start;
  }
  if (lot.overdue && lot.head == id)
    out.notes.push_back("has waited longer than max_wait of its queue: it comes first");
  return out;
}

/// Lets such a job wait for a moment, and asks.
std::string Scheduler::State::would_go(const core::KindPtr& kind, std::uint32_t tasks) {
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
  const bool free_to_go = why.summary == "is about to be placed";
  if (free_to_go && !kind->gang) {
    const At turn = queue.turn;
    at = pick(id, job);
    queue.turn = turn;
  } else if (free_to_go) {
    std::uint64_t room = 0;
    for (At node = 0; node < nodes.places(); ++node)
      if (nodes[node].known && nodes.takes_work(node, clock) &&
          nodes.in_pool(lot.measure->pool, node) && acceptable(lot, node, false))
        room += static_cast<std::uint64_t>(times_in(nodes.seen(node), lot.measure->need, tasks));
    if (room >= tasks)
      out = "would start now, all " + plural(tasks, "task") + " together";
    else
      out = "would wait: there is room for " + plural(room, "task") + " of a gang of " +
            std::to_string(tasks);
  }
  if (at != nowhere)
    out = "would start now on " + nodes[at].facts.name + " (ranking " +
          std::string(name_of(queue.settings.ranking)) + ")";
  else if (out.empty())
    out = "would wait: " + why.summary;
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
  return out;
}

} // namespace reeve::sched
