// The tree of commands as a script for a shell's completion. Pure. Used by `reeve completion`.
#pragma once

#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace reeve::cli {

enum class Shell : std::uint8_t { bash, zsh, fish };
std::string completion_script(const CLI::App& app, Shell shell);

} // namespace reeve::cli
