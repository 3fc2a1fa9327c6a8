// Errors as values: what went wrong, in which field, in words for a person.
// Used by every part; codes go on the wire and never change their meaning.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace reeve {

/// Numbered, on the wire, never renumbered. The command line maps them to its exit codes.
enum class Code : std::uint16_t {
  ok = 0,
  bad_message = 1,     // not msgpack, or not the shape of any message
  bad_field = 2,       // a field is missing, of the wrong type or out of bounds; `field` names it
  unknown_version = 3, // the header's version is not spoken; the text says which are
  unknown_type = 4,    // no such message type for this role
  too_large = 5,       // frame, depth, count or string beyond its bound
  not_found = 6,       // no such job, task, node, lease or queue
  refused = 7,         // understood, and against the rules; the text says which
  no_capacity = 8,     // not enough of a resource; text: asked, available, capacity
  node_down = 9,       // the node is lost, drained or quarantined
  busy = 10,           // backpressure: repeat after `retry_after`
  unavailable = 11,    // the journal takes no entries now (disk full, fenced)
  stale_epoch = 12,    // from a leader of the past
  not_leader = 13,     // ask another master; the text names it
  timed_out = 14,
  io = 15,       // disk or socket trouble; the text carries errno's words
  corrupt = 16,  // stored bytes fail their check; the text says where
  internal = 17, // our own broken promise
  conflict = 18, // the same key with other content, or a state that has moved on
  stale = 19,    // an attempt, incarnation or session that is no longer current
};

/// The code's name as written in `enum class Code`, for JSON and logs.
std::string_view name_of(Code code);

struct Error {
  Code code = Code::internal;
  std::string
    field; // a path such as `jobs[3].resources.memory_bytes`; empty when no field is at fault
  std::string text;

  /// "field: text", or the text alone.
  [[nodiscard]] std::string message() const { return field.empty() ? text : field + ": " + text; }
  bool operator==(const Error&) const = default;
};

template<class T> using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Code code, std::string field, std::string text) {
  return tl::unexpected<Error>(Error{code, std::move(field), std::move(text)});
}

} // namespace reeve
