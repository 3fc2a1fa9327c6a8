// The whole command line behind main: parse, act, return the exit code. Tests call it with their
// own streams and a master of their own.
#pragma once

#include "src/cli/terminal.hpp"

#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace reeve::cli {

class Session;
/// The tree of commands; `session` must outlive it.
std::unique_ptr<CLI::App> make_app(Session& session);
/// `args` without the program's name. Returns the exit code.
int run(std::vector<std::string> args, Terminal& terminal);

} // namespace reeve::cli
