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

struct Found { // what the keeper before left behind
  std::vector<AttemptId> lost;
  std::vector<std::string> notes;
};

Found take_over(const LogState& before) {
  Found found;
  if (!before.torn.empty())
    found.notes.push_back(before.torn);
  for (const auto& [id, entry] : before.attempts)
    if (found.lost.size() < lost_max)
      found.lost.push_back(id);
  const Leftovers leftovers = kill_leftovers(before, leftovers_patience);
  if (leftovers.killed > 0)
    found.notes.push_back("killed " + std::to_string(leftovers.killed) +
                          " processes of the keeper before");
  if (leftovers.left > 0)
    found.notes.push_back(std::to_string(leftovers.left) +
                          " processes of the keeper before would not die");
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
  if (auto done = prepare_process(*prepared); !done)
    return done;
  Found found = take_over(prepared->before);
  remove_files_in(options.dir + "/results"); // of attempts that nobody waits for
  remove_files_in(options.dir + "/payload");

  const record::Opened opened{random_incarnation(), boot_id(), ::getpid()};
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
