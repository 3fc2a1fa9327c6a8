// What `reeve-dashboard` was told on its command line. Exceptions of CLI11 end in options.cpp.
#pragma once

#include "src/log/log.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace reeve::dashboard {

struct Options {
  std::string master;                    // endpoints, comma separated
  std::string listen = "127.0.0.1:7180"; // host:port; port *: the system picks one
  std::vector<std::string> hosts;        // further names under which browsers reach it
  bool read_only = false;
  std::uint32_t requests_per_second = 50; // of one address; bursts of ten times as many
  std::uint32_t connections = 64;         // at once
  log::Options log;
};
struct Parsed {
  Options options;
  std::optional<std::string> print; // --help or --version: print and end
};

/// `master_from_env`: $REEVE_MASTER. Errors: bad_field.
Result<Parsed> parse_options(int argc, const char* const* argv, const std::string& master_from_env);
/// "host:port", "[::1]:port", "host:*". Errors: bad_field (`--listen`).
Result<std::pair<std::string, int>> parse_listen(const std::string& text);

} // namespace reeve::dashboard
