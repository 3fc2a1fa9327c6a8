// See retell.hpp. The entries are replayed, because what they did to jobs is not in them.
#include "actors/retell.hpp"

#include "src/core/cluster.hpp"

namespace reeve::actors {

Result<Seq> retell(journal::Journal& journal, const std::function<void(Event)>& each) {
  auto snapshot = journal.load_snapshot();
  if (!snapshot)
    return tl::unexpected(snapshot.error());
  core::Cluster cluster;
  if (snapshot->seq) {
    auto restored = core::Cluster::restore(snapshot->bytes);
    if (!restored)
      return tl::unexpected(restored.error());
    cluster = std::move(*restored);
    snapshot->bytes = {};
  }
  events::Teller teller;
  core::Changes known;
  cluster.describe(known);
  teller.reset(known);
  Seq last = snapshot->seq;
  auto read =
    journal.read(snapshot->seq.next(), [&](Seq seq, std::string_view bytes) -> Result<void> {
      auto entry = decode<Entry>(bytes, stored_limits);
      if (!entry)
        return tl::unexpected(entry.error());
      core::Committed batch;
      batch.first = last = seq;
      if (auto replayed = cluster.replay(seq, *entry, batch.changes); !replayed)
        return replayed;
      batch.entries.push_back(std::move(*entry));
      for (auto& event : teller.tell(batch))
        each(std::move(event));
      return {};
    });
  if (!read)
    return tl::unexpected(read.error());
  return last;
}

} // namespace reeve::actors
