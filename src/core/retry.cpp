// See retry.hpp.
#include "src/core/retry.hpp"

#include "src/core/changes.hpp"

#include <algorithm>

namespace reeve::core {
namespace {

bool rule_fits(const RetryRule& rule, Cause cause, std::int32_t code) {
  if (rule.on == Cause::none)
    return is_own(cause);
  return rule.on == cause &&
         (rule.codes.empty() ||
          std::any_of(rule.codes.begin(), rule.codes.end(), [code](const CodeRange& range) {
            return range.first <= code && code <= range.last;
          }));
}

} // namespace

std::optional<std::size_t> rule_for(const Kind& kind, Cause cause, std::int32_t code) {
  for (std::size_t i = 0; i < kind.retry.size(); ++i)
    if (rule_fits(kind.retry[i], cause, code))
      return i;
  return std::nullopt;
}

void count(Tally& tally, const Kind& kind, Cause cause, std::int32_t code, NodeId node) {
  tally.code = code;
  const auto rule = rule_for(kind, cause, code);
  if (rule) {
    if (tally.uses.size() <= *rule)
      tally.uses.resize(*rule + 1);
    ++tally.uses[*rule];
  }
  if (rule ? kind.retry[*rule].charged : is_own(cause))
    ++tally.failures;
  if (cause == Cause::node_trouble)
    ++tally.troubles;
  if (cause != Cause::lost_node)
    return;
  ++tally.losses;
  if (node && std::find(tally.crashes.begin(), tally.crashes.end(), node) == tally.crashes.end())
    tally.crashes.push_back(node);
}

bool tries_left(const Tally& tally, const Kind& kind, Cause cause, std::int32_t code) {
  if (const auto at = rule_for(kind, cause, code)) {
    const RetryRule& rule = kind.retry[*at];
    return tally.uses_of(*at) <= rule.tries && (!rule.charged || tally.failures <= kind.retries);
  }
  if (cause == Cause::lost_node)
    return tally.losses <= kind.lost_retries;
  return is_free(cause) || tally.failures <= kind.retries;
}

} // namespace reeve::core
