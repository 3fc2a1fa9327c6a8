// What the agent and its keeper say to each other over the unix socket DIR/keeper.sock: a stream of
// frames, each a 4-byte little-endian length and one msgpack value [index, body] of the variants
// below. Used by keeper.cpp and keeper_client.cpp only. Must never carry anything for the network:
// both ends are the same program on the same machine, and still each checks all it reads.
#pragma once

#include "agents/worker/units.hpp"
#include "messages/codec.hpp"
#include "messages/types.hpp"

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace reeve::worker {

constexpr std::uint32_t keeper_protocol_version = 2;
constexpr std::size_t keeper_frame_bytes_max = 16u << 20;
constexpr std::size_t result_bytes_max = 65'536; // of the file $REEVE_RESULT

/// One try of one task: the name of everything that a keeper holds.
struct AttemptId {
  static constexpr bool as_array = true;
  JobId job;
  TaskIndex index = 0;
  Attempt attempt = 1;

  auto operator<=>(const AttemptId&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &AttemptId::job, {.required = true, .min = 1});
    v("index", &AttemptId::index, {.required = true});
    v("attempt", &AttemptId::attempt, {.required = true, .min = 1});
  }
};

namespace keeper {

// ---- agent -> keeper
// -------------------------------------------------------------------------------------------------------

/// First on every connection. The connection that said it last is the agent's; an older one is
/// closed.
struct Hello {
  std::uint32_t version = keeper_protocol_version;
  bool operator==(const Hello&) const = default;
  template<class V> static void fields(V& v) { v("version", &Hello::version, {.required = true}); }
};

/// A job's specification (its `items` stay away), valid on this connection until DropSpec. Tasks
/// that run keep theirs.
struct PutSpec {
  JobId job;
  JobSpec spec;
  bool operator==(const PutSpec&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &PutSpec::job, {.required = true, .min = 1});
    v("spec", &PutSpec::spec, {.required = true});
  }
};
struct DropSpec {
  JobId job;
  bool operator==(const DropSpec&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &DropSpec::job, {.required = true, .min = 1});
  }
};

