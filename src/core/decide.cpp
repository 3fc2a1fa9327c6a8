// May a wish become a fact? Checks every command against the present state; what passes is applied
// at once. A refusal changes nothing. See cluster.hpp.
#include "messages/mutant.hpp"
#include "src/core/match.hpp"
#include "src/core/state.hpp"

#include <algorithm>
#include <charconv>
#include <set>

namespace reeve::core {

Cluster::Cluster() : state_(std::make_unique<State>()) {}
Cluster::~Cluster() = default;
Cluster::Cluster(Cluster&&) noexcept = default;
Cluster& Cluster::operator=(Cluster&&) noexcept = default;

KindEntry* Cluster::State::intern(const JobDraft& draft) {
  KindEntry* entry = draft.known;
  if (!entry) {
    const auto [at, fresh] = kinds.try_emplace(draft.key);
    entry = &at->second;
    if (fresh) {
      entry->key = &at->first;
      entry->kind = draft.kind;
      entry->sample = draft.blob();
      entry->waiting = &waiting[{draft.kind->queue, draft.kind->user}];
    }
  }
  ++entry->jobs;
  return entry;
}
void Cluster::State::release(KindEntry* entry) {
  if (--entry->jobs == 0)
    kinds.erase(kinds.find(*entry->key));
}

namespace {

std::string number(std::uint64_t n) {
  return std::to_string(n);
}

Error refusal(Code code, std::string field, std::string text) {
  return {code, std::move(field), std::move(text)};
}

std::optional<Error> node_refusal(const Node& node, TimePoint now) {
  if (node.state == NodeState::lost || node.state == NodeState::gone)
    return refusal(Code::node_down, "node",
                   "node " + node.name + " is " + std::string(name_of(node.state)) + ": " +
                     node.reason);
  if (node.draining)
    return refusal(Code::node_down, "node", "node " + node.name + " is draining: " + node.reason);
  if (node.quarantined > now)
    return refusal(Code::node_down, "node",
                   "node " + node.name + " is in quarantine: " + node.reason);
  if (node.closed)
    return refusal(Code::refused, "node",
                   "node " + node.name + " is above its high mark of utilisation");
  return {};
}

std::optional<Error> runs_refusal(const Job& job, const std::vector<TaskRun>& runs) {
  std::uint64_t end = 0;
  for (const TaskRun& run : runs) {
    if (run.count == 0 || std::uint64_t{run.first} + run.count > job.count)
      return refusal(Code::bad_field, "runs",
                     "task " + number(std::uint64_t{run.first} + run.count - (run.count ? 1 : 0)) +
                       " does not exist; the job has " + number(job.count) + " tasks");
    if (run.first < end)
      return refusal(Code::bad_field, "runs", "must be sorted and must not overlap");
    end = std::uint64_t{run.first} + run.count;
  }
  return {};
}

std::vector<TaskRun> sorted(std::vector<TaskRun> runs) {
  std::sort(runs.begin(), runs.end(),
            [](const TaskRun& a, const TaskRun& b) { return a.first < b.first; });
  return runs;
}

/// Tasks of `runs` that stand in `state` with the attempt named.
bool all_interrupted(const Job& job, const std::vector<TaskRun>& runs) {
  if (!job.extra)
    return runs.empty();
  for (const TaskRun& run : runs) {
    std::uint32_t found = 0;
    job.extra->marks.each_in(run.first, run.count, [&](TaskIndex, const Mark& mark) {
      if (mark.state == TaskState::interrupted && mark.attempt == run.attempt)
        found += mark.count;
    });
    if (found != run.count)
      return false;
  }
  return true;
}

} // namespace

/// One execute() call: holds what the checks and the applier share.
class Decider {
public:
  Decider(Cluster::State& state, TimePoint now, Changes& changes)
      : s_(state), now_(now), apply_(state, now, changes) {}

  Outcome run(const Command& command) {
    std::visit([this](const auto& c) { on(c); }, command);
    if (out_.entry) {
      s_.seq = s_.seq.next();
      apply_.done();
      if (REEVE_MUTANT(replay_differs))
        ++s_.totals.requeued; // not by the entry
    }
    return std::move(out_);
  }

