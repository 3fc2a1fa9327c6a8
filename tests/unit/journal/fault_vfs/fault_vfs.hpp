// An SQLite VFS that counts what reaches the disk and lets it go wrong at a chosen point: the
// process dies, a write is torn, what was not synced is lost, the disk is full or broken. Used by
// the journal's and the history's tests; never by a program.
#pragma once

#include <cstdint>
#include <string>

namespace reeve::faults {

enum class Fault {
  none,
  die,        // before the operation
  tear,       // a write half done, then die
  drop,       // everything that was not synced is undone, then die: a power cut
  scramble,   // a random part of it is undone, then die: a power cut with a disk that reorders
  full,       // this and all further writes fail for want of space, until disarmed
  break_once, // this operation fails
  break_down, // this and all further ones fail, until disarmed
};

constexpr int died_as_planned = 77; // exit code

/// Registers the VFS as SQLite's default. Databases opened from now on go through it.
void install_fault_vfs();
void remove_fault_vfs();
/// Writes, syncs, truncations and deletions are counted from 1 again; the `at`-th goes wrong.
/// `only`: part of the file names that count, empty: all.
void arm(Fault fault, std::uint64_t at, std::uint64_t seed = 1, const std::string& only = {});
void disarm();
/// Operations since `arm`.
std::uint64_t operations();
/// Whether the fault has struck since `arm`.
bool struck();

} // namespace reeve::faults
