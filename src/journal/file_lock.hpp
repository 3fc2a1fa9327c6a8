// The file beside the journal: held locked by the one master that may write, and noting what was
// acknowledged last. The lock dies with the process. The note is written after each commit without
// waiting for the disk: a lower bound, so that a journal which lost its acknowledged end is found
// out. Used by the sqlite journal only.
#pragma once

#include "src/journal/journal.hpp"

namespace reeve::journal {

class FileLock {
public:
  FileLock() = default;
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();

  /// Locks `<database>.lock`. Errors: refused (held, with the holder's process id), io.
  static Result<FileLock> take(const std::string& database);
  /// Whether some process holds it now.
  static bool is_held(const std::string& database);

  /// Notes that everything up to `last` of the journal `identity` is durable.
  void note(std::string_view identity, Seq last) const;
  /// The note's seq; 0 when there is none, it is damaged, or it is another journal's. An empty
  /// `identity` asks for any journal's.
  static Seq noted(const std::string& database, std::string_view identity);
  /// The same of a note's text.
  static Seq parse_note(const std::string& note, std::string_view identity);
  /// Who holds a lock with this note, in words.
  static std::string holder_in(std::string_view note);
  static std::string path_of(const std::string& database) { return database + ".lock"; }

private:
  int fd_ = -1;
};

} // namespace reeve::journal
