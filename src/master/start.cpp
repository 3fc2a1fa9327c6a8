// See start.hpp.
#include "src/master/start.hpp"

#include "src/deciders/settings.hpp"
#include "src/version.hpp"

#include <cerrno>
#include <filesystem>
#include <spdlog/spdlog.h>
#include <thread>

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

namespace {

constexpr auto open_again_every = std::chrono::milliseconds(500);

/// From an acquired journal and the state it leads to: the entries that begin the reign.
Result<Begun> reign(std::unique_ptr<journal::Journal> journal, core::Cluster cluster, Seq snapshot,
                    Epoch before, const config::MasterOptions& options, const std::string& endpoint,
                    TimePoint now) {
  Begun begun;
  begun.before = cluster.last_seq();
  ledger::Identity identity{options.cluster,
                            options.name,
                            "reeved " + std::string(version),
                            now,
                            deciders::default_settings(),
                            endpoint};
  begun.ledger = std::make_unique<ledger::Ledger>(std::move(identity), std::move(cluster));
  begun.ledger->note_snapshot(snapshot);
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

} // namespace

Result<Begun> begin(std::unique_ptr<journal::Journal> journal, const config::MasterOptions& options,
                    TimePoint now) {
  auto recovered = ledger::recover(*journal);
  if (!recovered)
    return tl::unexpected(recovered.error());
  if (auto good = deciders::check_settings(options.settings, recovered->cluster.config(), "--set ");
      !good)
    return tl::unexpected(good.error());
  const Epoch before = std::max(recovered->cluster.epoch(), journal->epoch());
  if (auto taken = journal->acquire(before.next(), options.name); !taken)
    return tl::unexpected(taken.error());
  auto begun = reign(std::move(journal), std::move(recovered->cluster), recovered->snapshot, before,
                     options, {}, now);
  if (begun)
    begun->replayed = recovered->replayed;
  return begun;
}

std::string endpoint_of(const config::MasterOptions& options, const std::string& bound) {
  if (!options.advertise.empty())
    return options.advertise;
  for (const char* anywhere : {"tcp://0.0.0.0:", "tcp://*:", "tcp://[::]:"})
    if (bound.rfind(anywhere, 0) == 0)
      return "tcp://" + options.name + bound.substr(bound.rfind(':'));
  return bound;
}

Result<std::unique_ptr<journal::EtcdJournal>> open_shared(const config::MasterOptions& options,
                                                          const std::string& endpoint,
                                                          const std::function<bool()>& stop) {
  auto etcd = journal::parse_etcd_url(options.journal);
  if (!etcd)
    return tl::unexpected(etcd.error());
  etcd->tls = {options.etcd_ca, options.etcd_cert, options.etcd_key};
  etcd->endpoint = endpoint;
  if (options.journal_max_bytes > 0)
    etcd->quota_bytes = options.journal_max_bytes;
  for (std::string told; !stop();) {
    auto journal = journal::open_etcd(*etcd);
    if (journal || journal.error().code != Code::io)
      return journal;
    if (told != journal.error().text)
      spdlog::warn("waits for etcd: {}", told = journal.error().text);
    std::this_thread::sleep_for(open_again_every);
  }
  return std::unique_ptr<journal::EtcdJournal>();
}

Result<std::optional<Begun>> take_over(std::unique_ptr<journal::EtcdJournal>& journal,
                                       standby::Follower& follower,
                                       const config::MasterOptions& options,
                                       const std::string& endpoint, TimePoint now) {
  const Epoch seen = std::max(follower.cluster().epoch(), journal->epoch());
  if (auto taken = journal->acquire(seen.next(), options.name); !taken) {
    if (taken.error().code != Code::refused && taken.error().code != Code::unavailable)
      return tl::unexpected(taken.error()); // (unavailable: etcd is full, for everybody)
    spdlog::info("{}", taken.error().message());
    return std::optional<Begun>();
  }
  if (auto finished = follower.finish(); !finished)
    return tl::unexpected(finished.error());
  if (auto good = deciders::check_settings(options.settings, follower.cluster().config(), "--set ");
      !good)
    return tl::unexpected(good.error());
  // The entries may name a higher epoch than the leader's record: of a reign that went on after
  // etcd had been full.
  const Epoch before = std::max(follower.cluster().epoch(), seen);
  auto begun = reign(std::move(journal), std::move(follower.cluster()), follower.snapshot(), before,
                     options, endpoint, now);
  if (!begun)
    return tl::unexpected(begun.error());
  return std::optional<Begun>(std::move(*begun));
}

} // namespace reeve::master
