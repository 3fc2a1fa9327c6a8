// What agent and keeper read of each other, and what both read of their own files after a crash.
#include "agents/worker/keeper_log.hpp"
#include "agents/worker/keeper_proc.hpp"
#include "agents/worker/keeper_socket.hpp"
#include "agents/worker/output_store.hpp"
#include "tests/fuzz/target.hpp"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {
using namespace reeve;
using namespace reeve::worker;

template<class T> void read_one(std::string_view bytes) {
  const auto value = decode<T>(bytes);
  if (!value)
    return;
  const auto again = decode<T>(encode(*value));
  REQUIRE(again && *again == *value);
}

/// The bytes arrive over a socket, as frames.
void read_frames(std::string_view bytes) {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  const Fd left(ends[0]), right(ends[1]);
  bytes = bytes.substr(0, 100'000); // fits the socket's buffer
  REQUIRE(::send(left.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) ==
          static_cast<ssize_t>(bytes.size()));
  FrameReader reader;
  REQUIRE(reader.read_from(right.get()));
  for (auto frame = reader.next(); frame && !frame->empty(); frame = reader.next()) {
    read_one<keeper::ToKeeper>(*frame);
    read_one<keeper::FromKeeper>(*frame);
  }
}

void read_log(std::string_view bytes) {
  const Fd file(::memfd_create("log", MFD_CLOEXEC));
  REQUIRE(::write(file.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  const auto state = read_keeper_log("/proc/self/fd/" + std::to_string(file.get()));
  REQUIRE(bytes.empty() || !state.torn.empty() || state.opened.keeper || !state.attempts.empty() ||
          bytes.size() >= 8);
}
} // namespace

/// A process may have been started with any environment.
void read_markers(std::string_view bytes) {
  if (const auto marker = parse_marker(bytes)) {
    const auto again = parse_marker(marker_value(marker->keeper, marker->id));
    REQUIRE(again && again->keeper == marker->keeper && again->id == marker->id);
  }
}

/// What the kernel says of a process, whose name may hold anything.
void read_proc(std::string_view bytes) {
  const std::string text(bytes);
  const auto stat = parse_stat(text, 7);
  REQUIRE(!stat || stat->pid == 7);
  if (const auto paren = text.rfind(')'); paren != std::string::npos) {
    const auto same = parse_stat("7 (a b) c) " + text.substr(paren + 1), 7);
    REQUIRE(same.has_value() == stat.has_value());
    REQUIRE(!stat || (same->parent == stat->parent && same->group == stat->group &&
                      same->session == stat->session && same->start_ticks == stat->start_ticks));
  }
}

/// Files that lie in an agent's folder for output.
void read_output_name(std::string_view bytes) {
  if (const auto id = parse_output_name(bytes)) {
    const auto again =
      parse_output_name(std::to_string(id->job.value) + "." + std::to_string(id->index) + "." +
                        std::to_string(id->attempt) + ".out");
    REQUIRE(again && *again == *id);
  }
}

// A byte: 0 to 2: a frame to or from the keeper, or a record of its log; 3: a stream of frames;
// 5: the mark of a task's processes; 6: a process's stat; 7: a file's name; else its
// log.
REEVE_FUZZ(keeper) {
  fuzz::Pieces pieces(input);
  switch (pieces.number(1)) {
  case 0:
    return read_one<keeper::ToKeeper>(pieces.rest());
  case 1:
    return read_one<keeper::FromKeeper>(pieces.rest());
  case 2:
    return read_one<record::Record>(pieces.rest());
  case 3:
    return read_frames(pieces.rest());
  case 5:
    return read_markers(pieces.rest());
  case 6:
    return read_proc(pieces.rest());
  case 7:
    return read_output_name(pieces.rest());
  default:
    return read_log(pieces.rest());
  }
}
