// `reeve task …`: list, show, explain, logs, cancel.
#include "src/cli/commands.hpp"
#include "src/cli/logs.hpp"
#include "src/cli/names.hpp"
#include "src/cli/selector.hpp"
#include "src/cli/views.hpp"
#include "src/util/text.hpp"

#include <algorithm>

namespace reeve::cli {
namespace {

constexpr std::uint32_t tasks_asked = 1'000;
constexpr std::size_t show_max = 100; // tasks shown one by one

/// The job and the tasks of one selector; a label or name that matches several jobs is refused.
struct ChosenTasks {
  Client* client = nullptr;
  JobId job;
  std::vector<Span> tasks;
};
Result<ChosenTasks> choose_tasks(Session& session, const std::string& text) {
  auto selector = parse_task_selector(text);
  if (!selector)
    return tl::unexpected<Error>(selector.error());
  auto client = session.client();
  if (!client)
    return tl::unexpected<Error>(client.error());
  const auto jobs = resolve(**client, selector->job, ResolveOptions{session.terminal.user, {}});
  if (!jobs)
    return tl::unexpected<Error>(jobs.error());
  if (jobs->empty())
    return fail(Code::not_found, "JOB", "no job matches " + printable(text));
  if (jobs->size() > 1)
    return fail(Code::bad_field, "TASK", printable(text) + " means several jobs: name one");
  return ChosenTasks{*client, jobs->front(), std::move(selector->tasks)};
}

/// The chosen tasks, tasks_asked by tasks_asked. `limit` 0: all.
Result<TaskList> list_chosen(const ChosenTasks& chosen, const std::vector<TaskState>& states,
                             std::size_t limit) {
  TaskList all;
  ListTasks query;
  query.job = chosen.job;
  query.states = states;
  query.limit = tasks_asked;
  std::uint64_t last = tasks_max;
  if (!chosen.tasks.empty()) {
    last = 0;
    query.from = tasks_max;
    for (const Span& span : chosen.tasks) {
      query.from = std::min(query.from, static_cast<TaskIndex>(span.first));
      last = std::max(last, span.last);
    }
    query.limit =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(tasks_asked, last - query.from + 1));
  }
  while (true) {
    auto list = chosen.client->ask(query);
    if (!list)
      return list;
    for (TaskView& task : list->tasks) {
      if (!is_chosen(chosen.tasks, task.index))
        continue;
      if (limit > 0 && all.tasks.size() == limit) {
        all.more = true;
        all.next = task.index;
        return all;
      }
      all.tasks.push_back(std::move(task));
    }
    if (!list->more || list->next > last || list->next <= query.from)
      return all;
    query.from = list->next;
  }
}

Exit list_tasks(Session& session, const std::string& task,
                const std::vector<std::string>& state_texts, std::size_t limit) {
  const auto states = parse_names<TaskState>(state_texts, "--state");
  if (!states)
    return session.usage(states.error());
  const auto chosen = choose_tasks(session, task);
  if (!chosen)
    return fail_selector(session, chosen.error());
  const auto tasks = list_chosen(*chosen, *states, limit);
  if (!tasks)
    return session.fail(tasks.error());
  std::vector<std::string> names;
  for (const TaskView& view : tasks->tasks)
    names.push_back(task_name(view.job, view.index));
  session.show_list(to_json(*tasks), "tasks",
                    task_table(tasks->tasks, session.format == Format::wide), names);
  if (tasks->more)
    session.note("(more than " + std::to_string(limit) + ": --limit 0 shows all)");
  return Exit::good;
}

Exit show_tasks(Session& session, const std::string& task) {
  const auto chosen = choose_tasks(session, task);
  if (!chosen)
    return fail_selector(session, chosen.error());
  const auto tasks = list_chosen(*chosen, {}, show_max);
  if (!tasks)
    return session.fail(tasks.error());
  if (tasks->tasks.empty())
    return session.fail(Error{Code::not_found, "TASK", "no task " + printable(task)});
  std::vector<Session::Thing> things;
  for (const TaskView& view : tasks->tasks)
    things.push_back({to_json(view), task_properties(view), task_name(view.job, view.index)});
  session.show_things("tasks", things);
  if (tasks->more)
    session.note("(only the first " + std::to_string(show_max) + ")");
  return Exit::good;
}

Exit explain_task(Session& session, const std::string& task) {
  const auto chosen = choose_tasks(session, task);
  if (!chosen)
    return fail_selector(session, chosen.error());
  Explain request;
  request.job = chosen->job;
  request.index = chosen->tasks.empty() ? 0 : static_cast<TaskIndex>(chosen->tasks.front().first);
  auto why = chosen->client->ask(request, session.timeout);
  if (!why)
    return session.fail(why.error());
  // What waits for a person is not the scheduler's: the ledger knows why.
  if (why->nodes.empty() && why->ahead == 0) {
    ListTasks one;
    one.job = request.job;
    one.from = request.index;
    one.limit = 1;
    const auto list = chosen->client->ask(one, session.timeout);
    if (list && !list->tasks.empty() && list->tasks.front().state == TaskState::held)
      why->summary = "is held: " + list->tasks.front().reason + " (reeve job retry " +
                     std::to_string(request.job.value) + " lets it go on)";
  }
  Session::Properties properties{{"Task", task_name(request.job, request.index)},
                                 {"Why", why->summary}};
  for (const auto& [reason, nodes] : why->nodes)
    properties.emplace_back("Nodes", std::to_string(nodes) + ": " + reason);
  for (const std::string& note : why->notes)
    properties.emplace_back("Note", note);
  if (why->ahead > 0)
    properties.emplace_back("Ahead", std::to_string(why->ahead) + " tasks in its queue");
  if (why->start != TimePoint{})
    properties.emplace_back("Expected", "to start at " + format_time(why->start));
  session.show_object(to_json(*why), properties, why->summary);
  return Exit::good;
}

Exit cancel_tasks(Session& session, const std::vector<std::string>& texts,
                  const std::string& reason) {
  ActOnJobs request;
  request.action = JobAction::cancel;
  request.reason = reason;
  Client* client = nullptr;
  for (const std::string& text : texts) {
    const auto chosen = choose_tasks(session, text);
    if (!chosen)
      return fail_selector(session, chosen.error());
    if (chosen->tasks.empty())
      return session.usage(Error{Code::bad_field, "TASK",
                                 "name the tasks, such as " + printable(text) +
                                   "/0-9 (the whole job: reeve job cancel)"});
    auto runs = runs_of(chosen->tasks);
    if (!runs)
      return fail_selector(session, runs.error());
    request.tasks.push_back(JobRuns{chosen->job, std::move(*runs)});
    client = chosen->client;
  }
  const auto answer = client->act(request, session.timeout);
  if (!answer)
    return session.fail(answer.error());
  session.show_done(Json{{"tasks_changed", answer->changed}},
                    std::to_string(answer->changed) +
                      (answer->changed == 1 ? " task cancelled" : " tasks cancelled"));
  return Exit::good;
}

/// Jobs or tasks, as one selector names them.
Result<std::vector<FollowWanted>> choose_many(Session& session, const std::string& text) {
  const auto selector = parse_task_selector(text);
  if (!selector)
    return tl::unexpected<Error>(selector.error());
  const auto client = session.client();
  if (!client)
    return tl::unexpected<Error>(client.error());
  const auto jobs = resolve(**client, selector->job, ResolveOptions{session.terminal.user, {}});
  if (!jobs)
    return tl::unexpected<Error>(jobs.error());
  std::vector<FollowWanted> out;
  for (const JobId job : *jobs)
    out.push_back({job, selector->tasks, true, true});
  return out;
}

Exit task_logs(Session& session, const std::vector<std::string>& texts, const TaskLogs& wanted) {
  std::vector<FollowWanted> all;
  for (const std::string& text : texts) {
    const auto chosen = choose_many(session, text);
    if (!chosen)
      return fail_selector(session, chosen.error());
    all.insert(all.end(), chosen->begin(), chosen->end());
  }
  Client& client = **session.client();
  if (wanted.follow && wanted.attempt == 0) {
    for (auto& one : all) {
      one.out = wanted.out;
      one.err = wanted.err;
    }
    const auto followed = follow_tasks(session, client, all);
    return followed ? Exit::good : session.fail(followed.error());
  }
  for (const auto& one : all) {
    TaskLogs logs = wanted;
    logs.job = one.job;
    logs.tasks = one.tasks;
    if (const Exit exit = print_task_logs(session, client, logs); exit != Exit::good)
      return exit;
  }
  return Exit::good;
}

struct LogOptions {
  std::vector<std::string> tasks;
  TaskLogs wanted;
  std::optional<std::uint32_t> attempt;
  bool out = false, err = false;
};
void add_logs_verb(Command at, Session& session, const std::string& example) {
  auto o = std::make_shared<LogOptions>();
  at.verb("logs", "Prints what tasks printed, or follows them, several at once", example,
          [&session, o] {
            o->wanted.out = !o->err;
            o->wanted.err = !o->out;
            o->wanted.attempt = o->attempt.value_or(0);
            return task_logs(session, o->tasks, o->wanted);
          })
    .words("TASK", o->tasks, about_task, Command::Need::needed)
    .flag("-f,--follow", o->wanted.follow, "Until the tasks have ended")
    .flag("--stdout", o->out, "Only standard output")
    .flag("--stderr", o->err, "Only standard error")
    .either("--stdout", "--stderr")
    .number("--attempt", o->attempt, "Of this attempt (else the last)");
}

} // namespace

