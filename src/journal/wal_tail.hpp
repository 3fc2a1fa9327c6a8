// Looks into SQLite's write-ahead log before SQLite does. SQLite's recovery stops at the first
// frame that fails its checksum and drops the rest without a word; whether the rest was a commit
// cut short or acknowledged work behind a flipped bit is found out here. Used when the sqlite
// journal opens. Only reads. Format: https://sqlite.org/fileformat2.html#the_write_ahead_log
#pragma once

#include <cstdint>
#include <string>

namespace reeve::journal {

struct WalTail {
  std::uint64_t committed_frames = 0; // what recovery will keep
  std::string torn;                   // says what will be cut off; empty: nothing
  std::string corrupt; // says why acknowledged commits would be lost; empty: they will not
};

/// `wal`: path of the log. No such file, or an empty one, is a clean end.
WalTail inspect_wal(const std::string& wal);

} // namespace reeve::journal
