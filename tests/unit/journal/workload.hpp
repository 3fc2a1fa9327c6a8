// A short life of a journal with all that a master does to one, told step by step: the crash tests
// cut it off anywhere, the fault tests let any write in it fail.
#pragma once

#include "tests/unit/journal/temporary.hpp"

namespace reeve::journal_tests {

constexpr int workload_steps = 24;
/// How far apart the operations are at which a fault strikes: each one, except under sanitizers,
/// which take several times as long for the same lives.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t fault_step = 7;
#else
constexpr std::uint64_t fault_step = 1;
#endif

/// What step `step` appends behind `last`: one small batch, several, or one of some 44 kB.
inline std::vector<Batch> step_batches(int step, Seq last) {
  const Seq first = last.next();
  switch (step % 4) {
  case 0:
    return {make_batch(first, 1)};
  case 1:
    return {make_batch(first, 3), make_batch(Seq(first.value + 3), 1)};
  case 2:
    return {make_batch(first, 100, 440)};
  default:
    return {make_batch(first, 7, 300)};
  }
}
inline bool step_saves(int step) {
  return step % 6 == 5;
}
inline std::string state_at(Seq seq) {
  return content_of(seq, 9'000);
}

} // namespace reeve::journal_tests
