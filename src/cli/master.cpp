// `reeve master …`: status, config, snapshot; and `reeve stats`.
#include "src/cli/commands.hpp"
#include "src/util/text.hpp"

#include <ostream>

namespace reeve::cli {
namespace {

std::string since_text(TimePoint then, TimePoint now) {
  if (then == TimePoint{})
    return "";
  const auto passed = std::chrono::duration_cast<Duration>(now - then);
  return format_time(then) +
         (passed.count() > 0
            ? ", " + format_duration(std::chrono::floor<std::chrono::seconds>(passed)) + " ago"
            : "");
}

std::string hex(std::uint64_t n) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out(16, '0');
  for (std::size_t k = 16; k > 0; n >>= 4U)
    out[--k] = digits[n & 15U];
  return out;
}

Exit show_status(Session& session) {
  auto client = session.client();
  if (!client)
    return session.fail(client.error());
  const auto status = (*client)->ask(GetMaster{}, session.timeout);
  if (!status)
    return session.fail(status.error());
  Json json = to_json(*status);
  json["state_hash"] = hex(status->state_hash); // beyond what a double holds
  session.show_object(
    json,
    {{"Cluster", status->cluster},
     {"Master", status->master + " (" + status->program + "), " + status->role},
     {"Epoch", std::to_string(status->epoch.value)},
     {"Started", since_text(status->started, session.terminal.now())},
     {"Takes work", status->accepting ? "yes" : "no"},
     {"Journal", status->journal},
     {"Entries", std::to_string(status->seq.value) + ", durable to " +
                   std::to_string(status->durable.value) +
                   (status->snapshot ? ", snapshot at " + std::to_string(status->snapshot.value)
                                     : ", no snapshot yet")},
     {"State hash", hex(status->state_hash)}},
    status->accepting ? "accepting" : "refusing");
  return Exit::good;
}

Exit set_config(Session& session, Client& client,
                const std::map<std::string, std::string>& values) {
  const auto done = client.ask(SetConfig{values}, session.timeout);
  if (!done)
    return session.fail(done.error());
  std::string text;
  for (const auto& [name, value] : values)
    text += (text.empty() ? "" : ", ") + name +
            (value.empty() ? " back to its default" : " is now " + value);
  session.show_done(Json{{"set", to_json(values)}, {"changed", done->changed}}, text);
  return Exit::good;
}

bool setting_wanted(const std::vector<std::string>& names, const std::string& name) {
  if (names.empty())
    return true;
  for (const std::string& one : names)
    if (one == name ||
        (!one.empty() && one.back() == '*' && name.rfind(one.substr(0, one.size() - 1), 0) == 0))
      return true;
  return false;
}

Exit master_config(Session& session, const std::vector<std::string>& words) {
  std::map<std::string, std::string> values;
  std::vector<std::string> names;
  for (const std::string& word : words) {
    if (word.find('=') == std::string::npos) {
      names.push_back(word);
      continue;
    }
    auto pair = parse_pair(word, "NAME=VALUE");
    if (!pair)
      return session.usage(pair.error());
    values.insert_or_assign(std::move(pair->first), std::move(pair->second));
  }
  if (!values.empty() && !names.empty())
    return session.usage(
      Error{Code::bad_field, "NAME", "either show settings or set them, not both"});
  auto client = session.client();
  if (!client)
    return session.fail(client.error());
  if (!values.empty())
    return set_config(session, **client, values);
  const auto all = (*client)->ask(GetConfig{}, session.timeout);
  if (!all)
    return session.fail(all.error());
  Table table({{"SETTING"}, {"VALUE"}, {"DEFAULT"}});
  Json list = Json::array();
  std::vector<std::string> quiet;
  std::map<std::string, std::string> settings = all->defaults;
  for (const auto& [name, value] : all->values)
    settings[name] = value;
  for (const auto& [name, value] : settings) {
    if (!setting_wanted(names, name))
      continue;
    const auto at = all->defaults.find(name);
    const std::string usual = at == all->defaults.end() ? "" : at->second;
    table.add({name, Table::Cell(value, value == usual ? Colour::none : Colour::yellow), usual});
    list.push_back(Json{{"name", name}, {"value", value}, {"default", usual}});
    quiet.push_back(names.size() == 1 ? value : name + "=" + value);
  }
  if (list.empty() && !names.empty())
    return session.fail(
      Error{Code::not_found, "NAME",
            "no setting " + printable(names.front()) + " (reeve master config shows all)"});
  session.show_list(Json{{"settings", list}}, "settings", table, quiet);
  return Exit::good;
}

Exit take_snapshot(Session& session) {
  auto client = session.client();
  if (!client)
    return session.fail(client.error());
  const auto done = (*client)->ask(Step{MasterAction::snapshot}, session.timeout);
  if (!done)
    return session.fail(done.error());
  session.show_done(to_json(*done), done->text.empty() ? "snapshot written" : done->text);
  return Exit::good;
}

Exit show_stats(Session& session, bool counters) {
  auto client = session.client();
  if (!client)
    return session.fail(client.error());
  const auto s = (*client)->ask(GetStats{}, session.timeout);
  if (!s)
    return session.fail(s.error());
  const auto number = [](std::uint64_t n) { return std::to_string(n); };
  std::string nodes = number(s->nodes_up) + " up";
  if (s->nodes_draining > 0)
    nodes += ", " + number(s->nodes_draining) + " draining";
  if (s->nodes_suspect > 0)
    nodes += ", " + number(s->nodes_suspect) + " suspect";
  if (s->nodes_lost > 0)
    nodes += ", " + number(s->nodes_lost) + " lost";
  Session::Properties properties{
    {"Nodes", nodes},
    {"Capacity", to_text(s->capacity)},
    {"Available", to_text(s->available)},
    {"Jobs", number(s->jobs) + " known, " + number(s->jobs_pending) + " pending, " +
               number(s->jobs_running) + " running"},
    {"Tasks now", number(s->tasks_pending) + " pending, " + number(s->tasks_assigned) +
                    " on nodes, " + number(s->tasks_held) + " held"},
    {"Tasks ever", number(s->submitted) + " submitted, " + number(s->placed) + " placed, " +
                     number(s->succeeded) + " succeeded, " + number(s->failed) + " failed, " +
                     number(s->cancelled) + " cancelled, " + number(s->requeued) + " requeued"},
    {"Entries", number(s->seq.value)},
    {"Up for", format_duration(std::chrono::floor<std::chrono::seconds>(s->uptime))}};
  if (counters || session.format == Format::wide)
    for (const auto& [name, value] : s->counters)
      properties.emplace_back(name, std::to_string(value));
  session.show_object(to_json(*s), properties, number(s->tasks_pending + s->tasks_assigned));
  return Exit::good;
}

} // namespace

void add_master_commands(Command root, Session& session) {
  Command noun = root.noun("master", "The master: status, config, snapshot");
  noun.verb("status", "Shows the master, its epoch and how its journal is", "reeve master status",
            [&session] { return show_status(session); });
  auto words = std::make_shared<std::vector<std::string>>();
  noun
    .verb("config", "Shows settings, or changes them while it runs",
          "reeve master config retention.jobs=2h",
          [&session, words] { return master_config(session, *words); })
    .words("NAME", *words, "NAME or NAME.* shows; NAME=VALUE sets; NAME= goes back to the default",
           Command::Need::optional);
  noun.verb("snapshot",
            "Writes the state to the journal now, so that the next start replays little",
            "reeve master snapshot", [&session] { return take_snapshot(session); });
}

void add_stats(Command root, Session& session) {
  auto counters = std::make_shared<bool>(false);
  root
    .verb("stats", "Shows the numbers of the cluster", "reeve stats --counters",
          [&session, counters] { return show_stats(session, *counters); })
    .flag("--counters", *counters, "And those of the running program, as -o wide does");
}

} // namespace reeve::cli
