// What people write about a job, turned into a JobSpec: option values, array forms, lines of items,
// `#REEVE` lines of a script. Used by submit and by job files. Errors name the option or field.
// Pure: files are read by the callers.
#pragma once

#include "messages/types.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reeve::cli {

/// `0-9`, `1-100:2`, `7`, `0-9%4`: count, index_first, index_step and max_parallel of `spec`.
Result<void> apply_array(JobSpec& spec, std::string_view text, std::string_view field);
/// One task per line that is not empty. Error: bad_field when there is none.
Result<void> apply_lines(JobSpec& spec, std::string_view text, std::string_view field);
/// `gpu=1`, into named_milli; vcores, memory and disk are understood as well.
Result<void> apply_resource(JobSpec& spec, std::string_view text, std::string_view field);
/// `5`, `5:ok`, `5:any`, `5:fail`, and with `:each` behind it: task i waits for task i only. `find`
/// knows the jobs that are not numbers: by name within a file.
using FindJob = std::function<Result<Dependency>(std::string_view job)>;
Result<void> apply_dependency(JobSpec& spec, std::string_view text, std::string_view field,
                              const FindJob& find = {});
/// `zone=a,b`, `zone!=a,b`, `ssd`, `!ssd`, `cores<64`, `cores>16`.
Result<void> apply_constraint(JobSpec& spec, std::string_view text, std::string_view field);
/// `team=x,stage=2@zone?`: tasks of jobs with these labels, within the same value of the node label
/// zone (else the node itself), only preferred.
Result<void> apply_affinity(JobSpec& spec, std::string_view text, bool away,
                            std::string_view field);
/// `db=4`, `db=1/node`.
Result<void> apply_limit(JobSpec& spec, std::string_view text, std::string_view field);
/// `exit:75,100-110=3`, `signal:SEGV=1`, `oom=2`, `time_limit=0`, `lost_node=10`, `preempted=3`,
/// `start_failed=1`, `any=2`; behind it `:charged`, `:hold` and `:wait=30s`.
Result<void> apply_retry(JobSpec& spec, std::string_view text, std::string_view field);
/// `USR1`, `SIGUSR1` or `10`. Error: bad_field.
Result<std::int32_t> parse_signal(std::string_view text, std::string_view field);
/// `sleep` takes microseconds; people write `500ms`.
Result<void> finish_command(JobSpec& spec, std::string_view field);
/// The last part of the program's path, when the job has no name.
void default_name(JobSpec& spec);

/// A script that says how it wants to be submitted.
struct Script {
  std::string interpreter;          // of its #! line, with options
  std::vector<std::string> options; // of its #REEVE lines, as words
};
/// None when `text` is not a script with `#REEVE` lines. Error: bad_field for quotes that do not
/// end.
Result<std::optional<Script>> parse_script(std::string_view text);
/// The script travels with the job: it need not exist on the node.
void run_script(JobSpec& spec, const Script& script, std::string text);
/// Words as a shell splits them: blanks, '…', "…" and backslashes; nothing is expanded.
Result<std::vector<std::string>> split_words(std::string_view text);

} // namespace reeve::cli
