// What `reeve-agent status` shows; declared in agent_loop.hpp. Pure.
#include "agents/worker/agent_loop.hpp"

#include "src/util/json.hpp"
#include "src/util/text.hpp"

#include <unistd.h>

namespace reeve::worker {

namespace {

const char* name_of_state(LinkState state) {
  switch (state) {
  case LinkState::down:
    return "down";
  case LinkState::registering:
    return "registering";
  case LinkState::standby:
    return "standby";
  case LinkState::registered:
    return "registered";
  }
  return "?";
}

Json json_of(const Link& link, TimePoint now) {
  Json out;
  out["endpoint"] = link.endpoint;
  out["state"] = name_of_state(link.state);
  out["node"] = link.node.value;
  out["epoch"] = link.epoch.value;
  out["heard_us_ago"] =
    link.heard == TimePoint{} ? Json(nullptr) : Json((now - link.heard).count());
  out["trouble"] = link.trouble;
  out["beacon"] = link.beacon ? to_json(*link.beacon) : Json(nullptr);
  return out;
}

std::string text_of(const Json& json, const char* key) {
  const auto it = json.find(key);
  if (it == json.end() || it->is_null())
    return "-";
  return it->is_string() ? printable(it->get<std::string>()) : it->dump();
}

std::string resources_of(const Json& json, const char* key) {
  const auto it = json.find(key);
  const auto resources = from_json<Resources>(it == json.end() ? Json() : *it);
  return resources ? to_text(*resources) : "?";
}

void add_master(std::string& out, const Json& master) {
  out += "master     " + text_of(master, "endpoint") + ": " + text_of(master, "state");
  if (text_of(master, "state") == "registered")
    out += " as node " + text_of(master, "node") + ", epoch " + text_of(master, "epoch");
  if (const auto heard = master.find("heard_us_ago");
      heard != master.end() && heard->is_number_integer())
    out += ", heard " + format_duration(Duration(heard->get<std::int64_t>())) + " ago";
  out += "\n";
  if (const std::string trouble = text_of(master, "trouble"); !trouble.empty() && trouble != "-")
    out += "           " + trouble + "\n";
  const auto beacon = master.find("beacon");
  if (beacon == master.end() || !beacon->is_object())
    return;
  out += "cluster    " + text_of(*beacon, "cluster") + ": " + text_of(*beacon, "nodes_up") +
         " nodes up, " + text_of(*beacon, "nodes_down") + " down; tasks pending " +
         text_of(*beacon, "tasks_pending") + ", assigned " + text_of(*beacon, "tasks_assigned") +
         "\n";
  out += "available  " + resources_of(*beacon, "available") + " of " +
         resources_of(*beacon, "capacity") + "\n";
  out += "this node  " + text_of(*beacon, "state") +
         (text_of(*beacon, "draining") == "true" ? ", draining" : "") + "\n";
}

} // namespace

std::string status_json(const AgentCore& core, const std::string& dir, TimePoint now, bool pretty) {
  const AgentConfig& config = core.config();
  Json out;
  out["v"] = 1;
  out["name"] = config.name;
  out["program"] = config.program;
  out["pid"] = ::getpid();
  out["dir"] = dir;
  out["incarnation"] = config.incarnation.value;
  out["epoch"] = core.epoch().value;
  out["stopping"] = core.work().stopping();
  out["executors"] = config.executors;
  out["capacity"] = to_json(config.capacity);
  out["booked"] = to_json(core.work().used());
  out["running"] = core.work().running();
  out["waiting"] = core.work().waiting();
  out["results_pending"] = core.results().pending();
  out["results_unacknowledged"] = core.results().unacked();
  out["masters"] = Json::array();
  for (const Link& link : core.links())
    out["masters"].push_back(json_of(link, now));
  return dump_json(out, pretty);
}

Result<std::string> status_text(std::string_view text) {
  const auto json = parse_json(text);
  if (!json)
    return tl::unexpected(json.error());
  std::string out;
  out += "agent      " + text_of(*json, "name") + ", pid " + text_of(*json, "pid") + ", " +
         text_of(*json, "program") + "\n";
  out += "state      " + text_of(*json, "dir") + "\n";
  out +=
    "booked     " + resources_of(*json, "booked") + " of " + resources_of(*json, "capacity") + "\n";
  out += "tasks      " + text_of(*json, "running") + " running, " + text_of(*json, "waiting") +
         " waiting\n";
  out += "results    " + text_of(*json, "results_pending") + " to be sent, " +
         text_of(*json, "results_unacknowledged") + " messages not acknowledged\n";
  if (const auto masters = json->find("masters"); masters != json->end())
    for (const Json& master : *masters)
      add_master(out, master);
  return out;
}

} // namespace reeve::worker
