// `reeve master …`: status, config, snapshot; and `reeve stats`.
#include "src/cli/commands.hpp"
#include "src/history/sla.hpp"
#include "src/util/text.hpp"

#include <ostream>

namespace reeve::cli {
namespace {

constexpr Duration status_patience = std::chrono::seconds(2); // for one of several masters

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

/// One master's own answer, whether it leads or not.
Result<MasterStatus> status_of(Session& session, const std::string& endpoint) {
  ClientOptions options;
  options.name = "reeve " + session.terminal.user;
  options.interrupted = session.terminal.interrupted;
  options.standby = true;
  options.connect_timeout = session.timeout.count() > 0 ? session.timeout : status_patience;
  options.timeout = options.connect_timeout;
  auto client = Client::connect({endpoint}, options);
  if (!client)
    return tl::unexpected<Error>(client.error());
  return client->ask(GetMaster{});
}

Json json_of(const MasterStatus& status) {
  Json json = to_json(status);
  json["state_hash"] = hex(status.state_hash); // beyond what a double holds
  return json;
}

/// Several masters, each as it sees itself. Good when one of them leads.
Exit show_masters(Session& session, const std::vector<std::string>& endpoints) {
  Table table({{"ENDPOINT"},
               {"MASTER"},
               {"ROLE"},
               {"EPOCH", true},
               {"ENTRIES", true},
               {"LAG", true},
               {"JOURNAL"}});
  Json list = Json::array();
  std::vector<std::string> quiet;
  bool led = false;
  for (const std::string& endpoint : endpoints) {
    const auto status = status_of(session, endpoint);
    if (session.terminal.interrupted())
      return Exit::interrupted;
    if (!status) {
      table.add(
        {endpoint, "", Table::Cell("not reached", Colour::red), "", "", "", status.error().text});
      list.push_back(
        Json{{"endpoint", endpoint}, {"role", "not reached"}, {"error", status.error().text}});
      continue;
    }
    const bool leads = status->role == "leader";
    led = led || (leads && status->accepting);
    table.add({endpoint, status->master,
               Table::Cell(status->role, leads ? Colour::green : Colour::none),
               std::to_string(status->epoch.value), std::to_string(status->seq.value),
               std::to_string(status->lag), status->journal});
    Json json = json_of(*status);
    json["endpoint"] = endpoint;
    list.push_back(json);
    if (leads)
      quiet.push_back(status->master);
  }
  session.show_list(Json{{"masters", list}}, "masters", table, quiet);
  if (!led)
    session.note("nobody leads");
  return led ? Exit::good : Exit::no_master;
}

Exit show_status(Session& session) {
  const auto endpoints = parse_endpoints(session.endpoints());
  if (endpoints.size() > 1)
    return show_masters(session, endpoints);
  const auto status = status_of(session, endpoints.empty() ? std::string() : endpoints.front());
  if (!status)
    return session.fail(status.error());
  Session::Properties properties{
    {"Cluster", status->cluster},
    {"Master", status->master + " (" + status->program + "), " + status->role},
    {"Epoch", std::to_string(status->epoch.value)},
    {"Started", since_text(status->started, session.terminal.now())},
    {"Takes work", status->accepting ? "yes" : "no"},
    {"Journal", status->journal},
    {"Entries", std::to_string(status->seq.value) + ", durable to " +
                  std::to_string(status->durable.value) +
                  (status->snapshot ? ", snapshot at " + std::to_string(status->snapshot.value)
                                    : ", no snapshot yet")},
    {"State hash", hex(status->state_hash)}};
  if (status->role != "leader") {
    properties.emplace_back("Leader", status->leader.empty()
                                        ? "nobody"
                                        : status->leader + " at " + status->leader_endpoint);
    properties.emplace_back("Behind", std::to_string(status->lag) + " entries");
  }
  session.show_object(json_of(*status), properties,
                      status->role != "leader" ? status->role
                      : status->accepting      ? "accepting"
                                               : "refusing");
  return Exit::good;
}

Exit step_down(Session& session) {
  auto client = session.client();
  if (!client)
    return session.fail(client.error());
  const auto done = (*client)->ask(Step{MasterAction::step_down}, session.timeout);
  if (!done)
    return session.fail(done.error());
  session.show_done(to_json(*done), done->text);
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

Exit sweep(Session& session, bool dry_run) {
  auto client = session.client();
  if (!client)
    return session.fail(client.error());
  const auto done = (*client)->ask(Step{MasterAction::sweep, dry_run}, session.timeout);
  if (!done)
    return session.fail(done.error());
  Json body = to_json(*done);
  body["dry_run"] = dry_run;
  session.show_done(body, (dry_run ? "would give back: " : "gives back: ") + done->text);
  return Exit::good;
}

Exit set_log_level(Session& session, const std::string& level) {
  auto client = session.client();
  if (!client)
    return session.fail(client.error());
  const auto done = (*client)->ask(SetLogLevel{level}, session.timeout);
  if (!done)
    return session.fail(done.error());
  session.show_done(Json{{"level", level}}, done->text);
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

// ---- over a stretch of time

struct StatsOptions {
  bool counters = false;
  std::string since, until;
  std::vector<std::string> targets;
};

/// What was said, else what the master's settings promise.
Result<std::vector<history::SlaTarget>> targets_of(Session& session, Client& client,
                                                   const StatsOptions& o) {
  std::vector<history::SlaTarget> targets;
  for (const auto& text : o.targets) {
    auto target = history::parse_target(text);
    if (!target)
      return tl::unexpected<Error>(target.error());
    targets.push_back(std::move(*target));
  }
  if (!targets.empty())
    return targets;
  const auto config = client.ask(GetConfig{}, session.timeout);
  if (!config)
    return tl::unexpected<Error>(config.error());
  return history::targets_in(config->values);
}

std::string part_text(const std::optional<double>& part) {
  return part ? format_milli(static_cast<std::int64_t>(*part * 100'000 + 0.5)) + " %"
              : "nothing to say it of";
}
Json part_json(const std::optional<double>& part) {
  return part ? Json(*part) : Json(nullptr);
}

Exit show_report(Session& session, const StatsOptions& o) {
  const TimePoint now = session.terminal.now();
  const auto since = parse_time(o.since, "--since", now);
  const auto until = o.until.empty() ? Result<TimePoint>(now) : parse_time(o.until, "--until", now);
  if (!since || !until)
    return session.usage(since ? until.error() : since.error());
  for (const auto& text : o.targets) // before anybody is asked
    if (const auto target = history::parse_target(text); !target)
      return session.usage(target.error());
  auto client = session.client();
  if (!client)
    return session.fail(client.error());
  const auto targets = targets_of(session, **client, o);
  if (!targets)
    return session.fail(targets.error());
  const auto ask = [&](const QueryHistory& query) {
    return (*client)->ask(query, session.timeout);
  };
  const auto r = history::ask_report(ask, *since, *until);
  if (!r)
    return session.fail(r.error());
  const auto number = [](std::uint64_t n) { return std::to_string(n); };
  Session::Properties properties{
    {"From", format_time(r->since)},
    {"To", format_time(r->until)},
    {"Jobs ended", number(r->jobs) + ": " + number(r->succeeded) + " succeeded, " +
                     number(r->failed) + " failed, " + number(r->cancelled) + " cancelled"},
    {"Reliability", part_text(r->reliability)},
    {"Attempts", number(r->attempts) + ": " + number(r->attempts_failed) + " failed, " +
                   number(r->attempts_lost) + " of these with their node"},
    {"Failures", part_text(r->attempt_failures)},
    {"Nodes available", part_text(r->availability)},
    {"Average wait", format_duration(r->average_wait)},
    {"Longest wait", format_duration(r->longest_wait)},
    {"Half, 90, 99 %", "waited at most " + format_duration(r->p50_wait) + ", " +
                         format_duration(r->p90_wait) + ", " + format_duration(r->p99_wait)}};
  Json json{{"since_us", to_json(r->since)},
            {"until_us", to_json(r->until)},
            {"jobs", r->jobs},
            {"succeeded", r->succeeded},
            {"failed", r->failed},
            {"cancelled", r->cancelled},
            {"attempts", r->attempts},
            {"attempts_failed", r->attempts_failed},
            {"attempts_lost", r->attempts_lost},
            {"reliability", part_json(r->reliability)},
            {"attempt_failures", part_json(r->attempt_failures)},
            {"availability", part_json(r->availability)},
            {"average_wait_us", to_json(r->average_wait)},
            {"longest_wait_us", to_json(r->longest_wait)},
            {"p50_wait_us", to_json(r->p50_wait)},
            {"p90_wait_us", to_json(r->p90_wait)},
            {"p99_wait_us", to_json(r->p99_wait)},
            {"targets", Json::array()}};
  bool kept = true;
  for (const auto& target : *targets) {
    const auto verdict = history::judge(*r, target);
    kept = kept && (!verdict || verdict->kept);
    const std::string found = !verdict
                                ? "nothing to say it of"
                                : (verdict->kept ? "kept: " : "MISSED: ") + verdict->measured;
    properties.emplace_back("Target " + target.name, target.text() + ", " + found);
    json["targets"].push_back(Json{{"target", target.name},
                                   {"promised", target.text()},
                                   {"measured", verdict ? Json(verdict->measured) : Json(nullptr)},
                                   {"kept", verdict ? Json(verdict->kept) : Json(nullptr)}});
  }
  session.show_object(json, properties, kept ? "kept" : "missed");
  return kept ? Exit::good : Exit::task_failed;
}

} // namespace

void add_master_commands(Command root, Session& session) {
  Command noun =
    root.noun("master", "The masters: status, config, snapshot, sweep, step-down, log-level");
  noun.verb("status",
            "Shows the master, or each of several: role, epoch, how far behind, how its journal is",
            "reeve master status", [&session] { return show_status(session); });
  auto words = std::make_shared<std::vector<std::string>>();
  noun
    .verb("config", "Shows settings, or changes them while it runs",
          "reeve master config retention.jobs=2h",
          [&session, words] { return master_config(session, *words); })
    .words("NAME", *words, "NAME or NAME.* shows; NAME=VALUE sets; NAME= goes back to the default",
           Command::Need::optional);
  noun.verb("step-down", "Hands the reign to a standby, before the leader's machine is touched",
            "reeve master step-down", [&session] { return step_down(session); });
  noun.verb("snapshot",
            "Writes the state to the journal now, so that the next start replays little",
            "reeve master snapshot", [&session] { return take_snapshot(session); });
  auto dry_run = std::make_shared<bool>(false);
  noun
    .verb("sweep",
          "Gives back now what nobody needs any more: leases past their time, finished jobs past "
          "their retention, nodes that are gone",
          "reeve master sweep --dry-run", [&session, dry_run] { return sweep(session, *dry_run); })
    .flag("--dry-run", *dry_run, "Only say what it would give back");
  auto level = std::make_shared<std::string>();
  noun
    .verb("log-level", "Changes how much the master logs, until it is started again",
          "reeve master log-level debug",
          [&session, level] { return set_log_level(session, *level); })
    .word("LEVEL", *level, "trace, debug, info, warn, error or off", Command::Need::needed);
}

void add_stats(Command root, Session& session) {
  auto o = std::make_shared<StatsOptions>();
  root
    .verb("stats", "Shows the numbers of the cluster, now or over a stretch of time",
          "reeve stats --counters\n"
          "  reeve stats --since 7d --target reliability=99 --target wait=5m",
          [&session, o] {
            if (!o->since.empty())
              return show_report(session, *o);
            if (!o->until.empty() || !o->targets.empty())
              return session.usage({Code::bad_field, "--since", "say from when on"});
            return show_stats(session, o->counters);
          })
    .flag("--counters", o->counters, "And those of the running program, as -o wide does")
    .text("--since", o->since, "What was kept of what was promised, from then on, as in history",
          "TIME")
    .text("--until", o->until, "Not after", "TIME")
    .list(
      "--target", o->targets,
      "A promise: reliability=99, availability=99.9, failures=2 (per cent), wait=5m (on "
      "average), longest=1h, p50, p90 or p99=5m (else the settings sla.*); exit code 1 when one "
      "was not kept; repeatable",
      "NAME=VALUE");
}

} // namespace reeve::cli
