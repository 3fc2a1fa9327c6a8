// The dashboard's parts without sockets: what browsers may ask, who may act, what Prometheus reads.
#include "agents/dashboard/api.hpp"
#include "agents/dashboard/guard.hpp"
#include "agents/dashboard/metrics.hpp"
#include "agents/dashboard/options.hpp"
#include "agents/dashboard/questions.hpp"

#include <gtest/gtest.h>

namespace reeve::dashboard {
namespace {

template<class T> std::string field_of(const Result<T>& result) {
  return result ? "good" : result.error().field;
}

// ---- questions

TEST(dashboard_questions, parameters_become_questions) {
  const auto jobs = jobs_wanted({{"name", "train*"},
                                 {"state", "pending,failed"},
                                 {"ids", "5, 7"},
                                 {"label", "team=red"},
                                 {"before", "40"},
                                 {"limit", "10"}});
  ASSERT_TRUE(jobs) << jobs.error().message();
  EXPECT_EQ(jobs->name, "train*");
  EXPECT_EQ(jobs->states, (std::vector{JobState::pending, JobState::failed}));
  EXPECT_EQ(jobs->jobs, (std::vector{JobId(5), JobId(7)}));
  EXPECT_EQ(jobs->labels, (std::map<std::string, std::string>{{"team", "red"}}));
  EXPECT_EQ(jobs->before, JobId(40));
  EXPECT_EQ(jobs->limit, 10u);
  const auto history = history_wanted({{"kind", "attempts"},
                                       {"job", "3"},
                                       {"task", "0"},
                                       {"since", "1700000000000000"},
                                       {"by", "node"}});
  ASSERT_TRUE(history) << history.error().message();
  EXPECT_EQ(history->task, std::optional<TaskIndex>(0));
  EXPECT_EQ(history->by, "node");
  EXPECT_EQ(history->since, TimePoint(Duration(1'700'000'000'000'000)));
}

TEST(dashboard_questions, what_is_wrong_is_named) {
  EXPECT_EQ(field_of(jobs_wanted({{"state", "sleeping"}})), "state");
  EXPECT_EQ(field_of(jobs_wanted({{"limit", "0"}})), "limit");
  EXPECT_EQ(field_of(jobs_wanted({{"limit", "1000000"}})), "limit");
  EXPECT_EQ(field_of(jobs_wanted({{"limit", "1"}, {"limit", "2"}})), "limit");
  EXPECT_EQ(field_of(jobs_wanted({{"label", "nothing"}})), "label");
  EXPECT_EQ(field_of(jobs_wanted({{"ids", "5,x"}})), "ids");
  EXPECT_EQ(field_of(jobs_wanted({{"name", "\xff"}})), "name");
  EXPECT_EQ(field_of(jobs_wanted({{"colour", "red"}})), "colour");
  EXPECT_EQ(field_of(tasks_wanted({})), "job");
  EXPECT_EQ(field_of(tasks_wanted({{"job", "-1"}})), "job");
  EXPECT_EQ(field_of(nodes_wanted({{"sort", "beauty"}})), "sort");
  EXPECT_EQ(field_of(nodes_wanted({{"down", "yes"}})), "down");
  EXPECT_EQ(field_of(history_wanted({{"kind", "wishes"}})), "kind");
  EXPECT_EQ(field_of(history_wanted({{"before", "1e9"}})), "before");
  EXPECT_EQ(field_of(log_wanted({{"job", "1"}, {"stream", "stdlog"}})), "stream");
  EXPECT_EQ(field_of(place_wanted("12.x")), "from");
}

TEST(dashboard_questions, places_in_the_stream_are_seq_and_part) {
  EXPECT_EQ(place_wanted("12.3").value(), (std::pair{Seq(12), 3u}));
  EXPECT_EQ(place_wanted("12").value(), (std::pair{Seq(12), 0u}));
}

TEST(dashboard_questions, actions_name_what_they_are_for) {
  const auto cancel = action_wanted(
    R"({"action":"cancel","jobs":[5],"tasks":[{"job":6,"index":2}],"reason":"enough"})");
  ASSERT_TRUE(cancel) << cancel.error().message();
  const auto& act = std::get<ActOnJobs>(*cancel);
  EXPECT_EQ(act.action, JobAction::cancel);
  EXPECT_EQ(act.jobs, std::vector{JobId(5)});
  EXPECT_EQ(act.tasks, (std::vector<JobRuns>{{JobId(6), {{2, 1, 1}}}}));
  EXPECT_EQ(act.reason, "enough");
  const auto drain = action_wanted(R"({"action":"drain","nodes":["n1"]})");
  ASSERT_TRUE(drain);
  EXPECT_EQ(std::get<ActOnNodes>(*drain).nodes, std::vector<std::string>{"n1"});
  EXPECT_EQ(field_of(action_wanted(R"({"action":"cancel"})")), "jobs");
  EXPECT_EQ(field_of(action_wanted(R"({"action":"cancel","nodes":["n1"]})")), "nodes");
  EXPECT_EQ(field_of(action_wanted(R"({"action":"drain","jobs":[1]})")), "jobs");
  EXPECT_EQ(field_of(action_wanted(R"({"action":"explode","jobs":[1]})")), "action");
  EXPECT_EQ(field_of(action_wanted(R"({"jobs":[1]})")), "action");
  EXPECT_EQ(field_of(action_wanted(R"({"action":"cancel","jobs":[0]})")), "good")
    << "the master refuses what it does not know";
  EXPECT_FALSE(action_wanted("cancel everything"));
}

// ---- who may act

struct Refused {
  const char* name;
  Sender sender;
  const char* field;
};
class DashboardSender : public testing::TestWithParam<Refused> {};
TEST_P(DashboardSender, of_another_page_is_refused) {
  const auto checked = check_sender(GetParam().sender, "secret");
  EXPECT_EQ(field_of(checked), GetParam().field);
}
INSTANTIATE_TEST_SUITE_P(
  all, DashboardSender,
  testing::Values(
    Refused{"ours",
            {"localhost:1", "http://localhost:1", "same-origin", "application/json", "secret"},
            "good"},
    Refused{"a_program_of_the_user", {"localhost:1", "", "", "application/json", "secret"}, "good"},
    Refused{"a_form",
            {"localhost:1", "http://evil", "cross-site", "text/plain", "secret"},
            "Content-Type"},
    Refused{"another_site",
            {"localhost:1", "", "cross-site", "application/json", "secret"},
            "Sec-Fetch-Site"},
    Refused{
      "another_origin", {"localhost:1", "http://evil", "", "application/json", "secret"}, "Origin"},
    Refused{"a_file", {"localhost:1", "null", "", "application/json", "secret"}, "Origin"},
    Refused{"another_port",
            {"localhost:1", "http://localhost:2", "", "application/json", "secret"},
            "Origin"},
    Refused{"without_token",
            {"localhost:1", "http://localhost:1", "same-origin", "application/json", ""},
            "X-Reeve-Token"},
    Refused{"with_an_old_token",
            {"localhost:1", "http://localhost:1", "same-origin", "application/json", "secreT"},
            "X-Reeve-Token"}),
  [](const auto& test) { return std::string(test.param.name); });

TEST(dashboard_guard, only_our_own_names_are_answered) {
  const KnownHosts hosts("10.0.0.5", 7180, {"reeve.example.org"});
  for (const char* good : {"localhost:7180", "LOCALHOST:7180", "127.0.0.1:7180", "[::1]:7180",
                           "10.0.0.5:7180", "reeve.example.org", "reeve.example.org:7180"})
    EXPECT_TRUE(hosts.knows(good)) << good;
  for (const char* bad : {"", "evil.example:7180", "localhost", "localhost:80", "10.0.0.6:7180"})
    EXPECT_FALSE(hosts.knows(bad)) << bad;
}

TEST(dashboard_guard, an_address_is_admitted_as_often_as_allowed_and_another_is_not_held_up) {
  RateLimit limit(10, 20);
  RateLimit::Instant now{};
  int admitted = 0;
  for (int k = 0; k < 100; ++k)
    admitted += limit.admit("a", now);
  EXPECT_EQ(admitted, 20) << "the burst";
  EXPECT_TRUE(limit.admit("b", now));
  now += std::chrono::seconds(1);
  admitted = 0;
  for (int k = 0; k < 100; ++k)
    admitted += limit.admit("a", now);
  EXPECT_EQ(admitted, 10) << "a second's worth";
}

TEST(dashboard_guard, addresses_do_not_pile_up) {
  RateLimit limit(10, 20);
  RateLimit::Instant now{};
  for (int k = 0; k < 50'000; ++k)
    limit.admit(std::to_string(k), now += std::chrono::milliseconds(1));
  EXPECT_LE(limit.known(), 10'001u);
}

TEST(dashboard_guard, tokens_are_long_and_differ) {
  const auto a = random_token(), b = random_token();
  EXPECT_EQ(a.size(), 32u);
  EXPECT_NE(a, b);
}

TEST(dashboard_options, listen_is_host_and_port) {
  EXPECT_EQ(parse_listen("127.0.0.1:80").value(), (std::pair<std::string, int>("127.0.0.1", 80)));
  EXPECT_EQ(parse_listen("[::1]:*").value(), (std::pair<std::string, int>("::1", 0)));
  for (const char* bad : {"", "80", ":80", "host:", "host:0", "host:99999", "host:x"})
    EXPECT_EQ(field_of(parse_listen(bad)), "--listen") << bad;
}

// ---- metrics

TEST(dashboard_metrics, without_a_master_only_that_is_said) {
  EXPECT_EQ(
    metrics_text(families({})),
    "# HELP reeve_up 1 when a master answered this scrape.\n# TYPE reeve_up gauge\nreeve_up 0\n");
}

TEST(dashboard_metrics, histograms_add_up_and_are_in_seconds) {
  Observed observed;
  observed.stats.emplace();
  observed.stats->histograms["journal_commit"] = {{1'000, 2'000'000}, {3, 2, 1}, 7'500'000};
  const auto text = metrics_text(families(observed));
  for (const char* line :
       {"reeve_journal_commit_seconds_count 6", "reeve_journal_commit_seconds_sum 7.5",
        "reeve_journal_commit_seconds_bucket{le=\"0.001\"} 3",
        "reeve_journal_commit_seconds_bucket{le=\"2\"} 5",
        "reeve_journal_commit_seconds_bucket{le=\"+Inf\"} 6"})
    EXPECT_NE(text.find(std::string(line) + "\n"), std::string::npos) << line << " in\n" << text;
}

TEST(dashboard_metrics, figures_of_the_master_are_told_in_base_units) {
  Observed observed;
  observed.stats.emplace();
  observed.stats->succeeded = 7;
  observed.stats->capacity = {4'500, 1 << 20, 0, {{"gpu", 2'000}}};
  observed.stats->counters["net.received"] = 12;
  const auto text = metrics_text(families(observed));
  for (const char* line :
       {"reeve_up 1", "reeve_tasks_finished_total{outcome=\"succeeded\"} 7",
        "reeve_capacity_cores 4.5", "reeve_capacity_memory_bytes 1048576",
        "reeve_capacity_units{resource=\"gpu\"} 2", "reeve_available_units{resource=\"gpu\"} 0",
        "reeve_net_messages_received_total 12"})
    EXPECT_NE(text.find(std::string(line) + "\n"), std::string::npos) << line << " in\n" << text;
}

TEST(dashboard_nodes, the_scarcer_of_cores_and_memory_counts) {
  NodeView node;
  node.capacity = {4'000, 1'000, 0, {}};
  node.available = {3'000, 200, 0, {}};
  node.used = {2'000, 100, 0, {}};
  EXPECT_EQ(booked_percent(node), 80);
  EXPECT_EQ(used_percent(node), 50);
  EXPECT_EQ(booked_percent(NodeView()), 0) << "a node without anything";
  node.draining = true;
  EXPECT_EQ(shown_state(node, TimePoint()), "draining");
  node.quarantined = TimePoint(Duration(5));
  EXPECT_EQ(shown_state(node, TimePoint()), "quarantined");
  node.state = NodeState::lost;
  EXPECT_EQ(shown_state(node, TimePoint()), "lost");
}

} // namespace
} // namespace reeve::dashboard
