// Bindings and Assign messages. See sessions.hpp.
#include "src/gateway/sessions.hpp"

namespace reeve::gateway {
namespace {
constexpr unsigned late_beats_max = 3;

std::size_t bytes_of(const ledger::AssignToNode& work) {
  std::size_t bytes =
    32 + work.job.runs.size() * 12 + (work.spec ? work.spec->spec.msgpack.size() + 16 : 0);
  for (const auto* texts : {&work.job.items, &work.job.peers})
    for (const auto& text : *texts)
      bytes += text.size() + 5;
  return bytes;
}

/// Cuts the first tasks with items of about `bytes` off `job`.
AssignedJob cut(AssignedJob& job, std::size_t bytes) {
  AssignedJob head{job.job, job.slots, {}, {}, job.peers};
  std::size_t items = 0, size = 0;
  while (items < job.items.size() && (items == 0 || size < bytes))
    size += job.items[items++].size() + 5;
  head.items.assign(
    std::make_move_iterator(job.items.begin()),
    std::make_move_iterator(job.items.begin() + static_cast<std::ptrdiff_t>(items)));
  job.items.erase(job.items.begin(), job.items.begin() + static_cast<std::ptrdiff_t>(items));
  std::size_t left = items, whole = 0;
  for (; whole < job.runs.size() && left >= job.runs[whole].count; ++whole) {
    left -= job.runs[whole].count;
    head.runs.push_back(job.runs[whole]);
  }
  job.runs.erase(job.runs.begin(), job.runs.begin() + static_cast<std::ptrdiff_t>(whole));
  if (left > 0 && !job.runs.empty()) {
    TaskRun part = job.runs.front();
    part.count = static_cast<std::uint32_t>(left);
    head.runs.push_back(part);
    job.runs.front().first += part.count;
    job.runs.front().count -= part.count;
  }
  return head;
}
} // namespace

void Sessions::bind(const ledger::NodeBound& bound) {
  const NodeId node = bound.reply.node;
  unbind(node);
  if (const auto at = by_peer_.find(bound.peer); at != by_peer_.end())
    unbind(at->second);
  Session session;
  session.peer = bound.peer;
  session.node = node;
  session.session = bound.session;
  session.incarnation = bound.incarnation;
  by_node_.emplace(node, std::move(session));
  by_peer_[bound.peer] = node;
}

Peer Sessions::unbind(NodeId node) {
  const auto at = by_node_.find(node);
  if (at == by_node_.end())
    return 0;
  const Peer peer = at->second.peer;
  by_peer_.erase(peer);
  by_node_.erase(at);
  return peer;
}

Session* Sessions::of_peer(Peer peer) {
  const auto at = by_peer_.find(peer);
  return at == by_peer_.end() ? nullptr : of_node(at->second);
}

Session* Sessions::of_node(NodeId node) {
  const auto at = by_node_.find(node);
  return at == by_node_.end() ? nullptr : &at->second;
}

bool Sessions::assign_is_lost(Session& session, std::uint64_t assign_seen) {
  if (assign_seen >= session.awaited) {
    session.awaited = session.assigned;
    session.late_beats = 0;
    return false;
  }
  if (++session.late_beats <= late_beats_max)
    return false;
  session.late_beats = 0;
  return true;
}

void Sessions::gather(Session& session, ledger::AssignToNode work, std::vector<Assign>& out) {
  std::size_t bytes = bytes_of(work);
  if (session.gathering_bytes > 0 && session.gathering_bytes + bytes > assign_bytes_max)
    flush(session, out);
  if (work.spec) {
    session.gathering.specs.push_back(std::move(*work.spec));
    work.spec.reset();
  }
  while (bytes > assign_bytes_max && work.job.items.size() > 1) {
    session.gathering.jobs.push_back(cut(work.job, assign_bytes_max));
    flush(session, out);
    bytes = bytes_of(work);
  }
  if (!work.job.runs.empty())
    session.gathering.jobs.push_back(std::move(work.job));
  session.gathering_bytes += bytes;
}

void Sessions::flush(Session& session, std::vector<Assign>& out) {
  if (session.gathering.jobs.empty() && session.gathering.specs.empty())
    return;
  session.gathering.session = session.session;
  session.gathering.number = ++session.assigned;
  out.push_back(std::move(session.gathering));
  session.gathering = {};
  session.gathering_bytes = 0;
}

} // namespace reeve::gateway
