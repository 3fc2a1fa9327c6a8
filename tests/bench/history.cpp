// How long questions to a history of millions of rows take: three million jobs, each with an
// attempt, over thirty days, by 50 users on 1,000 nodes; then as many of 10,000 names, so that no
// hour has sums by name. `history [JOBS [NAMES]]`: fewer jobs, other names.
#include "src/history/history.hpp"
#include "src/history/totals.hpp"
#include "src/history/waits.hpp"
#include "tests/bench/harness.hpp"

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace {
using namespace reeve;
using namespace reeve::bench;

constexpr std::uint64_t in_batch = 20'000, nodes = 1'000;
std::uint64_t jobs = 3'000'000, names = 40;
constexpr double wanted_ms = 100;

TimePoint time_of(std::uint64_t job, TimePoint begin) {
  return begin + std::chrono::duration_cast<Duration>(std::chrono::hours(720)) *
                   static_cast<std::int64_t>(job) / static_cast<std::int64_t>(jobs);
}

JobSpec spec_of(std::uint64_t k) {
  JobSpec spec;
  spec.name = "step-" + std::to_string(k % names);
  spec.user = k == 4'711 ? "guest" : "user" + std::to_string(k % 50);
  if (k % 1'000 == 1) { // each of its jobs has a name of its own
    spec.user = "eve";
    spec.name = "frame-" + std::to_string(k);
  }
  spec.queue = k % 3 == 0 ? "night" : "day";
  spec.executor = "process";
  return spec;
}

/// Jobs from `first` on are submitted while those before them end: as when jobs run for longer than
/// a transaction of the history takes.
core::CommittedPtr batch_of(std::uint64_t first, TimePoint begin) {
  auto batch = std::make_shared<core::Committed>();
  const TimePoint at = time_of(first, begin);
  if (first < jobs) {
    JobsSubmitted submitted{JobId(first + 1), {}, {}};
    for (std::uint64_t k = first; k < first + in_batch; ++k)
      submitted.specs.push_back(Raw{encode(spec_of(k))});
    batch->entries.push_back({at - std::chrono::seconds(100), std::move(submitted)});
  }
  std::map<NodeId, TasksFinished> finished;
  for (std::uint64_t k = std::max(first, in_batch) - in_batch; k < first; ++k) {
    TaskResult result;
    result.cause = k % 100 == 7 ? Cause::exit_code : Cause::none;
    result.exit_code = k % 100 == 7 ? 1 : 0;
    result.started = at;
    result.ended = at + std::chrono::seconds(k % 600);
    result.usage.wall = std::chrono::seconds(k % 600);
    const NodeId node(static_cast<std::uint32_t>(1 + k * 7 % nodes));
    finished[node].node = node;
    finished[node].jobs.push_back({JobId(k + 1), {}, {result}});
    core::JobEnded end;
    end.job = JobId(k + 1);
    end.state = result.cause == Cause::none ? JobState::succeeded : JobState::failed;
    end.tasks = 1;
    end.at = at;
    end.started = at - std::chrono::seconds(k % 90);
    end.succeeded = result.cause == Cause::none ? 1 : 0;
    end.failed = 1 - end.succeeded;
    batch->changes.emplace_back(std::move(end));
  }
  for (auto& [node, fact] : finished)
    batch->entries.push_back({at, std::move(fact)});
  return batch;
}

double processor_seconds() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec);
}

core::CommittedPtr node_entries(TimePoint begin) {
  auto batch = std::make_shared<core::Committed>();
  for (std::uint32_t k = 1; k <= nodes; ++k)
    batch->entries.push_back(
      {begin,
       NodeRegistered{NodeId(k), "node" + std::to_string(k), Incarnation(1), {}, {}, {}, ""}});
  return batch;
}

