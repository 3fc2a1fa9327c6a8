// Entries as operators read them: each journalled fact becomes one or a few numbered events. Pure:
// the same batch gives the same events. Used by the publisher actor. Knows no socket and no clock.
#pragma once

#include "src/core/changes.hpp"

#include <deque>
#include <span>
#include <unordered_map>

namespace reeve::events {

class Teller {
public:
  /// Learns the nodes' names from the whole state.
  void reset(const core::Changes& changes);
  /// In order, numbered by the entry that tells it, so that the same entries in other batches, as
  /// after a restart, give the same events. Where a batch does not say which entry made which
  /// changes, ends of jobs are its last entry's.
  std::vector<Event> tell(const core::Committed& batch);

private:
  void learn(std::span<const core::Change> changes);
  [[nodiscard]] std::string name(NodeId node) const;
  std::unordered_map<NodeId, std::string> names_;
  friend struct FactTeller;
};

/// `<kind>.<job or node>`, so that subscribers choose by prefix.
std::string topic_of(const Event& event);
/// The second frame: msgpack [seq, part], of a live event [seq, part, number].
std::string position_of(const Event& event, std::uint64_t number = 0);

/// The newest events, for those who come late.
class Ring {
public:
  explicit Ring(std::size_t most = 100'000) : most_(most) {}
  void add(Event event);
  /// Events with seq >= from. The oldest one kept may be later than `from`: the reader sees that by
  /// its number.
  [[nodiscard]] std::deque<Event>::const_iterator since(Seq from) const;
  [[nodiscard]] const std::deque<Event>& events() const { return events_; }

private:
  std::size_t most_;
  std::deque<Event> events_;
};

/// Somebody subscribed to `replay.<seq>.<nonce>`: wants the kept events from seq on, under exactly
/// this topic.
std::optional<Seq> replay_from(std::string_view topic);

} // namespace reeve::events
