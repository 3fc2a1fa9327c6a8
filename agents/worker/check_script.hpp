// The operator's own check of this machine: a command, run now and then, whose failure keeps work
// away from the node. Owned by the agent's loop, which waits for its descriptors. Must never block.
#pragma once

#include "agents/worker/keeper_fd.hpp"
#include "messages/ids.hpp"

#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace reeve::worker {

struct CheckOptions {
  std::string command; // for /bin/sh; empty: no check
  Duration interval = std::chrono::minutes(1), timeout = std::chrono::seconds(30);
};

/// Exit code 0 is good. Otherwise the last line that it wrote, to either output, is the trouble.
/// One that runs longer than the timeout is killed with all its process group, and in trouble.
class CheckScript {
public:
  CheckScript() = default;
  explicit CheckScript(CheckOptions options) : options_(std::move(options)) {}
  CheckScript(const CheckScript&) = delete;
  CheckScript& operator=(const CheckScript&) = delete;
  ~CheckScript();

  /// Starts a run that is due, reads what a running one writes, takes its end. `now`: steady.
  void turn(TimePoint now);
  /// Of the last run that ended: one line of at most 256 bytes; empty: all is well, or not yet
  /// known.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }
  /// When to call `turn`, unless one of `descriptors` becomes readable before.
  [[nodiscard]] std::optional<TimePoint> wake_at() const;
  [[nodiscard]] std::vector<int> descriptors() const;

private:
  void start(TimePoint now);
  void read_output();
  void take_end();

  CheckOptions options_;
  pid_t pid_ = 0; // 0: none runs
  Fd pidfd_, output_;
  std::string tail_; // of what it wrote
  bool late_ = false;
  TimePoint due_, kill_at_;
  std::string trouble_;
};

} // namespace reeve::worker
