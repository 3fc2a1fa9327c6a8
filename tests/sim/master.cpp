// See master.hpp. Follows actors/*.cpp step by step; where they differ, this file is wrong.
#include "tests/sim/master.hpp"

#include "messages/mutant.hpp"

namespace reeve::sim {
namespace {
constexpr Duration watch_every = 250ms, schedule_every = 100ms, ledger_tick = 200ms;
constexpr std::size_t appends_max = 2;
constexpr Duration sure_for = 2s;

Failed failed_of(const Error& error) {
  Failed failed;
  failed.code = error.code;
  failed.field = error.field;
  failed.text = error.text;
  return failed;
}
} // namespace

Master::Parts::Parts(const std::string& name, std::uint64_t seed)
    : gateway({"sim", name, "reeved", ""}), watchdog(watch_every), recovery(seed) {}

Master::Master(Timeline& timeline, Network& network, Disk& disk, Truth& truth,
               MasterOptions options)
    : Process(timeline), network_(network), disk_(&disk), truth_(truth),
      options_(std::move(options)), random_(options_.seed) {}

Master::Master(Timeline& timeline, Network& network, Etcd& etcd, Truth& truth,
               MasterOptions options, Hears hears)
    : Process(timeline), network_(network), etcd_(&etcd), hears_(std::move(hears)), truth_(truth),
      options_(std::move(options)), random_(options_.seed) {}

Master::~Master() {
  forget();
}

void Master::start() {
  if (alive())
    return;
  born();
  boot();
}

void Master::crash() {
  if (!alive())
    return;
  died();
  forget();
  if (disk_ != nullptr)
    disk_->crash(random_);
  network_.hang_up_all(options_.number);
}

/// What it did ends where it waits; then what it did it with.
void Master::forget() {
  for (const auto& fiber : std::exchange(fibers_, {}))
    fiber->kill();
  parts_.reset();
  follow_.reset();
}

// ---- the start, as src/master/start.cpp

void Master::boot() {
  if (etcd_ != nullptr)
    return in_fiber([this] { follow(); });
  auto booted = boot_parts();
  if (booted)
    return;
  parts_.reset();
  if (booted.error().code == Code::corrupt || booted.error().code == Code::internal)
    truth_.broken("the master cannot start: " + booted.error().message());
  after(1s, [this] { boot(); }); // the service manager starts it again
}

Result<void> Master::boot_parts() {
  parts_ = std::make_unique<Parts>(name(), seed_of(options_.seed, "life", ++lives_));
  Parts& p = *parts_;
  auto journal = std::make_unique<DiskJournal>(*disk_);
  if (auto opened = journal->open(); !opened)
    return opened;
  p.journal = std::move(journal);
  auto recovered = reeve::ledger::recover(*p.journal);
  if (!recovered)
    return tl::unexpected(recovered.error());
  truth_.recovered(recovered->cluster);
  const Epoch before = std::max(recovered->cluster.epoch(), p.journal->epoch());
  if (auto taken = p.journal->acquire(before.next(), "m1"); !taken)
    return taken;
  p.ledger = std::make_unique<reeve::ledger::Ledger>(
    reeve::ledger::Identity{"sim", "m1", "reeved", wall(), deciders::default_settings()},
    std::move(recovered->cluster));
  p.ledger->begin(wall(), before);
  p.ledger->wish(core::ChangeConfig{options_.settings}, wall());
  while (p.ledger->has_batches()) {
    const auto batches = p.ledger->take_batches();
    if (batches.empty())
      break;
    if (auto stored = p.journal->append(batches); !stored)
      return stored;
    p.ledger->durable(batches.back().last());
  }
  begin_to_work();
  return {};
}

/// Everything that was decided so far is durable.
void Master::begin_to_work() {
  Parts& p = *parts_;
  truth_.recovered(p.ledger->cluster());
  p.ledger->take_committed();
  p.gateway.set_epoch(p.ledger->cluster().epoch());
  describe();
  every(ledger_tick, [this] {
    look_at_pulse();
    parts_->ledger->tick(wall());
    if (parts_->since_snapshot >= options_.snapshot_entries)
      snapshot();
    pump();
  });
  every(options_.beacon_every, [this] {
    parts_->ledger->send_beacon(wall());
    pump();
  });
  every(1s, [this] {
    gateway::Outbox out;
    parts_->gateway.tick(steady(), out);
    deliver(std::move(out));
  });
  every(watch_every, [this] { think_soon(watchdog); });
  every(schedule_every, [this] { think_soon(scheduler); });
  every(1s, [this] {
    think_soon(recovery);
    think_soon(sweeper);
  });
  pump();
}

// ---- one of several, as serve_shared in src/master/main.cpp

void Master::in_fiber(Work work) {
  std::erase_if(fibers_, [](const auto& fiber) { return fiber->over(); });
  auto fiber = Fiber::make(std::move(work));
  fibers_.push_back(fiber);
  fiber->resume();
}

Master::Follow::Follow(std::shared_ptr<EtcdClient> to, const Master& master)
    : client(std::move(to)), desk({"sim", master.name(), "reeved", "", master.wall()}) {}

bool Master::recover_follower() {
  Follow& f = *follow_;
  auto journal = journal::EtcdJournal::open(f.client, etcd_options(endpoint()));
  if (!journal)
    return false;
  f.journal = std::move(*journal);
  auto recovered = reeve::ledger::recover(*f.journal);
  if (!recovered) {
    if (recovered.error().code != Code::io && recovered.error().code != Code::not_found)
      truth_.broken(name() + " cannot recover: " + recovered.error().message());
    return false;
  }
  standby::FollowerOptions options;
  options.endpoint = endpoint();
  options.tell = [this](bool, const std::string& text) {
    if (text.find("DIFFERS") != std::string::npos)
      truth_.broken(name() + ": " + text);
  };
  options.seed = random_.next();
  f.follower =
    std::make_unique<standby::Follower>(*f.journal, std::move(*recovered), std::move(options));
  return true;
}

/// A fiber's whole life: until this master leads.
void Master::follow() {
  follow_ = std::make_unique<Follow>(
    std::make_shared<EtcdClient>(*etcd_, *this, options_.number, options_.clock, timeline_), *this);
  Follow& f = *follow_;
  while (!recover_follower())
    f.client->waits(500ms);
  listen_to_leader();
  for (bool asked_all = false;;) {
    auto look = f.journal->look(f.follower->next(), standby::Follower::look_patience,
                                asked_all || f.follower->trouble());
    const bool more = look && look->more;
    f.follower->suspicion().tick(steady());
    if (auto taken = f.follower->take(std::move(look), steady()); !taken)
      return truth_.broken(name() + " cannot follow: " + taken.error().message());
    if (const Seq seq = f.follower->cluster().last_seq(); seq != f.compared) {
      f.compared = seq;
      truth_.followed(f.follower->cluster());
    }
    const bool dead = f.follower->dead(steady());
    if (dead && asked_all) {
      if (auto begun = take_over())
        return lead(std::move(*begun));
      asked_all = false;
      continue;
    }
    asked_all = dead;
    if (!dead && !more)
      f.client->waits(40ms);
  }
}

std::optional<reeve::master::Begun> Master::take_over() {
  Follow& f = *follow_;
  config::MasterOptions options;
  options.name = name();
  options.settings = options_.settings;
  f.taking_over = true;
  auto begun = reeve::master::take_over(f.journal, *f.follower, options, endpoint(), wall());
  if (!begun) {
    const Error& error = begun.error();
    if (error.code == Code::corrupt || error.code == Code::internal ||
        error.code == Code::bad_field)
      truth_.broken(name() + " cannot take over: " + error.message());
    at(timeline_.now(), [this] { begin_anew(); });
    for (;;)
      f.client->waits(1h); // it is about to end
  }
  f.taking_over = begun->has_value();
  if (!*begun)
    f.follower->again();
  return std::move(*begun);
}

void Master::lead(reeve::master::Begun begun) {
  parts_ = std::make_unique<Parts>(name(), seed_of(options_.seed, "life", ++lives_));
  parts_->journal = std::move(begun.journal);
  parts_->ledger = std::move(begun.ledger);
  parts_->pulse = parts_->journal->pulse();
  begin_to_work();
  for (auto& [peer, frame] : std::exchange(follow_->unanswered, {}))
    take_frame(peer, std::move(frame));
  const std::string header =
    encode(Header{protocol_version, RegisterAgain::type, 0, parts_->ledger->cluster().epoch()});
  for (const net::Peer agent : follow_->desk.agents())
    network_.send_down(agent, {header, encode(RegisterAgain{name() + " leads now"})});
  in_fiber([this, client = follow_->client] {
    do
      client->waits(journal::EtcdJournal::beat_every);
    while (static_cast<journal::EtcdJournal&>(*parts_->journal).beat());
  });
}

/// The direct connection to the leader, and the standby's own clock.
void Master::listen_to_leader() {
  every(50ms, [this] {
    if (!leads())
      follow_->follower->suspicion().tick(steady());
  });
  every(standby::Follower::ask_every, [this] {
    if (leads() || follow_->follower->leader_endpoint().empty())
      return;
    const std::string asked = follow_->follower->leader_endpoint();
    const Heard heard = hears_(options_.number, asked);
    after(random_.between(200us, 3ms), [this, asked, heard] {
      if (leads() || follow_->follower->leader_endpoint() != asked)
        return;
      if (heard == Heard::answer)
        follow_->follower->suspicion().answered(steady());
      else if (heard == Heard::refusal)
        follow_->follower->suspicion().refused();
    });
  });
}

/// By exec: nothing is left of its reign.
void Master::begin_anew() {
  died();
  forget();
  network_.hang_up_all(options_.number);
  born();
  after(random_.between(10ms, 60ms), [this] { boot(); });
}

/// As actors/ledger.cpp.
bool Master::sure() const {
  return !parts_->pulse || Duration(steady().time_since_epoch().count() -
                                    parts_->pulse->confirmed_us.load()) <= sure_for;
}

void Master::look_at_pulse() {
  Parts& p = *parts_;
  if (p.pulse && p.pulse->deposed.load() && !p.stepping_down)
    fail_append({Code::stale_epoch, {}, "another master has taken the reign"});
}

void Master::step_down() {
  if (!serves() || !runs() || !parts_->pulse || std::exchange(parts_->stepping_down, true))
    return;
  parts_->works.push_back([this] {
    const auto released = parts_->journal->release();
    send(writer, ledger, [this, released] {
      if (!released) {
        parts_->stepping_down = false;
        return pump();
      }
      parts_->ledger->append_failed({Code::not_leader, {}, "this master has stepped down"}, wall());
      pump();
      after(100ms, [this] { begin_anew(); });
    });
  });
  write();
}

void Master::every(Duration period, Work work) {
  after(period, [this, period, work = std::move(work)]() mutable {
    work();
    every(period, std::move(work));
  });
}

/// Letters from one part to another arrive in order; those of different parts overtake each other.
void Master::send(Who from, Who to, Work letter) {
  TimePoint& newest = parts_->mail[from * who_count + to];
  newest =
    std::max(newest, timeline_.now() + random_.between(5us, random_.percent(2) ? 5ms : 80us));
  at(newest, std::move(letter));
}

// ---- the gateway's shell

void Master::on_frame(std::uint64_t peer, Frame frame) {
  at(timeline_.now(), [this, peer, frame = std::move(frame)]() mutable {
    if (leads())
      take_frame(peer, std::move(frame));
    else if (follow_ && follow_->follower)
      answer_as_standby(peer, std::move(frame));
  });
}

void Master::answer_as_standby(std::uint64_t peer, Frame frame) {
  if (follow_->taking_over) { // its state is on the way to the ledger
    follow_->unanswered.emplace_back(peer, std::move(frame));
    return;
  }
  std::vector<net::Message> answers;
  follow_->desk.answer({peer, std::move(frame.header), std::move(frame.body)},
                       follow_->follower->view(steady()), wall(), answers);
  for (net::Message& answer : answers)
    network_.send_down(answer.peer, {std::move(answer.header), std::move(answer.body)});
}

void Master::take_frame(std::uint64_t peer, Frame frame) {
  gateway::Outbox out;
  std::vector<net::Message> messages;
  messages.push_back({peer, std::move(frame.header), std::move(frame.body)});
  parts_->gateway.on_messages(std::move(messages),
                              {parts_->queued, parts_->ledger->undurable(), false, !sure()},
                              steady(), out);
  deliver(std::move(out));
}

void Master::on_gone(std::uint64_t peer) {
  at(timeline_.now(), [this, peer] {
    if (follow_)
      follow_->desk.gone(peer);
    if (!parts_)
      return;
    gateway::Outbox out;
    parts_->gateway.on_gone(peer, steady(), out);
    deliver(std::move(out));
  });
}

void Master::deliver(gateway::Outbox out) {
  for (net::Message& message : out.send)
    network_.send_down(message.peer, {std::move(message.header), std::move(message.body)});
  if (!out.ledger.empty()) {
    parts_->queued += out.ledger.size();
    send(gateway, ledger, [this, items = std::move(out.ledger)]() mutable {
      parts_->queued -= items.size();
      for (auto& item : items)
        take(item);
      pump();
    });
  }
  if (!out.registry.empty())
    send(gateway, registry, [this, items = std::move(out.registry)]() mutable {
      for (auto& item : items)
        std::visit([this](auto& one) { take(std::move(one)); }, item);
    });
  if (!out.watchdog.empty())
    send(gateway, watchdog, [this, items = std::move(out.watchdog)] {
      for (const auto& item : items) {
        if (const auto* beat = std::get_if<gateway::Beat>(&item))
          parts_->watchdog.heard(beat->node, beat->heard);
        else
          parts_->watchdog.disconnected(std::get<gateway::Disconnected>(item).node);
      }
      tell_suspicion();
    });
  for (auto& asked : out.archivist)
    take(std::move(asked));
  for (const auto& asked : out.sweeper) {
    const auto report = parts_->sweeper.report(wall());
    answer(asked.from, Done::type, encode(Done{report.things(), report.text()}));
  }
  if (!out.recovery.empty())
    send(gateway, recovery, [this, beats = std::move(out.recovery)] {
      for (const auto& beat : beats)
        parts_->recovery.heard(beat.node, beat.used, beat.heard);
    });
  for (const auto& asked : out.scheduler)
    send(gateway, scheduler, [this, asked] { take(asked); });
}

void Master::take(gateway::ForLedger& item) {
  reeve::ledger::Ledger& to = *parts_->ledger;
  auto* asked = std::get_if<gateway::Asked>(&item);
  if (asked && !sure())
    refuse(asked->from, {Code::not_leader, {}, "the journal does not answer"});
  else if (asked)
    to.request(asked->from.peer, asked->from.correlation, asked->request, wall());
  else if (auto* results = std::get_if<gateway::GotResults>(&item))
    to.results(results->peer, results->node, std::move(results->results), wall());
  else if (auto* measured = std::get_if<gateway::Measured>(&item)) {
    to.measured(measured->node, measured->used, measured->heard);
    to.counted_there(measured->node, measured->tasks, measured->heard);
    to.checked(measured->node, measured->trouble, wall());
  } else if (auto* left = std::get_if<gateway::Left>(&item))
    to.leave(left->node, left->reason, wall());
  else if (auto* gone = std::get_if<gateway::PeerGone>(&item))
    to.peer_gone(gone->peer);
}

void Master::take(gateway::Registration registration) {
  const auto heartbeat = parts_->registry.check(registration.message);
  if (!heartbeat)
    return refuse(registration.from, heartbeat.error());
  send(registry, ledger, [this, registration = std::move(registration), heartbeat = *heartbeat] {
    parts_->ledger->register_node(registration.from.peer, registration.from.correlation,
                                  registration.message, heartbeat, wall());
    pump();
  });
}

void Master::take(gateway::Asked asked) {
  Result<void> good;
  if (const auto* nodes = std::get_if<ActOnNodes>(&asked.request))
    good = parts_->registry.check(*nodes);
  else if (const auto* config = std::get_if<SetConfig>(&asked.request))
    good = parts_->registry.check(*config);
  if (!good)
    return refuse(asked.from, good.error());
  send(registry, ledger, [this, asked = std::move(asked)] {
    parts_->ledger->request(asked.from.peer, asked.from.correlation, asked.request, wall());
    pump();
  });
}

void Master::take(gateway::ForArchivist asked) { // there is no history here
  if (const auto* tasks = std::get_if<TaskList>(&asked.question))
    answer(asked.from, TaskList::type, encode(*tasks));
  else
    refuse(asked.from, {Code::not_found, {}, "nothing is known of it"});
}

void Master::take(const gateway::ForScheduler& asked) {
  sched::Scheduler& core = parts_->scheduler;
  if (const auto* question = std::get_if<Explain>(&asked.question)) {
    const auto explained = core.explain(question->job, question->index, wall());
    if (explained)
      answer(asked.from, Explained::type, encode(*explained));
    else
      refuse(asked.from, explained.error());
  } else if (const auto* lease = std::get_if<Allocate>(&asked.question)) {
    if (const auto good = core.check(*lease, wall()); !good)
      return refuse(asked.from, good.error());
    send(scheduler, ledger, [this, from = asked.from, wanted = *lease] {
      parts_->ledger->request(from.peer, from.correlation, wanted, wall());
      pump();
    });
  } else if (const auto* measured = std::get_if<gateway::Measured>(&asked.question)) {
    core.measured(measured->node, measured->used);
  } else if (const auto* pulled = std::get_if<gateway::Pulled>(&asked.question)) {
    core.pulled(pulled->node);
    think_soon(scheduler);
  }
}

void Master::answer(gateway::Origin to, MessageType type, std::string body) {
  std::vector<reeve::ledger::Effect> effects;
  effects.emplace_back(reeve::ledger::ToPeer{to.peer, type, to.correlation, std::move(body)});
  send(registry, gateway, [this, effects = std::move(effects)]() mutable {
    gateway::Outbox out;
    parts_->gateway.on_effects(std::move(effects), steady(), out);
    deliver(std::move(out));
  });
}
void Master::refuse(gateway::Origin to, const Error& error) {
  answer(to, Failed::type, encode(failed_of(error)));
}

// ---- the deciders' shells

template<class F> void Master::with_core(Who who, F&& f) {
  switch (who) {
  case watchdog:
    return f(parts_->watchdog);
  case scheduler:
    return f(parts_->scheduler);
  case recovery:
    return f(parts_->recovery);
  case sweeper:
    return f(parts_->sweeper);
  default:
    return f(parts_->registry);
  }
}

void Master::think_soon(Who who) {
  if (parts_->thinks[who])
    return;
  parts_->thinks[who] = true;
  send(who, who, [this, who] {
    parts_->thinks[who] = false;
    std::vector<core::Command> commands;
    with_core(who, [&](auto& core) {
      if constexpr (requires { core.decide(TimePoint{}); })
        commands = core.decide(who == watchdog ? steady() : wall());
    });
    if (!commands.empty())
      send(who, ledger, [this, who, commands = std::move(commands)] {
        wish(who, commands);
        pump();
      });
    if (who == watchdog)
      tell_suspicion();
  });
}

void Master::tell_suspicion() {
  auto suspects = parts_->watchdog.take_suspicion();
  if (!suspects)
    return;
  send(watchdog, ledger, [this, nodes = *suspects] { parts_->ledger->suspect(nodes); });
  send(watchdog, scheduler, [this, nodes = std::move(*suspects)] {
    with_core(scheduler, [&](auto& core) {
      if constexpr (requires { core.suspect(nodes); })
        core.suspect(nodes);
    });
    think_soon(scheduler);
  });
}

void Master::wish(Who from, const std::vector<core::Command>& commands) {
  for (const core::Command& command : commands) {
    auto refused = parts_->ledger->wish(command, wall());
    if (refused.placements.empty() && !refused.error)
      continue;
    send(ledger, from, [this, from, command, refused = std::move(refused)] {
      with_core(from, [&](auto& core) {
        if constexpr (requires { core.refused(refused.placements); })
          core.refused(refused.placements);
        else if constexpr (requires { core.refused(command, *refused.error); })
          core.refused(command, *refused.error);
      });
      think_soon(from);
    });
  }
}

void Master::describe() {
  auto changes = std::make_shared<core::Changes>();
  parts_->ledger->cluster().describe(*changes);
  const Seq seq = parts_->ledger->cluster().last_seq();
  for (const Who to : {scheduler, recovery, sweeper, watchdog, registry})
    send(ledger, to, [this, to, changes, seq] {
      with_core(to, [&](auto& core) { core.reset(*changes); });
      if (to == scheduler)
        parts_->scheduler_seq = seq;
      think_soon(to);
    });
}

// ---- the ledger's shell and its writer

void Master::pump() {
  Parts& p = *parts_;
  while (!p.failed && !p.stepping_down && p.appends.size() < appends_max &&
         p.ledger->has_batches()) {
    auto batches = p.ledger->take_batches();
    if (batches.empty())
      break;
    p.appends.push_back(batches.back().last());
    for (auto& batch : batches) {
      p.since_snapshot += batch.entries.size();
      if (!p.writer_failed)
        p.queue.push_back(std::move(batch));
    }
    write();
  }
  auto effects = std::exchange(p.held, {});
  for (auto& effect : p.ledger->take_effects())
    effects.push_back(std::move(effect));
  if (!sure()) {
    p.held = std::move(effects);
    return;
  }
  publish();
  if (!effects.empty())
    send(ledger, gateway, [this, effects = std::move(effects)]() mutable {
      gateway::Outbox out;
      parts_->gateway.on_effects(std::move(effects), steady(), out);
      deliver(std::move(out));
    });
}

void Master::publish() {
  for (const core::CommittedPtr& batch : parts_->ledger->take_committed()) {
    truth_.published(*batch, parts_->ledger->cluster());
    for (const Who to : {scheduler, recovery, sweeper, watchdog, registry})
      send(ledger, to, [this, to, batch] {
        with_core(to, [&](auto& core) {
          if constexpr (requires { core.apply(*batch); })
            core.apply(*batch);
          else
            core.apply(batch->changes);
        });
        if (to == scheduler)
          parts_->scheduler_seq = batch->last();
        think_soon(to);
      });
  }
}

void Master::write() {
  Parts& p = *parts_;
  if ((p.writes && !(REEVE_MUTANT(appends_pipelined) && !p.queue.empty())) ||
      (p.queue.empty() && p.works.empty()))
    return;
  p.writes = true;
  if (p.queue.empty()) { // other work, when nothing is to be appended
    Work work = std::move(p.works.front());
    p.works.pop_front();
    const auto all = [this, work] {
      work();
      parts_->writes = false;
      write();
    };
    if (etcd_ != nullptr)
      in_fiber(all);
    else
      after(random_.between(options_.sync_least, options_.sync_most), all);
    return;
  }
  const auto batches = std::exchange(p.queue, {});
  const Seq last = batches.back().last();
  if (etcd_ != nullptr)
    return in_fiber([this, batches, last] { written(parts_->journal->append(batches), last); });
  auto& journal = static_cast<DiskJournal&>(*p.journal);
  Result<void> begun = journal.write(batches);
  after(random_.between(options_.sync_least, options_.sync_most), [this, begun, last] {
    written(begun ? static_cast<DiskJournal&>(*parts_->journal).sync() : begun, last);
  });
}

void Master::written(const Result<void>& stored, Seq last) {
  Result<Seq> durable = last;
  parts_->writes = false;
  if (!stored) {
    if (stored.error().code == Code::corrupt || stored.error().code == Code::internal)
      truth_.broken(name() + ": append: " + stored.error().message());
    durable = tl::unexpected(stored.error());
    parts_->writer_failed = true;
    parts_->queue.clear();
  }
  send(writer, ledger, [this, durable] { report(durable); });
  write();
}

void Master::report(const Result<Seq>& durable) {
  Parts& p = *parts_;
  if (!durable)
    return fail_append(durable.error());
  while (!p.appends.empty() && p.appends.front() <= *durable)
    p.appends.pop_front();
  p.ledger->durable(*durable);
  pump();
}

void Master::fail_append(const Error& error) {
  Parts& p = *parts_;
  const bool before = std::exchange(p.failed, true);
  if (!before) {
    p.appends.clear();
    p.ledger->append_failed(error, wall());
  }
  if (error.code == Code::stale_epoch)
    return after(1ms, [this] { begin_anew(); });
  if (before)
    return;
  after(1s, [this] { revive(); });
  pump();
}

void Master::revive() {
  parts_->writer_failed = false;
  parts_->works.push_back([this] {
    auto revival = parts_->reviver.attempt(
      *parts_->journal, parts_->ledger->cluster().epoch().next(), name(), wall());
    if (!revival) {
      after(1s, [this] { revive(); });
      return;
    }
    truth_.recovered(revival->cluster);
    send(writer, ledger,
         [this, cluster = std::make_shared<core::Cluster>(std::move(revival->cluster))] {
           parts_->failed = false;
           parts_->ledger->reload(std::move(*cluster));
           send(ledger, gateway, [this, epoch = parts_->ledger->cluster().epoch()] {
             parts_->gateway.set_epoch(epoch);
           });
           describe();
           pump();
         });
  });
  write();
}

void Master::snapshot() {
  Parts& p = *parts_;
  if (p.snapshot_runs || p.failed)
    return;
  p.snapshot_runs = true;
  p.since_snapshot = 0;
  p.works.push_back([this] {
    auto reader = parts_->journal->reader();
    auto made = reeve::ledger::make_snapshot(**reader);
    if (!made) {
      if (disk_ != nullptr || made.error().code == Code::corrupt)
        truth_.broken("no snapshot: " + made.error().message());
      parts_->snapshot_runs = false;
      return;
    }
    parts_->works.push_back([this, made = std::move(*made)] {
      if (parts_->journal->save_snapshot(made))
        parts_->works.push_back([this, seq = made.seq] {
          // What is forgotten has been told to everybody, as the archivist settles it.
          static_cast<void>(parts_->journal->truncate(std::min(seq, truth_.cluster().last_seq())));
          parts_->snapshot_runs = false;
        });
      else
        parts_->snapshot_runs = false;
    });
  });
  write();
}

// ---- looked at from outside

void Master::check_reason(Random& random) {
  if (!leads() || !runs() || !serves() || parts_->scheduler_seq != truth_.cluster().last_seq())
    return;
  const auto task = truth_.some_pending(random);
  if (!task)
    return;
  ListTasks query;
  query.job = task->job;
  query.from = task->index;
  query.limit = 1;
  const auto view = truth_.cluster().list(query);
  const auto explained = parts_->scheduler.explain(task->job, task->index, wall());
  const bool said = explained && !explained->summary.empty() &&
                    explained->summary.find("does not wait") == std::string::npos;
  if (!said && (!view || view->tasks.front().reason.empty()))
    truth_.broken("nobody can say why task " + std::to_string(task->index) + " of job " +
                  std::to_string(task->job.value) + " waits" +
                  (explained ? ": " + explained->summary : ": " + explained.error().message()));
}

std::string Master::state() const {
  if (!leads())
    return name() + (alive() ? " follows" : " is dead");
  return name() + " leads, epoch " + std::to_string(parts_->ledger->cluster().epoch().value) +
         ", not durable " + std::to_string(parts_->ledger->undurable()) +
         (parts_->failed ? ", its journal fails" : "") + (sure() ? "" : ", not sure of its reign");
}

bool Master::idle() const {
  return serves() && parts_->ledger->undurable() == 0 && parts_->queued == 0;
}

} // namespace reeve::sim
