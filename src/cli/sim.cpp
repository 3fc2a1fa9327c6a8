// `reeve sim`: the master's own scheduler in virtual time, on a file of work. Needs no master.
#include "src/sched/sim.hpp"
#include "src/cli/commands.hpp"
#include "src/cli/journal_file.hpp"
#include "src/cli/queue_file.hpp"
#include "src/cli/submit.hpp"
#include "src/sched/queue_settings.hpp"
#include "src/util/text.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <istream>

namespace reeve::cli {
namespace {

constexpr std::size_t workload_max = 1u << 30;

struct SimCommand {
  std::string file, queues, svg, save;
  std::vector<std::string> policies;
  std::optional<std::uint32_t> nodes, processors, jobs, generate, seed;
};

struct Policy {
  std::string name;
  std::map<std::string, std::string> settings;
};

/// "order=sjf backfill=easy": of all queues; "queue.night.order=fair scheduler.prefetch=0" as they
/// are. `base` is what holds else.
Result<Policy> parse_policy(const std::string& text,
                            const std::map<std::string, std::string>& base) {
  Policy out{text, base};
  for (const std::string& word : split(text, ' ')) {
    if (trim(word).empty())
      continue;
    auto pair = parse_pair(trim(word), "--policy");
    if (!pair)
      return tl::unexpected<Error>(pair.error());
    const bool whole = sched::is_queue_setting(pair->first);
    const std::string name = whole ? pair->first : "queue.*." + pair->first;
    if (auto good = sched::check_queue_setting(name, pair->second, "--policy: "); !good)
      return tl::unexpected<Error>(good.error());
    out.settings[name] = pair->second;
  }
  return out;
}

Result<std::vector<Policy>> policies_of(const SimCommand& o) {
  std::map<std::string, std::string> base;
  if (!o.queues.empty()) {
    const auto text = read_file(o.queues, nullptr, 1u << 20);
    if (!text)
      return fail(Code::bad_field, "--queues", text.error().text);
    auto parsed = parse_queue_file(*text);
    if (!parsed)
      return fail(parsed.error().code, parsed.error().field,
                  parsed.error().text + " (in " + o.queues + ")");
    base = std::move(*parsed);
  }
  std::vector<std::string> texts = o.policies;
  if (texts.empty() && base.empty())
    texts = {"order=fifo backfill=strict", "order=fifo backfill=easy",
             "order=fifo backfill=conservative", "order=spt backfill=easy",
             "order=fair backfill=easy"};
  std::vector<Policy> out;
  if (!base.empty())
    out.push_back({std::filesystem::path(o.queues).filename().string(), base});
  for (const std::string& text : texts) {
    auto policy = parse_policy(text, base);
    if (!policy)
      return tl::unexpected<Error>(policy.error());
    out.push_back(std::move(*policy));
  }
  return out;
}

Result<sched::Workload> read_work(Session& session, const SimCommand& o) {
  sched::SwfOptions options{o.nodes.value_or(0), o.processors.value_or(0)};
  if (o.generate) {
    sched::Generator generator;
    generator.jobs = *o.generate;
    generator.seed = o.seed.value_or(1);
    generator.processors =
      std::max(1u, o.processors.value_or(16)) * std::max(1u, o.nodes.value_or(8));
    // By way of its file, so that what is saved is what ran.
    return sched::read_swf(sched::write_swf(sched::generate(generator)), options);
  }
  const std::filesystem::path path(o.file);
  std::error_code ignored;
  if (path.extension() == ".db" || std::filesystem::is_directory(path, ignored)) {
    auto entries = read_journal_entries(path.string());
    if (!entries)
      return tl::unexpected<Error>(entries.error());
    return sched::workload_of(*entries);
  }
  const auto text = read_file(o.file, &session.terminal.in, workload_max);
  if (!text)
    return fail(Code::bad_field, "FILE", text.error().text);
  auto work =
    path.extension() == ".reeve" ? sched::read_workload(*text) : sched::read_swf(*text, options);
  if (!work)
    return fail(work.error().code, work.error().field, work.error().text + " (in " + o.file + ")");
  return work;
}

std::string decimal(double x, int places) {
  char text[48];
  std::snprintf(text, sizeof text, "%.*f", places, x);
  return text;
}
/// As people say it: 3 s, 12 m, 5.2 h.
std::string seconds_text(double s) {
  return s < 120    ? decimal(s, 1) + " s"
         : s < 7200 ? decimal(s / 60, 1) + " m"
                    : decimal(s / 3600, 1) + " h";
}

Json metrics_json(const Policy& policy, const sched::SimResult& result) {
  const sched::Metrics& m = result.metrics;
  return Json{{"policy", policy.name},
              {"settings", to_json(policy.settings)},
              {"jobs", m.jobs},
              {"tasks", m.tasks},
              {"unfinished_tasks", m.unfinished},
              {"mean_wait_s", m.mean_wait_s},
              {"p95_wait_s", m.p95_wait_s},
              {"max_wait_s", m.max_wait_s},
              {"mean_bounded_slowdown", m.mean_slowdown},
              {"p95_bounded_slowdown", m.p95_slowdown},
              {"utilisation", m.utilisation},
              {"makespan_s", m.makespan_s},
              {"fairness", m.fairness}};
}

Exit write_out(Session& session, const std::string& path, const std::string& text,
               const char* option) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file)
    return session.fail(Error{Code::io, option, path + ": could not be written"});
  return Exit::good;
}

