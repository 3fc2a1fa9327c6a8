// The journal of several masters: rows in etcd, one for each append, fenced by the revision of the
// leader's key. Opened by open_etcd, used by the ledger's writer, the standby's follower, tools and
// tests. Safety rests on compares alone, never on a clock or an etcd lease. Must never append
// behind an append whose outcome is not settled.
#pragma once

#include "src/journal/etcd_kv.hpp"
#include "src/journal/etcd_row.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

namespace reeve::journal {

struct EtcdOptions {
  std::vector<std::string> members; // host:port
  std::string cluster = "reeve";
  etcd::Tls tls{};
  std::string endpoint{};                 // of this master, for the others
  std::uint64_t quota_bytes = 8ull << 30; // as etcd's --quota-backend-bytes
  bool heart = true;                      // false: the owner calls `beat` itself, in its own time
};
/// `etcd://host:port,host:port/cluster`; the cluster may be left out. Error: bad_field
/// (--journal).
Result<EtcdOptions> parse_etcd_url(const std::string& url);

/// What one look at etcd shows a standby. May be a little old, never wrong.
struct Look {
  etcd::Leader leader;        // revision 0: nobody has reigned yet
  std::int64_t heartbeat = 0; // revision of the leader's last sign of life, any
  Seq last;                   // of the newest row there
  Seq snapshot;               // newest
  std::vector<Batch> batches; // the next ones, checked, without gap
  bool more = false;          // … and there are more
};

class EtcdJournal final : public Journal {
public:
  /// Tries etcd once. Errors: io (no member answers), corrupt.
  static Result<std::unique_ptr<EtcdJournal>> open(std::shared_ptr<etcd::Kv> kv,
                                                   EtcdOptions options);
  ~EtcdJournal() override;

  /// Takes the reign from the leader that the last `look` (or `open`) showed: refused when somebody
  /// was quicker. From then on a thread beats (`beat`) each `beat_every`.
  Result<void> acquire(Epoch epoch, std::string_view master) override;
  [[nodiscard]] Epoch epoch() const override;
  Result<void> append(std::span<const Batch> batches) override;
  [[nodiscard]] Seq last() const override;
  Result<void> read(Seq from,
                    const std::function<Result<void>(Seq, std::string_view)>& each) override;
  Result<Snapshot> load_snapshot() override;
  Result<void> save_snapshot(const Snapshot& snapshot) override;
  Result<void> truncate(Seq upto) override;
  Result<void> seed(const Snapshot& snapshot) override;
  Result<Health> verify() override;
  Result<std::unique_ptr<Journal>> reader() override;
  Result<void> release() override;
  [[nodiscard]] std::shared_ptr<Pulse> pulse() const override { return pulse_; }

  /// For a standby: the leader, and the batches from `from` on. One round trip to the nearest
  /// member, waiting at most `patience`. `latest`: asks them all, so that nothing committed before
  /// is missing; for the takeover. Errors: io, not_found (`from` was truncated away), corrupt.
  Result<Look> look(Seq from, Duration patience, bool latest = false);

  static constexpr Duration beat_every = std::chrono::milliseconds(200);
  /// When nothing was appended meanwhile, a sign of life for the standbys, and the proof that the
  /// reign lasts. Returns whether it does.
  bool beat();

private:
  EtcdJournal(std::shared_ptr<etcd::Kv> kv, EtcdOptions options, bool read_only);

  [[nodiscard]] Result<void> check_reign(std::string_view doing) const;
  [[nodiscard]] etcd::Compare fence() const;
  /// Sends `txn` until its outcome is known, whatever it takes. Errors: unavailable (etcd is full),
  /// io; nothing has happened then.
  Result<etcd::Answer> settle(const etcd::Txn& txn);
  Result<etcd::Answer> ask(const etcd::Txn& txn) const;
  /// Ops under the fence. Errors: stale_epoch, and those of settle.
  Result<etcd::Answer> fenced(std::vector<etcd::Op> ops);
  Result<void> store(etcd::Row row, Seq last);
  Error deposed(const etcd::Value* leader);
  void confirmed(std::int64_t sent_us);
  Result<void> complete(etcd::Row& row) const;
  Result<Seq> find_cut() const;
  /// What finds the newest entry, and what its answer says.
  [[nodiscard]] std::vector<etcd::Op> find_newest() const;
  static Result<Seq> newest_of(const etcd::Answer& answer);
  Result<std::vector<etcd::Head>> heads() const;
  Result<Snapshot> snapshot_of(const etcd::Head& head) const;
  Result<void> drop_old_snapshots(const std::vector<etcd::Head>& heads);
  Result<void> each_row(Seq from, const std::function<Result<void>(const etcd::Row&)>& each);
  void live();
  void learn(const std::vector<etcd::Value>& leader);

  std::shared_ptr<etcd::Kv> kv_;
  EtcdOptions options_;
  etcd::Keys keys_;
  bool read_only_;
  std::shared_ptr<Pulse> pulse_ = std::make_shared<Pulse>();
  mutable std::mutex mutex_;         // for what `reader` and `epoch` look at
  etcd::Leader leader_;              // as last seen; my own while I reign
  std::string successor_ = "nobody"; // who took the reign from this one
  bool reigns_ = false;
  mutable Seq last_;

  std::mutex heart_mutex_;
  std::condition_variable heart_wake_;
  bool heart_stop_ = false;
  std::thread heart_;
  std::int64_t beat_revision_ = 0; // of the last beat that etcd took
  std::uint64_t beats_ = 0;
};

Result<std::unique_ptr<EtcdJournal>> open_etcd(const EtcdOptions& options);

} // namespace reeve::journal
