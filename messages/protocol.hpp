// Every message between clients, agents, operators and the master, once. The exact bytes are
// described in PROTOCOL.md. A message is two frames (behind ROUTER's routing id): a header, then
// one body. Used by net, actors, agents and clients.
#pragma once

#include "messages/codec.hpp"
#include "messages/types.hpp"

#include <array>

namespace reeve {

constexpr std::uint32_t protocol_version = 1;
constexpr std::array<std::uint32_t, 1> spoken_versions{1};

enum class MessageType : std::uint16_t {
  // anyone
  hello = 1,
  welcome = 2,
  failed = 3,
  done = 4,
  bundle = 5,
  // client -> master, and the answers
  submit = 10,
  submitted = 11,
  act_on_jobs = 12,
  wait = 14,
  progress = 15,
  allocate = 16,
  granted = 17,
  release = 18,
  renew = 19,
  act_on_nodes = 20,
  set_config = 21,
  step = 22, // master actions: snapshot
  set_log_level = 23,
  list_jobs = 30,
  job_list = 31,
  list_tasks = 32,
  task_list = 33,
  list_nodes = 34,
  node_list = 35,
  get_stats = 36,
  stats = 37,
  get_master = 38,
  master_status = 39,
  list_leases = 40,
  lease_list = 41,
  query_history = 42,
  history_rows = 43,
  read_log = 44,
  log_chunk = 45,
  explain = 46,
  explained = 47,
  get_config = 48,
  config_values = 49,
  // agent -> master
  register_node = 60,
  heartbeat = 61,
  results = 62,
  log_reply = 63,
  leave = 64,
  pull = 65,
  // master -> agent
  registered = 80,
  assign = 81,
  results_ack = 82,
  stop_tasks = 83,
  beacon = 84,
  log_request = 85,
  register_again = 86,
};
std::string_view name_of(MessageType type);

/// First frame: [version, type, correlation, epoch]. A reply carries its request's correlation id.
/// Masters fill in their epoch; clients and agents send 0 or the highest epoch they have seen.
struct Header {
  static constexpr bool as_array = true;
  std::uint32_t version = protocol_version;
  MessageType type = MessageType::failed;
  std::uint64_t correlation = 0;
  Epoch epoch;
  bool operator==(const Header&) const = default;
  template<class V> static void fields(V& v) {
    v("version", &Header::version, {.required = true});
    v("type", &Header::type, {.required = true});
    v("correlation", &Header::correlation);
    v("epoch", &Header::epoch);
  }
};

// ---- anyone
// ----------------------------------------------------------------------------------------------------------------

/// Optional first message of a client: which versions it speaks and who it is.
struct Hello {
  static constexpr MessageType type = MessageType::hello;
  std::vector<std::uint32_t> versions;
  std::string name;
  bool standby = false; // a master that does not lead will do: questions are answered from what it
                        // knows, which may be a little old
  bool operator==(const Hello&) const = default;
  template<class V> static void fields(V& v) {
    v("versions", &Hello::versions, {.max = 64});
    v("name", &Hello::name, {.max = 256});
    v("standby", &Hello::standby);
  }
};
struct Welcome {
  static constexpr MessageType type = MessageType::welcome;
  std::uint32_t version = protocol_version; // to be used from now on
  std::string cluster, master, program;     // program: "reeved 0.1.0"
  Epoch epoch;
  std::int64_t frame_bytes_max = 16 << 20;
  std::string events;          // endpoint of the event stream
  bool bundles = false;        // are understood
  std::string role = "leader"; // or standby
  bool operator==(const Welcome&) const = default;
  template<class V> static void fields(V& v) {
    v("version", &Welcome::version);
    v("cluster", &Welcome::cluster);
    v("master", &Welcome::master);
    v("program", &Welcome::program);
    v("epoch", &Welcome::epoch);
    v("frame_bytes_max", &Welcome::frame_bytes_max);
    v("events", &Welcome::events);
    v("bundles", &Welcome::bundles);
    v("role", &Welcome::role);
  }
};
/// Several messages in one, so that the sockets' work is done once for all of them. Each means what
/// it would mean alone; a bundle holds no bundles.
struct Bundled { // the two frames of one message
  static constexpr bool as_array = true;
  Bytes header, body;
  bool operator==(const Bundled&) const = default;
  template<class V> static void fields(V& v) {
    v("header", &Bundled::header, {.required = true, .max = 1'024});
    v("body", &Bundled::body, {.required = true});
  }
};
constexpr std::int64_t bundled_max = 1'024;
struct Bundle {
  static constexpr MessageType type = MessageType::bundle;
  std::vector<Bundled> messages;
  bool operator==(const Bundle&) const = default;
  template<class V> static void fields(V& v) {
    v("messages", &Bundle::messages, {.required = true, .min = 1, .max = bundled_max});
  }
};
/// The answer when something could not be done.
struct Failed {
  static constexpr MessageType type = MessageType::failed;
  Code code = Code::internal;
  std::string field, text;
  Duration retry_after{0};             // with busy and unavailable
  std::vector<std::uint32_t> versions; // with unknown_version: what is spoken here
  bool operator==(const Failed&) const = default;
  template<class V> static void fields(V& v) {
    v("code", &Failed::code, {.required = true});
    v("field", &Failed::field);
    v("text", &Failed::text);
    v("retry_after_us", &Failed::retry_after);
    v("versions", &Failed::versions);
  }
};
/// The answer when there is nothing to say but that it is done, and durable.
struct Done {
  static constexpr MessageType type = MessageType::done;
  std::uint64_t changed = 0; // tasks, nodes, … changed
  std::string text;
  bool operator==(const Done&) const = default;
  template<class V> static void fields(V& v) {
    v("changed", &Done::changed);
    v("text", &Done::text);
  }
};

// ---- clients
// ---------------------------------------------------------------------------------------------------------------

/// New jobs. They get consecutive ids. `key` makes it idempotent: the same key again gives the same
/// ids and no second jobs, as long as the first of them is kept.
struct Submit {
  static constexpr MessageType type = MessageType::submit;
  Bytes key; // empty: not idempotent
  std::vector<JobSpec> jobs;
  bool dry_run = false; // check only; nothing is stored
  bool operator==(const Submit&) const = default;
  template<class V> static void fields(V& v) {
    v("key", &Submit::key, {.max = 64});
    v("jobs", &Submit::jobs, {.required = true, .min = 1, .max = 100'000});
    v("dry_run", &Submit::dry_run);
  }
};
struct Submitted {
  static constexpr MessageType type = MessageType::submitted;
  JobId first; // 0 for a dry run
  std::uint32_t count = 0;
  bool duplicate = false;              // the key was known: these are the jobs of the first time
  std::string text;                    // dry run: where the first would go
  std::vector<std::string> texts = {}; // dry run: where each would go
  bool operator==(const Submitted&) const = default;
  template<class V> static void fields(V& v) {
    v("first", &Submitted::first);
    v("count", &Submitted::count);
    v("duplicate", &Submitted::duplicate);
    v("text", &Submitted::text);
    v("texts", &Submitted::texts);
  }
};

enum class JobAction : std::uint8_t {
  cancel = 0,
  retry = 1,
  hold = 2,
  release = 3,
  last_ = release
};
/// Acts on whole jobs and on chosen tasks. Answer: Done with the number of tasks changed.
struct ActOnJobs {
  static constexpr MessageType type = MessageType::act_on_jobs;
  JobAction action = JobAction::cancel;
  std::vector<JobId> jobs;
  std::vector<JobRuns> tasks; // attempt is ignored
  std::string reason;
  bool operator==(const ActOnJobs&) const = default;
  template<class V> static void fields(V& v) {
    v("action", &ActOnJobs::action, {.required = true});
    v("jobs", &ActOnJobs::jobs, {.max = 100'000});
    v("tasks", &ActOnJobs::tasks, {.max = 10'000});
    v("reason", &ActOnJobs::reason, {.max = 1024});
  }
};

/// Counts of one job's tasks, and how the job stands.
struct JobProgress {
  JobId job;
  JobState state = JobState::pending;
  std::uint32_t total = 0, pending = 0, assigned = 0, succeeded = 0, failed = 0, cancelled = 0,
                held = 0, interrupted = 0;
  std::int32_t exit_code =
    0; // of the first task that failed with an exit code, else 128 + signal, else 1 when failed
  bool operator==(const JobProgress&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &JobProgress::job);
    v("state", &JobProgress::state);
    v("total", &JobProgress::total);
    v("pending", &JobProgress::pending);
    v("assigned", &JobProgress::assigned);
    v("succeeded", &JobProgress::succeeded);
    v("failed", &JobProgress::failed);
    v("cancelled", &JobProgress::cancelled);
    v("held", &JobProgress::held);
    v("interrupted", &JobProgress::interrupted);
    v("exit_code", &JobProgress::exit_code);
  }
};
/// Tell me when these have ended. Answers: Progress with `last` false at most every `every` while
/// something changed (0: none), then one with `last` true. A job that there never was ends the wait
/// with Failed{not_found}, and one that is forgotten, too, unless the history knows how it ended.
struct Wait {
  static constexpr MessageType type = MessageType::wait;
  std::vector<JobId> jobs;
  Duration every{0};
  bool operator==(const Wait&) const = default;
  template<class V> static void fields(V& v) {
    v("jobs", &Wait::jobs, {.required = true, .min = 1, .max = 100'000});
    v("every_us", &Wait::every, {.min = 0});
  }
};
struct Progress {
  static constexpr MessageType type = MessageType::progress;
  std::vector<JobProgress> jobs;
  bool last = false;
  bool operator==(const Progress&) const = default;
  template<class V> static void fields(V& v) {
    v("jobs", &Progress::jobs);
    v("last", &Progress::last);
  }
};

/// Active allocation: hold resources of a node without a task. Granted at once or refused with the
/// reason.
struct Allocate {
  static constexpr MessageType type = MessageType::allocate;
  std::string node;  // name; empty: any node with room
  std::string owner; // who holds it
  Resources resources;
  Duration duration{0};      // until it must be renewed; 0: until released
  Bytes key;                 // idempotent as in Submit
  std::string queue;         // in whose limits and shares it counts; empty: scheduler.lease_queue
  std::vector<Limit> limits; // it counts in these as a task would
  bool operator==(const Allocate&) const = default;
  template<class V> static void fields(V& v) {
    v("node", &Allocate::node, {.max = 256});
    v("owner", &Allocate::owner, {.max = 256});
    v("resources", &Allocate::resources, {.required = true});
    v("duration_us", &Allocate::duration, {.min = 0});
    v("key", &Allocate::key, {.max = 64});
    v("queue", &Allocate::queue, {.max = 64});
    v("limits", &Allocate::limits, {.max = 16});
  }
};
struct LeaseView {
  LeaseId lease;
  std::string node, owner;
  Resources resources;
  TimePoint granted, expires; // expires 0: until released
  std::string queue = {};     // empty: that of scheduler.lease_queue
  std::vector<Limit> limits = {};
  bool operator==(const LeaseView&) const = default;
  template<class V> static void fields(V& v) {
    v("lease", &LeaseView::lease);
    v("node", &LeaseView::node);
    v("owner", &LeaseView::owner);
    v("resources", &LeaseView::resources);
    v("granted_us", &LeaseView::granted);
    v("expires_us", &LeaseView::expires);
    v("queue", &LeaseView::queue);
    v("limits", &LeaseView::limits);
  }
};
struct Granted {
  static constexpr MessageType type = MessageType::granted;
  LeaseView lease;
  Resources available; // on that node, afterwards
  bool operator==(const Granted&) const = default;
  template<class V> static void fields(V& v) {
    v("lease", &Granted::lease);
    v("available", &Granted::available);
  }
};
/// Gives leases back: one by id, or every lease on a node (optionally of one owner). Answer: Done.
struct Release {
  static constexpr MessageType type = MessageType::release;
  LeaseId lease;
  std::string node, owner;
  bool operator==(const Release&) const = default;
  template<class V> static void fields(V& v) {
    v("lease", &Release::lease);
    v("node", &Release::node, {.max = 256});
    v("owner", &Release::owner, {.max = 256});
  }
};
struct Renew {
  static constexpr MessageType type = MessageType::renew;
  LeaseId lease;
  Duration duration{0};
  bool operator==(const Renew&) const = default;
  template<class V> static void fields(V& v) {
    v("lease", &Renew::lease, {.required = true, .min = 1});
    v("duration_us", &Renew::duration, {.min = 0});
  }
};

enum class NodeAction : std::uint8_t {
  drain = 0,
  undrain = 1,
  label = 2,
  remove = 3,
  quarantine = 4, // no new work for `duration`
  last_ = quarantine
};
/// Answer: Done with the number of nodes changed.
struct ActOnNodes {
  static constexpr MessageType type = MessageType::act_on_nodes;
  NodeAction action = NodeAction::drain;
  std::vector<std::string> nodes; // names
  std::string reason;
  std::map<std::string, std::string> labels; // label: an empty value removes one
  Duration duration{0};                      // quarantine: how long; 0: lift it
  std::optional<Duration> deadline = {}; // drain: what still runs then is moved; none: it runs on
  bool operator==(const ActOnNodes&) const = default;
  template<class V> static void fields(V& v) {
    v("action", &ActOnNodes::action, {.required = true});
    v("nodes", &ActOnNodes::nodes, {.required = true, .min = 1, .max = 100'000});
    v("reason", &ActOnNodes::reason, {.max = 1024});
    v("labels", &ActOnNodes::labels, {.max = 64});
    v("duration_us", &ActOnNodes::duration, {.min = 0});
    v("deadline_us", &ActOnNodes::deadline, {.min = 0});
  }
};
/// Changes run-time settings, all or none. Names and allowed values: docs/configuration.md. Answer:
/// Done.
struct SetConfig {
  static constexpr MessageType type = MessageType::set_config;
  std::map<std::string, std::string> values;
  bool operator==(const SetConfig&) const = default;
  template<class V> static void fields(V& v) {
    v("values", &SetConfig::values, {.required = true, .min = 1, .max = 256});
  }
};
struct GetConfig {
  static constexpr MessageType type = MessageType::get_config;
  bool operator==(const GetConfig&) const = default;
  template<class V> static void fields(V&) {}
};
struct ConfigValues {
  static constexpr MessageType type = MessageType::config_values;
  std::map<std::string, std::string> values, defaults;
  bool operator==(const ConfigValues&) const = default;
  template<class V> static void fields(V& v) {
    v("values", &ConfigValues::values);
    v("defaults", &ConfigValues::defaults);
  }
};
enum class MasterAction : std::uint8_t {
  snapshot = 0,
  step_down = 1, // hand the reign to a standby
  sweep = 2,     // give back now what nobody needs any more
  last_ = sweep
};
struct Step {
  static constexpr MessageType type = MessageType::step;
  MasterAction action = MasterAction::snapshot;
  bool dry_run = false; // sweep: only say what it would give back
  bool operator==(const Step&) const = default;
  template<class V> static void fields(V& v) {
    v("action", &Step::action, {.required = true});
    v("dry_run", &Step::dry_run);
  }
};
/// How much this master logs from now on, until it is started again. Answer: Done.
struct SetLogLevel {
  static constexpr MessageType type = MessageType::set_log_level;
  std::string level; // trace, debug, info, warn, error or off
  bool operator==(const SetLogLevel&) const = default;
  template<class V> static void fields(V& v) {
    v("level", &SetLogLevel::level, {.required = true, .min = 1, .max = 16});
  }
};

// ---- questions
// -------------------------------------------------------------------------------------------------------------

struct JobView {
  JobProgress progress;
  std::string name, user, queue;
  std::int32_t priority = 0;
  TimePoint submitted, started, ended; // 0: not yet
  std::map<std::string, std::string> labels;
  std::string reason;      // why it waits, is held, or ended as it did
  Raw spec;                // the JobSpec, when asked for
  std::string correlation; // as submitted
  bool operator==(const JobView&) const = default;
  template<class V> static void fields(V& v) {
    v("progress", &JobView::progress);
    v("name", &JobView::name);
    v("user", &JobView::user);
    v("queue", &JobView::queue);
    v("priority", &JobView::priority);
    v("submitted_us", &JobView::submitted);
    v("started_us", &JobView::started);
    v("ended_us", &JobView::ended);
    v("labels", &JobView::labels);
    v("reason", &JobView::reason);
    v("spec", &JobView::spec);
    v("correlation", &JobView::correlation);
  }
};
/// Jobs that the master still holds (older ones: QueryHistory), newest first.
struct ListJobs {
  static constexpr MessageType type = MessageType::list_jobs;
  std::vector<JobId> jobs;       // empty: all
  std::string name, user, queue; // empty: any; name may end in *
  std::map<std::string, std::string> labels;
  std::vector<JobState> states; // empty: any
  JobId before;                 // for paging: only ids below
  std::uint32_t limit = 100;
  bool spec = false;
  bool oldest_first = false; // and `before` then means: only ids above
  bool operator==(const ListJobs&) const = default;
  template<class V> static void fields(V& v) {
    v("jobs", &ListJobs::jobs, {.max = 100'000});
    v("name", &ListJobs::name, {.max = 256});
    v("user", &ListJobs::user, {.max = 64});
    v("queue", &ListJobs::queue, {.max = 64});
    v("labels", &ListJobs::labels, {.max = 64});
    v("states", &ListJobs::states, {.max = 16});
    v("before", &ListJobs::before);
    v("limit", &ListJobs::limit, {.min = 1, .max = 10'000});
    v("spec", &ListJobs::spec);
    v("oldest_first", &ListJobs::oldest_first);
  }
};
struct JobList {
  static constexpr MessageType type = MessageType::job_list;
  std::vector<JobView> jobs;
  bool more = false;
  Seq seq; // the state shown is that after this entry
  bool operator==(const JobList&) const = default;
  template<class V> static void fields(V& v) {
    v("jobs", &JobList::jobs);
    v("more", &JobList::more);
    v("seq", &JobList::seq);
  }
};
struct TaskView {
  JobId job;
  TaskIndex index = 0;
  TaskState state = TaskState::pending;
  Attempt attempt = 0; // the current or last one; 0: none yet
  std::string node;    // where it is or was
  std::string reason;  // why it waits or is held
  TaskResult last;     // of the last attempt that ended, when `ended`
  bool ended = false;
  TimePoint not_before; // backoff; 0: none
  bool operator==(const TaskView&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &TaskView::job);
    v("index", &TaskView::index);
    v("state", &TaskView::state);
    v("attempt", &TaskView::attempt);
    v("node", &TaskView::node);
    v("reason", &TaskView::reason);
    v("last", &TaskView::last);
    v("ended", &TaskView::ended);
    v("not_before_us", &TaskView::not_before);
  }
};
struct ListTasks {
  static constexpr MessageType type = MessageType::list_tasks;
  JobId job;
  TaskIndex from = 0; // first index looked at
  std::vector<TaskState> states;
  std::uint32_t limit = 100;
  bool operator==(const ListTasks&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &ListTasks::job, {.required = true, .min = 1});
    v("from", &ListTasks::from);
    v("states", &ListTasks::states, {.max = 16});
    v("limit", &ListTasks::limit, {.min = 1, .max = 10'000});
  }
};
struct TaskList {
  static constexpr MessageType type = MessageType::task_list;
  std::vector<TaskView> tasks;
  bool more = false;
  TaskIndex next = 0; // `from` of the next page
  Seq seq;            // of a standby: what is shown is the state after this entry
  bool operator==(const TaskList&) const = default;
  template<class V> static void fields(V& v) {
    v("tasks", &TaskList::tasks);
    v("more", &TaskList::more);
    v("next", &TaskList::next);
    v("seq", &TaskList::seq);
  }
};
struct NodeView {
  NodeId node;
  std::string name;
  NodeState state = NodeState::up;
  bool draining = false;
  std::string reason;                  // of the drain or the loss
  Resources capacity, available, used; // used: measured by the agent
  std::uint32_t tasks = 0, leases = 0; // in flight there
  std::map<std::string, std::string> labels;
  std::string program; // "reeve-agent 0.1.0"
  TimePoint registered, heard;
  Incarnation incarnation;
  TimePoint quarantined; // until then; 0: not
  std::uint32_t overcommit_milli =
    1000;                           // how much of its capacity may be given, for jobs that allow it
  bool closed = false;              // above the high mark of utilisation
  TimePoint drain_deadline = {};    // what runs there then is moved away; 0: it runs on
  std::vector<NodeFlag> flags = {}; // how it departs from the rest
  bool pulls = false;               // gets work only when it asks
  bool operator==(const NodeView&) const = default;
  template<class V> static void fields(V& v) {
    v("node", &NodeView::node);
    v("name", &NodeView::name);
    v("state", &NodeView::state);
    v("draining", &NodeView::draining);
    v("reason", &NodeView::reason);
    v("capacity", &NodeView::capacity);
    v("available", &NodeView::available);
    v("used", &NodeView::used);
    v("tasks", &NodeView::tasks);
    v("leases", &NodeView::leases);
    v("labels", &NodeView::labels);
    v("program", &NodeView::program);
    v("registered_us", &NodeView::registered);
    v("heard_us", &NodeView::heard);
    v("incarnation", &NodeView::incarnation);
    v("quarantined_us", &NodeView::quarantined);
    v("overcommit_milli", &NodeView::overcommit_milli);
    v("closed", &NodeView::closed);
    v("drain_deadline_us", &NodeView::drain_deadline);
    v("flags", &NodeView::flags);
    v("pulls", &NodeView::pulls);
  }
};
struct ListNodes {
  static constexpr MessageType type = MessageType::list_nodes;
  std::vector<std::string> names; // empty: all
  bool operator==(const ListNodes&) const = default;
  template<class V> static void fields(V& v) { v("names", &ListNodes::names, {.max = 100'000}); }
};
struct NodeList {
  static constexpr MessageType type = MessageType::node_list;
  std::vector<NodeView> nodes;
  Seq seq;
  bool operator==(const NodeList&) const = default;
  template<class V> static void fields(V& v) {
    v("nodes", &NodeList::nodes);
    v("seq", &NodeList::seq);
  }
};
/// How often something took how long, since the program started. counts[i]: at most bounds_us[i]
/// and more than the bound before; the last one: more than every bound.
struct Histogram {
  std::vector<std::int64_t> bounds_us;
  std::vector<std::uint64_t> counts; // one more than bounds
  std::int64_t sum_us = 0;
  bool operator==(const Histogram&) const = default;
  template<class V> static void fields(V& v) {
    v("bounds_us", &Histogram::bounds_us, {.max = 64});
    v("counts", &Histogram::counts, {.max = 65});
    v("sum_us", &Histogram::sum_us);
  }
};
struct GetStats {
  static constexpr MessageType type = MessageType::get_stats;
  bool operator==(const GetStats&) const = default;
  template<class V> static void fields(V&) {}
};
struct Stats {
  static constexpr MessageType type = MessageType::stats;
  std::uint64_t jobs = 0, jobs_pending = 0, jobs_running = 0;
  std::uint64_t tasks_pending = 0, tasks_assigned = 0, tasks_held = 0;
  std::uint64_t submitted = 0, placed = 0, succeeded = 0, failed = 0, cancelled = 0,
                requeued = 0; // tasks, since the first start
  std::uint32_t nodes_up = 0, nodes_suspect = 0, nodes_lost = 0, nodes_draining = 0;
  Resources capacity, available;
  Seq seq;
  Duration uptime{0};
  std::map<std::string, std::int64_t>
    counters; // of the running program: messages, commits, refusals …
  std::map<std::string, Histogram> histograms; // of the running program
  bool operator==(const Stats&) const = default;
  template<class V> static void fields(V& v) {
    v("jobs", &Stats::jobs);
    v("jobs_pending", &Stats::jobs_pending);
    v("jobs_running", &Stats::jobs_running);
    v("tasks_pending", &Stats::tasks_pending);
    v("tasks_assigned", &Stats::tasks_assigned);
    v("tasks_held", &Stats::tasks_held);
    v("submitted", &Stats::submitted);
    v("placed", &Stats::placed);
    v("succeeded", &Stats::succeeded);
    v("failed", &Stats::failed);
    v("cancelled", &Stats::cancelled);
    v("requeued", &Stats::requeued);
    v("nodes_up", &Stats::nodes_up);
    v("nodes_suspect", &Stats::nodes_suspect);
    v("nodes_lost", &Stats::nodes_lost);
    v("nodes_draining", &Stats::nodes_draining);
    v("capacity", &Stats::capacity);
    v("available", &Stats::available);
    v("seq", &Stats::seq);
    v("uptime_us", &Stats::uptime);
    v("counters", &Stats::counters);
    v("histograms", &Stats::histograms, {.max = 64});
  }
};
struct GetMaster {
  static constexpr MessageType type = MessageType::get_master;
  bool operator==(const GetMaster&) const = default;
  template<class V> static void fields(V&) {}
};
struct MasterStatus {
  static constexpr MessageType type = MessageType::master_status;
  std::string cluster, master, program, role; // role: leader, standby
  Epoch epoch;
  Seq seq, durable, snapshot;
  std::string journal; // "sqlite: healthy" or what ails it
  bool accepting = true;
  TimePoint started;
  std::uint64_t state_hash = 0;
  std::string leader, leader_endpoint; // as this master knows it; empty: nobody reigns
  std::uint64_t lag = 0;               // entries that are durable and not yet known here
  Duration confirmed{0}; // since the shared journal last confirmed what this master holds; with one
                         // master always 0
  bool operator==(const MasterStatus&) const = default;
  template<class V> static void fields(V& v) {
    v("cluster", &MasterStatus::cluster);
    v("master", &MasterStatus::master);
    v("program", &MasterStatus::program);
    v("role", &MasterStatus::role);
    v("epoch", &MasterStatus::epoch);
    v("seq", &MasterStatus::seq);
    v("durable", &MasterStatus::durable);
    v("snapshot", &MasterStatus::snapshot);
    v("journal", &MasterStatus::journal);
    v("accepting", &MasterStatus::accepting, {.required = true});
    v("started_us", &MasterStatus::started);
    v("state_hash", &MasterStatus::state_hash);
    v("leader", &MasterStatus::leader);
    v("leader_endpoint", &MasterStatus::leader_endpoint);
    v("lag", &MasterStatus::lag);
    v("confirmed_us", &MasterStatus::confirmed);
  }
};
struct ListLeases {
  static constexpr MessageType type = MessageType::list_leases;
  bool operator==(const ListLeases&) const = default;
  template<class V> static void fields(V&) {}
};
struct LeaseList {
  static constexpr MessageType type = MessageType::lease_list;
  std::vector<LeaseView> leases;
  Seq seq; // of a standby: what is shown is the state after this entry
  bool operator==(const LeaseList&) const = default;
  template<class V> static void fields(V& v) {
    v("leases", &LeaseList::leases);
    v("seq", &LeaseList::seq);
  }
};
enum class HistoryKind : std::uint8_t {
  jobs = 0,
  attempts = 1,
  nodes = 2,
  config = 3,
  last_ = config
};
/// Rows of the history database, newest first. Empty fields do not filter.
struct QueryHistory {
  static constexpr MessageType type = MessageType::query_history;
  HistoryKind kind = HistoryKind::jobs;
  TimePoint since, until; // 0: open
  std::string name, user, queue, node, state;
  JobId job;
  std::uint32_t limit = 100;
  std::uint64_t before = 0; // row id, for paging
  std::string by; // not empty: totals of each user, queue, name, node, hour, day, or of all
  std::optional<TaskIndex> task; // of the job; attempts only
  bool operator==(const QueryHistory&) const = default;
  template<class V> static void fields(V& v) {
    v("kind", &QueryHistory::kind);
    v("since_us", &QueryHistory::since);
    v("until_us", &QueryHistory::until);
    v("name", &QueryHistory::name, {.max = 256});
    v("user", &QueryHistory::user, {.max = 64});
    v("queue", &QueryHistory::queue, {.max = 64});
    v("node", &QueryHistory::node, {.max = 256});
    v("state", &QueryHistory::state, {.max = 32});
    v("job", &QueryHistory::job);
    v("limit", &QueryHistory::limit, {.min = 1, .max = 10'000});
    v("before", &QueryHistory::before);
    v("by", &QueryHistory::by, {.max = 16});
    v("task", &QueryHistory::task);
  }
};
/// A table: names of the columns, then rows of values as text (empty: null).
struct HistoryRows {
  static constexpr MessageType type = MessageType::history_rows;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
  std::uint64_t next = 0; // `before` of the next page; 0: that was all
  bool operator==(const HistoryRows&) const = default;
  template<class V> static void fields(V& v) {
    v("columns", &HistoryRows::columns);
    v("rows", &HistoryRows::rows);
    v("next", &HistoryRows::next);
  }
};
enum class Stream : std::uint8_t { out = 0, err = 1, last_ = err };
struct ReadLog {
  static constexpr MessageType type = MessageType::read_log;
  JobId job;
  TaskIndex index = 0;
  Attempt attempt = 0; // 0: the last one that was placed
  Stream stream = Stream::out;
  std::uint64_t offset = 0;
  std::uint32_t limit = 65'536;
  bool operator==(const ReadLog&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &ReadLog::job, {.required = true, .min = 1});
    v("index", &ReadLog::index);
    v("attempt", &ReadLog::attempt);
    v("stream", &ReadLog::stream);
    v("offset", &ReadLog::offset);
    v("limit", &ReadLog::limit, {.min = 1, .max = 1 << 20});
  }
};
/// A piece of a task's output. Only a head and a tail are kept: [head_end, tail_begin) was dropped
/// when tail_begin > head_end.
struct LogChunk {
  static constexpr MessageType type = MessageType::log_chunk;
  Bytes data;                // from `offset`
  std::uint64_t offset = 0;  // may be later than asked: what lies between was dropped
  std::uint64_t written = 0; // by the task so far
  bool ended = false;        // the attempt is over: nothing will follow
  Attempt attempt = 0;
  bool operator==(const LogChunk&) const = default;
  template<class V> static void fields(V& v) {
    v("data", &LogChunk::data);
    v("offset", &LogChunk::offset);
    v("written", &LogChunk::written);
    v("ended", &LogChunk::ended);
    v("attempt", &LogChunk::attempt);
  }
};
/// Why does this task wait, or why is it where it is?
struct Explain {
  static constexpr MessageType type = MessageType::explain;
  JobId job;
  TaskIndex index = 0;
  bool operator==(const Explain&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &Explain::job, {.required = true, .min = 1});
    v("index", &Explain::index);
  }
};
struct Explained {
  static constexpr MessageType type = MessageType::explained;
  std::string summary;                        // one sentence
  std::map<std::string, std::uint32_t> nodes; // refusal reason -> how many nodes
  std::vector<std::string> notes;
  std::uint64_t ahead = 0; // tasks before it in its queue
  TimePoint start;         // when it is expected to start; 0: unknown
  bool operator==(const Explained&) const = default;
  template<class V> static void fields(V& v) {
    v("summary", &Explained::summary);
    v("nodes", &Explained::nodes);
    v("notes", &Explained::notes);
    v("ahead", &Explained::ahead);
    v("start_us", &Explained::start);
  }
};

// ---- agents
// ----------------------------------------------------------------------------------------------------------------

/// First message of an agent on every connection, and the answer to RegisterAgain.
struct RegisterNode {
  static constexpr MessageType type = MessageType::register_node;
  std::string name;
  Incarnation incarnation; // one run of the keeper: it changes exactly when running tasks were lost
  std::uint64_t session = 0; // random, new for every registration message
  Resources capacity;
  std::map<std::string, std::string> labels;
  std::vector<std::string> executors;
  std::string program; // "reeve-agent 0.1.0"
  std::vector<JobRuns>
    attempts;         // everything it has: waiting, running, or ended and not acknowledged
  bool pulls = false; // wants work only when it asks (Pull)
  bool operator==(const RegisterNode&) const = default;
  template<class V> static void fields(V& v) {
    v("name", &RegisterNode::name, {.required = true, .min = 1, .max = 256});
    v("incarnation", &RegisterNode::incarnation, {.required = true, .min = 1});
    v("session", &RegisterNode::session, {.required = true});
    v("capacity", &RegisterNode::capacity, {.required = true});
    v("labels", &RegisterNode::labels, {.max = 64});
    v("executors", &RegisterNode::executors, {.max = 64});
    v("program", &RegisterNode::program, {.max = 256});
    v("attempts", &RegisterNode::attempts, {.max = 1'000'000});
    v("pulls", &RegisterNode::pulls);
  }
};
struct Heartbeat {
  static constexpr MessageType type = MessageType::heartbeat;
  std::uint64_t session = 0;
  std::uint64_t assign_seen = 0; // highest Assign.number received without a gap
  Resources used;                // measured: by the tasks and everything else on the machine
  std::uint32_t running = 0, waiting = 0;
  std::string trouble = {}; // last line of its check script when that fails; empty: all is well
  bool operator==(const Heartbeat&) const = default;
  template<class V> static void fields(V& v) {
    v("session", &Heartbeat::session, {.required = true});
    v("assign_seen", &Heartbeat::assign_seen);
    v("used", &Heartbeat::used);
    v("running", &Heartbeat::running);
    v("waiting", &Heartbeat::waiting);
    v("trouble", &Heartbeat::trouble, {.max = 256});
  }
};
/// The head of what a finished task wrote, so that short outputs outlive the node.
struct TaskOutput {
  static constexpr bool as_array = true;
  JobId job;
  TaskIndex index = 0;
  Attempt attempt = 1;
  Bytes out, err; // first 4 KiB at most of each
  bool operator==(const TaskOutput&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &TaskOutput::job, {.required = true});
    v("index", &TaskOutput::index, {.required = true});
    v("attempt", &TaskOutput::attempt, {.required = true});
    v("stdout", &TaskOutput::out, {.max = 4096});
    v("stderr", &TaskOutput::err, {.max = 4096});
  }
};
/// Kept by the agent and sent again after each registration until ResultsAck carries its number.
struct Results {
  static constexpr MessageType type = MessageType::results;
  std::uint64_t session = 0;
  std::uint64_t number = 0; // chosen by the agent
  std::vector<JobResults> jobs;
  std::vector<TaskOutput> outputs;
  bool operator==(const Results&) const = default;
  template<class V> static void fields(V& v) {
    v("session", &Results::session, {.required = true});
    v("number", &Results::number, {.required = true});
    v("jobs", &Results::jobs, {.required = true, .max = 100'000});
    v("outputs", &Results::outputs, {.max = 100'000});
  }
};
/// An orderly end: nothing runs here any more and nothing shall come.
struct Leave {
  static constexpr MessageType type = MessageType::leave;
  std::uint64_t session = 0;
  std::string reason;
  bool operator==(const Leave&) const = default;
  template<class V> static void fields(V& v) {
    v("session", &Leave::session, {.required = true});
    v("reason", &Leave::reason, {.max = 1024});
  }
};
/// A node that has room asks for work. Work comes as Assign, when there is any.
struct Pull {
  static constexpr MessageType type = MessageType::pull;
  std::uint64_t session = 0;
  bool operator==(const Pull&) const = default;
  template<class V> static void fields(V& v) { v("session", &Pull::session, {.required = true}); }
};
struct LogReply {
  static constexpr MessageType type = MessageType::log_reply;
  std::uint64_t request = 0;
  std::optional<LogChunk> chunk; // none: `text` says why
  std::string text;
  bool operator==(const LogReply&) const = default;
  template<class V> static void fields(V& v) {
    v("request", &LogReply::request, {.required = true});
    v("chunk", &LogReply::chunk);
    v("text", &LogReply::text, {.max = 1024});
  }
};

struct Registered {
  static constexpr MessageType type = MessageType::registered;
  NodeId node;
  std::uint64_t session = 0; // of the RegisterNode answered
  Duration heartbeat{0};
  std::vector<JobRuns>
    stop; // attempts that are no longer this node's: kill and forget, report nothing
  bool operator==(const Registered&) const = default;
  template<class V> static void fields(V& v) {
    v("node", &Registered::node);
    v("session", &Registered::session);
    v("heartbeat_us", &Registered::heartbeat);
    v("stop", &Registered::stop);
  }
};
struct AssignedSpec {
  static constexpr bool as_array = true;
  JobId job;
  Raw spec; // a JobSpec without items
  bool operator==(const AssignedSpec&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &AssignedSpec::job, {.required = true});
    v("spec", &AssignedSpec::spec, {.required = true});
  }
};
struct AssignedJob {
  static constexpr bool as_array = true;
  JobId job;
  std::uint32_t slots = 1; // at most so many tasks of this job at once on this node, from now on
  std::vector<TaskRun> runs;
  std::vector<std::string> items; // one per task of `runs`, when the job has items
  std::vector<std::string> peers; // gang: where each task of the job runs, by task index
  bool operator==(const AssignedJob&) const = default;
  template<class V> static void fields(V& v) {
    v("job", &AssignedJob::job, {.required = true});
    v("slots", &AssignedJob::slots);
    v("runs", &AssignedJob::runs);
    v("items", &AssignedJob::items);
    v("peers", &AssignedJob::peers);
  }
};
/// Work for an agent. A job's spec comes with the first tasks of that job that the node holds.
struct Assign {
  static constexpr MessageType type = MessageType::assign;
  std::uint64_t session = 0; // of the registration it belongs to; any other is ignored
  std::uint64_t number = 0;  // 1, 2, … within a session; a gap means: register again
  std::vector<AssignedSpec> specs;
  std::vector<AssignedJob> jobs;
  bool operator==(const Assign&) const = default;
  template<class V> static void fields(V& v) {
    v("session", &Assign::session, {.required = true});
    v("number", &Assign::number, {.required = true});
    v("specs", &Assign::specs);
    v("jobs", &Assign::jobs);
  }
};
struct ResultsAck {
  static constexpr MessageType type = MessageType::results_ack;
  std::vector<std::uint64_t> numbers;
  bool operator==(const ResultsAck&) const = default;
  template<class V> static void fields(V& v) { v("numbers", &ResultsAck::numbers); }
};
/// Stop these attempts: TERM, grace, KILL; then report them with cause cancelled (or as they
/// ended). With `move` they will run again elsewhere: a job's checkpoint signal comes first.
struct StopTasks {
  static constexpr MessageType type = MessageType::stop_tasks;
  std::vector<JobRuns> tasks;
  std::string reason;
  bool move = false;
  bool operator==(const StopTasks&) const = default;
  template<class V> static void fields(V& v) {
    v("tasks", &StopTasks::tasks);
    v("reason", &StopTasks::reason);
    v("move", &StopTasks::move);
  }
};
/// The master's regular report to every node.
struct Beacon {
  static constexpr MessageType type = MessageType::beacon;
  std::string cluster, master;
  Seq seq;
  TimePoint time;
  std::uint32_t nodes_up = 0, nodes_down = 0;
  Resources capacity, available;
  std::uint64_t tasks_pending = 0, tasks_assigned = 0;
  std::vector<JobProgress> jobs;   // running ones, the largest 20
  NodeState state = NodeState::up; // of the node that reads this
  bool draining = false;
  bool operator==(const Beacon&) const = default;
  template<class V> static void fields(V& v) {
    v("cluster", &Beacon::cluster);
    v("master", &Beacon::master);
    v("seq", &Beacon::seq);
    v("time_us", &Beacon::time);
    v("nodes_up", &Beacon::nodes_up);
    v("nodes_down", &Beacon::nodes_down);
    v("capacity", &Beacon::capacity);
    v("available", &Beacon::available);
    v("tasks_pending", &Beacon::tasks_pending);
    v("tasks_assigned", &Beacon::tasks_assigned);
    v("jobs", &Beacon::jobs);
    v("state", &Beacon::state);
    v("draining", &Beacon::draining);
  }
};
struct LogRequest {
  static constexpr MessageType type = MessageType::log_request;
  std::uint64_t request = 0;
  ReadLog log;
  bool operator==(const LogRequest&) const = default;
  template<class V> static void fields(V& v) {
    v("request", &LogRequest::request);
    v("log", &LogRequest::log);
  }
};
/// The master does not know this connection: send RegisterNode.
struct RegisterAgain {
  static constexpr MessageType type = MessageType::register_again;
  std::string reason;
  bool operator==(const RegisterAgain&) const = default;
  template<class V> static void fields(V& v) { v("reason", &RegisterAgain::reason); }
};

// ---- events
// ----------------------------------------------------------------------------------------------------------------

/// One thing that happened, as operators see it. Published on topic `<kind>.<job or node>`;
/// numbered by journal position.
struct Event {
  Seq seq;
  std::uint32_t part = 0; // an entry can tell several things
  TimePoint time;
  std::string
    kind; // job.submitted, job.ended, task.failed, task.requeued, node.registered, node.lost, …
  JobId job;
  std::string node, name, text;
  std::map<std::string, std::int64_t> numbers;
  std::string correlation; // of the job: with job.submitted (of the first) and job.ended
  std::string queue;       // of the job, of a lease that names one
  bool operator==(const Event&) const = default;
  template<class V> static void fields(V& v) {
    v("seq", &Event::seq, {.required = true});
    v("part", &Event::part);
    v("time_us", &Event::time);
    v("kind", &Event::kind);
    v("job", &Event::job);
    v("node", &Event::node);
    v("name", &Event::name);
    v("text", &Event::text);
    v("numbers", &Event::numbers);
    v("correlation", &Event::correlation);
    v("queue", &Event::queue);
  }
};

/// The bytes of both frames.
template<class M>
std::pair<std::string, std::string> frames(const M& body, std::uint64_t correlation = 0,
                                           Epoch epoch = {}) {
  return {encode(Header{protocol_version, M::type, correlation, epoch}), encode(body)};
}

/// Every type above whose bytes are read and written in one place.
// clang-format settles on no form for a list this long.
// clang-format off
#define REEVE_MESSAGES(X) \
  X(Header) X(Hello) X(Welcome) X(Bundle) X(Failed) X(Done) X(Submit) X(Submitted) X(ActOnJobs) \
  X(JobProgress) X(Wait) X(Progress) X(Allocate) X(LeaseView) X(Granted) X(Release) \
  X(Renew) X(ActOnNodes) X(SetConfig) X(GetConfig) X(ConfigValues) X(Step) X(SetLogLevel) X(JobView) \
  X(ListJobs) X(JobList) X(TaskView) X(ListTasks) X(TaskList) X(NodeView) X(ListNodes) \
  X(NodeList) X(Histogram) X(GetStats) X(Stats) X(GetMaster) X(MasterStatus) X(ListLeases) X(LeaseList) \
  X(QueryHistory) X(HistoryRows) X(ReadLog) X(LogChunk) X(Explain) X(Explained) \
  X(RegisterNode) X(Heartbeat) X(TaskOutput) X(Results) X(Leave) X(Pull) X(LogReply) \
  X(Registered) X(AssignedSpec) X(AssignedJob) X(Assign) X(ResultsAck) X(StopTasks) \
  X(Beacon) X(LogRequest) X(RegisterAgain) X(Event)
// clang-format on
REEVE_MESSAGES(REEVE_CODEC_DECLARE)

} // namespace reeve
