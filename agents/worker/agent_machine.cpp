// See agent_machine.hpp.
#include "agents/worker/agent_machine.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <sched.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace reeve::worker {

namespace {

std::int64_t processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0)
    return CPU_COUNT(&set);
  return std::max<long>(::sysconf(_SC_NPROCESSORS_ONLN), 1);
}

/// Bytes of a line such as "MemTotal:  16318412 kB".
std::int64_t memory_line(const char* name) {
  std::ifstream file("/proc/meminfo");
  std::string line;
  const std::string wanted = std::string(name) + ":";
  while (std::getline(file, line)) {
    if (!line.starts_with(wanted))
      continue;
    std::istringstream text(line.substr(wanted.size()));
    std::int64_t kilobytes = 0;
    text >> kilobytes;
    return kilobytes * 1024;
  }
  return 0;
}

std::int64_t memory_total() {
  std::int64_t total = memory_line("MemTotal");
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream file(path);
    std::int64_t limit = 0;
    if (file >> limit && limit > 0)
      total = std::min(total, limit);
  }
  return total;
}

} // namespace

Resources detect_capacity(const std::string& dir) {
  Resources capacity;
  capacity.cpu_milli = processors() * 1'000;
  capacity.memory_bytes = memory_total();
  struct statvfs disk {};
  if (::statvfs(dir.c_str(), &disk) == 0)
    capacity.disk_bytes = static_cast<std::int64_t>(disk.f_bavail * disk.f_frsize);
  return capacity;
}

std::string detect_host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0 || name[0] == 0)
    return "localhost";
  return name;
}

std::string default_state_dir() {
  if (::geteuid() == 0)
    return "/var/lib/reeve-agent";
  if (const char* state = std::getenv("XDG_STATE_HOME"); state && *state == '/')
    return std::string(state) + "/reeve/agent";
  const char* home = std::getenv("HOME");
  return std::string(home ? home : "/tmp") + "/.local/state/reeve/agent";
}

Resources MachineUse::measure() {
  Resources used;
  std::ifstream file("/proc/stat");
  std::string word;
  file >> word; // "cpu"
  std::uint64_t total = 0, idle = 0, value = 0;
  for (int column = 0; column < 8 && file >> value; ++column) {
    total += value;
    if (column == 3 || column == 4) // idle, iowait
      idle += value;
  }
  const std::uint64_t busy = total - idle;
  if (total_ > 0 && total > total_) {
    const double share =
      static_cast<double>(busy - std::min(busy, busy_)) / static_cast<double>(total - total_);
    used.cpu_milli = static_cast<std::int64_t>(
      share * 1'000 * static_cast<double>(std::max<long>(::sysconf(_SC_NPROCESSORS_ONLN), 1)));
  }
  busy_ = busy;
  total_ = total;
  used.memory_bytes =
    std::max<std::int64_t>(memory_line("MemTotal") - memory_line("MemAvailable"), 0);
  struct statvfs disk {};
  if (::statvfs(dir_.c_str(), &disk) == 0)
    used.disk_bytes = static_cast<std::int64_t>((disk.f_blocks - disk.f_bfree) * disk.f_frsize);
  return used;
}

} // namespace reeve::worker
