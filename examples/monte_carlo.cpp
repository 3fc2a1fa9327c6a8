// Estimates pi with many small tasks: submits an array of processes, shows their progress, and adds
// up the small results that each wrote to $REEVE_RESULT. A master that restarts in between does not
// disturb it.
//
//   monte_carlo [TASKS]          ($REEVE_MASTER says where the master is)
#include <reeve/client.hpp>

#include <cstdio>
#include <cstdlib>

namespace {

int complain(const char* what, const reeve::Error& error) {
  std::fprintf(stderr, "monte_carlo: %s: %s\n", what, error.message().c_str());
  return 1;
}

/// The results of all tasks, page by page.
reeve::Result<double> mean_of_results(reeve::Client& client, reeve::JobId job) {
  double sum = 0, count = 0;
  reeve::ListTasks page;
  page.job = job;
  page.limit = 1000;
  for (;;) {
    const auto list = client.ask(page);
    if (!list)
      return tl::unexpected<reeve::Error>(list.error());
    for (const auto& task : list->tasks) {
      sum += std::strtod(task.last.result.data.c_str(), nullptr);
      ++count;
    }
    if (!list->more)
      return sum / count;
    page.from = list->next;
  }
}

} // namespace

int main(int argc, char** argv) {
  const char* master = std::getenv("REEVE_MASTER");
  auto client =
    reeve::Client::connect(reeve::parse_endpoints(master ? master : "tcp://127.0.0.1:7117"));
  if (!client)
    return complain("connect", client.error());

  reeve::JobSpec spec;
  spec.name = "monte-carlo";
  spec.count = argc > 1 ? static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 10)) : 40;
  spec.resources.cpu_milli = 1000;
  spec.retries = 1;
  spec.command = {
    "awk", "BEGIN { srand(ENVIRON[\"REEVE_ARRAY_INDEX\"]);"
           " for (i = 0; i < 20000; i++) { x = rand(); y = rand(); if (x*x + y*y < 1) hits++ }"
           " printf \"%.6f\", 4 * hits / 20000 > ENVIRON[\"REEVE_RESULT\"] }"};
  const auto job = client->submit(spec);
  if (!job)
    return complain("submit", job.error());
  std::printf("job %llu: %u tasks\n", static_cast<unsigned long long>(job->value), spec.count);

  reeve::WaitOptions options;
  options.every = std::chrono::milliseconds(200);
  options.on_progress = [](const std::vector<reeve::JobProgress>& jobs) {
    for (const auto& p : jobs)
      std::printf("%u of %u done\n", p.succeeded + p.failed + p.cancelled, p.total);
  };
  const auto ended = client->wait({*job}, options);
  if (!ended)
    return complain("wait", ended.error());
  if (ended->front().state != reeve::JobState::succeeded) {
    std::fprintf(stderr, "monte_carlo: %u tasks failed\n", ended->front().failed);
    return 1;
  }
  const auto pi = mean_of_results(*client, *job);
  if (!pi)
    return complain("results", pi.error());
  std::printf("pi is about %.4f\n", *pi);
  return 0;
}
