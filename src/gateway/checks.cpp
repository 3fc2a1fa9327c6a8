// Checks of hostile messages. See checks.hpp.
#include "src/gateway/checks.hpp"

namespace reeve::gateway {
namespace {
std::string at(std::string_view path, std::size_t i) {
  return std::string(path) + "[" + std::to_string(i) + "]";
}

Result<void> check_run(const TaskRun& run, const std::string& path) {
  if (std::uint64_t{run.first} + run.count > tasks_max)
    return fail(Code::bad_field, path,
                "reaches beyond task " + std::to_string(tasks_max - 1) +
                  ", the last that a job can have");
  return {};
}
} // namespace

HeaderHint hint_of(std::string_view header) {
  HeaderHint hint;
  codec::Tape tape;
  if (!tape.parse(header, DecodeLimits{.bytes = 1'024, .depth = 4, .tokens = 64}) ||
      tape.tokens.size() < 2 || tape.tokens[0].type != codec::Type::array ||
      tape.tokens[1].type != codec::Type::uint)
    return hint;
  hint.version = tape.tokens[1].u;
  if (tape.tokens.size() > 3 && tape.tokens[2].type == codec::Type::uint &&
      tape.tokens[3].type == codec::Type::uint)
    hint.correlation = tape.tokens[3].u;
  return hint;
}

Result<void> check_runs(const std::vector<JobRuns>& jobs, std::string_view path) {
  for (std::size_t i = 0; i < jobs.size(); ++i)
    for (std::size_t k = 0; k < jobs[i].runs.size(); ++k)
      if (const TaskRun& run = jobs[i].runs[k]; std::uint64_t{run.first} + run.count > tasks_max)
        return check_run(run, at(at(path, i) + ".runs", k));
  return {};
}

Result<void> check(const Results& message) {
  for (std::size_t i = 0; i < message.jobs.size(); ++i) {
    const JobResults& job = message.jobs[i];
    for (std::size_t k = 0; k < job.quiet.size(); ++k)
      if (std::uint64_t{job.quiet[k].run.first} + job.quiet[k].run.count > tasks_max)
        return check_run(job.quiet[k].run, at(at("jobs", i) + ".quiet", k) + ".run");
    for (std::size_t k = 0; k < job.tasks.size(); ++k)
      if (job.tasks[k].index >= tasks_max)
        return check_run({job.tasks[k].index, 1, 1}, at(at("jobs", i) + ".tasks", k) + ".index");
  }
  return {};
}

Result<void> check(const RegisterNode& message) {
  for (const char c : message.name)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return fail(Code::bad_field, "name", "must not contain control characters");
  if (auto good = validate(message.capacity, "capacity"); !good)
    return good;
  return check_runs(message.attempts, "attempts");
}

} // namespace reeve::gateway
