// `reeve job …`: list, show, wait, cancel, retry, hold, release, logs.
#include "src/cli/commands.hpp"
#include "src/cli/logs.hpp"
#include "src/cli/names.hpp"
#include "src/cli/selector.hpp"
#include "src/cli/views.hpp"
#include "src/cli/wait.hpp"

namespace reeve::cli {
namespace {

struct JobListOptions {
  std::vector<std::string> jobs, labels, states;
  std::string name, user, queue;
  std::size_t limit = 100;
};

Result<ListJobs> jobs_query(const JobListOptions& o) {
  ListJobs query;
  query.name = o.name;
  query.user = o.user;
  query.queue = o.queue;
  for (const std::string& text : o.labels) {
    auto pair = parse_pair(text, "--label");
    if (!pair)
      return tl::unexpected<Error>(pair.error());
    query.labels.insert(std::move(*pair));
  }
  auto states = parse_names<JobState>(o.states, "--state");
  if (!states)
    return tl::unexpected<Error>(states.error());
  query.states = std::move(*states);
  return query;
}

struct ChosenJobs {
  Client* client = nullptr;
  std::vector<JobId> jobs;
};

/// The connection and the jobs meant. What was typed wrongly is found before anything is asked.
Result<ChosenJobs> choose_jobs(Session& session, const std::vector<std::string>& selectors,
                               std::vector<JobState> states = {}) {
  for (const std::string& text : selectors)
    if (auto good = parse_job_selector(text); !good)
      return tl::unexpected<Error>(good.error());
  auto client = session.client();
  if (!client)
    return tl::unexpected<Error>(client.error());
  auto jobs =
    resolve(**client, selectors, ResolveOptions{session.terminal.user, std::move(states)});
  if (!jobs)
    return tl::unexpected<Error>(jobs.error());
  return ChosenJobs{*client, std::move(*jobs)};
}

/// `all` means none when there is none: nothing to do is not a failure.
Exit nothing_to_do(Session& session) {
  session.note("there is no such job");
  return Exit::good;
}

Error no_job(const std::vector<JobId>& jobs) {
  return {Code::not_found, "JOB",
          "no job " + jobs_text(jobs) + " (older ones: reeve history --job ID)"};
}

Exit list_jobs(Session& session, const JobListOptions& o) {
  auto query = jobs_query(o);
  if (!query)
    return session.usage(query.error());
  auto chosen = choose_jobs(session, o.jobs);
  if (!chosen)
    return fail_selector(session, chosen.error());
  query->jobs = chosen->jobs;
  const auto jobs = o.jobs.empty() || !query->jobs.empty()
                      ? list_all(*chosen->client, *query, o.limit)
                      : Result<JobList>(JobList());
  if (!jobs)
    return session.fail(jobs.error());
  const bool filtered = !query->name.empty() || !query->user.empty() || !query->queue.empty() ||
                        !query->labels.empty() || !query->states.empty();
  if (jobs->jobs.empty() && chosen->jobs.size() == 1 && !filtered)
    return session.fail(no_job(chosen->jobs));
  std::vector<std::string> ids;
  for (const JobView& job : jobs->jobs)
    ids.push_back(std::to_string(job.progress.job.value));
  session.show_list(to_json(*jobs), "jobs", job_table(jobs->jobs, session.format == Format::wide),
                    ids);
  if (jobs->more)
    session.note("(more than " + std::to_string(o.limit) + ": --limit 0 shows all)");
  return Exit::good;
}

Exit show_jobs(Session& session, const std::vector<std::string>& selectors) {
  const auto chosen = choose_jobs(session, selectors);
  if (!chosen)
    return fail_selector(session, chosen.error());
  if (chosen->jobs.empty())
    return nothing_to_do(session);
  ListJobs query;
  query.jobs = chosen->jobs;
  query.spec = true;
  const auto jobs = list_all(*chosen->client, query, 0);
  if (!jobs)
    return session.fail(jobs.error());
  if (jobs->jobs.empty())
    return session.fail(no_job(chosen->jobs));
  std::vector<Session::Thing> things;
  for (const JobView& job : jobs->jobs)
    things.push_back({job_json(job), job_properties(job), std::to_string(job.progress.job.value)});
  session.show_things("jobs", things);
  return Exit::good;
}

const std::vector<JobState> not_ended{JobState::pending, JobState::running, JobState::held};

Exit wait_jobs(Session& session, const std::vector<std::string>& selectors) {
  auto chosen = choose_jobs(session, selectors, not_ended);
  if (!chosen && chosen.error().code == Code::not_found) // by name, and all have ended: how?
    chosen = choose_jobs(session, selectors);
  if (!chosen)
    return fail_selector(session, chosen.error());
  if (chosen->jobs.empty())
    return nothing_to_do(session);
  return wait_for_jobs(session, *chosen->client, chosen->jobs);
}

Exit act_on_jobs(Session& session, JobAction action, const std::vector<std::string>& selectors,
                 const std::string& reason, const std::string& done) {
  // `all`, names and labels mean what can still be acted on.
  const auto chosen = choose_jobs(session, selectors,
                                  action == JobAction::retry ? std::vector<JobState>() : not_ended);
  if (!chosen)
    return fail_selector(session, chosen.error());
  if (chosen->jobs.empty())
    return nothing_to_do(session);
  ActOnJobs request;
  request.action = action;
  request.jobs = chosen->jobs;
  request.reason = reason;
  const auto answer = chosen->client->act(request, session.timeout);
  if (!answer)
    return session.fail(answer.error());
  Json body;
  body["jobs"] = to_json(chosen->jobs);
  body["tasks_changed"] = answer->changed;
  session.show_done(body, (chosen->jobs.size() == 1 ? "job " : "jobs ") + jobs_text(chosen->jobs) +
                            " " + done + " (" + std::to_string(answer->changed) +
                            (answer->changed == 1 ? " task)" : " tasks)"));
  return Exit::good;
}

Exit job_logs(Session& session, const std::vector<std::string>& selectors, bool follow,
              bool only_out, bool only_err) {
  const auto chosen = choose_jobs(session, selectors);
  if (!chosen)
    return fail_selector(session, chosen.error());
  if (follow) {
    std::vector<FollowWanted> wanted;
    for (const JobId id : chosen->jobs)
      wanted.push_back({id, {}, !only_err, !only_out});
    const auto followed = follow_tasks(session, *chosen->client, wanted);
    return followed ? Exit::good : session.fail(followed.error());
  }
  for (const JobId id : chosen->jobs)
    if (const Exit exit = print_task_logs(session, *chosen->client,
                                          TaskLogs{id, {}, 0, !only_err, !only_out, false});
        exit != Exit::good)
      return exit;
  return Exit::good;
}

void add_job_action(Command& noun, Session& session, JobAction action, const std::string& name,
                    const std::string& about, const std::string& done) {
  struct Options {
    std::vector<std::string> jobs;
    std::string reason;
  };
  auto o = std::make_shared<Options>();
  noun
    .verb(name, about, "reeve job " + name + " 5 7-9",
          [=, &session] { return act_on_jobs(session, action, o->jobs, o->reason, done); })
    .words("JOB", o->jobs, about_job, Command::Need::needed)
    .text("--reason", o->reason, "Why, for those who ask later", "TEXT");
}

} // namespace

Exit fail_selector(Session& session, const Error& error) {
  return error.code == Code::bad_field && (error.field == "JOB" || error.field == "TASK")
           ? session.usage(error)
           : session.fail(error);
}

void add_job_commands(Command root, Session& session) {
  Command noun = root.noun("job", "Jobs: list, show, wait, cancel, retry, hold, release, logs");
  {
    auto o = std::make_shared<JobListOptions>();
    noun
      .verb("list", "Shows jobs, newest first", "reeve job list --state running,pending -o wide",
            [&session, o] { return list_jobs(session, *o); })
      .words("JOB", o->jobs, about_job, Command::Need::optional)
      .text("-n,--name", o->name, "Only of this name; may end in *", "NAME")
      .text("-u,--user", o->user, "Only of this user", "USER")
      .text("-q,--queue", o->queue, "Only in this queue", "QUEUE")
      .list("-l,--label", o->labels, "Only with this label; repeatable", "KEY=VALUE")
      .list("-s,--state", o->states, "Only in these states, with commas: " + names_of<JobState>(),
            "STATE")
      .number("--limit", o->limit, "At most so many; 0: all");
  }
  {
    auto jobs = std::make_shared<std::vector<std::string>>();
    noun
      .verb("show", "Shows everything about jobs", "reeve job show last",
            [&session, jobs] { return show_jobs(session, *jobs); })
      .words("JOB", *jobs, about_job, Command::Need::needed);
  }
  {
    auto jobs = std::make_shared<std::vector<std::string>>();
    noun
      .verb(
        "wait", "Waits until jobs have ended, and prints their exit codes; 1 when a task failed",
        "reeve job wait 5 --timeout 10m", [&session, jobs] { return wait_jobs(session, *jobs); })
      .words("JOB", *jobs, about_job, Command::Need::needed);
  }
  add_job_action(noun, session, JobAction::cancel, "cancel",
                 "Ends jobs: waiting tasks never run, running ones are stopped", "cancelled");
  add_job_action(noun, session, JobAction::retry, "retry",
                 "Runs failed, cancelled and held tasks again", "to be tried again");
  add_job_action(noun, session, JobAction::hold, "hold", "Keeps waiting tasks from being placed",
                 "held");
  add_job_action(noun, session, JobAction::release, "release", "Lets held jobs run", "released");
  {
    struct Options {
      std::vector<std::string> jobs;
      bool follow = false, out = false, err = false;
    };
    auto o = std::make_shared<Options>();
    noun
      .verb("logs", "Prints what the tasks of jobs printed", "reeve job logs last --follow",
            [&session, o] { return job_logs(session, o->jobs, o->follow, o->out, o->err); })
      .words("JOB", o->jobs, about_job, Command::Need::needed)
      .flag("-f,--follow", o->follow, "Until all tasks have ended")
      .flag("--stdout", o->out, "Only standard output")
      .flag("--stderr", o->err, "Only standard error")
      .either("--stdout", "--stderr");
  }
}

} // namespace reeve::cli
