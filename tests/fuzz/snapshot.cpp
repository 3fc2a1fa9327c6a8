// A snapshot's bytes: refused as corrupt, or a cluster that can be asked and written again.
#include "src/core/cluster.hpp"
#include "tests/fuzz/target.hpp"

REEVE_FUZZ(snapshot) {
  using namespace reeve;
  const auto cluster = core::Cluster::restore(input);
  if (!cluster) {
    REQUIRE(cluster.error().code == Code::corrupt || cluster.error().code == Code::unknown_version);
    return;
  }
  const std::string written = cluster->snapshot();
  const auto again = core::Cluster::restore(written);
  REQUIRE(again);
  REQUIRE(again->snapshot() == written);
}
