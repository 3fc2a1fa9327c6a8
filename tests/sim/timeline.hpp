// Virtual time: what happens when, and what a process is (it lives, is stopped for a while, dies
// and takes its future with it). Used by everything in tests/sim. Never reads a clock.
#pragma once

#include "messages/ids.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace reeve::sim {

using namespace std::chrono_literals;
using Work = std::function<void()>;
constexpr TimePoint time_begin{std::chrono::hours(500'000)};

class Timeline {
public:
  [[nodiscard]] TimePoint now() const { return now_; }
  [[nodiscard]] std::uint64_t events() const { return order_; }
  /// What is due at the same time happens in the order in which it was asked for.
  void at(TimePoint when, Work work) {
    heap_.push_back({std::max(when, now_), ++order_, std::move(work)});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  /// The next thing happens. False: there is none.
  bool step() {
    if (heap_.empty())
      return false;
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Event event = std::move(heap_.back());
    heap_.pop_back();
    now_ = event.at;
    event.work();
    return true;
  }

private:
  struct Event {
    TimePoint at;
    std::uint64_t order = 0;
    Work work;
  };
  static bool later(const Event& a, const Event& b) {
    return a.at != b.at ? a.at > b.at : a.order > b.order;
  }
  std::vector<Event> heap_;
  TimePoint now_ = time_begin;
  std::uint64_t order_ = 0;
};

/// A machine's clocks: both run too fast or too slow, the wall clock is also set now and then.
struct Clock {
  std::int64_t drift_ppm = 0;
  Duration jump{0};
  [[nodiscard]] TimePoint steady(TimePoint t) const {
    return t + (t - time_begin) * drift_ppm / 1'000'000;
  }
  [[nodiscard]] TimePoint wall(TimePoint t) const { return steady(t) + jump; }
  /// When the steady clock will show `shown`, or a moment later.
  [[nodiscard]] TimePoint when(TimePoint shown) const {
    return time_begin + (shown - time_begin) * 1'000'000 / (1'000'000 + drift_ppm) + 2us;
  }
};

class Process {
public:
  explicit Process(Timeline& timeline) : timeline_(timeline) {}
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  virtual ~Process() = default;

  [[nodiscard]] bool alive() const { return alive_; }
  [[nodiscard]] bool runs() const { return alive_ && !stopped(); }
  [[nodiscard]] bool stopped() const { return stopped_until_ > timeline_.now(); }
  /// SIGSTOP now, SIGCONT then. What would have happened meanwhile happens at its end.
  void stop_until(TimePoint then) { stopped_until_ = then; }
  /// Forgotten when the process has died by then.
  void at(TimePoint when, Work work) {
    timeline_.at(when, [this, life = life_, work = std::move(work)]() mutable {
      happen(life, std::move(work));
    });
  }
  void after(Duration wait, Work work) { at(timeline_.now() + wait, std::move(work)); }

protected:
  void born() { alive_ = true; }
  void died() {
    alive_ = false;
    ++life_;
    stopped_until_ = {};
  }
  Timeline& timeline_;

private:
  void happen(std::uint64_t life, Work work) {
    if (!alive_ || life != life_)
      return;
    if (stopped())
      at(stopped_until_, std::move(work));
    else
      work();
  }
  bool alive_ = false;
  std::uint64_t life_ = 0;
  TimePoint stopped_until_{};
};

} // namespace reeve::sim
