// Selectors of jobs and tasks. See selector.hpp.
#include "src/cli/selector.hpp"

#include "src/util/text.hpp"

#include <algorithm>
#include <set>

namespace reeve::cli {
namespace {

constexpr std::uint64_t ids_max = 100'000; // jobs named by one selector
constexpr std::uint32_t jobs_page = 1'000;
constexpr std::size_t runs_max = 10'000;

Result<Span> parse_span(std::string_view text, std::string_view field, std::uint64_t max) {
  const auto most = static_cast<std::int64_t>(max);
  Span span;
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    const auto step = parse_integer(text.substr(colon + 1), field, 1, most);
    if (!step)
      return tl::unexpected<Error>(step.error());
    span.step = static_cast<std::uint64_t>(*step);
  }
  const std::string_view range = text.substr(0, colon);
  const std::size_t dash = range.find('-');
  const auto first = parse_integer(range.substr(0, dash), field, 0, most);
  if (!first)
    return tl::unexpected<Error>(first.error());
  span.first = span.last = static_cast<std::uint64_t>(*first);
  if (dash != std::string_view::npos) {
    const auto last = parse_integer(range.substr(dash + 1), field, *first, most);
    if (!last)
      return tl::unexpected<Error>(last.error());
    span.last = static_cast<std::uint64_t>(*last);
  } else if (colon != std::string_view::npos) {
    return fail(Code::bad_field, std::string(field), "a step needs a range, such as 1-10:2");
  }
  return span;
}

std::vector<JobId> ids_of(const JobList& list) {
  std::vector<JobId> ids;
  for (const JobView& job : list.jobs)
    ids.push_back(job.progress.job);
  return ids;
}

Result<std::vector<JobId>> existing(Client& client, const std::vector<Span>& spans) {
  std::uint64_t count = 0;
  for (const Span& span : spans)
    count += std::min(span.size(), ids_max + 1);
  if (count > ids_max)
    return fail(Code::bad_field, "JOB", "names more than " + std::to_string(ids_max) + " jobs");
  ListJobs query;
  for (const Span& span : spans)
    for (std::uint64_t id = span.first; id <= span.last; id += span.step)
      query.jobs.emplace_back(id);
  if (query.jobs.size() == 1) // let the master say that there is no such job
    return query.jobs;
  auto list = list_all(client, query, 0);
  if (!list)
    return tl::unexpected<Error>(list.error());
  std::vector<JobId> ids = ids_of(*list);
  std::sort(ids.begin(), ids.end());
  for (const Span& span : spans) // a range means those that are there, a number means that one
    if (span.first == span.last && !std::binary_search(ids.begin(), ids.end(), JobId(span.first)))
      return fail(Code::not_found, "JOB", "no job " + std::to_string(span.first));
  return ids;
}

} // namespace

bool is_chosen(const std::vector<Span>& spans, std::uint64_t number) {
  return spans.empty() || std::any_of(spans.begin(), spans.end(), [&](const Span& s) {
           return number >= s.first && number <= s.last && (number - s.first) % s.step == 0;
         });
}

Result<std::vector<Span>> parse_spans(std::string_view text, std::string_view field,
                                      std::uint64_t max) {
  std::vector<Span> spans;
  for (const std::string& part : split(text, ',')) {
    auto span = parse_span(part, field, max);
    if (!span)
      return tl::unexpected<Error>(span.error());
    spans.push_back(*span);
  }
  return spans;
}

Result<JobSelector> parse_job_selector(std::string_view text) {
  JobSelector out;
  if (text == "last" || text == "all") {
    out.kind = text == "last" ? JobSelector::Kind::last : JobSelector::Kind::all;
    return out;
  }
  if (text.rfind("name:", 0) == 0 && text.size() > 5) {
    out.kind = JobSelector::Kind::name;
    out.value = text.substr(5);
    return out;
  }
  if (text.rfind("label:", 0) == 0) {
    auto pair = parse_pair(text.substr(6), "JOB");
    if (!pair)
      return tl::unexpected<Error>(pair.error());
    out.kind = JobSelector::Kind::label;
    std::tie(out.key, out.value) = *pair;
    return out;
  }
  auto spans = parse_spans(text, "JOB", std::uint64_t{1} << 62U);
  if (!spans ||
      std::any_of(spans->begin(), spans->end(), [](const Span& s) { return s.first == 0; }))
    return fail(
      Code::bad_field, "JOB",
      "must be a job such as 5, 1-10:2, 1,3, last, all, name:NAME or label:KEY=VALUE, got '" +
        printable(text.substr(0, 64)) + "'");
  out.ids = std::move(*spans);
  return out;
}

