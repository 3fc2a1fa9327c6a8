// reeve-dashboard: the web page and the metrics of a cluster. A client of the master like any
// other: it may be ended, started and doubled at will.
#include "agents/dashboard/server.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

int main(int argc, char** argv) {
  using namespace reeve;
  sigset_t signals; // taken by one thread alone
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  const char* master = std::getenv("REEVE_MASTER");
  const auto parsed = dashboard::parse_options(argc, argv, master != nullptr ? master : "");
  if (!parsed) {
    std::fprintf(stderr, "reeve-dashboard: %s\nTry 'reeve-dashboard --help'.\n",
                 parsed.error().message().c_str());
    return 2;
  }
  if (parsed->print) {
    std::fputs(parsed->print->c_str(), stdout);
    return 0;
  }
  auto logger = spdlog::stderr_logger_mt("reeve-dashboard");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  spdlog::set_default_logger(logger);
  spdlog::set_level(spdlog::level::from_str(parsed->options.log_level));
  dashboard::Masters masters(parse_endpoints(parsed->options.master));
  dashboard::Feed feed(masters);
  dashboard::Server server(parsed->options, masters, feed);
  if (const auto bound = server.bind(); !bound) {
    std::fprintf(stderr, "reeve-dashboard: %s\n", bound.error().message().c_str());
    return 1;
  }
  std::printf("serving %s\n", server.url().c_str());
  std::fflush(stdout);
  std::thread waiter([&] {
    int signal = 0;
    while (sigwait(&signals, &signal) != 0) {
    }
    server.stop();
  });
  server.run();
  waiter.join();
  spdlog::info("ended");
  return 0;
}
