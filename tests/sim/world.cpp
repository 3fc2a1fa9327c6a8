// See world.hpp.
#include "tests/sim/world.hpp"

#include <cstdio>

namespace reeve::sim {
namespace {

constexpr Duration looked_at_every = 500ms, healing_every = 2s, drain_limit = 30min;
constexpr unsigned let_go_most = 5;
constexpr unsigned noise_first = 1'000; // numbers of the kinds of noise
enum NoiseKind : unsigned { drops = noise_first, repeats, reorders, drifts, delays };

class World {
public:
  explicit World(const RunOptions& options);
  Outcome run();

private:
  enum class In { both, alone, shared };
  struct Happening {
    const char* name;
    unsigned weight;
    bool fault; // else something that users do
    void (World::*happen)(Random&);
    In in = In::both;
  };
  static const std::vector<Happening>& table();

  [[nodiscard]] bool leaves_out(unsigned number) const { return options_.without.contains(number); }
  void plan();
  void put(bool fault, Duration from, Duration to);
  void put(const Happening& what, Duration when);
  void trace(const std::string& what) const;

  // ---- users
  void submit(Random&);
  void nonsense(Random&);
  void cancel(Random&);
  void hold(Random&);
  void release(Random&);
  void retry(Random&);
  void lease(Random&);
  void drain(Random&);
  void undrain(Random&);
  void label(Random&);
  void look(Random&);
  JobSpec job(Random&);
  static std::vector<RetryRule> retry_rules(Random& random);
  std::vector<JobId> some_jobs(User& user, Random&);

  // ---- faults
  void crash_master(Random&);
  void stop_master(Random&);
  void crash_agent(Random&);
  void crash_machine(Random&);
  void crash_keeper(Random&);
  void stop_agent(Random&);
  void leave(Random&);
  void clog(Random&);
  void swizzle(Random&);
  void mass_silence(Random&);
  void set_clock(Random&);
  void fill_disk(Random&);
  void break_disk(Random&);
  void slow_disk(Random&);
  void lie(Random&);
  void old_leader(Random&);
  void crash_user(Random&);
  void step_down(Random&);
  void sleep_until_takeover(Random&);
  void sleep_on(Master& which, TimePoint limit);
  void cut_from_etcd(Random&);
  void cut_from_standbys(Random&);
  void crash_member(Random&);
  void no_majority(Random&);
  void fill_etcd(Random&);
  void slow_etcd(Random&);
  void make_masters(const MasterOptions& options);
  void for_a_time(Duration length, Work end);
  Heard heard(std::size_t asker, const std::string& endpoint);
  Master& master(Random& random);

  Agent& agent(Random& random) { return *random.pick(agents_); }
  User& user(Random& random) { return *random.pick(users_); }
  void start(Agent& which) {
    if (!healed_ || which.name() != buried_)
      which.start();
  }
  void clog_for(std::size_t host, Duration from, Duration length, bool up, bool down);
  void look_at_all();
  void heal();
  void mend();
  [[nodiscard]] bool at_rest() const;
  [[nodiscard]] std::string what_is_left() const;

