// Waiting for jobs. See wait.hpp.
#include "src/cli/wait.hpp"

#include "src/cli/logs.hpp"
#include "src/cli/progress.hpp"
#include "src/util/text.hpp"

#include <algorithm>
#include <map>
#include <ostream>

namespace reeve::cli {
namespace {

constexpr Duration every_bar = std::chrono::milliseconds(200);
constexpr Duration every_line = std::chrono::seconds(5);
constexpr std::size_t lines_max = 20; // jobs told one by one
constexpr auto reasons_patience = std::chrono::seconds(5);

std::string counts_text(const JobProgress& job) {
  std::string out = "job " + std::to_string(job.job.value) + " " + std::string(name_of(job.state));
  if (job.total > 1) {
    out += ": " + std::to_string(job.succeeded) + " of " + std::to_string(job.total) +
           " tasks succeeded";
    if (job.failed > 0)
      out += ", " + std::to_string(job.failed) + " failed";
    if (job.cancelled > 0)
      out += ", " + std::to_string(job.cancelled) + " cancelled";
  }
  if (job.state == JobState::cancelled)
    return out; // it may have none
  return out + ", exit code " + std::to_string(job.exit_code);
}

using Reasons = std::map<JobId, std::string>;

/// Why the first of those that did not go well did not, as far as the master still knows.
Reasons reasons_of(Client& client, const std::vector<JobProgress>& ended) {
  ListJobs query;
  query.limit = lines_max;
  for (const JobProgress& job : ended)
    if (job.state != JobState::succeeded && query.jobs.size() < lines_max)
      query.jobs.push_back(job.job);
  Reasons reasons;
  if (query.jobs.empty())
    return reasons;
  if (const auto list = client.ask(query, reasons_patience))
    for (const JobView& job : list->jobs)
      reasons[job.progress.job] = job.reason;
  return reasons;
}

std::string ended_text(const JobProgress& job, const Reasons& reasons) {
  const auto at = reasons.find(job.job);
  const std::string text = counts_text(job);
  if (at == reasons.end() || at->second.empty() ||
      at->second == "exit code " + std::to_string(job.exit_code))
    return text;
  return text + ": " + printable(at->second);
}

bool all_good(const std::vector<JobProgress>& jobs) {
  return std::all_of(jobs.begin(), jobs.end(),
                     [](const JobProgress& j) { return j.state == JobState::succeeded; });
}

void summary(Session& session, Client& client, const std::vector<JobProgress>& jobs,
             std::ostream& out) {
  if (session.format == Format::quiet) {
    for (const JobProgress& job : jobs)
      out << (job.state == JobState::succeeded ? job.exit_code : std::max(job.exit_code, 1))
          << "\n";
    return;
  }
  if (!session.human()) {
    const Json list = to_json(jobs);
    if (session.format == Format::json)
      out << dump_json(versioned(Json{{"jobs", list}}), true) << "\n";
    else
      for (const Json& job : list)
        out << dump_json(versioned(job)) << "\n";
    return;
  }
  const Reasons reasons = reasons_of(client, jobs);
  std::size_t told = 0;
  const bool few = jobs.size() <= lines_max;
  for (const JobProgress& job : jobs) {
    const bool bad = job.state != JobState::succeeded;
    if ((!few && !bad) || told >= lines_max)
      continue;
    ++told;
    const Colour colour = bad ? Colour::red : Colour::green;
    out << painted(ended_text(job, reasons), colour,
                   session.colours() && &out == &session.terminal.out)
        << "\n";
  }
  if (!few) {
    const auto good = std::count_if(jobs.begin(), jobs.end(), [](const JobProgress& j) {
      return j.state == JobState::succeeded;
    });
    out << good << " of " << jobs.size() << " jobs succeeded\n";
  }
}

Exit left_running(Session& session, const std::vector<JobId>& jobs, const Error& error) {
  const bool interrupted = session.terminal.interrupted();
  if (!interrupted && error.code != Code::timed_out)
    return session.fail(error);
  const std::string which = jobs.size() == 1 ? "job " : "jobs ";
  if (session.human() || interrupted)
    session.terminal.err << "reeve: " << (interrupted ? "interrupted" : "timed out") << "; "
                         << which << jobs_text(jobs) << (jobs.size() == 1 ? " keeps" : " keep")
                         << " running (reeve job wait " << jobs.front().value
                         << " waits again, reeve job cancel " << jobs.front().value
                         << " ends it)\n";
  else
    return session.fail(error);
  return interrupted ? Exit::interrupted : Exit::timed_out;
}

Exit wait_then(Session& session, Client& client, const std::vector<JobId>& jobs, bool show_progress,
               std::ostream& out) {
  const bool bar = show_progress && session.human() && session.terminal.err_is_tty;
  ProgressLine line((jobs.size() == 1 ? "job " : "jobs ") + jobs_text(jobs),
                    bar ? session.terminal.columns : 0);
  bool drawn = false;
  WaitOptions options;
  options.timeout = session.timeout;
  if (show_progress && session.human()) {
    options.every = bar ? every_bar : every_line;
    options.on_progress = [&](const std::vector<JobProgress>& now) {
      const Totals t = totals(now);
      if (!bar && t.jobs_ended == t.jobs)
        return; // the summary says it
      const auto text = line.line(now, std::chrono::steady_clock::now());
      if (!text)
        return;
      drawn = bar;
      session.terminal.err << (bar ? "\r\x1b[K" : "") << *text << (bar ? "" : "\n") << std::flush;
    };
  }
  auto ended = client.wait(jobs, options);
  if (drawn)
    session.terminal.err << "\r\x1b[K" << std::flush;
  if (!ended)
    return left_running(session, jobs, ended.error());
  summary(session, client, *ended, out);
  return all_good(*ended) ? Exit::good : Exit::task_failed;
}

} // namespace

std::string jobs_text(const std::vector<JobId>& jobs) {
  if (jobs.size() > 1 && jobs.back().value - jobs.front().value + 1 == jobs.size())
    return std::to_string(jobs.front().value) + "-" + std::to_string(jobs.back().value);
  std::string out;
  for (std::size_t k = 0; k < jobs.size() && k < 5; ++k)
    out += (k == 0 ? "" : ", ") + std::to_string(jobs[k].value);
  return jobs.size() > 5 ? out + " and " + std::to_string(jobs.size() - 5) + " more" : out;
}

Exit wait_for_jobs(Session& session, Client& client, const std::vector<JobId>& jobs) {
  return wait_then(session, client, jobs, true, session.terminal.out);
}

Exit follow_and_wait(Session& session, Client& client, const std::vector<JobId>& jobs) {
  std::vector<FollowWanted> wanted;
  for (const JobId job : jobs)
    wanted.push_back({job, {}, true, true});
  if (auto followed = follow_tasks(session, client, wanted); !followed)
    return left_running(session, jobs, followed.error());
  // The tasks' own output is on stdout: how they ended goes beside it.
  return wait_then(session, client, jobs, false, session.terminal.err);
}

} // namespace reeve::cli
