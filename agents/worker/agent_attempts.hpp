// Which tasks of one job the agent has, in which try, and how far they are: an ordered list of
// neighbouring tasks that are alike, so that an array of a million costs a few entries. Owned by
// agent_work. Does no I/O.
#pragma once

#include "messages/types.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace reeve::worker {

enum class Phase : std::uint8_t { waiting, running, ended };

class AttemptMap {
public:
  struct Piece {
    TaskIndex first = 0;
    std::uint32_t count = 0;
    Attempt attempt = 0;
    Phase phase = Phase::waiting;
    [[nodiscard]] std::uint64_t end() const { return std::uint64_t{first} + count; }
    [[nodiscard]] TaskRun run() const { return {first, count, attempt}; }
    bool operator==(const Piece&) const = default;
  };

  /// Notes tasks, in place of whatever was noted of them.
  void put(const TaskRun& run, Phase phase);
  /// Forgets those tasks of `run` that are noted with this very attempt and phase. Returns how
  /// many.
  std::uint32_t erase(const TaskRun& run, Phase phase);
  /// Calls f(Piece) for each part of [first, end) that is noted, clipped to it, in order. `f` must
  /// not change the map.
  template<class F> void overlapping(std::uint64_t first, std::uint64_t end, F&& f) const {
    for (auto it = find(first); it != pieces_.end() && it->first < end; ++it) {
      const std::uint64_t from = std::max<std::uint64_t>(it->first, first);
      const std::uint64_t to = std::min(it->end(), end);
      f(Piece{static_cast<TaskIndex>(from), static_cast<std::uint32_t>(to - from), it->attempt,
              it->phase});
    }
  }
  [[nodiscard]] bool empty() const { return pieces_.empty(); }
  [[nodiscard]] const std::vector<Piece>& pieces() const { return pieces_; }

private:
  /// The first piece that ends behind `index`.
  [[nodiscard]] std::vector<Piece>::const_iterator find(std::uint64_t index) const;
  /// Makes a piece begin at `index` if one lies across it. Returns the position of the first piece
  /// at or behind it.
  std::size_t split(std::uint64_t index);
  void join(std::size_t at); // with its neighbours, when alike

  std::vector<Piece> pieces_; // by `first`, without overlap
};

} // namespace reeve::worker
