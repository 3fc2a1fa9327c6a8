// Entries as operators read them: each journalled fact becomes one or a few numbered events. Pure:
// the same batch gives the same events. Used by the publisher actor. Knows no socket and no clock.
#pragma once

#include "src/core/changes.hpp"

#include <array>
#include <deque>
#include <memory>
#include <span>
#include <unordered_map>

namespace reeve::events {

/// The queue of each job that has not ended. Four bytes a job, because a million may wait.
class JobQueues {
public:
  void put(JobId job, const std::string& queue);
  void drop(JobId job);
  /// Empty: not known.
  [[nodiscard]] const std::string& of(JobId job) const;
  /// Different ones that are known now.
  [[nodiscard]] std::size_t names() const { return numbers_.size(); }

private:
  static constexpr std::size_t page_jobs = 256; // ids come one after the other
  struct Page {
    std::array<std::uint32_t, page_jobs> numbers{}; // 0: not known
    std::size_t known = 0;
  };
  struct Queue {
    std::string name;
    std::size_t jobs = 0;
  };
  std::uint32_t number_of(const std::string& queue);

  std::unordered_map<std::uint64_t, std::unique_ptr<Page>> pages_;
  std::vector<Queue> queues_{1}; // by number
  std::unordered_map<std::string, std::uint32_t> numbers_;
  std::vector<std::uint32_t> free_;
};

class Teller {
public:
  /// Learns the nodes' names and the jobs' queues from the whole state.
  void reset(const core::Changes& changes);
  /// In order, numbered by the entry that tells it, so that the same entries in other batches, as
  /// after a restart, give the same events. Where a batch does not say which entry made which
  /// changes, ends of jobs are its last entry's.
  std::vector<Event> tell(const core::Committed& batch);

private:
  void learn(std::span<const core::Change> changes);
  [[nodiscard]] std::string name(NodeId node) const;
  std::unordered_map<NodeId, std::string> names_;
  JobQueues queues_;
  friend struct FactTeller;
};

/// `<kind>.<job or node>`, so that subscribers choose by prefix.
std::string topic_of(const Event& event);
/// `of.job.<id>`, `of.node.<name>`, `of.queue.<name>`: for who wants all of one of these.
std::vector<std::string> side_topics_of(const Event& event);
bool is_side_topic(std::string_view topic);
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
