// Which jobs and tasks a command is about: `5`, `1-10:2`, `1,3`, `last`, `all`, `name:render*`,
// `label:team=x`, and for tasks `5/0-9`. Parsing is pure; `resolve` asks the master. Used by the
// job and task commands.
#pragma once

#include "src/client/client.hpp"

namespace reeve::cli {

/// A number, a range or a stepped range: every `step`-th from `first` to `last`, both included.
struct Span {
  std::uint64_t first = 0, last = 0, step = 1;
  bool operator==(const Span&) const = default;
  [[nodiscard]] std::uint64_t size() const { return (last - first) / step + 1; }
};

/// Is it one of these? No spans: everything is.
bool is_chosen(const std::vector<Span>& spans, std::uint64_t number);

struct JobSelector {
  enum class Kind : std::uint8_t { ids, last, all, name, label };
  Kind kind = Kind::ids;
  std::vector<Span> ids;
  std::string key, value; // name: value; label: key and value
  bool operator==(const JobSelector&) const = default;
};

struct TaskSelector {
  JobSelector job;
  std::vector<Span> tasks; // empty: all of them
  bool operator==(const TaskSelector&) const = default;
};

/// `5`, `1-10`, `1-10:2`, joined by commas. Error: bad_field in `field`.
Result<std::vector<Span>> parse_spans(std::string_view text, std::string_view field,
                                      std::uint64_t max);
Result<JobSelector> parse_job_selector(std::string_view text);
Result<TaskSelector> parse_task_selector(std::string_view text);

/// Whose jobs `last` means, and in which states `all`, names and labels look (empty: any).
struct ResolveOptions {
  std::string user;
  std::vector<JobState> states;
};
/// The jobs meant, each once, in the order given. One id is taken as it is; what a range lacks is
/// left out. Error: not_found when nothing is left.
Result<std::vector<JobId>> resolve(Client& client, const std::vector<std::string>& selectors,
                                   const ResolveOptions& options);
Result<std::vector<JobId>> resolve(Client& client, const JobSelector& selector,
                                   const ResolveOptions& options);
/// All pages of a list; `query.limit` is the most that comes back, 0 for no limit.
Result<JobList> list_all(Client& client, ListJobs query, std::size_t limit);

/// Neighbouring tasks as runs, for messages. At most 10,000 of them.
Result<std::vector<TaskRun>> runs_of(const std::vector<Span>& spans);

} // namespace reeve::cli
