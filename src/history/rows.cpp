// See rows.hpp.
#include "src/history/rows.hpp"

#include "src/history/schema.hpp"
#include "src/util/json.hpp"

#include <algorithm>
#include <set>
#include <tuple>

namespace reeve::history {
namespace {

constexpr std::size_t specs_max = 4'096, spec_bytes_max = 4'096;

std::string labels_text(const std::map<std::string, std::string>& labels) {
  return labels.empty() ? std::string() : dump_json(json_detail::write(labels));
}

/// An interruption that no result tells of: the node was lost, or left.
bool without_result(Cause cause) {
  return cause == Cause::lost_node || cause == Cause::drained;
}

} // namespace

SpecInfoPtr Specs::read(const Raw& raw) {
  if (const auto at = known_.find(raw.msgpack); at != known_.end())
    return at->second;
  auto info = std::make_shared<SpecInfo>();
  if (const auto spec = decode<JobSpec>(raw.msgpack)) {
    info->kind = {spec->name, spec->user, spec->queue, spec->executor};
    info->tasks = spec->count;
    info->priority = spec->priority;
    info->labels = labels_text(spec->labels);
    info->correlation = spec->correlation;
  }
  if (raw.msgpack.size() <= spec_bytes_max) {
    if (known_.size() >= specs_max)
      known_.clear();
    known_.emplace(raw.msgpack, info);
  }
  return info;
}

/// What each fact adds.
struct RowBuilder::FactReader {
  RowBuilder& to;
  Seq seq;
  TimePoint time;

  void operator()(const JobsSubmitted& f) const {
    JobId job = f.first;
    for (const Raw& spec : f.specs) {
      to.rows_.jobs.push_back({job, to.specs_.read(spec), time});
      job = job.next();
    }
  }
  void operator()(const TasksFinished& f) const {
    for (const JobResults& job : f.jobs) {
      for (const QuietRun& quiet : job.quiet) {
        RunRow row;
        row.job = job.job;
        row.run = quiet.run;
        row.node = f.node;
        row.recorded = time;
        row.started = quiet.started;
        row.ended = quiet.ended;
        to.add_run(row);
      }
      for (const TaskResult& result : job.tasks) {
        RunRow row;
        row.job = job.job;
        row.run = {result.index, 1, result.attempt};
        row.node = f.node;
        row.cause = result.cause;
        row.recorded = time;
        row.started = result.started;
        row.ended = result.ended;
        row.result = &result;
        to.add_run(row);
      }
    }
  }
  void operator()(const NodeRegistered& f) const {
    to.rows_.names.emplace_back(f.node, f.name);
    NodeRow row = node_row(f.node, "registered", "");
    row.capacity = to_text(f.capacity);
    row.labels = labels_text(f.labels);
    row.program = f.program;
    row.incarnation = f.incarnation;
    to.rows_.nodes.push_back(std::move(row));
  }
  void operator()(const NodesLost& f) const { nodes(f.nodes, f.left ? "gone" : "lost", f.reason); }
  void operator()(const NodesDrained& f) const {
    nodes(f.nodes, f.drain ? "draining" : "undrained", f.reason);
  }
  void operator()(const NodesLabelled& f) const {
    for (const NodeId node : f.nodes) {
      NodeRow row = node_row(node, "labelled", "");
      row.labels = labels_text(f.labels);
      to.rows_.nodes.push_back(std::move(row));
    }
  }
  void operator()(const NodesRemoved& f) const { nodes(f.nodes, "removed", ""); }
  void operator()(const NodesQuarantined& f) const {
    nodes(f.nodes, f.until == TimePoint{} ? "released" : "quarantined", f.reason);
  }
  void operator()(const NodeFlagged& f) const {
    std::string reason;
    for (const NodeFlag& flag : f.flags)
      reason += (reason.empty() ? "" : "; ") + flag.text;
    nodes({f.node}, f.flags.empty() ? "unflagged" : "flagged", reason);
  }
  void operator()(const ConfigChanged& f) const {
    for (const auto& [name, value] : f.values)
      to.rows_.config.push_back({seq, time, name, value});
  }
  template<class F> void operator()(const F&) const {} // adds no row by itself

