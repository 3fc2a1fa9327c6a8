// reeve-dashboard: the web page and the metrics of a cluster. A client of the master like any
// other: it may be ended, started and doubled at will.
#include "agents/dashboard/server.hpp"
#include "src/log/log.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  using namespace reeve;
  sigset_t signals; // taken by one thread alone
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2})
    sigaddset(&signals, signal);
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
  if (const auto opened = log::open(parsed->options.log); !opened) {
    std::fprintf(stderr, "reeve-dashboard: %s\n", opened.error().message().c_str());
    return opened.error().code == Code::bad_field ? 2 : 1;
  }
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
    for (int signal = 0; signal != SIGTERM && signal != SIGINT;) {
      if (sigwait(&signals, &signal) != 0)
        signal = 0;
      if (signal == SIGHUP)
        log::reopen();
      else if (signal == SIGUSR1)
        (void)log::set_level("debug");
      else if (signal == SIGUSR2)
        (void)log::set_level(parsed->options.log.level);
    }
    server.stop();
  });
  server.run();
  waiter.join();
  spdlog::info("ended");
  return 0;
}