Exit print_task_logs(Session& session, Client& client, const TaskLogs& wanted) {
  const auto tasks = list_chosen(ChosenTasks{&client, wanted.job, wanted.tasks}, {}, 0);
  if (!tasks)
    return session.fail(tasks.error());
  if (tasks->tasks.empty())
    return session.fail(
      Error{Code::not_found, "TASK", "no such task of job " + std::to_string(wanted.job.value)});
  const bool several = tasks->tasks.size() > 1;
  for (const TaskView& task : tasks->tasks) {
    const std::string name = task_name(task.job, task.index);
    if (task.attempt == 0 && !wanted.follow) {
      if (!several)
        session.note("task " + name + " has not run yet");
      continue;
    }
    const LogWanted log{task.job, task.index, wanted.attempt, wanted.out, wanted.err};
    if (const auto printed =
          print_log(session, client, log, several ? name + ": " : "", wanted.follow);
        !printed) {
      if (!several)
        return session.fail(printed.error());
      session.note("task " + name + ": " +
                   printed.error().message()); // the others may well be readable
    }
  }
  return Exit::good;
}

void add_task_commands(Command root, Session& session) {
  Command noun = root.noun("task", "Tasks: list, show, explain, logs, cancel");
  {
    struct Options {
      std::string task;
      std::vector<std::string> states;
      std::size_t limit = 100;
    };
    auto o = std::make_shared<Options>();
    noun
      .verb("list", "Shows the tasks of a job", "reeve task list 5 --state failed",
            [&session, o] { return list_tasks(session, o->task, o->states, o->limit); })
      .word("TASK", o->task, std::string("5 for all, or ") + about_task, Command::Need::needed)
      .list("-s,--state", o->states, "Only in these states, with commas: " + names_of<TaskState>(),
            "STATE")
      .number("--limit", o->limit, "At most so many; 0: all");
  }
  {
    auto task = std::make_shared<std::string>();
    noun
      .verb("show", "Shows everything about tasks", "reeve task show 5/3",
            [&session, task] { return show_tasks(session, *task); })
      .word("TASK", *task, about_task, Command::Need::needed);
  }
  {
    auto task = std::make_shared<std::string>();
    noun
      .verb("explain", "Says why a task waits, or why it is where it is", "reeve task explain 5/3",
            [&session, task] { return explain_task(session, *task); })
      .word("TASK", *task, about_task, Command::Need::needed);
  }
  add_logs_verb(noun, session, "reeve task logs 5/3 --follow");
  {
    struct Options {
      std::vector<std::string> tasks;
      std::string reason;
    };
    auto o = std::make_shared<Options>();
    noun
      .verb("cancel", "Ends tasks", "reeve task cancel 5/0-9",
            [=, &session] { return cancel_tasks(session, o->tasks, o->reason); })
      .words("TASK", o->tasks, about_task, Command::Need::needed)
      .text("--reason", o->reason, "Why, for those who ask later", "TEXT");
  }
}

void add_logs(Command root, Session& session) {
  add_logs_verb(root, session, "reeve logs -f 5/0-3 7\n  reeve logs last");
}

} // namespace reeve::cli
