// Entries as operators read them: each journalled fact becomes one or a few numbered events. Pure:
// the same batch gives the same events. Used by the publisher actor. Knows no socket and no clock.
#pragma once

#include "messages/event_pack.hpp"
#include "src/core/changes.hpp"

#include <array>
#include <deque>
#include <functional>
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
  using Each = std::function<void(const Event&)>;
  void tell(const core::Committed& batch, const Each& each);
  std::vector<Event> tell(const core::Committed& batch);

private:
  void learn(std::span<const core::Change> changes);
  void put_name(std::string& out, NodeId node) const;
  std::unordered_map<NodeId, std::string> names_;
  JobQueues queues_;
  Event event_; // that is being told
  friend struct FactTeller;
};

/// `of.job.<id>`, `of.node.<name>`, `of.queue.<name>`: for who wants all of one of these.
std::vector<std::string> side_topics_of(const Event& event);
/// Of all events, in packs.
constexpr const char* pack_topic = "of.all";
/// Under which not everything is told one by one.
bool is_side_topic(std::string_view topic);
/// The second frame: msgpack [seq, part], of a live event [seq, part, number].
std::string position_of(const PackedEvent& event, std::uint64_t number = 0);
/// Of a pack: msgpack [number of its first event], 0 in a replay.
std::string position_of_pack(std::uint64_t number);

/// The newest events, for those who come late; in packs, as they are sent.
class Ring {
public:
  explicit Ring(std::size_t most = 100'000) : most_(most) {}
  struct Pack {
    Seq first, last;
    std::uint32_t last_part = 0, count = 0;
    std::string bytes;
  };
  /// Forgets the oldest packs as far as enough events are left without them.
  void add(const EventPack& pack);
  /// From the pack on that has events with seq >= from; it may begin with older ones. The oldest
  /// one kept may be later than `from`: the reader sees that by its number.
  [[nodiscard]] std::deque<Pack>::const_iterator since(Seq from) const;
  [[nodiscard]] const std::deque<Pack>& packs() const { return packs_; }

private:
  std::size_t most_, events_ = 0;
  std::deque<Pack> packs_;
};

/// Somebody subscribed to `replay.<seq>.<nonce>`, or for packs to `of.past.<seq>.<nonce>`: wants
/// the kept events from seq on, under exactly this topic.
struct Replay {
  Seq from;
  bool packed = false;
  bool operator==(const Replay&) const = default;
};
std::optional<Replay> replay_from(std::string_view topic);

} // namespace reeve::events
