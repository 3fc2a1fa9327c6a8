// Facts in, events out. See events.hpp.
#include "src/events/events.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace reeve::events {
namespace {
std::uint64_t tasks_in(const std::vector<TaskRun>& runs) {
  std::uint64_t n = 0;
  for (const auto& run : runs)
    n += run.count;
  return n;
}

/// The job's name, out of an encoded JobSpec: its first field, when it has one. The bytes are our
/// own, so a look at their beginning does.
std::string name_in(const Raw& spec) {
  constexpr std::string_view key = "\xa4name";
  std::string_view bytes = spec.msgpack;
  const auto byte = [&bytes](std::size_t at) {
    return at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0u;
  };
  bytes.remove_prefix(std::min<std::size_t>(bytes.size(), byte(0) == 0xde ? 3 : 1)); // the map
  if (!bytes.starts_with(key))
    return {};
  bytes.remove_prefix(key.size());
  std::size_t size = 0, head = 1;
  if ((byte(0) & 0xe0u) == 0xa0)
    size = byte(0) & 0x1fu;
  else if (byte(0) == 0xd9)
    size = byte(1), head = 2;
  else if (byte(0) == 0xda)
    size = byte(1) << 8 | byte(2), head = 3;
  return std::string(bytes.substr(std::min(head, bytes.size()), size));
}

std::string joined(const std::map<std::string, std::string>& values) {
  std::string text;
  for (const auto& [key, value] : values)
    text += (text.empty() ? "" : ", ") + key + "=" + value;
  return text;
}
} // namespace

std::uint32_t JobQueues::number_of(const std::string& queue) {
  const auto [at, fresh] = numbers_.try_emplace(queue);
  if (!fresh)
    return at->second;
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(queues_.size()));
    queues_.emplace_back();
  }
  at->second = free_.back();
  free_.pop_back();
  queues_[at->second].name = queue;
  return at->second;
}

void JobQueues::put(JobId job, const std::string& queue) {
  drop(job);
  if (queue.empty())
    return;
  auto& page = pages_[job.value / page_jobs];
  if (!page)
    page = std::make_unique<Page>();
  const std::uint32_t number = number_of(queue);
  page->numbers[job.value % page_jobs] = number;
  ++page->known;
  ++queues_[number].jobs;
}

void JobQueues::drop(JobId job) {
  const auto at = pages_.find(job.value / page_jobs);
  if (at == pages_.end())
    return;
  const std::uint32_t number = std::exchange(at->second->numbers[job.value % page_jobs], 0);
  if (number == 0)
    return;
  if (--queues_[number].jobs == 0) {
    numbers_.erase(queues_[number].name);
    free_.push_back(number);
  }
  if (--at->second->known == 0)
    pages_.erase(at);
}

const std::string& JobQueues::of(JobId job) const {
  const auto at = pages_.find(job.value / page_jobs);
  return queues_[at == pages_.end() ? 0 : at->second->numbers[job.value % page_jobs]].name;
}

struct FactTeller {
  const Teller& teller;
  Seq seq;
  TimePoint time;
  const Teller::Each& each;
  Event& scratch; // of all of them, so that its texts keep their memory
  std::uint32_t part = 0;

  /// The next event, to be filled in; the one before is told as it is now.
  Event& add(std::string_view kind, JobId job = {}) {
    done();
    scratch.seq = seq;
    scratch.part = part++;
    scratch.time = time;
    scratch.kind = kind;
    scratch.job = job;
    scratch.node.clear();
    scratch.name.clear();
    scratch.text.clear();
    scratch.numbers.clear();
    scratch.correlation.clear();
    scratch.queue.clear();
    if (job)
      scratch.queue = teller.queues_.of(job);
    return scratch;
  }
  void done() {
    if (part > 0)
      each(scratch);
  }
  Event& at_node(std::string_view kind, NodeId node, std::string_view text = {}, JobId job = {}) {
    add(kind, job);
    teller.put_name(scratch.node, node);
    scratch.text = text;
    return scratch;
  }

