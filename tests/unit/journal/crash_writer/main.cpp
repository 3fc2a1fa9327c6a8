// Writes a journal and dies where it is told to, saying before and after each step what it tries
// and what is durable. Started by crash_test.cpp: journal_crash_writer FILE FAULT AT SEED. One line
// a step on stdout, written at once.
#include "tests/unit/journal/fault_vfs/fault_vfs.hpp"
#include "tests/unit/journal/workload.hpp"

#include <cstdlib>
#include <unistd.h>

namespace {
using namespace reeve;
using namespace reeve::journal;

void say(const std::string& word, Seq seq) {
  const std::string line = word + " " + std::to_string(seq.value) + "\n";
  if (::write(STDOUT_FILENO, line.data(), line.size()) < 0)
    ::_exit(3);
}

[[noreturn]] void give_up(const Error& error) {
  const std::string line = "error " + error.message() + "\n";
  if (::write(STDOUT_FILENO, line.data(), line.size()) < 0)
    ::_exit(3);
  ::_exit(2);
}

void live(const std::string& path) {
  auto opened = open_sqlite({.path = path});
  if (!opened)
    give_up(opened.error());
  auto& journal = **opened;
  if (auto taken = journal.acquire(journal.epoch().next(), "crash"); !taken)
    give_up(taken.error());
  for (int step = 0; step < journal_tests::workload_steps; ++step) {
    const auto batches = journal_tests::step_batches(step, journal.last());
    say("trying", batches.back().last());
    if (auto done = journal.append(batches); !done)
      give_up(done.error());
    say("durable", journal.last());
    if (!journal_tests::step_saves(step))
      continue;
    const Seq seq(journal.last().value - 2);
    if (auto saved = journal.save_snapshot({seq, journal_tests::state_at(seq)}); !saved)
      give_up(saved.error());
    say("saved", seq);
    if (auto cut = journal.truncate(Seq(seq.value - 5)); !cut)
      give_up(cut.error());
  }
}
} // namespace

int main(int argc, char** argv) {
  if (argc != 5)
    return 4;
  reeve::faults::install_fault_vfs();
  reeve::faults::arm(static_cast<reeve::faults::Fault>(std::atoi(argv[2])),
                     std::strtoull(argv[3], nullptr, 10), std::strtoull(argv[4], nullptr, 10));
  live(argv[1]);
  return 0;
}
