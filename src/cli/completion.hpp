// The tree of commands as a script for a shell's completion. Pure. Used by `reeve completion`.
#pragma once

#include "src/cli/command.hpp"

namespace reeve::cli {

enum class Shell : std::uint8_t { bash, zsh, fish };
std::string completion_script(const std::vector<Place>& places, Shell shell);

} // namespace reeve::cli
