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
/// Appends EpochStarted{epoch, master}, then recovers the whole state. Errors: those of
/// Journal::append (nothing was stored, try again later) and of recover.
Result<Revival> revive(journal::Journal& journal, Epoch epoch, const std::string& master,
                       TimePoint now);

} // namespace reeve::actors
