// The actors together: what nodes and clients see of a whole master.
#include "tests/unit/actors/fake_cluster.hpp"

#include "messages/event_pack.hpp"

#include <algorithm>

namespace reeve::actors {
namespace {

using namespace std::chrono_literals;

QueryHistory rows_of(HistoryKind kind) {
  QueryHistory question;
  question.kind = kind;
  return question;
}

TEST_F(WholeMaster, a_node_registers_and_a_job_runs_there) {
  net.subscribe("");
  const auto client = add_client();
  const auto agent = add_agent("n1");
  ASSERT_TRUE(agent->wait_registered());
  const JobId job = client->submit(1'000);
  const auto progress = client->wait(job);
  EXPECT_EQ(progress.state, JobState::succeeded);
  EXPECT_EQ(progress.succeeded, 1'000u);
  EXPECT_EQ(agent->tasks(), 1'000u);
  EXPECT_TRUE(net.wait_published("job.ended"));
}
TEST_F(WholeMaster, a_queues_events_are_told_beside_the_others_while_somebody_listens_to_them) {
  const auto client = add_client();
  add_agent("n1");
  for (const char* topic : {"", "of.queue.default", "of.queue.default"})
    net.subscribe(topic);
  net.subscribe("of.queue.other");
  client->wait(client->submit(1));
  EXPECT_TRUE(net.wait_published("job.ended.1"));
  const std::size_t told = net.published("of.queue.default");
  EXPECT_GE(told, 4u); // submitted, placed, succeeded, ended
  EXPECT_EQ(net.published("of.queue.other") + net.published("of.node.n1"), 0u);
  net.subscribe("of.queue.default", false);
  client->wait(client->submit(1));
  EXPECT_TRUE(net.wait_published("job.ended.2"));
  EXPECT_EQ(net.published("of.queue.default"), 2 * told) << "one of the two still listens";
  net.subscribe("of.queue.default", false);
  client->wait(client->submit(1));
  EXPECT_TRUE(net.wait_published("job.ended.3"));
  EXPECT_EQ(net.published("of.queue.default"), 2 * told);
}
/// What readers are told under a topic: seq, part, number (0: none) and the event.
using Told = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, std::string>;
std::vector<Told> one_by_one(const std::vector<net::Publication>& news, std::string_view topic) {
  std::vector<Told> out;
  for (const auto& item : news) {
    if (!item.topic.starts_with(topic) || item.topic.starts_with("of."))
      continue;
    const auto position = decode<std::vector<std::uint64_t>>(item.position).value();
    out.emplace_back(position.at(0), position.at(1), position.size() > 2 ? position[2] : 0,
                     item.body);
  }
  return out;
}
std::vector<Told> unpacked(const std::vector<net::Publication>& news, std::string_view topic) {
  std::vector<Told> out;
  for (const auto& item : news) {
    if (item.topic != topic)
      continue;
    std::uint64_t number = decode<std::vector<std::uint64_t>>(item.position).value().at(0);
    PackReader reader(item.body);
    while (const auto event = reader.next())
      out.emplace_back(event->seq.value, event->part, number > 0 ? number++ : 0, event->event);
  }
  return out;
}
/// Everything that is kept, as a reader of packs gets it; its end last.
std::vector<Told> replayed(FakeNet& net, const std::string& nonce) {
  const std::string topic = "of.past.1." + nonce;
  net.subscribe(topic);
  EXPECT_TRUE(net.wait_news([&](const auto& item) {
    const auto event = PackReader(item.body).next();
    return item.topic == topic && event && event->topic == "replay.done";
  }));
  return unpacked(net.news(), topic);
}
TEST_F(WholeMaster, packs_of_events_say_what_events_one_by_one_say) {
  const auto client = add_client();
  add_agent("n1");
  client->wait(client->submit(1)); // nobody listens …
  const auto ended = [](const Told& told) {
    return decode<Event>(std::get<3>(told)).value().kind == "job.ended";
  };
  const auto deadline = std::chrono::steady_clock::now() + 20s; // … until that has been told
  for (int n = 0; std::ranges::none_of(replayed(net, std::to_string(n)), ended); ++n)
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  for (const char* topic : {"", "of.all"})
    net.subscribe(topic);
  client->wait(client->submit(1'000));
  ASSERT_TRUE(net.wait_published("job.ended.2"));
  net.subscribe("replay.1.me");
  auto packed_past = replayed(net, "me");
  const auto news = net.news();
  const auto live = one_by_one(news, "job.ended.2"), all = unpacked(news, "of.all");
  ASSERT_EQ(live.size(), 1u);
  EXPECT_EQ(std::count(all.begin(), all.end(), live[0]), 1);
  EXPECT_EQ(net.published("job.ended.1"), 0u);
  std::vector<Told> told = one_by_one(news, "");
  std::erase_if(told, [](const Told& t) { return std::get<2>(t) == 0; });
  EXPECT_EQ(told, all);
  for (std::size_t k = 1; k < all.size(); ++k)
    EXPECT_EQ(std::get<2>(all[k]), std::get<2>(all[k - 1]) + 1);

  auto past = one_by_one(news, "replay.1.me");
  ASSERT_GT(past.size(), all.size());
  past.pop_back(); // the ends: of two moments
  packed_past.pop_back();
  EXPECT_EQ(past, packed_past);
  for (const auto& [seq, part, number, body] : all)
    EXPECT_EQ(std::count(past.begin(), past.end(), Told(seq, part, 0, body)), 1);
}
TEST_F(WholeMaster, work_waits_for_the_first_node) {
  const auto client = add_client();
  const JobId job = client->submit(10);
  add_agent("n1");
  EXPECT_EQ(client->wait(job).succeeded, 10u);
}
TEST_F(WholeMaster, history_answers_about_what_has_just_ended) {
  const auto client = add_client();
  add_agent("n1");
  const JobId job = client->submit(2'000);
  client->wait(job);
  const auto jobs = client->ask<HistoryRows>(rows_of(HistoryKind::jobs));
  ASSERT_TRUE(jobs) << jobs.error().message();
  ASSERT_EQ(jobs->rows.size(), 1u);
  EXPECT_EQ(jobs->rows[0][0], std::to_string(job.value));
  auto question = rows_of(HistoryKind::attempts);
  question.limit = 10'000;
  const auto attempts = client->ask<HistoryRows>(question);
  ASSERT_TRUE(attempts) << attempts.error().message();
  EXPECT_EQ(attempts->rows.size(), 2'000u);
  ListTasks tasks;
  tasks.job = job;
  tasks.from = 1'234;
  const auto list = client->ask<TaskList>(tasks);
  ASSERT_TRUE(list) << list.error().message();
  EXPECT_EQ(list->tasks.at(0).node, "n1");
}
TEST_F(WholeMaster, a_wrong_registration_is_refused_with_the_field) {
  const auto agent = add_agent("n1", [](FakeAgent& a) { a.capacity = {}; });
  const auto refused = agent->wait_refused();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, Code::bad_field);
  EXPECT_EQ(refused->field, "capacity");
}
TEST_F(WholeMaster, a_wrong_setting_changes_nothing_and_a_right_one_outlives_the_master) {
  auto client = add_client();
  const auto wrong = client->set({{"retention.jobs", "2h"}, {"retry.first", "never"}});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().field, "values.retry.first");
  auto config = client->ask<ConfigValues>(GetConfig{});
  ASSERT_TRUE(config);
  EXPECT_TRUE(config->values.empty());
  EXPECT_EQ(config->defaults.at("retention.jobs"), "1h");
  ASSERT_TRUE(client->set({{"retention.jobs", "2h"}}));
  kill();
  start();
  config = client->ask<ConfigValues>(GetConfig{});
  ASSERT_TRUE(config);
  EXPECT_EQ(config->values, (std::map<std::string, std::string>{{"retention.jobs", "2h"}}));
  const auto rows = client->ask<HistoryRows>(rows_of(HistoryKind::config));
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->rows.size(), 1u);
}
TEST_F(WholeMaster, a_drained_node_gets_no_work_and_an_unknown_one_is_named) {
  const auto client = add_client();
  const auto n1 = add_agent("n1"), n2 = add_agent("n2");
  ASSERT_TRUE(n1->wait_registered());
  ASSERT_TRUE(n2->wait_registered());
  ActOnNodes drain;
  drain.nodes = {"n1"};
  ASSERT_TRUE(client->ask<Done>(drain));
  client->wait(client->submit(500));
  EXPECT_EQ(n1->tasks(), 0u);
  drain.nodes = {"n3"};
  const auto unknown = client->ask<Done>(drain);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Code::not_found);
}

// ---- failure
class QuickWatch : public WholeMaster {
protected:
  void SetUp() override {
    settings = {{"heartbeat.interval", "50ms"},
                {"liveness.lost_min", "100ms"},
                {"liveness.lost_max", "200ms"}};
    WholeMaster::SetUp();
  }
};
TEST_F(QuickWatch, a_silent_node_is_lost_and_its_tasks_run_elsewhere) {
  const auto client = add_client();
  const auto silent = add_agent("n1", [](FakeAgent& a) { a.keeps = true; });
  ASSERT_TRUE(silent->wait_registered());
  const JobId job = client->submit(40);
  ASSERT_TRUE(silent->wait_tasks(1));
  silent->die();
  const auto other = add_agent("n2");
  ASSERT_TRUE(other->wait_registered());
  std::atomic<bool> end{false};
  std::thread beats([&] { // as an agent does
    while (!end) {
      other->beat();
      std::this_thread::sleep_for(20ms);
    }
  });
  EXPECT_EQ(client->wait(job).succeeded, 40u);
  EXPECT_EQ(other->tasks(), 40u);
  const auto nodes = client->ask<NodeList>(ListNodes{{"n1"}});
  ASSERT_TRUE(nodes);
  EXPECT_EQ(nodes->nodes.at(0).state, NodeState::lost);
  const auto lost = client->ask<HistoryRows>(rows_of(HistoryKind::attempts));
  ASSERT_TRUE(lost);
  const auto cause = std::find(lost->columns.begin(), lost->columns.end(), "cause");
  ASSERT_NE(cause, lost->columns.end());
  const auto at = static_cast<std::size_t>(cause - lost->columns.begin());
  EXPECT_TRUE(std::any_of(lost->rows.begin(), lost->rows.end(),
                          [&](const auto& row) { return row[at] == "lost_node"; }));
  end = true;
  beats.join();
}
TEST_F(QuickWatch, a_node_that_comes_back_is_taken_back) {
  const auto client = add_client();
  const auto agent = add_agent("n1");
  ASSERT_TRUE(agent->wait_registered());
  ASSERT_TRUE(client->await<NodeList>(ListNodes{}, [](const auto& list) {
    return list && list->nodes.at(0).state == NodeState::lost;
  }));
  const JobId job = client->submit(5);
  agent->start();
  EXPECT_EQ(client->wait(job).succeeded, 5u);
}
TEST_F(WholeMaster, failures_are_tried_again_as_often_as_asked) {
  const auto client = add_client();
  ASSERT_TRUE(client->set({{"retry.first", "0s"}}));
  std::atomic<int> tries{0};
  add_agent("n1", [&](FakeAgent& a) {
    a.behave = [&](JobId, TaskResult result, TaskOutput&) {
      if (++tries <= 3) {
        result.cause = Cause::exit_code;
        result.exit_code = 1;
      }
      return result;
    };
  });
  JobSpec spec;
  spec.command = {"false"};
  spec.retries = 3;
  EXPECT_EQ(client->wait(client->submit(spec)).state, JobState::succeeded);
  EXPECT_EQ(tries, 4);
  tries = 0;
  spec.retries = 2;
  EXPECT_EQ(client->wait(client->submit(spec)).state, JobState::failed);
  EXPECT_EQ(tries, 3);
}

// ---- what is given back
TEST_F(WholeMaster, a_lease_ends_at_its_time) {
  const auto client = add_client();
  const auto agent = add_agent("n1");
  ASSERT_TRUE(agent->wait_registered());
  Allocate allocate;
  allocate.resources.cpu_milli = 8'000;
  allocate.duration = 200ms;
  const auto granted = client->ask<Granted>(allocate);
  ASSERT_TRUE(granted) << granted.error().message();
  EXPECT_EQ(granted->available.cpu_milli, 0);
  const auto second = client->ask<Granted>(allocate);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::no_capacity);
  EXPECT_TRUE(
    client->await<Granted>(allocate, [](const auto& again) { return again.has_value(); }));
}
TEST_F(WholeMaster, a_finished_job_is_forgotten_by_the_master_and_kept_in_history) {
  const auto client = add_client();
  ASSERT_TRUE(client->set({{"retention.tasks", "0"}}));
  add_agent("n1", [](FakeAgent& a) {
    a.behave = [](JobId, TaskResult result, TaskOutput& output) {
      output.out.data = "hello\n";
      result.stdout_bytes = 6;
      return result;
    };
  });
  const JobId job = client->submit(1, "process");
  ListTasks tasks;
  tasks.job = job;
  EXPECT_TRUE(client->await<TaskList>(
    tasks, [](const auto& list) { return !list && list.error().code == Code::not_found; }));
  const auto rows = client->ask<HistoryRows>(rows_of(HistoryKind::jobs));
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->rows.size(), 1u);
  ReadLog log;
  log.job = job;
  const auto chunk = client->ask<LogChunk>(log);
  ASSERT_TRUE(chunk) << chunk.error().message();
  EXPECT_EQ(chunk->data.data, "hello\n");
  EXPECT_TRUE(chunk->ended);
}

// ---- output
class LongOutput : public WholeMaster {
protected:
  JobId run(std::function<std::optional<LogChunk>(const ReadLog&)> logs) {
    client = add_client();
    agent = add_agent("n1", [&](FakeAgent& a) {
      a.logs = std::move(logs);
      a.behave = [](JobId, TaskResult result, TaskOutput& output) {
        output.out.data = std::string(4'096, 'h');
        result.stdout_bytes = 10'000;
        return result;
      };
    });
    const JobId job = client->submit(1, "process");
    client->wait(job);
    return job;
  }
  Result<LogChunk> read(JobId job, std::uint64_t offset = 0) {
    ReadLog log;
    log.job = job;
    log.offset = offset;
    return client->ask<LogChunk>(log);
  }
  std::shared_ptr<FakeClient> client;
  std::shared_ptr<FakeAgent> agent;
};
TEST_F(LongOutput, is_asked_for_at_the_node_where_the_task_was) {
  const JobId job = run([](const ReadLog& log) {
    LogChunk chunk;
    chunk.data.data = "whole";
    chunk.attempt = log.attempt;
    chunk.ended = true;
    return std::optional(chunk);
  });
  const auto chunk = read(job);
  ASSERT_TRUE(chunk) << chunk.error().message();
  EXPECT_EQ(chunk->data.data, "whole");
  EXPECT_EQ(chunk->attempt, 1u);
}
TEST_F(LongOutput, that_the_node_has_no_more_is_answered_with_its_head) {
  const JobId job = run([](const ReadLog&) { return std::optional<LogChunk>(); });
  const auto chunk = read(job);
  ASSERT_TRUE(chunk) << chunk.error().message();
  EXPECT_EQ(chunk->data.data.size(), 4'096u);
  EXPECT_EQ(chunk->written, 10'000u);
  const auto rest = read(job, 4'096);
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->offset, 10'000u);
}
TEST_F(LongOutput, of_a_node_that_is_away_is_answered_with_its_head) {
  const JobId job = run({});
  agent->die();
  net.gone(agent->peer);
  const auto chunk = read(job);
  ASSERT_TRUE(chunk) << chunk.error().message();
  EXPECT_EQ(chunk->data.data.size(), 4'096u);
}

// ---- restarts
TEST_F(WholeMaster, nothing_is_lost_or_doubled_when_it_is_killed_again_and_again) {
  auto client = add_client();
  const auto agent = add_agent("n1", [](FakeAgent& a) {
    a.behave = [](JobId, TaskResult result, TaskOutput&) {
      result.result.data = std::to_string(result.index);
      return result;
    };
  });
  std::vector<JobId> jobs;
  for (int round = 0; round < 6; ++round) {
    for (int k = 0; k < 5; ++k)
      jobs.push_back(client->submit(20, "process"));
    kill();
    start();
    agent->start();
  }
  for (const JobId job : jobs)
    EXPECT_EQ(client->wait(job).succeeded, 20u);
  auto question = rows_of(HistoryKind::attempts);
  question.limit = 10'000;
  question.state = "succeeded";
  const auto rows = client->ask<HistoryRows>(question);
  ASSERT_TRUE(rows) << rows.error().message();
  std::set<std::pair<std::string, std::string>> tasks;
  for (const auto& row : rows->rows)
    EXPECT_TRUE(tasks.emplace(row[0], row[1]).second)
      << "twice: job " << row[0] << " task " << row[1];
  EXPECT_EQ(tasks.size(), jobs.size() * 20);
  const auto ended = client->ask<HistoryRows>(rows_of(HistoryKind::jobs));
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->rows.size(), jobs.size());
}
TEST_F(WholeMaster, a_snapshot_takes_nothing_from_the_history) {
  auto client = add_client();
  const auto agent = add_agent("n1");
  for (int round = 0; round < 4; ++round) {
    client->wait(client->submit(10));
    const auto stored = client->ask<Done>(Step{});
    ASSERT_TRUE(stored) << stored.error().message();
    kill();
    start();
    agent->start();
  }
  client->wait(client->submit(10));
  const auto ended = client->ask<HistoryRows>(rows_of(HistoryKind::jobs));
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->rows.size(), 5u);
}
TEST_F(WholeMaster, a_deleted_history_begins_anew_with_what_the_journal_still_has) {
  auto client = add_client();
  const auto agent = add_agent("n1", [](FakeAgent& a) { a.keeps = true; });
  ASSERT_TRUE(agent->wait_registered());
  const JobId job = client->submit(3);
  ASSERT_TRUE(agent->wait_tasks(3));
  ASSERT_TRUE(client->ask<Done>(Step{}));
  stop();
  for (const char* suffix : {"", "-wal", "-shm"})
    std::filesystem::remove(folder + "/history.db" + suffix);
  start();
  agent->keeps = false;
  agent->start();
  EXPECT_EQ(client->wait(job).succeeded, 3u);
  const auto rows = client->ask<HistoryRows>(rows_of(HistoryKind::jobs));
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->rows.size(), 1u);
  EXPECT_EQ(rows->rows[0][1], "j"); // its name is from the snapshot
}
TEST_F(WholeMaster, without_a_history_the_master_works_and_says_what_it_lacks) {
  stop();
  for (const char* suffix : {"", "-wal", "-shm"})
    std::filesystem::remove(folder + "/history.db" + suffix);
  std::filesystem::create_directory(folder + "/history.db");
  start();
  const auto client = add_client();
  add_agent("n1");
  const JobId job = client->submit(5);
  EXPECT_EQ(client->wait(job).succeeded, 5u);
  const auto rows = client->ask<HistoryRows>(rows_of(HistoryKind::jobs));
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, Code::unavailable);
  ListTasks tasks;
  tasks.job = job;
  const auto list = client->ask<TaskList>(tasks);
  ASSERT_TRUE(list);
  EXPECT_EQ(list->tasks.at(0).state, TaskState::succeeded);
  Step sweep;
  sweep.action = MasterAction::sweep;
  const auto swept = client->ask<Done>(sweep);
  ASSERT_TRUE(swept) << swept.error().message();
  EXPECT_NE(swept->text.find("; rows of the history could not be looked at: "), std::string::npos)
    << swept->text;
  EXPECT_NE(swept->text.find("history.db"), std::string::npos) << swept->text;
}
TEST_F(WholeMaster, a_stop_finishes_what_was_decided) {
  auto client = add_client();
  add_agent("n1");
  const JobId job = client->submit(100);
  client->wait(job);
  stop();
  start();
  const auto rows = client->ask<HistoryRows>(rows_of(HistoryKind::jobs));
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->rows.size(), 1u);
}

} // namespace
} // namespace reeve::actors
