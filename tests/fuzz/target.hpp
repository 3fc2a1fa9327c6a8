// How a fuzz target is written. One file a target:
//
//   REEVE_FUZZ(selectors) { (void)cli::parse_job_selector(input); }
//
// `input` is a std::string_view of hostile bytes. Built once for libFuzzer (REEVE_FUZZ_ONE) and
// once into reeve_fuzz_replay, which runs saved inputs. A target ends the process when a promise
// is broken (REQUIRE) and does nothing else.
#pragma once

#include "messages/error.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>

namespace reeve::fuzz {

using Target = void (*)(std::string_view input);
inline std::map<std::string, Target>& targets() {
  static std::map<std::string, Target> all;
  return all;
}
struct Listed {
  Listed(const char* name, Target target) { targets()[name] = target; }
};

[[noreturn]] inline void broken(const char* promise, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: broken promise: %s\n", file, line, promise);
  std::abort();
}

/// Takes an input apart: numbers and pieces from its front, nothing once it is used up.
class Pieces {
public:
  explicit Pieces(std::string_view input) : rest_(input) {}
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t value = 0;
    const std::string_view part = take(bytes);
    for (std::size_t i = 0; i < part.size(); ++i)
      value |= std::uint64_t{static_cast<unsigned char>(part[i])} << (8 * i);
    return value;
  }
  std::string_view take(std::size_t bytes) {
    const std::string_view part = rest_.substr(0, bytes);
    rest_.remove_prefix(part.size());
    return part;
  }
  /// A piece with its length (two bytes) before it.
  std::string_view piece() { return take(static_cast<std::size_t>(number(2))); }
  [[nodiscard]] std::string_view rest() const { return rest_; }

private:
  std::string_view rest_;
};

} // namespace reeve::fuzz

#define REQUIRE(promise)                                                                           \
  do {                                                                                             \
    if (!(promise))                                                                                \
      ::reeve::fuzz::broken(#promise, __FILE__, __LINE__);                                         \
  } while (false)

namespace reeve::fuzz {
/// Whether a parser took its input; one that did not has named the fault.
template<class T> bool named(const Result<T>& result) {
  REQUIRE(result || (result.error().code != Code::ok && !result.error().text.empty()));
  return result.has_value();
}
} // namespace reeve::fuzz

#ifdef REEVE_FUZZ_ONE
#define REEVE_FUZZ(name)                                                                           \
  static void fuzz_##name(std::string_view input);                                                 \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {              \
    fuzz_##name(size == 0 ? std::string_view("", 0)                                                \
                          : std::string_view(reinterpret_cast<const char*>(data), size));          \
    return 0;                                                                                      \
  }                                                                                                \
  static void fuzz_##name([[maybe_unused]] std::string_view input)
#else
#define REEVE_FUZZ(name)                                                                           \
  static void fuzz_##name(std::string_view input);                                                 \
  static const ::reeve::fuzz::Listed listed_##name(#name, fuzz_##name);                            \
  static void fuzz_##name([[maybe_unused]] std::string_view input)
#endif
