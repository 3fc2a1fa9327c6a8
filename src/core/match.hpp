// Whether a node's labels are what a job asks for. Used by decide and by the scheduler, so that
// both mean the same. Knows no cluster.
#pragma once

#include "src/core/changes.hpp"

namespace reeve::core {

/// The first demand of the kind (node_labels, constraints) that these labels do not meet, as words
/// after "node n1 ", such as "has no label zone=east"; empty: all are met.
std::string unmet(const Kind& kind, const std::map<std::string, std::string>& labels);

} // namespace reeve::core
