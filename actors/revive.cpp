// See revive.hpp.
#include "actors/revive.hpp"

namespace reeve::actors {

Result<Revival> revive(journal::Journal& journal, Epoch epoch, const std::string& master,
                       TimePoint now) {
  const Seq seq = journal.last().next();
  const Entry entry{now, EpochStarted{epoch, master}};
  const journal::Batch batch{seq, {encode(entry)}};
  if (auto stored = journal.append({&batch, 1}); !stored)
    return tl::unexpected(stored.error());
  auto recovered = ledger::recover(journal);
  if (!recovered)
    return tl::unexpected(recovered.error());
  auto proof = std::make_shared<core::Committed>();
  proof->first = seq;
  proof->entries.push_back(entry);
  return Revival{std::move(recovered->cluster), std::move(proof)};
}

} // namespace reeve::actors
