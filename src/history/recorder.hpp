// The thread that SQLite works on: committed batches in, about one transaction a second; questions
// in, answers out, each after everything that was recorded before it was asked. Owned by the
// archivist actor. Reads no clock. Nobody ever waits for it: what it cannot keep up with it drops
// and reads again from the journal.
#pragma once

#include "src/history/history.hpp"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

namespace reeve::history {

struct RecorderOptions {
  std::string path;
  /// Records [history.last() + 1, upto] from the journal, or notes that it is gone. Called on the
  /// recorder's thread.
  std::function<Result<void>(History& history, Seq upto)> refill;
  /// What a person should know: trouble, and its end.
  std::function<void(bool trouble, const std::string& text)> tell;
  Duration flush_every = std::chrono::milliseconds(500);
  Duration retry_every = std::chrono::seconds(1);
  std::size_t weight_max = 500'000; // entries, specifications and results that may wait here
};

class Recorder {
public:
  explicit Recorder(RecorderOptions options);
  ~Recorder(); // records what is queued if that works at once, then joins

  void record(core::CommittedPtr batch);
  /// Runs `work` on the recorder's thread. Its argument is an error when there is no history.
  using Work = std::function<void(Result<History*> history)>;
  void ask(Work work);
  /// Deletes rows from before `cutoff`, a little at a time.
  void sweep(TimePoint cutoff);

private:
  void loop();
  Result<void> open();
  bool record_all(std::vector<core::CommittedPtr>& batches);
  Result<void> fill_up_to(Seq upto);
  void say(const Result<void>& outcome, const std::string& doing);

  RecorderOptions options_;
  // the thread's own
  std::unique_ptr<History> history_;
  std::string trouble_; // what was told last
  unsigned refill_failures_ = 0;
  // shared
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<core::CommittedPtr> batches_;
  std::size_t weight_ = 0;
  std::vector<Work> works_;
  std::optional<TimePoint> cutoff_;
  bool stop_ = false;
  std::thread thread_;
};

} // namespace reeve::history
