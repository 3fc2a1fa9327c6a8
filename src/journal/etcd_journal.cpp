// Reign, appends and heartbeats. Reading is in etcd_read.cpp, snapshots in etcd_snapshots.cpp. See
// etcd_journal.hpp.
#include "src/journal/etcd_journal.hpp"

#include "messages/mutant.hpp"

#include <cstring>
#include <sys/random.h>

namespace reeve::journal {
namespace {

using namespace etcd;

constexpr std::size_t row_bytes_max = 256u << 10; // of one append; more goes into parts
constexpr Duration call_patience = std::chrono::milliseconds(1'000); // then the next member
constexpr Duration pause_least = std::chrono::milliseconds(20);      // between two tries
constexpr Duration pause_most = std::chrono::milliseconds(200);
constexpr Duration mute_after = std::chrono::seconds(2); // without an answer
constexpr std::uint64_t beats_per_look_at_space = 25;    // 5 s
constexpr std::uint64_t beats_per_compaction = 1'500;    // 5 min
constexpr unsigned full_percent = 75;

Result<Nonce> random_nonce() {
  Nonce nonce{};
  if (::getrandom(nonce.data(), nonce.size(), 0) != static_cast<ssize_t>(nonce.size()))
    return fail(Code::io, {}, "the system gives no random bytes");
  return nonce;
}

} // namespace

Result<EtcdOptions> parse_etcd_url(const std::string& url) {
  constexpr std::string_view scheme = "etcd://";
  const auto bad = [&](const std::string& why) {
    return fail(Code::bad_field, "--journal",
                "must be etcd://host:port,host:port/cluster, got '" + url + "': " + why);
  };
  if (url.rfind(scheme, 0) != 0)
    return bad("it does not begin with etcd://");
  std::string hosts = url.substr(scheme.size());
  EtcdOptions options;
  if (const auto slash = hosts.find('/'); slash != std::string::npos) {
    options.cluster = hosts.substr(slash + 1);
    hosts.resize(slash);
    if (options.cluster.empty() || options.cluster.find('/') != std::string::npos)
      return bad("a cluster's name is not empty and has no slash");
  }
  for (std::size_t at = 0; at <= hosts.size();) {
    const std::size_t comma = std::min(hosts.find(',', at), hosts.size());
    std::string member = hosts.substr(at, comma - at);
    at = comma + 1;
    if (member.empty())
      return bad("a member's name is empty");
    const auto bracket = member.rfind(']');
    const auto colon = member.rfind(':');
    if (colon == std::string::npos || (bracket != std::string::npos && colon < bracket))
      member += ":2379";
    options.members.push_back(std::move(member));
  }
  return options;
}

Result<std::unique_ptr<EtcdJournal>> open_etcd(const EtcdOptions& options) {
  auto kv = connect_etcd(options.members, options.tls);
  if (!kv)
    return tl::unexpected<Error>(std::move(kv).error());
  return EtcdJournal::open(std::shared_ptr<Kv>(std::move(*kv)), options);
}

EtcdJournal::EtcdJournal(std::shared_ptr<Kv> kv, EtcdOptions options, bool read_only)
    : kv_(std::move(kv)), options_(std::move(options)), keys_(options_.cluster),
      read_only_(read_only) {}

EtcdJournal::~EtcdJournal() {
  {
    const std::scoped_lock lock(heart_mutex_);
    heart_stop_ = true;
  }
  heart_wake_.notify_all();
  if (heart_.joinable())
    heart_.join();
}

Result<std::unique_ptr<EtcdJournal>> EtcdJournal::open(std::shared_ptr<Kv> kv,
                                                       EtcdOptions options) {
  std::unique_ptr<EtcdJournal> journal(new EtcdJournal(std::move(kv), std::move(options), false));
  auto answer = journal->ask({.then = {Get{journal->keys_.leader()}}});
  if (!answer)
    return tl::unexpected<Error>(std::move(answer).error());
  journal->learn(answer->found[0]);
  return journal;
}

Result<std::unique_ptr<Journal>> EtcdJournal::reader() {
  return std::unique_ptr<Journal>(new EtcdJournal(kv_, options_, true));
}

void EtcdJournal::learn(const std::vector<Value>& found) {
  Leader leader;
  if (!found.empty())
    if (auto decoded = decode_leader(found[0].value)) {
      leader = std::move(*decoded);
      leader.revision = found[0].modified;
    }
  const std::scoped_lock lock(mutex_);
  if (!reigns_) // else it is mine, whoever reigns by now: another's would lend me his fence
    leader_ = std::move(leader);
}

Epoch EtcdJournal::epoch() const {
  const std::scoped_lock lock(mutex_);
  return leader_.epoch;
}

// ---- reign

Result<void> EtcdJournal::acquire(Epoch epoch, std::string_view master) {
  if (read_only_)
    return fail(Code::refused, {}, "etcd journal: opened for reading only");
  Leader before;
  {
    const std::scoped_lock lock(mutex_);
    before = leader_;
  }
  if (epoch <= before.epoch)
    return fail(Code::refused, "epoch",
                "epoch " + std::to_string(epoch.value) + " is not above " +
                  std::to_string(before.epoch.value) + ", which was already taken");
  auto nonce = random_nonce();
  if (!nonce)
    return tl::unexpected<Error>(std::move(nonce).error());
  Leader mine{epoch, std::string(master), options_.endpoint, *nonce};
  const std::int64_t sent = kv_->steady_us();
  auto answer = settle({.when = {{Compare::modified, keys_.leader(), before.revision}},
                        .then = {Put{keys_.leader(), encode_leader(mine)}},
                        .otherwise = {Get{keys_.leader()}}});
  if (!answer)
    return tl::unexpected<Error>(std::move(answer).error());
  mine.revision = answer->revision;
  if (!answer->succeeded) {
    // Somebody was quicker; or I was, and the answer was lost.
    const auto& found = answer->found[0];
    const auto now = found.empty() ? Result<Leader>(Leader{}) : decode_leader(found[0].value);
    if (!now || now->nonce != mine.nonce)
      return fail(Code::refused, {},
                  "another master has taken the reign: " + (now ? now->name : "unknown"));
    mine.revision = found[0].modified;
  }
  {
    const std::scoped_lock lock(mutex_);
    leader_ = mine;
  }
  // Under the fence: what another appended who has taken the reign since is not to be built upon.
  auto there = fenced(find_newest());
  if (!there)
    return tl::unexpected<Error>(std::move(there).error());
  auto newest = newest_of(*there);
  if (!newest)
    return tl::unexpected<Error>(std::move(newest).error());
  confirmed(sent);
  const std::scoped_lock lock(mutex_);
  last_ = *newest;
  reigns_ = true;
  if (options_.heart && !heart_.joinable())
    heart_ = std::thread([this] { live(); });
  return {};
}

Result<void> EtcdJournal::release() {
  if (auto may = check_reign("stepping down"); !may)
    return may;
  Leader leader;
  {
    const std::scoped_lock lock(mutex_);
    leader = leader_;
  }
  leader.released = true;
  auto done = settle({.when = {fence()},
                      .then = {Put{keys_.leader(), encode_leader(leader)}},
                      .otherwise = {Get{keys_.leader()}}});
  if (!done)
    return tl::unexpected<Error>(std::move(done).error());
  if (!done->succeeded) { // another reigns; or an earlier try came through, and its answer was lost
    const Value* there = done->found[0].empty() ? nullptr : done->found[0].data();
    const auto now = there != nullptr ? decode_leader(there->value) : Result<Leader>(Leader{});
    if (!now || now->nonce != leader.nonce || !now->released)
      return tl::unexpected<Error>(deposed(there));
  }
  pulse_->deposed.store(true);
  const std::scoped_lock lock(mutex_);
  reigns_ = false;
  return {};
}

Result<void> EtcdJournal::check_reign(std::string_view doing) const {
  const std::scoped_lock lock(mutex_);
  if (!reigns_)
    return fail(Code::refused, {}, "etcd journal: no epoch was acquired for " + std::string(doing));
  if (pulse_->deposed.load())
    return fail(Code::stale_epoch, {}, "another master has taken the reign: " + successor_);
  return {};
}

Compare EtcdJournal::fence() const {
  if (REEVE_MUTANT(no_fence))
    return {Compare::created, keys_.leader() + "/nothing", 0};
  const std::scoped_lock lock(mutex_);
  return {Compare::modified, keys_.leader(), leader_.revision};
}

Error EtcdJournal::deposed(const Value* leader) {
  const std::scoped_lock lock(mutex_);
  if (leader != nullptr)
    if (const auto now = decode_leader(leader->value))
      successor_ = now->name + " (epoch " + std::to_string(now->epoch.value) + ")";
  pulse_->deposed.store(true);
  return {Code::stale_epoch, {}, "another master has taken the reign: " + successor_};
}

void EtcdJournal::confirmed(std::int64_t sent_us) {
  std::int64_t before = pulse_->confirmed_us.load();
  while (before < sent_us && !pulse_->confirmed_us.compare_exchange_weak(before, sent_us)) {
  }
}

// ---- transactions

Result<Answer> EtcdJournal::settle(const Txn& txn) {
  bool unknown = false;
  Duration pause = pause_least;
  for (;;) {
    auto answer = kv_->txn(txn, call_patience);
    if (answer)
      return answer;
    const Error& error = answer.error();
    // A try that may still come to life keeps a later refusal from being the last word.
    if (error.code != Code::timed_out && !unknown)
      return fail(error.code == Code::busy ? Code::unavailable : Code::io, {}, error.text);
    unknown = unknown || error.code == Code::timed_out;
    const bool waited = kv_->waits(pause);
    std::unique_lock lock(heart_mutex_);
    if (!waited)
      heart_wake_.wait_for(lock, pause, [&] { return heart_stop_ || pulse_->stop.load(); });
    if (heart_stop_ || pulse_->stop.load())
      return fail(Code::io, {}, "given up, it may or may not be stored: " + error.text);
    pause = std::min(pause * 2, pause_most);
  }
}

/// A question: it may simply be put again.
Result<Answer> EtcdJournal::ask(const Txn& txn) const {
  const std::size_t tries = options_.members.size() + 2;
  for (std::size_t n = 1;; ++n) {
    auto answer = kv_->txn(txn, call_patience);
    if (answer)
      return answer;
    if (answer.error().code != Code::timed_out || n >= tries)
      return fail(Code::io, {}, answer.error().text);
  }
}

Result<Answer> EtcdJournal::fenced(std::vector<Op> ops) {
  auto answer =
    settle({.when = {fence()}, .then = std::move(ops), .otherwise = {Get{keys_.leader()}}});
  if (answer && !answer->succeeded)
    return tl::unexpected<Error>(
      deposed(answer->found[0].empty() ? nullptr : answer->found[0].data()));
  return answer;
}

// ---- appending

Result<void> EtcdJournal::append(std::span<const Batch> batches) {
  if (auto may = check_reign("appending"); !may)
    return may;
  if (auto good = check_order(batches, last_.next()); !good && !REEVE_MUTANT(appends_pipelined))
    return good;
  std::string body;
  for (std::size_t k = 0; k < batches.size();) {
    Row row;
    row.batch.seq = batches[k].first.value;
    row.batch.version = entry_schema_version;
    Seq last;
    do { // what waits goes together, as far as it fits
      if (auto packed = pack(batches[k], body); !packed)
        return packed;
      if (row.batch.count > 0 && row.batch.body.size() + body.size() > row_bytes_max)
        break;
      row.batch.body += body;
      row.batch.count += static_cast<std::int64_t>(batches[k].entries.size());
      row.batches.push_back(static_cast<std::uint32_t>(batches[k].entries.size()));
      last = batches[k].last();
    } while (++k < batches.size());
    row.batch.length = static_cast<std::int64_t>(row.batch.body.size());
    row.batch.crc = row_crc(row.batch.seq, row.batch.count, row.batch.version, row.batch.body);
    if (auto stored = store(std::move(row), last); !stored)
      return stored;
  }
  return {};
}

Result<void> EtcdJournal::store(Row row, Seq last) {
  {
    const std::scoped_lock lock(mutex_);
    row.epoch = leader_.epoch;
    row.nonce = leader_.nonce;
  }
  const Seq first(row.batch.seq);
  if (row.batch.body.size() > row_bytes_max) {
    const std::string_view body = row.batch.body;
    for (std::size_t at = 0; at < body.size(); at += row_bytes_max) {
      auto put =
        fenced({Put{keys_.part(first, row.parts), std::string(body.substr(at, row_bytes_max))}});
      if (!put)
        return tl::unexpected<Error>(std::move(put).error());
      ++row.parts;
    }
  }
  const std::int64_t sent = kv_->steady_us();
  const std::string key = keys_.row(first);
  std::vector<Compare> unchanged{fence(), {Compare::created, key, 0}};
  if (REEVE_MUTANT(no_fence)) // whatever is there
    unchanged.pop_back();
  auto answer = settle({.when = std::move(unchanged),
                        .then = {Put{key, encode_row(row)}},
                        .otherwise = {Get{key}, Get{keys_.leader()}}});
  if (!answer)
    return tl::unexpected<Error>(std::move(answer).error());
  if (answer->succeeded) {
    confirmed(sent);
    last_ = last;
    return {};
  }
  const auto& there = answer->found[0];
  const auto& leader = answer->found[1];
  const auto stored = there.empty() ? Result<Row>(Row{}) : decode_row(first, there[0].value);
  const bool mine = stored && stored->nonce == row.nonce && stored->epoch == row.epoch &&
                    stored->batch.crc == row.batch.crc;
  if (mine) // an earlier try of it came through
    last_ = last;
  if (leader.empty() || leader[0].modified != fence().revision)
    return tl::unexpected<Error>(deposed(leader.empty() ? nullptr : leader.data()));
  if (!mine)
    return fail(Code::corrupt, {},
                "journal entry " + std::to_string(first.value) +
                  ": somebody who does not reign has written it");
  confirmed(sent);
  return {};
}

// ---- the heart

void EtcdJournal::live() {
  do {
    std::unique_lock lock(heart_mutex_);
    heart_wake_.wait_for(lock, beat_every, [&] { return heart_stop_; });
    if (heart_stop_)
      return;
  } while (beat());
}

bool EtcdJournal::beat() {
  if (pulse_->deposed.load())
    return false;
  ++beats_;
  const std::int64_t now = kv_->steady_us();
  if (now - pulse_->confirmed_us.load() >= beat_every.count() / 2) {
    // Who hears nothing of etcd is of no use, and must not look alive to the standbys because
    // etcd still hears him: then the fence is only looked at.
    const bool mute = now - pulse_->confirmed_us.load() > mute_after.count();
    const auto show = [&](Op sign) {
      return kv_->txn({.when = {fence()}, .then = {sign}, .otherwise = {Get{keys_.leader()}}},
                      call_patience);
    };
    const Op look = Get{.key = keys_.leader(), .keys_only = true};
    auto answer = show(mute ? look : Op(Put{keys_.heartbeat(), std::to_string(beats_)}));
    if (!answer && answer.error().code == Code::busy) // full: nothing can be put, by nobody
      answer = show(look);
    if (answer && !answer->succeeded) {
      (void)deposed(answer->found[0].empty() ? nullptr : answer->found[0].data());
      return false;
    }
    if (answer) {
      confirmed(now);
      beat_revision_ = answer->revision;
    }
  }
  if (beats_ % beats_per_look_at_space == 1)
    if (const auto space = kv_->space())
      pulse_->full.store(options_.quota_bytes > 0 &&
                         space->in_use / full_percent * 100 >= options_.quota_bytes);
  if (beats_ % beats_per_compaction == 0 && beat_revision_ > 0)
    (void)kv_->compact(beat_revision_); // what heartbeats left behind
  return true;
}

} // namespace reeve::journal
