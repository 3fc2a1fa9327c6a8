// The numbered event stream: committed batches in, event frames out, the newest kept for those who
// come late, those from before the start too. Shell around events::Teller and Ring. Decides
// nothing. On a thread of its own, behind what places and runs work: it begins by reading the
// journal.
#pragma once

#include "actors/types.hpp"
#include "actors/wire.hpp"
#include "src/events/events.hpp"
#include "src/journal/journal.hpp"

namespace reeve::actors {

class PublisherActor : public caf::event_based_actor {
public:
  /// `reader`: of the journal; null: what was before the start is not told.
  PublisherActor(caf::actor_config& config, Wire wire,
                 std::unique_ptr<journal::Journal> reader = nullptr);

protected:
  caf::behavior make_behavior() override;

private:
  void fill();
  void publish(const std::vector<core::CommittedPtr>& batches);
  void tell(const Event& event);
  void close_pack();
  void subscribed(const Subscribed& change);
  void replay(const std::string& topic, const events::Replay& wanted);
  [[nodiscard]] bool packed_readers() const { return side_topics_.contains(events::pack_topic); }

  Wire wire_;
  std::unique_ptr<journal::Journal> reader_; // until the ring is filled
  events::Teller teller_;
  events::Ring ring_;
  EventPack pack_;                     // open
  std::vector<net::Publication> news_; // not yet sent
  std::uint64_t told_ = 0;  // events since the start: who counts them sees what it was not sent
  std::size_t readers_ = 0; // subscriptions to events one by one
  std::unordered_map<std::string, std::size_t>
    side_topics_; // that somebody has subscribed to, and how many have
  Seq filled_;    // up to this entry the ring has been filled from the journal
};

} // namespace reeve::actors
