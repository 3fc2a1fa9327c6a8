// See follower.hpp.
#include "src/standby/follower.hpp"

#include "messages/mutant.hpp"
#include "src/ledger/read_entry.hpp"

namespace reeve::standby {
namespace {
using std::chrono::milliseconds;
constexpr Duration finish_patience = std::chrono::seconds(1);
constexpr Duration stagger = milliseconds(150); // between standbys that suspect a silent leader

/// What the next look sets right: etcd does not answer, or has truncated meanwhile what was asked.
Result<void> or_later(Result<void> done) {
  const bool later =
    !done && (done.error().code == Code::io || done.error().code == Code::not_found);
  return later ? Result<void>() : done;
}
} // namespace

Follower::Follower(journal::EtcdJournal& journal, ledger::Recovered recovered,
                   FollowerOptions options)
    : journal_(journal), recovered_(std::move(recovered)), options_(std::move(options)),
      dice_(static_cast<std::mt19937::result_type>(options_.seed)) {
  again();
}

void Follower::again() {
  leader_ = {};
  leader_.revision = -1;
}

bool Follower::dead(TimePoint now) const {
  return trouble_.empty() && leader_.revision >= 0 && suspicion_.dead(now);
}

std::string Follower::reason(TimePoint now) const {
  return (leader_.name.empty() ? "no leader" : leader_.name) + ": " + suspicion_.reason(now);
}

std::string Follower::leader_endpoint() const {
  return leader_.revision <= 0 || leader_.endpoint == options_.endpoint ? "" : leader_.endpoint;
}

DeskView Follower::view(TimePoint now) const {
  const bool reigns = leader_.revision > 0 && !leader_.released;
  return {recovered_.cluster,
          reigns ? leader_.name : "",
          reigns ? leader_.endpoint : "",
          trouble_.empty() ? "etcd: healthy" : "etcd: " + trouble_,
          lag_,
          recovered_.snapshot,
          now - looked_};
}

Result<void> Follower::take(Result<journal::Look> look, TimePoint now) {
  if (looked_ == TimePoint())
    looked_ = now;
  if (!look) {
    if (look.error().code == Code::not_found) // truncated away: I was too far behind
      return or_later(catch_up());
    if (trouble_.empty())
      options_.tell(true, "journal: " + look.error().message());
    trouble_ = look.error().message();
    return look.error().code == Code::corrupt ? tl::unexpected<Error>(look.error())
                                              : Result<void>();
  }
  if (!trouble_.empty()) {
    options_.tell(false, "journal: etcd answers again");
    suspicion_.heartbeat(now); // the leader could not show one
  }
  trouble_.clear();
  looked_ = now;
  if (look->leader.revision != leader_.revision) {
    leader_ = look->leader;
    const bool mine = leader_.endpoint == options_.endpoint; // of a life before this one
    suspicion_.begin(
      leader_.revision == 0 || leader_.released || mine,
      Duration(static_cast<std::int64_t>(dice_() % static_cast<unsigned>(stagger.count() + 1))),
      now);
    if (leader_.revision != 0)
      options_.tell(false, "follows " + leader_.name + " at " + leader_.endpoint + ", epoch " +
                             std::to_string(leader_.epoch.value) +
                             (leader_.released ? ", which has stepped down" : ""));
  }
  if (look->heartbeat > heartbeat_) {
    heartbeat_ = look->heartbeat;
    suspicion_.heartbeat(now);
  }
  return follow(*look);
}

Result<void> Follower::follow(const journal::Look& look) {
  for (const auto& batch : look.batches)
    if (auto replayed = replay(batch); !replayed)
      return replayed;
  const Seq mine = recovered_.cluster.last_seq();
  lag_ = look.last > mine ? look.last.value - mine.value : 0;
  if (look.snapshot > recovered_.snapshot && look.snapshot <= mine)
    return compare_with_snapshot(look.snapshot);
  return {};
}

Result<void> Follower::replay(const journal::Batch& batch) {
  auto committed = std::make_shared<core::Committed>();
  committed->first = batch.first;
  Seq seq = batch.first;
  for (const std::string& bytes : batch.entries) {
    auto entry = ledger::read_entry(seq, bytes);
    if (!entry)
      return tl::unexpected<Error>(std::move(entry).error());
    if (auto replayed = recovered_.cluster.replay(seq, *entry, committed->changes); !replayed)
      return replayed;
    committed->entries.push_back(std::move(*entry));
    seq = seq.next();
  }
  if (options_.committed)
    options_.committed(std::move(committed));
  return {};
}

Result<void> Follower::catch_up() {
  options_.tell(true, "was too far behind: reads the newest snapshot");
  auto recovered = ledger::recover(journal_);
  if (!recovered)
    return tl::unexpected<Error>(std::move(recovered).error());
  recovered_ = std::move(*recovered);
  return {};
}

/// The leader's snapshot and the entries after it must lead to the state that is held here. Reads
/// both to the same entry; nothing is followed meanwhile.
Result<void> Follower::compare_with_snapshot(Seq snapshot) {
  auto theirs = ledger::recover(journal_);
  if (!theirs || theirs->snapshot < snapshot) {
    if (!theirs && theirs.error().code == Code::corrupt)
      return tl::unexpected<Error>(std::move(theirs).error());
    return {}; // etcd trouble: with the next look
  }
  if (auto followed = follow_to(theirs->cluster.last_seq()); !followed)
    return or_later(std::move(followed));
  const bool same = theirs->cluster.state_hash() == recovered_.cluster.state_hash();
  options_.tell(!same, "snapshot " + std::to_string(theirs->snapshot.value) + ": the state here " +
                         (same ? "is the same" : "DIFFERS; the snapshot's is used from now on"));
  recovered_.snapshot = theirs->snapshot;
  if (!same)
    recovered_.cluster = std::move(theirs->cluster);
  return {};
}

/// No entry beyond `end` (which ends a row) is followed.
Result<void> Follower::follow_to(Seq end) {
  while (recovered_.cluster.last_seq() < end) {
    auto look = journal_.look(recovered_.cluster.last_seq().next(), finish_patience, true);
    if (!look)
      return tl::unexpected<Error>(std::move(look).error());
    for (const auto& batch : look->batches)
      if (batch.last() <= end)
        if (auto replayed = replay(batch); !replayed)
          return replayed;
    if (!look->more)
      return {};
  }
  return {};
}

Result<void> Follower::finish() {
  if (REEVE_MUTANT(looks_trusted))
    return {};
  for (int tries = 1;; ++tries) {
    auto followed = follow_to(journal_.last());
    if (followed || followed.error().code != Code::io || tries == 5)
      return followed;
  }
}

} // namespace reeve::standby
