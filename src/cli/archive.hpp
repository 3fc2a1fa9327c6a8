// A .tar.gz made in memory, and text without its secrets: what `reeve debug bundle` is made of.
// Pure, but for zlib.
#pragma once

#include "messages/error.hpp"
#include "messages/ids.hpp"

#include <string>
#include <string_view>

namespace reeve::cli {

/// Files one after the other, in the ustar format of POSIX.1-1988 (IEEE Std 1003.1, `pax`).
class Tar {
public:
  explicit Tar(TimePoint time) : time_(time) {}
  /// `name`: at most 100 bytes, such as "bundle/config.json".
  void add(std::string_view name, std::string_view content);
  /// With the two blocks that end an archive.
  [[nodiscard]] std::string take();

private:
  TimePoint time_;
  std::string bytes_;
};

/// As `gzip` would (RFC 1952). Error: internal (no memory).
Result<std::string> gzipped(std::string_view bytes);

/// The text with the value of whatever is called a password, secret, token, credential, API key or
/// authorization replaced, as is a password within a URL. Recognises `name=value`, `name: value`
/// and JSON's `"name":"value"`.
std::string without_secrets(std::string_view text);

} // namespace reeve::cli
