// See terms.hpp.
#include "src/sched/terms.hpp"

namespace reeve::sched {

std::string Terms::name_of(const Affinity& affinity) {
  std::string out = affinity.within;
  for (const auto& [label, value] : affinity.labels)
    out += '\0' + label + '=' + value;
  return out;
}

std::string Terms::place_of(const std::string& within, const core::NodeChanged& node) {
  if (within.empty())
    return node.name;
  const auto at = node.labels.find(within);
  return at == node.labels.end() ? std::string() : at->second;
}

bool Terms::matches(const Labels& wanted, const Labels& has) {
  for (const auto& [label, value] : wanted)
    if (const auto at = has.find(label); at == has.end() || at->second != value)
      return false;
  return true;
}

bool Terms::add(const core::Kind& kind) {
  bool fresh = false;
  for (const Affinity& affinity : kind.affinity) {
    Term& term = terms_[name_of(affinity)];
    if (term.users++ == 0) {
      term.labels = affinity.labels;
      term.within = affinity.within;
      fresh = true;
    }
  }
  return fresh;
}

void Terms::remove(const core::Kind& kind) {
  for (const Affinity& affinity : kind.affinity) {
    const auto at = terms_.find(name_of(affinity));
    if (at != terms_.end() && --at->second.users == 0)
      terms_.erase(at);
  }
}

bool Terms::count(const Labels& job_labels, const core::NodeChanged& node, std::int64_t n) {
  bool other = false;
  for (auto& [name, term] : terms_) {
    if (!matches(term.labels, job_labels))
      continue;
    other |= term.total == 0 || term.total + n == 0;
    term.total += n;
    if (const std::string place = place_of(term.within, node); !place.empty()) {
      auto& tasks = term.tasks[place];
      other |= tasks == 0 || tasks + n == 0;
      if ((tasks += n) == 0)
        term.tasks.erase(place);
    }
  }
  return other;
}

void Terms::clear_counts() {
  for (auto& [name, term] : terms_) {
    term.total = 0;
    term.tasks.clear();
  }
}

bool Terms::meets(const core::Kind& kind, const core::NodeChanged& node, bool preferred) const {
  for (const Affinity& affinity : kind.affinity) {
    if (!affinity.required && !preferred)
      continue;
    const auto at = terms_.find(name_of(affinity));
    if (at == terms_.end())
      continue;
    const Term& term = at->second;
    const std::string place = place_of(affinity.within, node);
    const bool near = !place.empty() && term.tasks.contains(place);
    if (affinity.away) {
      if (near)
        return false;
      continue;
    }
    // The first of those who want to be near each other may go anywhere that has the label.
    const bool first = term.total == 0 && matches(affinity.labels, kind.labels);
    if (!near && !(first && !place.empty()))
      return false;
  }
  return true;
}

bool Terms::keeps_itself_away(const core::Kind& kind) {
  for (const Affinity& affinity : kind.affinity)
    if (affinity.away && affinity.required && matches(affinity.labels, kind.labels))
      return true;
  return false;
}

} // namespace reeve::sched
