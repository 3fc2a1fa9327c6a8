// A command that is run for an event, tried again when it fails. Used by `reeve events --exec`. One
// at a time: events that come meanwhile wait in the stream, which keeps them.
#pragma once

#include "src/cli/session.hpp"

namespace reeve::cli {

struct Hook {
  std::string command;   // for /bin/sh -c
  std::string url;       // for a webhook: $REEVE_HOOK_URL
  std::size_t tries = 5; // a second between the first two, doubling up to a minute
  Duration limit = std::chrono::seconds(60); // of one run; then it is killed with all it started
  Duration pause = std::chrono::seconds(1);
};
/// Runs it with the event as JSON in $REEVE_EVENT, and its parts in $REEVE_EVENT_KIND, _SEQ, _JOB,
/// _NODE, _QUEUE. Error: refused, when it failed as often as it may; timed_out when interrupted.
Result<void> run_hook(const Terminal& terminal, const Hook& hook, const Event& event);

/// A hook that POSTs the event as JSON, by curl: whatever is not a 2xx is a failure.
Hook webhook(const std::string& url, std::size_t tries);

/// Where a reader of events was, in a file, so that the next one goes on there.
struct EventPlace {
  Seq seq;
  std::uint32_t part = 0;
};
/// Nothing when there is no such file. Errors: bad_field (`--place`) when it holds something else.
Result<std::optional<EventPlace>> read_place(const std::string& file);
/// Replaces the file as a whole. Errors: io (`--place`).
Result<void> write_place(const std::string& file, EventPlace place);

} // namespace reeve::cli
