// reeved: the master. Reads its options, recovers the cluster from the journal, opens its sockets,
// starts the actors, waits for a signal.
#include "actors/master.hpp"
#include "actors/shell.hpp"
#include "src/deciders/settings.hpp"
#include "src/log/log.hpp"
#include "src/master/start.hpp"
#include "src/standby/standby.hpp"
#include "src/util/text.hpp"
#include "src/version.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <spdlog/spdlog.h>
#include <unistd.h>

// Read by jemalloc when the program starts: memory goes back a second after its last use, also
// while nothing happens.
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = "background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:1000";
}

namespace {
using namespace reeve;

enum Exit { good = 0, trouble = 1, usage = 2, bad_state = 3, broken_promise = 70 };

int complain(int code, const Error& error) {
  std::fprintf(stderr, "reeved: %s\n", error.message().c_str());
  if (code == usage)
    std::fprintf(stderr, "Try 'reeved --help'.\n");
  return code;
}

int code_of(const Error& error) {
  switch (error.code) {
  case Code::bad_field:
    return usage;
  case Code::refused:
  case Code::corrupt:
  case Code::unknown_version:
    return bad_state;
  default:
    return trouble;
  }
}

/// Signals are taken by main alone, in order: every thread made later has them blocked.
sigset_t block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP})
    sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ,
              SIG_IGN); // a write beyond the limit of a file's size is an error like a full disk
  return set;
}

int wait_for_end(const sigset_t& signals) {
  for (;;) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0)
      continue;
    if (signal != SIGHUP)
      return signal;
    log::reopen();
  }
}

actors::Wire wire_to(net::Server& server) {
  actors::Wire wire;
  wire.send = [&server](std::vector<net::Message> messages) { server.send(std::move(messages)); };
  if (!server.events_endpoint().empty())
    wire.publish = [&server](auto news) { server.publish(std::move(news)); };
  wire.consumed = [&server](std::size_t bytes) { server.consumed(bytes); };
  wire.counters = [&server] {
    const auto& c = server.counters();
    const auto number = [](const std::atomic<std::uint64_t>& n) {
      return static_cast<std::int64_t>(n.load());
    };
    return std::map<std::string, std::int64_t>{{"net.received", number(c.received)},
                                               {"net.sent", number(c.sent)},
                                               {"net.misshapen", number(c.misshapen)},
                                               {"net.unreachable", number(c.unreachable)},
                                               {"net.dropped_peers", number(c.dropped_peers)}};
  };
  return wire;
}

[[noreturn]] void on_down(const std::string& actor, const std::string& reason) {
  spdlog::critical("{} ended ({}): a master without it must not go on", actor, reason);
  spdlog::shutdown();
  std::_Exit(broken_promise);
}

std::vector<std::string> command_line; // as it was given; for a program that begins anew

/// A master that does not reign any more begins anew as a standby, with nothing left of its reign
/// and under the same process id. Its sockets go with it: they are made anew at the same addresses.
[[noreturn]] void begin_anew(const std::string& listen, const std::string& events) {
  spdlog::info("begins anew as a standby");
  spdlog::default_logger()->flush(); // other threads may still log
  std::vector<std::string> words = command_line;
  words.insert(words.end(), {"--listen", listen, "--events", events});
  std::vector<char*> argv;
  for (auto& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execv("/proc/self/exe", argv.data());
  std::_Exit(trouble);
}

/// Who hears what comes in from the sockets: first the standby, then the master.
class Listener {
public:
  void set(net::Server::Handler handler) {
    const std::scoped_lock lock(mutex_);
    handler_ = std::move(handler);
  }
  net::Server::Handler handler() {
    net::Server::Handler to;
    to.received = [this](std::vector<net::Message> messages) {
      const std::scoped_lock lock(mutex_);
      handler_.received(std::move(messages));
    };
    to.gone = [this](net::Peer peer, std::string reason) {
      const std::scoped_lock lock(mutex_);
      handler_.gone(peer, std::move(reason));
    };
    to.subscribed = [this](std::string topic, bool begins) {
      const std::scoped_lock lock(mutex_);
      if (handler_.subscribed)
        handler_.subscribed(std::move(topic), begins);
      else
        topics_.emplace_back(std::move(topic), begins); // of readers who wait for the next leader
    };
    return to;
  }
  std::vector<std::pair<std::string, bool>> topics() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(topics_, {});
  }

private:
  std::mutex mutex_;
  net::Server::Handler handler_;
  std::vector<std::pair<std::string, bool>> topics_;
};

