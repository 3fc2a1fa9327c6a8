// What the program's end tells a script. The numbers are a promise (docs/man/reeve.1) and never
// change. No I/O.
#pragma once

#include "messages/error.hpp"

namespace reeve::cli {

enum class Exit : std::uint8_t {
  good = 0,
  task_failed = 1, // with --wait, --follow and `job wait`
  usage = 2,
  refused = 3, // the field is named
  not_found = 4,
  no_master = 5,
  timed_out = 6,
  busy = 7,
  interrupted = 130, // Ctrl-C, as shells do
};

constexpr int number_of(Exit exit) {
  return static_cast<int>(exit);
}

inline Exit exit_for(const Error& error) {
  switch (error.code) {
  case Code::ok:
    return Exit::good;
  case Code::not_found:
    return Exit::not_found;
  case Code::not_leader:
    return Exit::no_master;
  case Code::io:
    return error.field == "master" ? Exit::no_master : Exit::refused;
  case Code::timed_out:
    return Exit::timed_out;
  case Code::busy:
  case Code::unavailable:
    return Exit::busy;
  default:
    return Exit::refused;
  }
}

} // namespace reeve::cli