  void operator()(const EpochStarted& fact) {
    Event& event = add("master.started");
    event.name = fact.master;
    event.numbers["epoch"] = static_cast<std::int64_t>(fact.epoch.value);
  }
  void operator()(const NodeRegistered& fact) {
    Event& event = add("node.registered");
    event.node = fact.name;
    event.text = to_text(fact.capacity);
  }
  void operator()(const NodesLost& fact) {
    for (const NodeId node : fact.nodes)
      at_node(fact.left ? "node.left" : "node.lost", node, fact.reason);
  }
  void operator()(const NodesDrained& fact) {
    for (const NodeId node : fact.nodes) {
      Event& event = at_node(fact.drain ? "node.drained" : "node.undrained", node, fact.reason);
      if (fact.deadline != TimePoint{})
        event.numbers["deadline_us"] = fact.deadline.time_since_epoch().count();
      if (fact.by_check)
        event.name = "check";
    }
  }
  void operator()(const NodesLabelled& fact) {
    for (const NodeId node : fact.nodes)
      at_node("node.labelled", node, joined(fact.labels));
  }
  void operator()(const NodesRemoved& fact) {
    for (const NodeId node : fact.nodes)
      at_node("node.removed", node);
  }
  void operator()(const JobsSubmitted& fact) {
    for (std::size_t from = 0, to = 0; from < fact.specs.size(); from = to) {
      const std::string& queue = teller.queues_.of(JobId(fact.first.value + from));
      while (++to < fact.specs.size() && teller.queues_.of(JobId(fact.first.value + to)) == queue)
        ;
      submitted(JobId(fact.first.value + from), std::span(fact.specs).subspan(from, to - from));
    }
  }
  /// Jobs of one queue.
  void submitted(JobId first, std::span<const Raw> specs) {
    Event& event = add("job.submitted", first);
    event.numbers["jobs"] = static_cast<std::int64_t>(specs.size());
    if (specs.size() == 1)
      event.name = name_in(specs.front());
    // Those of one submission share it.
    event.correlation = codec::text_in(specs.front().msgpack, "correlation");
  }
  void operator()(const TasksPlaced& fact) {
    for (const auto& placement : fact.placements) {
      at_node(placement.copy ? "task.copied" : "task.placed", placement.node, {}, placement.job);
      scratch.numbers["tasks"] = static_cast<std::int64_t>(tasks_in(placement.runs));
      scratch.numbers["slots"] = placement.slots;
    }
  }
  void operator()(const TasksFinished& fact) {
    for (const auto& job : fact.jobs)
      finished(job, fact.node);
  }
  void finished(const JobResults& job, NodeId node) {
    std::int64_t good = 0;
    for (const auto& quiet : job.quiet)
      good += quiet.run.count;
    for (const auto& task : job.tasks)
      good += task.cause == Cause::none ? 1 : 0;
    if (good > 0) {
      Event& event = at_node("task.succeeded", node, {}, job.job);
      event.numbers["tasks"] = good;
      if (good == 1 && job.tasks.size() == 1)
        event.numbers["task"] = job.tasks.front().index;
    }
    for (const auto& task : job.tasks) {
      if (task.cause == Cause::none)
        continue;
      Event& event = at_node(task.cause == Cause::superseded ? "task.superseded" : "task.failed",
                             node, task.text, job.job);
      event.name = name_of(task.cause);
      event.numbers = {{"task", task.index}, {"attempt", task.attempt}};
      if (task.cause == Cause::exit_code)
        event.numbers["exit_code"] = task.exit_code;
      else if (task.signal != 0)
        event.numbers["signal"] = task.signal;
    }
  }
  Event& tasks(std::string_view kind, JobId job, const std::vector<TaskRun>& runs,
               std::string_view text) {
    add(kind, job).text = text;
    if (!runs.empty())
      scratch.numbers = {{"tasks", static_cast<std::int64_t>(tasks_in(runs))},
                         {"task", runs.front().first}};
    return scratch;
  }
  void operator()(const TasksRequeued& fact) {
    tasks("task.requeued", fact.job, fact.runs, fact.reason).name = name_of(fact.cause);
  }
  void operator()(const TasksGivenUp& fact) {
    tasks(fact.hold ? "task.held" : "task.given_up", fact.job, fact.runs, fact.reason).name =
      name_of(fact.cause);
  }
  void operator()(const TasksCancelled& fact) {
    tasks(fact.runs.empty() ? "job.cancelled" : "task.cancelled", fact.job, fact.runs, fact.reason);
  }
  void operator()(const TasksRetried& fact) {
    tasks(fact.runs.empty() ? "job.retried" : "task.retried", fact.job, fact.runs, {});
  }
  void operator()(const JobHeld& fact) {
    add(fact.hold ? "job.held" : "job.released", fact.job).text = fact.reason;
  }
  void operator()(const JobsForgotten& fact) {
    for (std::size_t from = 0, to = 0; from < fact.jobs.size(); from = to) {
      while (++to < fact.jobs.size() && fact.jobs[to] == fact.jobs[to - 1].next())
        ;
      add("job.forgotten", fact.jobs[from]).numbers["jobs"] = static_cast<std::int64_t>(to - from);
    }
  }
  void operator()(const LeaseGranted& fact) {
    Event& event = at_node("lease.granted", fact.node, to_text(fact.resources));
    event.name = fact.owner;
    event.queue = fact.queue;
    event.numbers["lease"] = static_cast<std::int64_t>(fact.lease.value);
  }
  void operator()(const LeaseRenewed& fact) {
    add("lease.renewed").numbers["lease"] = static_cast<std::int64_t>(fact.lease.value);
  }
  void operator()(const LeasesEnded& fact) {
    for (const LeaseId lease : fact.leases)
      add(fact.expired ? "lease.expired" : "lease.released").numbers["lease"] =
        static_cast<std::int64_t>(lease.value);
  }
  void operator()(const ConfigChanged& fact) { add("config.changed").text = joined(fact.values); }
  void operator()(const PromiseJudged& fact) {
    Event& event = add(fact.kept ? "sla.recovered" : "sla.breached");
    event.name = fact.promise;
    event.text = fact.measured + ", promised " + fact.promised;
    event.numbers["since_us"] = fact.since.time_since_epoch().count();
  }
  void operator()(const TasksPreempted& fact) {
    Event& event = tasks("task.preempted", fact.job, fact.runs, fact.reason);
    teller.put_name(event.node, fact.node);
    event.name = name_of(fact.cause);
  }
  void operator()(const NodeTuned& fact) {
    Event& event = at_node(fact.closed ? "node.closed" : "node.tuned", fact.node, fact.reason);
    event.numbers["overcommit_milli"] = fact.overcommit_milli;
  }
  void operator()(const TasksAbandoned& fact) {
    at_node("task.abandoned", fact.node, fact.reason, fact.job);
  }
  void operator()(const NodeFlagged& fact) {
    if (fact.flags.empty())
      at_node("node.unflagged", fact.node);
    for (const NodeFlag& flag : fact.flags) {
      Event& event = at_node("node.flagged", fact.node, flag.text);
      event.name = flag.what;
      event.numbers = {{"value_milli", flag.value_milli}, {"usual_milli", flag.usual_milli}};
    }
  }
  void operator()(const NodesQuarantined& fact) {
    const bool lifted = fact.until == TimePoint();
    for (const NodeId node : fact.nodes) {
      Event& event = at_node(lifted ? "node.unquarantined" : "node.quarantined", node, fact.reason);
      if (!lifted)
        event.numbers["until_us"] = fact.until.time_since_epoch().count();
    }
  }
};

