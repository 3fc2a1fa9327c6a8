// See gateway.hpp.
#include "actors/gateway.hpp"

#include "actors/shell.hpp"
#include "src/log/log.hpp"
#include "src/util/text.hpp"
#include "src/util/words.hpp"

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

namespace reeve::actors {
namespace {
constexpr auto counters_every = std::chrono::seconds(1);
constexpr auto beats_every = std::chrono::milliseconds(100);
constexpr Duration measure_every = std::chrono::milliseconds(20);

/// Of this process, as the kernel counts; 0 when it does not tell.
std::uint64_t resident_bytes() {
  const int fd = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return 0;
  std::array<char, 128> text{};
  const ssize_t n = ::read(fd, text.data(), text.size());
  ::close(fd);
  const auto pages = numbers_in<std::uint64_t>( // whole size, resident
    {text.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))}, 2);
  return pages.size() < 2 ? 0 : pages[1] * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}
} // namespace

GatewayActor::GatewayActor(caf::actor_config& config, gateway::Gateway core, Wire wire,
                           DirectoryPtr directory, LoadPtr load, std::uint64_t memory_max)
    : event_based_actor(config), core_(std::move(core)), wire_(std::move(wire)),
      directory_(std::move(directory)), load_(std::move(load)), memory_max_(memory_max) {
  report_exceptions(this, "gateway");
}

caf::behavior GatewayActor::make_behavior() {
  return {
    [this](start_atom) { delayed_send(this, counters_every, tick_atom::value); },
    [this](const Parcel<Frames>& parcel) {
      Frames frames = parcel.take();
      gateway::Outbox out;
      core_.on_messages(std::move(frames.messages),
                        {load_->queued.load(), load_->undurable.load(), load_->full.load(),
                         crowded(), load_->in_doubt.load()},
                        steady_now(), out);
      wire_.consumed(frames.bytes);
      deliver(std::move(out));
    },
    [this](const Parcel<Effects>& parcel) {
      gateway::Outbox out;
      core_.on_effects(parcel.take().effects, steady_now(), out);
      deliver(std::move(out));
    },
    [this](const Parcel<GonePeer>& parcel) {
      const auto gone = parcel.take();
      spdlog::debug("gateway: connection {:x}: {}", gone.peer, gone.reason);
      gateway::Outbox out;
      core_.on_gone(gone.peer, steady_now(), out);
      deliver(std::move(out));
    },
    [this](Epoch epoch) { core_.set_epoch(epoch); },
    [this](tick_atom) {
      delayed_send(this, counters_every, tick_atom::value);
      gateway::Outbox out;
      core_.tick(steady_now(), out);
      deliver(std::move(out));
      report_counters();
    },
    [this](think_atom) {
      holds_ = false;
      send_beats();
    },
    [this](stop_atom) {
      core_.stop_requests();
      return done_atom::value;
    },
  };
}

/// Whether the process holds as much as it may, looked up now and then. Said once, and its end
/// once.
bool GatewayActor::crowded() {
  if (memory_max_ == 0 || steady_now() - measured_ < measure_every)
    return crowded_;
  measured_ = steady_now();
  const std::uint64_t resident = resident_bytes();
  const bool now = resident > (crowded_ ? memory_max_ / 10 * 9 : memory_max_);
  if (now != crowded_)
    spdlog::warn("memory: {} of {} in use: jobs are {}",
                 format_size(static_cast<std::int64_t>(resident)),
                 format_size(static_cast<std::int64_t>(memory_max_)),
                 now ? "not taken any more" : "taken again");
  return crowded_ = now;
}

