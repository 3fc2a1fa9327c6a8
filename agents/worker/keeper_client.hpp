// The agent's end of the keeper's socket, and how to get a keeper running. One thread (the agent's)
// calls it, with the socket in its poll. Never blocks except in `connect` and `launch_keeper`, and
// never touches a task itself: all processes are the keeper's.
#pragma once

#include "agents/worker/keeper_fd.hpp"
#include "agents/worker/keeper_protocol.hpp"
#include "agents/worker/keeper_socket.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

namespace reeve::worker {

/// What of a job's specification a keeper needs: how a process is run. The rest stays away, because
/// a keeper outlives upgrades of its agent and refuses fields that it does not know, and because
/// there may be millions of items.
JobSpec for_keeper(const JobSpec& spec);

class KeeperClient {
public:
  /// Connects to the keeper of this state directory and takes over as its agent. Blocks until the
  /// keeper has told all it holds. Errors: unavailable (no keeper listens there: `launch_keeper`),
  /// timed_out, io, bad_message.
  static Result<KeeperClient> connect(const std::string& dir,
                                      Duration timeout = std::chrono::seconds(10));

  /// What the keeper held when we connected. Exits told then are in `ended` and are not told again
  /// by `receive`.
  [[nodiscard]] Incarnation incarnation() const { return welcome_.incarnation; }
  [[nodiscard]] const keeper::Welcome& welcome() const { return welcome_; }
  [[nodiscard]] const std::vector<keeper::Exit>& ended() const { return ended_; }

  /// For poll: readable -> `receive`; writable, asked for while `wants_write()` -> `flush`.
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool wants_write() const { return !out_.empty(); }

  /// Exits since the last call; empty when there are none. An error (io, bad_message, refused)
  /// means that the connection is over: destroy this and connect again. The tasks run on.
  Result<std::vector<keeper::Exit>> receive();

  // Each of these only queues; `flush` sends what the socket takes now.
  /// `spec.items` is not looked at: each task carries its own. The spec itself is sent once a
  /// connection and job, until `drop_spec`.
  void start(JobId job, const JobSpec& spec, Epoch epoch, std::vector<keeper::StartTask> tasks);
  void drop_spec(JobId job);
  void stop(std::vector<AttemptId> attempts, Cause cause = Cause::cancelled, std::string text = {},
            std::optional<Duration> grace = {}, bool move = false);
  /// The exits are durable at the master (or were never wanted).
  void release(std::vector<AttemptId> attempts);
  void forget_output(std::vector<AttemptId> attempts);
  /// Machine shutdown: the keeper stops everything and ends.
  void stop_all(std::optional<Duration> grace = {});
  Result<void> flush();

private:
  KeeperClient() = default;
  void send(const keeper::ToKeeper& message);
  Result<void> greet(std::chrono::steady_clock::time_point deadline);
  Result<std::optional<keeper::FromKeeper>> take();

  Fd fd_;
  FrameReader in_;
  std::string out_;
  std::unordered_set<JobId> specs_; // sent on this connection
  keeper::Welcome welcome_;
  std::vector<keeper::Exit> ended_;
};

/// Runs `command` (such as {"/proc/self/exe", "keeper", "--state", dir}) and waits until that
/// keeper listens. The keeper detaches itself (KeeperOptions::detach), so it outlives the agent and
/// leaves no zombie. Errors: io, unavailable (with what it printed).
Result<void> launch_keeper(const std::vector<std::string>& command);

} // namespace reeve::worker