struct StartTask {
  static constexpr bool as_array = true;
  TaskIndex index = 0;
  Attempt attempt = 1;
  std::optional<std::string> item;             // when the job has items: $REEVE_ITEM and `{}`
  std::map<std::string, std::string> env = {}; // beside the job's, and before it
  std::vector<UnitShare> units =
    {}; // what it holds: told to the next agent, otherwise not looked at
  bool operator==(const StartTask&) const = default;
  template<class V> static void fields(V& v) {
    v("index", &StartTask::index, {.required = true});
    v("attempt", &StartTask::attempt, {.required = true, .min = 1});
    v("item", &StartTask::item);
    v("env", &StartTask::env, {.max = 64});
    v("units", &StartTask::units, {.max = 65'536});
  }
};
/// Tasks of one job to be started now. Starting an attempt that the keeper knows changes nothing
/// (one that has ended is told again).
struct Start {
  JobId job;
  Epoch epoch; // of the master that wants it
  std::vector<StartTask> tasks;
  bool operator==(const Start&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &Start::job, {.required = true, .min = 1});
    v("epoch", &Start::epoch);
    v("tasks", &Start::tasks, {.required = true, .max = 100'000});
  }
};

/// TERM, grace, KILL. The exit comes as any other, with `cause` unless the task ended by itself
/// before. Unknown attempts are ignored.
struct Stop {
  std::vector<AttemptId> attempts;
  Cause cause = Cause::cancelled;
  std::string text;              // why, for TaskResult.text
  std::optional<Duration> grace; // instead of the job's
  bool move = false;             // it runs again elsewhere: the job's checkpoint signal comes first
  bool operator==(const Stop&) const = default;
  template<class V> static void fields(V& v) {
    v("attempts", &Stop::attempts, {.required = true, .max = 1'000'000});
    v("cause", &Stop::cause, {.required = true});
    v("text", &Stop::text, {.max = 1024});
    v("grace_us", &Stop::grace, {.min = 0, .max = 3'600'000'000});
    v("move", &Stop::move);
  }
};

/// The master has these exits durably: the keeper forgets them. Their output stays until Forget or
/// until it is the oldest over budget.
struct Release {
  std::vector<AttemptId> attempts;
  bool operator==(const Release&) const = default;
  template<class V> static void fields(V& v) {
    v("attempts", &Release::attempts, {.required = true, .max = 1'000'000});
  }
};
/// The captured output of these attempts is removed. Running ones are left alone.
struct Forget {
  std::vector<AttemptId> attempts;
  bool operator==(const Forget&) const = default;
  template<class V> static void fields(V& v) {
    v("attempts", &Forget::attempts, {.required = true, .max = 1'000'000});
  }
};
/// The machine goes down: no more starts, stop every task, tell the exits, end the keeper.
struct StopAll {
  std::optional<Duration> grace; // instead of the jobs'
  bool operator==(const StopAll&) const = default;
  template<class V> static void fields(V& v) {
    v("grace_us", &StopAll::grace, {.min = 0, .max = 3'600'000'000});
  }
};

using ToKeeper = std::variant<Hello, PutSpec, DropSpec, Start, Stop, Release, Forget, StopAll>;

// ---- keeper -> agent
// -------------------------------------------------------------------------------------------------------

/// An attempt that has no exit yet.
struct Running {
  static constexpr bool as_array = true;
  AttemptId id;
  Epoch epoch;
  TimePoint started;                 // 0: about to start
  std::vector<UnitShare> units = {}; // as in its StartTask
  bool operator==(const Running&) const = default;
  template<class V> static void fields(V& v) {
    v("id", &Running::id, {.required = true});
    v("epoch", &Running::epoch);
    v("started_us", &Running::started);
    v("units", &Running::units, {.max = 65'536});
  }
};
/// The answer to Hello. All unreleased exits follow in Exits, then Synced.
struct Welcome {
  std::uint32_t version = keeper_protocol_version;
  Incarnation incarnation; // of this run of the keeper
  std::int64_t pid = 0;
  std::vector<Running> running;
  std::vector<AttemptId>
    lost; // what the keeper before this one had and had not been told to release, 100,000 at most
  std::vector<std::string> notes; // for a log: which limits work here, leftovers killed, a torn log
  bool operator==(const Welcome&) const = default;
  template<class V> static void fields(V& v) {
    v("version", &Welcome::version, {.required = true});
    v("incarnation", &Welcome::incarnation, {.required = true, .min = 1});
    v("pid", &Welcome::pid);
    v("running", &Welcome::running);
    v("lost", &Welcome::lost);
    v("notes", &Welcome::notes);
  }
};
/// No process of the attempt is left. Told once a connection, and again on the next one until
/// released.
struct Exit {
  static constexpr bool as_array = true;
  JobId job;
  Epoch epoch;
  TaskResult result;
  bool operator==(const Exit&) const = default;
  [[nodiscard]] AttemptId id() const { return {job, result.index, result.attempt}; }
  template<class V> static void fields(V& v) {
    v("job", &Exit::job, {.required = true, .min = 1});
    v("epoch", &Exit::epoch, {.required = true});
    v("result", &Exit::result, {.required = true});
  }
};
struct Exits {
  std::vector<Exit> exits;
  bool operator==(const Exits&) const = default;
  template<class V> static void fields(V& v) { v("exits", &Exits::exits, {.required = true}); }
};
struct Synced {
  bool operator==(const Synced&) const = default;
  template<class V> static void fields(V&) {}
};
/// Something was wrong with what the agent sent; the connection ends after this.
struct Refused {
  std::string field, text;
  bool operator==(const Refused&) const = default;
  template<class V> static void fields(V& v) {
    v("field", &Refused::field);
    v("text", &Refused::text);
  }
};

using FromKeeper = std::variant<Welcome, Exits, Synced, Refused>;

} // namespace keeper
} // namespace reeve::worker

template<> struct std::hash<reeve::worker::AttemptId> {
  std::size_t operator()(const reeve::worker::AttemptId& id) const noexcept {
    return std::hash<reeve::TaskId>{}({id.job, id.index}) ^
           (std::size_t{id.attempt} * 0x165667B19E3779F9ULL);
  }
};
