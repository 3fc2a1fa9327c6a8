// The nouns of the protocol: resources, job specifications, runs of tasks, results. Plain data,
// shared by the wire, the journal and every part of the program. Must never do I/O or read a clock.
#pragma once

#include "messages/codec.hpp"

namespace reeve {

/// An amount for each kind of resource. vcores in milli-cores, memory and disk in bytes, named
/// generic resources (`gpu`, licences) in thousandths, so that half a GPU is 500. Amounts are >= 0
/// on the wire.
struct Resources {
  std::int64_t cpu_milli = 0;
  std::int64_t memory_bytes = 0;
  std::int64_t disk_bytes = 0;
  std::map<std::string, std::int64_t> named_milli;

  bool operator==(const Resources&) const = default;
  template<class V> static void fields(V& v) {
    // What one node or task has is bounded by validate(); sums over a cluster are larger.
    constexpr std::int64_t most = std::int64_t{1} << 62;
    v("cpu_milli", &Resources::cpu_milli, {.min = 0, .max = most});
    v("memory_bytes", &Resources::memory_bytes, {.min = 0, .max = most});
    v("disk_bytes", &Resources::disk_bytes, {.min = 0, .max = most});
    v("named_milli", &Resources::named_milli, {.max = 32}); // each value bounded by validate(), too
  }
};

/// `count` neighbouring tasks of one job in the same try: [first, first + count).
struct TaskRun {
  static constexpr bool as_array = true;
  TaskIndex first = 0;
  std::uint32_t count = 1;
  Attempt attempt = 1;

  bool operator==(const TaskRun&) const = default;
  template<class V> static void fields(V& v) {
    v("first", &TaskRun::first, {.required = true});
    v("count", &TaskRun::count, {.min = 1});
    v("attempt", &TaskRun::attempt, {.min = 1});
  }
};

constexpr std::uint32_t tasks_max = 10'000'000; // tasks of one job
constexpr std::uint32_t gang_max = 10'000;      // tasks of one gang

/// What must have become of another job before this one may start.
enum class DependencyKind : std::uint8_t {
  ok = 0,   // all of it succeeded
  any = 1,  // it is over
  fail = 2, // it is over and not all of it succeeded
  last_ = fail,
};
/// A job waits for another. When the other ends so that the wish cannot come true any more, the job
/// that waits is cancelled, with the reason.
struct Dependency {
  JobId job; // or, when 0, the job at `place` of the same Submit
  std::uint32_t place = 0;
  DependencyKind kind = DependencyKind::ok;
  bool each = false; // task i waits for task i of the other job only; both have as many tasks

  bool operator==(const Dependency&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &Dependency::job);
    v("place", &Dependency::place, {.max = 100'000});
    v("kind", &Dependency::kind);
    v("each", &Dependency::each);
  }
};
/// What happens to the rest of a job when one of its tasks has failed for good.
enum class FailurePolicy : std::uint8_t {
  go_on = 0,     // the other tasks run
  fail_fast = 1, // what waits is cancelled, what runs is stopped
  last_ = fail_fast,
};

/// Why an attempt ended. Not a task's state: a `time_limit` may be retried.
enum class Cause : std::uint8_t {
  none = 0,      // exit code 0
  exit_code = 1, // other than 0
  signal = 2,
  time_limit = 3,
  out_of_memory = 4,
  cancelled = 5,
  lost_node = 6,
  start_failed = 7, // command not found, working directory missing …; `text` says which
  executor_error = 8,
  drained = 9, // moved away, or its node took its leave
  unknown_executor = 10,
  preempted = 11,    // stopped for work of higher priority
  dependency = 12,   // never started: what it waited for can not happen any more
  node_trouble = 13, // the node could not start it (disk full …): not the task's fault
  superseded = 14,   // a copy of it ended well before: what became of this one does not count
  last_ = superseded,
};

/// Exit codes or signals from `first` to `last`.
struct CodeRange {
  static constexpr bool as_array = true;
  std::int32_t first = 0, last = 0;

