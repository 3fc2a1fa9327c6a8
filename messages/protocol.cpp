// Names of the message types, for logs and errors. See protocol.hpp.
#include "messages/protocol.hpp"

namespace reeve {
std::string_view name_of(MessageType type) {
  switch (type) {
  case MessageType::hello:
    return "hello";
  case MessageType::welcome:
    return "welcome";
  case MessageType::failed:
    return "failed";
  case MessageType::done:
    return "done";
  case MessageType::submit:
    return "submit";
  case MessageType::submitted:
    return "submitted";
  case MessageType::act_on_jobs:
    return "act_on_jobs";
  case MessageType::wait:
    return "wait";
  case MessageType::progress:
    return "progress";
  case MessageType::allocate:
    return "allocate";
  case MessageType::granted:
    return "granted";
  case MessageType::release:
    return "release";
  case MessageType::renew:
    return "renew";
  case MessageType::act_on_nodes:
    return "act_on_nodes";
  case MessageType::set_config:
    return "set_config";
  case MessageType::step:
    return "step";
  case MessageType::list_jobs:
    return "list_jobs";
  case MessageType::job_list:
    return "job_list";
  case MessageType::list_tasks:
    return "list_tasks";
  case MessageType::task_list:
    return "task_list";
  case MessageType::list_nodes:
    return "list_nodes";
  case MessageType::node_list:
    return "node_list";
  case MessageType::get_stats:
    return "get_stats";
  case MessageType::stats:
    return "stats";
  case MessageType::get_master:
    return "get_master";
  case MessageType::master_status:
    return "master_status";
  case MessageType::list_leases:
    return "list_leases";
  case MessageType::lease_list:
    return "lease_list";
  case MessageType::query_history:
    return "query_history";
  case MessageType::history_rows:
    return "history_rows";
  case MessageType::read_log:
    return "read_log";
  case MessageType::log_chunk:
    return "log_chunk";
  case MessageType::explain:
    return "explain";
  case MessageType::explained:
    return "explained";
  case MessageType::get_config:
    return "get_config";
  case MessageType::config_values:
    return "config_values";
  case MessageType::register_node:
    return "register_node";
  case MessageType::heartbeat:
    return "heartbeat";
  case MessageType::results:
    return "results";
  case MessageType::log_reply:
    return "log_reply";
  case MessageType::leave:
    return "leave";
  case MessageType::registered:
    return "registered";
  case MessageType::assign:
    return "assign";
  case MessageType::results_ack:
    return "results_ack";
  case MessageType::stop_tasks:
    return "stop_tasks";
  case MessageType::beacon:
    return "beacon";
  case MessageType::log_request:
    return "log_request";
  case MessageType::register_again:
    return "register_again";
  }
  return "unknown";
}
REEVE_MESSAGES(REEVE_CODEC_DEFINE)

} // namespace reeve
