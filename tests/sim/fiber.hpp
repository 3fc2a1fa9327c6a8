// Code that waits in the middle, in virtual time: the journal in etcd, which asks and waits for the
// answer. It has a thread of its own, and never runs beside anything else: whoever resumes it waits
// until it waits, or ends. Used by the simulated etcd and masters. Reads no clock.
#pragma once

#include <functional>
#include <memory>
#include <semaphore.h>
#include <thread>

namespace reeve::sim {

class Fiber : public std::enable_shared_from_this<Fiber> {
public:
  /// Waits before its beginning.
  static std::shared_ptr<Fiber> make(std::function<void()> body);
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  /// Goes on with it. Nothing, when it is over.
  void resume();
  [[nodiscard]] bool over() const { return over_; }
  /// Ends it where it waits: what is on its stack is given back.
  void kill();

  /// The one that runs; null: none does.
  static Fiber* current();
  /// From inside: until somebody resumes it. Never returns when it is killed.
  static void wait();

private:
  struct Killed {};
  explicit Fiber(std::function<void()> body);
  void run();

  std::function<void()> body_;
  /// Not the standard library's, which spins before it sleeps: here one always waits for the other.
  struct Signal {
    Signal() { ::sem_init(&semaphore, 0, 0); }
    Signal(const Signal&) = delete;
    Signal& operator=(const Signal&) = delete;
    ~Signal() { ::sem_destroy(&semaphore); }
    void release() { ::sem_post(&semaphore); }
    void acquire() {
      while (::sem_wait(&semaphore) != 0) {
      }
    }
    sem_t semaphore{};
  };
  Signal go_, back_;
  bool killed_ = false, over_ = false;
  std::thread thread_;
};

} // namespace reeve::sim
