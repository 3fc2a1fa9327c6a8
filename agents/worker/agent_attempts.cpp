// See agent_attempts.hpp.
#include "agents/worker/agent_attempts.hpp"

namespace reeve::worker {

std::vector<AttemptMap::Piece>::const_iterator AttemptMap::find(std::uint64_t index) const {
  return std::partition_point(pieces_.begin(), pieces_.end(),
                              [index](const Piece& piece) { return piece.end() <= index; });
}

std::size_t AttemptMap::split(std::uint64_t index) {
  const auto at = static_cast<std::size_t>(find(index) - pieces_.begin());
  if (at == pieces_.size() || pieces_[at].first >= index)
    return at;
  Piece right = pieces_[at];
  pieces_[at].count = static_cast<std::uint32_t>(index - right.first);
  right.count -= pieces_[at].count;
  right.first = static_cast<TaskIndex>(index);
  pieces_.insert(pieces_.begin() + static_cast<std::ptrdiff_t>(at) + 1, right);
  return at + 1;
}

void AttemptMap::join(std::size_t at) {
  const auto alike = [this](std::size_t left) {
    const Piece& a = pieces_[left];
    const Piece& b = pieces_[left + 1];
    return a.end() == b.first && a.attempt == b.attempt && a.phase == b.phase;
  };
  const auto merge = [this](std::size_t left) {
    pieces_[left].count += pieces_[left + 1].count;
    pieces_.erase(pieces_.begin() + static_cast<std::ptrdiff_t>(left) + 1);
  };
  if (at + 1 < pieces_.size() && alike(at))
    merge(at);
  if (at > 0 && at < pieces_.size() && alike(at - 1))
    merge(at - 1);
}

void AttemptMap::put(const TaskRun& run, Phase phase) {
  const std::uint64_t end = std::uint64_t{run.first} + run.count;
  const std::size_t from = split(run.first);
  const std::size_t to = split(end);
  const Piece piece{run.first, run.count, run.attempt, phase};
  const auto begin = pieces_.begin();
  if (from < to) { // reuse the first place
    pieces_[from] = piece;
    pieces_.erase(begin + static_cast<std::ptrdiff_t>(from) + 1,
                  begin + static_cast<std::ptrdiff_t>(to));
  } else {
    pieces_.insert(begin + static_cast<std::ptrdiff_t>(from), piece);
  }
  join(from);
}

std::uint32_t AttemptMap::erase(const TaskRun& run, Phase phase) {
  const std::uint64_t end = std::uint64_t{run.first} + run.count;
  const std::size_t from = split(run.first);
  const std::size_t to = split(end);
  std::uint32_t erased = 0;
  const auto begin = pieces_.begin() + static_cast<std::ptrdiff_t>(from);
  const auto last =
    std::remove_if(begin, pieces_.begin() + static_cast<std::ptrdiff_t>(to), [&](const Piece& p) {
      const bool match = p.attempt == run.attempt && p.phase == phase;
      erased += match ? p.count : 0;
      return match;
    });
  pieces_.erase(last, pieces_.begin() + static_cast<std::ptrdiff_t>(to));
  return erased;
}

} // namespace reeve::worker