  /// Of a submission; see Cluster::would_take.
  Result<std::vector<std::string>> check(const SubmitJobs& c) {
    const auto drafts = drafted(c);
    if (!drafts)
      return tl::unexpected<Error>(*out_.error);
    std::vector<std::string> waits;
    for (const JobDraft& draft : *drafts)
      waits.push_back(waits_for(s_, draft.after, {}, &*drafts));
    return waits;
  }

private:
  template<class F> void accept(F fact, std::uint64_t changed) {
    apply_.fact(Fact(fact));
    out_.entry = Entry{now_, std::move(fact)};
    out_.changed = changed;
  }
  void refuse(Code code, std::string field, std::string text) {
    out_.error = refusal(code, std::move(field), std::move(text));
  }
  void refuse(Error error) { out_.error = std::move(error); }
  Job* known(JobId id) {
    Job* job = s_.jobs.find(id);
    if (!job)
      refuse(Code::not_found, "job",
             "no job " + number(id.value) + " (ended jobs are kept in history)");
    return job;
  }
  std::optional<std::vector<NodeId>> named(const std::vector<std::string>& names) {
    std::vector<NodeId> ids;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto at = s_.node_names.find(names[i]);
      if (at == s_.node_names.end()) {
        refuse(Code::not_found, "nodes[" + number(i) + "]", "no node " + names[i]);
        return {};
      }
      ids.push_back(at->second);
    }
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    return ids;
  }

  void on(const BeginEpoch& c) {
    if (c.epoch <= s_.epoch)
      return refuse(Code::stale_epoch, "epoch",
                    "epoch " + number(c.epoch.value) + " is not above " + number(s_.epoch.value));
    accept(c, 1);
  }

  void on(const RegisterNode& c) {
    RegisterNode fact = c;
    const auto at = s_.node_names.find(c.name);
    fact.node = at == s_.node_names.end() ? s_.newest_node.next() : at->second;
    out_.node = fact.node;
    if (const Node* node = s_.node(fact.node);
        node && node->state == NodeState::up && node->incarnation == c.incarnation &&
        node->capacity == c.capacity && node->program == c.program &&
        node->executors == c.executors && node->pulls == c.pulls && same_labels(*node, c.labels))
      return; // it only reconnected
    accept(std::move(fact), 1);
  }
  static bool same_labels(const Node& node, std::map<std::string, std::string> labels) {
    for (const auto& [name, value] : node.set_labels) {
      if (value.empty())
        labels.erase(name);
      else
        labels[name] = value;
    }
    return labels == node.labels;
  }

