// See archive.hpp.
#include "src/cli/archive.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <zlib.h>

namespace reeve::cli {
namespace {

constexpr std::size_t block = 512;
constexpr std::string_view removed = "(removed)";

struct UstarHeader { // numbers are octal digits
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100],
    magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};
static_assert(sizeof(UstarHeader) == block);

template<std::size_t N> void octal(char (&field)[N], unsigned long long value) {
  std::snprintf(field, N, "%0*llo", static_cast<int>(N - 1), value);
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
bool in_name(char c) {
  return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         c == '.';
}
bool in_value(char c, char quote) {
  if (quote != 0)
    return c != quote;
  return static_cast<unsigned char>(c) > 0x20 && c != ',' && c != ';' && c != '}' && c != ']' &&
         c != '"' && c != '\'';
}

/// Where the word of a secret's name begins; npos: nowhere.
std::size_t secret_name(std::string_view text, std::size_t from) {
  static constexpr std::array<std::string_view, 8> words{
    "password", "passwd", "secret", "token", "api_key", "apikey", "credential", "authorization"};
  std::size_t first = text.npos;
  for (const auto word : words) {
    const auto at =
      std::search(text.begin() + static_cast<std::ptrdiff_t>(from), text.end(), word.begin(),
                  word.end(), [](char a, char b) { return lower(a) == b; });
    if (at != text.end())
      first = std::min(first, static_cast<std::size_t>(at - text.begin()));
  }
  return first;
}

/// `://user:password@`
std::string without_url_passwords(std::string_view text) {
  std::string out;
  for (;;) {
    const auto scheme = text.find("://");
    if (scheme == text.npos)
      return out.append(text);
    std::size_t end = scheme + 3;
    std::size_t colon = 0;
    for (; end < text.size() && in_value(text[end], 0) && text[end] != '/' && text[end] != '@';
         ++end)
      if (text[end] == ':' && colon == 0)
        colon = end;
    if (end < text.size() && text[end] == '@' && colon != 0)
      out.append(text.substr(0, colon + 1)).append(removed);
    else
      out.append(text.substr(0, end));
    text.remove_prefix(end);
  }
}

} // namespace

void Tar::add(std::string_view name, std::string_view content) {
  UstarHeader header{};
  std::memcpy(header.name, name.data(), std::min(name.size(), sizeof header.name));
  octal(header.mode, 0600);
  octal(header.uid, 0);
  octal(header.gid, 0);
  octal(header.size, content.size());
  octal(header.mtime,
        static_cast<unsigned long long>(
          std::chrono::floor<std::chrono::seconds>(time_).time_since_epoch().count()));
  header.type = '0';
  std::memcpy(header.magic, "ustar", 6);
  std::memcpy(header.version, "00", 2);
  std::memset(header.checksum, ' ', sizeof header.checksum);
  std::array<unsigned char, block> bytes{};
  std::memcpy(bytes.data(), &header, block);
  unsigned sum = 0;
  for (const unsigned char byte : bytes)
    sum += byte;
  std::snprintf(header.checksum, sizeof header.checksum, "%06o", sum);
  bytes_.append(reinterpret_cast<const char*>(&header), block);
  bytes_.append(content);
  bytes_.append((block - content.size() % block) % block, '\0');
}

std::string Tar::take() {
  bytes_.append(2 * block, '\0');
  return std::move(bytes_);
}

Result<std::string> gzipped(std::string_view bytes) {
  constexpr int window_bits = 15, gzip = 16, memory_level = 8;
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window_bits + gzip, memory_level,
                   Z_DEFAULT_STRATEGY) != Z_OK)
    return fail(Code::internal, {}, "no memory to compress");
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int done = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (done != Z_STREAM_END)
    return fail(Code::internal, {}, "not compressed");
  return out;
}

std::string without_secrets(std::string_view whole) {
  const std::string safe = without_url_passwords(whole);
  const std::string_view text = safe;
  std::string out;
  std::size_t kept = 0; // what is before is in `out`
  for (std::size_t at = secret_name(text, 0); at != text.npos; at = secret_name(text, at)) {
    while (at < text.size() && in_name(text[at]))
      ++at;
    std::size_t value = at;
    const auto skip = [&](std::string_view any) {
      const std::size_t before = value;
      while (value < text.size() && any.find(text[value]) != any.npos)
        ++value;
      return value > before;
    };
    skip("\\\"' ");
    if (!skip(":="))
      continue;
    skip(" ");
    const bool escaped = value < text.size() && text[value] == '\\'; // JSON within JSON
    value += escaped ? 1 : 0;
    char quote = 0;
    if (value < text.size() && (text[value] == '"' || text[value] == '\''))
      quote = text[value++];
    std::size_t end = value;
    while (end < text.size() && in_value(text[end], quote) && !(escaped && text[end] == '\\'))
      ++end;
    if (end == value)
      continue;
    out.append(text.substr(kept, value - kept)).append(removed);
    kept = at = end;
  }
  return out.append(text.substr(kept));
}

} // namespace reeve::cli