void say_where(const net::Server& server) {
  std::printf("listening on %s\n", server.endpoint().c_str());
  if (!server.events_endpoint().empty())
    std::printf("events on %s\n", server.events_endpoint().c_str());
  std::fflush(stdout);
}

/// Without waiting. SIGHUP is dealt with here.
bool end_was_asked(const sigset_t& signals) {
  const timespec at_once{};
  for (;;) {
    const int signal = ::sigtimedwait(&signals, nullptr, &at_once);
    if (signal < 0)
      return false;
    if (signal != SIGHUP)
      return true;
    log::reopen();
  }
}

int reign_until_end(actors::Master& master, net::Server& server, const sigset_t& signals) {
  const int signal = wait_for_end(signals);
  spdlog::info("{}: no more requests are taken", signal == SIGINT ? "SIGINT" : "SIGTERM");
  const bool clean = master.stop(std::chrono::seconds(2));
  server.stop();
  if (!clean)
    spdlog::warn("not everything could be finished; the journal has what was acknowledged");
  spdlog::info("ended");
  if (!clean) { // an actor may still wait for a journal that does not answer: nobody waits for it
    spdlog::shutdown();
    std::fflush(nullptr);
    std::_Exit(good);
  }
  return good;
}

actors::MasterParts parts_of(const config::MasterOptions& options, net::Server& server,
                             master::Begun begun) {
  actors::MasterParts parts;
  parts.greeting = {options.cluster, options.name, "reeved " + std::string(version),
                    server.events_endpoint()};
  parts.wire = wire_to(server);
  parts.ledger = std::move(begun.ledger);
  parts.journal = std::move(begun.journal);
  if (options.history != "none")
    parts.history = (std::filesystem::path(options.state) / "history.db").string();
  parts.ledger_options.master = options.name;
  parts.memory_max = config::memory_max_of(options);
  if (options.shared() && options.journal_max_bytes > 0) // what is past makes room in time
    parts.ledger_options.snapshot_bytes =
      std::min(parts.ledger_options.snapshot_bytes, options.journal_max_bytes / 4);
  parts.on_down = on_down;
  return parts;
}

