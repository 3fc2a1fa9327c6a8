// See agent_machine.hpp.
#include "agents/worker/agent_machine.hpp"

#include "agents/worker/keeper_proc.hpp"
#include "src/util/words.hpp"

#include <algorithm>
#include <cstdlib>

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

std::int64_t memory_total() {
  std::int64_t total = parse_memory(read_small_file("/proc/meminfo")).total;
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    const auto limit = numbers_in<std::int64_t>(read_small_file(path), 1); // "max": no number
    if (!limit.empty() && limit.front() > 0)
      total = std::min(total, limit.front());
  }
  return total;
}

} // namespace

MachineMemory parse_memory(std::string_view meminfo) {
  const auto bytes = [&](std::string_view key) {
    return static_cast<std::int64_t>(std::min(number_after(meminfo, key), std::uint64_t{1} << 52)) *
           1024; // "MemTotal:  16318412 kB"
  };
  return {bytes("MemTotal:"), bytes("MemAvailable:")};
}

ProcessorTime parse_processor_time(std::string_view stat) {
  ProcessorTime time;
  if (next_word(stat) != "cpu")
    return time;
  const auto columns = numbers_in<std::uint64_t>(stat, 8);
  for (std::size_t k = 0; k < columns.size(); ++k) {
    time.total += columns[k];
    if (k != 3 && k != 4) // idle, iowait
      time.busy += columns[k];
  }
  return time;
}

double busy_part(ProcessorTime before, ProcessorTime now) {
  if (before.total == 0 || now.total <= before.total)
    return 0;
  // The kernel takes time back from the column of waiting for a disk, so more may seem busy than
  // has passed.
  return std::min(1.0, static_cast<double>(now.busy - std::min(now.busy, before.busy)) /
                         static_cast<double>(now.total - before.total));
}

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
  const ProcessorTime time = parse_processor_time(read_small_file("/proc/stat", 4'096));
  used.cpu_milli = static_cast<std::int64_t>(
    busy_part(time_, time) * 1'000 *
    static_cast<double>(std::max<long>(::sysconf(_SC_NPROCESSORS_ONLN), 1)));
  time_ = time;
  const MachineMemory memory = parse_memory(read_small_file("/proc/meminfo"));
  used.memory_bytes = std::max<std::int64_t>(memory.total - memory.available, 0);
  struct statvfs disk {};
  if (::statvfs(dir_.c_str(), &disk) == 0)
    used.disk_bytes = static_cast<std::int64_t>((disk.f_blocks - disk.f_bfree) * disk.f_frsize);
  return used;
}

} // namespace reeve::worker
