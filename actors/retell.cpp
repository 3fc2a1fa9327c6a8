// See retell.hpp. The entries are replayed, because what they did to jobs is not in them.
#include "actors/retell.hpp"

#include "src/ledger/recover.hpp"

namespace reeve::actors {

Result<Seq> retell(journal::Journal& journal, const events::Teller::Each& each) {
  auto recovered = ledger::recover_snapshot(journal);
  if (!recovered)
    return tl::unexpected(recovered.error());
  core::Cluster& cluster = recovered->cluster;
  const Seq snapshot = recovered->snapshot;
  events::Teller teller;
  core::Changes known;
  cluster.describe(known);
  teller.reset(known);
  Seq last = snapshot;
  auto read = journal.read(snapshot.next(), [&](Seq seq, std::string_view bytes) -> Result<void> {
    auto entry = decode<Entry>(bytes, stored_limits);
    if (!entry)
      return tl::unexpected(entry.error());
    core::Committed batch;
    batch.first = last = seq;
    if (auto replayed = cluster.replay(seq, *entry, batch.changes); !replayed)
      return replayed;
    batch.entries.push_back(std::move(*entry));
    teller.tell(batch, each);
    return {};
  });
  if (!read)
    return tl::unexpected(read.error());
  return last;
}

} // namespace reeve::actors
