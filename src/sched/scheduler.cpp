// See scheduler.hpp.
#include "src/sched/scheduler.hpp"

#include "messages/mutant.hpp"
#include "src/core/draft.hpp"
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
    std::visit([this](const auto& c) { state_->on(core::unboxed(c)); }, change);
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
  state_->tune(commands);
  return commands;
}

std::optional<TimePoint> Scheduler::next_wake() const {
  std::optional<TimePoint> next = state_->nodes.next_wake();
  if (!state_->timers.empty() && (!next || state_->timers.begin()->at < *next))
    next = state_->timers.begin()->at;
  return next;
}

Result<std::string> Scheduler::would_go(const JobSpec& spec, TimePoint now) {
  state_->clock = std::max(state_->clock, now);
  core::KindTable none;
  const Raw raw{encode(spec)};
  const auto draft = core::Drafter(none).draft(raw);
  if (!draft)
    return tl::unexpected<Error>(draft.error());
  return state_->would_go(draft->kind, draft->count);
}

void Scheduler::pulled(NodeId node) {
  state_->pulled(node);
}

void Scheduler::measured(NodeId node, const Resources& used) {
  state_->measured(node, used);
}

Result<void> Scheduler::check(const Allocate& wanted) const {
  if (const std::string what = state_->lots.over_quota(wanted.owner, wanted.resources);
      !what.empty())
    return fail(Code::refused, "resources", what);
  return {};
}

std::map<std::string, std::int64_t> Scheduler::counts() const {
  std::map<std::string, std::int64_t> out;
  for (const Queue& queue : state_->lots.queues()) {
    out["queue." + queue.name + ".waiting"] = static_cast<std::int64_t>(queue.ready);
    out["queue." + queue.name + ".running"] = queue.running;
  }
  return out;
}

Result<Explained> Scheduler::explain(JobId job, TaskIndex index, TimePoint now) const {
  state_->clock = std::max(state_->clock, now);
  auto explained = state_->explain(job, index);
  if (REEVE_MUTANT(no_reason) && explained)
    explained->summary.clear();
  return explained;
}

} // namespace reeve::sched
