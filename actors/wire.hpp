// The sockets as the gateway and the publisher see them, so that tests can put something else in
// their place. Each call may come from any thread.
#pragma once

#include "src/net/server.hpp"

namespace reeve::actors {

struct Wire {
  std::function<void(std::vector<net::Message>)> send;
  std::function<void(std::vector<net::Publication>)> publish; // missing: nobody is told of events
  std::function<void(std::size_t)> consumed;
  std::function<std::map<std::string, std::int64_t>()> counters;
};

} // namespace reeve::actors