  void on(const MarkLost& c) {
    MarkLost fact{{}, c.reason, c.left};
    for (const NodeId id : c.nodes)
      if (const Node* node = s_.node(id);
          node && (node->state == NodeState::up || node->state == NodeState::suspect))
        fact.nodes.push_back(id);
    std::sort(fact.nodes.begin(), fact.nodes.end());
    fact.nodes.erase(std::unique(fact.nodes.begin(), fact.nodes.end()), fact.nodes.end());
    if (!fact.nodes.empty())
      accept(fact, fact.nodes.size());
  }
  void on(const DrainNodes& c) {
    auto ids = named(c.nodes);
    if (!ids)
      return;
    NodesDrained fact{{}, c.drain, c.reason, {}, false};
    if (c.drain && c.deadline)
      fact.deadline = now_ + *c.deadline;
    for (const NodeId id : *ids) {
      const Node& node = *s_.node(id);
      // A drain by hand stays when the node's own check is well again; a new deadline counts.
      if (node.draining != c.drain ||
          (c.drain && (node.drained_by_check || fact.deadline != TimePoint{})))
        fact.nodes.push_back(id);
    }
    if (!fact.nodes.empty())
      accept(fact, fact.nodes.size());
  }
  void on(const CheckNode& c) {
    const Node* node = s_.node(c.node);
    if (!node)
      return refuse(Code::not_found, "node", "no such node");
    const bool bad = !c.trouble.empty();
    if (node->draining ? !node->drained_by_check || (bad && node->reason == c.trouble) : !bad)
      return; // drained by a person, or as it was
    accept(NodesDrained{{c.node}, bad, c.trouble, {}, true}, 1);
  }
  /// What a job has in flight on a node; null: nothing.
  static const Allocation* in_flight(const Job* job, NodeId node) {
    if (!job || !job->extra)
      return nullptr;
    const auto at = job->extra->allocations.find(node);
    return at == job->extra->allocations.end() ? nullptr : &at->second;
  }
  void on(const MoveOff& c) {
    const Job* job = known(c.job);
    const Allocation* there = in_flight(job, c.node);
    if (!there)
      return;
    const Kind& kind = *job->kind->kind;
    if (c.gently && !(kind.checkpoints && kind.preemptible))
      return refuse(Code::refused, "job",
                    "job " + number(c.job.value) + " has no checkpoint signal to be moved by");
    on(Preempt{c.node, c.job, std::vector<TaskRun>(there->runs), Cause::drained, c.reason});
  }
  void on(const Abandon& c) {
    const Node* node = s_.node(c.node);
    if (node && node->state == NodeState::lost && in_flight(s_.jobs.find(c.job), c.node))
      accept(TasksAbandoned{c.node, c.job, c.reason}, 1);
  }
  void on(const LabelNodes& c) {
    auto ids = named(c.nodes);
    if (!ids)
      return;
    if (c.labels.empty())
      return refuse(Code::bad_field, "labels", "give at least one label");
    accept(NodesLabelled{*ids, c.labels}, ids->size());
  }
  void on(const RemoveNodes& c) {
    RemoveNodes fact;
    for (const NodeId id : c.nodes) {
      const Node* node = s_.node(id);
      if (!node)
        continue;
      if (node->state == NodeState::up || node->state == NodeState::suspect)
        return refuse(Code::refused, "nodes",
                      "node " + node->name + " is up: stop its agent first");
      if (!node->jobs.empty())
        return refuse(Code::refused, "nodes",
                      "jobs wait for node " + node->name + " to come back (their disconnect)");
      fact.nodes.push_back(id);
    }
    if (!fact.nodes.empty())
      accept(fact, fact.nodes.size());
  }

  void on(const SubmitJobs& c) {
    if (c.specs.empty())
      return refuse(Code::bad_field, "jobs", "give at least one job");
    if (const JobId known = s_.keys.find(print_of(c.key), s_.jobs);
        known && !REEVE_MUTANT(key_forgotten)) {
      const Job& job = *s_.jobs.find(known);
      out_.duplicate = true;
      out_.first_job = known;
      out_.jobs = job.batch;
      if (job.batch != c.specs.size())
        refuse(Code::conflict, "key",
               "this key was used for a submission of " + number(job.batch) + " jobs");
      return;
    }
    auto drafts = drafted(c);
    if (!drafts)
      return;
    JobsSubmitted fact{s_.jobs.newest().next(), c.key, c.specs};
    out_.first_job = fact.first;
    out_.jobs = static_cast<std::uint32_t>(drafts->size());
    out_.changed = drafts->size();
    apply_.submit(fact, std::move(*drafts));
    out_.entry = Entry{now_, std::move(fact)};
  }
  /// The jobs taken apart, or nothing and the error is set.
  std::optional<std::vector<JobDraft>> drafted(const SubmitJobs& c) {
    std::vector<JobDraft> drafts;
    drafts.reserve(c.specs.size());
    Drafter drafter(s_.kinds);
    for (std::size_t i = 0; i < c.specs.size(); ++i) {
      auto draft = drafter.draft(c.specs[i]);
      if (!draft) {
        const std::string path = "jobs[" + number(i) + "]";
        refuse(draft.error().code,
               draft.error().field.empty() ? path : path + "." + draft.error().field,
               draft.error().text);
        return {};
      }
      drafts.push_back(std::move(*draft));
    }
    auto error = dependency_refusal(drafts);
    if (!error)
      error = submit_limit_refusal(drafts);
    if (!error)
      return drafts;
    refuse(std::move(*error));
    return {};
  }

