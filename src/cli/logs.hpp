// What tasks print, read piece by piece through ReadLog: once, or live until they have ended. Used
// by `logs` and `submit --follow`.
#pragma once

#include "src/cli/selector.hpp"
#include "src/cli/session.hpp"

namespace reeve::cli {

/// One stream of one task.
class LogReader {
public:
  LogReader(JobId job, TaskIndex index, Attempt attempt, Stream stream)
      : read_{job, index, attempt, stream, 0, 65'536} {}
  /// What is new since the last call, up to a piece; empty when nothing is. Dropped bytes are told
  /// in the text.
  Result<std::string> next(Client& client);
  [[nodiscard]] bool ended() const { return ended_; } // nothing will follow
  [[nodiscard]] Attempt attempt() const { return read_.attempt; }

private:
  ReadLog read_;
  bool ended_ = false;
};

/// Writes whole lines with a prefix; without one, bytes as they come. Keeps an unfinished line
/// until its end.
class PrefixedWriter {
public:
  PrefixedWriter(std::ostream& out, std::string prefix) : out_(out), prefix_(std::move(prefix)) {}
  void write(const std::string& text);
  void finish();

private:
  std::ostream& out_;
  std::string prefix_, rest_;
};

struct LogWanted {
  JobId job;
  TaskIndex index = 0;
  Attempt attempt = 0; // 0: the last
  bool out = true, err = true;
};
/// Prints what there is now. With `follow`: until the task has ended.
Result<void> print_log(Session& session, Client& client, const LogWanted& wanted,
                       const std::string& prefix, bool follow);
/// Tasks of one job to be followed, those of `tasks` (empty: all).
struct FollowWanted {
  JobId job;
  std::vector<Span> tasks;
  bool out = true, err = true;
};
/// Prints everything that these tasks write, all at once, each line of several with its task in
/// front, until all have ended.
Result<void> follow_tasks(Session& session, Client& client,
                          const std::vector<FollowWanted>& wanted);

} // namespace reeve::cli
