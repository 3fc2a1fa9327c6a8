// How a process becomes the keeper of a state directory: directories, lock, log of the one before,
// limits, signals, detaching. Called by keeper_main. Must never touch a directory whose keeper
// lives.
#pragma once

#include "agents/worker/keeper.hpp"
#include "agents/worker/keeper_fd.hpp"
#include "agents/worker/keeper_log.hpp"

#include <optional>
#include <sys/resource.h>

namespace reeve::worker {

/// Closes what our starter left open besides stdin, stdout and stderr: the keeper outlives it, and
/// whoever waits for the end of a pipe must not wait for us. Before anything of our own is opened.
void close_inherited();

/// Forks: the caller's process waits until `Readiness::tell` and gets its exit code back (the
/// keeper's process gets none).
class Readiness {
public:
  /// In the process that shall not become the keeper: the exit code to return.
  Result<std::optional<int>> detach();
  /// In the keeper: it listens now. Its output goes to `log_path` from here on.
  void tell(const std::string& log_path);

private:
  Fd pipe_;
  bool detached_ = false;
};

struct Prepared {
  Fd lock;
  LogState before;
  rlimit files{}; // as tasks shall have it
};
/// Makes the directories (0700), takes the lock. Errors: refused (another keeper lives there), io.
Result<Prepared> prepare_dir(const std::string& dir);
/// Signals to default and blocked as the loop needs them, subreaper, descriptors, stdin from
/// /dev/null, at most so many processes (0: as many as its starter).
Result<void> prepare_process(Prepared& prepared, std::uint64_t processes);
/// The signals that the loop reads: TERM, INT, CHLD.
Result<Fd> signal_source();

} // namespace reeve::worker
