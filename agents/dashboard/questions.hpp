// What a browser asks for, out of the parameters of a URL and the bodies of actions. Everything in
// them is hostile: each error names the parameter. Pure; a fuzz target reads through it.
#pragma once

#include "messages/protocol.hpp"

#include <map>
#include <string>
#include <variant>

namespace reeve::dashboard {

using Parameters = std::multimap<std::string, std::string>;

/// A page of nodes.
struct NodesWanted {
  std::string text;  // in the name, a label's value or the reason
  std::string state; // up, suspect, lost, gone, draining, quarantined; empty: any
  std::string sort = "name";
  bool down = false; // largest first
  std::size_t offset = 0, limit = 50;
};
Result<NodesWanted> nodes_wanted(const Parameters& parameters);
Result<ListJobs> jobs_wanted(const Parameters& parameters);
Result<ListTasks> tasks_wanted(const Parameters& parameters);
Result<QueryHistory> history_wanted(const Parameters& parameters);
Result<ReadLog> log_wanted(const Parameters& parameters);
Result<Explain> explain_wanted(const Parameters& parameters);
/// Where a reader of events was: "SEQ.PART", as in an event's id.
Result<std::pair<Seq, std::uint32_t>> place_wanted(const std::string& text);

/// {"action": "cancel", "jobs": [5], "tasks": [{"job": 5, "index": 3}], "nodes": ["n1"],
/// "reason": "…"}: cancel, retry, hold and release are for jobs and tasks; drain and undrain for
/// nodes.
using Action = std::variant<ActOnJobs, ActOnNodes>;
Result<Action> action_wanted(const std::string& body);

} // namespace reeve::dashboard