  std::optional<Error> dependency_refusal(const std::vector<JobDraft>& drafts) {
    bool inside = false;
    for (std::size_t i = 0; i < drafts.size(); ++i)
      for (std::size_t k = 0; k < drafts[i].after.size(); ++k) {
        const Dependency& d = drafts[i].after[k];
        const std::string path = "jobs[" + number(i) + "].after[" + number(k) + "]";
        std::uint32_t count = 0;
        if (d.job) {
          const Job* other = s_.jobs.find(d.job);
          if (!other)
            return refusal(Code::not_found, path + ".job",
                           "no job " + number(d.job.value) + " (ended jobs are kept in history)");
          count = other->count;
        } else if (d.place >= drafts.size()) {
          return refusal(Code::bad_field, path + ".place",
                         "this submission has " + number(drafts.size()) +
                           " jobs, numbered from 0; got " + number(d.place));
        } else {
          count = drafts[d.place].count;
          inside = true;
        }
        if (d.each && count != drafts[i].count)
          return refusal(Code::bad_field, path + ".each",
                         "both jobs must have as many tasks: this one has " +
                           number(drafts[i].count) + ", the other " + number(count));
      }
    if (inside)
      if (const std::string circle = circle_in(drafts); !circle.empty())
        return refusal(Code::bad_field, "jobs.after", "the jobs wait for each other: " + circle);
    return {};
  }

  /// `queue.<name>.submit_limit`, else `queue.*.submit_limit`: so many tasks of one user may wait.
  [[nodiscard]] std::uint64_t submit_limit(const std::string& queue) const {
    for (const std::string& name : {queue, std::string("*")}) {
      const auto at = s_.config.find("queue." + name + ".submit_limit");
      std::uint64_t most = 0;
      if (at != s_.config.end() &&
          std::from_chars(at->second.data(), at->second.data() + at->second.size(), most).ec ==
            std::errc())
        return most;
    }
    return 0;
  }
  std::optional<Error> submit_limit_refusal(const std::vector<JobDraft>& drafts) const {
    std::map<std::pair<std::string_view, std::string_view>, std::uint64_t> more;
    std::map<std::string_view, std::uint64_t> limits;
    for (std::size_t i = 0; i < drafts.size(); ++i) {
      const Kind& kind = drafts[i].known ? *drafts[i].known->kind : *drafts[i].kind;
      const auto [limit, fresh] = limits.try_emplace(kind.queue, 0);
      if (fresh)
        limit->second = submit_limit(kind.queue);
      if (limit->second == 0)
        continue;
      const auto at = s_.waiting.find({kind.queue, kind.user});
      const std::uint64_t waits = at == s_.waiting.end() ? 0 : at->second;
      if (waits + (more[{kind.queue, kind.user}] += drafts[i].count) > limit->second)
        return refusal(Code::refused, "jobs[" + number(i) + "].queue",
                       number(waits) + " tasks of user " + kind.user + " wait in queue " +
                         kind.queue + ", which takes at most " + number(limit->second) +
                         " (its submit_limit)");
    }
    return {};
  }

