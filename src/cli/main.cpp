// reeve: the command line. Gives run() the real terminal, environment and clock, and turns Ctrl-C
// into a question that waiting asks.
#include "src/cli/app.hpp"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <pwd.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace {

std::atomic<bool> interrupted{false}; // lock-free: a signal handler writes it

extern "C" void on_interrupt(int signal) {
  if (interrupted.exchange(true))
    std::_Exit(128 + signal); // a second time: whatever it is, now
}

std::string login_name() {
  if (const passwd* entry = ::getpwuid(::geteuid()); entry != nullptr && entry->pw_name != nullptr)
    return entry->pw_name;
  return std::to_string(::geteuid());
}

std::size_t terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

} // namespace

int main(int argc, char** argv) {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::ios::sync_with_stdio(false);

  const auto env = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr ? value : "");
  };
  const auto now = [] {
    return std::chrono::floor<reeve::Duration>(std::chrono::system_clock::now());
  };
  reeve::cli::Terminal terminal{std::cout,
                                std::cerr,
                                std::cin,
                                ::isatty(STDOUT_FILENO) == 1,
                                ::isatty(STDERR_FILENO) == 1,
                                terminal_columns(),
                                env,
                                [] { return interrupted.load(); },
                                now,
                                login_name()};
  const int code = reeve::cli::run({argv + 1, argv + argc}, terminal);
  std::cout.flush();
  if (!std::cout && code == 0) {
    std::cerr << "reeve: standard output could not be written\n";
    return 1;
  }
  return code;
}
