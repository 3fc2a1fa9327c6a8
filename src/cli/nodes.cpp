// `reeve node …`: list, show, drain, undrain, quarantine, label, remove.
#include "src/cli/commands.hpp"
#include "src/cli/names.hpp"
#include "src/cli/views.hpp"

#include <algorithm>
#include <ostream>
#include <set>

namespace reeve::cli {
namespace {

constexpr Duration empty_look_again = std::chrono::milliseconds(250);

bool node_matches(const NodeView& node, const std::string& selector) {
  if (selector == "all")
    return true;
  if (selector.rfind("label:", 0) == 0) {
    const std::string pair = selector.substr(6);
    const std::size_t equals = pair.find('=');
    const auto at = node.labels.find(pair.substr(0, equals));
    return at != node.labels.end() &&
           (equals == std::string::npos || at->second == pair.substr(equals + 1));
  }
  if (!selector.empty() && selector.back() == '*')
    return node.name.rfind(selector.substr(0, selector.size() - 1), 0) == 0;
  return node.name == selector;
}

/// Those that any selector means, in the master's order. Error: not_found, naming a selector that
/// means none; `all` may.
Result<std::vector<NodeView>> resolve_nodes(Client& client,
                                            const std::vector<std::string>& selectors) {
  auto list = client.ask(ListNodes{});
  if (!list)
    return tl::unexpected<Error>(list.error());
  std::vector<NodeView> out;
  std::set<std::string> met;
  for (NodeView& node : list->nodes) {
    bool chosen = selectors.empty();
    for (const std::string& selector : selectors)
      if (node_matches(node, selector)) {
        chosen = true;
        met.insert(selector);
      }
    if (chosen)
      out.push_back(std::move(node));
  }
  for (const std::string& selector : selectors)
    if (selector != "all" && met.count(selector) == 0)
      return fail(Code::not_found, "NODE",
                  "no node " + printable(selector) + " (reeve node list shows them)");
  return out;
}

std::vector<std::string> node_names(const std::vector<NodeView>& nodes) {
  std::vector<std::string> out;
  for (const NodeView& node : nodes)
    out.push_back(node.name);
  return out;
}

std::string nodes_text(const std::vector<std::string>& nodes) {
  std::string out = nodes.size() == 1 ? "node " : "nodes ";
  for (std::size_t k = 0; k < nodes.size() && k < 5; ++k)
    out += (k == 0 ? "" : ", ") + nodes[k];
  return nodes.size() > 5 ? out + " and " + std::to_string(nodes.size() - 5) + " more" : out;
}

Exit list_nodes(Session& session, const std::vector<std::string>& selectors,
                const std::vector<std::string>& state_texts) {
  const auto states = parse_names<NodeState>(state_texts, "--state");
  if (!states)
    return session.usage(states.error());
  auto client = session.client();
  if (!client)
    return session.fail(client.error());
  auto nodes = resolve_nodes(**client, selectors);
  if (!nodes)
    return session.fail(nodes.error());
  if (!states->empty())
    std::erase_if(*nodes, [&](const NodeView& node) {
      return std::find(states->begin(), states->end(), node.state) == states->end();
    });
  Json json = Json::array();
  for (const NodeView& node : *nodes)
    json.push_back(node_json(node));
  session.show_list(Json{{"nodes", json}}, "nodes",
                    node_table(*nodes, session.format == Format::wide), node_names(*nodes));
  return Exit::good;
}

Exit show_nodes(Session& session, const std::vector<std::string>& selectors) {
  auto client = session.client();
  if (!client)
    return session.fail(client.error());
  const auto nodes = resolve_nodes(**client, selectors);
  if (!nodes)
    return session.fail(nodes.error());
  std::vector<Session::Thing> things;
  for (const NodeView& node : *nodes)
    things.push_back({node_json(node), node_properties(node), node.name});
  session.show_things("nodes", things);
  return Exit::good;
}

/// Until nothing runs on them any more. A drained node that was lost meanwhile is empty as well.
Exit wait_until_empty(Session& session, Client& client, const std::vector<std::string>& nodes) {
  using Clock = std::chrono::steady_clock;
  const auto deadline =
    session.timeout.count() > 0 ? Clock::now() + session.timeout : Clock::time_point::max();
  std::uint64_t told = 0;
  while (true) {
    ListNodes query;
    query.names = nodes;
    const auto list = client.ask(query);
    if (!list)
      return session.fail(list.error());
    std::uint64_t tasks = 0;
    for (const NodeView& node : list->nodes)
      tasks += node.tasks;
    if (tasks == 0)
      return Exit::good;
    if (tasks != told)
      session.note(std::to_string(tasks) + (tasks == 1 ? " task" : " tasks") + " still there");
    told = tasks;
    const auto again = Clock::now() + empty_look_again;
    while (Clock::now() < again)
      if (const auto polled = client.poll(std::chrono::ceil<Duration>(again - Clock::now()));
          !polled)
        return session.fail(polled.error());
    if (Clock::now() >= deadline)
      return session.fail(
        Error{Code::timed_out, "",
              std::to_string(tasks) + " tasks are still there; the nodes stay drained"});
  }
}

struct NodesAction {
  NodeAction action = NodeAction::drain;
  std::vector<std::string> words;
  std::string reason, done, duration, deadline;
  bool wait = false;
};

Exit act_on_nodes(Session& session, const NodesAction& o) {
  ActOnNodes request;
  request.action = o.action;
  request.reason = o.reason;
  if (o.action == NodeAction::quarantine) {
    const auto duration = parse_duration(o.duration, "--for");
    if (!duration)
      return session.usage(duration.error());
    request.duration = *duration;
  }
  if (!o.deadline.empty()) {
    const auto deadline = parse_duration(o.deadline, "--deadline");
    if (!deadline)
      return session.usage(deadline.error());
    request.deadline = *deadline;
  }
  std::vector<std::string> selectors;
  for (const std::string& word : o.words) {
    const bool label = o.action == NodeAction::label && word.rfind("label:", 0) != 0 &&
                       word.find('=') != std::string::npos;
    if (!label) {
      selectors.push_back(word);
      continue;
    }
    auto pair = parse_pair(word, "LABEL");
    if (!pair)
      return session.usage(pair.error());
    request.labels.insert_or_assign(std::move(pair->first), std::move(pair->second));
  }
  if (selectors.empty())
    return session.usage(Error{Code::bad_field, "NODE", "name at least one node"});
  if (o.action == NodeAction::label && request.labels.empty())
    return session.usage(
      Error{Code::bad_field, "LABEL", "give at least one KEY=VALUE, or KEY= to remove one"});
  auto client = session.client();
  if (!client)
    return session.fail(client.error());
  auto nodes = resolve_nodes(**client, selectors).map(node_names);
  if (!nodes)
    return session.fail(nodes.error());
  if (nodes->empty()) {
    session.note("there is no node");
    return Exit::good;
  }
  request.nodes = *nodes;
  const auto answer = (*client)->ask(request, session.timeout);
  if (!answer)
    return session.fail(answer.error());
  Json body;
  body["nodes"] = to_json(*nodes);
  body["nodes_changed"] = answer->changed;
  const bool lifted = o.action == NodeAction::quarantine && request.duration == Duration::zero();
  session.show_done(body, nodes_text(*nodes) + " " + (lifted ? "out of quarantine" : o.done) +
                            (answer->changed == 0 ? " already" : ""));
  return o.wait ? wait_until_empty(session, **client, *nodes) : Exit::good;
}

constexpr const char* about_node =
  "Names, all, a name's beginning such as rack1-*, label:KEY=VALUE";

void add_node_action(Command& noun, Session& session, NodeAction action, const std::string& name,
                     const std::string& about, const std::string& example,
                     const std::string& done) {
  auto o = std::make_shared<NodesAction>();
  o->action = action;
  o->done = done;
  o->duration = "10m";
  Command c = noun.verb(name, about, example, [&session, o] { return act_on_nodes(session, *o); });
  c.words("NODE", o->words,
          action == NodeAction::label
            ? std::string(about_node) + "; then KEY=VALUE, or KEY= to remove a label"
            : about_node,
          Command::Need::needed);
  if (action == NodeAction::drain || action == NodeAction::quarantine)
    c.text("--reason", o->reason, "Why, for those who ask later", "TEXT");
  if (action == NodeAction::drain)
    c.flag("-w,--wait", o->wait, "Wait until nothing runs there any more")
      .text("--deadline", o->deadline,
            "Move what still runs there after so long (0s: at once) to other nodes", "DURATION");
  if (action == NodeAction::quarantine)
    c.text("--for", o->duration, "How long; 0: lift it", "DURATION");
}

} // namespace

void add_node_commands(Command root, Session& session) {
  Command noun = root.noun("node", "Nodes: list, show, drain, undrain, quarantine, label, remove");
  {
    struct Options {
      std::vector<std::string> nodes, states;
    };
    auto o = std::make_shared<Options>();
    noun
      .verb("list", "Shows nodes and what is free there", "reeve node list --state up -o wide",
            [&session, o] { return list_nodes(session, o->nodes, o->states); })
      .words("NODE", o->nodes, about_node, Command::Need::optional)
      .list("-s,--state", o->states, "Only in these states, with commas: " + names_of<NodeState>(),
            "STATE");
  }
  {
    auto nodes = std::make_shared<std::vector<std::string>>();
    noun
      .verb("show", "Shows everything about nodes", "reeve node show n1",
            [&session, nodes] { return show_nodes(session, *nodes); })
      .words("NODE", *nodes, about_node, Command::Need::needed);
  }
  add_node_action(
    noun, session, NodeAction::drain, "drain",
    "Gives nodes no new work; what runs there runs on, until the --deadline if one is given",
    "reeve node drain n1 --reason 'new disk' --deadline 10m --wait", "drained");
  add_node_action(noun, session, NodeAction::undrain, "undrain", "Gives nodes work again",
                  "reeve node undrain n1", "undrained");
  add_node_action(noun, session, NodeAction::quarantine, "quarantine",
                  "Gives nodes no new work for a while (10m, else --for)",
                  "reeve node quarantine n1 --for 1h --reason flaky", "quarantined");
  add_node_action(noun, session, NodeAction::label, "label",
                  "Sets labels, which jobs ask for with --node-label",
                  "reeve node label n1 zone=east disk=", "labelled");
  add_node_action(noun, session, NodeAction::remove, "remove",
                  "Forgets nodes that are lost or gone; one that comes back is a new node",
                  "reeve node remove n7", "removed");
}

} // namespace reeve::cli
