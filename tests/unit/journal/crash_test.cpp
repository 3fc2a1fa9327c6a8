// The journal dies at every point where it touches the disk, by kill and by power cut. What it had
// called durable must be there, in order, and nothing else but a continuation of it.
#include "tests/unit/journal/fault_vfs/fault_vfs.hpp"
#include "tests/unit/journal/workload.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace reeve::journal {
namespace {
using namespace journal_tests;
using reeve::faults::Fault;

struct Life {
  Seq durable, tried, saved; // the last of each
  int exit_code = -1;
  std::string error;
};

Life run_writer(const std::string& path, Fault fault, std::uint64_t at, std::uint64_t seed) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::vector<std::string> words{CRASH_WRITER, path, std::to_string(static_cast<int>(fault)),
                                 std::to_string(at), std::to_string(seed)};
  std::vector<char*> argv;
  for (auto& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t child = 0;
  EXPECT_EQ(::posix_spawn(&child, CRASH_WRITER, &actions, nullptr, argv.data(), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  std::string said;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    said.append(buffer, static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);

  Life life;
  life.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  std::istringstream lines(said);
  for (std::string word; lines >> word;) {
    if (word == "error") {
      std::getline(lines, life.error);
      break;
    }
    std::uint64_t seq = 0;
    lines >> seq;
    (word == "durable" ? life.durable : word == "saved" ? life.saved : life.tried) = Seq(seq);
  }
  return life;
}

// Opens what the dead writer left, holds it against what it had said, and goes on writing.
void check_after(const std::string& path, const Life& life, Seq& last) {
  auto opened = open_sqlite({.path = path});
  ASSERT_TRUE(opened) << opened.error().message();
  Journal& journal = **opened;
  last = journal.last();
  ASSERT_GE(last, life.durable) << "an acknowledged entry is gone";
  ASSERT_LE(last, std::max(life.tried, life.durable)) << "an entry from nowhere";
  auto snapshot = journal.load_snapshot();
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  ASSERT_GE(snapshot->seq, life.saved);
  if (snapshot->seq) {
    ASSERT_EQ(snapshot->bytes, state_at(snapshot->seq));
  }
  std::uint64_t expected = snapshot->seq.value;
  const auto replayed = journal.read(snapshot->seq.next(), [&](Seq seq, std::string_view bytes) {
    EXPECT_EQ(seq.value, ++expected);
    EXPECT_EQ(bytes, content_of(seq, bytes.size()));
    return Result<void>();
  });
  ASSERT_TRUE(replayed) << replayed.error().message();
  ASSERT_EQ(expected, last.value);
  ASSERT_TRUE(journal.acquire(journal.epoch().next(), "next"));
  ASSERT_TRUE(append(journal, make_batch(last.next(), 2)));
  last = journal.last();
  const auto health = journal.verify();
  ASSERT_TRUE(health) << health.error().message();
}

class dying_journal : public ::testing::TestWithParam<std::pair<std::string, Fault>> {};
INSTANTIATE_TEST_SUITE_P(by, dying_journal,
                         ::testing::Values(std::pair{"kill", Fault::die},
                                           std::pair{"torn_write", Fault::tear},
                                           std::pair{"power_cut", Fault::drop},
                                           std::pair{"reordering_power_cut", Fault::scramble}),
                         [](const auto& row) { return row.param.first; });

TEST_P(dying_journal, keeps_all_that_it_called_durable_at_every_write) {
  std::uint64_t at = 1;
  for (;; at += fault_step) {
    SCOPED_TRACE("dies at operation " + std::to_string(at));
    TemporaryFolder folder(TemporaryFolder::in_memory);
    const std::string path = folder.file("journal.db");
    const Life life = run_writer(path, GetParam().second, at, at);
    ASSERT_TRUE(life.exit_code == 0 || life.exit_code == reeve::faults::died_as_planned)
      << life.exit_code << life.error;
    Seq last;
    check_after(path, life, last);
    if (HasFatalFailure() || life.exit_code == 0)
      break;
  }
  EXPECT_GT(at, 300u) << "the workload has shrunk";
}

TEST_P(dying_journal, keeps_all_over_a_hundred_deaths_in_a_row) {
  TemporaryFolder folder(TemporaryFolder::in_memory);
  const std::string path = folder.file("journal.db");
  Seq last;
  std::uint64_t x = 0x9E3779B97F4A7C15ULL;
  for (int life_number = 0; life_number < 100 && !HasFatalFailure(); ++life_number) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    SCOPED_TRACE("life " + std::to_string(life_number));
    Life life = run_writer(path, GetParam().second, 1 + x % 150, x);
    ASSERT_TRUE(life.exit_code == 0 || life.exit_code == reeve::faults::died_as_planned)
      << life.exit_code << life.error;
    life.durable = std::max(life.durable, last); // what earlier lives acknowledged counts, too
    check_after(path, life, last);
  }
}

} // namespace
} // namespace reeve::journal
