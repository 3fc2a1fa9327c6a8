// `reeve queue …`: list, show, set, pause, resume, remove. A queue is what its settings say; they
// are kept with the master's other settings.
#include "src/cli/commands.hpp"
#include "src/cli/queue_file.hpp"
#include "src/cli/submit.hpp"
#include "src/sched/queue_settings.hpp"
#include "src/util/text.hpp"

#include <algorithm>
#include <istream>
#include <set>

namespace reeve::cli {
namespace {

constexpr std::string_view queue_dot = "queue.";
constexpr std::size_t queue_file_max = 1u << 20;

struct QueueViews {
  std::map<std::string, std::string> values; // of settings
  std::map<std::string, std::int64_t> counters;
  std::set<std::string> names;
  [[nodiscard]] std::string count(const std::string& queue, const char* what) const {
    const auto at = counters.find("queue." + queue + "." + what);
    return std::to_string(at == counters.end() ? 0 : at->second);
  }
};

Result<QueueViews> read_queues(Session& session) {
  auto client = session.client();
  if (!client)
    return tl::unexpected<Error>(client.error());
  const auto config = (*client)->ask(GetConfig{}, session.timeout);
  if (!config)
    return tl::unexpected<Error>(config.error());
  const auto stats = (*client)->ask(GetStats{}, session.timeout);
  if (!stats)
    return tl::unexpected<Error>(stats.error());
  QueueViews out{config->values, stats->counters, {"default"}};
  const auto take = [&](const std::string& name) {
    const auto dot = name.rfind('.');
    if (name.starts_with(queue_dot) && dot > queue_dot.size())
      out.names.insert(name.substr(queue_dot.size(), dot - queue_dot.size()));
  };
  for (const auto& [name, value] : out.values)
    take(name);
  for (const auto& [name, value] : out.counters)
    take(name);
  out.names.erase("*");
  return out;
}

/// The value in force: the queue's own, else that of all queues, else the default.
std::string value_of(const QueueViews& all, const std::string& queue,
                     const sched::QueueSettingInfo& info) {
  for (const std::string& name : {queue, std::string("*")})
    if (const auto at = all.values.find("queue." + name + "." + std::string(info.name));
        at != all.values.end())
      return at->second;
  return std::string(info.default_text);
}

Json queue_json(const QueueViews& all, const std::string& queue) {
  Json settings = Json::object();
  for (const auto& info : sched::queue_setting_table())
    settings[std::string(info.name)] = value_of(all, queue, info);
  return Json{{"name", queue},
              {"waiting", std::stoll(all.count(queue, "waiting"))},
              {"running", std::stoll(all.count(queue, "running"))},
              {"settings", settings}};
}

Exit list_queues(Session& session) {
  const auto all = read_queues(session);
  if (!all)
    return session.fail(all.error());
  Table table({{"QUEUE"},
               {"ORDER"},
               {"RANKING"},
               {"BACKFILL"},
               {"WAITING", true},
               {"RUNNING", true},
               {"LIMIT"},
               {"STATE"}});
  Json list = Json::array();
  std::vector<std::string> quiet;
  const sched::AllQueueSettings settings(all->values);
  for (const std::string& name : all->names) {
    const sched::QueueSettings s = settings.of(name);
    std::string limit;
    for (const auto& info : sched::queue_setting_table())
      if (info.name == "limit")
        limit = value_of(*all, name, info);
    table.add(
      {name, std::string(sched::name_of(s.order)), std::string(sched::name_of(s.ranking)),
       std::string(sched::name_of(s.backfill)), all->count(name, "waiting"),
       all->count(name, "running"), limit,
       Table::Cell(s.paused ? "paused" : "open", s.paused ? Colour::yellow : Colour::none)});
    list.push_back(queue_json(*all, name));
    quiet.push_back(name);
  }
  session.show_list(Json{{"queues", list}}, "queues", table, quiet);
  return Exit::good;
}

Exit show_queue(Session& session, const std::string& name) {
  const auto all = read_queues(session);
  if (!all)
    return session.fail(all.error());
  if (!all->names.contains(name) && name != "*")
    return session.fail(Error{Code::not_found, "QUEUE",
                              "no queue " + printable(name) + " (reeve queue list shows all)"});
  Session::Properties properties{{"Queue", name}};
  if (name != "*") {
    properties.emplace_back("Waiting", all->count(name, "waiting") + " tasks");
    properties.emplace_back("Running", all->count(name, "running") + " tasks");
  }
  for (const auto& info : sched::queue_setting_table())
    properties.emplace_back(std::string(info.name), value_of(*all, name, info));
  session.show_object(queue_json(*all, name), properties, name);
  return Exit::good;
}

Exit change_queues(Session& session, const std::map<std::string, std::string>& values,
                   const std::string& text) {
  auto client = session.client();
  if (!client)
    return session.fail(client.error());
  const auto done = (*client)->ask(SetConfig{values}, session.timeout);
  if (!done)
    return session.fail(done.error());
  session.show_done(Json{{"set", to_json(values)}, {"changed", done->changed}}, text);
  return Exit::good;
}

Exit set_queue(Session& session, const std::vector<std::string>& words, const std::string& file) {
  std::map<std::string, std::string> values;
  std::string text;
  if (!file.empty()) {
    if (!words.empty())
      return session.usage(Error{Code::bad_field, "QUEUE", "give either a queue or --file"});
    const auto read = read_file(file, &session.terminal.in, queue_file_max);
    if (!read)
      return session.usage(Error{Code::bad_field, "--file", read.error().text});
    auto parsed = parse_queue_file(*read);
    if (!parsed)
      return session.fail(Error{parsed.error().code, parsed.error().field,
                                parsed.error().text + " (in " + file + ")"});
    values = std::move(*parsed);
    text = std::to_string(values.size()) + " settings of queues are as in " + file;
    return change_queues(session, values, text);
  }
  if (words.size() < 2)
    return session.usage(
      Error{Code::bad_field, "SETTING", "give a queue and what to set: order=fair"});
  for (std::size_t i = 1; i < words.size(); ++i) {
    auto pair = parse_pair(words[i], "SETTING=VALUE");
    if (!pair)
      return session.usage(pair.error());
    text += (text.empty() ? "queue " + words[0] + ": " : std::string(", ")) + pair->first +
            (pair->second.empty() ? " back to its default" : " is now " + pair->second);
    values["queue." + words[0] + "." + pair->first] = std::move(pair->second);
  }
  return change_queues(session, values, text);
}

Exit pause_queues(Session& session, const std::vector<std::string>& names, bool pause) {
  std::map<std::string, std::string> values;
  std::string text;
  for (const std::string& name : names) {
    values["queue." + name + ".paused"] = pause ? "true" : "false";
    text += (text.empty() ? "queue " : ", ") + name;
  }
  return change_queues(session, values,
                       text + (pause ? ": nothing of it is started" : ": work is started again"));
}

Exit remove_queue(Session& session, const std::string& name) {
  const auto all = read_queues(session);
  if (!all)
    return session.fail(all.error());
  std::map<std::string, std::string> values;
  for (const auto& info : sched::queue_setting_table())
    if (const std::string setting = "queue." + name + "." + std::string(info.name);
        all->values.contains(setting))
      values[setting] = "";
  if (values.empty())
    return session.fail(
      Error{Code::not_found, "QUEUE", "queue " + printable(name) + " has no settings of its own"});
  return change_queues(session, values, "queue " + name + " has no settings of its own any more");
}

} // namespace

void add_queue_commands(Command root, Session& session) {
  Command noun = root.noun("queue", "Queues: list, show, set, pause, resume, remove");
  noun.verb("list", "Shows the queues, how they choose, and what waits and runs in each",
            "reeve queue list", [&session] { return list_queues(session); });
  {
    auto name = std::make_shared<std::string>();
    noun
      .verb("show", "Shows every setting of a queue", "reeve queue show batch",
            [&session, name] { return show_queue(session, *name); })
      .word("QUEUE", *name, "Its name; '*': what holds for all that say nothing themselves",
            Command::Need::needed);
  }
  {
    auto words = std::make_shared<std::vector<std::string>>();
    auto file = std::make_shared<std::string>();
    noun
      .verb("set", "Makes a queue, or changes its settings, all or none",
            "reeve queue set batch order=fair ranking=pack user_limit=vcores=16",
            [&session, words, file] { return set_queue(session, *words, *file); })
      .words("QUEUE", *words,
             "A queue ('*': all that say nothing themselves) and settings; SETTING= goes back to "
             "the default",
             Command::Need::optional)
      .text("-f,--file", *file, "A TOML file with a table for each queue", "FILE");
  }
  for (const bool pause : {true, false}) {
    auto names = std::make_shared<std::vector<std::string>>();
    noun
      .verb(pause ? "pause" : "resume",
            pause ? "Starts nothing more of a queue; what runs goes on" : "Starts work again",
            pause ? "reeve queue pause batch" : "reeve queue resume batch",
            [&session, names, pause] { return pause_queues(session, *names, pause); })
      .words("QUEUE", *names, "Names of queues", Command::Need::needed);
  }
  {
    auto name = std::make_shared<std::string>();
    noun
      .verb("remove", "Forgets a queue's settings; jobs in it are served as the defaults say",
            "reeve queue remove batch", [&session, name] { return remove_queue(session, *name); })
      .word("QUEUE", *name, "Its name", Command::Need::needed);
  }
}

} // namespace reeve::cli