/// Heartbeats wait a moment for others: each message to a decider wakes a thread, and with
/// thousands of nodes that would be most of what this program does.
void GatewayActor::hold_beats(gateway::Outbox& out) {
  const auto move = [](auto& from, auto& to, auto is_beat) {
    const auto beats = std::stable_partition(from.begin(), from.end(),
                                             [&](const auto& item) { return !is_beat(item); });
    to.insert(to.end(), std::make_move_iterator(beats), std::make_move_iterator(from.end()));
    from.erase(beats, from.end());
  };
  move(out.recovery, held_.recovery, [](const auto&) { return true; });
  move(out.scheduler, held_.scheduler, [](const gateway::ForScheduler& asked) {
    return std::holds_alternative<gateway::Measured>(asked.question);
  });
  move(out.ledger, held_.ledger, [](const gateway::ForLedger& item) {
    return std::holds_alternative<gateway::Measured>(item);
  });
  // A connection's end must not overtake its last word.
  const bool ends = std::ranges::any_of(out.watchdog, [](const gateway::ForWatchdog& item) {
    return !std::holds_alternative<gateway::Beat>(item);
  });
  move(out.watchdog, held_.watchdog, [](const auto&) { return true; });
  const bool any = !held_.recovery.empty() || !held_.watchdog.empty() || !held_.ledger.empty();
  if (ends)
    send_beats();
  else if (any && !std::exchange(holds_, true))
    delayed_send(this, beats_every, think_atom::value);
}

void GatewayActor::send_beats() {
  gateway::Outbox out = std::exchange(held_, {});
  send_on(out);
}

void GatewayActor::deliver(gateway::Outbox out) {
  hold_beats(out);
  send_on(out);
}

void GatewayActor::send_on(gateway::Outbox& out) {
  if (!out.log_level.empty() && log::set_level(out.log_level))
    spdlog::info("log level is {}", out.log_level);
  if (!out.send.empty())
    wire_.send(std::move(out.send));
  if (!out.ledger.empty()) {
    load_->queued.fetch_add(out.ledger.size());
    post(this, directory_->ledger, LedgerMail{std::move(out.ledger)});
  }
  if (!out.registry.empty())
    post(this, directory_->registry, RegistryMail{std::move(out.registry)});
  if (!out.watchdog.empty())
    post(this, directory_->watchdog, WatchdogMail{std::move(out.watchdog)});
  if (!out.archivist.empty())
    post(this, directory_->archivist, ArchivistMail{std::move(out.archivist)});
  if (!out.sweeper.empty())
    post(this, directory_->sweeper, SweeperMail{std::move(out.sweeper)});
  if (!out.recovery.empty())
    post(this, directory_->recovery, RecoveryMail{std::move(out.recovery)});
  if (!out.scheduler.empty())
    post(this, directory_->scheduler, SchedulerMail{std::move(out.scheduler)});
}

void GatewayActor::report_counters() {
  auto values = wire_.counters ? wire_.counters() : std::map<std::string, std::int64_t>();
  const auto counters = core_.counters();
  values["gateway.bad_messages"] = counters.bad_messages;
  values["gateway.busy"] = counters.busy;
  values["gateway.register_again"] = counters.register_again;
  values["gateway.nodes"] = counters.bound_nodes;
  values["gateway.peers"] = counters.peers;
  post(this, directory_->ledger, Counted{std::move(values)});
}

net::Server::Handler handler_for(const DirectoryPtr& directory) {
  net::Server::Handler handler;
  handler.received = [gateway = directory->gateway](std::vector<net::Message> messages) {
    Frames frames;
    for (const auto& message : messages)
      frames.bytes += message.bytes();
    frames.messages = std::move(messages);
    post_anonymously(gateway, std::move(frames));
  };
  handler.gone = [gateway = directory->gateway](net::Peer peer, std::string reason) {
    post_anonymously(gateway, GonePeer{peer, std::move(reason)});
  };
  handler.subscribed = [publisher = directory->publisher](std::string topic, bool begins) {
    if (publisher)
      post_anonymously(publisher, Subscribed{std::move(topic), begins});
  };
  return handler;
}

} // namespace reeve::actors
