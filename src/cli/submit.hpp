// `reeve submit`: what people ask for, as options, made into jobs. Used by app.cpp and the tests.
#pragma once

#include "src/cli/command.hpp"
#include "src/cli/job_text.hpp"

#include <iosfwd>
#include <optional>

namespace reeve::cli {

/// The options that say something about a job. Empty: not given, so that a job file's own value
/// stands.
struct JobOptions {
  std::string name, queue, executor, user, vcores, memory, disk, time_limit, estimate, grace, cwd,
    stdin_file, array, output_limit, spread, deadline, checkpoint_signal, checkpoint_grace,
    disconnect, orphan_after;
  std::vector<std::string> resources, env, labels, node_labels, after, constraints, near, apart,
    limits, retry;
  std::optional<std::int32_t> priority;
  std::optional<std::uint32_t> retries, lost_retries, max_parallel, crash_nodes;
  bool exclusive = false, gang = false, fail_fast = false, overcommit = false, speculate = false,
       not_preemptible = false;
};

/// Puts what was given over `spec`. Errors name the option.
Result<void> apply_options(JobSpec& spec, const JobOptions& options, TimePoint now);

/// What stands behind the options of `submit`, taken off the arguments before they are parsed: its
/// own options are none of ours.
struct SubmitCommand {
  std::vector<std::string> words;
  std::optional<Script> script; // when words[0] is a script with #REEVE lines
  std::string script_text;
};
/// Takes the command off `args`. The options of a script's #REEVE lines are put in front of those
/// given, so that the latter win. Error: bad_field naming script and line.
Result<SubmitCommand> take_command(const std::vector<Place>& places,
                                   std::vector<std::string>& args);

/// A file's content; `-`: all of `in`. Error: io with the system's words, too_large.
Result<std::string> read_file(const std::string& path, std::istream* in, std::size_t bytes_max);

} // namespace reeve::cli
