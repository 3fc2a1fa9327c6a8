// reeved: the master. Reads its options, recovers the cluster from the journal, opens its sockets,
// starts the actors, waits for a signal.
#include "actors/master.hpp"
#include "actors/shell.hpp"
#include "src/log/log.hpp"
#include "src/master/start.hpp"
#include "src/util/text.hpp"
#include "src/version.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <spdlog/spdlog.h>

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
  wire.publish = [&server](std::vector<net::Publication> news) { server.publish(std::move(news)); };
  wire.listened = [&server] { return server.listened(); };
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

int serve(const config::MasterOptions& options, const sigset_t& signals) {
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
  actors::MasterParts parts;
  parts.greeting = {options.cluster, options.name, "reeved " + std::string(version),
                    (*server)->events_endpoint()};
  parts.wire = wire_to(**server);
  parts.ledger = std::move(begun->ledger);
  parts.journal = std::move(begun->journal);
  if (options.history != "none")
    parts.history = (std::filesystem::path(options.state) / "history.db").string();
  parts.ledger_options.master = options.name;
  parts.on_down = on_down;
  actors::Master master(system, std::move(parts));
  master.start();
  (*server)->start(master.handler());
  std::printf("listening on %s\n", (*server)->endpoint().c_str());
  if (!(*server)->events_endpoint().empty())
    std::printf("events on %s\n", (*server)->events_endpoint().c_str());
  std::fflush(stdout);

  const int signal = wait_for_end(signals);
  spdlog::info("{}: no more requests are taken", signal == SIGINT ? "SIGINT" : "SIGTERM");
  const bool clean = master.stop(std::chrono::seconds(2));
  (*server)->stop();
  if (!clean)
    spdlog::warn("not everything could be finished; the journal has what was acknowledged");
  spdlog::info("ended");
  return good;
}

} // namespace

int main(int argc, char** argv) {
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
