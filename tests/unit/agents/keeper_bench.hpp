// A real keeper (reeve-agent keeper) in a directory of its own, with the test as its agent. It is
// started for each test and ended with all that it runs when the test is over.
#pragma once

#include "agents/worker/keeper_client.hpp"
#include "agents/worker/keeper_proc.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace reeve::worker {

constexpr std::chrono::seconds patience{
  30}; // for what must come; never waited for when all is well

/// True once `fd` is readable.
inline bool wait_readable(int fd) {
  pollfd item{fd, POLLIN, 0};
  const auto ms = std::chrono::milliseconds(patience).count();
  return ::poll(&item, 1, static_cast<int>(ms)) > 0;
}

/// A FIFO that tasks write lines to, so that a test can wait for what happens inside of them.
class Signpost {
public:
  explicit Signpost(std::string path) : path_(std::move(path)) {
    EXPECT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    fd_.reset(::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK)); // RDWR: it never ends
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  std::string line() {
    for (std::size_t end = 0;;) {
      if ((end = text_.find('\n')) != std::string::npos) {
        std::string line = text_.substr(0, end);
        text_.erase(0, end + 1);
        return line;
      }
      char chunk[512];
      const ssize_t n = wait_readable(fd_.get()) ? ::read(fd_.get(), chunk, sizeof chunk) : 0;
      if (n <= 0) {
        ADD_FAILURE() << "nobody wrote a line to " << path_;
        return {};
      }
      text_.append(chunk, static_cast<std::size_t>(n));
    }
  }
  pid_t pid() { return std::atoi(line().c_str()); }

private:
  std::string path_;
  Fd fd_;
  std::string text_;
};

/// True once the process has ended (a zombie counts: it runs no more).
inline bool wait_end(pid_t pid) {
  const Fd held = open_pidfd(pid);
  return !held || wait_readable(held.get());
}
inline bool alive(pid_t pid) {
  const auto stat = read_stat(pid);
  return stat && stat->state != 'Z' && stat->state != 'X';
}
/// What a keeper's tasks run now, by the marker that they inherit.
inline std::vector<pid_t> marked(Incarnation keeper) {
  std::vector<pid_t> found;
  for (const ProcStat& process : all_processes())
    if (const auto marker = read_marker(process.pid);
        marker && marker->keeper == keeper && process.state != 'Z')
      found.push_back(process.pid);
  return found;
}

inline JobSpec shell(const std::string& script) {
  JobSpec spec;
  spec.command = {"sh", "-c", script};
  return spec;
}

class KeeperBench : public ::testing::Test {
protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "reeve-keeper-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    dir_ = pattern + "/state";
    launch();
  }
  void TearDown() override {
    if (agent_) {
      agent_->stop_all(Duration(0));
      static_cast<void>(agent_->flush());
      EXPECT_TRUE(wait_end(keeper_pid_));
      EXPECT_TRUE(marked(agent_->incarnation()).empty()) << "an orphan is left";
      agent_.reset();
    }
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  void launch(const std::vector<std::string>& flags = {}) {
    std::vector<std::string> command{REEVE_AGENT, "keeper", "--state", dir_};
    command.insert(command.end(), flags.begin(), flags.end());
    const auto launched = launch_keeper(command);
    ASSERT_TRUE(launched) << launched.error().message();
    connect();
  }
  void connect() {
    agent_.reset();
    auto client = KeeperClient::connect(dir_);
    ASSERT_TRUE(client) << client.error().message();
    agent_ = std::move(*client);
    keeper_pid_ = static_cast<pid_t>(agent_->welcome().pid);
    for (const keeper::Exit& exit : agent_->ended())
      ended_[exit.id()].push_back(exit);
  }
  /// Ends the keeper as the OOM killer would.
  void kill_keeper() {
    agent_.reset();
    ASSERT_EQ(::kill(keeper_pid_, SIGKILL), 0);
    ASSERT_TRUE(wait_end(keeper_pid_));
  }

  AttemptId start(const JobSpec& spec, std::optional<std::string> item = {}, TaskIndex index = 0) {
    const AttemptId id{JobId(++last_job_), index, 1};
    agent_->start(id.job, spec, Epoch(1), {{id.index, id.attempt, std::move(item)}});
    EXPECT_TRUE(agent_->flush());
    return id;
  }
  void cancel(const AttemptId& id, std::optional<Duration> grace = {}) {
    agent_->stop({id}, Cause::cancelled, "not wanted", grace);
    EXPECT_TRUE(agent_->flush());
  }
  /// Waits for exits and notes them. False: none came.
  bool hear() {
    if (!wait_readable(agent_->fd()))
      return false;
    auto exits = agent_->receive();
    if (!exits) {
      ADD_FAILURE() << exits.error().message();
      return false;
    }
    for (const keeper::Exit& exit : *exits)
      ended_[exit.id()].push_back(exit);
    return true;
  }
  TaskResult result(const AttemptId& id) {
    while (!ended_.contains(id))
      if (!hear()) {
        ADD_FAILURE() << "no exit of task " << id.job.value;
        return {};
      }
    return ended_[id].back().result;
  }
  TaskResult run(const JobSpec& spec, std::optional<std::string> item = {}) {
    return result(start(spec, std::move(item)));
  }
  [[nodiscard]] std::string file(const std::string& name) const { return folder_ + "/" + name; }
  static std::string read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& name, const std::string& text, mode_t mode = 0600) {
    std::ofstream(file(name), std::ios::binary) << text;
    ::chmod(file(name).c_str(), mode);
  }

  std::string folder_, dir_;
  std::optional<KeeperClient> agent_;
  pid_t keeper_pid_ = 0;
  std::uint64_t last_job_ = 0;
  std::map<AttemptId, std::vector<keeper::Exit>> ended_; // each time it was told
};

} // namespace reeve::worker
