// See publisher.hpp.
#include "actors/publisher.hpp"

#include "actors/retell.hpp"
#include "actors/shell.hpp"
#include "src/log/log.hpp"

#include <spdlog/spdlog.h>

namespace reeve::actors {
namespace {
constexpr int fill_tries = 5; // each waits for the journal itself
} // namespace

PublisherActor::PublisherActor(caf::actor_config& config, Wire wire,
                               std::unique_ptr<journal::Journal> reader)
    : event_based_actor(config), wire_(std::move(wire)), reader_(std::move(reader)) {
  report_exceptions(this, "publisher");
}

caf::behavior PublisherActor::make_behavior() {
  return {
    [](start_atom) {},
    [this](const Described& described) { // the ledger's first words: batches come behind them
      fill();
      teller_.reset(*described.changes);
    },
    [this](const core::CommittedPtr& batch) { publish(*batch); },
    [this](const Parcel<Subscribed>& parcel) { subscribed(parcel.take()); },
  };
}

void PublisherActor::fill() {
  if (!reader_)
    return;
  Result<Seq> last;
  for (int n = 0; n < fill_tries; ++n) { // after a takeover etcd, too, may have lost its leader
    ring_ = events::Ring();
    last = retell(*reader_, [this](Event event) { ring_.add(std::move(event)); });
    if (last || last.error().code != Code::io)
      break;
  }
  reader_.reset();
  if (last)
    filled_ = *last;
  else
    spdlog::warn("events: those from before the start are not told: {}", last.error().message());
}

void PublisherActor::publish(const core::Committed& batch) {
  auto events = teller_.tell(batch);
  if (log::wanted(spdlog::level::debug))
    for (const auto& event : events)
      log::say(spdlog::level::debug, event.kind,
               {{"seq", std::to_string(event.seq.value)},
                {"job", event.job ? std::to_string(event.job.value) : std::string()},
                {"node", event.node},
                {"name", event.name},
                {"correlation", event.correlation},
                {"said", event.text}});
  if (!wire_.listened || wire_.listened()) {
    std::vector<net::Publication> news;
    news.reserve(events.size());
    for (const auto& event : events) {
      news.push_back({events::topic_of(event), events::position_of(event, ++told_), encode(event)});
      if (side_topics_.empty())
        continue;
      const std::string body = news.back().body;
      for (auto& topic : events::side_topics_of(event))
        if (side_topics_.contains(topic))
          news.push_back({std::move(topic), events::position_of(event), body});
    }
    wire_.publish(std::move(news));
  }
  for (auto& event : events)
    if (event.seq > filled_) // else the journal has told it already
      ring_.add(std::move(event));
}

void PublisherActor::subscribed(const Subscribed& change) {
  if (events::is_side_topic(change.topic)) {
    std::size_t& readers = side_topics_[change.topic];
    if (change.begins)
      ++readers;
    else if (readers <= 1)
      side_topics_.erase(change.topic);
    else
      --readers;
  } else if (change.begins) {
    fill();
    replay(change.topic);
  }
}

/// Sends the kept events under the topic that only the asker has, then a `replay.done` that says up
/// to where.
void PublisherActor::replay(const std::string& topic) {
  const auto from = events::replay_from(topic);
  if (!from)
    return;
  std::vector<net::Publication> news;
  for (auto at = ring_.since(*from); at != ring_.events().end(); ++at)
    news.push_back({topic, events::position_of(*at), encode(*at)});
  Event end;
  end.kind = "replay.done";
  end.time = wall_now();
  if (!ring_.events().empty()) {
    end.seq = ring_.events().back().seq;
    end.part = ring_.events().back().part;
    end.numbers["oldest"] = static_cast<std::int64_t>(ring_.events().front().seq.value);
  }
  news.push_back({topic, events::position_of(end), encode(end)});
  wire_.publish(std::move(news));
}

} // namespace reeve::actors
