// See sla.hpp.
#include "src/history/sla.hpp"

#include "src/util/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

namespace reeve::history {
namespace {

class Columns {
public:
  explicit Columns(const HistoryRows& rows) : rows_(rows) {}
  [[nodiscard]] std::string text(const std::vector<std::string>& row, const char* name) const {
    for (std::size_t k = 0; k < rows_.columns.size() && k < row.size(); ++k)
      if (rows_.columns[k] == name)
        return row[k];
    return {};
  }
  [[nodiscard]] std::int64_t number(const std::vector<std::string>& row, const char* name) const {
    std::int64_t n = 0;
    const std::string value = text(row, name);
    std::from_chars(value.data(), value.data() + value.size(), n);
    return n;
  }

private:
  const HistoryRows& rows_;
};

double part_of(std::uint64_t part, std::uint64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

/// Time in the cluster and time up of one node, within the stretch.
struct NodeTime {
  enum class Stage { away, up, down } stage = Stage::away;
  TimePoint at;
  Duration member{0}, up{0};
  void to(Stage next, TimePoint when, TimePoint since, TimePoint until) {
    const Duration passed =
      std::max(Duration(0), std::chrono::duration_cast<Duration>(std::clamp(when, since, until) -
                                                                 std::clamp(at, since, until)));
    if (stage != Stage::away)
      member += passed;
    if (stage == Stage::up)
      up += passed;
    stage = next;
    at = when;
  }
};

std::optional<double> availability_of(const HistoryRows& rows, TimePoint since, TimePoint until) {
  using Stage = NodeTime::Stage;
  const Columns columns(rows);
  std::map<std::string, NodeTime> nodes;
  for (auto row = rows.rows.rbegin(); row != rows.rows.rend(); ++row) { // oldest first
    const std::string state = columns.text(*row, "state");
    const TimePoint when{Duration(columns.number(*row, "time_us"))};
    NodeTime& node = nodes[columns.text(*row, "node")];
    if (state == "registered")
      node.to(Stage::up, when, since, until);
    else if (state == "lost")
      node.to(Stage::down, when, since, until);
    else if (state == "gone" || state == "removed")
      node.to(Stage::away, when, since, until);
  }
  Duration member{0}, up{0};
  for (auto& [name, node] : nodes) {
    node.to(node.stage, until, since, until);
    member += node.member;
    up += node.up;
  }
  if (member.count() == 0)
    return std::nullopt;
  return static_cast<double>(up.count()) / static_cast<double>(member.count());
}

std::string percent_text(double part) {
  std::string text = format_milli(static_cast<std::int64_t>(part * 100'000 + 0.5));
  return text + " %";
}

} // namespace

SlaReport sla_report(const HistoryRows& jobs, const HistoryRows& attempts, const HistoryRows& nodes,
                     TimePoint since, TimePoint until) {
  SlaReport out;
  out.since = since;
  out.until = until;
  double waits_us = 0;
  const Columns of_jobs(jobs), of_attempts(attempts);
  const auto count = [](const Columns& columns, const auto& row, const char* name) {
    return static_cast<std::uint64_t>(columns.number(row, name));
  };
  for (const auto& row : jobs.rows) {
    const auto n = count(of_jobs, row, "jobs");
    out.jobs += n;
    out.succeeded += count(of_jobs, row, "succeeded");
    out.failed += count(of_jobs, row, "failed");
    out.cancelled += count(of_jobs, row, "cancelled");
    waits_us +=
      static_cast<double>(of_jobs.number(row, "average_wait_us")) * static_cast<double>(n);
    out.longest_wait = std::max(out.longest_wait, Duration(of_jobs.number(row, "longest_wait_us")));
    out.p50_wait = std::max(out.p50_wait, Duration(of_jobs.number(row, "p50_wait_us")));
    out.p90_wait = std::max(out.p90_wait, Duration(of_jobs.number(row, "p90_wait_us")));
    out.p99_wait = std::max(out.p99_wait, Duration(of_jobs.number(row, "p99_wait_us")));
  }
  for (const auto& row : attempts.rows) {
    out.attempts += count(of_attempts, row, "attempts");
    out.attempts_failed += count(of_attempts, row, "failed");
    out.attempts_lost += count(of_attempts, row, "lost");
  }
  if (out.jobs > 0)
    out.average_wait =
      Duration(static_cast<std::int64_t>(waits_us / static_cast<double>(out.jobs)));
  if (out.succeeded + out.failed > 0)
    out.reliability = part_of(out.succeeded, out.succeeded + out.failed);
  if (out.attempts > 0)
    out.attempt_failures = part_of(out.attempts_failed, out.attempts);
  out.availability = availability_of(nodes, since, until);
  return out;
}

Result<SlaReport> ask_report(const AskHistory& ask, TimePoint since, TimePoint until) {
  QueryHistory query;
  query.since = since;
  query.until = until;
  query.limit = 10'000;
  query.by = "all";
  const auto jobs = ask(query);
  if (!jobs)
    return tl::unexpected<Error>(jobs.error());
  query.kind = HistoryKind::attempts;
  const auto attempts = ask(query);
  if (!attempts)
    return tl::unexpected<Error>(attempts.error());
  query = {};
  query.kind = HistoryKind::nodes;
  query.until = until;
  query.limit = 10'000;
  HistoryRows nodes; // every row: what nodes went through is needed from the beginning
  do {
    auto page = ask(query);
    if (!page)
      return tl::unexpected<Error>(page.error());
    nodes.columns = std::move(page->columns);
    nodes.rows.insert(nodes.rows.end(), std::make_move_iterator(page->rows.begin()),
                      std::make_move_iterator(page->rows.end()));
    query.before = page->next;
  } while (query.before != 0);
  return sla_report(*jobs, *attempts, nodes, since, until);
}

namespace {
constexpr std::array parts{"reliability", "availability", "failures"};
constexpr std::array waits{"wait", "longest", "p50", "p90", "p99"};

bool among(const auto& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}
Duration wait_of(const SlaReport& report, const std::string& name) {
  return name == "wait"      ? report.average_wait
         : name == "longest" ? report.longest_wait
         : name == "p50"     ? report.p50_wait
         : name == "p90"     ? report.p90_wait
                             : report.p99_wait;
}
bool promises_nothing(const SlaTarget& target) {
  if (among(waits, target.name))
    return target.wait == Duration(0);
  return target.name == "failures" ? target.percent >= 100 : target.percent <= 0;
}
} // namespace

std::string SlaTarget::text() const {
  if (among(waits, name))
    return "at most " + format_duration(wait);
  return (name == "failures" ? "at most " : "at least ") + percent_text(percent / 100);
}

Result<SlaTarget> parse_target(const std::string& text, const std::string& field) {
  const auto pair = parse_pair(text, field);
  if (!pair)
    return tl::unexpected<Error>(pair.error());
  SlaTarget target;
  target.name = pair->first;
  if (among(waits, target.name)) {
    const auto wait = parse_duration(pair->second, field);
    if (!wait)
      return tl::unexpected<Error>(wait.error());
    target.wait = *wait;
    return target;
  }
  if (!among(parts, target.name))
    return fail(
      Code::bad_field, field,
      "must be reliability, availability, failures, wait, longest, p50, p90 or p99, got '" +
        printable(target.name) + "'");
  const auto percent = parse_milli(pair->second, field);
  if (!percent || *percent > 100'000)
    return fail(Code::bad_field, field,
                target.name + " is in per cent, 0 to 100, got '" + printable(pair->second) + "'");
  target.percent = static_cast<double>(*percent) / 1'000;
  return target;
}

std::vector<SlaTarget> targets_in(const std::map<std::string, std::string>& settings) {
  std::vector<SlaTarget> targets;
  const auto add = [&](const std::string& name) {
    const auto at = settings.find("sla." + name);
    if (at == settings.end())
      return;
    if (auto target = parse_target(name + "=" + at->second, at->first);
        target && !promises_nothing(*target))
      targets.push_back(std::move(*target));
  };
  std::for_each(parts.begin(), parts.end(), add);
  std::for_each(waits.begin(), waits.end(), add);
  return targets;
}

std::optional<SlaVerdict> judge(const SlaReport& report, const SlaTarget& target) {
  if (among(waits, target.name)) {
    if (report.jobs == 0)
      return std::nullopt;
    const Duration wait = wait_of(report, target.name);
    return SlaVerdict{format_duration(wait), wait <= target.wait};
  }
  const auto& part = target.name == "reliability"    ? report.reliability
                     : target.name == "availability" ? report.availability
                                                     : report.attempt_failures;
  if (!part)
    return std::nullopt;
  const double percent = *part * 100;
  return SlaVerdict{percent_text(*part), target.name == "failures" ? percent <= target.percent
                                                                   : percent >= target.percent};
}

std::vector<PromiseJudged> judge_all(const std::optional<SlaReport>& report,
                                     const std::vector<SlaTarget>& targets) {
  std::vector<PromiseJudged> out;
  const auto add = [&](const std::string& name) {
    PromiseJudged& judged = out.emplace_back();
    judged.promise = name;
    judged.kept = true;
    judged.promised = "nothing any more";
    judged.measured = "not measured";
    const auto target = std::find_if(targets.begin(), targets.end(),
                                     [&](const SlaTarget& one) { return one.name == name; });
    if (!report || target == targets.end())
      return;
    judged.since = report->since;
    judged.promised = target->text();
    if (const auto verdict = judge(*report, *target)) {
      judged.kept = verdict->kept;
      judged.measured = verdict->measured;
    }
  };
  std::for_each(parts.begin(), parts.end(), add);
  std::for_each(waits.begin(), waits.end(), add);
  return out;
}

} // namespace reeve::history
