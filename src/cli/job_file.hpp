// Job files: one job, or {"jobs": […]}, in JSON or TOML, with the schema's field names and
// friendlier forms ("10m", "4GiB", arrays). Used by `reeve submit --file`. toml++'s exceptions end
// in job_file.cpp. Reads files only through `ReadFile`.
#pragma once

#include "messages/types.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace reeve::cli {

/// The content of a file that a job file names, relative to where that job file lies.
using ReadFile = std::function<Result<std::string>(const std::string& path)>;

enum class JobFileForm : std::uint8_t { json, toml };
/// By the name's end, else by the first character.
JobFileForm form_of(std::string_view name, std::string_view text);

/// The jobs, in order. Errors: bad_message (not JSON or TOML, with the place), bad_field
/// (`jobs[2].time_limit`).
Result<std::vector<JobSpec>> parse_job_file(std::string_view text, JobFileForm form,
                                            const ReadFile& read_file);

} // namespace reeve::cli