  RunOptions options_;
  Random random_;
  Timeline timeline_;
  Disk disk_;
  std::unique_ptr<Etcd> etcd_; // null: one master over its disk
  Truth truth_;
  std::unique_ptr<Network> network_;
  std::vector<std::unique_ptr<Master>> masters_;
  std::set<std::size_t> unheard_; // masters that standbys do not reach
  std::vector<std::unique_ptr<Agent>> agents_;
  std::vector<std::unique_ptr<User>> users_;
  std::vector<std::pair<unsigned, std::string>> planned_;
  struct Clogged {
    std::size_t host = 0;
    bool up = false, down = false;
  };
  std::map<std::uint64_t, Clogged> clogs_;
  std::uint64_t newest_clog_ = 0;
  std::string buried_;               // a node that never comes back
  std::map<JobId, unsigned> let_go_; // how often a held job was, since all is healed
  bool healed_ = false, rests_ = false;
  Duration chaos_{0};
  Random looking_;
};

const std::vector<World::Happening>& World::table() {
  static const std::vector<Happening> all{
    {"submit", 8, false, &World::submit},
    {"nonsense", 1, false, &World::nonsense},
    {"cancel", 3, false, &World::cancel},
    {"hold", 1, false, &World::hold},
    {"release", 1, false, &World::release},
    {"retry", 2, false, &World::retry},
    {"lease", 2, false, &World::lease},
    {"drain", 1, false, &World::drain},
    {"undrain", 1, false, &World::undrain},
    {"label", 1, false, &World::label},
    {"look", 1, false, &World::look},
    {"crash master", 5, true, &World::crash_master},
    {"stop master", 2, true, &World::stop_master},
    {"crash agent", 4, true, &World::crash_agent},
    {"crash machine", 4, true, &World::crash_machine},
    {"crash keeper", 2, true, &World::crash_keeper},
    {"stop agent", 3, true, &World::stop_agent},
    {"leave", 1, true, &World::leave},
    {"clog", 5, true, &World::clog},
    {"swizzle", 2, true, &World::swizzle},
    {"mass silence", 1, true, &World::mass_silence},
    {"set clock", 2, true, &World::set_clock},
    {"fill disk", 2, true, &World::fill_disk, In::alone},
    {"break disk", 3, true, &World::break_disk, In::alone},
    {"slow disk", 1, true, &World::slow_disk, In::alone},
    {"lie", 2, true, &World::lie},
    {"old leader", 2, true, &World::old_leader, In::alone},
    {"crash user", 2, true, &World::crash_user},
    {"step down", 2, true, &World::step_down, In::shared},
    {"cut from etcd", 5, true, &World::cut_from_etcd, In::shared},
    {"cut from standbys", 2, true, &World::cut_from_standbys, In::shared},
    {"crash member", 3, true, &World::crash_member, In::shared},
    {"no majority", 2, true, &World::no_majority, In::shared},
    {"fill etcd", 1, true, &World::fill_etcd, In::shared},
    {"slow etcd", 3, true, &World::slow_etcd, In::shared},
    {"sleep until takeover", 0, true, &World::sleep_until_takeover, In::shared}, // by plan
  };
  return all;
}

World::World(const RunOptions& options)
    : options_(options), random_(seed_of(options.seed, "world")),
      etcd_(options.shared
              ? std::make_unique<Etcd>(timeline_, seed_of(options.seed, "etcd"), EtcdNoise{})
              : nullptr),
      truth_(timeline_, etcd_ ? static_cast<const Log&>(*etcd_) : disk_),
      looking_(seed_of(options.seed, "look")) {
  Noise noise;
  const bool loud = random_.percent(60);
  const std::uint64_t drop = loud ? random_.below(30) : 0, repeat = loud ? random_.below(30) : 0;
  const bool reorder = loud && random_.percent(40);
  const Duration late = random_.between(1ms, random_.percent(30) ? 300ms : 10ms);
  const bool drift = random_.percent(50);
  noise.drop = leaves_out(drops) ? 0 : drop;
  noise.repeat = leaves_out(repeats) ? 0 : repeat;
  noise.reorder = reorder && !leaves_out(reorders);
  noise.delay_most = leaves_out(delays) ? Duration(1ms) : late;
  network_ = std::make_unique<Network>(timeline_, seed_of(options.seed, "network"), noise);
  const auto some_clock = [&] {
    const std::int64_t ppm = random_.between(-10'000, 10'000);
    return Clock{drift && !leaves_out(drifts) ? ppm : 0};
  };

  MasterOptions master;
  master.seed = seed_of(options.seed, "master");
  master.snapshot_entries = static_cast<std::uint64_t>(random_.between(20, 200));
  master.clock = some_clock();
  master.sync_most = random_.between(500us, 20ms);
  master.settings = {
    {"heartbeat.interval", std::to_string(random_.between(1, 4)) + "s"},
    {"retry.longest", "20s"},
    {"quarantine.failures", random_.percent(50) ? "2" : "0"},
    {"quarantine.first", "5s"},
    {"quarantine.longest", "20s"},
    {"retry.crash_nodes", random_.percent(50) ? "3" : "0"},
    {"retention.jobs", random_.percent(50) ? "20s" : "1h"},
    {"retention.nodes", random_.percent(30) ? "1m" : "1d"},
    {"sweep.every", "10s"},
  };
  make_masters(master);
  const auto machines = static_cast<std::uint64_t>(random_.between(2, 6));
  for (std::uint64_t i = 0; i < machines; ++i) {
    Machine machine;
    machine.name = "n" + std::to_string(i);
    machine.capacity.cpu_milli = 1'000 * random_.between(2, 6);
    machine.capacity.memory_bytes = random_.between(2, 8) << 30;
    machine.labels = {{"rack", i % 2 == 0 ? "r0" : "r1"}};
    machine.clock = some_clock();
    machine.seed = seed_of(options.seed, "machine", i);
    agents_.push_back(
      std::make_unique<Agent>(timeline_, *network_, truth_, std::move(machine), masters_.size()));
  }
  for (std::uint64_t i = 0; i < 2; ++i)
    users_.push_back(std::make_unique<User>(timeline_, *network_, truth_,
                                            seed_of(options.seed, "user", i), masters_.size()));
  if (random_.percent(15)) // its rack has no work of its own
    buried_ = "n1";
  plan();
}

void World::make_masters(const MasterOptions& options) {
  if (!etcd_) {
    masters_.push_back(std::make_unique<Master>(timeline_, *network_, disk_, truth_, options));
    network_->listen(*masters_.back());
    return;
  }
  Random random(seed_of(options_.seed, "masters"));
  if (random.percent(70))
    etcd_->noise = {random.below(20),          random.below(20),          random.below(20), 200us,
                    random.between(1ms, 30ms), random.between(5ms, 500ms)};
  const auto count = static_cast<std::size_t>(random.between(2, 4));
  for (std::size_t k = 0; k < count; ++k) {
    MasterOptions one = options;
    one.number = k;
    one.seed = seed_of(options.seed, "one of several", k);
    one.clock.drift_ppm = k == 0 ? one.clock.drift_ppm : random.between(-10'000, 10'000);
    masters_.push_back(std::make_unique<Master>(
      timeline_, *network_, *etcd_, truth_, std::move(one),
      [this](std::size_t asker, const std::string& endpoint) { return heard(asker, endpoint); }));
    network_->listen(*masters_.back());
  }
}

/// What a standby's hello to an address brings: whoever lives there leads, or says that it does
/// not.
Heard World::heard(std::size_t asker, const std::string& endpoint) {
  for (const auto& each : masters_) {
    if (each->endpoint() != endpoint)
      continue;
    const auto number = static_cast<std::size_t>(&each - masters_.data());
    if (unheard_.contains(number) || unheard_.contains(asker) || each->stopped())
      return Heard::nothing;
    return !each->alive() ? Heard::refusal : each->leads() ? Heard::answer : Heard::nothing;
  }
  return Heard::nothing;
}

/// The one that leads, as a rule.
Master& World::master(Random& random) {
  if (masters_.size() == 1)
    return *masters_.front();
  if (random.percent(75))
    for (const auto& each : masters_)
      if (each->runs() && each->leads())
        return *each;
  return *random.pick(masters_);
}

void World::plan() {
  chaos_ = random_.between(30s, 80s);
  put(table().front(), 100ms);
  for (std::int64_t n = random_.between(6, 16); n > 0; --n)
    put(false, 0s, chaos_ * 3 / 4);
  for (std::int64_t n = random_.between(0, 14); n > 0; --n)
    put(true, 2s, chaos_);
  Random more(seed_of(options_.seed, "more"));
  for (std::uint64_t n = etcd_ ? more.below(4) : 0; n > 0; --n)
    put(table().back(), more.between(2s, chaos_));
}

void World::put(bool fault, Duration from, Duration to) {
  std::uint64_t sum = 0;
  const auto wanted = [&](const Happening& what) {
    return what.fault == fault &&
           (what.in == In::both || (what.in == In::shared) == (etcd_ != nullptr));
  };
  for (const Happening& what : table())
    sum += wanted(what) ? what.weight : 0;
  std::uint64_t chosen = random_.below(sum);
  const Duration when = random_.between(from, to);
  for (const Happening& what : table()) {
    if (!wanted(what))
      continue;
    if (chosen < what.weight)
      return put(what, when);
    chosen -= what.weight;
  }
}

void World::put(const Happening& what, Duration when) {
  const auto number = static_cast<unsigned>(planned_.size());
  planned_.emplace_back(number, what.name);
  if (leaves_out(number))
    return;
  timeline_.at(time_begin + when, [this, number, &what] {
    trace(std::to_string(number) + " " + what.name);
    Random random(seed_of(options_.seed, what.name, number));
    (this->*what.happen)(random);
  });
}

void World::trace(const std::string& what) const {
  if (options_.trace)
    std::printf("%9.3f s  seq %-5llu %s\n",
                static_cast<double>((timeline_.now() - time_begin).count()) / 1e6,
                static_cast<unsigned long long>(truth_.cluster().last_seq().value), what.c_str());
}

// ---- what users do

std::vector<RetryRule> World::retry_rules(Random& random) {
  constexpr std::array ends{Cause::none,      Cause::exit_code, Cause::signal, Cause::time_limit,
                            Cause::lost_node, Cause::preempted, Cause::drained};
  std::vector<RetryRule> rules;
  for (std::uint64_t n = 1 + random.below(3); n > 0; --n) {
    RetryRule rule;
    rule.on = ends.at(random.below(ends.size()));
    if (rule.on == Cause::exit_code && random.percent(50))
      rule.codes = {{1, 3}};
    rule.tries = static_cast<std::uint32_t>(random.below(5));
    rule.charged = random.percent(20);
    if (random.percent(30))
      rule.wait = random.between(10ms, 10s);
    rule.hold = random.percent(25);
    rules.push_back(std::move(rule));
  }
  return rules;
}

JobSpec World::job(Random& random) {
  JobSpec spec;
  spec.name = "job";
  const std::uint64_t kind = random.below(100);
  spec.executor = kind < 60 ? "process" : kind < 85 ? "sleep" : "noop";
  if (random.percent(50))
    spec.count = static_cast<std::uint32_t>(random.between(2, spec.executor == "noop" ? 60 : 8));
  spec.resources.cpu_milli = 250 * random.between(1, 8);
  if (random.percent(30))
    spec.resources.memory_bytes = std::int64_t{1} << 30;
  const Duration length = random.between(10ms, random.percent(20)   ? 30s
                                               : random.percent(50) ? 4s
                                                                    : 500ms);
  spec.command = {std::to_string(length.count())};
  spec.lost_retries = static_cast<std::uint32_t>(random.between(1, 8));
  spec.retries = static_cast<std::uint32_t>(random.below(4));
  if (random.percent(20))
    spec.retry = retry_rules(random);
  if (random.percent(10))
    spec.crash_nodes = 1 + static_cast<std::uint32_t>(random.below(3));
  if (random.percent(25))
    spec.checkpoint_signal = 10;
  if (spec.executor == "process") {
    const std::uint64_t how = random.below(100);
    spec.command = how < 70 ? behaviour(length, "ok")
                   : how < 85
                     ? behaviour(length, "fail", 1 + static_cast<unsigned>(random.below(3)))
                   : how < 92 ? behaviour(length, "signal", 1)
                              : behaviour(length, "hang");
    if (how >= 92)
      spec.name = "hang"; // is cancelled at the end, unless it has a limit
    if (random.percent(10))
      spec.time_limit = 2s;
  }
  if (random.percent(15))
    spec.max_parallel = 1 + static_cast<std::uint32_t>(random.below(3));
  if (random.percent(10))
    spec.on_failure = FailurePolicy::fail_fast;
  if (random.percent(10))
    spec.node_labels = {{"rack", "r0"}};
  if (random.percent(10)) {
    spec.items.resize(spec.count);
    for (std::size_t k = 0; k < spec.items.size(); ++k)
      spec.items[k] = "item " + std::to_string(k);
  }
  spec.priority = static_cast<std::int32_t>(random.between(-2, 2));
  spec.speculate = random.percent(40);
  if (random.percent(20))
    spec.disconnect = random.between(1s, 40s);
  if (random.percent(10))
    spec.orphan_after = random.between(2s, 60s);
  return spec;
}

void World::submit(Random& random) {
  User& to = user(random);
  std::vector<JobSpec> jobs;
  for (std::uint64_t n = 1 + random.below(3); n > 0; --n) {
    JobSpec spec = job(random);
    if (!jobs.empty() && random.percent(40))
      spec.after.push_back({{},
                            static_cast<std::uint32_t>(random.below(jobs.size())),
                            static_cast<DependencyKind>(random.below(3)),
                            false});
    jobs.push_back(std::move(spec));
  }
  to.submit(std::move(jobs));
}
void World::nonsense(Random& random) {
  if (User& to = user(random); to.alive())
    to.submit_nonsense(random);
}

std::vector<JobId> World::some_jobs(User& to, Random& random) {
  std::vector<JobId> jobs;
  for (const JobId job : to.jobs())
    if (random.percent(30) && truth_.cluster().find_job(job))
      jobs.push_back(job);
  return jobs;
}
void World::cancel(Random& random) {
  User& to = user(random);
  to.act(JobAction::cancel, some_jobs(to, random));
}
void World::hold(Random& random) {
  User& to = user(random);
  auto jobs = some_jobs(to, random);
  std::erase_if(jobs, [&](JobId job) { return truth_.over(job); });
  to.act(JobAction::hold, std::move(jobs));
}
void World::release(Random& random) {
  User& to = user(random);
  to.act(JobAction::release, some_jobs(to, random));
}
void World::retry(Random& random) {
  User& to = user(random);
  to.act(JobAction::retry, some_jobs(to, random));
}
void World::lease(Random& random) {
  Resources resources;
  resources.cpu_milli = 500 * random.between(1, 4);
  user(random).take_lease(random.percent(50) ? "" : agent(random).name(), resources,
                          random.percent(50) ? Duration(0) : random.between(1s, 40s));
}
void World::drain(Random& random) {
  user(random).on_node(NodeAction::drain, agent(random).name());
}
void World::undrain(Random& random) {
  user(random).on_node(NodeAction::undrain, agent(random).name());
}
void World::label(Random& random) {
  user(random).on_node(NodeAction::label, agent(random).name());
}
void World::look(Random& random) {
  user(random).look(random);
}

// ---- what goes wrong

void World::crash_master(Random& random) {
  Master& which = master(random);
  which.crash();
  timeline_.at(timeline_.now() + random.between(10ms, random.percent(20) ? 40s : 3s),
               [&which] { which.start(); });
}
void World::stop_master(Random& random) {
  Master& which = master(random);
  if (!which.runs())
    return;
  const Duration length = random.between(100ms, random.percent(75) ? 5s : 60s);
  which.stop_until(timeline_.now() + length);
  timeline_.at(timeline_.now() + 3s, [this, &which] { // what ZeroMQ's heartbeats make of it
    if (which.stopped())
      network_->hang_up_all(which.number());
  });
}
void World::crash_agent(Random& random) {
  Agent& which = agent(random);
  which.crash();
  timeline_.at(timeline_.now() + random.between(50ms, random.percent(30) ? 40s : 2s),
               [this, &which] { start(which); });
}
void World::crash_machine(Random& random) {
  Agent& which = agent(random);
  which.crash_machine();
  if (random.percent(80)) // else it comes back when all is healed
    timeline_.at(timeline_.now() + random.between(50ms, random.percent(30) ? 60s : 5s),
                 [this, &which] { start(which); });
}
void World::crash_keeper(Random& random) {
  Agent& which = agent(random);
  which.crash_keeper();
  timeline_.at(timeline_.now() + random.between(50ms, 2s), [this, &which] { start(which); });
}
void World::stop_agent(Random& random) {
  Agent& which = agent(random);
  which.stop_until(timeline_.now() + random.between(100ms, random.percent(75) ? 5s : 60s));
  timeline_.at(timeline_.now() + 3s, [this, &which] {
    if (which.stopped())
      which.hang_up();
  });
}
void World::leave(Random& random) {
  Agent& which = agent(random);
  which.leave();
  timeline_.at(timeline_.now() + random.between(40s, 60s), [this, &which] { start(which); });
}

void World::clog_for(std::size_t host, Duration from, Duration length, bool up, bool down) {
  const std::uint64_t number = ++newest_clog_;
  timeline_.at(timeline_.now() + from, [this, number, host, length, up, down] {
    if (healed_)
      return;
    network_->clog(host, up, down);
    clogs_[number] = {host, up, down};
    timeline_.at(timeline_.now() + length, [this, number] {
      if (const auto at = clogs_.find(number); at != clogs_.end()) {
        network_->unclog(at->second.host, at->second.up, at->second.down);
        clogs_.erase(at);
      }
    });
  });
}
void World::clog(Random& random) {
  const std::size_t link = masters_.size() == 1 ? 0 : random.below(masters_.size());
  const std::size_t host = random.percent(75) ? agent(random).host(link) : user(random).host();
  const std::uint64_t how = random.below(4); // up, down, or both
  clog_for(host, 0s, random.between(100ms, random.percent(50) ? 4s : 50s), how != 0, how != 1);
}
/// A part of the hosts, one after the other, and back in another order.
/// Source: "swizzle-clogging", Zhou et al., FoundationDB, SIGMOD 2021.
void World::swizzle(Random& random) {
  std::vector<std::size_t> hosts;
  for (const auto& each : agents_)
    if (random.percent(70))
      for (std::size_t k = 0; k < masters_.size(); ++k)
        hosts.push_back(each->host(k));
  random.shuffle(hosts);
  const Duration all = 200ms * static_cast<std::int64_t>(hosts.size()) + 1s;
  Duration from{0};
  for (const std::size_t host : hosts) {
    from += random.between(10ms, 1s);
    clog_for(host, from, all - from / 2 + random.between(0s, 15s), random.percent(80),
             random.percent(80));
  }
}
void World::mass_silence(Random& random) {
  const Duration length = random.between(2s, 45s);
  const bool power = random.percent(30);
  const std::size_t spared = random.below(agents_.size() * 10) / 9; // none, as a rule, or one
  for (std::size_t i = 0; i < agents_.size(); ++i) {
    Agent& which = *agents_[i];
    if (i == spared)
      continue;
    if (!power) {
      for (std::size_t k = 0; k < masters_.size(); ++k)
        clog_for(which.host(k), 0s, length, true, true);
      continue;
    }
    which.crash_machine();
    timeline_.at(timeline_.now() + length, [this, &which] { start(which); });
  }
}
void World::set_clock(Random& random) {
  const Duration jump = random.between(-90s, 90s);
  if (random.percent(50))
    master(random).clock().jump += jump;
  else
    agent(random).clock().jump += jump;
}
void World::fill_disk(Random& random) {
  disk_.full = true;
  timeline_.at(timeline_.now() + random.between(100ms, 15s), [this] { disk_.full = false; });
}
void World::break_disk(Random& random) {
  disk_.failing_syncs += static_cast<int>(random.between(1, 3));
}
void World::slow_disk(Random& random) {
  masters_.front()->set_sync_most(random.between(50ms, 1s));
  timeline_.at(timeline_.now() + random.between(1s, 10s),
               [this] { masters_.front()->set_sync_most(Duration(5ms)); });
}
void World::lie(Random& random) {
  Agent& which = agent(random);
  for (std::uint64_t n = 1 + random.below(5); n > 0; --n)
    which.lie(random);
}
void World::old_leader(Random& random) {
  Agent& which = agent(random);
  masters_.front()->crash();
  timeline_.at(timeline_.now() + 200ms, [this] { masters_.front()->start(); });
  timeline_.at(timeline_.now() + random.between(1s, 3s),
               [this, &which] { network_->repeat_old(which.host(0)); });
}
void World::crash_user(Random& random) {
  User& which = user(random);
  which.crash();
  timeline_.at(timeline_.now() + random.between(10ms, 5s), [&which] { which.start(); });
}

// ---- several masters and their etcd

void World::for_a_time(Duration length, Work end) {
  timeline_.at(timeline_.now() + length, [this, end = std::move(end)] {
    if (!healed_) // that has ended everything
      end();
  });
}
void World::step_down(Random& random) {
  master(random).step_down();
}
/// The leader is stopped, and goes on with all that it meant to do just when another is about to
/// reign.
void World::sleep_until_takeover(Random& random) {
  for (const auto& each : masters_)
    if (each->runs() && each->leads())
      sleep_on(*each, timeline_.now() + 5s);
  submit(random);
}
void World::sleep_on(Master& which, TimePoint limit) {
  const bool begins = std::any_of(masters_.begin(), masters_.end(),
                                  [](const auto& each) { return each->takes_over(); });
  if (begins || healed_ || !which.alive() || timeline_.now() >= limit)
    return;
  which.stop_until(timeline_.now() + 1'001us);
  timeline_.at(timeline_.now() + 1ms, [this, &which, limit] { sleep_on(which, limit); });
}
void World::cut_from_etcd(Random& random) {
  const std::size_t number = master(random).number();
  const std::uint64_t how = random.below(4); // there, back, or both
  etcd_->cut(number) = {how != 0, how != 1};
  for_a_time(random.between(100ms, random.percent(50) ? 4s : 20s),
             [this, number] { etcd_->cut(number) = {}; });
}
void World::cut_from_standbys(Random& random) {
  const std::size_t number = master(random).number();
  unheard_.insert(number);
  for_a_time(random.between(1s, 20s), [this, number] { unheard_.erase(number); });
}
void World::crash_member(Random& random) {
  const std::size_t member = random.below(Etcd::members);
  etcd_->set_up(member, false);
  for_a_time(random.between(100ms, 20s), [this, member] { etcd_->set_up(member, true); });
}
void World::no_majority(Random& random) {
  for (const std::size_t member : {1, 2})
    etcd_->set_up(member, false);
  for_a_time(random.between(100ms, 15s), [this] {
    for (const std::size_t member : {1, 2})
      etcd_->set_up(member, true);
  });
}
void World::fill_etcd(Random& random) {
  etcd_->full = true;
  for_a_time(random.between(100ms, 15s), [this] { etcd_->full = false; });
}
void World::slow_etcd(Random& random) {
  const EtcdNoise before = etcd_->noise;
  etcd_->noise.delay_most = random.between(50ms, 1'500ms);
  etcd_->noise.lag_most = random.between(100ms, 3s);
  etcd_->noise.late = 50;
  etcd_->noise.answer_lost = 50;
  for_a_time(random.between(1s, 10s), [this, before] { etcd_->noise = before; });
}

// ---- the run

void World::look_at_all() {
  for (const auto& each : masters_)
    each->check_reason(looking_);
  timeline_.at(timeline_.now() + looked_at_every, [this] { look_at_all(); });
}

/// Nothing goes wrong any more, and everything comes back.
void World::heal() {
  trace("healed");
  healed_ = true;
  network_->noise = Noise{};
  for (const auto& [number, clogged] : std::exchange(clogs_, {}))
    network_->unclog(clogged.host, clogged.up, clogged.down);
  disk_.full = false;
  disk_.failing_syncs = 0;
  if (etcd_) {
    etcd_->noise = EtcdNoise{};
    etcd_->full = false;
    unheard_.clear();
    for (std::size_t k = 0; k < masters_.size(); ++k)
      etcd_->cut(k) = {};
    for (std::size_t k = 0; k < Etcd::members; ++k)
      etcd_->set_up(k, true);
  }
  for (const auto& each : masters_) {
    each->set_sync_most(Duration(3ms));
    each->stop_until({});
    each->start();
  }
  for (auto& each : agents_) {
    each->stop_until({});
    if (!each->honest()) { // found out, and set up anew
      each->crash_machine();
      each->repent();
    }
    if (each->name() == buried_)
      each->crash_machine();
    else
      each->start();
  }
  for (auto& each : users_)
    each->start();
  mend();
}

/// What an operator does so that everything can come to its end.
void World::mend() {
  rests_ = at_rest();
  if (rests_)
    return;
  User& operator_ = *users_.front();
  for (auto& each : agents_)
    if (!each->alive() && each->name() != buried_) // had taken its leave
      each->start();
  const core::Cluster& cluster = truth_.cluster();
  for (const auto& [id, node] : cluster.nodes()) {
    if (node.draining)
      operator_.on_node(NodeAction::undrain, node.name);
    if (node.leases > 0)
      operator_.release_leases(node.name);
  }
  std::vector<JobId> held, hanging;
  for (JobId id = cluster.oldest_job(); id <= cluster.newest_job(); id = id.next()) {
    const core::Job* job = cluster.find_job(id);
    if (!job || job->ended)
      continue;
    bool hangs = cluster.kind_of(*job).family == "hang";
    if (job->held || (job->extra && job->extra->held > 0)) {
      hangs |= ++let_go_[id] > let_go_most; // what is let go may fail again, for ever
      held.push_back(id);
    }
    if (hangs && !job->cancelling)
      hanging.push_back(id);
  }
  operator_.act(JobAction::release, std::move(held));
  operator_.act(JobAction::cancel, std::move(hanging));
  timeline_.at(timeline_.now() + healing_every, [this] { mend(); });
}

bool World::at_rest() const {
  const core::Cluster& cluster = truth_.cluster();
  const auto over = [&](JobId job) { return truth_.over(job); };
  if (!std::all_of(truth_.acknowledged_jobs().begin(), truth_.acknowledged_jobs().end(), over))
    return false;
  for (JobId id = cluster.oldest_job(); id <= cluster.newest_job(); id = id.next())
    if (const core::Job* job = cluster.find_job(id); job && !job->ended)
      return false;
  return cluster.leases().empty() && truth_.running() == 0 &&
         std::any_of(masters_.begin(), masters_.end(),
                     [](const auto& m) { return m->runs() && m->idle(); }) &&
         std::all_of(cluster.nodes().begin(), cluster.nodes().end(),
                     [](const auto& node) { return is_zero(node.second.booked); }) &&
         std::all_of(users_.begin(), users_.end(), [](const auto& u) { return u->content(); }) &&
         std::all_of(agents_.begin(), agents_.end(), [](const auto& a) { return a->empty(); });
}

std::string World::what_is_left() const {
  std::string text = truth_.unfinished();
  for (const auto& [id, node] : truth_.cluster().nodes())
    text += " " + node.name + " is " + std::string(name_of(node.state)) + " and has booked " +
            to_text(node.booked) + ";";
  text += " " + std::to_string(truth_.cluster().leases().size()) + " leases;";
  for (const auto& each : agents_)
    text += " " + each->state() + ";";
  for (const auto& each : users_)
    text += " " + each->state() + ";";
  for (const auto& each : masters_)
    text += " " + each->state() + ";";
  return text;
}

Outcome World::run() {
  for (const auto& each : masters_)
    each->start();
  for (auto& each : agents_)
    each->start();
  for (auto& each : users_)
    each->start();
  look_at_all();
  timeline_.at(time_begin + chaos_, [this] { heal(); });
  const TimePoint limit = time_begin + chaos_ + drain_limit;
  while (!truth_.fault() && !rests_ && timeline_.now() < limit)
    timeline_.step();
  if (!truth_.fault() && !rests_)
    truth_.broken("does not come to rest:" + what_is_left());
  if (!truth_.fault())
    truth_.check_all();
  Outcome outcome;
  outcome.fault = truth_.fault();
  outcome.virtual_time = timeline_.now() - time_begin;
  outcome.events = timeline_.events();
  outcome.print = scatter(truth_.print() ^ timeline_.events());
  outcome.entries = truth_.cluster().last_seq().value;
  outcome.happened = planned_;
  for (const auto& [number, name] :
       std::initializer_list<std::pair<unsigned, const char*>>{{drops, "drops"},
                                                               {repeats, "repeats"},
                                                               {reorders, "reorders"},
                                                               {drifts, "drifts"},
                                                               {delays, "delays"}})
    outcome.happened.emplace_back(number, name);
  return outcome;
}

} // namespace

Outcome run(const RunOptions& options) {
  return World(options).run();
}

} // namespace reeve::sim
