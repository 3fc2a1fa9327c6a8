// Deliberate breaks, at least one for each promise, so that the simulation is seen to fail. They
// are there only in objects compiled with REEVE_MUTANTS, of which nothing but the test program
// reeve_sim_mutants is made (tests/sim/CMakeLists.txt); everywhere else the macro is `false`.
#pragma once

#ifdef REEVE_MUTANTS
#include <string_view>
namespace reeve {
extern const std::string_view mutant; // the break that is in force; tests/sim/mutant.cpp
}
#define REEVE_MUTANT(name) (::reeve::mutant == #name)
#else
#define REEVE_MUTANT(name) false
#endif
