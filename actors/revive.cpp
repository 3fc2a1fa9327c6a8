// See revive.hpp.
#include "actors/revive.hpp"

#include <utility>

namespace reeve::actors {

Result<Revival> Reviver::attempt(journal::Journal& journal, Epoch epoch, const std::string& master,
                                 TimePoint now) {
  if (!proof_) {
    const Entry entry{now, EpochStarted{epoch, master}};
    const journal::Batch batch{journal.last().next(), {encode(entry)}};
    if (auto stored = journal.append({&batch, 1}); !stored)
      return tl::unexpected(stored.error());
    auto proof = std::make_shared<core::Committed>();
    proof->first = batch.first;
    proof->entries.push_back(entry);
    proof_ = std::move(proof);
  }
  auto recovered = ledger::recover(journal);
  if (!recovered)
    return tl::unexpected(recovered.error());
  return Revival{std::move(recovered->cluster), std::exchange(proof_, {})};
}

} // namespace reeve::actors