Result<TaskSelector> parse_task_selector(std::string_view text) {
  TaskSelector out;
  // A label may hold a slash, a task's number never does: the last one counts.
  const std::size_t slash = text.rfind('/');
  auto job = parse_job_selector(text.substr(0, slash));
  if (!job)
    return tl::unexpected<Error>(job.error());
  out.job = std::move(*job);
  if (slash == std::string_view::npos)
    return out;
  auto tasks = parse_spans(text.substr(slash + 1), "TASK", tasks_max - 1);
  if (!tasks)
    return fail(Code::bad_field, "TASK",
                "must be a task such as 5/0, 5/0-9 or 5/1,3, got '" +
                  printable(text.substr(0, 64)) + "'");
  out.tasks = std::move(*tasks);
  return out;
}

Result<JobList> list_all(Client& client, ListJobs query, std::size_t limit) {
  JobList all;
  while (true) {
    query.limit =
      limit == 0
        ? jobs_page
        : static_cast<std::uint32_t>(std::min<std::size_t>(jobs_page, limit - all.jobs.size()));
    auto list = client.ask(query);
    if (!list)
      return list;
    all.seq = list->seq;
    all.more = list->more;
    all.jobs.insert(all.jobs.end(), std::make_move_iterator(list->jobs.begin()),
                    std::make_move_iterator(list->jobs.end()));
    if (!list->more || list->jobs.empty() || (limit > 0 && all.jobs.size() >= limit))
      return all;
    query.before = all.jobs.back().progress.job;
  }
}

Result<std::vector<JobId>> resolve(Client& client, const JobSelector& selector,
                                   const ResolveOptions& options) {
  if (selector.kind == JobSelector::Kind::ids)
    return existing(client, selector.ids);
  ListJobs query;
  std::size_t limit = 0;
  switch (selector.kind) {
  case JobSelector::Kind::last:
    query.user = options.user;
    limit = 1;
    break;
  case JobSelector::Kind::name:
    query.name = selector.value;
    query.states = options.states;
    break;
  case JobSelector::Kind::label:
    query.labels[selector.key] = selector.value;
    query.states = options.states;
    break;
  default:
    query.states = options.states;
    break;
  }
  return list_all(client, query, limit).map(ids_of);
}

Result<std::vector<JobId>> resolve(Client& client, const std::vector<std::string>& selectors,
                                   const ResolveOptions& options) {
  std::vector<JobId> all;
  std::set<JobId> seen;
  for (const std::string& text : selectors) {
    auto selector = parse_job_selector(text);
    if (!selector)
      return tl::unexpected<Error>(selector.error());
    auto ids = resolve(client, *selector, options);
    if (!ids)
      return ids;
    for (const JobId id : *ids)
      if (seen.insert(id).second)
        all.push_back(id);
  }
  const bool every = std::find(selectors.begin(), selectors.end(), "all") != selectors.end();
  if (all.empty() && !selectors.empty() && !every) {
    std::string text;
    for (const std::string& selector : selectors)
      text += (text.empty() ? "" : " ") + selector;
    return fail(Code::not_found, "JOB", "no job matches " + printable(text));
  }
  return all;
}

Result<std::vector<TaskRun>> runs_of(const std::vector<Span>& spans) {
  std::vector<TaskRun> runs;
  for (const Span& span : spans) {
    const std::uint64_t count = span.step == 1 ? 1 : span.size();
    if (runs.size() + count > runs_max)
      return fail(Code::bad_field, "TASK",
                  "names more than " + std::to_string(runs_max) + " separate tasks");
    for (std::uint64_t k = 0; k < count; ++k) {
      TaskRun run;
      run.first = static_cast<TaskIndex>(span.first + k * span.step);
      run.count = span.step == 1 ? static_cast<std::uint32_t>(span.size()) : 1;
      runs.push_back(run);
    }
  }
  return runs;
}

} // namespace reeve::cli
