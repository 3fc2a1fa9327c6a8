// `reeve journal` on files that a master would have written.
#include "src/journal/journal.hpp"
#include "src/util/json.hpp"
#include "tests/unit/cli/small_cluster.hpp"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

namespace reeve::cli {
namespace {

class JournalCommands : public testing::Test {
protected:
  JournalCommands() {
    std::string name = testing::TempDir() + "reeve_cli_journal_XXXXXX";
    folder_ = ::mkdtemp(name.data());
    path_ = folder_ + "/journal.db";
  }
  ~JournalCommands() override { std::filesystem::remove_all(folder_); }

  /// Entries 1 to 3: an epoch, a node, a setting.
  void write_journal() {
    journal::SqliteOptions options;
    options.path = path_;
    auto journal = journal::open_sqlite(options);
    ASSERT_TRUE(journal) << journal.error().message();
    ASSERT_TRUE((*journal)->acquire(Epoch(1), "m1"));
    NodeRegistered node;
    node.node = NodeId(1);
    node.name = "n1";
    node.incarnation = Incarnation(7);
    node.capacity.cpu_milli = 4000;
    journal::Batch batch{Seq(1), {}};
    batch.entries.push_back(encode(Entry{at(0), EpochStarted{Epoch(1), "m1"}}));
    batch.entries.push_back(encode(Entry{at(1), node}));
    batch.entries.push_back(encode(Entry{at(2), ConfigChanged{{{"retention.jobs", "2h"}}}}));
    const auto stored = (*journal)->append({&batch, 1});
    ASSERT_TRUE(stored) << stored.error().message();
  }
  SmallCluster::Ran reeve(std::vector<std::string> args) { return cluster_.reeve(std::move(args)); }

  SmallCluster cluster_;
  std::string folder_, path_;
};

TEST_F(JournalCommands, export_prints_each_entry_as_a_line_of_json) {
  write_journal();
  const auto all = reeve({"journal", "export", path_});
  EXPECT_EQ(all.code, 0) << all.err;
  EXPECT_EQ(
    all.out,
    R"({"v":1,"seq":1,"time_us":1738317600000000,"type":"EpochStarted","body":{"epoch":1,"master":"m1"}})"
    "\n"
    R"({"v":1,"seq":2,"time_us":1738317601000000,"type":"NodeRegistered","body":{"node":1,"name":"n1",)"
    R"("incarnation":7,"capacity":{"cpu_milli":4000,"memory_bytes":0,"disk_bytes":0,"named_milli":{}},)"
    R"("labels":{},"executors":[],"program":"","pulls":false}})"
    "\n"
    R"({"v":1,"seq":3,"time_us":1738317602000000,"type":"ConfigChanged","body":{"values":{"retention.jobs":"2h"}}})"
    "\n");
  const auto some = reeve({"journal", "export", "--state", folder_, "--from", "2", "--to", "2"});
  EXPECT_EQ(some.code, 0) << some.err;
  EXPECT_EQ(some.out.rfind(R"({"v":1,"seq":2,)", 0), 0U);
  EXPECT_EQ(std::count(some.out.begin(), some.out.end(), '\n'), 1);
}

TEST_F(JournalCommands, verify_says_what_there_is) {
  write_journal();
  const auto ran = reeve({"journal", "verify", folder_, "-o", "json"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  const auto json = parse_json(ran.out);
  ASSERT_TRUE(json) << ran.out;
  EXPECT_EQ((*json)["first"], 1);
  EXPECT_EQ((*json)["last"], 3);
  EXPECT_EQ((*json)["snapshot"], 0);
  EXPECT_EQ((*json)["epoch"], 1);
  EXPECT_EQ((*json)["replayed"], 3);
}

TEST_F(JournalCommands, verify_refuses_a_damaged_one_and_names_the_place) {
  write_journal();
  std::string bytes;
  {
    std::ifstream file(path_, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  const std::size_t at = bytes.find("retention.jobs");
  ASSERT_NE(at, std::string::npos);
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  std::ofstream(path_, std::ios::binary) << bytes;
  const auto ran = reeve({"journal", "verify", path_});
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find("1"), std::string::npos) << ran.err; // the batch's first entry
  EXPECT_EQ(ran.out, "");
}

TEST_F(JournalCommands, compact_keeps_the_state_in_a_snapshot) {
  write_journal();
  const auto ran = reeve({"journal", "compact", path_});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out.rfind("snapshot after entry 3; ", 0), 0U) << ran.out;
  const auto after = reeve({"journal", "verify", path_, "-o", "json"});
  const auto json = parse_json(after.out);
  ASSERT_TRUE(json) << after.err;
  EXPECT_EQ((*json)["snapshot"], 3);
  EXPECT_EQ((*json)["replayed"], 0);
  EXPECT_EQ((*json)["epoch"], 2); // its own: a master that read the old state is fenced
  const auto nothing = reeve({"journal", "export", path_});
  EXPECT_EQ(nothing.code, 0) << nothing.err;
  EXPECT_EQ(nothing.out, "");
}

TEST_F(JournalCommands, compact_keeps_away_from_a_running_masters_file) {
  write_journal();
  journal::SqliteOptions options;
  options.path = path_;
  const auto master = journal::open_sqlite(options);
  ASSERT_TRUE(master);
  EXPECT_EQ(reeve({"journal", "compact", path_}).code, 3);
  EXPECT_EQ(reeve({"journal", "verify", path_}).code, 0); // reading is fine
}

TEST_F(JournalCommands, a_file_that_is_not_there_is_not_made) {
  for (const char* verb : {"export", "verify", "compact"}) {
    const auto ran = reeve({"journal", verb, path_});
    EXPECT_EQ(ran.code, 4) << verb;
    EXPECT_EQ(ran.err, "reeve: FILE: " + path_ + ": no such journal\n");
    EXPECT_FALSE(std::filesystem::exists(path_));
  }
}

} // namespace
} // namespace reeve::cli
