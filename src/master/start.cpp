// See start.hpp.
#include "src/master/start.hpp"

#include "src/deciders/settings.hpp"
#include "src/version.hpp"

#include <cerrno>
#include <filesystem>

namespace reeve::master {

Result<std::unique_ptr<journal::Journal>> open_journal(const config::MasterOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(options.state, error);
  if (error)
    return fail(Code::io, "--state", "cannot make " + options.state + ": " + error.message());
  if (options.journal == "memory")
    return journal::open_memory(journal::make_memory_store());
  journal::SqliteOptions sqlite;
  sqlite.path = (std::filesystem::path(options.state) / "journal.db").string();
  sqlite.max_bytes = options.journal_max_bytes;
  sqlite.lay_out_log = sqlite.max_bytes == 0;
  return journal::open_sqlite(sqlite);
}

Result<Begun> begin(std::unique_ptr<journal::Journal> journal, const config::MasterOptions& options,
                    TimePoint now) {
  auto recovered = ledger::recover(*journal);
  if (!recovered)
    return tl::unexpected(recovered.error());
  Begun begun;
  begun.before = recovered->cluster.last_seq();
  begun.replayed = recovered->replayed;
  if (auto good = deciders::check_settings(options.settings, recovered->cluster.config(), "--set ");
      !good)
    return tl::unexpected(good.error());
  const Epoch before = std::max(recovered->cluster.epoch(), journal->epoch());
  if (auto taken = journal->acquire(before.next(), options.name); !taken)
    return tl::unexpected(taken.error());
  ledger::Identity identity{options.cluster, options.name, "reeved " + std::string(version), now,
                            deciders::default_settings()};
  begun.ledger =
    std::make_unique<ledger::Ledger>(std::move(identity), std::move(recovered->cluster));
  begun.ledger->note_snapshot(recovered->snapshot);
  begun.ledger->begin(now, before);
  if (!options.settings.empty())
    if (auto refused = begun.ledger->wish(core::ChangeConfig{options.settings}, now); refused.error)
      return tl::unexpected(*refused.error);
  while (begun.ledger->has_batches()) {
    const auto batches = begun.ledger->take_batches();
    if (batches.empty())
      break;
    if (auto stored = journal->append(batches); !stored)
      return tl::unexpected(stored.error());
    begun.ledger->durable(batches.back().last());
  }
  begun.journal = std::move(journal);
  return begun;
}

} // namespace reeve::master
