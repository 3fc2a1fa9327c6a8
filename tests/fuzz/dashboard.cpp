// What a browser may ask of the dashboard: first byte which question, then parameters as in a URL,
// or the body of an action, or an event's place.
#include "agents/dashboard/guard.hpp"
#include "agents/dashboard/options.hpp"
#include "agents/dashboard/questions.hpp"
#include "src/util/text.hpp"
#include "tests/fuzz/target.hpp"

REEVE_FUZZ(dashboard) {
  using namespace reeve;
  using fuzz::named;
  if (input.empty())
    return;
  const int what = input[0] % 10;
  const std::string rest(input.substr(1));
  dashboard::Parameters parameters;
  for (const auto& word : split(rest, '&')) {
    const auto at = word.find('=');
    parameters.emplace(word.substr(0, at), at == std::string::npos ? "" : word.substr(at + 1));
  }
  if (what == 0) {
    if (const auto nodes = dashboard::nodes_wanted(parameters); named(nodes))
      REQUIRE(nodes->limit >= 1 && nodes->limit <= 500);
  } else if (what == 1) {
    if (const auto jobs = dashboard::jobs_wanted(parameters); named(jobs))
      REQUIRE(decode<ListJobs>(encode(*jobs)) == *jobs);
  } else if (what == 2) {
    if (const auto tasks = dashboard::tasks_wanted(parameters); named(tasks))
      REQUIRE(tasks->job && decode<ListTasks>(encode(*tasks)) == *tasks);
  } else if (what == 3) {
    if (const auto history = dashboard::history_wanted(parameters); named(history))
      REQUIRE(decode<QueryHistory>(encode(*history)) == *history);
  } else if (what == 4) {
    if (const auto log = dashboard::log_wanted(parameters); named(log))
      REQUIRE(decode<ReadLog>(encode(*log)) == *log);
  } else if (what == 5) {
    if (const auto explain = dashboard::explain_wanted(parameters); named(explain))
      REQUIRE(explain->job);
  } else if (what == 6) {
    named(dashboard::place_wanted(rest));
  } else if (what == 7) {
    named(dashboard::parse_listen(rest));
  } else if (what == 8) {
    REQUIRE(!dashboard::check_sender({"h:1", rest, "", "application/json", "t"}, "token"));
  } else {
    named(dashboard::action_wanted(rest));
  }
}