void Teller::reset(const core::Changes& changes) {
  names_.clear();
  queues_ = {};
  learn(changes);
}

void Teller::learn(std::span<const core::Change> changes) {
  for (const auto& change : changes) {
    if (const auto* node = core::get_if<core::NodeChanged>(change))
      names_[node->node] = node->name;
    else if (const auto* job = std::get_if<core::JobArrived>(&change))
      queues_.put(job->job, job->kind->queue);
    else if (const auto* again = std::get_if<core::JobReopened>(&change))
      queues_.put(again->job, again->kind->queue);
  }
}

void Teller::put_name(std::string& out, NodeId node) const {
  if (const auto at = names_.find(node); at != names_.end())
    out = at->second;
  else
    out = "node " + std::to_string(node.value);
}

std::vector<Event> Teller::tell(const core::Committed& batch) {
  std::vector<Event> events;
  tell(batch, [&](const Event& event) { events.push_back(event); });
  return events;
}

void Teller::tell(const core::Committed& batch, const Each& each) {
  const auto& ends = batch.change_ends;
  const auto all = static_cast<std::uint32_t>(batch.changes.size());
  std::uint32_t from = 0;
  if (ends.empty())
    learn(batch.changes);
  for (std::size_t i = 0; i < batch.entries.size(); ++i) {
    const bool last = i + 1 == batch.entries.size();
    const std::uint32_t to = last ? all : ends.empty() ? 0 : ends[i];
    const std::span<const core::Change> changes(batch.changes.data() + from, to - from);
    from = to;
    if (!ends.empty())
      learn(changes);
    FactTeller teller{*this, Seq(batch.first.value + i), batch.entries[i].time, each, event_};
    std::visit(teller, batch.entries[i].fact);
    for (const auto& change : changes) {
      if (const auto* gone = std::get_if<core::NodeForgotten>(&change))
        names_.erase(gone->node);
      const auto* ended = std::get_if<core::JobEnded>(&change);
      if (ended == nullptr)
        continue;
      Event& event = teller.add("job.ended", ended->job);
      event.time = ended->at;
      event.name = name_of(ended->state);
      event.numbers["tasks"] = ended->tasks;
      event.correlation = ended->correlation;
      queues_.drop(ended->job); // the whole state that a master starts with does not say it, either
    }
    teller.done();
  }
}

