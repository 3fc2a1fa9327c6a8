// Which deliberate break is in force. Part of reeve_sim_mutants only.
#include "messages/mutant.hpp"

#include <cstdlib>

namespace reeve {
namespace {
std::string_view chosen() {
  const char* name = std::getenv("REEVE_MUTANT");
  return name ? name : "";
}
} // namespace

const std::string_view mutant = chosen();

} // namespace reeve
