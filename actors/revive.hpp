// How the master finds out that a journal that failed works again: it begins a new reign. An
// EpochStarted entry is appended for real; nothing less proves that the disk has room, and it is
// also the truth: what was decided and not durable is void, as after a restart. Runs on the
// writer's thread. No CAF here.
#pragma once

#include "src/ledger/recover.hpp"

namespace reeve::actors {

struct Revival {
  core::Cluster cluster;                        // as the journal has it, the new reign included
  std::shared_ptr<const core::Committed> proof; // the entry that was appended
};
class Reviver {
public:
  /// Appends EpochStarted{epoch, master}, then recovers the whole state. Errors: those of
  /// Journal::append (nothing was stored) and of recover; try again later. What was appended is not
  /// appended again then: no epoch begins twice, and no entry goes untold.
  Result<Revival> attempt(journal::Journal& journal, Epoch epoch, const std::string& master,
                          TimePoint now);

private:
  std::shared_ptr<const core::Committed> proof_; // appended, and the state not read yet
};

} // namespace reeve::actors
