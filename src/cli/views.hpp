// How jobs, tasks, nodes and leases look to a person and in JSON. Pure. Used by the commands.
#pragma once

#include "src/cli/selector.hpp"
#include "src/cli/session.hpp"

namespace reeve::cli {

Table job_table(const std::vector<JobView>& jobs, bool wide);
Table task_table(const std::vector<TaskView>& tasks, bool wide);
Table node_table(const std::vector<NodeView>& nodes, bool wide);
Table lease_table(const std::vector<LeaseView>& leases);

Session::Properties job_properties(const JobView& job);
Session::Properties task_properties(const TaskView& task);
Session::Properties node_properties(const NodeView& node);

/// With the spec's every field, defaults included, in the schema's order.
Json job_json(const JobView& job);

/// The incarnation as text: it is beyond what a double holds.
Json node_json(const NodeView& node);

/// "5/3"
std::string task_name(JobId job, TaskIndex index);
/// "exit 1", "signal 9 (time_limit)", "lost_node"; empty while it runs.
std::string ending(const TaskView& task);
std::string labels_text(const std::map<std::string, std::string>& labels);

/// What was typed wrongly in a selector is usage; everything else is what it is.
Exit fail_selector(Session& session, const Error& error);

struct TaskLogs {
  JobId job;
  std::vector<Span> tasks; // empty: all
  Attempt attempt = 0;     // 0: the last
  bool out = true, err = true, follow = false;
};
/// Output of the tasks that have run, in order, each line with its task in front when there are
/// several.
Exit print_task_logs(Session& session, Client& client, const TaskLogs& wanted);

} // namespace reeve::cli
