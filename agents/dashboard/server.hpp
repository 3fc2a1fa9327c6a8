// The HTTP side: routes, limits, the page's files, live streams. cpp-httplib ends in server.cpp.
#pragma once

#include "agents/dashboard/api.hpp"
#include "agents/dashboard/feed.hpp"
#include "agents/dashboard/options.hpp"

#include <memory>

namespace reeve::dashboard {

class Server {
public:
  Server(const Options& options, Masters& masters, Feed& feed);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Errors: io (`--listen`).
  Result<void> bind();
  /// "http://127.0.0.1:7180"
  [[nodiscard]] std::string url() const;
  /// Serves until `stop`, which any thread may call.
  void run();
  void stop();

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace reeve::dashboard