  std::optional<Error> judge(const Placement& p) {
    const Job* job = s_.jobs.find(p.job);
    if (!job)
      return refusal(Code::not_found, "job", "no job " + number(p.job.value));
    const Node* node = s_.node(p.node);
    if (!node)
      return refusal(Code::not_found, "node", "no such node");
    if (auto error = node_refusal(*node, now_))
      return error;
    if (job->held || job->cancelling || job->ended)
      return refusal(Code::stale, "job", "the job is held, cancelled or over");
    if (p.runs.empty() || p.slots == 0)
      return refusal(Code::bad_field, "runs", "nothing to place");
    if (auto error = runs_refusal(*job, p.runs))
      return error;
    const Kind& kind = *job->kind->kind;
    if (p.copy && !kind.speculate)
      return refusal(Code::refused, "copy", "the job does not ask for copies of its stragglers");
    const std::uint64_t n = tasks_in(p);
    for (const TaskRun& run : p.runs) {
      std::uint64_t good = 0;
      for (const TaskRun& part :
           p.copy ? alone_elsewhere(*job, run, p.node) : waiting_parts(*job, run))
        if (part.attempt == run.attempt)
          good += part.count;
      if (good != run.count)
        return refusal(Code::stale, "runs",
                       p.copy ? "not all of these tasks run alone on another node"
                              : "not all of these tasks wait");
    }
    if (kind.max_parallel > 0 && job->assigned() + n > kind.max_parallel)
      return refusal(Code::refused, "max_parallel",
                     "at most " + number(kind.max_parallel) + " of its tasks at once");
    if (std::string what = unmet(kind, node->labels); !what.empty())
      return refusal(Code::refused, "constraints", "node " + node->name + " " + what);
    if (node->exclusive && node->exclusive != p.job)
      return refusal(Code::refused, "node",
                     "job " + number(node->exclusive.value) + " has node " + node->name + " alone");
    if (kind.exclusive &&
        (node->leases > 0 || node->jobs.size() > (node->jobs.contains(p.job) ? 1U : 0U)))
      return refusal(Code::refused, "exclusive", "node " + node->name + " is not empty");
    if (std::find(node->executors.begin(), node->executors.end(), kind.executor) ==
        node->executors.end())
      return refusal(Code::refused, "executor",
                     "node " + node->name + " has no executor " + kind.executor);
    const Growth growth = growth_of(*job, p.node, static_cast<std::uint32_t>(n), p.slots);
    if (const Resources available = node->room(kind.overcommit);
        !fits(growth.delta, available) && !REEVE_MUTANT(no_capacity_check))
      return refusal(Code::no_capacity, "resources",
                     shortage(growth.delta, available, node->capacity));
    return {};
  }
  /// All placements of one gang job in `c`: all tasks that are left, at once, or none.
  std::optional<Error> judge_gang(JobId id, const std::vector<const Placement*>& parts) {
    std::uint64_t n = 0;
    std::set<NodeId> nodes;
    for (const Placement* p : parts) {
      if (auto error = judge(*p))
        return error;
      if (!nodes.insert(p->node).second)
        return refusal(Code::bad_field, "node", "a gang's placement names a node twice");
      const std::uint64_t here = tasks_in(*p);
      if (p->slots < here)
        return refusal(Code::bad_field, "slots", "a gang's tasks run at once");
      n += here;
    }
    const Job& job = *s_.jobs.find(id);
    if (n != job.pending() || job.assigned() > 0 || (job.extra && job.extra->interrupted > 0))
      return refusal(Code::refused, "gang",
                     "all " + number(job.pending()) + " tasks start together, " + number(n) +
                       " were placed");
    return {};
  }
  static std::uint64_t tasks_in(const Placement& p) {
    std::uint64_t n = 0;
    for (const TaskRun& run : p.runs)
      n += run.count;
    return n;
  }
  void on(const Place& c) {
    Place fact;
    std::map<JobId, std::vector<const Placement*>> gangs;
    for (const Placement& p : c.placements)
      if (const Job* job = s_.jobs.find(p.job); job && job->kind->kind->gang)
        gangs[p.job].push_back(&p);
    for (const auto& [id, parts] : gangs)
      if (auto error = judge_gang(id, parts)) {
        for (const Placement* p : parts)
          out_.refused.push_back({*p, *error});
      } else {
        for (const Placement* p : parts) {
          apply_.place(*p);
          out_.changed += tasks_in(*p);
          fact.placements.push_back(*p);
        }
      }
    for (const Placement& p : c.placements) {
      if (gangs.contains(p.job))
        continue;
      if (auto error = judge(p)) {
        out_.refused.push_back({p, std::move(*error)});
        continue;
      }
      apply_.place(p);
      out_.changed += tasks_in(p);
      fact.placements.push_back(p);
    }
    if (!fact.placements.empty())
      out_.entry = Entry{now_, std::move(fact)};
  }

