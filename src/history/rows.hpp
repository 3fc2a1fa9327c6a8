// What a committed batch adds to the history, as rows that are not yet written. Pure: the same
// batches give the same rows. Neighbouring tasks that ended alike share a row. Used by History.
#pragma once

#include "src/core/changes.hpp"

#include <deque>
#include <memory>
#include <unordered_map>

namespace reeve::history {

struct KindKey {
  std::string name, user, queue, executor;
  auto operator<=>(const KindKey&) const = default;
};
/// What the history keeps of a job's specification; shared by jobs with the same one.
struct SpecInfo {
  KindKey kind;
  std::uint32_t tasks = 1;
  std::int32_t priority = 0;
  std::string labels; // a JSON object; empty: none
  std::string correlation;
};
using SpecInfoPtr = std::shared_ptr<const SpecInfo>;

struct JobRow {
  JobId job;
  SpecInfoPtr spec;
  TimePoint submitted;
};
struct RunRow {
  JobId job;
  TaskRun run;
  NodeId node;
  Cause cause = Cause::none;
  TimePoint recorded;                 // the ledger's time
  TimePoint started, ended;           // the node's; 0: unknown
  const TaskResult* result = nullptr; // what the node said of this one task, if it did
};
struct NodeRow {
  Seq seq;
  TimePoint time;
  NodeId node;
  std::string state, reason, capacity, labels, program;
  Incarnation incarnation;
};
struct ConfigRow {
  Seq seq;
  TimePoint time;
  std::string name, value;
};
struct EndRow {
  JobId job;
  const core::JobEnded* end = nullptr; // none: it runs again, its former end is void
};

/// Everything that several batches add, in the order of the journal. Points into the batches.
struct Rows {
  std::vector<JobRow> jobs;
  std::vector<EndRow> ends;
  std::vector<RunRow> runs;
  std::vector<NodeRow> nodes;
  std::vector<ConfigRow> config;
  std::vector<std::pair<NodeId, std::string>> names;
  std::vector<const TaskOutput*> outputs;
  Seq last;
  TimePoint earliest, latest; // times of the entries
};

/// Reads specifications; the same bytes once only.
class Specs {
public:
  SpecInfoPtr read(const Raw& spec);

private:
  std::unordered_map<std::string, SpecInfoPtr> known_;
};

class RowBuilder {
public:
  explicit RowBuilder(Specs& specs) : specs_(specs) {}
  void add(const core::Committed& batch);
  [[nodiscard]] Rows& rows() { return rows_; }

private:
  struct FactReader;
  void add_run(RunRow row);
  void say_what_for(std::size_t first_run,
                    const std::vector<const core::TasksInterrupted*>& told_to_stop);
  void add_interrupted(const core::Committed& batch, const core::TasksInterrupted& change);

  Specs& specs_;
  Rows rows_;
  struct Open { // the last row of a (job, node, attempt) that may grow
    std::size_t row = 0;
  };
  struct OpenKey {
    JobId job;
    NodeId node;
    bool operator==(const OpenKey&) const = default;
  };
  struct OpenHash {
    std::size_t operator()(const OpenKey& key) const noexcept {
      return (static_cast<std::size_t>(key.job.value) * 0x9E3779B97F4A7C15ULL) ^ key.node.value;
    }
  };
  std::unordered_map<OpenKey, Open, OpenHash> open_;
};

} // namespace reeve::history
