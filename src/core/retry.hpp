// What an attempt's bad end costs its task, and whether the job's own rules leave another try. Used
// by apply, which counts, and by recovery, which decides when and where to go on. Pure.
#pragma once

#include "messages/types.hpp"

namespace reeve::core {

struct Kind;

/// What a task has been through since it was submitted or retried by a person.
struct Tally {
  std::uint32_t failures = 0;      // charged to `retries`
  std::uint32_t losses = 0;        // its node was lost
  std::uint32_t troubles = 0;      // its node could not start it
  std::vector<std::uint32_t> uses; // of the job's retry rules, by their place; may be shorter
  std::vector<NodeId> crashes;     // where it was as the node died, each once
  std::int32_t code = 0;           // of the newest end: exit code or signal

  [[nodiscard]] std::uint32_t uses_of(std::size_t rule) const {
    return rule < uses.size() ? uses[rule] : 0;
  }
  bool operator==(const Tally&) const = default;
};

/// An end that is not the task's own doing: no rule, no charge.
constexpr bool is_free(Cause cause) {
  return cause == Cause::drained || cause == Cause::cancelled || cause == Cause::preempted ||
         cause == Cause::node_trouble || cause == Cause::superseded;
}
/// An end of the task's own: what `retries` is about.
constexpr bool is_own(Cause cause) {
  return !is_free(cause) && cause != Cause::none && cause != Cause::lost_node;
}

/// The place of the first of the job's rules that fits; none: `retries` and `lost_retries` hold.
/// `code`: the exit code or the signal.
std::optional<std::size_t> rule_for(const Kind& kind, Cause cause, std::int32_t code);
/// Counts one more end on `node` (0: not known).
void count(Tally& tally, const Kind& kind, Cause cause, std::int32_t code, NodeId node);
/// After it was counted: may the task be tried again, as far as its job says?
bool tries_left(const Tally& tally, const Kind& kind, Cause cause, std::int32_t code);

} // namespace reeve::core
