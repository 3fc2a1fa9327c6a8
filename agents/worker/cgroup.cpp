// Memory limits by cgroup. See cgroup.hpp.
#include "agents/worker/cgroup.hpp"

#include "agents/worker/keeper_proc.hpp"
#include "src/util/text.hpp"
#include "src/util/words.hpp"

#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>

namespace reeve::worker {
namespace {

bool write_file(const std::string& path, std::string_view text) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

bool has_word(std::string_view text, std::string_view word) {
  const auto words = words_in(text);
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool in_list(std::string_view list, std::string_view one) {
  const auto parts = split(list, ',');
  return std::find(parts.begin(), parts.end(), one) != parts.end();
}

/// A path in /proc/self/cgroup below the mount point: "" for the top, and for what lies outside
/// (the kernel shows "/.." to who is not below the root of its cgroup namespace).
std::string path_below(std::string_view path) {
  return path.starts_with('/') && path != "/" && (std::string(path) + "/").find("/../") == path.npos
           ? std::string(path)
           : "";
}

std::vector<CgroupPlace> candidates() {
  return parse_places(read_small_file("/proc/self/mounts", 1u << 20),
                      read_small_file("/proc/self/cgroup"), ::geteuid() == 0);
}

std::string root_name(Incarnation keeper) {
  char name[32];
  std::snprintf(name, sizeof name, "reeve-%016llx", static_cast<unsigned long long>(keeper.value));
  return name;
}

/// True when a group made in `path` will have a memory limit to set.
bool prepare(int version, const std::string& path) {
  if (version == 1)
    return write_file(path + "/memory.use_hierarchy", "1") || true; // fixed to 1 on newer kernels
  if (!has_word(read_small_file(path + "/cgroup.controllers"), "memory"))
    return false;
  return has_word(read_small_file(path + "/cgroup.subtree_control"), "memory") ||
         write_file(path + "/cgroup.subtree_control", "+memory");
}

const char* limit_file(int version) {
  return version == 1 ? "/memory.limit_in_bytes" : "/memory.max";
}

} // namespace

std::vector<CgroupPlace> parse_places(std::string_view mounts, std::string_view groups, bool root) {
  std::string mount_v1, mount_v2, own_v1, own_v2;
  for (const std::string& line : split(mounts, '\n')) {
    const auto words = words_in(line); // device, point, type, options
    if (words.size() > 3 && words[2] == "cgroup" && in_list(words[3], "memory"))
      mount_v1 = words[1];
    if (words.size() > 3 && words[2] == "cgroup2")
      mount_v2 = words[1];
  }
  for (const std::string& line : split(groups, '\n')) { // number:controllers:path
    const std::size_t one = line.find(':'), two = line.find(':', one + 1);
    if (one == std::string::npos || two == std::string::npos)
      continue;
    if (in_list(line.substr(one + 1, two - one - 1), "memory"))
      own_v1 = path_below(line.substr(two + 1));
    if (line.starts_with("0::"))
      own_v2 = path_below(line.substr(two + 1));
  }
  std::vector<CgroupPlace> places;
  if (!mount_v1.empty()) { // a v1 memory hierarchy owns the controller: v2 cannot have it as well
    places.push_back({1, mount_v1 + own_v1});
    if (!own_v1.empty())
      places.push_back({1, mount_v1});
  } else if (!mount_v2.empty()) {
    places.push_back({2, mount_v2 + own_v2});
    if (!own_v2.empty() && root)
      places.push_back({2, mount_v2});
  }
  return places;
}

Cgroups::Cgroups(Cgroups&& other) noexcept
    : version_(other.version_), root_(std::move(other.root_)) {
  other.version_ = 0;
}
Cgroups& Cgroups::operator=(Cgroups&& other) noexcept {
  version_ = std::exchange(other.version_, 0);
  root_ = std::move(other.root_);
  return *this;
}

Cgroups Cgroups::detect(Incarnation keeper, std::string& note) {
  note = "memory limits by rlimit: no writable cgroup with the memory controller";
  for (const CgroupPlace& place : candidates()) {
    // In version 2 a group with processes of its own cannot hand controllers down, so the place
    // where we are rarely serves; we do not move ourselves or others to make it serve: that is the
    // service manager's tree.
    if (!prepare(place.version, place.path))
      continue;
    const std::string root = place.path + "/" + root_name(keeper);
    if (::mkdir(root.c_str(), 0755) != 0)
      continue;
    Cgroups groups;
    groups.version_ = place.version;
    groups.root_ = root;
    if (prepare(place.version, root)) {
      if (Cgroup probe =
            groups.make(64 << 20)) { // a limit can be set in a child, which is all we need
        probe.procs.reset();
        remove(probe);
        note = "memory limits by cgroup version " + std::to_string(place.version) + " in " + root;
        return groups;
      }
    }
    ::rmdir(root.c_str());
  }
  return {};
}

Cgroup Cgroups::make(std::int64_t memory_bytes) {
  Cgroup group;
  if (version_ == 0)
    return group;
  group.path = root_ + "/" + std::to_string(next_.fetch_add(1));
  if (::mkdir(group.path.c_str(), 0755) != 0)
    return {};
  group.procs.reset(::open((group.path + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  if (!group.procs ||
      !write_file(group.path + limit_file(version_), std::to_string(memory_bytes))) {
    ::rmdir(group.path.c_str());
    return {};
  }
  // Without this a task would spill into swap instead of meeting its limit. Not every kernel
  // accounts swap: no error.
  if (version_ == 1)
    write_file(group.path + "/memory.memsw.limit_in_bytes", std::to_string(memory_bytes));
  else
    write_file(group.path + "/memory.swap.max", "0");
  return group;
}

std::uint64_t Cgroups::oom_kills(const Cgroup& group) const {
  return number_after(
    read_small_file(group.path + (version_ == 1 ? "/memory.oom_control" : "/memory.events")),
    "oom_kill");
}

std::int64_t Cgroups::memory_peak(const Cgroup& group) const {
  const auto bytes = numbers_in<std::int64_t>(
    read_small_file(group.path + (version_ == 1 ? "/memory.max_usage_in_bytes" : "/memory.peak")),
    1);
  return bytes.empty() ? 0 : bytes.front();
}

std::vector<pid_t> Cgroups::processes(const Cgroup& group) {
  return numbers_in<pid_t>(read_small_file(group.path + "/cgroup.procs", 4u << 20));
}

void Cgroups::kill(const Cgroup& group) const {
  if (version_ == 2 && write_file(group.path + "/cgroup.kill", "1")) // Linux 5.14: all at once
    return;
  for (const pid_t pid : processes(group)) {
    const Fd pidfd = open_pidfd(pid);
    // The number may have gone to another since the list was read: who is still in the group once
    // we hold it is the one.
    const std::string now = read_small_file("/proc/" + std::to_string(pid) + "/cgroup");
    const std::size_t name = group.path.rfind("/reeve-");
    if (name != std::string::npos && now.find(group.path.substr(name) + "\n") != std::string::npos)
      signal_pidfd(pidfd, SIGKILL);
  }
}

bool Cgroups::remove(const Cgroup& group) {
  return ::rmdir(group.path.c_str()) == 0 || errno == ENOENT;
}

void Cgroups::remove_root() {
  if (version_ == 0)
    return;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root_, error))
    if (entry.is_directory(error))
      ::rmdir(entry.path().c_str());
  ::rmdir(root_.c_str());
  version_ = 0;
}

unsigned Cgroups::clear(Incarnation keeper) {
  unsigned killed = 0;
  for (const CgroupPlace& place : candidates()) {
    Cgroups old;
    old.version_ = place.version;
    old.root_ = place.path + "/" + root_name(keeper);
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(old.root_, error)) {
      if (!entry.is_directory(error))
        continue;
      Cgroup group;
      group.path = entry.path();
      killed += static_cast<unsigned>(processes(group).size());
      old.kill(group);
    }
  }
  return killed;
}

} // namespace reeve::worker
