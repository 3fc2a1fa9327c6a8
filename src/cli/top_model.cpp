// See top_model.hpp.
#include "src/cli/top_model.hpp"

#include "src/util/text.hpp"

#include <algorithm>
#include <map>

namespace reeve::cli {
namespace {

std::int64_t top_percent(std::int64_t part, std::int64_t whole) {
  return whole <= 0 ? 0 : std::clamp<std::int64_t>(part * 100 / whole, 0, 100);
}
std::string top_count(std::uint64_t n) {
  return format_count(static_cast<double>(n));
}
/// "████▌     45 %", ten wide
std::string gauge(std::int64_t percent) {
  std::string out;
  for (std::int64_t k = 0; k < 10; ++k)
    out += percent >= (k + 1) * 10 ? "█" : percent >= k * 10 + 5 ? "▌" : "·";
  const std::string number = std::to_string(percent);
  return out + std::string(4 - std::min<std::size_t>(number.size(), 3), ' ') + number + " %";
}
std::string since(TimePoint then, TimePoint now) {
  if (then == TimePoint{})
    return "";
  const auto passed = std::max(Duration(0), std::chrono::duration_cast<Duration>(now - then));
  return format_duration(std::chrono::floor<std::chrono::seconds>(passed));
}
std::int64_t us_of(TimePoint time) {
  return time.time_since_epoch().count();
}
Colour colour_of_state(JobState state) {
  switch (state) {
  case JobState::running:
    return Colour::green;
  case JobState::held:
    return Colour::yellow;
  case JobState::failed:
    return Colour::red;
  default:
    return Colour::none;
  }
}
Colour colour_of_kind(const std::string& kind) {
  for (const char* bad : {"task.failed", "task.given_up", "node.lost", "stream.gap"})
    if (kind == bad)
      return Colour::red;
  return kind.starts_with("node.") ? Colour::yellow : Colour::none;
}
bool holds(const std::string& text, const std::string& part) {
  return std::search(text.begin(), text.end(), part.begin(), part.end(), [](char a, char b) {
           return std::tolower(static_cast<unsigned char>(a)) ==
                  std::tolower(static_cast<unsigned char>(b));
         }) != text.end();
}

} // namespace

void TopModel::update(TopFacts facts) {
  const auto passed = std::chrono::duration<double>(facts.now - facts_.now).count();
  if (facts.stats && facts_.stats && passed > 0) {
    const auto ended = [](const Stats& s) { return s.succeeded + s.failed + s.cancelled; };
    const auto rate = [&](std::uint64_t before, std::uint64_t now) {
      return now < before ? 0 : static_cast<double>(now - before) / passed;
    };
    ended_a_second_ = rate(ended(*facts_.stats), ended(*facts.stats));
    submitted_a_second_ = rate(facts_.stats->submitted, facts.stats->submitted);
  }
  if (!facts.stats)
    facts.stats = facts_.stats; // what was last known, with the trouble beside it
  facts_ = std::move(facts);
  build();
}

void TopModel::show(TopPage page) {
  page_ = page;
  sort_ = 0;
  down_ = false;
  chosen_ = 0;
  chosen_key_.clear();
  build();
}

void TopModel::next_sort() {
  sort_ = columns_.empty() ? 0 : (sort_ + 1) % columns_.size();
  down_ = columns_.empty() ? false : columns_[sort_].right; // numbers: the largest first
  build();
}

void TopModel::move(int by) {
  const auto last = static_cast<std::int64_t>(rows_.size()) - 1;
  const auto to = std::clamp<std::int64_t>(static_cast<std::int64_t>(chosen_) + by, 0,
                                           std::max<std::int64_t>(last, 0));
  chosen_ = static_cast<std::size_t>(to);
  chosen_key_ = rows_.empty() ? "" : rows_[chosen_].key;
}

const TopModel::Row* TopModel::row() const {
  return rows_.empty() ? nullptr : &rows_[chosen_];
}

bool TopModel::chosen_drains() const {
  const Row* chosen = row();
  return chosen != nullptr && page_ == TopPage::nodes &&
         std::any_of(facts_.nodes.begin(), facts_.nodes.end(), [&](const NodeView& node) {
           return node.name == chosen->key && node.draining;
         });
}

std::string TopModel::order_text() const {
  if (page_ == TopPage::events || columns_.empty())
    return "newest first";
  return "by " + columns_[sort_].name + (down_ ? ", most first" : "");
}

void TopModel::add(std::vector<Table::Cell> cells, std::string key,
                   std::vector<std::int64_t> order) {
  if (!filter_.empty() && std::none_of(cells.begin(), cells.end(), [this](const Table::Cell& cell) {
        return holds(cell.text, filter_);
      }))
    return;
  rows_.push_back({std::move(cells), std::move(key), std::move(order)});
}

void TopModel::build() {
  rows_.clear();
  switch (page_) {
  case TopPage::nodes:
    build_nodes();
    break;
  case TopPage::tasks:
    build_tasks();
    break;
  case TopPage::jobs:
    build_jobs();
    break;
  case TopPage::queues:
    build_queues();
    break;
  case TopPage::events:
    build_events();
    break;
  }
  if (page_ != TopPage::events) {
    sort_ = std::min(sort_, columns_.size() - 1);
    const auto less = [this](const Row& a, const Row& b) {
      return columns_[sort_].right ? a.order[sort_] < b.order[sort_]
                                   : a.cells[sort_].text < b.cells[sort_].text;
    };
    std::stable_sort(rows_.begin(), rows_.end(),
                     [&](const Row& a, const Row& b) { return down_ ? less(b, a) : less(a, b); });
  }
  const auto same = std::find_if(rows_.begin(), rows_.end(),
                                 [this](const Row& row) { return row.key == chosen_key_; });
  if (same != rows_.end())
    chosen_ = static_cast<std::size_t>(same - rows_.begin());
  chosen_ = std::min(chosen_, rows_.empty() ? 0 : rows_.size() - 1);
}

void TopModel::build_nodes() {
  columns_ = {{"NODE"},         {"STATE"},       {"BOOKED", true}, {"MEASURED", true},
              {"MEMORY", true}, {"TASKS", true}, {"HEARD", true}};
  for (const NodeView& node : facts_.nodes) {
    const bool away = node.quarantined > facts_.now;
    const std::string state = node.state != NodeState::up ? std::string(name_of(node.state))
                              : away                      ? "quarantined"
                              : node.draining             ? "draining"
                                                          : "up";
    const auto booked =
      top_percent(node.capacity.cpu_milli - node.available.cpu_milli, node.capacity.cpu_milli);
    const auto used = top_percent(node.used.cpu_milli, node.capacity.cpu_milli);
    const auto memory = top_percent(node.capacity.memory_bytes - node.available.memory_bytes,
                                    node.capacity.memory_bytes);
    add({node.name,
         {state, state == "up"                   ? Colour::green
                 : node.state == NodeState::lost ? Colour::red
                                                 : Colour::yellow},
         gauge(booked),
         gauge(used),
         gauge(memory),
         std::to_string(node.tasks),
         since(node.heard, facts_.now)},
        node.name, {0, 0, booked, used, memory, node.tasks, -us_of(node.heard)});
  }
}

void TopModel::build_tasks() {
  columns_ = {{"TASK"}, {"JOB"}, {"NODE"}, {"ATTEMPT", true}};
  std::map<JobId, const JobView*> jobs;
  for (const JobView& job : facts_.jobs)
    jobs[job.progress.job] = &job;
  for (const TaskView& task : facts_.tasks) {
    const auto job = jobs.find(task.job);
    const std::string key = std::to_string(task.job.value) + "/" + std::to_string(task.index);
    add({key, job == jobs.end() ? "" : job->second->name, task.node, std::to_string(task.attempt)},
        key, {0, 0, 0, task.attempt});
  }
}

void TopModel::build_jobs() {
  columns_ = {{"JOB", true},    {"NAME"},       {"USER"},           {"QUEUE"},
              {"STATE"},        {"DONE", true}, {"ON NODES", true}, {"WAITING", true},
              {"FAILED", true}, {"AGE", true}};
  for (const JobView& job : facts_.jobs) {
    const JobProgress& p = job.progress;
    const auto done = top_percent(p.succeeded + p.failed + p.cancelled, p.total);
    const auto id = std::to_string(p.job.value);
    add({id,
         job.name,
         job.user,
         job.queue,
         {std::string(name_of(p.state)), colour_of_state(p.state)},
         gauge(done),
         top_count(p.assigned),
         top_count(p.pending),
         {top_count(p.failed), p.failed > 0 ? Colour::red : Colour::none},
         since(job.submitted, facts_.now)},
        id,
        {static_cast<std::int64_t>(p.job.value), 0, 0, 0, 0, done, p.assigned, p.pending, p.failed,
         -us_of(job.submitted)});
  }
}

void TopModel::build_queues() {
  columns_ = {{"QUEUE"},         {"JOBS", true}, {"ON NODES", true},
              {"WAITING", true}, {"HELD", true}, {"OLDEST", true}};
  struct Sum {
    std::uint64_t jobs = 0, assigned = 0, pending = 0, held = 0;
    TimePoint oldest = TimePoint::max();
  };
  std::map<std::string, Sum> queues;
  for (const JobView& job : facts_.jobs) {
    Sum& sum = queues[job.queue];
    ++sum.jobs;
    sum.assigned += job.progress.assigned;
    sum.pending += job.progress.pending;
    sum.held += job.progress.held;
    if (job.progress.pending > 0)
      sum.oldest = std::min(sum.oldest, job.submitted);
  }
  for (const auto& [name, sum] : queues) {
    const bool waits = sum.oldest != TimePoint::max();
    add({name, top_count(sum.jobs), top_count(sum.assigned), top_count(sum.pending),
         top_count(sum.held), waits ? since(sum.oldest, facts_.now) : ""},
        name,
        {0, static_cast<std::int64_t>(sum.jobs), static_cast<std::int64_t>(sum.assigned),
         static_cast<std::int64_t>(sum.pending), static_cast<std::int64_t>(sum.held),
         waits ? -us_of(sum.oldest) : 0});
  }
}

void TopModel::build_events() {
  columns_ = {{"TIME"}, {"EVENT"}, {"OF"}, {"WHAT"}};
  for (const Event& event : facts_.events) {
    std::string of = event.job ? "job " + std::to_string(event.job.value) : "";
    if (!event.node.empty())
      of += (of.empty() ? "" : ", ") + event.node;
    if (!event.queue.empty())
      of += (of.empty() ? "" : ", ") + event.queue;
    std::string what = event.name;
    if (!event.text.empty())
      what += (what.empty() ? "" : ": ") + event.text;
    for (const auto& [name, value] : event.numbers)
      what += (what.empty() ? "" : " ") + name + "=" + std::to_string(value);
    const std::string time = format_time(event.time);
    add({time.size() > 11 ? time.substr(11) : time,
         {event.kind, colour_of_kind(event.kind)},
         of,
         what},
        std::to_string(event.seq.value) + "." + std::to_string(event.part), {});
  }
}

std::vector<std::string> TopModel::head(std::size_t width) const {
  if (!facts_.stats)
    return {facts_.trouble.empty() ? "asking the master" : facts_.trouble};
  const Stats& s = *facts_.stats;
  const auto number = [](std::uint64_t n) { return std::to_string(n); };
  std::vector<std::string> lines;
  lines.push_back("nodes " + number(s.nodes_up) + " up" +
                  (s.nodes_draining > 0 ? ", " + number(s.nodes_draining) + " draining" : "") +
                  (s.nodes_suspect > 0 ? ", " + number(s.nodes_suspect) + " suspect" : "") +
                  (s.nodes_lost > 0 ? ", " + number(s.nodes_lost) + " lost" : "") + "   jobs " +
                  top_count(s.jobs_running) + " running, " + top_count(s.jobs_pending) +
                  " pending   up for " +
                  format_duration(std::chrono::floor<std::chrono::seconds>(s.uptime)));
  lines.push_back("tasks " + top_count(s.tasks_assigned) + " on nodes, " +
                  top_count(s.tasks_pending) + " waiting, " + top_count(s.tasks_held) + " held   " +
                  format_count(submitted_a_second_) + " submitted/s, " +
                  format_count(ended_a_second_) + " ended/s");
  lines.push_back(
    "cores " +
    gauge(top_percent(s.capacity.cpu_milli - s.available.cpu_milli, s.capacity.cpu_milli)) +
    " of " + format_milli(s.capacity.cpu_milli) + "   memory " +
    gauge(
      top_percent(s.capacity.memory_bytes - s.available.memory_bytes, s.capacity.memory_bytes)) +
    " of " + format_size(s.capacity.memory_bytes));
  if (!facts_.trouble.empty())
    lines.push_back(facts_.trouble);
  for (auto& line : lines)
    while (display_width(line) > width && !line.empty())
      line.pop_back();
  return lines;
}

} // namespace reeve::cli
