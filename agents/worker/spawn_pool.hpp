// The threads that start processes, so that a start (a millisecond, most of it waiting for exec)
// holds up nobody else. Their children are theirs alone: what hangs under the keeper's main thread
// are only orphans that it adopted as subreaper, which is how the keeper sees in one system call
// that a task has left nothing behind. Called by the keeper. Must never end before the last task: a
// thread's children would move to another thread.
#pragma once

#include "agents/worker/spawn.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace reeve::worker {

class SpawnPool {
public:
  SpawnPool(const SpawnContext& context, unsigned threads);
  ~SpawnPool();
  SpawnPool(const SpawnPool&) = delete;
  SpawnPool& operator=(const SpawnPool&) = delete;
  void add(std::vector<SpawnRequest> requests);
  /// Readable when `take` has something.
  [[nodiscard]] int fd() const { return ready_.get(); }
  std::vector<Spawned> take();

private:
  void work();

  SpawnContext context_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<SpawnRequest> waiting_;
  std::vector<Spawned> done_;
  Fd ready_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

} // namespace reeve::worker
