// See master.hpp.
#include "actors/master.hpp"

#include "actors/archivist.hpp"
#include "actors/guard.hpp"
#include "actors/recovery.hpp"
#include "actors/registry.hpp"
#include "actors/scheduler.hpp"
#include "actors/shell.hpp"
#include "actors/sweeper.hpp"
#include "actors/watchdog.hpp"

#include <random>
#include <spdlog/spdlog.h>
#include <thread>

namespace reeve::actors {

SystemConfig::SystemConfig() {
  // sharing, not stealing: an idle actor wakes in 5 µs, not 70
  set("scheduler.policy", caf::atom("sharing"));
  set("scheduler.max-threads", std::max<std::size_t>(4, std::thread::hardware_concurrency()));
  set("scheduler.max-throughput",
      std::size_t{50}); // unlimited by default: one busy actor would hold its thread
}

Master::Master(caf::actor_system& system, MasterParts parts) : system_(system) {
  const auto load = std::make_shared<Load>();
  auto reader = parts.journal->reader(); // while no thread appends
  if (!reader)
    spdlog::warn("journal: no second reader: {}", reader.error().message());
  std::unique_ptr<journal::Journal> retold;
  if (parts.wire.publish)
    if (auto second = parts.journal->reader())
      retold = std::move(*second);
  const auto recorder =
    make_recorder(std::move(parts.history), reader ? std::move(*reader) : nullptr);
  if (recorder)
    parts.ledger_options.record = [recorder](const core::CommittedPtr& batch) {
      recorder->record(batch);
    };
  directory_->archivist = system.spawn<ArchivistActor>(recorder, directory_);
  directory_->ledger =
    system.spawn<LedgerActor, caf::detached>(std::move(parts.ledger), std::move(parts.journal),
                                             std::move(parts.ledger_options), directory_, load);
  directory_->scheduler = system.spawn<SchedulerActor>(directory_);
  directory_->registry = system.spawn<RegistryActor>(directory_);
  directory_->watchdog = system.spawn<WatchdogActor>(directory_);
  directory_->recovery = system.spawn<RecoveryActor>(directory_, std::random_device()());
  directory_->sweeper = system.spawn<SweeperActor>(directory_);
  if (parts.wire.publish)
    directory_->publisher =
      system.spawn<PublisherActor, caf::detached>(parts.wire, std::move(retold));
  directory_->gateway = system.spawn<GatewayActor, caf::detached>(
    gateway::Gateway(std::move(parts.greeting)), std::move(parts.wire), directory_, load,
    parts.memory_max);
  guard_ = system.spawn<GuardActor>(all(), std::move(parts.on_down));
}

Master::~Master() {
  if (!stopped_)
    stop(Duration(0));
}

std::vector<std::pair<std::string, caf::actor>> Master::all() const {
  const Directory& d = *directory_;
  std::vector<std::pair<std::string, caf::actor>> actors{
    {"gateway", d.gateway},     {"registry", d.registry},   {"watchdog", d.watchdog},
    {"scheduler", d.scheduler}, {"recovery", d.recovery},   {"sweeper", d.sweeper},
    {"ledger", d.ledger},       {"publisher", d.publisher}, {"archivist", d.archivist}};
  std::erase_if(actors, [](const auto& entry) { return !entry.second; });
  return actors;
}

void Master::start() {
  for (const auto& [name, actor] : all())
    caf::anon_send(actor, start_atom::value);
}

bool Master::stop(Duration patience) {
  stopped_ = true;
  caf::anon_send_exit(guard_,
                      caf::exit_reason::kill); // from here on it is no news when an actor ends
  bool clean = patience > Duration(0);
  caf::scoped_actor self(system_);
  const auto ask = [&](const caf::actor& actor) {
    if (clean && actor)
      self
        ->request(actor, std::chrono::duration_cast<std::chrono::milliseconds>(patience),
                  stop_atom::value)
        .receive([](done_atom) {}, [&](const caf::error&) { clean = false; });
  };
  ask(directory_->gateway); // no more requests
  ask(directory_->ledger);  // what was decided becomes durable, its effects go to the gateway
  ask(directory_->archivist);
  ask(directory_->publisher);
  ask(directory_->gateway); // has handed them to the sockets
  for (const auto& [name, actor] : all())
    caf::anon_send_exit(actor, clean ? caf::exit_reason::user_shutdown : caf::exit_reason::kill);
  for (const auto& [name, actor] : all())
    self->wait_for(actor);
  *directory_ = {};
  return clean;
}

} // namespace reeve::actors
