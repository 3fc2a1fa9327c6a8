// See scheduler.hpp.
#include "src/sched/scheduler.hpp"

#include "messages/mutant.hpp"
#include "src/core/draft.hpp"
#include "src/sched/state.hpp"

#include <algorithm>

namespace reeve::sched {

Scheduler::Scheduler() : state_(std::make_unique<State>()) {}
Scheduler::~Scheduler() = default;
Scheduler::Scheduler(Scheduler&&) noexcept = default;
Scheduler& Scheduler::operator=(Scheduler&&) noexcept = default;

void Scheduler::reset(const core::Changes& changes) {
  const TimePoint clock = state_->clock;
  Families families = std::move(state_->families); // what was learned stays true
  std::set<NodeId> suspects = state_->nodes.suspects();
  state_ = std::make_unique<State>();
  state_->clock = clock;
  state_->nodes.suspect(std::move(suspects));
  state_->families = std::move(families);
  apply(changes);
}

void Scheduler::apply(const core::Changes& changes) {
  constexpr std::size_t apart = 16; // changes from one step to the next
  for (std::size_t i = 0; i < changes.size(); ++i) {
    for (int step = 0; step < 3; ++step)
      if (const std::size_t ahead = i + apart * static_cast<std::size_t>(3 - step);
          ahead < changes.size())
        state_->foresee(changes[ahead], step);
    std::visit([this](const auto& c) { state_->on(core::unboxed(c)); }, changes[i]);
  }
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
  state_->copy_stragglers(commands);
  for (const At at : std::exchange(state_->given, {})) { // not before it asks again
    state_->nodes[at].asks = false;
    state_->nodes.touch(at);
  }
  return commands;
}

bool Scheduler::more() const {
  return state_->cut_short;
}

std::size_t Scheduler::places_kept() const {
  return state_->places_kept;
}

std::optional<TimePoint> Scheduler::next_wake() const {
  std::optional<TimePoint> next = state_->nodes.next_wake();
  if (!state_->timers.empty() && (!next || state_->timers.begin()->at < *next))
    next = state_->timers.begin()->at;
  if (!state_->watched_jobs.empty() && (!next || state_->look_for_stragglers < *next))
    next = state_->look_for_stragglers;
  return next;
}

Result<std::vector<std::string>> Scheduler::would_go(const std::vector<JobSpec>& specs,
                                                     const std::vector<std::string>& waits,
                                                     TimePoint now) {
  state_->clock = std::max(state_->clock, now);
  core::KindTable none;
  core::Drafter drafter(none);
  struct Asked {
    core::KindPtr kind;
    std::uint32_t tasks = 1;
    std::string waits, answer;
  };
  std::vector<Asked> asked; // jobs that are alike have one answer
  std::vector<std::string> out;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const Raw raw{encode(specs[i])};
    const auto draft = drafter.draft(raw);
    if (!draft)
      return tl::unexpected<Error>(draft.error());
    const std::string& wait = i < waits.size() ? waits[i] : std::string();
    auto at = std::ranges::find_if(asked, [&](const Asked& a) {
      return a.kind == draft->kind && a.tasks == draft->count && a.waits == wait;
    });
    if (at == asked.end()) {
      if (asked.size() == dry_run_max)
        break;
      asked.push_back(
        {draft->kind, draft->count, wait, state_->would_go(draft->kind, draft->count, wait)});
      at = asked.end() - 1;
    }
    out.push_back(at->answer);
  }
  return out;
}

void Scheduler::pulled(NodeId node) {
  state_->pulled(node);
}

void Scheduler::remember(std::span<const RunTime> past) {
  state_->learned.merge(state_->families.remember(past));
}

void Scheduler::measured(NodeId node, const Resources& used) {
  state_->measured(node, used);
}

void Scheduler::suspect(const std::vector<NodeId>& suspects) {
  state_->nodes.suspect({suspects.begin(), suspects.end()});
}

Result<void> Scheduler::check(const Allocate& wanted, TimePoint now) const {
  state_->clock = std::max(state_->clock, now);
  return state_->check(wanted);
}

std::map<std::string, std::int64_t> Scheduler::counts() const {
  std::map<std::string, std::int64_t> out;
  state_->lots.queues().each([&out](const Queue& queue) {
    out["queue." + queue.name + ".waiting"] = static_cast<std::int64_t>(queue.ready);
    out["queue." + queue.name + ".running"] = queue.running;
  });
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
