// What operators write: promises, settings of master and queues, files of queues, of workloads and
// of a master's options; and what is taken out of a bundle. First byte: which.
#include "src/deciders/settings.hpp"
#include "src/cli/archive.hpp"
#include "src/cli/queue_file.hpp"
#include "src/config/master_options.hpp"
#include "src/history/sla.hpp"
#include "src/sched/workload.hpp"
#include "src/util/text.hpp"
#include "tests/fuzz/target.hpp"

REEVE_FUZZ(settings) {
  using namespace reeve;
  using fuzz::named;
  fuzz::Pieces pieces(input);
  const auto what = pieces.number(1) % 7;
  const std::string text(pieces.rest());
  if (what == 0) {
    if (const auto target = history::parse_target(text); named(target)) {
      history::SlaReport report;
      report.jobs = 1;
      report.reliability = report.availability = report.attempt_failures = 0.5;
      REQUIRE(!target->text().empty() && history::judge(report, *target));
    }
  } else if (what == 1) {
    std::map<std::string, std::string> changes;
    for (const auto& line : split(text, '\n'))
      changes[line.substr(0, line.find('='))] =
        line.find('=') == line.npos ? "" : line.substr(line.find('=') + 1);
    if (named(deciders::check_settings(changes, {}))) {
      const auto settings = deciders::settings_from(changes);
      REQUIRE(settings.lost_min <= settings.lost_max && settings.sla_window.count() > 0);
      (void)history::targets_in(changes);
    }
  } else if (what == 2) {
    named(cli::parse_queue_file(text));
  } else if (what == 3) {
    named(sched::read_swf(text));
  } else if (what == 4) {
    named(sched::read_workload(text));
  } else if (what == 5) {
    config::MasterOptions options;
    named(config::read_master_text(text, "f", options));
  } else {
    const std::string safe = cli::without_secrets(text);
    REQUIRE(safe.size() <= text.size() * 12 + 12);
    const std::string mine = cli::without_secrets("password=" + std::string(8, 'q') + " " + text);
    REQUIRE(mine.find("qqqqqqqq") == mine.npos || text.find('q') != text.npos);
  }
}
