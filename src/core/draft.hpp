// Takes submitted specifications apart: what of them makes a job's kind, what is the job's own.
// Most jobs are like one that was there before, so their kind is recognised from a few of their
// bytes and they are never decoded whole. Used by decide and replay.
#pragma once

#include "src/core/job.hpp"

namespace reeve::core {

using KindTable = std::unordered_map<std::string, KindEntry>; // by `JobDraft::key`

/// A job's name with every number in it as '#': what is likely to run alike has the same.
std::string family_of(std::string_view name);

struct JobDraft {
  std::string_view spec;      // encoded, as it was submitted
  std::string without_items;  // the same, encoded again, when it had items
  KindEntry* known = nullptr; // the kind, when the cluster has it …
  std::string key;            // … and when not: equal keys, equal kinds
  KindPtr kind;
  std::uint32_t count = 1;
  std::vector<std::string> items;
  std::vector<Dependency> after;

  [[nodiscard]] std::string_view blob() const {
    return without_items.empty() ? spec : std::string_view(without_items);
  }
  /// For a person: decoded again.
  [[nodiscard]] std::string name() const;
};

class Drafter { // for one submission: kinds that it brings are made once
public:
  explicit Drafter(KindTable& kinds) : kinds_(kinds) {}
  /// `spec` must outlive the draft. Specifications are those that the gateway has checked; one that
  /// could break the state is refused here. Errors name the field below `specs[i]`.
  Result<JobDraft> draft(const Raw& spec);

private:
  KindTable& kinds_;
  std::string key_; // reused
  std::unordered_map<std::string, KindPtr> fresh_;
};

} // namespace reeve::core
