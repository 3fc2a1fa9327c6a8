// toml++ as we use it. Where its parser (3.3) takes for granted what a file need not keep, it ends
// the process: "[é]" does; with NDEBUG anything may happen. Here it throws std::invalid_argument.
// Included by the files that read TOML; they catch std::exception beside toml::parse_error.
#pragma once

#include <stdexcept>

namespace reeve {
[[noreturn]] inline void toml_assumption_failed() {
  throw std::invalid_argument("a key or a value has a character that it must not have");
}
} // namespace reeve

#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(expr) ((expr) ? static_cast<void>(0) : ::reeve::toml_assumption_failed())
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")
