// A whole cluster from a seed: which machines, which jobs, what goes wrong and when; then the run
// itself, up to the end where everything is healed and must come to rest. The same seed gives the
// same run, event for event. Used by main.cpp and nobody else.
#pragma once

#include "tests/sim/agent.hpp"
#include "tests/sim/master.hpp"
#include "tests/sim/user.hpp"

namespace reeve::sim {

struct RunOptions {
  std::uint64_t seed = 0;
  std::set<unsigned> without; // happenings, by number, and kinds of noise that are left out
  bool trace = false;
  bool shared = false; // several masters over an etcd; else one over its disk
};

struct Outcome {
  std::optional<Truth::Broken> fault;
  Duration virtual_time{0};
  std::uint64_t events = 0, print = 0, entries = 0;
  std::vector<std::pair<unsigned, std::string>> happened; // what may be left out
};

Outcome run(const RunOptions& options);

} // namespace reeve::sim
