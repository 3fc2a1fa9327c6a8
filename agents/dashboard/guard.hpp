// Who may ask, and how often: limits of rate, and the checks that keep other sites' pages from
// acting through a visitor's browser. Pure: time comes as an argument.
#pragma once

#include "messages/error.hpp"

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace reeve::dashboard {

/// Requests of one address: a bucket of `burst` that fills by `per_second`.
class RateLimit {
public:
  using Instant = std::chrono::steady_clock::time_point;
  RateLimit(double per_second, double burst) : per_second_(per_second), burst_(burst) {}
  /// False: too many. Addresses that have been quiet are forgotten.
  bool admit(const std::string& address, Instant now);
  [[nodiscard]] std::size_t known() const { return buckets_.size(); }

private:
  struct Bucket {
    double left = 0;
    Instant at;
  };
  void forget(Instant now);
  double per_second_, burst_;
  std::map<std::string, Bucket> buckets_;
};

/// Under which names this server may be spoken to: what a rebound name of another site is not.
class KnownHosts {
public:
  KnownHosts(const std::string& listen_host, int port, const std::vector<std::string>& more);
  /// Of the header `Host`.
  [[nodiscard]] bool knows(std::string_view host) const;

private:
  std::set<std::string, std::less<>> hosts_;
};

struct Sender { // headers of a request that changes something; empty: not there
  std::string host, origin, site, type, token;
};
/// Nothing when our own page sent it. `site`: Sec-Fetch-Site.
Result<void> check_sender(const Sender& sender, const std::string& token);
/// 128 random bits, as hexadecimal digits.
std::string random_token();

} // namespace reeve::dashboard
