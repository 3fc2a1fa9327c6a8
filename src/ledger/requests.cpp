// What clients and operators ask, and what they are answered. See ledger.hpp.
#include "src/ledger/ledger.hpp"

#include <algorithm>

namespace reeve::ledger {
namespace {

std::string number(std::uint64_t n) {
  return std::to_string(n);
}

Error no_job(const std::string& field, JobId job) {
  return {Code::not_found, field,
          "no job " + number(job.value) + " (ended jobs are kept in history)"};
}

/// The parts of `run` that are held one by one.
void held_parts(const core::Job& job, const TaskRun& run, std::vector<TaskRun>& out) {
  if (job.extra)
    job.extra->marks.each_in(run.first, run.count, [&](TaskIndex first, const core::Mark& mark) {
      if (mark.state == TaskState::held)
        out.push_back({first, mark.count, 1});
    });
}

/// Sorted, and what overlaps counted once: people name tasks as they like.
std::vector<TaskRun> united(std::vector<TaskRun> runs) {
  std::sort(runs.begin(), runs.end(),
            [](const TaskRun& a, const TaskRun& b) { return a.first < b.first; });
  std::vector<TaskRun> out;
  for (const TaskRun& run : runs) {
    if (!out.empty() && out.back().first + out.back().count >= run.first)
      out.back().count =
        std::max(out.back().first + out.back().count, run.first + run.count) - out.back().first;
    else
      out.push_back({run.first, run.count, 1});
  }
  return out;
}

/// Why `action` cannot be done to all of these; nothing when it can.
std::optional<Error> refusal(const core::Cluster& cluster, const ActOnJobs& message) {
  const auto ended = [&](const core::Job& job, JobId id, const std::string& field) {
    return message.action == JobAction::hold && job.ended
             ? std::optional(Error{Code::refused, field, "job " + number(id.value) + " is over"})
             : std::nullopt;
  };
  for (std::size_t i = 0; i < message.jobs.size(); ++i) {
    const std::string field = "jobs[" + number(i) + "]";
    const core::Job* job = cluster.find_job(message.jobs[i]);
    if (!job)
      return no_job(field, message.jobs[i]);
    if (auto error = ended(*job, message.jobs[i], field))
      return error;
  }
  if (message.action == JobAction::hold && !message.tasks.empty())
    return Error{Code::bad_field, "tasks", "a hold is for whole jobs"};
  for (std::size_t i = 0; i < message.tasks.size(); ++i) {
    const auto& [id, runs] = message.tasks[i];
    const std::string field = "tasks[" + number(i) + "]";
    const core::Job* job = cluster.find_job(id);
    if (!job)
      return no_job(field + ".job", id);
    if (runs.empty())
      return Error{Code::bad_field, field + ".runs", "name at least one task"};
    for (const TaskRun& run : runs)
      if (run.count == 0 || std::uint64_t{run.first} + run.count > job->count)
        return Error{Code::bad_field, field + ".runs",
                     "job " + number(id.value) + " has tasks 0 to " + number(job->count - 1)};
  }
  return {};
}

} // namespace

void Ledger::done(Peer peer, std::uint64_t correlation, std::uint64_t changed) {
  Done message;
  message.changed = changed;
  reply(peer, correlation, message);
}

// ---- jobs

void Ledger::handle(Peer peer, std::uint64_t correlation, const core::SubmitJobs& request,
                    TimePoint now) {
  const auto outcome = execute(request, now);
  if (outcome.error)
    return reply_error(peer, correlation, *outcome.error);
  Submitted answer;
  answer.first = outcome.first_job;
  answer.count = outcome.jobs;
  answer.duplicate = outcome.duplicate;
  reply(peer, correlation, answer);
}

void Ledger::handle(Peer peer, std::uint64_t correlation, const ActOnJobs& message, TimePoint now) {
  if (auto error = refusal(cluster_, message))
    return reply_error(peer, correlation, *error);
  std::uint64_t changed = 0;
  std::optional<Error> error; // of a command that the checks above let pass: a fault of ours
  const auto run = [&](const core::Command& command) {
    const auto outcome = execute(command, now);
    changed += outcome.changed;
    if (outcome.error)
      error = outcome.error;
  };
  const auto release = [&](JobId id, const std::vector<TaskRun>& runs) {
    std::vector<TaskRun> held;
    for (const TaskRun& part : runs)
      held_parts(*cluster_.find_job(id), part, held);
    if (!held.empty())
      run(core::Retry{id, std::move(held)});
  };
  for (const JobId id : message.jobs) {
    switch (message.action) {
    case JobAction::cancel:
      run(core::Cancel{id, {}, message.reason});
      break;
    case JobAction::retry:
      run(core::Retry{id, {}});
      break;
    case JobAction::hold:
      run(core::Hold{id, true, message.reason});
      break;
    case JobAction::release:
      if (const core::Job* job = cluster_.find_job(id); !job->ended) {
        release(id, {{0, job->count, 1}});
        run(core::Hold{id, false, {}});
      }
      break;
    }
  }
  for (const auto& [id, runs] : message.tasks) {
    const std::vector<TaskRun> chosen = united(runs);
    if (message.action == JobAction::cancel)
      run(core::Cancel{id, chosen, message.reason});
    else if (message.action == JobAction::retry)
      run(core::Retry{id, chosen});
    else
      release(id, chosen);
  }
  if (error)
    return reply_error(peer, correlation, *error);
  done(peer, correlation, changed);
}

void Ledger::handle(Peer peer, std::uint64_t correlation, const Wait& message, TimePoint now) {
  std::vector<JobId> open;
  std::vector<JobProgress> ended; // no total: forgotten since
  for (std::size_t i = 0; i < message.jobs.size(); ++i) {
    const JobId id = message.jobs[i];
    const core::Job* job = cluster_.find_job(id);
    if (job && !job->ended)
      open.push_back(id);
    else if (job)
      ended.push_back(*cluster_.progress(id));
    else if (id && id <= cluster_.newest_job())
      ended.emplace_back().job = id;
    else
      return reply_error(peer, correlation, no_job("jobs[" + number(i) + "]", id));
  }
  if (open.empty())
    return answer({{peer, correlation, {std::move(ended), true}}});
  std::erase_if(ended, [](const JobProgress& job) { return job.total == 0; });
  waiters_.add(peer, correlation, message, std::move(open), std::move(ended), now);
}

void Ledger::handle(Peer peer, std::uint64_t correlation, const ListJobs& query, TimePoint) {
  reply(peer, correlation, cluster_.list(query));
}

void Ledger::handle(Peer peer, std::uint64_t correlation, const ListTasks& query, TimePoint) {
  auto list = cluster_.list(query);
  if (!list)
    return reply_error(peer, correlation, list.error());
  effect(CompleteTasks{peer, correlation, std::move(*list)});
}

void Ledger::handle(Peer peer, std::uint64_t correlation, const ReadLog& message, TimePoint) {
  ReadLog log = message;
  const core::Job* job = cluster_.find_job(log.job);
  NodeId node;
  if (job) {
    if (log.index >= job->count)
      return reply_error(
        peer, correlation,
        {Code::not_found, "index",
         "job " + number(log.job.value) + " has tasks 0 to " + number(job->count - 1)});
    const core::Cluster::Placed placed = cluster_.placed(*job, log.index);
    if (log.attempt == 0)
      log.attempt = placed.attempt;
    if (log.attempt == 0)
      return reply_error(peer, correlation,
                         {Code::not_found, "index",
                          "task " + number(log.index) + " of job " + number(log.job.value) +
                            " has not been placed yet"});
    if (log.attempt == placed.attempt)
      node = placed.node;
  } // a job that is not known may be in history
  effect(AskForLog{peer, correlation, node, log});
}

// ---- what would become of it, and why does it wait

void Ledger::handle(Peer peer, std::uint64_t correlation, const Submit& dry_run, TimePoint now) {
  core::SubmitJobs command;
  for (const JobSpec& spec : dry_run.jobs)
    command.specs.push_back(Raw{encode(spec)});
  auto waits = cluster_.would_take(command, now);
  if (!waits)
    return reply_error(peer, correlation, waits.error());
  effect(AskScheduler{peer, correlation, DryRun{dry_run.jobs, std::move(*waits)}});
}

/// What the ledger knows it says; of a task that waits for a node, or has one, the scheduler does.
void Ledger::handle(Peer peer, std::uint64_t correlation, const Explain& question, TimePoint) {
  const auto list = cluster_.list(ListTasks{question.job, question.index, {}, 1});
  if (!list)
    return reply_error(peer, correlation, list.error());
  const TaskView& task = list->tasks.front();
  const core::Job& job = *cluster_.find_job(question.job);
  Explained out;
  const std::string why = task.reason.empty() ? "" : ": " + task.reason;
  switch (task.state) {
  case TaskState::pending:
    out.summary = cluster_.waits_for(job, question.index);
    if (!out.summary.empty() && job.held)
      out.notes.push_back(task.reason);
    break;
  case TaskState::assigned:
    break;
  case TaskState::interrupted:
    out.summary = "was interrupted" + why + "; it is about to wait again or to be given up";
    break;
  case TaskState::held:
    out.summary = "is held" + why + "; `reeve job retry` lets it go on";
    break;
  case TaskState::succeeded:
  case TaskState::failed:
  case TaskState::cancelled:
    out.summary = "is over: " + std::string(name_of(task.state)) + why;
  }
  if (trouble_)
    out.notes.push_back("as of entry " + number(durable_.value) +
                        ": the journal takes no entries now: " + trouble_->error.message());
  if (out.summary.empty() && trouble_)
    out.summary = task.state == TaskState::assigned
                    ? "is on node " + task.node +
                        ", or has ended there; its end is stored when the journal works again"
                    : "nothing starts while the journal takes no entries";
  if (out.summary.empty())
    return effect(AskScheduler{peer, correlation, question});
  reply(peer, correlation, out);
}

// ---- leases

void Ledger::handle(Peer peer, std::uint64_t correlation, const Allocate& message, TimePoint now) {
  const auto outcome =
    execute(core::GrantLease{message.node, message.owner, message.resources, message.duration,
                             message.key, message.queue, message.limits, suspects_},
            now);
  if (outcome.error)
    return reply_error(peer, correlation, *outcome.error);
  const core::Lease& lease = cluster_.leases().at(outcome.lease);
  reply(peer, correlation,
        Granted{cluster_.view(lease), cluster_.find_node(outcome.node)->available()});
}

void Ledger::handle(Peer peer, std::uint64_t correlation, const Release& message, TimePoint now) {
  const auto outcome =
    execute(core::ReleaseLeases{message.lease, message.node, message.owner}, now);
  if (outcome.error)
    return reply_error(peer, correlation, *outcome.error);
  done(peer, correlation, outcome.changed);
}

void Ledger::handle(Peer peer, std::uint64_t correlation, const Renew& message, TimePoint now) {
  const auto outcome = execute(core::RenewLease{message.lease, message.duration}, now);
  if (outcome.error)
    return reply_error(peer, correlation, *outcome.error);
  done(peer, correlation, outcome.changed);
}

void Ledger::handle(Peer peer, std::uint64_t correlation, const ListLeases& query, TimePoint) {
  reply(peer, correlation, cluster_.list(query));
}

// ---- nodes, settings, the master itself

void Ledger::handle(Peer peer, std::uint64_t correlation, const ActOnNodes& message,
                    TimePoint now) {
  core::Outcome outcome;
  if (message.action == NodeAction::remove) {
    core::RemoveNodes command;
    for (std::size_t i = 0; i < message.nodes.size(); ++i) {
      const core::Node* node = cluster_.find_node(message.nodes[i]);
      if (!node)
        return reply_error(
          peer, correlation,
          {Code::not_found, "nodes[" + number(i) + "]", "no node " + message.nodes[i]});
      command.nodes.push_back(node->id);
    }
    outcome = execute(command, now);
  } else if (message.action == NodeAction::label) {
    outcome = execute(core::LabelNodes{message.nodes, message.labels}, now);
  } else if (message.action == NodeAction::quarantine) {
    outcome = execute(core::QuarantineNodes{message.nodes, message.duration, message.reason}, now);
  } else {
    outcome = execute(core::DrainNodes{message.nodes, message.action == NodeAction::drain,
                                       message.reason, message.deadline},
                      now);
  }
  if (outcome.error)
    return reply_error(peer, correlation, *outcome.error);
  done(peer, correlation, outcome.changed);
}

void Ledger::handle(Peer peer, std::uint64_t correlation, const ListNodes& query, TimePoint) {
  auto list = cluster_.list(query);
  if (!list)
    return reply_error(peer, correlation, list.error());
  for (NodeView& view : list->nodes) {
    if (const auto at = measured_.find(view.node); at != measured_.end()) {
      view.used = at->second.used;
      view.heard = at->second.heard;
    }
    if (view.state == NodeState::up && suspects_.contains(view.node))
      view.state = NodeState::suspect;
  }
  reply(peer, correlation, *list);
}

void Ledger::handle(Peer peer, std::uint64_t correlation, const SetConfig& message, TimePoint now) {
  const auto outcome = execute(core::ChangeConfig{message.values}, now);
  if (outcome.error)
    return reply_error(peer, correlation, *outcome.error);
  done(peer, correlation, outcome.changed);
}

void Ledger::handle(Peer peer, std::uint64_t correlation, const GetConfig&, TimePoint) {
  reply(peer, correlation, ConfigValues{cluster_.config(), identity_.defaults});
}

void Ledger::handle(Peer peer, std::uint64_t correlation, const GetStats&, TimePoint now) {
  Stats stats = cluster_.stats();
  for (const NodeId id : suspects_)
    if (const core::Node* node = cluster_.find_node(id); node && node->state == NodeState::up) {
      --stats.nodes_up;
      ++stats.nodes_suspect;
    }
  stats.uptime = now - identity_.started;
  stats.counters = counters_;
  for (const char* what : {"run_time", "failures", "heartbeat", "use"})
    stats.counters["departing." + std::string(what)] = 0;
  for (const auto& [id, node] : cluster_.nodes())
    for (const NodeFlag& flag : node.flags)
      ++stats.counters["departing." + flag.what];
  for (const auto& promise : cluster_.broken_promises())
    stats.counters["sla.broken." + promise] = 1;
  stats.histograms = histograms_;
  stats.histograms["submit_to_placed"] = submit_to_placed_.histogram();
  stats.histograms["submit_to_start"] = submit_to_start_.histogram();
  stats.histograms["heartbeat_gap"] = heartbeat_gap_.histogram();
  reply(peer, correlation, stats);
}

void Ledger::handle(Peer peer, std::uint64_t correlation, const GetMaster&, TimePoint) {
  MasterStatus status;
  status.cluster = identity_.cluster;
  status.master = identity_.master;
  status.program = identity_.program;
  status.role = "leader";
  status.epoch = cluster_.epoch();
  status.seq = trouble_ ? durable_ : cluster_.last_seq();
  status.durable = durable_;
  status.snapshot = snapshot_;
  status.journal = journal_health_;
  status.accepting = !trouble_;
  status.started = identity_.started;
  status.leader = identity_.master;
  status.leader_endpoint = identity_.endpoint;
  status.confirmed = confirmed_;
  if (!trouble_ && cluster_.stats().jobs <= core::Cluster::hashed_jobs_max)
    status.state_hash = cluster_.state_hash();
  // At once, and not only when everything decided is durable: it tells both.
  released_.emplace_back(ToPeer{peer, MasterStatus::type, correlation, encode(status)});
}

} // namespace reeve::ledger
