// Where the command line reads and writes, given by main or by a test. Plain data; owns nothing.
#pragma once

#include "messages/ids.hpp"

#include <functional>
#include <iosfwd>
#include <string>

namespace reeve::cli {

struct Terminal {
  std::ostream& out;
  std::ostream& err;
  std::istream& in;
  bool out_is_tty = false;
  bool err_is_tty = false;
  std::size_t columns = 80;
  std::function<std::string(const char*)> env;                 // empty when not set
  std::function<bool()> interrupted = [] { return false; };    // Ctrl-C was pressed
  std::function<TimePoint()> now = [] { return TimePoint{}; }; // wall clock
  std::string user;                                            // login name
};

} // namespace reeve::cli
