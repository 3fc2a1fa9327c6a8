// The keeper's record of attempts, DIR/attempts.log: what is about to run, what runs as which
// process, what has ended, what is released. For the next keeper, should this one die. Frames of
// [length][XXH32][msgpack]; no fsync: it must outlive the keeper, and a machine that went down has
// no leftovers. Used by the keeper's main thread. Must never hold an exit back because of itself.
#pragma once

#include "agents/worker/keeper_fd.hpp"
#include "agents/worker/keeper_protocol.hpp"

#include <map>
#include <optional>
#include <string>
#include <variant>

namespace reeve::worker {

namespace record {

struct Opened { // first of every file
  Incarnation keeper;
  std::string boot_id;
  std::int64_t pid = 0;
  Incarnation incarnation; // what the master calls it: an earlier keeper's, when nothing was lost
  bool operator==(const Opened&) const = default;
  template<class V> static void fields(V& v) {
    v("keeper", &Opened::keeper, {.required = true, .min = 1});
    v("boot_id", &Opened::boot_id, {.max = 64});
    v("pid", &Opened::pid);
    v("incarnation", &Opened::incarnation);
  }
};
struct Intent {
  static constexpr bool as_array = true;
  AttemptId id;
  Epoch epoch;
  bool operator==(const Intent&) const = default;
  template<class V> static void fields(V& v) {
    v("id", &Intent::id, {.required = true});
    v("epoch", &Intent::epoch);
  }
};
/// Started as `pid`, whose start time lies in [ticks_low, ticks_high].
struct Started {
  static constexpr bool as_array = true;
  AttemptId id;
  std::int64_t pid = 0;
  std::uint64_t ticks_low = 0, ticks_high = 0;
  bool operator==(const Started&) const = default;
  template<class V> static void fields(V& v) {
    v("id", &Started::id, {.required = true});
    v("pid", &Started::pid, {.required = true, .min = 1, .max = 1 << 30});
    v("ticks_low", &Started::ticks_low, {.required = true});
    v("ticks_high", &Started::ticks_high, {.required = true});
  }
};
struct Ended {
  static constexpr bool as_array = true;
  keeper::Exit exit;
  bool operator==(const Ended&) const = default;
  template<class V> static void fields(V& v) { v("exit", &Ended::exit, {.required = true}); }
};
struct Released {
  static constexpr bool as_array = true;
  AttemptId id;
  bool operator==(const Released&) const = default;
  template<class V> static void fields(V& v) { v("id", &Released::id, {.required = true}); }
};
using Record = std::variant<Opened, Intent, Started, Ended, Released>;

} // namespace record

/// What a log says when it is read to its end.
struct LogState {
  struct Entry {
    Epoch epoch;
    std::int64_t pid = 0; // 0: was about to start
    std::uint64_t ticks_low = 0, ticks_high = 0;
    std::optional<keeper::Exit> exit; // it has ended
  };
  record::Opened opened;               // keeper 0: there is no log
  std::map<AttemptId, Entry> attempts; // not released
  std::string torn;                    // what was left unread at the end and why; empty: nothing
};
LogState read_keeper_log(const std::string& path);

class KeeperLog {
public:
  /// Begins a new file in place of the old one.
  static Result<KeeperLog> create(const std::string& path, const record::Opened& opened);
  KeeperLog() = default;

  /// Queued until `flush`.
  void add(const record::Record& record);
  [[nodiscard]] bool dirty() const { return !buffer_.empty(); }
  /// Writes what is queued, or nothing of it. Errors: io (disk full …); what was queued is then
  /// gone.
  Result<void> flush();
  /// True when so much of the file is history that it should be written anew.
  [[nodiscard]] bool should_rewrite() const { return bytes_ > rewrite_at_; }
  /// Replaces the file by these records.
  Result<void> rewrite(const record::Opened& opened, const std::vector<record::Record>& records);

private:
  std::string path_;
  Fd fd_;
  std::string buffer_;
  std::uint64_t bytes_ = 0;
  std::uint64_t rewrite_at_ = 0;
};

} // namespace reeve::worker
