// The keeper's main function: puts the parts together. See keeper.hpp.
#include "agents/worker/keeper.hpp"

#include "agents/worker/keeper_leftovers.hpp"
#include "agents/worker/keeper_loop.hpp"
#include "agents/worker/keeper_setup.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sys/epoll.h>
#include <sys/random.h>
#include <thread>

namespace reeve::worker {
namespace {

constexpr std::chrono::seconds leftovers_patience{10};
constexpr std::size_t lost_max = 100'000;

Incarnation random_incarnation() {
  std::uint64_t value = 0;
  while (value == 0)
    if (::getrandom(&value, sizeof value, 0) != sizeof value)
      value = 0;
  return Incarnation(value);
}

unsigned spawner_count(const KeeperOptions& options) {
  if (options.spawners > 0)
    return options.spawners;
  return std::clamp(std::thread::hardware_concurrency(), 1u, 4u);
}

struct Found {                     // what the keeper before left behind
  Incarnation incarnation;         // to go on with; 0: something is not known
  std::vector<keeper::Exit> exits; // then: how every attempt ended
  std::vector<AttemptId> lost;     // else: what it had
  std::vector<std::string> notes;
};

/// Of an attempt that was killed because its keeper had died: as good as a lost node.
keeper::Exit died_with_its_keeper(const AttemptId& id, Epoch epoch) {
  keeper::Exit exit{id.job, epoch, {}};
  exit.result.index = id.index;
  exit.result.attempt = id.attempt;
  exit.result.cause = Cause::lost_node;
  exit.result.text = "the keeper that ran it died";
  exit.result.started = exit.result.ended =
    std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  return exit;
}

/// When the record is whole and nothing is left of what ran, the end of every attempt is known:
/// then the incarnation goes on, and what had ended is not run again.
Found take_over(const LogState& before) {
  Found found;
  if (!before.torn.empty())
    found.notes.push_back(before.torn);
  const Leftovers leftovers = kill_leftovers(before, leftovers_patience);
  if (leftovers.killed > 0)
    found.notes.push_back("killed " + std::to_string(leftovers.killed) +
                          " processes of the keeper before");
  if (leftovers.left > 0)
    found.notes.push_back(std::to_string(leftovers.left) +
                          " processes of the keeper before would not die");
  if (before.torn.empty() && leftovers.left == 0 && before.opened.boot_id == boot_id())
    found.incarnation = before.opened.incarnation;
  for (const auto& [id, entry] : before.attempts) {
    if (found.incarnation)
      found.exits.push_back(entry.exit ? *entry.exit : died_with_its_keeper(id, entry.epoch));
    else if (found.lost.size() < lost_max)
      found.lost.push_back(id);
  }
  return found;
}

void remove_files_in(const std::string& dir) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(dir, error))
    std::filesystem::remove_all(entry.path(), error);
}

Result<void> keep(const KeeperOptions& options, Readiness& ready) {
  auto prepared = prepare_dir(options.dir);
  if (!prepared)
    return tl::unexpected<Error>(prepared.error());
  if (auto done = prepare_process(*prepared, options.processes); !done)
    return done;
  Found found = take_over(prepared->before);
  remove_files_in(options.dir + "/results"); // what counts of them is in the exits
  remove_files_in(options.dir + "/payload");

  record::Opened opened{random_incarnation(), boot_id(), ::getpid(), found.incarnation};
  if (!opened.incarnation)
    opened.incarnation = opened.keeper;
  auto log = KeeperLog::create(options.dir + "/attempts.log", opened);
  if (!log)
    return tl::unexpected<Error>(log.error());
  Cgroups cgroups;
  std::string note = "memory limits by rlimit: cgroups are switched off";
  if (options.cgroups)
    cgroups = Cgroups::detect(opened.keeper, note);
  found.notes.push_back(std::move(note));
  OutputStore outputs(options.dir, options.output_bytes, options.output_attempts);
  outputs.scan();

  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  auto signals = signal_source();
  auto listener = listen_in(options.dir);
  if (!epoll || !signals || !listener)
    return !epoll ? io_error("epoll", errno)
                  : tl::unexpected<Error>(!signals ? signals.error() : listener.error());
  {
    WorkDirs work_dirs(options.dir + "/work");
    SpawnPool pool({&work_dirs, &cgroups, prepared->files}, spawner_count(options));
    Tasks tasks({options.dir, opened, epoll.get(), *log, outputs, work_dirs, cgroups, pool});
    tasks.inherit(std::move(found.exits));
    KeeperLoop loop({options.dir, opened, std::move(found.lost), std::move(found.notes),
                     std::move(epoll), std::move(*listener), std::move(*signals), *log, pool,
                     tasks});
    ready.tell(options.dir + "/keeper.log");
    loop.run();
  }
  cgroups.remove_root();
  ::unlink((options.dir + "/keeper.sock").c_str());
  return {};
}

} // namespace

int keeper_main(const KeeperOptions& given) {
  close_inherited();
  KeeperOptions options = given;
  std::error_code error;
  options.dir = std::filesystem::absolute(given.dir, error).lexically_normal();
  if (options.dir.size() > 1 && options.dir.back() == '/')
    options.dir.pop_back();
  Readiness ready;
  if (options.detach) {
    auto starter = ready.detach();
    if (!starter) {
      std::fprintf(stderr, "%s\n", starter.error().text.c_str());
      return 1;
    }
    if (*starter)
      return **starter;
  }
  // Orphans come to the first thread: the loop must be it.
  if (::getpid() != ::gettid()) {
    std::fprintf(stderr, "the keeper must run in the first thread of its process\n");
    return 1;
  }
  if (auto kept = keep(options, ready); !kept) {
    std::fprintf(stderr, "%s\n", kept.error().text.c_str());
    return 1;
  }
  return 0;
}

} // namespace reeve::worker