/// One of several masters: follows until the leader is dead, then leads.
int serve_shared(const config::MasterOptions& options, const sigset_t& signals) {
  const TimePoint started = actors::wall_now();
  std::error_code folder;
  std::filesystem::create_directories(options.state, folder);
  if (folder)
    return complain(trouble, {Code::io, "--state", options.state + ": " + folder.message()});
  net::ServerOptions sockets;
  sockets.listen = options.listen;
  sockets.events = options.events;
  auto server = net::Server::bind(sockets);
  if (!server)
    return complain(trouble, server.error());
  const std::string endpoint = master::endpoint_of(options, (*server)->endpoint());
  bool ended = false;
  const auto stop = [&] { return ended = ended || end_was_asked(signals); };
  auto journal = master::open_shared(options, endpoint, stop);
  if (!journal)
    return complain(code_of(journal.error()), journal.error());
  if (!*journal)
    return good;
  auto recovered = ledger::recover(**journal);
  while (!recovered && recovered.error().code == Code::io && !stop()) {
    spdlog::warn("reads the journal again: {}", recovered.error().message());
    recovered = ledger::recover(**journal);
  }
  if (!recovered)
    return complain(code_of(recovered.error()), recovered.error());
  spdlog::info("recovered {} entries up to seq {}; follows", recovered->replayed,
               recovered->cluster.last_seq().value);

  standby::StandbyOptions follow;
  follow.identity = {options.cluster,
                     options.name,
                     "reeved " + std::string(version),
                     (*server)->events_endpoint(),
                     started,
                     deciders::default_settings()};
  follow.endpoint = endpoint;
  follow.send = [&](std::vector<net::Message> messages) { (*server)->send(std::move(messages)); };
  follow.tell = [](bool bad, const std::string& text) {
    bad ? spdlog::error("{}", text) : spdlog::info("{}", text);
  };
  follow.stop = stop;
  auto standby =
    std::make_unique<standby::Standby>(**journal, std::move(*recovered), std::move(follow));
  Listener listener;
  net::Server::Handler to_standby;
  to_standby.received = [&standby](std::vector<net::Message> messages) {
    standby->received(std::move(messages));
  };
  to_standby.gone = [&standby](net::Peer peer, const std::string&) { standby->gone(peer); };
  listener.set(std::move(to_standby));
  (*server)->start(listener.handler());
  say_where(**server);

  std::optional<master::Begun> begun;
  TimePoint began;
  while (!begun) {
    auto lead = standby->run();
    if (!lead)
      return complain(code_of(lead.error()), lead.error());
    if (!*lead) {
      (*server)->stop();
      spdlog::info("ended");
      return good;
    }
    began = actors::steady_now();
    auto result =
      master::take_over(*journal, standby->follower(), options, endpoint, actors::wall_now());
    if (!result) {
      spdlog::error("takeover: {}", result.error().message());
      if (code_of(result.error()) == trouble)
        begin_anew((*server)->endpoint(), (*server)->events_endpoint());
      return complain(code_of(result.error()), result.error());
    }
    begun = std::move(*result);
    if (!begun)
      standby->again();
  }
  const Epoch epoch = begun->ledger->cluster().epoch();
  actors::SystemConfig config;
  caf::actor_system system(config);
  auto parts = parts_of(options, **server, std::move(*begun));
  parts.ledger_options.on_deposed = [&server](const std::string&) {
    begin_anew((*server)->endpoint(), (*server)->events_endpoint());
  };
  actors::Master master(system, std::move(parts));
  master.start();
  const auto handler = master.handler();
  listener.set(handler);
  for (auto& [topic, begins] : listener.topics())
    handler.subscribed(std::move(topic), begins);
  if (auto left = standby->unanswered(); !left.empty())
    handler.received(std::move(left));
  std::vector<net::Message> greetings; // agents that know this master only as a standby
  const std::string header = encode(Header{protocol_version, RegisterAgain::type, 0, epoch});
  for (const net::Peer agent : standby->agents())
    greetings.push_back({agent, header, encode(RegisterAgain{options.name + " leads now"})});
  (*server)->send(std::move(greetings));
  standby.reset();
  spdlog::info("leads: epoch {} began after {} ms", epoch.value,
               (actors::steady_now() - began).count() / 1'000);
  std::printf("leading, epoch %llu\n", static_cast<unsigned long long>(epoch.value));
  std::fflush(stdout);
  return reign_until_end(master, **server, signals);
}

int serve(const config::MasterOptions& options, const sigset_t& signals) {
  if (options.shared())
    return serve_shared(options, signals);
  auto journal = master::open_journal(options);
  if (!journal)
    return complain(code_of(journal.error()), journal.error());
  net::ServerOptions sockets;
  sockets.listen = options.listen;
  sockets.events = options.events;
  auto server =
    net::Server::bind(sockets); // before the reign begins: a port that is taken must leave no trace
  if (!server)
    return complain(trouble, server.error());
  const TimePoint started = actors::wall_now();
  auto begun = master::begin(std::move(*journal), options, started);
  if (!begun)
    return complain(code_of(begun.error()), begun.error());
  spdlog::info("recovered {} entries up to seq {} in {} ms; epoch {} begins", begun->replayed,
               begun->before.value, (actors::wall_now() - started).count() / 1'000,
               begun->ledger->cluster().epoch().value);

  actors::SystemConfig config;
  caf::actor_system system(config);
  actors::Master master(system, parts_of(options, **server, std::move(*begun)));
  master.start();
  (*server)->start(master.handler());
  say_where(**server);
  return reign_until_end(master, **server, signals);
}

} // namespace

int main(int argc, char** argv) {
  command_line.assign(argv, argv + argc);
  const sigset_t signals = block_signals();
  auto parsed = config::parse_master(argc, argv);
  if (!parsed)
    return complain(usage, parsed.error());
  if (parsed->print) {
    std::fputs(parsed->print->c_str(), stdout);
    return good;
  }
  const auto& options = parsed->options;
  const auto log_size = parse_size(options.log_size, "--log-size");
  if (!log_size)
    return complain(usage, log_size.error());
  if (auto opened = log::open({"reeved", options.log_level, options.log_file, options.log_format,
                               static_cast<std::uint64_t>(*log_size), options.log_files});
      !opened)
    return complain(code_of(opened.error()), opened.error());
  const int code = serve(options, signals);
  spdlog::shutdown();
  return code;
}
