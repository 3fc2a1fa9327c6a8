// See scheduler.hpp.
#include "src/sched/scheduler.hpp"

#include "src/sched/state.hpp"

namespace reeve::sched {

Scheduler::Scheduler() : state_(std::make_unique<State>()) {}
Scheduler::~Scheduler() = default;
Scheduler::Scheduler(Scheduler&&) noexcept = default;
Scheduler& Scheduler::operator=(Scheduler&&) noexcept = default;

void Scheduler::reset(const core::Changes& changes) {
  const TimePoint clock = state_->clock;
  Families families = std::move(state_->families); // what was learned stays true
  state_ = std::make_unique<State>();
  state_->clock = clock;
  state_->families = std::move(families);
  apply(changes);
}

void Scheduler::apply(const core::Changes& changes) {
  for (const core::Change& change : changes)
    std::visit([this](const auto& c) { state_->on(c); }, change);
}

void Scheduler::apply(const core::Committed& batch) {
  for (const Entry& entry : batch.entries) {
    state_->clock = std::max(state_->clock, entry.time);
    if (const auto* finished = std::get_if<TasksFinished>(&entry.fact))
      for (const JobResults& results : finished->jobs)
        state_->learn(finished->node, results);
  }
  apply(batch.changes);
}

void Scheduler::refused(std::span<const core::RefusedPlacement> placements) {
  for (const auto& refused : placements)
    state_->refuse(refused);
}

std::vector<core::Command> Scheduler::decide(TimePoint now) {
  state_->wake(now);
  state_->place();
  state_->give_ahead();
  std::vector<core::Command> commands = state_->send();
  state_->preempt(commands);
  return commands;
}

std::optional<TimePoint> Scheduler::next_wake() const {
  std::optional<TimePoint> next = state_->nodes.next_wake();
  if (!state_->timers.empty() && (!next || state_->timers.begin()->at < *next))
    next = state_->timers.begin()->at;
  return next;
}

Result<Explained> Scheduler::explain(JobId job, TaskIndex index, TimePoint now) const {
  state_->clock = std::max(state_->clock, now);
  return state_->explain(job, index);
}

} // namespace reeve::sched