/// Seconds for the sums alone that are kept beside the rows: the same jobs, transactions of as
/// many.
double time_sums(const std::string& path, TimePoint begin) {
  auto db = or_give_up(sqlite::Database::open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE),
                       "open sums");
  or_give_up(history::add_waits_functions(db), "functions");
  or_give_up(
    db.run(
      ("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + history::totals_tables()).c_str()),
    "tables");
  history::Totals totals;
  or_give_up(totals.prepare(db), "prepare");
  std::vector<history::KindKey> keys;
  for (std::uint64_t k = 0; k < 600; ++k) {
    const JobSpec spec = spec_of(3'000 + k);
    keys.push_back({spec.name, spec.user, spec.queue, spec.executor});
  }
  totals.number_of_queue("day");
  totals.number_of_queue("night");
  const auto key_of = [&](std::int64_t kind) -> const history::KindKey& {
    return keys[static_cast<std::size_t>(kind)];
  };
  const auto start = Clock::now();
  for (std::uint64_t first = 0; first < jobs; first += in_batch) {
    const TimePoint at = time_of(first, begin);
    for (std::uint64_t k = first; k < first + in_batch; ++k) {
      const auto kind = static_cast<std::int64_t>(k % 600); // as many as the jobs above have
      totals.add_job(kind, {JobState::succeeded, 1, at - std::chrono::seconds(100),
                            at - std::chrono::seconds(k % 90), at});
      totals.add_attempts(kind, static_cast<std::uint32_t>(k % 2),
                          NodeId(static_cast<std::uint32_t>(1 + k * 7 % nodes)), at,
                          {1, 1, 0, 0, 1'000'000, 0, 0});
    }
    or_give_up(db.run("BEGIN"), "begin");
    or_give_up(totals.write(db, key_of), "write");
    or_give_up(db.run("COMMIT"), "commit");
  }
  return seconds_since(start);
}

struct Question {
  const char* name;
  QueryHistory query;
};

/// Records all jobs.
void fill(history::History& history, TimePoint begin) {
  Seq next(1);
  double recorded = 0, worked = 0; // seconds of the clock, and of the processor
  const auto record = [&](core::CommittedPtr batch) {
    auto mine = std::make_shared<core::Committed>(*batch);
    mine->first = next;
    next = mine->last().next();
    const core::CommittedPtr one = mine;
    const auto start = Clock::now();
    const double used = processor_seconds();
    or_give_up(history.record(std::span(&one, 1)), "record");
    recorded += seconds_since(start);
    worked += processor_seconds() - used;
  };
  record(node_entries(begin));
  double recorded_before = 0, worked_before = 0;
  for (std::uint64_t first = 0; first <= jobs; first += in_batch) {
    record(batch_of(first, begin));
    if (first == 0 || first % (jobs / 10 / in_batch * in_batch) != 0)
      continue;
    const double part = static_cast<double>(jobs / 10 / in_batch * in_batch);
    std::printf("  %8zu jobs: %5.1f us a job, of the processor %5.1f\n",
                static_cast<std::size_t>(first), 1e6 * (recorded - recorded_before) / part,
                1e6 * (worked - worked_before) / part);
    recorded_before = recorded;
    worked_before = worked;
  }
  std::printf("  a job took %.2f us, of the processor %.2f\n",
              1e6 * recorded / static_cast<double>(jobs), 1e6 * worked / static_cast<double>(jobs));
  say("jobs with their attempts recorded", static_cast<double>(jobs) / recorded, "jobs/s");
}

void ask_all(history::History& history, const std::vector<Question>& questions) {
  for (const auto& question : questions) {
    std::vector<double> took, worked; // ms of the clock, and of the processor
    std::size_t rows = 0;
    for (int k = 0; k < 5; ++k) {
      const auto asked = Clock::now();
      const double used = processor_seconds();
      rows = or_give_up(history.query(question.query), question.name).rows.size();
      took.push_back(seconds_since(asked) * 1e3);
      worked.push_back((processor_seconds() - used) * 1e3);
    }
    std::printf("%-48s %8.2f ms, of the processor %7.2f, %5zu rows: %s\n", question.name,
                median(took), median(worked), rows,
                median(took) <= wanted_ms ? "reached" : "MISSED");
  }
}

/// Hours with so many names that none has sums by name.
void ask_of_many_names(TimePoint begin) {
  const Scratch scratch;
  const auto history = or_give_up(history::History::open(scratch.path("history.db")), "open");
  std::printf("with %zu names\n", static_cast<std::size_t>(names));
  fill(*history, begin);
  std::vector<Question> questions(4);
  questions[0] = {"totals by name, thirty days", {}};
  questions[1] = {"totals of a name by day, thirty days", {}};
  questions[1].query.name = "step-3";
  questions[1].query.by = "day";
  questions[2] = {"attempts by name, thirty days", {}};
  questions[2].query.kind = HistoryKind::attempts;
  questions[3] = {"totals of a user by name, thirty days", {}};
  questions[3].query.user = "user7";
  for (auto& question : questions)
    if (question.query.by.empty())
      question.query.by = "name";
  ask_all(*history, questions);
}
} // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const TimePoint begin{Duration(1'700'000'000'000'000)};
  if (argc > 1) // fewer, while working on it
    jobs = std::stoull(argv[1]) / in_batch * in_batch;
  if (argc > 2) {
    names = std::stoull(argv[2]);
    return ask_of_many_names(begin), 0;
  }
  const Scratch scratch;
  auto history = or_give_up(history::History::open(scratch.path("history.db")), "open");
  fill(*history, begin);
  std::printf("  a job takes %.0f bytes\n",
              static_cast<double>(sqlite::bytes_on_disk(scratch.path("history.db"))) /
                static_cast<double>(jobs));
  const double sums = time_sums(scratch.path("sums.db"), begin);
  std::printf("  of the time of a job %.2f us are for the sums of hours and days\n",
              1e6 * sums / static_cast<double>(jobs));
  const TimePoint end = begin + std::chrono::hours(720);
  std::vector<Question> questions;
  const auto ask = [&](const char* name, auto set) {
    Question question{name, {}};
    set(question.query);
    questions.push_back(std::move(question));
  };
  ask("newest jobs", [](QueryHistory&) {});
  ask("jobs that failed", [](QueryHistory& q) { q.state = "failed"; });
  ask("jobs of a user", [](QueryHistory& q) { q.user = "user7"; });
  ask("jobs of a user that was here once", [](QueryHistory& q) { q.user = "guest"; });
  ask("jobs of a user, each with a name of its own", [](QueryHistory& q) { q.user = "eve"; });
  ask("failed jobs of a user", [](QueryHistory& q) {
    q.user = "user7";
    q.state = "failed";
  });
  ask("jobs of a name, a page of ten days ago", [&](QueryHistory& q) {
    q.name = "step-3";
    q.until = end - std::chrono::hours(240);
  });
  ask("jobs of a beginning of a name", [](QueryHistory& q) { q.name = "step-1*"; });
  ask("jobs of no such name", [](QueryHistory& q) { q.name = "other"; });
  ask("one job", [](QueryHistory& q) { q.job = JobId(12'345); });
  ask("attempts of one job", [](QueryHistory& q) {
    q.kind = HistoryKind::attempts;
    q.job = JobId(12'345);
  });
  ask("newest attempts", [](QueryHistory& q) { q.kind = HistoryKind::attempts; });
  ask("attempts on a node", [](QueryHistory& q) {
    q.kind = HistoryKind::attempts;
    q.node = "node77";
  });
  ask("attempts of a user that was here once", [](QueryHistory& q) {
    q.kind = HistoryKind::attempts;
    q.user = "guest";
  });
  ask("attempts of a user", [](QueryHistory& q) {
    q.kind = HistoryKind::attempts;
    q.user = "user7";
  });
  ask("jobs on a node", [](QueryHistory& q) { q.node = "node77"; });
  ask("failed jobs of a user on a node", [](QueryHistory& q) {
    q.user = "user7";
    q.node = "node77";
    q.state = "failed";
  });
  ask("attempts by exit code, a day twenty days ago", [&](QueryHistory& q) {
    q.kind = HistoryKind::attempts;
    q.state = "exit_code";
    q.since = end - std::chrono::hours(480);
    q.until = end - std::chrono::hours(456);
  });
  ask("totals by user, one day", [&](QueryHistory& q) {
    q.by = "user";
    q.since = end - std::chrono::hours(24);
  });
  ask("totals by queue, seven days", [&](QueryHistory& q) {
    q.by = "queue";
    q.since = end - std::chrono::hours(168);
  });
  ask("totals of all, thirty days", [](QueryHistory& q) { q.by = "all"; });
  ask("totals by user, thirty days", [](QueryHistory& q) { q.by = "user"; });
  ask("totals by hour, thirty days", [](QueryHistory& q) { q.by = "hour"; });
  ask("attempts by node, thirty days", [](QueryHistory& q) {
    q.kind = HistoryKind::attempts;
    q.by = "node";
  });
  ask("attempts by node, seven days", [&](QueryHistory& q) {
    q.kind = HistoryKind::attempts;
    q.by = "node";
    q.since = end - std::chrono::hours(168);
  });
  ask("totals by name, a day", [&](QueryHistory& q) {
    q.by = "name";
    q.since = end - std::chrono::hours(24);
  });
  ask("totals by name, thirty days", [](QueryHistory& q) { q.by = "name"; });
  ask("totals of a user by name, thirty days", [](QueryHistory& q) {
    q.by = "name";
    q.user = "user7";
  });
  ask("totals of a name by day, thirty days", [](QueryHistory& q) {
    q.by = "day";
    q.name = "step-3";
  });
  const auto ask_attempts = [&](const char* name, auto set) {
    ask(name, [&](QueryHistory& q) {
      q.kind = HistoryKind::attempts;
      set(q);
    });
  };
  ask_attempts("attempts by name, thirty days", [](QueryHistory& q) { q.by = "name"; });
  ask_attempts("attempts of one job", [](QueryHistory& q) {
    q.by = "all";
    q.job = JobId(1'234);
  });
  ask_attempts("attempts of a user by node, thirty days", [](QueryHistory& q) {
    q.user = "user7";
    q.by = "node";
  });
  ask_attempts("attempts of a name by node, thirty days", [](QueryHistory& q) {
    q.name = "step-3";
    q.by = "node";
  });
  ask_attempts("attempts of a user on a node by day, thirty days", [](QueryHistory& q) {
    q.user = "user7";
    q.node = "node77";
    q.by = "day";
  });
  // Of these two or three million attempts are looked at.
  ask_attempts("attempts of a queue by node, thirty days", [](QueryHistory& q) {
    q.queue = "day";
    q.by = "node";
  });
  ask_attempts("attempts on a node by user, thirty days", [](QueryHistory& q) {
    q.node = "node77";
    q.by = "user";
  });
  ask_all(*history, questions);
  history.reset();
  names = 10'000;
  ask_of_many_names(begin);
}
