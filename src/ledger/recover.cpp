// See recover.hpp.
#include "src/ledger/recover.hpp"

#include "messages/mutant.hpp"
#include "src/ledger/read_entry.hpp"

#include <optional>

namespace reeve::ledger {
namespace {

Error at(const std::string& place, const Error& error) {
  return {error.code == Code::unknown_version ? error.code : Code::corrupt, place, error.message()};
}

} // namespace

Result<Recovered> recover_snapshot(journal::Journal& journal) {
  auto snapshot = journal.load_snapshot();
  if (!snapshot)
    return tl::unexpected<Error>(std::move(snapshot).error());
  Recovered out;
  out.snapshot = snapshot->seq;
  if (snapshot->seq) {
    const std::string place = "snapshot " + std::to_string(snapshot->seq.value);
    auto cluster = core::Cluster::restore(snapshot->bytes);
    if (!cluster)
      return tl::unexpected<Error>(at(place, cluster.error()));
    if (cluster->last_seq() != snapshot->seq)
      return fail(Code::corrupt, place,
                  "holds the state after entry " + std::to_string(cluster->last_seq().value));
    out.cluster = std::move(*cluster);
  }
  return out;
}

namespace {

Result<void> replay_rest(journal::Journal& journal, Recovered& out) {
  core::Changes changes;
  return journal.read(out.snapshot.next(), [&](Seq seq, std::string_view bytes) -> Result<void> {
    if (REEVE_MUTANT(tail_forgotten) && seq == journal.last())
      return {};
    auto entry = read_entry(seq, bytes);
    if (!entry)
      return tl::unexpected<Error>(std::move(entry).error());
    changes.clear();
    ++out.replayed;
    return out.cluster.replay(seq, *entry, changes);
  });
}

} // namespace

Result<Recovered> recover(journal::Journal& journal) {
  for (std::optional<Seq> tried;;) {
    auto recovered = recover_snapshot(journal);
    if (!recovered)
      return recovered;
    const Seq snapshot = recovered->snapshot;
    auto read = replay_rest(journal, *recovered);
    if (read)
      return recovered;
    // Another may have made a newer snapshot meanwhile, and truncated what it makes superfluous.
    if (read.error().code != Code::not_found || (tried && snapshot <= *tried))
      return tl::unexpected<Error>(std::move(read).error());
    tried = snapshot;
  }
}

Result<journal::Snapshot> make_snapshot(journal::Journal& journal) {
  auto recovered = recover(journal);
  if (!recovered)
    return tl::unexpected<Error>(std::move(recovered).error());
  if (!recovered->cluster.last_seq())
    return fail(Code::refused, {}, "the journal is empty");
  return journal::Snapshot{recovered->cluster.last_seq(), recovered->cluster.snapshot()};
}

} // namespace reeve::ledger
