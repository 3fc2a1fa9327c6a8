// From stored bytes to a cluster: newest good snapshot, then every entry after it, each checked.
// And the other way: compaction, which replays the journal on the side and makes the next snapshot
// without stopping the ledger. Called by reeved's main, the ledger actor after a failed append,
// `reeve journal` and tests.
#pragma once

#include "src/core/cluster.hpp"
#include "src/journal/journal.hpp"

namespace reeve::ledger {

struct Recovered {
  core::Cluster cluster;
  Seq snapshot;               // it started from; 0: from nothing
  std::uint64_t replayed = 0; // entries after it
};
/// While another appends, makes snapshots and truncates, too: begins again then. Errors: corrupt
/// (names the seq), unknown_version, io.
Result<Recovered> recover(journal::Journal& journal);
/// The newest good snapshot alone, for who reads the entries after it himself; nothing when there
/// is none. Errors as above.
Result<Recovered> recover_snapshot(journal::Journal& journal);

/// A snapshot of the state after the newest durable entry, from a reader of its own. Run it on a
/// thread of its own.
Result<journal::Snapshot> make_snapshot(journal::Journal& journal);

} // namespace reeve::ledger
