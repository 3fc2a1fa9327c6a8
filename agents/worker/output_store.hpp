// The keeper's side of captured output: the writer of one stream, and which files of ended attempts
// stay. See output.hpp for the file's shape. Used by the keeper's thread only. Must never fail a
// task because its output could not be kept.
#pragma once

#include "agents/worker/keeper_fd.hpp"
#include "agents/worker/output.hpp"

#include <cstdint>
#include <list>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace reeve::worker {

std::string output_path(const std::string& dir, const AttemptId& id, Stream stream);

/// What attempts have left in DIR/output, oldest first.
struct OutputFiles {
  AttemptId id;
  TimePoint written; // last
  std::uint64_t bytes = 0;
};
std::vector<OutputFiles> list_outputs(const std::string& dir);

class OutputWriter {
public:
  explicit OutputWriter(std::uint64_t limit = 0) : limit_(limit) {}
  /// Keeps of `bytes` what belongs to the head or the tail. The file is made at the first byte.
  void append(const std::string& dir, const AttemptId& id, Stream stream, std::string_view bytes);
  [[nodiscard]] std::uint64_t written() const { return written_; }
  [[nodiscard]] std::uint64_t bytes_kept() const;
  [[nodiscard]] int error() const { return error_; } // errno of what was not kept; 0: all is well

private:
  std::size_t append_head(std::string_view bytes);
  void append_ring(std::string_view bytes);
  bool put_header(std::uint64_t reserved);

  std::uint64_t limit_;
  std::uint64_t written_ = 0;
  int error_ = 0;
  Fd fd_;
};

/// "7.0.1.out", or .err -> 7, 0, 1. None for any other name.
std::optional<AttemptId> parse_output_name(std::string_view name);

/// Output files of ended attempts, oldest first.
class OutputStore {
public:
  OutputStore(std::string dir, std::uint64_t bytes_max, std::uint64_t attempts_max)
      : dir_(std::move(dir)), bytes_max_(bytes_max), attempts_max_(attempts_max) {}
  /// Takes over what earlier keepers left, by age.
  void scan();
  /// An attempt has ended and left so many bytes; older ones go when that is too much.
  void ended(const AttemptId& id, std::uint64_t bytes);
  void forget(const AttemptId& id);

private:
  struct Entry {
    AttemptId id;
    std::uint64_t bytes = 0;
  };
  void remove(std::list<Entry>::iterator entry);

  std::string dir_;
  std::uint64_t bytes_max_, attempts_max_;
  std::uint64_t bytes_ = 0;
  std::list<Entry> entries_;
  std::unordered_map<AttemptId, std::list<Entry>::iterator> by_id_;
};

} // namespace reeve::worker
