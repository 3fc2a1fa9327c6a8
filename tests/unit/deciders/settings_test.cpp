// The table of settings, and that docs/configuration.md tells the truth about it.
#include "src/deciders/settings.hpp"

#include "src/sched/queue_settings.hpp"

#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

namespace reeve::deciders {
namespace {

using Values = std::map<std::string, std::string>;
using namespace std::chrono_literals;

TEST(settings, are_in_alphabetical_order_with_good_defaults) {
  std::string_view before;
  for (const Setting& setting : setting_table()) {
    EXPECT_LT(before, setting.name);
    before = setting.name;
    EXPECT_FALSE(setting.help.empty()) << setting.name;
    const auto good =
      check_settings({{std::string(setting.name), std::string(setting.default_text)}}, {});
    EXPECT_TRUE(good) << good.error().message();
  }
}
TEST(settings, defaults_are_those_of_the_design) {
  const Settings s = settings_from({});
  EXPECT_EQ(s.heartbeat_interval, 1s);
  EXPECT_EQ(s.heartbeat_rate, 2'000);
  EXPECT_EQ(s.suspect_phi, 5);
  EXPECT_EQ(s.lost_phi, 10);
  EXPECT_EQ(s.lost_min, 10s);
  EXPECT_EQ(s.lost_max, 30s);
  EXPECT_EQ(s.amnesty, 60s);
  EXPECT_EQ(s.flood_nodes, 3);
  EXPECT_EQ(s.flood_stop_percent, 20);
  EXPECT_EQ(s.retry_first, 1s);
  EXPECT_EQ(s.retry_longest, 5min);
  EXPECT_EQ(s.retry_crash_nodes, 3);
  EXPECT_EQ(s.retention_jobs, 1h);
  EXPECT_EQ(s.retention_tasks, 100'000);
  EXPECT_EQ(s.retention_nodes, 24h);
  EXPECT_EQ(s.retention_history, 30 * 24h);
  EXPECT_EQ(s.sweep_every, 5min);
}
TEST(settings, take_the_values_that_were_set) {
  const Settings s = settings_from({{"retention.jobs", "2h"}, {"retry.crash_nodes", "7"}});
  EXPECT_EQ(s.retention_jobs, 2h);
  EXPECT_EQ(s.retry_crash_nodes, 7);
  EXPECT_EQ(s.lost_min, 10s);
}
TEST(settings, of_another_version_do_no_harm) {
  const Settings s = settings_from({{"retention.jobs", "soon"}, {"no.such", "1"}});
  EXPECT_EQ(s.retention_jobs, 1h);
}

struct Wrong {
  const char* name;
  Values changes, present;
  const char *field, *text; // parts of it
};
class WrongSettings : public testing::TestWithParam<Wrong> {};
TEST_P(WrongSettings, name_the_field_the_value_and_what_is_allowed) {
  const auto good = check_settings(GetParam().changes, GetParam().present, "values.");
  ASSERT_FALSE(good);
  EXPECT_EQ(good.error().code, Code::bad_field);
  EXPECT_EQ(good.error().field, GetParam().field);
  EXPECT_NE(good.error().text.find(GetParam().text), std::string::npos) << good.error().text;
}
INSTANTIATE_TEST_SUITE_P(
  , WrongSettings,
  testing::Values(
    Wrong{"unknown", {{"retention.job", "1h"}}, {}, "values.retention.job", "no such setting"},
    Wrong{
      "not_a_duration", {{"retention.jobs", "long"}}, {}, "values.retention.jobs", "got 'long'"},
    Wrong{"duration_says_what_is_allowed",
          {{"sweep.every", "10ms"}},
          {},
          "values.sweep.every",
          "a duration from 1s to 1d"},
    Wrong{"above_its_bound",
          {{"liveness.lost_phi", "101"}},
          {},
          "values.liveness.lost_phi",
          "a whole number from 1 to 100, got '101'"},
    Wrong{"not_a_number", {{"heartbeat.rate", "1e3"}}, {}, "values.heartbeat.rate", "got '1e3'"},
    Wrong{"negative", {{"retention.tasks", "-1"}}, {}, "values.retention.tasks", "got '-1'"},
    Wrong{"of_a_queue",
          {{"queue.batch.order", "random"}},
          {},
          "values.queue.batch.order",
          "one of fifo, priority, sjf, spt, sct, fair, edf, got 'random'"},
    Wrong{"above_its_partner",
          {{"liveness.lost_min", "31s"}},
          {},
          "values.liveness.lost_min",
          "liveness.lost_max, which is 30s"},
    Wrong{"above_its_partner_that_was_set",
          {{"retry.first", "20s"}},
          {{"retry.longest", "10s"}},
          "values.retry.first",
          "which is 10s"},
    Wrong{"good_ones_beside_it_do_not_help",
          {{"retention.jobs", "2h"}, {"retry.jitter_percent", "200"}},
          {},
          "values.retry.jitter_percent",
          "got '200'"}),
  [](const auto& test) { return test.param.name; });

TEST(settings, two_that_belong_together_can_be_changed_together) {
  EXPECT_TRUE(check_settings({{"liveness.lost_min", "40s"}, {"liveness.lost_max", "50s"}}, {}));
}
TEST(settings, an_empty_value_goes_back_to_the_default) {
  const Values present{{"liveness.lost_max", "60s"}, {"liveness.lost_min", "40s"}};
  EXPECT_TRUE(check_settings({{"liveness.lost_min", ""}}, present));
  EXPECT_FALSE(check_settings({{"liveness.lost_max", ""}}, present)); // 40s would be above 30s
}
TEST(settings, control_characters_do_not_reach_the_error) {
  const auto good = check_settings({{"retention.jobs", "\x1b[31m"}}, {});
  ASSERT_FALSE(good);
  EXPECT_EQ(good.error().text.find('\x1b'), std::string::npos);
}

TEST(settings, docs_show_every_one_with_its_default_and_what_is_allowed) {
  std::ifstream file(SOURCE_DIR "/docs/configuration.md");
  std::stringstream text;
  text << file.rdbuf();
  ASSERT_FALSE(text.str().empty());
  for (const Setting& setting : setting_table()) {
    const std::string row = "| `" + std::string(setting.name) + "` | `" +
                            std::string(setting.default_text) + "` | " + setting.allowed() + " | " +
                            std::string(setting.help) + " |\n";
    EXPECT_NE(text.str().find(row), std::string::npos) << "docs/configuration.md lacks\n" << row;
  }
  for (const auto& [table, prefix] : {std::pair(&sched::queue_setting_table(), "queue.*."),
                                      std::pair(&sched::scheduler_setting_table(), "scheduler.")})
    for (const auto& info : *table) {
      const std::string usual(info.default_text);
      const std::string row = "| `" + (prefix + std::string(info.name)) + "` | " +
                              (usual.empty() ? "" : "`" + usual + "`") + " | " +
                              std::string(info.allowed) + " | " + std::string(info.help) + " |\n";
      EXPECT_NE(text.str().find(row), std::string::npos) << "docs/configuration.md lacks\n" << row;
    }
  for (std::string line; std::getline(text, line);)
    if (const auto dot = line.find('.'); line.starts_with("| `") && dot != std::string::npos &&
                                         line[3] != '-' && dot < line.find('`', 3)) {
      const std::string name = line.substr(3, line.find('`', 3) - 3);
      EXPECT_TRUE(default_settings().contains(name)) << name << " is in the docs only";
    }
}

} // namespace
} // namespace reeve::deciders
