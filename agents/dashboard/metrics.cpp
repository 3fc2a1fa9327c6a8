// See metrics.hpp.
#include "agents/dashboard/metrics.hpp"

#include <limits>
#include <prometheus/text_serializer.h>
#include <sstream>

namespace reeve::dashboard {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

constexpr double us_per_second = 1e6;

class FamilyList {
public:
  void gauge(const char* name, const char* help, double value, Labels labels = {}) {
    at(name, help, MetricType::Gauge, std::move(labels)).gauge.value = value;
  }
  void counter(const char* name, const char* help, double value, Labels labels = {}) {
    at(name, help, MetricType::Counter, std::move(labels)).counter.value = value;
  }
  void histogram(const char* name, const char* help, const Histogram& from, Labels labels = {}) {
    auto& to = at(name, help, MetricType::Histogram, std::move(labels)).histogram;
    to.sample_sum = static_cast<double>(from.sum_us) / us_per_second;
    for (std::size_t k = 0; k < from.counts.size(); ++k) {
      to.sample_count += from.counts[k];
      const double bound = k < from.bounds_us.size()
                             ? static_cast<double>(from.bounds_us[k]) / us_per_second
                             : std::numeric_limits<double>::infinity();
      to.bucket.push_back({to.sample_count, bound});
    }
  }
  std::vector<MetricFamily> take() { return std::move(families_); }

private:
  ClientMetric& at(const char* name, const char* help, MetricType type, Labels labels) {
    if (families_.empty() || families_.back().name != name)
      families_.push_back({name, help, type, {}});
    auto& metric = families_.back().metric.emplace_back();
    metric.label = std::move(labels);
    return metric;
  }
  std::vector<MetricFamily> families_;
};

double milli(std::int64_t n) {
  return static_cast<double>(n) / 1000;
}
double whole(std::uint64_t n) {
  return static_cast<double>(n);
}

void add_master(FamilyList& out, const MasterStatus& m) {
  out.gauge(
    "reeve_master_info", "Which master reigns; always 1.", 1,
    {{"cluster", m.cluster}, {"master", m.master}, {"program", m.program}, {"role", m.role}});
  out.gauge("reeve_master_start_time_seconds", "When the master's program started, Unix time.",
            static_cast<double>(m.started.time_since_epoch().count()) / us_per_second);
  out.gauge("reeve_master_accepting", "1 when the master takes work, 0 when its journal fails.",
            m.accepting ? 1 : 0);
  out.gauge("reeve_master_epoch", "The reign: grows with each start and takeover.",
            whole(m.epoch.value));
  out.gauge("reeve_journal_durable_seq", "Newest entry of the journal that is durable.",
            whole(m.durable.value));
  out.gauge("reeve_journal_snapshot_seq", "Newest entry that a snapshot holds.",
            whole(m.snapshot.value));
}

void add_work(FamilyList& out, const Stats& s) {
  out.gauge("reeve_jobs_known", "Jobs that the master holds, ended ones included.", whole(s.jobs));
  const char* jobs = "Jobs that have not ended, by state.";
  out.gauge("reeve_jobs", jobs, whole(s.jobs_pending), {{"state", "pending"}});
  out.gauge("reeve_jobs", jobs, whole(s.jobs_running), {{"state", "running"}});
  const char* tasks = "Tasks that have not ended, by state.";
  out.gauge("reeve_tasks", tasks, whole(s.tasks_pending), {{"state", "pending"}});
  out.gauge("reeve_tasks", tasks, whole(s.tasks_assigned), {{"state", "assigned"}});
  out.gauge("reeve_tasks", tasks, whole(s.tasks_held), {{"state", "held"}});
  out.counter("reeve_tasks_submitted_total", "Tasks submitted since the cluster began.",
              whole(s.submitted));
  out.counter("reeve_tasks_placed_total", "Tasks given to nodes since the cluster began.",
              whole(s.placed));
  const char* finished = "Tasks that ended since the cluster began, by outcome.";
  out.counter("reeve_tasks_finished_total", finished, whole(s.succeeded),
              {{"outcome", "succeeded"}});
  out.counter("reeve_tasks_finished_total", finished, whole(s.failed), {{"outcome", "failed"}});
  out.counter("reeve_tasks_finished_total", finished, whole(s.cancelled),
              {{"outcome", "cancelled"}});
  out.counter("reeve_tasks_requeued_total", "Tasks put back to wait since the cluster began.",
              whole(s.requeued));
  out.counter("reeve_journal_entries_total", "Entries of the journal since the cluster began.",
              whole(s.seq.value));
}

void add_nodes(FamilyList& out, const Stats& s) {
  const char* nodes = "Nodes by state.";
  out.gauge("reeve_nodes", nodes, s.nodes_up, {{"state", "up"}});
  out.gauge("reeve_nodes", nodes, s.nodes_suspect, {{"state", "suspect"}});
  out.gauge("reeve_nodes", nodes, s.nodes_lost, {{"state", "lost"}});
  out.gauge("reeve_nodes_draining", "Nodes that are being drained.", s.nodes_draining);
  out.gauge("reeve_capacity_cores", "Cores of all nodes that are up.", milli(s.capacity.cpu_milli));
  out.gauge("reeve_available_cores", "Cores that are not booked.", milli(s.available.cpu_milli));
  out.gauge("reeve_capacity_memory_bytes", "Memory of all nodes that are up.",
            static_cast<double>(s.capacity.memory_bytes));
  out.gauge("reeve_available_memory_bytes", "Memory that is not booked.",
            static_cast<double>(s.available.memory_bytes));
  out.gauge("reeve_capacity_disk_bytes", "Disk of all nodes that are up.",
            static_cast<double>(s.capacity.disk_bytes));
  out.gauge("reeve_available_disk_bytes", "Disk that is not booked.",
            static_cast<double>(s.available.disk_bytes));
  for (const auto& [name, amount] : s.capacity.named_milli)
    out.gauge("reeve_capacity_units", "Named resources of all nodes that are up.", milli(amount),
              {{"resource", name}});
  for (const auto& [name, amount] : s.capacity.named_milli) {
    const auto at = s.available.named_milli.find(name);
    out.gauge("reeve_available_units", "Named resources that are not booked.",
              at == s.available.named_milli.end() ? 0 : milli(at->second), {{"resource", name}});
  }
}

struct Counter {
  const char *from, *name, *help;
  bool grows = true;
};
constexpr Counter counters[] = {
  {"net.received", "reeve_net_messages_received_total", "Messages that came in."},
  {"net.sent", "reeve_net_messages_sent_total", "Messages that went out."},
  {"net.misshapen", "reeve_net_messages_misshapen_total", "Messages that were no messages."},
  {"net.unreachable", "reeve_net_messages_unreachable_total",
   "Messages for peers that were gone or did not read."},
  {"net.dropped_peers", "reeve_net_peers_dropped_total",
   "Peers given up because they did not read."},
  {"gateway.bad_messages", "reeve_gateway_bad_messages_total", "Messages refused as bad."},
  {"gateway.busy", "reeve_gateway_busy_total", "Requests answered with busy."},
  {"gateway.register_again", "reeve_gateway_register_again_total",
   "Nodes asked to register again."},
  {"gateway.nodes", "reeve_gateway_nodes", "Nodes that are connected.", false},
  {"gateway.peers", "reeve_gateway_peers", "Peers that the gateway knows.", false},
  {"journal.commits", "reeve_journal_commits_total", "Commits of the journal since the start."},
  {"ledger.refused_wishes", "reeve_ledger_refusals_total",
   "Wishes of deciders that the ledger refused."},
  {"watchdog.alarm", "reeve_watchdog_alarm", "1 while too many nodes are silent to be given up.",
   false},
};

void add_program(FamilyList& out, const Stats& s) {
  for (const Counter& counter : counters) {
    const auto at = s.counters.find(counter.from);
    const auto value = at == s.counters.end() ? 0.0 : static_cast<double>(at->second);
    if (counter.grows)
      out.counter(counter.name, counter.help, value);
    else
      out.gauge(counter.name, counter.help, value);
  }
  constexpr std::string_view departing = "departing.";
  for (auto at = s.counters.lower_bound(std::string(departing));
       at != s.counters.end() && at->first.starts_with(departing); ++at)
    out.gauge("reeve_nodes_departing",
              "Nodes that depart from the rest in run times, failures, heartbeats or use.",
              static_cast<double>(at->second), {{"trait", at->first.substr(departing.size())}});
  constexpr std::string_view broken = "sla.broken.";
  for (const char* promise :
       {"reliability", "availability", "failures", "wait", "longest", "p50", "p90", "p99"})
    out.gauge("reeve_promise_broken", "1 while a promise of the settings sla.* is not kept.",
              s.counters.contains(std::string(broken) + promise) ? 1 : 0, {{"promise", promise}});
  const auto histogram = [&](const char* from, const char* name, const char* help) {
    if (const auto at = s.histograms.find(from); at != s.histograms.end())
      out.histogram(name, help, at->second);
  };
  histogram(
    "submit_to_start", "reeve_submit_to_start_seconds",
    "From a task's submission to its start on a node, first attempts, once they have ended.");
  histogram("submit_to_placed", "reeve_submit_to_placed_seconds",
            "From a task's submission to its being given to a node, first attempts.");
  histogram("journal_commit", "reeve_journal_commit_seconds",
            "From an entry's hand-over to the journal until it is durable.");
  histogram("heartbeat_gap", "reeve_heartbeat_gap_seconds",
            "Between two heartbeats of a node, as they were read.");
  constexpr std::string_view pass = "pass.";
  for (auto at = s.histograms.lower_bound(std::string(pass));
       at != s.histograms.end() && at->first.starts_with(pass); ++at)
    out.histogram("reeve_decision_pass_seconds",
                  "One pass of a decider; `scheduler`: which task goes where.", at->second,
                  {{"decider", at->first.substr(pass.size())}});
}

} // namespace

std::vector<MetricFamily> families(const Observed& observed) {
  FamilyList out;
  out.gauge("reeve_up", "1 when a master answered this scrape.", observed.stats ? 1 : 0);
  if (observed.master)
    add_master(out, *observed.master);
  if (observed.stats) {
    add_work(out, *observed.stats);
    add_nodes(out, *observed.stats);
    add_program(out, *observed.stats);
  }
  return out.take();
}

std::string metrics_text(const std::vector<MetricFamily>& families) {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return out.str();
}

} // namespace reeve::dashboard
