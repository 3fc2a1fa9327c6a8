// See guard.hpp. Defences after OWASP's "Cross-Site Request Forgery Prevention Cheat Sheet": a
// token that only our own page can read, a type that no form can send, and the browser's own word.
#include "agents/dashboard/guard.hpp"

#include <algorithm>
#include <sys/random.h>

namespace reeve::dashboard {
namespace {
constexpr std::size_t addresses_max = 10'000;

bool same_text(std::string_view a, std::string_view b) { // in a time that tells nothing
  if (a.size() != b.size())
    return false;
  unsigned different = 0;
  for (std::size_t k = 0; k < a.size(); ++k)
    different |= static_cast<unsigned>(a[k] ^ b[k]);
  return different == 0;
}
} // namespace

bool RateLimit::admit(const std::string& address, Instant now) {
  if (buckets_.size() >= addresses_max)
    forget(now);
  auto [at, fresh] = buckets_.try_emplace(address, Bucket{burst_, now});
  Bucket& bucket = at->second;
  if (!fresh) {
    const double passed = std::chrono::duration<double>(now - bucket.at).count();
    bucket.left = std::min(burst_, bucket.left + std::max(passed, 0.0) * per_second_);
    bucket.at = now;
  }
  if (bucket.left < 1)
    return false;
  bucket.left -= 1;
  return true;
}

void RateLimit::forget(Instant now) {
  const std::chrono::duration<double> full(burst_ / per_second_);
  std::erase_if(buckets_, [&](const auto& entry) { return now - entry.second.at > full; });
  if (buckets_.size() >= addresses_max)
    buckets_.clear(); // so many at once are no visitors
}

KnownHosts::KnownHosts(const std::string& listen_host, int port,
                       const std::vector<std::string>& more) {
  std::vector<std::string> names{"localhost", "127.0.0.1", "[::1]"};
  if (listen_host != "0.0.0.0" && listen_host != "::")
    names.push_back(listen_host.find(':') == std::string::npos ? listen_host
                                                               : "[" + listen_host + "]");
  for (const auto& name : names) {
    hosts_.insert(name + ":" + std::to_string(port));
    if (port == 80)
      hosts_.insert(name);
  }
  for (const auto& name : more) { // of a proxy: with its port or without
    hosts_.insert(name);
    hosts_.insert(name + ":" + std::to_string(port));
  }
}

bool KnownHosts::knows(std::string_view host) const {
  std::string lower(host);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  return hosts_.contains(lower);
}

Result<void> check_sender(const Sender& s, const std::string& token) {
  if (!s.type.starts_with("application/json"))
    return fail(Code::refused, "Content-Type", "must be application/json");
  if (!s.site.empty() && s.site != "same-origin")
    return fail(Code::refused, "Sec-Fetch-Site", "only this page may act here");
  if (!s.origin.empty()) {
    const auto at = s.origin.find("://");
    if (at == std::string::npos || s.origin.substr(at + 3) != s.host)
      return fail(Code::refused, "Origin", "only this page may act here");
  }
  if (!same_text(s.token, token))
    return fail(Code::refused, "X-Reeve-Token",
                "missing or of an earlier run: load the page again");
  return {};
}

std::string random_token() {
  unsigned char bytes[16];
  for (std::size_t got = 0; got < sizeof bytes;)
    if (const auto n = ::getrandom(bytes + got, sizeof bytes - got, 0); n > 0)
      got += static_cast<std::size_t>(n);
  std::string text;
  for (const unsigned char byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

} // namespace reeve::dashboard
