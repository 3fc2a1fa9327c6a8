// A job file in JSON or TOML: jobs, or an error that names the place.
#include "src/cli/job_file.hpp"
#include "tests/fuzz/target.hpp"

REEVE_FUZZ(job_file) {
  using namespace reeve;
  const auto read = [](const std::string& path) -> Result<std::string> {
    if (path.size() > 8)
      return fail(Code::io, {}, "no such file");
    return "one\ntwo\n";
  };
  for (const auto form : {cli::JobFileForm::json, cli::JobFileForm::toml}) {
    const auto jobs = cli::parse_job_file(input, form, read);
    if (!jobs)
      REQUIRE(!jobs.error().text.empty());
    else
      for (const auto& job : *jobs)
        REQUIRE(decode<JobSpec>(encode(job)));
  }
}
