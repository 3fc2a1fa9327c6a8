// What the end-to-end benchmarks share: real reeved and reeve-agent processes in a folder of their
// own, raw baselines measured in the same run on the same disk, and lines that say figure, baseline
// and ratio. Programs are found in $REEVE_BIN. Not for tests: figures depend on the machine.
#pragma once

#include "src/client/client.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace reeve::bench {

using Clock = std::chrono::steady_clock;
inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}
/// Ends the program with a word about what went wrong.
[[noreturn]] void give_up(const std::string& why);
template<class T> T or_give_up(Result<T> result, const char* what) {
  if (!result)
    give_up(std::string(what) + ": " + result.error().message());
  if constexpr (!std::is_void_v<T>)
    return std::move(*result);
}

/// A folder that is gone at the end. In $TMPDIR or /tmp: put that on the disk to be measured.
class Scratch {
public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] std::string path(const std::string& name) const { return (root_ / name).string(); }

private:
  std::filesystem::path root_;
};

/// A running program; ended with its owner.
class Program {
public:
  Program() = default;
  /// Starts `command` with its log in `log` and waits for a line that begins with `ready`; what
  /// follows in that line is `word()`.
  Program(const std::vector<std::string>& command, const std::string& ready,
          const std::string& log);
  ~Program() { end(); }
  Program(Program&& other) noexcept { *this = std::move(other); }
  Program& operator=(Program&& other) noexcept;
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] const std::string& word() const { return word_; }
  void kill(); // SIGKILL
  void end();  // SIGTERM, and SIGKILL after 10 s

private:
  void close();
  pid_t pid_ = -1;
  int out_ = -1;
  std::string word_;
};

/// A master, and agents, with durability on.
class Cluster {
public:
  /// `flags`: beside those that every benchmark has; `--events` is off unless given.
  void start_master(const std::vector<std::string>& flags = {});
  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }
  void start_agent(const std::string& vcores);
  [[nodiscard]] Client client(ClientOptions options = {});
  Program& master() { return master_; }
  [[nodiscard]] const Program& agent(std::size_t n = 0) const { return agents_.at(n); }
  [[nodiscard]] const Scratch& scratch() const { return scratch_; }

private:
  Scratch scratch_; // ends last
  std::string endpoint_ = "tcp://127.0.0.1:*";
  Program master_;
  std::vector<Program> agents_;
};

/// The path of one of our programs, in $REEVE_BIN.
std::string program(const std::string& name);
/// Processor seconds that a process has used so far, all its threads; exact to the microsecond.
double cpu_seconds(pid_t pid);

// ---- raw baselines

/// Seconds of one commit of `bytes` in a SQLite file of the master's settings (WAL, FULL): median
/// of `times`.
double raw_commit(const Scratch& scratch, std::size_t bytes, int times = 300);
/// Seconds of one ZeroMQ round trip, DEALER to ROUTER over TCP: median of `times`.
double raw_round_trip(int times = 3'000);
/// Round trips a second with `in_flight` of them under way.
double raw_pipelined(std::size_t in_flight, int times);
/// posix_spawn and wait of `true` a second, on `threads` threads, each with a process group of its
/// own, two pipes read to their end and resource limits set: what an agent has to do for a process.
double raw_spawns(int threads, int times);

// ---- reporting

/// "name   1.23M tasks/s".
void say(const std::string& name, double figure, const std::string& unit);
/// The same with its ratio to a baseline and what is wanted: "at least" or "at most" a value.
struct Goal {
  double value = 0;
  bool at_least = true;
};
void say(const std::string& name, double figure, const std::string& unit,
         const std::string& baseline, double baseline_figure, const Goal& goal);
double median(std::vector<double> values);
double percentile(std::vector<double> values, double part);

} // namespace reeve::bench
