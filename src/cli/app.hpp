// The whole command line behind main: parse, act, return the exit code. Tests call it with their
// own streams and a master of their own.
#pragma once

#include "src/cli/terminal.hpp"

#include <memory>
#include <vector>

namespace reeve::cli {

class CommandTree;
class Session;
/// The tree of commands; `session` must outlive it.
std::unique_ptr<CommandTree> make_tree(Session& session);
/// `args` without the program's name. Returns the exit code.
int run(std::vector<std::string> args, Terminal& terminal);

} // namespace reeve::cli