  /// The end of an attempt whose other copy has ended well: whatever it was, it does not count.
  template<class Times>
  static TaskResult beaten_one(std::pair<TaskIndex, Attempt> which, const Times& times) {
    TaskResult result;
    result.index = which.first;
    result.attempt = which.second;
    result.cause = Cause::superseded;
    result.started = times.started;
    result.ended = times.ended;
    result.text = "another copy of it ended well before";
    return result;
  }
  void on(const Finish& c) {
    const Node* node = s_.node(c.node);
    if (!node)
      return;
    Finish fact{c.node, {}};
    for (const JobResults& results : c.jobs) {
      const Allocation* there = in_flight(s_.jobs.find(results.job), c.node);
      if (!there)
        continue;
      // The same attempt twice in one message counts once: taken from a copy as it is accepted.
      std::vector<TaskRun> flying = there->runs;
      std::vector<TaskRun> beaten = s_.jobs.find(results.job)->extra->beaten;
      if (REEVE_MUTANT(copies_count_twice))
        beaten.clear();
      JobResults good{results.job, {}, {}};
      for (const QuietRun& quiet : results.quiet)
        for (const TaskRun& run : REEVE_MUTANT(result_twice) ? common(flying, quiet.run)
                                                             : take_from(flying, quiet.run)) {
          std::vector<TaskRun> counts{run};
          for (const TaskRun& late : common(beaten, run)) {
            take_from(counts, late);
            for (std::uint32_t i = 0; i < late.count; ++i)
              good.tasks.push_back(beaten_one({late.first + i, late.attempt}, quiet));
          }
          for (const TaskRun& part : counts)
            good.quiet.push_back({part, quiet.started, quiet.ended});
          out_.changed += run.count;
        }
      for (const TaskResult& result : results.tasks)
        if (!take_from(flying, TaskRun{result.index, 1, result.attempt}).empty()) {
          good.tasks.push_back(result);
          if (!common(beaten, TaskRun{result.index, 1, result.attempt}).empty())
            good.tasks.back() = beaten_one({result.index, result.attempt}, result);
          ++out_.changed;
        }
      if (good.quiet.empty() && good.tasks.empty())
        continue;
      apply_.finish(c.node, good);
      fact.jobs.push_back(std::move(good));
    }
    if (!fact.jobs.empty())
      out_.entry = Entry{now_, std::move(fact)};
  }

  template<class F> void on_interrupted(const F& c) {
    Job* job = known(c.job);
    if (!job)
      return;
    F fact = c;
    fact.runs = sorted(c.runs);
    if (fact.runs.empty())
      return;
    if (auto error = runs_refusal(*job, fact.runs))
      return refuse(std::move(*error));
    if (!all_interrupted(*job, fact.runs))
      return refuse(Code::stale, "runs", "not all of these attempts are interrupted");
    std::uint64_t n = 0;
    for (const TaskRun& run : fact.runs)
      n += run.count;
    accept(std::move(fact), n);
  }
  void on(const Requeue& c) { on_interrupted(c); }
  void on(const GiveUp& c) { on_interrupted(c); }

  void on(const Cancel& c) {
    Job* job = known(c.job);
    if (!job)
      return;
    Cancel fact{c.job, sorted(c.runs), c.reason};
    for (TaskRun& run : fact.runs)
      run.attempt = 1;
    if (auto error = runs_refusal(*job, fact.runs))
      return refuse(std::move(*error));
    const std::vector<TaskRun> all =
      fact.runs.empty() ? std::vector<TaskRun>{{0, job->count, 1}} : fact.runs;
    std::uint64_t n = 0;
    for (const TaskRun& run : all) {
      const std::uint64_t end = std::uint64_t{run.first} + run.count;
      n += end > job->next ? end - std::max<std::uint64_t>(run.first, job->next) : 0;
      if (!job->extra)
        continue;
      job->extra->marks.each_in(run.first, run.count, [&](TaskIndex, const Mark& m) {
        if (m.state == TaskState::pending || m.state == TaskState::held ||
            m.state == TaskState::interrupted)
          n += m.count;
      });
      for (const auto& [node, allocation] : job->extra->allocations)
        for (const TaskRun& flying : allocation.runs)
          for (const TaskRun& part :
               common({flying}, TaskRun{run.first, run.count, flying.attempt}))
            n += job->cancelling ? 0 : part.count - overlap(job->extra->stopping, part);
    }
    if (n > 0)
      accept(std::move(fact), n);
  }
  static std::uint32_t overlap(const std::vector<TaskRun>& runs, const TaskRun& run) {
    std::uint32_t n = 0;
    for (const TaskRun& part : common(runs, TaskRun{run.first, run.count, 1}))
      n += part.count;
    return n;
  }
  void on(const Retry& c) {
    Job* job = known(c.job);
    if (!job)
      return;
    Retry fact{c.job, sorted(c.runs)};
    for (TaskRun& run : fact.runs)
      run.attempt = 1;
    if (auto error = runs_refusal(*job, fact.runs))
      return refuse(std::move(*error));
    std::uint64_t n = 0;
    if (job->extra)
      for (const TaskRun& run :
           fact.runs.empty() ? std::vector<TaskRun>{{0, job->count, 1}} : fact.runs)
        job->extra->marks.each_in(run.first, run.count, [&](TaskIndex, const Mark& m) {
          if (m.state == TaskState::failed || m.state == TaskState::cancelled ||
              m.state == TaskState::held)
            n += m.count;
        });
    if (n > 0)
      accept(std::move(fact), n);
  }
  void on(const Hold& c) {
    Job* job = known(c.job);
    if (!job)
      return;
    if (job->ended)
      return refuse(Code::refused, "job", "job " + number(c.job.value) + " is over");
    if (job->held != c.hold)
      accept(c, job->pending());
  }
  void on(const Forget& c) {
    Forget fact;
    std::set<JobId> seen;
    for (const JobId id : c.jobs)
      if (const Job* job = s_.jobs.find(id); job && job->ended && seen.insert(id).second)
        fact.jobs.push_back(id);
    if (!fact.jobs.empty())
      accept(fact, fact.jobs.size());
  }

