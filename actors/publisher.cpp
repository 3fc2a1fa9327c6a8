// See publisher.hpp.
#include "actors/publisher.hpp"

#include "actors/retell.hpp"
#include "actors/shell.hpp"
#include "src/log/log.hpp"

#include <spdlog/spdlog.h>
#include <utility>

namespace reeve::actors {
namespace {
constexpr int fill_tries = 5; // each waits for the journal itself
/// A reader that does not read is kept at most so many times a server's limit of messages: large
/// enough that sending one costs little beside its events, and not larger.
constexpr std::size_t pack_bytes = 4'096;
} // namespace

PublisherActor::PublisherActor(caf::actor_config& config, Wire wire,
                               std::unique_ptr<journal::Journal> reader)
    : event_based_actor(config), wire_(std::move(wire)), reader_(std::move(reader)) {
  report_exceptions(this, "publisher");
}

caf::behavior PublisherActor::make_behavior() {
  return {
    [](start_atom) { give_way(); },
    [this](const Described& described) { // the ledger's first words: batches come behind them
      fill();
      teller_.reset(*described.changes);
    },
    [this](const Parcel<News>& news) { publish(news.take().batches); },
    [this](const Parcel<Subscribed>& parcel) { subscribed(parcel.take()); },
    [](stop_atom) { return done_atom::value; }, // what came before has been told
  };
}

void PublisherActor::fill() {
  if (!reader_)
    return;
  Result<Seq> last;
  for (int n = 0; n < fill_tries; ++n) { // after a takeover etcd, too, may have lost its leader
    ring_ = events::Ring();
    EventPack pack;
    const auto keep = [&] {
      if (pack.count() > 0)
        ring_.add(pack);
      pack.clear();
    };
    last = retell(*reader_, [&](const Event& event) {
      pack.add(event);
      if (pack.bytes().size() >= pack_bytes)
        keep();
    });
    keep();
    if (last || last.error().code != Code::io)
      break;
  }
  reader_.reset();
  if (last)
    filled_ = *last;
  else
    spdlog::warn("events: those from before the start are not told: {}", last.error().message());
}

void PublisherActor::publish(const std::vector<core::CommittedPtr>& batches) {
  for (const auto& batch : batches)
    teller_.tell(*batch, [this](const Event& event) { tell(event); });
  close_pack();
  if (!news_.empty())
    wire_.publish(std::exchange(news_, {}));
}

void PublisherActor::tell(const Event& event) {
  if (log::wanted(spdlog::level::debug))
    log::say(spdlog::level::debug, event.kind,
             {{"seq", std::to_string(event.seq.value)},
              {"job", event.job ? std::to_string(event.job.value) : std::string()},
              {"node", event.node},
              {"name", event.name},
              {"correlation", event.correlation},
              {"said", event.text}});
  if (pack_.bytes().size() >= pack_bytes || (pack_.last() <= filled_ && event.seq > filled_))
    close_pack();
  const PackedEvent packed = pack_.add(event);
  ++told_;
  if (readers_ > 0)
    news_.push_back(
      {std::string(packed.topic), events::position_of(packed, told_), std::string(packed.event)});
  if (side_topics_.empty() || (side_topics_.size() == 1 && packed_readers()))
    return;
  for (auto& topic : events::side_topics_of(event))
    if (side_topics_.contains(topic))
      news_.push_back({std::move(topic), events::position_of(packed), std::string(packed.event)});
}

/// Sends it and keeps it.
void PublisherActor::close_pack() {
  if (pack_.count() == 0)
    return;
  if (packed_readers())
    news_.push_back(
      {events::pack_topic, events::position_of_pack(told_ - pack_.count() + 1), pack_.bytes()});
  if (pack_.last() > filled_) // else the journal has told it already
    ring_.add(pack_);
  pack_.clear();
}

void PublisherActor::subscribed(const Subscribed& change) {
  if (const auto replay_wanted = events::replay_from(change.topic)) {
    if (!change.begins)
      return;
    fill();
    replay(change.topic, *replay_wanted);
    return;
  }
  std::size_t& readers =
    events::is_side_topic(change.topic) ? side_topics_[change.topic] : readers_;
  if (change.begins)
    ++readers;
  else if (readers > 0)
    --readers;
  if (readers == 0)
    side_topics_.erase(change.topic);
}

/// Sends the kept events under the topic that only the asker has, then a `replay.done` that says up
/// to where.
void PublisherActor::replay(const std::string& topic, const events::Replay& wanted) {
  const auto& packs = ring_.packs();
  Event end;
  end.kind = "replay.done";
  end.time = wall_now();
  if (!packs.empty()) {
    end.seq = packs.back().last;
    end.part = packs.back().last_part;
    end.numbers["oldest"] = static_cast<std::int64_t>(packs.front().first.value);
  }
  EventPack last;
  const PackedEvent whole = last.add(end);
  std::vector<net::Publication> news;
  for (auto at = ring_.since(wanted.from); at != packs.end(); ++at) {
    if (wanted.packed) {
      news.push_back({topic, events::position_of_pack(0), at->bytes});
      continue;
    }
    PackReader reader(at->bytes);
    while (const auto event = reader.next())
      if (event->seq >= wanted.from)
        news.push_back({topic, events::position_of(*event), std::string(event->event)});
  }
  if (wanted.packed)
    news.push_back({topic, events::position_of_pack(0), last.bytes()});
  else
    news.push_back({topic, events::position_of(whole), std::string(whole.event)});
  wire_.publish(std::move(news));
}

} // namespace reeve::actors
