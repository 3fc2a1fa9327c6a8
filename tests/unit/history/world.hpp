// A small ledger for these tests: commands in, committed batches out, as the real one makes them.
// And a history.db in a folder of its own.
#pragma once

#include "src/core/cluster.hpp"
#include "src/history/history.hpp"
#include "src/history/schema.hpp"

#include <filesystem>
#include <gtest/gtest.h>
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
