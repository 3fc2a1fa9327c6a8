// The threads that start processes. See spawn_pool.hpp.
#include "agents/worker/spawn_pool.hpp"

#include <csignal>
#include <sys/eventfd.h>

namespace reeve::worker {

SpawnPool::SpawnPool(const SpawnContext& context, unsigned threads)
    : context_(context), ready_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  // All signals stay blocked in these threads: a handler must not run in a child that borrows our
  // memory.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (unsigned k = 0; k < threads; ++k)
    threads_.emplace_back([this] { work(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

SpawnPool::~SpawnPool() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_)
    thread.join();
}

void SpawnPool::add(std::vector<SpawnRequest> requests) {
  const std::size_t n = requests.size();
  {
    const std::lock_guard lock(mutex_);
    for (auto& request : requests)
      waiting_.push_back(std::move(request));
  }
  for (std::size_t k = 0; k < std::min(n, threads_.size()); ++k)
    wake_.notify_one();
}

std::vector<Spawned> SpawnPool::take() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = ::read(ready_.get(), &count, sizeof count);
  const std::lock_guard lock(mutex_);
  return std::exchange(done_, {});
}

void SpawnPool::work() {
  const SpawnStack stack;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
    if (ending_)
      return;
    const SpawnRequest request = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    Spawned spawned = spawn(request, context_, stack);
    lock.lock();
    done_.push_back(std::move(spawned));
    if (done_.size() == 1) { // the keeper takes all at once
      const std::uint64_t one = 1;
      [[maybe_unused]] const ssize_t n = ::write(ready_.get(), &one, sizeof one);
    }
  }
}

} // namespace reeve::worker