std::vector<std::string> side_topics_of(const Event& event) {
  std::vector<std::string> topics;
  if (event.job)
    topics.push_back("of.job." + std::to_string(event.job.value));
  if (!event.node.empty())
    topics.push_back("of.node." + event.node);
  if (!event.queue.empty())
    topics.push_back("of.queue." + event.queue);
  return topics;
}

bool is_side_topic(std::string_view topic) {
  return topic.starts_with("of.");
}

std::string position_of(const PackedEvent& event, std::uint64_t number) {
  std::string out;
  codec::put_array(out, number > 0 ? 3 : 2);
  codec::put_uint(out, event.seq.value);
  codec::put_uint(out, event.part);
  if (number > 0)
    codec::put_uint(out, number);
  return out;
}

std::string position_of_pack(std::uint64_t number) {
  std::string out;
  codec::put_array(out, 1);
  codec::put_uint(out, number);
  return out;
}

void Ring::add(const EventPack& pack) {
  packs_.push_back({pack.first(), pack.last(), pack.last_part(), pack.count(), pack.bytes()});
  events_ += pack.count();
  while (events_ - packs_.front().count >= most_) {
    events_ -= packs_.front().count;
    packs_.pop_front();
  }
}

std::deque<Ring::Pack>::const_iterator Ring::since(Seq from) const {
  return std::lower_bound(packs_.begin(), packs_.end(), from,
                          [](const Pack& pack, Seq seq) { return pack.last < seq; });
}

std::optional<Replay> replay_from(std::string_view topic) {
  if (topic.size() > 128)
    return std::nullopt;
  for (const auto& [prefix, packed] :
       {std::pair<std::string_view, bool>{"replay.", false}, {"of.past.", true}}) {
    if (!topic.starts_with(prefix))
      continue;
    topic.remove_prefix(prefix.size());
    std::uint64_t seq = 0;
    const auto [end, error] = std::from_chars(topic.data(), topic.data() + topic.size(), seq);
    if (error != std::errc() || end == topic.data() + topic.size() || *end != '.')
      return std::nullopt;
    return Replay{Seq(seq), packed};
  }
  return std::nullopt;
}

} // namespace reeve::events