  [[nodiscard]] NodeRow node_row(NodeId node, const char* state, const std::string& reason) const {
    NodeRow row;
    row.seq = seq;
    row.time = time;
    row.node = node;
    row.state = state;
    row.reason = reason;
    return row;
  }
  void nodes(const std::vector<NodeId>& ids, const char* state, const std::string& reason) const {
    for (const NodeId node : ids)
      to.rows_.nodes.push_back(node_row(node, state, reason));
  }
};

void RowBuilder::add(const core::Committed& batch) {
  const std::size_t first_run = rows_.runs.size();
  std::vector<const core::TasksInterrupted*> told_to_stop;
  Seq seq = batch.first;
  for (const Entry& entry : batch.entries) {
    std::visit(FactReader{*this, seq, entry.time}, entry.fact);
    rows_.earliest = rows_.last ? std::min(rows_.earliest, entry.time) : entry.time;
    rows_.latest = std::max(rows_.latest, entry.time);
    rows_.last = seq;
    seq = seq.next();
  }
  for (const auto& change : batch.changes) {
    if (const auto* ended = std::get_if<core::JobEnded>(&change)) {
      rows_.ends.push_back({ended->job, ended});
    } else if (const auto* reopened = std::get_if<core::JobReopened>(&change)) {
      rows_.ends.push_back({reopened->job, nullptr});
    } else if (const auto* interrupted = std::get_if<core::TasksInterrupted>(&change)) {
      if (without_result(interrupted->cause) && interrupted->node)
        add_interrupted(batch, *interrupted);
      if (interrupted->cause == Cause::preempted || interrupted->cause == Cause::drained)
        told_to_stop.push_back(interrupted);
    }
  }
  if (!told_to_stop.empty())
    say_what_for(first_run, told_to_stop);
  for (const TaskOutput& output : batch.outputs)
    rows_.outputs.push_back(&output);
}

/// An agent knows only that it was told to stop a task: to it that is "cancelled".
void RowBuilder::say_what_for(std::size_t first_run,
                              const std::vector<const core::TasksInterrupted*>& told_to_stop) {
  for (std::size_t r = first_run; r < rows_.runs.size(); ++r) {
    RunRow& row = rows_.runs[r];
    if (row.result == nullptr || row.cause != Cause::cancelled)
      continue;
    for (const auto* change : told_to_stop)
      if (change->job == row.job &&
          std::any_of(change->runs.begin(), change->runs.end(), [&](const TaskRun& run) {
            return run.attempt == row.run.attempt && row.run.first >= run.first &&
                   row.run.first - run.first < run.count;
          }))
        row.cause = change->cause;
  }
}

/// An agent may report such an end itself: then the result is the row.
void RowBuilder::add_interrupted(const core::Committed& batch,
                                 const core::TasksInterrupted& change) {
  std::set<std::pair<TaskIndex, Attempt>> reported;
  for (const Entry& entry : batch.entries)
    if (const auto* finished = std::get_if<TasksFinished>(&entry.fact);
        finished && finished->node == change.node)
      for (const JobResults& job : finished->jobs)
        if (job.job == change.job)
          for (const TaskResult& result : job.tasks)
            reported.emplace(result.index, result.attempt);
  for (const TaskRun& run : change.runs) {
    if (run.count == 1 && reported.contains({run.first, run.attempt}))
      continue;
    RunRow row;
    row.job = change.job;
    row.run = run;
    row.node = change.node;
    row.cause = change.cause;
    row.recorded = change.at;
    add_run(row);
  }
}

/// Adds a row, or lengthens the newest one of the same job and node where this goes on.
void RowBuilder::add_run(RunRow row) {
  while (row.run.count > 0) {
    const std::uint32_t room = block_tasks - row.run.first % block_tasks;
    const std::uint32_t n = std::min(row.run.count, room);
    Open* open = nullptr;
    if (row.result == nullptr) {
      const auto [at, fresh] = open_.try_emplace({row.job, row.node});
      if (!fresh && at->second.row < rows_.runs.size()) {
        RunRow& before = rows_.runs[at->second.row];
        const bool goes_on =
          before.result == nullptr && before.job == row.job && before.node == row.node &&
          before.cause == row.cause && before.run.attempt == row.run.attempt &&
          before.run.first + before.run.count == row.run.first && row.run.first % block_tasks != 0;
        if (goes_on) {
          before.run.count += n;
          before.started = std::min(before.started, row.started);
          before.ended = std::max(before.ended, row.ended);
          before.recorded = std::max(before.recorded, row.recorded);
          row.run.first += n;
          row.run.count -= n;
          continue;
        }
      }
      open = &at->second;
    }
    if (open)
      open->row = rows_.runs.size();
    if (n == row.run.count) {
      rows_.runs.push_back(row);
      return;
    }
    RunRow part = row;
    part.run.count = n;
    rows_.runs.push_back(part);
    row.run.first += n;
    row.run.count -= n;
  }
}

} // namespace reeve::history
