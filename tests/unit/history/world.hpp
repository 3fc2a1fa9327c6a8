// A small ledger for these tests: commands in, committed batches out, as the real one makes them.
// And a history.db in a folder of its own.
#pragma once

#include "src/core/cluster.hpp"
#include "src/history/history.hpp"
#include "src/history/schema.hpp"

#include <filesystem>
#include <gtest/gtest.h>
#include <random>
#include <unistd.h>

namespace reeve::history {

class TempFolder {
public:
  TempFolder() {
    std::string pattern =
      (std::filesystem::temp_directory_path() / "reeve-history-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

private:
  std::string path_;
};

class World {
public:
  core::Outcome execute(const core::Command& command) {
    now += std::chrono::milliseconds(1);
    auto outcome = cluster.execute(command, now, open_->changes);
    if (outcome.entry) {
      if (open_->entries.empty())
        open_->first = cluster.last_seq();
      open_->entries.push_back(*outcome.entry);
    }
    return outcome;
  }
  /// Everything since the last call; nothing when nothing was decided.
  core::CommittedPtr commit() {
    if (open_->entries.empty())
      return nullptr;
    return std::exchange(open_, std::make_shared<core::Committed>());
  }
  std::vector<core::CommittedPtr> batches() {
    std::vector<core::CommittedPtr> out;
    if (auto batch = commit())
      out.push_back(std::move(batch));
    return out;
  }

  NodeId add_node(const std::string& name) {
    core::RegisterNode registration;
    registration.name = name;
    registration.incarnation = Incarnation(1);
    registration.capacity.cpu_milli = 1'000'000;
    registration.executors = {"noop", "process"};
    registration.program = "reeve-agent 0.1.0";
    return execute(registration).node;
  }
  JobId submit(JobSpec spec) {
    return execute(core::SubmitJobs{{}, {Raw{encode(spec)}}}).first_job;
  }
  JobId submit(const std::string& name, std::uint32_t tasks = 1, std::uint32_t retries = 0) {
    JobSpec spec;
    spec.name = name;
    spec.user = "ann";
    spec.executor = "noop";
    spec.count = tasks;
    spec.retries = retries;
    return submit(spec);
  }
  void place(NodeId node, JobId job, std::vector<TaskRun> runs) {
    const auto outcome = execute(core::Place{{{node, job, 1, std::move(runs)}}});
    ASSERT_TRUE(outcome.refused.empty()) << outcome.refused[0].error.message();
  }
  void quiet(NodeId node, JobId job, TaskRun run) {
    execute(core::Finish{node, {{job, {{run, now - std::chrono::seconds(1), now}}, {}}}});
  }
  TaskResult result(TaskIndex index, Attempt attempt = 1, Cause cause = Cause::none,
                    std::int32_t code = 0) const {
    TaskResult r;
    r.index = index;
    r.attempt = attempt;
    r.cause = cause;
    r.exit_code = code;
    r.started = now - std::chrono::seconds(2);
    r.ended = now;
    r.usage = {std::chrono::seconds(2), std::chrono::milliseconds(1'500),
               std::chrono::milliseconds(100), 5 << 20};
    return r;
  }
  void finish(NodeId node, JobId job, std::vector<TaskResult> results,
              std::vector<TaskOutput> outputs = {}) {
    execute(core::Finish{node, {{job, {}, std::move(results)}}});
    for (auto& output : outputs)
      open_->outputs.push_back(std::move(output));
  }
  /// A whole job of one task.
  JobId run(NodeId node, const std::string& name, Cause cause = Cause::none,
            std::int32_t code = 0) {
    const JobId job = submit(name);
    place(node, job, {{0, 1, 1}});
    finish(node, job, {result(0, 1, cause, code)});
    return job;
  }

  core::Cluster cluster;
  TimePoint now{Duration(1'700'000'000'000'000)};

private:
  std::shared_ptr<core::Committed> open_ = std::make_shared<core::Committed>();
};

struct Life {
  std::vector<JobId> jobs;
  std::vector<core::CommittedPtr> batches;
};
/// What may happen to a cluster of three nodes: jobs of one to forty tasks of five names, retries,
/// nodes that are lost and come again. `steps`: so many things.
inline Life random_life(World& world, std::mt19937_64& random, int steps) {
  const auto any = [&](std::uint64_t n) { return static_cast<std::uint32_t>(random() % n); };
  Life life;
  std::vector<NodeId> nodes;
  for (const char* name : {"n1", "n2", "n3"})
    nodes.push_back(world.add_node(name));
  auto& [jobs, all] = life;
  for (int step = 0; step < steps; ++step) {
    const JobId job = jobs.empty() ? JobId(0) : jobs[any(jobs.size())];
    const NodeId node = nodes[any(nodes.size())];
    const auto flights = [&] { // of one job on one node
      std::vector<TaskRun> runs;
      if (const core::Job* j = world.cluster.find_job(job); j && j->extra)
        if (const auto at = j->extra->allocations.find(node); at != j->extra->allocations.end())
          runs = at->second.runs;
      return runs;
    };
    switch (any(12)) {
    case 0:
    case 1:
      jobs.push_back(world.submit("job" + std::to_string(any(5)), 1 + any(40), any(3)));
      break;
    case 2:
    case 3:
    case 4: // whatever of a job waits
      if (const core::Job* j = world.cluster.find_job(job); j && j->next < j->count) {
        const auto n = 1 + any(j->count - j->next);
        world.execute(core::Place{{{node, job, 1, {{j->next, n, 1}}}}});
      } else if (j && j->extra) {
        std::vector<TaskRun> runs;
        for (const auto& [first, mark] : j->extra->marks.map())
          if (mark.state == TaskState::pending)
            runs.push_back({first, mark.count, mark.attempt + 1});
        if (!runs.empty())
          world.execute(core::Place{{{node, job, 1, runs}}});
      }
      break;
    case 5:
    case 6:
      for (const TaskRun& run : flights())
        world.quiet(node, job, {run.first, 1 + any(run.count), run.attempt});
      break;
    case 7:
    case 8:
      for (const TaskRun& run : flights())
        world.finish(
          node, job,
          {world.result(run.first, run.attempt, any(2) ? Cause::none : Cause::exit_code, 2)});
      break;
    case 9:
      if (any(4) == 0) {
        world.execute(core::MarkLost{{node}, "test", any(2) == 0});
        world.add_node("n" + std::to_string(node.value));
      }
      break;
    case 10:
      if (any(3) == 0)
        world.execute(core::Cancel{job, {}, "test"});
      else if (any(2) == 0)
        world.execute(core::Retry{job, {}});
      world.now += std::chrono::minutes(any(40));
      break;
    case 11: { // recovery
      core::Changes state;
      world.cluster.describe(state);
      for (const auto& change : state)
        if (const auto* i = std::get_if<core::TasksInterrupted>(&change))
          world.execute(core::Requeue{i->job, i->runs, i->cause, {}, ""});
      break;
    }
    }
    if (any(3) == 0)
      if (auto batch = world.commit())
        all.push_back(std::move(batch));
  }
  if (auto batch = world.commit())
    all.push_back(std::move(batch));
  return life;
}

class WithHistory : public testing::Test {
protected:
  void SetUp() override { reopen(); }
  void reopen() {
    history.reset();
    auto opened = History::open(folder.file("history.db"), block);
    ASSERT_TRUE(opened) << opened.error().message();
    history = std::move(*opened);
  }
  void record() {
    const auto batches = world.batches();
    const auto recorded = history->record(batches);
    ASSERT_TRUE(recorded) << recorded.error().message();
  }
  /// What a program of somebody else reads: rows of `sql`, cells joined by '|'.
  std::vector<std::string> sql(const std::string& text) {
    auto db = sqlite::Database::open(folder.file("history.db"), SQLITE_OPEN_READONLY);
    auto statement = db->prepare(text, false);
    if (!statement) {
      ADD_FAILURE() << statement.error().message();
      return {};
    }
    std::vector<std::string> rows;
    while (statement->next("test").value()) {
      auto& row = rows.emplace_back();
      for (int column = 0; column < statement->columns(); ++column)
        row += (column == 0 ? "" : "|") + std::string(statement->text_at(column));
    }
    return rows;
  }
  HistoryRows query(const QueryHistory& question) {
    auto rows = history->query(question);
    if (!rows) {
      ADD_FAILURE() << rows.error().message();
      return {};
    }
    return *rows;
  }
  /// The cells of one column.
  static std::vector<std::string> column(const HistoryRows& rows, const std::string& name) {
    const auto at = std::find(rows.columns.begin(), rows.columns.end(), name);
    std::vector<std::string> out;
    if (at == rows.columns.end()) {
      ADD_FAILURE() << "no column " << name;
      return out;
    }
    for (const auto& row : rows.rows)
      out.push_back(row[static_cast<std::size_t>(at - rows.columns.begin())]);
    return out;
  }
  TempFolder folder;
  World world;
  std::size_t block = Lists::rows_in_block;
  std::unique_ptr<History> history;
};

using Texts = std::vector<std::string>;

} // namespace reeve::history
