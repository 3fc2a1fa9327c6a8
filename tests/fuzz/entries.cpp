// Journal entries: read, written again, applied to a cluster. Entries that do not fit the state are
// called corrupt; those that fit keep every promise.
#include "src/core/cluster.hpp"
#include "src/events/events.hpp"
#include "tests/fuzz/target.hpp"

// Entries, each with its length (two bytes) before it.
REEVE_FUZZ(entries) {
  using namespace reeve;
  core::Cluster cluster;
  events::Teller teller;
  fuzz::Pieces pieces(input);
  for (int n = 0; n < 64 && !pieces.empty(); ++n) {
    const auto entry = decode<Entry>(pieces.piece(), stored_limits);
    if (!entry)
      continue;
    const auto again = decode<Entry>(encode(*entry), stored_limits);
    REQUIRE(again && *again == *entry);
    core::Committed batch;
    batch.first = cluster.last_seq().next();
    if (const auto good = cluster.replay(batch.first, *entry, batch.changes); !good) {
      REQUIRE(good.error().code == Code::corrupt);
      return; // a master would not start
    }
    batch.entries.push_back(*entry);
    for (const auto& event : teller.tell(batch))
      REQUIRE(event.seq <= batch.last());
  }
}
