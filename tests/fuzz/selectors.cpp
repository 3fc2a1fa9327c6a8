// Which jobs and tasks a command is about.
#include "src/cli/selector.hpp"
#include "tests/fuzz/target.hpp"

REEVE_FUZZ(selectors) {
  using namespace reeve;
  const auto check = [](const std::vector<cli::Span>& spans, std::uint64_t max) {
    for (const auto& span : spans)
      REQUIRE(span.step > 0 && span.first <= span.last && span.last <= max && span.size() > 0);
  };
  if (const auto spans = cli::parse_spans(input, "f", 1'000))
    check(*spans, 1'000);
  if (const auto jobs = cli::parse_job_selector(input))
    check(jobs->ids, ~std::uint64_t{0});
  if (const auto tasks = cli::parse_task_selector(input)) {
    check(tasks->tasks, tasks_max);
    if (const auto runs = cli::runs_of(tasks->tasks))
      for (const auto& run : *runs)
        REQUIRE(run.count > 0 && std::uint64_t{run.first} + run.count <= tasks_max);
  }
}
