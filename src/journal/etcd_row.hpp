// How a batch, the leader's record and a snapshot's head look as etcd keys and values. Used by the
// etcd journal and the standby's follower. Must never trust what it reads.
#pragma once

#include "src/journal/batch_row.hpp"

#include <array>

namespace reeve::journal::etcd {

/// Under `/reeve/<cluster>/`. Sequence numbers are 16 hexadecimal digits, so that keys sort.
struct Keys {
  std::string prefix;
  explicit Keys(const std::string& cluster) : prefix("/reeve/" + cluster + "/") {}
  [[nodiscard]] std::string leader() const { return prefix + "leader"; }
  [[nodiscard]] std::string heartbeat() const { return prefix + "hb"; }
  [[nodiscard]] std::string cut() const { return prefix + "cut"; } // entries up to it are deleted
  [[nodiscard]] std::string row(Seq first) const;
  [[nodiscard]] std::string rows_end() const { return prefix + "j0"; } // '0' follows '/'
  [[nodiscard]] std::string part(Seq first, std::size_t index) const;  // of a row that is too large
  [[nodiscard]] std::string parts() const { return prefix + "p/"; }
  [[nodiscard]] std::string chunk(Seq snapshot, std::size_t index) const;
  [[nodiscard]] std::string chunks(Seq snapshot) const;
  [[nodiscard]] std::string head(Seq snapshot) const;
  [[nodiscard]] std::string heads() const { return prefix + "snap/head/"; }
};
/// The first key behind all that begin with `prefix`.
std::string end_of(std::string prefix);
/// The number at the end of a row's or head's key; 0 when it is not one.
Seq seq_of(std::string_view key);

using Nonce = std::array<char, 16>;

struct Leader { // the value of `leader`
  Epoch epoch;
  std::string name, endpoint; // endpoint: where other masters and clients reach it
  Nonce nonce{};              // of this reign: tells my own transactions from another's
  bool released = false;      // gave the reign up: whoever comes may take it
  std::int64_t revision = 0;  // of the key; not in the value
};
std::string encode_leader(const Leader& leader);
/// Error: corrupt.
Result<Leader> decode_leader(std::string_view value);

struct Row {
  BatchRow batch;
  Epoch epoch;
  Nonce nonce{};
  std::vector<std::uint32_t> batches{}; // entries of each batch: whoever follows tells the same
                                        // events as the leader, batch for batch
  std::uint32_t parts = 0;              // the body lies in so many keys of its own; 0: it is here
};
/// Without its body when that lies elsewhere.
std::string encode_row(const Row& row);
/// The batch is not checked yet: `check` of batch_row.hpp does, once the body is whole. Error:
/// corrupt.
Result<Row> decode_row(Seq first, std::string_view value);

struct Head { // of a snapshot
  Seq seq;
  std::uint64_t chunks = 0, bytes = 0;
  std::string hash; // XXH3, 128 bits
};
std::string encode_head(const Head& head);
Result<Head> decode_head(Seq seq, std::string_view value);
std::string hash_of_snapshot(std::string_view bytes);

} // namespace reeve::journal::etcd
