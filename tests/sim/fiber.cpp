// See fiber.hpp.
#include "tests/sim/fiber.hpp"

namespace reeve::sim {
namespace {
thread_local Fiber* running = nullptr;
} // namespace

Fiber::Fiber(std::function<void()> body) : body_(std::move(body)) {}

std::shared_ptr<Fiber> Fiber::make(std::function<void()> body) {
  std::shared_ptr<Fiber> fiber(new Fiber(std::move(body)));
  fiber->thread_ = std::thread([raw = fiber.get()] { raw->run(); });
  return fiber;
}

Fiber::~Fiber() {
  kill();
  thread_.join();
}

void Fiber::run() {
  running = this;
  go_.acquire();
  try {
    if (!killed_)
      body_();
  } catch (const Killed&) {
    // its stack is empty now
  }
  body_ = nullptr;
  over_ = true;
  back_.release();
}

void Fiber::resume() {
  if (over_)
    return;
  go_.release();
  back_.acquire();
}

void Fiber::kill() {
  killed_ = true;
  resume();
}

Fiber* Fiber::current() {
  return running;
}

void Fiber::wait() {
  Fiber& self = *running;
  self.back_.release();
  self.go_.acquire();
  if (self.killed_)
    throw Killed{};
}

} // namespace reeve::sim
