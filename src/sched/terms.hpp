// Who is near whom: for each wish "near to (or away from) tasks with these labels", how many such
// tasks are in flight on each node, or in each place that nodes name by a label. Owned by
// Scheduler. Knows no resources.
#pragma once

#include "src/core/changes.hpp"

#include <set>
#include <unordered_map>

namespace reeve::sched {

class Terms {
public:
  using Labels = std::map<std::string, std::string>;

  /// A kind of work that waits or is in flight has these wishes. Counted: as often as it is
  /// removed. True: a term is new, so tasks in flight must be counted with `recount`.
  bool add(const core::Kind& kind);
  void remove(const core::Kind& kind);
  [[nodiscard]] bool any() const { return !terms_.empty(); }
  /// `n` tasks more (or less) with these labels on that node.
  /// True: somewhere there are some now and were none before, or none any more.
  bool count(const Labels& job_labels, const core::NodeChanged& node, std::int64_t n);
  void clear_counts();
  /// The node meets the kind's required wishes; with `preferred`, also the others.
  [[nodiscard]] bool meets(const core::Kind& kind, const core::NodeChanged& node,
                           bool preferred) const;
  /// A task of the kind keeps others of its own away from its node (not: from its place).
  [[nodiscard]] static bool keeps_itself_away(const core::Kind& kind);
  [[nodiscard]] static bool matches(const Labels& wanted, const Labels& has);

private:
  struct Term {
    Labels labels;
    std::string within;
    std::uint32_t users = 0;
    std::int64_t total = 0;
    std::unordered_map<std::string, std::int64_t> tasks; // by place
  };
  static std::string name_of(const Affinity& affinity);
  /// Where a node is, for a term; empty: nowhere, it lacks the label.
  static std::string place_of(const std::string& within, const core::NodeChanged& node);
  std::map<std::string, Term> terms_;
};

} // namespace reeve::sched
