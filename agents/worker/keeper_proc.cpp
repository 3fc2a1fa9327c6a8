// Reading /proc. See keeper_proc.hpp.
#include "agents/worker/keeper_proc.hpp"

#include "src/util/words.hpp"

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/syscall.h>
#include <time.h>

namespace reeve::worker {
namespace {

constexpr std::size_t environ_bytes_max = 8u << 20;

std::vector<pid_t> pids_in(const std::string& dir) {
  std::vector<pid_t> numbers;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(dir.c_str()), ::closedir);
  if (!open)
    return numbers;
  while (const dirent* entry = ::readdir(open.get())) {
    pid_t number = 0;
    const std::string_view name = entry->d_name;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc{} && end == name.data() + name.size())
      numbers.push_back(number);
  }
  return numbers;
}

template<class T> bool eat(std::string_view& text, T& out, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  if (error != std::errc{})
    return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}
bool eat_dot(std::string_view& text) {
  if (!text.starts_with('.'))
    return false;
  text.remove_prefix(1);
  return true;
}

} // namespace

std::string read_small_file(const std::string& path, std::size_t bytes_max) {
  std::string text;
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd)
    return text;
  std::array<char, 4096> chunk;
  while (text.size() < bytes_max) {
    const ssize_t n = ::read(fd.get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      break;
    text.append(chunk.data(), static_cast<std::size_t>(n));
  }
  return text;
}

std::string marker_value(Incarnation keeper, const AttemptId& id) {
  std::array<char, 96> text;
  std::snprintf(text.data(), text.size(), "%016llx.%llu.%u.%u",
                static_cast<unsigned long long>(keeper.value),
                static_cast<unsigned long long>(id.job.value), id.index, id.attempt);
  return text.data();
}

std::optional<Marker> parse_marker(std::string_view value) {
  Marker marker;
  if (value.size() < 17 || value[16] != '.')
    return std::nullopt;
  if (!eat(value, marker.keeper.value, 16) || !eat_dot(value) || !eat(value, marker.id.job.value) ||
      !eat_dot(value) || !eat(value, marker.id.index) || !eat_dot(value) ||
      !eat(value, marker.id.attempt) || !value.empty())
    return std::nullopt;
  return marker;
}

std::optional<Marker> read_marker(pid_t pid) {
  const std::string environment =
    read_small_file("/proc/" + std::to_string(pid) + "/environ", environ_bytes_max);
  std::string_view rest = environment;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\0'), rest.size());
    const std::string_view entry = rest.substr(0, end);
    if (entry.starts_with(marker_name) && entry.substr(marker_name.size()).starts_with('='))
      return parse_marker(entry.substr(marker_name.size() + 1));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return std::nullopt;
}

std::optional<ProcStat> parse_stat(std::string_view text, pid_t pid) {
  const std::size_t paren = text.rfind(')'); // the name before it may hold anything
  if (paren == std::string::npos)
    return std::nullopt;
  std::string_view rest = text.substr(paren + 1);
  const std::string_view state = next_word(rest);
  constexpr std::size_t start = 18; // after the state: parent, group, session, ... start
  const auto numbers = numbers_in<std::int64_t>(rest, start + 1);
  if (state.size() != 1 || numbers.size() <= start)
    return std::nullopt;
  return ProcStat{pid,
                  static_cast<pid_t>(numbers[0]),
                  static_cast<pid_t>(numbers[1]),
                  static_cast<pid_t>(numbers[2]),
                  state.front(),
                  static_cast<std::uint64_t>(numbers[start])};
}

std::optional<ProcStat> read_stat(pid_t pid) {
  return parse_stat(read_small_file("/proc/" + std::to_string(pid) + "/stat", 4096), pid);
}

std::vector<ProcStat> all_processes() {
  std::vector<ProcStat> found;
  for (const pid_t pid : pids_in("/proc"))
    if (auto stat = read_stat(pid))
      found.push_back(*stat);
  return found;
}

std::vector<pid_t> children_of(pid_t pid, pid_t thread) {
  std::vector<pid_t> children;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  const std::vector<pid_t> threads = thread != 0 ? std::vector<pid_t>{thread} : pids_in(tasks);
  for (const pid_t tid : threads) {
    const auto more =
      numbers_in<pid_t>(read_small_file(tasks + "/" + std::to_string(tid) + "/children", 4u << 20));
    children.insert(children.end(), more.begin(), more.end());
  }
  return children;
}

std::vector<pid_t> descendants_of(pid_t root) {
  std::vector<pid_t> found = children_of(root);
  for (std::size_t k = 0; k < found.size(); ++k) {
    const std::vector<pid_t> more = children_of(found[k]);
    found.insert(found.end(), more.begin(), more.end());
  }
  return found;
}

std::uint64_t boot_ticks() {
  // The kernel divides the start time, a CLOCK_BOOTTIME instant, in the same way (USER_HZ).
  static const auto per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * per_second +
         static_cast<std::uint64_t>(now.tv_nsec) / (1'000'000'000 / per_second);
}

std::string boot_id() {
  std::string id = read_small_file("/proc/sys/kernel/random/boot_id", 64);
  while (!id.empty() && id.back() == '\n')
    id.pop_back();
  return id;
}

Fd open_pidfd(pid_t pid) {
  return Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}
bool signal_pidfd(const Fd& pidfd, int signal) {
  return pidfd && ::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) == 0;
}

} // namespace reeve::worker