  void on(const GrantLease& c) {
    if (!c.key.data.empty())
      for (const auto& [id, lease] : s_.leases)
        if (lease.key == c.key) {
          out_.duplicate = true;
          out_.lease = id;
          out_.node = lease.node;
          return;
        }
    if (is_zero(c.resources))
      return refuse(Code::bad_field, "resources", "ask for at least one resource");
    const Node* node = c.node.empty() ? roomiest(c.resources, c.not_on) : nullptr;
    if (!c.node.empty()) {
      const auto at = s_.node_names.find(c.node);
      if (at == s_.node_names.end())
        return refuse(Code::not_found, "node", "no node " + c.node);
      node = s_.node(at->second);
    }
    if (!node)
      return refuse(Code::no_capacity, "resources",
                    "no node has " + to_text(c.resources) + " available" +
                      (c.not_on.empty() ? "" : ", beside those that are suspect"));
    if (auto error = node_refusal(*node, now_))
      return refuse(std::move(*error));
    if (const Resources available = node->available();
        !fits(c.resources, available) && !REEVE_MUTANT(no_capacity_check))
      return refuse(Code::no_capacity, "resources",
                    shortage(c.resources, available, node->capacity));
    const LeaseGranted fact{s_.newest_lease.next(),
                            node->id,
                            c.owner,
                            c.resources,
                            c.duration.count() > 0 ? now_ + c.duration : TimePoint{},
                            c.key,
                            c.queue,
                            c.limits};
    out_.lease = fact.lease;
    out_.node = fact.node;
    accept(fact, 1);
  }
  const Node* roomiest(const Resources& need, const std::set<NodeId>& not_on) const {
    const Node* best = nullptr;
    std::int64_t most = 0;
    for (const auto& [id, node] : s_.nodes) {
      if (!node.takes_work(now_) || not_on.contains(id))
        continue;
      if (const std::int64_t times = times_fitting(need, node.available(), 1'000'000'000);
          times > most) {
        most = times;
        best = &node;
      }
    }
    return best;
  }
  void on(const RenewLease& c) {
    const auto at = s_.leases.find(c.lease);
    if (at == s_.leases.end())
      return refuse(Code::not_found, "lease",
                    "no lease " + number(c.lease.value) +
                      " (expired, released, or its node was lost)");
    out_.lease = c.lease;
    out_.node = at->second.node;
    accept(LeaseRenewed{c.lease, c.duration.count() > 0 ? now_ + c.duration : TimePoint{}}, 1);
  }
  void on(const ReleaseLeases& c) {
    LeasesEnded fact;
    if (c.lease) {
      if (!s_.leases.contains(c.lease))
        return refuse(Code::not_found, "lease",
                      "no lease " + number(c.lease.value) +
                        " (expired, released, or its node was lost)");
      fact.leases.push_back(c.lease);
    } else if (c.node.empty()) {
      return refuse(Code::bad_field, "lease", "name a lease or a node");
    } else {
      const auto at = s_.node_names.find(c.node);
      if (at == s_.node_names.end())
        return refuse(Code::not_found, "node", "no node " + c.node);
      for (const auto& [id, lease] : s_.leases)
        if (lease.node == at->second && (c.owner.empty() || lease.owner == c.owner))
          fact.leases.push_back(id);
    }
    if (!fact.leases.empty())
      accept(fact, fact.leases.size());
  }
  void on(const EndLeases& c) {
    EndLeases fact{{}, c.expired};
    std::set<LeaseId> seen;
    for (const LeaseId id : c.leases) {
      const auto at = s_.leases.find(id);
      if (at == s_.leases.end() || !seen.insert(id).second)
        continue;
      if (c.expired && (at->second.expires == TimePoint{} || at->second.expires > now_))
        continue; // renewed meanwhile
      fact.leases.push_back(id);
    }
    if (!fact.leases.empty())
      accept(fact, fact.leases.size());
  }
  void on(const Preempt& c) {
    const Job* job = known(c.job);
    const Allocation* there = in_flight(job, c.node);
    if (!there)
      return;
    Preempt fact{c.node, c.job, {}, c.cause, c.reason};
    std::uint64_t n = 0;
    std::vector<TaskRun> flying = there->runs; // taken out: each is named once
    for (const TaskRun& run : there->runs)
      for (const TaskRun& asked : common(job->extra->yielding, {run.first, run.count, 1}))
        take_from(flying, TaskRun{asked.first, asked.count, run.attempt});
    for (const TaskRun& run : sorted(c.runs))
      for (const TaskRun& part : take_from(flying, run)) {
        fact.runs.push_back(part);
        n += part.count;
      }
    if (n > 0)
      accept(std::move(fact), n);
  }
  void on(const Tune& c) {
    const Node* node = s_.node(c.node);
    if (!node)
      return refuse(Code::not_found, "node", "no such node");
    if (c.overcommit_milli < 1000 || c.overcommit_milli > 16'000)
      return refuse(Code::bad_field, "overcommit_milli",
                    "must be from 1000 to 16000, got " + number(c.overcommit_milli));
    if (node->overcommit_milli != c.overcommit_milli || node->closed != c.closed)
      accept(c, 1);
  }
  void on(const Quarantine& c) {
    Quarantine fact{{}, c.until, c.reason};
    for (const NodeId id : c.nodes)
      if (const Node* node = s_.node(id); node && node->quarantined != c.until)
        fact.nodes.push_back(id);
    if (!fact.nodes.empty())
      accept(fact, fact.nodes.size());
  }
  void on(const Flag& c) {
    const Node* node = s_.node(c.node);
    if (!node)
      return refuse(Code::not_found, "node", "no such node");
    if (node->flags != c.flags)
      accept(c, 1);
  }
  void on(const QuarantineNodes& c) {
    if (auto ids = named(c.nodes))
      on(Quarantine{*ids, c.duration.count() > 0 ? now_ + c.duration : TimePoint{}, c.reason});
  }
  void on(const ChangeConfig& c) {
    ChangeConfig fact;
    for (const auto& [name, value] : c.values) {
      const auto at = s_.config.find(name);
      if (value != (at == s_.config.end() ? std::string() : at->second))
        fact.values[name] = value;
    }
    if (!fact.values.empty())
      accept(fact, fact.values.size());
  }
  void on(const JudgePromise& c) {
    if (c.kept == s_.broken.contains(c.promise))
      accept(c, 1);
  }

  Cluster::State& s_;
  TimePoint now_;
  Applier apply_;
  Outcome out_;
};

Result<std::vector<std::string>> Cluster::would_take(const SubmitJobs& command,
                                                     TimePoint now) const {
  Changes none;
  return Decider(*state_, now, none).check(command);
}

Outcome Cluster::execute(const Command& command, TimePoint now, Changes& changes) {
  return Decider(*state_, now, changes).run(command);
}

} // namespace reeve::core
