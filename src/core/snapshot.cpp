// The whole state as bytes and back, the same bytes for the same state: everything is written in id
// or name order. A list of msgpack values, each with its length before it, so that a million jobs
// load without one huge message. See cluster.hpp.
#include "src/core/state.hpp"

#include <cstring>
#include <xxhash.h>

namespace reeve::core {
namespace {

constexpr std::uint32_t snapshot_version = 2;

struct Head {
  static constexpr bool as_array = true;
  std::uint32_t version = snapshot_version;
  Seq seq;
  Epoch epoch;
  std::string master;
  NodeId newest_node;
  JobId newest_job;
  LeaseId newest_lease;
  std::map<std::string, std::string> config;
  Totals totals;
  std::uint64_t kinds = 0, nodes = 0, leases = 0, jobs = 0;
  std::vector<std::string> broken;
  template<class V> static void fields(V& v) {
    v("version", &Head::version, {.required = true});
    v("seq", &Head::seq);
    v("epoch", &Head::epoch);
    v("master", &Head::master);
    v("newest_node", &Head::newest_node);
    v("newest_job", &Head::newest_job);
    v("newest_lease", &Head::newest_lease);
    v("config", &Head::config);
    v("totals", &Head::totals);
    v("kinds", &Head::kinds);
    v("nodes", &Head::nodes);
    v("leases", &Head::leases);
    v("jobs", &Head::jobs);
    v("broken", &Head::broken);
  }
};
struct StoredNode {
  static constexpr bool as_array = true;
  NodeId id;
  std::string name;
  NodeState state = NodeState::up;
  bool draining = false;
  std::string reason;
  Incarnation incarnation;
  Resources capacity;
  std::map<std::string, std::string> labels, set_labels;
  std::vector<std::string> executors;
  std::string program;
  TimePoint registered, since, quarantined;
  std::uint32_t overcommit_milli = 1000;
  bool closed = false;
  TimePoint drain_deadline;
  bool drained_by_check = false;
  std::vector<NodeFlag> flags;
  bool pulls = false;
  template<class V> static void fields(V& v) {
    v("id", &StoredNode::id);
    v("name", &StoredNode::name);
    v("state", &StoredNode::state);
    v("draining", &StoredNode::draining);
    v("reason", &StoredNode::reason);
    v("incarnation", &StoredNode::incarnation);
    v("capacity", &StoredNode::capacity);
    v("labels", &StoredNode::labels);
    v("set_labels", &StoredNode::set_labels);
    v("executors", &StoredNode::executors);
    v("program", &StoredNode::program);
    v("registered", &StoredNode::registered);
    v("since", &StoredNode::since);
    v("quarantined", &StoredNode::quarantined);
    v("overcommit_milli", &StoredNode::overcommit_milli);
    v("closed", &StoredNode::closed);
    v("drain_deadline", &StoredNode::drain_deadline);
    v("drained_by_check", &StoredNode::drained_by_check);
    v("flags", &StoredNode::flags);
    v("pulls", &StoredNode::pulls);
  }
};
struct StoredLease {
  static constexpr bool as_array = true;
  LeaseId id;
  NodeId node;
  std::string owner;
  Resources resources;
  TimePoint granted, expires;
  Bytes key;
  std::string queue;
  std::vector<Limit> limits;
  template<class V> static void fields(V& v) {
    v("id", &StoredLease::id);
    v("node", &StoredLease::node);
    v("owner", &StoredLease::owner);
    v("resources", &StoredLease::resources);
    v("granted", &StoredLease::granted);
    v("expires", &StoredLease::expires);
    v("key", &StoredLease::key);
    v("queue", &StoredLease::queue);
    v("limits", &StoredLease::limits);
  }
};
struct StoredMark {
  static constexpr bool as_array = true;
  TaskIndex first = 0;
  Mark mark;
  bool operator==(const StoredMark&) const = default;
  template<class V> static void fields(V& v) {
    v("first", &StoredMark::first);
    v("mark", &StoredMark::mark);
  }
};
struct StoredFlight {
  static constexpr bool as_array = true;
  NodeId node;
  std::uint32_t slots = 0;
  std::vector<TaskRun> runs;
  bool operator==(const StoredFlight&) const = default;
  template<class V> static void fields(V& v) {
    v("node", &StoredFlight::node);
    v("slots", &StoredFlight::slots);
    v("runs", &StoredFlight::runs);
  }
};
struct StoredJob { // the common part first: trailing defaults take no bytes
  static constexpr bool as_array = true;
  JobId id;
  std::uint32_t kind = 0; // index into the kinds before
  Bytes spec;
  TimePoint submitted;
  std::uint32_t count = 0;
  std::uint64_t key_low = 0, key_high = 0;
  std::uint32_t batch = 0;
  TaskIndex next = 0;
  bool held = false, cancelling = false, ended = false;
  std::vector<StoredFlight> flights;
  std::vector<StoredMark> marks;
  std::uint32_t succeeded = 0;
  TimePoint started, end;
  std::int32_t exit_code = 0;
  std::vector<TaskRun> stopping;
  std::vector<std::string> items;
  std::string reason;
  std::vector<TaskRun> yielding, blocked;
  std::vector<Dependency> after;
  std::vector<TaskRun> moving, copied, beaten;
  template<class V> static void fields(V& v) {
    v("id", &StoredJob::id);
    v("kind", &StoredJob::kind);
    v("spec", &StoredJob::spec);
    v("submitted", &StoredJob::submitted);
    v("count", &StoredJob::count);
    v("key_low", &StoredJob::key_low);
    v("key_high", &StoredJob::key_high);
    v("batch", &StoredJob::batch);
    v("next", &StoredJob::next);
    v("held", &StoredJob::held);
    v("cancelling", &StoredJob::cancelling);
    v("ended", &StoredJob::ended);
    v("flights", &StoredJob::flights);
    v("marks", &StoredJob::marks);
    v("succeeded", &StoredJob::succeeded);
    v("started", &StoredJob::started);
    v("end", &StoredJob::end);
    v("exit_code", &StoredJob::exit_code);
    v("stopping", &StoredJob::stopping);
    v("items", &StoredJob::items);
    v("reason", &StoredJob::reason);
    v("yielding", &StoredJob::yielding);
    v("blocked", &StoredJob::blocked);
    v("after", &StoredJob::after);
    v("moving", &StoredJob::moving);
    v("copied", &StoredJob::copied);
    v("beaten", &StoredJob::beaten);
  }
};

template<class T> void put(std::string& out, const T& value) {
  const std::size_t at = out.size();
  out.append(4, '\0');
  encode_to(out, value);
  const auto size = static_cast<std::uint32_t>(out.size() - at - 4);
  std::memcpy(out.data() + at, &size, 4);
}

class In {
public:
  explicit In(std::string_view bytes) : rest_(bytes) {}
  template<class T> Result<T> take() {
    std::uint32_t size = 0;
    if (rest_.size() < 4)
      return fail(Code::corrupt, "snapshot", "ends too early");
    std::memcpy(&size, rest_.data(), 4);
    if (rest_.size() - 4 < size)
      return fail(Code::corrupt, "snapshot", "ends too early");
    auto value = decode<T>(rest_.substr(4, size), stored_limits);
    rest_.remove_prefix(4 + size);
    if (!value)
      return fail(Code::corrupt, "snapshot", value.error().message());
    return value;
  }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

private:
  std::string_view rest_;
};

} // namespace

std::string Cluster::snapshot() const {
  const State& s = *state_;
  std::string out;
  std::map<std::string_view, const KindEntry*> kinds; // in the order of their encoded form
  for (const auto& [key, entry] : s.kinds)
    kinds.emplace(key, &entry);
  Head head{snapshot_version, s.seq,
            s.epoch,          s.master,
            s.newest_node,    s.jobs.newest(),
            s.newest_lease,   s.config,
            s.totals,         kinds.size(),
            s.nodes.size(),   s.leases.size(),
            s.jobs.size(),    {s.broken.begin(), s.broken.end()}};
  put(out, head);
  std::unordered_map<const KindEntry*, std::uint32_t> index;
  for (const auto& [key, entry] : kinds) {
    index.emplace(entry, static_cast<std::uint32_t>(index.size()));
    put(out, Bytes{entry->sample});
  }
  for (const auto& [id, n] : s.nodes)
    put(out, StoredNode{id,          n.name,           n.state,
                        n.draining,  n.reason,         n.incarnation,
                        n.capacity,  n.labels,         n.set_labels,
                        n.executors, n.program,        n.registered,
                        n.since,     n.quarantined,    n.overcommit_milli,
                        n.closed,    n.drain_deadline, n.drained_by_check,
                        n.flags,     n.pulls});
  for (const auto& [id, l] : s.leases)
    put(out, StoredLease{id, l.node, l.owner, l.resources, l.granted, l.expires, l.key, l.queue,
                         l.limits});
  s.jobs.each([&](JobId id, const Job& job) {
    StoredJob stored;
    stored.id = id;
    stored.kind = index.at(job.kind);
    stored.spec.data = std::string(job.spec.view());
    stored.submitted = job.submitted;
    stored.count = job.count;
    stored.key_low = job.key.low;
    stored.key_high = job.key.high;
    stored.batch = job.batch;
    stored.next = job.next;
    stored.held = job.held;
    stored.cancelling = job.cancelling;
    stored.ended = job.ended;
    if (const JobExtra* extra = job.extra.get()) {
      for (const auto& [node, a] : extra->allocations)
        stored.flights.push_back({node, a.slots, a.runs});
      for (const auto& [first, mark] : extra->marks.map())
        stored.marks.push_back({first, mark});
      stored.succeeded = extra->succeeded;
      stored.started = extra->started;
      stored.end = extra->ended;
      stored.exit_code = extra->exit_code;
      stored.stopping = extra->stopping;
      stored.items = extra->items;
      stored.reason = extra->reason;
      stored.yielding = extra->yielding;
      stored.blocked = extra->blocked;
      stored.after = extra->after;
      stored.moving = extra->moving;
      stored.copied = extra->copied;
      stored.beaten = extra->beaten;
    }
    put(out, stored);
  });
  return out;
}

std::uint64_t Cluster::state_hash() const {
  const std::string bytes = snapshot();
  return XXH3_64bits(bytes.data(), bytes.size());
}

Result<Cluster> Cluster::restore(std::string_view bytes) {
  In in(bytes);
  auto head = in.take<Head>();
  if (!head)
    return tl::unexpected<Error>(head.error());
  if (head->version != snapshot_version)
    return fail(Code::unknown_version, "snapshot",
                "has version " + std::to_string(head->version) + "; this program reads " +
                  std::to_string(snapshot_version));
  Cluster cluster;
  State& s = *cluster.state_;
  s.seq = head->seq;
  s.epoch = head->epoch;
  s.master = head->master;
  s.newest_node = head->newest_node;
  s.newest_lease = head->newest_lease;
  s.config = head->config;
  s.totals = head->totals;
  s.broken = {head->broken.begin(), head->broken.end()};
  std::vector<KindEntry*> kinds;
  for (std::uint64_t i = 0; i < head->kinds; ++i) {
    const auto sample = in.take<Bytes>();
    if (!sample)
      return tl::unexpected<Error>(sample.error());
    const Raw spec{sample->data};
    const auto draft = Drafter(s.kinds).draft(spec);
    if (!draft)
      return fail(Code::corrupt, "snapshot", "a kind: " + draft.error().message());
    kinds.push_back(s.intern(*draft));
    kinds.back()->jobs = 0;
  }
  for (std::uint64_t i = 0; i < head->nodes; ++i) {
    auto n = in.take<StoredNode>();
    if (!n)
      return tl::unexpected<Error>(n.error());
    Node& node = s.nodes[n->id];
    node.id = n->id;
    node.name = n->name;
    node.state = n->state;
    node.draining = n->draining;
    node.reason = n->reason;
    node.incarnation = n->incarnation;
    node.capacity = n->capacity;
    node.labels = n->labels;
    node.set_labels = n->set_labels;
    node.executors = n->executors;
    node.program = n->program;
    node.registered = n->registered;
    node.since = n->since;
    node.quarantined = n->quarantined;
    node.overcommit_milli = n->overcommit_milli;
    node.closed = n->closed;
    node.drain_deadline = n->drain_deadline;
    node.drained_by_check = n->drained_by_check;
    node.flags = n->flags;
    node.pulls = n->pulls;
    s.node_names[n->name] = n->id;
  }
  for (std::uint64_t i = 0; i < head->leases; ++i) {
    auto l = in.take<StoredLease>();
    if (!l)
      return tl::unexpected<Error>(l.error());
    Node* node = s.node(l->node);
    if (!node)
      return fail(Code::corrupt, "snapshot", "a lease names an unknown node");
    node->booked += l->resources;
    ++node->leases;
    s.leases.emplace(l->id, Lease{l->id, l->node, l->owner, l->resources, l->granted, l->expires,
                                  l->key, l->queue, l->limits});
  }
  JobId last;
  for (std::uint64_t i = 0; i < head->jobs; ++i) {
    auto stored = in.take<StoredJob>();
    if (!stored)
      return tl::unexpected<Error>(stored.error());
    if (stored->id <= last || stored->id > head->newest_job || stored->kind >= kinds.size())
      return fail(Code::corrupt, "snapshot", "jobs are out of order");
    last = stored->id;
    Job& job = s.jobs.add(stored->id);
    job.spec = SpecBlob(stored->spec.data);
    job.kind = kinds[stored->kind];
    ++job.kind->jobs;
    job.submitted = stored->submitted;
    job.key = {stored->key_low, stored->key_high};
    job.count = stored->count;
    job.next = stored->next;
    job.batch = stored->batch;
    job.held = stored->held;
    job.cancelling = stored->cancelling;
    job.ended = stored->ended;
    s.keys.add(job.key, stored->id, s.jobs);
    if (stored->started == TimePoint{} && stored->next == 0 && stored->items.empty() &&
        stored->reason.empty() && !stored->ended && stored->after.empty())
      continue;
    JobExtra& extra = job.more();
    for (StoredFlight& f : stored->flights) {
      Node* node = s.node(f.node);
      if (!node)
        return fail(Code::corrupt, "snapshot", "an allocation names an unknown node");
      Allocation& a = extra.allocations[f.node];
      a.slots = f.slots;
      a.runs = std::move(f.runs);
      for (const TaskRun& run : a.runs)
        a.in_flight += run.count;
      extra.assigned += a.in_flight;
      node->tasks += a.in_flight;
      node->jobs.insert(stored->id);
      if (job.kind->kind->exclusive)
        node->exclusive = stored->id;
      node->booked += job.kind->kind->resources * a.slots;
    }
    for (StoredMark& m : stored->marks) {
      extra.held += m.mark.state == TaskState::held ? m.mark.count : 0;
      extra.failed += m.mark.state == TaskState::failed ? m.mark.count : 0;
      extra.cancelled += m.mark.state == TaskState::cancelled ? m.mark.count : 0;
      extra.interrupted += m.mark.state == TaskState::interrupted ? m.mark.count : 0;
      extra.marks.set(m.first, std::move(m.mark));
    }
    extra.succeeded = stored->succeeded;
    extra.started = stored->started;
    extra.ended = stored->end;
    extra.exit_code = stored->exit_code;
    extra.stopping = std::move(stored->stopping);
    extra.items = std::move(stored->items);
    extra.reason = std::move(stored->reason);
    extra.yielding = std::move(stored->yielding);
    extra.blocked = std::move(stored->blocked);
    extra.after = std::move(stored->after);
    extra.moving = std::move(stored->moving);
    extra.copied = std::move(stored->copied);
    extra.beaten = std::move(stored->beaten);
    for (const auto* twice : {&extra.copied, &extra.beaten})
      for (const TaskRun& run : *twice)
        extra.assigned -= run.count;
    if (!extra.blocked.empty())
      for (const Dependency& d : extra.after)
        s.dependents[d.job].push_back({stored->id, d.each});
  }
  s.jobs.each([](JobId, const Job& job) { *job.kind->waiting += job.pending(); });
  s.jobs.start_after(head->newest_job);
  if (!in.empty())
    return fail(Code::corrupt, "snapshot", "goes on after its end");
  return cluster;
}

} // namespace reeve::core
