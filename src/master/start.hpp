// From a folder to a ledger that reigns: opens the journal, recovers, begins the next epoch.
// Everything here may fail, and says why. Called by main and tests. No actors, no sockets.
#pragma once

#include "src/config/master_options.hpp"
#include "src/ledger/ledger.hpp"
#include "src/ledger/recover.hpp"
#include "src/standby/follower.hpp"

namespace reeve::master {

struct Begun {
  std::unique_ptr<journal::Journal> journal;
  std::unique_ptr<ledger::Ledger> ledger; // everything it has decided is durable
  Seq before;                             // newest entry found
  std::uint64_t replayed = 0;
  std::string torn_tail; // what was cut off, empty: nothing
};

/// Makes the folder. Errors: io, refused (another master has it), corrupt, unknown_version.
Result<std::unique_ptr<journal::Journal>> open_journal(const config::MasterOptions& options);

/// The journal that masters share; waits for etcd until `stop` says so (null then).
Result<std::unique_ptr<journal::EtcdJournal>> open_shared(const config::MasterOptions& options,
                                                          const std::string& endpoint,
                                                          const std::function<bool()>& stop);
/// What the others may know this master by: `--advertise`, else where it listens.
std::string endpoint_of(const config::MasterOptions& options, const std::string& bound);

/// Begins a reign with the state that a standby holds. Nothing when another master was quicker.
/// Errors: as below.
Result<std::optional<Begun>> take_over(std::unique_ptr<journal::EtcdJournal>& journal,
                                       standby::Follower& follower,
                                       const config::MasterOptions& options,
                                       const std::string& endpoint, TimePoint now);

/// Recovers and begins a reign; initial settings are decided in it. Errors: corrupt naming the seq,
/// unavailable (disk full), bad_field (a setting).
Result<Begun> begin(std::unique_ptr<journal::Journal> journal, const config::MasterOptions& options,
                    TimePoint now);

} // namespace reeve::master
