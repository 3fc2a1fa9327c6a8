// Identifiers, each its own type, and the two notions of time. No I/O, no clock.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>

namespace reeve {

/// A number that means one thing only: a Seq never passes for an Epoch.
template<class Tag, class Rep> struct Id {
  using rep = Rep;
  Rep value = 0;

  constexpr Id() = default;
  constexpr explicit Id(Rep v) : value(v) {}
  constexpr auto operator<=>(const Id&) const = default;
  constexpr explicit operator bool() const { return value != 0; }
  constexpr Id next() const { return Id(static_cast<Rep>(value + 1)); }
};

using NodeId = Id<struct NodeTag, std::uint32_t>;   // given by the ledger, from 1; never reused
using JobId = Id<struct JobTag, std::uint64_t>;     // given by the ledger, from 1; never reused
using LeaseId = Id<struct LeaseTag, std::uint64_t>; // given by the ledger, from 1; never reused
using Seq = Id<struct SeqTag, std::uint64_t>;       // position in the journal, from 1, no gaps
using Epoch = Id<struct EpochTag, std::uint64_t>;   // a leader's reign, from 1
using Incarnation =
  Id<struct IncarnationTag, std::uint64_t>; // one run of an agent's keeper; random

using TaskIndex = std::uint32_t; // position inside its job, from 0
using Attempt = std::uint32_t;   // try of a task, from 1

/// Microseconds, the resolution of everything on the wire.
using Duration = std::chrono::microseconds;
/// Wall clock since the Unix epoch (UTC). Cores receive it as an argument and never read a clock.
using TimePoint = std::chrono::sys_time<Duration>;

struct TaskId {
  JobId job;
  TaskIndex index = 0;
  constexpr auto operator<=>(const TaskId&) const = default;
};

} // namespace reeve

template<class Tag, class Rep> struct std::hash<reeve::Id<Tag, Rep>> {
  std::size_t operator()(reeve::Id<Tag, Rep> id) const noexcept {
    // Ids count up and libstdc++ takes hashes modulo a prime: what comes together lies together, a
    // sixth of the master's time less than with hashes that scatter.
    return static_cast<std::size_t>(id.value);
  }
};
template<> struct std::hash<reeve::TaskId> {
  std::size_t operator()(reeve::TaskId id) const noexcept {
    return (static_cast<std::size_t>(id.job.value) * 0x9E3779B97F4A7C15ULL) ^
           (static_cast<std::size_t>(id.index) * 0xC2B2AE3D27D4EB4FULL);
  }
};