Exit run_sim(Session& session, const SimCommand& o) {
  if (o.file.empty() == !o.generate)
    return session.usage(
      Error{Code::bad_field, "FILE", "give either a file of work or --generate"});
  const auto policies = policies_of(o);
  if (!policies)
    return session.usage(policies.error());
  auto work = read_work(session, o);
  if (!work)
    return session.fail(work.error());
  if (o.jobs && work->jobs.size() > *o.jobs)
    work->jobs.resize(*o.jobs);
  if (!o.save.empty()) {
    if (const Exit exit = write_out(session, o.save, sched::write_swf(*work), "--save");
        exit != Exit::good)
      return exit;
  }
  for (const std::string& note : work->notes)
    session.note(note);
  if (work->nodes.empty() || work->jobs.empty())
    return session.fail(Error{Code::refused, "FILE", "there are no nodes or no jobs to simulate"});
  Table table({{"POLICY"},
               {"MEAN WAIT", true},
               {"P95 WAIT", true},
               {"SLOWDOWN", true},
               {"P95", true},
               {"USED", true},
               {"MAKESPAN", true},
               {"FAIRNESS", true},
               {"UNFINISHED", true}});
  Json list = Json::array();
  std::vector<std::string> quiet;
  std::vector<std::pair<std::string, sched::SimResult>> results;
  for (const Policy& policy : *policies) {
    if (session.terminal.interrupted())
      return Exit::interrupted;
    sched::SimOptions options;
    options.settings = policy.settings;
    results.emplace_back(policy.name, sched::simulate(*work, options));
    const sched::SimResult& result = results.back().second;
    const sched::Metrics& m = result.metrics;
    table.add({policy.name, seconds_text(m.mean_wait_s), seconds_text(m.p95_wait_s),
               decimal(m.mean_slowdown, 2), decimal(m.p95_slowdown, 2),
               decimal(m.utilisation * 100, 1) + " %", seconds_text(m.makespan_s),
               decimal(m.fairness, 3), std::to_string(m.unfinished)});
    list.push_back(metrics_json(policy, result));
    quiet.push_back(policy.name + ": " + decimal(m.mean_wait_s, 1));
  }
  if (!o.svg.empty()) {
    const std::string title = std::to_string(work->jobs.size()) + " jobs on " +
                              std::to_string(work->nodes.size()) +
                              (work->nodes.size() == 1 ? " node" : " nodes");
    if (const Exit exit = write_out(session, o.svg, sched::plot_svg(title, results), "--svg");
        exit != Exit::good)
      return exit;
  }
  session.show_list(Json{{"policies", list}}, "policies", table, quiet);
  return Exit::good;
}

} // namespace

void add_sim(Command root, Session& session) {
  auto o = std::make_shared<SimCommand>();
  root
    .verb("sim", "Runs recorded work through the scheduler in virtual time and compares policies",
          "reeve sim examples/small.swf\n"
          "  reeve sim trace.swf -p 'order=fifo backfill=easy' -p 'order=spt' --svg waits.svg\n"
          "  reeve sim /var/lib/reeve/journal.db -p 'order=fair'",
          [&session, o] { return run_sim(session, *o); })
    .word(
      "FILE", o->file,
      "Work: a Standard Workload Format file, a master's journal (.db or its folder), or our own "
      "form (.reeve)",
      Command::Need::optional)
    .list("-p,--policy", o->policies,
          "Settings of all queues to compare, such as 'order=sjf backfill=easy'; repeatable "
          "(else five usual ones)",
          "SETTINGS")
    .text("--queues", o->queues, "A queue file whose settings hold, and are one of those compared",
          "FILE")
    .number("--nodes", o->nodes, "Nodes to divide the processors of an SWF file among (else one)")
    .number("--processors", o->processors, "Processors of each of these nodes")
    .number("--jobs", o->jobs, "Only so many jobs from the beginning")
    .number("--generate", o->generate, "Make up so many jobs instead of reading a file")
    .number("--seed", o->seed, "Of what is made up: the same seed, the same jobs (else 1)")
    .text("--save", o->save, "Write the work as an SWF file, too", "FILE")
    .text("--svg", o->svg, "Write a plot of what is used and what waits over time", "FILE");
}

} // namespace reeve::cli
