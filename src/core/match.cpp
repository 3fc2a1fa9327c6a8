// See match.hpp.
#include "src/core/match.hpp"

#include <algorithm>
#include <charconv>

namespace reeve::core {
namespace {

std::optional<double> number_in(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    return {};
  return value;
}

std::string list_of(const std::vector<std::string>& values) {
  std::string out;
  for (const std::string& value : values)
    out += (out.empty() ? "" : ", ") + value;
  return out;
}

std::string unmet(const Constraint& c, const std::map<std::string, std::string>& labels) {
  const auto at = labels.find(c.label);
  const bool has = at != labels.end();
  const bool listed =
    has && std::find(c.values.begin(), c.values.end(), at->second) != c.values.end();
  const std::string now = has ? ", it is " + at->second : ", it has none";
  switch (c.op) {
  case LabelOperator::in:
    return listed ? "" : "label " + c.label + " must be one of " + list_of(c.values) + now;
  case LabelOperator::not_in:
    return listed ? "label " + c.label + " must not be one of " + list_of(c.values) + now : "";
  case LabelOperator::exists:
    return has ? "" : "has no label " + c.label;
  case LabelOperator::absent:
    return has ? "must not have the label " + c.label : "";
  case LabelOperator::less:
  case LabelOperator::greater: {
    const auto value = has ? number_in(at->second) : std::nullopt;
    const auto bound = c.values.empty() ? std::nullopt : number_in(c.values.front());
    const bool less = c.op == LabelOperator::less;
    if (value && bound && (less ? *value < *bound : *value > *bound))
      return "";
    return "label " + c.label + " must be " + (less ? "below " : "above ") + list_of(c.values) +
           now;
  }
  }
  return "has a label that cannot be judged";
}

} // namespace

std::string unmet(const Kind& kind, const std::map<std::string, std::string>& labels) {
  for (const auto& [name, value] : kind.node_labels)
    if (const auto at = labels.find(name); at == labels.end() || at->second != value)
      return "has no label " + name + "=" + value;
  for (const Constraint& constraint : kind.constraints)
    if (std::string what = unmet(constraint, labels); !what.empty())
      return what;
  return {};
}

} // namespace reeve::core