  bool operator==(const CodeRange&) const = default;
  template<class V> static void fields(V& v) {
    v("first", &CodeRange::first, {.required = true, .min = 0, .max = 255});
    v("last", &CodeRange::last, {.required = true, .min = 0, .max = 255});
  }
};
/// How often a task is tried again after attempts that ended in one way. The first rule of a job
/// that fits an end decides; `retries` and `lost_retries` hold where none does.
struct RetryRule {
  Cause on = Cause::none;            // none: any failure of the task's own
  std::vector<CodeRange> codes = {}; // with exit_code and signal: only these; empty: all
  std::uint32_t tries = 0;           // further tries after such an end
  bool charged = false;              // each is one of `retries`, too
  bool hold = false;                 // when no try is left: held for a person instead of failed
  Duration wait{0}; // before the first of these tries, then doubling; 0: as `retry.first`

  bool operator==(const RetryRule&) const = default;
  template<class V> static void fields(V& v) {
    v("on", &RetryRule::on);
    v("codes", &RetryRule::codes, {.max = 64});
    v("tries", &RetryRule::tries, {.max = 1000});
    v("charged", &RetryRule::charged);
    v("hold", &RetryRule::hold);
    v("wait_us", &RetryRule::wait, {.min = 0, .max = 86'400'000'000});
  }
};

enum class LabelOperator : std::uint8_t {
  in = 0,     // the node carries the label with one of the values
  not_in = 1, // it does not carry it, or with another value
  exists = 2,
  absent = 3,
  less = 4, // as numbers; the node's value on the left
  greater = 5,
  last_ = greater,
};
/// What a node's labels must be like.
struct Constraint {
  std::string label;
  LabelOperator op = LabelOperator::in;
  std::vector<std::string> values;

  bool operator==(const Constraint&) const = default;
  template<class V> static void fields(V& v) {
    v("label", &Constraint::label, {.required = true, .min = 1, .max = 256});
    v("op", &Constraint::op);
    v("values", &Constraint::values, {.max = 256});
  }
};
/// Near to, or away from, tasks of jobs that carry all of `labels`: on the same node, or on nodes
/// with the same value of the label `within`.
struct Affinity {
  std::map<std::string, std::string> labels;
  std::string within;   // a node label; empty: the node itself
  bool away = false;    // anti-affinity
  bool required = true; // else preferred

  bool operator==(const Affinity&) const = default;
  template<class V> static void fields(V& v) {
    v("labels", &Affinity::labels, {.required = true, .min = 1, .max = 16});
    v("within", &Affinity::within, {.max = 256});
    v("away", &Affinity::away);
    v("required", &Affinity::required, {.required = true});
  }
};
/// At most so many tasks at once that carry this limit's name, of all jobs together.
struct Limit {
  std::string name;
  std::uint32_t most = 1;
  bool per_node = false; // else in the whole cluster

  bool operator==(const Limit&) const = default;
  template<class V> static void fields(V& v) {
    v("name", &Limit::name, {.required = true, .min = 1, .max = 64});
    v("most", &Limit::most, {.min = 1});
    v("per_node", &Limit::per_node);
  }
};

/// What a client submits. One task (`count` 1) or an array. Everything a worker needs to run any of
/// its tasks is here.
struct JobSpec {
  std::string name;
  std::string user; // who it belongs to; the command line fills in the login name
  std::string queue = "default";
  std::string executor = "process"; // process | noop | sleep | a name that the agent has registered
  std::vector<std::string> command; // process: argv; sleep: one duration in microseconds
  std::map<std::string, std::string> env;
  std::string cwd;        // empty: a fresh working directory per task
  std::string stdin_file; // path on the node; empty: no input
  Bytes payload; // for executors that are functions; process: given in the file $REEVE_PAYLOAD
  std::vector<std::string> items; // one per task or none; process: $REEVE_ITEM, and `{}` in command
  std::uint32_t count = 1;
  std::int64_t index_first = 0; // $REEVE_ARRAY_INDEX = index_first + task * index_step
  std::int64_t index_step = 1;
  std::uint32_t max_parallel = 0;            // at most so many of its tasks at once; 0: no limit
  Resources resources;                       // of one task
  std::int32_t priority = 0;                 // higher first, where the queue's order looks at it
  Duration time_limit{0};                    // 0: none
  Duration estimate{0};                      // expected run time of one task; 0: unknown
  Duration grace = std::chrono::seconds(10); // between TERM and KILL
  std::uint32_t retries = 0;                 // tries after a failure of the task itself
  std::uint32_t lost_retries = 5;            // tries after the node was lost
  std::uint32_t output_limit =
    65'536; // bytes kept of the head, and again of the tail, of stdout and of stderr each
  std::map<std::string, std::string> labels; // free text for selecting and grouping, shown in lists
  std::map<std::string, std::string> node_labels; // only nodes that carry all of these
  std::vector<Dependency> after;
  FailurePolicy on_failure = FailurePolicy::go_on;
  std::vector<Constraint> constraints; // all must hold
  std::vector<Affinity> affinity;
  std::string spread;     // a node label over whose values its tasks are spread evenly
  bool exclusive = false; // alone on its nodes
  bool gang = false;      // all tasks start together or none; each knows its peers
  TimePoint deadline;     // 0: none; the order `edf` looks at it
  std::vector<Limit> limits;
  bool overcommit = false; // may be placed on what a node has only by its overcommit factor
  bool preemptible = true; // may be stopped and requeued for work of higher priority
  std::vector<RetryRule> retry;
  std::uint32_t crash_nodes = 0; // held when it was on so many nodes as they died; 0: the cluster's
                                 // `retry.crash_nodes`
  std::int32_t checkpoint_signal = 0; // sent before TERM when it is moved; 0: none
  Duration checkpoint_grace = std::chrono::seconds(60); // between that signal and TERM
  std::string correlation;  // the submitter's word for all this belongs to, from log line to result
  bool speculate = false;   // a task that takes far longer than usual gets a copy on another node
  Duration disconnect{0};   // its tasks on a lost node are given up only so long after
  Duration orphan_after{0}; // a node that hears no master for so long stops them; 0: never

  bool operator==(const JobSpec&) const = default;
  template<class V> static void fields(V& v) {
    constexpr std::int64_t year_us = 366LL * 24 * 3600 * 1'000'000;
    v("name", &JobSpec::name, {.max = 256});
    v("user", &JobSpec::user, {.max = 64});
    v("queue", &JobSpec::queue, {.min = 1, .max = 64});
    v("executor", &JobSpec::executor, {.min = 1, .max = 64});
    v("command", &JobSpec::command, {.max = 4096});
    v("env", &JobSpec::env, {.max = 4096});
    v("cwd", &JobSpec::cwd, {.max = 4096});
    v("stdin_file", &JobSpec::stdin_file, {.max = 4096});
    v("payload", &JobSpec::payload, {.max = 1 << 20});
    v("items", &JobSpec::items, {.max = 2'000'000});
    v("count", &JobSpec::count, {.min = 1, .max = tasks_max});
    v("index_first", &JobSpec::index_first, {.min = -(1LL << 40), .max = 1LL << 40});
    v("index_step", &JobSpec::index_step, {.min = -(1LL << 30), .max = 1LL << 30});
    v("max_parallel", &JobSpec::max_parallel);
    v("resources", &JobSpec::resources);
    v("priority", &JobSpec::priority, {.min = -1'000'000, .max = 1'000'000});
    v("time_limit_us", &JobSpec::time_limit, {.min = 0, .max = year_us});
    v("estimate_us", &JobSpec::estimate, {.min = 0, .max = year_us});
    v("grace_us", &JobSpec::grace, {.min = 0, .max = 3'600'000'000});
    v("retries", &JobSpec::retries, {.max = 1000});
    v("lost_retries", &JobSpec::lost_retries, {.max = 1000});
    v("output_limit", &JobSpec::output_limit, {.max = 16 << 20});
    v("labels", &JobSpec::labels, {.max = 64});
    v("node_labels", &JobSpec::node_labels, {.max = 64});
    v("after", &JobSpec::after, {.max = 1000});
    v("on_failure", &JobSpec::on_failure);
    v("constraints", &JobSpec::constraints, {.max = 64});
    v("affinity", &JobSpec::affinity, {.max = 16});
    v("spread", &JobSpec::spread, {.max = 256});
    v("exclusive", &JobSpec::exclusive);
    v("gang", &JobSpec::gang);
    v("deadline_us", &JobSpec::deadline, {.min = 0});
    v("limits", &JobSpec::limits, {.max = 16});
    v("overcommit", &JobSpec::overcommit);
    v("preemptible", &JobSpec::preemptible);
    v("retry", &JobSpec::retry, {.max = 32});
    v("crash_nodes", &JobSpec::crash_nodes, {.max = 1000});
    v("checkpoint_signal", &JobSpec::checkpoint_signal, {.min = 0, .max = 64});
    v("checkpoint_grace_us", &JobSpec::checkpoint_grace, {.min = 0, .max = 86'400'000'000});
    v("correlation", &JobSpec::correlation, {.max = 64});
    v("speculate", &JobSpec::speculate);
    v("disconnect_us", &JobSpec::disconnect, {.min = 0, .max = year_us});
    v("orphan_after_us", &JobSpec::orphan_after, {.min = 0, .max = year_us});
  }
};

/// Where a task stands. `assigned`: given to a node, resources booked there as the node's slots
/// allow. Interrupted: its node was lost and recovery has not decided yet.
enum class TaskState : std::uint8_t {
  pending = 0,
  assigned = 1,
  interrupted = 2,
  succeeded = 3,
  failed = 4,
  cancelled = 5,
  held = 6, // waits for a person: `reeve job retry` or `release`
  last_ = held,
};
constexpr bool is_final(TaskState s) {
  return s == TaskState::succeeded || s == TaskState::failed || s == TaskState::cancelled;
}

/// A job is pending until a task was placed, running until all are final, then ended with the worst
/// of its tasks' states.
enum class JobState : std::uint8_t {
  pending = 0,
  running = 1,
  succeeded = 2,
  failed = 3,
  cancelled = 4,
  held = 5,
  last_ = held,
};
constexpr bool is_final(JobState s) {
  return s == JobState::succeeded || s == JobState::failed || s == JobState::cancelled;
}

enum class NodeState : std::uint8_t {
  up = 0,
  suspect = 1, // no new work
  lost = 2,
  gone = 3, // took its leave, nothing runs there
  last_ = gone,
};

/// How a node departs from the rest.
struct NodeFlag {
  static constexpr bool as_array = true;
  std::string what;                              // run_time, failures, heartbeat, use
  std::int64_t value_milli = 0, usual_milli = 0; // here, and the median of all nodes; thousandths
  std::string text;                              // for people
  bool operator==(const NodeFlag&) const = default;
  template<class V> static void fields(V& v) {
    v("what", &NodeFlag::what);
    v("value_milli", &NodeFlag::value_milli);
    v("usual_milli", &NodeFlag::usual_milli);
    v("text", &NodeFlag::text);
  }
};

/// What one attempt used, measured by the agent.
struct Usage {
  static constexpr bool as_array = true;
  Duration wall{0}, user_cpu{0}, system_cpu{0};
  std::int64_t max_rss_bytes = 0;
  bool operator==(const Usage&) const = default;
  template<class V> static void fields(V& v) {
    v("wall_us", &Usage::wall);
    v("user_cpu_us", &Usage::user_cpu);
    v("system_cpu_us", &Usage::system_cpu);
    v("max_rss_bytes", &Usage::max_rss_bytes);
  }
};

/// How one attempt ended, as the agent saw it. Journalled as it is.
struct TaskResult {
  static constexpr bool as_array = true;
  TaskIndex index = 0;
  Attempt attempt = 1;
  Cause cause = Cause::none;
  std::int32_t exit_code = 0; // valid when cause is none or exit_code
  std::int32_t signal = 0;    // valid when cause is signal, time_limit, out_of_memory or cancelled
  TimePoint started, ended;   // by the node's clock
  Usage usage;
  std::string text; // one line for a person; empty when all is well
  Bytes result;     // small result, at most 64 KiB: what the task wrote to $REEVE_RESULT or the
                    // function returned
  std::uint64_t stdout_bytes = 0, stderr_bytes = 0; // written by the task, kept or not

  bool operator==(const TaskResult&) const = default;
  template<class V> static void fields(V& v) {
    v("index", &TaskResult::index, {.required = true});
    v("attempt", &TaskResult::attempt, {.min = 1});
    v("cause", &TaskResult::cause);
    v("exit_code", &TaskResult::exit_code);
    v("signal", &TaskResult::signal, {.min = 0, .max = 128});
    v("started_us", &TaskResult::started);
    v("ended_us", &TaskResult::ended);
    v("usage", &TaskResult::usage);
    v("text", &TaskResult::text, {.max = 4096});
    v("result", &TaskResult::result, {.max = 65'536});
    v("stdout_bytes", &TaskResult::stdout_bytes);
    v("stderr_bytes", &TaskResult::stderr_bytes);
  }
};

/// Tasks that ended well with nothing to tell (cause none, no result, no output), many in a few
/// bytes. Only executors without a process of their own report this way.
struct QuietRun {
  static constexpr bool as_array = true;
  TaskRun run;
  TimePoint started, ended; // of the first and the last task of the run
  bool operator==(const QuietRun&) const = default;
  template<class V> static void fields(V& v) {
    v("run", &QuietRun::run, {.required = true});
    v("started_us", &QuietRun::started);
    v("ended_us", &QuietRun::ended);
  }
};

/// Results of one job, from one node.
struct JobResults {
  static constexpr bool as_array = true;
  JobId job;
  std::vector<QuietRun> quiet;
  std::vector<TaskResult> tasks;
  bool operator==(const JobResults&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &JobResults::job, {.required = true, .min = 1});
    v("quiet", &JobResults::quiet, {.max = 100'000});
    v("tasks", &JobResults::tasks, {.max = 100'000});
  }
};

/// Runs of one job's tasks.
struct JobRuns {
  static constexpr bool as_array = true;
  JobId job;
  std::vector<TaskRun> runs;
  bool operator==(const JobRuns&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &JobRuns::job, {.required = true, .min = 1});
    v("runs", &JobRuns::runs, {.max = 1'000'000});
  }
};

std::string_view name_of(TaskState state);
std::string_view name_of(JobState state);
std::string_view name_of(Cause cause);
std::string_view name_of(NodeState state);
std::string_view name_of(DependencyKind kind);
std::string_view name_of(FailurePolicy policy);
std::string_view name_of(LabelOperator op);

/// Rules that need more than one field, or every entry of a list. Errors name the field below
/// `path` (such as `jobs[3]`).
Result<void> validate(const JobSpec& spec, std::string_view path);
Result<void> validate(const Resources& resources, std::string_view path);

// Resource arithmetic. A missing name counts as 0; a name whose amount falls to 0 is erased, so
// equal vectors compare equal.
Resources& operator+=(Resources& a, const Resources& b);
Resources& operator-=(Resources& a, const Resources& b);
Resources operator+(Resources a, const Resources& b);
Resources operator-(Resources a, const Resources& b);
Resources operator*(const Resources& a, std::int64_t n);
/// Every amount of `need` is covered by `have`.
bool fits(const Resources& need, const Resources& have);
/// How many times `need` goes into `have`; `most` when need is empty or more would fit.
std::int64_t times_fitting(const Resources& need, const Resources& have, std::int64_t most);
bool is_zero(const Resources& r);
/// "2 vcores, 1.5 GiB memory, 1 gpu"; "nothing" when empty.
std::string to_text(const Resources& r);
/// Which resource is short, as "memory: asked 4 GiB, available 1 GiB, capacity 2 GiB"; every short
/// one, joined by "; ".
std::string shortage(const Resources& asked, const Resources& available, const Resources& capacity);

/// Every type above whose bytes are read and written in one place.
// clang-format settles on no form for a list this long.
// clang-format off
#define REEVE_NOUNS(X) \
  X(Resources) X(TaskRun) X(Dependency) X(CodeRange) X(RetryRule) X(Constraint) X(Affinity) \
  X(Limit) X(JobSpec) X(NodeFlag) \
  X(Usage) X(TaskResult) X(QuietRun) X(JobResults) X(JobRuns)
// clang-format on
REEVE_NOUNS(REEVE_CODEC_DECLARE)

} // namespace reeve
