// See watchdog.hpp.
#include "actors/watchdog.hpp"

#include <spdlog/spdlog.h>

namespace reeve::actors {
namespace {
constexpr auto watch_every = std::chrono::milliseconds(250);
} // namespace

WatchdogActor::WatchdogActor(caf::actor_config& config, DirectoryPtr directory)
    : DeciderShell(config, "watchdog", deciders::Watchdog(watch_every), std::move(directory),
                   watch_every) {}

TimePoint WatchdogActor::now() const {
  return steady_now();
}

caf::message_handler WatchdogActor::own_messages() {
  return {
    [this](const Parcel<WatchdogMail>& mail) {
      for (const auto& item : mail.take().items) {
        if (const auto* beat = std::get_if<gateway::Beat>(&item))
          core_.heard(beat->node, beat->heard);
        else if (const auto* gone = std::get_if<gateway::Disconnected>(&item))
          core_.disconnected(gone->node);
      }
      tell();
    },
  };
}

void WatchdogActor::decided() {
  tell();
  const auto alarm = core_.take_alarm();
  if (!alarm)
    return;
  if (alarm->empty())
    spdlog::info("watchdog: nodes are heard again");
  else
    spdlog::error("watchdog: {}", *alarm);
  post(this, directory_->ledger, Counted{{{"watchdog.alarm", alarm->empty() ? 0 : 1}}});
}

void WatchdogActor::tell() {
  auto suspects = core_.take_suspicion();
  if (!suspects)
    return;
  post(this, directory_->ledger, Suspicion{*suspects});
  post(this, directory_->scheduler, Suspicion{std::move(*suspects)});
}

} // namespace reeve::actors
