// What the etcd journal needs of etcd, in plain types: transactions that compare, put, read and
// delete. `connect_etcd` speaks gRPC; tests have a faithful fake. Used by the etcd journal and the
// standby's follower. Must never say that something did not happen when it may have.
#pragma once

#include "messages/error.hpp"
#include "messages/types.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace reeve::journal::etcd {

struct Compare {
  enum What { created, modified } what = modified; // revision; 0: the key is not there
  std::string key;
  std::int64_t revision = 0;
};
struct Put {
  std::string key, value;
};
struct Get { // one key, or [key, end)
  std::string key, end{};
  std::int64_t limit = 0; // 0: none
  bool newest = false;    // keys descending
  bool keys_only = false;
};
struct Delete {
  std::string key, end{};
};
using Op = std::variant<Put, Get, Delete>;
struct Txn {
  std::vector<Compare> when{};
  std::vector<Op> then{}, otherwise{};
  /// Only for reading: answered by the member that is asked, which may be a little behind.
  bool local = false;
};

struct Value {
  std::string key, value;
  std::int64_t modified = 0;
};
struct Answer {
  bool succeeded = false; // `then` was carried out, else `otherwise`
  std::int64_t revision = 0;
  std::vector<std::vector<Value>> found; // of each Op in order; empty for Put and Delete
  bool more = false;                     // some Get had more than its limit
};

struct Space {
  std::uint64_t bytes = 0, in_use = 0; // of the member's database file
};

class Kv {
public:
  virtual ~Kv() = default;
  /// One try at one member; the next call after a failure goes to the next member. May be called
  /// from several threads. Errors: timed_out (it may or may not happen, now or later), busy (etcd's
  /// quota is used up: it did not happen), refused (not allowed, not well formed: it did not
  /// happen).
  virtual Result<Answer> txn(const Txn& txn, Duration patience) = 0;
  /// Forgets what was overwritten or deleted before `revision`. Errors as of txn.
  virtual Result<void> compact(std::int64_t revision) = 0;
  virtual Result<Space> space() = 0;

  /// The clock by which patience is measured. Only a simulated etcd has another than the machine's.
  [[nodiscard]] virtual std::int64_t steady_us() const {
    return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
  }
  /// A simulated etcd waits for so long in its own time, and says true.
  virtual bool waits(Duration) { return false; }
};

struct Tls { // PEM files; `ca` empty: no TLS
  std::string ca{}, certificate{}, key{};
};
/// Never waits: connections are made when they are needed. Errors: bad_field (naming the option).
Result<std::unique_ptr<Kv>> connect_etcd(const std::vector<std::string>& endpoints, const Tls& tls);

} // namespace reeve::journal::etcd
