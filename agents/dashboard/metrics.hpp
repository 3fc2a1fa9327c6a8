// What the master reports, in Prometheus' text format. Pure: the server hands in the answers.
// Counters of tasks and entries come from the journal and survive every restart; the others begin
// anew with the program that counts them, as Prometheus expects.
#pragma once

#include "messages/protocol.hpp"

#include <prometheus/metric_family.h>

namespace reeve::dashboard {

struct Observed {
  std::optional<Stats> stats; // none: no master answered
  std::optional<MasterStatus> master;
};

/// Families named and measured by Prometheus' conventions: base units, `_total` on counters.
std::vector<prometheus::MetricFamily> families(const Observed& observed);
/// The text format, version 0.0.4.
std::string metrics_text(const std::vector<prometheus::MetricFamily>& families);

} // namespace reeve::dashboard
