// What the journal in etcd makes of etcd's own rate: bare transactions of 256 kB, one after
// another, and appends of as much, in turns in the same run. Started by takeover.py with etcd's
// address.
#include "src/journal/etcd_journal.hpp"

#include <cstdio>
#include <cstdlib>

namespace {
using namespace reeve;
using Clock = std::chrono::steady_clock;

constexpr std::size_t raw_bytes = 256u << 10;
constexpr int rounds = 5, seconds_each = 2, batches = 4, entries = 60;
constexpr std::size_t entry_bytes =
  1'060; // a batch of 60 and what frames it fill a quarter of a row

template<class T> T or_give_up(Result<T> result) {
  if (result)
    return std::move(*result);
  std::fprintf(stderr, "etcd_appends: %s\n", result.error().message().c_str());
  std::exit(1);
}
void or_give_up(const Result<void>& result) {
  if (result)
    return;
  std::fprintf(stderr, "etcd_appends: %s\n", result.error().message().c_str());
  std::exit(1);
}

/// Bytes a second of what `once` stores.
template<class F> double rate(F&& once) {
  const auto start = Clock::now();
  std::size_t bytes = 0;
  std::chrono::duration<double> took{0};
  while ((took = Clock::now() - start).count() < seconds_each)
    bytes += once();
  return static_cast<double>(bytes) / took.count();
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: etcd_appends etcd://host:port,…/cluster\n");
    return 2;
  }
  const auto options = or_give_up(journal::parse_etcd_url(argv[1]));
  const auto kv = or_give_up(journal::etcd::connect_etcd(options.members, {}));
  const auto journal = or_give_up(journal::open_etcd(options));
  or_give_up(journal->acquire(journal->epoch().next(), "bench"));
  const std::string value(raw_bytes, 'x');
  std::vector<journal::Batch> next(batches);
  for (auto& batch : next)
    batch.entries.assign(entries, std::string(entry_bytes, 'x'));
  double raw = 0, ours = 0;
  for (int round = 0; round < rounds; ++round) {
    raw += rate([&] {
      or_give_up(
        kv->txn({.then = {journal::etcd::Put{"/bench/raw", value}}}, std::chrono::seconds(5))
          .map([](const auto&) {}));
      return value.size();
    });
    ours += rate([&] {
      Seq first = journal->last().next();
      for (auto& batch : next) {
        batch.first = first;
        first = batch.last().next();
      }
      or_give_up(journal->append(next));
      return std::size_t{batches} * entries * entry_bytes;
    });
  }
  std::printf(
    "appends to etcd: %.1f MB/s; bare transactions of 256 kB: %.1f MB/s; ratio %.2f (wanted "
    "0.80)\n",
    ours / rounds / 1e6, raw / rounds / 1e6, ours / raw);
}
