// See publisher.hpp.
#include "actors/publisher.hpp"

#include "actors/shell.hpp"

namespace reeve::actors {

PublisherActor::PublisherActor(caf::actor_config& config, Wire wire)
    : event_based_actor(config), wire_(std::move(wire)) {
  report_exceptions(this, "publisher");
}

caf::behavior PublisherActor::make_behavior() {
  return {
    [](start_atom) {},
    [this](const Described& described) { teller_.reset(*described.changes); },
    [this](const core::CommittedPtr& batch) { publish(*batch); },
    [this](const Parcel<Subscribed>& parcel) { replay(parcel.take().topic); },
  };
}

void PublisherActor::publish(const core::Committed& batch) {
  std::vector<net::Publication> news;
  for (const auto& event : teller_.tell(batch)) {
    events::Ring::Item item{event.seq, event.part, events::position_of(event), encode(event)};
    news.push_back({events::topic_of(event), item.position, item.body});
    ring_.add(std::move(item));
  }
  wire_.publish(std::move(news));
}

/// Sends the kept events under the topic that only the asker has, then a `replay.done` that says up
/// to where.
void PublisherActor::replay(const std::string& topic) {
  const auto from = events::replay_from(topic);
  if (!from)
    return;
  std::vector<net::Publication> news;
  for (auto at = ring_.since(*from); at != ring_.items().end(); ++at)
    news.push_back({topic, at->position, at->body});
  Event end;
  end.kind = "replay.done";
  end.time = wall_now();
  if (!ring_.items().empty()) {
    end.seq = ring_.items().back().seq;
    end.part = ring_.items().back().part;
    end.numbers["oldest"] = static_cast<std::int64_t>(ring_.items().front().seq.value);
  }
  news.push_back({topic, events::position_of(end), encode(end)});
  wire_.publish(std::move(news));
}

} // namespace reeve::actors
