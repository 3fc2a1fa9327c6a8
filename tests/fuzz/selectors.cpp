// What a command is told in words of our own making: which jobs and tasks it is about, rules for
// retries and places, scripts that say how they want to be submitted, where a reader of events was,
// which of the jobs an error is about.
#include "src/cli/hook.hpp"
#include "src/cli/job_text.hpp"
#include "src/cli/selector.hpp"
#include "src/client/client.hpp"
#include "src/client/connection.hpp"
#include "src/journal/etcd_journal.hpp"
#include "tests/fuzz/target.hpp"

#include <sys/mman.h>
#include <unistd.h>

namespace {
using namespace reeve;
using fuzz::named;

void read_job_words(std::string_view input) {
  JobSpec spec;
  named(cli::apply_array(spec, input, "f"));
  named(cli::apply_lines(spec, input, "f"));
  named(cli::apply_resource(spec, input, "f"));
  named(cli::apply_dependency(spec, input, "f"));
  named(cli::apply_constraint(spec, input, "f"));
  named(cli::apply_affinity(spec, input, false, "f"));
  named(cli::apply_affinity(spec, input, true, "f"));
  named(cli::apply_limit(spec, input, "f"));
  named(cli::apply_retry(spec, input, "f"));
  if (const auto signal = cli::parse_signal(input, "f"))
    REQUIRE(*signal > 0);
  else
    named(signal);
  named(cli::split_words(input));
  const auto script = cli::parse_script(input);
  named(script);
  if (script && *script)
    cli::run_script(spec, **script, std::string(input));
  cli::default_name(spec);
  REQUIRE(spec.count > 0);
}

void read_place(std::string_view input) {
  const int file = ::memfd_create("place", MFD_CLOEXEC);
  REQUIRE(::write(file, input.data(), input.size()) == static_cast<ssize_t>(input.size()));
  named(cli::read_place("/proc/self/fd/" + std::to_string(file)));
  ::close(file);
}

/// What a master says of jobs of a message is told of jobs of all.
void read_field(std::string_view field) {
  const std::string counted = client::counted_on(field, 1'000);
  if (counted != field)
    REQUIRE(counted.starts_with("jobs[") && field.starts_with("jobs[") &&
            counted.substr(counted.find(']')) == field.substr(field.find(']')));
}
} // namespace

REEVE_FUZZ(selectors) {
  read_job_words(input);
  read_place(input);
  named(journal::parse_etcd_url(std::string(input)));
  for (const auto& endpoint : parse_endpoints(input)) {
    REQUIRE(!endpoint.empty());
    (void)client::port_is_good(endpoint);
  }
  read_field(input);
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
